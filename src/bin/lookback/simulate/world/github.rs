//! The audit log of a GitHub organisation.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{
    super::{
        api::Api,
        ask::Ask,
        filter::{Order, TimeRange},
        login::credentials,
        refusal::{Why, refusal, refuse},
        reply::Reply,
        units::{first_of_millis, last_of_millis, later, whole_millis},
        walk::{Page, Walk},
    },
    Prone, World,
};

impl World {
    /// Answers a request for a page of the audit log.
    pub(super) fn github(&mut self, ask: &Ask, now: Timestamp) -> Result<Reply, Reply> {
        if !self.is_api_token(credentials(ask.authorization.as_deref(), "bearer")) {
            return Err(refuse(Api::Github, Why::Unauthorized));
        }
        let seed = self.feed.seed();
        let after = ask.field("after").filter(|after| !after.is_empty());
        let walk = match &after {
            Some(token) => Walk::from_token(token, seed)
                .filter(|walk| now <= later(walk.issued, self.options.link_ttl))
                .ok_or_else(|| refuse(Api::Github, Why::DeadLink))?,
            None => {
                let phrase = ask.field("phrase").unwrap_or_default();
                let range = parse_phrase(&phrase).ok_or_else(unprocessable)?;
                let range = self.kept(range, now);
                Walk::new(&self.feed, range, order(ask)?, page_size(ask)?, now)
            }
        };
        let page = walk.page(&self.feed, |_| true, now);
        let prone = Prone {
            follows: after.is_some(),
            may_be_empty: !walk.after_empty,
            has_next: page.next.is_some(),
            blob: false,
        };
        Ok(self.served(Api::Github, prone, now, |world, shape| {
            let Page { events, next } = page.shaped(walk, shape, now);
            let body = format!("[{}]", world.records(Api::Github, &events, ','));
            let reply = world.page_reply("application/json; charset=utf-8", body, events.len());
            match next {
                None => reply,
                Some(walk) => {
                    let link = ask.link("after", &walk.to_token(seed), "");
                    reply.with("link", format!("<{link}>; rel=\"next\""))
                }
            }
        }))
    }
}

fn order(ask: &Ask) -> Result<Order, Reply> {
    match ask.field("order").as_deref() {
        None | Some("desc") => Ok(Order::Newest),
        Some("asc") => Ok(Order::Oldest),
        Some(_) => Err(unprocessable()),
    }
}

/// What is too much is cut down without a word.
fn page_size(ask: &Ask) -> Result<u64, Reply> {
    match ask.field("per_page") {
        None => Ok(30),
        Some(size) => {
            size.parse::<u64>().map(|size| size.clamp(1, 100)).map_err(|_| unprocessable())
        }
    }
}

fn unprocessable() -> Reply {
    refusal(Api::Github, 422, "", "Validation Failed")
}

/// Reads `created:>=T`, `created:<=T`, `created:A..B` and the like. `None`: no such phrase.
fn parse_phrase(phrase: &str) -> Option<TimeRange> {
    phrase.split_whitespace().try_fold(TimeRange::ALL, |range, word| {
        let narrower = parse_created(word.strip_prefix("created:")?)?;
        Some(TimeRange { from: range.from.max(narrower.from), to: range.to.min(narrower.to) })
    })
}

fn parse_created(text: &str) -> Option<TimeRange> {
    let time = |text: &str| text.parse::<Timestamp>().ok();
    if let Some((from, to)) = text.split_once("..") {
        let from = if from == "*" { Timestamp::MIN } else { first_of_millis(time(from)?) };
        let to = if to == "*" { Timestamp::MAX } else { last_of_millis(time(to)?) };
        return Some(TimeRange { from, to });
    }
    let number = text.find(|c: char| c.is_ascii_digit())?;
    let (operator, at) = (&text[..number], time(&text[number..])?);
    let millisecond = Duration::from_millis(1);
    let (from, to) = match operator {
        "" => (first_of_millis(at), last_of_millis(at)),
        ">=" => (first_of_millis(at), Timestamp::MAX),
        ">" => (later(whole_millis(at), millisecond), Timestamp::MAX),
        "<=" => (Timestamp::MIN, last_of_millis(at)),
        "<" => {
            let last = first_of_millis(at).checked_sub(SignedDuration::from_nanos(1));
            (Timestamp::MIN, last.ok()?)
        }
        _ => return None,
    };
    Some(TimeRange { from, to })
}
