//! What happens when. A minute holds the troubles of weeks: 1 s stands for minutes to hours.

use std::time::Duration;

use serde_json::{Value, json};

use crate::simulate::{FaultOptions, FeedOptions, Options};

/// All three poll so often.
pub(crate) const INTERVAL: Duration = Duration::from_secs(1);
/// How far back lookback's live polls read, and its sweeps.
pub(crate) const WINDOW: Duration = Duration::from_secs(3);
pub(crate) const SWEEP_DEPTH: Duration = Duration::from_secs(28);
pub(crate) const SWEEP_EVERY: Duration = Duration::from_secs(5);
/// How far back the script reads, and by how much more, up to where, after an empty answer.
pub(crate) const SCRIPT_WINDOW: Duration = Duration::from_secs(10);
pub(crate) const SCRIPT_STEP: Duration = Duration::from_secs(1);
pub(crate) const SCRIPT_WINDOW_MAX: Duration = Duration::from_secs(40);

/// Most show within a second, some too late for lookback's window, and a few for the script's.
const LATENESS: &str = "80%exp:250ms,12%uniform:1s-3s,6%uniform:4s-8s,2%uniform:12s-16s";
/// So that the first windows find something.
const BACKFILL: Duration = Duration::from_secs(2);

/// From the outage on nothing new shows, until here.
const CAUGHT_UP: Duration = Duration::from_secs(28);

/// Something goes wrong for a while.
struct Trouble {
    from: Duration,
    to: Duration,
    /// What is said of it, and when it is over.
    begins: &'static str,
    ends: &'static str,
    /// The simulator's name for it, with its values.
    fault: &'static str,
    on: Level,
    off: Level,
}

#[derive(Clone, Copy)]
enum Level {
    Is(bool),
    Share(f64),
}

impl Trouble {
    const ALL: [Self; 3] = [
        Self {
            from: Duration::from_secs(4),
            to: Duration::from_secs(6),
            begins: "the API throttles everybody: 429, and 503 with a Retry-After",
            ends: "it serves again",
            fault: "throttle",
            on: Level::Share(1.0),
            off: Level::Share(0.0),
        },
        Self {
            from: Duration::from_secs(8),
            to: Duration::from_secs(11),
            begins: "answers break off in the middle",
            ends: "answers are whole again",
            fault: "truncate",
            on: Level::Share(0.6),
            off: Level::Share(0.0),
        },
        OUTAGE,
    ];

    fn patch(&self, level: Level) -> Value {
        match level {
            Level::Is(on) => json!({self.fault: on}),
            Level::Share(share) => json!({self.fault: share}),
        }
    }
}

/// Longer than the script's window.
const OUTAGE: Trouble = Trouble {
    from: Duration::from_secs(13),
    to: Duration::from_secs(24),
    begins: "the API is down: 503",
    ends: "it answers again, but its log has nothing new yet",
    fault: "outage",
    on: Level::Is(true),
    off: Level::Is(false),
};

/// A turn of the story.
pub(crate) struct Act {
    pub(crate) at: Duration,
    pub(crate) says: &'static str,
    /// What it changes of the simulator's faults.
    pub(crate) patch: Option<Value>,
}

/// The turns in their order; a trouble that would not be over by the end is left out.
pub(crate) fn acts(duration: Duration) -> Vec<Act> {
    let beginning = Act {
        at: Duration::ZERO,
        says: "events happen; most show within a second, a few after 12 s and more",
        patch: None,
    };
    let mut acts = vec![beginning];
    for trouble in Trouble::ALL.iter().filter(|trouble| trouble.to <= duration) {
        let act = |at, says, level| Act { at, says, patch: Some(trouble.patch(level)) };
        acts.push(act(trouble.from, trouble.begins, trouble.on));
        acts.push(act(trouble.to, trouble.ends, trouble.off));
    }
    if stalls(duration) {
        let says = "the log has caught up: 15 s of it show at once";
        acts.push(Act { at: CAUGHT_UP, says, patch: None });
    }
    acts
}

/// The simulator that it is told of.
pub(crate) fn options(seed: u64, rate: u32, duration: Duration) -> Options {
    let stall = format!("{}s@{}s", (CAUGHT_UP - OUTAGE.from).as_secs(), OUTAGE.from.as_secs());
    let stall = stall.parse().expect("the simulator's own language");
    let feed = FeedOptions {
        seed,
        rate: rate.into(),
        backfill: BACKFILL,
        lateness: LATENESS.parse().expect("the simulator's own language"),
        delivery_outages: if stalls(duration) { vec![stall] } else { Vec::new() },
        ..FeedOptions::default()
    };
    let faults = FaultOptions { retry_after: INTERVAL, ..FaultOptions::default() };
    Options { feed, faults, ..Options::default() }
}

fn stalls(duration: Duration) -> bool {
    duration >= CAUGHT_UP
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_trouble_that_begins_is_over_before_the_end() {
        for seconds in 0..40 {
            let duration = Duration::from_secs(seconds);
            let acts = acts(duration);
            assert!(acts.is_sorted_by_key(|act| act.at));
            assert!(acts.iter().all(|act| act.at <= duration));
            let troubles = acts.iter().filter(|act| act.patch.is_some()).count();
            assert!(troubles.is_multiple_of(2), "{seconds} s");
        }
        assert_eq!(acts(Duration::from_secs(34)).len(), 8);
    }
}
