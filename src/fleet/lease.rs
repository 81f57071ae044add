//! How long a lease is good for, as its holder counts it; and whether the database can be believed to have let all others renew.

use std::time::Duration;

use crate::model::{Now, Timestamp};

/// A lease, counted from before it was asked for, so that it ends here before it ends in the database.
///
/// By both clocks: the monotonic one cannot be set, and stands still while a machine sleeps; the other one does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    mono: Duration,
    wall: Timestamp,
}

impl Lease {
    /// A lease of so long that was asked for at `sent`, and granted.
    pub fn of(sent: Now, span: Duration) -> Self {
        Self { mono: sent.mono + span, wall: sent.wall + span }
    }

    /// Whether no other process can have the source yet.
    pub fn holds(&self, now: Now) -> bool {
        now.mono < self.mono && now.wall < self.wall
    }

    /// When it ends by the monotonic clock.
    pub fn until(&self) -> Duration {
        self.mono
    }
}

/// Since when this process has been in contact with the database without a break.
///
/// Where the database was away for all, all leases are over when it is back: whoever comes first must not take what
/// the others are about to renew.
#[derive(Clone, Copy, Debug, Default)]
pub struct Contact {
    since: Option<Duration>,
    last_sent: Duration,
}

impl Contact {
    /// An answer came to what was sent at `sent`.
    pub fn answered(&mut self, sent: Duration, came: Duration, lease: Duration) {
        if came > self.last_sent + lease / 2 {
            self.since = None;
        }
        self.since.get_or_insert(came);
        self.last_sent = sent;
    }

    /// Whether there has been an answer.
    pub fn is_made(&self) -> bool {
        self.since.is_some()
    }

    /// Whether whoever lives has had the time to renew.
    pub fn is_steady(&self, now: Duration, lease: Duration) -> bool {
        self.since.is_some_and(|since| now >= since + lease / 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn now(mono: u64, wall: i64) -> Now {
        Now { mono: SECOND * u32::try_from(mono).unwrap(), wall: Timestamp::from_secs(wall) }
    }

    #[test]
    fn a_lease_is_over_by_whichever_clock_says_so_first() {
        let lease = Lease::of(now(100, 1_000), SECOND * 30);
        let cases = [
            (now(129, 1_029), true),
            (now(130, 1_029), false),
            // The machine slept.
            (now(105, 5_000), false),
            // The clock was set back.
            (now(129, 10), true),
        ];
        for (now, holds) in cases {
            assert_eq!(lease.holds(now), holds, "{now:?}");
        }
    }

    #[test]
    fn after_a_break_in_contact_others_get_half_a_lease_to_renew() {
        let lease = SECOND * 30;
        let mut contact = Contact::default();
        assert!(!contact.is_steady(SECOND * 99, lease), "it has never had an answer");
        contact.answered(SECOND * 100, SECOND * 101, lease);
        assert!(!contact.is_steady(SECOND * 115, lease));
        contact.answered(SECOND * 113, SECOND * 113, lease);
        assert!(contact.is_steady(SECOND * 116, lease));
        contact.answered(SECOND * 128, SECOND * 129, lease);
        assert!(!contact.is_steady(SECOND * 143, lease), "it was away for half a lease");
        assert!(contact.is_steady(SECOND * 144, lease));
    }
}
