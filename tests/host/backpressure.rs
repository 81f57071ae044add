//! The SIEM is down for longer than the window: what waits is bounded, nothing is lost, nothing comes twice,
//! and what is fresh comes first once it is back.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use crate::bench::{Bench, plugin, stream, with};
use crate::embedded::{Collector, Host, InputSpec, Output, Record};

/// A destination that may be down.
struct Siem {
    down: Arc<AtomicBool>,
    output: Collector,
}

impl Output for Siem {
    fn write(&mut self, record: &Record) -> io::Result<()> {
        if self.down.load(SeqCst) {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        self.output.write(record)
    }
}

/// So many bytes of one input the host takes before it pauses it.
const MEM_BUF_LIMIT: usize = 100_000;

fn start(bench: &Bench, inputs: Vec<InputSpec>) -> (Host, Arc<AtomicBool>) {
    let down = Arc::<AtomicBool>::default();
    let siem = Box::new(Siem { down: Arc::clone(&down), output: bench.output.clone() });
    (Host::start(&plugin(), inputs, siem, bench.options.clone()).unwrap(), down)
}

/// An input that is paused soon, and reads little ahead.
fn limited(bench: &Bench, name: &str) -> InputSpec {
    let input = with(bench.small_pages(name).set("source", name), "tick_bytes", "64k");
    InputSpec { mem_buf_limit: Some(MEM_BUF_LIMIT), ..input.set("batch_size", "16k") }
}

/// How many health records of an event there are.
fn told(bench: &Bench, event: &str) -> usize {
    bench.health().iter().filter(|name| *name == event).count()
}

/// Waits until so many more events have happened.
fn let_happen(bench: &Bench, host: &Host, events: usize) {
    let happened = bench.simulator.truth().len();
    bench.wait(host, "new events", || bench.simulator.truth().len() >= happened + events);
}

#[test]
fn a_dead_siem_ends_the_reading_and_what_is_fresh_comes_first_when_it_is_back() {
    let bench = Bench::new(stream());
    let (host, down) = start(&bench, vec![limited(&bench, "in")]);
    bench.wait(&host, "the first catch-up", || told(&bench, "catchup_finished") > 0);
    down.store(true, SeqCst);
    bench.wait(&host, "the pause", || host.instance("in").is_paused());
    let_happen(&bench, &host, 300);
    let (asked, held_up) = (bench.simulator.stats().requests, jiff::Timestamp::now());
    // Longer than the window of 4 s.
    let_happen(&bench, &host, 900);
    assert_eq!(bench.simulator.stats().requests, asked, "it reads, and nobody takes");
    let (delivered, back) = (bench.count("in"), jiff::Timestamp::now());
    down.store(false, SeqCst);
    bench.wait_for_all(&host, "in");
    bench.assert_exact("in");
    assert!(told(&bench, "catchup_finished") > 1);

    let after: Vec<i64> = bench.output.tagged("in")[delivered..]
        .iter()
        .map(|record| i64::from(record.seconds))
        .collect();
    let fresh = after.iter().position(|time| *time >= back.as_second() - 1).unwrap();
    let hole = held_up.as_second() + 1..back.as_second() - 5;
    let caught_up = after.iter().position(|time| hole.contains(time)).unwrap();
    assert!(fresh < caught_up, "fresh ones from {fresh} on, the hole from {caught_up} on");
    bench.stop(host);
}

#[test]
fn a_host_with_two_paused_inputs_that_stops_the_wrong_timer_loses_nothing() {
    let bench = Bench::new(stream());
    bench.options.habits.pause_stops_the_last(true);
    let (host, down) = start(&bench, vec![limited(&bench, "one"), limited(&bench, "two")]);
    bench.wait(&host, "records", || bench.count("one") > 0 && bench.count("two") > 0);
    down.store(true, SeqCst);
    // The second one may have been stopped before it reached its own limit.
    bench.wait(&host, "a pause", || host.instance("one").is_paused());
    let_happen(&bench, &host, 600);
    down.store(false, SeqCst);
    for input in ["one", "two"] {
        bench.wait_for_all(&host, input);
        bench.assert_exact(input);
    }
    bench.stop(host);
}

#[test]
fn a_host_that_keeps_all_for_a_dead_siem_is_given_all() {
    let bench = Bench::new(stream());
    let (host, down) = start(&bench, vec![bench.small_pages("in")]);
    bench.wait(&host, "the first catch-up", || told(&bench, "catchup_finished") > 0);
    down.store(true, SeqCst);
    let_happen(&bench, &host, 600);
    down.store(false, SeqCst);
    bench.wait_for_all(&host, "in");
    bench.assert_exact("in");
    assert_eq!(told(&bench, "catchup_started"), 1, "reading never stopped");
    bench.stop(host);
}
