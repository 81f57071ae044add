//! What the plugin did that the interface does not allow.

use std::sync::{Mutex, PoisonError};

/// Calls that named no living instance or metric, so that no host can be told.
static STRAY: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// One host's list of breaches, each a sentence.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    breaches: Mutex<Vec<String>>,
}

impl Journal {
    pub(crate) fn add(&self, breach: impl Into<String>) {
        lock(&self.breaches).push(breach.into());
    }

    pub(crate) fn list(&self) -> Vec<String> {
        lock(&self.breaches).clone()
    }
}

pub(crate) fn add_stray(call: &str) {
    lock(&STRAY).push(format!("{call} was called with a handle that is not alive"));
}

/// Takes the list of calls with dead handles, of all hosts in this process.
pub(crate) fn stray_calls() -> Vec<String> {
    std::mem::take(&mut *lock(&STRAY))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
