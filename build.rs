//! Generates the types of the host's ABI from `include/lookback_host.h`, and exports the embedded
//! host's functions from the command-line tool.

use std::env;
use std::path::PathBuf;

/// What a plugin looks up in its host: exported by the command-line tool, whose embedded host has them.
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
    println!("cargo:rerun-if-changed=include/lookback_host.h");
    generate_bindings();
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

fn generate_bindings() {
    let bindings = bindgen::Builder::default()
        .header("include/lookback_host.h")
        .allowlist_item("lookback_.*")
        .allowlist_item("LOOKBACK_.*")
        .derive_debug(false)
        .generate()
        .expect("bindgen reads include/lookback_host.h (is libclang installed?)");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    bindings.write_to_file(out.join("lookback_host.rs")).expect("OUT_DIR is writable");
}
