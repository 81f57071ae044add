//! Moments as users give them on the command line.

use std::time::Duration;

use in_lookback::config::units;
use in_lookback::model::Timestamp;

/// A time, or how long ago.
#[derive(Clone, Copy, Debug)]
pub(crate) enum When {
    At(Timestamp),
    Ago(Duration),
}

impl When {
    pub(crate) fn moment(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(moment) => moment,
            Self::Ago(span) => (now - span).floor_secs(),
        }
    }
}

pub(crate) fn parse_when(text: &str) -> Result<When, String> {
    let ago = || units::duration(text).ok().filter(|_| text.ends_with(['s', 'm', 'h', 'd']));
    if let Some(span) = ago() {
        return Ok(When::Ago(span));
    }
    Timestamp::parse(text)
        .map(When::At)
        .map_err(|error| format!("{error}; or how long ago, such as 24h"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_time_or_how_long_ago() {
        let now = Timestamp::from_secs(1_000_000);
        let of = |text: &str| parse_when(text).map(|when| when.moment(now).to_string());
        assert_eq!(of("1970-01-05T00:00:00Z").unwrap(), "1970-01-05T00:00:00Z");
        assert_eq!(of("1h").unwrap(), (now - Duration::from_secs(3_600)).to_string());
        for text in ["", "24", "yesterday", "2026-01-31"] {
            assert!(of(text).unwrap_err().contains("RFC 3339"), "{text}");
        }
    }
}
