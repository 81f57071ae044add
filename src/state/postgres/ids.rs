//! The rows of ids: of one source, in one table, a batch at a time.

use std::collections::HashMap;
use std::num::NonZeroU64;

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row, Transaction};

use super::days::{Day, Days};
use super::error::DatabaseError;
use super::parameter::{number, numbers};
use crate::model::{Bucket, Content, EventKey, IdHash, Known, Version};
use crate::state::StateError;

/// So many ids go in one statement at most.
const BATCH_MAX: usize = 10_000;

/// Ids as a statement takes them: a column an array.
struct Columns {
    buckets: Vec<i64>,
    ids: Vec<[u8; 16]>,
    contents: Vec<Option<i64>>,
}

impl Columns {
    fn of(versions: &[Version]) -> Self {
        // PostgreSQL's integers have a sign.
        let content = |it: &Version| it.content.map(|content| content.0.get().cast_signed());
        Self {
            buckets: versions.iter().map(|it| it.bucket.0).collect(),
            ids: versions.iter().map(|it| it.id.0.to_be_bytes()).collect(),
            contents: versions.iter().map(content).collect(),
        }
    }

    fn ids(&self) -> Vec<&[u8]> {
        self.ids.iter().map(<[u8; 16]>::as_slice).collect()
    }
}

/// Runs a statement for each batch, with the source as $1 and the columns as $2 to $4. Returns how many rows it was about.
async fn each(
    transaction: &Transaction<'_>,
    source: i64,
    versions: &[Version],
    statement: &str,
) -> Result<u64, StateError> {
    let mut rows = 0;
    for batch in versions.chunks(BATCH_MAX) {
        let columns = Columns::of(batch);
        let ids = columns.ids();
        let parameters = [
            number(&source),
            numbers(&columns.buckets),
            (&ids, Type::BYTEA_ARRAY),
            numbers(&columns.contents),
        ];
        rows += transaction.execute_typed(statement, &parameters).await?;
    }
    Ok(rows)
}

/// Stores those that are not there, and what the others say now; no event may be among them twice. Returns how many were not there.
pub(super) async fn put(
    transaction: &Transaction<'_>,
    source: i64,
    table: &str,
    versions: &[Version],
) -> Result<u64, StateError> {
    let insert = format!(
        "INSERT INTO {table} (source, bucket, id, content)
        SELECT $1, * FROM unnest($2::bigint[], $3::bytea[], $4::bigint[])
        ON CONFLICT (source, bucket, id) DO NOTHING"
    );
    let inserted = each(transaction, source, versions, &insert).await?;
    let say: Vec<Version> = versions.iter().copied().filter(|it| it.content.is_some()).collect();
    if inserted < versions.len() as u64 {
        set(transaction, source, table, &say, "IS DISTINCT FROM excluded.content").await?;
    }
    Ok(inserted)
}

/// Notes what those say that are there and of which nobody knows it.
pub(super) async fn adopt(
    transaction: &Transaction<'_>,
    source: i64,
    table: &str,
    versions: &[Version],
) -> Result<(), StateError> {
    set(transaction, source, table, versions, "IS NULL").await
}

/// Notes of those that are there that they may have been handed over in several versions.
pub(super) async fn doubt(
    transaction: &Transaction<'_>,
    source: i64,
    table: &str,
    versions: &[Version],
) -> Result<(), StateError> {
    let unsure = |it: &Version| Version { content: Some(Content::UNSURE), ..*it };
    let unsure: Vec<Version> = versions.iter().map(unsure).collect();
    set(transaction, source, table, &unsure, "IS DISTINCT FROM excluded.content").await
}

/// Notes what those say that are there and whose content is as it says; no event may be among them twice.
async fn set(
    transaction: &Transaction<'_>,
    source: i64,
    table: &str,
    versions: &[Version],
    content_is: &str,
) -> Result<(), StateError> {
    // An update would be the statement for it, but for the plans that it gets.
    let upsert = format!(
        "INSERT INTO {table} AS stored (source, bucket, id, content)
        SELECT $1, said.* FROM unnest($2::bigint[], $3::bytea[], $4::bigint[])
            AS said (bucket, id, content),
        LATERAL (SELECT FROM {table} WHERE source = $1
            AND bucket = said.bucket AND id = said.id LIMIT 1) AS there
        ON CONFLICT (source, bucket, id) DO UPDATE SET content = excluded.content
            WHERE stored.content {content_is}"
    );
    each(transaction, source, versions, &upsert).await.map(|_| ())
}

/// Answers which of the keys are stored, and what their events last said, by setting their values.
pub(super) async fn known(
    client: &Client,
    source: i64,
    days: &Days,
    keys: &mut HashMap<EventKey, Known>,
) -> Result<(), StateError> {
    keys.values_mut().for_each(|known| *known = Known::No);
    let versions = keys.keys().map(|key| Version::from(*key)).collect();
    for (day, versions) in by_day(versions) {
        let Some(table) = days.table(day) else { continue };
        // Row by row by the index: else a plan may read the whole table.
        let query = format!(
            "SELECT asked.bucket, asked.id, stored.content
            FROM unnest($2::bigint[], $3::bytea[]) AS asked (bucket, id),
            LATERAL (SELECT content FROM {table} WHERE source = $1
                AND bucket = asked.bucket AND id = asked.id LIMIT 1) AS stored"
        );
        for batch in versions.chunks(BATCH_MAX) {
            let columns = Columns::of(batch);
            let ids = columns.ids();
            let parameters =
                [number(&source), numbers(&columns.buckets), (&ids, Type::BYTEA_ARRAY)];
            for row in client.query_typed(&query, &parameters).await? {
                let version = version_of(&row)?;
                keys.insert(version.key(), Known::Yes(version.content));
            }
        }
    }
    Ok(())
}

/// All ids from a bucket on, in ascending order.
pub(super) async fn recent(
    transaction: &Transaction<'_>,
    source: i64,
    days: &Days,
    from: Bucket,
) -> Result<Vec<Version>, StateError> {
    let mut recent = Vec::new();
    for (day, place) in days.0.range(Day::of(from)..) {
        let table = super::days::table(*day, place.apart);
        let query = format!(
            "SELECT bucket, id, content FROM {table}
            WHERE source = $1 AND (bucket, id) > ($2, $3) AND bucket <= $4
            ORDER BY bucket, id LIMIT {BATCH_MAX}"
        );
        let [first, last] = day.buckets();
        // Nothing sorts before no bytes at all.
        let (mut bucket, mut id) = (first.max(from).0, Vec::new());
        loop {
            let parameters =
                [number(&source), number(&bucket), (&id, Type::BYTEA), number(&last.0)];
            let rows = transaction.query_typed(&query, &parameters).await?;
            for row in &rows {
                recent.push(version_of(row)?);
            }
            match recent.last() {
                Some(last) if rows.len() == BATCH_MAX => {
                    (bucket, id) = (last.bucket.0, last.id.0.to_be_bytes().to_vec());
                }
                _ => break,
            }
        }
    }
    Ok(recent)
}

/// Those of each day, in ascending order, each once.
pub(super) fn by_day(mut versions: Vec<Version>) -> Vec<(Day, Vec<Version>)> {
    versions.sort_by_key(|version| version.key());
    versions.dedup();
    let days = versions.chunk_by(|one, next| Day::of(one.bucket) == Day::of(next.bucket));
    days.map(|versions| (Day::of(versions[0].bucket), versions.to_vec())).collect()
}

/// A row's bucket, id and content.
fn version_of(row: &Row) -> Result<Version, StateError> {
    let problem = |_| DatabaseError::new("an id has not 16 bytes", "restore the tables");
    let bytes: [u8; 16] = row.try_get::<_, &[u8]>(1)?.try_into().map_err(problem)?;
    let content: Option<i64> = row.try_get(2)?;
    let content = content.and_then(|bits| NonZeroU64::new(bits.cast_unsigned())).map(Content);
    let id = IdHash(u128::from_be_bytes(bytes));
    Ok(Version { bucket: Bucket(row.try_get(0)?), id, content })
}
