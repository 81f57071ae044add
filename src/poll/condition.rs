//! A state that lasts: reported when it begins, every 15 minutes, and when it ends.

use std::time::Duration;

/// How often a lasting state is reported again.
const AGAIN: Duration = Duration::from_secs(15 * 60);

/// A state that comes and goes is reported so often in a row, and then once every [`BEGINS_EVERY`].
const BEGINS_MAX: u32 = 30;
const BEGINS_EVERY: Duration = Duration::from_secs(30);

/// Whether a state holds, and when it was last reported.
#[derive(Debug, Clone, Copy, Default)]
pub struct Condition {
    reported: Option<Duration>,
    /// When all the beginnings that were reported would have been due, one every [`BEGINS_EVERY`].
    earned: Duration,
}

impl Condition {
    /// Says that the state holds; true if that is worth a report now.
    pub fn hold(&mut self, now: Duration) -> bool {
        let due = match self.reported {
            Some(reported) => now >= reported + AGAIN,
            None => self.begins(now),
        };
        if due {
            self.reported = Some(now);
        }
        due
    }

    /// Whether a beginning may be reported: if not too many were lately.
    fn begins(&mut self, now: Duration) -> bool {
        let earned = self.earned.max(now);
        let may = earned - now <= BEGINS_EVERY * (BEGINS_MAX - 1);
        if may {
            self.earned = earned + BEGINS_EVERY;
        }
        may
    }

    /// Says that the state does not hold; true if it was reported, so that its end is worth a report.
    pub fn end(&mut self) -> bool {
        self.reported.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lasting_state_is_reported_at_its_start_every_quarter_of_an_hour_and_at_its_end() {
        let mut condition = Condition::default();
        let reports = (0..=60).filter(|m| condition.hold(Duration::from_secs(m * 60))).count();
        assert_eq!(reports, 5);
        assert!(condition.end());
        assert!(!condition.end());
        assert!(condition.hold(Duration::from_secs(3_700)));
    }

    #[test]
    fn a_state_that_comes_and_goes_for_weeks_is_not_reported_each_time() {
        let mut condition = Condition::default();
        let (mut begins, mut ends) = (0, 0);
        for second in 0..86_400 {
            begins += u32::from(condition.hold(Duration::from_secs(second)));
            ends += u32::from(condition.end());
        }
        assert_eq!((begins, ends), (2_880 + BEGINS_MAX - 1, 2_880 + BEGINS_MAX - 1));
        // Once it stays, it is told soon.
        let stays = (86_400..).find(|second| condition.hold(Duration::from_secs(*second)));
        assert!(stays.is_some_and(|second| second <= 86_400 + BEGINS_EVERY.as_secs()));
    }
}
