//! What happens when. A minute holds the troubles of weeks: 1 s stands for minutes to hours.

use std::time::Duration;

use serde_json::{Value, json};

use crate::simulate::{FaultOptions, FeedOptions, Options};

/// All three poll so often.
pub(crate) const INTERVAL: Duration = Duration::from_secs(1);
/// How far back lookback's live polls read, and its sweeps.
pub(crate) const WINDOW: Duration = Duration::from_secs(2);
pub(crate) const SWEEP_DEPTH: Duration = Duration::from_secs(38);
pub(crate) const SWEEP_EVERY: Duration = Duration::from_secs(7);
/// How far back the script reads, and by how much more, up to where, after an empty answer: for its 6 h, 30 min and
/// 24 h. To scale it would read ten times as often what it has read already.
pub(crate) const SCRIPT_WINDOW: Duration = Duration::from_secs(12);
pub(crate) const SCRIPT_STEP: Duration = Duration::from_secs(1);
pub(crate) const SCRIPT_WINDOW_MAX: Duration = Duration::from_secs(48);

/// In the end nothing happens for so long at least: the script sees an empty window too.
pub(crate) const NIGHT: Duration = SCRIPT_WINDOW.saturating_add(Duration::from_secs(7));

/// Most show within a second, some too late for lookback's window, and a few for the script's.
const LATENESS: &str = "80%exp:500ms,12%uniform:1s-3s,6%uniform:3s-6s,2%uniform:14s-15s";
/// So that the first windows find something.
const BACKFILL: Duration = Duration::from_secs(2);

/// Something goes wrong for a while.
struct Trouble {
    from: Duration,
    to: Duration,
    /// What is said of it, and when it is over.
    begins: &'static str,
    ends: &'static str,
    /// The simulator's name for it, and the share of requests that it happens to.
    fault: &'static str,
    share: f64,
}

impl Trouble {
    const ALL: [Self; 3] = [
        Self {
            from: Duration::from_secs(3),
            to: Duration::from_secs(5),
            begins: "the API throttles everybody: 429",
            ends: "it serves again",
            fault: "throttle",
            share: 1.0,
        },
        Self {
            from: Duration::from_secs(7),
            to: Duration::from_secs(9),
            begins: "answers break off in the middle",
            ends: "answers are whole again",
            fault: "truncate",
            share: 0.6,
        },
        // Longer than the script's window.
        Self {
            from: Duration::from_secs(10),
            to: Duration::from_secs(25),
            begins: "the API is down: 503",
            ends: "the API answers again",
            fault: "unavailable",
            share: 1.0,
        },
    ];
}

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
        says: "events happen; most show within a second, a few much later",
        patch: None,
    };
    let mut acts = vec![beginning];
    for trouble in Trouble::ALL.iter().filter(|trouble| trouble.to <= duration) {
        let Trouble { from, to, begins, ends, fault, share } = *trouble;
        acts.push(Act { at: from, says: begins, patch: Some(json!({fault: share})) });
        acts.push(Act { at: to, says: ends, patch: Some(json!({fault: 0.0})) });
    }
    acts
}

/// The simulator that it is told of.
pub(crate) fn options(seed: u64, rate: u32) -> Options {
    let feed = FeedOptions {
        seed,
        rate: rate.into(),
        backfill: BACKFILL,
        lateness: LATENESS.parse().expect("the simulator's own language"),
        ..FeedOptions::default()
    };
    let faults = FaultOptions { retry_after: INTERVAL, ..FaultOptions::default() };
    Options { feed, faults, ..Options::default() }
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
        assert_eq!(acts(Duration::from_secs(30)).len(), 7);
    }

    #[test]
    fn the_deepest_sweep_reaches_what_shows_last_even_after_the_outage() {
        let latest = Duration::from_secs(15);
        assert!(LATENESS.ends_with(&format!("-{}s", latest.as_secs())));
        let longest = Trouble::ALL.iter().map(|trouble| trouble.to - trouble.from).max().unwrap();
        assert!(SWEEP_DEPTH >= latest + longest + SWEEP_EVERY);
        assert!(longest > SCRIPT_WINDOW);
    }
}
