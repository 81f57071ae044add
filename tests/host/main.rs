//! The embedded host as integration tests use it.

#[path = "../../src/bin/lookback/embedded/mod.rs"]
mod embedded;

/// Without this the plugin would find no host, and every other test here would test the fallbacks.
#[test]
fn the_test_binary_exports_the_hosts_functions() {
    for name in embedded::abi::EXPORTS {
        assert!(embedded::abi::is_exported(name), "{name:?}");
    }
}
