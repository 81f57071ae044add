//! Commits, restarts, damage, and several sources at one file.

use super::*;
use crate::poll::ledger::Ledger;

const NOW: Timestamp = Timestamp::from_secs(7_000);

fn progress() -> Progress {
    Progress::new(Timestamp::from_secs(5))
}

/// What a source begins with whose progress is lost.
fn lost(since: Option<Timestamp>) -> Progress {
    Progress { newest: since, ..Progress::new(Timestamp::from_secs(1)) }
}

fn begin(beginning: &Beginning) -> Progress {
    match beginning {
        Beginning::First => progress(),
        Beginning::Lost(loss) => lost(loss.progress.as_ref().map(Progress::read_until)),
    }
}

fn open_at(path: &Path, source: &str) -> Opened<SqliteState> {
    open(path, source, Bucket(0), begin, NOW, Some(&|| true)).unwrap()
}

fn key(bucket: i64, id: u128) -> Version {
    EventKey { bucket: Bucket(bucket), id: IdHash(id) }.into()
}

fn commit(keys: Vec<Version>, expire_before: i64) -> Commit {
    let progress = Progress { live_until: Some(Timestamp::from_secs(9)), ..progress() };
    let (adopted, ledger) = (Vec::new(), Ledger::default());
    Commit { keys, adopted, progress, expire_before: Bucket(expire_before), ledger }
}

fn kept(keys: Vec<Version>) -> Kept {
    let progress = Progress { live_until: Some(Timestamp::from_secs(11)), ..progress() };
    Kept { progress, keys }
}

fn known(state: &mut SqliteState, version: Version) -> bool {
    said(state, version) != Known::No
}

fn said(state: &mut SqliteState, version: Version) -> Known {
    let mut keys = HashMap::from([(version.key(), Known::No)]);
    state.known(&mut keys).unwrap();
    keys[&version.key()]
}

fn asides(dir: &Path) -> usize {
    let names = dir.read_dir().unwrap().map(|entry| entry.unwrap().file_name());
    let is_aside = |name: &std::ffi::OsString| {
        let name = name.to_string_lossy();
        name.contains(".damaged-") && !name.ends_with("-wal") && !name.ends_with("-shm")
    };
    names.filter(is_aside).count()
}

/// Writes over a part of a file that nobody has open.
fn garble(path: &Path, from: usize, to: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[from..to].fill(0xa5);
    std::fs::write(path, bytes).unwrap();
}

/// A state of many pages: a thousand buckets of ten ids; closed.
fn filled(path: &Path) {
    let mut opened = open_at(path, "a");
    let keys = (0..10_000).map(|id| key(id / 10, id as u128)).collect();
    opened.state.commit(&commit(keys, 0)).unwrap();
}

#[test]
fn what_is_committed_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.db");
    let mut opened = open_at(&path, "a");
    assert_eq!(opened.progress, progress());
    assert_eq!(opened.state.commit(&commit(vec![key(1, 7), key(2, 8)], 0)).unwrap(), 2);
    let hash_key = opened.hash_key;
    drop(opened);
    let mut opened = open(&path, "a", Bucket(2), begin, NOW, None).unwrap();
    assert_eq!(opened.progress.live_until, Some(Timestamp::from_secs(9)));
    assert_eq!(opened.hash_key, hash_key);
    assert_eq!(opened.recent, [key(2, 8)]);
    assert!(known(&mut opened.state, key(1, 7)));
    assert!(!known(&mut opened.state, key(1, 8)));
}

/// A version of event 7.
fn saying(content: u64) -> Version {
    Version { content: NonZeroU64::new(content).map(Content), ..key(1, 7) }
}

#[test]
fn of_an_event_the_last_version_that_was_committed_is_known_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.db");
    let mut opened = open_at(&path, "a");
    // The highest bit is a sign to SQLite.
    let last = saying(u64::MAX - 1);
    let versions = vec![saying(1), key(1, 3), saying(3), key(1, 9), last];
    assert_eq!(opened.state.commit(&commit(versions, 0)).unwrap(), 3, "three events");
    assert_eq!(said(&mut opened.state, last), Known::Yes(last.content));
    assert_eq!(opened.state.commit(&commit(vec![key(1, 7)], 0)).unwrap(), 3);
    assert_eq!(said(&mut opened.state, last), Known::Yes(last.content), "nothing else is known");
    drop(opened);
    assert_eq!(open_at(&path, "a").recent, [key(1, 3), last, key(1, 9)]);
}

#[test]
fn what_is_in_doubt_is_taken_for_no_version_until_one_is_committed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.db");
    let mut opened = open_at(&path, "a");
    opened.state.commit(&commit(vec![saying(1)], 0)).unwrap();
    opened.state.doubt(&[saying(1).key(), key(1, 8).key()]).unwrap();
    drop(opened);
    let mut opened = open_at(&path, "a");
    let unsure = Version { content: Some(Content::UNSURE), ..saying(1) };
    assert_eq!(opened.recent, [unsure], "and nothing is made of what was not there");
    let adopted = Commit { adopted: vec![saying(2)], ..commit(vec![], 0) };
    opened.state.commit(&adopted).unwrap();
    assert_eq!(said(&mut opened.state, unsure), Known::Yes(unsure.content));
    opened.state.commit(&commit(vec![saying(2)], 0)).unwrap();
    assert_eq!(said(&mut opened.state, unsure), Known::Yes(saying(2).content));
}

#[test]
fn what_is_adopted_is_noted_of_events_that_are_there_and_only_where_it_is_not_known() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open_at(&dir.path().join("x.db"), "a");
    let adopt = |version| Commit { adopted: vec![version], ..commit(vec![], 0) };
    assert_eq!(opened.state.commit(&adopt(saying(1))).unwrap(), 0);
    assert_eq!(said(&mut opened.state, saying(1)), Known::No);
    opened.state.commit(&commit(vec![key(1, 7)], 0)).unwrap();
    assert_eq!(said(&mut opened.state, saying(1)), Known::Yes(None));
    for later in [1, 2] {
        assert_eq!(opened.state.commit(&adopt(saying(later))).unwrap(), 1);
        assert_eq!(said(&mut opened.state, saying(1)), Known::Yes(saying(1).content));
    }
}

#[test]
fn a_file_of_an_older_version_that_is_damaged_is_carried_over_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.db");
    filled(&path);
    let old = Connection::open(&path).unwrap();
    old.execute_batch("ALTER TABLE ids DROP COLUMN content; PRAGMA user_version = 1; PRAGMA wal_checkpoint(truncate); VACUUM").unwrap();
    drop(old);
    let len = usize::try_from(path.metadata().unwrap().len()).unwrap();
    garble(&path, len / 2 / 4_096 * 4_096, len / 2 / 4_096 * 4_096 + 8_192);
    let error = StateError::Moved;
    let told = replace(&path, &error, None, NOW, &|| true).unwrap();
    assert!(told.contains("ids could be read and were carried over"), "{told}");
    assert!(open_at(&path, "a").recent.len() > 9_000);
}

#[test]
fn what_events_said_is_carried_over_and_what_memory_knows_goes_first() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.db");
    let mut opened = open_at(&path, "a");
    let other = Version { content: saying(5).content, ..key(2, 8) };
    let third = Version { content: saying(6).content, ..key(3, 9) };
    opened.state.commit(&commit(vec![saying(1), other, third], 0)).unwrap();
    std::fs::remove_file(&path).unwrap();
    // Of the second, memory does not know what it said; of the third, nothing.
    let memory = kept(vec![saying(2), key(2, 8)]);
    opened.state.renew(&memory, &StateError::Moved, NOW, &|| true).unwrap();
    drop(opened);
    assert_eq!(open_at(&path, "a").recent, [saying(2), other, third]);
}

#[test]
fn sources_share_a_file_and_not_their_ids() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.db");
    let (mut a, mut b) = (open_at(&path, "a"), open_at(&path, "b"));
    a.state.commit(&commit(vec![key(1, 7)], 0)).unwrap();
    assert!(!known(&mut b.state, key(1, 7)));
}

#[test]
fn expiry_drops_what_is_old_a_bounded_part_at_a_time_and_never_the_untimed() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open_at(&dir.path().join("x.db"), "a");
    let mut keys: Vec<_> = (0..100).map(|bucket| key(bucket, 1)).collect();
    keys.push(EventKey { bucket: Bucket::UNTIMED, id: IdHash(1) }.into());
    assert_eq!(opened.state.commit(&commit(keys, 0)).unwrap(), 101);
    let counts: Vec<_> =
        (0..6).map(|_| opened.state.commit(&commit(vec![], 50)).unwrap()).collect();
    assert_eq!(counts, [89, 77, 65, 53, 51, 51]);
}

#[test]
fn a_garbled_header_loses_the_progress_and_the_file_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.db");
    filled(&path);
    garble(&path, 0, 100);
    let opened = open_at(&path, "a");
    assert!(opened.damage.unwrap().contains("set aside as"));
    assert_eq!(opened.progress, lost(None));
    assert_eq!(asides(dir.path()), 1);
}

#[test]
fn a_file_of_something_else_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fluent-bit.yaml");
    std::fs::write(&path, "pipeline:\n  inputs: []\n".repeat(100)).unwrap();
    let refused = open(&path, "a", Bucket(0), begin, NOW, Some(&|| true)).unwrap_err();
    assert!(matches!(refused, StateError::Foreign), "{refused}");
    let nothing_of_ours = Connection::open(dir.path().join("y.db")).unwrap();
    nothing_of_ours.execute_batch("CREATE TABLE meta (a, b, c)").unwrap();
    let refused = open(&dir.path().join("y.db"), "a", Bucket(0), begin, NOW, None).unwrap_err();
    assert_eq!(refused.trouble(), Trouble::Wrong, "{refused}");
    assert_eq!(asides(dir.path()), 0);
}

#[test]
fn of_a_file_with_a_garbled_page_the_ids_around_it_are_carried_over_and_not_the_progress() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.db");
    filled(&path);
    let hash_key = open_at(&path, "a").hash_key;
    let len = usize::try_from(path.metadata().unwrap().len()).unwrap();
    garble(&path, len / 2 / 4_096 * 4_096, len / 2 / 4_096 * 4_096 + 8_192);
    let opened = open_at(&path, "a");
    assert!(opened.damage.unwrap().contains("were carried over"));
    assert_eq!(opened.hash_key, hash_key);
    let since = opened.progress.newest.expect("until when it was read");
    assert_eq!(since, Timestamp::from_secs(9), "what the old one says is a hint");
    let carried = opened.recent.len();
    assert!((9_000..10_000).contains(&carried), "{carried} ids");
    assert_eq!(opened.recent.first(), Some(&key(0, 0)));
    assert_eq!(opened.recent.last(), Some(&key(999, 9_999)));
    assert_eq!(asides(dir.path()), 1);
}

#[test]
fn a_file_cut_short_is_set_aside_and_begun_anew_whatever_is_left_of_it() {
    for left in [0, 1, 50, 4_096, 10_000, 200_000] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.db");
        filled(&path);
        std::fs::File::options().write(true).open(&path).unwrap().set_len(left).unwrap();
        let opened = open_at(&path, "a");
        assert!(opened.damage.is_some(), "{left} bytes left");
        assert_eq!(opened.progress.origin, lost(None).origin, "{left} bytes left");
        // To SQLite, less than a page is an empty file; there is nothing in it to keep.
        let is_kept = asides(dir.path()) == 1;
        assert!(is_kept || left < 4_096, "{left} bytes left");
    }
}

#[test]
fn of_a_file_set_aside_every_source_keeps_its_ids_and_is_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.db");
    filled(&path);
    let mut b = open_at(&path, "b");
    b.state.commit(&commit(vec![key(3, 3)], 0)).unwrap();
    drop(b);
    let len = usize::try_from(path.metadata().unwrap().len()).unwrap();
    garble(&path, len / 2 / 4_096 * 4_096, len / 2 / 4_096 * 4_096 + 4_096);
    let a = open_at(&path, "a");
    assert!(a.damage.unwrap().contains("set aside as"));
    let b = open_at(&path, "b");
    assert_eq!(b.recent, [key(3, 3)]);
    assert_eq!(b.progress.origin, lost(None).origin);
    assert!(b.damage.unwrap().contains("in a file that was set aside"));
    drop(b.state);
    let b = open_at(&path, "b");
    assert_eq!((b.progress.origin, b.damage), (lost(None).origin, None), "told once");
    assert_eq!(asides(dir.path()), 1);
}

#[test]
fn a_progress_that_cannot_be_is_replaced_and_the_ids_stay() {
    for bad in
        ["{", "null", r#"{"origin":1,"live_until":null,"holes":[{"from":9,"to":8}],"sweeps":[]}"#]
    {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.db");
        let mut opened = open_at(&path, "a");
        opened.state.commit(&commit(vec![key(1, 7)], 0)).unwrap();
        opened.state.connection.execute("UPDATE sources SET progress = ?1", [bad]).unwrap();
        drop(opened);
        let opened = open_at(&path, "a");
        assert!(opened.damage.unwrap().contains("the stored progress is damaged"), "{bad}");
        assert_eq!(opened.progress.origin, lost(None).origin, "{bad}");
        assert_eq!(opened.recent, [key(1, 7)], "{bad}");
        assert_eq!(asides(dir.path()), 0, "{bad}");
    }
}

#[test]
fn a_state_that_is_gone_at_a_start_is_not_taken_for_a_first_start() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.db");
    drop(open_at(&path, "a"));
    for part in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(dir.path().join(format!("x.db{part}")));
    }
    let opened = open_at(&path, "a");
    assert_eq!(opened.progress, lost(None));
    assert!(opened.damage.unwrap().contains("is gone"));
    assert_eq!(open_at(&path, "b").progress, progress(), "another's first start is one");
}

#[test]
fn a_state_damaged_while_it_runs_goes_on_in_a_new_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.db");
    filled(&path);
    let mut opened = open_at(&path, "a");
    let len = usize::try_from(path.metadata().unwrap().len()).unwrap();
    garble(&path, 4_096, len);
    opened.state.connection.execute_batch("PRAGMA shrink_memory").unwrap();
    let error = opened.state.commit(&commit(vec![key(5, 77_777)], 0)).unwrap_err();
    assert_eq!(error.trouble(), Trouble::Lost, "{error}");
    let memory = (9_000..10_000).map(|id| key(id / 10, id as u128)).collect();
    let renewed = opened.state.renew(&kept(memory), &error, NOW, &|| true).unwrap();
    assert!(renewed.same_key && renewed.what.contains("set aside as"), "{}", renewed.what);
    assert!(opened.state.commit(&commit(vec![key(5, 77_777)], 0)).unwrap() >= 1_001);
    drop(opened.state);
    let again = open_at(&path, "a");
    assert_eq!((again.hash_key, again.damage), (opened.hash_key, None));
    assert!(again.recent.contains(&key(5, 77_777)) && again.recent.contains(&key(950, 9_500)));
    assert_eq!(asides(dir.path()), 1);
}

#[test]
fn a_state_deleted_while_it_runs_goes_on_in_a_new_file_with_all_its_ids() {
    let dir = tempfile::tempdir().unwrap();
    let (home, path) = (dir.path().join("home"), dir.path().join("home/x.db"));
    std::fs::create_dir(&home).unwrap();
    let (mut a, mut b) = (open_at(&path, "a"), open_at(&path, "b"));
    a.state.commit(&commit(vec![key(1, 7), key(2, 8)], 0)).unwrap();
    b.state.commit(&commit(vec![key(1, 9)], 0)).unwrap();
    std::fs::remove_dir_all(&home).unwrap();
    let moved = a.state.commit(&commit(vec![], 0)).unwrap_err();
    assert!(matches!(moved, StateError::Moved));
    // Nowhere to go yet.
    a.state.renew(&kept(vec![]), &moved, NOW, &|| true).unwrap_err();
    std::fs::create_dir(&home).unwrap();
    for (state, ids) in [(&mut a.state, 2), (&mut b.state, 1)] {
        let renewed = state.renew(&kept(vec![]), &moved, NOW, &|| true).unwrap();
        assert!(renewed.same_key);
        assert_eq!(state.commit(&commit(vec![], 0)).unwrap(), ids);
    }
    assert!(matches!(SourceLock::take(&path, "a"), Err(StateError::Taken(_))));
    assert_eq!(asides(&home), 0);
    drop((a.state, b.state));
    let (a, b) = (open_at(&path, "a"), open_at(&path, "b"));
    assert_eq!((a.recent, a.damage), (vec![key(1, 7), key(2, 8)], None));
    assert_eq!((b.recent, b.damage), (vec![key(1, 9)], None));
    assert_eq!(a.hash_key, b.hash_key);
}

#[test]
fn of_a_state_whose_file_alone_is_deleted_all_is_carried_over() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.db");
    filled(&path);
    let (mut a, mut b) = (open_at(&path, "a"), open_at(&path, "b"));
    b.state.commit(&commit(vec![key(1, 9)], 0)).unwrap();
    // The log and its index stay where they are.
    std::fs::remove_file(&path).unwrap();
    for (state, ids) in [(&mut a.state, 10_000), (&mut b.state, 1)] {
        let moved = state.commit(&commit(vec![], 0)).unwrap_err();
        let renewed = state.renew(&kept(vec![]), &moved, NOW, &|| true).unwrap();
        let told = format!("all of its {ids} ids were carried over");
        assert!(renewed.what.contains(&told), "{}", renewed.what);
        assert_eq!(state.commit(&commit(vec![], 0)).unwrap(), ids);
    }
    drop((a.state, b.state));
    assert_eq!(open_at(&path, "a").recent.len(), 10_000);
}

/// Records in the ledger, a source each.
fn counted(path: &Path) -> Vec<u64> {
    let sum = |source: crate::state::look::Source| -> u64 {
        source.hours.unwrap().iter().map(|row| row.counts.records).sum()
    };
    crate::state::look::look(path).unwrap().into_iter().map(sum).collect()
}

#[test]
fn the_ledger_moves_over_with_the_ids_and_counts_nothing_twice() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.db");
    filled(&path);
    let (mut a, mut b) = (open_at(&path, "a"), open_at(&path, "b"));
    for (state, records) in [(&mut a.state, 3), (&mut b.state, 2)] {
        let mut ledger = Ledger::default();
        (0..records).for_each(|_| ledger.record(Bucket::of(NOW), false, NOW));
        state.commit(&Commit { ledger, ..commit(vec![], 0) }).unwrap();
    }
    std::fs::remove_file(&path).unwrap();
    for state in [&mut a.state, &mut b.state] {
        let moved = state.commit(&commit(vec![], 0)).unwrap_err();
        state.renew(&kept(vec![]), &moved, NOW, &|| true).unwrap();
    }
    assert_eq!(counted(&path), [3, 2], "while it runs");
    drop((a, b));
    let len = usize::try_from(path.metadata().unwrap().len()).unwrap();
    garble(&path, len / 2 / 4_096 * 4_096, len / 2 / 4_096 * 4_096 + 4_096);
    let a = open_at(&path, "a");
    assert!(a.damage.is_some());
    assert_eq!(counted(&path), [3, 2], "at a start");
    let old = schema::open_aside(&path).unwrap();
    hours::carry(&old, a.state.source, &a.state.connection, a.state.source);
    assert_eq!(counted(&path), [3, 2], "carried over once more");
}

#[test]
fn a_sound_file_that_was_away_for_a_moment_is_not_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    let (path, away) = (dir.path().join("x.db"), dir.path().join("y.db"));
    let mut opened = open_at(&path, "a");
    std::fs::rename(&path, &away).unwrap();
    let moved = opened.state.commit(&commit(vec![key(1, 7)], 0)).unwrap_err();
    std::fs::rename(&away, &path).unwrap();
    assert!(opened.state.renew(&kept(vec![]), &moved, NOW, &|| true).unwrap().same_key);
    assert_eq!(opened.state.commit(&commit(vec![key(1, 7)], 0)).unwrap(), 1);
    assert_eq!(asides(dir.path()), 0);
}

#[test]
fn a_damaged_file_is_left_as_it_is_until_someone_has_the_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.db");
    filled(&path);
    let len = usize::try_from(path.metadata().unwrap().len()).unwrap();
    garble(&path, len / 2 / 4_096 * 4_096, len / 2 / 4_096 * 4_096 + 8_192);
    let error = open(&path, "a", Bucket(0), begin, NOW, None).unwrap_err();
    assert_eq!(error.trouble(), Trouble::Lost, "{error}");
    let stopped = open(&path, "a", Bucket(0), begin, NOW, Some(&|| false)).unwrap_err();
    assert!(matches!(stopped, StateError::Stopped), "{stopped}");
    assert_eq!(asides(dir.path()), 0);
    let damage = open_at(&path, "a").damage.unwrap();
    assert!(damage.contains("ids could be read and were carried over"), "{damage}");
    assert_eq!(asides(dir.path()), 1);
}

#[test]
fn a_damaged_progress_leaves_a_hint_of_when_it_was_last_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.db");
    filled(&path);
    let len = usize::try_from(path.metadata().unwrap().len()).unwrap();
    garble(&path, len / 2 / 4_096 * 4_096, len / 2 / 4_096 * 4_096 + 8_192);
    let written = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_234_567);
    std::fs::File::options().write(true).open(&path).unwrap().set_modified(written).unwrap();
    let hint = |beginning: &Beginning| match beginning {
        Beginning::Lost(loss) => lost(loss.written),
        Beginning::First => progress(),
    };
    let opened = open(&path, "a", Bucket(0), hint, NOW, Some(&|| true)).unwrap();
    assert_eq!(opened.progress.newest, Some(Timestamp::from_secs(1_234_567)));
}

#[test]
fn a_file_that_hashes_ids_otherwise_gets_the_progress_and_no_ids() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.db");
    let mut a = open_at(&path, "a");
    a.state.commit(&commit(vec![key(1, 7)], 0)).unwrap();
    for part in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(dir.path().join(format!("x.db{part}")));
    }
    drop(open_at(&path, "b"));
    let renewed = a.state.renew(&kept(vec![key(1, 7)]), &StateError::Moved, NOW, &|| true);
    assert!(!renewed.unwrap().same_key);
    drop(a.state);
    let again = open_at(&path, "a");
    assert_eq!(again.progress, kept(vec![]).progress);
    assert!(again.recent.is_empty() && again.hash_key != a.hash_key);
}

#[test]
fn a_file_of_a_newer_version_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.db");
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let error = open(&path, "a", Bucket(0), begin, NOW, Some(&|| true)).unwrap_err();
    assert!(error.to_string().contains("version 99"), "{error}");
    assert_eq!(error.trouble(), Trouble::Wrong);
}

#[test]
fn a_path_where_nothing_has_been_and_nothing_can_be_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let taken = dir.path().join("file");
    std::fs::write(&taken, "").unwrap();
    for path in [dir.path().join("no/x.db"), taken.join("x.db"), dir.path().to_owned()] {
        let error = open(&path, "a", Bucket(0), begin, NOW, Some(&|| true)).unwrap_err();
        assert_eq!(error.trouble(), Trouble::Wrong, "{path:?}: {error}");
    }
}

#[test]
fn a_file_that_another_holds_for_long_may_be_had_later() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.db");
    let mut opened = open_at(&path, "a");
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let running = opened.state.commit(&commit(vec![key(1, 7)], 0)).unwrap_err();
    let starting = open(&path, "b", Bucket(0), begin, NOW, None).unwrap_err();
    for error in [running, starting] {
        assert_eq!(error.trouble(), Trouble::Passing, "{error}");
    }
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(opened.state.commit(&commit(vec![key(1, 7)], 0)).unwrap(), 1);
    open_at(&path, "b");
}
