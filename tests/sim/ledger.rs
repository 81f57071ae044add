//! The oracle: who was stored how often, and how often each may have been.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use in_lookback::config::Plan;
use in_lookback::model::{Content, EventKey, Version};
use in_lookback::poll::Progress;
use in_lookback::poll::ledger::{self, Hour, Read};
use in_lookback::poll::progress::Commit;

use crate::clock::{SECOND, moment, time};
use crate::event::{self, Happening, Says};

/// Commits run on a grain of a second.
const GRAIN: Duration = SECOND;

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    stored: u32,
    /// What it said when it was shown last, and when it was stored last.
    shown: Option<Says>,
    last: Option<Says>,
    /// All that it ever said when it was shown, and when it was stored: a bit each.
    ever_shown: u8,
    ever_stored: u8,
    /// How often it was shown saying something else than the time before.
    changes: u32,
    /// How many crashes came between its being stored and its being committed, and how often the state lost
    /// it.
    excused: u32,
    /// Whether the state could not be told of a change before it was handed over: if the process dies before that
    /// is committed, and the event returns to what it said before, nobody can know.
    may_have_returned: bool,
    committed: bool,
    /// How often it was committed.
    commits: u32,
    /// Whether nobody can know any more that it was still to be read.
    forgotten: bool,
}

/// Stored, not committed.
#[derive(Clone, Copy, Debug)]
struct Open {
    says: Says,
    /// When the host took it.
    taken: Duration,
    /// The node that it was stored by.
    by: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    entries: Vec<Entry>,
    open: HashMap<usize, Vec<Open>>,
    /// The node that acts.
    pub(crate) node: usize,
    /// When another node last took over from each: what it took until then may come once more.
    replaced: HashMap<usize, Duration>,
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
        let narrowest = plan.schedule.auto.map_or(plan.schedule.window, |bounds| bounds.least);
        Self {
            entries: vec![Entry::default(); events.len()],
            by_hour,
            commit_delay: plan.commit_delay,
            live_for: narrowest - plan.schedule.interval,
            clock_is_right,
            ..Self::default()
        }
    }

    /// The collector was shown an event.
    pub(crate) fn shown(&mut self, index: usize, says: Says) {
        let before = self.entries[index].shown.replace(says);
        self.entries[index].ever_shown |= 1 << says.0;
        self.entries[index].changes += u32::from(before.is_some_and(|before| before != says));
    }

    /// The state could not be told that these have changed.
    pub(crate) fn not_doubted(&mut self, keys: &[EventKey]) {
        for index in keys.iter().filter_map(event::index) {
            self.entries[index].may_have_returned = true;
        }
    }

    /// The host stored an event that it had taken at a moment.
    pub(crate) fn stored(&mut self, index: usize, says: Says, taken: Duration) {
        self.entries[index].stored += 1;
        self.entries[index].last = Some(says);
        self.entries[index].ever_stored |= 1 << says.0;
        if self.replaced.get(&self.node).is_some_and(|at| taken <= *at) {
            self.entries[index].excused += 1;
            return;
        }
        self.open.entry(index).or_default().push(Open { says, taken, by: self.node });
    }

    /// The state holds these for good.
    pub(crate) fn committed(&mut self, versions: &[Version]) {
        for version in versions {
            let Some(index) = event::index(&version.key()) else { continue };
            let open = self.open.get_mut(&index).map(|open| {
                // In the order in which they were handed over.
                let first = open.iter().position(|it| it.by == self.node);
                first.map(|first| open.remove(first))
            });
            let stored = open.flatten().expect("committed an event that the host had not stored");
            let told = version.content.filter(|content| *content != Content::UNSURE);
            assert!(told.is_none_or(|told| Some(told) == stored.says.content()), "event {index}");
            if self.open.get(&index).is_some_and(Vec::is_empty) {
                self.open.remove(&index);
            }
            self.entries[index].committed = true;
            self.entries[index].commits += 1;
        }
        for version in versions.iter().filter(|version| event::index(&version.key()).is_some()) {
            *self.commits.entry(Hour::of_bucket(version.bucket)).or_default() += 1;
        }
    }

    /// A commit says that hours have been read completely: then what the API showed of them has been stored. Live polls
    /// have read an hour piece by piece, a window long, up to the last of them; a sweep all of it, later.
    pub(crate) fn claimed(&mut self, commit: &Commit, events: &[Happening]) {
        let polled = commit.progress.live_until.map_or(Duration::ZERO, time);
        for (hour, row) in commit.ledger.rows() {
            for Read { at, by } in row.first.into_iter().chain(row.last) {
                self.claims += 1;
                if !self.clock_is_right {
                    continue;
                }
                for index in self.by_hour.get(&hour).into_iter().flatten().copied() {
                    let event = &events[index];
                    let live = polled.min(event.selected + self.live_for);
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
        assert!(self.claims > 5, "{} claims", self.claims);
        let rows: BTreeMap<Hour, &ledger::Row> = books.rows().collect();
        let from = Hour::first_from(progress.origin.max(progress.ledger_from.expect("a ledger")));
        let until = progress.live_until.expect("a live poll");
        for hour in (0..).map(|nth| from.plus(nth)).take_while(|hour| hour.end() <= until) {
            let is_gap = progress.gaps.iter().any(|gap| hour.touches(gap));
            let row = rows.get(&hour).copied().copied().unwrap_or_default();
            assert!(row.first.is_some() || is_gap, "{} was never read completely", hour.start());
            let since = row.last.zip(row.gap).is_none_or(|(last, gap)| gap <= last.at);
            assert!(since || is_gap, "{} was read since and stays a gap: {row:?}", hour.start());
        }
    }

    /// The process is gone: what is stored and not committed may come once more. If commits were
    /// `free` to happen, that must not be more than the last of it.
    pub(crate) fn crashed(&mut self, now: Duration, free: bool) {
        for (index, stored) in &mut self.open {
            for Open { taken, .. } in stored.extract_if(.., |it| it.by == self.node) {
                let waited = now.saturating_sub(taken.max(self.free_since));
                assert!(
                    !free || waited <= self.commit_delay + GRAIN,
                    "event {index} was handed over {waited:?} before the crash, and not committed"
                );
                self.entries[*index].excused += 1;
            }
        }
        self.open.retain(|_, open| !open.is_empty());
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
        let open = self.open.values().flatten().filter(|it| it.by == self.node).count();
        assert!(open == 0, "{open} stored events were not committed");
    }

    /// Another node has taken over from the one that acts, or this one begins anew: what its host took until now and is
    /// not committed may come once more.
    pub(crate) fn replaced(&mut self, now: Duration) {
        self.crashed(now, false);
        self.replaced.insert(self.node, now);
    }

    /// Checks that no event was committed twice.
    pub(crate) fn check_commits(&self) {
        for (index, entry) in self.entries.iter().enumerate() {
            assert!(entry.commits <= 1, "event {index} was committed {} times", entry.commits);
        }
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
                entry.stored <= 1 + entry.changes + entry.excused,
                "duplicate: event {index}, {happening:?}, came {} times, {} changes, {} excused",
                entry.stored,
                entry.changes,
                entry.excused
            );
        }
    }

    /// Checks that each event was stored in every version in which it was shown; `required` says of which events.
    pub(crate) fn check_each(&self, events: &[Happening], required: impl Fn(&Happening) -> bool) {
        for (index, (entry, event)) in self.entries.iter().zip(events).enumerate() {
            assert!(
                entry.ever_shown & !entry.ever_stored == 0 || entry.forgotten || !required(event),
                "a version is missing: event {index}, {event:?}, {entry:?}"
            );
        }
    }

    /// Checks that what was stored last of each event is what it says in the end; `required` says of which.
    pub(crate) fn check_last(&self, events: &[Happening], required: impl Fn(&Happening) -> bool) {
        for (index, (entry, event)) in self.entries.iter().zip(events).enumerate() {
            let says = event.says(Duration::MAX - SECOND);
            let has_returned = says == event.says(Duration::ZERO);
            assert!(
                entry.last == Some(says)
                    || (entry.may_have_returned && has_returned)
                    || entry.forgotten
                    || !required(event),
                "a change is missing: event {index}, {event:?}, says {says:?}, {entry:?}"
            );
        }
    }
}
