//! An API like many: all the usual ways of paging, of writing times, of showing a key.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use serde_json::{Value, json};

use super::{
    super::{
        api::Api,
        ask::Ask,
        feed::Event,
        filter::{Order, TimeRange},
        login::credentials,
        refusal::{Why, refusal, refuse},
        reply::Reply,
        units::{end_of_second, later, whole_seconds},
        walk::{Page, Walk},
    },
    Prone, World,
};

const API: Api = Api::Acme;

/// The query's name of the key; links do not repeat it.
const KEY: &str = "api_key";

/// How pages lead on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Paging {
    /// A URL in the body's `links.next`.
    Link,
    /// A URL in the header `X-Next-Page`.
    Header,
    /// A `Link` header.
    LinkHeader,
    /// The body's `next_cursor`; empty at the end.
    Cursor,
    /// Pages are counted from 1.
    Page,
    /// Events are counted from 0.
    Offset,
    /// Asked by `POST`; the body's `next_cursor`, null at the end.
    Post,
    /// Lines of JSON, and a URL in the header `X-Next-Page`.
    Lines,
}

impl Paging {
    fn of(path: &str) -> Option<Self> {
        match path.strip_prefix("/acme/")?.strip_suffix("/events")? {
            "link" => Some(Paging::Link),
            "header" => Some(Paging::Header),
            "link-header" => Some(Paging::LinkHeader),
            "cursor" => Some(Paging::Cursor),
            "page" => Some(Paging::Page),
            "offset" => Some(Paging::Offset),
            "post" => Some(Paging::Post),
            "lines" => Some(Paging::Lines),
            _ => None,
        }
    }
}

impl World {
    /// Answers a request for a page.
    pub(super) fn acme(&mut self, ask: &Ask, now: Timestamp) -> Result<Reply, Reply> {
        let paging = Paging::of(&ask.path)
            .ok_or_else(|| refusal(API, 404, "not_found", "There is no such way of paging."))?;
        if (paging == Paging::Post) != ask.body.is_some() {
            return Err(refusal(API, 405, "wrong_method", "POST is for post, and for that only."));
        }
        self.check_key(ask)?;
        let query = Query::parse(paging, ask)?;
        if let Some(skip) = query.skip {
            return Ok(self.counted(&query, skip, now));
        }
        let walk = match &query.cursor {
            Some(token) => Walk::from_token(token, self.feed.seed())
                .filter(|walk| now <= later(walk.issued, self.options.link_ttl))
                .ok_or_else(|| refuse(API, Why::DeadLink))?,
            None => {
                let range = self.kept(query.range, now);
                Walk::new(&self.feed, range, Order::Oldest, query.size, now)
            }
        };
        let page = walk.page(&self.feed, |_| true, now);
        let prone = Prone {
            follows: query.cursor.is_some(),
            may_be_empty: !walk.after_empty,
            has_next: page.next.is_some(),
            blob: false,
        };
        Ok(self.served(API, prone, now, |world, shape| {
            world.acme_page(paging, ask, &page.shaped(walk, shape, now))
        }))
    }

    /// A page of those that are counted. It shows what shows now: the next one may repeat some of it.
    fn counted(&mut self, query: &Query, skip: u64, now: Timestamp) -> Reply {
        let range = self.kept(query.range, now);
        let events: Vec<Event> = (self.feed.numbers(range.from, range.to, now))
            .map(|number| self.feed.event(number))
            .filter(|event| event.visible_at <= now)
            .skip(usize::try_from(skip).unwrap_or(usize::MAX))
            .take(query.size as usize)
            .collect();
        // An empty page would be the end, and there is no link to die or to repeat.
        let prone = Prone::default();
        self.served(API, prone, now, |world, _| {
            let page = Page { events, next: None };
            world.acme_page(Paging::Page, &Ask::default(), &page)
        })
    }

    fn acme_page(&mut self, paging: Paging, ask: &Ask, page: &Page) -> Reply {
        let count = page.events.len();
        let token = page.next.map(|walk| walk.to_token(self.feed.seed()));
        let link = token.as_ref().map(|token| ask.link("cursor", token, KEY));
        if paging == Paging::Lines {
            let lines = self.records(API, &page.events, '\n');
            let reply = self.page_reply("application/x-ndjson", lines, count);
            return with_link(reply, paging, link);
        }
        let cursor = match (paging, token) {
            (Paging::Cursor, token) => json!(token.unwrap_or_default()),
            (Paging::Post, token) => json!(token),
            _ => Value::Null,
        };
        let next = if paging == Paging::Link { json!(link) } else { Value::Null };
        let records = self.records(API, &page.events, ',');
        let body = format!(
            r#"{{"data":{{"items":[{records}]}},"next_cursor":{cursor},"links":{{"next":{next}}}}}"#
        );
        with_link(self.page_reply("application/json", body, count), paging, link)
    }

    /// Whether the request shows a good key, of the kind that it says itself it must be.
    fn check_key(&self, ask: &Ask) -> Result<(), Reply> {
        let authorization = ask.authorization.as_deref();
        let basic = credentials(authorization, "basic")
            .and_then(|text| STANDARD.decode(text).ok())
            .and_then(|text| String::from_utf8(text).ok());
        let basic = basic.as_deref().and_then(|text| text.split_once(':'));
        let basic = basic.filter(|(user, _)| *user == self.login.options.client_id);
        let in_query = ask.field(KEY);
        let shown = [
            ("bearer", credentials(authorization, "bearer")),
            ("header", ask.api_key.as_deref()),
            ("query", in_query.as_deref()),
            ("basic", basic.map(|(_, password)| password)),
        ];
        let good: Vec<&str> = (shown.into_iter())
            .filter(|(_, key)| self.is_api_token(*key))
            .map(|(kind, _)| kind)
            .collect();
        let wanted = ask.field("auth");
        match wanted {
            _ if good.is_empty() => Err(refuse(API, Why::Unauthorized)),
            Some(wanted) if !good.contains(&wanted.as_ref()) => {
                Err(refusal(API, 403, "wrong_auth", "Another kind of credentials is wanted here."))
            }
            _ => Ok(()),
        }
    }
}

fn with_link(reply: Reply, paging: Paging, link: Option<String>) -> Reply {
    match (paging, link) {
        (Paging::Header | Paging::Lines, Some(link)) => reply.with("x-next-page", link),
        (Paging::LinkHeader, Some(link)) => reply.with("link", format!("<{link}>; rel=\"next\"")),
        _ => reply,
    }
}

/// A request, understood.
struct Query {
    range: TimeRange,
    size: u64,
    cursor: Option<String>,
    /// How many events lie before the page, where they are counted.
    skip: Option<u64>,
}

impl Query {
    fn parse(paging: Paging, ask: &Ask) -> Result<Self, Reply> {
        let body = match &ask.body {
            None => Value::Null,
            Some(body) => serde_json::from_slice(body).map_err(|_| bad("body"))?,
        };
        // What stands in the query in other ways of paging stands in the body in this one.
        let field = |name: &str| match &body[name] {
            _ if paging != Paging::Post => ask.field(name).map(|value| value.into_owned()),
            Value::String(text) => Some(text.clone()),
            Value::Null => None,
            other => Some(other.to_string()),
        };
        let number = |name: &str, least: u64| match field(name) {
            None => Ok(None),
            Some(text) => match text.parse() {
                Ok(number) if number >= least => Ok(Some(number)),
                _ => Err(bad(name)),
            },
        };
        let time = |name: &str| match field(name) {
            None => Ok(None),
            Some(text) => parse_time(&text).map(Some).ok_or_else(|| bad(name)),
        };
        let from = time("from")?.map_or(Timestamp::MIN, whole_seconds);
        let to = time("to")?.map_or(Timestamp::MAX, end_of_second);
        let size = number("size", 1)?.unwrap_or(LARGEST_SIZE);
        if size > LARGEST_SIZE {
            return Err(bad("size"));
        }
        let skip = match paging {
            Paging::Page => Some(
                (number("page", 1)?.unwrap_or(1) - 1)
                    .checked_mul(size)
                    .ok_or_else(|| bad("page"))?,
            ),
            Paging::Offset => Some(number("offset", 0)?.unwrap_or(0)),
            _ => None,
        };
        let cursor = field("cursor").filter(|cursor| !cursor.is_empty());
        Ok(Self { range: TimeRange { from, to }, size, cursor, skip })
    }
}

const LARGEST_SIZE: u64 = 100;

fn bad(what: &str) -> Reply {
    refusal(API, 400, "bad_request", &format!("`{what}` cannot be understood."))
}

/// RFC 3339, epoch seconds, epoch milliseconds, or `31/12/2026 23:59:59` in UTC.
fn parse_time(text: &str) -> Option<Timestamp> {
    if let Ok(number) = text.parse::<i64>() {
        // Eleven digits of seconds reach beyond the year 5000, and of milliseconds are 1970.
        let seconds = text.len() <= 11;
        return if seconds {
            Timestamp::from_second(number).ok()
        } else {
            Timestamp::from_millisecond(number).ok()
        };
    }
    let local = || {
        let time = DateTime::strptime("%d/%m/%Y %H:%M:%S", text).ok()?;
        TimeZone::UTC.to_timestamp(time).ok()
    };
    text.parse().ok().or_else(local)
}
