//! Durations, sizes and switches as users write them.

use std::time::Duration;

/// `90s`, `15m`, `6h`, `7d`; a bare number means seconds, as Fluent Bit's own properties do.
///
/// # Errors
/// What was expected, for a message that names the property.
pub fn duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let expected = || "expected a duration such as 90s, 15m, 6h or 7d".to_owned();
    let count: u64 = text[..digits].parse().map_err(|_| expected())?;
    let unit = match text[digits..].trim() {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(expected()),
    };
    let seconds = count.checked_mul(unit).filter(|s| *s <= DURATION_MAX.as_secs());
    seconds.map(Duration::from_secs).ok_or_else(|| "expected at most 3650d".to_owned())
}

/// The same, for a property that also takes `auto`, which is for the caller to read.
///
/// # Errors
/// What was expected.
pub(super) fn duration_or_auto(text: &str) -> Result<Duration, String> {
    duration(text).map_err(|expected| format!("{expected}, or auto"))
}

/// The longest duration a property may have: ten years.
pub const DURATION_MAX: Duration = Duration::from_secs(3_650 * 86_400);

/// Prints a duration the way [`duration`] reads it.
pub fn show(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0 => "0s".to_owned(),
        s if s % 86_400 == 0 => format!("{}d", s / 86_400),
        s if s % 3_600 == 0 => format!("{}h", s / 3_600),
        s if s % 60 == 0 => format!("{}m", s / 60),
        s => format!("{s}s"),
    }
}

/// `512k`, `16M`, `1G`, in powers of 1024; a bare number means bytes.
///
/// # Errors
/// What was expected.
pub fn size(text: &str) -> Result<usize, String> {
    let text = text.trim();
    let expected = || "expected a size such as 512k or 16M".to_owned();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let count: usize = text[..digits].parse().map_err(|_| expected())?;
    let shift = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" => 10,
        "m" | "mb" => 20,
        "g" | "gb" => 30,
        _ => return Err(expected()),
    };
    count.checked_mul(1 << shift).ok_or_else(expected)
}

/// `on/off`, `true/false`, `yes/no`.
///
/// # Errors
/// What was expected.
pub fn switch(text: &str) -> Result<bool, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "on" | "true" | "yes" => Ok(true),
        "off" | "false" | "no" => Ok(false),
        _ => Err("expected on or off".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_their_unit() {
        for (text, seconds) in
            [("90s", 90), ("15m", 900), ("6h", 21_600), ("7d", 604_800), (" 5 ", 5), ("0s", 0)]
        {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "m", "5x", "-5m", "1.5h", "99999999999999999999s", "4000d"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_duration_is_shown_as_it_is_read() {
        for text in ["0s", "90s", "15m", "6h", "7d"] {
            assert_eq!(show(duration(text).unwrap()), text);
        }
    }

    #[test]
    fn sizes_are_powers_of_1024() {
        for (text, bytes) in [("512k", 524_288), ("16M", 16_777_216), ("7", 7), ("1G", 1 << 30)] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        assert!(size("many").is_err());
    }

    #[test]
    fn switches_have_three_spellings() {
        assert_eq!(switch("on"), switch("Yes"));
        assert_eq!(switch("off"), switch("false"));
        assert!(switch("1").is_err());
    }
}
