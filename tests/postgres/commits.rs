//! What is committed is there, all of it or nothing, and only from the node that holds the source.

use std::thread;

use in_lookback::model::{Bucket, Content, Known, Timestamp, Version};
use in_lookback::poll::progress::{Commit, Kept};
use in_lookback::state::postgres::Held;
use in_lookback::state::{State, StateError, Trouble};

use crate::bench::{
    Bench, LONG, commit, day, key, link, opened, progress, said, saying, take, try_open,
};

#[test]
fn what_is_committed_is_found_by_the_next_open() {
    let bench = Bench::new("next_open");
    let link = bench.link();
    let held = take(&link, "a", 1);
    let mut first = opened(&link, held);
    assert_eq!((first.progress, first.recent, first.damage), (progress(), vec![], None));
    let [old, new] = [key(day(-1), 7), key(day(0), 8)];
    assert_eq!(first.state.commit(&commit(vec![old, new], 9)).unwrap(), 2);
    assert_eq!(first.state.commit(&commit(vec![old], 10)).unwrap(), 2);
    drop((first.state, link));

    let link = bench.link();
    let mut next = try_open(&link, take(&link, "a", 2), day(0)).unwrap();
    assert_eq!(next.progress.live_until, Some(Timestamp::from_secs(10)));
    assert_eq!(next.hash_key, first.hash_key);
    assert_eq!(next.recent, [new]);
    assert_eq!(said(&mut next.state, old), Known::Yes(None));
    assert_eq!(said(&mut next.state, key(day(-1), 8)), Known::No);
    assert_eq!(said(&mut next.state, key(day(-5), 7)), Known::No);
    let other = take(&link, "b", 2);
    assert_eq!(said(&mut opened(&link, other).state, old), Known::No, "another source's");
}

#[test]
fn a_node_that_has_lost_the_source_stores_nothing_of_what_it_commits() {
    let bench = Bench::new("fence");
    let link = bench.link();
    let zombie = take(&link, "a", 1);
    let mut before = opened(&link, zombie).state;
    before.commit(&commit(vec![saying(key(day(0), 1), 5)], 9)).unwrap();
    let held = take(&link, "a", 2);
    let all = bench.everything();
    // A day that has no table yet, a version, an adoption, the ledger, an expiry.
    let keys = vec![key(day(-9), 2), saying(key(day(0), 1), 6), key(day(0), 3)];
    let adopted = vec![saying(key(day(0), 1), 7)];
    let all_of_it = Commit { adopted, expire_before: day(1), ..commit(keys, 10) };
    let errors = [
        before.commit(&all_of_it).unwrap_err(),
        before.doubt(&[key(day(0), 1).key()]).unwrap_err(),
        try_open(&link, zombie, day(0)).err().unwrap(),
        // After a failover that lost commits, an epoch may be given twice.
        try_open(&link, Held { holder: 1, ..held }, day(0)).err().unwrap(),
    ];
    for error in &errors {
        assert!(matches!(error, StateError::Fenced), "{error}");
        assert_eq!(error.trouble(), Trouble::Passing);
    }
    assert_eq!(bench.everything(), all);
    assert_eq!(opened(&link, held).recent, [saying(key(day(0), 1), 5)]);
}

#[test]
fn a_run_whose_last_commits_a_failover_has_lost_begins_anew_from_what_is_there() {
    let bench = Bench::new("rolled_back");
    let link = bench.link();
    let held = take(&link, "a", 1);
    let mut state = opened(&link, held).state;
    let [kept, lost, next] = [1, 2, 3].map(|id| key(day(0), id));
    state.commit(&commit(vec![kept], 9)).unwrap();
    let before = bench.psql("SELECT progress, commits FROM lookback_sources");
    let (progress, commits) = before.split_once('|').unwrap();
    state.commit(&commit(vec![lost], 10)).unwrap();
    bench.psql(&format!(
        "UPDATE lookback_sources SET progress = '{progress}', commits = {commits};
        DELETE FROM lookback_ids_{} WHERE id IN
            (SELECT id FROM lookback_ids_{0} ORDER BY id DESC LIMIT 1);
        UPDATE lookback_days SET ids = 1",
        day(0).start().to_string()[..10].replace('-', "")
    ));
    let all = bench.everything();
    let error = state.commit(&commit(vec![next], 11)).unwrap_err();
    assert_eq!(error.trouble(), Trouble::Lost, "{error}");
    assert!(error.to_string().contains("lacks the last 1 commits"), "{error}");
    let kept_in_memory = Kept { progress: commit(vec![], 10).progress, keys: vec![kept, lost] };
    let renewed = state.renew(&kept_in_memory, &error, Timestamp::from_secs(0), &|| true).unwrap();
    assert!(!renewed.same_key && !renewed.same_ledger, "{renewed:?}");
    assert_eq!(bench.everything(), all, "nothing is built on what is gone");
    let mut anew = opened(&link, held);
    assert_eq!(
        (anew.progress.live_until, anew.recent),
        (Some(Timestamp::from_secs(9)), vec![kept])
    );
    assert_eq!(anew.state.commit(&commit(vec![lost, next], 11)).unwrap(), 3);
}

#[test]
fn what_is_in_doubt_is_taken_for_no_version_until_one_is_committed() {
    let bench = Bench::new("doubt");
    let link = bench.link();
    let held = take(&link, "a", 1);
    let event = key(day(0), 7);
    let mut state = opened(&link, held).state;
    state.commit(&commit(vec![saying(event, u64::MAX - 1)], 9)).unwrap();
    state.doubt(&[event.key(), key(day(0), 8).key(), key(day(-3), 8).key()]).unwrap();
    let unsure = Version { content: Some(Content::UNSURE), ..event };
    assert_eq!(opened(&link, held).recent, [unsure], "nothing is made of what was not there");
    let adopted = Commit { adopted: vec![saying(event, 2)], ..commit(vec![], 9) };
    state.commit(&adopted).unwrap();
    assert_eq!(said(&mut state, event), Known::Yes(unsure.content));
    let last = saying(event, 3);
    assert_eq!(state.commit(&commit(vec![saying(event, 2), last], 9)).unwrap(), 1);
    assert_eq!(said(&mut state, event), Known::Yes(last.content));
}

#[test]
fn more_ids_than_one_statement_takes_are_stored_and_found() {
    let bench = Bench::new("many");
    let link = bench.link();
    let mut state = opened(&link, take(&link, "a", 1)).state;
    let keys: Vec<Version> = (0..25_000).map(|id| key(day(-(id as i64 % 2)), id)).collect();
    assert_eq!(state.commit(&commit(keys.clone(), 9)).unwrap(), 25_000);
    let mut asked: std::collections::HashMap<_, _> =
        (0..50_000).map(|id| (key(day(-(id as i64 % 2)), id).key(), Known::No)).collect();
    state.known(&mut asked).unwrap();
    assert_eq!(asked.values().filter(|known| **known == Known::Yes(None)).count(), 25_000);
    let recent = opened(&link, take(&link, "a", 2)).recent;
    assert_eq!(recent.len(), 25_000);
    assert!(recent.is_sorted_by_key(|version| version.key()));
}

#[test]
fn sources_commit_at_once_whatever_isolation_the_database_defaults_to() {
    let bench = Bench::new("serializable");
    bench.psql("ALTER DATABASE serializable SET default_transaction_isolation = serializable");
    let link = bench.link();
    thread::scope(|scope| {
        for name in ["a", "b", "c", "d", "e", "f"] {
            let link = &link;
            scope.spawn(move || {
                let mut state = opened(link, take(link, name, 1)).state;
                for nth in 0..10 {
                    state.commit(&commit(vec![key(day(-nth), 7)], 9)).unwrap();
                    assert_eq!(said(&mut state, key(day(-nth), 7)), Known::Yes(None));
                }
            });
        }
    });
    assert_eq!(bench.psql("SELECT sum(ids), sum(records) FROM lookback_days AS d, (SELECT sum(records) AS records FROM lookback_hours) AS h"), "60|3600");
}

#[test]
fn a_progress_that_cannot_be_is_begun_anew_and_one_that_is_gone_is_missed() {
    let bench = Bench::new("damage");
    let link = bench.link();
    let held = take(&link, "a", 1);
    opened(&link, held).state.commit(&commit(vec![], 9)).unwrap();
    for (set, had_state, damage) in [
        ("'{\"origin\": \"no time\"}'", false, Some("damaged")),
        ("NULL", true, Some("gone from the database")),
        ("NULL", false, None),
    ] {
        bench.psql(&format!("UPDATE lookback_sources SET progress = {set}"));
        let stop = std::sync::Arc::new(|| false);
        let open = |had| {
            let begin = crate::bench::begin;
            in_lookback::state::postgres::open(&link, held, Bucket(0), begin, had, stop.clone())
        };
        let found = open(had_state).unwrap();
        let expected = if damage.is_some() { 1 } else { 5 };
        assert_eq!(found.progress.origin, Timestamp::from_secs(expected), "{set}");
        let told = found.damage.unwrap_or_default();
        assert!(told.contains(damage.unwrap_or_default()), "{told}");
        let again = open(true).unwrap();
        assert_eq!((again.progress, again.damage), (found.progress, None), "it is stored");
    }
}

#[test]
fn a_look_from_outside_tells_all_and_makes_nothing() {
    use in_lookback::state::postgres::look::look;
    let bench = Bench::new("look");
    let error = look(&bench.database(), None, LONG).unwrap_err();
    assert!(matches!(error, StateError::Foreign), "{error}");
    assert_eq!(bench.psql("SELECT count(*) FROM pg_tables WHERE tablename ~ 'lookback'"), "0");
    let link = link(&bench.database());
    let held = take(&link, "a", 1);
    take(&link, "b", 2);
    let keys = vec![key(day(0), 1), key(day(-1), 2), key(day(0), 3)];
    opened(&link, held).state.commit(&commit(keys, 9)).unwrap();
    let found = look(&bench.database(), Some("a"), LONG).unwrap();
    let [a, b] = &found[..] else { panic!("{found:?}") };
    assert_eq!((a.source.name.as_str(), a.source.ids), ("a", 3));
    assert_eq!(a.source.progress.as_ref().unwrap().live_until, Some(Timestamp::from_secs(9)));
    let hours = a.source.hours.as_ref().unwrap();
    let hours: Vec<_> = hours.iter().map(|row| (row.hour.start(), row.counts.records)).collect();
    assert_eq!(hours, [(day(-1).start(), 1), (day(0).start(), 2)]);
    let holder = a.holder.as_ref().unwrap();
    assert_eq!((holder.node.as_str(), holder.epoch), ("n1", 1));
    assert!((3_000.0..3_601.0).contains(&holder.left), "{holder:?}");
    assert_eq!((b.source.name.as_str(), &b.source.progress), ("b", &None));
    let sum = look(&bench.database(), None, LONG).unwrap().remove(0).source.hours.unwrap();
    assert_eq!(sum.iter().map(|row| row.counts.records).collect::<Vec<_>>(), [3]);
}
