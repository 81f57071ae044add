//! A definition means what it says: every way of paging, writing times, naming events, asking.

use std::time::Duration;

use crate::bench::{Bench, history, with};
use crate::embedded::{Host, InputSpec};
use crate::simulate::Options;

const TOKEN: &str = "a-token-of-the-api";

/// The simulator's own API, paged in one of its ways. What is `CHANGED` differs from test to test.
const ACME: &str = "
name: acme
title: Acme
base_url: https://api.acme.example
auth: {kind: bearer}
request:
  path: /acme/PAGING/events
  query: {from: '{from}', to: '{to}', size: '40'}
records: /data/items
id: /id
time: /at
next: NEXT
limits: {page: 40, range: 24h, reach: 30d, requests_per_minute: 1000}
window: 20m
";

fn bench() -> Bench {
    Bench::tuned(history(300), |options: &mut Options| {
        options.login.api_token = TOKEN.to_owned();
    })
}

fn input(bench: &Bench, name: &str, definition: &str) -> InputSpec {
    let path = bench.write(&format!("{name}.yaml"), definition);
    let input = InputSpec::new(name).set("api", path).set("token", TOKEN).set("source", name);
    input
        .set("base_url", bench.simulator.url())
        .set("interval", "1s")
        .set("window", "5s")
        .set("sweeps", "off")
        .set("start", "10m")
        .set("widen", "off")
        .set("rate_limit", "100000")
        .set("commit_delay", "1s")
        .set("db", bench.path("lookback.db").display())
}

fn paged(paging: &str, next: &str) -> String {
    ACME.replace("PAGING", paging).replace("NEXT", next)
}

/// Runs these definitions side by side; each delivers the whole history, once.
fn deliver(definitions: &[(&str, String)]) -> (Bench, Host) {
    let bench = bench();
    let input = |(name, definition): &(&str, String)| input(&bench, name, definition);
    let host = bench.start(definitions.iter().map(input).collect());
    for (name, _) in definitions {
        bench.wait_for_all(&host, name);
        bench.assert_exact(name);
    }
    (bench, host)
}

#[test]
fn every_way_of_paging_walks_to_its_end() {
    let post = paged("post", "{cursor: /next_cursor, body: cursor}").replace(
        "query: {from: '{from}', to: '{to}', size: '40'}",
        "method: POST\n  body: {from: '{from}', to: '{to}', size: 40}",
    );
    let (bench, host) = deliver(&[
        ("link", paged("link", "{link: /links/next}")),
        ("header", paged("header", "{header: x-NEXT-page}")),
        ("link-header", paged("link-header", "{link_header: next}")),
        ("cursor", paged("cursor", "{cursor: /next_cursor, query: cursor}")),
        ("page", paged("page", "{page: page}")),
        ("offset", paged("offset", "{offset: offset}")),
        ("post", post),
        ("lines", paged("lines", "{header: X-Next-Page}").replace("/data/items", "lines")),
    ]);
    assert_eq!(bench.simulator.stats().max_page, 40, "several pages each");
    bench.stop(host);
}

#[test]
fn every_way_of_writing_moments_is_read_and_written() {
    let timed = |time: &str, asked: &str| {
        let definition = paged("link", "{link: /links/next}").replace("time: /at", time);
        definition.replace("records:", &format!("  time_format: {asked}\nrecords:"))
    };
    let local = "'%d/%m/%Y %H:%M:%S'";
    let (bench, host) = deliver(&[
        ("rfc3339", timed("time: {at: /at, format: rfc3339}", "rfc3339")),
        ("seconds", timed("time: {at: /ts, format: seconds}", "seconds")),
        ("milliseconds", timed("time: {at: /ms, format: milliseconds}", "milliseconds")),
        ("local", timed(&format!("time: {{at: /local, format: {local}}}"), local)),
    ]);
    let truth = bench.simulator.truth();
    for name in ["rfc3339", "seconds", "milliseconds", "local"] {
        let mut found: Vec<i64> =
            bench.output.tagged(name).iter().map(|record| i64::from(record.seconds)).collect();
        found.sort_unstable();
        let expected: Vec<i64> = truth.iter().map(|event| event.time.as_second()).collect();
        assert_eq!(found, expected, "{name}");
    }
    assert!(!bench.has_health("record_rejected"));
    bench.stop(host);
}

#[test]
fn an_event_is_known_by_several_values_or_by_its_bytes() {
    let by = |id: &str| paged("link", "{link: /links/next}").replace("id: /id", id);
    let (bench, host) = deliver(&[("several", by("id: [/host, /seq]")), ("bytes", by("id: hash"))]);
    assert!(!bench.has_health("record_rejected"));
    bench.stop(host);
}

#[test]
fn a_mistake_in_a_definition_refuses_to_start_with_its_place() {
    let bench = bench();
    let definition = paged("link", "{link: /links/next}").replace("id: /id", "id: id");
    assert!(bench.try_start(vec![input(&bench, "in", &definition)]).is_err());
    let expected = "line 10, column 5: expected a JSON pointer";
    assert!(bench.has_logged(expected), "{:#?}", bench.log());
}

#[test]
fn a_parameter_that_is_missing_is_named_with_its_meaning() {
    let bench = bench();
    let definition = paged("{style}", "{link: /links/next}")
        .replace("auth:", "parameters: {style: {doc: the way of paging}}\nauth:");
    let without = input(&bench, "in", &definition);
    assert!(bench.try_start(vec![without.clone()]).is_err());
    assert!(bench.has_logged("property 'style': is missing; set it: the way of paging"));
    let host = bench.start(vec![with(without, "style", "link")]);
    bench.finish(host, "in");
}

#[test]
fn a_page_that_says_nothing_of_events_is_no_empty_page() {
    let bench = bench();
    let definition = paged("link", "{link: /links/next}").replace("/data/items", "/data/elements");
    let host = bench.start(vec![input(&bench, "in", &definition)]);
    bench.wait(&host, "the failure", || bench.has_health("fetch_failed"));
    assert!(!bench.has_health("empty_result"));
    assert!(bench.stop(host).slowest_exit() < Duration::from_secs(3));
}
