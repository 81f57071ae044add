//! What if the connection is cut, the server stalls, restarts, or takes no writes?

use std::cell::Cell;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use in_lookback::config::database::Host;
use in_lookback::model::Version;
use in_lookback::state::postgres::Link;
use in_lookback::state::{State, StateError, Trouble};

use crate::bench::{Bench, commit, day, key, link, opened, run, take};
use crate::relay::Relay;
use crate::server::Server;

const SHORT: Duration = Duration::from_secs(1);

/// One that answers needs less; one that hangs would need for ever.
const SOON: Duration = Duration::from_secs(20);

#[test]
fn a_connection_that_is_cut_in_a_commit_leaves_all_of_it_or_nothing_and_it_counts_once() {
    let bench = Bench::new("cut");
    let relay = Relay::before(bench.server.port());
    let (link, direct) = (link(&bench.through(relay.port)), bench.link());
    let held = take(&link, "a", 1);
    let mut state = opened(&link, held).state;
    let keys = |nth: u128| -> Vec<Version> {
        (0..3).map(|id| key(day(-(id as i64)), nth * 3 + id)).collect()
    };
    // Days have their tables, and the connection is there.
    state.commit(&commit(keys(0), 0)).unwrap();
    relay.cut_after(u64::MAX, u64::MAX);
    state.commit(&commit(keys(1), 1)).unwrap();
    let [to, back] = relay.passed();
    let (mut cut, mut came_through) = (0, 0);
    let points = (0..to).step_by(97).map(|at| (at, u64::MAX));
    let points = points.chain((0..=back).step_by(29).map(|at| (u64::MAX, at)));
    let points: Vec<_> = points.chain([(u64::MAX, back - 1), (to - 1, u64::MAX)]).collect();
    for (nth, (to, back)) in points.iter().enumerate() {
        let nth = nth as u128 + 2;
        relay.cut_after(*to, *back);
        let commit = commit(keys(nth), nth as i64);
        if let Err(error) = state.commit(&commit) {
            assert_eq!(error.trouble(), Trouble::Passing, "{error}");
            cut += 1;
            relay.cut_after(u64::MAX, u64::MAX);
            let before = stored(&direct);
            let whole = [3 * nth as u64, 3 * (nth as u64 + 1)];
            assert!(whole.map(|all| [all; 3]).contains(&before), "{before:?}, not {whole:?}");
            came_through += u32::from(before == [whole[1]; 3]);
            state.commit(&commit).unwrap();
        }
        assert_eq!(stored(&direct), [3 * (nth as u64 + 1); 3], "cut after {to}, {back}");
    }
    assert!(cut > 20 && came_through > 0, "{cut} cut, {came_through} came through");
}

/// How many ids there are, and are said to be; and how many records were counted.
fn stored(direct: &Link) -> [u64; 3] {
    let tables = [0, -1, -2].map(|days| {
        let date = day(days).start().to_string();
        format!("(SELECT count(*) FROM lookback_ids_{})", date[..10].replace('-', ""))
    });
    let query = format!(
        "SELECT {}, (SELECT sum(ids)::bigint FROM lookback_days),
            (SELECT sum(records)::bigint FROM lookback_hours)",
        tables.join(" + ")
    );
    let row = run(direct, async |client| Ok(client.query_one(&query, &[]).await?)).unwrap();
    [0, 1, 2].map(|at| row.get::<_, i64>(at) as u64)
}

#[test]
fn a_server_that_accepts_and_never_answers_is_given_up_at_the_limit_and_soon_after_a_stop() {
    let bench = Bench::new("stall");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let database = bench.through(listener.local_addr().unwrap().port());
    let began = Instant::now();
    let stalled = link(&database);
    let error = stalled.run(SHORT, &|| false, async |_| Ok(())).unwrap_err();
    assert!(matches!(error, StateError::TimedOut(SHORT)), "{error}");
    assert_eq!(error.trouble(), Trouble::Passing);
    let looks = Cell::new(0);
    let stops_later = || looks.replace(looks.get() + 1) > 0;
    let hour = Duration::from_secs(3_600);
    let error = stalled.run(hour, &stops_later, async |_| Ok(())).unwrap_err();
    assert!(matches!(error, StateError::Stopped), "{error}");
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
}

#[test]
fn what_waits_for_a_lock_for_too_long_is_given_up_and_tried_again() {
    let bench = Bench::new("locked");
    let link = bench.link();
    let mut state = opened(&link, take(&link, "a", 1)).state;
    let locked = run(&link, async |client| {
        client.batch_execute("BEGIN; LOCK TABLE lookback_sources").await?;
        let error = link
            .pool()
            .run(SHORT, async |other| {
                Ok(other
                    .batch_execute("SET lock_timeout = 1; UPDATE lookback_sources SET id = id")
                    .await?)
            })
            .await
            .unwrap_err();
        client.batch_execute("ROLLBACK").await?;
        Ok(error)
    });
    assert_eq!(locked.unwrap().trouble(), Trouble::Passing);
    assert_eq!(state.commit(&commit(vec![key(day(0), 1)], 9)).unwrap(), 1);
}

#[test]
fn a_database_that_was_restarted_is_used_as_before() {
    let mut server = Server::start();
    server.database("restart");
    for mode in ["fast", "immediate"] {
        let database = Bench { server: Arc::new(server), name: "restart" };
        let link = database.link();
        let mut state = opened(&link, take(&link, mode, 1)).state;
        state.commit(&commit(vec![key(day(0), 1)], 9)).unwrap();
        server = Arc::into_inner(database.server).unwrap();
        server.stop(mode);
        let error = state.commit(&commit(vec![key(day(0), 2)], 10)).unwrap_err();
        assert_eq!(error.trouble(), Trouble::Passing, "{error}");
        server.run();
        assert_eq!(state.commit(&commit(vec![key(day(0), 2)], 10)).unwrap(), 2);
    }
}

#[test]
fn the_first_host_that_takes_writes_is_taken() {
    let bench = Bench::new("hosts");
    bench.server.database("replica");
    bench.psql("ALTER DATABASE replica SET default_transaction_read_only = on");
    let mut database = bench.database();
    database.name = "replica".to_owned();
    let error = run(&link(&database), async |_| Ok(())).unwrap_err();
    assert!(error.to_string().contains("takes no writes"), "{error}");
    assert_eq!(error.trouble(), Trouble::Passing);
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut database = bench.database();
    let nowhere = (Host::Name("no-such-host.invalid".to_owned()), 1);
    let others = [(Host::Name("127.0.0.1".to_owned()), closed), nowhere];
    database.hosts.splice(0..0, others.clone());
    run(&link(&database), async |_| Ok(())).unwrap();
    database.hosts = others.to_vec();
    let error = run(&link(&database), async |_| Ok(())).unwrap_err().to_string();
    assert!(error.contains("refused") && error.contains("no-such-host.invalid:1:"), "{error}");
}

#[test]
fn a_first_host_that_never_answers_keeps_nobody_from_the_second() {
    let bench = Bench::new("silent_host");
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut database = bench.database();
    let first = (Host::Name("127.0.0.1".to_owned()), silent.local_addr().unwrap().port());
    database.hosts.insert(0, first);
    let link = Link::to(&database, Duration::from_secs(10)).unwrap();
    // The first host may use up all that an attempt has.
    let asks = |limit| link.run(limit, &|| false, async |_| Ok(()));
    assert!(matches!(asks(SHORT), Err(StateError::TimedOut(_))));
    let limit = database.connect_timeout / 2;
    asks(limit).unwrap();
    // The one that worked is remembered.
    bench.psql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = 'lookback'",
    );
    asks(limit).or_else(|_| asks(limit)).unwrap();
}
