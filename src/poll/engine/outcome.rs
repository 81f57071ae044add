//! What came of a request: a page, a listing, a blob, a failure, a token.

use std::collections::HashMap;
use std::time::Duration;

use super::{Asked, Engine, What};
use crate::api::Position;
use crate::api::page::{Entry, Event, Failure, FailureKind};
use crate::api::position;
use crate::api::request::{self, Placement, Ticket};
use crate::model::{Bucket, EventKey, Now, Seen, TimeRange, Timestamp};
use crate::poll::job::{Job, Kind};
use crate::poll::progress::Mark;
use crate::poll::report::Report;
use crate::poll::tokens::Grant;
use crate::poll::walk::Blob;

/// A blob that is not there is asked for so often before it is given up.
const GONE_ATTEMPTS_MAX: u32 = 4;

/// Blobs that were given up are remembered, so many at most.
const GIVEN_UP_MAX: usize = 10_000;

impl Engine {
    /// The page or the blob asked for is in. `known` answers [`Engine::lookups`]. Returns which events are new.
    pub fn page(
        &mut self,
        ticket: Ticket,
        events: &[Event<'_>],
        next: Option<&str>,
        known: &HashMap<EventKey, bool>,
        now: Now,
    ) -> Vec<usize> {
        let Some(asked) = self.came_through(ticket) else { return Vec::new() };
        let is_known = |key| known.get(&key).copied().unwrap_or(false);
        let mut fresh = Vec::new();
        for (index, event) in events.iter().enumerate() {
            if self.see(&asked, &event.seen, is_known(event.seen.key), now) {
                fresh.push(index);
            }
        }
        match asked.what {
            What::Blob(blob) => {
                if self.dedup.is_new(blob.key, false) {
                    self.mark(Mark::Fetched(blob.key));
                }
                self.came_on(asked.lane, asked.job, now);
                self.blob_done(asked.lane, asked.job, blob.key, now);
            }
            What::Page | What::Setup => self.turn(&asked, next, events.len(), now),
        }
        fresh
    }

    /// The page of a listing is in. `known` answers [`Engine::lookups`] for its entries.
    pub fn listing(
        &mut self,
        ticket: Ticket,
        entries: &[Entry<'_>],
        next: Option<&str>,
        known: &HashMap<EventKey, bool>,
        now: Now,
    ) {
        let Some(asked) = self.came_through(ticket) else { return };
        let mut blobs = Vec::new();
        for entry in entries {
            self.tally(&asked, entry.made);
            let in_state = known.get(&entry.key).copied().unwrap_or(false);
            if in_state || self.dedup.holds(entry.key) {
                continue;
            }
            let url = match position::pin(&entry.link, &self.plan.base_url) {
                Ok(url) => self.without_credential(url),
                Err(problem) => return self.refuse(asked, &problem, now),
            };
            let (key, made) = (entry.key, entry.made);
            blobs.push(Blob { key, url, made, attempts: 0, not_before: Duration::ZERO });
        }
        if let Some(walk) = self.job(asked.lane, asked.job).and_then(|job| job.walk.as_mut()) {
            blobs.into_iter().for_each(|blob| walk.list(blob));
        }
        self.turn(&asked, next, entries.len(), now);
    }

    /// The job that asked, if it is still under way.
    fn job(&mut self, lane: usize, serial: u64) -> Option<&mut Job> {
        self.lanes[lane].job.as_mut().filter(|job| job.serial == serial)
    }

    fn came_on(&mut self, lane: usize, job: u64, now: Now) {
        if let Some(job) = self.job(lane, job) {
            job.came_on = now.mono;
        }
    }

    fn blob_done(&mut self, lane: usize, job: u64, key: EventKey, now: Now) {
        let Some(walk) = self.job(lane, job).and_then(|job| job.walk.as_mut()) else { return };
        walk.done(key);
        if walk.is_complete() {
            self.slice_read(lane, now);
        }
        self.fetches_recovered();
    }

    /// The request got an answer that counts.
    pub(super) fn came_through(&mut self, ticket: Ticket) -> Option<Asked> {
        let asked = self.asked.remove(&ticket)?;
        self.stats.request(200);
        if self.plan.access.is_some() && asked.token == self.tokens.serial && self.tokens.accepted()
        {
            self.reports.push(Report::auth_recovered());
        }
        self.conditions.throttled.end();
        match asked.what {
            What::Setup => {
                self.setup.asked = false;
                self.setup.backoff.succeed();
            }
            What::Page | What::Blob(_) => self.lanes[asked.lane].backoff.succeed(),
        }
        self.fetches_recovered();
        Some(asked)
    }

    /// Says so, if whatever could not be had has been had by now.
    fn fetches_recovered(&mut self) {
        let troubled = |job: &Job| job.walk.as_ref().is_some_and(|walk| walk.is_troubled());
        let all_well = self.setup.backoff.attempt == 0
            && self
                .lanes
                .iter()
                .all(|lane| lane.backoff.attempt == 0 && !lane.job.as_ref().is_some_and(troubled));
        if all_well && self.conditions.fetch.end() {
            self.reports.push(Report::fetch_recovered());
        }
    }

    /// Counts what a job has seen.
    fn tally(&mut self, asked: &Asked, selected: Timestamp) {
        if let Some(job) = self.job(asked.lane, asked.job) {
            job.tally.events += 1;
            job.tally.newest = job.tally.newest.max(Some(selected));
        }
    }

    /// Judges one event; true if it is new.
    fn see(&mut self, asked: &Asked, seen: &Seen, in_state: bool, now: Now) -> bool {
        self.tally(asked, seen.selected);
        let timed = seen.key.bucket != Bucket::UNTIMED;
        if timed && let Some(job) = self.job(asked.lane, asked.job) {
            job.tally.oldest = Some(job.tally.oldest.map_or(seen.time, |old| old.min(seen.time)));
        }
        if timed {
            self.newest = self.newest.max(Some(seen.time));
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
        // What happened before the very first poll's reach no window has ever covered.
        let covered = timed && seen.selected >= self.progress.origin;
        let tells = self.job(asked.lane, asked.job).is_some_and(|job| job.tells_lateness);
        if covered && tells {
            self.lateness.add(now.wall.since(seen.time), now.mono);
        }
        let missed_by = now.wall.since(seen.selected);
        let missed = covered && missed_by > self.plan.schedule.window;
        let unread = |hole: &TimeRange| hole.contains(seen.selected);
        if missed
            && matches!(self.lanes[asked.lane].kind, Kind::Sweep(_))
            && !self.progress.holes.iter().any(unread)
            && let Some(job) = self.job(asked.lane, asked.job)
        {
            job.tally.late += 1;
            job.tally.latest_by = job.tally.latest_by.max(missed_by);
            self.stats.late += 1;
        }
        true
    }

    /// Turns to the next page, or ends the walk.
    fn turn(&mut self, asked: &Asked, token: Option<&str>, events: usize, now: Now) {
        self.came_on(asked.lane, asked.job, now);
        let plan = std::sync::Arc::clone(&self.plan);
        let page_is_full =
            events >= usize::try_from(plan.definition.limits.page).unwrap_or(usize::MAX);
        let paging = plan.definition.next.as_ref();
        let Some(walk) = self.job(asked.lane, asked.job).and_then(|job| job.walk.as_mut()) else {
            return;
        };
        walk.asked = false;
        let current = walk.next.as_ref();
        let next = match Position::after(paging, current, token, events, &plan.base_url) {
            Ok(next) => next,
            Err(problem) => return self.refuse_page(asked.lane, &asked.url, &problem, now),
        };
        let next = next.map(|position| match position {
            Position::Link(url) => Position::Link(self.without_credential(url)),
            other => other,
        });
        let Some(walk) = self.job(asked.lane, asked.job).and_then(|job| job.walk.as_mut()) else {
            return;
        };
        walk.pages += 1;
        if walk.endless {
            let ends = !page_is_full || next.is_none() || next == walk.next;
            let goes_on = next.as_ref().map(Position::as_text);
            walk.next = next;
            walk.listed = ends;
            if goes_on.is_some() {
                self.mark(Mark::Follow(goes_on));
            }
            if ends {
                self.slice_read(asked.lane, now);
            }
            return;
        }
        match next {
            Some(position) => {
                if !walk.follow(position) {
                    let problem = "the next-page link repeats, or the pages never end";
                    self.refuse_page(asked.lane, &asked.url, problem, now);
                }
            }
            None => {
                walk.part_listed(plan.parts.len());
                if walk.is_complete() {
                    self.slice_read(asked.lane, now);
                }
            }
        }
    }

    /// A link without the credential that it may echo: it is put there again when it is asked for.
    fn without_credential(&self, url: url::Url) -> url::Url {
        match self.plan.access.as_ref().map(|access| &access.place) {
            Some(Placement::Query(name)) => request::without_parameter(&url, name),
            _ => url,
        }
    }

    /// An answer came that cannot be followed: as bad as no answer.
    fn refuse(&mut self, asked: Asked, problem: &str, now: Now) {
        if let Some(walk) = self.job(asked.lane, asked.job).and_then(|job| job.walk.as_mut()) {
            walk.asked = false;
        }
        self.refuse_page(asked.lane, &asked.url, problem, now);
    }

    fn refuse_page(&mut self, lane: usize, url: &str, problem: &str, now: Now) {
        let kind = FailureKind::Refused;
        let failure = Failure { kind, status: 200, error: problem.to_owned() };
        self.page_failed(lane, url, &failure, now);
        self.replan_if_stale(lane, now);
    }

    /// The request failed.
    pub fn failed(&mut self, ticket: Ticket, failure: &Failure, now: Now) {
        self.stats.request(failure.status);
        let Some(asked) = self.asked.remove(&ticket) else { return };
        self.fail(asked, failure, now);
    }

    /// So many events could not be handed over as they should be; reported when a poll ends.
    pub fn rejected(&mut self, fault: crate::model::Fault, count: u64) {
        self.stats.rejected += count;
        *self.faults.entry(fault).or_default() += count;
    }

    /// The page cannot be judged now, because the state does not answer; it will be asked for again.
    pub fn deferred(&mut self, ticket: Ticket, now: Now) {
        let Some(asked) = self.asked.remove(&ticket) else { return };
        self.ask_again(&asked);
        self.wait(asked.lane, Duration::ZERO, now);
    }

    /// What was asked for is to be asked for again.
    fn ask_again(&mut self, asked: &Asked) {
        match &asked.what {
            What::Setup => self.setup.asked = false,
            What::Page => {
                if let Some(walk) =
                    self.job(asked.lane, asked.job).and_then(|job| job.walk.as_mut())
                {
                    walk.asked = false;
                }
            }
            What::Blob(blob) => {
                let blob = blob.clone();
                if let Some(walk) =
                    self.job(asked.lane, asked.job).and_then(|job| job.walk.as_mut())
                {
                    walk.put_back(blob);
                }
            }
        }
    }

    fn fail(&mut self, asked: Asked, failure: &Failure, now: Now) {
        match failure.kind {
            FailureKind::Throttled(wanted) => {
                self.ask_again(&asked);
                let wait = self.wait(asked.lane, wanted.unwrap_or_default(), now);
                self.hold = self.hold.max(now.mono + wait);
                self.stats.throttled += 1;
                if self.conditions.throttled.hold(now.mono) {
                    self.reports.push(Report::throttled(failure.status, wait));
                }
            }
            FailureKind::Unauthorized if self.plan.access.is_some() => {
                self.ask_again(&asked);
                // Others may have found out before, and there may be a new token by now.
                if asked.token == self.tokens.serial {
                    self.unauthorized(failure, now);
                }
            }
            _ => match asked.what {
                What::Setup => {
                    self.report_failure(&asked.url, failure, self.setup.backoff.attempt + 1, now);
                    self.setup_failed(&asked, Duration::ZERO, now);
                }
                What::Blob(blob) => {
                    self.blob_failed(asked.lane, asked.job, blob, &asked.url, failure, now)
                }
                What::Page => {
                    self.ask_again(&asked);
                    if self.job(asked.lane, asked.job).is_some() {
                        self.page_failed(asked.lane, &asked.url, failure, now);
                    }
                }
            },
        }
        self.replan_if_stale(asked.lane, now);
    }

    /// A page could not be had: reported, and asked for again, from the first one if the link died.
    fn page_failed(&mut self, lane: usize, url: &str, failure: &Failure, now: Now) {
        let attempt = self.lanes[lane].backoff.attempt + 1;
        self.report_failure(url, failure, attempt, now);
        self.wait(lane, Duration::ZERO, now);
        match failure.kind {
            FailureKind::Refused | FailureKind::Gone => self.restart(lane),
            FailureKind::Unsubscribed => self.setup.begin_again(),
            _ => {}
        }
    }

    /// Begins the walk again; an endless link that died is forgotten, and reading resumes by time.
    fn restart(&mut self, lane: usize) {
        let Some(walk) = self.lanes[lane].job.as_mut().and_then(|job| job.walk.as_mut()) else {
            return;
        };
        if walk.endless && walk.next.is_some() {
            self.lanes[lane].job = None;
            self.next_live = Duration::ZERO;
            self.mark(Mark::Follow(None));
        } else {
            walk.restart();
        }
    }

    /// A blob could not be had: asked for again after the others, given up if it stays away.
    fn blob_failed(
        &mut self,
        lane: usize,
        job: u64,
        mut blob: Blob,
        url: &str,
        failure: &Failure,
        now: Now,
    ) {
        let gone = matches!(failure.kind, FailureKind::Gone);
        blob.attempts += 1;
        let known = self.given_up.contains(&blob.key);
        if gone && (known || blob.attempts >= GONE_ATTEMPTS_MAX) {
            if !known {
                self.reports.push(Report::gap(TimeRange::new(blob.made, blob.made)));
                if self.given_up.len() >= GIVEN_UP_MAX {
                    self.given_up.clear();
                }
                self.given_up.insert(blob.key);
            }
            return self.blob_done(lane, job, blob.key, now);
        }
        self.report_failure(url, failure, blob.attempts, now);
        let mut backoff = crate::poll::backoff::Backoff { attempt: blob.attempts - 1 };
        blob.not_before = now.mono + backoff.fail(self.rng.f64());
        if !gone {
            // It may be the API that is down, and not this blob.
            self.wait(lane, Duration::ZERO, now);
        }
        if let Some(walk) = self.job(lane, job).and_then(|job| job.walk.as_mut()) {
            walk.put_back(blob);
        }
    }

    fn report_failure(&mut self, url: &str, failure: &Failure, attempt: u32, now: Now) {
        if self.conditions.fetch.hold(now.mono) {
            let report = Report::fetch_failed(failure.status, &failure.error, url, attempt);
            self.reports.push(report);
        }
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

    /// The request budget is down to its reserve: the API is left alone for so long.
    pub fn spare(&mut self, wait: Duration, now: Now) {
        self.hold = self.hold.max(now.mono + wait);
    }

    /// The login service answered.
    pub fn logged_in(&mut self, answer: Result<Grant, Failure>, now: Now) {
        self.logging_in = false;
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
