//! The command-line tool of lookback: one file, or module, per command.

mod apis;
mod audit;
mod check;
mod client;
mod config;
mod demo;
mod embedded;
mod run;
mod simulate;
mod sink;
mod state;
mod terminal;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Pulls logs out of HTTP APIs that show them late: no gaps, no duplicates
#[derive(Parser)]
#[command(name = "lookback", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Demo(demo::DemoArgs),
    Run(Box<run::RunArgs>),
    Audit(Box<audit::AuditArgs>),
    Check(check::CheckArgs),
    State(state::StateArgs),
    Apis(apis::ApisArgs),
    Simulate(Box<simulate::SimulateArgs>),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Demo(args) => return demo::run(&args),
        Command::Run(args) => return run::run(&args),
        Command::Audit(args) => return audit::run(&args),
        Command::Check(args) => return check::run(&args),
        Command::State(args) => return state::run(&args),
        Command::Apis(args) => apis::run(&args),
        Command::Simulate(args) => simulate::run(*args).map_err(|error| error.to_string()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lookback: {error}");
            ExitCode::FAILURE
        }
    }
}
