//! What survives a restart: ids and progress. Stores and finds; decides nothing.

mod hours;
pub mod lock;
pub mod look;
pub mod memory;
pub mod postgres;
mod rescue;
mod schema;
pub mod sqlite;
mod trouble;
mod turn;

use std::collections::HashMap;

use crate::model::{Bucket, EventKey, Known, Timestamp, Version};
use crate::poll::progress::{Commit, Kept, Progress};
pub use trouble::{StateError, Trouble};

/// The state of one source.
pub trait State: Send {
    /// Answers which of the keys are stored, and what their events last said, by setting their values.
    ///
    /// # Errors
    /// If the state cannot be read.
    fn known(&mut self, keys: &mut HashMap<EventKey, Known>) -> Result<(), StateError>;

    /// Notes, for good, that of these events several versions may have been handed over, where they are stored.
    ///
    /// # Errors
    /// If the state cannot be written.
    fn doubt(&mut self, keys: &[EventKey]) -> Result<(), StateError>;

    /// Stores keys and progress, all or nothing, for good. Returns how many ids the source has now.
    ///
    /// # Errors
    /// If the state cannot be written, or is no longer where it was; then nothing of it is.
    fn commit(&mut self, commit: &Commit) -> Result<u64, StateError>;

    /// Whether what is written to is what the next start would find.
    ///
    /// # Errors
    /// If it is not.
    fn in_place(&self) -> Result<(), StateError>;

    /// Begins a new state in place of one that is damaged or gone: with what memory keeps, and with
    /// what can still be read of the old one, as long as `go_on` says so. `error` is what was wrong with it.
    ///
    /// # Errors
    /// If no new one can be had; the old one stays as it was, and can be renewed later.
    fn renew(
        &mut self,
        kept: &Kept,
        error: &StateError,
        now: Timestamp,
        go_on: &dyn Fn() -> bool,
    ) -> Result<Renewed, StateError>;
}

/// A source's state, opened.
#[derive(Debug)]
pub struct Opened<S> {
    /// The state.
    pub state: S,
    /// How far reading had come.
    pub progress: Progress,
    /// The key that ids are hashed with.
    pub hash_key: [u8; 16],
    /// All ids from the bucket `recent_from` on, in ascending order.
    pub recent: Vec<Version>,
    /// The bucket that was asked for.
    pub recent_from: Bucket,
    /// What was lost of the state, if something was.
    pub damage: Option<String>,
    /// What else someone should know.
    pub warning: Option<String>,
}

impl<S: State + 'static> Opened<S> {
    /// The same, of whatever kind.
    pub fn boxed(self) -> Opened<Box<dyn State>> {
        let Self { state, progress, hash_key, recent, recent_from, damage, warning } = self;
        let state = Box::new(state);
        Opened { state, progress, hash_key, recent, recent_from, damage, warning }
    }
}

/// A state that has been begun anew.
#[derive(Debug, PartialEq, Eq)]
pub struct Renewed {
    /// What became of the old one.
    pub what: String,
    /// Whether its ids are hashed with the same key. If not, whoever holds ids must begin anew: the
    /// state holds the progress, and none of the ids.
    pub same_key: bool,
    /// Whether the ledger of the past was carried over, all of it.
    pub same_ledger: bool,
}
