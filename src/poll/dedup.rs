//! Which events are new. The live window's ids are in memory; older ones are asked of the state.

use std::collections::BTreeMap;

use super::id_set::IdSet;
use crate::model::{Bucket, EventKey};

/// Ids in memory at most (about 25 MB); beyond, the oldest buckets are asked of the state instead.
const IN_MEMORY_MAX: usize = 1 << 20;

/// The ids of ten minutes of event time.
#[derive(Default)]
struct Ids {
    ids: IdSet,
    /// How many of them the state does not hold yet.
    uncommitted: usize,
}

/// The ids seen, as far as they are in memory.
///
/// From `complete_from` on, memory holds every id there is. Below it, memory holds only ids that
/// are not committed yet, and the state must be asked for the rest.
pub struct Dedup {
    buckets: BTreeMap<Bucket, Ids>,
    complete_from: Bucket,
}

impl Dedup {
    /// Knows nothing; [`Dedup::load`] must tell it all that the state holds from `complete_from` on.
    pub fn new(complete_from: Bucket) -> Self {
        Self { buckets: BTreeMap::new(), complete_from }
    }

    /// An id that the state holds. Cheapest in ascending order.
    pub fn load(&mut self, key: EventKey) {
        self.buckets.entry(key.bucket).or_default().ids.load(key.id);
    }

    /// Whether the state must be asked for this event before [`Dedup::is_new`] can tell.
    pub fn must_ask(&self, key: EventKey) -> bool {
        key.bucket < self.complete_from && !self.knows(key)
    }

    /// Whether the event is new as far as memory and the state's answer know; if it is, remembers it as uncommitted.
    pub fn is_new(&mut self, key: EventKey, in_state: bool) -> bool {
        if in_state {
            return false;
        }
        let bucket = self.buckets.entry(key.bucket).or_default();
        let new = bucket.ids.insert(key.id);
        if new {
            bucket.uncommitted += 1;
        }
        new
    }

    /// Notes that the state holds these now.
    pub fn committed(&mut self, keys: &[EventKey]) {
        for key in keys {
            if let Some(bucket) = self.buckets.get_mut(&key.bucket) {
                bucket.uncommitted = bucket.uncommitted.saturating_sub(1);
            }
        }
        self.shrink(self.complete_from);
    }

    /// Forgets what is older than the live window needs and the state holds.
    pub fn forget_before(&mut self, horizon: Bucket) {
        let mut complete_from = self.complete_from.max(horizon);
        let mut kept: usize = self.buckets.range(complete_from..).map(|(_, b)| b.ids.len()).sum();
        for (bucket, ids) in self.buckets.range(complete_from..) {
            if kept <= IN_MEMORY_MAX {
                break;
            }
            kept -= ids.ids.len();
            complete_from = Bucket(bucket.0 + 1);
        }
        self.shrink(complete_from);
    }

    /// All that memory holds.
    pub fn keys(&self) -> impl Iterator<Item = EventKey> {
        self.buckets
            .iter()
            .flat_map(|(bucket, ids)| ids.ids.iter().map(|id| EventKey { bucket: *bucket, id }))
    }

    /// Whether memory holds this.
    pub fn holds(&self, key: EventKey) -> bool {
        self.knows(key)
    }

    fn knows(&self, key: EventKey) -> bool {
        self.buckets.get(&key.bucket).is_some_and(|bucket| bucket.ids.contains(key.id))
    }

    /// Drops the buckets below `complete_from` that the state holds entirely.
    fn shrink(&mut self, complete_from: Bucket) {
        self.complete_from = complete_from;
        let done: Vec<Bucket> = self
            .buckets
            .range(..complete_from)
            .filter(|(_, ids)| ids.uncommitted == 0)
            .map(|(bucket, _)| *bucket)
            .collect();
        for bucket in done {
            self.buckets.remove(&bucket);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::model::IdHash;
    use proptest::prelude::*;

    fn key(bucket: i64, id: u128) -> EventKey {
        EventKey { bucket: Bucket(bucket), id: IdHash(id) }
    }

    #[test]
    fn an_event_is_new_once() {
        let mut dedup = Dedup::new(Bucket(0));
        assert!(dedup.is_new(key(1, 7), false));
        assert!(!dedup.is_new(key(1, 7), false));
        assert!(dedup.is_new(key(2, 7), false), "another time is another event");
    }

    #[test]
    fn below_the_horizon_the_state_is_asked() {
        let mut dedup = Dedup::new(Bucket(10));
        dedup.load(key(10, 1));
        assert!(dedup.must_ask(key(9, 1)));
        assert!(!dedup.must_ask(key(10, 2)));
        assert!(!dedup.is_new(key(9, 1), true));
    }

    #[test]
    fn what_is_not_committed_is_never_forgotten() {
        let mut dedup = Dedup::new(Bucket(0));
        assert!(dedup.is_new(key(1, 7), false));
        dedup.forget_before(Bucket(100));
        assert!(!dedup.must_ask(key(1, 7)));
        assert!(!dedup.is_new(key(1, 7), false));
        dedup.committed(&[key(1, 7)]);
        assert!(dedup.must_ask(key(1, 7)));
        assert!(dedup.buckets.is_empty());
    }

    proptest! {
        #[test]
        fn with_a_state_behind_it_every_event_is_new_exactly_once(
            steps in proptest::collection::vec((0i64..20, 0u128..30, 0u8..10), 0..300)
        ) {
            let mut dedup = Dedup::new(Bucket(0));
            let mut state = HashSet::new();
            let mut emitted = HashSet::new();
            let mut pending = Vec::new();
            for (bucket, id, action) in steps {
                let key = key(bucket, id);
                let in_state = dedup.must_ask(key) && state.contains(&key);
                prop_assert_eq!(dedup.is_new(key, in_state), emitted.insert(key));
                if !state.contains(&key) && !pending.contains(&key) { pending.push(key); }
                match action {
                    0 => { dedup.committed(&pending); state.extend(pending.drain(..)); }
                    1 => dedup.forget_before(Bucket(bucket)),
                    _ => {}
                }
            }
        }
    }
}
