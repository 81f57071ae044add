//! `lookback apis`: the built-in definitions, and a look at one of the user's own.

use std::io::{self, Write};

use clap::Args;
use in_lookback::api::{Definition, catalog};
use in_lookback::config::{load, sweeps, units};

/// List the built-in API definitions, print one of them, or check one of your own
#[derive(Debug, Args)]
pub(crate) struct ApisArgs {
    /// The built-in definition to print, a starting point for one of your own; or the path of yours, to
    /// be checked
    #[arg(value_name = "NAME|PATH")]
    name: Option<String>,
}

pub(crate) fn run(args: &ApisArgs) -> Result<(), String> {
    let text = match args.name.as_deref() {
        Some(name) => match catalog::BUILT_IN.iter().find(|(built_in, _)| *built_in == name) {
            Some((_, yaml)) => (*yaml).to_owned(),
            None => check(name)?,
        },
        None => list(),
    };
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.to_string()),
        _ => Ok(()),
    }
}

/// Reads a definition of the user's own.
fn check(path: &str) -> Result<String, String> {
    let definition =
        load::definition(path).map_err(|error| format!("{}; {}", error.problem, error.mend))?;
    let mut out = format!("{path} reads well. Whether the API agrees shows when it is asked.\n");
    out.push_str(&summary(&definition));
    for (name, parameter) in &definition.parameters {
        let need = if parameter.default.is_some() { "may be set" } else { "must be set" };
        out.push_str(&format!("{:<32} parameter '{name}' {need}: {}\n", "", parameter.doc));
    }
    Ok(out)
}

fn list() -> String {
    let built_in = catalog::BUILT_IN.iter().filter_map(|(name, _)| catalog::find(name));
    built_in.map(summary).collect()
}

fn summary(definition: &Definition) -> String {
    format!(
        "{:<32} {}\n{:<32} window {}, sweeps {}, answers {} back, {} requests a minute\n",
        definition.name,
        definition.title,
        "",
        units::show(definition.window),
        sweeps::show(&definition.sweeps),
        units::show(definition.limits.reach),
        definition.limits.requests_per_minute,
    )
}
