//! What survives a restart: ids and progress. Stores and finds; decides nothing.

pub mod lock;
pub mod memory;
pub mod sqlite;

use std::collections::HashMap;

use crate::model::{Bucket, EventKey};
use crate::poll::progress::{Commit, Progress};

/// Why the state could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// SQLite's own word for it.
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The file or its directory.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// Written by a version that this one does not know.
    #[error("its format is version {found}, this version of lookback knows up to {known}")]
    Newer {
        /// In the file.
        found: i64,
        /// The newest that is known here.
        known: i64,
    },
    /// What is stored for the source makes no sense.
    #[error("the stored progress is damaged: {0}")]
    Progress(#[from] serde_json::Error),
    /// Another instance has the source.
    #[error("another running instance has the source '{0}'")]
    Taken(String),
}

/// The state of one source.
pub trait State: Send {
    /// Answers which of the keys are stored, by setting their values.
    ///
    /// # Errors
    /// If the state cannot be read.
    fn known(&mut self, keys: &mut HashMap<EventKey, bool>) -> Result<(), StateError>;

    /// Stores keys and progress, all or nothing, for good. Returns how many ids the source has now.
    ///
    /// # Errors
    /// If the state cannot be written; then nothing of it is.
    fn commit(&mut self, commit: &Commit) -> Result<u64, StateError>;

    /// Shows all ids from a bucket on, in ascending order.
    ///
    /// # Errors
    /// If the state cannot be read.
    fn recent(&mut self, from: Bucket, show: &mut dyn FnMut(EventKey)) -> Result<(), StateError>;
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
    /// What was wrong with the file, if it had to be set aside.
    pub damage: Option<String>,
}
