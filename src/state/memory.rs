//! A state in memory, for the simulation: it survives crashes of everything but itself, and fails on demand.

use std::collections::{BTreeSet, HashMap};

use super::{State, StateError};
use crate::model::{Bucket, EventKey, IdHash};
use crate::poll::progress::{Commit, Progress};

/// Ids and progress of one source.
#[derive(Debug, Default)]
pub struct MemoryState {
    ids: BTreeSet<EventKey>,
    /// The progress of the last commit.
    pub progress: Option<Progress>,
    /// While set, nothing can be read or written.
    pub broken: bool,
}

impl MemoryState {
    fn check(&self) -> Result<(), StateError> {
        if self.broken {
            return Err(std::io::Error::other("broken on demand").into());
        }
        Ok(())
    }
}

impl State for MemoryState {
    fn known(&mut self, keys: &mut HashMap<EventKey, bool>) -> Result<(), StateError> {
        self.check()?;
        keys.iter_mut().for_each(|(key, known)| *known = self.ids.contains(key));
        Ok(())
    }

    fn commit(&mut self, commit: &Commit) -> Result<u64, StateError> {
        self.check()?;
        self.ids.extend(&commit.keys);
        let kept = self.ids.split_off(&first_of(commit.expire_before));
        let old = std::mem::replace(&mut self.ids, kept);
        self.ids.extend(old.range(..first_of(Bucket(i64::MIN + 1))));
        self.progress = Some(commit.progress.clone());
        Ok(self.ids.len() as u64)
    }

    fn recent(&mut self, from: Bucket, show: &mut dyn FnMut(EventKey)) -> Result<(), StateError> {
        self.check()?;
        self.ids.range(first_of(from)..).for_each(|key| show(*key));
        Ok(())
    }
}

/// What sorts before every id of a bucket.
fn first_of(bucket: Bucket) -> EventKey {
    EventKey { bucket, id: IdHash(0) }
}
