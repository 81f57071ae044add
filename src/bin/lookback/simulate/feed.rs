//! The events: when each happened, when it shows, and which of them a range holds.
//!
//! Nothing is stored. Event number *i* falls somewhere in the *i*-th slot of `1/rate` seconds, and
//! all else about it follows from the seed and *i* (see `chance`). So numbers are in the order of
//! event time, a range is found by bisection, and a year of history costs no memory. Pausing is the
//! only state: each resumption begins a new stretch of slots.

use std::{ops::Range, time::Duration};

use jiff::{SignedDuration, Timestamp};

use super::{
    chance::{Purpose, draws, guid},
    lateness::Lateness,
    units::{Span, between, earlier, later},
};

/// What the stream of events is like.
#[derive(Clone, Debug)]
pub(crate) struct FeedOptions {
    /// The same seed gives the same events.
    pub(crate) seed: u64,
    /// Events a second.
    pub(crate) rate: f64,
    /// How much history there is before the start.
    pub(crate) backfill: Duration,
    /// Where the history begins; `backfill` before the start unless set.
    pub(crate) origin: Option<Timestamp>,
    /// No more events than this, history included.
    pub(crate) count: Option<u64>,
    /// How late events show.
    pub(crate) lateness: Lateness,
    /// Spans in which nothing new shows until they end.
    pub(crate) delivery_outages: Vec<Span>,
    /// The share of events that change after they first showed, some of them several times.
    pub(crate) changing: f64,
    /// How long after it showed, or last changed, such an event changes.
    pub(crate) change_after: Lateness,
}

impl Default for FeedOptions {
    fn default() -> Self {
        Self {
            seed: 1,
            rate: 10.0,
            backfill: Duration::from_secs(3600),
            origin: None,
            count: None,
            lateness: Lateness::default(),
            delivery_outages: Vec::new(),
            changing: 0.0,
            change_after: "uniform:1m-10m".parse().expect("a distribution"),
        }
    }
}

/// One event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// Its place in the order of event time.
    pub(crate) number: u64,
    /// When it happened, in steps of 100 ns.
    pub(crate) happened: Timestamp,
    /// When the API begins to show it.
    pub(crate) visible_at: Timestamp,
}

/// The stream of events.
#[derive(Debug)]
pub(crate) struct Feed {
    options: FeedOptions,
    /// In order; never empty, the first one begins with number 0.
    stretches: Vec<Stretch>,
    /// While paused: how many events there are.
    paused: Option<u64>,
    delivery_outages: Vec<(Timestamp, Timestamp)>,
}

/// Slots without a pause between them.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    first: u64,
    origin: Timestamp,
}

impl Feed {
    /// A stream that a simulator started at `start` tells.
    pub(crate) fn new(options: FeedOptions, start: Timestamp) -> Self {
        let origin = options.origin.unwrap_or_else(|| earlier(start, options.backfill));
        let delivery_outages =
            options.delivery_outages.iter().map(|span| span.bounds(start)).collect();
        Self {
            stretches: vec![Stretch { first: 0, origin: whole_ticks(origin) }],
            paused: None,
            delivery_outages,
            options,
        }
    }

    /// The seed of it all.
    pub(crate) fn seed(&self) -> u64 {
        self.options.seed
    }

    /// How many events have happened.
    pub(crate) fn generated(&self, now: Timestamp) -> u64 {
        if let Some(count) = self.paused {
            return count;
        }
        let stretch = self.last_stretch();
        let slots = between(stretch.origin, now).as_secs_f64() * self.options.rate;
        let mut count = stretch.first.saturating_add(slots as u64).saturating_add(1);
        count = count.min(self.options.count.unwrap_or(u64::MAX));
        if self.options.rate == 0.0 {
            return stretch.first;
        }
        while count > stretch.first && self.happened(count - 1) > now {
            count -= 1;
        }
        count
    }

    /// Event number `number`.
    pub(crate) fn event(&self, number: u64) -> Event {
        let happened = self.happened(number);
        let mut rng = draws(self.options.seed, number, Purpose::Lateness);
        let shows = later(happened, self.options.lateness.sample(&mut rng));
        Event { number, happened, visible_at: self.delivered(shows) }
    }

    /// When event number `number` changes.
    pub(crate) fn changes(&self, number: u64) -> Vec<Timestamp> {
        let mut rng = draws(self.options.seed, number, Purpose::Changes);
        if rng.f64() >= self.options.changing {
            return Vec::new();
        }
        let times = [1, 1, 2, CHANGES_MAX][rng.usize(..4)];
        let after = &self.options.change_after;
        let next = |before: &Timestamp| Some(later(*before, after.sample(&mut rng)));
        let shown = self.event(number).visible_at;
        std::iter::successors(Some(shown), next).skip(1).take(times).collect()
    }

    /// How often event number `number` has changed by `at`.
    pub(crate) fn revision(&self, number: u64, at: Timestamp) -> usize {
        if self.options.changing == 0.0 {
            return 0;
        }
        self.changes(number).into_iter().filter(|change| *change <= at).count()
    }

    /// The id of event number `number`.
    pub(crate) fn id(&self, number: u64) -> String {
        guid(&mut draws(self.options.seed, number, Purpose::Id))
    }

    /// The numbers of the events from `from` until `to`, both included, that have happened by `now`.
    pub(crate) fn numbers(&self, from: Timestamp, to: Timestamp, now: Timestamp) -> Range<u64> {
        let count = self.generated(now);
        let low = partition(count, |number| self.happened(number) < from);
        let high = partition(count, |number| self.happened(number) <= to);
        low..high.max(low)
    }

    /// How many events show at `now`.
    pub(crate) fn visible(&self, now: Timestamp) -> u64 {
        let shown = |number: &u64| self.event(*number).visible_at <= now;
        (0..self.generated(now)).filter(shown).count() as u64
    }

    /// Stops the stream; what happened stays.
    pub(crate) fn pause(&mut self, now: Timestamp) {
        self.paused = Some(self.generated(now));
    }

    /// Lets the stream go on.
    pub(crate) fn resume(&mut self, now: Timestamp) {
        if let Some(first) = self.paused.take() {
            self.stretches.push(Stretch { first, origin: whole_ticks(now) });
        }
    }

    fn happened(&self, number: u64) -> Timestamp {
        let after = self.stretches.partition_point(|stretch| stretch.first <= number);
        let stretch = self.stretches.get(after.saturating_sub(1)).copied();
        let stretch = stretch.unwrap_or_else(|| self.last_stretch());
        let within = draws(self.options.seed, number, Purpose::Time).f64();
        // Not the whole slot, so that rounding cannot carry an event past the next one.
        let slots = (number - stretch.first) as f64 + 0.99 * within;
        let ticks = (slots / self.options.rate * TICKS_PER_SECOND) as i64;
        stretch
            .origin
            .checked_add(SignedDuration::from_nanos(ticks.saturating_mul(TICK_NANOS)))
            .unwrap_or(Timestamp::MAX)
    }

    fn last_stretch(&self) -> Stretch {
        *self.stretches.last().expect("the first stretch is there from the start")
    }

    fn delivered(&self, shows: Timestamp) -> Timestamp {
        self.delivery_outages.iter().fold(shows, |shows, (begin, end)| {
            if *begin <= shows && shows < *end { *end } else { shows }
        })
    }
}

/// So often an event changes at most.
pub(crate) const CHANGES_MAX: usize = 3;

const TICKS_PER_SECOND: f64 = 1e7;
const TICK_NANOS: i64 = 100;

/// `at` without what seven fractional digits cannot say.
fn whole_ticks(at: Timestamp) -> Timestamp {
    let crumb = i64::from(at.subsec_nanosecond()).rem_euclid(TICK_NANOS);
    at.checked_sub(SignedDuration::from_nanos(crumb)).unwrap_or(at)
}

/// The first number in `0..count` for which `before` no longer holds.
fn partition(count: u64, before: impl Fn(u64) -> bool) -> u64 {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        if before(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> Timestamp {
        "2026-03-01T12:00:00Z".parse().unwrap()
    }

    fn after(seconds: u64) -> Timestamp {
        later(start(), Duration::from_secs(seconds))
    }

    fn feed(options: FeedOptions) -> Feed {
        Feed::new(options, start())
    }

    #[test]
    fn the_rate_is_kept_and_time_rises() {
        let feed = feed(FeedOptions {
            rate: 200.0,
            backfill: Duration::from_secs(600),
            ..Default::default()
        });
        assert_eq!(feed.generated(start()), 120_000);
        let mut before = Timestamp::MIN;
        for number in 0..5_000 {
            let event = feed.event(number);
            assert!(event.happened > before && event.visible_at >= event.happened);
            assert_eq!(event.happened.subsec_nanosecond() % 100, 0);
            before = event.happened;
        }
    }

    #[test]
    fn the_same_seed_tells_the_same_story() {
        let one = feed(FeedOptions::default());
        let two = feed(FeedOptions::default());
        let other = feed(FeedOptions { seed: 2, ..Default::default() });
        for number in 0..100 {
            assert_eq!(one.event(number), two.event(number));
            assert_eq!(one.id(number), two.id(number));
            assert_ne!(one.event(number), other.event(number));
            assert_ne!(one.id(number), other.id(number));
        }
    }

    #[test]
    fn a_range_has_exactly_its_events() {
        let feed = feed(FeedOptions {
            rate: 3.0,
            backfill: Duration::from_secs(100),
            ..Default::default()
        });
        let (from, to) = (feed.event(40).happened, feed.event(60).happened);
        assert_eq!(feed.numbers(from, to, start()), 40..61);
        assert_eq!(feed.numbers(Timestamp::MIN, Timestamp::MAX, start()), 0..300);
        assert!(feed.numbers(to, from, start()).is_empty());
    }

    #[test]
    fn a_count_ends_the_stream() {
        let feed = feed(FeedOptions { count: Some(7), ..Default::default() });
        assert_eq!(feed.generated(after(1000)), 7);
        let none = super::tests::feed(FeedOptions { rate: 0.0, ..Default::default() });
        assert_eq!(none.generated(after(1000)), 0);
    }

    #[test]
    fn the_share_that_changes_does_so_after_it_has_shown_and_in_order() {
        let feed = feed(FeedOptions { changing: 0.3, ..Default::default() });
        let changing = (0..2_000).filter(|number| !feed.changes(*number).is_empty());
        assert!((500..700).contains(&changing.count()));
        for number in 0..2_000 {
            let changes = feed.changes(number);
            assert!(changes.len() <= CHANGES_MAX && changes.is_sorted());
            assert!(changes.first().is_none_or(|at| *at > feed.event(number).visible_at));
            let last = changes.last().copied().unwrap_or(start());
            assert_eq!(feed.revision(number, last), changes.len());
            assert_eq!(feed.revision(number, feed.event(number).visible_at), 0);
        }
    }

    #[test]
    fn a_pause_has_no_events() {
        let mut feed =
            feed(FeedOptions { rate: 10.0, backfill: Duration::ZERO, ..Default::default() });
        feed.pause(after(10));
        assert_eq!(feed.generated(after(50)), 100);
        feed.resume(after(60));
        assert_eq!(feed.generated(after(60)), 100);
        assert_eq!(feed.generated(after(70)), 200);
        assert!(feed.event(99).happened < after(10));
        assert!(feed.event(100).happened >= after(60));
        assert!(feed.numbers(after(10), after(59), after(70)).is_empty());
    }

    #[test]
    fn a_delivery_outage_holds_events_back() {
        let feed = feed(FeedOptions {
            rate: 10.0,
            backfill: Duration::ZERO,
            lateness: "fixed:1s".parse().unwrap(),
            delivery_outages: vec!["90s@60s".parse().unwrap()],
            ..Default::default()
        });
        let held = feed.numbers(after(59), after(148), after(1000));
        assert!(held.clone().count() > 800);
        assert!(held.map(|number| feed.event(number)).all(|event| event.visible_at == after(150)));
        assert_eq!(feed.visible(after(149)), feed.visible(after(60)));
        assert!(feed.visible(after(150)) > feed.visible(after(149)));
    }
}
