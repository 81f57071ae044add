//! Which ranges to read: one planner for live polls, sweeps and catch-up. Pure functions.

use std::time::Duration;

use super::progress::{AHEAD_MAX, Progress};
use crate::config::sweeps::Sweep;
use crate::model::{TimeRange, Timestamp};

/// What a live poll reads, and what it leaves to the catch-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LivePlan {
    /// What the poll reads.
    pub range: TimeRange,
    /// What an outage left unread before it.
    pub hole: Option<TimeRange>,
}

/// The durations that a live poll is planned by.
#[derive(Debug, Clone, Copy)]
pub struct LiveRules {
    /// From the start of one poll to the next.
    pub interval: Duration,
    /// How far back a poll reads.
    pub window: Duration,
    /// How far back this one reads: `window`, or more if it has been widened.
    pub widened: Duration,
    /// How far back anything is ever read.
    pub depth: Duration,
    /// How far back the API answers.
    pub reach: Duration,
    /// Before this nothing is wanted.
    pub bound: Option<Timestamp>,
}

/// Plans a live poll.
///
/// On time, it reads the window. Late, it reads as much further back as it is late, so that every
/// event keeps `window - interval` to show up in. After an outage, reading resumes from the last
/// complete poll less the window; what of that lies more than a window further back than the poll
/// itself is left to the catch-up, so that fresh records come first. A last poll in the future was written by a
/// clock that was ahead: nobody knows what it missed, and everything is read again that sweeps would find.
pub fn live(progress: &Progress, rules: LiveRules, now: Timestamp) -> LivePlan {
    let within = |from: Timestamp| rules.bound.map_or(from, |bound| from.max(bound));
    let regular = within(now - rules.widened.max(rules.window));
    let resume = within(match progress.live_until {
        None => progress.origin,
        Some(until) if until > now + AHEAD_MAX => now - rules.depth,
        Some(until) if now.since(until) <= rules.interval * 2 => {
            until + rules.interval - rules.window
        }
        Some(until) => until - rules.window,
    });
    if resume >= regular {
        return LivePlan { range: TimeRange::new(regular.min(now), now), hole: None };
    }
    if regular.since(resume) <= rules.window && now.since(resume) <= rules.reach {
        return LivePlan { range: TimeRange::new(resume, now), hole: None };
    }
    LivePlan { range: TimeRange::new(regular, now), hole: Some(TimeRange::new(resume, regular)) }
}

/// Where a sweep begins that follows one which began at `last`.
///
/// Late, it reads as much further back as it is late, so that every event keeps `depth - every` to
/// show up in.
pub fn sweep_from(sweep: Sweep, last: Timestamp, now: Timestamp) -> Timestamp {
    now.min(last + sweep.every) - sweep.depth
}

/// How long slices are: adapted to how many pages they turn out to have, so that a walk is neither
/// one request for nothing nor so long that its loss is dear.
#[derive(Debug, Clone, Copy)]
pub struct SliceLength {
    length: Duration,
    max: Duration,
}

/// Slices are never shorter, however many pages they have.
const SLICE_MIN: Duration = Duration::from_secs(60);
const PAGES_FEW: u32 = 2;
const PAGES_MANY: u32 = 16;

impl SliceLength {
    /// Starts at `first`, and never goes over `max`.
    pub fn new(first: Duration, max: Duration) -> Self {
        Self { length: first.min(max), max }
    }

    /// How long the next slice is.
    pub fn get(self) -> Duration {
        self.length
    }

    /// Learns from a slice that took so many pages.
    pub fn learn(&mut self, pages: u32) {
        if pages <= PAGES_FEW {
            self.length = (self.length * 2).min(self.max);
        } else if pages > PAGES_MANY {
            self.length = (self.length / 2).max(SLICE_MIN.min(self.max));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    const fn range(from: i64, to: i64) -> TimeRange {
        TimeRange::new(at(from), at(to))
    }

    fn plan(live_until: Option<i64>, now: i64) -> LivePlan {
        let rules = LiveRules {
            interval: Duration::from_secs(180),
            window: Duration::from_secs(1_800),
            widened: Duration::from_secs(1_800),
            depth: Duration::from_secs(7_200),
            reach: Duration::from_secs(86_400),
            bound: None,
        };
        let progress = Progress { live_until: live_until.map(at), ..Progress::new(at(-1_800)) };
        live(&progress, rules, at(now))
    }

    #[test]
    fn a_poll_on_time_reads_the_window() {
        let expected = LivePlan { range: range(8_200, 10_000), hole: None };
        assert_eq!(plan(Some(9_820), 10_000), expected);
    }

    #[test]
    fn the_first_poll_reads_back_to_the_origin() {
        assert_eq!(plan(None, 0), LivePlan { range: range(-1_800, 0), hole: None });
        let late = plan(None, 100_000);
        assert_eq!(late.hole, Some(range(-1_800, 98_200)));
    }

    #[test]
    fn a_late_poll_reads_as_much_further_back_as_it_is_late() {
        assert_eq!(plan(Some(9_800), 10_000).range, range(8_180, 10_000));
    }

    #[test]
    fn after_a_short_outage_one_poll_reads_on_from_the_last_less_the_window() {
        assert_eq!(plan(Some(9_000), 10_000), LivePlan { range: range(7_200, 10_000), hole: None });
    }

    #[test]
    fn after_a_long_outage_the_window_is_read_first_and_the_rest_is_left_to_the_catch_up() {
        let expected = LivePlan { range: range(98_200, 100_000), hole: Some(range(7_200, 98_200)) };
        assert_eq!(plan(Some(9_000), 100_000), expected);
    }

    #[test]
    fn after_a_clock_that_was_ahead_everything_is_read_again_that_sweeps_would_find() {
        let adjusted = LivePlan { range: range(8_200, 10_000), hole: None };
        assert_eq!(plan(Some(10_060), 10_000), adjusted);
        let expected = LivePlan { range: range(8_200, 10_000), hole: Some(range(2_800, 8_200)) };
        assert_eq!(plan(Some(13_600), 10_000), expected);
    }

    #[test]
    fn nothing_before_the_bound_is_read_however_wide_the_window() {
        let rules = LiveRules {
            interval: Duration::from_secs(180),
            window: Duration::from_secs(1_800),
            widened: Duration::from_secs(3_600),
            depth: Duration::from_secs(7_200),
            reach: Duration::from_secs(86_400),
            bound: Some(at(9_000)),
        };
        for live_until in [None, Some(at(9_820)), Some(at(9_100))] {
            let progress = Progress { live_until, ..Progress::new(at(9_000)) };
            let expected = LivePlan { range: range(9_000, 10_000), hole: None };
            assert_eq!(live(&progress, rules, at(10_000)), expected, "{live_until:?}");
        }
    }

    #[test]
    fn a_poll_never_reads_past_the_apis_reach() {
        let rules = LiveRules {
            interval: Duration::from_secs(180),
            window: Duration::from_secs(3_000),
            widened: Duration::from_secs(3_000),
            depth: Duration::from_secs(7_200),
            reach: Duration::from_secs(4_000),
            bound: None,
        };
        let progress = Progress { live_until: Some(at(8_000)), ..Progress::new(at(0)) };
        let expected = LivePlan { range: range(7_000, 10_000), hole: Some(range(5_000, 7_000)) };
        assert_eq!(live(&progress, rules, at(10_000)), expected);
    }

    #[test]
    fn slices_grow_when_they_are_empty_and_shrink_when_they_are_long() {
        let hour = Duration::from_secs(3_600);
        let mut length = SliceLength::new(hour, hour * 3);
        length.learn(0);
        length.learn(1);
        assert_eq!(length.get(), hour * 3);
        length.learn(100);
        assert_eq!(length.get(), hour * 3 / 2);
    }
}
