//! A state in memory, for the simulation: it survives crashes of everything but itself, and fails on demand.

use std::collections::{BTreeMap, HashMap};

use super::{Renewed, State, StateError};
use crate::model::{Bucket, Content, EventKey, IdHash, Known, Timestamp, Version};
use crate::poll::ledger::Ledger;
use crate::poll::progress::{Beginning, Commit, Kept, Loss, Progress};

/// Ids and progress of one source.
#[derive(Debug, Default)]
pub struct MemoryState {
    ids: BTreeMap<EventKey, Option<Content>>,
    /// The progress of the last commit.
    progress: Option<Progress>,
    /// The ledger; its page is never the one that is damaged.
    pub ledger: Ledger,
    /// What is wrong with it until it is renewed or opened again.
    damage: Option<Loss>,
    /// While set, nothing can be read or written.
    pub broken: bool,
}

impl MemoryState {
    /// How far reading has come, as a new process finds it, and how the source begins if it has no progress,
    /// as `begin` says.
    ///
    /// # Errors
    /// If nothing can be read.
    pub fn open(
        &mut self,
        begin: impl Fn(&Beginning) -> Progress,
    ) -> Result<(Progress, Option<Beginning>), StateError> {
        self.check_broken()?;
        let beginning = match (self.damage.take(), &self.progress) {
            (Some(loss), _) => Some(Beginning::Lost(loss)),
            (None, None) => Some(Beginning::First),
            (None, Some(progress)) if progress.contradiction().is_some() => {
                let progress = Some(progress.clone());
                Some(Beginning::Lost(Loss { progress, written: None }))
            }
            (None, Some(_)) => None,
        };
        if let Some(beginning) = &beginning {
            self.progress = Some(begin(beginning));
        }
        let progress = self.progress.get_or_insert_with(|| begin(&Beginning::First));
        Ok((progress.clone(), beginning))
    }

    /// The state is damaged from now on: of its ids these can still be read, and of its progress all or nothing. A
    /// state that was never opened has nothing to lose.
    pub fn damage(&mut self, mut readable: impl FnMut(&EventKey) -> bool, with_hint: bool) {
        let Some(progress) = &self.progress else { return };
        self.ids.retain(|key, _| readable(key));
        let progress = with_hint.then(|| progress.clone());
        self.damage = Some(Loss { progress, written: None });
    }

    /// Shows all ids from a bucket on, in ascending order.
    ///
    /// # Errors
    /// If nothing can be read.
    pub fn recent(&self, from: Bucket, show: &mut dyn FnMut(Version)) -> Result<(), StateError> {
        self.check()?;
        let version = |(key, content): (&EventKey, &Option<Content>)| version(*key, *content);
        self.ids.range(first_of(from)..).map(version).for_each(show);
        Ok(())
    }

    /// What it holds of an event.
    pub fn holds(&self, key: &EventKey) -> Known {
        self.ids.get(key).map_or(Known::No, |content| Known::Yes(*content))
    }

    fn put(&mut self, version: Version) {
        let content = self.ids.entry(version.key()).or_default();
        *content = version.content.or(*content);
    }

    fn check_broken(&self) -> Result<(), StateError> {
        if self.broken {
            return Err(std::io::Error::other("broken on demand").into());
        }
        Ok(())
    }

    fn check(&self) -> Result<(), StateError> {
        self.check_broken()?;
        if self.damage.is_some() { Err(StateError::Moved) } else { Ok(()) }
    }
}

impl State for MemoryState {
    fn known(&mut self, keys: &mut HashMap<EventKey, Known>) -> Result<(), StateError> {
        self.check()?;
        keys.iter_mut().for_each(|(key, known)| *known = self.holds(key));
        Ok(())
    }

    fn doubt(&mut self, keys: &[EventKey]) -> Result<(), StateError> {
        self.check()?;
        for key in keys {
            if let Some(content) = self.ids.get_mut(key) {
                *content = Some(Content::UNSURE);
            }
        }
        Ok(())
    }

    fn commit(&mut self, commit: &Commit) -> Result<u64, StateError> {
        self.check()?;
        commit.keys.iter().for_each(|version| self.put(*version));
        for adopted in &commit.adopted {
            if let Some(content) = self.ids.get_mut(&adopted.key()) {
                *content = content.or(adopted.content);
            }
        }
        let kept = self.ids.split_off(&first_of(commit.expire_before));
        let old = std::mem::replace(&mut self.ids, kept);
        self.ids.extend(old.range(..first_of(Bucket(i64::MIN + 1))).map(|(key, it)| (*key, *it)));
        self.progress = Some(commit.progress.clone());
        self.ledger.merge(&commit.ledger);
        Ok(self.ids.len() as u64)
    }

    fn in_place(&self) -> Result<(), StateError> {
        self.check()
    }

    fn renew(
        &mut self,
        kept: &Kept,
        error: &StateError,
        _now: Timestamp,
        _go_on: &dyn Fn() -> bool,
    ) -> Result<Renewed, StateError> {
        self.check_broken()?;
        self.damage = None;
        kept.keys.iter().for_each(|version| self.put(*version));
        self.progress = Some(kept.progress.clone());
        Ok(Renewed { what: error.to_string(), same_key: true, same_ledger: true })
    }
}

fn version(key: EventKey, content: Option<Content>) -> Version {
    Version { content, ..key.into() }
}

/// What sorts before every id of a bucket.
fn first_of(bucket: Bucket) -> EventKey {
    EventKey { bucket, id: IdHash(0) }
}
