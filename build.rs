//! Generates the host's ABI types.
fn main() {}
