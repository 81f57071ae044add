//! What the plugin did that the interface does not allow.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, ThreadId};

/// Breaches that name no living instance or metric, so that no host can be told.
static STRAY: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// One host's list of breaches, each a sentence, and each once.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    breaches: Mutex<Vec<String>>,
}

impl Journal {
    pub(crate) fn add(&self, breach: impl Into<String>) {
        add_new(&mut lock(&self.breaches), breach.into());
    }

    pub(crate) fn list(&self) -> Vec<String> {
        lock(&self.breaches).clone()
    }
}

/// The thread an instance belongs to: what is not safe to use elsewhere is to be used only there.
#[derive(Debug, Default)]
pub(crate) struct Owner {
    thread: OnceLock<ThreadId>,
    journal: Arc<Journal>,
}

impl Owner {
    pub(super) fn new(journal: Arc<Journal>) -> Self {
        Self { thread: OnceLock::new(), journal }
    }

    /// From now on, this thread is the owner.
    pub(super) fn adopt(&self) {
        let _ = self.thread.set(thread::current().id());
    }

    pub(super) fn check(&self, call: &str) {
        if self.thread.get().is_some_and(|own| *own != thread::current().id()) {
            self.journal.add(format!("{call} was called off the instance's thread"));
        }
    }
}

/// A call with a dead handle.
pub(crate) fn add_stray(call: &str) {
    let breach = format!("{call} was called with a handle that is not alive");
    add_new(&mut lock(&STRAY), breach);
}

/// A breach that no instance can be told apart for.
pub(crate) fn add_unplaced(breach: &str) {
    add_new(&mut lock(&STRAY), breach.to_owned());
}

fn add_new(breaches: &mut Vec<String>, breach: String) {
    if !breaches.contains(&breach) {
        breaches.push(breach);
    }
}

/// Takes the list of breaches that no host could be told: dead handles, log formats.
pub(crate) fn stray_calls() -> Vec<String> {
    std::mem::take(&mut *lock(&STRAY))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
