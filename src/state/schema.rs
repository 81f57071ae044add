//! The file's format, and how an older one becomes the present one.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OptionalExtension, TransactionBehavior, params};

use super::trouble::code;
use super::{StateError, lock};
use crate::model::Timestamp;
use crate::poll::progress::Loss;

/// How long to wait for another source's commit to the same file.
const BUSY: Duration = Duration::from_millis(1_000);

/// The steps from each version of the format to the next. An empty file is version 0. A step that was
/// ever released is never changed: files out there have taken it.
pub(super) const STEPS: &[&str] = &[
    "
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
",
    "
    CREATE TABLE hours (
        source INTEGER NOT NULL,
        hour INTEGER NOT NULL,
        records INTEGER NOT NULL,
        duplicates INTEGER NOT NULL,
        late INTEGER NOT NULL,
        first_at INTEGER,
        first_kind TEXT,
        last_at INTEGER,
        last_kind TEXT,
        gap_at INTEGER,
        PRIMARY KEY (source, hour)
    ) WITHOUT ROWID;
",
    // A hash of what the event last said; null where that was never noted.
    "ALTER TABLE ids ADD COLUMN content INTEGER;
",
];

/// Stands before what is left of a progress that is lost.
const LOST: &str = "lost";

/// A source's row.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) id: i64,
    pub(super) progress: String,
    pub(super) ids: u64,
}

/// Opens a file of the present format, made or migrated if need be; `key` is for one that has none.
pub(super) fn open(
    path: &Path,
    key: Option<[u8; 16]>,
) -> Result<(Connection, [u8; 16]), StateError> {
    let is_new = !path.exists();
    let mut connection = Connection::open(path).map_err(|error| at_first(path, error))?;
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
    migrate(&transaction, STEPS)?;
    let key = hash_key(&transaction, key)?;
    transaction.commit()?;
    Ok((connection, key))
}

/// Opens a file that is set aside, to read what can still be read.
pub(super) fn open_aside(path: &Path) -> Result<Connection, StateError> {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    Ok(Connection::open_with_flags(path, flags)?)
}

/// Where no file has ever been, and none can be made, the path is wrong; else it may be had again.
fn at_first(path: &Path, error: rusqlite::Error) -> StateError {
    if code(&error) == Some(ErrorCode::CannotOpen) && !path.exists() {
        return StateError::NoPlace(error.to_string());
    }
    error.into()
}

/// Takes the steps that a file lacks; the caller's transaction makes it all of them or none.
fn migrate(connection: &Connection, steps: &[&str]) -> Result<(), StateError> {
    let known = i64::try_from(steps.len()).unwrap_or(i64::MAX);
    let missing = missing(connection, steps)?;
    missing.iter().try_for_each(|step| connection.execute_batch(step))?;
    if !missing.is_empty() {
        connection.pragma_update(None, "user_version", known)?;
    }
    Ok(())
}

/// The steps that a file lacks.
fn missing<'s>(connection: &Connection, steps: &'s [&'s str]) -> Result<&'s [&'s str], StateError> {
    let known = i64::try_from(steps.len()).unwrap_or(i64::MAX);
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let missing = usize::try_from(found).ok().and_then(|found| steps.get(found..));
    missing.ok_or(StateError::Newer { found, known })
}

/// Whether a file is of a version that is known here, the present one or an older one, and has a ledger yet.
pub(super) fn has_ledger(connection: &Connection) -> Result<bool, StateError> {
    let has = |table: &str| {
        let query = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1";
        connection.prepare(query)?.exists([table])
    };
    missing(connection, STEPS)?;
    if has("sources")? { Ok(has("hours")?) } else { Err(StateError::Foreign) }
}

/// The key that ids are hashed with: random, made by SQLite when the file is, so that nobody who
/// picks ids can make them collide.
fn hash_key(connection: &Connection, key: Option<[u8; 16]>) -> Result<[u8; 16], StateError> {
    let insert = "INSERT OR IGNORE INTO meta VALUES ('hash_key', coalesce(?1, randomblob(16)))";
    connection.execute(insert, [key])?;
    Ok(stored_key(connection)?)
}

pub(super) fn stored_key(connection: &Connection) -> rusqlite::Result<[u8; 16]> {
    let query = "SELECT value FROM meta WHERE key = 'hash_key'";
    connection.query_row(query, [], |row| row.get(0))
}

pub(super) fn find(connection: &Connection, source: &str) -> Result<Option<Source>, StateError> {
    let query = "SELECT id, progress, ids FROM sources WHERE name = ?1";
    let found = connection.query_row(query, [source], |row| {
        let ids: i64 = row.get(2)?;
        let ids = u64::try_from(ids).unwrap_or(0);
        Ok(Source { id: row.get(0)?, progress: row.get(1)?, ids })
    });
    Ok(found.optional()?)
}

/// Gives a source a row with this progress, or its row this progress. Returns the row's id.
pub(super) fn put(connection: &Connection, source: &str, progress: &str) -> rusqlite::Result<i64> {
    let upsert = "INSERT INTO sources (name, progress, ids) VALUES (?1, ?2, 0)
        ON CONFLICT (name) DO UPDATE SET progress = ?2 RETURNING id";
    connection.query_row(upsert, params![source, progress], |row| row.get(0))
}

/// The text in place of a progress that was lost.
pub(super) fn lost(loss: &Loss) -> Result<String, StateError> {
    Ok(format!("{LOST} {}", serde_json::to_string(loss)?))
}

/// Reads what [`lost`] wrote.
pub(super) fn as_lost(progress: &str) -> Option<Loss> {
    progress.strip_prefix(LOST).map(|loss| serde_json::from_str(loss).unwrap_or_default())
}

/// Where no file is, what belonged to one is of no use, and would be taken for the next one's: whoever still has
/// it open keeps it. Only for who makes the next one.
pub(super) fn clear_leftovers(path: &Path) -> Result<(), StateError> {
    for part in ["-wal", "-shm"] {
        match std::fs::remove_file(lock::beside(path, part)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}

/// Gives a new file the mode of the one in whose place it is.
pub(super) fn same_mode(old: &Path, new: &Path) {
    if let Ok(data) = old.metadata() {
        let _ = std::fs::set_permissions(new, data.permissions());
    }
}

/// Renames the file and what belongs to it, to a name that nothing has. Only a file of ours: a text that a
/// typing error has led to must not be moved away.
pub(super) fn set_aside(
    path: &Path,
    found: &StateError,
    now: Timestamp,
) -> Result<PathBuf, StateError> {
    let not_ours = matches!(found, StateError::Sqlite(error)
        if code(error) == Some(ErrorCode::NotADatabase));
    if not_ours && !lock::is_ours(path) {
        return Err(StateError::Foreign);
    }
    let path = path.canonicalize()?;
    let parts = ["-wal", "-shm", ""];
    let name = |nth: u32| {
        let again = if nth == 0 { String::new() } else { format!("-{nth}") };
        lock::beside(&path, &format!(".damaged-{}{again}", now.as_secs()))
    };
    let is_free = |aside: &PathBuf| {
        parts.iter().all(|part| lock::beside(aside, part).symlink_metadata().is_err())
    };
    let aside = (0..u32::MAX).map(name).find(is_free).unwrap_or_else(|| name(u32::MAX));
    // The log before the file: a log that stays behind would be taken for the next file's.
    for part in parts {
        match std::fs::rename(lock::beside(&path, part), lock::beside(&aside, part)) {
            Err(error) if part.is_empty() || error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error.into());
            }
            _ => {}
        }
    }
    Ok(aside)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first schema as it was first released, and a row of each table.
    const VERSION_1: &str = "
        PRAGMA journal_mode = wal;
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
        INSERT INTO meta VALUES ('hash_key', x'000102030405060708090a0b0c0d0e0f');
        INSERT INTO sources VALUES (1, 'a', '{\"origin\":5000000000,\"live_until\":9000000000,\"holes\":[],\"sweeps\":[]}', 1);
        INSERT INTO ids VALUES (1, 2, x'00000000000000000000000000000007');
        PRAGMA user_version = 1;
    ";

    fn ids(connection: &Connection) -> i64 {
        connection.query_row("SELECT count(*) FROM ids", [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn a_file_of_version_1_opens_with_all_that_is_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.db");
        Connection::open(&path).unwrap().execute_batch(VERSION_1).unwrap();
        let (connection, key) = open(&path, None).unwrap();
        assert_eq!(key, std::array::from_fn(|index| index as u8));
        let source = find(&connection, "a").unwrap().unwrap();
        let progress: crate::poll::Progress = serde_json::from_str(&source.progress).unwrap();
        assert_eq!(progress.live_until, Some(Timestamp::from_secs(9)));
        assert_eq!((source.ids, ids(&connection)), (1, 1));
        let said = "SELECT content FROM ids WHERE source = 1 AND bucket = 2";
        let said: Option<i64> = connection.query_row(said, [], |row| row.get(0)).unwrap();
        assert_eq!(said, None, "nobody knows what it said");
        assert!(has_ledger(&connection).unwrap(), "from now on");
    }

    #[test]
    fn an_older_file_takes_every_step_it_lacks_or_none() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(VERSION_1).unwrap();
        let version = |connection: &Connection| -> i64 {
            connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap()
        };
        let add_column = "ALTER TABLE ids ADD COLUMN late INTEGER";
        let broken = [STEPS, &[add_column, "no SQL at all"]].concat();
        let transaction = connection.transaction().unwrap();
        migrate(&transaction, &broken).unwrap_err();
        transaction.rollback().unwrap();
        assert_eq!(version(&connection), 1);
        connection.prepare("SELECT late FROM ids").unwrap_err();

        let steps = [STEPS, &[add_column, "CREATE TABLE more (x INTEGER)"]].concat();
        migrate(&connection, &steps).unwrap();
        let (known, all) = (STEPS.len() as i64, steps.len() as i64);
        assert_eq!(version(&connection), all);
        connection.prepare("SELECT late FROM ids, more").unwrap();
        assert_eq!(ids(&connection), 1);
        migrate(&connection, &steps).unwrap();
        let newer = migrate(&connection, STEPS).unwrap_err();
        let told = format!("{}", StateError::Newer { found: all, known });
        assert_eq!(newer.to_string(), told);
    }

    #[test]
    fn what_is_set_aside_never_overwrites_what_was_set_aside_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.db");
        for content in ["one", "two", "three"] {
            std::fs::write(&path, content).unwrap();
            std::fs::write(dir.path().join("x.db-wal"), content).unwrap();
            set_aside(&path, &StateError::Moved, Timestamp::from_secs(7)).unwrap();
        }
        for (name, content) in [("", "one"), ("-1", "two"), ("-2", "three")] {
            for part in ["", "-wal"] {
                let aside = dir.path().join(format!("x.db.damaged-7{name}{part}"));
                assert_eq!(std::fs::read_to_string(aside).unwrap(), content);
            }
        }
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
        let opened = open(&path, None).unwrap();
        assert_eq!(modes().len(), 4, "lock, database, log and index: {:?}", modes());
        assert!(modes().iter().all(|(_, mode)| *mode == 0o600), "{:?}", modes());
        drop(opened);
        std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let _opened = open(&path, None).unwrap();
        assert!(modes().contains(&("x.db".to_owned(), 0o640)), "{:?}", modes());
    }
}
