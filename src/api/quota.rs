//! What is left of a request budget, as the headers of an answer tell it.

use std::time::{Duration, UNIX_EPOCH};

use super::definition::{Quota, Reset};
use super::headers::Headers;
use super::page::Response;
use crate::model::Timestamp;
use crate::poll::backoff::RETRY_AFTER_MAX;

/// The shortest wait for a budget that is down to its reserve: headers count in whole seconds.
const SPARE_MIN: Duration = Duration::from_secs(1);

/// How long to leave the API alone because the budget is down to its reserve: the last requests
/// are others', and spending the very last one counts as an offence with some.
pub fn spare(response: &Response, quota: Option<&Quota>, now: Timestamp) -> Option<Duration> {
    let quota = quota?;
    let remaining = number(&response.headers, &quota.remaining)?;
    if remaining > reserve(&response.headers, quota) {
        return None;
    }
    let wait = whole_again(&response.headers, quota, now)?.unwrap_or_default();
    Some(wait.clamp(SPARE_MIN, RETRY_AFTER_MAX))
}

/// How long until the budget of an answer is whole again; nothing if it does not say so, or if
/// that is past.
pub fn until_reset(response: &Response, quota: Option<&Quota>, now: Timestamp) -> Option<Duration> {
    let wait = whole_again(&response.headers, quota?, now)??;
    Some(wait.min(RETRY_AFTER_MAX))
}

/// So many requests are left to others.
fn reserve(headers: &Headers, quota: &Quota) -> f64 {
    let limit = quota.limit.as_ref().and_then(|name| number(headers, name)).unwrap_or_default();
    (limit * f64::from(quota.reserve_percent) / 100.0).ceil().max(1.0)
}

/// How long until the budget is whole again: `Some(None)` if that is past, `None` if nobody says.
fn whole_again(headers: &Headers, quota: &Quota, now: Timestamp) -> Option<Option<Duration>> {
    let reset = number(headers, &quota.reset)?;
    let seconds = match quota.reset_as {
        Reset::Seconds => reset,
        Reset::Epoch => reset - server_time(headers).unwrap_or_else(|| now.as_secs_f64()),
    };
    let wait = Duration::try_from_secs_f64(seconds.min(RETRY_AFTER_MAX.as_secs_f64())).ok();
    Some(wait.filter(|wait| !wait.is_zero()))
}

/// The server's own clock, which it sets the reset by, in seconds since 1970.
fn server_time(headers: &Headers) -> Option<f64> {
    let date = httpdate::parse_http_date(headers.get("date")?.trim()).ok()?;
    Some(date.duration_since(UNIX_EPOCH).ok()?.as_secs_f64())
}

/// A header's number, if it is a plain one: digits, perhaps a sign before them and a fraction.
fn number(headers: &Headers, name: &str) -> Option<f64> {
    let text = headers.get(name)?.trim();
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    // The longest header is finite, but what it says need not be.
    text.parse().ok().filter(|number: &f64| plain && number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn quota(reset_as: Reset) -> Quota {
        Quota {
            limit: Some("X-Limit".to_owned()),
            remaining: "X-Remaining".to_owned(),
            reset: "X-Reset".to_owned(),
            reset_as,
            reserve_percent: 10,
        }
    }

    fn response(headers: &[(&str, &str)]) -> Response {
        let mut response = Response { status: 200, ..Response::default() };
        headers.iter().for_each(|(name, value)| response.headers.push(name, value));
        response
    }

    fn millis(wait: Option<Duration>) -> Option<u128> {
        wait.map(|wait| wait.as_millis())
    }

    #[test]
    fn the_api_is_left_alone_when_the_budget_is_down_to_its_reserve() {
        for (limit, remaining, reset, expected) in [
            ("100", "11", "30", None),
            ("100", "10", "30", Some(30_000)),
            ("100", "0", "30", Some(30_000)),
            ("100", "-1", "30", Some(30_000)),
            // A tenth of 95 is rounded up.
            ("95", "10", "30", Some(30_000)),
            ("95", "11", "30", None),
            // One at least.
            ("5", "1", "30", Some(30_000)),
            ("5", "2", "30", None),
            ("0", "0", "30", Some(30_000)),
            ("", "1", "30", Some(30_000)),
            ("", "2", "30", None),
            ("plenty", "1", "30", Some(30_000)),
            ("plenty", "2", "30", None),
            // Fractions, blanks, and more than anybody would wait.
            ("100.0", " 10.0 ", "30.5", Some(30_500)),
            ("100", "0", "99999999999999999999999", Some(3_600_000)),
            // A reset that is due or past.
            ("100", "0", "0", Some(1_000)),
            ("100", "0", "-30", Some(1_000)),
            ("100", "0", "0.25", Some(1_000)),
            // Garbage.
            ("100", "few", "30", None),
            ("100", "", "30", None),
            ("100", "0", "soon", None),
            ("100", "0", "", None),
            ("100", "0", "NaN", None),
            ("100", "0", "inf", None),
            ("100", "0", "1e3", None),
            ("100", "0", "+30", None),
            ("100", "0", "1.2.3", None),
            ("100", "0", "10, 20", None),
        ] {
            let named = [("x-limit", limit), ("x-remaining", remaining), ("x-reset", reset)];
            let response = response(&named);
            let wait = spare(&response, Some(&quota(Reset::Seconds)), Timestamp::from_secs(NOW));
            assert_eq!(millis(wait), expected, "{named:?}");
        }
    }

    #[test]
    fn a_header_that_is_missing_tells_nothing() {
        let all = [("x-limit", "100"), ("x-remaining", "1"), ("x-reset", "30")];
        let now = Timestamp::from_secs(NOW);
        for (left_out, expected) in [(0, Some(30_000)), (1, None), (2, None)] {
            let mut headers = all.to_vec();
            headers.remove(left_out);
            let wait = spare(&response(&headers), Some(&quota(Reset::Seconds)), now);
            assert_eq!(millis(wait), expected, "{headers:?}");
        }
        assert_eq!(spare(&response(&all), None, now), None);
        let unlimited = Quota { limit: None, ..quota(Reset::Seconds) };
        assert_eq!(millis(spare(&response(&all), Some(&unlimited), now)), Some(30_000));
    }

    #[test]
    fn a_reset_in_epoch_seconds_is_read_by_the_servers_clock() {
        let clock = "Fri, 15 Jan 2027 08:00:00 GMT";
        for (reset, date, waits, remains) in [
            ("1800000030", "", Some(30_000), Some(30_000)),
            ("1800000030.5", "", Some(30_500), Some(30_500)),
            ("1800000000", "", Some(1_000), None),
            ("1799999000", "", Some(1_000), None),
            ("1900000000", "", Some(3_600_000), Some(3_600_000)),
            // The server's clock is 50 s ahead of ours, or cannot be read.
            ("1800000080", "Fri, 15 Jan 2027 08:00:50 GMT", Some(30_000), Some(30_000)),
            ("1800000040", "Fri, 15 Jan 2027 08:00:50 GMT", Some(1_000), None),
            ("1800000030", clock, Some(30_000), Some(30_000)),
            ("1800000030", "today", Some(30_000), Some(30_000)),
            ("soon", clock, None, None),
            ("", clock, None, None),
        ] {
            let response = response(&[("x-remaining", "0"), ("x-reset", reset), ("date", date)]);
            let (quota, now) = (quota(Reset::Epoch), Timestamp::from_secs(NOW));
            assert_eq!(millis(spare(&response, Some(&quota), now)), waits, "{reset} {date}");
            let until = until_reset(&response, Some(&quota), now);
            assert_eq!(millis(until), remains, "{reset} {date}");
        }
    }
}
