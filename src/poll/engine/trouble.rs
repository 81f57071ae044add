//! What a request that failed means: who waits, what is asked for again, what is given up.

use std::time::Duration;

use super::{Asked, Engine, What};
use crate::api::Position;
use crate::api::page::{Failure, FailureKind};
use crate::api::request::Ticket;
use crate::model::{Fault, Now};
use crate::poll::backoff::Backoff;
use crate::poll::job::{Kind, Lane};
use crate::poll::progress::Mark;
use crate::poll::report::Report;
use crate::poll::walk::{Blob, Walk};

/// A blob that is not there is asked for so often before it is given up.
const GONE_ATTEMPTS_MAX: u32 = 4;

/// And so often each time that it is listed again.
const GONE_AGAIN_MAX: u32 = 2;

/// Blobs that were given up are remembered, so many at most.
const GIVEN_UP_MAX: usize = 10_000;

/// A slice is refused so often before it is given up, if it is at least so old.
const REFUSALS_MAX: u32 = 8;
const REFUSED_AGE_MIN: Duration = Duration::from_secs(24 * 3_600);

/// A page that may yet come is asked for so often before the other parts of the walk go first.
const ATTEMPTS_BEFORE_OTHERS: u32 = 3;

/// Whether a numbered page is not found because the one before it was the last.
fn is_past_the_end(asked: &Asked, failure: &Failure, walk: Option<&mut Walk>) -> bool {
    let numbered =
        |walk: &mut Walk| matches!(walk.next, Some(Position::Page(_) | Position::Offset(_)));
    matches!(asked.what, What::Page) && failure.status == 404 && walk.is_some_and(numbered)
}

impl Engine {
    /// The request failed.
    pub fn failed(&mut self, ticket: Ticket, failure: &Failure, now: Now) {
        self.stats.request(failure.status);
        let Some(asked) = self.asked.remove(&ticket) else { return };
        let failure = failure.clone().without(asked.secret.as_ref());
        self.fail(asked, &failure, now);
    }

    /// So many events could not be handed over as they should be; reported when a poll ends.
    pub fn rejected(&mut self, fault: Fault, count: u64) {
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
                if let Some(walk) = self.walk_of(asked.lane, asked.job) {
                    walk.asked = false;
                }
            }
            What::Blob(blob) => {
                let blob = blob.clone();
                if let Some(walk) = self.walk_of(asked.lane, asked.job) {
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
            // Others may have found out before, and there may be a new token by now.
            FailureKind::Unauthorized if asked.token != self.tokens.serial => {
                self.ask_again(&asked);
            }
            FailureKind::Unauthorized
                if self.plan.access.is_some() && self.tokens.may_renew(now.mono) =>
            {
                self.ask_again(&asked);
                self.unauthorized(failure, now);
            }
            _ if is_past_the_end(&asked, failure, self.walk_of(asked.lane, asked.job)) => {
                if let Some(walk) = self.walk_of(asked.lane, asked.job) {
                    (walk.asked, walk.next) = (false, None);
                    walk.part_listed();
                    if walk.is_complete() {
                        self.slice_read(asked.lane, now);
                    }
                }
            }
            _ => match asked.what {
                What::Setup => {
                    self.report_failure(&asked.url, failure, self.setup.backoff.attempt + 1, now);
                    self.setup_failed(now);
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
        self.lanes[lane].troubled = true;
        self.wait(lane, Duration::ZERO, now);
        match failure.kind {
            FailureKind::Unsubscribed => self.setup.begin_again(),
            FailureKind::Refused | FailureKind::Gone
                if self.refused_for_good(lane, failure, now) =>
            {
                return self.give_up_slice(lane, now);
            }
            FailureKind::Refused | FailureKind::Gone => self.restart(lane),
            _ => {}
        }
        let Lane { job, first_part, .. } = &mut self.lanes[lane];
        let walk = job.as_mut().and_then(|job| job.walk.as_mut());
        if let Some(walk) = walk.filter(|walk| walk.has_other_parts())
            && (failure.kind != FailureKind::Transient || attempt >= ATTEMPTS_BEFORE_OTHERS)
        {
            walk.postpone_part();
            *first_part = walk.part().unwrap_or_default();
        }
    }

    /// Whether an old slice is refused, again and again, while live polls succeed: the API does not
    /// keep its events for as long as the definition says.
    fn refused_for_good(&mut self, lane: usize, failure: &Failure, now: Now) -> bool {
        let last_live = self.last_live;
        let Lane { kind, job, .. } = &mut self.lanes[lane];
        let Some(job) = job.as_mut().filter(|_| *kind != Kind::Live) else { return false };
        let (began, Some(walk)) = (job.came_on, job.walk.as_mut()) else { return false };
        let is_answer = matches!(failure.status, 400 | 404 | 410 | 416 | 422);
        if !is_answer || walk.next.is_some() || walk.has_other_parts() {
            return false;
        }
        walk.refusals += 1;
        walk.refusals >= REFUSALS_MAX
            && now.wall.since(walk.slice.to) >= REFUSED_AGE_MIN
            && last_live.is_some_and(|last| last > began)
    }

    /// What a slice held can no longer be had.
    fn give_up_slice(&mut self, lane: usize, now: Now) {
        let walk = self.lanes[lane].job.as_ref().and_then(|job| job.walk.as_ref());
        let Some(slice) = walk.map(|walk| walk.slice) else { return };
        self.reports.push(Report::gap(slice));
        self.not_to_be_had(slice, now);
        if let Some(job) = self.lanes[lane].job.as_mut() {
            job.lost.clear();
        }
        self.slice_ended(lane, Vec::new(), now);
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
            if let Some(job) = self.lanes[lane].job.as_mut() {
                // They are listed again, and asked for again.
                job.lost.clear();
            }
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
        let gone = failure.kind == FailureKind::Gone || matches!(failure.status, 404 | 410);
        blob.attempts += 1;
        blob.missing += u32::from(gone);
        let known = self.given_up.contains(&blob.key);
        let attempts_max = if known { GONE_AGAIN_MAX } else { GONE_ATTEMPTS_MAX };
        if gone && blob.missing >= attempts_max {
            if !known {
                self.reports.push(Report::missing_blob(blob.made));
                if self.given_up.len() >= GIVEN_UP_MAX {
                    self.given_up.clear();
                }
                self.given_up.insert(blob.key);
            }
            if let Some(job) = self.job(lane, job) {
                job.lose(blob.made);
            }
            return self.blob_done(lane, job, blob.key, now);
        }
        self.report_failure(url, failure, blob.attempts, now);
        if failure.kind == FailureKind::Unsubscribed {
            self.setup.begin_again();
        }
        let mut backoff = Backoff { attempt: blob.attempts - 1 };
        blob.not_before = now.mono + backoff.fail(self.rng.f64());
        if !gone {
            // It may be the API that is down, and not this blob.
            self.wait(lane, Duration::ZERO, now);
        }
        if let Some(walk) = self.walk_of(lane, job) {
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
        // What was under way together fails together: that is one failure, not several in a row.
        let own = match lane.not_before.checked_sub(now.mono) {
            Some(left) if !left.is_zero() => left,
            _ => lane.backoff.fail(jitter),
        };
        let wait = if asked.is_zero() { own } else { asked };
        lane.not_before = lane.not_before.max(now.mono + wait);
        wait
    }

    fn unauthorized(&mut self, failure: &Failure, now: Now) {
        if !self.tokens.refused(now.mono) {
            self.no_token(failure, None, Report::token_refused, now);
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

    /// An answer came that cannot be followed: as bad as no answer.
    pub(super) fn refuse(&mut self, asked: Asked, problem: &str, now: Now) {
        if let Some(walk) = self.walk_of(asked.lane, asked.job) {
            walk.asked = false;
        }
        self.refuse_page(&asked, problem, now);
    }

    pub(super) fn refuse_page(&mut self, asked: &Asked, problem: &str, now: Now) {
        let kind = FailureKind::Refused;
        let failure = Failure { kind, status: 200, error: problem.to_owned() };
        let failure = failure.without(asked.secret.as_ref());
        self.page_failed(asked.lane, &asked.url, &failure, now);
        self.replan_if_stale(asked.lane, now);
    }

    pub(super) fn no_token(
        &mut self,
        failure: &Failure,
        asked_to_wait: Option<Duration>,
        report: fn(u16, &str) -> Report,
        now: Now,
    ) {
        let jitter = self.rng.f64();
        self.tokens.failed(asked_to_wait, now.mono, jitter);
        if self.tokens.failing.hold(now.mono) {
            self.reports.push(report(failure.status, &failure.error));
        }
    }
}
