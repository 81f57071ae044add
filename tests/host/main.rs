//! The built plugin in the embedded host, against the simulated APIs. Loopback only.
//!
//! | module | asks |
//! |---|---|
//! | [`bench`] | (simulator, host and books, for all below) |
//! | [`delivery`] | does every event arrive, once, as it was? |
//! | [`life`] | start, pause, reload, stop: does anything get lost between? |
//! | [`faults`] | what if API or login service fail? |
//! | [`refusals`] | what if the configuration is wrong? |
//! | [`crash`] | what if the process dies, or the host lacks a function? |

#![allow(clippy::disallowed_methods, reason = "a host has a clock, and tests have deadlines")]

#[path = "../../src/bin/lookback/embedded/mod.rs"]
mod embedded;
#[allow(dead_code, unused_imports, reason = "the tests need a part of it")]
#[path = "../../src/bin/lookback/simulate/mod.rs"]
mod simulate;

mod bench;
mod crash;
mod delivery;
mod faults;
mod json;
mod life;
mod net;
mod refusals;

/// Without this the plugin would find no host, and every other test here would test the fallbacks.
#[test]
fn the_test_binary_exports_the_hosts_functions() {
    for name in embedded::abi::EXPORTS {
        assert!(embedded::abi::is_exported(name), "{name:?}");
    }
}
