//! Which hours have been read completely, and which have not. Pure: from what the ledger holds, and the time.

use in_lookback::model::Timestamp;
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
    /// Live polls have passed it, and something of it was left.
    Never,
    /// The ledger has no row of it.
    Unknown,
    /// It ended more than an hour ago, and live polls have not got there.
    Unread,
    /// Something of it could not be had, as was reported then, and it has not been read completely since.
    Gap(Timestamp),
}

impl Standing {
    pub(crate) fn is_hole(self) -> bool {
        matches!(self, Self::Never | Self::Unknown | Self::Unread | Self::Gap(_))
    }

    /// In JSON.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Whole => "complete",
            Self::Open => "open",
            Self::Before => "before",
            Self::Never => "never",
            Self::Unknown => "unknown",
            Self::Unread => "unread",
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

/// Judges the hours of a source from `from` to `to`, as far as they are given.
pub(crate) fn judge(
    source: &Source,
    (from, to): (Option<Timestamp>, Option<Timestamp>),
    now: Timestamp,
) -> Result<Coverage, &'static str> {
    let rows = source.hours.as_ref().ok_or(NO_LEDGER)?;
    let progress = source.progress.as_ref().ok_or(NO_PROGRESS)?;
    let since = progress.ledger_from.ok_or(NO_LEDGER)?.max(progress.origin);
    let since = Hour::first_from(since);
    let until = progress.live_until;
    let of_other = rows.iter().find(|row| row.hour == Hour::OTHER);
    let rows: Vec<&HourRow> = rows.iter().filter(|row| row.hour != Hour::OTHER).collect();
    let mut all: Vec<Judged> = Vec::new();
    let judged = |row: HourRow, standing| Judged { row, standing, quiet: false };
    let end = rows.last().map_or(since, |row| row.hour.plus(1)).max(Hour::of(now));
    let mut next = since;
    for row in &rows {
        all.extend(unknown(next, row.hour, until, now));
        next = next.max(row.hour.plus(1));
        all.push(judged((*row).clone(), standing(row, true, since, until, now)));
    }
    all.extend(unknown(next, end, until, now));
    mark_quiet(&mut all);
    let is_wanted = |hour: &Judged| {
        let hour = hour.row.hour;
        from.is_none_or(|from| hour.start() >= from) && to.is_none_or(|to| hour.end() <= to)
    };
    all.retain(is_wanted);
    let counts = all.iter().filter(|it| it.row.hour >= since && it.standing != Standing::Open);
    let judged = counts.clone().count();
    let whole = counts.filter(|it| it.standing == Standing::Whole).count();
    let since = from.map_or(since, |from| since.max(Hour::first_from(from)));
    let other = of_other.map(|row| row.counts).unwrap_or_default();
    Ok(Coverage { holes: holes(&all), hours: all, since, until, judged, whole, other })
}

/// The hours from one to another, of which there are no rows.
fn unknown(
    from: Hour,
    to: Hour,
    until: Option<Timestamp>,
    now: Timestamp,
) -> impl Iterator<Item = Judged> {
    let row =
        |hour| HourRow { hour, counts: Counts::default(), first: None, last: None, gap: None };
    (0..to.since(from)).map(move |nth| {
        let row = row(from.plus(nth));
        let standing = standing(&row, false, from, until, now);
        Judged { row, standing, quiet: false }
    })
}

fn standing(
    row: &HourRow,
    has_row: bool,
    since: Hour,
    until: Option<Timestamp>,
    now: Timestamp,
) -> Standing {
    let hour = row.hour;
    let last = row.last.as_ref().map(|(at, _)| *at);
    match row.gap {
        Some(gap) if last.is_none_or(|last| last < gap) => return Standing::Gap(gap),
        _ if last.is_some() => return Standing::Whole,
        _ if hour < since => return Standing::Before,
        _ => {}
    }
    let is_passed = until.is_some_and(|until| hour.end() <= until);
    match (is_passed, has_row) {
        _ if hour.end() > now => Standing::Open,
        (true, true) => Standing::Never,
        (true, false) => Standing::Unknown,
        // The next live poll is about to pass it.
        _ if hour.plus(1).end() > now => Standing::Open,
        _ => Standing::Unread,
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
        match holes.last_mut() {
            Some(last) if last.to == row.hour && last.standing == *standing => {
                last.to = row.hour.plus(1);
            }
            _ => holes.push(Hole { from: row.hour, to: row.hour.plus(1), standing: *standing }),
        }
    }
    holes
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use in_lookback::poll::Progress;

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
        use Standing::{Before, Gap, Never, Open, Unknown, Whole};
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
            (0, Before),
            (1, Whole),
            (2, Never),
            (3, Unknown),
            (4, Gap(at(5.5))),
            (5, Whole),
            (6, Gap(at(7.5))),
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
        let part = judge(&source(2.5, Vec::new()), (Some(at(3.0)), Some(at(5.0))), at(9.5));
        assert_eq!(
            part.unwrap().holes,
            [Hole { from: START.plus(3), to: START.plus(5), standing }]
        );
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
