//! The state in a SQLite file that several sources share: WAL, every commit synced.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, TransactionBehavior, params};

use super::lock::{SourceLock, identity};
use super::rescue::{carry, last_written, replace, told};
use super::turn::Turn;
use super::{Opened, Renewed, State, StateError, Trouble, hours, schema};
use crate::model::{Bucket, EventKey, IdHash, Timestamp};
use crate::poll::progress::{Beginning, Commit, Kept, Loss, Progress};

/// One commit drops the ids of so many buckets at most: expiry never makes a commit long.
const BUCKETS_DROPPED_MAX: i64 = 12;

/// The state of one source in a SQLite file.
#[derive(Debug)]
pub struct SqliteState {
    connection: Connection,
    source: i64,
    ids: u64,
    name: String,
    path: PathBuf,
    /// Which file it is.
    identity: Option<(u64, u64)>,
    hash_key: [u8; 16],
    lock: SourceLock,
}

/// A source's rows, read from a file that has been opened.
struct Found {
    connection: Connection,
    identity: Option<(u64, u64)>,
    hash_key: [u8; 16],
    id: i64,
    progress: Progress,
    ids: u64,
    recent: Vec<EventKey>,
    damage: Option<String>,
}

/// Opens the state of a source with the ids from the bucket `from` on, and creates what is missing; `begin`
/// says how a source begins that has no progress.
///
/// A damaged file is set aside under a new name, never deleted, and what ids it still shows are carried over, which
/// takes long: only if there is a `go_on`, and for as long as that says so.
///
/// # Errors
/// If the file cannot be opened or created, or is not one of ours, or another instance has the source; if
/// it is damaged, and there is no `go_on`.
pub fn open(
    path: &Path,
    source: &str,
    from: Bucket,
    begin: impl Fn(&Beginning) -> Progress,
    now: Timestamp,
    go_on: Option<&dyn Fn() -> bool>,
) -> Result<Opened<SqliteState>, StateError> {
    let lock = SourceLock::take(path, source)?;
    if path.is_dir() {
        return Err(StateError::Directory);
    }
    let had_state = lock.had_state();
    let read = || -> Result<Found, StateError> {
        let (connection, hash_key) = schema::open(path, None)?;
        let identity = identity(path);
        let (id, progress, ids, damage) = find_or_begin(&connection, source, had_state, &begin)?;
        let mut recent = Vec::new();
        show_from(&connection, id, from, &mut |key| recent.push(key))?;
        Ok(Found { connection, identity, hash_key, id, progress, ids, recent, damage })
    };
    let (before, written) = (identity(path), last_written(path));
    let found = match before {
        Some(_) => read(),
        None => {
            let _turn = Turn::begin(path)?;
            if identity(path).is_none() {
                schema::clear_leftovers(path)?;
            }
            read()
        }
    };
    let (found, set_aside) = match (found, go_on) {
        (Ok(found), _) => (found, None),
        (Err(error), Some(go_on)) if error.trouble() == Trouble::Lost => {
            let _turn = Turn::begin(path)?;
            // Else someone has replaced it meanwhile.
            let is_same = identity(path) == before;
            let told = is_same.then(|| replace(path, &error, written, now, go_on)).transpose()?;
            (read()?, told)
        }
        (Err(error @ StateError::Sqlite(_)), _) if error.trouble() == Trouble::Wrong => {
            return Err(StateError::Foreign);
        }
        (Err(error), _) => return Err(error),
    };
    lock.has_state();
    let warning = lock.unseen.clone();
    let state = SqliteState {
        connection: found.connection,
        source: found.id,
        ids: found.ids,
        name: source.to_owned(),
        path: path.to_owned(),
        identity: found.identity,
        hash_key: found.hash_key,
        lock,
    };
    Ok(Opened {
        state,
        progress: found.progress,
        hash_key: found.hash_key,
        recent: found.recent,
        recent_from: from,
        damage: set_aside.or(found.damage),
        warning,
    })
}

/// A source's row: its id, progress and count of ids; and what is wrong with its progress, if anything is.
fn find_or_begin(
    connection: &Connection,
    source: &str,
    had_state: bool,
    begin: &impl Fn(&Beginning) -> Progress,
) -> Result<(i64, Progress, u64, Option<String>), StateError> {
    let (ids, beginning, damage) = match schema::find(connection, source)? {
        Some(found) => match sound(&found.progress) {
            Ok(progress) => return Ok((found.id, progress, found.ids, None)),
            Err(unsound) => (found.ids, Beginning::Lost(unsound.0), Some(unsound.1)),
        },
        None if had_state => {
            let problem = "the state of this source is gone, though it has had one; records may come again, and what happened earlier than sweeps reach is not read. To begin anew on purpose, stop it and delete the lock files as well";
            (0, Beginning::Lost(Loss::default()), Some(problem.to_owned()))
        }
        None => (0, Beginning::First, None),
    };
    let progress = begin(&beginning);
    let id = schema::put(connection, source, &serde_json::to_string(&progress)?)?;
    Ok((id, progress, ids, damage))
}

/// A stored progress, if it can be right; else what is left of it, and what is wrong.
fn sound(progress: &str) -> Result<Progress, Box<(Loss, String)>> {
    let problem = |problem: &str| {
        format!("the stored progress is damaged: {problem}; as much is read again as sweeps reach")
    };
    if let Some(loss) = schema::as_lost(progress) {
        return Err(Box::new((loss, problem("it was in a file that was set aside"))));
    }
    let parsed: Progress = serde_json::from_str(progress)
        .map_err(|error| Box::new((Loss::default(), problem(&error.to_string()))))?;
    match parsed.contradiction() {
        Some(contradiction) => {
            let loss = Loss { progress: Some(parsed), written: None };
            Err(Box::new((loss, problem(contradiction))))
        }
        None => Ok(parsed),
    }
}

pub(super) fn key_of(row: &rusqlite::Row<'_>) -> rusqlite::Result<EventKey> {
    let id = IdHash(u128::from_be_bytes(row.get(1)?));
    Ok(EventKey { bucket: Bucket(row.get(0)?), id })
}

/// Returns how many of them were not there.
pub(super) fn insert(
    connection: &Connection,
    source: i64,
    keys: &[EventKey],
) -> rusqlite::Result<u64> {
    let mut statement =
        connection.prepare_cached("INSERT OR IGNORE INTO ids VALUES (?1, ?2, ?3)")?;
    let mut inserted = 0;
    for key in keys {
        inserted += statement.execute(params![source, key.bucket.0, key.id.0.to_be_bytes()])?;
    }
    Ok(inserted as u64)
}

fn show_from(
    connection: &Connection,
    source: i64,
    from: Bucket,
    show: &mut dyn FnMut(EventKey),
) -> Result<(), StateError> {
    let query = "SELECT bucket, id FROM ids WHERE source = ?1 AND bucket >= ?2 ORDER BY bucket, id";
    let mut statement = connection.prepare_cached(query)?;
    for key in statement.query_map(params![source, from.0], key_of)? {
        show(key?);
    }
    Ok(())
}

impl SqliteState {
    /// Whether the file that is written to is the one that the next start would find.
    ///
    /// # Errors
    /// If it is not.
    pub fn in_place(&self) -> Result<(), StateError> {
        let here = identity(&self.path);
        if here.is_some() && here == self.identity { Ok(()) } else { Err(StateError::Moved) }
    }

    /// Opens the file that is to be written to from now on: a new one, unless someone has put one there. Only
    /// for the one whose turn it is.
    fn next_file(&self, error: &StateError, now: Timestamp) -> Result<NextFile, StateError> {
        let mut aside = None;
        if self.in_place().is_ok() {
            aside = Some(schema::set_aside(&self.path, error, now)?);
        } else if identity(&self.path).is_none() {
            schema::clear_leftovers(&self.path)?;
        }
        let opened = match schema::open(&self.path, Some(self.hash_key)) {
            Err(error) if error.trouble() == Trouble::Lost && aside.is_none() => {
                aside = Some(schema::set_aside(&self.path, &error, now)?);
                schema::open(&self.path, Some(self.hash_key))
            }
            opened => opened,
        };
        let (connection, hash_key) = opened?;
        if let Some(aside) = &aside {
            schema::same_mode(aside, &self.path);
        }
        Ok(NextFile { connection, identity: identity(&self.path), hash_key, aside })
    }
}

/// A file that is to be written to from now on.
struct NextFile {
    connection: Connection,
    identity: Option<(u64, u64)>,
    hash_key: [u8; 16],
    /// What had to be set aside for it.
    aside: Option<PathBuf>,
}

impl State for SqliteState {
    fn known(&mut self, keys: &mut HashMap<EventKey, bool>) -> Result<(), StateError> {
        let mut sorted: Vec<EventKey> = keys.keys().copied().collect();
        sorted.sort_unstable();
        let query = "SELECT 1 FROM ids WHERE source = ?1 AND bucket = ?2 AND id = ?3";
        let mut statement = self.connection.prepare_cached(query)?;
        for key in sorted {
            let found =
                statement.exists(params![self.source, key.bucket.0, key.id.0.to_be_bytes()])?;
            keys.insert(key, found);
        }
        Ok(())
    }

    fn commit(&mut self, commit: &Commit) -> Result<u64, StateError> {
        self.in_place()?;
        let progress = serde_json::to_string(&commit.progress)?;
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut keys = commit.keys.clone();
        keys.sort_unstable();
        let ids = self.ids + insert(&transaction, self.source, &keys)?;
        let ids = ids.saturating_sub(expire(&transaction, self.source, commit.expire_before)?);
        let update = "UPDATE sources SET progress = ?2, ids = ?3 WHERE id = ?1";
        let stored_ids = i64::try_from(ids).unwrap_or(i64::MAX);
        let updated = transaction.prepare_cached(update)?.execute(params![
            self.source,
            progress,
            stored_ids
        ])?;
        if updated == 0 {
            return Err(rusqlite::Error::QueryReturnedNoRows.into());
        }
        hours::add(&transaction, self.source, &commit.ledger)?;
        transaction.commit()?;
        self.ids = ids;
        Ok(ids)
    }

    fn renew(
        &mut self,
        kept: &Kept,
        error: &StateError,
        now: Timestamp,
        go_on: &dyn Fn() -> bool,
    ) -> Result<Renewed, StateError> {
        let progress = serde_json::to_string(&kept.progress)?;
        let _turn = Turn::begin(&self.path)?;
        self.lock.retake()?;
        self.lock.has_state();
        if matches!(error, StateError::Moved) && self.in_place().is_ok() {
            return Ok(Renewed { what: format!("{error}; it is back"), same_key: true });
        }
        let mut next = self.next_file(error, now)?;
        let same_key = next.hash_key == self.hash_key;
        let transaction =
            next.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let source = schema::put(&transaction, &self.name, &progress)?;
        if same_key {
            insert(&transaction, source, &kept.keys)?;
        }
        transaction.commit()?;
        if !same_key {
            let what = format!("{error}; the new one hashes ids otherwise: records may come again");
            return Ok(Renewed { what, same_key });
        }
        let carried = carry(&self.connection, self.source, &mut next.connection, source, go_on)?;
        hours::carry(&self.connection, self.source, &next.connection, source);
        (self.source, self.ids, self.identity) = (source, carried.ids, next.identity);
        self.connection = next.connection;
        Ok(Renewed { what: told(error, next.aside.as_deref(), Ok(carried)), same_key })
    }
}

/// Drops the oldest ids, if they are old enough. Returns how many.
fn expire(connection: &Connection, source: i64, before: Bucket) -> Result<u64, StateError> {
    let oldest = "SELECT min(bucket) FROM ids WHERE source = ?1 AND bucket > ?2";
    let oldest: Option<i64> = connection
        .prepare_cached(oldest)?
        .query_row(params![source, Bucket::UNTIMED.0], |row| row.get(0))?;
    let Some(oldest) = oldest.filter(|oldest| *oldest < before.0) else { return Ok(0) };
    let end = before.0.min(oldest + BUCKETS_DROPPED_MAX);
    let delete = "DELETE FROM ids WHERE source = ?1 AND bucket >= ?2 AND bucket < ?3";
    Ok(connection.prepare_cached(delete)?.execute(params![source, oldest, end])? as u64)
}

#[cfg(test)]
mod tests {
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

    fn key(bucket: i64, id: u128) -> EventKey {
        EventKey { bucket: Bucket(bucket), id: IdHash(id) }
    }

    fn commit(keys: Vec<EventKey>, expire_before: i64) -> Commit {
        let progress = Progress { live_until: Some(Timestamp::from_secs(9)), ..progress() };
        Commit { keys, progress, expire_before: Bucket(expire_before), ledger: Ledger::default() }
    }

    fn kept(keys: Vec<EventKey>) -> Kept {
        let progress = Progress { live_until: Some(Timestamp::from_secs(11)), ..progress() };
        Kept { progress, keys }
    }

    fn known(state: &mut SqliteState, key: EventKey) -> bool {
        let mut keys = HashMap::from([(key, false)]);
        state.known(&mut keys).unwrap();
        keys[&key]
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
        keys.push(EventKey { bucket: Bucket::UNTIMED, id: IdHash(1) });
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
        for bad in [
            "{",
            "null",
            r#"{"origin":1,"live_until":null,"holes":[{"from":9,"to":8}],"sweeps":[]}"#,
        ] {
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
}
