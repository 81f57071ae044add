//! The oracle: who was stored how often, and how often each may have been.

use std::time::Duration;

use in_lookback::model::EventKey;

use crate::clock::SECOND;
use crate::event::{self, Happening};

/// Commits run on a grain of a second.
const GRAIN: Duration = SECOND;

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    stored: u32,
    /// How many crashes came between its being stored and its being committed, and how often the state lost
    /// it.
    excused: u32,
    committed: bool,
    /// Whether nobody can know any more that it was still to be read.
    forgotten: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    entries: Vec<Entry>,
    /// Stored, not committed: who, and when the host took it.
    open: Vec<(usize, Duration)>,
    /// Since when nothing has stood in the way of a commit: no pause, no broken state.
    pub(crate) free_since: Duration,
    commit_delay: Duration,
}

impl Ledger {
    pub(crate) fn new(events: usize, commit_delay: Duration) -> Self {
        Self { entries: vec![Entry::default(); events], commit_delay, ..Self::default() }
    }

    /// The host stored an event that it had taken at a moment.
    pub(crate) fn stored(&mut self, index: usize, taken: Duration) {
        self.entries[index].stored += 1;
        self.open.push((index, taken));
    }

    /// The state holds these for good.
    pub(crate) fn committed(&mut self, keys: &[EventKey]) {
        for index in keys.iter().filter_map(event::index) {
            let entry = &mut self.entries[index];
            assert!(entry.stored > 0, "committed an event that the host had not stored");
            entry.committed = true;
        }
        let entries = &self.entries;
        self.open.retain(|(index, _)| !entries[*index].committed);
    }

    /// The process is gone: what is stored and not committed may come once more. If commits were
    /// `free` to happen, that must not be more than the last of it.
    pub(crate) fn crashed(&mut self, now: Duration, free: bool) {
        for (index, taken) in self.open.drain(..) {
            let waited = now.saturating_sub(taken.max(self.free_since));
            assert!(
                !free || waited <= self.commit_delay + GRAIN,
                "event {index} was handed over {waited:?} before the crash, and not committed"
            );
            self.entries[index].excused += 1;
        }
    }

    /// The state has been begun anew, and holds these: what else it held may come once more.
    pub(crate) fn renewed(&mut self, holds: impl Fn(usize) -> bool) {
        for (index, entry) in self.entries.iter_mut().enumerate() {
            if entry.committed && !holds(index) {
                entry.committed = false;
                entry.excused += 1;
            }
        }
    }

    /// The progress is lost with all that it knew: what was shown before, and lies further back than anything
    /// is read from now on, nobody will miss.
    pub(crate) fn forgotten(&mut self, events: &[Happening], now: Duration, back_to: Duration) {
        for (entry, event) in self.entries.iter_mut().zip(events) {
            entry.forgotten |= event.visible <= now && event.selected < back_to;
        }
    }

    /// The process has ended cleanly: everything that is stored is committed.
    pub(crate) fn stopped(&mut self) {
        assert!(self.open.is_empty(), "{} stored events were not committed", self.open.len());
    }

    /// Events that were stored.
    pub(crate) fn unique(&self) -> usize {
        self.entries.iter().filter(|entry| entry.stored > 0).count()
    }

    /// Checks the promises; `required` says which events must have come.
    pub(crate) fn check(&self, events: &[Happening], required: impl Fn(&Happening) -> bool) {
        for (index, (entry, happening)) in self.entries.iter().zip(events).enumerate() {
            assert!(
                entry.stored > 0 || entry.forgotten || !required(happening),
                "gap: event {index}, {happening:?}, late by {:?}",
                happening.late_by()
            );
            assert!(
                entry.stored <= 1 + entry.excused,
                "duplicate: event {index}, {happening:?}, came {} times, {} excused",
                entry.stored,
                entry.excused
            );
        }
    }
}
