//! Seats of two nodes and more in one database: their connections differ, so each has a membership of its own.

use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use in_lookback::clock::Clock;
use in_lookback::config::database::Fleet;
use in_lookback::fleet::{Candidate, Duty, Term, rank};
use in_lookback::model::Bucket;
use in_lookback::state::StateError;
use in_lookback::state::postgres::{Held, Place, open};
use tokio::sync::Notify;

use crate::bench::{Bench, LONG, begin, run};
use crate::server::Server;

const LEASE: Duration = Duration::from_secs(2);
const STEP: Duration = Duration::from_millis(20);

/// A node in a fleet; `number` makes it differ from the others of this process.
fn node(bench: &Bench, number: u32) -> Fleet {
    let mut database = bench.database();
    database.connect_timeout += Duration::from_secs(number.into());
    Fleet { database, node: format!("node-{number}"), lease: LEASE }
}

fn place(fleet: &Fleet, source: &str) -> Place {
    Place::take(fleet, source, Arc::new(Notify::new())).unwrap()
}

/// Who has which source, and for the how manieth time.
const LEADERS: &str = "SELECT name, holder, epoch FROM lookback_sources ORDER BY name";

/// A source's worker at a node: does what it is told, and owes nothing.
struct Worker {
    source: String,
    place: Place,
    term: Option<Term>,
}

impl Worker {
    fn of(fleet: &Fleet, source: &str) -> Self {
        Self { source: source.to_owned(), place: place(fleet, source), term: None }
    }

    /// A round; whether it reads.
    fn round(&mut self) -> bool {
        self.place.hear();
        if self.term.is_none() {
            self.term = self.place.held().map(|held| Term::new(held.epoch, LEASE));
        }
        let Some(term) = &mut self.term else { return false };
        match self.place.duty(term, false) {
            Duty::Read(lease) => lease.holds(Clock::start().now()),
            Duty::Finish => false,
            Duty::Over => {
                self.term = None;
                false
            }
        }
    }

    fn held(&self) -> Held {
        self.place.held().expect("it leads")
    }
}

/// Lets workers do their rounds until something is so.
fn until(workers: &mut [&mut Worker], mut is_so: impl FnMut(&[bool]) -> bool) {
    let deadline = Instant::now() + LONG;
    loop {
        let read: Vec<bool> = workers.iter_mut().map(|worker| worker.round()).collect();
        let readers = workers.iter().zip(&read).filter(|(_, reads)| **reads);
        let mut sources: Vec<&str> = readers.map(|(worker, _)| worker.source.as_str()).collect();
        sources.sort_unstable();
        assert!(sources.windows(2).all(|pair| pair[0] != pair[1]), "two read: {sources:?}");
        if is_so(&read) {
            return;
        }
        assert!(Instant::now() < deadline, "{read:?}");
        std::thread::sleep(STEP);
    }
}

/// A source that belongs to this one of two nodes.
fn source_of(number: i64) -> String {
    let candidate =
        |process| Candidate { process, node: format!("node-{process}"), up: Duration::ZERO };
    let is_first = |source: &String| {
        rank::first(source, &[candidate(1), candidate(2)]).unwrap().process == number
    };
    (0..).map(|nth| format!("source-{nth}")).find(is_first).unwrap()
}

#[test]
fn a_source_that_is_given_back_is_taken_by_the_other_node_at_once() {
    let bench = Bench::new("given_back");
    let mut one = Worker::of(&node(&bench, 1), "s");
    until(&mut [&mut one], |read| read[0]);
    let mut two = Worker::of(&node(&bench, 2), "s");
    until(&mut [&mut two], |_| bench.psql("SELECT count(*) FROM lookback_processes") == "2");
    let first = one.held();
    let since = Instant::now();
    drop(one);
    until(&mut [&mut two], |read| read[0]);
    assert!(since.elapsed() < LEASE, "{:?}", since.elapsed());
    assert_eq!(two.held().epoch, first.epoch + 1);
    drop(two);
    let left = "SELECT count(holder), (SELECT count(*) FROM lookback_processes),
        (SELECT count(*) FROM lookback_candidates) FROM lookback_sources";
    assert_eq!(bench.psql(left), "0|0|0");
}

#[test]
fn sources_are_given_back_together_though_one_row_is_locked() {
    let bench = Bench::new("leaving");
    let node = node(&bench, 1);
    let mut workers: Vec<Worker> =
        ["a", "b", "c", "d", "locked"].map(|s| Worker::of(&node, s)).into();
    until(&mut workers.iter_mut().collect::<Vec<_>>(), |read| read.iter().all(|reads| *reads));
    let (link, (locks, locked), (ends, ended)) =
        (bench.link(), mpsc::channel(), mpsc::channel::<()>());
    std::thread::scope(|scope| {
        scope.spawn(move || {
            run(&link, async |client| {
                let transaction = client.transaction().await?;
                let lock = "SELECT FROM lookback_sources WHERE name = 'locked' FOR UPDATE";
                transaction.execute(lock, &[]).await?;
                locks.send(()).unwrap();
                let _ = ended.recv();
                Ok(transaction.commit().await?)
            })
        });
        locked.recv().unwrap();
        let held = || {
            bench.psql(
                "SELECT string_agg(name, ',' ORDER BY name) FROM lookback_sources WHERE holder > 0",
            )
        };
        // The process goes on with others: a look gives these back.
        let mut rest = workers.split_off(2);
        let since = Instant::now();
        drop(workers);
        assert!(since.elapsed() < Duration::from_millis(500), "{:?}", since.elapsed());
        until(&mut rest.iter_mut().collect::<Vec<_>>(), |_| held() == "c,d,locked");
        let since = Instant::now();
        rest.into_iter().rev().for_each(drop);
        assert!(since.elapsed() < Duration::from_millis(1_500), "{:?}", since.elapsed());
        assert_eq!(held(), "locked");
        drop(ends);
    });
    let left =
        "SELECT (SELECT count(*) FROM lookback_processes), count(*) FROM lookback_candidates";
    assert_eq!(bench.psql(left), "0|0");
}

#[test]
fn a_source_that_its_node_cannot_read_goes_to_the_other_and_back_if_that_has_gone() {
    let bench = Bench::new("stands_back");
    let source = source_of(1);
    let mut one = Worker::of(&node(&bench, 1), &source);
    until(&mut [&mut one], |read| read[0]);
    let mut two = Worker::of(&node(&bench, 2), &source);
    let deadline = Instant::now() + LONG;
    while !two.round() {
        if one.round() {
            one.place.stands_back(one.held().epoch);
        }
        assert!(Instant::now() < deadline);
        std::thread::sleep(STEP);
    }
    drop(two);
    until(&mut [&mut one], |read| read[0]);
}

#[test]
fn a_node_that_joins_is_handed_its_source_in_good_order() {
    let bench = Bench::new("joins");
    let source = source_of(2);
    let mut leader = Worker::of(&node(&bench, 1), &source);
    until(&mut [&mut leader], |read| read[0]);
    let mut joins = Worker::of(&node(&bench, 2), &source);
    until(&mut [&mut leader, &mut joins], |read| read[1]);
    assert_eq!(joins.held().epoch, 2);
}

#[test]
fn a_worker_that_fell_silent_loses_its_source_once_its_lease_is_over() {
    let bench = Bench::new("silent");
    let [first, second] = [node(&bench, 1), node(&bench, 2)];
    let mut silent = Worker::of(&first, "s");
    until(&mut [&mut silent], |read| read[0]);
    let mut other = Worker::of(&second, "s");
    let since = Instant::now();
    until(&mut [&mut other], |read| read[0]);
    // It was renewed for a lease more, then it ran out.
    assert!(since.elapsed() >= LEASE && since.elapsed() < LEASE * 4, "{:?}", since.elapsed());
    assert!(!silent.round());
}

#[test]
fn after_an_outage_of_the_database_every_node_has_what_it_had() {
    let mut bench = Bench::on(Arc::new(Server::start()), "outage");
    let [first, second] = [node(&bench, 1), node(&bench, 2)];
    let [mut one, mut two] =
        [Worker::of(&first, &source_of(1)), Worker::of(&second, &source_of(2))];
    until(&mut [&mut one, &mut two], |read| read.iter().all(|reads| *reads));
    // Each of them could have the other's.
    let [mut three, mut four] =
        [Worker::of(&second, &source_of(1)), Worker::of(&first, &source_of(2))];
    let mut all = [&mut one, &mut two, &mut three, &mut four];
    until(&mut all, |_| bench.psql("SELECT count(*) FROM lookback_candidates") == "4");
    let leaders = bench.psql(LEADERS);
    Arc::get_mut(&mut bench.server).unwrap().stop("fast");
    until(&mut all, |read| read.iter().all(|reads| !reads));
    assert!(all[0].place.trouble().is_some());
    Arc::get_mut(&mut bench.server).unwrap().run();
    until(&mut all, |read| read.iter().filter(|reads| **reads).count() == 2);
    assert_eq!(bench.psql(LEADERS), leaders);
    assert_eq!(all[0].place.trouble(), None);
}

#[test]
fn what_a_process_left_behind_that_is_no_more_is_cleared_away() {
    let bench = Bench::new("orphans");
    run(&bench.link(), async |_| Ok(())).unwrap();
    bench.psql("INSERT INTO lookback_candidates (source, process) VALUES (1, 99), (7, 99)");
    let mut worker = Worker::of(&node(&bench, 1), "s");
    until(&mut [&mut worker], |read| read[0]);
    assert_eq!(
        bench
            .psql("SELECT count(*) FILTER (WHERE process = 99), count(*) FROM lookback_candidates"),
        "0|1"
    );
}

#[test]
fn a_second_instance_with_the_same_source_is_refused_until_the_first_has_gone() {
    let bench = Bench::new("taken");
    let fleet = node(&bench, 1);
    let first = place(&fleet, "s");
    let again = || Place::take(&fleet, "s", Arc::new(Notify::new()));
    assert!(matches!(again(), Err(StateError::Taken(source)) if source == "s"));
    let _other = place(&fleet, "t");
    drop(first);
    assert!(again().is_ok());
}

#[test]
fn tables_that_someone_drops_are_made_again_and_the_source_is_led_anew_as_one_whose_state_is_lost()
{
    let bench = Bench::new("dropped");
    let mut worker = Worker::of(&node(&bench, 1), "s");
    until(&mut [&mut worker], |read| read[0]);
    assert!(!worker.place.had_state());
    // As if another node had read it.
    bench.psql("UPDATE lookback_sources SET progress = '{}'");
    let deadline = Instant::now() + LONG;
    while !worker.place.had_state() {
        assert!(Instant::now() < deadline);
        worker.round();
        std::thread::sleep(STEP);
    }
    let all = "SELECT string_agg(tablename, ', ') FROM pg_tables WHERE tablename LIKE 'lookback_%'";
    let tables = bench.psql(all);
    bench.psql(&format!("DROP TABLE {tables}"));
    let (mut sees_it, mut leads) = (false, false);
    until(&mut [&mut worker], |read| {
        sees_it |= !read[0];
        leads = sees_it && read[0];
        leads
    });
    assert_eq!(bench.psql("SELECT epoch FROM lookback_sources"), "1");
    let (place, held) = (&worker.place, worker.held());
    let never = Arc::new(|| false);
    let opened = open(place.link(), held, Bucket(0), begin, place.had_state(), never).unwrap();
    assert!(opened.damage.is_some_and(|it| it.contains("gone")));
}
