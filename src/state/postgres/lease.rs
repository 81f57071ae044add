//! The statements of leases: who lives, who could read what, and who does. All by the database's clock.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tokio_postgres::{Client, Transaction};

use super::parameter::{number, numbers, text, texts};
use super::schema;
use crate::fleet::{Candidate, Me, Row};
use crate::state::StateError;

/// A process that has said nothing for so long is forgotten; one that comes back is made known again.
const FORGET_AFTER: &str = "interval '1 hour'";

/// A source and an epoch of it.
pub(super) type Epoch = (i64, i64);

/// A source that a process no longer has, and the epoch that it still held.
#[derive(Clone, Copy, Debug)]
pub(super) struct Left {
    pub(super) source: i64,
    pub(super) epoch: Option<i64>,
}

/// What a process does at each look.
#[derive(Debug, Default)]
pub(super) struct Request {
    /// All its sources.
    pub(super) names: Vec<String>,
    /// Whether to make known that it has them, and to ask who else does.
    pub(super) introduces: bool,
    /// The epochs whose leases it renews.
    pub(super) renews: Vec<Epoch>,
    /// Those that are over, though it still has the sources.
    pub(super) leaves: Vec<Epoch>,
    /// The sources that it no longer has.
    pub(super) left: Vec<Left>,
}

/// What it sees then.
#[derive(Debug, Default)]
pub(super) struct View {
    /// The sources' rows, by name, and the numbers of these.
    pub(super) rows: HashMap<String, (i64, Row)>,
    /// The numbers of those that have a state.
    pub(super) stateful: HashSet<i64>,
    /// When the first of their leases ends, unless it is renewed.
    pub(super) soonest: Option<Duration>,
    /// The sources whose leases were renewed.
    pub(super) renewed: Vec<i64>,
    /// Who lives.
    pub(super) alive: Vec<Candidate>,
    /// Who has which sources, if that was asked: a source and a process.
    pub(super) candidates: Option<Vec<(i64, i64)>>,
}

/// Says that the process lives, renews, gives back, and looks, all in one moment.
pub(super) async fn look(
    client: &mut Client,
    me: &Me,
    request: &Request,
) -> Result<View, StateError> {
    let transaction = schema::begin(client).await?;
    let left = request.left.iter().filter_map(|it| Some((it.source, it.epoch?)));
    let over: Vec<Epoch> = request.leaves.iter().copied().chain(left).collect();
    release(&transaction, me, &over).await?;
    forget(&transaction, me, &request.left).await?;
    beat(&transaction, me).await?;
    let renewed = renew(&transaction, me, &request.renews).await?;
    if request.introduces {
        introduce(&transaction, me, &request.names).await?;
    }
    let Rows { rows, stateful, soonest } = rows(&transaction, &request.names).await?;
    let alive = alive(&transaction).await?;
    let candidates = match request.introduces {
        true => Some(candidates(&transaction, &rows).await?),
        false => None,
    };
    transaction.commit().await?;
    Ok(View { rows, stateful, soonest, renewed, alive, candidates })
}

/// Takes the sources to which nothing has happened since they were seen in these epochs; returns their new ones.
pub(super) async fn take(
    client: &mut Client,
    me: &Me,
    seen: &[Epoch],
) -> Result<Vec<Epoch>, StateError> {
    let transaction = schema::begin(client).await?;
    // Whoever has locked a row is about to take it, or to write: it is looked at again soon.
    let update = "UPDATE lookback_sources SET epoch = epoch + 1, holder = $3, node = $4,
            lease_until = now() + $5 * interval '1 microsecond'
        WHERE id IN (
            SELECT s.id FROM lookback_sources AS s
                JOIN unnest($1::bigint[], $2::bigint[]) AS seen (id, epoch)
                ON s.id = seen.id AND s.epoch = seen.epoch
            WHERE s.lease_until <= now() OR s.holder = $3
            ORDER BY s.id FOR UPDATE OF s SKIP LOCKED)
        RETURNING id, epoch";
    let (ids, epochs): (Vec<i64>, Vec<i64>) = seen.iter().copied().unzip();
    let (node, lease) = (me.node.as_str(), micros(me.lease));
    let parameters =
        [numbers(&ids), numbers(&epochs), number(&me.process), text(&node), number(&lease)];
    let taken = transaction.query_typed(update, &parameters).await?;
    transaction.commit().await?;
    Ok(taken.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// The process ends: it has no source any more. One whose row is locked stays until its lease is over.
pub(super) async fn leave(client: &mut Client, me: &Me) -> Result<(), StateError> {
    let transaction = schema::begin(client).await?;
    let update = "UPDATE lookback_sources SET holder = NULL, lease_until = now()
        WHERE id IN (SELECT id FROM lookback_sources WHERE holder = $1
            ORDER BY id FOR UPDATE SKIP LOCKED)";
    transaction.execute_typed(update, &[number(&me.process)]).await?;
    for table in ["lookback_candidates", "lookback_processes"] {
        let delete = format!("DELETE FROM {table} WHERE process = $1");
        transaction.execute_typed(&delete, &[number(&me.process)]).await?;
    }
    Ok(transaction.commit().await?)
}

/// Gives sources back: whoever comes first for them may have them at once. One whose row is locked is not waited for.
async fn release(
    transaction: &Transaction<'_>,
    me: &Me,
    leaves: &[Epoch],
) -> Result<(), StateError> {
    if leaves.is_empty() {
        return Ok(());
    }
    let update = "UPDATE lookback_sources SET holder = NULL, lease_until = now()
        WHERE id IN (
            SELECT s.id FROM lookback_sources AS s
                JOIN unnest($1::bigint[], $2::bigint[]) AS own (id, epoch)
                ON s.id = own.id AND s.epoch = own.epoch
            WHERE s.holder = $3
            ORDER BY s.id FOR UPDATE OF s SKIP LOCKED)";
    let (ids, epochs): (Vec<i64>, Vec<i64>) = leaves.iter().copied().unzip();
    let parameters = [numbers(&ids), numbers(&epochs), number(&me.process)];
    transaction.execute_typed(update, &parameters).await?;
    Ok(())
}

/// Is no candidate any more for sources that the process no longer has.
async fn forget(transaction: &Transaction<'_>, me: &Me, left: &[Left]) -> Result<(), StateError> {
    if left.is_empty() {
        return Ok(());
    }
    let delete = "DELETE FROM lookback_candidates WHERE source = ANY($1) AND process = $2";
    let ids: Vec<i64> = left.iter().map(|it| it.source).collect();
    transaction.execute_typed(delete, &[numbers(&ids), number(&me.process)]).await?;
    Ok(())
}

/// Says that the process lives. Before leases are renewed: it must not seem to outlive them.
async fn beat(transaction: &Transaction<'_>, me: &Me) -> Result<(), StateError> {
    let upsert = "INSERT INTO lookback_processes (process, node, since, alive_until)
            VALUES ($1, $2, now(), now() + $3 * interval '1 microsecond')
        ON CONFLICT (process) DO UPDATE SET alive_until = excluded.alive_until";
    let (node, lease) = (me.node.as_str(), micros(me.lease));
    let parameters = [number(&me.process), text(&node), number(&lease)];
    transaction.execute_typed(upsert, &parameters).await?;
    Ok(())
}

/// Renews leases, also ones that are over if nobody has taken the source. One whose row is locked waits for the next look.
async fn renew(
    transaction: &Transaction<'_>,
    me: &Me,
    renews: &[Epoch],
) -> Result<Vec<i64>, StateError> {
    if renews.is_empty() {
        return Ok(Vec::new());
    }
    let update = "UPDATE lookback_sources SET lease_until = now() + $4 * interval '1 microsecond'
        WHERE id IN (
            SELECT s.id FROM lookback_sources AS s
                JOIN unnest($1::bigint[], $2::bigint[]) AS own (id, epoch)
                ON s.id = own.id AND s.epoch = own.epoch
            WHERE s.holder = $3
            ORDER BY s.id FOR UPDATE OF s SKIP LOCKED)
        RETURNING id";
    let (ids, epochs): (Vec<i64>, Vec<i64>) = renews.iter().copied().unzip();
    let lease = micros(me.lease);
    let parameters = [numbers(&ids), numbers(&epochs), number(&me.process), number(&lease)];
    let rows = transaction.query_typed(update, &parameters).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Makes rows for the sources that have none, makes the process a candidate for all, and forgets processes that are gone.
async fn introduce(
    transaction: &Transaction<'_>,
    me: &Me,
    names: &[String],
) -> Result<(), StateError> {
    // Looked for first: whatever does not insert still uses up a number.
    let insert = "INSERT INTO lookback_sources (name)
        SELECT name FROM unnest($1::text[]) AS own (name)
            WHERE NOT EXISTS (SELECT FROM lookback_sources AS s WHERE s.name = own.name)
        ON CONFLICT (name) DO NOTHING";
    transaction.execute_typed(insert, &[texts(&names)]).await?;
    let insert = "INSERT INTO lookback_candidates (source, process)
        SELECT id, $2 FROM lookback_sources WHERE name = ANY($1)
        ON CONFLICT (source, process) DO NOTHING";
    transaction.execute_typed(insert, &[texts(&names), number(&me.process)]).await?;
    let delete =
        format!("DELETE FROM lookback_processes WHERE alive_until < now() - {FORGET_AFTER}");
    transaction.execute_typed(&delete, &[]).await?;
    // A process that left has taken its row along, though perhaps not all of these.
    let delete = "DELETE FROM lookback_candidates AS c WHERE NOT EXISTS
        (SELECT FROM lookback_processes AS p WHERE p.process = c.process)";
    transaction.execute_typed(delete, &[]).await?;
    Ok(())
}

/// What the sources' rows say, as in a [`View`].
struct Rows {
    rows: HashMap<String, (i64, Row)>,
    stateful: HashSet<i64>,
    soonest: Option<Duration>,
}

async fn rows(transaction: &Transaction<'_>, names: &[String]) -> Result<Rows, StateError> {
    let query =
        "SELECT name, id, epoch, holder, node, extract(epoch FROM now() - lease_until)::float8,
            progress IS NOT NULL
        FROM lookback_sources WHERE name = ANY($1)";
    let rows = transaction.query_typed(query, &[texts(&names)]).await?;
    let read = |row: &tokio_postgres::Row| {
        let over: f64 = row.get(5);
        let seen = Row {
            epoch: row.get(2),
            holder: row.get(3),
            node: row.get(4),
            over: (over >= 0.0).then(|| span(over)),
        };
        (row.get(0), (row.get(1), seen))
    };
    let stateful = rows.iter().filter(|row| row.get(6)).map(|row| row.get(1)).collect();
    let left = rows.iter().map(|row| -row.get::<_, f64>(5)).filter(|left| *left > 0.0);
    let soonest = left.min_by(f64::total_cmp).map(span);
    Ok(Rows { rows: rows.iter().map(read).collect(), stateful, soonest })
}

async fn alive(transaction: &Transaction<'_>) -> Result<Vec<Candidate>, StateError> {
    let query = "SELECT process, node, extract(epoch FROM now() - since)::float8
        FROM lookback_processes WHERE alive_until > now() ORDER BY process";
    let rows = transaction.query_typed(query, &[]).await?;
    let read = |row: &tokio_postgres::Row| Candidate {
        process: row.get(0),
        node: row.get(1),
        up: span(row.get(2)),
    };
    Ok(rows.iter().map(read).collect())
}

async fn candidates(
    transaction: &Transaction<'_>,
    rows: &HashMap<String, (i64, Row)>,
) -> Result<Vec<(i64, i64)>, StateError> {
    let query = "SELECT source, process FROM lookback_candidates WHERE source = ANY($1)";
    let ids: Vec<i64> = rows.values().map(|(id, _)| *id).collect();
    let rows = transaction.query_typed(query, &[numbers(&ids)]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

/// Seconds that the database counted.
fn span(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX)
}
