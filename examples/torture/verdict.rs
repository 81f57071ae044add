//! What the run comes to.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::Duration;

use crate::books::{Arrivals, HandOvers};
use crate::clock::Moment;
use crate::faults::Kind;
use crate::host::{End, GRACE};
use crate::run::Log;
use crate::simulator::Event;
use crate::sources::SOURCES;

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
    (Kind::DiskFull, 30, "state_failed"),
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
}

/// Judges. `journal`: what the host was handed, where it can tell; else what arrived stands for it.
pub(crate) fn judge(log: &Log, arrivals: &Arrivals, journal: Option<&HandOvers>) -> Verdict {
    let hand_overs = journal.unwrap_or(&arrivals.quiet);
    let trace = Trace { log, arrivals, hand_overs };
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
    judge_shutdowns(log, &mut verdict);
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
    let unexplained: Vec<&String> = doubled
        .iter()
        .copied()
        .filter(|id| !is_explained(&trace.hand_overs[*id], trace.log))
        .collect();
    let by_host = |id: &&String| arrivals.quiet.get(*id).map_or(0, Vec::len) > handed(id).max(1);
    let repeated = truth.keys().filter(by_host).count();
    let _ = writeln!(
        verdict.text,
        "{name}: {} happened, {} arrived, {} lost; {} handed over twice, {} of them unexplained; {repeated} sent twice by the host",
        truth.len(),
        truth.len() - lost.len(),
        lost.len() + unacknowledged.len(),
        doubled.len(),
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
/// the loss of the state.
fn is_explained(hand_overs: &[Moment], log: &Log) -> bool {
    let crashes: Vec<&End> = log.ends.iter().filter(|end| end.is_crash).collect();
    let mut times = hand_overs.to_vec();
    times.sort_unstable();
    times.windows(2).all(|pair| {
        let (first, second) = (pair[0], pair[1]);
        let by_crash = |end: &&End| {
            first <= end.over + GRAIN
                && second + GRAIN >= end.told
                && log.standstills.free(first, end.told) <= DOUBLED_WITHIN
        };
        let by_damage = |at: &Moment| first <= *at + DOUBLED_WITHIN && second + GRAIN >= *at;
        crashes.iter().copied().any(|end| by_crash(&end)) || log.damages.iter().any(by_damage)
    })
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

fn judge_shutdowns(log: &Log, verdict: &mut Verdict) {
    let longest = log.shutdowns.iter().max().copied().unwrap_or_default();
    let _ = writeln!(
        verdict.text,
        "shutdowns: {}, the longest {:.1} s (the host's grace is {} s)",
        log.shutdowns.len(),
        longest.as_secs_f64(),
        GRACE.as_secs()
    );
    if longest > SHUTDOWN {
        verdict.failures.push(format!("a shutdown took {longest:?}, more than {SHUTDOWN:?}"));
    }
}
