//! `window: auto`: between which bounds the window may follow the lateness.

use std::time::Duration;

use super::sweeps::Sweep;

/// So many times is each record read in the long run, sweeps included, for the sake of the latest few. With what outages
/// add, it stays within 15.
const READS_MAX: f64 = 14.0;

/// The bounds of a window that follows the lateness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Never less than this.
    pub least: Duration,
    /// What it begins with; while too few records are known, it does not go below this.
    pub first: Duration,
    /// Never more than this for the sake of the latest few records: finding those is what sweeps are for.
    pub tail_max: Duration,
    /// Never more than this at all.
    pub max: Duration,
}

impl Bounds {
    /// The bounds for a schedule. `window` is the definition's; `widen_max` and the deepest sweep bound all.
    ///
    /// What sweeps leave of the reads of each record goes to the window. But half of the definition's window is always
    /// allowed: who polls every few seconds has chosen to read more often.
    pub(super) fn new(
        interval: Duration,
        window: Duration,
        sweeps: &[Sweep],
        widen_max: Duration,
    ) -> Self {
        let least = interval * 2;
        let first = window.max(least);
        let reads = |sweep: &Sweep| sweep.depth.as_secs_f64() / sweep.every.as_secs_f64();
        let left = READS_MAX - sweeps.iter().map(reads).sum::<f64>();
        let affordable = interval.mul_f64(left.max(0.0)).max(window / 2);
        let deepest = sweeps.iter().map(|sweep| sweep.depth).max().unwrap_or_default();
        let max = widen_max.min(deepest).max(first);
        let tail_max = Duration::from_secs(affordable.as_secs()).clamp(least, max);
        Self { least, first, tail_max, max }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::sweeps;

    const MINUTE: Duration = Duration::from_secs(60);

    fn bounds(interval: Duration, sweeps: &str) -> Bounds {
        let sweeps = sweeps::parse(sweeps).unwrap();
        Bounds::new(interval, MINUTE * 20, &sweeps, MINUTE * 60 * 24)
    }

    #[test]
    fn what_sweeps_leave_of_the_reads_goes_to_the_window_and_half_the_definitions_at_least() {
        assert_eq!(bounds(MINUTE * 3, "4h/1h, 48h/16h, 13d/3d").tail_max, MINUTE * 10);
        assert_eq!(bounds(MINUTE * 3, "48h/16h").tail_max, MINUTE * 33);
        assert_eq!(bounds(MINUTE * 3, "48h/1h").tail_max, MINUTE * 10);
        assert_eq!(bounds(MINUTE / 60, "48h/16h").tail_max, MINUTE * 10);
        assert_eq!(bounds(MINUTE * 15, "48h/1h").tail_max, MINUTE * 30, "twice interval");
    }

    #[test]
    fn it_never_goes_further_than_the_deepest_sweep_and_widen_max() {
        assert_eq!(bounds(MINUTE * 3, "4h/1h, 48h/16h").max, MINUTE * 60 * 24);
        assert_eq!(bounds(MINUTE * 3, "4h/1h").max, MINUTE * 60 * 4);
    }
}
