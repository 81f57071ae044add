//! The rate limit, and the waits that clients were asked to keep.

use std::{collections::VecDeque, time::Duration};

use jiff::Timestamp;

use super::units::{Quota, between, later};

/// A sliding-window rate limit.
#[derive(Debug, Default)]
pub(crate) struct Limiter {
    /// When the last requests were let through.
    passed: VecDeque<Timestamp>,
}

impl Limiter {
    /// Lets a request through, or says how long to wait.
    pub(crate) fn admit(&mut self, quota: Quota, now: Timestamp) -> Result<(), Duration> {
        while self.passed.front().is_some_and(|at| later(*at, quota.per) <= now) {
            self.passed.pop_front();
        }
        // The limit may have been lowered meanwhile: the oldest request to wait for is not the first one.
        if let Some(over) = self.passed.len().checked_sub(quota.requests)
            && let Some(at) = self.passed.get(over)
        {
            return Err(between(now, later(*at, quota.per)));
        }
        self.passed.push_back(now);
        Ok(())
    }
}

/// A running Retry-After.
#[derive(Debug, Default)]
pub(crate) struct Hold {
    until: Option<Timestamp>,
}

impl Hold {
    /// Asks for quiet until `until`.
    pub(crate) fn extend(&mut self, until: Timestamp) {
        self.until = self.until.max(Some(until));
    }

    /// Whether a request at `now` comes too early.
    pub(crate) fn is_broken_at(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_slides() {
        let quota: Quota = "2/10s".parse().unwrap();
        let mut limiter = Limiter::default();
        let at = |seconds| later(Timestamp::UNIX_EPOCH, Duration::from_secs(seconds));
        assert_eq!(limiter.admit(quota, at(0)), Ok(()));
        assert_eq!(limiter.admit(quota, at(4)), Ok(()));
        assert_eq!(limiter.admit(quota, at(5)), Err(Duration::from_secs(5)));
        assert_eq!(limiter.admit(quota, at(10)), Ok(()));
        assert_eq!(limiter.admit(quota, at(11)), Err(Duration::from_secs(3)));
    }
}
