//! The state in a SQLite file that several sources share: WAL, every commit synced.

use std::collections::HashMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OptionalExtension, TransactionBehavior, params};

use super::{Opened, State, StateError};
use crate::model::{Bucket, EventKey, IdHash, Timestamp};
use crate::poll::progress::{Commit, Progress};

/// How long to wait for another source's commit to the same file.
const BUSY: Duration = Duration::from_millis(1_000);

/// The format of the file.
const SCHEMA_VERSION: i64 = 1;

const SCHEMA: &str = "
    CREATE TABLE meta (
        key TEXT PRIMARY KEY,
        value BLOB NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE sources (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        progress TEXT NOT NULL,
        ids INTEGER NOT NULL
    );
    CREATE TABLE ids (
        source INTEGER NOT NULL,
        bucket INTEGER NOT NULL,
        id BLOB NOT NULL,
        PRIMARY KEY (source, bucket, id)
    ) WITHOUT ROWID;
";

/// One commit drops the ids of so many buckets at most: expiry never makes a commit long.
const BUCKETS_DROPPED_MAX: i64 = 12;

/// The state of one source in a SQLite file.
#[derive(Debug)]
pub struct SqliteState {
    connection: Connection,
    source: i64,
    ids: u64,
}

/// Opens the state of a source, and creates what is missing; `first` is its progress if it is new.
///
/// A damaged file is set aside under a new name, never deleted.
///
/// # Errors
/// If the file cannot be opened or created, or was written by a newer version.
pub fn open(
    path: &Path,
    source: &str,
    first: impl Fn() -> Progress,
    now: Timestamp,
) -> Result<Opened<SqliteState>, StateError> {
    match open_once(path, source, &first) {
        Err(StateError::Sqlite(error)) if is_damage(&error) => {
            let aside = set_aside(path, now)?;
            let mut opened = open_once(path, source, &first)?;
            let damage = format!(
                "{error}; the damaged file was set aside as {}, records may come again",
                aside.display()
            );
            opened.damage = Some(damage);
            Ok(opened)
        }
        result => result,
    }
}

fn open_once(
    path: &Path,
    source: &str,
    first: &impl Fn() -> Progress,
) -> Result<Opened<SqliteState>, StateError> {
    let is_new = !path.exists();
    let mut connection = Connection::open(path)?;
    if is_new {
        // By its path: to open and close the file here would release the locks that other sources of
        // this process have on it. What SQLite creates beside it gets the same mode.
        let _ = std::fs::set_permissions(path, Permissions::from_mode(0o600));
    }
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.set_prepared_statement_cache_capacity(16);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    migrate(&transaction)?;
    let hash_key = hash_key(&transaction)?;
    let (id, progress, ids) = find_or_insert(&transaction, source, first)?;
    transaction.commit()?;
    let state = SqliteState { connection, source: id, ids };
    Ok(Opened { state, progress, hash_key, damage: None })
}

fn migrate(connection: &Connection) -> Result<(), StateError> {
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    match found {
        SCHEMA_VERSION => Ok(()),
        0 => {
            connection.execute_batch(SCHEMA)?;
            Ok(connection.pragma_update(None, "user_version", SCHEMA_VERSION)?)
        }
        found => Err(StateError::Newer { found, known: SCHEMA_VERSION }),
    }
}

/// The key that ids are hashed with: random, made by SQLite when the file is, so that nobody who
/// picks ids can make them collide.
fn hash_key(connection: &Connection) -> Result<[u8; 16], StateError> {
    connection.execute("INSERT OR IGNORE INTO meta VALUES ('hash_key', randomblob(16))", [])?;
    let query = "SELECT value FROM meta WHERE key = 'hash_key'";
    Ok(connection.query_row(query, [], |row| row.get(0))?)
}

fn find_or_insert(
    connection: &Connection,
    source: &str,
    first: &impl Fn() -> Progress,
) -> Result<(i64, Progress, u64), StateError> {
    let query = "SELECT id, progress, ids FROM sources WHERE name = ?1";
    let found: Option<(i64, String, i64)> = connection
        .query_row(query, [source], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    if let Some((id, progress, ids)) = found {
        return Ok((id, serde_json::from_str(&progress)?, u64::try_from(ids).unwrap_or(0)));
    }
    let progress = first();
    let insert = "INSERT INTO sources (name, progress, ids) VALUES (?1, ?2, 0)";
    connection.execute(insert, params![source, serde_json::to_string(&progress)?])?;
    Ok((connection.last_insert_rowid(), progress, 0))
}

fn is_damage(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(code, Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// Renames the file and what belongs to it.
fn set_aside(path: &Path, now: Timestamp) -> Result<PathBuf, StateError> {
    let renamed = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!("{suffix}.damaged-{}", now.as_secs()));
        PathBuf::from(name)
    };
    for suffix in ["-wal", "-shm"] {
        let mut part = path.as_os_str().to_owned();
        part.push(suffix);
        if Path::new(&part).exists() {
            std::fs::rename(&part, renamed(suffix))?;
        }
    }
    std::fs::rename(path, renamed(""))?;
    Ok(renamed(""))
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
        let progress = serde_json::to_string(&commit.progress)?;
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut keys = commit.keys.clone();
        keys.sort_unstable();
        let mut ids = self.ids;
        {
            let insert = "INSERT OR IGNORE INTO ids VALUES (?1, ?2, ?3)";
            let mut statement = transaction.prepare_cached(insert)?;
            for key in keys {
                let row = params![self.source, key.bucket.0, key.id.0.to_be_bytes()];
                ids += statement.execute(row)? as u64;
            }
        }
        ids = ids.saturating_sub(expire(&transaction, self.source, commit.expire_before)?);
        let update = "UPDATE sources SET progress = ?2, ids = ?3 WHERE id = ?1";
        let stored_ids = i64::try_from(ids).unwrap_or(i64::MAX);
        transaction.prepare_cached(update)?.execute(params![self.source, progress, stored_ids])?;
        transaction.commit()?;
        self.ids = ids;
        Ok(ids)
    }

    fn recent(&mut self, from: Bucket, show: &mut dyn FnMut(EventKey)) -> Result<(), StateError> {
        let query =
            "SELECT bucket, id FROM ids WHERE source = ?1 AND bucket >= ?2 ORDER BY bucket, id";
        let mut statement = self.connection.prepare_cached(query)?;
        let mut rows = statement.query(params![self.source, from.0])?;
        while let Some(row) = rows.next()? {
            let id = IdHash(u128::from_be_bytes(row.get(1)?));
            show(EventKey { bucket: Bucket(row.get(0)?), id });
        }
        Ok(())
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

    fn progress() -> Progress {
        Progress::new(Timestamp::from_secs(5))
    }

    fn open_at(path: &Path, source: &str) -> Opened<SqliteState> {
        open(path, source, progress, Timestamp::from_secs(7)).unwrap()
    }

    fn key(bucket: i64, id: u128) -> EventKey {
        EventKey { bucket: Bucket(bucket), id: IdHash(id) }
    }

    fn commit(keys: Vec<EventKey>, expire_before: i64) -> Commit {
        let progress = Progress { live_until: Some(Timestamp::from_secs(9)), ..progress() };
        Commit { keys, progress, expire_before: Bucket(expire_before) }
    }

    fn known(state: &mut SqliteState, key: EventKey) -> bool {
        let mut keys = HashMap::from([(key, false)]);
        state.known(&mut keys).unwrap();
        keys[&key]
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
        let mut opened = open_at(&path, "a");
        assert_eq!(opened.progress.live_until, Some(Timestamp::from_secs(9)));
        assert_eq!(opened.hash_key, hash_key);
        assert!(known(&mut opened.state, key(1, 7)));
        assert!(!known(&mut opened.state, key(1, 8)));
        let mut recent = Vec::new();
        opened.state.recent(Bucket(2), &mut |key| recent.push(key)).unwrap();
        assert_eq!(recent, [key(2, 8)]);
    }

    #[test]
    fn only_the_owner_can_read_what_is_created_and_a_mode_that_was_set_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.db");
        let modes = || -> Vec<(String, u32)> {
            let entries = std::fs::read_dir(dir.path()).unwrap().map(Result::unwrap);
            let mode = |it: &std::fs::DirEntry| it.metadata().unwrap().permissions().mode() & 0o777;
            entries.map(|it| (it.file_name().into_string().unwrap(), mode(&it))).collect()
        };
        let _lock = crate::state::lock::SourceLock::take(&path, "a").unwrap();
        let mut opened = open_at(&path, "a");
        opened.state.commit(&commit(vec![key(1, 7)], 0)).unwrap();
        assert_eq!(modes().len(), 4, "lock, database, log and index: {:?}", modes());
        assert!(modes().iter().all(|(_, mode)| *mode == 0o600), "{:?}", modes());
        drop(opened);
        std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let _opened = open_at(&path, "a");
        assert!(modes().contains(&("x.db".to_owned(), 0o640)), "{:?}", modes());
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
    fn a_damaged_file_is_set_aside_and_reported() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.db");
        std::fs::write(&path, "this is no database, and long enough to be read as a header")
            .unwrap();
        let opened = open_at(&path, "a");
        assert!(opened.damage.unwrap().contains("set aside"));
        assert!(dir.path().join("x.db.damaged-7").exists());
    }

    #[test]
    fn a_file_of_a_newer_version_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.db");
        Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
        let error = open(&path, "a", progress, Timestamp::from_secs(7)).unwrap_err().to_string();
        assert!(error.contains("version 99"), "{error}");
    }
}
