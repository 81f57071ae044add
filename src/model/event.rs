//! What the engine knows of an event: who it is and when it happened.

use super::Timestamp;

/// How many seconds of event time share a bucket: the grain in which ids are kept and dropped.
const BUCKET_SECONDS: i64 = 600;

/// A keyed 128-bit hash of an event's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdHash(pub u128);

/// Ten minutes of event time. An event's own time decides, so a duplicate falls into the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bucket(pub i64);

impl Bucket {
    /// The bucket of events whose time cannot be read: nothing says when their ids may be forgotten.
    pub const UNTIMED: Self = Self(i64::MIN);

    /// The bucket of a moment.
    pub const fn of(moment: Timestamp) -> Self {
        Self(moment.as_secs().div_euclid(BUCKET_SECONDS))
    }

    /// The first moment of the bucket.
    pub const fn start(self) -> Timestamp {
        Timestamp::from_secs(self.0.saturating_mul(BUCKET_SECONDS))
    }
}

/// What makes an event the same event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventKey {
    /// Where its id is kept.
    pub bucket: Bucket,
    /// Its id.
    pub id: IdHash,
}

/// What is known of an event when a page shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its identity.
    pub key: EventKey,
    /// When it happened, or when it was received if it does not say.
    pub time: Timestamp,
    /// The time by which reads select it: its own, unless the API selects by another.
    pub selected: Timestamp,
    /// What the definition asks for and the event lacks.
    pub fault: Option<Fault>,
}

/// Why an event is not as the definition says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// It has no id: its bytes stand in for one.
    NoId,
    /// It has no time, or none that can be read: the time it was received stands in for it.
    NoTime,
    /// It happened long before or after what was asked for: its time may be misread.
    OffRange,
    /// It cannot be transcoded (nested too deeply): it is handed over as text.
    NotTranscoded,
}
