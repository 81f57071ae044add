//! The fetch thread's loop: does what the engine says over the shells, and commits what has settled.

use std::sync::Arc;
use std::time::Duration;

use super::shared::{Level, Shared};
use super::{Setup, batch, holds};
use crate::api::Origin;
use crate::api::page::{self, Failure, FailureKind, PageReader, Response};
use crate::api::request::Ticket;
use crate::auth::{self, Acquire};
use crate::clock::Clock;
use crate::config::plan::{Login, OAuth};
use crate::config::{ConfigError, Plan};
use crate::encode::health;
use crate::handoff::Lot;
use crate::http::{Http, HttpError, Waited};
use crate::model::{Fault, Now};
use crate::poll::dedup::Dedup;
use crate::poll::progress::Commit;
use crate::poll::report::{Report, Severity};
use crate::poll::{Engine, Step, engine};
use crate::state::sqlite::SqliteState;
use crate::state::{Opened, State};

/// The thread looks around at least this often.
const ROUND_MAX: Duration = Duration::from_secs(1);

/// Bytes that may wait for the host before fetching pauses.
const AHEAD_MAX: usize = 4 * 1024 * 1024;

/// How long to wait before a commit that failed is tried again.
const COMMIT_AGAIN: Duration = Duration::from_secs(1);

/// What the request under way is for.
#[derive(Clone, Copy)]
enum Asked {
    Token,
    Page,
}

pub(super) struct Run {
    plan: Arc<Plan>,
    shared: Arc<Shared>,
    clock: Clock,
    engine: Engine,
    state: SqliteState,
    reader: PageReader,
    http: Http,
    asked: Asked,
    /// The hosts of the API and of the login service.
    api: Option<Origin>,
    login: Option<Origin>,
    /// A commit that failed, to be tried again.
    unsaved: Option<Commit>,
    commit_not_before: Duration,
}

impl Run {
    /// Prepares a run from the state.
    pub(super) fn new(setup: &Setup, mut opened: Opened<SqliteState>) -> Result<Self, ConfigError> {
        let (plan, clock) = (Arc::clone(&setup.plan), setup.clock);
        let now = clock.now();
        let db = |error: String| ConfigError::new("db", error, "check the state file");
        let horizon = engine::horizon(&plan.schedule, now.wall);
        let mut dedup = Dedup::new(horizon);
        let loaded = opened.state.recent(horizon, &mut |key| dedup.load(key));
        loaded.map_err(|error| db(error.to_string()))?;
        let reader = PageReader::new(&plan.definition, opened.hash_key)
            .map_err(|error| ConfigError::new("api", error, "mend the definition"))?;
        let http = Http::new(&plan.http, Arc::clone(&setup.shared.wake))?;
        let seed = fastrand::u64(..);
        let mut engine = Engine::new(Arc::clone(&plan), opened.progress, dedup, seed, now);
        if let Some(damage) = &opened.damage {
            engine.state_failed(damage, now);
        }
        Ok(Self {
            api: Origin::of(&plan.base_url),
            login: oauth(&plan).and_then(|oauth| Origin::of(&oauth.token_url)),
            shared: Arc::clone(&setup.shared),
            state: opened.state,
            asked: Asked::Page,
            unsaved: None,
            commit_not_before: Duration::ZERO,
            plan,
            clock,
            engine,
            reader,
            http,
        })
    }

    /// Runs until the host stops it.
    pub(super) fn run(&mut self) {
        while !self.shared.stopping() {
            self.commit();
            let mut until = self.next_commit();
            if self.http.in_flight() == 0 {
                until = until.min(self.step());
            }
            self.publish();
            let now = self.clock.now().mono;
            let waited = self.http.wait(until.saturating_sub(now).min(ROUND_MAX));
            if let Waited::Answered(_, answer) = waited {
                self.answered(answer);
            }
        }
        self.last_commit();
    }

    /// Does what the engine says; returns until when there is nothing else to do.
    fn step(&mut self) -> Duration {
        let now = self.clock.now();
        let held = |origin: &Option<Origin>| origin.as_ref().map(holds::until).unwrap_or_default();
        self.engine.hold(held(&self.api), held(&self.login));
        let room = self.shared.handoff().ready_bytes() < AHEAD_MAX.min(self.plan.tick_bytes);
        match self.engine.next(now, room) {
            Step::Wait(until) => return until,
            Step::Fetch(spec) => {
                self.asked = Asked::Page;
                self.http.send(Ticket(0), &spec);
            }
            Step::Login => {
                self.asked = Asked::Token;
                self.login();
                if self.http.in_flight() == 0 {
                    return now.mono;
                }
            }
        }
        Duration::MAX
    }

    fn login(&mut self) {
        let Some(access) = &self.plan.access else { return };
        let now = self.clock.now();
        match auth::acquire(&access.login, now.wall) {
            Ok(Acquire::Granted(grant)) => self.engine.logged_in(Ok(grant), now),
            Ok(Acquire::Ask(spec)) => self.http.send(Ticket(0), &spec),
            Err(failure) => self.engine.logged_in(Err(failure), now),
        }
    }

    fn answered(&mut self, answer: Result<Response, HttpError>) {
        let now = self.clock.now();
        let answer = answer.map_err(|error| transient(0, error.to_string()));
        if let Ok(response) = &answer {
            self.engine.stats(now).received_bytes += response.received_bytes as u64;
        }
        match self.asked {
            Asked::Token => {
                let grant = answer.and_then(|response| auth::grant(&response, now.wall));
                if let Err(failure) = &grant {
                    hold(self.login.as_ref(), failure, now);
                }
                self.engine.logged_in(grant, now);
            }
            Asked::Page => match answer {
                Err(failure) => self.engine.failed(&failure, now),
                Ok(response) => match page::failure(&response, now.wall) {
                    Some(failure) => {
                        hold(self.api.as_ref(), &failure, now);
                        self.engine.failed(&failure, now);
                    }
                    None => self.read(response),
                },
            },
        }
    }

    /// Reads a page, and hands on what of it is new.
    fn read(&mut self, response: Response) {
        let now = self.clock.now();
        let page = match self.reader.read(&response.body, now.wall) {
            Ok(page) => page,
            Err(error) => {
                self.engine.failed(&transient(response.status, error.to_string()), now);
                return;
            }
        };
        let mut known = self.engine.lookups(page.events.iter().map(|event| &event.seen.key));
        if !known.is_empty()
            && let Err(error) = self.state.known(&mut known)
        {
            self.engine.state_failed(&error.to_string(), now);
            self.engine.deferred(now);
            return;
        }
        let fresh = self.engine.page(&page.events, page.next.as_deref(), &known, now);
        let spare = || self.shared.handoff().spare();
        let format = &self.plan.format;
        let (lots, as_text) =
            batch::encode(&page.events, &fresh, format, self.plan.batch_size, spare);
        if as_text > 0 {
            self.engine.rejected(Fault::NotTranscoded, as_text);
        }
        let marks = self.engine.take_marks();
        let mut handoff = self.shared.handoff();
        lots.into_iter().for_each(|lot| handoff.push(lot));
        handoff.push_marks(marks);
        drop(handoff);
        drop(page);
        self.http.recycle(response.body);
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
                self.engine.state_failed(&error.to_string(), now);
                self.unsaved = Some(commit);
                self.commit_not_before = now.mono + COMMIT_AGAIN;
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
    if let Ok(runtime) = runtime {
        runtime.block_on(async {
            let _ = tokio::time::timeout(Duration::from_secs(5), shared.wake.notified()).await;
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
