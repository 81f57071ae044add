//! The built plugin in the embedded host, against the simulated APIs. Loopback only.
//!
//! | module | asks |
//! |---|---|
//! | [`bench`] | (simulator, host and books, for all below) |
//! | [`apis`] | does each built-in definition, and one of the user's own, deliver every event? |
//! | [`language`] | does a definition mean what it says: paging, times, ids, bodies? |
//! | [`credentials`] | is each way to authenticate accepted by who verifies it, and kept secret? |
//! | [`delivery`] | does every event arrive, once, as it was? |
//! | [`life`] | start, pause, reload, stop: does anything get lost between? |
//! | [`faults`] | what if API or login service fail? |
//! | [`refusals`] | what if the configuration is wrong? |
//! | [`secrets`] | what is left of a credential: in memory, in echoes of a server, at a proxy? |
//! | [`state`] | what if the state is full, held, read-only, damaged or gone? |
//! | [`tls`] | which servers are talked to, and which are not? |
//! | [`backpressure`] | what if the SIEM is down, and the host takes no more? |
//! | [`hostile`] | what if a server means harm, or is badly broken? |
//! | [`check`] | does `lookback check` pass what is good, and explain what the API says? |
//! | [`dashboards`] | do dashboard and alerts ask for what a running plugin shows? |
//! | [`window`] | does a window that follows the lateness show where it is? |
//! | [`crash`] | what if the process dies, or the host lacks a function? |

#![allow(clippy::disallowed_methods, reason = "a host has a clock, and tests have deadlines")]

#[path = "../../src/bin/lookback/embedded/mod.rs"]
mod embedded;
#[allow(dead_code, unused_imports, reason = "the tests need a part of it")]
#[path = "../../src/bin/lookback/simulate/mod.rs"]
mod simulate;

mod apis;
mod backpressure;
mod bench;
mod check;
mod crash;
mod credentials;
mod dashboards;
mod delivery;
mod faults;
mod hostile;
mod json;
mod language;
mod life;
mod net;
mod refusals;
mod secrets;
mod state;
mod tls;
mod window;

/// Without this the plugin would find no host, and every other test here would test the fallbacks.
#[test]
fn the_test_binary_exports_the_hosts_functions() {
    for name in embedded::abi::EXPORTS {
        assert!(embedded::abi::is_exported(name), "{name:?}");
    }
}
