//! The command-line tool: one file a command.

mod config;
mod embedded;
mod run;
mod sink;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Pulls logs out of HTTP APIs that hand them over late and out of order.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Run(run::RunArgs),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run(args) => run::run(args),
    }
}
