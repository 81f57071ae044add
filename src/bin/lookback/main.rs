//! The command-line tool: one file a command.

mod embedded;
fn main() {}
