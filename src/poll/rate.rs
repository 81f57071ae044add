//! The request budget on our side: so many a minute, spread so that no ten seconds take more than a sixth.

use std::collections::VecDeque;
use std::time::Duration;

/// A sliding window over the requests of the last minute.
#[derive(Debug, Clone)]
pub struct RateLimit {
    per_minute: usize,
    per_burst: usize,
    sent: VecDeque<Duration>,
}

const MINUTE: Duration = Duration::from_secs(60);
const BURST: Duration = Duration::from_secs(10);

/// A budget above this is no limit worth keeping a list for.
const PER_MINUTE_MAX: usize = 60_000;

impl RateLimit {
    /// So many requests a minute.
    pub fn new(per_minute: u32) -> Self {
        let per_minute =
            usize::try_from(per_minute).unwrap_or(PER_MINUTE_MAX).clamp(1, PER_MINUTE_MAX);
        Self { per_minute, per_burst: per_minute.div_ceil(6), sent: VecDeque::new() }
    }

    /// When the next request may go out; `now` or earlier means at once.
    pub fn ready_at(&self) -> Duration {
        let bound = |count: usize, span: Duration| {
            let nth = self.sent.len().checked_sub(count).and_then(|at| self.sent.get(at));
            nth.map_or(Duration::ZERO, |sent| *sent + span)
        };
        bound(self.per_minute, MINUTE).max(bound(self.per_burst, BURST))
    }

    /// Counts a request.
    pub fn sent(&mut self, now: Duration) {
        self.sent.push_back(now);
        if self.sent.len() > self.per_minute {
            self.sent.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_in_ten_seconds_and_thirty_a_minute_are_never_exceeded() {
        let mut limit = RateLimit::new(30);
        let mut now = Duration::ZERO;
        let mut sent = Vec::new();
        for _ in 0..100 {
            now = now.max(limit.ready_at());
            limit.sent(now);
            sent.push(now);
        }
        for (count, span) in [(5, BURST), (30, MINUTE)] {
            assert!(sent.windows(count + 1).all(|w| w[count] - w[0] >= span), "{count}");
        }
        assert!(now < Duration::from_secs(200), "the budget is used: {now:?}");
    }
}
