//! A state that lasts: reported when it begins, every 15 minutes, and when it ends.

use std::time::Duration;

/// How often a lasting state is reported again.
const AGAIN: Duration = Duration::from_secs(15 * 60);

/// Whether a state holds, and when it was last reported.
#[derive(Debug, Clone, Copy, Default)]
pub struct Condition {
    reported: Option<Duration>,
}

impl Condition {
    /// Says that the state holds; true if that is worth a report now.
    pub fn hold(&mut self, now: Duration) -> bool {
        let due = self.reported.is_none_or(|reported| now >= reported + AGAIN);
        if due {
            self.reported = Some(now);
        }
        due
    }

    /// Says that the state does not hold; true if it did, so that its end is worth a report.
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
}
