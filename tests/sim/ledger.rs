//! The oracle: who was stored how often, and how often each may have been.

use std::collections::BTreeMap;
use std::time::Duration;

use in_lookback::config::Plan;
use in_lookback::model::EventKey;
use in_lookback::poll::Progress;
use in_lookback::poll::ledger::{self, Hour, Read};

use crate::clock::{SECOND, moment, time};
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
    /// For so long an event that has happened can show up and still be seen by a live poll.
    live_for: Duration,
    /// Whether the clock is right: else nobody can say what was shown when it said so.
    clock_is_right: bool,
    /// Commits of events, by the hour in which they happened.
    commits: BTreeMap<Hour, u64>,
    /// Events by the hour that they are selected by.
    by_hour: BTreeMap<Hour, Vec<usize>>,
    /// Hours that were said to be read completely.
    claims: usize,
}

impl Ledger {
    pub(crate) fn new(events: &[Happening], plan: &Plan, clock_is_right: bool) -> Self {
        let mut by_hour = BTreeMap::<Hour, Vec<usize>>::new();
        for (index, event) in events.iter().enumerate() {
            by_hour.entry(Hour::of(moment(event.selected))).or_default().push(index);
        }
        Self {
            entries: vec![Entry::default(); events.len()],
            by_hour,
            commit_delay: plan.commit_delay,
            live_for: plan.schedule.window - plan.schedule.interval,
            clock_is_right,
            ..Self::default()
        }
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
        for key in keys.iter().filter(|key| event::index(key).is_some()) {
            *self.commits.entry(Hour::of_bucket(key.bucket)).or_default() += 1;
        }
        let entries = &self.entries;
        self.open.retain(|(index, _)| !entries[*index].committed);
    }

    /// A commit says that hours have been read completely: then what the API showed of them has been stored. Live polls
    /// have read an hour piece by piece, a window long; a sweep all of it, later.
    pub(crate) fn claimed(&mut self, claims: &ledger::Ledger, events: &[Happening]) {
        for (hour, row) in claims.rows() {
            for Read { at, by } in row.first.into_iter().chain(row.last) {
                self.claims += 1;
                if !self.clock_is_right {
                    continue;
                }
                for index in self.by_hour.get(&hour).into_iter().flatten().copied() {
                    let event = &events[index];
                    let live = event.selected + self.live_for;
                    let shown_by = if by == "sweep" { time(at) } else { live.min(time(at)) };
                    let entry = &self.entries[index];
                    assert!(
                        event.visible > shown_by || entry.stored > 0 || entry.forgotten,
                        "event {index}, {event:?}, was not stored when its hour was said to be read, at {:?} by {by}",
                        time(at)
                    );
                }
            }
        }
    }

    /// Checks what the state's ledger has come to: all that was committed, once, and every hour read that was to be.
    pub(crate) fn check_books(&self, books: &ledger::Ledger, progress: &Progress) {
        let records = books.rows().map(|(hour, row)| (hour, row.counts.records));
        let records: BTreeMap<Hour, u64> = records.filter(|(_, records)| *records > 0).collect();
        assert_eq!(records, self.commits);
        if !self.clock_is_right {
            return;
        }
        assert!(self.claims > 20, "{} claims", self.claims);
        let rows: BTreeMap<Hour, &ledger::Row> = books.rows().collect();
        let from = Hour::first_from(progress.origin.max(progress.ledger_from.expect("a ledger")));
        let until = progress.live_until.expect("a live poll");
        for hour in (0..).map(|nth| from.plus(nth)).take_while(|hour| hour.end() <= until) {
            let is_gap = progress.gaps.iter().any(|gap| hour.touches(gap));
            let read = rows.get(&hour).and_then(|row| row.first);
            assert!(read.is_some() || is_gap, "{} was never read completely", hour.start());
        }
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
