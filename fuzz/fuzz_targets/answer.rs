//! The head of an answer, and a login service's answer: `Retry-After`, quota, errors, tokens.
//!
//! A status, lines of `Name: value`, an empty line, a body. `now` is a header of ours: nanoseconds.

#![no_main]

use std::time::Duration;

use in_lookback::api::Headers;
use in_lookback::api::catalog;
use in_lookback::api::definition::{Quota, Reset};
use in_lookback::api::page::{Failure, FailureKind, Response, failure, spare};
use in_lookback::auth::grant;
use in_lookback::model::Timestamp;
use in_lookback::poll::backoff::{RETRY_AFTER_MAX, retry_after};
use in_lookback::poll::tokens::Tokens;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let (head, body) = text.split_once("\n\n").unwrap_or((&text, ""));
    let mut lines = head.lines();
    let status = lines.next().and_then(|status| status.trim().parse().ok()).unwrap_or(429);
    let mut headers = Headers::default();
    lines.filter_map(|line| line.split_once(": ")).for_each(|(n, v)| headers.push(n, v));
    let nanos = headers.get("now").and_then(|now| now.parse().ok());
    let now = Timestamp::from_nanos(nanos.unwrap_or(1_800_000_000_000_000_000));
    if let Some(wait) = headers.get("retry-after").and_then(|text| retry_after(text, now)) {
        assert!(wait <= RETRY_AFTER_MAX);
    }
    let response = Response { status, headers, body: body.into(), received_bytes: body.len() };
    let definitions = catalog::BUILT_IN.iter().map(|(name, _)| catalog::find(name));
    for definition in definitions {
        if let Some(failure) = failure(&response, definition, now) {
            check(&failure);
        }
    }
    for reset_as in [Reset::Epoch, Reset::Seconds] {
        let quota = Quota {
            limit: Some("x-limit".to_owned()),
            remaining: "x-left".to_owned(),
            reset: "x-reset".to_owned(),
            reset_as,
            reserve_percent: 10,
        };
        if let Some(wait) = spare(&response, Some(&quota), now) {
            assert!((Duration::from_secs(1)..=RETRY_AFTER_MAX).contains(&wait));
        }
    }
    match grant(&response, now) {
        Ok(grant) => {
            assert!(grant.token.is_printable());
            // A short one may stand in any text.
            let token = grant.token.expose();
            assert!(token.len() < 16 || !format!("{grant:?}").contains(token));
            let mut tokens = Tokens::default();
            tokens.granted(grant, Duration::from_secs(5));
            tokens.current(Duration::from_secs(5));
        }
        Err(failure) => check(&failure),
    }
});

fn check(failure: &Failure) {
    if let FailureKind::Throttled(Some(wait)) = failure.kind {
        assert!(wait <= RETRY_AFTER_MAX, "{failure:?}");
    }
    assert!(failure.error.len() <= 80 && !failure.error.contains('\n'), "{failure:?}");
}
