//! One source's requests and their answers: what an engine asks for goes out, and what comes back is told to
//! the engine, or handed on to be read. Makes no decisions, and knows no host and no state.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use zeroize::Zeroize;

use super::holds;
use crate::api::Origin;
use crate::api::page::{self, Failure, FailureKind, PageReader, Response};
use crate::api::request::Ticket;
use crate::auth::{self, Acquire};
use crate::clock::Clock;
use crate::config::plan::{Login, OAuth};
use crate::config::{ConfigError, Plan, Secret};
use crate::http::{Http, HttpError, Waited};
use crate::model::Now;
use crate::poll::{Engine, Fetch, Reads};

/// How far apart sources that share a host go on after it wanted to be left alone.
const PHASE_MAX: Duration = Duration::from_millis(500);

/// The ticket of a request to the login service; the engine's own begin at 1.
const LOGIN: Ticket = Ticket(0);

/// The requests of one source that are under way, and what their answers are to be read with.
pub struct Exchange {
    plan: Arc<Plan>,
    clock: Clock,
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
}

/// An answer of the API that holds events, or a listing of blobs.
#[derive(Debug)]
pub struct Came {
    /// Which request it answers.
    pub ticket: Ticket,
    /// What it is to be read as: a page, a blob or a listing.
    pub reads: Reads,
    /// The answer.
    pub response: Response,
}

impl Exchange {
    /// Nothing under way yet. Ids are hashed with `hash_key`; `wake` interrupts a wait.
    ///
    /// # Errors
    /// If the definition, a certificate, a key or the proxy is no good.
    pub fn new(
        plan: Arc<Plan>,
        clock: Clock,
        hash_key: [u8; 16],
        wake: Arc<Notify>,
    ) -> Result<Self, ConfigError> {
        let reader = PageReader::new(&plan.definition, hash_key)
            .map_err(|error| ConfigError::new("api", error, "mend the definition"))?;
        Ok(Self {
            reader: reader.on(plan.dedup_on),
            http: Http::new(&plan.http, wake)?,
            asked: HashMap::new(),
            proof: None,
            api: Origin::of(&plan.base_url),
            login: oauth(&plan).and_then(|oauth| Origin::of(&oauth.token_url)),
            phase: PHASE_MAX.mul_f64(fastrand::f64()),
            plan,
            clock,
        })
    }

    /// What reads the answers.
    pub fn reader(&self) -> &PageReader {
        &self.reader
    }

    /// Tells the engine which hosts want to be left alone, whichever source they said it to.
    pub fn hold(&self, engine: &mut Engine) {
        let held = |origin: &Option<Origin>| {
            let until = origin.as_ref().map(holds::until).unwrap_or_default();
            if until.is_zero() { until } else { until + self.phase }
        };
        engine.hold(held(&self.api), held(&self.login));
    }

    /// Sends a request to the API.
    pub fn fetch(&mut self, fetch: &Fetch) {
        self.asked.insert(fetch.ticket, fetch.reads);
        self.http.send(fetch.ticket, &fetch.spec);
    }

    /// Gets a token, or asks the login service for one.
    pub fn login(&mut self, engine: &mut Engine) {
        let now = self.clock.now();
        let Some(access) = &self.plan.access else { return };
        match auth::acquire(&access.login, now.wall) {
            Ok(Acquire::Ask { spec, proof }) => {
                self.http.send(LOGIN, &spec);
                self.proof = proof;
            }
            Ok(Acquire::Granted(grant)) => engine.logged_in(Ok(grant), now),
            Err(failure) => engine.logged_in(Err(failure), now),
        }
    }

    /// Waits for an answer (if `may_answer`), a wake-up, or the end of the time.
    pub fn wait(&mut self, at_most: Duration, may_answer: bool) -> Waited {
        self.http.wait(at_most, may_answer)
    }

    /// Tells the engine of an answer; returns it if it is one to be read.
    pub fn answered(
        &mut self,
        ticket: Ticket,
        answer: Result<Response, HttpError>,
        engine: &mut Engine,
    ) -> Option<Came> {
        let now = self.clock.now();
        let answer = answer.map_err(|error| transient(0, error.to_string()));
        if let Ok(response) = &answer {
            engine.stats(now).received_bytes += response.received_bytes as u64;
        }
        if ticket == LOGIN {
            self.granted(answer, engine, now);
            return None;
        }
        let reads = self.asked.remove(&ticket)?;
        match answer {
            Ok(response) => self.came(ticket, reads, response, engine, now),
            Err(failure) => {
                engine.failed(ticket, &failure, now);
                None
            }
        }
    }

    /// The login service has answered, or could not be asked.
    fn granted(&mut self, answer: Result<Response, Failure>, engine: &mut Engine, now: Now) {
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
        engine.logged_in(grant, now);
    }

    /// An answer of the API has come, which may be a refusal.
    fn came(
        &mut self,
        ticket: Ticket,
        reads: Reads,
        response: Response,
        engine: &mut Engine,
        now: Now,
    ) -> Option<Came> {
        if let Some(wait) = page::spare(&response, self.plan.definition.quota.as_ref(), now.wall) {
            engine.spare(wait, now);
            if let Some(origin) = &self.api {
                holds::hold(origin, now.mono + wait, now.mono);
            }
        }
        if let Some(failure) = page::failure(&response, Some(&self.plan.definition), now.wall) {
            hold(self.api.as_ref(), &failure, now);
            engine.failed(ticket, &failure, now);
            self.recycle(response);
            return None;
        }
        match reads {
            Reads::Page | Reads::Blob(_) | Reads::Listing => {
                return Some(Came { ticket, reads, response });
            }
            Reads::Subscriptions => match self.reader.subscriptions(&response) {
                Ok(on) => engine.subscriptions(ticket, &on),
                Err(error) => {
                    let failure = transient(response.status, error.to_string());
                    engine.failed(ticket, &failure, now);
                }
            },
            Reads::Started => engine.subscribed(ticket),
        }
        self.recycle(response);
        None
    }

    /// An answer has been read, or could not be: its buffer serves again.
    pub fn done(&mut self, came: Came, read: Result<(), page::BodyError>, engine: &mut Engine) {
        if let Err(error) = read {
            let failure = transient(came.response.status, error.to_string());
            engine.failed(came.ticket, &failure, self.clock.now());
        }
        self.recycle(came.response);
    }

    fn recycle(&mut self, response: Response) {
        self.http.recycle(response.body);
    }
}

/// Tells the other instances that a host wants to be left alone.
fn hold(origin: Option<&Origin>, failure: &Failure, now: Now) {
    if let (Some(origin), FailureKind::Throttled(Some(wait))) = (origin, failure.kind) {
        holds::hold(origin, now.mono + wait, now.mono);
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
