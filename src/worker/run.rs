//! The fetch thread's loop: does what the engine says over the shells, and commits what has settled.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::exchange::{Came, Exchange};
use super::seat::Turn;
use super::shared::{Level, Shared};
use super::{Setup, batch};
use crate::api::page::{BodyError, Response};
use crate::api::request::Ticket;
use crate::clock::Clock;
use crate::config::{ConfigError, Plan};
use crate::encode::health;
use crate::handoff::Lot;
use crate::http::{HttpError, Waited};
use crate::model::{EventKey, Fault, Known};
use crate::poll::condition::Condition;
use crate::poll::dedup::Dedup;
use crate::poll::progress::Commit;
use crate::poll::report::{Report, Severity};
use crate::poll::stats::Stats;
use crate::poll::{Engine, Reads, Step};
use crate::state::{Opened, State, StateError, Trouble};

/// The thread looks around at least this often.
const ROUND_MAX: Duration = Duration::from_secs(1);

/// Bytes that may wait for the host before fetching pauses.
const AHEAD_MAX: usize = 4 * 1024 * 1024;

/// Events that may wait for their commit before fetching pauses: as many as a shutdown can commit in
/// the host's grace.
const UNCOMMITTED_MAX: usize = 1 << 19;

/// The same while the state cannot be written: records flow on, but not for ever.
const UNSAVED_MAX: usize = 1 << 21;

/// The same of steps of progress: a paused host may pause for weeks, and polls that find nothing go on.
const MARKS_MAX: usize = 10_000;

/// How long to wait before a commit that failed is tried again.
const COMMIT_AGAIN: Duration = Duration::from_secs(1);

/// A state that was renewed is not renewed again before this: each time may set a file aside.
const RENEW_AGAIN: Duration = Duration::from_secs(60);

/// The thread looks so often whether the state's file is where it was.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// A run that could not begin, or died, is tried again so much later.
pub(super) const REST: Duration = Duration::from_secs(5);

pub(super) struct Run {
    plan: Arc<Plan>,
    shared: Arc<Shared>,
    clock: Clock,
    engine: Engine,
    state: Box<dyn State>,
    exchange: Exchange,
    /// A commit that failed, to be tried again.
    unsaved: Option<Commit>,
    commit_not_before: Duration,
    /// When to look next whether the state is still where it was, and when it may be renewed again.
    look_at: Duration,
    renew_not_before: Duration,
    anew: bool,
    /// Its time as leader, in a fleet.
    turn: Option<Turn>,
}

/// How a run ended, if not by a panic.
pub(super) enum End {
    /// The host stopped it.
    Stopped,
    /// What it had in memory does not fit the state any more: the next begins from there.
    Anew,
}

impl Run {
    /// Prepares a run from the state; in a fleet, for a `turn`.
    pub(super) fn new(
        setup: &Setup,
        opened: Opened<Box<dyn State>>,
        turn: Option<Turn>,
    ) -> Result<Self, ConfigError> {
        let (plan, clock) = (Arc::clone(&setup.plan), setup.clock);
        let now = clock.now();
        let mut dedup = Dedup::new(opened.recent_from).on(plan.dedup_on);
        opened.recent.iter().for_each(|version| dedup.load(*version));
        let exchange = exchange(setup, opened.hash_key)?;
        let seed = fastrand::u64(..);
        let mut engine = Engine::new(Arc::clone(&plan), opened.progress, dedup, seed, now);
        engine.count_on(&setup.shared.stats());
        if setup.came_up || setup.seat.is_some() {
            // That the instance came up is told once; in a fleet, by whoever stands by as well.
            engine.take_reports();
        }
        if let Some(damage) = &opened.damage {
            engine.state_lost(damage, now);
        }
        if let Some(warning) = opened.warning {
            setup.shared.log(Level::Warn, warning);
        }
        Ok(Self {
            shared: Arc::clone(&setup.shared),
            state: opened.state,
            unsaved: None,
            commit_not_before: Duration::ZERO,
            look_at: Duration::ZERO,
            renew_not_before: Duration::ZERO,
            anew: false,
            turn,
            plan,
            clock,
            engine,
            exchange,
        })
    }

    /// Runs until the host stops it, or until the state is one that memory does not fit.
    pub(super) fn run(&mut self) -> End {
        while !self.shared.stopping() {
            self.commit();
            if self.anew || !self.goes_on() {
                self.publish();
                return End::Anew;
            }
            let until = self.step().min(self.next_commit());
            self.publish();
            let now = self.clock.now().mono;
            // An answer stays compressed, and in its place, until there is room for what it holds.
            let may_answer = self.has_room();
            let waited = self.exchange.wait(until.saturating_sub(now).min(ROUND_MAX), may_answer);
            if let Waited::Answered(ticket, answer) = waited {
                self.answered(ticket, answer);
            }
        }
        self.last_commit();
        End::Stopped
    }

    /// Looks whether this node still reads the source, and whether the database that says so answers.
    fn goes_on(&mut self) -> bool {
        let Some(turn) = &mut self.turn else { return true };
        let now = self.clock.now();
        let trouble = turn.trouble();
        if let Some(trouble) = &trouble {
            self.engine.state_failed(Report::state_away(&trouble.error, trouble.mend), now);
        }
        if turn.recovers(trouble.is_some()) {
            // Shows whether it can be written.
            self.unsaved.get_or_insert_with(|| self.engine.commit(&[], Vec::new(), now));
        }
        let owes = self.unsaved.is_some() || self.shared.handoff().in_hands();
        let Some(lending) = turn.look(owes) else { return false };
        self.shared.handoff().lends(lending);
        true
    }

    /// Whether there is no use in asking the state.
    fn is_away(&self) -> bool {
        self.turn.as_ref().is_some_and(|turn| turn.trouble().is_some())
    }

    /// Does what the engine says; returns until when there is nothing else to do.
    fn step(&mut self) -> Duration {
        self.exchange.hold(&mut self.engine);
        while !self.shared.stopping() {
            let now = self.clock.now();
            match self.engine.next(now, self.has_room()) {
                Step::Wait(until) if until > now.mono => return until,
                Step::Wait(_) => {}
                Step::Fetch(fetch) => self.exchange.fetch(&fetch),
                Step::Login => self.exchange.login(&mut self.engine),
            }
        }
        Duration::ZERO
    }

    /// Whether another page may come, and there is room for it.
    fn has_room(&self) -> bool {
        if self.turn.as_ref().is_some_and(|turn| !turn.may_read(self.clock.now())) {
            return false;
        }
        let handoff = self.shared.handoff();
        let (keys, marks) = handoff.unsettled();
        let (unsaved, keys_max) = match &self.unsaved {
            Some(commit) => (commit.keys.len(), UNSAVED_MAX),
            None => (0, UNCOMMITTED_MAX),
        };
        handoff.ready_bytes() < AHEAD_MAX.min(self.plan.tick_bytes)
            && unsaved + keys < keys_max
            && marks < MARKS_MAX
    }

    fn answered(&mut self, ticket: Ticket, answer: Result<Response, HttpError>) {
        let Some(came) = self.exchange.answered(ticket, answer, &mut self.engine) else { return };
        let read = match came.reads {
            Reads::Listing => self.listing(&came),
            _ => self.events(&came),
        };
        self.exchange.done(came, read, &mut self.engine);
    }

    /// Reads a page or a blob, and hands on what of it is new.
    fn events(&mut self, came: &Came) -> Result<(), BodyError> {
        let Came { ticket, reads, response } = came;
        let (ticket, now) = (*ticket, self.clock.now());
        let reader = self.exchange.reader();
        let page = match reads {
            Reads::Blob(made) => reader.blob(response, *made, now.wall)?,
            _ => reader.page(response, now.wall)?,
        };
        let keys = page.events.iter().map(|event| &event.seen.key);
        let Some(known) = self.known(ticket, keys) else { return Ok(()) };
        let poll = self.engine.poll_of(ticket);
        let fresh = self.engine.page(ticket, &page.events, page.next.as_deref(), &known, now);
        let unsure = self.engine.take_unsure();
        if !unsure.is_empty() && !self.is_away() {
            // If it cannot be written, records flow on all the same: after a crash, a change back may go untold.
            let _ = self.state.doubt(&unsure);
        }
        let spare = || self.shared.handoff().spare();
        let form = batch::Form {
            format: &self.plan.format,
            batch_size: self.plan.batch_size,
            provenance: self.plan.provenance,
            source: &self.plan.source,
            came: now.wall,
            poll,
        };
        let (lots, as_text) = batch::encode(&page.events, &fresh, &form, spare);
        if as_text > 0 {
            self.engine.rejected(Fault::NotTranscoded, as_text);
        }
        let marks = self.engine.take_marks();
        let mut handoff = self.shared.handoff();
        lots.into_iter().for_each(|lot| handoff.push(lot));
        handoff.push_marks(marks);
        Ok(())
    }

    /// Reads a page of links to blobs.
    fn listing(&mut self, came: &Came) -> Result<(), BodyError> {
        let Came { ticket, response, .. } = came;
        let (ticket, listing) = (*ticket, self.exchange.reader().listing(response)?);
        let keys = listing.entries.iter().map(|entry| &entry.key);
        let Some(known) = self.known(ticket, keys) else { return Ok(()) };
        let now = self.clock.now();
        self.engine.listing(ticket, &listing.entries, listing.next.as_deref(), &known, now);
        Ok(())
    }

    /// What the state knows of the keys that memory does not. Without an answer, what they came with
    /// is asked for again.
    fn known<'k>(
        &mut self,
        ticket: Ticket,
        keys: impl Iterator<Item = &'k EventKey>,
    ) -> Option<HashMap<EventKey, Known>> {
        let mut known = self.engine.lookups(keys);
        if !known.is_empty() && self.is_away() {
            self.engine.deferred(ticket, self.clock.now());
            return None;
        }
        if !known.is_empty()
            && let Err(error) = self.state.known(&mut known)
        {
            let now = self.clock.now();
            self.state_failed(&error);
            self.engine.deferred(ticket, now);
            return None;
        }
        Some(known)
    }

    /// Commits what has settled.
    fn commit(&mut self) {
        let now = self.clock.now();
        self.shared.handoff().look(now.mono, self.plan.commit_delay);
        if now.mono < self.commit_not_before {
            return;
        }
        if self.unsaved.is_none() {
            let settled = self.shared.handoff().settle(now.mono, self.plan.commit_delay);
            let last = self.turn.as_ref().is_some_and(Turn::finishes) && self.engine.has_counted();
            if !settled.is_empty() || last {
                self.unsaved = Some(self.engine.commit(&settled.marks, settled.keys, now));
            } else if now.mono >= self.look_at {
                self.look_at = now.mono + LOOK_EVERY;
                if let Err(error) = self.state.in_place() {
                    self.state_failed(&error);
                }
            }
        }
        self.save();
    }

    fn save(&mut self) {
        if self.is_away() {
            return;
        }
        let Some(mut commit) = self.unsaved.take() else { return };
        self.engine.doubt(&mut commit);
        let saved = self.state.commit(&commit);
        let now = self.clock.now();
        match saved {
            Ok(ids) => self.engine.committed(commit, ids, now),
            Err(error) => {
                self.unsaved = Some(commit);
                self.commit_not_before = now.mono + COMMIT_AGAIN;
                if self.state_failed(&error) {
                    self.save();
                }
            }
        }
    }

    /// The state could not be read or written: it is renewed if it is lost, else tried again. Returns whether it
    /// can be written now, as far as is known.
    fn state_failed(&mut self, error: &StateError) -> bool {
        let now = self.clock.now();
        if let (StateError::Fenced, Some(turn)) = (error, &self.turn) {
            turn.fenced();
            self.anew = true;
            return false;
        }
        if error.trouble() != Trouble::Lost || now.mono < self.renew_not_before {
            let report = match self.turn {
                Some(_) => Report::state_away(&error.to_string(), error.mend()),
                None => Report::state_failed(&error.to_string()),
            };
            self.engine.state_failed(report, now);
            return false;
        }
        let kept = self.engine.kept(&self.shared.handoff().pending());
        let go_on = || !self.shared.stopping();
        match self.state.renew(&kept, error, now.wall, &go_on) {
            Ok(renewed) => {
                self.engine.state_lost(&renewed.what, now);
                if !renewed.same_ledger {
                    self.engine.ledger_lost();
                }
                self.anew = !renewed.same_key;
                self.renew_not_before = now.mono + RENEW_AGAIN;
                self.commit_not_before = now.mono;
                // Shows whether the new one can be written.
                self.unsaved.get_or_insert_with(|| self.engine.commit(&[], Vec::new(), now));
                renewed.same_key
            }
            Err(again) => {
                self.engine.state_failed(Report::state_failed(&format!("{error}: {again}")), now);
                false
            }
        }
    }

    fn next_commit(&self) -> Duration {
        if self.unsaved.is_some() {
            return self.commit_not_before;
        }
        self.shared.handoff().settles_at(self.plan.commit_delay).unwrap_or(Duration::MAX)
    }

    /// The host is done: commits what it is known to have stored.
    fn last_commit(&mut self) {
        let now = self.clock.now();
        self.shared.handoff().look(now.mono, self.plan.commit_delay);
        self.save();
        if self.unsaved.is_some() {
            return;
        }
        let settled = match self.shared.stored() {
            Some(records) => self.shared.handoff().settle_stored(records),
            None => self.shared.handoff().settle_surely_stored(now.mono),
        };
        if !settled.is_empty() || self.engine.has_counted() {
            self.unsaved = Some(self.engine.commit(&settled.marks, settled.keys, now));
            self.save();
        }
        self.publish();
    }

    /// Shows stats, reports and progress to the other side.
    fn publish(&mut self) {
        let now = self.clock.now();
        let marks = self.engine.take_marks();
        let reads = self.turn.as_ref().is_none_or(|turn| turn.may_read(now));
        for report in self.engine.take_reports() {
            // A heartbeat says that all is read.
            if reads || report.event != "heartbeat" {
                self::report(&self.plan, &self.shared, &report);
            }
        }
        let mut handoff = self.shared.handoff();
        handoff.push_marks(marks);
        let pending = handoff.pending_records();
        drop(handoff);
        let stats = self.engine.stats(now);
        stats.pending_records = pending;
        let mut shown = self.shared.stats();
        if reads {
            shown.clone_from(stats);
        } else {
            // Without a lease, nobody here knows how far the source is read; when it was, stays true.
            *shown = Stats { last_success: stats.last_success, ..stats.standing_by() };
        }
    }

    /// Whether the state has failed, and that was told, but not yet that it works again.
    pub(super) fn state_trouble(&self) -> Condition {
        self.engine.state_trouble()
    }
}

/// Finds out what a run would refuse besides its state.
pub(super) fn check(setup: &Setup) -> Result<(), ConfigError> {
    exchange(setup, [0; 16]).map(|_| ())
}

fn exchange(setup: &Setup, hash_key: [u8; 16]) -> Result<Exchange, ConfigError> {
    Exchange::new(Arc::clone(&setup.plan), setup.clock, hash_key, Arc::clone(&setup.shared.wake))
}

/// Shows a report in the log, and to the SIEM.
pub(super) fn report(plan: &Plan, shared: &Shared, report: &Report) {
    let level = match report.severity {
        _ if report.event == "heartbeat" => Level::Debug,
        Severity::Info => Level::Info,
        Severity::Warning => Level::Warn,
        Severity::Error => Level::Error,
    };
    shared.log(level, format!("{}: {}: {}", plan.source, report.event, report.message));
    if let Some(tag) = plan.health_tag.as_deref() {
        let mut bytes = Vec::new();
        health::health(report, &plan.source, shared.now().wall, &mut bytes);
        let lot = Lot { bytes, tag: Some(Arc::from(tag)), records: 1, ..Lot::default() };
        shared.handoff().push_health(lot);
    }
}

/// A pause before the thread comes back to life, which a stop ends.
/// `alive` is called at least so often.
pub(super) fn rest(shared: &Shared, often: Duration, alive: impl Fn()) {
    let until = shared.now().mono + REST;
    while !shared.stopping()
        && let Some(left) = until.checked_sub(shared.now().mono)
        && wait(shared, left.min(often))
    {
        alive();
    }
}

/// Waits for so long, or until something happens. False if the system lets nobody wait.
pub(super) fn wait(shared: &Shared, at_most: Duration) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let waited = runtime.map(|runtime| {
        runtime.block_on(async {
            let _ = tokio::time::timeout(at_most, shared.wake.notified()).await;
        });
    });
    waited.is_ok()
}
