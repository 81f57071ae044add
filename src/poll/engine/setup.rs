//! What must be switched on before the API collects events.

use std::time::Duration;

use super::{Engine, Reads, Ticket, What};
use crate::api::definition::{Definition, Method};
use crate::api::request::{RequestSpec, Requests};
use crate::config::Plan;
use crate::model::Now;
use crate::poll::backoff::Backoff;

/// Whether something may be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Gate {
    /// It may.
    Open,
    /// Not before the setup's answer is in.
    Closed,
    /// Not before this moment.
    ClosedUntil(Duration),
    /// The setup's next request goes first.
    Ask,
}

/// How far that has come.
#[derive(Debug)]
pub(super) struct Setup {
    stage: Stage,
    pub(super) asked: bool,
    /// How many attempts to start something failed in a row.
    failures: usize,
    /// Whether everything has been tried once: from then on, what is off does not hold up the rest.
    tried: bool,
    pub(super) backoff: Backoff,
    pub(super) not_before: Duration,
}

#[derive(Debug)]
enum Stage {
    /// It is not known what is on.
    Unknown,
    /// These are off.
    Off(Vec<String>),
    /// All is on.
    Done,
}

impl Setup {
    pub(super) fn new(definition: &Definition) -> Self {
        let stage = if definition.subscriptions.is_some() { Stage::Unknown } else { Stage::Done };
        Self {
            stage,
            asked: false,
            failures: 0,
            tried: false,
            backoff: Backoff::default(),
            not_before: Duration::ZERO,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        matches!(self.stage, Stage::Done)
    }

    /// Whether reading waits for it; nothing if the setup has to say nothing now.
    pub(super) fn gate(&self, now: Duration) -> Gate {
        let busy = self.asked || now < self.not_before;
        match self.is_done() || (self.tried && busy) {
            true => Gate::Open,
            false if self.asked => Gate::Closed,
            false if busy => Gate::ClosedUntil(self.not_before),
            false => Gate::Ask,
        }
    }

    /// The API says that something is off after all.
    pub(super) fn begin_again(&mut self) {
        if self.is_done() {
            self.stage = Stage::Unknown;
        }
    }

    fn next(&self) -> Option<&str> {
        match &self.stage {
            Stage::Off(names) => names.last().map(String::as_str),
            Stage::Unknown | Stage::Done => None,
        }
    }
}

impl Engine {
    /// The next request of the setup.
    pub(super) fn setup_request(&self) -> Option<(RequestSpec, What, Reads)> {
        let subscriptions = self.plan.definition.subscriptions.as_ref()?;
        let Plan { base_url: base, definition, values, .. } = self.plan.as_ref();
        let requests = Requests { base, definition, values };
        let (call, method, reads) = match self.setup.next() {
            None => (&subscriptions.list, Method::Get, Reads::Subscriptions),
            Some(_) => (&subscriptions.start, Method::Post, Reads::Started),
        };
        let spec = requests.call(call, method, self.setup.next());
        Some((spec.expect("the plan filled these templates once already"), What::Setup, reads))
    }

    /// These are on.
    pub fn subscriptions(&mut self, ticket: Ticket, on: &[String]) {
        if self.came_through(ticket).is_none() {
            return;
        }
        let wanted = self.plan.parts.iter().flatten();
        let off: Vec<String> = wanted.filter(|part| !on.contains(part)).cloned().collect();
        self.setup.stage = if off.is_empty() { Stage::Done } else { Stage::Off(off) };
        self.setup.failures = 0;
        self.setup.tried |= self.setup.is_done();
    }

    /// What was to be switched on is on.
    pub fn subscribed(&mut self, ticket: Ticket) {
        if self.came_through(ticket).is_none() {
            return;
        }
        if let Stage::Off(names) = &mut self.setup.stage {
            names.pop();
            if names.is_empty() {
                self.setup.stage = Stage::Done;
                self.setup.tried = true;
            }
        }
    }

    /// It could not be asked for, or was refused.
    pub(super) fn setup_failed(&mut self, now: Now) {
        self.setup.not_before = now.mono + self.setup.backoff.fail(self.rng.f64());
        self.setup.asked = false;
        if let Stage::Off(names) = &mut self.setup.stage {
            // The others first: one that may not be started must not stand in their way.
            names.rotate_right(1);
            self.setup.failures += 1;
            self.setup.tried |= self.setup.failures >= names.len();
        }
    }
}
