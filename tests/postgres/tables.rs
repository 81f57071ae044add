//! Tables are made, migrated, dropped when nobody needs them, and missed when they are gone.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use in_lookback::model::{Known, Timestamp};
use in_lookback::poll::progress::{Commit, Kept};
use in_lookback::state::postgres::{Held, Link, PostgresState};
use in_lookback::state::{State, StateError, Trouble};

use crate::bench::{Bench, commit, day, key, opened, progress, run, said, take};

#[test]
fn processes_that_meet_an_empty_database_make_its_tables_once() {
    let bench = Bench::new("migrate");
    let keys: BTreeSet<Vec<u8>> = thread::scope(|scope| {
        let process = |nth| {
            let database = bench.database();
            move || {
                // By another lease it is another link.
                let link = Link::to(&database, Duration::from_secs(nth)).unwrap();
                let query = "SELECT value FROM lookback_meta WHERE key = 'hash_key'";
                run(&link, async |client| Ok(client.query_one(query, &[]).await?.get(0))).unwrap()
            }
        };
        let processes: Vec<_> = (1..9).map(|nth| scope.spawn(process(nth))).collect();
        processes.into_iter().map(|process| process.join().unwrap()).collect()
    });
    assert_eq!(keys.iter().map(Vec::len).collect::<Vec<_>>(), [16], "one hash key");
    let version = "SELECT convert_from(value, 'UTF8') FROM lookback_meta WHERE key = 'version'";
    assert_eq!(bench.psql(version), "1");
}

#[test]
fn tables_of_a_newer_version_are_refused_and_left_alone() {
    let bench = Bench::new("newer");
    drop(opened(&bench.link(), take(&bench.link(), "a", 1)));
    bench.psql("UPDATE lookback_meta SET value = '99' WHERE key = 'version'");
    let before = bench.everything();
    let error = run(&bench.link(), async |_| Ok(())).unwrap_err();
    assert!(matches!(error, StateError::Newer { found: 99, known: 1 }), "{error}");
    assert_eq!(error.trouble(), Trouble::Wrong);
    assert_eq!(bench.everything(), before);
}

#[test]
fn who_may_not_make_tables_is_told_what_to_grant() {
    let bench = Bench::new("rights");
    // From version 15 on, this is how it is.
    bench.psql("REVOKE CREATE ON SCHEMA public FROM PUBLIC");
    bench.psql("CREATE ROLE stranger LOGIN PASSWORD 'hunter2-of-the-database'");
    let mut database = bench.database();
    database.user = "stranger".to_owned();
    let error = run(&crate::bench::link(&database), async |_| Ok(())).unwrap_err();
    assert!(error.to_string().contains("permission denied for schema public"), "{error}");
    assert!(error.mend().contains("grant the user CREATE"), "{}", error.mend());
    bench.psql("CREATE SCHEMA stranger AUTHORIZATION stranger");
    // A schema of the user's name comes first: no other right is needed.
    let link = crate::bench::link(&database);
    let mut state = opened(&link, take(&link, "a", 1)).state;
    state.commit(&commit(vec![key(day(0), 1)], 9)).unwrap();
    let tables = "SELECT DISTINCT schemaname FROM pg_tables WHERE tablename ~ '^lookback_'";
    assert_eq!(bench.psql(tables), "stranger");
}

#[test]
fn a_day_has_a_table_until_no_source_needs_it_and_far_days_share_one() {
    let bench = Bench::new("days");
    let link = bench.link();
    let [mut a, mut b] = ["a", "b"].map(|name| opened(&link, take(&link, name, 1)).state);
    let all = [-3, -2, -1, 0].map(day);
    let keys = |days: &[i64]| days.iter().map(|at| key(day(*at), 7)).collect();
    a.commit(&commit(keys(&[-3, -2, 0, -600, -601, 30]), 9)).unwrap();
    b.commit(&commit(keys(&[-2, -1, 0, 30]), 9)).unwrap();
    assert_eq!(bench.tables(), 4, "today, and three days before");
    assert_eq!(bench.psql("SELECT count(*) FROM lookback_ids_other"), "4");

    let expire = |state: &mut PostgresState, at: usize| {
        let commit = Commit { expire_before: all[at], ..commit(vec![], 9) };
        (state.commit(&commit).unwrap(), bench.tables())
    };
    // In the middle of a day the day is needed yet. Of far days one goes at a time.
    let before = Commit { expire_before: key(all[1], 0).bucket, ..commit(vec![], 9) };
    let middle = in_lookback::model::Bucket(before.expire_before.0 + 1);
    let ids = a.commit(&Commit { expire_before: middle, ..before }).unwrap();
    assert_eq!((ids, bench.tables()), (4, 3), "without the first day");
    assert_eq!(expire(&mut a, 3), (2, 3), "the other source has ids of them");
    assert_eq!(said(&mut a, key(all[1], 7)), Known::No, "it is forgotten all the same");
    assert_eq!(expire(&mut b, 2), (3, 2));
    assert_eq!(expire(&mut b, 3), (2, 1));
    assert_eq!(bench.psql("SELECT count(*) FROM lookback_ids_other"), "2", "what is ahead");
    assert_eq!(said(&mut b, key(all[3], 7)), Known::Yes(None));
}

#[test]
fn a_table_that_somebody_uses_is_not_dropped_and_a_source_that_is_abandoned_keeps_none() {
    let bench = Bench::new("used");
    let link = bench.link();
    let mut state = opened(&link, take(&link, "a", 1)).state;
    let abandoned = take(&link, "b", 1);
    let keys = [-5, -600].map(|at| key(day(at), 1)).to_vec();
    opened(&link, abandoned).state.commit(&commit(keys, 9)).unwrap();
    let keys = [-2, -1, 0].map(|at| key(day(at), 7)).to_vec();
    state.commit(&commit(keys, 9)).unwrap();
    let expire = |at| Commit { expire_before: day(at), ..commit(vec![], 9) };
    let read = format!("BEGIN; SELECT FROM lookback_ids_{}", table_of(-2));
    run(&link, async |reader| {
        reader.batch_execute(&read).await?;
        // The link's own thread does the rest: this one blocks.
        thread::scope(|scope| scope.spawn(|| state.commit(&expire(-1)).unwrap()).join()).unwrap();
        reader.batch_execute("COMMIT").await?;
        Ok(())
    })
    .unwrap();
    assert_eq!(bench.tables(), 4, "it was read");
    bench.psql(
        "UPDATE lookback_sources SET lease_until = now() - interval '91 days' WHERE name = 'b';
        INSERT INTO lookback_candidates SELECT id, 1 FROM lookback_sources WHERE name = 'b'",
    );
    state.commit(&commit(vec![key(day(-3), 1)], 9)).unwrap();
    state.commit(&expire(-1)).unwrap();
    assert_eq!(bench.tables(), 3, "it has a candidate: the database's clock may be wrong");
    bench.psql("DELETE FROM lookback_candidates");
    state.commit(&expire(0)).unwrap();
    assert_eq!(bench.tables(), 1, "today's");
    assert_eq!(bench.psql("SELECT count(*) FROM lookback_ids_other"), "0");
}

#[test]
fn a_table_that_is_somebody_elses_keeps_no_other_from_being_dropped() {
    let bench = Bench::new("others_table");
    bench.psql(
        "CREATE ROLE tenant LOGIN PASSWORD 'hunter2-of-the-database';
        CREATE SCHEMA AUTHORIZATION tenant;
        CREATE TABLE tenant.lookback_ids_20200101 ();
        GRANT SELECT ON tenant.lookback_ids_20200101 TO tenant",
    );
    let mut database = bench.database();
    database.user = "tenant".to_owned();
    let link = crate::bench::link(&database);
    let mut state = opened(&link, take(&link, "a", 1)).state;
    state.commit(&commit([-1, 0].map(|at| key(day(at), 7)).to_vec(), 9)).unwrap();
    assert_eq!(bench.tables(), 3);
    state.commit(&Commit { expire_before: day(0), ..commit(vec![], 9) }).unwrap();
    assert_eq!(bench.tables(), 2, "today's, and the other");
}

fn table_of(days: i64) -> String {
    day(days).start().to_string()[..10].replace('-', "")
}

fn kept(keys: Vec<in_lookback::model::Version>) -> Kept {
    let live_until = Some(Timestamp::from_secs(11));
    Kept { progress: in_lookback::poll::Progress { live_until, ..progress() }, keys }
}

#[test]
fn what_was_in_a_table_that_someone_dropped_is_lost_but_for_what_memory_holds() {
    let bench = Bench::new("dropped_day");
    let link = bench.link();
    let mut state = opened(&link, take(&link, "a", 1)).state;
    let [yesterday, held, lost] = [key(day(-1), 1), key(day(0), 2), key(day(0), 3)];
    state.commit(&commit(vec![yesterday, held, lost], 9)).unwrap();
    bench.psql(&format!("DROP TABLE lookback_ids_{}", table_of(0)));
    let error = state.commit(&commit(vec![key(day(0), 4)], 10)).unwrap_err();
    assert_eq!(error.trouble(), Trouble::Lost, "{error}");
    let now = Timestamp::from_secs(0);
    let renewed = state.renew(&kept(vec![held]), &error, now, &|| true).unwrap();
    assert!(renewed.same_key && renewed.same_ledger, "{renewed:?}");
    assert!(renewed.what.contains("ids of 1 days are lost"), "{}", renewed.what);
    assert_eq!(state.commit(&commit(vec![key(day(0), 4)], 12)).unwrap(), 3);
    for (version, known) in [(yesterday, true), (held, true), (lost, false)] {
        assert_eq!(said(&mut state, version) != Known::No, known, "{version:?}");
    }
}

#[test]
fn a_run_whose_tables_are_all_gone_begins_anew_and_so_does_one_that_lost_the_source() {
    let bench = Bench::new("gone");
    let link = bench.link();
    let held = take(&link, "a", 1);
    let mut state = opened(&link, held).state;
    state.commit(&commit(vec![key(day(0), 1)], 9)).unwrap();
    bench.psql("DROP SCHEMA public CASCADE; CREATE SCHEMA public");
    let error = state.commit(&commit(vec![key(day(0), 2)], 10)).unwrap_err();
    assert_eq!(error.trouble(), Trouble::Lost, "{error}");
    let now = Timestamp::from_secs(0);
    let renewed = state.renew(&kept(vec![]), &error, now, &|| true).unwrap();
    assert!(!renewed.same_key, "{renewed:?}");
    // The tables are there again; nobody holds anything.
    let error = state.commit(&commit(vec![], 10)).unwrap_err();
    assert!(matches!(error, StateError::Fenced), "{error}");
    let again = take(&link, "a", 1);
    assert_eq!(again, Held { epoch: 1, ..held });
    let open = |had| {
        let (begin, stop) = (crate::bench::begin, std::sync::Arc::new(|| false));
        in_lookback::state::postgres::open(&link, again, day(0), begin, had, stop).unwrap()
    };
    let damage = open(true).damage.unwrap();
    assert!(damage.contains("gone from the database"), "{damage}");
}
