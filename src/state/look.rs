//! Looks at a state file from outside, while the plugin runs and when it does not: creates and changes nothing, and holds up
//! nobody.

use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use rusqlite::{Connection, ErrorCode, OpenFlags};
use url::Url;

use super::hours::{ALL, Kept};
use super::lock::{beside, identity};
use super::trouble::code;
use super::{StateError, schema};
use crate::model::Timestamp;
use crate::poll::ledger::{Counts, Hour};
use crate::poll::progress::Progress;

/// A file that changes while it is looked at is looked at so often.
const ATTEMPTS_MAX: u32 = 5;

/// A writer that changes the log's form holds readers up for moments.
const BUSY: Duration = Duration::from_secs(1);

/// What a file holds of one source.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// Its name.
    pub name: String,
    /// How many ids.
    pub ids: u64,
    /// How far reading has come; nothing if that cannot be read.
    pub progress: Option<Progress>,
    /// The ledger, oldest hour first; nothing if the file is from before there was one.
    pub hours: Option<Vec<HourRow>>,
}

/// What the ledger holds of an hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HourRow {
    /// The hour.
    pub hour: Hour,
    /// What came.
    pub counts: Counts,
    /// Its first complete read: when, and by what.
    pub first: Option<(Timestamp, String)>,
    /// Its latest one.
    pub last: Option<(Timestamp, String)>,
    /// When something of it was last reported as a gap.
    pub gap: Option<Timestamp>,
}

/// Everything that a state file tells, but for the ids, as of one moment.
///
/// # Errors
/// If there is no such file, or it is not one of ours, or of a newer version, or damaged, or cannot be read, or was copied without
/// what lies beside it.
pub fn look(path: &Path) -> Result<Vec<Source>, StateError> {
    let data = path.metadata()?;
    if data.is_dir() {
        return Err(StateError::Directory);
    }
    if !data.is_file() {
        // To open a pipe would wait for whoever writes to it.
        return Err(StateError::Foreign);
    }
    let mut attempt = 1;
    loop {
        let before = Form::of(path);
        let found = read(path, before.in_log).map_err(|error| without_index(path, &before, error));
        // Without a lock, what was read counts only if nothing has moved meanwhile.
        let is_still = before.in_log || Form::of(path) == before;
        let is_final = attempt == ATTEMPTS_MAX;
        match found {
            Ok(sources) if is_still => return Ok(sources),
            Err(error) if (is_still && !is_passing(&error)) || is_final => return Err(error),
            Ok(_) if is_final => return Err(StateError::UnderWay),
            _ => attempt += 1,
        }
    }
}

/// What tells a file at rest from one that has been written to.
#[derive(PartialEq)]
struct Form {
    identity: Option<(u64, u64)>,
    /// When it was last written to, since 1970; and how long it is.
    written: Option<(Duration, u64)>,
    /// Whether there is a log beside it: someone has it open, or died.
    in_log: bool,
}

impl Form {
    fn of(path: &Path) -> Self {
        let data = path.metadata().ok();
        let since_1970 =
            |data: &std::fs::Metadata| data.modified().ok()?.duration_since(UNIX_EPOCH).ok();
        let log = beside(path, "-wal").metadata();
        Self {
            identity: identity(path),
            written: data.and_then(|data| Some((since_1970(&data)?, data.len()))),
            in_log: log.is_ok_and(|log| log.len() > 0),
        }
    }
}

/// The log may have gone between two looks, its index first.
fn is_passing(error: &StateError) -> bool {
    matches!(error, StateError::NoIndex) || cannot_open(error)
}

fn cannot_open(error: &StateError) -> bool {
    matches!(error, StateError::Sqlite(error) if code(error) == Some(ErrorCode::CannotOpen))
}

/// A log is read by its index, which is not made here.
fn without_index(path: &Path, form: &Form, error: StateError) -> StateError {
    let is_without = form.in_log && cannot_open(&error) && !beside(path, "-shm").exists();
    if is_without { StateError::NoIndex } else { error }
}

/// Where there is a log, it is read as any reader does, but for its index, which is not written to either. A file without one is
/// at rest: it is read as it is, with no lock, and no log is begun.
fn read(path: &Path, in_log: bool) -> Result<Vec<Source>, StateError> {
    let path = path.canonicalize()?;
    let mut uri = Url::from_file_path(&path)
        .map_err(|()| StateError::NoPlace(format!("'{}' is no path", path.display())))?;
    uri.set_query(Some(if in_log { "mode=ro&readonly_shm=1" } else { "mode=ro&immutable=1" }));
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(uri.as_str(), flags)?;
    connection.busy_timeout(BUSY)?;
    // All that follows is of one moment.
    let transaction = connection.unchecked_transaction()?;
    let has_ledger = schema::has_ledger(&transaction)?;
    let mut statement =
        transaction.prepare("SELECT id, name, progress, ids FROM sources ORDER BY name")?;
    let mut rows = statement.query([])?;
    let mut sources = Vec::new();
    while let Some(row) = rows.next()? {
        let (ids, progress): (i64, String) = (row.get(3)?, row.get(2)?);
        let hours = has_ledger.then(|| hours(&transaction, row.get(0)?)).transpose()?;
        sources.push(Source {
            name: row.get(1)?,
            ids: u64::try_from(ids).unwrap_or(0),
            progress: serde_json::from_str(&progress).ok(),
            hours,
        });
    }
    Ok(sources)
}

fn hours(connection: &Connection, source: i64) -> Result<Vec<HourRow>, StateError> {
    let mut statement = connection.prepare_cached(ALL)?;
    let mut rows = statement.query([source])?;
    let mut hours = Vec::new();
    while let Some(row) = rows.next()? {
        let Kept { hour, counts, first, last, gap } = Kept::read(row)?;
        let Some(hour) = Hour::from_secs(hour) else { continue };
        let [records, duplicates, late] = counts.map(|count| u64::try_from(count).unwrap_or(0));
        let counts = Counts { records, duplicates, late };
        let read = |(at, by): (Option<i64>, Option<String>)| {
            Some((Timestamp::from_secs(at?), by.unwrap_or_default()))
        };
        let gap = gap.map(Timestamp::from_secs);
        hours.push(HourRow { hour, counts, first: read(first), last: read(last), gap });
    }
    hours.reverse();
    Ok(hours)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::model::{Bucket, EventKey, IdHash, Version};
    use crate::poll::ledger::{Covered, Ledger, Read};
    use crate::poll::progress::{Commit, Mark};
    use crate::state::{State, sqlite};

    const NOW: Timestamp = Timestamp::from_secs(1_000_000 * 3_600);

    fn open(path: &Path) -> sqlite::SqliteState {
        let begin = |_: &_| Progress::new(NOW);
        sqlite::open(path, "a", Bucket(0), begin, NOW, Some(&|| true)).unwrap().state
    }

    fn commit(id: u128) -> Commit {
        let bucket = Bucket::of(NOW);
        let mut ledger = Ledger::default();
        ledger.record(bucket, false, NOW);
        let (from, read) = (Hour::of(NOW), Read { at: NOW, by: "live" });
        ledger.take(&Mark::Covered(vec![Covered { from, to: from.plus(1), read }]), None, NOW);
        let keys = vec![EventKey { bucket, id: IdHash(id) }];
        let keys = keys.into_iter().map(Version::from).collect();
        let (progress, expire_before) = (Progress::new(NOW), Bucket(0));
        Commit { keys, adopted: Vec::new(), progress, expire_before, ledger }
    }

    /// Names, sizes and times of everything in a directory.
    fn everything(dir: &Path) -> Vec<(String, u64, SystemTime)> {
        let mut all: Vec<_> = (dir.read_dir().unwrap().map(Result::unwrap))
            .map(|entry| (entry.file_name().into_string().unwrap(), entry.metadata().unwrap()))
            .map(|(name, data)| (name, data.len(), data.modified().unwrap()))
            .collect();
        all.sort();
        all
    }

    fn records(path: &Path) -> u64 {
        let sources = look(path).unwrap();
        let hours = sources[0].hours.as_ref().unwrap();
        hours.iter().map(|row| row.counts.records).sum()
    }

    #[test]
    fn a_look_sees_every_commit_at_once_and_touches_nothing_whoever_has_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a ?#%.db");
        let mut state = open(&path);
        for nth in 1..5 {
            state.commit(&commit(nth)).unwrap();
            let before = everything(dir.path());
            assert_eq!(records(&path), nth as u64);
            assert_eq!(everything(dir.path()), before, "someone has it open");
        }
        let crashed = tempfile::tempdir().unwrap();
        for (name, ..) in everything(dir.path()) {
            std::fs::copy(dir.path().join(&name), crashed.path().join(&name)).unwrap();
        }
        let before = everything(crashed.path());
        assert_eq!(records(&crashed.path().join("a ?#%.db")), 4);
        assert_eq!(everything(crashed.path()), before, "whoever had it has died");
        drop(state);
        let before = everything(dir.path());
        assert_eq!(before.len(), 3, "the file, and two locks: {before:?}");
        assert_eq!(records(&path), 4);
        assert_eq!(everything(dir.path()), before, "nobody has it");
    }

    #[test]
    fn a_log_without_its_index_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.db");
        let mut state = open(&path);
        state.commit(&commit(1)).unwrap();
        let copy = dir.path().join("copy.db");
        for part in ["", "-wal"] {
            std::fs::copy(beside(&path, part), beside(&copy, part)).unwrap();
        }
        let before = everything(dir.path());
        let error = look(&copy).unwrap_err();
        assert!(matches!(error, StateError::NoIndex), "{error}");
        assert_eq!(everything(dir.path()), before);
    }

    #[test]
    fn what_is_no_state_of_ours_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("empty"), "").unwrap();
        std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
        std::fs::write(path("text"), "pipeline:\n".repeat(1_000)).unwrap();
        let newer = Connection::open(path("newer")).unwrap();
        newer.execute_batch("CREATE TABLE x (y); PRAGMA user_version = 99").unwrap();
        for (name, expected) in [
            ("no/such", "No such file"),
            ("", "directory"),
            ("empty", "something else"),
            ("socket", "something else"),
            ("/dev/null", "something else"),
            ("text", "not a database"),
            ("newer", "version 99"),
        ] {
            let error = look(&path(name)).unwrap_err().to_string();
            assert!(error.contains(expected), "{name}: {error}");
        }
    }
}
