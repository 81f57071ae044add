//! In which table an id is: one a day of event time, and one for all times that are none of ours.

use std::collections::BTreeMap;

use tokio_postgres::Transaction;

use super::parameter::number;
use crate::model::{Bucket, Timestamp};
use crate::state::StateError;

const DAY_SECONDS: i64 = 86_400;

/// In a day.
const BUCKETS: i64 = 144;

/// A day so long ago has no table of its own, nor has one so far ahead: a server can date its events as it likes.
const DAYS_MAX: i64 = 400;
const DAYS_AHEAD_MAX: i64 = 1;

/// A day of event time, in UTC, by how many there are since 1970; the lowest stands for events without a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Day(pub(super) i64);

impl Day {
    /// For ids of events without a time.
    const UNTIMED: Self = Self(i64::MIN);

    /// The day of a bucket.
    pub(super) fn of(bucket: Bucket) -> Self {
        if bucket == Bucket::UNTIMED { Self::UNTIMED } else { Self::at(bucket.start()) }
    }

    fn at(moment: Timestamp) -> Self {
        Self(moment.as_secs().div_euclid(DAY_SECONDS))
    }

    /// Its first bucket and its last.
    pub(super) fn buckets(self) -> [Bucket; 2] {
        let (lowest, highest) = (Bucket(i64::MIN + 1), Bucket(i64::MAX));
        let first = self.0.saturating_mul(BUCKETS);
        let last = first.saturating_add(BUCKETS - 1);
        match self {
            Self::UNTIMED => [Bucket::UNTIMED; 2],
            day if day == Self::of(lowest) => [lowest, Bucket(last)],
            day if day == Self::of(highest) => [Bucket(first), highest],
            _ => [Bucket(first), Bucket(last)],
        }
    }

    /// Whether its ids should have a table of their own, if they have no place yet.
    fn is_ours(self, now: Timestamp) -> bool {
        let today = Self::at(now).0;
        (today - DAYS_MAX..=today + DAYS_AHEAD_MAX).contains(&self.0)
    }

    /// The name of its own table.
    fn table(self) -> String {
        let start = Timestamp::from_secs(self.0.saturating_mul(DAY_SECONDS)).to_string();
        let digits = start.chars().take_while(|c| *c != 'T').filter(char::is_ascii_digit);
        format!("{PREFIX}{}", digits.collect::<String>())
    }

    /// The day that has a table of this name.
    pub(super) fn of_table(table: &str) -> Option<Self> {
        let digits = table.strip_prefix(PREFIX).filter(|digits| digits.is_ascii())?;
        let (year, rest) = digits.split_at_checked(4)?;
        let (month, day) = rest.split_at_checked(2)?;
        let start = Timestamp::parse(&format!("{year}-{month}-{day}T00:00:00Z")).ok()?;
        Some(Self::at(start)).filter(|day| day.table() == table)
    }
}

/// What the names of all tables of ids begin with.
pub(super) const PREFIX: &str = "lookback_ids_";

/// The table of days that have none of their own.
pub(super) const OTHER: &str = "lookback_ids_other";

/// The ids that a source has of a day: how many, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) ids: u64,
    /// Whether they are in a table of the day's own. It stays so as long as there are any.
    pub(super) apart: bool,
}

/// The days of which a source has ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Days(pub(super) BTreeMap<Day, Place>);

impl Days {
    /// As they are stored.
    pub(super) async fn load(
        transaction: &Transaction<'_>,
        source: i64,
    ) -> Result<Self, StateError> {
        let query = "SELECT day, ids, apart FROM lookback_days WHERE source = $1";
        let rows = transaction.query_typed(query, &[number(&source)]).await?;
        let place = |row: &tokio_postgres::Row| {
            let ids = u64::try_from(row.get::<_, i64>(1)).unwrap_or(0);
            (Day(row.get(0)), Place { ids, apart: row.get(2) })
        };
        Ok(Self(rows.iter().map(place).collect()))
    }

    /// How many ids they have together.
    pub(super) fn ids(&self) -> u64 {
        self.0.values().map(|place| place.ids).sum()
    }

    /// The table of a day, if the source has ids of it.
    pub(super) fn table(&self, day: Day) -> Option<String> {
        self.0.get(&day).map(|place| table(day, place.apart))
    }

    /// The days of which no id is needed any more, and whether each has a table of its own: all that have, and one of the others.
    pub(super) fn expired(&self, before: Bucket) -> Vec<(Day, bool)> {
        let old = self.0.range(Day(i64::MIN + 1)..).take_while(|(day, _)| **day < Day::of(before));
        let mut others = 0;
        let old = old.filter(|(_, place)| {
            others += u32::from(!place.apart);
            place.apart || others == 1
        });
        old.map(|(day, place)| (*day, place.apart)).collect()
    }

    /// Where new ids of a day go.
    pub(super) fn place(&self, day: Day, now: Timestamp) -> Place {
        let new = || Place { ids: 0, apart: day.is_ours(now) };
        self.0.get(&day).copied().unwrap_or_else(new)
    }
}

/// The table of a day, by whether it has its own.
pub(super) fn table(day: Day, apart: bool) -> String {
    if apart { day.table() } else { OTHER.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_144_buckets_and_has_a_table_by_its_date() {
        let bucket = |text| Bucket::of(Timestamp::parse(text).unwrap());
        for (time, table) in [
            ("1970-01-01T00:00:00Z", "lookback_ids_19700101"),
            ("1969-12-31T23:59:59Z", "lookback_ids_19691231"),
            ("2026-02-28T23:59:59Z", "lookback_ids_20260228"),
            ("2026-03-01T00:00:00Z", "lookback_ids_20260301"),
        ] {
            let day = Day::of(bucket(time));
            assert_eq!(
                (day.table(), Day::of_table(table)),
                (table.to_owned(), Some(day)),
                "{time}"
            );
        }
        for other in [OTHER, "lookback_ids_20260230", "lookback_ids_2026", "lookback_idle"] {
            assert_eq!(Day::of_table(other), None, "{other}");
        }
        for bucket in [i64::MIN, i64::MIN + 1, -1, 0, 143, 144, i64::MAX].map(Bucket) {
            let [first, last] = Day::of(bucket).buckets();
            assert!(first <= bucket && bucket <= last, "{bucket:?}");
            assert_eq!([first, last].map(Day::of), [Day::of(bucket); 2]);
        }
    }

    #[test]
    fn whatever_times_a_server_shows_there_are_few_tables() {
        let now = Timestamp::from_secs(20_000 * DAY_SECONDS + 7);
        let days = Days::default();
        let places: Vec<i64> = [Bucket::UNTIMED, Bucket(i64::MIN + 1), Bucket(0), Bucket(i64::MAX)]
            .map(Day::of)
            .into_iter()
            .chain((19_000..21_000).map(Day))
            .filter(|day| days.place(*day, now).apart)
            .map(|day| day.0)
            .collect();
        assert_eq!(places, (19_600..=20_001).collect::<Vec<_>>());
    }
}
