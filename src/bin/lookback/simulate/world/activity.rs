//! Office 365's Management Activity API: subscriptions, listings of blobs, blobs.

use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};
use serde_json::{Value, json};

use super::{
    super::{
        api::Api,
        ask::Ask,
        blobs::{BLOBS_KEPT, Blob},
        fault::Shape,
        kind::CONTENT_TYPES,
        refusal::{Why, refusal, refuse},
        reply::Reply,
        seal::{from_token, to_token},
        units::{later, whole_micros},
    },
    Prone, World,
};

const API: Api = Api::Activity;

/// The query's name of who asks; next links do not repeat it.
const PUBLISHER: &str = "PublisherIdentifier";

/// A content blob that cannot be had.
pub(super) fn gone() -> Reply {
    let text = "Content requested with the key has already expired. Content older than 7 days \
        cannot be retrieved.";
    refusal(API, 400, "AF20051", text)
}

impl World {
    /// Answers a request to the feed.
    pub(super) fn activity(&mut self, ask: &Ask, now: Timestamp) -> Result<Reply, Reply> {
        let named = ask.field(PUBLISHER).is_some_and(|publisher| !publisher.is_empty());
        self.stats.missing_publisher += u64::from(!named);
        if !self.login.accepts(ask.authorization.as_deref(), now) {
            return Err(refuse(API, Why::Unauthorized));
        }
        if !named {
            let text = "PublisherIdentifier is missing from the query.";
            return Err(refusal(API, 400, "AF10002", text));
        }
        self.index.advance(&self.feed, now);
        self.blobs.advance(self.index.log());
        let (feed, action) = ask.path.split_once("/activity/feed/").unwrap_or_default();
        match action {
            "subscriptions/list" => Ok(self.subscriptions(now)),
            "subscriptions/start" => self.subscribe(ask, now),
            "subscriptions/content" => self.content(feed, ask, now),
            _ => self.blob(action.strip_prefix("audit/").unwrap_or_default(), now),
        }
    }

    fn subscriptions(&mut self, now: Timestamp) -> Reply {
        self.served(API, Prone::default(), now, |world, _| {
            let kinds = (0..CONTENT_TYPES.len()).filter(|kind| {
                // Of those that are off, some were on once, and some are unheard of.
                world.subscribed[*kind] || kind % 2 == 1
            });
            let list: Vec<Value> =
                kinds.map(|kind| subscription(kind, world.subscribed[kind])).collect();
            Reply::json(200, &json!(list))
        })
    }

    fn subscribe(&mut self, ask: &Ask, now: Timestamp) -> Result<Reply, Reply> {
        let kind = content_kind(ask)?;
        Ok(self.served(API, Prone::default(), now, |world, _| {
            if std::mem::replace(&mut world.subscribed[kind], true) {
                let text = "The subscription is already enabled. No property change.";
                return refusal(API, 400, "AF20024", text);
            }
            Reply::json(200, &subscription(kind, true))
        }))
    }

    fn content(&mut self, feed: &str, ask: &Ask, now: Timestamp) -> Result<Reply, Reply> {
        let kind = content_kind(ask)?;
        if !self.subscribed[kind] {
            let text = "No subscription found for the specified content type.";
            return Err(refusal(API, 400, "AF20022", text));
        }
        let seed = self.feed.seed();
        let token = ask.field("nextPage");
        let place = match &token {
            Some(token) => from_token(token, seed)
                .and_then(Place::from_fields)
                .filter(|place| place.kind == kind)
                .filter(|place| now <= later(place.issued, self.options.link_ttl))
                .ok_or_else(|| refuse(API, Why::DeadLink))?,
            None => Place::first(kind, range(ask, now)?, now),
        };
        let size = self.options.blobs.page;
        let mut blobs: Vec<Blob> = self
            .blobs
            .created(kind, place.from..place.until)
            .filter(|blob| blob.listed <= place.snapshot)
            .take(size + 1)
            .collect();
        // A page goes on where the first blob that it has no room for was created.
        let more = blobs.get(size).map(|blob| Place { from: blob.created, ..place });
        blobs.truncate(size);
        let prone = Prone {
            follows: token.is_some(),
            may_be_empty: !place.after_empty,
            has_next: more.is_some(),
            blob: false,
        };
        Ok(self.served(API, prone, now, |_, shape| {
            let (blobs, next) = match shape {
                Shape::Sound => {
                    (blobs, more.map(|more| Place { issued: now, after_empty: false, ..more }))
                }
                Shape::Empty => {
                    (Vec::new(), Some(Place { issued: now, after_empty: true, ..place }))
                }
                Shape::Repeating => (blobs, Some(place)),
            };
            let items: Vec<Value> = blobs.iter().map(|blob| item(feed, ask, blob)).collect();
            let reply = Reply::json(200, &json!(items));
            match next {
                None => reply,
                Some(next) => {
                    let token = to_token(&next.to_fields(), seed);
                    reply.with("nextpageuri", ask.link("nextPage", &token, PUBLISHER))
                }
            }
        }))
    }

    fn blob(&mut self, id: &str, now: Timestamp) -> Result<Reply, Reply> {
        let (kind, slot) = parse_content_id(id).ok_or_else(gone)?;
        let blob = self.blobs.blob(kind, slot);
        let kept = blob.listed <= now && now < expiration(&blob);
        let numbers = self.blobs.events(kind, slot).filter(|_| kept).ok_or_else(gone)?;
        self.stats.blobs_fetched_again += u64::from(self.fetched.contains(&(kind, slot)));
        let prone = Prone { follows: true, blob: true, ..Prone::default() };
        // What is in a blob stays as it is.
        self.as_of = blob.created;
        let reply = self.served(API, prone, now, |world, _| {
            let events: Vec<_> = numbers.iter().map(|number| world.feed.event(*number)).collect();
            let body = format!("[{}]", world.records(API, &events, ','));
            world.page_reply("application/json; charset=utf-8", body, events.len())
        });
        if reply.fault.is_none() {
            self.fetched.insert((kind, slot));
        }
        Ok(reply)
    }
}

fn subscription(kind: usize, enabled: bool) -> Value {
    let status = if enabled { "enabled" } else { "disabled" };
    json!({"contentType": CONTENT_TYPES[kind], "status": status, "webhook": null})
}

fn content_kind(ask: &Ask) -> Result<usize, Reply> {
    let asked = ask.field("contentType").unwrap_or_default();
    CONTENT_TYPES
        .iter()
        .position(|name| *name == asked)
        .ok_or_else(|| refusal(API, 400, "AF20020", "The specified content type is not valid."))
}

/// The range that is asked for: the last day unless said otherwise.
fn range(ask: &Ask, now: Timestamp) -> Result<(Timestamp, Timestamp), Reply> {
    let out_of_range = || {
        let text = "Start time and end time must both be specified (or both omitted) and must be \
            less than or equal to 24 hours apart, with the start time no more than 7 days in the \
            past.";
        refusal(API, 400, "AF20030", text)
    };
    let day = SignedDuration::from_hours(24);
    let (start, end) = match (ask.field("startTime"), ask.field("endTime")) {
        (None, None) => (now.checked_sub(day).unwrap_or(Timestamp::MIN), now),
        (Some(start), Some(end)) => (parse_time(&start)?, parse_time(&end)?),
        _ => return Err(out_of_range()),
    };
    let apart = end.duration_since(start);
    if apart <= SignedDuration::ZERO || apart > day || now.duration_since(start) > BLOBS_KEPT {
        return Err(out_of_range());
    }
    Ok((start, end))
}

/// `YYYY-MM-DDTHH:MM:SS`, in UTC.
fn parse_time(text: &str) -> Result<Timestamp, Reply> {
    DateTime::strptime("%Y-%m-%dT%H:%M:%S", text.strip_suffix('Z').unwrap_or(text))
        .and_then(|time| TimeZone::UTC.to_timestamp(time))
        .map_err(|_| refusal(API, 400, "AF20002", "Invalid parameter type: expected a DateTime."))
}

fn item(feed: &str, ask: &Ask, blob: &Blob) -> Value {
    let id = content_id(blob.kind, blob.slot);
    json!({
        "contentType": CONTENT_TYPES[blob.kind],
        "contentUri": ask.at(&format!("{feed}/activity/feed/audit/{id}")),
        "contentId": id,
        "contentCreated": format!("{:.3}", blob.created),
        "contentExpiration": format!("{:.3}", expiration(blob)),
    })
}

fn expiration(blob: &Blob) -> Timestamp {
    blob.created.checked_add(BLOBS_KEPT).unwrap_or(Timestamp::MAX)
}

fn content_id(kind: usize, slot: i64) -> String {
    let name = CONTENT_TYPES[kind].replace('.', "_");
    format!("{slot:016}${}${name}", name.to_lowercase())
}

/// The type and the slot of the blob that `id` names.
fn parse_content_id(id: &str) -> Option<(usize, i64)> {
    let (slot, _) = id.split_once('$')?;
    let slot = slot.parse().ok()?;
    let kind = (0..CONTENT_TYPES.len()).find(|kind| content_id(*kind, slot) == id)?;
    Some((kind, slot))
}

/// Where a walk over a listing stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    kind: usize,
    /// What was created before is behind it.
    from: Timestamp,
    until: Timestamp,
    /// Only what was listed at this moment belongs to the walk.
    snapshot: Timestamp,
    /// When the link to this page was given out.
    issued: Timestamp,
    /// The page before this one was left empty.
    after_empty: bool,
}

impl Place {
    fn first(kind: usize, (from, until): (Timestamp, Timestamp), now: Timestamp) -> Self {
        // As exactly as the token will say it.
        let now = whole_micros(now);
        Self { kind, from, until, snapshot: now, issued: now, after_empty: false }
    }

    fn to_fields(self) -> [u64; 6] {
        let micros = |at: Timestamp| at.as_microsecond() as u64;
        [
            self.kind as u64,
            micros(self.from),
            micros(self.until),
            micros(self.snapshot),
            micros(self.issued),
            u64::from(self.after_empty),
        ]
    }

    fn from_fields([kind, from, until, snapshot, issued, empty]: [u64; 6]) -> Option<Self> {
        let at = |micros: u64| Timestamp::from_microsecond(micros as i64).ok();
        Some(Self {
            kind: kind as usize,
            from: at(from)?,
            until: at(until)?,
            snapshot: at(snapshot)?,
            issued: at(issued)?,
            after_empty: empty == 1,
        })
    }
}
