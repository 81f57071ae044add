//! `lookback apis`: the built-in definitions.

use std::io::{self, Write};

use clap::Args;
use in_lookback::api::catalog;
use in_lookback::config::{sweeps, units};

/// List the built-in API definitions, or print one of them, whole
#[derive(Debug, Args)]
pub(crate) struct ApisArgs {
    /// The definition to print, a starting point for one of your own
    name: Option<String>,
}

pub(crate) fn run(args: &ApisArgs) -> Result<(), String> {
    let text = match &args.name {
        Some(name) => whole(name)?,
        None => list(),
    };
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.to_string()),
        _ => Ok(()),
    }
}

fn whole(name: &str) -> Result<String, String> {
    let found = catalog::BUILT_IN.iter().find(|(built_in, _)| *built_in == name);
    let unknown = || format!("'{name}' is not built in; expected one of {}", catalog::names());
    found.map(|(_, yaml)| (*yaml).to_owned()).ok_or_else(unknown)
}

fn list() -> String {
    let mut out = String::new();
    for (name, _) in catalog::BUILT_IN {
        let Some(definition) = catalog::find(name) else { continue };
        out.push_str(&format!(
            "{name:<24} {}\n{:<24} window {}, sweeps {}, answers {} back, {} requests a minute\n",
            definition.title,
            "",
            units::show(definition.window),
            sweeps::show(&definition.sweeps),
            units::show(definition.limits.reach),
            definition.limits.requests_per_minute,
        ));
    }
    out
}
