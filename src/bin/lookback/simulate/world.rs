//! The simulated services without their network: a request and the time in, an answer out.

use std::{fmt::Write as _, time::Duration};

use jiff::Timestamp;
use serde_json::json;

use super::{
    api::Api,
    fault::{Fault, FaultOptions, Faults},
    feed::{Feed, FeedOptions},
    filter::{Order, TimeRange, parse_filter, parse_order},
    limit::{Hold, Limiter},
    login::{Login, LoginOptions, Version},
    record::write_record,
    reply::{Reply, RetryAfter},
    stats::Stats,
    units::{earlier, later},
    walk::{Page, Walk},
    wire::Cut,
};

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
}

impl Default for ListingOptions {
    fn default() -> Self {
        Self {
            retention: Duration::from_secs(30 * 86_400),
            link_ttl: Duration::from_secs(300),
            event_bytes: 1200,
            plain_next_link: false,
        }
    }
}

/// A request for a page, as far as it matters.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ask {
    /// The host and port that the client spoke to.
    pub(crate) host: String,
    /// The path, as sent.
    pub(crate) path: String,
    /// The query, as sent.
    pub(crate) query: String,
    /// The `Authorization` field.
    pub(crate) authorization: Option<String>,
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
            options: listing,
            limiter: Limiter::default(),
            api_hold: Hold::default(),
            login_hold: Hold::default(),
        }
    }

    /// Answers a request for a page.
    pub(crate) fn listing(&mut self, api: Api, ask: &Ask, now: Timestamp) -> Reply {
        if self.api_hold.is_broken_at(now) {
            self.stats.requests_during_retry_after += 1;
        }
        self.try_listing(api, ask, now).unwrap_or_else(|refusal| refusal)
    }

    /// Answers a request for a token; `form` is its body.
    pub(crate) fn token(&mut self, version: Version, form: &[u8], now: Timestamp) -> Reply {
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
        self.login.token(version, form, now)
    }

    /// The counters, and the events counted.
    pub(crate) fn stats(&self, now: Timestamp) -> Stats {
        Stats {
            events: self.feed.generated(now),
            visible: self.feed.visible(now),
            tokens_issued: self.login.issued,
            ..self.stats.clone()
        }
    }

    fn try_listing(&mut self, api: Api, ask: &Ask, now: Timestamp) -> Result<Reply, Reply> {
        if self.faults.api_is_down(now) {
            return Err(refusal(api, 503, "ServiceNotAvailable", "The service is unavailable.")
                .blamed("outage"));
        }
        if let Some(quota) = self.faults.options.quota
            && let Err(wait) = self.limiter.admit(quota, now)
        {
            let wait = RetryAfter::seconds(wait, now);
            return Err(self.throttled(api, Some(wait)).blamed("quota"));
        }
        if !self.login.accepts(ask.authorization.as_deref(), now) {
            return Err(unauthorized(api));
        }
        let request = PageRequest::parse(api, ask, self, now)?;
        let page = request.walk.page(&self.feed, now);
        let fault = self.faults.decide(&possible(&request, &page));
        let reply = match fault {
            Some(fault) => self.failing(fault, api, ask, &request, page, now),
            None => self.answer(api, ask, &request, page),
        };
        Ok(match fault {
            Some(fault) => reply.blamed(fault.name()),
            None => reply,
        })
    }

    /// The answer when `fault` happens to it.
    fn failing(
        &mut self,
        fault: Fault,
        api: Api,
        ask: &Ask,
        request: &PageRequest,
        page: Page,
        now: Timestamp,
    ) -> Reply {
        match fault {
            Fault::Throttle => {
                let wait = self.faults.options.retry_after;
                let wait = match self.faults.form(5) {
                    0 => None,
                    1 => Some(RetryAfter::date(wait, now)),
                    _ => Some(RetryAfter::seconds(wait, now)),
                };
                self.throttled(api, wait)
            }
            Fault::Unavailable => {
                let wait = RetryAfter::seconds(self.faults.options.retry_after, now);
                self.api_hold.extend(wait.until);
                refusal(api, 503, "ServiceNotAvailable", "The service is unavailable.")
                    .with("retry-after", wait.value)
            }
            Fault::Error => match self.faults.form(2) {
                0 => refusal(api, 500, "InternalServerError", "An unexpected error occurred."),
                _ => Reply::new(502, "text/html", BAD_GATEWAY.to_vec()),
            },
            Fault::ExpireLink => dead_link(api),
            Fault::Unauthorized => unauthorized(api),
            Fault::EmptyPage => {
                let next = request.walk.behind_empty_page(now);
                self.answer(api, ask, request, Page { events: Vec::new(), next: Some(next) })
            }
            Fault::RepeatLink => {
                let link = format!("http://{}{}?{}", ask.host, ask.path, ask.query);
                self.render(api, ask, &page, Some(&link))
            }
            Fault::Garbage => {
                let mut reply = self.answer(api, ask, request, page);
                match self.faults.form(2) {
                    0 => reply
                        .body
                        .truncate((reply.body.len() as f64 * self.faults.share()) as usize),
                    _ => reply.body = BAD_GATEWAY.to_vec(),
                }
                reply
            }
            Fault::Reset | Fault::Truncate | Fault::Stall => {
                let reply = self.answer(api, ask, request, page);
                self.broken(fault, reply)
            }
            // Happens to the login service only.
            Fault::AuthFail => self.answer(api, ask, request, page),
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

    fn throttled(&mut self, api: Api, wait: Option<RetryAfter>) -> Reply {
        let reply = refusal(api, 429, "TooManyRequests", "Too many requests.");
        match wait {
            None => reply,
            Some(wait) => {
                self.api_hold.extend(wait.until);
                reply.with("retry-after", wait.value)
            }
        }
    }

    /// The page as it should be.
    fn answer(&mut self, api: Api, ask: &Ask, request: &PageRequest, page: Page) -> Reply {
        let link = page.next.map(|walk| request.link(ask, &walk.to_token(self.feed.seed())));
        self.render(api, ask, &page, link.as_deref())
    }

    fn render(&mut self, api: Api, ask: &Ask, page: &Page, link: Option<&str>) -> Reply {
        let bytes = self.options.event_bytes;
        let mut body = String::with_capacity(page.events.len() * (bytes + 200) + 1000);
        // Writing to a string cannot fail; a JSON value prints itself quoted and escaped.
        let _ = write!(body, r#"{{"@odata.context":{},"value":["#, json!(api.context(&ask.host)));
        for (index, event) in page.events.iter().enumerate() {
            if index > 0 {
                body.push(',');
            }
            write_record(&mut body, &self.feed, event, api, bytes);
        }
        body.push(']');
        if let Some(link) = link {
            let at = if api == Api::Aad && self.options.plain_next_link { "" } else { "@" };
            let _ = write!(body, r#","{at}odata.nextLink":{}"#, json!(link));
        }
        body.push('}');

        self.stats.max_page = self.stats.max_page.max(page.events.len() as u64);
        let mut reply = Reply::new(200, CONTENT_TYPE, body.into_bytes());
        reply.events = u32::try_from(page.events.len()).ok();
        reply
    }
}

/// A request for a page, understood.
struct PageRequest {
    walk: Walk,
    /// It followed a next link.
    follows: bool,
    /// The query's parts that a next link repeats.
    repeated: Vec<(String, String)>,
}

impl PageRequest {
    fn parse(api: Api, ask: &Ask, world: &World, now: Timestamp) -> Result<Self, Reply> {
        let mut filter = TimeRange::ALL;
        let mut order = Order::Newest;
        let mut page_size = LARGEST_PAGE;
        let mut token = None;
        let mut repeated = Vec::new();
        for (name, value) in url::form_urlencoded::parse(ask.query.as_bytes()) {
            match name.as_ref() {
                "$filter" => {
                    filter = parse_filter(&value, api.time_field(), api.has_types())
                        .ok_or_else(|| bad_filter(api))?;
                }
                "$orderby" => {
                    order = parse_order(&value, api.time_field())
                        .ok_or_else(|| refusal(api, 400, "BadRequest", "Invalid orderby clause"))?;
                }
                "$top" => {
                    page_size = (value
                        .parse()
                        .ok()
                        .filter(|size| (1..=LARGEST_PAGE).contains(size)))
                    .ok_or_else(|| {
                        refusal(api, 400, "BadRequest", "Invalid page size: $top is 1 to 1000")
                    })?;
                }
                "$skiptoken" => {
                    token = Some(value.into_owned());
                    continue;
                }
                _ => {}
            }
            repeated.push((name.into_owned(), value.into_owned()));
        }
        let follows = token.is_some();
        let walk = match token {
            Some(token) => Walk::from_token(&token, world.feed.seed())
                .filter(|walk| now <= later(walk.issued, world.options.link_ttl))
                .ok_or_else(|| dead_link(api))?,
            None => {
                let range = reachable(filter, earlier(now, world.options.retention))
                    .ok_or_else(|| bad_filter(api))?;
                Walk::new(&world.feed, range, order, page_size, now)
            }
        };
        Ok(Self { walk, follows, repeated })
    }

    /// The absolute URL of the page that `token` stands for.
    fn link(&self, ask: &Ask, token: &str) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in &self.repeated {
            query.append_pair(name, value);
        }
        query.append_pair("$skiptoken", token);
        // Spaces as the APIs write them, and dollars as people do.
        let query = query.finish().replace('+', "%20").replace("%24", "$");
        format!("http://{}{}?{query}", ask.host, ask.path)
    }
}

/// What is asked of `range` when nothing before `oldest` is kept. `None`: it asks for more than that.
fn reachable(range: TimeRange, oldest: Timestamp) -> Option<TimeRange> {
    let open = range.from == Timestamp::MIN;
    if range.to < oldest || (!open && range.from < oldest) {
        return None;
    }
    Some(TimeRange { from: range.from.max(oldest), to: range.to })
}

/// The faults that can happen to this page.
fn possible(request: &PageRequest, page: &Page) -> Vec<Fault> {
    Fault::ALL
        .into_iter()
        .filter(|fault| match fault {
            Fault::ExpireLink | Fault::Unauthorized => request.follows,
            // Not twice on end, so that a walk arrives.
            Fault::EmptyPage => !request.walk.after_empty,
            Fault::RepeatLink => page.next.is_some(),
            Fault::AuthFail => false,
            _ => true,
        })
        .collect()
}

const LARGEST_PAGE: u64 = 1000;
const CONTENT_TYPE: &str =
    "application/json;odata.metadata=minimal;odata.streaming=true;charset=utf-8";
const BAD_GATEWAY: &[u8] = b"<html><head><title>502 Bad Gateway</title></head><body><h2>Our services aren't available right now</h2></body></html>\n";

fn refusal(api: Api, status: u16, code: &str, message: &str) -> Reply {
    Reply::json(status, &api.error(code, message))
}

fn bad_filter(api: Api) -> Reply {
    refusal(api, 400, "BadRequest", "Invalid filter clause")
}

fn dead_link(api: Api) -> Reply {
    let text = "The specified page token is either invalid or expired.";
    refusal(api, 400, "Directory_ExpiredPageToken", text)
}

fn unauthorized(api: Api) -> Reply {
    let text = "Access token has expired or is not yet valid.";
    refusal(api, 401, "InvalidAuthenticationToken", text)
        .with("www-authenticate", "Bearer".to_owned())
}

fn transient(status: u16) -> Reply {
    let text = "AADSTS90033: A transient error has occurred. Please try again.";
    Reply::json(status, &json!({"error": "temporarily_unavailable", "error_description": text}))
}

#[cfg(test)]
mod tests;
