//! What makes an event, or a blob, the same one: a keyed hash.

use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher24};

use crate::json::Scalar;
use crate::model::{Content, IdHash};

/// What an id is about: an event and a blob with the same id are different things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An event.
    Event,
    /// A blob.
    Blob,
}

/// What the hash of a blob begins with: nothing that an event's can begin with.
const BLOB: u8 = 0x80;

/// Hashes with the key of the state.
#[derive(Clone, Copy)]
pub(super) struct Identity {
    key: [u8; 16],
}

impl Identity {
    pub(super) fn new(key: [u8; 16]) -> Identity {
        Identity { key }
    }

    /// The hash of a record's own bytes.
    pub(super) fn of_bytes(&self, raw: &str) -> IdHash {
        let mut hasher = self.hasher(Kind::Event);
        hasher.write(raw.as_bytes());
        finish(&hasher)
    }

    /// The hash that tells versions of one event from each other.
    pub(super) fn of_content(&self, raw: &str) -> Content {
        let IdHash(hash) = self.of_bytes(raw);
        Content::of_hash(hash as u64)
    }

    /// The hash of an id; nothing if a part of it is missing, or if all of it is empty: that tells
    /// nothing from anything.
    pub(super) fn of_id(&self, kind: Kind, parts: &[Option<Scalar<'_>>]) -> Option<IdHash> {
        let mut hasher = self.hasher(kind);
        let mut is_empty = true;
        for part in parts {
            let part = part.as_ref()?;
            let (of, text): (u8, &str) = match part {
                Scalar::Str(_) => (1, part.as_str()),
                Scalar::Number(_) => (2, part.as_str()),
                Scalar::Bool(_) => (3, part.as_str()),
            };
            is_empty &= text.is_empty();
            hasher.write_u8(of);
            // As many bytes on every machine: a state may be shared.
            hasher.write(&u64::try_from(text.len()).unwrap_or(u64::MAX).to_le_bytes());
            hasher.write(text.as_bytes());
        }
        if is_empty { None } else { Some(finish(&hasher)) }
    }

    fn hasher(&self, kind: Kind) -> SipHasher24 {
        let mut hasher = SipHasher24::new_with_key(&self.key);
        if kind == Kind::Blob {
            hasher.write_u8(BLOB);
        }
        hasher
    }
}

fn finish(hasher: &SipHasher24) -> IdHash {
    IdHash(hasher.finish128().as_u128())
}

/// The key is not for anybody's eyes: who knows it can make ids collide.
impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identity")
    }
}
