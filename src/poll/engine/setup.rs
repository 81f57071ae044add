//! What must be switched on before the API collects events.

use std::time::Duration;

use super::{Engine, Reads, Ticket, What};
use crate::api::definition::{Definition, Method};
use crate::api::request::{RequestSpec, Requests};
use crate::config::Plan;
use crate::model::Now;
use crate::poll::backoff::Backoff;

/// How far that has come.
#[derive(Debug)]
pub(super) struct Setup {
    stage: Stage,
    pub(super) asked: bool,
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
        Self { stage, asked: false, backoff: Backoff::default(), not_before: Duration::ZERO }
    }

    pub(super) fn is_done(&self) -> bool {
        matches!(self.stage, Stage::Done)
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
            }
        }
    }

    /// It could not be asked for, or was refused.
    pub(super) fn setup_failed(&mut self, now: Now) {
        self.setup.not_before = now.mono + self.setup.backoff.fail(self.rng.f64());
        self.setup.asked = false;
    }
}
