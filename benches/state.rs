//! Dedup and state: how many ids a second are known in memory, found on disk, and committed.

use std::collections::HashMap;
use std::hint::black_box;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use in_lookback::clock::Clock;
use in_lookback::config::database::Database;
use in_lookback::config::plan::DedupOn;
use in_lookback::model::{Bucket, Content, EventKey, IdHash, Known, Timestamp, Version};
use in_lookback::poll::Progress;
use in_lookback::poll::dedup::{Dedup, Verdict};
use in_lookback::poll::ledger::Ledger;
use in_lookback::poll::progress::Commit;
use in_lookback::state::{State, postgres, sqlite};

#[allow(dead_code, clippy::disallowed_methods, reason = "the tests' own, which need more of it")]
#[path = "../tests/postgres/server.rs"]
mod server;

use server::Server;

/// Ids of one bucket in every state that is measured.
const IDS: u64 = 200_000;

const BOTH: [(DedupOn, &str); 2] = [(DedupOn::Id, ""), (DedupOn::Content, ", with their content")];

fn key(index: u64) -> EventKey {
    // An odd multiplier spreads the ids as a hash would.
    let id = u128::from(index).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    EventKey { bucket: Bucket((index % 6) as i64), id: IdHash(id) }
}

fn progress() -> Progress {
    Progress::new(Timestamp::from_secs(0))
}

/// As it is where only ids matter, and where changes do.
fn version(index: u64, on: DedupOn) -> Version {
    let content = NonZeroU64::new(index | 1).map(Content).filter(|_| on == DedupOn::Content);
    Version { content, ..key(index).into() }
}

fn commit(keys: Vec<Version>) -> Commit {
    let (adopted, ledger) = (Vec::new(), Ledger::default());
    Commit { keys, adopted, progress: progress(), expire_before: Bucket(0), ledger }
}

fn in_memory(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("dedup");
    group.throughput(Throughput::Elements(1_000));
    for (on, name) in BOTH {
        let mut dedup = Dedup::new(Bucket(0)).on(on);
        (0..IDS).for_each(|index| dedup.load(version(index, on)));
        group.bench_function(format!("a page of 1,000 duplicates, in memory{name}"), |bencher| {
            bencher.iter(|| {
                let versions = (0..1_000).map(|index| black_box(version(index, on)));
                let same = versions.filter(|it| dedup.judge(*it, Known::No) == Verdict::Same);
                assert_eq!(same.count(), 1_000);
            });
        });
    }
    group.finish();
}

fn on_disk(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("state.db");
    let opened =
        sqlite::open(&path, "bench", Bucket(0), |_| progress(), Timestamp::from_secs(0), None);
    let mut state = opened.expect("a state").state;
    let versions = (0..IDS).map(|index| version(index, DedupOn::Id));
    state.commit(&commit(versions.collect())).expect("a commit");
    let mut group = criterion.benchmark_group("state");
    group.throughput(Throughput::Elements(1_000));
    group.bench_function("a page of 1,000 duplicates, on disk", |bencher| {
        let keys: HashMap<_, _> = (0..1_000).map(|index| (key(index), Known::No)).collect();
        bencher.iter_batched(
            || keys.clone(),
            |mut keys| {
                state.known(&mut keys).expect("an answer");
                assert!(keys.values().all(|known| *known != Known::No));
            },
            BatchSize::SmallInput,
        );
    });
    let mut next = IDS;
    group.sample_size(20).throughput(Throughput::Elements(10_000));
    for (on, name) in BOTH {
        group.bench_function(format!("a durable commit of 10,000 ids{name}"), |bencher| {
            bencher.iter_batched(
                || {
                    next += 10_000;
                    commit((next - 10_000..next).map(|index| version(index, on)).collect())
                },
                |commit| state.commit(&commit).expect("a commit"),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

/// The same ids in a file and in a database, a page of 1,000 at a time: some of an hour and a half of this day.
fn file_and_database(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("state.db");
    let opened =
        sqlite::open(&path, "bench", Bucket(0), |_| progress(), Timestamp::from_secs(0), None);
    compare(criterion, "SQLite", &mut opened.expect("a state").state);
    if !Server::is_installed() {
        eprintln!("PostgreSQL is left out: it is not installed (Debian's package postgresql)");
        return;
    }
    let server = Server::start();
    let database = Database::parse(&server.url("postgres")).expect("a database");
    let link = postgres::Link::to(&database, Duration::from_secs(30)).expect("a link");
    let source = postgres::source_id(&link, "bench", Duration::from_secs(10), &|| false);
    let held = postgres::Held { source: source.expect("a source"), epoch: 1, holder: 1 };
    server.psql("UPDATE lookback_sources SET epoch = 1, holder = 1").expect("a lease");
    let opened = postgres::open(&link, held, Bucket(0), |_| progress(), false, Arc::new(|| false));
    compare(criterion, "PostgreSQL", &mut opened.expect("a state").state);
}

fn compare(criterion: &mut Criterion, name: &str, state: &mut dyn State) {
    let today = Bucket::of(Clock::start().now().wall).0.div_euclid(144) * 144;
    let of_today =
        |index| Version { bucket: Bucket(today + (index % 9) as i64), ..key(index).into() };
    (0..IDS / 10_000).for_each(|nth| {
        let some = (nth * 10_000..(nth + 1) * 10_000).map(of_today);
        state.commit(&commit(some.collect())).expect("a commit");
    });
    let mut group = criterion.benchmark_group("1,000 ids");
    group.throughput(Throughput::Elements(1_000)).sample_size(50);
    for (what, from, are_known) in [("known", 0, true), ("new", 10 * IDS, false)] {
        let keys: HashMap<_, _> =
            (from..from + 1_000).map(|index| (of_today(index).key(), Known::No)).collect();
        group.bench_function(format!("looked up, all {what}: {name}"), |bencher| {
            bencher.iter_batched(
                || keys.clone(),
                |mut keys| {
                    state.known(&mut keys).expect("an answer");
                    assert!(keys.values().all(|known| (*known != Known::No) == are_known));
                },
                BatchSize::SmallInput,
            );
        });
    }
    let mut next = IDS;
    group.bench_function(format!("committed: {name}"), |bencher| {
        bencher.iter_batched(
            || {
                next += 1_000;
                commit((next - 1_000..next).map(of_today).collect())
            },
            |commit| state.commit(&commit).expect("a commit"),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, in_memory, on_disk, file_and_database);
criterion_main!(benches);
