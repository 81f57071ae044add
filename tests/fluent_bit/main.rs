//! The same end to end through a real Fluent Bit: found by `FLUENT_BIT` or on the `PATH`, else skipped.
//!
//! One run: the simulator with late events and throttling, records over TCP to a receiver, and in
//! its course a SIGTERM restart, a hot reload and a `kill -9`. At the end what arrived is compared
//! with the simulator's ground truth. `LOOKBACK_RUN_SECONDS` sets how long (45 unless told).
#![allow(clippy::disallowed_methods, reason = "a real process takes real time")]

mod definitions;
mod fluent_bit;
mod receiver;
mod simulator;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use fluent_bit::FluentBit;
use receiver::Receiver;
use simulator::Simulator;

/// How long before a crash the duplicates it causes were first handed over: `commit_delay`, the
/// host's flush interval, and a second of grain on either side.
const DOUBLED_WITHIN: Duration = Duration::from_secs(5 + 1 + 2);

/// How long a run is.
fn run_length() -> Duration {
    let seconds = std::env::var("LOOKBACK_RUN_SECONDS").ok().and_then(|s| s.parse().ok());
    Duration::from_secs(seconds.unwrap_or(45))
}

#[test]
fn nothing_is_lost_and_only_a_crash_doubles() {
    let Some(binary) = fluent_bit::find() else {
        eprintln!("skipped: no Fluent Bit found (set FLUENT_BIT to its path)");
        return;
    };
    let length = run_length();
    let simulator = Simulator::start();
    let receiver = Receiver::start();
    let mut host = FluentBit::new(&binary, &simulator, &receiver);

    host.start();
    std::thread::sleep(length / 4);
    host.terminate();
    println!("terminated and started again after {:?}", receiver.elapsed());
    host.start();
    std::thread::sleep(length / 4);
    host.reload();
    println!("reloaded after {:?}", receiver.elapsed());
    std::thread::sleep(length / 4);
    let metrics = host.metrics();
    host.kill();
    let crash = receiver.elapsed();
    println!("killed after {crash:?}");
    host.start();
    std::thread::sleep(length / 4);

    simulator.pause();
    let deadline = Instant::now() + Duration::from_secs(90);
    while Instant::now() < deadline {
        let arrived = receiver.arrivals();
        if simulator.truth().iter().all(|id| arrived.contains_key(id)) {
            break;
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    host.terminate();

    let truth = simulator.truth();
    let arrived = receiver.arrivals();
    let lost: Vec<_> = truth.iter().filter(|id| !arrived.contains_key(*id)).collect();
    let doubled: HashMap<_, _> = arrived.iter().filter(|(_, at)| at.len() > 1).collect();
    let excused =
        |at: &[Duration]| at[0] <= crash && crash - at[0] <= DOUBLED_WITHIN && at.len() == 2;
    let unexcused = doubled.values().filter(|at| !excused(at)).count();
    println!(
        "{} events happened, {} arrived, {} lost; {} twice, {} of them not because of the crash; health: {:?}",
        truth.len(),
        arrived.len(),
        lost.len(),
        doubled.len(),
        unexcused,
        receiver.health(),
    );
    println!("simulator: {}", simulator.stats());
    assert!(truth.len() > 100, "the simulator made events");
    assert!(lost.is_empty(), "lost: {:?}", &lost[..lost.len().min(5)]);
    assert_eq!(unexcused, 0, "{:?}", doubled.iter().find(|(_, at)| !excused(at)));
    for name in
        ["records_total", "api_drift_seconds", "lateness_seconds", "state_ids", "behind_seconds"]
    {
        assert!(
            metrics.contains(&format!(
                "lookback_{name}{{name=\"lookback.0\",source=\"entra_signins/contoso\""
            )),
            "{name}"
        );
    }
}
