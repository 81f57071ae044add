//! Drives the engine of a plan for a while, over a clock that is ours: whatever was accepted must be
//! able to run.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use in_lookback::api::Origin;
use in_lookback::api::definition::Paging;
use in_lookback::api::page::{Entry, Event, Failure, FailureKind};
use in_lookback::config::{Plan, Secret};
use in_lookback::model::{Bucket, EventKey, IdHash, Known, Now, Seen, Timestamp};
use in_lookback::poll::dedup::Dedup;
use in_lookback::poll::engine::{self, Engine, Fetch, Reads, Step};
use in_lookback::poll::progress::Beginning;
use in_lookback::poll::tokens::Grant;

/// The engine is asked so often for its next step.
const STEPS: u64 = 120;

/// A day, in which nothing happens, is long enough for one wait.
const WAIT_MAX: Duration = Duration::from_secs(86_400);

/// Runs a plan. `moods` decides what each answer is.
///
/// # Panics
/// If the engine does, or asks for what no plan can want.
pub fn drive(plan: Plan, moods: &[u8]) {
    let plan = Arc::new(plan);
    let mut now =
        Now { wall: Timestamp::from_secs(1_800_000_000), mono: Duration::from_secs(1_000) };
    let progress = engine::begin(&plan.schedule, &Beginning::First, now);
    let dedup = Dedup::new(engine::horizon(&plan.schedule, now.wall));
    let mut engine = Engine::new(Arc::clone(&plan), progress, dedup, 1, now);
    for step in 0..STEPS {
        let mood = moods.get((step % 64) as usize).copied().unwrap_or_default();
        match engine.next(now, mood % 16 != 15) {
            Step::Wait(until) => {
                let wait = until.saturating_sub(now.mono).clamp(Duration::from_millis(1), WAIT_MAX);
                now = Now { wall: now.wall + wait, mono: now.mono + wait };
            }
            Step::Login => engine.logged_in(login(mood), now),
            Step::Fetch(fetch) => {
                check(&plan, &fetch);
                answer(&plan, &mut engine, &fetch, step, mood, now);
            }
        }
        let marks = engine.take_marks();
        let commit = engine.commit(&marks, Vec::new(), now);
        engine.committed(commit, 0, now);
        engine.take_reports();
        engine.stats(now);
    }
}

/// A request goes to the configured host, and says nothing of its credential.
fn check(plan: &Plan, fetch: &Fetch) {
    let spec = &fetch.spec;
    assert_eq!(Origin::of(&spec.url), Origin::of(&plan.base_url), "{}", spec.url);
    assert!(spec.url.username().is_empty() && spec.url.password().is_none(), "{}", spec.url);
}

fn login(mood: u8) -> Result<Grant, Failure> {
    match mood % 5 {
        4 => Err(failure(FailureKind::Transient)),
        _ => Ok(Grant {
            token: Secret::new("token".to_owned()),
            expires_in: Duration::from_secs(u64::from(mood) * 60),
        }),
    }
}

fn answer(plan: &Plan, engine: &mut Engine, fetch: &Fetch, step: u64, mood: u8, now: Now) {
    let kinds = [
        FailureKind::Throttled(Some(Duration::from_secs(u64::from(mood)))),
        FailureKind::Unauthorized,
        FailureKind::Refused,
        FailureKind::Gone,
        FailureKind::Unsubscribed,
        FailureKind::Transient,
    ];
    if let Some(kind) = kinds.get(usize::from(mood % 24)) {
        return engine.failed(fetch.ticket, &failure(*kind), now);
    }
    let time = now.wall - Duration::from_secs(u64::from(mood));
    let key = EventKey { bucket: Bucket::of(time), id: IdHash(step.into()) };
    let next = next(plan, step, mood);
    match fetch.reads {
        Reads::Page | Reads::Blob(_) => {
            let seen = Seen { key, time, selected: time, fault: None, content: None };
            let event = Event { seen, raw: "{}" };
            let events = if mood.is_multiple_of(2) { vec![event] } else { Vec::new() };
            let known = HashMap::from([(key, known(mood))]);
            engine.page(fetch.ticket, &events, next.as_deref(), &known, now);
        }
        Reads::Listing => {
            let link = format!("/blob/{step}").into();
            let entries = [Entry { key, link, made: time }];
            let known = HashMap::from([(key, known(mood))]);
            engine.listing(fetch.ticket, &entries, next.as_deref(), &known, now);
        }
        Reads::Subscriptions => {
            let on: Vec<String> = plan.parts.iter().flatten().take(mood.into()).cloned().collect();
            engine.subscriptions(fetch.ticket, &on);
        }
        Reads::Started => engine.subscribed(fetch.ticket),
    }
}

/// What the state knows.
fn known(mood: u8) -> Known {
    if mood.is_multiple_of(3) { Known::Yes(None) } else { Known::No }
}

/// What a page says of the next one.
fn next(plan: &Plan, step: u64, mood: u8) -> Option<String> {
    if !mood.is_multiple_of(4) {
        return None;
    }
    Some(match plan.definition.next.as_ref()? {
        Paging::Link(_) | Paging::Header(_) | Paging::LinkHeader(_) => match mood % 32 {
            0 => "https://elsewhere.example/".to_owned(),
            _ => format!("/next?page={step}"),
        },
        Paging::Cursor { .. } => format!("c{step}"),
        Paging::Page { .. } | Paging::Offset { .. } => return None,
    })
}

fn failure(kind: FailureKind) -> Failure {
    Failure { kind, status: 500, error: "fuzz".to_owned() }
}
