//! What the run comes to.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::books::{Arrivals, Key, Leader, Times};
use super::clock::{Moment, now};
use super::host::GRACE;
use super::losses::Losses;
use super::requests::Request;
use super::run::{Run, What};
use super::simulator::Event;
use super::source::SOURCES;
use super::sources;
use super::takeover::{self, Takeover};

/// How long a shutdown may take: the host's grace, and what hosts take for themselves before and after it.
const SHUTDOWN: Duration = GRACE.saturating_add(Duration::from_secs(3));

/// Requests that were on their way when another node began to ask.
const MOMENTS: Duration = Duration::from_secs(2);

/// The database has been away for so long: that must have been noticed.
const NOTICED: Duration = Duration::from_secs(15);

/// So many are told of each kind of trouble.
const TOLD: usize = 5;

/// The verdict: what to print, and what is wrong.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) text: String,
    pub(crate) failures: Vec<String>,
}

/// Judges. `journal`: what the hosts were handed, where they can tell; else what arrived stands for it.
pub(crate) fn judge(run: &Run, journal: Option<&Times>) -> Verdict {
    let arrivals = run.books.lock();
    let (args, log) = (&run.args, &run.log);
    let losses = Losses::new(log, args);
    let requests = run.requests.all(args.sources as usize);
    let mut verdict = Verdict { failures: log.failures.clone(), ..Verdict::default() };
    let handed = journal.unwrap_or(&arrivals.records);
    judge_lost(run, &arrivals, handed, journal.is_some(), &mut verdict);
    judge_doubled(run, &arrivals, handed, &losses, &mut verdict);
    judge_takeovers(run, &requests, &losses, &mut verdict);
    judge_overlaps(run, &requests, &arrivals, &mut verdict);
    judge_epochs(run, &arrivals, &mut verdict);
    let _ = writeln!(verdict.text, "{}", shares(run, &requests, &arrivals.leaders, &losses));
    judge_health(run, &arrivals, &mut verdict);
    judge_shutdowns(run, &mut verdict);
    let memory: Vec<String> = run
        .nodes
        .iter()
        .map(|node| format!("{} {} MiB", node.name, node.host.peak_kib / 1024))
        .collect();
    let _ = writeln!(verdict.text, "{:<22}{}", "peak memory", memory.join(", "));
    let faults: Vec<String> =
        log.injected.iter().map(|(kind, count)| format!("{} {count}", kind.name())).collect();
    let _ = writeln!(verdict.text, "{:<22}{}", "faults", faults.join(", "));
    let busy = log.busy.longest();
    let _ = writeln!(verdict.text, "{:<22}{busy:.1?} at most", "machine at standstill");
    verdict
}

/// What happened of a source, by id.
fn truth(run: &Run, source: usize) -> &std::collections::HashMap<String, Event> {
    &run.log.truth[source % SOURCES.len()]
}

fn judge_lost(
    run: &Run,
    arrivals: &Arrivals,
    handed: &Times,
    has_journal: bool,
    verdict: &mut Verdict,
) {
    let (mut happened, mut lost) = (0, Vec::new());
    for source in 0..run.args.sources as usize {
        for id in truth(run, source).keys() {
            happened += 1;
            let key = (source, id.clone());
            if !arrivals.records.contains_key(&key) {
                lost.push(key);
            }
        }
    }
    let known = |key: &&Key| truth(run, key.0).contains_key(&key.1);
    let unknown = arrivals.records.keys().filter(|key| !known(key)).count() as u64;
    let _ = writeln!(
        verdict.text,
        "{:<22}{} sources, {happened} events to hand over",
        "happened", run.args.sources
    );
    let _ = writeln!(verdict.text, "{:<22}{}", "lost", lost.len());
    lost.sort_by_key(|key| (truth(run, key.0)[&key.1].happened, key.0));
    let (by_host, by_plugin): (Vec<Key>, Vec<Key>) =
        lost.into_iter().partition(|key| has_journal && handed.contains_key(key));
    fail(run, handed, "were never handed over", &by_plugin, verdict);
    fail(run, handed, "were handed over, and lost by the host", &by_host, verdict);
    if unknown + arrivals.strange > 0 {
        let count = unknown + arrivals.strange;
        verdict.failures.push(format!("{count} records came that never happened"));
    }
}

fn judge_doubled(
    run: &Run,
    arrivals: &Arrivals,
    handed: &Times,
    losses: &Losses,
    verdict: &mut Verdict,
) {
    let (mut doubled, mut unexplained) = (0, Vec::new());
    let mut explained: BTreeMap<What, (usize, Duration)> = BTreeMap::new();
    for (key, times) in handed.iter().filter(|(_, times)| times.len() > 1) {
        doubled += 1;
        let mut times = times.clone();
        times.sort_unstable();
        for pair in times.windows(2) {
            match losses.explains(pair[0].1, pair[0].0, pair[1].0) {
                Some((what, before)) => {
                    let (count, earliest) = explained.entry(what).or_default();
                    *count += 1;
                    *earliest = before.max(*earliest);
                }
                None => unexplained.push(key.clone()),
            }
        }
    }
    let mut text = format!("{doubled}");
    for (what, (count, earliest)) in &explained {
        let _ = write!(
            text,
            "; {count} by a node that was {}, at most {:.1} s before it",
            what.name(),
            earliest.as_secs_f64()
        );
    }
    let _ = writeln!(
        verdict.text,
        "{:<22}{text}; {} unexplained",
        "handed over twice",
        unexplained.len()
    );
    let by_host =
        |(key, times): &(&Key, &Vec<_>)| times.len() > handed.get(*key).map_or(0, Vec::len).max(1);
    let repeated = arrivals.records.iter().filter(by_host).count();
    let _ = writeln!(verdict.text, "{:<22}{repeated}", "sent twice by a host");
    unexplained.sort_by_key(|key| handed[key].iter().min().copied());
    fail(run, handed, "came twice, and no lost lease explains it", &unexplained, verdict);
}

fn judge_takeovers(run: &Run, requests: &[Vec<Request>], losses: &Losses, verdict: &mut Verdict) {
    let args = &run.args;
    let limit = args.lease + args.interval + args.patience;
    let all = takeover::takeovers(args, requests, &run.log, losses);
    let (clean, lost): (Vec<Takeover>, Vec<Takeover>) =
        all.into_iter().partition(|it| it.what == What::Left);
    if args.once && lost.is_empty() && !losses.all.is_empty() {
        verdict
            .failures
            .push("a node lost its leases, and nobody took its sources over".to_owned());
    }
    for (name, some) in [("taken after a loss", &lost), ("taken after a leave", &clean)] {
        let judged: Vec<&Takeover> = some.iter().filter(|it| it.is_judged).collect();
        let mut took: Vec<Duration> = judged.iter().filter_map(|it| it.took).collect();
        took.sort_unstable();
        let at = |share: usize| {
            let at = (took.len() * share / 100).min(took.len().saturating_sub(1));
            took.get(at).map_or(0.0, Duration::as_secs_f64)
        };
        let _ = writeln!(
            verdict.text,
            "{name:<22}{}: median {:.1} s, 90 % {:.1} s, most {:.1} s; the limit is {:.1} s",
            took.len(),
            at(50),
            at(90),
            at(100),
            limit.as_secs_f64()
        );
        let late = judged.iter().filter(|it| it.took.is_none_or(|took| took > limit));
        let stories: Vec<String> = late.map(|it| takeover_story(run, it)).collect();
        tell(format!("{name}: {} later than the limit", stories.len()), &stories, verdict);
    }
}

fn takeover_story(run: &Run, takeover: &Takeover) -> String {
    let Takeover { source, node, what, from, took, .. } = takeover;
    let took = took.map_or("never".to_owned(), |took| format!("after {:.1} s", took.as_secs_f64()));
    format!(
        "\n  {} of {}, {} at {}: asked for again {took}\n{}",
        sources::name(*source),
        run.nodes[*node].name,
        what.name(),
        run.log.timeline.at(*from),
        around(run, *from, *from + run.args.lease * 3)
    )
}

fn judge_overlaps(
    run: &Run,
    requests: &[Vec<Request>],
    arrivals: &Arrivals,
    verdict: &mut Verdict,
) {
    let all = takeover::overlaps(&run.args, requests, &arrivals.leaders);
    let longest = all.iter().map(|overlap| overlap.lasted).max().unwrap_or_default();
    let _ = writeln!(
        verdict.text,
        "{:<22}{} requests by a node after its successor had begun, at most {:.1} s after",
        "two at one source",
        all.len(),
        longest.as_secs_f64()
    );
    let long = all.iter().filter(|it| it.lasted > MOMENTS + run.args.slack());
    let stories: Vec<String> = long
        .map(|it| {
            format!(
                "\n  {} by {} at {}, {:.1} s after\n{}",
                sources::name(it.source),
                run.nodes[it.node].name,
                run.log.timeline.at(it.at),
                it.lasted.as_secs_f64(),
                around(run, it.at.saturating_sub(run.args.lease * 3), it.at)
            )
        })
        .collect();
    tell(format!("{} requests came long after a successor's", stories.len()), &stories, verdict);
}

/// An epoch is given once: else its fence is none.
fn judge_epochs(run: &Run, arrivals: &Arrivals, verdict: &mut Verdict) {
    let mut given: BTreeMap<(usize, u64), Vec<&Leader>> = BTreeMap::new();
    for leader in &arrivals.leaders {
        given.entry((leader.source, leader.epoch)).or_default().push(leader);
    }
    let twice = given.iter().filter(|(_, takes)| takes.len() > 1);
    let stories: Vec<String> = twice
        .map(|((source, epoch), takes)| {
            let takes: Vec<String> = takes
                .iter()
                .map(|it| format!("{} at {}", run.nodes[it.node].name, run.log.timeline.at(it.at)))
                .collect();
            format!("\n  epoch {epoch} of {}: {}", sources::name(*source), takes.join(" and "))
        })
        .collect();
    let _ = writeln!(verdict.text, "{:<22}{}", "leases given", given.len());
    tell(format!("{} epochs were given twice", stories.len()), &stories, verdict);
}

fn shares(run: &Run, requests: &[Vec<Request>], leaders: &[Leader], losses: &Losses) -> String {
    let span = (run.log.timeline.began, now());
    let shares = takeover::shares(&run.args, requests, (&run.log, leaders), losses, span);
    let each = run.nodes.iter().zip(shares).map(|(node, share)| match share {
        Some((min, mean, max)) => format!("{} {min} to {max}, {mean:.1} on average", node.name),
        None => format!("{} never at rest", node.name),
    });
    let each: Vec<String> = each.collect();
    format!("{:<22}{}", "sources, at rest", each.join("; "))
}

fn judge_health(run: &Run, arrivals: &Arrivals, verdict: &mut Verdict) {
    let counts: Vec<String> =
        arrivals.health.iter().map(|(event, count)| format!("{event} {count}")).collect();
    let _ = writeln!(verdict.text, "{:<22}{}", "health records", counts.join(", "));
    let long = run.log.away.iter().any(|(from, to)| *to - *from >= NOTICED);
    if long && !arrivals.health.contains_key("state_failed") {
        verdict.failures.push("the database was away, and no state_failed was raised".to_owned());
    }
    if !arrivals.health.contains_key("standby") && run.nodes.len() > 1 {
        verdict.failures.push("no node said that it stands by".to_owned());
    }
    let Some(secret) = run.database.password() else { return };
    let logged = run.nodes.iter().any(|node| node.host.log_tail(usize::MAX).contains(secret));
    if logged || arrivals.leaked > 0 {
        verdict.failures.push("the database's password stands in a log or a record".to_owned());
    }
}

fn judge_shutdowns(run: &Run, verdict: &mut Verdict) {
    let longest = run.log.shutdowns.iter().max().copied().unwrap_or_default();
    let _ = writeln!(
        verdict.text,
        "{:<22}{}, the longest {:.1} s (the host's grace is {} s)",
        "shutdowns",
        run.log.shutdowns.len(),
        longest.as_secs_f64(),
        GRACE.as_secs()
    );
    if longest > SHUTDOWN + run.args.patience {
        verdict.failures.push(format!("a shutdown took {longest:.1?}, more than {SHUTDOWN:?}"));
    }
}

/// Notes a failure about these events, and tells the stories of some of them.
fn fail(run: &Run, handed: &Times, what: &str, keys: &[Key], verdict: &mut Verdict) {
    let stories: Vec<String> = keys.iter().take(TOLD).map(|key| story(run, handed, key)).collect();
    let mut sources: Vec<String> = keys.iter().map(|key| sources::name(key.0)).collect();
    sources.sort_unstable();
    sources.dedup();
    let head = format!("{} records {what}, of {}", keys.len(), sources.join(", "));
    tell(head, &stories, verdict);
}

fn tell(head: String, stories: &[String], verdict: &mut Verdict) {
    if !stories.is_empty() {
        verdict.failures.push(head + &stories[..stories.len().min(TOLD)].concat());
    }
}

fn story(run: &Run, handed: &Times, key: &Key) -> String {
    let timeline = &run.log.timeline;
    let event = truth(run, key.0).get(&key.1);
    let moments = |times: Option<&Vec<(Moment, usize)>>| {
        let mut times = times.cloned().unwrap_or_default();
        times.sort_unstable();
        let all = times
            .iter()
            .map(|(at, node)| format!("{} to {}", timeline.at(*at), run.nodes[*node].name));
        all.collect::<Vec<_>>().join(" and ")
    };
    let times = moments(handed.get(key));
    let (happened, visible) = event.map_or_else(Default::default, |it| (it.happened, it.visible));
    let last = handed.get(key).and_then(|all| all.iter().max()).map_or(visible, |(at, _)| *at);
    format!(
        "\n  {} of {} happened at {}, was visible at {}, was handed over at {}\n{}",
        key.1,
        sources::name(key.0),
        timeline.at(happened),
        timeline.at(visible),
        if times.is_empty() { "no time" } else { &times },
        around(run, happened, last)
    )
}

/// What was done from a little before to a little after.
fn around(run: &Run, from: Moment, to: Moment) -> String {
    let margin = run.args.lease * 3;
    run.log.timeline.between(from.saturating_sub(margin), to + margin).to_string()
}
