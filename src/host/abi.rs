//! The host's types, generated from `include/lookback_host.h`.

#![allow(
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    dead_code,
    unreachable_pub,
    clippy::all,
    reason = "generated"
)]

include!(concat!(env!("OUT_DIR"), "/lookback_host.rs"));
