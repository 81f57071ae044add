//! Okta's System Log: polling in the order of showing, bounded queries by event time, and a quota
//! that every answer tells of.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    super::{
        allowance::Spent,
        api::Api,
        ask::Ask,
        chance::{Purpose, draws},
        fault::Shape,
        feed::Event,
        filter::{Order, TimeRange},
        login::credentials,
        refusal::{Why, refusal, refuse},
        reply::Reply,
        seal::{from_token, to_token},
        units::{between, earlier, first_of_millis, last_of_millis, later},
        walk::Walk,
    },
    Prone, World,
};

impl World {
    /// Answers a request for the log, out of the minute's quota.
    pub(super) fn metered(&mut self, ask: &Ask, now: Timestamp) -> Reply {
        let quota = self.options.token_quota;
        let spent = self.allowance.spend(quota, now);
        self.stats.quota_spent += u64::from(spent.last);
        let reply = if spent.over {
            self.api_hold.extend(Timestamp::from_second(spent.reset).unwrap_or(now));
            refuse(Api::Okta, Why::TooMany).blamed("quota")
        } else {
            let page = self.gate(Api::Okta, now).and_then(|()| self.log_page(ask, now));
            page.unwrap_or_else(|refusal| refusal)
        };
        // One that was throttled by chance says so itself.
        let told = reply.headers.iter().any(|(name, _)| *name == RESET);
        if told { reply } else { tell(reply, quota, spent) }
    }

    /// A 429 by chance. Now and then the reset it names has passed already.
    pub(super) fn okta_throttle(&mut self, now: Timestamp) -> Reply {
        let passed = self.faults.form(5) == 0;
        let until = if passed {
            earlier(now, Duration::from_secs(30))
        } else {
            later(now, self.faults.options.retry_after)
        };
        // In whole seconds, rounded up.
        let reset = -(-until.as_millisecond()).div_euclid(1000);
        if !passed {
            self.api_hold.extend(Timestamp::from_second(reset).unwrap_or(until));
        }
        let spent = Spent { remaining: 0, reset, last: false, over: true };
        tell(refuse(Api::Okta, Why::TooMany), self.options.token_quota, spent)
    }

    fn log_page(&mut self, ask: &Ask, now: Timestamp) -> Result<Reply, Reply> {
        if !self.is_api_token(credentials(ask.authorization.as_deref(), "SSWS")) {
            return Err(refuse(Api::Okta, Why::Unauthorized));
        }
        let query = Query::parse(ask, now)?;
        if query.polls { self.poll(ask, &query, now) } else { self.bounded(ask, &query, now) }
    }

    /// What became visible, in that order; there is always a next link.
    fn poll(&mut self, ask: &Ask, query: &Query, now: Timestamp) -> Result<Reply, Reply> {
        self.index.advance(&self.feed, now);
        let seed = self.feed.seed();
        let after = ask.field("after");
        let (from, after_empty) = match &after {
            Some(token) => {
                let [place, empty] = from_token(token, seed).ok_or_else(dead_link)?;
                (place as usize, empty == 1)
            }
            // Nothing shows before it happens.
            None => (self.index.place(query.range.from), false),
        };
        let mut events = Vec::new();
        let mut place = from;
        let log = self.index.log().iter().skip(from).take_while(|shown| shown.at <= now);
        for event in log.map(|shown| self.feed.event(shown.number)) {
            if events.len() == query.limit {
                break;
            }
            place += 1;
            if query.range.from <= event.happened {
                events.push(event);
            }
        }
        let prone = Prone {
            follows: after.is_some(),
            may_be_empty: !after_empty,
            has_next: true,
            blob: false,
        };
        Ok(self.served(Api::Okta, prone, now, |world, shape| {
            let (events, next) = match shape {
                Shape::Sound => (events, [place as u64, 0]),
                Shape::Empty => (Vec::new(), [from as u64, 1]),
                Shape::Repeating => (events, [from as u64, u64::from(after_empty)]),
            };
            world.log_reply(ask, &events, Some(&to_token(&next, seed)))
        }))
    }

    /// What happened in a range and shows now, by the time at which it happened.
    fn bounded(&mut self, ask: &Ask, query: &Query, now: Timestamp) -> Result<Reply, Reply> {
        let seed = self.feed.seed();
        let after = ask.field("after");
        let walk = match &after {
            Some(token) => Walk::from_token(token, seed).ok_or_else(dead_link)?,
            None => {
                let range = self.kept(query.range, now);
                Walk::new(&self.feed, range, query.order, query.limit as u64, now)
            }
        };
        let misses = self.options.bounded_misses;
        let page = walk.page(&self.feed, |event| !misses_it(seed, misses, event), now);
        let prone = Prone {
            follows: after.is_some(),
            may_be_empty: !walk.after_empty,
            has_next: page.next.is_some(),
            blob: false,
        };
        Ok(self.served(Api::Okta, prone, now, |world, shape| {
            let page = page.shaped(walk, shape, now);
            let next = page.next.map(|walk| walk.to_token(seed));
            world.log_reply(ask, &page.events, next.as_deref())
        }))
    }

    fn log_reply(&mut self, ask: &Ask, events: &[Event], next: Option<&str>) -> Reply {
        let body = format!("[{}]", self.records(Api::Okta, events, ','));
        let reply = self.page_reply("application/json", body, events.len());
        let reply = reply.with("link", format!("<{}>; rel=\"self\"", ask.url()));
        match next {
            None => reply,
            Some(token) => {
                let link = ask.link("after", token, "");
                reply.with("link", format!("<{link}>; rel=\"next\""))
            }
        }
    }
}

/// A request, understood.
struct Query {
    range: TimeRange,
    limit: usize,
    order: Order,
    /// It has no end: it polls.
    polls: bool,
}

impl Query {
    fn parse(ask: &Ask, now: Timestamp) -> Result<Self, Reply> {
        let bad = |name: &str| {
            let message = format!("Api validation failed: {name}");
            refusal(Api::Okta, 400, "E0000001", &message)
        };
        let time = |name: &str| match ask.field(name) {
            None => Ok(None),
            Some(text) => text.parse::<Timestamp>().map(Some).map_err(|_| bad(name)),
        };
        let limit = match ask.field("limit") {
            None => DEFAULT_LIMIT,
            Some(text) => text.parse().map_err(|_| bad("limit"))?,
        };
        if !(1..=LARGEST_LIMIT).contains(&limit) {
            return Err(bad("limit"));
        }
        let order = match ask.field("sortOrder").as_deref() {
            None | Some("ASCENDING") => Order::Oldest,
            Some("DESCENDING") => Order::Newest,
            Some(_) => return Err(bad("sortOrder")),
        };
        let until = time("until")?;
        // A week, as the real one does.
        let since = time("since")?.unwrap_or_else(|| earlier(now, Duration::from_secs(7 * 86_400)));
        let range = published(since, until.unwrap_or(now));
        Ok(Self { range, limit, order, polls: until.is_none() && order == Order::Oldest })
    }
}

/// What is published from `since` until `until`: a record tells its time in whole milliseconds, cut off.
fn published(since: Timestamp, until: Timestamp) -> TimeRange {
    TimeRange { from: first_of_millis(since), to: last_of_millis(until) }
}

/// Whether bounded queries leave `event` out, with a chance of `misses` for those that were late.
fn misses_it(seed: u64, misses: f64, event: &Event) -> bool {
    let late = between(event.happened, event.visible_at) > Duration::from_secs(60);
    late && misses > 0.0 && draws(seed, event.number, Purpose::Missed).f64() < misses
}

/// `reply`, with how the quota stands.
fn tell(reply: Reply, quota: u64, spent: Spent) -> Reply {
    reply
        .with("x-rate-limit-limit", quota.to_string())
        .with("x-rate-limit-remaining", spent.remaining.to_string())
        .with(RESET, spent.reset.to_string())
}

fn dead_link() -> Reply {
    refuse(Api::Okta, Why::DeadLink)
}

const RESET: &str = "x-rate-limit-reset";
const DEFAULT_LIMIT: usize = 100;
const LARGEST_LIMIT: usize = 1000;
