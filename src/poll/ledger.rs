//! The ledger: by hour of event time, what came, and when the hour was read completely. Pure sums that
//! travel with a commit.

use std::collections::BTreeMap;
use std::time::Duration;

use super::progress::{AHEAD_MAX, Mark, was_ahead};
use super::ranges;
use crate::model::{Bucket, TimeRange, Timestamp};

const HOUR_SECONDS: i64 = 3_600;

/// Hours are kept for so long; what happened earlier is counted under other times.
const HOURS_MAX: i64 = 400 * 24;

/// And so far ahead: a server can date its events as it likes.
const HOURS_AHEAD_MAX: i64 = 24;

/// An hour of event time, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hour(i64);

impl Hour {
    /// Stands for every time that has no row of its own: none at all, long ago, far in the future.
    pub const OTHER: Self = Self(i64::MIN);

    /// The hour of a moment.
    pub const fn of(moment: Timestamp) -> Self {
        Self(moment.as_secs().div_euclid(HOUR_SECONDS) * HOUR_SECONDS)
    }

    /// The hour of a bucket.
    pub fn of_bucket(bucket: Bucket) -> Self {
        if bucket == Bucket::UNTIMED { Self::OTHER } else { Self::of(bucket.start()) }
    }

    /// The hour that begins at this second since 1970, as a state stores it.
    pub fn from_secs(secs: i64) -> Option<Self> {
        let hour = Self(secs);
        (hour == Self::OTHER || secs.rem_euclid(HOUR_SECONDS) == 0).then_some(hour)
    }

    /// The second since 1970 at which it begins.
    pub const fn as_secs(self) -> i64 {
        self.0
    }

    /// Its first moment.
    pub const fn start(self) -> Timestamp {
        Timestamp::from_secs(self.0)
    }

    /// The first moment after it.
    pub const fn end(self) -> Timestamp {
        self.plus(1).start()
    }

    /// So many hours later.
    pub const fn plus(self, hours: i64) -> Self {
        Self(self.0.saturating_add(hours.saturating_mul(HOUR_SECONDS)))
    }

    /// How many hours after `earlier` it is; negative if before.
    pub const fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0) / HOUR_SECONDS
    }

    /// The hours that share more than a moment with a range, oldest first.
    pub fn touching(range: TimeRange) -> impl DoubleEndedIterator<Item = Self> {
        let end = if range.is_empty() { range.from } else { range.to };
        let (first, after) = (Self::of(range.from), Self::of(end - Duration::from_nanos(1)));
        let count = if range.is_empty() { 0 } else { after.since(first) + 1 };
        (0..count).map(move |nth| first.plus(nth))
    }

    /// The first hour that begins at a moment or after it.
    pub fn first_from(moment: Timestamp) -> Self {
        let hour = Self::of(moment);
        if hour.start() < moment { hour.plus(1) } else { hour }
    }

    /// Whether all of it lies in a range.
    pub fn is_in(self, range: &TimeRange) -> bool {
        range.from <= self.start() && self.end() <= range.to
    }

    /// Whether it shares more than a moment with a range.
    pub fn touches(self, range: &TimeRange) -> bool {
        range.from < self.end() && self.start() < range.to
    }

    /// Before this hour there are no rows.
    pub fn first_kept(now: Timestamp) -> Self {
        Self::of(now).plus(-HOURS_MAX)
    }

    /// The hour under which something is counted.
    fn row(self, now: Timestamp) -> Self {
        let kept = Self::first_kept(now) <= self && self <= Self::of(now).plus(HOURS_AHEAD_MAX);
        if kept { self } else { Self::OTHER }
    }
}

/// What came of an hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// New records that were handed over.
    pub records: u64,
    /// Records that came again, and were known.
    pub duplicates: u64,
    /// Of the records: those that a sweep saw first.
    pub late: u64,
}

impl Counts {
    /// Adds others.
    pub fn add(&mut self, other: Self) {
        self.records += other.records;
        self.duplicates += other.duplicates;
        self.late += other.late;
    }
}

/// A complete read: all that the API showed at that moment has been handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    /// When it began.
    pub at: Timestamp,
    /// What read it: `live`, `catchup` or `sweep`.
    pub by: &'static str,
}

/// Hours that one read has completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Covered {
    /// The first of them.
    pub from: Hour,
    /// The hour after the last.
    pub to: Hour,
    /// The read.
    pub read: Read,
}

/// What is known of an hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// What came.
    pub counts: Counts,
    /// Its first complete read.
    pub first: Option<Read>,
    /// Its latest one.
    pub last: Option<Read>,
    /// When something of it was last reported as a gap.
    pub gap: Option<Timestamp>,
}

impl Row {
    fn read(&mut self, read: Read) {
        self.first = self.first.or(Some(read));
        if self.last.is_none_or(|last| last.at <= read.at) {
            self.last = Some(read);
        }
    }

    /// Adds what came later.
    fn merge(&mut self, later: &Self) {
        self.counts.add(later.counts);
        later.first.into_iter().chain(later.last).for_each(|read| self.read(read));
        self.gap = self.gap.max(later.gap);
    }

    /// Forgets what claims to have been after a moment. Of an hour that had ended by then, the reads have been,
    /// and are dated back to it.
    fn disown(&mut self, hour: Hour, after: Timestamp) {
        let dated_back = |read: Read| match hour.end() <= after {
            _ if read.at <= after => Some(read),
            true => Some(Read { at: after, ..read }),
            false => None,
        };
        self.first = self.first.and_then(dated_back);
        self.last = self.last.and_then(dated_back).or(self.first);
        self.gap = self.gap.filter(|at| *at <= after);
    }
}

/// Rows by hour: as many as there are hours that are kept, whatever a server shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    rows: BTreeMap<Hour, Row>,
    /// Reads and gaps after this, and before these rows, were dated by a clock that was ahead, or this one is behind.
    disown_after: Option<Timestamp>,
    /// Rows before this hour can be dropped.
    expire_before: Option<Hour>,
}

impl Ledger {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Its rows, oldest first; that of other times stands before all.
    pub fn rows(&self) -> impl Iterator<Item = (Hour, &Row)> {
        self.rows.iter().map(|(hour, row)| (*hour, row))
    }

    /// If set, older reads and gaps that claim to have been after it are to be forgotten.
    pub fn disown_after(&self) -> Option<Timestamp> {
        self.disown_after
    }

    /// If set, rows before it can be dropped.
    pub fn expire_before(&self) -> Option<Hour> {
        self.expire_before
    }

    /// So many duplicates of this bucket came.
    pub fn duplicates(&mut self, bucket: Bucket, count: u64, now: Timestamp) {
        self.counts(bucket, now).duplicates += count;
    }

    /// A record of this bucket was handed over.
    pub fn record(&mut self, bucket: Bucket, late: bool, now: Timestamp) {
        let counts = self.counts(bucket, now);
        counts.records += 1;
        counts.late += u64::from(late);
    }

    fn counts(&mut self, bucket: Bucket, now: Timestamp) -> &mut Counts {
        let hour = Hour::of_bucket(bucket).row(now);
        &mut self.rows.entry(hour).or_default().counts
    }

    /// Takes a step of progress; `live_until` is how far live polls had come before it.
    pub fn take(&mut self, mark: &Mark, live_until: Option<Timestamp>, now: Timestamp) {
        match mark {
            Mark::Live { until, .. } if was_ahead(live_until, *until) => {
                self.disown(*until + AHEAD_MAX);
            }
            Mark::Covered(covered) => {
                for Covered { from, to, read } in covered {
                    let first = (*from).max(Hour::first_kept(now));
                    (0..to.since(first)).for_each(|nth| self.row(first.plus(nth)).read(*read));
                }
            }
            Mark::Gap { ranges, at } => {
                for range in ranges::after(ranges, Hour::first_kept(now).start()) {
                    for hour in Hour::touching(range) {
                        let row = self.row(hour);
                        row.gap = row.gap.max(Some(*at));
                    }
                }
            }
            _ => {}
        }
    }

    /// Says which rows have become too old.
    pub fn expire(&mut self, now: Timestamp) {
        self.expire_before = Some(Hour::first_kept(now));
    }

    /// Adds what a commit says.
    pub fn merge(&mut self, later: &Self) {
        if let Some(after) = later.disown_after {
            self.disown(after);
        }
        for (hour, row) in &later.rows {
            self.row(*hour).merge(row);
        }
        if let Some(first) = later.expire_before {
            self.rows.retain(|hour, _| *hour == Hour::OTHER || *hour >= first);
        }
    }

    fn row(&mut self, hour: Hour) -> &mut Row {
        self.rows.entry(hour).or_default()
    }

    fn disown(&mut self, after: Timestamp) {
        self.rows.iter_mut().for_each(|(hour, row)| row.disown(*hour, after));
        self.rows.retain(|hour, row| hour.start() <= after || *row != Row::default());
        self.disown_after = Some(self.disown_after.map_or(after, |before| before.min(after)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_000_000 * HOUR_SECONDS + 1_800);

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_secs(NOW.as_secs() + minutes * 60)
    }

    fn read(minutes: i64) -> Read {
        Read { at: at(minutes), by: "live" }
    }

    #[test]
    fn whatever_times_a_server_shows_there_is_one_row_for_all_that_are_no_times_of_ours() {
        let mut ledger = Ledger::default();
        let days = [-100_000, -401, -400, -399, -1, 0, 1, 2, 100_000];
        let buckets = days.map(|day| Bucket::of(at(day * 1_440)));
        for bucket in buckets.into_iter().chain([Bucket::UNTIMED, Bucket(i64::MAX)]) {
            ledger.duplicates(bucket, 1, NOW);
        }
        let rows: Vec<_> = ledger.rows().map(|(hour, row)| (hour, row.counts.duplicates)).collect();
        let kept = [-400, -399, -1, 0, 1].map(|day| (Hour::of(at(day * 1_440)), 1));
        assert_eq!(rows, [&[(Hour::OTHER, 6)], &kept[..]].concat());
    }

    #[test]
    fn an_hour_remembers_its_first_read_and_its_latest() {
        let mut row = Row::default();
        for minutes in [5, 3, 9, 7] {
            row.read(read(minutes));
        }
        assert_eq!((row.first, row.last), (Some(read(5)), Some(read(9))));
    }

    #[test]
    fn reads_by_a_clock_that_was_ahead_are_forgotten_or_of_an_hour_that_had_ended_dated_back() {
        let (hour, next) = (Hour::of(NOW), Hour::of(NOW).plus(1));
        let covered = |from: Hour, to, minutes| {
            Mark::Covered(vec![Covered { from, to, read: read(minutes) }])
        };
        let live = |minutes| Mark::Live { until: at(minutes), holes: Vec::new(), newest: None };
        let mut state = Ledger::default();
        let mut ledger = Ledger::default();
        ledger.take(&covered(hour, next, 31), None, NOW);
        ledger.take(&covered(hour, next.plus(1), 91), None, NOW);
        state.merge(&ledger);
        let mut ledger = Ledger::default();
        ledger.take(&live(35), Some(at(91)), NOW);
        ledger.take(&covered(next, next.plus(1), 95), Some(at(35)), NOW);
        state.merge(&ledger);
        let reads: Vec<_> = state.rows().map(|(_, row)| (row.first, row.last)).collect();
        let [ended, went_on] =
            [(31, 36), (95, 95)].map(|(first, last)| (Some(read(first)), Some(read(last))));
        assert_eq!(reads, [ended, went_on]);
    }

    #[test]
    fn rows_that_are_too_old_are_dropped() {
        let mut state = Ledger::default();
        let mut ledger = Ledger::default();
        ledger.duplicates(Bucket::of(NOW), 1, NOW);
        ledger.duplicates(Bucket::UNTIMED, 1, NOW);
        state.merge(&ledger);
        let mut ledger = Ledger::default();
        ledger.expire(at(401 * 1_440));
        state.merge(&ledger);
        assert_eq!(state.rows().map(|(hour, _)| hour).collect::<Vec<_>>(), [Hour::OTHER]);
    }

    #[test]
    fn an_hour_ends_where_the_next_one_begins() {
        let hour = Hour::of(NOW);
        let range = TimeRange::new(hour.start(), hour.end());
        assert_eq!(Hour::touching(range).collect::<Vec<_>>(), [hour]);
        assert!(hour.is_in(&range) && hour.touches(&range) && !hour.plus(1).touches(&range));
        assert_eq!(Hour::touching(TimeRange::new(NOW, NOW)).count(), 0);
        assert_eq!((Hour::first_from(NOW), Hour::first_from(hour.start())), (hour.plus(1), hour));
        assert_eq!(Hour::from_secs(hour.as_secs()), Some(hour));
        assert_eq!(Hour::from_secs(hour.as_secs() + 1), None);
    }
}
