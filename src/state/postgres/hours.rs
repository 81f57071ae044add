//! The ledger's rows in the database, with the meaning that they have in a file: times in seconds since 1970, an hour by its first one.

use tokio_postgres::{Row, Transaction};

use super::parameter::{number, numbers, texts};
use crate::model::Timestamp;
use crate::poll::ledger::{self, Counts, Hour, Ledger, Read};
use crate::state::StateError;
use crate::state::look::HourRow;

/// One commit drops so many rows at most.
const HOURS_DROPPED_MAX: i64 = 48;

/// Adds rows to those that are there.
const ADD: &str = "
    INSERT INTO lookback_hours AS h
    SELECT $1, * FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[],
        $6::bigint[], $7::text[], $8::bigint[], $9::text[], $10::bigint[])
    ON CONFLICT (source, hour) DO UPDATE SET
        records = h.records + excluded.records,
        duplicates = h.duplicates + excluded.duplicates,
        late = h.late + excluded.late,
        first_kind = CASE WHEN h.first_at IS NULL THEN excluded.first_kind ELSE h.first_kind END,
        first_at = coalesce(h.first_at, excluded.first_at),
        last_kind = CASE WHEN excluded.last_at >= coalesce(h.last_at, excluded.last_at)
            THEN excluded.last_kind ELSE h.last_kind END,
        last_at = CASE WHEN excluded.last_at >= coalesce(h.last_at, excluded.last_at)
            THEN excluded.last_at ELSE h.last_at END,
        gap_at = greatest(h.gap_at, excluded.gap_at)";

/// Forgets what claims to have been after a moment, back to the first read that does not; of an hour that had ended by
/// then, reads are dated back to it.
const DISOWN: &str = "
    UPDATE lookback_hours SET
        last_kind = CASE WHEN last_at <= $2 OR hour + 3600 <= $2 THEN last_kind
            WHEN first_at <= $2 THEN first_kind END,
        last_at = CASE WHEN last_at <= $2 THEN last_at WHEN hour + 3600 <= $2 AND last_at > $2 THEN $2
            WHEN first_at <= $2 THEN first_at END,
        first_kind = CASE WHEN first_at <= $2 OR hour + 3600 <= $2 THEN first_kind END,
        first_at = CASE WHEN first_at <= $2 THEN first_at WHEN hour + 3600 <= $2 AND first_at > $2 THEN $2 END,
        gap_at = CASE WHEN gap_at <= $2 THEN gap_at END
    WHERE source = $1 AND (last_at > $2 OR gap_at > $2)";

/// Drops the rows after a moment of which nothing is left.
const EMPTY: &str = "
    DELETE FROM lookback_hours
    WHERE source = $1 AND hour > $2 AND records = 0 AND duplicates = 0 AND late = 0
        AND last_at IS NULL AND gap_at IS NULL";

/// Drops the oldest rows, if they are old enough; never that of other times.
const EXPIRE: &str = "
    DELETE FROM lookback_hours
    WHERE source = $1 AND hour > $2 AND hour < $3 AND hour < $4 +
        (SELECT min(hour) FROM lookback_hours WHERE source = $1 AND hour > $2)";

/// Adds what a commit says of a source, and drops the oldest rows if they are old enough.
pub(super) async fn add(
    transaction: &Transaction<'_>,
    source: i64,
    ledger: &Ledger,
) -> Result<(), StateError> {
    let source = number(&source);
    if let Some(after) = ledger.disown_after() {
        let after = after.as_secs();
        for step in [DISOWN, EMPTY] {
            transaction.execute_typed(step, &[source.clone(), number(&after)]).await?;
        }
    }
    if !ledger.is_empty() {
        let columns = Columns::of(ledger);
        let mut parameters = vec![source.clone()];
        parameters.extend(columns.numbers.iter().map(numbers));
        for reads in &columns.reads {
            parameters.extend([numbers(&reads.at), texts(&reads.by)]);
        }
        parameters.push(numbers(&columns.gaps));
        transaction.execute_typed(ADD, &parameters).await?;
    }
    if let Some(before) = ledger.expire_before() {
        let (other, before) = (Hour::OTHER.as_secs(), before.as_secs());
        let span = HOURS_DROPPED_MAX * 3_600;
        let parameters = [source, number(&other), number(&before), number(&span)];
        transaction.execute_typed(EXPIRE, &parameters).await?;
    }
    Ok(())
}

/// A ledger's rows as a statement takes them: a column an array.
struct Columns {
    /// Hour, records, duplicates, late ones.
    numbers: [Vec<i64>; 4],
    /// The first read and the last one: when, and by what.
    reads: [Reads; 2],
    gaps: Vec<Option<i64>>,
}

/// When hours were read, and by what.
struct Reads {
    at: Vec<Option<i64>>,
    by: Vec<Option<&'static str>>,
}

impl Columns {
    fn of(ledger: &Ledger) -> Self {
        let rows: Vec<_> = ledger.rows().collect();
        let number = |of: fn(&Counts) -> u64| {
            let stored = |count| i64::try_from(count).unwrap_or(i64::MAX);
            rows.iter().map(|(_, row)| stored(of(&row.counts))).collect()
        };
        let reads = |of: fn(&ledger::Row) -> Option<Read>| {
            let reads = || rows.iter().map(|(_, row)| of(row));
            let at = reads().map(|read| read.map(|read| read.at.as_secs())).collect();
            Reads { at, by: reads().map(|read| read.map(|read| read.by)).collect() }
        };
        Self {
            numbers: [
                rows.iter().map(|(hour, _)| hour.as_secs()).collect(),
                number(|counts| counts.records),
                number(|counts| counts.duplicates),
                number(|counts| counts.late),
            ],
            reads: [reads(|row| row.first), reads(|row| row.last)],
            gaps: rows.iter().map(|(_, row)| row.gap.map(Timestamp::as_secs)).collect(),
        }
    }
}

/// The columns that [`read`] takes, from the first one on.
pub(super) const COLUMNS: &str =
    "hour, records, duplicates, late, first_at, first_kind, last_at, last_kind, gap_at";

/// Reads a row of [`COLUMNS`]; nothing if it is none of ours.
pub(super) fn read(row: &Row) -> Option<HourRow> {
    let count = |at| u64::try_from(row.get::<_, i64>(at)).unwrap_or(0);
    let read = |at: usize| {
        let when: Option<i64> = row.get(at);
        Some((Timestamp::from_secs(when?), row.get::<_, Option<String>>(at + 1)?))
    };
    Some(HourRow {
        hour: Hour::from_secs(row.get(0))?,
        counts: Counts { records: count(1), duplicates: count(2), late: count(3) },
        first: read(4),
        last: read(6),
        gap: row.get::<_, Option<i64>>(8).map(Timestamp::from_secs),
    })
}
