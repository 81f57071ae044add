//! The small notations of the options: durations, probabilities, spans, quotas.

use std::{fmt, str::FromStr, time::Duration};

use jiff::Timestamp;

/// Reads a duration: a number and a unit, as in `90s`, `15m`, `6h`, `7d`, `500ms`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let seconds_per_unit = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => {
            return Err(format!("`{text}` is no duration: write 500ms, 90s, 15m, 6h or 7d"));
        }
    };
    let number: f64 =
        number.parse().map_err(|_| format!("`{text}` is no duration: `{number}` is no number"))?;
    Duration::try_from_secs_f64(number * seconds_per_unit)
        .ok()
        .filter(|duration| *duration <= LONGEST)
        .ok_or_else(|| format!("`{text}` is too long: at most 3650d"))
}

const LONGEST: Duration = Duration::from_secs(3650 * 86_400);

/// Reads a probability, from 0 to 1.
pub(crate) fn parse_probability(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(p) if (0.0..=1.0).contains(&p) => Ok(p),
        _ => Err(format!("`{text}` is no probability: write a number from 0 to 1")),
    }
}

/// Reads a rate of events a second.
pub(crate) fn parse_rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (0.0..=1e6).contains(&rate) => Ok(rate),
        _ => Err(format!("`{text}` is no rate: write events a second, 0 to 1000000")),
    }
}

/// A stretch of time counted from the simulator's start: `90s@60s` lasts 90 s and begins at 60 s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// How long it lasts.
    pub(crate) lasts: Duration,
    /// When it begins, after the start.
    pub(crate) begins: Duration,
}

impl Span {
    /// The first moment in the span, and the first one after it.
    pub(crate) fn bounds(self, start: Timestamp) -> (Timestamp, Timestamp) {
        let begin = later(start, self.begins);
        (begin, later(begin, self.lasts))
    }

    /// Whether `now` lies in the span.
    pub(crate) fn holds(self, start: Timestamp, now: Timestamp) -> bool {
        let (begin, end) = self.bounds(start);
        begin <= now && now < end
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (lasts, begins) = text.split_once('@').ok_or_else(|| {
            format!("`{text}` is no span: write 90s@60s, which is 90 s long, from 60 s on")
        })?;
        Ok(Self { lasts: parse_duration(lasts)?, begins: parse_duration(begins)? })
    }
}

/// A limit on requests: `5/10s` is five in any ten seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quota {
    /// So many requests
    pub(crate) requests: usize,
    /// in any stretch of this length.
    pub(crate) per: Duration,
}

impl FromStr for Quota {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || format!("`{text}` is no quota: write 5/10s for five requests in ten seconds");
        let (requests, per) = text.split_once('/').ok_or_else(form)?;
        let requests = requests.parse().map_err(|_| form())?;
        let per = parse_duration(per)?;
        if requests == 0 || per.is_zero() {
            return Err(form());
        }
        Ok(Self { requests, per })
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}ms", self.requests, self.per.as_millis())
    }
}

/// `at` plus `by`, stopping at the end of time.
pub(crate) fn later(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// `at` less `by`, stopping at the beginning of time.
pub(crate) fn earlier(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_sub(by).unwrap_or(Timestamp::MIN)
}

/// `at` without what stands behind its second.
pub(crate) fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_nanosecond().div_euclid(1_000_000_000) as i64).unwrap_or(at)
}

/// `at` without what stands behind its millisecond.
pub(crate) fn whole_millis(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_nanosecond().div_euclid(1_000_000) as i64).unwrap_or(at)
}

/// `at` without what stands behind its microsecond.
pub(crate) fn whole_micros(at: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(at.as_nanosecond().div_euclid(1_000) as i64).unwrap_or(at)
}

/// The first moment that, told in whole milliseconds, is not before `at`.
pub(crate) fn first_of_millis(at: Timestamp) -> Timestamp {
    let whole = whole_millis(at);
    if whole < at { later(whole, Duration::from_millis(1)) } else { whole }
}

/// The last moment that, told in whole milliseconds, is not after `at`.
pub(crate) fn last_of_millis(at: Timestamp) -> Timestamp {
    later(whole_millis(at), Duration::from_nanos(999_999))
}

/// The last moment of the second that `at` lies in.
pub(crate) fn end_of_second(at: Timestamp) -> Timestamp {
    later(whole_seconds(at), Duration::from_nanos(999_999_999))
}

/// From `from` until `to`; nothing if that lies the other way.
pub(crate) fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or(Duration::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_duration("1.5h"), Ok(Duration::from_secs(5400)));
        assert_eq!(parse_duration("7d"), Ok(Duration::from_secs(604_800)));
        for bad in ["", "5", "s", "-1s", "5 parsecs", "9999d", "1.2.3s"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn spans_and_quotas() {
        let span: Span = "90s@1m".parse().unwrap();
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        assert!(!span.holds(start, later(start, Duration::from_secs(59))));
        assert!(span.holds(start, later(start, Duration::from_secs(60))));
        assert!(span.holds(start, later(start, Duration::from_secs(149))));
        assert!(!span.holds(start, later(start, Duration::from_secs(150))));
        assert!("90s".parse::<Span>().is_err());

        let quota: Quota = "5/10s".parse().unwrap();
        assert_eq!((quota.requests, quota.per), (5, Duration::from_secs(10)));
        assert!("0/10s".parse::<Quota>().is_err());
        assert!("5/0s".parse::<Quota>().is_err());
    }

    #[test]
    fn records_tell_their_time_cut_off() {
        let at = |text: &str| -> Timestamp { text.parse().unwrap() };
        let (time, millis) = (at("2026-01-01T00:00:00.0015Z"), at("2026-01-01T00:00:00.001Z"));
        assert_eq!(whole_millis(time), millis);
        assert_eq!(whole_seconds(time), at("2026-01-01T00:00:00Z"));
        assert_eq!(end_of_second(time), at("2026-01-01T00:00:00.999999999Z"));
        assert_eq!(first_of_millis(time), at("2026-01-01T00:00:00.002Z"));
        assert_eq!(first_of_millis(millis), millis);
        assert_eq!(last_of_millis(time), at("2026-01-01T00:00:00.001999999Z"));
    }

    #[test]
    fn probabilities_are_bounded() {
        assert_eq!(parse_probability("0.02"), Ok(0.02));
        assert!(parse_probability("1.1").is_err());
        assert!(parse_probability("NaN").is_err());
    }
}
