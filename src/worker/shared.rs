//! What the fetch thread and the host's thread share. Locks are held for moments, never over I/O.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::clock::Clock;
use crate::handoff::Handoff;
use crate::model::Now;
use crate::poll::stats::Stats;

/// Log lines that wait for the host at most; the oldest go.
const LOG_LINES_MAX: usize = 1_000;

/// How loud a log line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Records do not flow.
    Error,
    /// Someone should look.
    Warn,
    /// Worth knowing.
    Info,
    /// For finding faults.
    Debug,
}

/// Shared by the two threads of an instance.
pub(super) struct Shared {
    handoff: Mutex<Handoff>,
    stats: Mutex<Stats>,
    logs: Mutex<VecDeque<(Level, String)>>,
    clock: Clock,
    /// Wakes the fetch thread.
    pub(super) wake: Arc<Notify>,
    /// Whether the host has ever called back: one that does not takes no records.
    called: AtomicBool,
    /// Set when the fetch thread is to end.
    pub(super) stop: AtomicBool,
    /// How many records the host has stored in all; `u64::MAX` if that is not known.
    pub(super) stored: AtomicU64,
}

impl Shared {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            handoff: Mutex::default(),
            stats: Mutex::default(),
            logs: Mutex::default(),
            clock,
            wake: Arc::new(Notify::new()),
            called: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            stored: AtomicU64::new(u64::MAX),
        }
    }

    pub(super) fn handoff(&self) -> MutexGuard<'_, Handoff> {
        self.handoff.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn stats(&self) -> MutexGuard<'_, Stats> {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn log(&self, level: Level, text: String) {
        let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        if logs.len() == LOG_LINES_MAX {
            logs.pop_front();
        }
        logs.push_back((level, text));
    }

    pub(super) fn take_logs(&self) -> Vec<(Level, String)> {
        let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        logs.drain(..).collect()
    }

    pub(super) fn now(&self) -> Now {
        self.clock.now()
    }

    /// The host calls back.
    pub(super) fn call(&self) {
        if !self.called.swap(true, Ordering::AcqRel) {
            self.wake.notify_one();
        }
    }

    pub(super) fn was_called(&self) -> bool {
        self.called.load(Ordering::Acquire)
    }

    pub(super) fn stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// How many records the host has stored in all, if that is known.
    pub(super) fn stored(&self) -> Option<u64> {
        Some(self.stored.load(Ordering::Acquire)).filter(|stored| *stored != u64::MAX)
    }
}
