//! Which events are new. The live window's ids are in memory; older ones are asked of the state.

use std::collections::{BTreeMap, HashMap};

use super::id_set::IdSet;
use crate::config::plan::DedupOn;
use crate::model::{Bucket, Content, EventKey, Known, Version};

/// Ids in memory at most (about 25 MB); beyond, the oldest buckets are asked of the state instead. With what their
/// events said, each takes at most twice as much: then it is half as many.
const IN_MEMORY_MAX: usize = 1 << 20;

/// What an event is that has been shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is shown for the first time.
    New,
    /// It came before, and said something else.
    Changed,
    /// It came before, and nobody knows what it said: what it says now is taken for that.
    Adopted,
    /// It came before, as it is.
    Same,
}

/// The ids of ten minutes of event time.
#[derive(Default)]
struct Ids {
    ids: IdSet,
    /// How many of them, and of their versions, the state does not hold yet.
    uncommitted: usize,
}

/// Versions of one event that came after it had changed, and do not count as handed over yet.
struct Changing {
    /// The first of them, while what came before it may not count as handed over either.
    first: Option<Content>,
    count: usize,
}

/// The ids seen, as far as they are in memory.
///
/// From `complete_from` on, memory holds every id there is. Below it, memory holds only ids that
/// are not committed yet, and the state must be asked for the rest.
pub struct Dedup {
    buckets: BTreeMap<Bucket, Ids>,
    complete_from: Bucket,
    on: DedupOn,
    changing: HashMap<EventKey, Changing>,
}

impl Dedup {
    /// Knows nothing; [`Dedup::load`] must tell it all that the state holds from `complete_from` on.
    pub fn new(complete_from: Bucket) -> Self {
        let (on, changing) = (DedupOn::Id, HashMap::new());
        Self { buckets: BTreeMap::new(), complete_from, on, changing }
    }

    /// The same, before anything is loaded: what an event says matters, or does not.
    #[must_use]
    pub fn on(self, on: DedupOn) -> Self {
        Self { on, ..self }
    }

    /// An event that the state holds, and what it last said. Cheapest in ascending order.
    pub fn load(&mut self, version: Version) {
        let ids = &mut self.buckets.entry(version.bucket).or_default().ids;
        ids.load(version.id);
        if let Some(content) = version.content.filter(|_| self.on == DedupOn::Content) {
            ids.tell(version.id, content);
        }
    }

    /// Whether the state must be asked for this event before [`Dedup::judge`] can tell.
    pub fn must_ask(&self, key: EventKey) -> bool {
        key.bucket < self.complete_from && !self.holds(key)
    }

    /// What the event is as far as memory and the state's answer know. If it is to be handed over, remembers it as
    /// uncommitted: one version more.
    pub fn judge(&mut self, version: Version, stored: Known) -> Verdict {
        let Some(content) = version.content.filter(|_| self.on == DedupOn::Content) else {
            let is_new = self.is_new(version.key(), stored != Known::No);
            return if is_new { Verdict::New } else { Verdict::Same };
        };
        // What memory holds is never older than what the state holds.
        let bucket = self.buckets.get_mut(&version.bucket);
        let in_memory = bucket.as_ref().and_then(|bucket| bucket.ids.find(version.id));
        let said = in_memory.map_or(stored, Known::Yes);
        match (said, bucket) {
            (Known::Yes(Some(said)), _) if said == content => Verdict::Same,
            (Known::Yes(None), bucket) => {
                if let Some(bucket) = bucket.filter(|_| in_memory.is_some()) {
                    bucket.ids.tell(version.id, content);
                }
                Verdict::Adopted
            }
            (Known::Yes(Some(_)) | Known::No, _) => {
                let bucket = self.buckets.entry(version.bucket).or_default();
                bucket.ids.insert(version.id);
                bucket.ids.tell(version.id, content);
                bucket.uncommitted += 1;
                if said == Known::No {
                    return Verdict::New;
                }
                let changing = Changing { first: Some(content), count: 0 };
                self.changing.entry(version.key()).or_insert(changing).count += 1;
                Verdict::Changed
            }
        }
    }

    /// Whether the event, whatever it says, is new as far as memory and the state's answer know; if it is, remembers
    /// it as uncommitted.
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

    /// These count as handed over, in this order, and are to be committed.
    pub fn settle(&mut self, versions: &[Version]) {
        if self.changing.is_empty() {
            return;
        }
        for version in versions {
            let key = version.key();
            let Some(changing) = self.changing.get_mut(&key) else { continue };
            // Two versions in a row are never the same.
            let came_before = changing.first.is_some_and(|first| version.content != Some(first));
            if !came_before {
                changing.first = None;
                changing.count -= 1;
            }
            if changing.count == 0 {
                self.changing.remove(&key);
            }
        }
    }

    /// Of what is about to be committed: where a later version is still on its way, the state must not say that this is the
    /// last. After a crash, nobody knows.
    pub fn doubt(&self, versions: &mut [Version]) {
        if self.changing.is_empty() {
            return;
        }
        for version in versions.iter_mut().filter(|it| self.changing.contains_key(&it.key())) {
            version.content = Some(Content::UNSURE);
        }
    }

    /// Notes that the state holds these now.
    pub fn committed(&mut self, versions: &[Version]) {
        for version in versions {
            if let Some(bucket) = self.buckets.get_mut(&version.bucket) {
                bucket.uncommitted = bucket.uncommitted.saturating_sub(1);
            }
        }
        self.shrink(self.complete_from);
    }

    /// Forgets what is older than the live window needs and the state holds.
    pub fn forget_before(&mut self, horizon: Bucket) {
        let mut complete_from = self.complete_from.max(horizon);
        let at_most = match self.on {
            DedupOn::Id => IN_MEMORY_MAX,
            DedupOn::Content => IN_MEMORY_MAX / 2,
        };
        let mut kept: usize = self.buckets.range(complete_from..).map(|(_, b)| b.ids.len()).sum();
        for (bucket, ids) in self.buckets.range(complete_from..) {
            if kept <= at_most {
                break;
            }
            kept -= ids.ids.len();
            complete_from = Bucket(bucket.0 + 1);
        }
        self.shrink(complete_from);
    }

    /// All that memory holds, each as it was last shown.
    pub fn versions(&self) -> impl Iterator<Item = Version> {
        self.buckets.iter().flat_map(|(bucket, ids)| {
            let version = |(id, content)| Version { bucket: *bucket, id, content };
            ids.ids.iter().map(version)
        })
    }

    /// Whether memory holds this.
    pub fn holds(&self, key: EventKey) -> bool {
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
    use std::collections::{HashMap, HashSet};
    use std::num::NonZeroU64;

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
        dedup.load(key(10, 1).into());
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
        dedup.committed(&[key(1, 7).into()]);
        assert!(dedup.must_ask(key(1, 7)));
        assert!(dedup.buckets.is_empty());
    }

    fn content(number: u64) -> Option<Content> {
        NonZeroU64::new(number).map(Content)
    }

    fn version(bucket: i64, id: u128, said: u64) -> Version {
        Version { content: content(said), ..key(bucket, id).into() }
    }

    fn by_content(complete_from: i64) -> Dedup {
        Dedup::new(Bucket(complete_from)).on(DedupOn::Content)
    }

    #[test]
    fn an_event_that_changed_comes_again_each_time_it_does() {
        let mut dedup = by_content(0);
        let mut judge = |said| dedup.judge(version(1, 7, said), Known::No);
        use Verdict::{Changed, New, Same};
        let verdicts = [1, 1, 2, 2, 1, 1, 3].map(&mut judge);
        assert_eq!(verdicts, [New, Same, Changed, Same, Changed, Same, Changed]);
    }

    #[test]
    fn below_the_horizon_the_state_tells_what_an_event_said() {
        let mut dedup = by_content(10);
        let stored = Known::Yes(content(1));
        assert_eq!(dedup.judge(version(9, 1, 1), stored), Verdict::Same);
        assert_eq!(dedup.judge(version(9, 1, 2), stored), Verdict::Changed);
        // The state does not know of it yet.
        assert_eq!(dedup.judge(version(9, 1, 2), stored), Verdict::Same);
        dedup.committed(&[version(9, 1, 2)]);
        assert!(dedup.must_ask(key(9, 1)), "the state knows, and memory is free of it");
    }

    #[test]
    fn what_nobody_knows_the_content_of_is_taken_as_it_is() {
        let mut dedup = by_content(10);
        dedup.load(key(10, 1).into());
        assert_eq!(dedup.judge(version(10, 1, 1), Known::No), Verdict::Adopted);
        assert_eq!(dedup.judge(version(10, 1, 1), Known::No), Verdict::Same);
        assert_eq!(dedup.judge(version(10, 1, 2), Known::No), Verdict::Changed);
        assert_eq!(dedup.judge(version(9, 1, 1), Known::Yes(None)), Verdict::Adopted);
        assert!(dedup.must_ask(key(9, 1)), "only the state can keep it");
    }

    #[test]
    fn of_two_versions_under_way_the_first_to_be_committed_does_not_stand_for_the_second() {
        let mut dedup = by_content(10);
        assert_eq!(dedup.judge(version(9, 1, 1), Known::No), Verdict::New);
        assert_eq!(dedup.judge(version(9, 1, 2), Known::No), Verdict::Changed);
        dedup.committed(&[version(9, 1, 1)]);
        assert!(!dedup.must_ask(key(9, 1)));
        assert_eq!(dedup.judge(version(9, 1, 2), Known::No), Verdict::Same);
        dedup.committed(&[version(9, 1, 2)]);
        assert!(dedup.buckets.is_empty());
    }

    #[test]
    fn while_a_later_version_is_on_its_way_nobody_says_which_is_the_last() {
        // It is new and changes, or it is known and changes twice, in the end to what it said at first.
        for (known, said) in [(Known::No, [1, 2, 1]), (Known::Yes(content(1)), [2, 1, 3])] {
            let mut dedup = by_content(10);
            let shown = said.map(|said| version(9, 1, said));
            for version in shown {
                assert!(!matches!(dedup.judge(version, known), Verdict::Same | Verdict::Adopted));
            }
            let settled = shown.map(|version| {
                let mut settled = [version, super::tests::version(9, 2, 1)];
                dedup.settle(&settled);
                dedup.doubt(&mut settled);
                settled[0].content
            });
            assert_eq!(settled, [Some(Content::UNSURE), Some(Content::UNSURE), content(said[2])]);
            assert!(dedup.changing.is_empty());
        }
    }

    #[test]
    fn where_only_the_id_matters_nothing_else_is_kept() {
        let mut dedup = Dedup::new(Bucket(0));
        dedup.load(version(1, 7, 1));
        assert_eq!(dedup.judge(version(1, 7, 2), Known::No), Verdict::Same);
        assert_eq!(dedup.judge(version(1, 8, 2), Known::No), Verdict::New);
        assert!(dedup.versions().all(|version| version.content.is_none()));
    }

    proptest! {
        #[test]
        fn with_a_state_behind_it_every_change_is_told_once(
            steps in proptest::collection::vec((0i64..20, 0u128..10, 1u64..4, 0u8..10), 0..300)
        ) {
            let mut dedup = by_content(0);
            let (mut state, mut shown) = (HashMap::new(), HashMap::new());
            let mut pending: Vec<Version> = Vec::new();
            for (bucket, id, said, action) in steps {
                let version = version(bucket, id, said);
                let stored = state.get(&version.key()).filter(|_| dedup.must_ask(version.key()));
                let stored = stored.map_or(Known::No, |said| Known::Yes(*said));
                let expected = match shown.insert(version.key(), said) {
                    None => Verdict::New,
                    Some(before) if before == said => Verdict::Same,
                    Some(_) => Verdict::Changed,
                };
                prop_assert_eq!(dedup.judge(version, stored), expected);
                if expected != Verdict::Same { pending.push(version); }
                match action {
                    // All of it, or the first of it.
                    0 | 1 => {
                        let count = if action == 0 { pending.len() } else { pending.len() / 2 };
                        let part: Vec<Version> = pending.drain(..count).collect();
                        dedup.committed(&part);
                        state.extend(part.iter().map(|it| (it.key(), it.content)));
                    }
                    2 => dedup.forget_before(Bucket(bucket)),
                    _ => {}
                }
            }
        }

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
                    0 => {
                        let versions: Vec<_> = pending.iter().copied().map(Version::from).collect();
                        dedup.committed(&versions);
                        state.extend(pending.drain(..));
                    }
                    1 => dedup.forget_before(Bucket(bucket)),
                    _ => {}
                }
            }
        }
    }
}
