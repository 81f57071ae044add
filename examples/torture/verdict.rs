//! What the run comes to.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::books::{Arrivals, HandOvers};
use super::clock::Moment;
use super::faults::Kind;
use super::host::GRACE;
use super::run::{End, Log};
use super::simulator::Event;
use super::source::SOURCES;

/// How long before a crash the duplicates it causes were first handed over: `commit_delay`, a second until the
/// plugin's thread looks around or tries again, a second for another source's commit to the same file, and a
/// second because the journal knows whole ones only. Time at which nothing could be committed does not
/// count: SIGSTOP, a disk that was full or read-only, a machine too busy to run a thread that only sleeps.
const DOUBLED_WITHIN: Duration = Duration::from_secs(5 + 1 + 1 + 1);

/// The journal's grain, and that of arrivals.
const GRAIN: Duration = Duration::from_secs(1);

/// How long a shutdown may take: the host's grace, and what hosts take for themselves before and after it.
const SHUTDOWN: Duration = GRACE.saturating_add(Duration::from_secs(3));

/// A fault that has held for so long, while the host was up, must have been noticed, by this health record.
const NOTICED: [(Kind, u64, &str); 4] = [
    (Kind::ApiDown, 10, "fetch_failed"),
    (Kind::Throttle, 10, "throttled"),
    (Kind::LoginDown, 30, "auth_failed"),
    // What the state's log of changes had room for already goes on to fit.
    (Kind::DiskFull, 60, "state_failed"),
];

/// So many ids are traced of each kind of trouble.
const TRACED: usize = 5;

/// The verdict: what to print, and what is wrong.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) text: String,
    pub(crate) failures: Vec<String>,
}

/// One id's story, for who has to find out.
struct Trace<'v> {
    log: &'v Log,
    arrivals: &'v Arrivals,
    hand_overs: &'v HandOvers,
    patience: Duration,
}

/// Judges. `journal`: what the host was handed, where it can tell; else what arrived stands for it.
///
/// `patience` is added to the limits of time.
pub(crate) fn judge(
    log: &Log,
    arrivals: &Arrivals,
    journal: Option<&HandOvers>,
    patience: Duration,
) -> Verdict {
    let hand_overs = journal.unwrap_or(&arrivals.quiet);
    let trace = Trace { log, arrivals, hand_overs, patience };
    let mut verdict = Verdict::default();
    verdict.failures.extend(log.failures.iter().cloned());
    for (source, truth) in SOURCES.iter().zip(&log.truth) {
        judge_source(source.api, truth, &trace, journal.is_some(), &mut verdict);
    }
    let known = |id: &&String| !log.truth.iter().any(|truth| truth.contains_key(*id));
    let unknown = arrivals.quiet.keys().filter(known).count() as u64 + arrivals.strange;
    if unknown > 0 {
        verdict.failures.push(format!("{unknown} records came that never happened"));
    }
    judge_health(log, arrivals, &mut verdict);
    judge_shutdowns(log, SHUTDOWN + patience, &mut verdict);
    let early: u64 =
        log.stats.iter().filter_map(|it| it["requests_during_retry_after"].as_u64()).sum();
    let text = &mut verdict.text;
    let _ = writeln!(
        text,
        "requests during a Retry-After: {early} (a restart forgets it, and what was under way still comes)"
    );
    let counts: Vec<String> =
        log.injected.iter().map(|(kind, count)| format!("{} {count}", kind.name())).collect();
    let _ = writeln!(text, "faults: {}", counts.join(", "));
    let _ = writeln!(text, "the machine's longest standstill: {:?}", log.standstills.longest());
    if log.gave_up > 0 {
        let _ = writeln!(
            text,
            "the host refused to run {} times, its state being unusable; it was started again",
            log.gave_up
        );
    }
    verdict
}

fn judge_source(
    name: &str,
    truth: &HashMap<String, Event>,
    trace: &Trace<'_>,
    has_journal: bool,
    verdict: &mut Verdict,
) {
    let arrivals = trace.arrivals;
    let lost: Vec<&String> = truth.keys().filter(|id| !arrivals.quiet.contains_key(*id)).collect();
    let unacknowledged: Vec<&String> = truth
        .keys()
        .filter(|id| has_journal && !arrivals.disturbed.contains_key(*id))
        .filter(|id| arrivals.quiet.contains_key(*id))
        .collect();
    let handed = |id: &String| trace.hand_overs.get(id).map_or(0, Vec::len);
    let doubled: Vec<&String> = truth.keys().filter(|id| handed(id) > 1).collect();
    let (mut unexplained, mut earliest) = (Vec::new(), Duration::ZERO);
    for id in &doubled {
        match explained(&trace.hand_overs[*id], trace.log, DOUBLED_WITHIN + trace.patience) {
            Some(before) => earliest = earliest.max(before),
            None => unexplained.push(*id),
        }
    }
    let by_host = |id: &&String| arrivals.quiet.get(*id).map_or(0, Vec::len) > handed(id).max(1);
    let repeated = truth.keys().filter(by_host).count();
    let _ = writeln!(
        verdict.text,
        "{name}: {} happened, {} arrived, {} lost; {} handed over twice, at most {:.1} s before a crash, {} of them unexplained; {repeated} sent twice by the host",
        truth.len(),
        truth.len() - lost.len(),
        lost.len() + unacknowledged.len(),
        doubled.len(),
        earliest.as_secs_f64(),
        unexplained.len(),
    );
    let mut fail = |what: &str, ids: &[&String]| {
        if !ids.is_empty() {
            let mut text = format!("{name}: {} {what}", ids.len());
            let mut ids = ids.to_vec();
            ids.sort_by_key(|id| truth[*id].happened);
            ids.iter().take(TRACED).for_each(|id| text += &trace.story(id, &truth[*id]));
            verdict.failures.push(text);
        }
    };
    let (by_host, by_plugin): (Vec<_>, Vec<_>) =
        lost.iter().partition(|id| has_journal && handed(id) > 0);
    fail("were never handed over", &by_plugin);
    fail("were handed over, and lost by the host", &by_host);
    fail("did not reach the receiver that acknowledges", &unacknowledged);
    fail("came twice without a crash that explains it", &unexplained);
}

/// Whether between each time and the next there was a crash that came before the first could be committed, or
/// the loss of the state; and how long at most the crash came after the first.
fn explained(hand_overs: &[Moment], log: &Log, within: Duration) -> Option<Duration> {
    let mut times = hand_overs.to_vec();
    times.sort_unstable();
    let explained = times.windows(2).map(|pair| {
        let (first, second) = (pair[0], pair[1]);
        let between =
            |end: &&End| end.is_crash && first <= end.over + GRAIN && second + GRAIN >= end.told;
        let crashes = log.ends.iter().filter(between);
        let by_crash = crashes.map(|end| log.standstills.free(first, end.told)).min();
        let by_damage = log.damages.iter().any(|at| first <= *at + within && second + GRAIN >= *at);
        match by_crash {
            Some(before) if before <= within => Some(before),
            _ => by_damage.then_some(Duration::ZERO),
        }
    });
    explained.collect::<Option<Vec<_>>>()?.into_iter().max()
}

impl Trace<'_> {
    fn story(&self, id: &str, event: &Event) -> String {
        let timeline = &self.log.timeline;
        let moments = |moments: Option<&Vec<Moment>>| {
            let all: Vec<_> = moments.into_iter().flatten().map(|at| timeline.at(*at)).collect();
            if all.is_empty() { "never".to_owned() } else { all.join(" and ") }
        };
        let handed = self.hand_overs.get(id);
        let last = handed.and_then(|all| all.iter().max()).copied().unwrap_or(event.visible);
        let margin = Duration::from_secs(60);
        let around = timeline.between(event.happened.saturating_sub(margin), last + margin);
        format!(
            "\n  {id} happened at {}, was visible at {}, was handed over at {}, arrived at {}\n{around}",
            timeline.at(event.happened),
            timeline.at(event.visible),
            moments(handed),
            moments(self.arrivals.quiet.get(id)),
        )
    }
}

fn judge_health(log: &Log, arrivals: &Arrivals, verdict: &mut Verdict) {
    let counts: Vec<String> =
        arrivals.health.iter().map(|(event, count)| format!("{event} {count}")).collect();
    let _ = writeln!(verdict.text, "health records: {}", counts.join(", "));
    for (kind, seconds, event) in NOTICED {
        let long = Duration::from_secs(seconds);
        let held = log.held.iter().filter(|(held, _, _)| *held == kind);
        let mut spans = held.flat_map(|(_, from, to)| {
            log.up.iter().map(move |(up, down)| (*from.max(up), *to.min(down)))
        });
        let noticeable = spans.any(|(from, to)| to.saturating_sub(from) >= long);
        if noticeable && !arrivals.health.contains_key(event) {
            verdict.failures.push(format!("{} raised no {event}", kind.name()));
        }
    }
}

fn judge_shutdowns(log: &Log, limit: Duration, verdict: &mut Verdict) {
    let longest = log.shutdowns.iter().max().copied().unwrap_or_default();
    let _ = writeln!(
        verdict.text,
        "shutdowns: {}, the longest {:.1} s (the host's grace is {} s)",
        log.shutdowns.len(),
        longest.as_secs_f64(),
        GRACE.as_secs()
    );
    if longest > limit {
        verdict.failures.push(format!("a shutdown took {longest:?}, more than {limit:?}"));
    }
}
