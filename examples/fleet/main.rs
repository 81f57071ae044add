//! A fleet on one database, broken on purpose: nothing may be lost, and only a lost lease may double.
//!
//! ```text
//!             ┌─ relays ─▶ host n1 with the plugin ─▶ receiver n1: what arrived
//! simulator ──┼─ relays ─▶ host n2 …  │  │  kill, SIGSTOP, SIGTERM
//!             └─ relays ─▶ host n3 …  │  journal: what the host was handed (a filter of a real Fluent Bit)
//!    who asks, when                   └─ relay: cut, stalled ─▶ PostgreSQL: restarted, frozen
//! ```
//!
//! All sources are configured on all nodes, and show the same events. A seed decides the events and the schedule of
//! faults; when something runs is not in its hands, so a seed that failed fails often again, not always.
//!
//! **Verdict.** Every event of every source must have arrived. One may have been handed over twice only if the node that
//! was handed it first lost its leases before it could commit it: it was killed, frozen or cut off from the database for
//! about a lease. A node that leaves or joins, a rolling restart and a database that is away for all explain nothing.
//! A source that a node has lost is asked for by another within `lease` and one `interval`; time in which the database
//! is away does not count, nor what happens while no other node is sound. Two nodes ask for one source for
//! moments at most.
#![allow(clippy::disallowed_methods, reason = "real processes take real time")]

pub(crate) mod args;
#[path = "../shared/binaries.rs"]
pub(crate) mod binaries;
mod books;
#[allow(dead_code, reason = "what only the torture test needs")]
#[path = "../shared/clock.rs"]
mod clock;
mod database;
#[path = "../shared/door.rs"]
mod door;
mod faults;
#[allow(dead_code, reason = "what only the torture test needs")]
#[path = "../shared/host.rs"]
mod host;
mod losses;
mod node;
#[allow(dead_code, reason = "what only the torture test needs")]
#[path = "../shared/relay.rs"]
mod relay;
mod requests;
mod run;
#[allow(dead_code, reason = "what only other tests need")]
#[path = "../../tests/postgres/server.rs"]
mod server;
#[path = "../shared/serving.rs"]
mod serving;
#[allow(dead_code, reason = "what only the torture test needs")]
#[path = "../shared/simulator.rs"]
mod simulator;
#[allow(dead_code, reason = "what only the torture test needs")]
#[path = "../shared/source.rs"]
mod source;
mod sources;
mod takeover;
#[path = "../shared/timeline.rs"]
mod timeline;
#[path = "../shared/values.rs"]
mod values;
mod verdict;

use std::path::Path;
use std::process::ExitCode;

use clap::Parser as _;

use args::Args;
use binaries::Binaries;
use books::{Books, Times};
use database::Database;
use host::HostKind;
use node::{Around, Node};
use requests::Requests;
use run::Run;
use simulator::Simulator;

fn main() -> ExitCode {
    let args = Args::parse();
    match try_main(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("fleet: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Builds what is missing, and tries.
fn try_main(args: &Args) -> Result<bool, String> {
    Binaries::build()?;
    let program = std::env::current_exe().map_err(text)?;
    trial(args, &Binaries::beside(&program)?)
}

/// One run and its verdict: whether all was well.
pub(crate) fn trial(args: &Args, binaries: &Binaries) -> Result<bool, String> {
    let fluent_bit = Binaries::fluent_bit();
    let found = if fluent_bit.is_some() { HostKind::FluentBit } else { HostKind::Embedded };
    let kind = args.host.unwrap_or(found);
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..) >> 32);
    let again = args.again(seed, kind);
    match (&fluent_bit, kind) {
        (Some(path), HostKind::FluentBit) => println!("host: {}", Binaries::version(path)),
        _ => println!("host: embedded"),
    }
    println!("seed {seed}; the same again: {again}");
    let mut dir = tempfile::Builder::new().prefix("fleet-").tempdir().map_err(text)?;
    // Whatever happens, it is there to be looked at.
    dir.disable_cleanup(true);
    let mut run = set_up(args, binaries, kind, seed, dir.path())?;
    let ended = run.go(&faults::schedule(args, seed));
    let failures = match ended {
        Ok(()) => conclude(&run)?,
        Err(error) => vec![format!("{error}\ntimeline:\n{}", run.log.timeline)],
    };
    drop(run);
    for failure in &failures {
        println!("FAILED: {failure}");
    }
    if failures.is_empty() {
        println!("passed: nothing lost, nothing doubled but by a lost lease");
    } else {
        println!("failed with seed {seed}; the same again: {again}");
    }
    if args.keep || !failures.is_empty() {
        println!("work directory: {}", dir.path().display());
    } else {
        dir.disable_cleanup(false);
    }
    Ok(failures.is_empty())
}

/// Prints what the run comes to; gives what is wrong.
fn conclude(run: &Run) -> Result<Vec<String>, String> {
    let (mut journal, mut has_journal) = (Times::new(), false);
    for (nth, node) in run.nodes.iter().enumerate() {
        if let Some(path) = node.host.journal() {
            books::read_journal(&path, nth, &mut journal)?;
            has_journal = true;
        }
    }
    let verdict = verdict::judge(run, has_journal.then_some(&journal));
    if run.args.timeline || !verdict.failures.is_empty() {
        println!("timeline:\n{}", run.log.timeline);
    }
    print!("{}", verdict.text);
    Ok(verdict.failures)
}

fn set_up(
    args: &Args,
    binaries: &Binaries,
    kind: HostKind,
    seed: u64,
    dir: &Path,
) -> Result<Run, String> {
    let serving = serving::start()?;
    let database = Database::start(args.database.as_deref())?;
    let simulator = Simulator::start(&binaries.tool, &sources::simulation(args, seed))?;
    let books = Books::new(database.password());
    let requests = Requests::default();
    let around = Around {
        args,
        kind,
        binaries,
        dir,
        serving: &serving,
        database: &database,
        api: simulator.addr(),
        books: &books,
        requests: &requests,
    };
    let nodes = (0..args.nodes as usize).map(|nth| Node::new(nth, &around));
    let nodes = nodes.collect::<Result<Vec<Node>, String>>()?;
    Ok(Run::new(args.clone(), nodes, database, simulator, requests, books))
}

fn text(error: std::io::Error) -> String {
    error.to_string()
}
