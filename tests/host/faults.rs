//! API and login service fail in every way the simulator knows.

use serde_json::{Value, json};

use crate::bench::{Bench, HEALTH, SECRET, body, history, stream, with};
use crate::net::Server;

/// Runs a history in small pages through `faults`; ends with the books.
fn through(faults: Value) -> Bench {
    let bench = Bench::new(history(1_500));
    bench.faults(faults);
    let host = bench.start(vec![bench.small_pages("in")]);
    bench.finish(host, "in");
    bench
}

fn injected(bench: &Bench, fault: &str) -> u64 {
    bench.simulator.stats().faults.get(fault).copied().unwrap_or(0)
}

#[test]
fn a_token_that_dies_in_mid_walk_is_replaced_without_a_word() {
    let bench = through(json!({"next": ["pass", "pass", "unauthorized"]}));
    assert_eq!(injected(&bench, "unauthorized"), 1);
    assert!(bench.simulator.stats().tokens_issued >= 2);
    assert!(!bench.has_health("auth_failed") && !bench.has_health("fetch_failed"));
}

#[test]
fn a_login_outage_is_told_and_its_end_too() {
    let bench = Bench::new(stream());
    bench.faults(json!({"login_outage": true}));
    let host = bench.start(vec![bench.input("in")]);
    bench.wait(&host, "auth_failed", || bench.has_health("auth_failed"));
    assert!(!bench.has_health("auth_recovered"));
    assert_eq!(bench.count("in"), 0);
    bench.faults(json!({"login_outage": false}));
    bench.wait(&host, "auth_recovered", || bench.has_health("auth_recovered"));
    bench.finish(host, "in");
    assert_eq!(bench.health().iter().filter(|event| *event == "auth_failed").count(), 1);
}

#[test]
fn an_api_outage_is_told_and_its_end_too() {
    let bench = Bench::new(stream());
    let host = bench.start(vec![bench.input("in")]);
    bench.wait(&host, "the first records", || bench.count("in") > 0);
    bench.faults(json!({"outage": true}));
    bench.wait(&host, "the failure", || {
        bench.has_health("fetch_failed") || bench.has_health("throttled")
    });
    let happened = bench.simulator.truth().len();
    // Longer than the window, so that it needs a catch-up.
    bench.wait(&host, "new events", || bench.simulator.truth().len() > happened + 900);
    bench.faults(json!({"outage": false}));
    bench.finish(host, "in");
    assert!(bench.has_health("fetch_failed"), "{:?}", bench.health());
    assert!(bench.has_health("fetch_recovered"), "{:?}", bench.health());
    assert!(bench.has_health("catchup_started") && bench.has_health("catchup_finished"));
}

#[test]
fn a_throttling_api_is_left_alone_as_long_as_it_asks() {
    let bench = through(json!({"throttle": 0.1, "unavailable": 0.05, "retry_after": "1s"}));
    let stats = bench.simulator.stats();
    assert!(injected(&bench, "throttle") + injected(&bench, "unavailable") > 0, "{stats:?}");
    assert_eq!(stats.requests_during_retry_after, 0, "{stats:?}");
    assert!(bench.has_health("throttled"));
}

#[test]
fn a_quota_is_respected() {
    let bench = Bench::new(history(1_500));
    bench.faults(json!({"quota": "20/1s"}));
    let host = bench.start(vec![bench.small_pages("in")]);
    bench.finish(host, "in");
    assert_eq!(bench.simulator.stats().requests_during_retry_after, 0);
}

#[test]
fn a_body_that_is_not_whole_never_counts_as_read() {
    for fault in ["truncate", "garbage", "reset"] {
        let bench = through(json!({fault: 0.2}));
        assert!(injected(&bench, fault) > 0, "{fault}");
        assert!(bench.has_health("fetch_failed") && bench.has_health("fetch_recovered"), "{fault}");
    }
}

#[test]
fn server_errors_and_empty_pages_lose_nothing() {
    let bench = through(json!({"error": 0.1, "empty_page": 0.3}));
    assert!(injected(&bench, "error") > 0 && injected(&bench, "empty_page") > 0);
}

#[test]
fn a_link_that_died_begins_the_walk_again() {
    let bench = through(json!({"next": ["pass", "pass", "pass", "expire_link"]}));
    assert_eq!(injected(&bench, "expire_link"), 1);
    assert!(bench.has_health("fetch_failed") && bench.has_health("fetch_recovered"));
}

#[test]
fn a_link_that_repeats_is_found_out() {
    let bench = through(json!({"next": ["pass", "repeat_link", "pass", "repeat_link"]}));
    assert_eq!(injected(&bench, "repeat_link"), 2);
    assert!(bench.has_logged("link repeats"), "{:#?}", bench.log());
}

#[test]
fn a_link_to_another_host_is_refused() {
    let bench = Bench::new(history(1));
    let elsewhere = Server::start(Some("{}".to_owned()));
    let page = json!({
        "value": [{"id": "1", "at": jiff::Timestamp::now().to_string()}],
        "next": format!("{}/page2", elsewhere.url()),
    });
    let api = Server::start(Some(page.to_string()));
    let definition = "{name: hop, title: t, base_url: 'https://x.example', auth: {kind: none}, \
        request: {path: /, query: {f: '{from}', t: '{to}'}}, records: /value, id: /id, time: /at, \
        next: {link: /next}, limits: {page: 10, range: 1d, reach: 30d, requests_per_minute: 1000}, \
        window: 20m}";
    let input = with(bench.input("in"), "api", bench.write("hop.yaml", definition));
    let host = bench.start(vec![with(input, "base_url", api.url())]);
    bench.wait(&host, "the refusal", || {
        bench.has_health("fetch_failed") && bench.has_logged("leads to another host")
    });
    bench.stop(host);
    assert_eq!(elsewhere.connections(), 0);
    assert_eq!(bench.count("in"), 1, "what the page held is handed over all the same");
}

#[test]
fn no_secret_and_no_token_comes_out_anywhere() {
    let mut bench = Bench::new(stream());
    bench.options.hot_reload = false;
    let mut host = bench.start(vec![with(bench.small_pages("in"), "client_secret", "not-the-one")]);
    bench.wait(&host, "a refused login", || bench.has_health("auth_failed"));
    host.reload(vec![bench.small_pages("in").set("heartbeat", "1s")]).unwrap();
    bench.faults(json!({"next": ["pass", "unauthorized", "error", "garbage", "expire_link"]}));
    bench.wait(&host, "the faults", || injected(&bench, "expire_link") > 0);
    bench.wait_for_all(&host, "in");
    for (place, bytes) in bench.everything_shown(host) {
        let text = String::from_utf8_lossy(&bytes);
        for secret in [SECRET, "not-the-one"] {
            assert!(!text.contains(secret), "the secret stands in {place}");
        }
        assert!(!holds_token(&text), "a token stands in {place}");
    }
}

/// The simulator's tokens are `sim.`, 32 hex digits, a dot and 16 more.
pub(crate) fn holds_token(text: &str) -> bool {
    text.match_indices("sim.").any(|(at, _)| {
        text[at + 4..].chars().take(12).filter(char::is_ascii_hexdigit).count() == 12
    })
}

#[test]
fn tokens_are_known_when_seen() {
    assert!(holds_token("x sim.0123456789abcdef0123456789abcdef.0123456789abcdef"));
    assert!(!holds_token("simulator, sim.ple"));
}

#[test]
fn health_records_say_what_the_contract_says() {
    let bench = Bench::new(stream());
    bench.faults(json!({"outage": true}));
    let host = bench.start(vec![bench.input("in").set("heartbeat", "1s")]);
    bench.wait(&host, "a failure and a heartbeat", || {
        bench.has_health("fetch_failed") && bench.has_health("heartbeat")
    });
    bench.faults(json!({"outage": false}));
    bench.finish(host, "in");
    let fields: [(&str, &[&str]); 4] = [
        ("started", &["version", "window_seconds", "interval_seconds", "sweeps", "resumed_from"]),
        (
            "heartbeat",
            &[
                "records",
                "duplicates",
                "late",
                "drift_seconds",
                "lateness_p99_seconds",
                "behind_seconds",
            ],
        ),
        ("fetch_failed", &["status", "error", "url", "attempt"]),
        ("fetch_recovered", &[]),
    ];
    let records: Vec<Value> = bench.output.tagged(HEALTH).iter().map(body).collect();
    for (event, fields) in fields {
        let found = records.iter().find(|record| record["lookback"]["event"] == event);
        let found = found.unwrap_or_else(|| panic!("no {event}"))["lookback"].as_object().unwrap();
        for field in ["severity", "source", "message"].iter().chain(fields) {
            assert!(found.contains_key(*field), "{event} has no {field}: {found:?}");
        }
        assert_eq!(found["source"], "entra_signins/contoso.example");
    }
    let failed = records.iter().find(|record| record["lookback"]["event"] == "fetch_failed");
    let url = failed.unwrap()["lookback"]["url"].as_str().unwrap();
    assert!(!url.contains('?'), "{url} has its query");
}

/// All at once: whatever order it comes in, the books balance.
#[test]
fn foul_weather_with_reloads_and_pauses_loses_nothing_and_repeats_nothing() {
    let mut bench = Bench::new(stream());
    bench.options.ring_capacity = 4;
    bench.options.habits.refuse_sometimes(0.2);
    let names = ["reset", "truncate", "garbage", "stall", "error", "expire_link", "unauthorized"];
    let rates = names.iter().chain(&["empty_page", "repeat_link", "throttle", "auth_fail"]);
    let mut weather: serde_json::Map<String, Value> =
        rates.map(|name| ((*name).to_owned(), json!(0.02))).collect();
    weather.insert("retry_after".to_owned(), json!("1s"));
    bench.faults(Value::Object(weather));
    let input = || {
        let input = bench.small_pages("in").set("timeout", "2s").set("batch_size", "8k");
        with(input, "sweeps", "15s/3s")
    };
    let mut host = bench.start(vec![input()]);
    for _ in 0..3 {
        let before = bench.count("in");
        bench.wait(&host, "new records", || bench.count("in") > before);
        host.pause("in");
        let happened = bench.simulator.truth().len();
        bench.wait(&host, "new events", || bench.simulator.truth().len() > happened + 100);
        host.resume("in");
        host.reload(vec![input()]).unwrap();
    }
    // The walk over all of it must come to an end some time.
    let calm: serde_json::Map<String, Value> =
        names.iter().map(|name| ((*name).to_owned(), json!(0.0))).collect();
    bench.faults(Value::Object(calm));
    bench.finish(host, "in");
    assert_eq!(bench.simulator.stats().requests_during_retry_after, 0);
}
