//! A walk over the pages of one listing, and the token that carries it from page to page.
//!
//! A walk sees the API as it stood at its first page. As an event's showing time never changes, that
//! moment and a few numbers say all of it: the token holds them, sealed, and the server holds nothing.

use jiff::Timestamp;

use super::{
    fault::Shape,
    feed::{Event, Feed},
    filter::{Order, TimeRange},
    seal::{from_token, to_token},
    units::whole_micros,
};

/// Where a walk stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Walk {
    /// The numbers still to be looked at, first one.
    low: u64,
    /// The first number past them.
    high: u64,
    order: Order,
    page_size: u64,
    /// Only what showed at this moment belongs to the walk.
    snapshot: Timestamp,
    /// When the token for this page was given out.
    pub(crate) issued: Timestamp,
    /// The page before this one was left empty.
    pub(crate) after_empty: bool,
}

/// One page of a walk.
#[derive(Debug)]
pub(crate) struct Page {
    /// Its events, in the walk's order.
    pub(crate) events: Vec<Event>,
    /// The rest of the walk, if there is more.
    pub(crate) next: Option<Walk>,
}

impl Page {
    /// The page as a fault leaves it, that of `walk`.
    pub(crate) fn shaped(self, walk: Walk, shape: Shape, now: Timestamp) -> Self {
        match shape {
            Shape::Sound => self,
            Shape::Empty => Self { events: Vec::new(), next: Some(walk.behind_empty_page(now)) },
            Shape::Repeating => Self { next: Some(walk), ..self },
        }
    }
}

impl Walk {
    /// A walk over `range` as it shows at `now`.
    pub(crate) fn new(
        feed: &Feed,
        range: TimeRange,
        order: Order,
        page_size: u64,
        now: Timestamp,
    ) -> Self {
        let numbers = feed.numbers(range.from, range.to, now);
        // As exactly as the token will say it, lest the first page see more than the others.
        let now = whole_micros(now);
        Self {
            low: numbers.start,
            high: numbers.end,
            order,
            page_size,
            snapshot: now,
            issued: now,
            after_empty: false,
        }
    }

    /// The page the walk stands at; only events that `belongs` says yes to count.
    ///
    /// `belongs` has to be the same for all pages of a walk.
    pub(crate) fn page(
        self,
        feed: &Feed,
        belongs: impl Fn(&Event) -> bool,
        now: Timestamp,
    ) -> Page {
        let mut rest = Walk { issued: now, after_empty: false, ..self };
        let mut events = Vec::new();
        while (events.len() as u64) < self.page_size
            && let Some(event) = rest.step(feed, &belongs)
        {
            events.push(event);
        }
        let more = { rest }.step(feed, &belongs).is_some();
        Page { events, next: more.then_some(rest) }
    }

    /// The same place again, behind an empty page.
    pub(crate) fn behind_empty_page(self, now: Timestamp) -> Self {
        Self { issued: now, after_empty: true, ..self }
    }

    /// Takes the next event that belongs to the walk.
    fn step(&mut self, feed: &Feed, belongs: impl Fn(&Event) -> bool) -> Option<Event> {
        while self.low < self.high {
            let number = match self.order {
                Order::Oldest => {
                    self.low += 1;
                    self.low - 1
                }
                Order::Newest => {
                    self.high -= 1;
                    self.high
                }
            };
            let event = feed.event(number);
            if event.visible_at <= self.snapshot && belongs(&event) {
                return Some(event);
            }
        }
        None
    }

    /// The walk as an opaque token.
    pub(crate) fn to_token(self, seed: u64) -> String {
        to_token(&self.to_fields(), seed)
    }

    /// The walk that `token` carries, if it is one of ours.
    pub(crate) fn from_token(token: &str, seed: u64) -> Option<Self> {
        from_token(token, seed).and_then(Self::from_fields)
    }

    fn to_fields(self) -> [u64; FIELDS] {
        let flags = u64::from(self.order == Order::Oldest) | u64::from(self.after_empty) << 1;
        [
            self.low,
            self.high,
            self.page_size << 8 | flags,
            micros(self.snapshot),
            micros(self.issued),
        ]
    }

    fn from_fields([low, high, size_and_flags, snapshot, issued]: [u64; FIELDS]) -> Option<Self> {
        let oldest = size_and_flags & 1 == 1;
        Some(Self {
            low,
            high,
            order: if oldest { Order::Oldest } else { Order::Newest },
            page_size: size_and_flags >> 8,
            snapshot: Timestamp::from_microsecond(snapshot as i64).ok()?,
            issued: Timestamp::from_microsecond(issued as i64).ok()?,
            after_empty: size_and_flags >> 1 & 1 == 1,
        })
    }
}

const FIELDS: usize = 5;

fn micros(at: Timestamp) -> u64 {
    at.as_microsecond() as u64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{feed::FeedOptions, units::later};
    use super::*;

    fn start() -> Timestamp {
        "2026-03-01T12:00:00Z".parse().unwrap()
    }

    fn feed() -> Feed {
        let options = FeedOptions {
            rate: 5.0,
            backfill: Duration::from_secs(500),
            lateness: "uniform:0s-5m".parse().unwrap(),
            ..Default::default()
        };
        Feed::new(options, start())
    }

    /// All pages, through tokens, each fetched a minute after the one before.
    fn walk_all(feed: &Feed, order: Order, size: u64) -> Vec<Vec<u64>> {
        let mut now = start();
        let mut next = Some(Walk::new(feed, TimeRange::ALL, order, size, now));
        let mut pages = Vec::new();
        while let Some(walk) = next {
            let walk = Walk::from_token(&walk.to_token(1), 1).unwrap();
            let page = walk.page(feed, |_| true, now);
            pages.push(page.events.iter().map(|event| event.number).collect());
            next = page.next;
            now = later(now, Duration::from_secs(60));
        }
        pages
    }

    #[test]
    fn pages_are_of_one_snapshot() {
        let feed = feed();
        let shown: Vec<u64> = (0..feed.generated(start()))
            .filter(|number| feed.event(*number).visible_at <= start())
            .collect();
        let pages = walk_all(&feed, Order::Oldest, 100);
        assert!(pages.len() > 3);
        assert!(pages.iter().rev().skip(1).all(|page| page.len() == 100));
        assert_eq!(pages.concat(), shown);

        let mut newest = walk_all(&feed, Order::Newest, 100).concat();
        newest.reverse();
        assert_eq!(newest, shown);
    }

    #[test]
    fn the_last_page_has_no_next_even_if_it_is_full() {
        let feed = feed();
        let shown = feed.visible(start());
        assert_eq!(walk_all(&feed, Order::Newest, shown).len(), 1);
        assert_eq!(walk_all(&feed, Order::Newest, shown - 1).len(), 2);
    }

    #[test]
    fn a_token_cannot_be_made_up() {
        let token = Walk::new(&feed(), TimeRange::ALL, Order::Newest, 10, start()).to_token(1);
        let changed = token.replacen('0', "1", 1);
        for bad in ["", "abc", &changed, &token[1..]] {
            assert_eq!(Walk::from_token(bad, 1), None);
        }
        assert_eq!(Walk::from_token(&token, 2), None, "another seed's");
    }
}
