//! One process: the loop of the fetch thread over the engine, with the same order of calls.

use std::sync::Arc;
use std::time::Duration;

use in_lookback::api::page::{Event, Failure};
use in_lookback::config::Plan;
use in_lookback::handoff::{Handoff, Lot, Settled};
use in_lookback::model::Now;
use in_lookback::poll::dedup::Dedup;
use in_lookback::poll::engine::{self, Engine, Step};
use in_lookback::poll::progress::Commit;
use in_lookback::poll::report::Report;
use in_lookback::poll::tokens::Grant;
use in_lookback::state::State;
use in_lookback::state::memory::MemoryState;

use crate::api::{Api, Page};
use crate::clock::Clock;
use crate::event::{self, Happening};
use crate::fuse::{Crash, Fuse};
use crate::ledger::Ledger;
use crate::record;

const AHEAD_MAX: usize = 8 * 1024 * 1024;
const COMMIT_AGAIN: Duration = Duration::from_secs(1);

/// What the process works with, and what outlives it.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) events: std::rc::Rc<[Happening]>,
    pub(crate) clock: Clock,
    pub(crate) api: Api,
    pub(crate) state: MemoryState,
    pub(crate) ledger: Ledger,
    pub(crate) fuse: Fuse,
}

/// What is under way.
#[derive(Debug)]
enum Answer {
    Page(Result<Page, Failure>),
    Token(Result<Grant, Failure>),
}

pub(crate) struct Shell {
    plan: Arc<Plan>,
    engine: Engine,
    pub(crate) handoff: Handoff,
    /// The answer on its way, and when it will be here.
    under_way: Option<(Duration, Answer)>,
    unsaved: Option<Commit>,
    commit_not_before: Duration,
    /// Every report but the heartbeats.
    pub(crate) reports: Vec<Report>,
}

impl Shell {
    pub(crate) fn start(plan: &Arc<Plan>, world: &mut World, seed: u64) -> Self {
        let now = world.clock.now();
        let first = || engine::first_progress(&plan.schedule, now);
        let progress = world.state.progress.get_or_insert_with(first).clone();
        let horizon = engine::horizon(&plan.schedule, now.wall);
        let mut dedup = Dedup::new(horizon);
        let loaded = world.state.recent(horizon, &mut |key| dedup.load(key));
        loaded.expect("a process begins with a state that can be read");
        Self {
            engine: Engine::new(Arc::clone(plan), progress, dedup, seed, now),
            plan: Arc::clone(plan),
            handoff: Handoff::default(),
            under_way: None,
            unsaved: None,
            commit_not_before: Duration::ZERO,
            reports: Vec::new(),
        }
    }

    /// One round of the loop. Returns when, by true time, there is something to do again.
    pub(crate) fn turn(&mut self, world: &mut World) -> Result<Duration, Crash> {
        if self.under_way.as_ref().is_some_and(|(at, _)| *at <= world.clock.time) {
            let (_, answer) = self.under_way.take().expect("just seen");
            self.answered(answer, world)?;
        }
        self.commit(world)?;
        let mut until = world.clock.at(self.next_commit());
        match &self.under_way {
            Some((at, _)) => until = until.min(*at),
            None => until = until.min(self.step(world)?),
        }
        self.publish(world)?;
        Ok(until)
    }

    fn step(&mut self, world: &mut World) -> Result<Duration, Crash> {
        let now = world.clock.now();
        let time = world.clock.time;
        let room = self.handoff.ready_bytes() < AHEAD_MAX.min(self.plan.tick_bytes);
        let step = self.engine.next(now, room);
        world.fuse.step()?;
        let answer = match step {
            Step::Wait(until) => return Ok(world.clock.at(until)),
            Step::Fetch(spec) => Answer::Page(world.api.answer(&spec, time)),
            Step::Login => Answer::Token(world.api.login(time)),
        };
        let arrives = time + world.api.delay(time);
        self.under_way = Some((arrives, answer));
        Ok(arrives)
    }

    fn answered(&mut self, answer: Answer, world: &mut World) -> Result<(), Crash> {
        let now = world.clock.now();
        match answer {
            Answer::Token(grant) => self.engine.logged_in(grant, now),
            Answer::Page(Err(failure)) => self.engine.failed(&failure, now),
            Answer::Page(Ok(page)) => self.read(&page, world, now)?,
        }
        world.fuse.step()
    }

    fn read(&mut self, page: &Page, world: &mut World, now: Now) -> Result<(), Crash> {
        let shown = |index: &usize| event::shown(*index, &world.events[*index]);
        let events: Vec<Event<'_>> = page.events.iter().map(shown).collect();
        let mut known = self.engine.lookups(events.iter().map(|event| &event.seen.key));
        if !known.is_empty()
            && let Err(error) = world.state.known(&mut known)
        {
            self.engine.state_failed(&error.to_string(), now);
            self.engine.deferred(now);
            return Ok(());
        }
        let fresh = self.engine.page(&events, page.next.as_deref(), &known, now);
        world.fuse.step()?;
        let marks = self.engine.take_marks();
        let most = (self.plan.batch_size / record::BYTES).max(1);
        for part in fresh.chunks(most) {
            let mut lot = Lot { bytes: self.handoff.spare(), ..Lot::default() };
            for index in part {
                record::encode(page.events[*index], &mut lot.bytes);
                lot.records += 1;
                lot.keys.push(events[*index].seen.key);
            }
            self.handoff.push(lot);
        }
        self.handoff.push_marks(marks);
        Ok(())
    }

    fn commit(&mut self, world: &mut World) -> Result<(), Crash> {
        let now = world.clock.now();
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
        let Some(commit) = self.unsaved.take() else { return Ok(()) };
        world.fuse.step()?;
        let saved = world.state.commit(&commit);
        let now = world.clock.now();
        match saved {
            Ok(ids) => {
                world.ledger.committed(&commit.keys);
                world.fuse.step()?;
                self.engine.committed(commit, ids, now);
            }
            Err(error) => {
                self.engine.state_failed(&error.to_string(), now);
                self.unsaved = Some(commit);
                self.commit_not_before = now.mono + COMMIT_AGAIN;
            }
        }
        Ok(())
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
        self.save(world)?;
        if self.unsaved.is_some() {
            return Ok(false);
        }
        let settled = match stored {
            Some(records) => self.handoff.settle_stored(records),
            None => self.handoff.settle_surely_stored(now.mono),
        };
        self.prepare(settled, now);
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
