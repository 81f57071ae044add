//! Which hours a read completes. Pure functions over ranges.

use super::ledger::{Covered, Hour, Read};
use super::progress::Progress;
use super::ranges;
use crate::model::{TimeRange, Timestamp};

/// What one job has read so far, slice by slice, the newest first.
#[derive(Clone, Debug)]
pub struct Reading {
    /// Disjoint, oldest first.
    read: Vec<TimeRange>,
    /// When the slice under way began.
    since: Timestamp,
    /// The hour that the last slice ended in, and when reading it began: the next may complete it.
    edge: Option<(Hour, Timestamp)>,
}

impl Reading {
    /// Nothing has been read yet.
    pub fn new(now: Timestamp) -> Self {
        Self { read: Vec::new(), since: now, edge: None }
    }

    /// The walk over a slice begins.
    pub fn begin(&mut self, now: Timestamp) {
        self.since = now;
    }

    /// When the slice under way began.
    pub fn since(&self) -> Timestamp {
        self.since
    }

    /// A slice has been read, but for what of it is `lost`. Returns the hours that it completes: those of which this
    /// job, a `live` poll, a `catchup` or a `sweep`, has read everything.
    pub fn slice(
        &mut self,
        slice: TimeRange,
        lost: &[TimeRange],
        by: &'static str,
    ) -> Vec<Covered> {
        ranges::insert(&mut self.read, slice);
        lost.iter().for_each(|range| ranges::remove(&mut self.read, *range));
        let since = |hour: Hour| match self.edge {
            Some((edge, since)) if edge == hour => since.min(self.since),
            _ => self.since,
        };
        let whole = |hour: &Hour| self.read.iter().any(|range| hour.is_in(range));
        let hours = Hour::touching(slice).filter(whole).map(|hour| (hour, since(hour)));
        let covered = runs(hours, by);
        let oldest = Hour::of(slice.from);
        self.edge = Some((oldest, since(oldest)));
        covered
    }
}

/// The hours that live polls have left behind, from where they had come to `before`.
///
/// Windows overlap, so every moment up to the end of the last one has been read, but for what is a hole or a gap.
pub fn passed(progress: &Progress, before: Option<Timestamp>, read: Read) -> Vec<Covered> {
    let until = progress.live_until.unwrap_or(progress.origin);
    let from = Hour::of(before.unwrap_or(progress.origin)).max(Hour::first_kept(until));
    pieced(progress, TimeRange::new(from.start().min(until), until), read)
}

/// The hours that touch `range` of which every piece has been read by now, whatever read it.
pub fn pieced(progress: &Progress, range: TimeRange, read: Read) -> Vec<Covered> {
    let until = progress.live_until.unwrap_or(progress.origin);
    let open = |hour: &Hour| {
        progress.holes.iter().chain(&progress.gaps).any(|unread| hour.touches(unread))
    };
    let behind = |hour: &Hour| progress.origin <= hour.start() && hour.end() <= until;
    let hours = Hour::touching(range).filter(behind).filter(|hour| !open(hour));
    runs(hours.map(|hour| (hour, read.at)), read.by)
}

/// Neighbours that were read at the same moment, together.
fn runs(hours: impl Iterator<Item = (Hour, Timestamp)>, by: &'static str) -> Vec<Covered> {
    let mut runs: Vec<Covered> = Vec::new();
    for (hour, at) in hours {
        match runs.last_mut() {
            Some(last) if last.to == hour && last.read.at == at => last.to = hour.plus(1),
            _ => runs.push(Covered { from: hour, to: hour.plus(1), read: Read { at, by } }),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// Minutes of the world that the model looks at: ten hours.
    const MINUTES: i64 = 600;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_secs(minute * 60)
    }

    fn range((from, length): (i64, i64)) -> TimeRange {
        TimeRange::new(at(from), at((from + length).min(MINUTES)))
    }

    fn minutes(range: &TimeRange) -> impl Iterator<Item = i64> + use<> {
        range.from.as_secs() / 60..range.to.as_secs() / 60
    }

    fn hours_of(covered: &[Covered]) -> BTreeMap<i64, i64> {
        let each = |run: &Covered| {
            let at = run.read.at.as_secs();
            let from = run.from.as_secs() / 3_600;
            (from..run.to.as_secs() / 3_600).map(move |hour| (hour, at))
        };
        covered.iter().flat_map(each).collect()
    }

    /// Minute by minute.
    fn is_whole(hour: i64, mut read: impl FnMut(i64) -> bool) -> bool {
        (hour * 60..hour * 60 + 60).all(&mut read)
    }

    proptest! {
        #[test]
        fn a_job_completes_an_hour_when_it_has_read_its_last_minute_and_lost_none(
            jobs in vec((0..MINUTES, 0..MINUTES), 1..4),
            lengths in vec(1i64..200, 1..30),
            lost in vec((0..30usize, 0..MINUTES), 0..4),
        ) {
            let mut unread = Vec::new();
            jobs.into_iter().for_each(|job| ranges::insert(&mut unread, range(job)));
            let mut reading = Reading::new(at(0));
            let (mut read, mut begins) = ([false; MINUTES as usize], BTreeMap::<i64, i64>::new());
            for nth in 0.. {
                let length = std::time::Duration::from_secs(lengths[nth % lengths.len()] as u64 * 60);
                let Some(slice) = ranges::cut(&mut unread, length) else { break };
                let begin = 1_000_000 + nth as i64;
                reading.begin(Timestamp::from_secs(begin));
                let gone = |minute: &i64| lost.contains(&(nth, *minute));
                let missing: Vec<_> = minutes(&slice).filter(gone).map(|m| range((m, 1))).collect();
                for minute in minutes(&slice) {
                    read[minute as usize] = !gone(&minute);
                    begins.entry(minute / 60).or_insert(begin);
                }
                let touched = |hour: i64| minutes(&slice).any(|minute| minute / 60 == hour);
                let whole = |hour: i64| is_whole(hour, |minute| read[minute as usize]);
                let expected: BTreeMap<i64, i64> = (0..MINUTES / 60)
                    .filter(|hour| touched(*hour) && whole(*hour))
                    .map(|hour| (hour, begins[&hour]))
                    .collect();
                prop_assert_eq!(hours_of(&reading.slice(slice, &missing, "sweep")), expected);
            }
        }

        #[test]
        fn an_hour_is_behind_live_polls_when_no_minute_of_it_is_a_hole_or_a_gap(
            origin in 0..MINUTES,
            before in proptest::option::of(0..MINUTES),
            until in 0..MINUTES,
            holes in vec((0..MINUTES, 0i64..100), 0..4),
            gaps in vec((0..MINUTES, 0i64..100), 0..4),
        ) {
            let mut progress = Progress { live_until: Some(at(until)), ..Progress::new(at(origin)) };
            holes.into_iter().for_each(|hole| ranges::insert(&mut progress.holes, range(hole)));
            gaps.into_iter().for_each(|gap| ranges::insert(&mut progress.gaps, range(gap)));
            let unread: Vec<i64> =
                progress.holes.iter().chain(&progress.gaps).flat_map(minutes).collect();
            let read = |minute: i64| origin <= minute && minute < until && !unread.contains(&minute);
            let since = before.unwrap_or(origin);
            let expected: Vec<i64> = (0..MINUTES / 60)
                .filter(|hour| (hour + 1) * 60 > since && is_whole(*hour, read))
                .collect();
            let by = Read { at: at(until), by: "live" };
            let passed = passed(&progress, before.map(at), by);
            prop_assert_eq!(hours_of(&passed).into_keys().collect::<Vec<_>>(), expected);
        }
    }
}
