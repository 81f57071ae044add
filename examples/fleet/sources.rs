//! How the sources and their simulator are set up: all of them show the same events, each has a name of its own.

use super::args::Args;
use super::source::{SOURCES, Source, to_yaml};

/// The kind of the nth source.
pub(crate) fn kind(nth: usize) -> Source {
    SOURCES[nth % SOURCES.len()]
}

/// The name of the nth source.
pub(crate) fn name(nth: usize) -> String {
    format!("s{nth:03}")
}

/// Which source has that name.
pub(crate) fn named(name: &str) -> Option<usize> {
    name.strip_prefix('s')?.parse().ok()
}

/// The options of the simulator: late by up to 9 intervals, where the window is 6, which is within what the sweeps promise.
pub(crate) fn simulation(args: &Args, seed: u64) -> Vec<String> {
    let late = args.interval.as_secs() * 9;
    let options = format!(
        "--backfill 10s --event-bytes 900 --seed {seed} --rate {} --lateness 85%exp:1s,15%uniform:1s-{late}s \
         --blob-every 5s --token-quota 1000000",
        args.events
    );
    options.split_whitespace().map(str::to_owned).collect()
}

/// The nth source's input in Fluent Bit's YAML, which asks the simulator at `port`.
pub(crate) fn input(nth: usize, port: u16, node: &str, db: &str, args: &Args) -> String {
    let interval = args.interval.as_secs();
    let seconds = |seconds: u64| format!("{seconds}s");
    let mut properties = kind(nth).access(&format!("http://127.0.0.1:{port}"));
    properties.extend([
        ("tag", format!("fleet.{}", name(nth))),
        ("source", name(nth)),
        ("db", db.to_owned()),
        ("node", node.to_owned()),
        ("lease", seconds(args.lease.as_secs())),
        ("interval", seconds(interval)),
        ("window", seconds(interval * 6)),
        ("sweeps", format!("{}s/{}s", interval * 30, interval * 4)),
        ("start", "1h".to_owned()),
        ("commit_delay", seconds(args.commit_delay.as_secs())),
        // The record says which source it is of, whatever becomes of its tag.
        ("provenance", "record".to_owned()),
        ("heartbeat", "30s".to_owned()),
        ("timeout", "10s".to_owned()),
        ("connect_timeout", "4s".to_owned()),
        ("rate_limit", "1200".to_owned()),
        ("storage.type", "filesystem".to_owned()),
    ]);
    to_yaml(properties, &args.set)
}
