//! Moments and ranges of event time. May not read a clock: every moment comes in as an argument.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// A moment in UTC, in nanoseconds since 1970 (years 1677 to 2262; arithmetic saturates there).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

/// Text that is no RFC 3339 time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected an RFC 3339 time such as 2026-01-31T08:00:00Z, found '{0}'")]
pub struct TimeError(String);

impl Timestamp {
    /// The moment so many nanoseconds after 1970.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// The moment so many whole seconds after 1970.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(NANOS_PER_SECOND))
    }

    /// Nanoseconds since 1970.
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970, rounded down.
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(NANOS_PER_SECOND)
    }

    /// The nanoseconds within the second.
    pub const fn subsec_nanos(self) -> u32 {
        self.0.rem_euclid(NANOS_PER_SECOND) as u32
    }

    /// The whole second that this moment is in.
    pub const fn floor_secs(self) -> Self {
        Self::from_secs(self.as_secs())
    }

    /// The next whole second, or this one if it is whole.
    pub const fn ceil_secs(self) -> Self {
        Self::from_secs(self.as_secs() + if self.subsec_nanos() > 0 { 1 } else { 0 })
    }

    /// Seconds since 1970, as Prometheus wants them.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / NANOS_PER_SECOND as f64
    }

    /// Parses RFC 3339 with any number of fractional digits (those past the ninth are dropped).
    ///
    /// # Errors
    /// If the text is no RFC 3339 time, has no zone, or lies outside the range of this type.
    pub fn parse(text: &str) -> Result<Self, TimeError> {
        let fail = || TimeError(text.chars().take(40).collect());
        let moment: jiff::Timestamp = text.parse().map_err(|_| fail())?;
        i64::try_from(moment.as_nanosecond()).map(Self).map_err(|_| fail())
    }

    /// How long after `earlier` this is; zero if it is not after it.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;
    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(nanos(span)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;
    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(span)))
    }
}

fn nanos(span: Duration) -> i64 {
    i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC, with as many fractional digits as are needed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_nanosecond(i128::from(self.0)) {
            Ok(moment) => moment.fmt(f),
            Err(_) => write!(f, "{}ns", self.0),
        }
    }
}

/// A span of event time, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TimeRange {
    /// Its beginning.
    pub from: Timestamp,
    /// Its end.
    pub to: Timestamp,
}

impl TimeRange {
    /// The range between two moments.
    pub const fn new(from: Timestamp, to: Timestamp) -> Self {
        Self { from, to }
    }

    /// How long it is.
    pub fn span(&self) -> Duration {
        self.to.since(self.from)
    }

    /// Whether nothing lies in it.
    pub fn is_empty(&self) -> bool {
        self.from >= self.to
    }

    /// Whether `moment` lies in it.
    pub fn contains(&self, moment: Timestamp) -> bool {
        self.from <= moment && moment <= self.to
    }
}

impl fmt::Display for TimeRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.from, self.to)
    }
}

/// One reading of both clocks.
///
/// Windows are cut by `wall`; waits and delays run on `mono`, which no clock step can stretch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// What the calendar says.
    pub wall: Timestamp,
    /// Time since an arbitrary moment; never goes back.
    pub mono: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seven_fractional_digits_survive() {
        let moment = Timestamp::parse("2026-03-01T10:00:00.1234567Z").unwrap();
        assert_eq!(moment.subsec_nanos(), 123_456_700);
        assert_eq!(moment.to_string(), "2026-03-01T10:00:00.1234567Z");
    }

    #[test]
    fn a_time_without_a_zone_is_refused() {
        let error = Timestamp::parse("2026-03-01 10:00:00").unwrap_err();
        assert_eq!(
            error.to_string(),
            "expected an RFC 3339 time such as 2026-01-31T08:00:00Z, found '2026-03-01 10:00:00'"
        );
    }

    #[test]
    fn rounding_goes_outwards() {
        let moment = Timestamp::from_nanos(1_500_000_000);
        assert_eq!(moment.as_secs(), 1);
        assert_eq!(moment.ceil_secs(), Timestamp::from_secs(2));
        assert_eq!(Timestamp::from_secs(2).ceil_secs(), Timestamp::from_secs(2));
    }

    #[test]
    fn since_never_goes_below_zero() {
        let (early, late) = (Timestamp::from_secs(1), Timestamp::from_secs(3));
        assert_eq!(late.since(early), Duration::from_secs(2));
        assert_eq!(early.since(late), Duration::ZERO);
    }
}
