//! A short run of `examples/torture`, in the embedded host, without what needs namespaces.
//!
//! It takes a minute, for late events take their time. No limit of time decides: on a slow machine it takes
//! longer, that is all.

#[allow(dead_code, reason = "what only the example's own start needs")]
#[path = "../examples/torture/main.rs"]
mod torture;

use std::path::Path;

use clap::Parser as _;
use torture::args::Args;
use torture::binaries::Binaries;

#[test]
fn a_short_torture_loses_nothing_and_only_crashes_double() {
    let args = [
        "torture --seed 7 --duration 20s --pace 3 --patience 1h --host embedded --rate all=0",
        "--rate kill=6 --rate terminate=4 --rate reload=4 --rate stop=4 --rate api-down=3",
        "--rate api-stall=3 --rate api-reset=4 --rate login-down=3 --rate bodies=3",
    ];
    let args = Args::parse_from(args.join(" ").split(' '));
    let binaries = Binaries::beside(Path::new(env!("CARGO_BIN_EXE_lookback")));
    let passed = binaries.and_then(|binaries| torture::trial(&args, &binaries, false));
    assert_eq!(passed, Ok(true));
}
