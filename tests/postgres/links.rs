//! What a process holds of a database, and what is left of it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use in_lookback::state::postgres::Link;

use crate::bench::{Bench, LONG, link, run};

#[test]
fn however_many_ask_at_once_there_are_four_connections_and_leases_do_not_wait() {
    let bench = Bench::new("few");
    let link = bench.link();
    let sessions = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'lookback'";
    let most = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..40 {
            scope.spawn(|| {
                let found: i64 = run(&link, async |client| {
                    client.batch_execute("SELECT pg_sleep(0.02)").await?;
                    Ok(client.query_one(sessions, &[]).await?.get(0))
                })
                .unwrap();
                most.fetch_max(found as usize, Ordering::SeqCst);
            });
        }
        // Three that hold every place would hold up a fourth; not a lease.
        let (asks, answers) = (channel(), channel::<bool>());
        let pool = link.pool();
        link.spawn(async move {
            let _ = asks.0.send(());
            let lease = pool.run_first(LONG, async |client| {
                Ok(client.query_one("SELECT true", &[]).await?.get(0))
            });
            let _ = answers.0.send(lease.await.unwrap_or(false));
        });
        asks.1.recv_timeout(LONG).unwrap();
        assert!(answers.1.recv_timeout(LONG).unwrap());
    });
    assert!((2..=4).contains(&most.load(Ordering::SeqCst)), "{most:?}");
}

#[test]
fn sources_of_one_database_share_a_link_and_its_thread_ends_with_the_last() {
    let bench = Bench::new("threads");
    let [one, two] = [bench.link(), bench.link()];
    assert!(Arc::ptr_eq(&one, &two));
    let other = Link::to(&bench.database(), Duration::from_secs(5)).unwrap();
    assert!(!Arc::ptr_eq(&one, &other));
    run(&one, async |_| Ok(())).unwrap();
    let (tells, told) = channel();
    one.spawn(async move {
        let me = std::fs::read_link("/proc/thread-self").unwrap();
        let _ = tells.send(Path::new("/proc").join(me));
        std::future::pending::<()>().await;
    });
    let me = told.recv_timeout(LONG).unwrap();
    drop(one);
    assert!(me.exists(), "{me:?}: the other one needs it");
    drop(two);
    assert!(!me.exists(), "{me:?} is still there");
    run(&link(&bench.database()), async |_| Ok(())).unwrap();
}

#[test]
fn a_connection_that_was_given_up_is_not_used_again() {
    let bench = Bench::new("given_up");
    let link = bench.link();
    let pid = async |client: &mut tokio_postgres::Client| {
        Ok(client.query_one("SELECT pg_backend_pid()", &[]).await?.get::<_, i32>(0))
    };
    let first = run(&link, pid).unwrap();
    assert_eq!(run(&link, pid).unwrap(), first, "one that is sound is");
    let short = Duration::from_millis(50);
    let sleep = async |client: &mut tokio_postgres::Client| {
        Ok(client.batch_execute("SELECT pg_sleep(600)").await?)
    };
    link.run(short, &|| false, sleep).unwrap_err();
    let second = run(&link, pid).unwrap();
    assert_ne!(second, first);
    let failing = async |client: &mut tokio_postgres::Client| {
        Ok(client.batch_execute("BEGIN; SELECT 1 / 0").await?)
    };
    run(&link, failing).unwrap_err();
    assert_ne!(run(&link, pid).unwrap(), second);
}
