//! A worker's time as leader: what it is to do in each round, and how it ends.

use std::time::Duration;

use super::lease::Lease;
use super::seat::{Seat, Standing};
use crate::model::Now;

/// The time that a worker leads for, in one epoch.
#[derive(Debug)]
pub struct Term {
    epoch: i64,
    /// How long it may take to finish.
    grace: Duration,
    /// Until when it is to have finished, if it was recalled.
    finish_by: Option<Duration>,
}

/// What a worker is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duty {
    /// Ask for records and hand them over, while the lease holds.
    Read(Lease),
    /// Ask for nothing and hand nothing over; commit what the host has.
    Finish,
    /// Forget everything: another process reads on from what is committed.
    Over,
}

impl Term {
    /// Begins. `commit_delay` is how long the host has a record before it counts as handed over.
    pub fn new(epoch: i64, commit_delay: Duration) -> Self {
        // Room for a commit that is slow, or has to be tried again.
        let grace = commit_delay * 2 + Duration::from_secs(5);
        Self { epoch, grace, finish_by: None }
    }

    /// Which epoch it is.
    pub fn epoch(&self) -> i64 {
        self.epoch
    }

    /// Whether it is to finish.
    pub fn finishes(&self) -> bool {
        self.finish_by.is_some()
    }

    /// What to do now. `owes` says whether the host has records that are not committed.
    pub fn duty(&mut self, seat: &mut Seat, owes: bool, now: Now) -> Duty {
        seat.heard(now.mono);
        let lease = match seat.standing() {
            Standing::Leads { epoch, lease } if epoch == self.epoch => lease,
            _ => return Duty::Over,
        };
        if !seat.is_recalled() {
            self.finish_by = None;
            return Duty::Read(lease);
        }
        let Some(finish_by) = self.finish_by else {
            // From now on nothing is handed over: only then what is owed can be told for good.
            self.finish_by = Some(now.mono + self.grace);
            return Duty::Finish;
        };
        if !owes {
            seat.leaves(self.epoch);
            return Duty::Over;
        }
        if now.mono < finish_by {
            return Duty::Finish;
        }
        // The host is paused, or the database away: nothing would be gained by stopping here.
        seat.stays();
        self.finish_by = None;
        Duty::Read(lease)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(seconds: u32) -> Now {
        Now { mono: SECOND * seconds, wall: Timestamp::from_secs(i64::from(seconds)) }
    }

    fn leading() -> (Seat, Term, Lease) {
        let (mut seat, lease) = (Seat::new(SECOND), Lease::of(at(1), SECOND * 30));
        seat.taken(5, lease);
        (seat, Term::new(5, SECOND * 5), lease)
    }

    #[test]
    fn a_recalled_worker_leaves_once_nothing_is_owed() {
        let (mut seat, mut term, lease) = leading();
        assert_eq!(term.duty(&mut seat, true, at(2)), Duty::Read(lease));
        seat.recall(SECOND * 2);
        assert_eq!(term.duty(&mut seat, false, at(3)), Duty::Finish, "the host may just take one");
        assert_eq!(term.duty(&mut seat, true, at(4)), Duty::Finish);
        assert_eq!(term.duty(&mut seat, false, at(8)), Duty::Over);
        assert_eq!(seat.standing(), Standing::Leaves { epoch: 5 });
    }

    #[test]
    fn a_recalled_worker_that_cannot_finish_goes_on() {
        let (mut seat, mut term, lease) = leading();
        seat.recall(SECOND * 2);
        assert_eq!(term.duty(&mut seat, true, at(2)), Duty::Finish);
        assert_eq!(term.duty(&mut seat, true, at(16)), Duty::Finish);
        assert_eq!(term.duty(&mut seat, true, at(17)), Duty::Read(lease));
        assert!(!seat.is_recalled());
    }

    #[test]
    fn a_term_is_over_when_another_process_or_a_later_term_has_the_source() {
        let (mut seat, mut term, lease) = leading();
        seat.taken(7, lease);
        assert_eq!(term.duty(&mut seat, true, at(2)), Duty::Over);
        seat.ended(7);
        assert_eq!(Term::new(7, SECOND).duty(&mut seat, true, at(2)), Duty::Over);
    }
}
