//! The fetch thread's loop: does what the engine says over the shells, and commits what has settled.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroize;

use super::shared::{Level, Shared};
use super::{Setup, batch, holds};
use crate::api::Origin;
use crate::api::page::{self, BodyError, Failure, FailureKind, PageReader, Response};
use crate::api::request::Ticket;
use crate::auth::{self, Acquire};
use crate::clock::Clock;
use crate::config::plan::{Login, OAuth};
use crate::config::{ConfigError, Plan, Secret};
use crate::encode::health;
use crate::handoff::Lot;
use crate::http::{Http, HttpError, Waited};
use crate::model::{EventKey, Fault, Now};
use crate::poll::dedup::Dedup;
use crate::poll::progress::Commit;
use crate::poll::report::{Report, Severity};
use crate::poll::{Engine, Reads, Step};
use crate::state::sqlite::SqliteState;
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
const REST: Duration = Duration::from_secs(5);

/// How far apart sources that share a host go on after it wanted to be left alone.
const PHASE_MAX: Duration = Duration::from_millis(500);

/// The ticket of a request to the login service; the engine's own begin at 1.
const LOGIN: Ticket = Ticket(0);

pub(super) struct Run {
    plan: Arc<Plan>,
    shared: Arc<Shared>,
    clock: Clock,
    engine: Engine,
    state: SqliteState,
    reader: PageReader,
    http: Http,
    /// What the answers to the requests under way are to be read as.
    asked: HashMap<Ticket, Reads>,
    /// What the request to the login service that is under way proves itself with.
    proof: Option<Secret>,
    /// The hosts of the API and of the login service.
    api: Option<Origin>,
    login: Option<Origin>,
    /// So much later than the others this source goes on after a host wanted to be left alone: else
    /// all would ask at the same moment, and all be told the same again.
    phase: Duration,
    /// A commit that failed, to be tried again.
    unsaved: Option<Commit>,
    commit_not_before: Duration,
    /// When to look next whether the state is still where it was, and when it may be renewed again.
    look_at: Duration,
    renew_not_before: Duration,
    anew: bool,
}

/// How a run ended, if not by a panic.
pub(super) enum End {
    /// The host stopped it.
    Stopped,
    /// What it had in memory does not fit the state any more: the next begins from there.
    Anew,
}

impl Run {
    /// Prepares a run from the state.
    pub(super) fn new(setup: &Setup, opened: Opened<SqliteState>) -> Result<Self, ConfigError> {
        let (plan, clock) = (Arc::clone(&setup.plan), setup.clock);
        let now = clock.now();
        let mut dedup = Dedup::new(opened.recent_from);
        opened.recent.iter().for_each(|key| dedup.load(*key));
        let (reader, http) = tools(setup, opened.hash_key)?;
        let seed = fastrand::u64(..);
        let mut engine = Engine::new(Arc::clone(&plan), opened.progress, dedup, seed, now);
        if let Some(damage) = &opened.damage {
            engine.state_lost(damage, now);
        }
        if let Some(warning) = opened.warning {
            setup.shared.log(Level::Warn, warning);
        }
        Ok(Self {
            api: Origin::of(&plan.base_url),
            login: oauth(&plan).and_then(|oauth| Origin::of(&oauth.token_url)),
            shared: Arc::clone(&setup.shared),
            state: opened.state,
            asked: HashMap::new(),
            proof: None,
            phase: PHASE_MAX.mul_f64(fastrand::f64()),
            unsaved: None,
            commit_not_before: Duration::ZERO,
            look_at: Duration::ZERO,
            renew_not_before: Duration::ZERO,
            anew: false,
            plan,
            clock,
            engine,
            reader,
            http,
        })
    }

    /// Runs until the host stops it, or until the state is one that memory does not fit.
    pub(super) fn run(&mut self) -> End {
        while !self.shared.stopping() {
            self.commit();
            if self.anew {
                self.publish();
                return End::Anew;
            }
            let until = self.step().min(self.next_commit());
            self.publish();
            let now = self.clock.now().mono;
            // An answer stays compressed, and in its place, until there is room for what it holds.
            let may_answer = self.has_room();
            let waited = self.http.wait(until.saturating_sub(now).min(ROUND_MAX), may_answer);
            if let Waited::Answered(ticket, answer) = waited {
                self.answered(ticket, answer);
            }
        }
        self.last_commit();
        End::Stopped
    }

    /// Does what the engine says; returns until when there is nothing else to do.
    fn step(&mut self) -> Duration {
        let held = |origin: &Option<Origin>| {
            let until = origin.as_ref().map(holds::until).unwrap_or_default();
            if until.is_zero() { until } else { until + self.phase }
        };
        self.engine.hold(held(&self.api), held(&self.login));
        while !self.shared.stopping() {
            let now = self.clock.now();
            match self.engine.next(now, self.has_room()) {
                Step::Wait(until) if until > now.mono => return until,
                Step::Wait(_) => {}
                Step::Fetch(fetch) => {
                    self.asked.insert(fetch.ticket, fetch.reads);
                    self.http.send(fetch.ticket, &fetch.spec);
                }
                Step::Login => self.login(),
            }
        }
        Duration::ZERO
    }

    /// Whether there is room for another page.
    fn has_room(&self) -> bool {
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

    fn login(&mut self) {
        let now = self.clock.now();
        let Some(access) = &self.plan.access else { return };
        match auth::acquire(&access.login, now.wall) {
            Ok(Acquire::Ask { spec, proof }) => {
                self.http.send(LOGIN, &spec);
                self.proof = proof;
            }
            Ok(Acquire::Granted(grant)) => self.engine.logged_in(Ok(grant), now),
            Err(failure) => self.engine.logged_in(Err(failure), now),
        }
    }

    fn answered(&mut self, ticket: Ticket, answer: Result<Response, HttpError>) {
        let now = self.clock.now();
        let answer = answer.map_err(|error| transient(0, error.to_string()));
        if let Ok(response) = &answer {
            self.engine.stats(now).received_bytes += response.received_bytes as u64;
        }
        if ticket == LOGIN {
            let proof = self.proof.take();
            let grant = answer.and_then(|mut response| {
                let grant = auth::grant(&response, now.wall);
                response.body.zeroize();
                grant
            });
            let grant = grant.map_err(|failure| failure.without(proof.as_ref()));
            if let Err(failure) = &grant {
                hold(self.login.as_ref(), failure, now);
            }
            self.engine.logged_in(grant, now);
            return;
        }
        let Some(reads) = self.asked.remove(&ticket) else { return };
        match answer {
            Ok(response) => {
                self.came(ticket, reads, &response, now);
                self.http.recycle(response.body);
            }
            Err(failure) => self.engine.failed(ticket, &failure, now),
        }
    }

    /// An answer of the API has come, which may be a refusal.
    fn came(&mut self, ticket: Ticket, reads: Reads, response: &Response, now: Now) {
        if let Some(wait) = page::spare(response, self.plan.definition.quota.as_ref(), now.wall) {
            self.engine.spare(wait, now);
            if let Some(origin) = &self.api {
                holds::hold(origin, now.mono + wait, now.mono);
            }
        }
        if let Some(failure) = page::failure(response, Some(&self.plan.definition), now.wall) {
            hold(self.api.as_ref(), &failure, now);
            return self.engine.failed(ticket, &failure, now);
        }
        let read = match reads {
            Reads::Page | Reads::Blob(_) => self.events(ticket, reads, response),
            Reads::Listing => self.listing(ticket, response),
            Reads::Subscriptions => {
                self.reader.subscriptions(response).map(|on| self.engine.subscriptions(ticket, &on))
            }
            Reads::Started => {
                self.engine.subscribed(ticket);
                Ok(())
            }
        };
        if let Err(error) = read {
            let failure = transient(response.status, error.to_string());
            self.engine.failed(ticket, &failure, now);
        }
    }

    /// Reads a page or a blob, and hands on what of it is new.
    fn events(
        &mut self,
        ticket: Ticket,
        reads: Reads,
        response: &Response,
    ) -> Result<(), BodyError> {
        let now = self.clock.now();
        let page = match reads {
            Reads::Blob(made) => self.reader.blob(response, made, now.wall)?,
            _ => self.reader.page(response, now.wall)?,
        };
        let keys = page.events.iter().map(|event| &event.seen.key);
        let Some(known) = self.known(ticket, keys) else { return Ok(()) };
        let poll = self.engine.poll_of(ticket);
        let fresh = self.engine.page(ticket, &page.events, page.next.as_deref(), &known, now);
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
    fn listing(&mut self, ticket: Ticket, response: &Response) -> Result<(), BodyError> {
        let listing = self.reader.listing(response)?;
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
    ) -> Option<HashMap<EventKey, bool>> {
        let mut known = self.engine.lookups(keys);
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
        if now.mono < self.commit_not_before {
            return;
        }
        if self.unsaved.is_none() {
            let settled = self.shared.handoff().settle(now.mono, self.plan.commit_delay);
            if !settled.is_empty() {
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
        let Some(commit) = self.unsaved.take() else { return };
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
        if error.trouble() != Trouble::Lost || now.mono < self.renew_not_before {
            self.engine.state_failed(&error.to_string(), now);
            return false;
        }
        let kept = self.engine.kept(&self.shared.handoff().pending());
        let go_on = || !self.shared.stopping();
        match self.state.renew(&kept, error, now.wall, &go_on) {
            Ok(renewed) => {
                self.engine.state_lost(&renewed.what, now);
                self.anew = !renewed.same_key;
                self.renew_not_before = now.mono + RENEW_AGAIN;
                self.commit_not_before = now.mono;
                // Shows whether the new one can be written.
                self.unsaved.get_or_insert_with(|| self.engine.commit(&[], Vec::new(), now));
                renewed.same_key
            }
            Err(again) => {
                self.engine.state_failed(&format!("{error}: {again}"), now);
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
        self.save();
        if self.unsaved.is_some() {
            return;
        }
        let settled = match self.shared.stored() {
            Some(records) => self.shared.handoff().settle_stored(records),
            None => self.shared.handoff().settle_surely_stored(now.mono),
        };
        if !settled.is_empty() {
            self.unsaved = Some(self.engine.commit(&settled.marks, settled.keys, now));
            self.save();
        }
        self.publish();
    }

    /// Shows stats, reports and progress to the other side.
    fn publish(&mut self) {
        let now = self.clock.now();
        let marks = self.engine.take_marks();
        for report in self.engine.take_reports() {
            self::report(&self.plan, &self.shared, &report);
        }
        let mut handoff = self.shared.handoff();
        handoff.push_marks(marks);
        let pending = handoff.pending_records();
        drop(handoff);
        let stats = self.engine.stats(now);
        stats.pending_records = pending;
        self.shared.stats().clone_from(stats);
    }
}

/// Finds out what a run would refuse besides its state.
pub(super) fn check(setup: &Setup) -> Result<(), ConfigError> {
    tools(setup, [0; 16]).map(|_| ())
}

fn tools(setup: &Setup, hash_key: [u8; 16]) -> Result<(PageReader, Http), ConfigError> {
    let reader = PageReader::new(&setup.plan.definition, hash_key)
        .map_err(|error| ConfigError::new("api", error, "mend the definition"))?;
    Ok((reader, Http::new(&setup.plan.http, Arc::clone(&setup.shared.wake))?))
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

/// Tells the other instances that a host wants to be left alone.
fn hold(origin: Option<&Origin>, failure: &Failure, now: Now) {
    if let (Some(origin), FailureKind::Throttled(Some(wait))) = (origin, failure.kind) {
        holds::hold(origin, now.mono + wait, now.mono);
    }
}

/// A pause before the thread comes back to life, which a stop ends.
pub(super) fn rest(shared: &Shared) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let until = shared.now().mono + REST;
    while let Ok(runtime) = &runtime
        && !shared.stopping()
        && let Some(left) = until.checked_sub(shared.now().mono)
    {
        runtime.block_on(async {
            let _ = tokio::time::timeout(left, shared.wake.notified()).await;
        });
    }
}

fn oauth(plan: &Plan) -> Option<&OAuth> {
    match &plan.access.as_ref()?.login {
        Login::OAuth(oauth) => Some(oauth),
        Login::Fixed(_) | Login::Basic { .. } => None,
    }
}

fn transient(status: u16, error: String) -> Failure {
    Failure { kind: FailureKind::Transient, status, error }
}
