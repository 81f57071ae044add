//! What happened, and when the API shows it.

use std::num::NonZeroU64;
use std::time::Duration;

use in_lookback::api::page::Event;
use in_lookback::model::{Bucket, Content, EventKey, IdHash, Seen};

use crate::clock::{DAY, HOUR, MINUTE, SECOND, moment};

/// An event, by true time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Happening {
    pub(crate) happened: Duration,
    /// The time that ranges select it by: mostly, when it happened.
    pub(crate) selected: Duration,
    pub(crate) visible: Duration,
    /// When it says something else, in order; never is `Duration::MAX`.
    pub(crate) changes: [Duration; 3],
}

impl Happening {
    /// An event that ranges select by when it happened.
    pub(crate) fn new(happened: Duration, visible: Duration) -> Self {
        Self { happened, selected: happened, visible, changes: [Duration::MAX; 3] }
    }

    pub(crate) fn late_by(&self) -> Duration {
        self.visible - self.selected
    }

    /// What it says at a moment. Every other event returns to what it said at first.
    pub(crate) fn says(&self, at: Duration) -> Says {
        let changes = self.changes.iter().filter(|change| **change <= at).count() as u64;
        let returns = self.changes[0].subsec_nanos().is_multiple_of(2);
        Says(if returns && changes == 2 { 0 } else { changes })
    }

    /// When it says what it says from then on, if that is not from the beginning.
    pub(crate) fn last_change(&self) -> Option<Duration> {
        self.changes.iter().rfind(|change| **change < Duration::MAX).copied()
    }
}

/// What an event says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Says(pub(crate) u64);

impl Says {
    pub(crate) fn content(self) -> Option<Content> {
        NonZeroU64::new(self.0 + 1).map(Content)
    }
}

/// The event of an index as a page shows it. Its id tells the index.
pub(crate) fn shown(index: usize, happening: &Happening) -> Event<'static> {
    let time = moment(happening.happened);
    let spread = (index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let id = IdHash((index as u128) << 64 | u128::from(spread));
    let key = EventKey { bucket: Bucket::of(time), id };
    let selected = moment(happening.selected);
    Event { seen: Seen { key, time, selected, fault: None, content: None }, raw: "" }
}

/// The index of the event with this key; nothing if it is a blob's.
pub(crate) fn index(key: &EventKey) -> Option<usize> {
    (key.id.0 & BLOB == 0).then_some((key.id.0 >> 64) as usize)
}

/// Marks the keys of blobs.
const BLOB: u128 = 1 << 127;

/// The key of a blob.
pub(crate) fn blob_key(number: usize, made: Duration) -> EventKey {
    EventKey { bucket: Bucket::of(moment(made)), id: IdHash(BLOB | number as u128) }
}

/// How late events show: weights, and uniform or exponential spans.
#[derive(Clone, Debug)]
pub(crate) struct Lateness(Vec<(f64, Shape)>);

#[derive(Clone, Copy, Debug)]
enum Shape {
    Exponential(Duration),
    Uniform(Duration, Duration),
}

impl Lateness {
    /// As sign-in logs are: most within minutes, a tail of days.
    pub(crate) fn sign_ins() -> Self {
        Self(vec![
            (0.95, Shape::Exponential(MINUTE)),
            (0.04, Shape::Uniform(MINUTE * 2, MINUTE * 30)),
            (0.008, Shape::Uniform(MINUTE * 30, HOUR * 6)),
            (0.0015, Shape::Uniform(HOUR * 6, HOUR * 48)),
            (0.0005, Shape::Uniform(DAY * 2, DAY * 9)),
        ])
    }

    /// Most within the window, some up to `most`, and many just so.
    pub(crate) fn up_to(window: Duration, most: Duration) -> Self {
        Self(vec![
            (0.65, Shape::Exponential(SECOND * 40)),
            (0.1, Shape::Uniform(Duration::ZERO, window)),
            (0.1, Shape::Uniform(Duration::ZERO, most)),
            (0.15, Shape::Uniform(most.mul_f64(0.9), most)),
        ])
    }

    fn draw(&self, rng: &mut fastrand::Rng) -> Duration {
        let mut left = rng.f64();
        let found = self.0.iter().find(|(weight, _)| {
            left -= weight;
            left < 0.0
        });
        match found.or(self.0.last()).expect("a model has parts").1 {
            Shape::Exponential(mean) => mean.mul_f64(-(1.0 - rng.f64()).ln()),
            Shape::Uniform(from, to) => from + (to - from).mul_f64(rng.f64()),
        }
    }
}

/// So many events, evenly likely between two times, in the order in which they happened.
pub(crate) fn happenings(
    count: usize,
    from: Duration,
    to: Duration,
    lateness: &Lateness,
    rng: &mut fastrand::Rng,
) -> Vec<Happening> {
    let mut times: Vec<Duration> =
        (0..count).map(|_| from + (to - from).mul_f64(rng.f64())).collect();
    times.sort_unstable();
    let late = |happened| Happening::new(happened, happened + lateness.draw(rng));
    times.into_iter().map(late).collect()
}

/// Puts events into blobs: those that become visible in the same slot of time share one, made at the
/// slot's end, which shows with a lateness of its own.
pub(crate) fn into_blobs(
    events: &mut [Happening],
    slot: Duration,
    lateness: &Lateness,
    rng: &mut fastrand::Rng,
) {
    let mut shows = std::collections::BTreeMap::new();
    for event in events {
        let number = event.visible.as_secs() / slot.as_secs() + 1;
        event.selected = slot * u32::try_from(number).expect("slots are not that many");
        event.visible = *shows.entry(number).or_insert_with(|| event.selected + lateness.draw(rng));
    }
}

/// Three events of seven say something else some time after they first showed, up to `most`, some several times.
pub(crate) fn change(events: &mut [Happening], most: Duration, rng: &mut fastrand::Rng) {
    for event in events {
        let times = [0, 0, 0, 0, 1, 2, 3][rng.usize(..7)];
        let mut at = event.visible;
        for change in event.changes.iter_mut().take(times) {
            at += most.mul_f64(rng.f64().powi(4) / 3.0);
            *change = at;
        }
    }
}

/// The API shows nothing new between two times, and then all of it at once.
pub(crate) fn stall(events: &mut [Happening], from: Duration, to: Duration) {
    for event in events.iter_mut().filter(|event| from <= event.visible && event.visible < to) {
        event.visible = to;
    }
}
