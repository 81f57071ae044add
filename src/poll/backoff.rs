//! How long to wait after a failure. Every wait is clamped.

use std::time::Duration;

use crate::model::Timestamp;

/// The first wait between retries.
const FIRST: Duration = Duration::from_millis(500);

/// The longest wait that we choose ourselves.
pub const WAIT_MAX: Duration = Duration::from_secs(60);

/// The longest wait that a server may ask for.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(3_600);

/// Exponential back-off with jitter: half a second, doubling up to a minute.
#[derive(Clone, Debug, Default)]
pub struct Backoff {
    /// Failures in a row.
    pub attempt: u32,
}

impl Backoff {
    /// Counts a failure and says how long to wait; `jitter` in `0..1` takes away up to half of it.
    pub fn fail(&mut self, jitter: f64) -> Duration {
        let full = FIRST.saturating_mul(1 << self.attempt.min(10)).min(WAIT_MAX);
        self.attempt = self.attempt.saturating_add(1);
        full.mul_f64(1.0 - 0.5 * jitter.clamp(0.0, 1.0))
    }

    /// Forgets the failures.
    pub fn succeed(&mut self) {
        self.attempt = 0;
    }
}

/// Reads `Retry-After`: seconds, or an HTTP date (one in the past means no wait). Nothing if it is neither.
pub fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    let wait = if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        Duration::from_secs(text.parse().unwrap_or(u64::MAX))
    } else {
        let moment = httpdate::parse_http_date(text).ok()?;
        let since_1970 = moment.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        (Timestamp::from_secs(0) + since_1970).since(now)
    };
    Some(wait.min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_begin_short_and_end_at_a_minute() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..12).map(|_| backoff.fail(0.0).as_millis()).collect();
        assert_eq!(waits[..4], [500, 1_000, 2_000, 4_000]);
        assert_eq!(waits[11], 60_000);
        backoff.succeed();
        assert_eq!(backoff.fail(1.0).as_millis(), 250);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_always_clamped() {
        let now = Timestamp::parse("1994-11-06T08:49:30Z").unwrap();
        for (text, seconds) in [
            ("7", Some(7)),
            (" 0 ", Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(7)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("1000000000", Some(3_600)),
            ("99999999999999999999999", Some(3_600)),
            ("-5", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(retry_after(text, now), seconds.map(Duration::from_secs), "{text}");
        }
    }
}
