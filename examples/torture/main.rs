//! The torture test: everything around the plugin is broken, at random, and nothing may be lost.
//!
//! ```text
//! simulator ─▶ relay ─▶ host with the plugin ─▶ TCP receiver, never disturbed: what arrived
//!   faults     faults     │        │    faults ─▶ HTTP receiver, disturbed: what was acknowledged
//!                       state    journal: what the host was handed (a filter of a real Fluent Bit)
//!                  a disk of its own
//! ```
//!
//! A seed decides the events and the schedule of faults; when something runs in the host is not in its hands,
//! so a seed that failed fails often again, not always. What the faults are: `--help`.
//!
//! **Verdict.** Every event of the simulators' truth must have arrived. One may have been handed over twice only
//! if a crash came before the first time could be committed. A Fluent Bit hands chunks to its outputs at least
//! once: after a reset connection, and after any restart with chunks left, it sends some again. Those are
//! told apart by the journal, shown, and not counted against the plugin.
//!
//! **The embedded host** keeps what it took in memory, not in files. So its output is never disturbed: what a
//! crash took with it would be the host's loss.
#![allow(clippy::disallowed_methods, reason = "real processes take real time")]

pub(crate) mod args;
#[path = "../shared/binaries.rs"]
pub(crate) mod binaries;
mod books;
mod certificate;
#[path = "../shared/clock.rs"]
mod clock;
mod configuration;
mod disk;
#[path = "../shared/door.rs"]
mod door;
mod faults;
#[path = "../shared/host.rs"]
mod host;
mod nameserver;
mod namespace;
mod receiver;
#[path = "../shared/relay.rs"]
mod relay;
mod run;
#[path = "../shared/serving.rs"]
mod serving;
#[path = "../shared/simulator.rs"]
mod simulator;
#[path = "../shared/source.rs"]
mod source;
mod sources;
#[path = "../shared/timeline.rs"]
mod timeline;
#[path = "../shared/values.rs"]
mod values;
mod verdict;

use std::process::ExitCode;

use clap::Parser as _;

use args::Args;
use binaries::Binaries;
use disk::Disk;
use faults::Kind;
use host::{Host, HostKind};
use receiver::Receivers;
use run::Run;
use source::SOURCES;

fn main() -> ExitCode {
    let args = Args::parse();
    match try_main(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("torture: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Builds what is missing, goes into namespaces, and tries.
fn try_main(args: &Args) -> Result<bool, String> {
    if !namespace::is_inside() {
        Binaries::build()?;
    }
    let namespace = namespace::enter();
    let program = std::env::current_exe().map_err(text)?;
    trial(args, &Binaries::beside(&program)?, namespace)
}

/// One run and its verdict: whether all was well.
pub(crate) fn trial(args: &Args, binaries: &Binaries, namespace: bool) -> Result<bool, String> {
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

    let mut dir = tempfile::Builder::new().prefix("torture-").tempdir().map_err(text)?;
    // Whatever happens, it is there to be looked at.
    dir.disable_cleanup(true);
    let mut run = set_up(args, binaries, kind, seed, namespace, dir.path())?;
    let rates = rates(args, kind, namespace);
    let faults = faults::schedule(seed, args.duration, args.pace, &rates, SOURCES.len());
    let ended = run.go(&faults, args.duration);
    run.disk.save(&dir.path().join("state-at-the-end")).map_err(text)?;
    let failures = ended.and_then(|()| conclude(&run, args));
    drop(run);
    let passed = failures.as_ref().is_ok_and(Vec::is_empty);
    for failure in failures.unwrap_or_else(|error| vec![error]) {
        println!("FAILED: {failure}");
    }
    if passed {
        println!("passed: nothing lost, nothing doubled but by a crash");
    } else {
        println!("failed with seed {seed}; the same again: {again}");
    }
    if args.keep || !passed {
        println!("work directory: {}", dir.path().display());
    } else {
        dir.disable_cleanup(false);
    }
    Ok(passed)
}

/// Prints what the run comes to; gives what is wrong.
fn conclude(run: &Run, args: &Args) -> Result<Vec<String>, String> {
    let journal = run.host.journal().map(|path| books::read_journal(&path)).transpose()?;
    let arrivals = run.receivers.books.lock();
    let verdict = verdict::judge(&run.log, &arrivals, journal.as_ref(), args.patience);
    if args.timeline || !verdict.failures.is_empty() {
        println!("timeline:\n{}", run.log.timeline);
    }
    let peak = run.host.peak_kib / 1024;
    println!("{}peak memory of the host: {peak} MiB", verdict.text);
    Ok(verdict.failures)
}

/// The rates, less what cannot be done here, which it says.
fn rates(args: &Args, kind: HostKind, namespace: bool) -> faults::Rates {
    let mut rates = args.fault_rates();
    if !namespace {
        println!("left out, as no namespace of its own is permitted: disk-full, read-only, dns");
    }
    if kind == HostKind::Embedded {
        println!("left out, as this host keeps nothing in files: receiver-down, receiver-reset");
    }
    for fault in Kind::ALL {
        let of_receiver = matches!(fault, Kind::ReceiverDown | Kind::ReceiverReset);
        if fault.needs_namespace() && !namespace || of_receiver && kind == HostKind::Embedded {
            rates.set(fault, 0.0);
        }
    }
    rates
}

fn set_up(
    args: &Args,
    binaries: &Binaries,
    kind: HostKind,
    seed: u64,
    namespace: bool,
    dir: &std::path::Path,
) -> Result<Run, String> {
    fastrand::seed(seed);
    let serving = serving::start()?;
    let receivers = serving.block_on(Receivers::start()).map_err(text)?;
    let names = namespace.then(|| serving.block_on(nameserver::start(dir))).transpose()?;
    let events = args.events * args.duration.as_secs_f64() * SOURCES.len() as f64;
    // Twice what ids take, and room for the log of changes.
    let bytes = (32 << 20) + (events * 200.0) as u64;
    let disk = Disk::new(dir.join("state"), bytes, namespace)?;
    let (simulators, relays) =
        run::services(&binaries.tool, args, seed, &serving, names.is_some())?;
    let inputs: String = SOURCES
        .iter()
        .zip(&relays)
        .map(|(source, relay)| {
            let tls = names.is_some() && source.by_name;
            sources::input(*source, relay.port, tls, &disk.file(), args)
        })
        .collect();
    let ports = (receivers.quiet, receivers.disturbed);
    let config = configuration::write(binaries, dir, &inputs, ports)?;
    let host = Host::new(kind, binaries, dir, &config, receivers.quiet)?;
    Ok(Run::new(simulators, relays, receivers, names, disk, host, args.pace))
}

fn text(error: std::io::Error) -> String {
    error.to_string()
}
