//! The lints against tables, through real files: what is good comes out clean, and each thing that is changed in it
//! is found, with its line.

use std::time::Duration;

use in_lookback::config::units;
use in_lookback::model::Timestamp;

use super::advice::{self, Advice};
use super::attempt::Tried;
use super::*;
use crate::config::{Variables, read_with};

/// The secret is what any environment has: only that it is not in the file counts.
const GOOD: &str = "\
env: {TENANT: contoso}

service:
  storage.path: /var/lib/fluent-bit/storage
pipeline:
  inputs:
    - name: lookback
      tag: entra.signins
      api: entra_signins
      tenant: ${TENANT}
      client_id: app
      client_secret: ${PATH}
      db: /var/lib/fluent-bit/lookback.db
      storage.type: filesystem
  outputs:
    - {name: tcp, match: 'entra.*', retry_limit: no_limits}
    - {name: stdout, match: lookback.*}
";

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

/// What is found in a text, and what programs would see of it.
fn linted(name: &str, text: &str) -> Vec<Finding> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, text).unwrap();
    let config = read_with(&path, Variables::of_process()).unwrap();
    let inputs = inputs(&config);
    lint(&config, &inputs, NOW)
}

#[test]
fn what_works_against_a_fleet_is_found() {
    let fleet = |rest: &str| {
        let db = "db: postgresql://me@db.example/fleet?sslmode=verify-full";
        linted(
            "a.yaml",
            &GOOD.replace(
                "db: /var/lib/fluent-bit/lookback.db",
                &format!("{db}\n      node: a{rest}"),
            ),
        )
    };
    assert_eq!(fleet(""), vec![]);
    for (rest, problem) in [
        ("\n      lease: 9s", "change hands"),
        ("\n      lease: 6m", "nobody reads"),
        (".b\n      node: b", "is set before"),
    ] {
        let found = fleet(rest);
        assert!(found.len() == 1 && found[0].problem.contains(problem), "{found:#?}");
    }
    let second = "    - {name: lookback, tag: entra.okta, api: okta_system_log, domain: x.example, token: '${PATH}', storage.type: filesystem, db: 'postgresql://me@db.example/fleet', node: b}\n  outputs:";
    let first = GOOD.replace(
        "db: /var/lib/fluent-bit/lookback.db",
        "db: postgresql://me@db.example/fleet\n      node: a",
    );
    let found = linted("a.yaml", &first.replace("  outputs:", second));
    assert!(found.len() == 1 && found[0].problem.contains("one process is one node"), "{found:#?}");
}

#[test]
fn a_password_in_a_databases_url_is_a_secret_in_the_file() {
    for (db, found) in [
        ("postgresql://me:hunter2@db.example/fleet", true),
        ("postgresql://me:${PWD}@db.example/fleet", false),
        ("postgresql://me@db.example/fleet", false),
    ] {
        // What a path has that a URL may not is not the point.
        let text = GOOD
            .replace("db: /var/lib/fluent-bit/lookback.db", &format!("db: {db}\n      node: a"));
        let of_secret = |it: &Finding| it.problem.contains("the secret stands in the file");
        let all = linted("a.yaml", &text);
        assert_eq!(all.iter().any(of_secret), found, "{all:#?}");
        assert!(!format!("{all:?}").contains("hunter2"), "{all:#?}");
    }
}

/// The good one with something else in the place of something.
fn changed(from: &str, to: &str) -> Vec<Finding> {
    assert!(GOOD.contains(from), "{from}");
    linted("a.yaml", &GOOD.replace(from, to))
}

#[test]
fn a_good_configuration_has_no_findings_in_either_format() {
    assert_eq!(linted("a.yaml", GOOD), vec![]);
    let classic = "\
[SERVICE]
    storage.path /var/lib/fluent-bit/storage
[INPUT]
    Name          lookback
    Tag           entra.signins
    API           entra_signins
    Tenant        contoso
    Client_Id     app
    Client_Secret ${PATH}
    DB            /var/lib/fluent-bit/lookback.db
    Storage.Type  filesystem
[OUTPUT]
    Name        tcp
    Match       *
    Retry_Limit False
";
    assert_eq!(linted("a.conf", classic), vec![]);
    let found = linted("a.conf", &classic.replace("Client_Id  ", "ClientId   "));
    assert!(found.iter().any(|it| it.mend.starts_with("write 'client_id'")), "{found:#?}");
}

#[test]
fn an_output_that_turns_changed_records_away_is_found() {
    let by_content = GOOD.replace("      api:", "      dedup_on: content\n      api:");
    let output = |rest: &str| {
        let es = format!("{{name: es, match: 'entra.*', retry_limit: no_limits{rest}}}");
        let text = by_content.replace("{name: tcp, match: 'entra.*', retry_limit: no_limits}", &es);
        linted("a.yaml", &text)
    };
    for fine in ["", ", id_key: id, write_operation: index"] {
        assert_eq!(output(fine), vec![]);
    }
    for lossy in [", id_key: id", ", id_key: id, write_operation: create"] {
        let found = output(lossy);
        assert!(found.len() == 1 && found[0].severity == Severity::Loss, "{found:#?}");
        assert!(found[0].problem.contains("dedup_on: content"), "{found:#?}");
    }
}

#[test]
fn what_is_wrong_is_found_with_its_line_and_the_mend() {
    use Severity::{Error, Loss, Warning};

    let input = "      db: /var/lib/fluent-bit/lookback.db";
    let with = |line: &str| format!("{input}\n      {line}");
    for (from, to, severity, line, problem, mend) in [
        (input, with("intervall: 5m").as_str(), Error, 14, "'intervall'", "write 'interval'"),
        (input, &with("xyzzy: 1"), Error, 14, "'xyzzy'", "remove it"),
        (input, &with("node: here"), Error, 14, "db is a file", "remove it, or set db"),
        (input, &with("dedup_on: bytes"), Error, 14, "found 'bytes'", "expected id or content"),
        (input, &with("tenant: other"), Error, 14, "set before", "remove one"),
        (input, &with("window: 2m"), Error, 14, "not longer than interval", "raise window"),
        (input, &with("window: 5m"), Warning, 14, "hardly longer", "raise window to 6m"),
        (input, &with("window: auto\n      sweeps: off"), Error, 14, "needs sweeps", "set sweeps"),
        (input, &with("sweeps: 60d/1d"), Error, 14, "further back than the API", "lower it"),
        (input, &with("sweeps: off"), Warning, 14, "no sweeps", "set sweeps"),
        (input, &with("start: 90d"), Warning, 14, "is a gap", "elsewhere"),
        (input, &with("start: 2020-01-01T00:00:00Z"), Warning, 14, "is a gap", "elsewhere"),
        (input, &with("health: off"), Warning, 14, "health is off", "set it on"),
        (input, &with("heartbeat: off"), Warning, 14, "heartbeat is off", "5m"),
        (input, &with("rate_limit: 100000"), Warning, 14, "can bear", "lower it"),
        (input, &with("interval: often"), Error, 14, "found 'often'", "expected a duration"),
        (input, &with("base_url: http://api.example"), Error, 14, "unencrypted", "https"),
        ("      tenant: ${TENANT}\n", "", Error, 7, "'tenant': is missing", "set it"),
        ("api: entra_signins", "api: entra_sign", Error, 9, "not built in", "entra_signins"),
        ("${PATH}", "hunter2-but-longer", Warning, 12, "stands in the file", "client_secret_file"),
        ("${PATH}", "${TENANT}", Warning, 12, "stands in the file", "the environment"),
        ("${PATH}", "${NONE}", Warning, 12, "${NONE} is used but not set", "environment"),
        ("filesystem", "memory", Loss, 14, "is memory", "storage.type: filesystem"),
        ("      storage.type: filesystem\n", "", Loss, 7, "is memory", "storage.type: filesystem"),
        (
            "  storage.path: /var/lib/fluent-bit/storage",
            "  flush: 1",
            Error,
            14,
            "no storage.path",
            "set storage.path",
        ),
        (
            "match: 'entra.*'",
            "match: 'okta.*'",
            Loss,
            8,
            "takes the tag 'entra.signins'",
            "match: 'entra.signins'",
        ),
        (
            "match: lookback.*",
            "match: entra.*",
            Warning,
            7,
            "takes the tag 'lookback.health'",
            "match:",
        ),
        (", retry_limit: no_limits", "", Loss, 16, "retry_limit is 1, the default", "no_limits"),
        ("retry_limit: no_limits", "retry_limit: 5", Loss, 16, "retry_limit is 5", "no_limits"),
        (
            "no_limits}",
            "no_limits, storage.total_limit_size: 1G}",
            Warning,
            16,
            "drops the oldest",
            "remove it",
        ),
    ] {
        let found = changed(from, to);
        let fits = |it: &&Finding| it.problem.contains(problem);
        let it = found.iter().find(fits).unwrap_or_else(|| panic!("{to}: {found:#?}"));
        assert_eq!(it.severity, severity, "{to}: {it:#?}");
        assert!(it.mend.contains(mend), "{to}: {it:#?}");
        assert!(it.place.ends_with(&format!("a.yaml:{line}")), "{to}: {it:#?}");
        assert!(!format!("{found:?}").contains("hunter2"), "{found:#?}");
    }
}

#[test]
fn what_fluent_bit_itself_understands_is_no_finding() {
    let more = "tag: entra.signins\n      alias: in\n      Mem_Buf_Limit: 5M\n      threaded: on\n      \
        log_level: debug\n      storage.pause_on_chunks_overlimit: on\n      routable: true";
    assert_eq!(changed("tag: entra.signins", more), vec![]);
    assert_eq!(changed("match: 'entra.*'", "match_regex: ^entra"), vec![]);
    let inherits = GOOD.replace("      storage.type: filesystem\n", "");
    let inherits =
        inherits.replace("service:", "service:\n  storage.inherit: on\n  storage.type: filesystem");
    assert_eq!(linted("a.yaml", &inherits), vec![]);
    let own = GOOD.replace("entra_signins", "o365_management");
    let own = own.replace("tenant:", "content_types: Audit.General\n      tenant:");
    assert_eq!(linted("a.yaml", &own), vec![]);
    let elsewhere = own.replace("o365_management", "./not-here.yaml");
    assert!(linted("a.yaml", &elsewhere).iter().all(|it| !it.problem.contains("content_types")));
    let odd = own.replace("content_types", "content_type");
    let found = linted("a.yaml", &odd);
    assert!(found[0].mend.starts_with("write 'content_types'"), "{found:#?}");
}

#[test]
fn two_inputs_with_one_source_are_found() {
    let (before, rest) = GOOD.split_once("    - name: lookback\n").unwrap();
    let (input, after) = rest.split_once("  outputs:").unwrap();
    let two = |other: &str| {
        let name = "    - name: lookback\n";
        linted("a.yaml", &format!("{before}{name}{input}{name}{other}  outputs:{after}"))
    };
    let found = two(input);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].severity, Severity::Error);
    assert!(found[0].problem.contains("the second one refuses to start"), "{found:#?}");
    let found = two(&input.replace("lookback.db", "other.db"));
    assert!(found[0].problem.contains("come twice"), "{found:#?}");
    assert_eq!(two(&input.replace("${TENANT}", "fabrikam")), vec![]);
}

fn planned(more: &str) -> Plan {
    let text = GOOD.replace("      storage.type", &format!("      {more}\n      storage.type"));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.yaml");
    std::fs::write(&path, text).unwrap();
    let config = read_with(&path, Variables::of_process()).unwrap();
    inputs(&config).remove(0).plan.unwrap()
}

#[test]
fn a_plan_that_needs_more_requests_than_it_may_make_is_found_in_requests_an_hour() {
    // Every 60 s a window of 30 m, in one slice: 60; every 2 h three days, in slices of a day: 1.5.
    let plan = planned(
        "interval: 60s, window: 30m, sweeps: 3d/2h, rate_limit: 1"
            .replace(", ", "\n      ")
            .as_str(),
    );
    assert!(plan.schedule.range_max >= Duration::from_secs(86_400), "slices of a day or more");
    let slices = 3.0 * 86_400.0 / plan.schedule.range_max.as_secs_f64();
    let budget = Budget::of(&plan, None);
    assert_eq!((budget.needed, budget.allowed), (60.0 + slices.ceil() / 2.0, 60.0));
    assert!(budget.used() > 1.0 && budget.dearest == "live polls (60)", "{budget:?}");
    // With 10,000 events an hour, 1,000 a page: 5 pages a live poll, 720 a sweep.
    let busy = Budget::of(&plan, Some(10_000.0));
    assert_eq!(busy.needed.round(), 300.0 + 360.0);
    let db = "      db: /var/lib/fluent-bit/lookback.db";
    let found = changed(db, &format!("{db}\n      interval: 60s\n      rate_limit: 1"));
    let loss = found.iter().find(|it| it.severity == Severity::Loss).unwrap();
    assert!(loss.problem.contains("requests an hour, and may make 60"), "{loss:#?}");
    assert!(loss.mend.contains("raise rate_limit"), "{loss:#?}");
}

fn tried(ages: &[u64]) -> Tried {
    let times = ages.iter().map(|age| NOW - Duration::from_secs(*age)).collect();
    let span = Duration::from_secs(86_400);
    Tried { now: NOW, times, span, whole: true, requests: 3, odd: 0, off: Vec::new() }
}

#[test]
fn the_advice_takes_silence_for_lateness_only_where_events_come_often() {
    let plan = planned("interval: 3m");
    let own = plan.definition.window;
    let minute = 60;
    let often = |age: u64| (0..20).map(|n| age + n * 10).collect::<Vec<u64>>();
    let seldom = |age: u64| (0..20).map(|n| age + n * 3_600).collect::<Vec<u64>>();
    for (ages, is_lateness, window, word) in [
        (vec![], false, own, "no event in the last 24h"),
        (vec![minute], false, own, "1 event in the last 24h"),
        (often(30), false, own, "calm"),
        (often(47 * minute), true, units::duration("95m").unwrap(), "one every 10s"),
        (often(3 * minute), true, own, "more than twice the newest event's age"),
        (seldom(47 * minute), false, own, "calm"),
    ] {
        let advice = advice::advise(&plan, &tried(&ages));
        let Advice { drift, basis, .. } = &advice;
        assert_eq!(advice.is_lateness, is_lateness, "{advice:?}");
        assert_eq!(advice.window, window, "{advice:?}");
        assert_eq!(drift.map(|it| it.as_secs()), ages.first().copied(), "{advice:?}");
        assert!(basis.contains(word), "{basis}");
    }
    let less = planned("interval: 30m\n      window: 61m");
    assert_eq!(advice::advise(&less, &tried(&[])).window, Duration::from_secs(3_600));
}

#[test]
fn what_a_trial_shows_of_the_plan_is_a_warning_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.yaml");
    let text = GOOD.replace("      storage.type", "      window: 10m\n      storage.type");
    std::fs::write(&path, text).unwrap();
    let config = read_with(&path, Variables::of_process()).unwrap();
    let inputs = inputs(&config);
    let plan = inputs[0].plan.as_ref().unwrap();
    let dense = |age: u64| (0..3_000).map(|n| age + n / 100).collect::<Vec<u64>>();
    let fine = tried(&[30]);
    let late = tried(&dense(3_000));
    let busy = Tried { times: vec![NOW; 500_000], ..fine.clone() };
    let odd = Tried { odd: 3, ..fine.clone() };
    let off = Tried { off: vec!["Audit.General".to_owned()], ..fine.clone() };
    for (tried, word, line) in [
        (&fine, "is shorter than advised", 14),
        (&late, "50m late now", 7),
        (&busy, "if events go on as now, 3000000 an hour", 7),
        (&odd, "3 events are not as the definition says", 9),
        (&off, "not subscribed to: Audit.General", 9),
    ] {
        let advice = advice::advise(plan, tried);
        let found = schedule::in_practice(&inputs[0], plan, tried, &advice);
        let it = found.iter().find(|it| it.problem.contains(word));
        let it = it.unwrap_or_else(|| panic!("{word}: {found:#?}"));
        assert_eq!(it.severity, Severity::Warning, "{it:#?}");
        assert!(it.place.ends_with(&format!("a.yaml:{line}")), "{it:#?}");
    }
}

#[test]
fn a_window_is_advised_against_or_follows_the_lateness_by_itself() {
    for (window, mend) in [("10m", Some("set window: 20m, or auto")), ("auto", None)] {
        let text = GOOD
            .replace("      storage.type", &format!("      window: {window}\n      storage.type"));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.yaml");
        std::fs::write(&path, text).unwrap();
        let config = read_with(&path, Variables::of_process()).unwrap();
        let inputs = inputs(&config);
        let plan = inputs[0].plan.as_ref().unwrap();
        let advice = advice::advise(plan, &tried(&[30]));
        let found = schedule::in_practice(&inputs[0], plan, &tried(&[30]), &advice);
        assert_eq!(found.first().map(|it| it.mend.as_str()), mend, "{found:#?}");
    }
}

#[test]
fn a_burst_of_seconds_is_no_rate() {
    let burst: Vec<u64> = (0..200).map(|n| 100 + n / 100).collect();
    assert_eq!(advice::events_an_hour(&tried(&burst)), Some(1_200.0));
    let steady: Vec<u64> = (1..=100).map(|n| n * 36).collect();
    assert_eq!(advice::events_an_hour(&tried(&steady)), Some(100.0));
    assert_eq!(advice::events_an_hour(&tried(&[5])), None);
}

#[test]
fn a_report_fits_eighty_columns_and_says_the_verdict() {
    let plan = planned("interval: 3m");
    let looked = |trial| Looked {
        name: "lookback.0".to_owned(),
        source: plan.source.clone(),
        window: plan.schedule.window,
        window_is_auto: plan.schedule.auto.is_some(),
        budget: Budget::of(&plan, None),
        trial,
    };
    let ages: Vec<u64> = (0..20).map(|n| 2_820 + n).collect();
    let tried = tried(&ages);
    let advice = advice::advise(&plan, &tried);
    let done = || Trial::Done(Box::new((tried.clone(), advice.clone())));
    let failed =
        || Trial::Failed("no token: HTTP status 401".to_owned(), "see the secret".to_owned());
    let bad = changed("no_limits}", "no_limits, storage.total_limit_size: 1G, bogus: 1}");
    let lossy = changed(", retry_limit: no_limits", "");
    for (findings, trial, verdict, last) in [
        (vec![], done(), Verdict::Fine, "a.yaml: fine (linted and tried)"),
        (vec![], Trial::None, Verdict::Fine, "a.yaml: fine (linted, not tried)"),
        (bad, Trial::None, Verdict::Fine, "a.yaml: fine (linted, not tried); 1 warning"),
        (lossy.clone(), done(), Verdict::Serious, "a.yaml: 1 thing to mend"),
        (lossy, failed(), Verdict::Serious, "a.yaml: 1 thing to mend"),
        (vec![], failed(), Verdict::Untried, "a.yaml: could not be tried"),
    ] {
        let (config, inputs) = ("a.yaml".to_owned(), vec![looked(trial)]);
        let report = Report { config, findings, databases: Vec::new(), inputs };
        assert_eq!(report.verdict(), verdict);
        let text = report.text();
        assert_eq!(text.lines().last(), Some(last), "{text}");
        // A place may be long: it is what people click on.
        let long = text.lines().find(|line| line.chars().count() > 80 && !line.contains(".yaml:"));
        assert_eq!(long, None, "{text}");
    }
}
