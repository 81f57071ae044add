//! What the services answer, decided without sockets and without a clock: a request and the time go
//! in, an answer comes out.
//!
//! Here is what all APIs have in common: outages, quotas, faults. Each family has a file of its own.

use std::{collections::HashSet, time::Duration};

use jiff::Timestamp;
use serde_json::json;

use super::{
    allowance::Allowance,
    api::Api,
    ask::Ask,
    blobs::{BlobOptions, Blobs},
    fault::{Fault, FaultOptions, Faults, Shape},
    feed::{Event, Feed, FeedOptions},
    filter::TimeRange,
    identity::IdentityAsk,
    index::Index,
    kind::CONTENT_TYPES,
    limit::{Hold, Limiter},
    login::{Login, LoginOptions, Version},
    record::write_record,
    refusal::{Why, refuse},
    reply::{Reply, RetryAfter},
    stats::Stats,
    units::earlier,
    wire::Cut,
};

mod acme;
mod activity;
mod github;
mod graph;
mod okta;

/// How the listings behave when nothing goes wrong.
#[derive(Clone, Debug)]
pub(crate) struct ListingOptions {
    /// How far back the API answers.
    pub(crate) retention: Duration,
    /// How long a next link is good.
    pub(crate) link_ttl: Duration,
    /// About how long a record is, in bytes.
    pub(crate) event_bytes: usize,
    /// Azure AD Graph says `odata.nextLink`, without the `@`.
    pub(crate) plain_next_link: bool,
    /// Office 365: what its blobs are like.
    pub(crate) blobs: BlobOptions,
    /// Okta: how likely a bounded query is to miss an event that was over a minute late.
    pub(crate) bounded_misses: f64,
    /// Okta: how many requests a minute has.
    pub(crate) token_quota: u64,
}

impl Default for ListingOptions {
    fn default() -> Self {
        Self {
            retention: Duration::from_secs(30 * 86_400),
            link_ttl: Duration::from_secs(300),
            event_bytes: 1200,
            plain_next_link: false,
            blobs: BlobOptions::default(),
            bounded_misses: 0.0,
            token_quota: 600,
        }
    }
}

/// All that is simulated.
#[derive(Debug)]
pub(crate) struct World {
    /// The events.
    pub(crate) feed: Feed,
    /// What goes wrong.
    pub(crate) faults: Faults,
    /// The counters.
    pub(crate) stats: Stats,
    login: Login,
    options: ListingOptions,
    limiter: Limiter,
    api_hold: Hold,
    login_hold: Hold,
    index: Index,
    blobs: Blobs,
    /// Which of `CONTENT_TYPES` are subscribed to.
    subscribed: [bool; CONTENT_TYPES.len()],
    /// The blobs that were answered whole, by type and slot.
    fetched: HashSet<(usize, i64)>,
    allowance: Allowance,
    /// Events are shown as they are at this moment.
    as_of: Timestamp,
}

impl World {
    /// A world that begins at `start`.
    pub(crate) fn new(
        feed: FeedOptions,
        listing: ListingOptions,
        login: LoginOptions,
        faults: FaultOptions,
        start: Timestamp,
    ) -> Self {
        let seed = feed.seed;
        Self {
            feed: Feed::new(feed, start),
            faults: Faults::new(faults, seed, start),
            stats: Stats::default(),
            login: Login::new(login, seed),
            blobs: Blobs::new(listing.blobs.clone(), seed),
            options: listing,
            limiter: Limiter::default(),
            api_hold: Hold::default(),
            login_hold: Hold::default(),
            index: Index::default(),
            subscribed: Default::default(),
            fetched: HashSet::new(),
            allowance: Allowance::default(),
            as_of: start,
        }
    }

    /// Answers a request to an API.
    pub(crate) fn listing(&mut self, api: Api, ask: &Ask, now: Timestamp) -> Reply {
        self.as_of = now;
        if self.api_hold.is_broken_at(now) {
            self.stats.requests_during_retry_after += 1;
        }
        let answer = match api {
            Api::Okta => Ok(self.metered(ask, now)),
            _ => self.gate(api, now).and_then(|()| match api {
                Api::Activity => self.activity(ask, now),
                Api::Github => self.github(ask, now),
                Api::Acme => self.acme(ask, now),
                _ => self.graph(api, ask, now),
            }),
        };
        answer.unwrap_or_else(|refusal| refusal)
    }

    /// Answers a request for a token to the endpoint `url`; `form` is its body.
    pub(crate) fn token(
        &mut self,
        version: Version,
        url: &str,
        form: &[u8],
        now: Timestamp,
    ) -> Reply {
        if self.login_hold.is_broken_at(now) {
            self.stats.requests_during_retry_after += 1;
        }
        if self.faults.login_is_down() {
            return transient(503).blamed("login_outage");
        }
        if self.faults.decide(&[Fault::AuthFail]).is_some() {
            let reply = match self.faults.form(3) {
                0 => transient(500),
                1 => transient(503),
                _ => {
                    let wait = RetryAfter::seconds(self.faults.options.retry_after, now);
                    self.login_hold.extend(wait.until);
                    transient(503).with("retry-after", wait.value)
                }
            };
            return reply.blamed(Fault::AuthFail.name());
        }
        self.login.token(version, url, form, now)
    }

    /// Answers a request for a token of the managed identity.
    pub(crate) fn identity(&mut self, ask: &IdentityAsk, now: Timestamp) -> Reply {
        if self.faults.login_is_down() {
            return transient(503).blamed("login_outage");
        }
        if self.faults.decide(&[Fault::AuthFail]).is_some() {
            let status = [500, 429, 410][self.faults.form(3)];
            return transient(status).blamed(Fault::AuthFail.name());
        }
        self.login.identity(ask, now)
    }

    /// The counters, and the events counted.
    pub(crate) fn stats(&self, now: Timestamp) -> Stats {
        Stats {
            events: self.feed.generated(now),
            visible: self.feed.visible(now),
            tokens_issued: self.login.issued.values().sum(),
            tokens_by_proof: self.login.issued.clone(),
            ..self.stats.clone()
        }
    }

    /// When `api` begins to show `event`.
    pub(crate) fn shows(&self, api: Api, event: &Event) -> Timestamp {
        match api {
            Api::Activity => self.blobs.shows(event),
            _ => event.visible_at,
        }
    }

    /// Lets a request in, unless the API is down or the quota is spent.
    fn gate(&mut self, api: Api, now: Timestamp) -> Result<(), Reply> {
        if self.faults.api_is_down(now) {
            return Err(refuse(api, Why::Unavailable).blamed("outage"));
        }
        if let Some(quota) = self.faults.options.quota
            && let Err(wait) = self.limiter.admit(quota, now)
        {
            let wait = RetryAfter::seconds(wait, now);
            return Err(self.throttled(api, Some(wait)).blamed("quota"));
        }
        Ok(())
    }

    /// The answer that `draw` draws up, unless something goes wrong with it.
    fn served(
        &mut self,
        api: Api,
        prone: Prone,
        now: Timestamp,
        draw: impl FnOnce(&mut Self, Shape) -> Reply,
    ) -> Reply {
        let possible: Vec<Fault> =
            Fault::ALL.into_iter().filter(|fault| prone.to(*fault)).collect();
        match self.faults.decide(&possible) {
            None => draw(self, Shape::Sound),
            Some(fault) => self.failing(fault, api, now, draw).blamed(fault.name()),
        }
    }

    /// The answer when `fault` happens to it.
    fn failing(
        &mut self,
        fault: Fault,
        api: Api,
        now: Timestamp,
        draw: impl FnOnce(&mut Self, Shape) -> Reply,
    ) -> Reply {
        match fault {
            Fault::Throttle => self.throttle(api, now),
            Fault::Unavailable => {
                let wait = RetryAfter::seconds(self.faults.options.retry_after, now);
                self.api_hold.extend(wait.until);
                refuse(api, Why::Unavailable).with("retry-after", wait.value)
            }
            Fault::Error => match self.faults.form(2) {
                1 if api != Api::Activity => Reply::new(502, "text/html", BAD_GATEWAY.to_vec()),
                _ => refuse(api, Why::Broken),
            },
            Fault::ExpireLink => refuse(api, Why::DeadLink),
            Fault::Unauthorized => refuse(api, Why::Unauthorized),
            Fault::BlobGone => activity::gone(),
            Fault::EmptyPage => draw(self, Shape::Empty),
            Fault::RepeatLink => draw(self, Shape::Repeating),
            Fault::Garbage => {
                let mut reply = draw(self, Shape::Sound);
                match self.faults.form(2) {
                    0 => reply
                        .body
                        .truncate((reply.body.len() as f64 * self.faults.share()) as usize),
                    _ => reply.body = BAD_GATEWAY.to_vec(),
                }
                reply
            }
            Fault::Reset | Fault::Truncate | Fault::Stall => {
                let reply = draw(self, Shape::Sound);
                self.broken(fault, reply)
            }
            // Happens to the login service only.
            Fault::AuthFail => draw(self, Shape::Sound),
        }
    }

    /// `reply`, to be broken on the wire.
    fn broken(&mut self, fault: Fault, mut reply: Reply) -> Reply {
        let at_once = self.faults.form(2) == 0;
        let stall = self.faults.options.stall_for;
        let cut = match fault {
            Fault::Stall if at_once => {
                reply.delay = stall;
                return reply;
            }
            Fault::Stall => Cut::Stall(stall),
            Fault::Reset if at_once => Cut::ResetAtOnce,
            Fault::Reset => Cut::Reset,
            _ => Cut::Close,
        };
        reply.cut = Some((self.faults.share(), cut));
        reply
    }

    /// An answer to one request too many, as if by chance.
    fn throttle(&mut self, api: Api, now: Timestamp) -> Reply {
        if api == Api::Okta {
            return self.okta_throttle(now);
        }
        let wait = self.faults.options.retry_after;
        let wait = match self.faults.form(5) {
            0 => None,
            1 => Some(RetryAfter::date(wait, now)),
            _ => Some(RetryAfter::seconds(wait, now)),
        };
        let mut reply = self.throttled(api, wait);
        if api == Api::Activity && self.faults.form(2) == 0 {
            reply.status = 403;
        }
        reply
    }

    fn throttled(&mut self, api: Api, wait: Option<RetryAfter>) -> Reply {
        let reply = refuse(api, Why::TooMany);
        match wait {
            None => reply,
            Some(wait) => {
                self.api_hold.extend(wait.until);
                reply.with("retry-after", wait.value)
            }
        }
    }

    /// Whether `token` is the one that needs no login.
    fn is_api_token(&self, token: Option<&str>) -> bool {
        token.is_some_and(|token| self.login.is_api_token(token))
    }

    /// The part of `range` that is still kept.
    fn kept(&self, range: TimeRange, now: Timestamp) -> TimeRange {
        TimeRange { from: range.from.max(earlier(now, self.options.retention)), to: range.to }
    }

    /// The records of `events`, with `between` between them.
    fn records(&self, api: Api, events: &[Event], between: char) -> String {
        let bytes = self.options.event_bytes;
        let mut out = String::with_capacity(events.len() * (bytes + 200) + 1000);
        for (index, event) in events.iter().enumerate() {
            if index > 0 {
                out.push(between);
            }
            let revision = self.feed.revision(event.number, self.as_of);
            write_record(&mut out, &self.feed, event, revision, api, bytes);
        }
        out
    }

    /// A page with so many events.
    fn page_reply(&mut self, content_type: &str, body: String, events: usize) -> Reply {
        self.stats.max_page = self.stats.max_page.max(events as u64);
        let mut reply = Reply::new(200, content_type, body.into_bytes());
        reply.events = u32::try_from(events).ok();
        reply
    }
}

/// What is special about a request, as it decides what can go wrong with it.
#[derive(Clone, Copy, Debug, Default)]
struct Prone {
    /// It is not the first one of its walk.
    follows: bool,
    /// It can be answered with an empty page.
    may_be_empty: bool,
    /// Its answer has a next link, and a link back can be given.
    has_next: bool,
    /// It asks for a blob.
    blob: bool,
}

impl Prone {
    fn to(self, fault: Fault) -> bool {
        match fault {
            Fault::ExpireLink => self.follows && !self.blob,
            Fault::Unauthorized => self.follows,
            Fault::EmptyPage => self.may_be_empty,
            Fault::RepeatLink => self.has_next,
            Fault::BlobGone => self.blob,
            Fault::AuthFail => false,
            _ => true,
        }
    }
}

const BAD_GATEWAY: &[u8] = b"<html><head><title>502 Bad Gateway</title></head><body><h2>Our services aren't available right now</h2></body></html>\n";

fn transient(status: u16) -> Reply {
    let text = "AADSTS90033: A transient error has occurred. Please try again.";
    Reply::json(status, &json!({"error": "temporarily_unavailable", "error_description": text}))
}

#[cfg(test)]
mod tests;
