//! Three nodes on one PostgreSQL, each fault once, by `examples/fleet` in the embedded host.
//!
//! A fault begins when the fleet is calm: each source is read by one node, and each node reads some. It is over when
//! the fleet is calm again. Then every event must have arrived, and none twice but by a node that had lost its lease.

#[allow(dead_code, reason = "what only the example's own start needs")]
#[path = "../examples/fleet/main.rs"]
mod fleet;

use std::path::Path;

use clap::Parser as _;
use fleet::args::Args;
use fleet::binaries::Binaries;

/// Limits of time are wide here, for a machine that does much else; the example's own are those that are promised.
fn survives(faults: &str) {
    let args = format!(
        "fleet --once --only {faults} --seed 7 --nodes 3 --sources 6 --lease 3s --interval 1s --commit-delay 2s \
         --patience 60s --host embedded"
    );
    let args = Args::parse_from(args.split_whitespace());
    let binaries = Binaries::beside(Path::new(env!("CARGO_BIN_EXE_lookback")));
    let passed = binaries.and_then(|binaries| fleet::trial(&args, &binaries));
    assert_eq!(passed, Ok(true));
}

#[test]
fn a_node_that_is_killed_loses_nothing_and_others_take_over() {
    survives("kill");
}

#[test]
fn a_node_that_was_frozen_for_longer_than_its_lease_commits_nothing_when_it_wakes() {
    survives("freeze");
}

#[test]
fn a_node_whose_connections_are_cut_gives_its_sources_up_in_time() {
    survives("cut");
}

#[test]
fn a_node_whose_connections_stall_gives_its_sources_up_in_time() {
    survives("stall");
}

#[test]
fn a_database_that_was_restarted_or_stood_still_loses_and_doubles_nothing() {
    survives("db-restart,db-freeze");
}

#[test]
fn nodes_that_join_and_leave_and_are_restarted_one_by_one_double_nothing() {
    survives("join,rolling");
}
