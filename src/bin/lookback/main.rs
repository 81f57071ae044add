//! The command-line tool of lookback: one file, or module, per command.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod simulate;

/// Pulls logs out of HTTP APIs that show them late: no gaps, no duplicates
#[derive(Debug, Parser)]
#[command(name = "lookback", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Simulate(simulate::SimulateArgs),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Simulate(args) => simulate::run(args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lookback: {error}");
            ExitCode::FAILURE
        }
    }
}
