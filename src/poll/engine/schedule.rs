//! Who asks next: live polls before catch-up before sweeps, within the request budget.

use std::time::Duration;

use super::setup::Gate;
use super::{Asked, Engine, Fetch, Reads, Step, What};
use crate::api::Position;
use crate::api::request::{self, Credential, PageOf, RequestSpec, Requests, Ticket};
use crate::config::{Plan, Secret};
use crate::model::{Now, TimeRange, Timestamp};
use crate::poll::job::{Job, Kind, Lane};
use crate::poll::planner::{self, LivePlan, LiveRules};
use crate::poll::progress::{AHEAD_MAX, Mark};
use crate::poll::ranges;
use crate::poll::report::Report;
use crate::poll::walk::{Blob, Walk};

/// A blob that another lane has asked for is looked at again so much later.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// What will lie past the API's reach before the request is there is not asked for.
const EDGE: Duration = Duration::from_secs(60);

impl Engine {
    /// What to do now. Without `room` for more records, nothing is asked.
    pub fn next(&mut self, now: Now, room: bool) -> Step {
        self.pulse(now);
        let mut wake = self.next_pulse;
        if !room {
            self.held_up.get_or_insert(now.mono);
            return Step::Wait(wake);
        }
        self.replan_after_a_hold_up(now);
        for lane in 0..self.lanes.len() {
            if self.asked.len() >= self.under_way_max(lane) {
                continue;
            }
            match self.ready(lane, now) {
                Ok(()) => return self.ask(lane, now, wake),
                Err(at) => wake = wake.min(at),
            }
        }
        Step::Wait(wake)
    }

    /// A live poll that the host has held up for an interval is planned anew, so that what is fresh is
    /// read first, and not what was fresh when the host stopped taking.
    fn replan_after_a_hold_up(&mut self, now: Now) {
        let Some(since) = self.held_up.take() else { return };
        let lanes = self.lanes.iter_mut().filter(|lane| lane.kind == Kind::Live);
        if now.mono >= since + self.plan.schedule.interval {
            lanes.for_each(|lane| lane.job = None);
            self.next_live = now.mono;
        }
    }

    /// How many requests may be under way when a lane asks. One, but for blobs; and sweeps do not
    /// take the last place from a live poll.
    fn under_way_max(&self, lane: usize) -> usize {
        match &self.plan.definition.blobs {
            None => 1,
            Some(blobs) => blobs.parallel + usize::from(self.lanes[lane].kind == Kind::Live),
        }
    }

    /// Whether a lane has something to ask, starting its job if one is due; else when it may have.
    fn ready(&mut self, lane: usize, now: Now) -> Result<(), Duration> {
        let not_before = self.lanes[lane].not_before;
        if not_before > now.mono {
            return Err(not_before);
        }
        if self.lanes[lane].job.is_none() {
            let mut job = match self.lanes[lane].kind {
                Kind::Live => self.live(now)?,
                Kind::CatchUp => self.catch_up(now)?,
                Kind::Sweep(index) => self.sweep(index, now)?,
            };
            self.last_job += 1;
            job.serial = self.last_job;
            self.lanes[lane].job = Some(job);
        }
        let walk = self.lanes[lane].job.as_ref().and_then(|job| job.walk.as_ref());
        let Some(walk) = walk else { return Ok(()) };
        match walk.blob_ready_at() {
            Some(at) if at <= now.mono => Ok(()),
            _ if walk.wants_page() || walk.is_complete() => Ok(()),
            at => Err(at.unwrap_or(Duration::MAX)),
        }
    }

    fn live(&mut self, now: Now) -> Result<Job, Duration> {
        if now.mono < self.next_live {
            return Err(self.next_live);
        }
        let schedule = &self.plan.schedule;
        let rules = LiveRules {
            interval: schedule.interval,
            window: self.window,
            widened: self.widened,
            depth: super::deepest(schedule),
            reach: schedule.reach,
            bound: self.bound(now),
        };
        let position = self.endless_position();
        let plan = match self.progress.live_until {
            // The link knows where it stands, however long ago that was.
            Some(until) if position.is_some() => {
                let from = (until - self.window).min(now.wall);
                LivePlan { range: TimeRange::new(from, now.wall), hole: None }
            }
            _ => planner::live(&self.progress, rules, now.wall),
        };
        self.next_live = now.mono + schedule.interval;
        let mut job = Job::new(vec![plan.range], now);
        job.hole = plan.hole;
        if self.plan.definition.follow {
            job.unread.clear();
            job.walk = Some(Walk::endless(plan.range, position));
        }
        Ok(job)
    }

    /// Whether what is seen now for the first time was late at the API, and not at ours.
    pub(super) fn polls_on_time(&self, now: Now) -> bool {
        let interval = self.plan.schedule.interval;
        let usual = interval * 2 + self.stats.poll_duration.min(interval);
        self.progress.live_until.is_some_and(|last| now.wall.since(last) <= usual)
    }

    /// Where the endless link goes on, if there is one.
    fn endless_position(&self) -> Option<Position> {
        let definition = &self.plan.definition;
        let paging = definition.next.as_ref().filter(|_| definition.follow)?;
        Position::read(paging, self.progress.follow.as_deref()?, &self.plan.base_url).ok()
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
        Ok(Job::new(self.progress.holes.clone(), now))
    }

    /// Before this nothing is wanted.
    fn bound(&self, now: Now) -> Option<Timestamp> {
        let bound = self.plan.schedule.start_is_bound.then_some(self.progress.origin);
        // Else a first start by a clock that was ahead would keep anything from being read until then.
        bound.filter(|bound| *bound <= now.wall)
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
            self.not_to_be_had(range, now);
            self.mark(Mark::CaughtUp(range));
        }
    }

    fn sweep(&mut self, index: usize, now: Now) -> Result<Job, Duration> {
        let sweep = self.plan.schedule.sweeps[index];
        let last = self.progress.sweep(sweep.depth);
        let limit = self.edge(now);
        let unread = last.map_or_else(Vec::new, |last| ranges::after(&last.unread, limit));
        if let Some(last) = last
            && !unread.is_empty()
        {
            // The next one follows from when this one began, however long it was interrupted.
            return Ok(Job::new(unread, Now { wall: last.began, ..now }));
        }
        let began = match last {
            None => now.wall,
            // By a clock that was ahead: it would keep sweeps from beginning until then.
            Some(last) if last.began > now.wall + AHEAD_MAX => now.wall - sweep.every,
            Some(last) => last.began.min(now.wall),
        };
        let since = now.wall.since(began);
        if since < sweep.every {
            return Err(now.mono + (sweep.every - since));
        }
        let from = planner::sweep_from(sweep, began, now.wall);
        let from = self.bound(now).map_or(from, |bound| from.max(bound)).max(limit);
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
                None if self.logging_in => return Step::Wait(wake),
                None if self.tokens.not_before > now.mono => {
                    return Step::Wait(wake.min(self.tokens.not_before));
                }
                None => {
                    self.logging_in = true;
                    return Step::Login;
                }
            }
        }
        match self.setup.gate(now.mono) {
            Gate::Open => {}
            Gate::Closed => return Step::Wait(wake),
            Gate::ClosedUntil(at) => return Step::Wait(wake.min(at)),
            Gate::Ask => return self.set_up(lane, credential, now, wake),
        }
        let length = match self.lanes[lane].kind {
            Kind::Live => self.plan.schedule.range_max,
            Kind::CatchUp | Kind::Sweep(_) => self.slices.get(),
        };
        let limit = now.wall - self.plan.schedule.reach;
        let Lane { kind, job, first_part, .. } = &mut self.lanes[lane];
        let parts = self.plan.parts.len();
        let walk = job.as_mut().and_then(|job| job.walk(length, parts, *first_part, now.wall));
        if *kind != Kind::Live && walk.as_ref().is_some_and(|walk| walk.begins_before(limit)) {
            // Too late by now for some of it: what can still be had is planned anew.
            *job = None;
            return Step::Wait(now.mono);
        }
        let Some(walk) = walk else {
            self.finish(lane, now);
            return Step::Wait(now.mono);
        };
        let Plan { base_url: base, definition, values, parts, .. } = self.plan.as_ref();
        let requests = Requests { base, definition, values };
        let mut blob = walk.take_blob(now.mono);
        // Another lane may have been faster, or be about to be.
        let under_way = |key| {
            let is_it = |asked: &Asked| matches!(&asked.what, What::Blob(blob) if blob.key == key);
            self.asked.values().any(is_it)
        };
        loop {
            match blob {
                Some(read) if self.dedup.holds(read.key) => walk.done(read.key),
                Some(other) if under_way(other.key) => {
                    walk.put_back(Blob { not_before: now.mono + LOOK_AGAIN, ..other });
                }
                _ => break,
            }
            blob = walk.take_blob(now.mono);
        }
        let (spec, what, reads) = if let Some(blob) = blob {
            let reads = Reads::Blob(blob.made);
            (requests.blob(&blob.url), What::Blob(blob), reads)
        } else if walk.wants_page() {
            walk.asked = true;
            let page = PageOf {
                range: walk.slice,
                part: walk.part().and_then(|part| parts[part].as_deref()),
                position: walk.next.as_ref(),
                endless: walk.endless,
            };
            let reads = if definition.blobs.is_some() { Reads::Listing } else { Reads::Page };
            (requests.page(page), What::Page, reads)
        } else {
            if walk.is_complete() {
                self.slice_read(lane, now);
            }
            // Else what could be asked for is under way in another lane, and was put off.
            return Step::Wait(now.mono);
        };
        let spec = spec.expect("the plan filled these templates once already");
        self.send(lane, spec, what, reads, credential, now)
    }

    fn set_up(
        &mut self,
        lane: usize,
        credential: Option<Credential>,
        now: Now,
        wake: Duration,
    ) -> Step {
        let Some((spec, what, reads)) = self.setup_request() else { return Step::Wait(wake) };
        self.setup.asked = true;
        self.send(lane, spec, what, reads, credential, now)
    }

    fn send(
        &mut self,
        lane: usize,
        mut spec: RequestSpec,
        what: What,
        reads: Reads,
        credential: Option<Credential>,
        now: Now,
    ) -> Step {
        spec.credential = credential;
        self.rate.sent(now.mono);
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        let job = self.lanes[lane].job.as_ref().map_or(0, |job| job.serial);
        let secret = self.tokens.current(now.mono).cloned();
        let url = request::shown(&spec.url, secret.as_ref());
        let token = self.tokens.serial;
        self.asked.insert(ticket, Asked { lane, job, token, secret, url, what });
        Step::Fetch(Box::new(Fetch { ticket, spec, reads }))
    }

    /// Notes progress, to be committed in its turn.
    pub(super) fn mark(&mut self, mark: Mark) {
        self.progress.apply(&mark);
        self.marks.push(mark);
    }
}
