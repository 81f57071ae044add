//! The time, and when it stood still for who had to work.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Since 1970. The machine's clock is not stepped here, so one clock does for all: events, journal, faults.
pub(crate) type Moment = Duration;

pub(crate) fn now() -> Moment {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Spans of time in which nobody can be expected to get on with the work.
#[derive(Clone, Debug, Default)]
pub(crate) struct Standstills(Vec<(Moment, Moment)>);

impl Standstills {
    pub(crate) fn add(&mut self, from: Moment, to: Moment) {
        self.0.push((from, to));
    }

    pub(crate) fn extend(&mut self, other: &Standstills) {
        self.0.extend(&other.0);
    }

    /// How much of the time from `from` to `to` is left when the standstills are taken out.
    pub(crate) fn free(&self, from: Moment, to: Moment) -> Duration {
        let mut spans: Vec<_> = self.0.iter().map(|(a, b)| (*a.max(&from), *b.min(&to))).collect();
        spans.retain(|(a, b)| a < b);
        spans.sort_unstable();
        let (mut free, mut at) = (Duration::ZERO, from);
        for (a, b) in spans {
            free += a.saturating_sub(at);
            at = at.max(b);
        }
        free + to.saturating_sub(at)
    }

    /// The longest one.
    pub(crate) fn longest(&self) -> Duration {
        self.0.iter().map(|(from, to)| *to - *from).max().unwrap_or_default()
    }
}

/// Notes when the machine is so busy that a thread that only sleeps wakes late: what had to be done in time
/// then may not have been done either, and that is nobody's fault.
#[derive(Clone, Default)]
pub(crate) struct BusyMachine(Arc<Mutex<Standstills>>);

impl BusyMachine {
    const STEP: Duration = Duration::from_millis(50);
    const LATE: Duration = Duration::from_millis(150);

    pub(crate) fn watch() -> Self {
        let watch = Self::default();
        let standstills = Arc::clone(&watch.0);
        std::thread::spawn(move || {
            let mut before = now();
            loop {
                std::thread::sleep(Self::STEP);
                let after = now();
                if after.saturating_sub(before) > Self::STEP + Self::LATE {
                    standstills.lock().unwrap_or_else(PoisonError::into_inner).add(before, after);
                }
                before = after;
            }
        });
        watch
    }

    pub(crate) fn standstills(&self) -> Standstills {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standstills_that_overlap_are_taken_out_once() {
        let second = Duration::from_secs;
        let mut standstills = Standstills::default();
        for (from, to) in [(2, 4), (3, 6), (9, 20), (30, 40)] {
            standstills.add(second(from), second(to));
        }
        assert_eq!(standstills.free(second(1), second(10)), second(4));
        assert_eq!(standstills.free(second(21), second(29)), second(8));
        assert_eq!(standstills.free(second(5), second(1)), Duration::ZERO);
    }
}
