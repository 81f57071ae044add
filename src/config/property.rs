//! One property read: set or not, parsed, within its bounds.

use std::time::Duration;

use super::{ConfigError, Raw, units};

/// A property that has a default, parsed.
pub(super) fn parsed<T>(
    raw: &Raw,
    name: &str,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Result<T, ConfigError> {
    let text = raw.get_or_default(name).unwrap_or("");
    parse(text).map_err(|expected| ConfigError::new(name, format!("found '{text}'"), expected))
}

/// A property without a default, parsed if it is set.
pub(super) fn optional<T>(
    raw: &Raw,
    name: &str,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Result<Option<T>, ConfigError> {
    raw.get_or_default(name).map(|_| parsed(raw, name, parse)).transpose()
}

/// A property that must be set.
pub(super) fn required<'r>(raw: &'r Raw, name: &str, mend: &str) -> Result<&'r str, ConfigError> {
    raw.get(name).ok_or_else(|| ConfigError::new(name, "is missing", mend))
}

/// A size of at least `min` bytes.
pub(super) fn at_least(raw: &Raw, name: &str, min: usize) -> Result<usize, ConfigError> {
    let value = parsed(raw, name, units::size)?;
    if value < min {
        return Err(ConfigError::new(
            name,
            format!("found {value}"),
            format!("set at least {min}"),
        ));
    }
    Ok(value)
}

/// A duration that is not zero.
pub(super) fn at_least_a_second(raw: &Raw, name: &str) -> Result<Duration, ConfigError> {
    let value = parsed(raw, name, units::duration)?;
    if value.is_zero() {
        return Err(ConfigError::new(name, "found 0", "set at least 1s"));
    }
    Ok(value)
}
