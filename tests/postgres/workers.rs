//! Whole instances on a database that fails: what they say, and who reads then. Their API is not there.

use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Instant;

use in_lookback::worker::{Append, Level, Worker};

use crate::bench::{Bench, LONG, run};

const LEASE: std::time::Duration = std::time::Duration::from_secs(4);

/// An instance on a node of that name.
fn instance(bench: &Bench, node: &str, more: &[(&str, &str)]) -> Worker {
    // Nodes whose databases differ do not take each other for instances of one process.
    let url = format!("{}&options=-c%20lookback.node%3D{node}", bench.server.url(bench.name));
    let lease = format!("{}s", LEASE.as_secs());
    let base = [
        ("api", "okta_system_log"),
        ("domain", "x.example"),
        ("base_url", "http://127.0.0.1:1"),
        ("token", "t"),
        ("source", "s"),
        ("lease", &lease),
        ("node", node),
        ("db", &url),
    ];
    let value = |name: &str| {
        let pair = base.iter().chain(more).find(|(key, _)| *key == name);
        pair.map(|(_, value)| (*value).to_owned())
    };
    Worker::start(value).unwrap()
}

/// What an instance has said.
struct Told(Vec<(Level, String)>);

impl Told {
    fn how_often(&self, event: &str) -> usize {
        let event = format!("s: {event}: ");
        self.0.iter().filter(|(_, line)| line.starts_with(&event)).count()
    }

    /// Waits until it says this, as a host does that takes all; returns how loud.
    fn wait(&mut self, worker: &Worker, text: &str) -> Level {
        let deadline = Instant::now() + LONG;
        loop {
            worker.drain(|_, _| Append::Taken);
            self.0.extend(worker.take_logs());
            if let Some((level, _)) = self.0.iter().find(|(_, line)| line.contains(text)) {
                return *level;
            }
            assert!(Instant::now() < deadline, "it does not say {text:?}: {:#?}", self.0);
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

/// Does something, and keeps nodes from looking until the sender is dropped.
fn hold_up(bench: &Bench, first: &str) -> (Sender<()>, JoinHandle<()>) {
    let (link, first) = (bench.link(), first.to_owned());
    let ((locks, locked), (ends, ended)) = (channel(), channel::<()>());
    let thread = std::thread::spawn(move || {
        let held = run(&link, async |client| {
            let transaction = client.transaction().await?;
            transaction.batch_execute("LOCK TABLE lookback_processes").await?;
            transaction.batch_execute(&first).await?;
            locks.send(()).unwrap();
            let _ = ended.recv();
            Ok(transaction.commit().await?)
        });
        held.unwrap();
    });
    locked.recv().unwrap();
    (ends, thread)
}

#[test]
fn a_leader_that_is_cut_off_and_replaced_says_so_and_that_the_database_is_back() {
    let bench = Bench::new("replaced");
    let (worker, mut told) = (instance(&bench, "n1", &[("heartbeat", "1s")]), Told(Vec::new()));
    told.wait(&worker, "'n1' reads the source from now on, from the start");
    told.wait(&worker, "heartbeat");
    let replace = "UPDATE lookback_sources SET epoch = 9, holder = 9, node = 'n9',
        lease_until = now() + interval '1 hour'";
    let (ends, thread) = hold_up(&bench, replace);
    let level =
        told.wait(&worker, "this node reads on while its lease lasts, and waits then. Trying");
    assert_eq!(level, Level::Error);
    // Once its lease is over, it knows nothing of how far the source is read.
    let deadline = Instant::now() + LONG;
    while worker.stats().behind > std::time::Duration::ZERO {
        assert!(Instant::now() < deadline, "{:?}", worker.stats());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    told.0.extend(worker.take_logs());
    let (heard, two_more) = (told.how_often("heartbeat"), worker.now().mono + LEASE / 2);
    while worker.now().mono < two_more {
        worker.drain(|_, _| Append::Taken);
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    drop(ends);
    thread.join().unwrap();
    told.wait(&worker, "'n1' stands by: 'n9' has the source");
    assert_eq!(told.how_often("heartbeat"), heard, "a node that does not read says nothing");
    let events = ["started", "leader", "state_failed", "state_recovered", "standby"];
    assert_eq!(events.map(|event| told.how_often(event)), [1; 5], "{:#?}", told.0);
}

#[test]
fn a_node_that_has_never_led_does_not_say_that_nobody_reads_while_the_database_is_away() {
    let bench = Bench::new("unknown");
    run(&bench.link(), async |_| Ok(())).unwrap();
    let (ends, thread) = hold_up(&bench, "SELECT");
    let (worker, mut told) = (instance(&bench, "n1", &[]), Told(Vec::new()));
    assert_eq!(told.wait(&worker, "this node cannot tell who reads the source"), Level::Warn);
    assert!(worker.stats().polls.is_empty(), "{:?}", worker.stats().polls);
    drop(ends);
    thread.join().unwrap();
    told.wait(&worker, "'n1' reads the source from now on");
    assert_eq!(told.how_often("started"), 1);
}

#[test]
fn a_node_whose_host_never_calls_back_leaves_the_source_to_another() {
    let bench = Bench::new("never_called");
    let (mute, mut told) = (instance(&bench, "n1", &[]), Told(Vec::new()));
    let (other, mut others) = (instance(&bench, "n2", &[]), Told(Vec::new()));
    others.wait(&other, "'n2' reads the source from now on");
    told.0.extend(mute.take_logs());
    assert_eq!(told.how_often("leader"), 0, "{:#?}", told.0);
    drop(other);
    told.wait(&mute, "'n1' reads the source from now on");
}

#[test]
fn a_node_whose_run_cannot_begin_lets_another_have_the_source() {
    let bench = Bench::new("cannot_begin");
    run(&bench.link(), async |_| Ok(())).unwrap();
    let (ends, thread) = hold_up(&bench, "SELECT");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ca.pem");
    std::fs::copy(Path::new("tests/data/tls/ca.pem"), &file).unwrap();
    let path = file.to_string_lossy();
    let (unable, mut told) = (instance(&bench, "n1", &[("tls_ca_file", &path)]), Told(Vec::new()));
    // Whoever began now would be refused.
    std::fs::remove_file(&file).unwrap();
    drop(ends);
    thread.join().unwrap();
    told.wait(&unable, "fetch_failed");
    let (able, mut others) = (instance(&bench, "n2", &[]), Told(Vec::new()));
    others.wait(&able, "'n2' reads the source from now on");
    told.0.extend(unable.take_logs());
    let events = ["leader", "fetch_failed"];
    assert_eq!(events.map(|event| told.how_often(event)), [0, 1], "{:#?}", told.0);
}
