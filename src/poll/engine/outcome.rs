//! What came of a request that was answered: a page, a listing, a blob, a token.

use std::collections::HashMap;
use std::time::Duration;

use super::{Asked, Engine, What};
use crate::api::Position;
use crate::api::definition::Paging;
use crate::api::page::{Entry, Event, Failure, FailureKind};
use crate::api::position;
use crate::api::request::{self, Ticket};
use crate::model::{Bucket, EventKey, Fault, Known, Now, Seen, TimeRange, Timestamp};
use crate::poll::auto_window::Found;
use crate::poll::dedup::Verdict;
use crate::poll::job::{Job, Kind, Lane};
use crate::poll::progress::Mark;
use crate::poll::report::Report;
use crate::poll::tokens::Grant;
use crate::poll::walk::{Blob, Walk};

/// So far off the range that was asked for, an event's time is worth a word.
const FAR: Duration = Duration::from_secs(24 * 3_600);

/// Known events whose content is to be noted with the next commit, at most. What is beyond is noted another time.
const ADOPTED_MAX: usize = 1 << 16;

/// Late events that wait for their commit and are known as such, at most; the ledger counts others as records only.
const LATE_MAX: usize = 1 << 18;

impl Engine {
    /// The page or the blob asked for is in. `known` answers [`Engine::lookups`]. Returns which events are to be handed over.
    pub fn page(
        &mut self,
        ticket: Ticket,
        events: &[Event<'_>],
        next: Option<&str>,
        known: &HashMap<EventKey, Known>,
        now: Now,
    ) -> Vec<usize> {
        let Some(asked) = self.came_through(ticket) else { return Vec::new() };
        let stored = |key| known.get(&key).copied().unwrap_or_default();
        let mut fresh = Vec::new();
        // Neighbours mostly share a bucket: the ledger is asked once for them.
        let (mut bucket, mut duplicates) = (Bucket::UNTIMED, 0);
        for (index, event) in events.iter().enumerate() {
            let key = event.seen.key;
            if self.see(&asked, &event.seen, stored(key), now) {
                fresh.push(index);
                continue;
            }
            if key.bucket != bucket && duplicates > 0 {
                self.ledger.duplicates(bucket, std::mem::take(&mut duplicates), now.wall);
            }
            (bucket, duplicates) = (key.bucket, duplicates + 1);
        }
        if duplicates > 0 {
            self.ledger.duplicates(bucket, duplicates, now.wall);
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
        known: &HashMap<EventKey, Known>,
        now: Now,
    ) {
        let Some(asked) = self.came_through(ticket) else { return };
        let mut blobs = Vec::new();
        for entry in entries {
            self.tally(&asked, entry.made);
            let in_state = known.get(&entry.key).is_some_and(|known| *known != Known::No);
            if in_state || self.dedup.holds(entry.key) {
                continue;
            }
            let url = match position::pin(&entry.link, &self.plan.base_url) {
                Ok(url) => self.without_credential(&asked, url),
                Err(problem) => return self.refuse(asked, &problem, now),
            };
            let (key, made) = (entry.key, entry.made);
            let not_before = Duration::ZERO;
            blobs.push(Blob { key, url, made, attempts: 0, missing: 0, not_before });
        }
        if let Some(walk) = self.walk_of(asked.lane, asked.job) {
            blobs.into_iter().for_each(|blob| walk.list(blob));
        }
        self.turn(&asked, next, entries.len(), now);
    }

    /// The job that asked, if it is still under way.
    pub(super) fn job(&mut self, lane: usize, serial: u64) -> Option<&mut Job> {
        self.lanes[lane].job.as_mut().filter(|job| job.serial == serial)
    }

    /// What asked for this: `live`, `catchup` or `sweep`; nothing if it is not under way.
    pub fn poll_of(&self, ticket: Ticket) -> &'static str {
        self.asked.get(&ticket).map_or("", |asked| self.lanes[asked.lane].kind.as_str())
    }

    /// Its walk.
    pub(super) fn walk_of(&mut self, lane: usize, serial: u64) -> Option<&mut Walk> {
        self.job(lane, serial).and_then(|job| job.walk.as_mut())
    }

    fn came_on(&mut self, lane: usize, job: u64, now: Now) {
        if let Some(job) = self.job(lane, job) {
            job.came_on = now.mono;
        }
    }

    pub(super) fn blob_done(&mut self, lane: usize, job: u64, key: EventKey, now: Now) {
        let Some(walk) = self.walk_of(lane, job) else { return };
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
                self.fetches_recovered();
            }
            What::Blob(_) => self.lanes[asked.lane].backoff.succeed(),
            // Only one that the walk had not come to before: see `turn`.
            What::Page => {}
        }
        Some(asked)
    }

    /// Says so, if whatever could not be had has been had by now.
    pub(super) fn fetches_recovered(&mut self) {
        let troubled = |job: &Job| job.walk.as_ref().is_some_and(|walk| walk.is_troubled());
        let well = |lane: &Lane| !lane.troubled && !lane.job.as_ref().is_some_and(troubled);
        let all_well = self.setup.backoff.attempt == 0 && self.lanes.iter().all(well);
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

    /// Judges one event; true if it is to be handed over: it is new, or it has changed.
    fn see(&mut self, asked: &Asked, seen: &Seen, stored: Known, now: Now) -> bool {
        self.tally(asked, seen.selected);
        let timed = seen.key.bucket != Bucket::UNTIMED;
        if timed && let Some(job) = self.job(asked.lane, asked.job) {
            job.tally.oldest = Some(job.tally.oldest.map_or(seen.time, |old| old.min(seen.time)));
        }
        if timed {
            self.newest = self.newest.max(Some(seen.time));
        }
        let verdict = self.dedup.judge(seen.version(), stored);
        if verdict == Verdict::Adopted && self.adopted.len() < ADOPTED_MAX {
            self.adopted.push(seen.version());
        }
        if matches!(verdict, Verdict::Same | Verdict::Adopted) {
            self.stats.duplicates += 1;
            return false;
        }
        self.stats.records += 1;
        let fault = seen.fault.or_else(|| self.off_range(asked, seen));
        if let Some(fault) = fault {
            *self.faults.entry(fault).or_default() += 1;
            self.stats.rejected += 1;
        }
        // One that came before, and changed since, says nothing of how late events show.
        if verdict == Verdict::Changed {
            self.unsure.push(seen.key);
            return true;
        }
        // What happened before the very first poll's reach no window has ever covered.
        let covered = timed && seen.selected >= self.progress.origin;
        let covered = covered && !self.is_left_unread(seen.selected);
        let missed_by = now.wall.since(seen.selected);
        if let Some(job) = self.job(asked.lane, asked.job) {
            job.tally.found += 1;
        }
        if covered && let Some(found) = self.tells_lateness(asked, seen.selected, now) {
            self.lateness.add(now.wall.since(seen.time), now.mono);
            if let Some(auto) = &mut self.auto {
                auto.saw(missed_by, found, now.mono);
            }
        }
        // What the window covers by now a live poll would have seen next, and what live polls have not come to, after
        // an outage say, they have not missed.
        let passed = self.progress.live_until.is_some_and(|until| seen.selected <= until);
        let missed = covered && passed && missed_by > self.window;
        if missed
            && matches!(self.lanes[asked.lane].kind, Kind::Sweep(_))
            && let Some(job) = self.job(asked.lane, asked.job)
        {
            job.tally.late += 1;
            job.tally.latest_by = job.tally.latest_by.max(missed_by);
            self.stats.late += 1;
            if self.late.len() < LATE_MAX {
                self.late.insert(seen.key);
            }
        }
        true
    }

    /// Whether an outage left this unread, and the catch-up has not come to it yet.
    fn is_left_unread(&self, moment: Timestamp) -> bool {
        let planned = self.lanes.iter().filter_map(|lane| lane.job.as_ref()?.hole.as_ref());
        self.progress.holes.iter().chain(planned).any(|hole| hole.contains(moment))
    }

    /// Whose first sight it is, if it says how late the API is, and not how late we are.
    fn tells_lateness(&self, asked: &Asked, moment: Timestamp, now: Now) -> Option<Found> {
        let Lane { kind, job, .. } = &self.lanes[asked.lane];
        let job = job.as_ref().filter(|job| job.serial == asked.job && self.polls_on_time(now))?;
        match kind {
            Kind::CatchUp => None,
            Kind::Live => Some(Found::ByPoll),
            // What live polls have not come to yet they have not missed.
            Kind::Sweep(_) => {
                let polled = self.progress.live_until.is_some_and(|until| moment <= until);
                let found = Found::BySweep { found: job.tally.found, of: job.tally.events };
                polled.then_some(found)
            }
        }
    }

    /// An event far from what was asked for: an API may show such, but a misread time looks like it.
    fn off_range(&mut self, asked: &Asked, seen: &Seen) -> Option<Fault> {
        if self.plan.definition.window_on.is_some() {
            return None;
        }
        let walk = self.walk_of(asked.lane, asked.job).filter(|walk| !walk.endless)?;
        let TimeRange { from, to } = walk.slice;
        let near = from - FAR <= seen.time && seen.time <= to + FAR;
        (!near).then_some(Fault::OffRange)
    }

    /// Turns to the next page, or ends the walk.
    fn turn(&mut self, asked: &Asked, token: Option<&str>, events: usize, now: Now) {
        let plan = std::sync::Arc::clone(&self.plan);
        let page_is_full =
            events >= usize::try_from(plan.definition.limits.page).unwrap_or(usize::MAX);
        let paging = plan.definition.next.as_ref();
        let Some(walk) = self.walk_of(asked.lane, asked.job) else { return };
        walk.asked = false;
        let further = walk.page_read();
        let alone = !walk.has_other_parts();
        if further {
            self.came_on(asked.lane, asked.job, now);
            self.lanes[asked.lane].backoff.succeed();
            self.lanes[asked.lane].troubled &= !alone;
            self.fetches_recovered();
        }
        let Some(walk) = self.walk_of(asked.lane, asked.job) else { return };
        let current = walk.next.as_ref();
        let next = match Position::after(paging, current, token, events, &plan.base_url) {
            Ok(next) => next,
            Err(problem) => return self.refuse_page(asked, &problem, now),
        };
        let next = next.map(|position| match position {
            Position::Link(url) => Position::Link(self.without_credential(asked, url)),
            other => other,
        });
        let Some(walk) = self.walk_of(asked.lane, asked.job) else { return };
        if walk.endless {
            return self.turn_endless(asked, next, page_is_full, now);
        }
        match next {
            Some(position) => {
                let follows = walk.follow(position);
                self.next_seen = true;
                if !follows {
                    let problem = "the next-page link repeats, or the pages never end";
                    self.refuse_page(asked, problem, now);
                }
            }
            None => {
                let suspicious = page_is_full && walk.next.is_none() && !self.next_seen;
                if suspicious && paging.is_some_and(Paging::is_by_word) {
                    self.next_seen = true;
                    let report = Report::no_next_page(events, &asked.url);
                    self.reports.push(report);
                }
                let Some(walk) = self.walk_of(asked.lane, asked.job) else { return };
                walk.part_listed();
                if walk.is_complete() {
                    self.slice_read(asked.lane, now);
                }
            }
        }
    }

    /// Goes on along the endless link, whose present end is a page that is not full.
    fn turn_endless(
        &mut self,
        asked: &Asked,
        next: Option<Position>,
        page_is_full: bool,
        now: Now,
    ) {
        let Some(job) = self.job(asked.lane, asked.job) else { return };
        let Some(walk) = job.walk.as_mut() else { return };
        let by_time = walk.next.is_none();
        let ends = !page_is_full || next.is_none() || next == walk.next;
        let goes_on = next.as_ref().map(Position::as_text);
        walk.next = next;
        walk.ended = ends;
        // From here on the link says where reading goes on, and nothing would find the hole again.
        if let Some(hole) = job.hole.take_if(|_| by_time) {
            self.mark(Mark::Hole(hole));
        }
        // What quotes the credential is not written down: after a restart an older link goes on.
        let quotes =
            |text: &String| asked.secret.as_ref().is_some_and(|secret| secret.is_quoted_in(text));
        if goes_on.as_ref().is_some_and(|text| !quotes(text)) {
            self.mark(Mark::Follow(goes_on));
        }
        if ends {
            self.slice_read(asked.lane, now);
        }
    }

    /// A link without the credential that it may echo: it is put there again when it is asked for.
    fn without_credential(&self, asked: &Asked, url: url::Url) -> url::Url {
        match (&self.plan.access, &asked.secret) {
            (Some(access), Some(secret)) => {
                request::without_credential(&url, &access.place, secret)
            }
            _ => url,
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
                self.no_token(&failure, asked, Report::auth_failed, now);
            }
        }
    }
}
