//! The ledger's rows in the file: times in seconds since 1970, an hour by its first one.

use rusqlite::{Connection, Row, params};

use super::StateError;
use crate::model::Timestamp;
use crate::poll::ledger::{Hour, Ledger};

/// One commit drops so many rows at most.
const HOURS_DROPPED_MAX: i64 = 48;

/// What a row holds of an hour; `counts` says what becomes of the counts if there is one already.
fn upsert(counts: &str) -> String {
    format!(
        "INSERT INTO hours VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
        ON CONFLICT DO UPDATE SET {counts},
            first_kind = iif(first_at IS NULL, excluded.first_kind, first_kind),
            first_at = coalesce(first_at, excluded.first_at),
            last_kind = iif(excluded.last_at >= coalesce(last_at, excluded.last_at),
                excluded.last_kind, last_kind),
            last_at = iif(excluded.last_at >= coalesce(last_at, excluded.last_at),
                excluded.last_at, last_at),
            gap_at = coalesce(max(gap_at, excluded.gap_at), gap_at, excluded.gap_at)"
    )
}

/// Later ones add to it.
const SUM: &str = "records = records + excluded.records,
    duplicates = duplicates + excluded.duplicates, late = late + excluded.late";

/// One file was a copy of the other once: what the fuller one says holds.
const MOST: &str = "records = max(records, excluded.records),
    duplicates = max(duplicates, excluded.duplicates), late = max(late, excluded.late)";

/// Forgets what claims to have been after a moment, back to the first read that does not; of an hour that had ended by
/// then, reads are dated back to it.
const DISOWN: &str = "
    UPDATE hours SET
        last_kind = CASE WHEN last_at <= ?2 OR hour + 3600 <= ?2 THEN last_kind
            WHEN first_at <= ?2 THEN first_kind END,
        last_at = CASE WHEN last_at <= ?2 OR hour + 3600 <= ?2 THEN min(last_at, ?2)
            WHEN first_at <= ?2 THEN first_at END,
        first_kind = CASE WHEN first_at <= ?2 OR hour + 3600 <= ?2 THEN first_kind END,
        first_at = CASE WHEN first_at <= ?2 OR hour + 3600 <= ?2 THEN min(first_at, ?2) END,
        gap_at = iif(gap_at > ?2, NULL, gap_at)
    WHERE source = ?1 AND (last_at > ?2 OR gap_at > ?2)";

/// Drops the rows after a moment of which nothing is left.
const EMPTY: &str = "
    DELETE FROM hours WHERE source = ?1 AND hour > ?2 AND records = 0 AND duplicates = 0 AND late = 0
        AND last_at IS NULL AND gap_at IS NULL";

/// Adds what a commit says of a source, and drops the oldest rows if they are old enough.
pub(super) fn add(connection: &Connection, source: i64, ledger: &Ledger) -> Result<(), StateError> {
    if let Some(after) = ledger.disown_after() {
        for step in [DISOWN, EMPTY] {
            connection.prepare_cached(step)?.execute(params![source, after.as_secs()])?;
        }
    }
    let mut statement = connection.prepare_cached(&upsert(SUM))?;
    for (hour, row) in ledger.rows() {
        let [first, last] = [row.first, row.last];
        statement.execute(params![
            source,
            hour.as_secs(),
            stored(row.counts.records),
            stored(row.counts.duplicates),
            stored(row.counts.late),
            first.map(|read| read.at.as_secs()),
            first.map(|read| read.by),
            last.map(|read| read.at.as_secs()),
            last.map(|read| read.by),
            row.gap.map(Timestamp::as_secs),
        ])?;
    }
    match ledger.expire_before() {
        Some(before) => expire(connection, source, before),
        None => Ok(()),
    }
}

fn expire(connection: &Connection, source: i64, before: Hour) -> Result<(), StateError> {
    let oldest = "SELECT min(hour) FROM hours WHERE source = ?1 AND hour > ?2";
    let oldest: Option<i64> = connection
        .prepare_cached(oldest)?
        .query_row(params![source, Hour::OTHER.as_secs()], |row| row.get(0))?;
    let oldest = oldest.filter(|oldest| *oldest < before.as_secs()).and_then(Hour::from_secs);
    let Some(oldest) = oldest else { return Ok(()) };
    let end = before.min(oldest.plus(HOURS_DROPPED_MAX));
    let delete = "DELETE FROM hours WHERE source = ?1 AND hour >= ?2 AND hour < ?3";
    connection.prepare_cached(delete)?.execute(params![source, oldest.as_secs(), end.as_secs()])?;
    Ok(())
}

/// A source's rows, the newest first.
pub(super) const ALL: &str = "
    SELECT hour, records, duplicates, late, first_at, first_kind, last_at, last_kind, gap_at
    FROM hours WHERE source = ?1 ORDER BY hour DESC";

/// Copies a source's rows as far as they can be read; false if that is not all of them. What cannot be copied is
/// left: the ledger is never a reason to give up on ids.
pub(super) fn carry(old: &Connection, from: i64, new: &Connection, to: i64) -> bool {
    let copy = || -> rusqlite::Result<()> {
        let mut statement = old.prepare(ALL)?;
        let transaction = new.unchecked_transaction()?;
        let mut insert = transaction.prepare(&upsert(MOST))?;
        let mut read = Ok(());
        for kept in statement.query_map([from], Kept::read)? {
            let kept = match kept {
                Ok(kept) => kept,
                Err(error) => {
                    read = Err(error);
                    break;
                }
            };
            let Kept { hour, counts: [records, duplicates, late], first, last, gap } = kept;
            let row =
                params![to, hour, records, duplicates, late, first.0, first.1, last.0, last.1, gap];
            insert.execute(row)?;
        }
        drop(insert);
        transaction.commit()?;
        read
    };
    copy().is_ok()
}

/// A row as it is stored.
pub(super) struct Kept {
    pub(super) hour: i64,
    /// Records, duplicates, late ones.
    pub(super) counts: [i64; 3],
    pub(super) first: (Option<i64>, Option<String>),
    pub(super) last: (Option<i64>, Option<String>),
    pub(super) gap: Option<i64>,
}

impl Kept {
    /// Reads a row of [`ALL`].
    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            hour: row.get(0)?,
            counts: [row.get(1)?, row.get(2)?, row.get(3)?],
            first: (row.get(4)?, row.get(5)?),
            last: (row.get(6)?, row.get(7)?),
            gap: row.get(8)?,
        })
    }
}

fn stored(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{Bucket, TimeRange};
    use crate::poll::ledger::{Covered, Read};
    use crate::poll::progress::Mark;
    use crate::state::schema;

    const HOUR: i64 = 3_600;
    const NOW: Timestamp = Timestamp::from_secs(1_000_000 * HOUR);
    const KINDS: [&str; 3] = ["live", "catchup", "sweep"];

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_secs(NOW.as_secs() + hours * HOUR)
    }

    /// What is stored, in the words of the ledger.
    fn all(connection: &Connection) -> Vec<String> {
        let mut statement = connection.prepare(ALL).unwrap();
        let rows = statement.query_map([1], Kept::read).unwrap();
        rows.map(|row| shown(&row.unwrap())).collect()
    }

    fn shown(row: &Kept) -> String {
        let Kept { hour, counts, first, last, gap } = row;
        format!("{hour} {counts:?} {first:?} {last:?} {gap:?}")
    }

    fn expected(ledger: &Ledger) -> Vec<String> {
        let read = |read: Option<Read>| {
            (read.map(|read| read.at.as_secs()), read.map(|read| read.by.to_owned()))
        };
        let row = |(hour, row): (Hour, &crate::poll::ledger::Row)| Kept {
            hour: hour.as_secs(),
            counts: [row.counts.records, row.counts.duplicates, row.counts.late].map(stored),
            first: read(row.first),
            last: read(row.last),
            gap: row.gap.map(Timestamp::as_secs),
        };
        let mut rows: Vec<String> = ledger.rows().map(row).map(|row| shown(&row)).collect();
        rows.reverse();
        rows
    }

    fn commits() -> impl Strategy<Value = Vec<Vec<(u8, i64, i64, usize)>>> {
        let step = (0u8..5, -6i64..3, 1i64..4, 0usize..3);
        proptest::collection::vec(proptest::collection::vec(step, 0..6), 0..8)
    }

    proptest! {
        #[test]
        fn the_file_holds_what_the_commits_add_up_to(commits in commits()) {
            let connection = Connection::open_in_memory().unwrap();
            connection.execute_batch(schema::STEPS.join(";").as_str()).unwrap();
            let mut sum = Ledger::default();
            for (nth, commit) in commits.iter().enumerate() {
                let mut ledger = Ledger::default();
                for (kind, hour, length, by) in commit {
                    let (from, to) = (at(*hour), at(*hour + *length));
                    let reads = Read { at: at(nth as i64 * 2 - length), by: KINDS[*by] };
                    match kind {
                        0 => ledger.record(Bucket::of(from), *by == 0, NOW),
                        1 => ledger.duplicates(Bucket::of(from), 1, NOW),
                        2 => ledger.take(&Mark::Gap { ranges: vec![TimeRange::new(from, to)], at: reads.at }, None, NOW),
                        3 => {
                            let (from, to) = (Hour::of(from), Hour::of(to));
                            ledger.take(&Mark::Covered(vec![Covered { from, to, read: reads }]), None, NOW);
                        }
                        // A clock that was ahead.
                        _ => {
                            let live = Mark::Live { until: from, holes: Vec::new(), newest: None };
                            ledger.take(&live, Some(at(99)), NOW);
                        }
                    }
                }
                sum.merge(&ledger);
                add(&connection, 1, &ledger).unwrap();
            }
            prop_assert_eq!(all(&connection), expected(&sum));
        }
    }

    #[test]
    fn old_rows_are_dropped_a_bounded_part_at_a_time_and_never_that_of_other_times() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(schema::STEPS.join(";").as_str()).unwrap();
        let mut ledger = Ledger::default();
        ledger.duplicates(Bucket::UNTIMED, 1, NOW);
        (0..100).for_each(|hour| ledger.duplicates(Bucket::of(at(-hour)), 1, NOW));
        add(&connection, 1, &ledger).unwrap();
        let mut later = Ledger::default();
        later.expire(at(401 * 24));
        let counts = [53, 5, 1, 1].map(|count| {
            add(&connection, 1, &later).unwrap();
            (all(&connection).len(), count)
        });
        assert!(counts.iter().all(|(found, expected)| found == expected), "{counts:?}");
    }

    #[test]
    fn of_a_copy_that_was_put_back_the_fuller_rows_are_kept() {
        let file = || {
            let connection = Connection::open_in_memory().unwrap();
            connection.execute_batch(schema::STEPS.join(";").as_str()).unwrap();
            connection
        };
        let (live, copy) = (file(), file());
        let mut then = Ledger::default();
        then.record(Bucket::of(NOW), false, NOW);
        add(&live, 1, &then).unwrap();
        add(&copy, 1, &then).unwrap();
        let (hour, read) = (Hour::of(NOW), Read { at: at(1), by: "live" });
        let covered = Covered { from: hour, to: hour.plus(1), read };
        then.take(&Mark::Covered(vec![covered]), None, at(1));
        add(&live, 1, &then).unwrap();
        for _ in 0..2 {
            assert!(carry(&live, 1, &copy, 1));
            assert_eq!(all(&copy), all(&live));
        }
    }
}
