//! The state of one source that this node holds.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::Client;

use super::commit::{self, Job, Unsure};
use super::days::Days;
use super::parameter::{Parameter, number, text};
use super::{Link, expire, ids, repair, schema};
use crate::clock::Clock;
use crate::model::{Bucket, EventKey, Known, Timestamp, Version};
use crate::poll::ledger::Ledger;
use crate::poll::progress::{Beginning, Commit, Kept, Loss, Progress};
use crate::state::sqlite::sound;
use crate::state::{Opened, Renewed, State, StateError};

/// What a call may take, and for so many ids a second more: a thread waits for it.
const CALL_MAX: Duration = Duration::from_secs(10);
const IDS_A_SECOND: u64 = 2_000;

/// The same of what a source begins with.
const OPEN_MAX: Duration = Duration::from_secs(60);

/// What the last commit may take, once the host stops: hosts grant seconds.
const LAST_MAX: Duration = Duration::from_secs(3);

/// What this process holds of a source: every write names it, and is refused once another node has taken the source over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// The source's row.
    pub source: i64,
    /// How often the source has been taken, this time included.
    pub epoch: i64,
    /// The random number of this process.
    pub holder: i64,
}

impl Held {
    /// As $1, $2 and $3 of a statement.
    pub(super) fn parameters(&self) -> [Parameter<'_>; 3] {
        [&self.source, &self.epoch, &self.holder].map(number)
    }
}

/// Whether the host stops.
pub type Stop = Arc<dyn Fn() -> bool + Send + Sync>;

/// The row of a source of that name, made if there is none.
///
/// # Errors
/// If the database cannot be asked.
pub fn source_id(
    link: &Link,
    name: &str,
    limit: Duration,
    stop: &dyn Fn() -> bool,
) -> Result<i64, StateError> {
    link.run(limit, stop, async |client| {
        let name = [text(&name)];
        let query = "SELECT id FROM lookback_sources WHERE name = $1";
        if let Some(row) = client.query_typed_opt(query, &name).await? {
            return Ok(row.get(0));
        }
        let insert =
            "INSERT INTO lookback_sources (name) VALUES ($1) ON CONFLICT (name) DO NOTHING";
        client.execute_typed(insert, &name).await?;
        Ok(client.query_typed_one(query, &name).await?.get(0))
    })
}

/// The state of one source in a shared database.
pub struct PostgresState {
    link: Arc<Link>,
    stop: Stop,
    /// When a call first found the host stopping, on the monotonic clock.
    stopping: Option<Duration>,
    held: Held,
    hash_key: [u8; 16],
    /// The days of which there are ids; nothing if a call has failed since that was known.
    days: Option<Days>,
    /// The number of the last commit that is known to be stored.
    number: i64,
    unsure: Option<Unsure>,
}

/// Opens the state of a source that this process holds, with the ids from the bucket `from` on; `begin` says how a source
/// begins that has no progress, and `had_state` whether this process has known one. Every later call is broken off soon
/// after `stop` says that the host stops.
///
/// # Errors
/// If the database cannot be asked, or another node has taken the source over.
pub fn open(
    link: &Arc<Link>,
    held: Held,
    from: Bucket,
    begin: impl Fn(&Beginning) -> Progress,
    had_state: bool,
    stop: Stop,
) -> Result<Opened<PostgresState>, StateError> {
    link.run(OPEN_MAX, &*stop, async |client| {
        let transaction = schema::begin(client).await?;
        let hash_key = schema::hash_key(&transaction).await?;
        let query = "SELECT progress, commits FROM lookback_sources
            WHERE id = $1 AND epoch = $2 AND holder = $3";
        let row = transaction.query_typed_opt(query, &held.parameters()).await?;
        let row = row.ok_or(StateError::Fenced)?;
        let (progress, is_new, damage) = found(row.get(0), had_state, &begin);
        let days = Days::load(&transaction, held.source).await?;
        let recent = ids::recent(&transaction, held.source, &days, from).await?;
        if is_new {
            let number = commit::fence(&transaction, held).await?;
            let text = serde_json::to_string(&progress)?;
            commit::progress(&transaction, held, &text, number).await?;
        }
        transaction.commit().await?;
        let state = PostgresState {
            link: Arc::clone(link),
            stop: Arc::clone(&stop),
            stopping: None,
            held,
            hash_key,
            days: Some(days),
            number: row.get(1),
            unsure: None,
        };
        Ok(Opened { state, progress, hash_key, recent, recent_from: from, damage, warning: None })
    })
}

/// A source's progress, whether it is still to be stored, and what is wrong with the one that was, if anything is.
fn found(
    stored: Option<&str>,
    had_state: bool,
    begin: &impl Fn(&Beginning) -> Progress,
) -> (Progress, bool, Option<String>) {
    let (beginning, damage) = match stored.map(sound) {
        Some(Ok(progress)) => return (progress, false, None),
        Some(Err(unsound)) => (Beginning::Lost(unsound.0), Some(unsound.1)),
        None if had_state => {
            let problem = "the state of this source is gone from the database, though it has had one; records may come again, and what happened earlier than sweeps reach is not read";
            (Beginning::Lost(Loss::default()), Some(problem.to_owned()))
        }
        None => (Beginning::First, None),
    };
    (begin(&beginning), true, damage)
}

impl PostgresState {
    /// How long a call about so many ids may take.
    fn limit(&mut self, ids: usize) -> Duration {
        if !(self.stop)() {
            return CALL_MAX + Duration::from_secs(ids as u64 / IDS_A_SECOND);
        }
        let now = Clock::start().now().mono;
        let since = *self.stopping.get_or_insert(now);
        LAST_MAX.saturating_sub(now.saturating_sub(since))
    }

    /// Does some work that needs to know the days. After a failure they are asked for anew.
    fn run<T>(
        &mut self,
        ids: usize,
        work: impl AsyncFnOnce(&mut Client, Held, &mut Days) -> Result<T, StateError>,
    ) -> Result<T, StateError> {
        let (limit, held, days) = (self.limit(ids), self.held, self.days.take());
        let (done, days) = self.link.run(limit, &*self.stop, async |client| {
            let mut days = match days {
                Some(days) => days,
                None => Days::load(&schema::begin(client).await?, held.source).await?,
            };
            let done = work(client, held, &mut days).await?;
            Ok((done, days))
        })?;
        self.days = Some(days);
        Ok(done)
    }

    fn store(&mut self, commit: &Commit) -> Result<(), StateError> {
        let (last, unsure) = (self.number, self.unsure.take());
        let now = Clock::start().now().wall;
        let stored =
            self.run(commit.keys.len() + commit.adopted.len(), async |client, held, days| {
                Job::new(commit, now)?.store(client, held, days, last, unsure.as_ref()).await
            });
        match stored {
            Ok(number) => self.number = number,
            // It may have come through all the same. The same will be tried again.
            Err(_) => {
                let unsure = unsure.filter(|unsure| unsure.ledger == commit.ledger);
                let this = || Unsure { number: self.number + 1, ledger: commit.ledger.clone() };
                self.unsure = Some(unsure.unwrap_or_else(this));
            }
        }
        stored.map(|_| ())
    }

    fn ids(&self) -> u64 {
        self.days.as_ref().map_or(0, Days::ids)
    }
}

impl State for PostgresState {
    fn known(&mut self, keys: &mut HashMap<EventKey, Known>) -> Result<(), StateError> {
        self.run(keys.len(), async |client, held, days| {
            ids::known(client, held.source, days, keys).await
        })
    }

    fn doubt(&mut self, keys: &[EventKey]) -> Result<(), StateError> {
        let versions: Vec<Version> = keys.iter().map(|key| Version::from(*key)).collect();
        self.run(keys.len(), async |client, held, days| {
            let transaction = schema::begin(client).await?;
            for (day, versions) in ids::by_day(versions) {
                let Some(table) = days.table(day) else { continue };
                ids::doubt(&transaction, held.source, &table, &versions).await?;
            }
            commit::fence(&transaction, held).await?;
            Ok(transaction.commit().await?)
        })
    }

    fn commit(&mut self, commit: &Commit) -> Result<u64, StateError> {
        let days = self.days.as_ref().map_or(0, |days| days.0.len());
        self.store(commit)?;
        let ids = self.ids();
        if self.days.as_ref().is_some_and(|then| then.0.len() < days) && !(self.stop)() {
            // What cannot be dropped now is dropped with another day.
            let _ = self.link.run(CALL_MAX, &*self.stop, expire::drop_unused);
        }
        Ok(ids)
    }

    /// Every commit asks the database itself.
    fn in_place(&self) -> Result<(), StateError> {
        Ok(())
    }

    fn renew(
        &mut self,
        kept: &Kept,
        error: &StateError,
        _now: Timestamp,
        _go_on: &dyn Fn() -> bool,
    ) -> Result<Renewed, StateError> {
        if let StateError::Database(error) = error
            && error.is_rollback()
        {
            // The next run begins from what is there.
            let what =
                format!("{error}; what they covered is read again, and records may come again");
            return Ok(Renewed { what, same_key: false, same_ledger: false });
        }
        self.days = None;
        let (held, hash_key) = (self.held, self.hash_key);
        let limit = self.limit(kept.keys.len());
        let lost = self.link.run(limit, &*self.stop, async |client| {
            repair::forget_lost_days(client, held, hash_key).await
        });
        let lost = match lost {
            Ok(Some(days)) => days,
            // Whoever holds it now, or nobody: the next run begins from what is there.
            Ok(None) | Err(StateError::Fenced) => {
                let what = format!(
                    "{error}; the tables are not those that were there: records may come again"
                );
                return Ok(Renewed { what, same_key: false, same_ledger: false });
            }
            Err(again) => return Err(again),
        };
        self.store(&Commit {
            keys: kept.keys.clone(),
            adopted: Vec::new(),
            progress: kept.progress.clone(),
            expire_before: Bucket(i64::MIN),
            ledger: Ledger::default(),
        })?;
        let what = format!(
            "{error}; the ids of {lost} days are lost, but for what memory holds; records may come again"
        );
        Ok(Renewed { what, same_key: true, same_ledger: true })
    }
}
