//! Generates the types of the host's ABI from `include/lookback_host.h`.

use std::env;
use std::path::PathBuf;

fn main() {
    println!("cargo:rerun-if-changed=include/lookback_host.h");
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
