//! A set of ids in little more than the 16 bytes that each of them takes; and, where that is told, what the event
//! of each last said, in 8 more.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

use crate::model::{Content, IdHash};

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
    /// Beside `sorted`; empty as long as nobody has told any.
    contents: Vec<Option<Content>>,
    fresh: HashSet<IdHash, BuildHasherDefault<AlreadyHashed>>,
    fresh_contents: HashMap<IdHash, Content, BuildHasherDefault<AlreadyHashed>>,
}

impl IdSet {
    /// Whether an id is in it.
    pub(super) fn contains(&self, id: IdHash) -> bool {
        self.fresh.contains(&id) || self.sorted.binary_search(&id).is_ok()
    }

    /// What the event of an id last said, if that was told; nothing if the id is not in it.
    pub(super) fn find(&self, id: IdHash) -> Option<Option<Content>> {
        if self.fresh.contains(&id) {
            return Some(self.fresh_contents.get(&id).copied());
        }
        let at = self.sorted.binary_search(&id).ok()?;
        Some(self.contents.get(at).copied().flatten())
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

    /// Tells what the event of an id that is in it says.
    pub(super) fn tell(&mut self, id: IdHash, content: Content) {
        match self.sorted.binary_search(&id) {
            Ok(at) => {
                self.contents.resize(self.sorted.len(), None);
                self.contents[at] = Some(content);
            }
            Err(_) => {
                self.fresh_contents.insert(id, content);
            }
        }
    }

    /// [`IdSet::insert`] for ids that come in ascending order.
    pub(super) fn load(&mut self, id: IdHash) -> bool {
        if self.fresh.is_empty() && self.sorted.last().is_none_or(|last| *last < id) {
            self.sorted.push(id);
            if !self.contents.is_empty() {
                self.contents.push(None);
            }
            return true;
        }
        self.insert(id)
    }

    /// All ids in it.
    pub(super) fn iter(&self) -> impl Iterator<Item = (IdHash, Option<Content>)> {
        let contents = self.contents.iter().copied().chain(std::iter::repeat(None));
        let fresh = |id: &IdHash| (*id, self.fresh_contents.get(id).copied());
        self.sorted.iter().copied().zip(contents).chain(self.fresh.iter().map(fresh))
    }

    /// How many ids are in it.
    pub(super) fn len(&self) -> usize {
        self.sorted.len() + self.fresh.len()
    }

    /// From the largest down, so that nothing is overwritten that is still to be moved.
    fn merge(&mut self) {
        let mut fresh: Vec<IdHash> = self.fresh.drain().collect();
        self.fresh.shrink_to(FRESH_MIN);
        fresh.sort_unstable();
        let mut old = self.sorted.len();
        let mut to = old + fresh.len();
        self.sorted.reserve_exact(fresh.len());
        self.sorted.resize(to, IdHash(0));
        if !self.contents.is_empty() || !self.fresh_contents.is_empty() {
            self.contents.reserve_exact(to - self.contents.len());
            self.contents.resize(to, None);
        }
        while let Some(id) = fresh.last().copied() {
            to -= 1;
            let (id, content) = match old.checked_sub(1) {
                Some(before) if self.sorted[before] > id => {
                    old = before;
                    (self.sorted[before], self.contents.get(before).copied().flatten())
                }
                _ => {
                    fresh.pop();
                    (id, self.fresh_contents.remove(&id))
                }
            };
            self.sorted[to] = id;
            if let Some(place) = self.contents.get_mut(to) {
                *place = content;
            }
        }
        self.fresh_contents.shrink_to(FRESH_MIN);
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;
    use proptest::prelude::*;

    fn content(number: u64) -> Content {
        Content(NonZeroU64::new(number).unwrap())
    }

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
            prop_assert!(set.contents.is_empty(), "what nobody tells takes no memory");
        }

        #[test]
        fn it_knows_what_each_of_them_was_told_last(
            loaded in proptest::collection::vec((0u128..500, 0u64..3), 0..200),
            inserted in proptest::collection::vec((0u128..5_000, 0u64..3), 0..4_000)
        ) {
            let (mut set, mut model) = (IdSet::default(), HashMap::new());
            let steps = loaded.iter().map(|it| (true, it)).chain(inserted.iter().map(|it| (false, it)));
            for (load, (id, told)) in steps {
                let known = model.entry(*id).or_insert(None);
                if load { set.load(IdHash(*id)); } else { set.insert(IdHash(*id)); }
                if *told > 0 {
                    set.tell(IdHash(*id), content(*told));
                    *known = Some(content(*told));
                }
            }
            for id in 0..5_000 { prop_assert_eq!(set.find(IdHash(id)), model.get(&id).copied()); }
            let all: HashMap<u128, _> = set.iter().map(|(id, content)| (id.0, content)).collect();
            prop_assert_eq!(all, model);
        }
    }
}
