//! The database answers as a file does: both are driven by the same operations.

use std::cell::Cell;
use std::collections::{BTreeSet, HashMap};

use in_lookback::clock::Clock;
use in_lookback::model::{Bucket, EventKey, Known, TimeRange, Timestamp, Version};
use in_lookback::poll::ledger::{Covered, Hour, Ledger, Read};
use in_lookback::poll::progress::{Commit, Mark};
use in_lookback::state::postgres::look::look;
use in_lookback::state::{State, StateError, look as file, sqlite};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::bench::{Bench, LONG, begin, commit, day, key, opened, saying, take};

/// What is done to both.
#[derive(Clone, Debug)]
enum Step {
    Commit { keys: Vec<Event>, adopted: Vec<Event>, counted: Vec<Counted> },
    Doubt(Vec<Event>),
    Know(Vec<Event>),
    Open { from: usize },
}

/// A bucket by its number, an id, and what the event says; 0 is nothing.
type Event = (usize, u128, u64);

/// What is counted, of which hour, for how many hours, by whom.
type Counted = (u8, i64, i64, usize);

fn buckets() -> [Bucket; 9] {
    let [today, before] = [day(0), day(-1)];
    let ahead = Bucket(day(40).0 + 7);
    [
        Bucket::UNTIMED,
        Bucket(i64::MIN + 1),
        Bucket(0),
        Bucket(before.0 + 143),
        before,
        today,
        Bucket(today.0 + 1),
        ahead,
        Bucket(i64::MAX),
    ]
}

fn version((bucket, id, content): Event) -> Version {
    saying(key(buckets()[bucket], id), content)
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    proptest::collection::vec((0usize..9, 0u128..4, 0u64..3), 0..12)
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let counted = proptest::collection::vec((0u8..6, -6i64..3, 1i64..4, 0usize..3), 0..5);
    let commit = (events(), events(), counted).prop_map(|(keys, adopted, counted)| Step::Commit {
        keys,
        adopted,
        counted,
    });
    let step = prop_oneof![
        4 => commit,
        1 => events().prop_map(Step::Doubt),
        2 => events().prop_map(Step::Know),
        1 => (0usize..9).prop_map(|from| Step::Open { from }),
    ];
    proptest::collection::vec(step, 1..12)
}

fn ledger(counted: &[Counted], nth: usize) -> Ledger {
    let now = Clock::start().now().wall;
    let noon = Hour::of(now).start();
    let at = |hours: i64| Timestamp::from_secs(noon.as_secs() + hours * 3_600);
    let mut ledger = Ledger::default();
    for (kind, hour, length, by) in counted {
        let (from, to) = (at(*hour), at(hour + length));
        let read = Read { at: at(nth as i64 * 2 - length), by: ["live", "catchup", "sweep"][*by] };
        match kind {
            0 => ledger.record(Bucket::of(from), *by == 0, now),
            1 => ledger.duplicates(Bucket::UNTIMED, 2, now),
            2 => {
                let mark = Mark::Gap { ranges: vec![TimeRange::new(from, to)], at: read.at };
                ledger.take(&mark, None, now);
            }
            3 => {
                let (from, to) = (Hour::of(from), Hour::of(to));
                ledger.take(&Mark::Covered(vec![Covered { from, to, read }]), None, now);
            }
            // A clock that was ahead.
            4 => {
                let live = Mark::Live { until: from, holes: Vec::new(), newest: None };
                ledger.take(&live, Some(at(99)), now);
            }
            _ => ledger.expire(at(hour + 401 * 24)),
        }
    }
    ledger
}

#[test]
fn the_database_answers_as_a_file_does() {
    let bench = Bench::new("same");
    let link = bench.link();
    let mut runner = TestRunner::new(ProptestConfig { cases: 48, ..ProptestConfig::default() });
    let case = Cell::new(0);
    let outcome = runner.run(&(steps(),), |(steps,)| {
        case.set(case.get() + 1);
        let (dir, name) = (tempfile::tempdir().unwrap(), format!("source {}", case.get()));
        let path = dir.path().join("x.db");
        let held = take(&link, &name, 1);
        let open_file = |from| loop {
            let now = Clock::start().now().wall;
            match sqlite::open(&path, &name, from, begin, now, None) {
                // Another test starts a program: for a moment the new process has our files, locks included.
                Err(StateError::Taken(_)) => std::thread::yield_now(),
                opened => break opened.unwrap(),
            }
        };
        let mut one = open_file(Bucket(i64::MIN)).state;
        let mut other = opened(&link, held).state;
        for (nth, step) in steps.iter().enumerate() {
            match step {
                Step::Commit { keys, adopted, counted } => {
                    let versions = |events: &[Event]| events.iter().copied().map(version).collect();
                    let mut commit: Commit = commit(versions(keys), nth as i64);
                    commit.adopted = versions(adopted);
                    commit.ledger = ledger(counted, nth);
                    prop_assert_eq!(one.commit(&commit).unwrap(), other.commit(&commit).unwrap());
                }
                Step::Doubt(events) => {
                    let keys: BTreeSet<EventKey> =
                        events.iter().map(|event| version(*event).key()).collect();
                    let keys: Vec<EventKey> = keys.into_iter().collect();
                    one.doubt(&keys).unwrap();
                    other.doubt(&keys).unwrap();
                }
                Step::Know(events) => {
                    let keys = events.iter().map(|event| (version(*event).key(), Known::No));
                    let mut keys: HashMap<EventKey, Known> = keys.collect();
                    let mut again = keys.clone();
                    one.known(&mut keys).unwrap();
                    other.known(&mut again).unwrap();
                    prop_assert_eq!(keys, again);
                }
                Step::Open { from } => {
                    drop(one);
                    let (file, shared) = (open_file(buckets()[*from]), {
                        let from = buckets()[*from];
                        crate::bench::try_open(&link, held, from).unwrap()
                    });
                    prop_assert_eq!(file.progress, shared.progress);
                    prop_assert_eq!(file.recent, shared.recent);
                    (one, other) = (file.state, shared.state);
                }
            }
        }
        drop(one);
        let shared = look(&bench.database(), Some(&name), LONG).unwrap();
        let shared = shared.into_iter().find(|it| it.source.name == name).unwrap();
        prop_assert_eq!(file::look(&path).unwrap(), vec![shared.source]);
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}
