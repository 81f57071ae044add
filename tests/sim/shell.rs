//! One process: the loop of the fetch thread over the engine, with the same order of calls.

use std::sync::Arc;
use std::time::Duration;

use in_lookback::api::page::{Entry, Event, Failure};
use in_lookback::api::request::Ticket;
use in_lookback::config::Plan;
use in_lookback::config::plan::DedupOn;
use in_lookback::handoff::{Handoff, Lot, Settled};
use in_lookback::model::{Known, Now};
use in_lookback::poll::dedup::Dedup;
use in_lookback::poll::engine::{self, Engine, Reads, Step};
use in_lookback::poll::progress::{Beginning, Commit};
use in_lookback::poll::report::Report;
use in_lookback::poll::tokens::Grant;
use in_lookback::state::memory::MemoryState;
use in_lookback::state::{State, StateError, Trouble};

use crate::api::{Api, Page};
use crate::clock::{Clock, moment, time};
use crate::event::{self, Happening};
use crate::fuse::{Crash, Fuse};
use crate::ledger::Ledger;
use crate::record;

const AHEAD_MAX: usize = 4 * 1024 * 1024;
const COMMIT_AGAIN: Duration = Duration::from_secs(1);
const RENEW_AGAIN: Duration = Duration::from_secs(60);

/// What the process works with, and what outlives it.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) events: std::rc::Rc<[Happening]>,
    pub(crate) clock: Clock,
    pub(crate) api: Api,
    pub(crate) state: MemoryState,
    pub(crate) ledger: Ledger,
    pub(crate) fuse: Fuse,
    /// Whether the state refuses what the process writes, since another node has the source.
    pub(crate) fenced: bool,
}

impl World {
    /// The state, for one who writes.
    fn writes(&mut self) -> Result<&mut MemoryState, StateError> {
        if self.fenced { Err(StateError::Fenced) } else { Ok(&mut self.state) }
    }

    /// What the state does not hold any more may come again.
    fn note_loss(&mut self) {
        let Self { events, state, ledger, .. } = self;
        let holds = |index| state.holds(&event::shown(index, &events[index]).seen.key);
        ledger.renewed(|index| holds(index) != Known::No);
    }
}

/// What is under way.
#[derive(Debug)]
enum Answer {
    Page(Ticket, Reads, Result<Page, Failure>),
    Token(Result<Grant, Failure>),
}

pub(crate) struct Shell {
    plan: Arc<Plan>,
    engine: Engine,
    pub(crate) handoff: Handoff,
    /// The answers on their way, and when they will be here.
    under_way: Vec<(Duration, Answer)>,
    unsaved: Option<Commit>,
    commit_not_before: Duration,
    renew_not_before: Duration,
    /// Whether it may ask for records.
    pub(crate) reads: bool,
    /// Whether it has found that another node has the source.
    pub(crate) fenced: bool,
    /// Every report but the heartbeats.
    pub(crate) reports: Vec<Report>,
}

impl Shell {
    pub(crate) fn start(plan: &Arc<Plan>, world: &mut World, seed: u64) -> Self {
        let now = world.clock.now();
        let begin = |beginning: &Beginning| engine::begin(&plan.schedule, beginning, now);
        let (progress, beginning) = world.state.open(begin).expect("a state that can be opened");
        if let Some(Beginning::Lost(loss)) = beginning {
            world.note_loss();
            if loss.progress.is_none() {
                let back_to = time(progress.origin);
                world.ledger.forgotten(&world.events, world.clock.time, back_to);
            }
        }
        let horizon = engine::horizon(&plan.schedule, now.wall);
        let mut dedup = Dedup::new(horizon).on(plan.dedup_on);
        let loaded = world.state.recent(horizon, &mut |version| dedup.load(version));
        loaded.expect("a process begins with a state that can be read");
        Self {
            engine: Engine::new(Arc::clone(plan), progress, dedup, seed, now),
            plan: Arc::clone(plan),
            handoff: Handoff::default(),
            under_way: Vec::new(),
            unsaved: None,
            commit_not_before: Duration::ZERO,
            renew_not_before: Duration::ZERO,
            reads: true,
            fenced: false,
            reports: Vec::new(),
        }
    }

    /// One round of the loop. Returns when, by true time, there is something to do again.
    pub(crate) fn turn(&mut self, world: &mut World) -> Result<Duration, Crash> {
        let arrived = |(at, _): &(Duration, Answer)| *at <= world.clock.time;
        if self.reads
            && let Some(first) = self.under_way.iter().position(arrived)
        {
            let (_, answer) = self.under_way.remove(first);
            self.answered(answer, world)?;
        }
        self.commit(world)?;
        let mut until = world.clock.at(self.next_commit()).min(self.step(world)?);
        if self.reads
            && let Some(at) = self.under_way.iter().map(|(at, _)| *at).min()
        {
            until = until.min(at);
        }
        self.publish(world)?;
        Ok(until)
    }

    fn step(&mut self, world: &mut World) -> Result<Duration, Crash> {
        loop {
            let now = world.clock.now();
            let time = world.clock.time;
            let room = self.handoff.ready_bytes() < AHEAD_MAX.min(self.plan.tick_bytes);
            let step = self.engine.next(now, room && self.reads);
            world.fuse.step()?;
            let answer = match step {
                Step::Wait(until) if until > now.mono => return Ok(world.clock.at(until)),
                Step::Wait(_) => continue,
                Step::Fetch(fetch) => {
                    let answer = world.api.answer(&fetch.spec, time);
                    Answer::Page(fetch.ticket, fetch.reads, answer)
                }
                Step::Login => Answer::Token(world.api.login(time)),
            };
            let arrives = time + world.api.delay(time);
            self.under_way.push((arrives, answer));
        }
    }

    fn answered(&mut self, answer: Answer, world: &mut World) -> Result<(), Crash> {
        let now = world.clock.now();
        match answer {
            Answer::Token(grant) => self.engine.logged_in(grant, now),
            Answer::Page(ticket, reads, answer) => {
                world.api.told(&answer, world.clock.time);
                match (answer, reads) {
                    (Err(failure), _) => self.engine.failed(ticket, &failure, now),
                    (Ok(page), Reads::Listing) => self.list(ticket, &page, world, now),
                    (Ok(page), _) => self.read(ticket, &page, world, now)?,
                }
            }
        }
        world.fuse.step()
    }

    fn list(&mut self, ticket: Ticket, page: &Page, world: &mut World, now: Now) {
        let entry = |number: &usize| {
            let made = world.api.blobs[*number].made;
            let key = event::blob_key(*number, made);
            Entry { key, link: format!("/blob?n={number}").into(), made: moment(made) }
        };
        let entries: Vec<Entry<'_>> = page.events.iter().map(entry).collect();
        let mut known = self.engine.lookups(entries.iter().map(|entry| &entry.key));
        match world.state.known(&mut known) {
            Ok(()) => self.engine.listing(ticket, &entries, page.next.as_deref(), &known, now),
            Err(error) => {
                self.state_failed(&error, world);
                self.engine.deferred(ticket, now);
            }
        }
    }

    fn read(
        &mut self,
        ticket: Ticket,
        page: &Page,
        world: &mut World,
        now: Now,
    ) -> Result<(), Crash> {
        let happenings = std::rc::Rc::clone(&world.events);
        let says = |index: &usize| happenings[*index].says(page.says_as_of);
        let shown = |index: &usize| {
            let mut event = event::shown(*index, &happenings[*index]);
            if self.plan.dedup_on == DedupOn::Content {
                event.seen.content = says(index).content();
            }
            event
        };
        let events: Vec<Event<'_>> = page.events.iter().map(shown).collect();
        let mut known = self.engine.lookups(events.iter().map(|event| &event.seen.key));
        if !known.is_empty()
            && let Err(error) = world.state.known(&mut known)
        {
            self.state_failed(&error, world);
            self.engine.deferred(ticket, now);
            return Ok(());
        }
        let fresh = self.engine.page(ticket, &events, page.next.as_deref(), &known, now);
        page.events.iter().for_each(|index| world.ledger.shown(*index, says(index)));
        let unsure = self.engine.take_unsure();
        if !unsure.is_empty() && world.writes().and_then(|state| state.doubt(&unsure)).is_err() {
            world.ledger.not_doubted(&unsure);
        }
        world.fuse.step()?;
        let marks = self.engine.take_marks();
        let most = (self.plan.batch_size / record::BYTES).max(1);
        for part in fresh.chunks(most) {
            let mut lot = Lot { bytes: self.handoff.spare(), ..Lot::default() };
            for index in part {
                let happening = &page.events[*index];
                record::encode(*happening, says(happening), &mut lot.bytes);
                lot.records += 1;
                lot.keys.push(events[*index].seen.version());
            }
            self.handoff.push(lot);
        }
        self.handoff.push_marks(marks);
        Ok(())
    }

    fn commit(&mut self, world: &mut World) -> Result<(), Crash> {
        let now = world.clock.now();
        self.handoff.look(now.mono, self.plan.commit_delay);
        if now.mono < self.commit_not_before {
            return Ok(());
        }
        if self.unsaved.is_none() {
            let settled = self.handoff.settle(now.mono, self.plan.commit_delay);
            self.prepare(settled, now);
        }
        self.save(world)
    }

    fn prepare(&mut self, settled: Settled, now: Now) {
        if !settled.is_empty() {
            self.unsaved = Some(self.engine.commit(&settled.marks, settled.keys, now));
        }
    }

    fn save(&mut self, world: &mut World) -> Result<(), Crash> {
        let Some(mut commit) = self.unsaved.take() else { return Ok(()) };
        self.engine.doubt(&mut commit);
        world.fuse.step()?;
        let saved = world.writes().and_then(|state| state.commit(&commit));
        let now = world.clock.now();
        match saved {
            Ok(ids) => {
                world.ledger.committed(&commit.keys);
                world.ledger.claimed(&commit, &world.events);
                world.fuse.step()?;
                self.engine.committed(commit, ids, now);
            }
            Err(error) => {
                self.unsaved = Some(commit);
                self.commit_not_before = now.mono + COMMIT_AGAIN;
                self.state_failed(&error, world);
            }
        }
        Ok(())
    }

    fn state_failed(&mut self, error: &StateError, world: &mut World) {
        let now = world.clock.now();
        self.fenced |= matches!(error, StateError::Fenced);
        if error.trouble() != Trouble::Lost || now.mono < self.renew_not_before {
            return self.engine.state_failed(Report::state_failed(&error.to_string()), now);
        }
        let kept = self.engine.kept(&self.handoff.pending());
        match world.state.renew(&kept, error, now.wall, &|| true) {
            Ok(renewed) => {
                self.engine.state_lost(&renewed.what, now);
                assert!(renewed.same_ledger);
                self.renew_not_before = now.mono + RENEW_AGAIN;
                self.commit_not_before = now.mono;
                self.unsaved.get_or_insert_with(|| self.engine.commit(&[], Vec::new(), now));
                world.note_loss();
            }
            Err(again) => self.engine.state_failed(Report::state_failed(&again.to_string()), now),
        }
    }

    /// Whether the host has records that are not committed.
    pub(crate) fn owes(&self) -> bool {
        self.unsaved.is_some() || self.handoff.in_hands()
    }

    fn next_commit(&self) -> Duration {
        if self.unsaved.is_some() {
            return self.commit_not_before;
        }
        self.handoff.settles_at(self.plan.commit_delay).unwrap_or(Duration::MAX)
    }

    /// The end of a clean stop. `stored` is what the host says to have stored, if it does.
    /// Returns whether all of that is committed now.
    pub(crate) fn last_commit(
        &mut self,
        stored: Option<u64>,
        world: &mut World,
    ) -> Result<bool, Crash> {
        let now = world.clock.now();
        self.handoff.look(now.mono, self.plan.commit_delay);
        self.save(world)?;
        if self.unsaved.is_some() {
            return Ok(false);
        }
        let settled = match stored {
            Some(records) => self.handoff.settle_stored(records),
            None => self.handoff.settle_surely_stored(now.mono),
        };
        if !settled.is_empty() || self.engine.has_counted() {
            self.unsaved = Some(self.engine.commit(&settled.marks, settled.keys, now));
        }
        self.save(world)?;
        Ok(self.unsaved.is_none() && stored.is_some())
    }

    fn publish(&mut self, world: &mut World) -> Result<(), Crash> {
        let marks = self.engine.take_marks();
        for report in self.engine.take_reports() {
            let tag = Some(Arc::from("health"));
            self.handoff.push_health(Lot { bytes: vec![0], tag, records: 1, ..Lot::default() });
            if report.event != "heartbeat" {
                self.reports.push(report);
            }
        }
        if marks.is_empty() {
            return Ok(());
        }
        self.handoff.push_marks(marks);
        world.fuse.step()
    }
}
