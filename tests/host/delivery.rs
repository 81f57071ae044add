//! Every event arrives, once, as it was.

use std::collections::HashMap;
use std::time::Duration;

use crate::bench::{Bench, body, history, id, metadata, stream, with};
use crate::embedded::HostError;
use crate::json::{Json, texts};
use crate::net::whole_listing;
use crate::simulate::FeedOptions;

#[test]
fn every_event_arrives_once_late_ones_too_each_with_its_own_time() {
    let feed =
        FeedOptions { lateness: "80%exp:200ms,20%uniform:5s-7s".parse().unwrap(), ..stream() };
    let bench = Bench::new(feed);
    let host = bench.start(vec![with(bench.input("in"), "sweeps", "20s/2s")]);
    bench.wait(&host, "late ones", || {
        host.metric("lookback_late_records_total", &[]).is_some_and(|late| late >= 20.0)
    });
    bench.wait(&host, "the report of them", || bench.has_health("late_records"));
    bench.finish(host, "in");

    let truth: HashMap<String, jiff::Timestamp> =
        bench.simulator.truth().into_iter().map(|event| (event.id, event.time)).collect();
    for record in bench.output.tagged("in") {
        let time = truth[&id(&record)];
        let expected = (time.as_second(), i64::from(time.subsec_nanosecond()));
        assert_eq!((i64::from(record.seconds), i64::from(record.nanoseconds)), expected);
    }
}

#[test]
fn a_long_history_in_small_pages_and_small_lots() {
    let bench = Bench::new(history(3_000));
    let input = bench.small_pages("in").set("batch_size", "8k").set("tick_bytes", "16k");
    let host = bench.start(vec![input]);
    bench.finish(host, "in");
    assert!(bench.simulator.stats().max_page <= 50);
}

#[test]
fn a_record_has_the_apis_keys_order_and_values() {
    let bench = Bench::new(history(500));
    let host = bench.start(vec![bench.input("in")]);
    bench.finish(host, "in");

    let page = whole_listing(&bench);
    let read = |text: &str| serde_json::from_str::<Json>(text).unwrap();
    let key = |json: &Json| match json {
        Json::Object(entries) => entries[0].clone(),
        other => panic!("{other:?} is no record"),
    };
    let records = bench.output.tagged("in");
    let mut expected: Vec<Json> = texts(&page).into_iter().map(read).collect();
    let mut found: Vec<Json> = records.iter().map(|record| read(&record.body_json())).collect();
    for list in [&mut expected, &mut found] {
        list.sort_by_cached_key(|json| format!("{:?}", key(json)));
    }
    assert_eq!(expected.len(), 500);
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found, expected);
    }
}

#[test]
fn raw_is_byte_for_byte() {
    let bench = Bench::new(history(500));
    let input = bench.input("in").set("format", "raw").set("raw_key", "event");
    let host = bench.start(vec![input]);
    bench.wait(&host, "all events", || bench.count("in") >= 500);
    bench.stop(host);

    let page = whole_listing(&bench);
    let mut expected = texts(&page);
    expected.sort_unstable();
    let records = bench.output.tagged("in");
    let mut found: Vec<String> = records
        .iter()
        .map(|record| match serde_json::from_str(&record.body_json()).unwrap() {
            Json::Object(entries) => match entries.as_slice() {
                [(key, Json::Text(text))] if key == "event" => text.clone(),
                other => panic!("{other:?} has other fields"),
            },
            other => panic!("{other:?} is no record"),
        })
        .collect();
    found.sort_unstable();
    assert_eq!(found.len(), 500);
    assert!(found == expected, "the bytes differ");
}

#[test]
fn several_sources_share_one_state() {
    let bench = Bench::new(stream());
    let aad = bench.input("aad");
    let aad = with(aad, "api", "aad_graph_signins");
    let url = format!("{}/contoso.example/oauth2/token?api-version=1.0", bench.simulator.url());
    let inputs = vec![
        bench.input("one"),
        bench.input("two").set("source", "another"),
        with(aad, "token_url", url),
    ];
    let host = bench.start(inputs);
    for input in ["one", "two", "aad"] {
        bench.wait(&host, "a live poll of each", || bench.count(input) > 1_200);
    }
    for input in ["one", "two", "aad"] {
        bench.wait_for_all(&host, input);
        bench.assert_exact(input);
    }
    assert!(bench.stop(host).slowest_exit() < Duration::from_secs(3));
}

#[test]
fn a_record_says_where_it_came_from_and_stays_as_it_was() {
    let bench = Bench::new(history(50));
    let host = bench.start(vec![
        with(bench.input("metadata").set("source", "a"), "provenance", "metadata"),
        with(bench.input("record").set("source", "b"), "provenance", "record").set("format", "raw"),
    ]);
    for input in ["metadata", "record"] {
        bench.wait(&host, input, || bench.output.tagged(input).len() == 50);
    }
    bench.stop(host);
    let page = whole_listing(&bench);
    let texts = texts(&page);
    let check = |told: &serde_json::Value, source: &str, text: &str| {
        assert_eq!(told["source"], source);
        assert!(["live", "catchup"].contains(&told["poll"].as_str().unwrap()), "{told}");
        let first_seen: jiff::Timestamp = told["first_seen"].as_str().unwrap().parse().unwrap();
        let event: serde_json::Value = serde_json::from_str(text).unwrap();
        let happened: jiff::Timestamp = event["createdDateTime"].as_str().unwrap().parse().unwrap();
        let late_by = (first_seen - happened).total(jiff::Unit::Second).unwrap();
        assert!((told["late_by_seconds"].as_f64().unwrap() - late_by).abs() < 0.001, "{told}");
        let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
        let digest: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(told["sha256"], digest.as_str());
    };
    for record in bench.output.tagged("record") {
        let body = body(&record);
        let text = body["log"].as_str().unwrap();
        assert!(texts.contains(&text), "{text}");
        check(&body["_lookback"], "b", text);
    }
    for record in bench.output.tagged("metadata") {
        let of_it = |text: &&&str| text.contains(&id(&record));
        check(&metadata(&record), "a", texts.iter().find(of_it).unwrap());
        assert!(body(&record).get("_lookback").is_none());
    }
}

#[test]
fn a_second_instance_of_a_source_refuses_to_start() {
    let bench = Bench::new(history(10));
    let refused = bench.try_start(vec![bench.input("one"), bench.input("two")]);
    assert!(matches!(refused, Err(HostError::Init { instance, .. }) if instance == "two"));
    assert!(bench.has_logged("another running instance has the source"), "{:#?}", bench.log());
    assert!(bench.has_logged("entra_signins/contoso.example"));
    // The first one has let go of it.
    let host = bench.start(vec![bench.input("three")]);
    bench.finish(host, "three");
}
