//! From an answer to events, or to the kind of failure it is. Judges nothing further.

use std::borrow::Cow;
use std::hash::Hasher;
use std::time::Duration;

use siphasher::sip128::{Hasher128, SipHasher24};

use super::Headers;
use super::definition::{Definition, Id, Paging, Records};
use crate::json::{self, JsonError, PageShape, Pointer, RawEvent, Scalar};
use crate::model::{Bucket, EventKey, Fault, IdHash, Seen, Timestamp};
use crate::poll::backoff;

/// An answer as it came, decompressed.
#[derive(Debug, Default)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// Its headers.
    pub headers: Headers,
    /// The body.
    pub body: Vec<u8>,
    /// How many bytes came over the wire for it.
    pub received_bytes: usize,
}

/// One event of a page.
#[derive(Debug)]
pub struct Event<'p> {
    /// Who it is and when it happened.
    pub seen: Seen,
    /// Its JSON text as the API sent it.
    pub raw: &'p str,
}

/// A page that was read to its end.
#[derive(Debug)]
pub struct Page<'p> {
    /// Its events, in the API's order.
    pub events: Vec<Event<'p>>,
    /// The link to the next page.
    pub next: Option<Cow<'p, str>>,
}

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

/// What to do about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The server wants us to wait, for so long if it said so.
    Throttled(Option<Duration>),
    /// The token was not accepted.
    Unauthorized,
    /// The server refuses this request: a link that died, or a question it does not answer.
    Refused,
    /// Anything that may pass: no answer, a server's error, a body that is not whole.
    Transient,
}

/// Turns bodies into pages for one source.
#[derive(Debug, Clone)]
pub struct PageReader {
    shape: PageShape,
    hash_key: [u8; 16],
}

impl PageReader {
    /// A reader for the pages of a definition; ids are hashed with the key of the state.
    ///
    /// # Errors
    /// If a pointer of the definition is none.
    pub fn new(definition: &Definition, hash_key: [u8; 16]) -> Result<Self, String> {
        let links = match &definition.next {
            Some(Paging::Link(links)) => links.clone(),
            _ => Vec::new(),
        };
        let Records::At(records) = definition.records.clone() else {
            return Err("not yet".to_owned());
        };
        let Id::At(id) = definition.id.clone() else { return Err("not yet".to_owned()) };
        let shape = PageShape { records, id, time: Some(definition.time.at.clone()), next: links };
        Ok(Self { shape, hash_key })
    }

    /// Reads a body to its end.
    ///
    /// # Errors
    /// If the body is not whole: not UTF-8, no valid JSON, or without the array of events.
    pub fn read<'p>(&self, body: &'p [u8], received: Timestamp) -> Result<Page<'p>, BodyError> {
        let text =
            std::str::from_utf8(body).map_err(|error| BodyError::Utf8(error.valid_up_to()))?;
        let mut events = Vec::with_capacity(1_024);
        let tail = json::scan_page(text, &self.shape, &mut |event| {
            events.push(self.event(event, received));
        })?;
        if !tail.has_records {
            return Err(BodyError::NoRecords(self.shape.records.to_string()));
        }
        Ok(Page { events, next: tail.next })
    }

    fn event<'p>(&self, event: &RawEvent<'p>, received: Timestamp) -> Event<'p> {
        let id = self.id(event);
        let time = match &event.time {
            Some(Scalar::Str(text)) => Timestamp::parse(text).ok(),
            _ => None,
        };
        let fault =
            if id.is_none() { Some(Fault::NoId) } else { time.is_none().then_some(Fault::NoTime) };
        let id = id.unwrap_or_else(|| self.hash(|hasher| hasher.write(event.raw.as_bytes())));
        let bucket = time.map_or(Bucket::UNTIMED, Bucket::of);
        let time = time.unwrap_or(received);
        let seen = Seen { key: EventKey { bucket, id }, time, selected: time, fault };
        Event { seen, raw: event.raw }
    }

    /// The hash of an event's id; nothing if a part of it is missing.
    fn id(&self, event: &RawEvent<'_>) -> Option<IdHash> {
        if event.id.iter().any(Option::is_none) {
            return None;
        }
        Some(self.hash(|hasher| {
            for part in event.id.iter().flatten() {
                let (kind, text): (u8, &str) = match part {
                    Scalar::Str(text) => (1, text),
                    Scalar::Number(text) => (2, text),
                    Scalar::Bool(value) => (3, if *value { "true" } else { "false" }),
                };
                hasher.write_u8(kind);
                hasher.write_usize(text.len());
                hasher.write(text.as_bytes());
            }
        }))
    }

    fn hash(&self, feed: impl FnOnce(&mut SipHasher24)) -> IdHash {
        let mut hasher = SipHasher24::new_with_key(&self.hash_key);
        feed(&mut hasher);
        IdHash(hasher.finish128().as_u128())
    }
}

/// A body that does not count as read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// Not text.
    #[error("expected UTF-8, found a byte that is not at {0}")]
    Utf8(usize),
    /// Not whole, or not JSON.
    #[error("the body is no valid JSON: {0}")]
    Json(#[from] JsonError),
    /// JSON, but not the page that the definition describes.
    #[error("the body has no array at '{0}'")]
    NoRecords(String),
}

/// What kind of failure an answer is; nothing if its body is to be read.
pub fn failure(response: &Response, now: Timestamp) -> Option<Failure> {
    let wait = response.headers.get("retry-after").and_then(|text| backoff::retry_after(text, now));
    let kind = match response.status {
        200..=299 => return None,
        429 => FailureKind::Throttled(wait),
        503 if wait.is_some() => FailureKind::Throttled(wait),
        401 => FailureKind::Unauthorized,
        408 | 500..=599 => FailureKind::Transient,
        _ => FailureKind::Refused,
    };
    Some(Failure { kind, status: response.status, error: error_code(&response.body) })
}

/// Where services put the code of an error.
const ERROR_CODES: [&str; 4] = ["/error/code", "/error", "/errorCode", "/code"];

/// Longest code that is passed on.
const ERROR_CODE_CHARS_MAX: usize = 80;

/// The service's code for what went wrong: a word, never a text that could quote a credential.
pub fn error_code(body: &[u8]) -> String {
    let text = std::str::from_utf8(body).unwrap_or("");
    let found = ERROR_CODES.iter().find_map(|pointer| {
        let pointer = Pointer::parse(pointer).ok()?;
        match json::find(text, &pointer).ok().flatten()? {
            Scalar::Str(code) => Some(code.into_owned()),
            Scalar::Number(code) => Some(code.to_owned()),
            Scalar::Bool(_) => None,
        }
    });
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    found
        .filter(|code| code.len() <= ERROR_CODE_CHARS_MAX && code.chars().all(word))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::catalog;

    fn reader() -> PageReader {
        PageReader::new(catalog::find("entra_signins").unwrap(), [7; 16]).unwrap()
    }

    fn answer(status: u16, retry_after: Option<&str>, body: &str) -> Option<Failure> {
        let response = Response {
            status,
            headers: {
                let mut headers = Headers::default();
                retry_after.into_iter().for_each(|value| headers.push("Retry-After", value));
                headers
            },
            body: body.as_bytes().to_vec(),
            received_bytes: 0,
        };
        failure(&response, Timestamp::from_secs(0))
    }

    #[test]
    fn events_carry_their_id_time_and_bytes() {
        let body = br#"{"value":[{"id":"a","createdDateTime":"2026-01-01T00:00:00Z"}],"@odata.nextLink":"https://x/y"}"#;
        let page = reader().read(body, Timestamp::from_secs(0)).unwrap();
        assert_eq!(page.next.as_deref(), Some("https://x/y"));
        assert_eq!(page.events[0].seen.time, Timestamp::parse("2026-01-01T00:00:00Z").unwrap());
        assert_eq!(page.events[0].raw, r#"{"id":"a","createdDateTime":"2026-01-01T00:00:00Z"}"#);
        assert_eq!(page.events[0].seen.fault, None);
    }

    #[test]
    fn an_event_without_id_or_time_is_kept_and_marked() {
        let body = br#"{"value":[{"createdDateTime":"2026-01-01T00:00:00Z"},{"id":"a"},{"id":"a","createdDateTime":"soon"}]}"#;
        let page = reader().read(body, Timestamp::from_secs(9)).unwrap();
        let faults: Vec<_> = page.events.iter().map(|event| event.seen.fault).collect();
        assert_eq!(faults, [Some(Fault::NoId), Some(Fault::NoTime), Some(Fault::NoTime)]);
        assert_eq!(page.events[1].seen.time, Timestamp::from_secs(9));
        assert_eq!(page.events[1].seen.key, page.events[2].seen.key);
    }

    #[test]
    fn a_body_that_is_not_a_page_does_not_count_as_read() {
        for body in
            [&b"{\"value\":[{\"id\":\"a\""[..], b"\xff\xfe", b"{\"values\":[]}", b"", b"<html>"]
        {
            assert!(reader().read(body, Timestamp::from_secs(0)).is_err());
        }
    }

    #[test]
    fn answers_are_told_apart_by_what_to_do() {
        let wait = |secs| FailureKind::Throttled(Some(Duration::from_secs(secs)));
        for (status, retry_after, expected) in [
            (429, Some("7"), wait(7)),
            (429, None, FailureKind::Throttled(None)),
            (503, Some("7"), wait(7)),
            (503, None, FailureKind::Transient),
            (500, None, FailureKind::Transient),
            (401, None, FailureKind::Unauthorized),
            (400, None, FailureKind::Refused),
            (302, None, FailureKind::Refused),
        ] {
            assert_eq!(answer(status, retry_after, "").unwrap().kind, expected, "{status}");
        }
        assert_eq!(answer(200, None, ""), None);
    }

    #[test]
    fn an_error_is_named_by_its_code_never_by_its_text() {
        let code = |body: &str| answer(400, None, body).unwrap().error;
        assert_eq!(code(r#"{"error":{"code":"BadRequest","message":"x"}}"#), "BadRequest");
        assert_eq!(code(r#"{"error":"invalid_client"}"#), "invalid_client");
        assert_eq!(code(r#"{"error":"the secret hunter2 is wrong"}"#), "");
        assert_eq!(code("<html>"), "");
    }
}
