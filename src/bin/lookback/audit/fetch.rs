//! Reads a range of the API once more, as a catch-up of the plugin would: the same engine over the same shells,
//! without a host and without a state.

use std::sync::Arc;
use std::time::Duration;

use in_lookback::api::page::{BodyError, Event};
use in_lookback::clock::Clock;
use in_lookback::config::{ConfigError, Plan};
use in_lookback::http::Waited;
use in_lookback::model::{Now, TimeRange, Timestamp};
use in_lookback::poll::report::{Field, Severity};
use in_lookback::poll::{Engine, Reads, Report, Step};
use in_lookback::worker::exchange::{Came, Exchange};
use tokio::sync::Notify;

/// The loop looks around at least this often.
const ROUND_MAX: Duration = Duration::from_secs(1);

/// Before anything has come at all, what fails is a mistake rather than an outage: no longer than this is waited.
const FIRST_MAX: Duration = Duration::from_secs(30);

/// What came of the reading.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// What was not read to its end, oldest first.
    pub(crate) unread: Vec<TimeRange>,
    /// What the API no longer has, and its words for it.
    pub(crate) gaps: Vec<(TimeRange, String)>,
    /// Why it ended early, if it did.
    pub(crate) given_up: Option<String>,
    /// Requests to the API.
    pub(crate) requests: u64,
}

/// What the reader is told on the way.
pub(crate) trait Observer {
    /// An event, which was not shown before.
    fn event(&mut self, event: &Event<'_>);
    /// So much of the range is still unread.
    fn unread(&mut self, left: Duration);
    /// Something that people should know.
    fn say(&mut self, text: &str);
}

/// Reads a range to its end, or until what fails has failed for `patience`.
///
/// # Errors
/// If there is something wrong in the configuration that only shows now.
pub(crate) fn read(
    plan: Plan,
    range: TimeRange,
    patience: Duration,
    observer: &mut dyn Observer,
) -> Result<Reading, ConfigError> {
    let plan = Arc::new(plan);
    let clock = Clock::start();
    let key = fastrand::u128(..).to_le_bytes();
    let exchange = Exchange::new(Arc::clone(&plan), clock, key, Arc::new(Notify::new()))?;
    let engine = Engine::once(plan, range, fastrand::u64(..), clock.now());
    let mut walk = Walk {
        range,
        clock,
        exchange,
        engine,
        observer,
        failing: None,
        has_come: false,
        reading: Reading::default(),
    };
    walk.run(patience);
    let Walk { mut engine, mut reading, .. } = walk;
    reading.unread = engine.unread().to_vec();
    reading.requests = engine.stats(clock.now()).requests.values().sum();
    Ok(reading)
}

struct Walk<'o> {
    range: TimeRange,
    clock: Clock,
    exchange: Exchange,
    engine: Engine,
    observer: &'o mut dyn Observer,
    /// Since when nothing has come, by the monotonic clock, and why.
    failing: Option<(Duration, String)>,
    has_come: bool,
    reading: Reading,
}

impl Walk<'_> {
    fn run(&mut self, patience: Duration) {
        while !self.engine.unread().is_empty() {
            let until = self.step();
            self.tell();
            let now = self.clock.now().mono;
            let patience = if self.has_come { patience } else { patience.min(FIRST_MAX) };
            if let Some((_, why)) = self.failing.take_if(|(since, _)| now >= *since + patience) {
                self.reading.given_up = Some(why);
            }
            if self.reading.given_up.is_some() {
                return;
            }
            let wait = until.saturating_sub(now).min(ROUND_MAX);
            if let Waited::Answered(ticket, answer) = self.exchange.wait(wait, true)
                && let Some(came) = self.exchange.answered(ticket, answer, &mut self.engine)
            {
                let read = self.came(&came);
                self.exchange.done(came, read, &mut self.engine);
            }
        }
        self.tell();
    }

    /// Does what the engine says; returns until when there is nothing else to do.
    fn step(&mut self) -> Duration {
        self.exchange.hold(&mut self.engine);
        loop {
            let now = self.clock.now();
            match self.engine.next(now, true) {
                Step::Wait(until) if until > now.mono || self.engine.unread().is_empty() => {
                    return until;
                }
                Step::Wait(_) => {}
                Step::Fetch(fetch) => self.exchange.fetch(&fetch),
                Step::Login => self.exchange.login(&mut self.engine),
            }
        }
    }

    /// A page, a blob or a listing is in.
    fn came(&mut self, came: &Came) -> Result<(), BodyError> {
        let now = self.clock.now();
        let reader = self.exchange.reader();
        let page = match came.reads {
            Reads::Listing => {
                let listing = reader.listing(&came.response)?;
                let keys = listing.entries.iter().map(|entry| &entry.key);
                let known = self.engine.lookups(keys);
                let next = listing.next.as_deref();
                self.engine.listing(came.ticket, &listing.entries, next, &known, now);
                self.came_on();
                return Ok(());
            }
            Reads::Blob(made) => reader.blob(&came.response, made, now.wall)?,
            _ => reader.page(&came.response, now.wall)?,
        };
        let known = self.engine.lookups(page.events.iter().map(|event| &event.seen.key));
        let next = page.next.as_deref();
        for index in self.engine.page(came.ticket, &page.events, next, &known, now) {
            self.observer.event(&page.events[index]);
        }
        self.came_on();
        Ok(())
    }

    fn came_on(&mut self) {
        self.has_come = true;
        self.failing = None;
    }

    /// Passes on what the engine has to say.
    fn tell(&mut self) {
        // There is nobody to commit progress for.
        self.engine.take_marks();
        let now = self.clock.now();
        for report in self.engine.take_reports() {
            if report.severity != Severity::Info {
                self.observer.say(&format!("{}: {}", report.event, report.message));
            }
            self.judge(&report, now);
        }
        let left = self.engine.unread().iter().map(TimeRange::span).sum();
        self.observer.unread(left);
    }

    fn judge(&mut self, report: &Report, now: Now) {
        match report.event {
            "gap" => {
                let range = range_of(report).unwrap_or(self.range);
                self.reading.gaps.push((range, report.message.clone()));
            }
            "auth_failed" | "fetch_failed" => {
                let why = report.message.split("; ").next().unwrap_or_default().to_owned();
                // Credentials that are refused do not become right by being sent again.
                if report.event == "auth_failed" && !self.has_come && is_refusal(report) {
                    self.reading.given_up = Some(why);
                } else {
                    self.failing.get_or_insert((now.mono, why));
                }
            }
            // It asked for the wait: that is no failure.
            "throttled" => self.failing = None,
            _ => {}
        }
    }
}

/// The range that a report tells of.
fn range_of(report: &Report) -> Option<TimeRange> {
    let moment = |name: &str| {
        let field = report.fields.iter().find(|(it, _)| *it == name)?;
        match &field.1 {
            Field::Text(text) => Timestamp::parse(text).ok(),
            _ => None,
        }
    };
    Some(TimeRange::new(moment("from")?, moment("to")?))
}

/// Whether the service has understood the request, and will not have it.
fn is_refusal(report: &Report) -> bool {
    let status = report.fields.iter().find_map(|(name, field)| match field {
        Field::Count(status) if *name == "status" => Some(*status),
        _ => None,
    });
    matches!(status, Some(400..=428 | 430..=499))
}
