//! What can still be read of a damaged file goes into a new one, which takes its place.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::lock::beside;
use super::sqlite::{row_of, version_of};
use super::{StateError, hours, schema};
use crate::model::{Timestamp, Version};
use crate::poll::progress::Loss;

/// So many ids are carried over in one transaction.
const CARRIED_AT_ONCE: usize = 50_000;

/// When a file was last written, before anybody opens it.
pub(super) fn last_written(path: &Path) -> Option<Timestamp> {
    let parts = [path.to_owned(), beside(path, "-wal")];
    let written = parts.iter().filter_map(|part| part.metadata().ok()?.modified().ok()).max()?;
    let since_1970 = written.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(Timestamp::from_secs(0) + since_1970)
}

/// What became of a file, for people.
pub(super) fn told(
    error: &StateError,
    aside: Option<&Path>,
    carried: Result<Carried, StateError>,
) -> String {
    let aside = aside.map_or_else(String::new, |aside| {
        format!("; the damaged file was set aside as {}", aside.display())
    });
    let carried = match carried {
        Ok(Carried { ids, whole: true }) => format!("all of its {ids} ids were carried over"),
        Ok(Carried { ids, whole: false }) => {
            format!("{ids} of its ids could be read and were carried over")
        }
        Err(error) => format!("its ids are lost ({error})"),
    };
    format!("{error}{aside}; {carried} into a new one; records may come again")
}

/// Puts a new file in the place of a damaged one, which is set aside, with what of it can still be read. Only for the one
/// whose turn it is. Says what became of it.
pub(super) fn replace(
    path: &Path,
    error: &StateError,
    written: Option<Timestamp>,
    now: Timestamp,
    go_on: &dyn Fn() -> bool,
) -> Result<String, StateError> {
    let new = beside(path, ".new");
    let clear = || -> Result<(), StateError> {
        let _ = std::fs::remove_file(&new);
        schema::clear_leftovers(&new)
    };
    clear()?;
    let mut carried = rescue(path, &new, written, go_on);
    if matches!(carried, Err(StateError::Stopped)) {
        clear()?;
        return Err(StateError::Stopped);
    }
    if let Err(problem) = carried {
        // Without the ids it is small: who the sources are is known at least.
        clear()?;
        let _ = rescue(path, &new, written, &|| false);
        carried = Err(problem);
    }
    schema::same_mode(path, &new);
    let aside = schema::set_aside(path, error, now)?;
    if new.exists() {
        std::fs::rename(&new, path)?;
        schema::clear_leftovers(&new)?;
    }
    Ok(told(error, Some(&aside), carried))
}

/// Carries over into a new file what can still be read of a damaged one: the hash key, the sources' names, and
/// ids. Their progress is not to be trusted; what it says is a hint at best.
fn rescue(
    path: &Path,
    new: &Path,
    written: Option<Timestamp>,
    go_on: &dyn Fn() -> bool,
) -> Result<Carried, StateError> {
    let old = schema::open_aside(path)?;
    let key = schema::stored_key(&old)?;
    let (mut new, _) = schema::open(new, Some(key))?;
    let mut statement = old.prepare("SELECT id, name, progress FROM sources")?;
    let mut rows = statement.query([])?;
    let mut sources = Vec::new();
    while let Ok(Some(row)) = rows.next() {
        let (Ok(id), Ok(name)) = (row.get::<_, i64>(0), row.get::<_, String>(1)) else { continue };
        let progress = row.get::<_, String>(2).ok();
        let progress = progress.and_then(|text| serde_json::from_str(&text).ok());
        let source = schema::put(&new, &name, &schema::lost(&Loss { written, progress })?)?;
        hours::carry(&old, id, &new, source);
        sources.push((id, source));
    }
    let mut all = Carried { ids: 0, whole: true };
    for (id, source) in sources {
        let carried = carry(&old, id, &mut new, source, go_on)?;
        all = Carried { ids: all.ids + carried.ids, whole: all.whole && carried.whole };
        if !go_on() {
            return Err(StateError::Stopped);
        }
    }
    Ok(all)
}

/// What could be carried over.
pub(super) struct Carried {
    /// How many ids the new file has.
    pub(super) ids: u64,
    /// Whether that is all there were.
    pub(super) whole: bool,
}

/// Copies a source's ids as far as they can be read, from the newest to the first that cannot be, and from the
/// oldest to the first that cannot be.
pub(super) fn carry(
    old: &Connection,
    from: i64,
    new: &mut Connection,
    to: i64,
    go_on: &dyn Fn() -> bool,
) -> Result<Carried, StateError> {
    let mut whole = false;
    // A file that was never opened by this version has no such column.
    let has_content = old.prepare("SELECT content FROM ids").is_ok();
    let content = if has_content { "content" } else { "NULL" };
    for order in ["DESC", "ASC"] {
        let query = format!(
            "SELECT bucket, id, {content} FROM ids WHERE source = ?1 ORDER BY bucket {order}, id {order}"
        );
        let Ok(mut statement) = old.prepare(&query) else { continue };
        let Ok(rows) = statement.query_map([from], version_of) else { continue };
        let mut readable = true;
        let rows = rows.map_while(|row| {
            readable = row.is_ok();
            row.ok()
        });
        let mut rows = rows.peekable();
        while rows.peek().is_some() && go_on() {
            let part: Vec<Version> = rows.by_ref().take(CARRIED_AT_ONCE).collect();
            let transaction = new.transaction_with_behavior(TransactionBehavior::Immediate)?;
            fill(&transaction, to, &part)?;
            transaction.commit()?;
        }
        drop(rows);
        whole = readable && go_on();
        if readable {
            break;
        }
    }
    let update = "UPDATE sources SET ids = (SELECT count(*) FROM ids WHERE source = ?1)
        WHERE id = ?1 RETURNING ids";
    let ids: i64 = new.query_row(update, [to], |row| row.get(0))?;
    Ok(Carried { ids: u64::try_from(ids).unwrap_or(0), whole })
}

/// Stores what is not there, or is without its content: what memory has put there is no older than what a file says.
fn fill(connection: &Connection, source: i64, versions: &[Version]) -> rusqlite::Result<()> {
    let upsert = "INSERT INTO ids (source, bucket, id, content) VALUES (?1, ?2, ?3, ?4)
        ON CONFLICT DO UPDATE SET content = excluded.content WHERE content IS NULL";
    let mut upsert = connection.prepare_cached(upsert)?;
    for version in versions {
        upsert.execute(row_of(source, version))?;
    }
    Ok(())
}
