//! How the sources and their simulators are set up.

use std::path::Path;

use super::args::Args;
use super::source::{Source, to_yaml};

/// The name that the tests' certificate is for.
pub(crate) const NAME: &str = "elsewhere.example";

/// How long the simulator's tokens are good: short, so that they expire in mid-walk.
const TOKEN_TTL: &str = "20s";

/// What all sources have, but for what the command line sets instead.
///
/// Events are late by up to twice the window, which is within what the sweeps promise: their depth less the
/// time between two. Time-outs are shorter than the longest stall.
fn common(pace: u32) -> Vec<(&'static str, String)> {
    let seconds = |seconds: u32| format!("{}s", seconds / pace);
    vec![
        ("interval", seconds(3)),
        ("window", seconds(30)),
        ("sweeps", format!("{}/{}", seconds(90), seconds(10))),
        ("start", "1h".to_owned()),
        ("heartbeat", "10s".to_owned()),
        ("timeout", "10s".to_owned()),
        ("connect_timeout", "4s".to_owned()),
        ("rate_limit", "1200".to_owned()),
        ("storage.type", "filesystem".to_owned()),
    ]
}

/// The options of a source's simulator: late by up to twice the window of 30 s; some faults all the time, in the
/// background.
pub(crate) fn simulation(args: &Args, seed: u64, behind_tls: bool) -> Vec<String> {
    let late = 60 / args.pace;
    let mut options = format!(
        "--backfill 10s --event-bytes 900 --seed {seed} --rate {} --lateness 85%exp:2s,15%uniform:2s-{late}s \
         --blob-lateness 80%fixed:0s,20%uniform:2s-{late}s --blob-every 2s --token-ttl {TOKEN_TTL} \
         --throttle 0.01 --retry-after 2s --truncate 0.01 --error 0.01 --reset 0.01 --expire-link 0.01 \
         --unauthorized 0.005 --blob-gone 0.02 --garbage 0.01 --empty-page 0.01 --repeat-link 0.005 \
         --auth-fail 0.02",
        args.events
    );
    if behind_tls {
        options += " --behind-tls";
    }
    options.split_whitespace().map(str::to_owned).collect()
}

/// A source's input in Fluent Bit's YAML, behind a relay at `port`.
pub(crate) fn input(source: Source, port: u16, tls: bool, db: &Path, args: &Args) -> String {
    let url =
        if tls { format!("https://{NAME}:{port}") } else { format!("http://127.0.0.1:{port}") };
    let mut properties = source.access(&url);
    properties
        .extend([("tag", format!("torture.{}", source.api)), ("db", db.display().to_string())]);
    if tls {
        let ca = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tls/ca.pem");
        properties.push(("tls_ca_file", ca.to_owned()));
    }
    properties.extend(common(args.pace));
    to_yaml(properties, &args.set)
}
