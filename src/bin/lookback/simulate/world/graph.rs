//! The listings in the manner of Microsoft Graph: `$filter`, `$orderby`, `$top` and next links.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde_json::json;

use super::{
    super::{
        api::Api,
        ask::Ask,
        filter::{Filter, Order, TimeRange, parse_filter, parse_order},
        kind::sign_in_type,
        refusal::{Why, refusal, refuse},
        reply::Reply,
        units::{earlier, later},
        walk::{Page, Walk},
    },
    Prone, World,
};

impl World {
    /// Answers a request for a page of a listing.
    pub(super) fn graph(&mut self, api: Api, ask: &Ask, now: Timestamp) -> Result<Reply, Reply> {
        if !self.login.accepts(ask.authorization.as_deref(), now) {
            return Err(refuse(api, Why::Unauthorized));
        }
        let PageRequest { walk, filter, follows } = PageRequest::parse(api, ask, self, now)?;
        let of_type = |number| filter.kind.is_none_or(|kind| kind == sign_in_type(number));
        let page = walk.page(&self.feed, |event| of_type(event.number), now);
        let prone = Prone {
            follows,
            // Not twice on end, so that a walk arrives.
            may_be_empty: !walk.after_empty,
            has_next: page.next.is_some(),
            blob: false,
        };
        Ok(self.served(api, prone, now, |world, shape| {
            world.graph_page(api, ask, &page.shaped(walk, shape, now))
        }))
    }

    fn graph_page(&mut self, api: Api, ask: &Ask, page: &Page) -> Reply {
        // Writing to a string cannot fail; a JSON value prints itself quoted and escaped.
        let mut body = format!(r#"{{"@odata.context":{},"value":["#, json!(context(ask)));
        body += &self.records(api, &page.events, ',');
        body.push(']');
        if let Some(walk) = page.next {
            let link = ask.link("$skiptoken", &walk.to_token(self.feed.seed()), "");
            let at = if api == Api::Aad && self.options.plain_next_link { "" } else { "@" };
            let _ = write!(body, r#","{at}odata.nextLink":{}"#, json!(link));
        }
        body.push('}');
        self.page_reply(CONTENT_TYPE, body, page.events.len())
    }
}

/// A request for a page, understood.
struct PageRequest {
    walk: Walk,
    filter: Filter,
    /// It followed a next link.
    follows: bool,
}

impl PageRequest {
    fn parse(api: Api, ask: &Ask, world: &World, now: Timestamp) -> Result<Self, Reply> {
        let mut filter = Filter::ALL;
        let mut order = Order::Newest;
        let mut page_size = LARGEST_PAGE;
        let mut token = None;
        let bad = |message| refusal(api, 400, "BadRequest", message);
        for (name, value) in ask.pairs() {
            match name.as_ref() {
                "$filter" => {
                    filter = parse_filter(&value, api.time_field(), api.has_types())
                        .ok_or_else(|| bad(BAD_FILTER))?;
                }
                "$orderby" => {
                    order = parse_order(&value, api.time_field())
                        .ok_or_else(|| bad("Invalid orderby clause"))?;
                }
                "$top" => {
                    page_size =
                        (value.parse().ok().filter(|size| (1..=LARGEST_PAGE).contains(size)))
                            .ok_or_else(|| bad("Invalid page size: $top is 1 to 1000"))?;
                }
                "$skiptoken" => token = Some(value),
                _ => {}
            }
        }
        let follows = token.is_some();
        let walk = match token {
            Some(token) => Walk::from_token(&token, world.feed.seed())
                .filter(|walk| now <= later(walk.issued, world.options.link_ttl))
                .ok_or_else(|| refuse(api, Why::DeadLink))?,
            None => {
                let range = reachable(filter.range, earlier(now, world.options.retention))
                    .ok_or_else(|| bad(BAD_FILTER))?;
                Walk::new(&world.feed, range, order, page_size, now)
            }
        };
        Ok(Self { walk, filter, follows })
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

/// The `@odata.context` of a listing: the path below the version, or below the tenant.
fn context(ask: &Ask) -> String {
    let (first, rest) = ask.path[1..].split_once('/').unwrap_or_default();
    match first {
        "v1.0" | "beta" => format!("{}/{first}/$metadata#{rest}", ask.origin),
        _ => format!("{}/$metadata#{rest}", ask.origin),
    }
}

const LARGEST_PAGE: u64 = 1000;
const CONTENT_TYPE: &str =
    "application/json;odata.metadata=minimal;odata.streaming=true;charset=utf-8";
const BAD_FILTER: &str = "Invalid filter clause";
