//! An engine driven by hand: each request is answered as the test says.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use in_lookback::api::page::{Entry, Event, Failure};
use in_lookback::api::request::Ticket;
use in_lookback::config::Plan;
use in_lookback::model::{Content, EventKey, Known, Now, TimeRange, Timestamp, Version};
use in_lookback::poll::dedup::Dedup;
use in_lookback::poll::engine::{self, Engine, Step};
use in_lookback::poll::ledger::Ledger;
use in_lookback::poll::progress::{Beginning, Commit, Progress};
use in_lookback::poll::report::Report;
use url::Url;

use crate::api;
use crate::clock::{MINUTE, moment};
use crate::event::{self, Happening};

/// An engine, its clock, and what it has made durable.
pub(crate) struct Hand {
    plan: Arc<Plan>,
    pub(crate) engine: Engine,
    pub(crate) now: Now,
    pub(crate) progress: Progress,
    pub(crate) ids: HashMap<EventKey, Option<Content>>,
    pub(crate) ledger: Ledger,
    reports: Vec<(Duration, Report)>,
    next_index: usize,
    /// The request that is answered next.
    pub(crate) ticket: Ticket,
}

impl Hand {
    /// Starts for the first time, at a whole minute.
    pub(crate) fn new(plan: &Arc<Plan>) -> Self {
        let now = Now { wall: moment(MINUTE * 100_000), mono: Duration::ZERO };
        let progress = engine::begin(&plan.schedule, &Beginning::First, now);
        let horizon = engine::horizon(&plan.schedule, now.wall);
        Self {
            engine: Engine::new(
                Arc::clone(plan),
                progress.clone(),
                Dedup::new(horizon).on(plan.dedup_on),
                1,
                now,
            ),
            plan: Arc::clone(plan),
            now,
            progress,
            ids: HashMap::new(),
            ledger: Ledger::default(),
            reports: Vec::new(),
            next_index: 0,
            ticket: Ticket(0),
        }
    }

    /// The process dies, and another one goes on from what is durable.
    pub(crate) fn restart(&mut self) {
        let horizon = engine::horizon(&self.plan.schedule, self.now.wall);
        let mut dedup = Dedup::new(horizon).on(self.plan.dedup_on);
        for (key, content) in self.ids.iter().filter(|(key, _)| key.bucket >= horizon) {
            dedup.load(Version { content: *content, ..(*key).into() });
        }
        self.engine =
            Engine::new(Arc::clone(&self.plan), self.progress.clone(), dedup, 1, self.now);
    }

    pub(crate) fn pass(&mut self, span: Duration) {
        self.now.wall = self.now.wall + span;
        self.now.mono += span;
    }

    /// The next request, if there is one within `span`; time passes until then.
    pub(crate) fn ask_within(&mut self, span: Duration) -> Option<Url> {
        let end = self.now.mono + span;
        loop {
            let step = self.engine.next(self.now, true);
            self.collect();
            match step {
                Step::Fetch(fetch) => {
                    self.ticket = fetch.ticket;
                    return Some(fetch.spec.url);
                }
                Step::Login => panic!("the test API wants no token"),
                Step::Wait(until) if until > end => {
                    self.pass(end - self.now.mono);
                    return None;
                }
                Step::Wait(until) => self.pass(until.saturating_sub(self.now.mono)),
            }
        }
    }

    /// The next request, whenever it comes.
    pub(crate) fn ask(&mut self) -> Url {
        self.ask_within(MINUTE * 10_000).expect("a request within a week")
    }

    /// The range that the next request asks for.
    pub(crate) fn ask_range(&mut self) -> TimeRange {
        let (from, to) = api::range(&self.ask());
        TimeRange::new(from, to)
    }

    /// Answers the request with events of these times, all new ones, and a link.
    pub(crate) fn page(&mut self, times: &[Duration], next: Option<&str>) -> Vec<EventKey> {
        let event = |(nth, time): (usize, &Duration)| {
            let happening = Happening::new(*time, *time);
            event::shown(self.next_index + nth, &happening)
        };
        let events: Vec<Event<'_>> = times.iter().enumerate().map(event).collect();
        self.next_index += times.len();
        let keys = events.iter().map(|event| event.seen.key).collect();
        assert_eq!(self.show(&events, next), events.len(), "all of them are new");
        keys
    }

    /// Answers the request with events, and says how many were new. Everything is durable at once.
    pub(crate) fn show(&mut self, events: &[Event<'_>], next: Option<&str>) -> usize {
        let mut known = self.engine.lookups(events.iter().map(|event| &event.seen.key));
        self.answer(&mut known);
        let fresh = self.engine.page(self.ticket, events, next, &known, self.now);
        let keys = fresh.iter().map(|index| events[*index].seen.version()).collect();
        self.commit(keys);
        fresh.len()
    }

    /// Answers the request with a listing of blobs, made at these times.
    pub(crate) fn list(&mut self, blobs: &[(usize, Duration)], next: Option<&str>) {
        let entry = |(number, made): &(usize, Duration)| {
            let key = event::blob_key(*number, *made);
            Entry { key, link: format!("/blob?n={number}").into(), made: moment(*made) }
        };
        let entries: Vec<Entry<'_>> = blobs.iter().map(entry).collect();
        let mut known = self.engine.lookups(entries.iter().map(|entry| &entry.key));
        self.answer(&mut known);
        self.engine.listing(self.ticket, &entries, next, &known, self.now);
        self.commit(Vec::new());
    }

    /// All requests that may be under way now: their tickets and what they ask for.
    pub(crate) fn ask_all(&mut self) -> Vec<(Ticket, Url)> {
        let mut asked = Vec::new();
        while let Some(url) = self.ask_within(Duration::ZERO) {
            asked.push((self.ticket, url));
        }
        asked
    }

    /// Answers the request with no events at all.
    pub(crate) fn empty(&mut self) {
        self.show(&[], None);
    }

    pub(crate) fn fail(&mut self, failure: &Failure) {
        self.engine.failed(self.ticket, failure, self.now);
        self.commit(Vec::new());
    }

    /// What the state would say.
    fn answer(&self, known: &mut HashMap<EventKey, Known>) {
        for (key, known) in known {
            *known = self.ids.get(key).map_or(Known::No, |content| Known::Yes(*content));
        }
    }

    fn commit(&mut self, keys: Vec<Version>) {
        let marks = self.engine.take_marks();
        let mut commit: Commit = self.engine.commit(&marks, keys, self.now);
        self.engine.doubt(&mut commit);
        self.progress = commit.progress.clone();
        self.ledger.merge(&commit.ledger);
        self.ids.extend(commit.keys.iter().map(|version| (version.key(), version.content)));
        for adopted in &commit.adopted {
            self.ids.insert(adopted.key(), adopted.content);
        }
        self.ids.retain(|key, _| key.bucket >= commit.expire_before);
        let ids = self.ids.len() as u64;
        self.engine.committed(commit, ids, self.now);
        self.collect();
    }

    fn collect(&mut self) {
        let now = self.now.mono;
        self.reports.extend(self.engine.take_reports().into_iter().map(|report| (now, report)));
    }

    /// The reports of these kinds so far: when, and which.
    pub(crate) fn reports(&self, kinds: &[&str]) -> Vec<(Duration, &Report)> {
        let wanted = self.reports.iter().filter(|(_, report)| kinds.contains(&report.event));
        wanted.map(|(at, report)| (*at, report)).collect()
    }

    /// The kinds of the reports so far, among these.
    pub(crate) fn events(&self, kinds: &[&str]) -> Vec<&'static str> {
        self.reports(kinds).into_iter().map(|(_, report)| report.event).collect()
    }

    /// So long ago, by true time.
    pub(crate) fn ago(&self, span: Duration) -> Duration {
        crate::clock::time(self.now.wall) - span
    }

    pub(crate) fn wall(&self) -> Timestamp {
        self.now.wall
    }
}
