//! Exports the fake host's functions from its target: the plugin looks them up by name.

const HOST_FUNCTIONS: [&str; 8] = [
    "flb_input_log_append",
    "flb_input_name",
    "cmt_gauge_create",
    "cmt_gauge_set",
    "cmt_counter_create",
    "cmt_counter_set",
    "cmt_encode_text_create",
    "cmt_encode_text_destroy",
];

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    for name in HOST_FUNCTIONS {
        println!("cargo:rustc-link-arg-bin=host=-Wl,--export-dynamic-symbol={name}");
    }
}
