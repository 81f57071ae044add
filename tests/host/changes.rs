//! Records that change after they were handed over, and to whom that matters.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::bench::{Bench, body, history, id, with};
use crate::embedded::{Host, InputSpec};
use crate::simulate::{FeedOptions, ManualClock, STATES};

const EVENTS: usize = 300;
/// From one change of an event to the next.
const CHANGE: Duration = Duration::from_secs(60);

/// Events that all show, and of which half change when the simulator's clock is moved.
fn changing() -> (Bench, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(jiff::Timestamp::now()));
    let change_after = "fixed:60s".parse().unwrap();
    // By now, none of them has changed.
    let backfill = Duration::from_secs(30);
    let feed = FeedOptions { changing: 0.5, change_after, backfill, ..history(EVENTS as u64) };
    let own = Arc::clone(&clock);
    (Bench::tuned(feed, |options| options.clock = own), clock)
}

/// Only sweeps read events so old, once they are known.
fn input(bench: &Bench, dedup_on: &str) -> InputSpec {
    with(bench.input("in").set("dedup_on", dedup_on), "sweeps", "10m/1s")
}

/// Waits for so many records, and then for two more sweeps: one too many would show by then.
fn wait_for(bench: &Bench, host: &Host, records: usize) {
    bench.wait(host, "the records", || bench.count("in") >= records);
    let sweeps = || {
        let wanted = [("kind", "sweep"), ("result", "ok")];
        host.instance("in").metrics.sum("lookback_polls_total", &wanted).unwrap_or(0.0)
    };
    let before = sweeps();
    bench.wait(host, "two more sweeps", || sweeps() >= before + 2.0);
    bench.wait(host, "the output", || host.is_drained());
    assert_eq!(bench.count("in"), records);
}

#[test]
fn a_record_that_changes_comes_again_once_for_each_change() {
    let (bench, clock) = changing();
    let host = bench.start(vec![input(&bench, "content")]);
    let truth = bench.simulator.truth();
    let mut came = 0;
    for changes in 0..=STATES.len() {
        let shown = truth.iter().map(|event| 1 + event.changes.len().min(changes));
        let before = std::mem::replace(&mut came, shown.sum());
        assert!(before < came || changes == STATES.len(), "the last time, nothing changes");
        wait_for(&bench, &host, came);
        clock.advance(CHANGE);
    }
    let mut states = HashMap::<String, Vec<String>>::new();
    for record in bench.output.tagged("in") {
        let state = body(&record)["riskState"].as_str().unwrap().to_owned();
        states.entry(id(&record)).or_default().push(state);
    }
    for event in truth {
        assert_eq!(states[&event.id], STATES[..=event.changes.len()]);
    }
    assert_eq!(host.metric("lookback_records_total", &[]), Some(came as f64));
    assert_eq!(host.metric("lookback_late_records_total", &[]), Some(0.0), "no change is late");
    assert_eq!(host.metric("lookback_state_ids", &[]), Some(EVENTS as f64));
    bench.stop(host);
}

#[test]
fn switching_between_ids_and_contents_brings_nothing_twice() {
    let (bench, clock) = changing();
    let run = |dedup_on: &str, records: usize| {
        let host = bench.start(vec![input(&bench, dedup_on)]);
        wait_for(&bench, &host, records);
        bench.stop(host);
    };
    run("id", EVENTS);
    run("content", EVENTS);
    clock.advance(CHANGE);
    run("id", EVENTS);
    let truth = bench.simulator.truth();
    let changed = truth.iter().filter(|event| !event.changes.is_empty()).count();
    for dedup_on in ["content", "id", "content"] {
        run(dedup_on, EVENTS + changed);
    }
    assert!(bench.delivered_by("in").len() == EVENTS && changed > 100);
}
