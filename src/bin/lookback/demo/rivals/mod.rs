//! Two other ways to collect, as real clients of the same API: each polls in a thread of its own, by its own rule.
//!
//! | module | the rule |
//! |---|---|
//! | [`adjacent`] | each slice of time once |
//! | [`script`] | a long window, and the ids of one run |
//!
//! A rule decides what to ask for and what to send on; this is the shell around it. It is the better for both:
//! records are sent when a range has been read to its end, and a range that fails is asked for again.

pub(crate) mod adjacent;
pub(crate) mod script;

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use in_lookback::api::page::{Failure, FailureKind};
use in_lookback::api::request::PageOf;
use in_lookback::config::Plan;
use in_lookback::model::{TimeRange, Timestamp};
use serde_json::Value;
use tokio::sync::Notify;

use super::books::{Tally, id_of};
use super::story::INTERVAL;
use crate::client::{Client, transient};

/// A way to collect.
pub(crate) trait Rule {
    /// What is asked for at `now`: what lies before it is never asked for again, as things stand.
    fn range(&self, now: Timestamp) -> TimeRange;

    /// `range` has been read to its end, and these are the ids in it.
    fn read(&mut self, range: TimeRange, ids: Vec<String>) -> Verdict;
}

/// What a rule makes of what it has read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// The ids of the records that are sent on.
    pub(crate) send: Vec<String>,
    /// Whether it asks again at once, rather than after the interval.
    pub(crate) again: bool,
}

/// A running client; dropping it stops it.
pub(crate) struct Rival {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    tally: Mutex<Tally>,
    stop: AtomicBool,
    wake: Arc<Notify>,
}

impl Shared {
    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

impl Rival {
    /// Begins to poll by `rule`.
    pub(crate) fn start(plan: Plan, rule: impl Rule + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        let thread = thread::Builder::new().name("rival".to_owned());
        let thread = thread.spawn(move || {
            let client = Client::new(&plan, Arc::clone(&of_thread.wake));
            let client = client.expect("the plugin accepts the same plan");
            Poller { client, rule, shared: &of_thread }.run();
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Asks no more. What it waits for, it lets go.
    pub(crate) fn stop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic over there was printed over there.
            let _ = thread.join();
        }
    }

    /// How it stands.
    pub(crate) fn tally(&self) -> MutexGuard<'_, Tally> {
        self.shared.tally()
    }
}

impl Drop for Rival {
    fn drop(&mut self) {
        self.stop();
    }
}

struct Poller<'p, R> {
    client: Client<'p>,
    rule: R,
    shared: &'p Shared,
}

impl<R: Rule> Poller<'_, R> {
    fn run(&mut self) {
        while self.client.login().is_err() && !self.shared.is_stopped() {
            self.wait(INTERVAL);
        }
        while !self.shared.is_stopped() {
            let now = self.client.now();
            let range = self.rule.range(now.wall);
            self.shared.tally().reach = range.from;
            if !self.poll(range) {
                let next = now.mono + INTERVAL;
                self.wait(next.saturating_sub(self.client.now().mono));
            }
        }
    }

    /// Waits, unless it is to stop: a request may have used up the call to.
    fn wait(&mut self, at_most: Duration) {
        if !self.shared.is_stopped() {
            self.client.wait(at_most);
        }
    }

    /// Reads a range until it has been read; whether to ask again at once.
    fn poll(&mut self, range: TimeRange) -> bool {
        while !self.shared.is_stopped() {
            match self.walk(range) {
                Ok(ids) => {
                    let Verdict { send, again } = self.rule.read(range, ids);
                    self.shared.tally().enter(send);
                    return again;
                }
                // Whatever it is, it is waited out.
                Err(Failure { kind: FailureKind::Throttled(Some(wait)), .. }) => {
                    self.wait(wait);
                }
                Err(_) => self.wait(INTERVAL),
            }
        }
        false
    }

    /// The ids in a range, page by page.
    fn walk(&mut self, range: TimeRange) -> Result<Vec<String>, Failure> {
        let mut ids = Vec::new();
        let mut at = None;
        loop {
            let page = PageOf { range, part: None, position: at.as_ref(), endless: false };
            let spec = self.client.requests().page(page).map_err(|error| transient(0, error))?;
            self.shared.tally().requests += 1;
            let response = self.client.ask(spec)?;
            let broken = |error: String| transient(response.status, error);
            let page = self.client.reader.page(&response, self.client.now().wall);
            let page = page.map_err(|error| broken(error.to_string()))?;
            self.shared.tally().read += page.events.len() as u64;
            let records = page.events.iter().map(|event| serde_json::from_str(event.raw));
            ids.extend(records.map(|record| id_of(&record.unwrap_or(Value::Null))));
            let next = self.client.next(at.as_ref(), page.next.as_deref(), page.events.len());
            at = next.map_err(broken)?;
            if at.is_none() {
                return Ok(ids);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::time::Instant;

    use in_lookback::config::load;

    use super::script::Script;
    use super::*;

    #[test]
    fn a_rival_stops_at_once_though_nobody_answers_it() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", silent.local_addr().unwrap());
        let property = |key: &str| match key {
            "api" => Some("entra_signins".to_owned()),
            "base_url" | "token_url" => Some(url.clone()),
            "tenant" | "client_id" | "client_secret" => Some("contoso.example".to_owned()),
            "db" => Some("/nonexistent/lookback.db".to_owned()),
            _ => None,
        };
        let plan = load::plan(property).unwrap();
        let patience = plan.http.timeout;
        let mut rival = Rival::start(plan, Script::new()).unwrap();
        let _unanswered = silent.accept().unwrap();
        let stopped = Instant::now();
        rival.stop();
        assert!(stopped.elapsed() < patience);
    }
}
