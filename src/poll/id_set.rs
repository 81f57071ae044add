//! A set of ids in little more than the 16 bytes that each of them takes.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

use crate::model::IdHash;

/// So many new ids are gathered before they are merged, besides a quarter of what there is.
const FRESH_MIN: usize = 1_024;

/// The ids are keyed hashes already: hashing them again would be waste.
#[derive(Default)]
struct AlreadyHashed(u64);

impl Hasher for AlreadyHashed {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {
        debug_assert!(false, "only u128 keys are hashed");
    }
    fn write_u128(&mut self, id: u128) {
        self.0 = id as u64;
    }
}

/// Most ids in a sorted list, the newest in a hash set until they are worth a merge.
#[derive(Default)]
pub(super) struct IdSet {
    sorted: Vec<IdHash>,
    fresh: HashSet<IdHash, BuildHasherDefault<AlreadyHashed>>,
}

impl IdSet {
    /// Whether an id is in it.
    pub(super) fn contains(&self, id: IdHash) -> bool {
        self.fresh.contains(&id) || self.sorted.binary_search(&id).is_ok()
    }

    /// Puts an id in; true if it was not.
    pub(super) fn insert(&mut self, id: IdHash) -> bool {
        if self.sorted.binary_search(&id).is_ok() || !self.fresh.insert(id) {
            return false;
        }
        if self.fresh.len() > FRESH_MIN + self.sorted.len() / 4 {
            self.merge();
        }
        true
    }

    /// [`IdSet::insert`] for ids that come in ascending order.
    pub(super) fn load(&mut self, id: IdHash) -> bool {
        if self.fresh.is_empty() && self.sorted.last().is_none_or(|last| *last < id) {
            self.sorted.push(id);
            return true;
        }
        self.insert(id)
    }

    /// All ids in it.
    pub(super) fn iter(&self) -> impl Iterator<Item = IdHash> {
        self.sorted.iter().chain(&self.fresh).copied()
    }

    /// How many ids are in it.
    pub(super) fn len(&self) -> usize {
        self.sorted.len() + self.fresh.len()
    }

    fn merge(&mut self) {
        self.sorted.reserve_exact(self.fresh.len());
        self.sorted.extend(self.fresh.drain());
        self.fresh.shrink_to(FRESH_MIN);
        self.sorted.sort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_a_set(
            loaded in proptest::collection::vec(0u128..500, 0..200),
            inserted in proptest::collection::vec(0u128..5_000, 0..4_000)
        ) {
            let (mut set, mut model) = (IdSet::default(), HashSet::new());
            for id in loaded { prop_assert_eq!(set.load(IdHash(id)), model.insert(id)); }
            for id in inserted { prop_assert_eq!(set.insert(IdHash(id)), model.insert(id)); }
            prop_assert_eq!(set.len(), model.len());
            for id in 0..5_000 { prop_assert_eq!(set.contains(IdHash(id)), model.contains(&id)); }
        }
    }
}
