//! Tries a plan for real: a token, then pages, the newest first, until there are events enough to judge by.
//! Asks like the plugin does, delivers nothing, changes nothing, and leaves the state alone.

use std::sync::Arc;
use std::time::Duration;

use in_lookback::api::definition::Method;
use in_lookback::api::page::{self, Failure, FailureKind, Response};
use in_lookback::api::position::{self, Position};
use in_lookback::api::request::{PageOf, RequestSpec};
use in_lookback::config::Plan;
use in_lookback::model::{Fault, TimeRange, Timestamp};

use crate::client::{Client, transient};

/// Requests at most: this is a look, not a read.
const REQUESTS_MAX: u32 = 40;

/// So many events say enough.
const EVENTS_ENOUGH: usize = 50;

/// Of one slice, so many pages at most.
const PAGES_MAX: usize = 3;

/// Of one listing, so many blobs at most, the newest ones.
const BLOBS_MAX: usize = 3;

/// The first range that is asked for; each further one is so many times as deep.
const FIRST: Duration = Duration::from_secs(120);
const DEEPER: u32 = 4;

/// Ranges with more events than can be read are halved down to this: drift is not told more exactly.
const FINE: Duration = Duration::from_secs(5);

/// At least so deep it looks before it says that there is nothing.
const DEEP: Duration = Duration::from_secs(24 * 3_600);

/// A longer wait that the server asks for is not waited for.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tried {
    /// When it was looked at.
    pub(crate) now: Timestamp,
    /// When the events happened that were found, the newest first.
    pub(crate) times: Vec<Timestamp>,
    /// How far back was read.
    pub(crate) span: Duration,
    /// Whether all of that was read.
    pub(crate) whole: bool,
    /// Requests to the API.
    pub(crate) requests: u32,
    /// Events without the id or time that the definition names.
    pub(crate) odd: usize,
    /// Subscriptions that are off.
    pub(crate) off: Vec<String>,
}

/// What was asked for when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Token,
    Subscriptions,
    Page,
}

/// Tries a plan.
///
/// # Errors
/// What was asked for, and why it could not be had. No credential is quoted.
pub(crate) fn attempt(plan: &Plan) -> Result<Tried, (Asked, Failure)> {
    let client = Client::new(plan, Arc::default());
    let client = client.map_err(|error| (Asked::Page, transient(0, error)))?;
    let requests_max = REQUESTS_MAX.min(plan.schedule.rate_limit);
    let mut look = Look { client, requests: 0, requests_max };
    look.client.login().map_err(|failure| (Asked::Token, failure))?;
    let off = look.subscriptions().map_err(|failure| (Asked::Subscriptions, failure))?;
    let mut found = Found::default();
    let tried = look.newest(&off, &mut found).map_err(|failure| (Asked::Page, failure))?;
    let (now, span) = tried;
    found.times.sort_unstable_by_key(|time| std::cmp::Reverse(*time));
    let Found { times, odd, cut } = found;
    Ok(Tried { now, times, span, whole: !cut, requests: look.requests, odd, off })
}

/// What pages have shown.
#[derive(Default)]
struct Found {
    times: Vec<Timestamp>,
    odd: usize,
    /// Whether something was left unread.
    cut: bool,
}

struct Look<'p> {
    client: Client<'p>,
    requests: u32,
    requests_max: u32,
}

impl Look<'_> {
    /// The subscriptions that lookback would have to start.
    fn subscriptions(&mut self) -> Result<Vec<String>, Failure> {
        let Some(subscriptions) = &self.client.plan.definition.subscriptions else {
            return Ok(Vec::new());
        };
        let spec = self.client.requests().call(&subscriptions.list, Method::Get, None);
        let response = self.ask(spec)?;
        let on = self.client.reader.subscriptions(&response);
        let on = on.map_err(|error| transient(response.status, error.to_string()))?;
        let wanted = self.client.plan.parts.iter().flatten();
        Ok(wanted.filter(|part| !on.contains(part)).cloned().collect())
    }

    /// Reads back from now, each time deeper, until there are events enough; says when it was, and how deep.
    /// What is not subscribed to has no events.
    fn newest(
        &mut self,
        off: &[String],
        found: &mut Found,
    ) -> Result<(Timestamp, Duration), Failure> {
        let now = self.client.now().wall;
        let is_on = |part: &&Option<String>| part.as_ref().is_none_or(|part| !off.contains(part));
        let parts: Vec<&Option<String>> = self.client.plan.parts.iter().filter(is_on).collect();
        if parts.is_empty() {
            return Ok((now, Duration::ZERO));
        }
        let schedule = &self.client.plan.schedule;
        let deepest = schedule.window.max(DEEP).min(schedule.reach);
        let (mut read, mut span) = (Duration::ZERO, FIRST.min(deepest));
        loop {
            for slice in slices(TimeRange::new(now - span, now - read), schedule.range_max) {
                for part in &parts {
                    if self.requests >= self.requests_max {
                        found.cut = true;
                        return Ok((now, span));
                    }
                    self.read(slice, part.as_deref(), found)?;
                }
            }
            if found.times.len() >= EVENTS_ENOUGH || span >= deepest {
                return Ok((now, span));
            }
            (read, span) = (span, (span * DEEPER).min(deepest));
        }
    }

    /// Reads a range, or what is newest in it: where there is more than a look can read, which end of it comes first
    /// is the API's choice, and so the newer half is read by itself.
    fn read(
        &mut self,
        range: TimeRange,
        part: Option<&str>,
        found: &mut Found,
    ) -> Result<(), Failure> {
        let before = (found.times.len(), found.odd);
        if self.slice(range, part, found)? {
            return Ok(());
        }
        found.cut = true;
        if range.span() <= FINE || self.requests >= self.requests_max {
            return Ok(());
        }
        found.times.truncate(before.0);
        found.odd = before.1;
        let middle = range.to - range.span() / 2;
        self.read(TimeRange::new(middle, range.to), part, found)?;
        if found.times.len() < before.0 + EVENTS_ENOUGH && self.requests < self.requests_max {
            self.read(TimeRange::new(range.from, middle), part, found)?;
        }
        Ok(())
    }

    /// Reads the first pages of a range; says whether these are all.
    fn slice(
        &mut self,
        range: TimeRange,
        part: Option<&str>,
        found: &mut Found,
    ) -> Result<bool, Failure> {
        let mut at: Option<Position> = None;
        for _ in 0..PAGES_MAX {
            let page = PageOf { range, part, position: at.as_ref(), endless: false };
            let spec = self.client.requests().page(page);
            let response = match self.ask(spec) {
                // What is not subscribed to has no events yet.
                Err(failure) if failure.kind == FailureKind::Unsubscribed => return Ok(true),
                answer => answer?,
            };
            at = match self.client.plan.definition.blobs.is_some() {
                true => self.listing(&response, at.as_ref(), found)?,
                false => self.page(&response, at.as_ref(), found)?,
            };
            if at.is_none() {
                return Ok(true);
            }
            if self.requests >= self.requests_max {
                break;
            }
        }
        Ok(false)
    }

    fn page(
        &self,
        response: &Response,
        at: Option<&Position>,
        found: &mut Found,
    ) -> Result<Option<Position>, Failure> {
        let broken = |error: String| transient(response.status, error);
        let page = self.client.reader.page(response, self.client.now().wall);
        let page = page.map_err(|error| broken(error.to_string()))?;
        found.add(&page.events);
        self.client.next(at, page.next.as_deref(), page.events.len()).map_err(broken)
    }

    fn listing(
        &mut self,
        response: &Response,
        at: Option<&Position>,
        found: &mut Found,
    ) -> Result<Option<Position>, Failure> {
        let broken = |error: String| transient(response.status, error);
        let listing =
            self.client.reader.listing(response).map_err(|error| broken(error.to_string()))?;
        let next =
            self.client.next(at, listing.next.as_deref(), listing.entries.len()).map_err(broken)?;
        let mut blobs: Vec<_> = listing.entries.iter().map(|it| (it.made, &it.link)).collect();
        blobs.sort_unstable_by_key(|(made, _)| std::cmp::Reverse(*made));
        found.cut |= blobs.len() > BLOBS_MAX;
        for (made, link) in blobs.into_iter().take(BLOBS_MAX) {
            let url = position::pin(link, &self.client.plan.base_url).map_err(broken)?;
            let spec = self.client.requests().blob(&url);
            let response = match self.ask(spec) {
                // It may have gone since it was listed.
                Err(failure) if failure.kind == FailureKind::Gone => continue,
                answer => answer?,
            };
            let blob = self.client.reader.blob(&response, made, self.client.now().wall);
            let blob = blob.map_err(|error| transient(response.status, error.to_string()))?;
            found.add(&blob.events);
        }
        Ok(next)
    }

    /// Asks the API, and once again if it wants to be left alone for a moment.
    fn ask(&mut self, spec: Result<RequestSpec, String>) -> Result<Response, Failure> {
        let spec = spec.map_err(|error| transient(0, error))?;
        self.requests += 1;
        match self.client.ask(spec.clone()) {
            Err(Failure { kind: FailureKind::Throttled(Some(wait)), .. }) if wait <= WAIT_MAX => {
                self.client.wait(wait);
                self.requests += 1;
                self.client.ask(spec)
            }
            answer => answer,
        }
    }
}

impl Found {
    fn add(&mut self, events: &[page::Event<'_>]) {
        self.odd += events.iter().filter(|event| event.seen.fault.is_some()).count();
        let timed = events.iter().filter(|event| event.seen.fault != Some(Fault::NoTime));
        self.times.extend(timed.map(|event| event.seen.time));
    }
}

/// A range in slices that the API answers, the newest first.
fn slices(range: TimeRange, longest: Duration) -> Vec<TimeRange> {
    let mut slices = Vec::new();
    let mut to = range.to;
    while to > range.from {
        let from = range.from.max(to - longest.max(Duration::from_secs(1)));
        slices.push(TimeRange::new(from, to));
        to = from;
    }
    slices
}

/// What a failure means for whoever has set it up, and what to do.
pub(crate) fn explain(asked: Asked, failure: &Failure) -> (String, &'static str) {
    let what = match asked {
        Asked::Token => "no token",
        Asked::Subscriptions => "no list of subscriptions",
        Asked::Page => "no page",
    };
    let mut problem = match failure.status {
        0 => what.to_owned(),
        status => format!("{what}: HTTP status {status}"),
    };
    if !failure.error.is_empty() {
        problem = format!("{problem}: {}", failure.error);
    }
    let mend = match (asked, failure.status, failure.kind) {
        (_, _, FailureKind::Throttled(_)) => {
            "the quota is used up: try again later; if it stays so, another application uses it too"
        }
        (_, 0, _) => {
            "see whether this machine reaches the host: DNS, proxy, firewall, TLS; or the file, if one is named"
        }
        (_, 500.., _) => "the service has trouble of its own: try again later",
        (Asked::Token, 400 | 401, _) => {
            "see tenant, client_id and the secret or certificate: wrong, expired, or of another application"
        }
        (_, 401, _) => {
            "the API refuses the token: see that it is of the right kind, and not expired or revoked"
        }
        (_, 403, _) => {
            "grant the permission that the API asks for, have an administrator consent to it, and see whether the licence includes it"
        }
        (_, 404 | 410, _) => "see base_url, and the parameters that stand in the path",
        (_, 200..=299, _) => {
            "the answer is not what the definition says: see its `records` and `next`"
        }
        _ => {
            "the API refuses the request: see its parameters, and the API's documentation for the code"
        }
    };
    (problem, mend)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_cut_into_slices_that_the_api_answers_the_newest_first() {
        let at = Timestamp::from_secs;
        let hour = Duration::from_secs(3_600);
        let cut = slices(TimeRange::new(at(0), at(9_000)), hour);
        let expected = [(5_400, 9_000), (1_800, 5_400), (0, 1_800)];
        assert_eq!(cut, expected.map(|(from, to)| TimeRange::new(at(from), at(to))));
        assert!(slices(TimeRange::new(at(5), at(5)), hour).is_empty());
    }

    #[test]
    fn a_refusal_is_explained_by_who_refused_and_how() {
        let failed = |status, kind| Failure { kind, status, error: "code_of_theirs".to_owned() };
        for (asked, status, kind, problem, mend) in [
            (Asked::Token, 401, FailureKind::Unauthorized, "no token: HTTP status 401", "secret"),
            (Asked::Token, 0, FailureKind::Transient, "no token: code", "DNS"),
            (Asked::Page, 401, FailureKind::Unauthorized, "no page", "revoked"),
            (Asked::Page, 403, FailureKind::Refused, "403: code_of_theirs", "licence"),
            (Asked::Page, 404, FailureKind::Refused, "404", "base_url"),
            (Asked::Page, 429, FailureKind::Throttled(None), "429", "quota"),
            (Asked::Page, 503, FailureKind::Transient, "503", "later"),
            (Asked::Subscriptions, 400, FailureKind::Refused, "subscriptions", "parameters"),
        ] {
            let (found, advice) = explain(asked, &failed(status, kind));
            assert!(found.contains(problem), "{asked:?} {status}: {found}");
            assert!(advice.contains(mend), "{asked:?} {status}: {advice}");
        }
    }
}
