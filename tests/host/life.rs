//! Start, pause, reload, stop.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use serde_json::json;

use crate::bench::{Bench, history, plugin_threads, stream, with};
use crate::embedded::{DefSize, Host, InputSpec};
use crate::net::Server;

/// A shutdown must fit well into the host's grace of five seconds.
const PROMPT: Duration = Duration::from_secs(3);

#[test]
fn reloads_in_mid_flow_lose_nothing_and_repeat_nothing() {
    let bench = Bench::new(stream());
    let mut host = bench.start(vec![bench.input("in")]);
    for _ in 0..4 {
        let before = bench.count("in");
        bench.wait(&host, "new records", || bench.count("in") > before);
        let report = host.reload(vec![bench.input("in")]).unwrap();
        assert!(report.slowest_exit() < PROMPT);
    }
    bench.finish(host, "in");
}

/// Stops as soon as something was handed over, over and over. Also says how many records the host took and
/// then dropped.
fn stop_and_start(bench: &Bench, input: impl Fn() -> InputSpec, rounds: usize) -> (Host, usize) {
    let mut dropped = 0;
    for _ in 0..rounds {
        let host = bench.start(vec![input()]);
        let before = host.instance("in").counters.taken_appends.load(SeqCst);
        bench.wait(&host, "a hand-over", || {
            host.instance("in").counters.taken_appends.load(SeqCst) > before + 1
        });
        let report = bench.stop(host);
        assert!(report.slowest_exit() < PROMPT);
        dropped += report.lost_records();
    }
    (bench.start(vec![input()]), dropped)
}

#[test]
fn a_clean_restart_right_after_a_hand_over_repeats_nothing() {
    let bench = Bench::new(stream());
    let input = || with(bench.small_pages("in"), "commit_delay", "1m").set("batch_size", "8k");
    let (host, _) = stop_and_start(&bench, input, 6);
    bench.finish(host, "in");
}

#[test]
fn what_the_host_did_not_fetch_at_shutdown_comes_again() {
    let mut bench = Bench::new(stream());
    bench.options.habits.freeze_ring_at_shutdown(true);
    // So slow that something lies in the ring.
    bench.options.fetch = Duration::from_millis(100);
    let input = || bench.small_pages("in").set("batch_size", "8k");
    let (host, dropped) = stop_and_start(&bench, input, 6);
    assert!(dropped > 0, "nothing lay in the ring: the test asks nothing");
    bench.finish(host, "in");
}

#[test]
fn a_pause_is_kept_and_loses_nothing() {
    let bench = Bench::new(stream());
    let host = bench.start(vec![bench.small_pages("in")]);
    let counters = || &host.instance("in").counters;
    bench.wait(&host, "the first records", || bench.count("in") > 0);
    host.pause("in");
    bench.wait(&host, "callbacks in the pause", || {
        counters().paused_callbacks.load(SeqCst) > 20 && host.instance("in").is_paused()
    });
    let (before, happened) = (bench.count("in"), bench.simulator.truth().len());
    bench.wait(&host, "new events", || bench.simulator.truth().len() > happened + 100);
    assert_eq!(counters().paused_appends.load(SeqCst), 0);
    assert_eq!(bench.count("in"), before);
    host.resume("in");
    bench.finish(host, "in");
}

#[test]
fn a_stop_while_paused_for_memory_loses_nothing() {
    let mut bench = Bench::new(stream());
    bench.options.fetch = Duration::from_millis(100);
    let mut dropped = 0;
    let input = || bench.small_pages("in").set("batch_size", "8k");
    for _ in 0..4 {
        let host = bench.start(vec![input()]);
        let before = host.instance("in").counters.taken_appends.load(SeqCst);
        bench.wait(&host, "a hand-over", || {
            host.instance("in").counters.taken_appends.load(SeqCst) > before
        });
        host.pause("in");
        bench.wait(&host, "the pause", || {
            host.instance("in").counters.paused_callbacks.load(SeqCst) > 2
        });
        dropped += bench.stop(host).lost_records();
    }
    assert!(dropped > 0, "nothing lay in the ring: the test asks nothing");
    let host = bench.start(vec![input()]);
    bench.finish(host, "in");
}

#[test]
fn a_host_that_refuses_appends_gets_them_again() {
    let bench = Bench::new(stream());
    bench.options.habits.refuse_next(5);
    bench.options.habits.refuse_sometimes(0.4);
    let host = bench.start(vec![bench.small_pages("in").set("batch_size", "8k")]);
    bench
        .wait(&host, "refusals", || host.instance("in").counters.refused_appends.load(SeqCst) > 20);
    bench.finish(host, "in");
}

#[test]
fn a_full_ring_holds_up_and_loses_nothing() {
    let mut bench = Bench::new(stream());
    bench.options.ring_capacity = 1;
    bench.options.append_wait = Duration::from_millis(10);
    bench.options.fetch = Duration::from_millis(30);
    let host = bench.start(vec![bench.small_pages("in").set("batch_size", "8k")]);
    bench.wait(&host, "refusals", || host.instance("in").counters.refused_appends.load(SeqCst) > 5);
    bench.finish(host, "in");
}

#[test]
fn a_pause_of_one_that_stops_the_timer_of_another_loses_nothing() {
    let bench = Bench::new(stream());
    bench.options.habits.pause_stops_the_last(true);
    let host = bench.start(vec![bench.input("one"), bench.input("two").set("source", "two")]);
    bench.wait(&host, "records", || bench.count("one") > 0 && bench.count("two") > 0);
    host.pause("one");
    let happened = bench.simulator.truth().len();
    bench.wait(&host, "new events", || bench.simulator.truth().len() > happened + 100);
    host.resume("one");
    for input in ["one", "two"] {
        bench.wait_for_all(&host, input);
        bench.assert_exact(input);
    }
    bench.stop(host);
}

#[test]
fn an_exit_amid_a_stalled_request_is_prompt_and_leaves_nothing() {
    let bench = Bench::alone(history(500));
    bench.faults(json!({"stall": 1.0, "stall_for": "30s"}));
    let host = bench.start(vec![bench.input("in")]);
    bench.wait(&host, "a stalled request", || {
        bench.simulator.stats().faults.get("stall").is_some_and(|stalled| *stalled > 0)
    });
    assert!(plugin_threads() > 0, "the plugin's threads have other names now");
    assert!(bench.stop(host).slowest_exit() < PROMPT);
}

#[test]
fn an_exit_amid_a_stalled_login_is_prompt_and_leaves_nothing() {
    let bench = Bench::alone(history(500));
    let silent = Server::start(None);
    let host = bench.start(vec![with(bench.input("in"), "token_url", silent.url())]);
    bench.wait(&host, "a stalled login", || silent.connections() > 0);
    assert!(bench.stop(host).slowest_exit() < PROMPT);
}

#[test]
fn an_exit_of_several_in_mid_flow_leaves_nothing() {
    let bench = Bench::alone(stream());
    let inputs = ["a", "b", "c"].map(|name| bench.small_pages(name).set("source", name));
    let mut host = bench.start(inputs.to_vec());
    bench.wait(&host, "records", || bench.count("c") > 0);
    host.reload(inputs.to_vec()).unwrap();
    let before = bench.count("b");
    bench.wait(&host, "records", || bench.count("b") > before);
    assert!(bench.stop(host).slowest_exit() < PROMPT);
}

#[test]
fn a_refused_start_leaves_nothing() {
    let bench = Bench::alone(history(1));
    let refused =
        bench.try_start(vec![bench.input("one"), with(bench.input("two"), "window", "x")]);
    assert!(refused.is_err());
    assert_eq!(plugin_threads(), 0);
}

#[test]
fn a_small_and_dirty_definition_is_not_overrun() {
    for (size, dirty) in [(DefSize::Old, false), (DefSize::Old, true), (DefSize::New, true)] {
        let mut bench = Bench::new(history(100));
        bench.options.def_size = size;
        bench.options.habits.dirty_def(dirty);
        let mut host = bench.start(vec![bench.input("in")]);
        assert_eq!(host.plugin_name(), "lookback");
        host.reload(vec![bench.input("in")]).unwrap();
        bench.finish(host, "in");
    }
}
