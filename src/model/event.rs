//! What the engine knows of an event: who it is and when it happened.

use std::num::NonZeroU64;

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

/// A keyed 64-bit hash of a record's bytes: tells one version of an event from another of the same event, and is
/// compared with nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content(pub NonZeroU64);

impl Content {
    /// What nothing says: stands in the state for an event of which several versions may have been handed over, until
    /// it is known which was the last.
    pub const UNSURE: Self = Self(NonZeroU64::MAX);

    /// A version by its hash.
    pub fn of_hash(hash: u64) -> Self {
        Self(
            NonZeroU64::new(hash).filter(|hash| *hash != Self::UNSURE.0).unwrap_or(NonZeroU64::MIN),
        )
    }
}

/// An event as it was shown: who it is, and in which version. It takes no more memory than its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// Where its id is kept.
    pub bucket: Bucket,
    /// Its id.
    pub id: IdHash,
    /// What it said; nothing where that does not matter, or is not known.
    pub content: Option<Content>,
}

impl Version {
    /// Whose version it is.
    pub const fn key(self) -> EventKey {
        EventKey { bucket: self.bucket, id: self.id }
    }
}

impl From<EventKey> for Version {
    /// Whatever it said.
    fn from(key: EventKey) -> Self {
        Self { bucket: key.bucket, id: key.id, content: None }
    }
}

/// What the state holds of an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Known {
    /// Nothing: it was never handed over.
    #[default]
    No,
    /// It was handed over; and what it last said, if that was noted.
    Yes(Option<Content>),
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
    /// What it says, where a change of that matters.
    pub content: Option<Content>,
}

impl Seen {
    /// The version of the event that is shown.
    pub const fn version(&self) -> Version {
        Version { bucket: self.key.bucket, id: self.key.id, content: self.content }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_takes_no_more_memory_than_its_key() {
        assert_eq!(size_of::<Version>(), size_of::<EventKey>());
    }
}
