//! Asks an API by a plan, one request at a time: no engine, no state, no retries.

use std::sync::Arc;
use std::time::Duration;

use in_lookback::api::page::{self, Failure, FailureKind, PageReader, Response};
use in_lookback::api::position::Position;
use in_lookback::api::request::{Credential, RequestSpec, Requests, Ticket};
use in_lookback::auth::{self, Acquire};
use in_lookback::clock::Clock;
use in_lookback::config::{Plan, Secret};
use in_lookback::http::{Http, Waited};
use in_lookback::model::Now;
use tokio::sync::Notify;
use zeroize::Zeroize;

/// The client gives up by itself after `timeout`; so much later nobody waits for it any more.
const GRACE: Duration = Duration::from_secs(5);

/// Whoever asks for a plan's source, and what has been granted to it.
pub(crate) struct Client<'p> {
    pub(crate) plan: &'p Plan,
    pub(crate) reader: PageReader,
    http: Http,
    clock: Clock,
    token: Option<Secret>,
    tickets: u64,
}

impl<'p> Client<'p> {
    /// Nothing asked yet; `wake` cuts a wait short, for an answer too.
    ///
    /// # Errors
    /// If the definition, a certificate, a key or the proxy is no good.
    pub(crate) fn new(plan: &'p Plan, wake: Arc<Notify>) -> Result<Self, String> {
        let reader = PageReader::new(&plan.definition, [0; 16])?;
        let http = Http::new(&plan.http, wake).map_err(|error| error.to_string())?;
        Ok(Self { plan, reader, http, clock: Clock::start(), token: None, tickets: 0 })
    }

    pub(crate) fn now(&self) -> Now {
        self.clock.now()
    }

    /// Gets a token, if the plan wants one.
    pub(crate) fn login(&mut self) -> Result<(), Failure> {
        let Some(access) = &self.plan.access else { return Ok(()) };
        let now = self.now().wall;
        let grant = match auth::acquire(&access.login, now)? {
            Acquire::Granted(grant) => grant,
            Acquire::Ask { spec, proof } => {
                let answer = self.send(&spec);
                let grant = answer.and_then(|mut response| {
                    let grant = auth::grant(&response, now);
                    response.body.zeroize();
                    grant
                });
                grant.map_err(|failure| failure.without(proof.as_ref()))?
            }
        };
        self.token = Some(grant.token);
        Ok(())
    }

    /// How requests of this source are made.
    pub(crate) fn requests(&self) -> Requests<'p> {
        let Plan { base_url: base, definition, values, .. } = self.plan;
        Requests { base, definition, values }
    }

    /// Where a walk goes on after a page with so many events, if it does.
    pub(crate) fn next(
        &self,
        at: Option<&Position>,
        token: Option<&str>,
        events: usize,
    ) -> Result<Option<Position>, String> {
        let paging = self.plan.definition.next.as_ref();
        Position::after(paging, at, token, events, &self.plan.base_url)
    }

    /// Asks the API, once; what is not an answer to be read is a failure. No credential is quoted.
    pub(crate) fn ask(&mut self, mut spec: RequestSpec) -> Result<Response, Failure> {
        if let (Some(access), Some(token)) = (&self.plan.access, &self.token) {
            let value = Secret::new(format!("{}{}", access.prefix, token.expose()));
            spec.credential = Some(Credential { place: access.place.clone(), value });
        }
        let answer = self.send(&spec).and_then(|response| {
            match page::failure(&response, Some(&self.plan.definition), self.now().wall) {
                Some(failure) => Err(failure),
                None => Ok(response),
            }
        });
        answer.map_err(|failure| failure.without(self.token.as_ref()))
    }

    /// Waits, asking nothing.
    pub(crate) fn wait(&mut self, at_most: Duration) {
        self.http.wait(at_most, false);
    }

    /// Sends one request, and waits for its answer.
    fn send(&mut self, spec: &RequestSpec) -> Result<Response, Failure> {
        self.tickets += 1;
        self.http.send(Ticket(self.tickets), spec);
        let until = self.now().mono + self.plan.http.timeout + GRACE;
        while let Some(left) = until.checked_sub(self.now().mono) {
            match self.http.wait(left, true) {
                Waited::Answered(ticket, answer) if ticket == Ticket(self.tickets) => {
                    return answer.map_err(|error| transient(0, error.to_string()));
                }
                Waited::Woken => return Err(transient(0, "called away".to_owned())),
                // Of a request that nobody waited for any more.
                Waited::Answered(..) | Waited::TimedOut => {}
            }
        }
        Err(transient(0, "no answer in time".to_owned()))
    }
}

/// A failure that may pass.
pub(crate) fn transient(status: u16, error: String) -> Failure {
    Failure { kind: FailureKind::Transient, status, error }
}
