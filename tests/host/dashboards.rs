//! The dashboard, the alerts and the SIEM's rules ask for what a running plugin shows, and for nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::bench::{Bench, history, with};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn read(path: &str) -> String {
    std::fs::read_to_string(format!("{ROOT}/conf/{path}")).unwrap()
}

/// Where an expression stands, and the expression.
type Expr = (String, String);

fn dashboard() -> Vec<Expr> {
    let dashboard: Value = serde_json::from_str(&read("grafana/lookback.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let of_panel = |panel: &Value| {
        let title = panel["title"].as_str().unwrap().to_owned();
        let targets = panel["targets"].as_array().unwrap().clone();
        let expr = |target: Value| target["expr"].as_str().unwrap().to_owned();
        targets.into_iter().map(move |target| (title.clone(), expr(target))).collect::<Vec<_>>()
    };
    panels.iter().flat_map(of_panel).collect()
}

fn alerts() -> Vec<Value> {
    let rules: Value = serde_saphyr::from_str(&read("prometheus/alerts.yaml")).unwrap();
    let groups = rules["groups"].as_array().unwrap().clone();
    groups.into_iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

fn alert_exprs() -> Vec<Expr> {
    let text = |rule: &Value, key: &str| rule[key].as_str().unwrap().to_owned();
    alerts().iter().map(|rule| (text(rule, "alert"), text(rule, "expr"))).collect()
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The metrics of an expression, each with the labels that its selector names.
fn asked(expr: &str) -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    for (at, _) in expr.match_indices("lookback_") {
        let rest = &expr[at..];
        let name = &rest[..rest.find(|c| !is_name(c)).unwrap_or(rest.len())];
        let selector = rest[name.len()..].strip_prefix('{').and_then(|it| it.split('}').next());
        let label = |matcher: &str| matcher.trim().chars().take_while(|c| is_name(*c)).collect();
        let labels = selector.into_iter().flat_map(|it| it.split(',')).map(label);
        found.push((name.to_owned(), labels.collect()));
    }
    found
}

/// The labels in `by (…)`, `without (…)` and `ignoring (…)`.
fn grouped(expr: &str) -> Vec<String> {
    let lists = ["by (", "without (", "ignoring ("];
    let inside = lists.iter().flat_map(|word| expr.split(word).skip(1));
    let names = inside.filter_map(|rest| rest.split(')').next()).flat_map(|it| it.split(','));
    names.map(|name| name.trim().to_owned()).collect()
}

/// What a plugin shows that has read something, and been throttled: metrics with their labels and values.
fn shown() -> BTreeMap<String, BTreeSet<(String, String)>> {
    let bench = Bench::new(history(50));
    bench.faults(json!({"next": ["pass", "throttle"], "retry_after": "1s"}));
    let host = bench.start(vec![with(bench.input("in"), "sweeps", "10m/2s")]);
    bench.wait_for_all(&host, "in");
    let swept = [("kind", "sweep")];
    bench.wait(&host, "a sweep", || {
        host.instance("in").metrics.sum("lookback_polls_total", &swept) >= Some(1.0)
    });
    let text = host.prometheus();
    bench.stop(host);
    let mut shown: BTreeMap<String, BTreeSet<(String, String)>> = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("lookback_")) {
        let (name, rest) = line.split_once('{').unwrap();
        let labels = rest.split('}').next().unwrap().split(',');
        let pair = |label: &str| {
            let (key, value) = label.split_once('=').unwrap();
            (key.trim().to_owned(), value.trim_matches('"').to_owned())
        };
        shown.entry(name.to_owned()).or_default().extend(labels.map(pair));
    }
    shown
}

#[test]
fn dashboard_and_alerts_ask_for_metrics_and_labels_that_a_running_plugin_shows() {
    let shown = shown();
    let labels = |name: &str| shown[name].iter().map(|it| it.0.as_str()).collect::<BTreeSet<_>>();
    let mut all: BTreeSet<&str> = shown.keys().flat_map(|name| labels(name)).collect();
    // Prometheus adds these.
    all.extend(["job", "instance"]);
    let (panels, alerts) = (dashboard(), alert_exprs());
    assert!(panels.len() >= 16 && alerts.len() >= 10);
    for (place, expr) in panels.iter().chain(&alerts) {
        assert!(!asked(expr).is_empty(), "{place}: no metric of ours in {expr}");
        for (name, selected) in asked(expr) {
            assert!(shown.contains_key(&name), "{place}: there is no {name}");
            for label in selected {
                assert!(labels(&name).contains(label.as_str()), "{place}: {name} has no {label}");
            }
        }
        for label in grouped(expr) {
            assert!(all.contains(label.as_str()), "{place}: no metric has {label}");
        }
    }
    assert!(shown["lookback_lateness_seconds"].contains(&("quantile".into(), "0.99".into())));
    let on_dashboard: BTreeSet<String> =
        panels.iter().flat_map(|(_, expr)| asked(expr)).map(|(name, _)| name).collect();
    let missing: Vec<&String> = shown.keys().filter(|name| !on_dashboard.contains(*name)).collect();
    assert!(missing.is_empty(), "on no panel: {missing:?}");
}

#[test]
fn every_alert_says_what_to_do_and_is_tested() {
    let tests = read("prometheus/alerts_test.yaml");
    for rule in alerts() {
        let name = rule["alert"].as_str().unwrap();
        let said = |key: &str| rule["annotations"][key].as_str().unwrap_or_default();
        let names = ["$labels.source", "$labels.job"].map(|label| said("summary").contains(label));
        assert!(said("action").len() > 40 && names.contains(&true), "{name}");
        let fires = tests.match_indices(&format!("alertname: {name}\n")).any(|(at, _)| {
            tests[at..].lines().nth(1).is_some_and(|line| line.trim() == "exp_alerts:")
        });
        assert!(fires, "{name}: no test in which it fires");
        assert!(
            tests.contains(&format!("alertname: {name}}}")),
            "{name}: none in which it does not"
        );
    }
}

#[test]
fn promtool_accepts_the_rules_and_their_tests_and_the_dashboards_queries() {
    let Some(promtool) = promtool() else {
        eprintln!("skipped: no promtool on the PATH (Debian's package prometheus has it)");
        return;
    };
    let rule = |(at, (_, expr)): (usize, Expr)| {
        let expr = expr.replace("$__rate_interval", "5m").replace("$source", ".*");
        json!({"record": format!("query:{at}"), "expr": expr})
    };
    let rules: Vec<Value> = dashboard().into_iter().enumerate().map(rule).collect();
    let dir = tempfile::tempdir().unwrap();
    let queries = dir.path().join("queries.json");
    let document = json!({"groups": [{"name": "dashboard", "rules": rules}]});
    std::fs::write(&queries, document.to_string()).unwrap();
    let ours = |name: &str| PathBuf::from(format!("{ROOT}/conf/prometheus/{name}"));
    for (what, file) in
        [("check", queries), ("check", ours("alerts.yaml")), ("test", ours("alerts_test.yaml"))]
    {
        let output = Command::new(&promtool).args([what, "rules"]).arg(&file).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(output.status.success(), "promtool {what} rules {}:\n{said}", file.display());
    }
}

fn promtool() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join("promtool")).find(|file| file.is_file())
}

/// What the rules for SIEMs ask for is what health records have.
#[test]
fn the_rules_for_siems_name_fields_that_health_records_have() {
    let bench = Bench::new(history(5));
    let host = bench.start(vec![with(bench.input("in"), "heartbeat", "1s")]);
    bench.wait(&host, "a heartbeat", || bench.has_health("heartbeat"));
    bench.stop(host);
    let records = bench.output.tagged(crate::bench::HEALTH);
    let beat =
        records.iter().map(crate::bench::body).find(|it| it["lookback"]["event"] == "heartbeat");
    let beat = beat.unwrap();
    for name in ["missing-heartbeat.esql", "missing-heartbeat.spl", "lookback-error.sigma.yaml"] {
        let text = read(&format!("siem/{name}"));
        let mut fields = 0;
        for (at, found) in text.match_indices("lookback.") {
            let rest = &text[at + found.len()..];
            let field = &rest[..rest.find(|c| !is_name(c)).unwrap_or(rest.len())];
            assert!(beat["lookback"].get(field).is_some(), "{name}: no field lookback.{field}");
            fields += 1;
        }
        assert!(fields > 0, "{name} names no field");
    }
}
