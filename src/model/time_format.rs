//! How an API writes moments: RFC 3339, epoch seconds or milliseconds, or a pattern of its own in UTC.

use std::fmt;

use super::Timestamp;

/// One way to write a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimeFormat {
    /// `2026-01-31T08:00:00Z`
    Rfc3339,
    /// Seconds since 1970; a fraction is allowed.
    Seconds,
    /// Milliseconds since 1970; a fraction is allowed.
    Milliseconds,
    /// A strftime pattern; UTC unless it has a zone of its own.
    Pattern(String),
}

impl TimeFormat {
    /// Reads a format's name, or a pattern.
    ///
    /// # Errors
    /// What was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        Ok(match text {
            "rfc3339" => Self::Rfc3339,
            "seconds" => Self::Seconds,
            "milliseconds" => Self::Milliseconds,
            pattern if pattern.contains('%') => {
                let format = Self::Pattern(pattern.to_owned());
                // A moment that is the same in every part that a pattern may leave out.
                let sample = Timestamp::from_secs(0);
                let again = format.try_show(sample).and_then(|text| format.read(&text));
                match again {
                    Some(_) => format,
                    None => {
                        return Err(format!(
                            "expected a strftime pattern with at least a date, found '{text}'"
                        ));
                    }
                }
            }
            _ => {
                return Err(format!(
                    "expected rfc3339, seconds, milliseconds or a strftime pattern such as '%Y-%m-%dT%H:%M:%S', found '{text}'"
                ));
            }
        })
    }

    /// Reads a moment; nothing if the text is none.
    pub fn read(&self, text: &str) -> Option<Timestamp> {
        match self {
            Self::Rfc3339 => Timestamp::parse(text).ok(),
            Self::Seconds => decimal(text, 9),
            Self::Milliseconds => decimal(text, 6),
            Self::Pattern(pattern) => {
                let parts = jiff::fmt::strtime::parse(pattern, text).ok()?;
                let moment = match parts.to_timestamp() {
                    Ok(moment) => moment,
                    Err(_) => {
                        let civil = parts
                            .to_datetime()
                            .ok()
                            .or_else(|| parts.to_date().ok().map(|date| date.at(0, 0, 0, 0)))?;
                        civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp()
                    }
                };
                i64::try_from(moment.as_nanosecond()).ok().map(Timestamp::from_nanos)
            }
        }
    }

    /// Writes a moment.
    pub fn show(&self, moment: Timestamp) -> String {
        match self {
            Self::Rfc3339 => moment.to_string(),
            Self::Seconds => moment.as_secs().to_string(),
            Self::Milliseconds => (moment.as_nanos().div_euclid(1_000_000)).to_string(),
            Self::Pattern(_) => self.try_show(moment).unwrap_or_else(|| moment.to_string()),
        }
    }

    fn try_show(&self, moment: Timestamp) -> Option<String> {
        let Self::Pattern(pattern) = self else { return None };
        let zoned = jiff::Timestamp::from_nanosecond(i128::from(moment.as_nanos())).ok()?;
        jiff::fmt::strtime::format(pattern, &zoned.to_zoned(jiff::tz::TimeZone::UTC)).ok()
    }
}

impl fmt::Display for TimeFormat {
    /// As it stands in a definition.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rfc3339 => "rfc3339",
            Self::Seconds => "seconds",
            Self::Milliseconds => "milliseconds",
            Self::Pattern(pattern) => pattern,
        })
    }
}

/// A decimal number whose unit is `10^digits` nanoseconds; what is finer than that is dropped.
fn decimal(text: &str, digits: u32) -> Option<Timestamp> {
    let (sign, text) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let mut nanos: i64 = whole.parse::<i64>().ok()?.checked_mul(10_i64.pow(digits))?;
    for (digit, place) in fraction.bytes().zip((0..digits).rev()) {
        nanos = nanos.checked_add(i64::from(digit - b'0') * 10_i64.pow(place))?;
    }
    Some(Timestamp::from_nanos(sign * nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment() -> Timestamp {
        Timestamp::parse("2026-01-31T08:09:10.123Z").unwrap()
    }

    #[test]
    fn each_format_reads_moments() {
        for (format, text) in [
            ("rfc3339", "2026-01-31T08:09:10.123Z"),
            ("seconds", "1769846950.123"),
            ("milliseconds", "1769846950123"),
            ("%Y-%m-%dT%H:%M:%S%.f", "2026-01-31T08:09:10.123"),
            ("%d/%m/%Y %H:%M:%S%.f %z", "31/01/2026 09:09:10.123 +0100"),
        ] {
            assert_eq!(TimeFormat::parse(format).unwrap().read(text), Some(moment()), "{format}");
        }
    }

    #[test]
    fn each_format_writes_moments() {
        for (format, text) in [
            ("rfc3339", "2026-01-31T08:09:10.123Z"),
            ("seconds", "1769846950"),
            ("milliseconds", "1769846950123"),
            ("%Y-%m-%dT%H:%M:%S", "2026-01-31T08:09:10"),
        ] {
            assert_eq!(TimeFormat::parse(format).unwrap().show(moment()), text);
        }
    }

    #[test]
    fn what_is_no_moment_is_not_read() {
        for (format, text) in [
            ("seconds", "soon"),
            ("seconds", ""),
            ("seconds", "1e9"),
            ("milliseconds", "99999999999999999999"),
            ("%Y-%m-%dT%H:%M:%S", "2026-01-31"),
        ] {
            assert_eq!(TimeFormat::parse(format).unwrap().read(text), None, "{format}: {text}");
        }
    }

    #[test]
    fn a_format_that_cannot_tell_a_moment_is_refused() {
        for format in ["", "unix", "%H:%M", "%Q"] {
            assert!(TimeFormat::parse(format).is_err(), "{format}");
        }
    }
}
