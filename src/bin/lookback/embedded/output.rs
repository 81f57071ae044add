//! Where the engine delivers to.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::record::Record;

/// A destination. What fails is kept and tried again at the next fetch.
pub(crate) trait Output: Send {
    /// May hold the record back until the next flush; an error is for this record not taken.
    fn write(&mut self, record: &Record) -> io::Result<()>;

    /// Called after every fetch, and at the end. Until it works, the host is not drained.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Keeps all it gets, for tests: clone it, give one to the host, read the other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Collector {
    records: Arc<Mutex<Vec<Record>>>,
}

impl Collector {
    pub(crate) fn records(&self) -> Vec<Record> {
        self.lock().clone()
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// The records under `tag`.
    pub(crate) fn tagged(&self, tag: &str) -> Vec<Record> {
        self.lock().iter().filter(|record| record.tag == tag).cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Record>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Output for Collector {
    fn write(&mut self, record: &Record) -> io::Result<()> {
        self.lock().push(record.clone());
        Ok(())
    }
}
