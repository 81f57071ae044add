//! What kind of failure an answer is.

use std::time::Duration;

use once_cell::sync::Lazy;

use super::Response;
use crate::api::definition::{Definition, ErrorMeaning};
use crate::api::quota;
use crate::config::Secret;
use crate::json::{self, Pointer, Scalar};
use crate::model::Timestamp;
use crate::poll::backoff;

/// Why a page could not be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What to do about it.
    pub kind: FailureKind,
    /// The HTTP status; zero if there was no answer.
    pub status: u16,
    /// The service's code, or what went wrong.
    pub error: String,
}

impl Failure {
    /// The same, without words that quote a credential: servers echo what they were sent.
    #[must_use]
    pub fn without(mut self, secret: Option<&Secret>) -> Self {
        if secret.is_some_and(|secret| secret.is_quoted_in(&self.error)) {
            self.error = QUOTES.to_owned();
        }
        self
    }
}

/// What is shown instead.
const QUOTES: &str = "an answer that quotes the credential, not shown";

/// What to do about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The server wants us to wait, for so long if it said so.
    Throttled(Option<Duration>),
    /// The token was not accepted.
    Unauthorized,
    /// The server refuses this request: a link that died, or a question it does not answer.
    Refused,
    /// What was asked for is not there, or no longer: asking again is of no use.
    Gone,
    /// A subscription is missing: it is to be started first.
    Unsubscribed,
    /// Anything that may pass: no answer, a server's error, a body that is not whole.
    Transient,
}

/// What kind of failure an answer is; nothing if its body is to be read. Without a definition,
/// codes of errors have no meaning of their own.
pub fn failure(
    response: &Response,
    definition: Option<&Definition>,
    now: Timestamp,
) -> Option<Failure> {
    let status = response.status;
    if (200..=299).contains(&status) {
        return None;
    }
    let error = error_code(&response.body);
    let meaning = definition.and_then(|definition| definition.errors.get(&error)).copied();
    let asked = retry_after(response, now);
    let throttled = || {
        let quota = definition.and_then(|definition| definition.quota.as_ref());
        FailureKind::Throttled(asked.or_else(|| quota::until_reset(response, quota, now)))
    };
    let kind = match (status, meaning) {
        (429, _) | (_, Some(ErrorMeaning::Throttled)) => throttled(),
        (_, Some(ErrorMeaning::Ok)) => return None,
        (_, Some(ErrorMeaning::Unauthorized)) => FailureKind::Unauthorized,
        (_, Some(ErrorMeaning::Restart)) => FailureKind::Refused,
        (_, Some(ErrorMeaning::Gone)) => FailureKind::Gone,
        (_, Some(ErrorMeaning::Subscribe)) => FailureKind::Unsubscribed,
        (_, Some(ErrorMeaning::Retry)) => FailureKind::Transient,
        (403 | 500..=599, None) if asked.is_some() => throttled(),
        (401, None) => FailureKind::Unauthorized,
        (408 | 500..=599, None) => FailureKind::Transient,
        (_, None) => FailureKind::Refused,
    };
    Some(Failure { kind, status, error })
}

fn retry_after(response: &Response, now: Timestamp) -> Option<Duration> {
    backoff::retry_after(response.headers.get("retry-after")?, now)
}

/// Where services put the code of an error; the first that holds a word wins.
static ERROR_CODES: Lazy<Vec<Pointer>> = Lazy::new(|| {
    let places = ["/error/code", "/error", "/errorCode", "/code", "/odata.error/code"];
    places.into_iter().filter_map(|place| Pointer::parse(place).ok()).collect()
});

/// Longest code that is passed on.
const ERROR_CODE_CHARS_MAX: usize = 80;

/// The service's code for what went wrong: a word, never a text that could quote a credential.
pub fn error_code(body: &[u8]) -> String {
    let text = std::str::from_utf8(body).unwrap_or("");
    let found = json::find_all(text, &ERROR_CODES).unwrap_or_default();
    let mut codes = found.into_iter().flatten().filter_map(Scalar::into_text);
    codes.find(|code| is_word(code)).map(String::from).unwrap_or_default()
}

fn is_word(code: &str) -> bool {
    let of_word = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    (1..=ERROR_CODE_CHARS_MAX).contains(&code.len()) && code.bytes().all(of_word)
}
