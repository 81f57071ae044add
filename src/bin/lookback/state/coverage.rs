//! Which hours have been read completely, and which have not. Pure: from what the ledger holds, and the time.

use in_lookback::model::{TimeRange, Timestamp};
use in_lookback::poll::Progress;
use in_lookback::poll::ledger::{Counts, Hour};
use in_lookback::state::look::{HourRow, Source};

/// An hour without records is worth a remark if those around it have so many on average.
const NEIGHBOURS: i64 = 3;
const RECORDS_AROUND_MIN: u64 = 50;

/// How it stands with an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Read completely.
    Whole,
    /// It has not ended, or a moment ago.
    Open,
    /// From before the ledger began, or before anything was to be read.
    Before,
    /// The ledger began while it lasted.
    Partial,
    /// Live polls have passed it, and something of it was left.
    Never,
    /// The ledger has no row of it, and nobody is about to read it.
    Unknown,
    /// It ended more than an hour ago, and live polls have not got there.
    Unread,
    /// An outage left something of it to the catch-up, which has not got there.
    CatchUp,
    /// Something of it could not be had, as was reported then, and it has not been read completely since.
    Gap(Option<Timestamp>),
}

impl Standing {
    pub(crate) fn is_hole(self) -> bool {
        matches!(self, Self::Never | Self::Unknown | Self::Unread | Self::CatchUp | Self::Gap(_))
    }

    /// What two hours of one kind have in common; the latest report, of two.
    pub(crate) fn joined(self, other: Self) -> Option<Self> {
        match (self, other) {
            (Self::Gap(one), Self::Gap(other)) => Some(Self::Gap(one.max(other))),
            _ => (self == other).then_some(self),
        }
    }

    /// In JSON.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Whole => "complete",
            Self::Open => "open",
            Self::Before => "before",
            Self::Partial => "partial",
            Self::Never => "never",
            Self::Unknown => "unknown",
            Self::Unread | Self::CatchUp => "unread",
            Self::Gap(_) => "gap",
        }
    }
}

/// An hour, judged.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Judged {
    pub(crate) row: HourRow,
    pub(crate) standing: Standing,
    /// It has no records, and those around it have many.
    pub(crate) quiet: bool,
}

/// Neighbouring hours that are holes of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hole {
    pub(crate) from: Hour,
    /// The hour after the last.
    pub(crate) to: Hour,
    pub(crate) standing: Standing,
}

/// What there is to say of a source.
#[derive(Debug)]
pub(crate) struct Coverage {
    /// Oldest first.
    pub(crate) hours: Vec<Judged>,
    /// From this hour on hours are judged, if they are wanted.
    pub(crate) since: Hour,
    /// Up to here live polls have come.
    pub(crate) until: Option<Timestamp>,
    /// How many are judged, and how many of these are whole.
    pub(crate) judged: usize,
    pub(crate) whole: usize,
    pub(crate) holes: Vec<Hole>,
    /// What came of all other times.
    pub(crate) other: Counts,
}

/// Why nothing can be said.
pub(crate) const NO_LEDGER: &str =
    "the file has no ledger yet: it begins when this version of the plugin opens the file";
pub(crate) const NO_PROGRESS: &str =
    "how far this source was read was lost with a damaged file; start the plugin, and look again";

/// Judges the hours of a source that lie between `from` and `to`, in part or whole, as far as they are given.
pub(crate) fn judge(
    source: &Source,
    (from, to): (Option<Timestamp>, Option<Timestamp>),
    now: Timestamp,
) -> Result<Coverage, &'static str> {
    let rows = source.hours.as_ref().ok_or(NO_LEDGER)?;
    let progress = source.progress.as_ref().ok_or(NO_PROGRESS)?;
    let began = progress.ledger_from.ok_or(NO_LEDGER)?.max(progress.origin);
    // Older rows have been dropped.
    let began = began.max(Hour::first_kept(now).start());
    let since = Hour::first_from(began);
    let known = Known { progress, began, now };
    let of_other = rows.iter().find(|row| row.hour == Hour::OTHER);
    let rows: Vec<&HourRow> = rows.iter().filter(|row| row.hour != Hour::OTHER).collect();
    let mut all: Vec<Judged> = Vec::new();
    let end = rows.last().map_or(since, |row| row.hour.plus(1)).max(Hour::of(now));
    let mut next = since;
    for row in &rows {
        all.extend(known.without_rows(next, row.hour));
        next = next.max(row.hour.plus(1));
        let standing = known.standing(row, true);
        all.push(Judged { row: (*row).clone(), standing, quiet: false });
    }
    all.extend(known.without_rows(next, end));
    mark_quiet(&mut all);
    let is_wanted = |hour: &Judged| {
        let hour = hour.row.hour;
        from.is_none_or(|from| hour.end() > from) && to.is_none_or(|to| hour.start() < to)
    };
    all.retain(is_wanted);
    let counts = all.iter().filter(|it| it.row.hour >= since && it.standing != Standing::Open);
    let judged = counts.clone().count();
    let whole = counts.filter(|it| it.standing == Standing::Whole).count();
    let since = from.map_or(since, |from| since.max(Hour::of(from)));
    let other = of_other.map(|row| row.counts).unwrap_or_default();
    let until = progress.live_until;
    Ok(Coverage { holes: holes(&all), hours: all, since, until, judged, whole, other })
}

/// What an hour is judged by, but for its row.
struct Known<'p> {
    progress: &'p Progress,
    /// From here on the ledger tells what was read.
    began: Timestamp,
    now: Timestamp,
}

impl Known<'_> {
    /// The hours from one to another, of which there are no rows.
    fn without_rows(&self, from: Hour, to: Hour) -> impl Iterator<Item = Judged> {
        let row =
            |hour| HourRow { hour, counts: Counts::default(), first: None, last: None, gap: None };
        (0..to.since(from)).map(move |nth| {
            let row = row(from.plus(nth));
            let standing = self.standing(&row, false);
            Judged { row, standing, quiet: false }
        })
    }

    fn standing(&self, row: &HourRow, has_row: bool) -> Standing {
        let Self { progress, began, now } = self;
        let hour = row.hour;
        let last = row.last.as_ref().map(|(at, _)| *at);
        let touches = |ranges: &[TimeRange]| ranges.iter().any(|range| hour.touches(range));
        // Both are kept in whole seconds: of one second, nobody knows which was first.
        let is_mended = row.gap.is_none_or(|gap| last.is_some_and(|last| last > gap));
        if !is_mended || touches(&progress.gaps) {
            return Standing::Gap(row.gap);
        }
        let is_passed = progress.live_until.is_some_and(|until| hour.end() <= until);
        match (is_passed, has_row) {
            _ if last.is_some() => Standing::Whole,
            _ if hour.end() <= *began => Standing::Before,
            _ if hour.start() < *began => Standing::Partial,
            _ if hour.end() > *now => Standing::Open,
            _ if touches(&progress.holes) => Standing::CatchUp,
            (true, true) => Standing::Never,
            (true, false) => Standing::Unknown,
            // The next live poll is about to pass it.
            _ if hour.plus(1).end() > *now => Standing::Open,
            _ => Standing::Unread,
        }
    }
}

/// Marks hours without records among hours with many.
fn mark_quiet(hours: &mut [Judged]) {
    let records: Vec<u64> = hours.iter().map(|hour| hour.row.counts.records).collect();
    for at in 0..hours.len() {
        let around = at.saturating_sub(NEIGHBOURS as usize)..=at + NEIGHBOURS as usize;
        let around: Vec<u64> = around.filter_map(|it| records.get(it).copied()).collect();
        let sum: u64 = around.iter().sum();
        let is_empty = records[at] == 0 && hours[at].standing == Standing::Whole;
        hours[at].quiet = is_empty && sum >= RECORDS_AROUND_MIN * (around.len() as u64 - 1).max(1);
    }
}

fn holes(hours: &[Judged]) -> Vec<Hole> {
    let mut holes: Vec<Hole> = Vec::new();
    for Judged { row, standing, .. } in hours.iter().filter(|hour| hour.standing.is_hole()) {
        let (from, to) = (row.hour, row.hour.plus(1));
        let last = holes.last_mut().filter(|last| last.to == from);
        match last.and_then(|last| Some((last.standing.joined(*standing)?, last))) {
            Some((standing, last)) => *last = Hole { from: last.from, to, standing },
            None => holes.push(Hole { from, to, standing: *standing }),
        }
    }
    holes
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const START: Hour = Hour::of(Timestamp::from_secs(1_000_000 * 3_600));

    fn at(hours: f64) -> Timestamp {
        START.start() + Duration::from_secs_f64(hours * 3_600.0)
    }

    fn row(hour: i64, records: u64, read: Option<f64>, gap: Option<f64>) -> HourRow {
        let read = read.map(|hours| (at(hours), "live".to_owned()));
        let counts = Counts { records, ..Counts::default() };
        let hour = START.plus(hour);
        HourRow { hour, counts, first: read.clone(), last: read, gap: gap.map(at) }
    }

    fn source(until: f64, hours: Vec<HourRow>) -> Source {
        let progress = Progress { live_until: Some(at(until)), ..Progress::new(at(0.5)) };
        Source { name: "a".to_owned(), ids: 0, progress: Some(progress), hours: Some(hours) }
    }

    fn standings(coverage: &Coverage) -> Vec<(i64, Standing)> {
        let each = |it: &Judged| (it.row.hour.since(START), it.standing);
        coverage.hours.iter().map(each).collect()
    }

    #[test]
    fn what_was_never_read_what_nobody_knows_of_and_gaps_are_holes_and_what_goes_on_is_not() {
        use Standing::{Gap, Never, Open, Partial, Unknown, Whole};
        let rows = vec![
            row(0, 1, None, None),
            row(1, 1, Some(2.1), None),
            row(2, 1, None, None),
            row(4, 1, None, Some(5.5)),
            row(5, 1, Some(6.1), Some(5.5)),
            row(6, 1, Some(7.1), Some(7.5)),
            row(7, 0, None, None),
        ];
        let coverage = judge(&source(7.9, rows), (None, None), at(8.2)).unwrap();
        let expected = [
            (0, Partial),
            (1, Whole),
            (2, Never),
            (3, Unknown),
            (4, Gap(Some(at(5.5)))),
            (5, Whole),
            (6, Gap(Some(at(7.5)))),
            (7, Open),
        ];
        assert_eq!(standings(&coverage), expected);
        assert_eq!((coverage.judged, coverage.whole, coverage.holes.len()), (6, 2, 4));
    }

    #[test]
    fn hours_that_ended_long_ago_and_have_not_been_read_are_one_hole() {
        let rows = vec![row(1, 1, Some(2.1), None), row(2, 1, None, None)];
        let coverage = judge(&source(2.5, rows), (None, None), at(9.5)).unwrap();
        let standing = Standing::Unread;
        assert_eq!(coverage.holes, [Hole { from: START.plus(2), to: START.plus(8), standing }]);
        assert_eq!(standings(&coverage).last(), Some(&(8, Standing::Open)));
    }

    #[test]
    fn a_range_takes_in_the_hours_that_lie_in_it_in_part() {
        let hours = |from: f64, to: f64| {
            let found = judge(&source(2.5, Vec::new()), (Some(at(from)), Some(at(to))), at(9.5));
            standings(&found.unwrap()).into_iter().map(|(hour, _)| hour).collect::<Vec<_>>()
        };
        assert_eq!(hours(3.0, 5.0), [3, 4]);
        assert_eq!(hours(3.9, 5.1), [3, 4, 5]);
        assert_eq!(hours(4.2, 4.3), [4]);
    }

    #[test]
    fn what_the_progress_knows_of_is_left_to_the_catch_up_or_a_gap_with_or_without_a_row() {
        use Standing::{CatchUp, Gap, Never, Unknown, Whole};
        let rows = vec![
            row(1, 1, None, None),
            row(3, 1, None, None),
            row(4, 1, Some(7.0), None),
            row(6, 1, Some(6.0), None),
        ];
        let mut source = source(9.0, rows);
        let progress = source.progress.as_mut().unwrap();
        progress.holes = vec![TimeRange::new(at(1.9), at(2.1)), TimeRange::new(at(4.0), at(5.0))];
        progress.gaps = vec![TimeRange::new(at(6.5), at(7.5))];
        let coverage = judge(&source, (None, None), at(9.0)).unwrap();
        let expected = [
            (1, CatchUp),
            (2, CatchUp),
            (3, Never),
            // A sweep has come before the catch-up.
            (4, Whole),
            (5, Unknown),
            (6, Gap(None)),
            (7, Gap(None)),
            (8, Unknown),
        ];
        assert_eq!(standings(&coverage), expected);
    }

    #[test]
    fn a_gap_of_the_very_second_of_a_read_stays_one_until_a_read_a_second_later() {
        let second = 1.0 / 3_600.0;
        for (read, is_hole) in [(5.5 - second, true), (5.5, true), (5.5 + second, false)] {
            let rows = vec![row(4, 1, Some(read), Some(5.5))];
            let coverage = judge(&source(5.6, rows), (Some(at(4.0)), Some(at(5.0))), at(5.6));
            assert_eq!(coverage.unwrap().holes.len(), usize::from(is_hole), "{read}");
        }
    }

    #[test]
    fn gaps_side_by_side_are_one_hole_whenever_each_was_reported() {
        let rows = [(1, 5.5), (2, 5.9), (3, 5.6)].map(|(hour, gap)| row(hour, 0, None, Some(gap)));
        let range = (Some(at(1.0)), Some(at(4.0)));
        let coverage = judge(&source(6.0, rows.to_vec()), range, at(6.0)).unwrap();
        let standing = Standing::Gap(Some(at(5.9)));
        assert_eq!(coverage.holes, [Hole { from: START.plus(1), to: START.plus(4), standing }]);
    }

    #[test]
    fn hours_whose_rows_have_been_dropped_for_their_age_are_no_holes() {
        let days = |days: i64| days as f64 * 24.0;
        let rows = (24..days(500) as i64).map(|hour| row(hour, 0, Some(hour as f64 + 1.1), None));
        let kept = rows.filter(|row| row.hour >= Hour::first_kept(at(days(500)))).collect();
        let coverage = judge(&source(days(500), kept), (None, None), at(days(500))).unwrap();
        let hours = 400 * 24;
        let found = (coverage.holes.len(), coverage.judged, coverage.whole);
        assert_eq!(found, (0, hours, hours));
        assert_eq!(coverage.since, Hour::first_kept(at(days(500))));
    }

    #[test]
    fn an_hour_without_records_among_many_is_quiet() {
        let records = [90, 80, 0, 70, 90, 0, 0, 0, 0, 0, 0, 0, 0];
        let each = |(nth, records): (usize, &u64)| {
            let hour = nth as i64 + 1;
            row(hour, *records, Some(hour as f64 + 1.1), None)
        };
        let rows = records.iter().enumerate().map(each).collect();
        let coverage = judge(&source(14.0, rows), (None, None), at(14.0)).unwrap();
        let quiet = coverage.hours.iter().filter(|hour| hour.quiet);
        assert_eq!(quiet.map(|it| it.row.hour.since(START)).collect::<Vec<_>>(), [3]);
    }

    #[test]
    fn without_a_ledger_or_a_progress_nothing_can_be_said() {
        let mut before = source(9.0, Vec::new());
        before.hours = None;
        assert_eq!(judge(&before, (None, None), at(9.0)).unwrap_err(), NO_LEDGER);
        let lost = Source { progress: None, ..source(9.0, Vec::new()) };
        assert_eq!(judge(&lost, (None, None), at(9.0)).unwrap_err(), NO_PROGRESS);
    }
}
