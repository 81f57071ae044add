//! What a database says of itself to someone who has not used it yet. Makes and changes nothing.

use std::time::Duration;

use tokio_postgres::Client;

use super::connect::connect;
use super::link::once;
use super::tried::Tried;
use crate::config::database::Database;
use crate::model::Timestamp;
use crate::state::StateError;

/// The oldest version that is asked for, in PostgreSQL's own count.
pub const VERSION_MIN: i32 = 130_000;

/// What stands of a database, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// As PostgreSQL counts: 150004 is 15.4.
    pub version: i32,
    /// What it calls itself.
    pub product: String,
    /// Where tables would be made; nothing if there is no such place.
    pub schema: Option<String>,
    /// Whether the user may make tables there.
    pub may_create: bool,
    /// Whether our tables are there already.
    pub has_tables: bool,
    /// Its clock.
    pub clock: Timestamp,
    /// How many connections there are, and may be; nothing if it does not tell.
    pub connections: Option<(i64, i64)>,
}

/// Connects and asks, within `limit`.
///
/// # Errors
/// If there is no connection, or no answer.
pub fn probe(database: &Database, limit: Duration) -> Result<Probe, StateError> {
    let tried = Tried::default();
    once(connect(database, None, &tried), limit, async |client| ask(client).await)
}

async fn ask(client: &Client) -> Result<Probe, StateError> {
    let rows = client
        .query_typed(
            "SELECT current_setting('server_version_num')::int, version(), current_schema()::text,
                coalesce(has_schema_privilege(current_schema(), 'CREATE'), false),
                to_regclass('lookback_meta') IS NOT NULL,
                (extract(epoch FROM clock_timestamp()) * 1000000)::bigint",
            &[],
        )
        .await?;
    let row = rows.first().ok_or(StateError::Foreign)?;
    let micros: i64 = row.get(5);
    // What only resembles PostgreSQL may not have these.
    let connections = client
        .query_typed(
            "SELECT count(*), current_setting('max_connections')::bigint
            FROM pg_stat_activity WHERE backend_type = 'client backend'",
            &[],
        )
        .await;
    let connections =
        connections.ok().and_then(|rows| Some((rows.first()?.get(0), rows.first()?.get(1))));
    Ok(Probe {
        version: row.get(0),
        product: row.get(1),
        schema: row.get(2),
        may_create: row.get(3),
        has_tables: row.get(4),
        clock: Timestamp::from_nanos(micros.saturating_mul(1_000)),
        connections,
    })
}
