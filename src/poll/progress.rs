//! What has been read completely: the part of the state that decides where reading goes on.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ledger::{Covered, Hour, Ledger};
use super::ranges;
use crate::model::{Bucket, EventKey, TimeRange, Timestamp, Version};

/// Holes at most: the state is written with every commit. Beyond, the nearest are read as one.
const HOLES_MAX: usize = 256;

/// Gaps at most, likewise: what lies between two of them then counts as missing as well.
const GAPS_MAX: usize = 64;

/// What lies further in the future than clocks are adjusted by was written by a wrong clock.
pub const AHEAD_MAX: Duration = Duration::from_secs(60);

/// How far reading has come. Durable only as far as it has been committed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The moment the first poll ever read back to.
    pub origin: Timestamp,
    /// The end of the last complete live poll.
    pub live_until: Option<Timestamp>,
    /// Ranges that an outage left unread, disjoint, oldest first.
    pub holes: Vec<TimeRange>,
    /// One entry a sweep, by depth.
    pub sweeps: Vec<SweepProgress>,
    /// When the newest event of all happened, so that drift goes on growing over a restart.
    #[serde(default)]
    pub newest: Option<Timestamp>,
    /// Where an endless link goes on.
    #[serde(default)]
    pub follow: Option<String>,
    /// Ranges that could not be had, and have not been read since; disjoint, oldest first.
    #[serde(default)]
    pub gaps: Vec<TimeRange>,
    /// From here on the ledger tells what was read; nothing if it has not begun.
    #[serde(default)]
    pub ledger_from: Option<Timestamp>,
    /// How far back live polls read, where that follows the lateness.
    #[serde(default)]
    pub window_seconds: Option<u64>,
}

/// How far one sweep has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepProgress {
    /// Its depth in seconds: what tells it from others when the config changes.
    pub depth_seconds: u64,
    /// When the last one began.
    pub began: Timestamp,
    /// What of it is still unread, oldest first; empty if it is complete.
    pub unread: Vec<TimeRange>,
}

/// How a source begins that has no progress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// It was never read.
    First,
    /// It was read, and nobody knows how far.
    Lost(Loss),
}

/// What is left of a progress that is not to be trusted: hints of how long ago it was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// When it was last written.
    pub written: Option<Timestamp>,
    /// What it seems to have been.
    pub progress: Option<Progress>,
}

/// What memory keeps of a state that was lost under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// How far reading has come for good.
    pub progress: Progress,
    /// Events in memory that count as handed over.
    pub keys: Vec<Version>,
}

/// A step of progress, due once all records before it are handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A live poll is complete up to `until`; `holes` are what it left to the catch-up.
    Live {
        /// The poll's end.
        until: Timestamp,
        /// Ranges that an outage left unread.
        holes: Vec<TimeRange>,
        /// When the newest event happened that was ever seen.
        newest: Option<Timestamp>,
    },
    /// A range that an outage left unread, noted before the poll that found it is complete.
    Hole(TimeRange),
    /// A slice of the catch-up is complete, or past the API's reach.
    CaughtUp(TimeRange),
    /// A sweep began at `began` and has `unread` left.
    Sweep(SweepProgress),
    /// The endless link goes on here; nowhere if it has died.
    Follow(Option<String>),
    /// A blob is read: it need not be fetched again.
    Fetched(EventKey),
    /// Ranges that had not been read before could not be had, as was found at that moment.
    Gap {
        /// The ranges.
        ranges: Vec<TimeRange>,
        /// When that was found.
        at: Timestamp,
    },
    /// A range has been read in which something could once not be had.
    Mended(TimeRange),
    /// Hours have been read completely.
    Covered(Vec<Covered>),
    /// Live polls read so far back from now on.
    Window(Duration),
}

/// Whether live polls had come further before than a clock is adjusted by: it was ahead then, or is behind now.
pub fn was_ahead(live_until: Option<Timestamp>, until: Timestamp) -> bool {
    live_until.is_some_and(|last| last > until + AHEAD_MAX)
}

impl Mark {
    /// The blob that is read, if it is that.
    pub fn fetched(&self) -> Option<EventKey> {
        match self {
            Self::Fetched(key) => Some(*key),
            _ => None,
        }
    }
}

impl Progress {
    /// The progress of a source that was never read.
    pub fn new(origin: Timestamp) -> Self {
        Self {
            origin,
            live_until: None,
            holes: Vec::new(),
            sweeps: Vec::new(),
            newest: None,
            follow: None,
            gaps: Vec::new(),
            ledger_from: Some(origin),
            window_seconds: None,
        }
    }

    /// What of it cannot be, if something cannot: then its file is not sound. A time in the future can be: a
    /// clock was ahead, or is behind now. Whoever reads by it sees to that.
    pub fn contradiction(&self) -> Option<&'static str> {
        let unread = self.sweeps.iter().flat_map(|sweep| &sweep.unread);
        let mut ranges = self.holes.iter().chain(&self.gaps).chain(unread);
        ranges.any(|range| range.from > range.to).then_some("a range ends before it begins")
    }

    /// Takes a step.
    pub fn apply(&mut self, mark: &Mark) {
        match mark {
            Mark::Live { until, holes, newest } => {
                if was_ahead(self.live_until, *until) {
                    // By a clock that was ahead, what could be had seemed to be gone.
                    let before = |gap: &TimeRange| ranges::before(*gap, *until);
                    self.gaps = self.gaps.iter().filter_map(before).collect();
                }
                self.live_until = Some(*until);
                self.newest = *newest;
                holes.iter().for_each(|hole| self.add_hole(*hole));
            }
            Mark::Hole(range) => self.add_hole(*range),
            Mark::CaughtUp(range) => ranges::remove(&mut self.holes, *range),
            Mark::Sweep(progress) => {
                self.sweeps.retain(|sweep| sweep.depth_seconds != progress.depth_seconds);
                self.sweeps.push(progress.clone());
            }
            Mark::Follow(position) => self.follow.clone_from(position),
            Mark::Gap { ranges, at } => {
                // What the ledger has no rows of any more need not be told apart.
                self.gaps = ranges::after(&self.gaps, Hour::first_kept(*at).start());
                ranges.iter().for_each(|range| ranges::insert(&mut self.gaps, *range));
                ranges::join_nearest(&mut self.gaps, GAPS_MAX);
            }
            Mark::Mended(range) => ranges::remove(&mut self.gaps, *range),
            Mark::Fetched(_) | Mark::Covered(_) => {}
            Mark::Window(window) => self.window_seconds = Some(window.as_secs()),
        }
    }

    /// What of a range should have been read by now or later, and has not been.
    pub fn missing(&self, range: TimeRange) -> Vec<TimeRange> {
        let since = self.ledger_from.map_or(self.origin, |from| from.max(self.origin));
        let mut missing = ranges::after(&[range], since);
        let read = TimeRange::new(since, self.live_until.unwrap_or(since).max(since));
        ranges::remove(&mut missing, read);
        for unread in self.holes.iter().chain(&self.gaps) {
            let (from, to) = (unread.from.max(range.from), unread.to.min(range.to));
            if from < to {
                ranges::insert(&mut missing, TimeRange::new(from, to));
            }
        }
        missing
    }

    fn add_hole(&mut self, hole: TimeRange) {
        ranges::insert(&mut self.holes, hole);
        ranges::join_nearest(&mut self.holes, HOLES_MAX);
    }

    /// The progress of the sweep of a depth.
    pub fn sweep(&self, depth: Duration) -> Option<&SweepProgress> {
        self.sweeps.iter().find(|sweep| sweep.depth_seconds == depth.as_secs())
    }

    /// The oldest moment that has not been read completely.
    pub fn read_until(&self) -> Timestamp {
        let live = self.live_until.unwrap_or(self.origin);
        self.holes.first().map_or(live, |hole| hole.from.min(live))
    }
}

/// What is to become durable, all of it or nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Events that were handed over, and blobs that are read. Of several versions of one, the last counts.
    pub keys: Vec<Version>,
    /// Events that the state holds, and what they say now: noted where it does not know what they said.
    pub adopted: Vec<Version>,
    /// How far reading has come with them.
    pub progress: Progress,
    /// Ids in buckets before this one can be dropped: no future read returns them.
    pub expire_before: Bucket,
    /// What is to be added to the ledger.
    pub ledger: Ledger,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_that_ends_before_it_begins_cannot_be_and_a_clock_that_was_ahead_can() {
        let at = Timestamp::from_secs;
        let sound = Progress { live_until: Some(at(1 << 33)), ..Progress::new(at(500)) };
        assert_eq!(sound.contradiction(), None);
        let hole = TimeRange { from: at(9), to: at(8) };
        let unread = SweepProgress { depth_seconds: 9, began: at(9), unread: vec![hole] };
        for unsound in [
            Progress { holes: vec![hole], ..sound.clone() },
            Progress { sweeps: vec![unread], ..sound.clone() },
        ] {
            assert!(unsound.contradiction().is_some(), "{unsound:?}");
        }
    }
}
