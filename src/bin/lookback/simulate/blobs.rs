//! The blobs of the activity feed: which events lie in which, and when a blob is listed.
//!
//! What became visible of one content type within one slot of time is a blob. Some events lie in a
//! second, later one as well. All of it follows from the seed and the numbers of event and slot;
//! the index here only spares looking for the events of a slot.

use std::{collections::BTreeMap, ops::Range, time::Duration};

use jiff::{SignedDuration, Timestamp};

use super::{
    chance::{Purpose, draws, mix},
    feed::Event,
    index::Shown,
    kind::{CONTENT_TYPES, content_type},
    lateness::Lateness,
    units::later,
};

/// What blobs are like.
#[derive(Clone, Debug)]
pub(crate) struct BlobOptions {
    /// How long a slot is, in whole milliseconds.
    pub(crate) every: Duration,
    /// How much later than it was created a blob is listed.
    pub(crate) lateness: Lateness,
    /// How likely it is that an event comes again in a later blob.
    pub(crate) repeat: f64,
    /// How many blobs are listed on a page.
    pub(crate) page: usize,
}

impl Default for BlobOptions {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(10),
            lateness: Lateness::fixed(Duration::ZERO),
            repeat: 0.02,
            page: 20,
        }
    }
}

/// One blob, as a listing has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Blob {
    /// The place of its type in `CONTENT_TYPES`.
    pub(crate) kind: usize,
    /// Its slot.
    pub(crate) slot: i64,
    /// The end of its slot.
    pub(crate) created: Timestamp,
    /// From when on it is listed.
    pub(crate) listed: Timestamp,
}

/// All blobs.
#[derive(Debug)]
pub(crate) struct Blobs {
    options: BlobOptions,
    seed: u64,
    /// By type: slots and the numbers of their events.
    slots: [BTreeMap<i64, Vec<u64>>; CONTENT_TYPES.len()],
    /// How much of the log of what has shown is in `slots`.
    taken: usize,
}

impl Blobs {
    /// No blobs yet.
    pub(crate) fn new(options: BlobOptions, seed: u64) -> Self {
        Self { options, seed, slots: Default::default(), taken: 0 }
    }

    /// Takes in what is new in the log.
    pub(crate) fn advance(&mut self, log: &[Shown]) {
        for shown in &log[self.taken..] {
            let kind = content_type(shown.number);
            for slot in self.slots_of(*shown) {
                self.slots[kind].entry(slot).or_default().push(shown.number);
            }
        }
        self.taken = log.len();
    }

    /// The blobs of a type that were created in `range`, the earliest first, listed or not.
    pub(crate) fn created(
        &self,
        kind: usize,
        range: Range<Timestamp>,
    ) -> impl Iterator<Item = Blob> {
        // The slot before ends at the start, or before it.
        let first = self.slot(range.start) - 1;
        self.slots[kind]
            .range(first..)
            .map(move |(slot, _)| self.blob(kind, *slot))
            .skip_while(move |blob| blob.created < range.start)
            .take_while(move |blob| blob.created < range.end)
    }

    /// The numbers of a blob's events, in no order. `None`: there is no such blob.
    pub(crate) fn events(&self, kind: usize, slot: i64) -> Option<Vec<u64>> {
        let mut numbers = self.slots.get(kind)?.get(&slot)?.clone();
        draws(self.seed, place(kind, slot), Purpose::BlobOrder).shuffle(&mut numbers);
        Some(numbers)
    }

    /// The blob of a type and slot, should it have events.
    pub(crate) fn blob(&self, kind: usize, slot: i64) -> Blob {
        let end = slot.saturating_add(1).saturating_mul(self.millis());
        let created = Timestamp::from_millisecond(end).unwrap_or(Timestamp::MAX);
        let mut rng = draws(self.seed, place(kind, slot), Purpose::BlobLateness);
        Blob { kind, slot, created, listed: later(created, self.options.lateness.sample(&mut rng)) }
    }

    /// When the first blob that has `event` is listed.
    pub(crate) fn shows(&self, event: &Event) -> Timestamp {
        let shown = Shown { at: event.visible_at, number: event.number };
        let kind = content_type(event.number);
        let listed = self.slots_of(shown).map(|slot| self.blob(kind, slot).listed);
        listed.min().unwrap_or(event.visible_at)
    }

    /// The slot, and the one in which it comes again.
    fn slots_of(&self, shown: Shown) -> impl Iterator<Item = i64> + use<> {
        let slot = self.slot(shown.at);
        let mut rng = draws(self.seed, shown.number, Purpose::BlobRepeat);
        let again = rng.f64() < self.options.repeat;
        [Some(slot), again.then(|| slot + rng.i64(3..=30))].into_iter().flatten()
    }

    fn slot(&self, at: Timestamp) -> i64 {
        at.as_millisecond().div_euclid(self.millis())
    }

    fn millis(&self) -> i64 {
        i64::try_from(self.options.every.as_millis()).unwrap_or(i64::MAX).max(1)
    }
}

/// How long a blob is kept, and how far back listings reach.
pub(crate) const BLOBS_KEPT: SignedDuration = SignedDuration::from_hours(7 * 24);

/// The address of a blob's draws.
fn place(kind: usize, slot: i64) -> u64 {
    mix(slot as u64, kind as u64)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::{
        super::{
            feed::{Feed, FeedOptions},
            index::Index,
        },
        *,
    };

    fn start() -> Timestamp {
        "2026-03-01T12:00:00Z".parse().unwrap()
    }

    fn after(seconds: u64) -> Timestamp {
        later(start(), Duration::from_secs(seconds))
    }

    fn blobs(options: BlobOptions) -> (Feed, Blobs) {
        let feed = Feed::new(FeedOptions { rate: 5.0, ..Default::default() }, start());
        let mut index = Index::default();
        index.advance(&feed, after(3600));
        let mut blobs = Blobs::new(options, 1);
        blobs.advance(index.log());
        (feed, blobs)
    }

    /// How often each event lies in a blob created until `end`.
    fn counts(blobs: &Blobs, end: Timestamp) -> HashMap<u64, usize> {
        let mut counts = HashMap::new();
        for kind in 0..CONTENT_TYPES.len() {
            for blob in blobs.created(kind, Timestamp::UNIX_EPOCH..end) {
                for number in blobs.events(kind, blob.slot).unwrap() {
                    assert_eq!(content_type(number), kind);
                    *counts.entry(number).or_default() += 1;
                }
            }
        }
        counts
    }

    #[test]
    fn every_event_lies_in_a_blob_and_some_in_two() {
        let (feed, blobs) = blobs(BlobOptions { repeat: 0.1, ..Default::default() });
        let counts = counts(&blobs, after(3600));
        let shown = (0..feed.generated(after(3590)))
            .filter(|number| feed.event(*number).visible_at < after(3590))
            .count();
        assert!(counts.len() >= shown, "{} of {shown}", counts.len());
        let twice = counts.values().filter(|count| **count == 2).count();
        assert!(twice * 12 > counts.len() && twice * 8 < counts.len(), "{twice}");
        assert!(counts.values().all(|count| *count <= 2));
    }

    #[test]
    fn a_range_has_its_start_but_not_its_end() {
        let (_, blobs) = blobs(BlobOptions::default());
        let created: Vec<Timestamp> =
            blobs.created(0, after(60)..after(90)).map(|blob| blob.created).collect();
        assert_eq!(created, [after(60), after(70), after(80)]);
    }

    #[test]
    fn an_event_shows_with_the_first_listing() {
        let options = BlobOptions {
            lateness: "uniform:0s-20m".parse().unwrap(),
            repeat: 1.0,
            ..Default::default()
        };
        let (feed, blobs) = blobs(options);
        let mut by_repeat = 0;
        for event in (0..500).map(|number| feed.event(number)) {
            let first = blobs.blob(content_type(event.number), blobs.slot(event.visible_at));
            assert!(blobs.shows(&event) <= first.listed);
            by_repeat += u32::from(blobs.shows(&event) < first.listed);
        }
        assert!(by_repeat > 50, "{by_repeat}");
    }
}
