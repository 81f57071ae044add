//! Generates the host's ABI types, and exports the embedded host's functions from the command-line tool.
use std::env;

/// What a plugin looks up in its host.
const HOST_FUNCTIONS: [&str; 9] = [
    "flb_input_log_append",
    "flb_input_name",
    "cmt_gauge_create",
    "cmt_gauge_set",
    "cmt_counter_create",
    "cmt_counter_set",
    "cmt_counter_add",
    "cmt_encode_text_create",
    "cmt_encode_text_destroy",
];

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_CLI").is_some() {
        export_host_functions();
    }
}

/// For the tool and the integration tests only: the plugin itself exports none of them.
fn export_host_functions() {
    for name in HOST_FUNCTIONS {
        println!("cargo:rustc-link-arg-bin=lookback=-Wl,--export-dynamic-symbol={name}");
        println!("cargo:rustc-link-arg-tests=-Wl,--export-dynamic-symbol={name}");
    }
}
