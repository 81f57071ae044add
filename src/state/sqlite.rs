//! The state in a SQLite file that several sources share: WAL, every commit synced.

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::lock::{SourceLock, identity};
use super::rescue::{carry, last_written, replace, told};
use super::turn::Turn;
use super::{Opened, Renewed, State, StateError, Trouble, hours, schema};
use crate::model::{Bucket, Content, EventKey, IdHash, Known, Timestamp, Version};
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
    recent: Vec<Version>,
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
        show_from(&connection, id, from, &mut |version| recent.push(version))?;
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
pub(super) fn sound(progress: &str) -> Result<Progress, Box<(Loss, String)>> {
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

/// A row's bucket, id and content.
pub(super) fn version_of(row: &rusqlite::Row<'_>) -> rusqlite::Result<Version> {
    let id = IdHash(u128::from_be_bytes(row.get(1)?));
    Ok(Version { bucket: Bucket(row.get(0)?), id, content: content_of(row.get(2)?) })
}

/// SQLite's integers have a sign.
fn content_of(stored: Option<i64>) -> Option<Content> {
    stored.and_then(|bits| NonZeroU64::new(bits.cast_unsigned())).map(Content)
}

fn stored_content(content: Content) -> i64 {
    content.0.get().cast_signed()
}

const UPDATE: &str = "UPDATE ids SET content = ?4 WHERE source = ?1 AND bucket = ?2 AND id = ?3";

/// Stores those that are not there, and what the others say now. Returns how many were not there.
fn put(connection: &Connection, source: i64, versions: &[Version]) -> rusqlite::Result<u64> {
    let insert = "INSERT OR IGNORE INTO ids (source, bucket, id, content) VALUES (?1, ?2, ?3, ?4)";
    let mut insert = connection.prepare_cached(insert)?;
    let mut update = connection.prepare_cached(UPDATE)?;
    let mut inserted = 0;
    for version in versions {
        let row = row_of(source, version);
        let is_new = insert.execute(row)? > 0;
        inserted += u64::from(is_new);
        if !is_new && version.content.is_some() {
            update.execute(row)?;
        }
    }
    Ok(inserted)
}

/// Notes what those say that are there and of which nobody knows it.
fn adopt(connection: &Connection, source: i64, versions: &[Version]) -> rusqlite::Result<()> {
    let update = "UPDATE ids SET content = ?4
        WHERE source = ?1 AND bucket = ?2 AND id = ?3 AND content IS NULL";
    let mut update = connection.prepare_cached(update)?;
    for version in versions.iter().filter(|version| version.content.is_some()) {
        update.execute(row_of(source, version))?;
    }
    Ok(())
}

/// The four columns of a row.
pub(super) fn row_of(source: i64, version: &Version) -> (i64, i64, [u8; 16], Option<i64>) {
    let content = version.content.map(stored_content);
    (source, version.bucket.0, version.id.0.to_be_bytes(), content)
}

fn show_from(
    connection: &Connection,
    source: i64,
    from: Bucket,
    show: &mut dyn FnMut(Version),
) -> Result<(), StateError> {
    let query = "SELECT bucket, id, content FROM ids
        WHERE source = ?1 AND bucket >= ?2 ORDER BY bucket, id";
    let mut statement = connection.prepare_cached(query)?;
    for version in statement.query_map(params![source, from.0], version_of)? {
        show(version?);
    }
    Ok(())
}

impl SqliteState {
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
    fn known(&mut self, keys: &mut HashMap<EventKey, Known>) -> Result<(), StateError> {
        let mut sorted: Vec<EventKey> = keys.keys().copied().collect();
        sorted.sort_unstable();
        let query = "SELECT content FROM ids WHERE source = ?1 AND bucket = ?2 AND id = ?3";
        let mut statement = self.connection.prepare_cached(query)?;
        for key in sorted {
            let at = params![self.source, key.bucket.0, key.id.0.to_be_bytes()];
            let found = statement.query_row(at, |row| Ok(content_of(row.get(0)?))).optional()?;
            keys.insert(key, found.map_or(Known::No, Known::Yes));
        }
        Ok(())
    }

    fn doubt(&mut self, keys: &[EventKey]) -> Result<(), StateError> {
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut update = transaction.prepare_cached(UPDATE)?;
        for key in keys {
            let unsure = Version { content: Some(Content::UNSURE), ..(*key).into() };
            update.execute(row_of(self.source, &unsure))?;
        }
        drop(update);
        Ok(transaction.commit()?)
    }

    fn commit(&mut self, commit: &Commit) -> Result<u64, StateError> {
        self.in_place()?;
        let progress = serde_json::to_string(&commit.progress)?;
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut keys = commit.keys.clone();
        // Of several versions of one event, the last stays the last.
        keys.sort_by_key(|version| version.key());
        let ids = self.ids + put(&transaction, self.source, &keys)?;
        adopt(&transaction, self.source, &commit.adopted)?;
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

    fn in_place(&self) -> Result<(), StateError> {
        let here = identity(&self.path);
        if here.is_some() && here == self.identity { Ok(()) } else { Err(StateError::Moved) }
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
            let what = format!("{error}; it is back");
            return Ok(Renewed { what, same_key: true, same_ledger: true });
        }
        let mut next = self.next_file(error, now)?;
        let same_key = next.hash_key == self.hash_key;
        let transaction =
            next.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let source = schema::put(&transaction, &self.name, &progress)?;
        if same_key {
            put(&transaction, source, &kept.keys)?;
        }
        transaction.commit()?;
        if !same_key {
            let what = format!("{error}; the new one hashes ids otherwise: records may come again");
            return Ok(Renewed { what, same_key, same_ledger: false });
        }
        let carried = carry(&self.connection, self.source, &mut next.connection, source, go_on)?;
        let same_ledger = hours::carry(&self.connection, self.source, &next.connection, source);
        (self.source, self.ids, self.identity) = (source, carried.ids, next.identity);
        self.connection = next.connection;
        let what = told(error, next.aside.as_deref(), Ok(carried));
        Ok(Renewed { what, same_key, same_ledger })
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
mod tests;
