//! Who asks next: live polls before catch-up before sweeps, within the request budget.

use std::time::Duration;

use super::{Engine, Step};
use crate::api::request::{Credential, PageOf, Requests};
use crate::config::{Plan, Secret};
use crate::model::{Now, TimeRange, Timestamp};
use crate::poll::job::{Job, Kind, Lane};
use crate::poll::planner::{self, LiveRules};
use crate::poll::progress::Mark;
use crate::poll::ranges;
use crate::poll::report::Report;

/// What will lie past the API's reach before the request is there is not asked for.
const EDGE: Duration = Duration::from_secs(60);

impl Engine {
    /// What to do now. Without `room` for more records, nothing is asked.
    pub fn next(&mut self, now: Now, room: bool) -> Step {
        self.pulse(now);
        let mut wake = self.next_pulse;
        if !room {
            return Step::Wait(wake);
        }
        for lane in 0..self.lanes.len() {
            match self.ready(lane, now) {
                Ok(()) => return self.ask(lane, now, wake),
                Err(at) => wake = wake.min(at),
            }
        }
        Step::Wait(wake)
    }

    /// Whether a lane has something to ask, starting its job if one is due; else when it may have.
    fn ready(&mut self, lane: usize, now: Now) -> Result<(), Duration> {
        let not_before = self.lanes[lane].not_before;
        if not_before > now.mono {
            return Err(not_before);
        }
        if self.lanes[lane].job.is_none() {
            let job = match self.lanes[lane].kind {
                Kind::Live => self.live(now)?,
                Kind::CatchUp => self.catch_up(now)?,
                Kind::Sweep(index) => self.sweep(index, now)?,
            };
            self.lanes[lane].job = Some(job);
        }
        Ok(())
    }

    fn live(&mut self, now: Now) -> Result<Job, Duration> {
        if now.mono < self.next_live {
            return Err(self.next_live);
        }
        let schedule = &self.plan.schedule;
        let rules = LiveRules {
            interval: schedule.interval,
            window: schedule.window,
            widened: self.widened,
            reach: schedule.reach,
            bound: self.bound(),
        };
        let plan = planner::live(&self.progress, rules, now.wall);
        self.next_live = now.mono + schedule.interval;
        let mut job = Job::new(vec![plan.range], now);
        job.hole = plan.hole;
        let last = self.progress.live_until;
        job.tells_lateness = last.is_some_and(|last| now.wall.since(last) <= schedule.interval * 2);
        Ok(job)
    }

    fn catch_up(&mut self, now: Now) -> Result<Job, Duration> {
        self.give_up_on_what_is_gone(now);
        let (Some(first), Some(last)) = (self.progress.holes.first(), self.progress.holes.last())
        else {
            return Err(Duration::MAX);
        };
        if self.catching_up.is_none() {
            let range = TimeRange::new(first.from, last.to);
            self.catching_up = Some(range);
            self.reports.push(Report::catchup(false, range));
        }
        let mut job = Job::new(self.progress.holes.clone(), now);
        job.tells_lateness = false;
        Ok(job)
    }

    /// Before this nothing is wanted.
    fn bound(&self) -> Option<Timestamp> {
        self.plan.schedule.start_is_bound.then_some(self.progress.origin)
    }

    /// The oldest moment to plan for: within the API's reach for long enough to be asked for.
    fn edge(&self, now: Now) -> Timestamp {
        now.wall - self.plan.schedule.reach + EDGE
    }

    /// Reports and closes the holes that lie past the API's reach.
    fn give_up_on_what_is_gone(&mut self, now: Now) {
        let limit = self.edge(now);
        let gone: Vec<TimeRange> =
            self.progress.holes.iter().filter_map(|hole| ranges::before(*hole, limit)).collect();
        for range in gone {
            self.reports.push(Report::gap(range));
            self.mark(Mark::CaughtUp(range));
        }
    }

    fn sweep(&mut self, index: usize, now: Now) -> Result<Job, Duration> {
        let sweep = self.plan.schedule.sweeps[index];
        let last = self.progress.sweep(sweep.depth);
        let limit = self.edge(now);
        let unread = last.map_or_else(Vec::new, |last| ranges::after(&last.unread, limit));
        if !unread.is_empty() {
            return Ok(Job::new(unread, now));
        }
        let began = last.map_or(now.wall, |last| last.began.min(now.wall));
        let since = now.wall.since(began);
        if since < sweep.every {
            return Err(now.mono + (sweep.every - since));
        }
        let from = planner::sweep_from(sweep, began, now.wall);
        let from = self.bound().map_or(from, |bound| from.max(bound)).max(limit);
        Ok(Job::new(vec![TimeRange::new(from, now.wall)], now))
    }

    /// The lane's next request, or what stands in its way.
    fn ask(&mut self, lane: usize, now: Now, wake: Duration) -> Step {
        let gate = self.hold.max(self.rate.ready_at());
        if gate > now.mono {
            return Step::Wait(wake.min(gate));
        }
        let mut credential = None;
        if let Some(access) = &self.plan.access {
            match self.tokens.current(now.mono) {
                Some(token) => {
                    let value = Secret::new(format!("{}{}", access.prefix, token.expose()));
                    credential = Some(Credential { place: access.place.clone(), value });
                }
                None if self.tokens.not_before > now.mono => {
                    return Step::Wait(wake.min(self.tokens.not_before));
                }
                None => return Step::Login,
            }
        }
        let length = match self.lanes[lane].kind {
            Kind::Live => self.plan.schedule.range_max,
            Kind::CatchUp | Kind::Sweep(_) => self.slices.get(),
        };
        let limit = now.wall - self.plan.schedule.reach;
        let Lane { kind, job, .. } = &mut self.lanes[lane];
        let walk = job.as_mut().and_then(|job| job.walk(length));
        if *kind != Kind::Live && walk.as_ref().is_some_and(|walk| walk.begins_before(limit)) {
            // Too late by now for some of it: what can still be had is planned anew.
            *job = None;
            return Step::Wait(now.mono);
        }
        let Some(walk) = walk else {
            self.finish(lane, now);
            return Step::Wait(now.mono);
        };
        let Plan { base_url: base, definition, values, .. } = self.plan.as_ref();
        let page =
            PageOf { range: walk.slice, part: None, position: walk.next.as_ref(), endless: false };
        let spec = Requests { base, definition, values }.page(page);
        let mut spec = spec.expect("the plan filled these templates once already");
        spec.credential = credential;
        self.rate.sent(now.mono);
        self.asked = Some(lane);
        Step::Fetch(Box::new(spec))
    }

    /// Notes progress, to be committed in its turn.
    pub(super) fn mark(&mut self, mark: Mark) {
        self.progress.apply(&mark);
        self.marks.push(mark);
    }
}
