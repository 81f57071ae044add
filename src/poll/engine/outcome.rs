//! What came of a request: a page, a failure, a token.

use std::collections::HashMap;
use std::time::Duration;

use super::Engine;
use crate::api::page::{Event, Failure, FailureKind};
use crate::api::{Position, request};
use crate::model::{EventKey, Now, Seen};
use crate::poll::job::Kind;
use crate::poll::report::Report;
use crate::poll::tokens::Grant;

impl Engine {
    /// The page asked for is in. `known` answers [`Engine::lookups`]. Returns which events are new.
    pub fn page(
        &mut self,
        events: &[Event<'_>],
        next: Option<&str>,
        known: &HashMap<EventKey, bool>,
        now: Now,
    ) -> Vec<usize> {
        let Some(lane) = self.asked.take() else { return Vec::new() };
        self.came_through(lane);
        if let Some(job) = self.lanes[lane].job.as_mut() {
            job.came_on = now.mono;
        }
        let mut fresh = Vec::new();
        for (index, event) in events.iter().enumerate() {
            let in_state = known.get(&event.seen.key).copied().unwrap_or(false);
            if self.see(lane, &event.seen, in_state, now) {
                fresh.push(index);
            }
        }
        self.turn(lane, next, events.len(), now);
        fresh
    }

    /// The request got an answer that counts.
    fn came_through(&mut self, lane: usize) {
        self.stats.request(200);
        if self.tokens.accepted() {
            self.reports.push(Report::auth_recovered());
        }
        self.conditions.throttled.end();
        self.lanes[lane].backoff.succeed();
        let all_well = self.lanes.iter().all(|lane| lane.backoff.attempt == 0);
        if all_well && self.conditions.fetch.end() {
            self.reports.push(Report::fetch_recovered());
        }
    }

    /// Judges one event; true if it is new.
    fn see(&mut self, lane: usize, seen: &Seen, in_state: bool, now: Now) -> bool {
        let lane = &mut self.lanes[lane];
        let Some(job) = lane.job.as_mut() else { return false };
        job.tally.events += 1;
        let timed = seen.key.bucket != crate::model::Bucket::UNTIMED;
        if timed && job.tally.oldest.is_none_or(|oldest| seen.time < oldest) {
            job.tally.oldest = Some(seen.time);
        }
        if timed && self.newest.is_none_or(|newest| newest < seen.time) {
            self.newest = Some(seen.time);
        }
        if !self.dedup.is_new(seen.key, in_state) {
            self.stats.duplicates += 1;
            return false;
        }
        self.stats.records += 1;
        if let Some(fault) = seen.fault {
            *self.faults.entry(fault).or_default() += 1;
            self.stats.rejected += 1;
        }
        let late_by = now.wall.since(seen.time);
        // What happened before the very first poll's reach no window has ever covered.
        let covered = seen.time >= self.progress.origin;
        if timed && covered && job.tells_lateness {
            self.lateness.add(late_by, now.mono);
        }
        let unread = |hole: &crate::model::TimeRange| hole.contains(seen.time);
        let missed = timed && covered && late_by > self.plan.schedule.window;
        if missed && matches!(lane.kind, Kind::Sweep(_)) && !self.progress.holes.iter().any(unread)
        {
            job.tally.late += 1;
            job.tally.latest_by = job.tally.latest_by.max(late_by);
            self.stats.late += 1;
        }
        true
    }

    /// Turns to the next page, or ends the walk.
    fn turn(&mut self, lane: usize, next: Option<&str>, events: usize, now: Now) {
        let base = &self.plan.base_url;
        let Some(walk) = self.lanes[lane].job.as_mut().and_then(|job| job.walk.as_mut()) else {
            return;
        };
        walk.pages += 1;
        let paging = self.plan.definition.next.as_ref();
        let pinned = Position::after(paging, walk.next.as_ref(), next, events, base);
        let followed = pinned.map(|link| link.map(|link| walk.follow(link)));
        let problem = match followed {
            Ok(None) => return self.slice_read(lane, now),
            Ok(Some(true)) => return,
            Ok(Some(false)) => "the next-page link repeats, or the pages never end".to_owned(),
            Err(problem) => problem,
        };
        let failure = Failure { kind: FailureKind::Refused, status: 200, error: problem };
        self.asked = Some(lane);
        self.fail(&failure, now);
    }

    /// The request failed.
    pub fn failed(&mut self, failure: &Failure, now: Now) {
        self.stats.request(failure.status);
        self.fail(failure, now);
    }

    /// So many events could not be handed over as they should be; reported when a poll ends.
    pub fn rejected(&mut self, fault: crate::model::Fault, count: u64) {
        self.stats.rejected += count;
        *self.faults.entry(fault).or_default() += count;
    }

    /// The page cannot be judged now, because the state does not answer; it will be asked for again.
    pub fn deferred(&mut self, now: Now) {
        let Some(lane) = self.asked.take() else { return };
        self.wait(lane, Duration::ZERO, now);
    }

    fn fail(&mut self, failure: &Failure, now: Now) {
        let Some(lane) = self.asked.take() else { return };
        match failure.kind {
            FailureKind::Throttled(asked) => {
                let wait = self.wait(lane, asked.unwrap_or_default(), now);
                self.hold = self.hold.max(now.mono + wait);
                self.stats.throttled += 1;
                if self.conditions.throttled.hold(now.mono) {
                    self.reports.push(Report::throttled(failure.status, wait));
                }
            }
            FailureKind::Unauthorized if self.plan.access.is_some() => {
                self.unauthorized(failure, now)
            }
            FailureKind::Unauthorized | FailureKind::Refused | FailureKind::Transient => {
                self.fetch_failed(lane, failure, now);
                self.wait(lane, Duration::ZERO, now);
            }
        }
        self.replan_if_stale(lane, now);
    }

    /// Backs the lane off; at least as long as the server asked for.
    fn wait(&mut self, lane: usize, asked: Duration, now: Now) -> Duration {
        let jitter = self.rng.f64();
        let lane = &mut self.lanes[lane];
        let own = lane.backoff.fail(jitter);
        let wait = if asked.is_zero() { own } else { asked };
        lane.not_before = now.mono + wait;
        wait
    }

    fn unauthorized(&mut self, failure: &Failure, now: Now) {
        if !self.tokens.refused() {
            self.no_token(failure, None, now);
        }
    }

    fn fetch_failed(&mut self, lane: usize, failure: &Failure, now: Now) {
        let attempt = self.lanes[lane].backoff.attempt + 1;
        let walk = self.lanes[lane].job.as_mut().and_then(|job| job.walk.as_mut());
        let url = match walk.as_ref().and_then(|walk| walk.next.as_ref()) {
            Some(Position::Link(link)) => link,
            _ => &self.plan.base_url,
        };
        if self.conditions.fetch.hold(now.mono) {
            let url = request::without_query(url);
            self.reports.push(Report::fetch_failed(failure.status, &failure.error, &url, attempt));
        }
        if failure.kind == FailureKind::Refused
            && let Some(walk) = walk
        {
            walk.restart();
        }
    }

    /// A live poll that has not come on for an interval is planned anew, so that what is fresh is
    /// still read first. One that is merely slow goes on: else it might never end.
    fn replan_if_stale(&mut self, lane: usize, now: Now) {
        let lane = &mut self.lanes[lane];
        let stale = lane.job.as_ref().is_some_and(|job| {
            job.is_untouched() || now.mono >= job.came_on + self.plan.schedule.interval
        });
        if lane.kind == Kind::Live && stale {
            lane.job = None;
            self.next_live = lane.not_before.max(now.mono);
            self.stats.poll("live", "failed");
        }
    }

    /// The hosts want to be left alone until then, whichever instance they said it to.
    pub fn hold(&mut self, api: Duration, login: Duration) {
        self.hold = self.hold.max(api);
        self.tokens.not_before = self.tokens.not_before.max(login);
    }

    /// The login service answered.
    pub fn logged_in(&mut self, answer: Result<Grant, Failure>, now: Now) {
        match answer {
            Ok(grant) => self.tokens.granted(grant, now.mono),
            Err(failure) => {
                let asked = match failure.kind {
                    FailureKind::Throttled(wait) => wait,
                    _ => None,
                };
                self.no_token(&failure, asked, now);
            }
        }
    }

    fn no_token(&mut self, failure: &Failure, asked_to_wait: Option<Duration>, now: Now) {
        let jitter = self.rng.f64();
        self.tokens.failed(asked_to_wait, now.mono, jitter);
        if self.tokens.failing.hold(now.mono) {
            self.reports.push(Report::auth_failed(failure.status, &failure.error));
        }
    }
}
