//! An answer before it goes onto the wire.

use std::time::Duration;

use jiff::Timestamp;
use libdeflater::{CompressionLvl, Compressor};
use serde_json::Value;

use super::{
    units::{between, later},
    wire::Cut,
};

/// What is sent, and what becomes of it on the way.
#[derive(Debug)]
pub(crate) struct Reply {
    /// The HTTP status.
    pub(crate) status: u16,
    /// Header fields beside the ones of the connection.
    pub(crate) headers: Vec<(&'static str, String)>,
    /// The body, not compressed.
    pub(crate) body: Vec<u8>,
    /// Silence before the answer.
    pub(crate) delay: Duration,
    /// What happens to the connection amid the body: after this share of it.
    pub(crate) cut: Option<(f64, Cut)>,
    /// The fault behind it, for the access log.
    pub(crate) fault: Option<&'static str>,
    /// How many events it shows, for the access log.
    pub(crate) events: Option<u32>,
}

impl Reply {
    /// An answer with a body of that type.
    pub(crate) fn new(status: u16, content_type: &str, body: Vec<u8>) -> Self {
        Self {
            status,
            headers: vec![("content-type", content_type.to_owned())],
            body,
            delay: Duration::ZERO,
            cut: None,
            fault: None,
            events: None,
        }
    }

    /// An answer in JSON.
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::new(status, "application/json", body.to_string().into_bytes())
    }

    /// The same with one header field more.
    pub(crate) fn with(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The same, blamed on a fault.
    pub(crate) fn blamed(mut self, fault: &'static str) -> Self {
        self.fault = Some(fault);
        self
    }

    /// Compresses the body, if that makes it smaller.
    pub(crate) fn compress(&mut self) {
        let mut compressor = Compressor::new(quick());
        let mut packed = vec![0; compressor.gzip_compress_bound(self.body.len())];
        let Ok(size) = compressor.gzip_compress(&self.body, &mut packed) else {
            return;
        };
        if size < self.body.len() {
            packed.truncate(size);
            self.body = packed;
            self.headers.push(("content-encoding", "gzip".to_owned()));
        }
    }
}

/// The fastest level that does compress: the very lowest, 0, only wraps.
fn quick() -> CompressionLvl {
    CompressionLvl::new(1).unwrap_or_default()
}

/// A Retry-After in one of its forms, and the moment that it means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RetryAfter {
    /// The header field's value.
    pub(crate) value: String,
    /// When the wait is over.
    pub(crate) until: Timestamp,
}

impl RetryAfter {
    /// In whole seconds, rounded up.
    pub(crate) fn seconds(wait: Duration, now: Timestamp) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Self { value: seconds.to_string(), until: later(now, Duration::from_secs(seconds)) }
    }

    /// As an HTTP date, in whole seconds, rounded up.
    pub(crate) fn date(wait: Duration, now: Timestamp) -> Self {
        let until = later(now, wait);
        let whole = Timestamp::from_second(until.as_second()).unwrap_or(until);
        let crumb = u64::from(!between(whole, until).is_zero());
        let until = later(whole, Duration::from_secs(crumb));
        Self { value: httpdate::fmt_http_date(until.into()), until }
    }
}

/// Whether an `Accept-Encoding` takes gzip.
pub(crate) fn takes_gzip(accept_encoding: &str) -> bool {
    accept_encoding.split(',').any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let named =
            parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip") || name == "*");
        let refused = parts
            .any(|part| matches!(part.strip_prefix("q=").map(str::parse::<f64>), Some(Ok(0.0))));
        named && !refused
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_never_too_short() {
        let now: Timestamp = "2026-03-01T12:00:00.3Z".parse().unwrap();
        let wait = Duration::from_millis(1500);
        let seconds = RetryAfter::seconds(wait, now);
        assert_eq!(seconds.value, "2");
        assert_eq!(seconds.until, later(now, Duration::from_secs(2)));
        let date = RetryAfter::date(wait, now);
        assert_eq!(date.value, "Sun, 01 Mar 2026 12:00:02 GMT");
        assert_eq!(date.until, "2026-03-01T12:00:02Z".parse().unwrap());
    }

    #[test]
    fn gzip_is_negotiated() {
        assert!(takes_gzip("gzip"));
        assert!(takes_gzip("deflate, gzip;q=0.5"));
        assert!(!takes_gzip("br, gzip;q=0"));
        assert!(!takes_gzip("identity"));
    }
}
