//! What makes an event of the API and a record of the SIEM the same one: a keyed hash of the id's text.
//!
//! The library's own identity tells a number from its digits. A SIEM may not: it may keep all of them as text.

use std::hash::Hasher as _;

use in_lookback::json::Slots;
use siphasher::sip128::{Hasher128 as _, SipHasher24};

/// 128 bits of an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Id(u64, u64);

/// Hashes with a key of its own, so that nobody who chooses ids can make two collide.
#[derive(Clone, Copy)]
pub(crate) struct Identity {
    key: [u8; 16],
}

impl Identity {
    pub(crate) fn new(key: [u8; 16]) -> Self {
        Self { key }
    }

    /// Of an id's parts; nothing if one of them is missing, or all are empty.
    pub(crate) fn of_parts(&self, parts: &Slots<'_>) -> Option<Id> {
        let mut hasher = SipHasher24::new_with_key(&self.key);
        let mut is_empty = true;
        for part in parts {
            let text = part.as_ref()?.as_str();
            is_empty &= text.is_empty();
            hasher.write(&(text.len() as u64).to_le_bytes());
            hasher.write(text.as_bytes());
        }
        (!is_empty).then(|| finish(&hasher))
    }

    /// Of an event's own bytes, where it has no id.
    pub(crate) fn of_bytes(&self, raw: &str) -> Id {
        let mut hasher = SipHasher24::new_with_key(&self.key);
        // No part of an id is so long.
        hasher.write(&u64::MAX.to_le_bytes());
        hasher.write(raw.as_bytes());
        finish(&hasher)
    }
}

fn finish(hasher: &SipHasher24) -> Id {
    let hash = hasher.finish128();
    Id(hash.h1, hash.h2)
}

/// An id for people: its parts, joined.
pub(crate) fn show(parts: &Slots<'_>) -> String {
    let parts: Vec<&str> = parts.iter().flatten().map(|part| part.as_str()).collect();
    parts.join(" ")
}
