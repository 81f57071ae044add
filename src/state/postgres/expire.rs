//! Tables of ids that nobody needs any more are dropped.

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Transaction};

use super::days::{Day, OTHER, PREFIX};
use super::parameter::{number, text};
use super::schema;
use crate::state::StateError;

/// Sources that no node has held for long, or is there for: the database's clock alone may be wrong. They keep no ids.
const ABANDONED: &str = "ARRAY(SELECT id FROM lookback_sources AS s
    WHERE lease_until < now() - interval '90 days'
        AND NOT EXISTS (SELECT FROM lookback_candidates WHERE source = s.id))";

/// So many ids of theirs go at a time: a commit waits for it.
const OTHERS_MAX: u32 = 10_000;

/// Drops the tables of days that no source refers to; one node at a time, and nobody waits for it.
///
/// # Errors
/// If the database cannot be asked, or this user may not drop a table; the others are dropped all the same.
pub(super) async fn drop_unused(client: &mut Client) -> Result<(), StateError> {
    let transaction = schema::begin(client).await?;
    if !is_my_turn(&transaction).await? {
        return Ok(());
    }
    let delete = format!("DELETE FROM lookback_days WHERE source = ANY({ABANDONED})");
    transaction.execute_typed(&delete, &[]).await?;
    // Their day is not asked for any more, so those that are left for the next time are known to nobody.
    let delete = format!(
        "DELETE FROM {OTHER} WHERE (source, bucket, id) IN
            (SELECT source, bucket, id FROM {OTHER} WHERE source = ANY({ABANDONED}) LIMIT {OTHERS_MAX})"
    );
    transaction.execute_typed(&delete, &[]).await?;
    let query = "SELECT table_name::text FROM information_schema.tables
        WHERE table_schema = current_schema() AND starts_with(table_name, $1) ORDER BY 1";
    let rows = transaction.query_typed(query, &[text(&PREFIX)]).await?;
    transaction.commit().await?;
    let mut failed = None;
    for row in rows {
        let table: &str = row.get(0);
        let Some(day) = Day::of_table(table) else { continue };
        match drop_if_unused(client, table, day).await {
            // Somebody uses it, perhaps for the last time.
            Err(StateError::Database(error)) if error.is(&SqlState::LOCK_NOT_AVAILABLE) => {}
            // It may be somebody else's. The next one may still be ours.
            Err(StateError::Database(error)) if !error.is_of_connection() => {
                failed.get_or_insert(error);
            }
            done => done?,
        }
    }
    failed.map_or(Ok(()), |error| Err(error.into()))
}

async fn drop_if_unused(client: &mut Client, table: &str, day: Day) -> Result<(), StateError> {
    let transaction = schema::begin(client).await?;
    if !is_my_turn(&transaction).await? || is_used(&transaction, day).await? {
        return Ok(());
    }
    // Whoever comes after this lock waits for it too.
    let lock = format!("SET LOCAL lock_timeout = 200; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE");
    transaction.batch_execute(&lock).await?;
    // A commit that came first has said by now that it needs the table.
    if !is_used(&transaction, day).await? {
        transaction.batch_execute(&format!("DROP TABLE {table}")).await?;
    }
    Ok(transaction.commit().await?)
}

async fn is_my_turn(transaction: &Transaction<'_>) -> Result<bool, StateError> {
    let query = "SELECT pg_try_advisory_xact_lock($1)";
    Ok(transaction.query_typed_one(query, &[number(&schema::LOCK)]).await?.get(0))
}

async fn is_used(transaction: &Transaction<'_>, day: Day) -> Result<bool, StateError> {
    let query = "SELECT EXISTS (SELECT FROM lookback_days WHERE day = $1 AND apart)";
    Ok(transaction.query_typed_one(query, &[number(&day.0)]).await?.get(0))
}
