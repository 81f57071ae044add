//! A quota by the minute that tells how much of it is left.

use jiff::Timestamp;

/// What has been used of the current minute's quota.
#[derive(Debug, Default)]
pub(crate) struct Allowance {
    /// The minute, counted from 1970.
    minute: i64,
    used: u64,
}

/// How the quota stands after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spent {
    /// Requests that are left in this minute.
    pub(crate) remaining: u64,
    /// When the next minute begins, in epoch seconds.
    pub(crate) reset: i64,
    /// This request was the last one that the quota had.
    pub(crate) last: bool,
    /// This request was one too many.
    pub(crate) over: bool,
}

impl Allowance {
    /// Takes one request out of the quota, if there is one left.
    pub(crate) fn spend(&mut self, quota: u64, now: Timestamp) -> Spent {
        let minute = now.as_second().div_euclid(60);
        if minute != self.minute {
            *self = Self { minute, used: 0 };
        }
        let over = self.used >= quota;
        if !over {
            self.used += 1;
        }
        let remaining = quota.saturating_sub(self.used);
        Spent { remaining, reset: (minute + 1) * 60, last: !over && remaining == 0, over }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_is_told_and_a_minute_brings_it_back() {
        let mut allowance = Allowance::default();
        let mut spend = |second| {
            let spent = allowance.spend(2, Timestamp::from_second(second).unwrap());
            (spent.remaining, spent.reset, spent.last, spent.over)
        };
        assert_eq!(spend(70), (1, 120, false, false));
        assert_eq!(spend(71), (0, 120, true, false));
        assert_eq!(spend(119), (0, 120, false, true));
        assert_eq!(spend(120), (1, 180, false, false));
    }
}
