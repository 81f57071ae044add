//! One commit: all of it in one transaction, and none of it if another node has the source by then.
//!
//! The source's row is locked last: a large commit holds up nobody's lease, and a node that freezes amid one nobody's takeover.

use std::collections::BTreeMap;

use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Transaction};

use super::days::{self, Day, Days};
use super::error::DatabaseError;
use super::parameter::{number, numbers, text};
use super::{Held, hours, ids, schema};
use crate::model::{Bucket, Content, EventKey, Timestamp, Version};
use crate::poll::ledger::Ledger;
use crate::poll::progress::Commit;
use crate::state::StateError;

/// A table that is dropped just when a commit needs it is made again so often.
const ATTEMPTS_MAX: u32 = 3;

/// A commit of which nobody knows whether it came through.
#[derive(Clone, Debug)]
pub(super) struct Unsure {
    /// Its number, if it did.
    pub(super) number: i64,
    /// What it added to the ledger.
    pub(super) ledger: Ledger,
}

/// A commit, sorted by where it goes.
pub(super) struct Job<'c> {
    commit: &'c Commit,
    progress: String,
    keys: Vec<(Day, Vec<Version>)>,
    adopted: Vec<(Day, Vec<Version>)>,
    now: Timestamp,
}

impl<'c> Job<'c> {
    pub(super) fn new(commit: &'c Commit, now: Timestamp) -> Result<Self, StateError> {
        Ok(Self {
            commit,
            progress: serde_json::to_string(&commit.progress)?,
            // Of several versions of one event the last counts; but what is known already stays.
            keys: ids::by_day(fold(&commit.keys, |earlier, later| later.or(earlier))),
            adopted: ids::by_day(fold(&commit.adopted, |earlier, later| earlier.or(later))),
            now,
        })
    }

    /// Stores it, after the commit of the number `last`. `days` are the source's as they are stored, and become what they are then.
    /// Returns the commit's number.
    pub(super) async fn store(
        &self,
        client: &mut Client,
        held: Held,
        days: &mut Days,
        last: i64,
        unsure: Option<&Unsure>,
    ) -> Result<i64, StateError> {
        let is_new = |day: &Day| days.table(*day).is_none();
        let new = self.keys.iter().map(|(day, _)| *day).filter(is_new);
        let new: Vec<String> =
            new.map(|day| days::table(day, days.place(day, self.now).apart)).collect();
        if !new.is_empty() {
            // Who has lost the source need not make tables.
            fence(&schema::begin(client).await?, held).await?;
        }
        let mut attempt = 1;
        loop {
            for table in &new {
                schema::make(client, table).await?;
            }
            match self.attempt(client, held, days, last, unsure).await {
                // Nothing has said yet that the new table is needed: someone may have dropped it.
                Err(StateError::Database(error))
                    if error.is(&SqlState::UNDEFINED_TABLE)
                        && !new.is_empty()
                        && attempt < ATTEMPTS_MAX =>
                {
                    attempt += 1;
                }
                Err(error) => return Err(error),
                Ok((number, then)) => {
                    *days = then;
                    return Ok(number);
                }
            }
        }
    }

    async fn attempt(
        &self,
        client: &mut Client,
        held: Held,
        days: &Days,
        last: i64,
        unsure: Option<&Unsure>,
    ) -> Result<(i64, Days), StateError> {
        let transaction = schema::begin(client).await?;
        let mut days = days.clone();
        for (day, versions) in &self.keys {
            let mut place = days.place(*day, self.now);
            let table = days::table(*day, place.apart);
            let inserted = ids::put(&transaction, held.source, &table, versions).await?;
            place.ids += inserted;
            days.0.insert(*day, place);
            count(&transaction, held.source, *day, place.apart, inserted).await?;
        }
        for (day, versions) in &self.adopted {
            let Some(table) = days.table(*day) else { continue };
            ids::adopt(&transaction, held.source, &table, versions).await?;
        }
        expire(&transaction, held.source, &mut days, self.commit.expire_before).await?;
        let stored = fence(&transaction, held).await?;
        if stored < last {
            // A failover to a replica that lacked them: ids that memory takes for stored are not.
            return Err(DatabaseError::rollback(last - stored).into());
        }
        let is_there = unsure
            .is_some_and(|unsure| unsure.number == stored && unsure.ledger == self.commit.ledger);
        // All else can be stored twice.
        if !is_there {
            hours::add(&transaction, held.source, &self.commit.ledger).await?;
        }
        let number = if is_there { stored } else { stored + 1 };
        progress(&transaction, held, &self.progress, number).await?;
        transaction.commit().await?;
        Ok((number, days))
    }
}

/// Locks the source's row, and returns the number of its last commit.
///
/// # Errors
/// If this node does not hold the source any more.
pub(super) async fn fence(transaction: &Transaction<'_>, held: Held) -> Result<i64, StateError> {
    let query = "SELECT commits FROM lookback_sources
        WHERE id = $1 AND epoch = $2 AND holder = $3 FOR UPDATE";
    let row = transaction.query_typed_opt(query, &held.parameters()).await?;
    row.map(|row| row.get(0)).ok_or(StateError::Fenced)
}

/// Stores a source's progress. Only behind the fence.
pub(super) async fn progress(
    transaction: &Transaction<'_>,
    held: Held,
    progress: &str,
    commits: i64,
) -> Result<(), StateError> {
    let update = "UPDATE lookback_sources SET progress = $2, commits = $3 WHERE id = $1";
    let parameters = [number(&held.source), text(&progress), number(&commits)];
    transaction.execute_typed(update, &parameters).await?;
    Ok(())
}

/// Adds to how many ids a source has of a day.
async fn count(
    transaction: &Transaction<'_>,
    source: i64,
    day: Day,
    apart: bool,
    ids: u64,
) -> Result<(), StateError> {
    let upsert = "INSERT INTO lookback_days AS d (source, day, ids, apart) VALUES ($1, $2, $3, $4)
        ON CONFLICT (source, day) DO UPDATE SET ids = d.ids + excluded.ids";
    let ids = i64::try_from(ids).unwrap_or(i64::MAX);
    let parameters = [number(&source), number(&day.0), number(&ids), (&apart, Type::BOOL)];
    transaction.execute_typed(upsert, &parameters).await?;
    Ok(())
}

/// Gives up days of which every id may be forgotten: a day that has a table costs nothing, of the others one goes at a time.
async fn expire(
    transaction: &Transaction<'_>,
    source: i64,
    days: &mut Days,
    before: Bucket,
) -> Result<(), StateError> {
    let old = days.expired(before);
    for (day, apart) in &old {
        if !apart {
            let [first, last] = day.buckets();
            let delete = "DELETE FROM lookback_ids_other
                WHERE source = $1 AND bucket BETWEEN $2 AND $3";
            let parameters = [&source, &first.0, &last.0].map(number);
            transaction.execute_typed(delete, &parameters).await?;
        }
        days.0.remove(day);
    }
    if !old.is_empty() {
        let old: Vec<i64> = old.iter().map(|(day, _)| day.0).collect();
        let delete = "DELETE FROM lookback_days WHERE source = $1 AND day = ANY($2)";
        let parameters = [number(&source), numbers(&old)];
        transaction.execute_typed(delete, &parameters).await?;
    }
    Ok(())
}

/// Each event once, with what `both` makes of what two of its versions say.
fn fold(
    versions: &[Version],
    both: fn(Option<Content>, Option<Content>) -> Option<Content>,
) -> Vec<Version> {
    let mut events: BTreeMap<EventKey, Option<Content>> = BTreeMap::new();
    for version in versions {
        let content = events.entry(version.key()).or_insert(version.content);
        *content = both(*content, version.content);
    }
    events.into_iter().map(|(key, content)| Version { content, ..key.into() }).collect()
}
