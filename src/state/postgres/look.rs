//! Looks at the state of all sources from outside: creates and changes nothing, and holds up nobody.

use std::collections::HashMap;
use std::time::Duration;

use tokio_postgres::{Client, IsolationLevel};

use super::connect::connect_to_look;
use super::link::once;
use super::parameter::number;
use super::{hours, schema};
use crate::config::database::Database;
use crate::model::Timestamp;
use crate::poll::ledger::{Counts, Hour};
use crate::state::StateError;
use crate::state::look::{HourRow, Source};

/// What the database holds of one source.
#[derive(Clone, Debug, PartialEq)]
pub struct Shared {
    /// What a file would hold.
    pub source: Source,
    /// Who reads it, or did so last; nobody if no node ever has.
    pub holder: Option<Holder>,
}

/// A node that holds a source, or has held it last.
#[derive(Clone, Debug, PartialEq)]
pub struct Holder {
    /// Its name.
    pub node: String,
    /// How often the source has been taken, that time included.
    pub epoch: i64,
    /// When its lease ends, or ended, by the database's clock.
    pub until: Timestamp,
    /// How many seconds are left until then; less than none if it is over.
    pub left: f64,
}

/// Everything that a database tells, but for the ids, as of one moment. Hours are those of the source `of`; of the others there is one row, which is the
/// sum of all.
///
/// # Errors
/// If the database cannot be reached within `limit`, or there are no tables of ours, or they are of a newer version.
pub fn look(
    database: &Database,
    of: Option<&str>,
    limit: Duration,
) -> Result<Vec<Shared>, StateError> {
    once(connect_to_look(database), limit, async |client| {
        let (found, known) = (schema::version(client).await?, schema::known_version());
        match found {
            0 => Err(StateError::Foreign),
            found if found > known => Err(StateError::Newer { found, known }),
            _ => read(client, of).await,
        }
    })
}

async fn read(client: &mut Client, of: Option<&str>) -> Result<Vec<Shared>, StateError> {
    // All that follows is of one moment.
    let builder = client.build_transaction().isolation_level(IsolationLevel::RepeatableRead);
    let transaction = builder.read_only(true).start().await?;
    let sums = "SELECT source, sum(records)::bigint, sum(duplicates)::bigint, sum(late)::bigint
        FROM lookback_hours GROUP BY source";
    let mut ledgers: HashMap<i64, Vec<HourRow>> = HashMap::new();
    for row in transaction.query_typed(sums, &[]).await? {
        let [records, duplicates, late] =
            [1, 2, 3].map(|at| u64::try_from(row.get::<_, i64>(at)).unwrap_or(0));
        let counts = Counts { records, duplicates, late };
        let sum = HourRow { hour: Hour::OTHER, counts, first: None, last: None, gap: None };
        ledgers.insert(row.get(0), vec![sum]);
    }
    let query = "SELECT id, name, progress, node, epoch,
            extract(epoch FROM lease_until)::float8, extract(epoch FROM lease_until - now())::float8,
            coalesce((SELECT sum(ids) FROM lookback_days WHERE source = s.id), 0)::bigint
        FROM lookback_sources AS s ORDER BY name";
    let rows = transaction.query_typed(query, &[]).await?;
    if let Some(row) = rows.iter().find(|row| of == Some(row.get(1))) {
        let source: i64 = row.get(0);
        let query = format!(
            "SELECT {} FROM lookback_hours WHERE source = $1 ORDER BY hour",
            hours::COLUMNS
        );
        let rows = transaction.query_typed(&query, &[number(&source)]).await?;
        ledgers.insert(source, rows.iter().filter_map(hours::read).collect());
    }
    let shared = |row: &tokio_postgres::Row| {
        let progress: Option<&str> = row.get(2);
        let until = Duration::from_secs_f64(row.get::<_, f64>(5).max(0.0));
        let holder = |node| Holder {
            node,
            epoch: row.get(4),
            until: Timestamp::from_secs(0) + until,
            left: row.get(6),
        };
        Shared {
            source: Source {
                name: row.get(1),
                ids: u64::try_from(row.get::<_, i64>(7)).unwrap_or(0),
                progress: progress.and_then(|text| serde_json::from_str(text).ok()),
                hours: Some(ledgers.remove(&row.get(0)).unwrap_or_default()),
            },
            holder: row.get::<_, Option<String>>(3).map(holder),
        }
    };
    Ok(rows.iter().map(shared).collect())
}
