//! `lookback state`: what a state file holds, and which hours have been read completely.
//!
//! | module | idea |
//! |---|---|
//! | [`coverage`] | which hours are whole, and which are holes |
//! | [`text`], [`json`] | the words |

mod coverage;
mod json;
mod text;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use in_lookback::clock::Clock;
use in_lookback::model::Timestamp;
use in_lookback::state::look::{Source, look};
use in_lookback::state::{StateError, Trouble};

use self::coverage::Coverage;
use crate::audit::{When, parse_when};
use crate::terminal::wants_colour;

/// Show what a state file holds: how far each source was read, and which hours completely.
///
/// Reads the file that `db` names, while the plugin runs and when it does not; it creates and changes nothing, and holds up nobody. With
/// --coverage, an hour of event time a row, in UTC: how many records came, how many were known already, how many of them a
/// sweep saw first, and when all of the hour was read for the first and for the last time, by a live poll, the catch-up or
/// a sweep. Holes stand out: hours that were never read completely, or of which something could not be had.
#[derive(Args)]
#[command(after_help = "\
Exit codes:
  0  the file could be read; with --coverage: every hour was read completely
  1  with --coverage: there are holes
  2  could not tell: the reason is printed")]
pub(crate) struct StateArgs {
    /// The state file, as `db` names it
    db: PathBuf,

    /// Hour by hour, what of this source was read
    #[arg(long, value_name = "SOURCE")]
    coverage: Option<String>,

    /// From this hour on: an RFC 3339 time, or how long ago, as 24h [default: the ledger's first]
    #[arg(long, value_name = "TIME", value_parser = parse_when, requires = "coverage")]
    from: Option<When>,

    /// Up to here [default: now]
    #[arg(long, value_name = "TIME", value_parser = parse_when, requires = "coverage")]
    to: Option<When>,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &StateArgs) -> ExitCode {
    let (text, code) = match show(args) {
        Ok(shown) => shown,
        Err(problem) => {
            eprintln!("lookback: {problem}");
            return ExitCode::from(2);
        }
    };
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            eprintln!("lookback: {error}");
            ExitCode::from(2)
        }
        _ => ExitCode::from(code),
    }
}

/// What to print, and the exit code.
fn show(args: &StateArgs) -> Result<(String, u8), String> {
    let now = Clock::start().now().wall;
    let sources = look(&args.db).map_err(|error| explain(&args.db, &error))?;
    let Some(name) = &args.coverage else {
        let text = match args.json {
            true => format!("{:#}\n", json::sources(&sources, now)),
            false => text::sources(&sources, now),
        };
        return Ok((text, 0));
    };
    let source = find(&sources, name).map_err(|error| format!("{}: {error}", args.db.display()))?;
    let [from, to] = [&args.from, &args.to].map(|when| when.as_ref().map(|it| it.moment(now)));
    let coverage = coverage::judge(source, (from, to), now)
        .map_err(|problem| format!("{}: {name}: {problem}", args.db.display()))?;
    let text = match args.json {
        true => format!("{:#}\n", json::coverage(name, &coverage)),
        false => text::coverage(&coverage, wants_colour()),
    };
    Ok((text, verdict(&coverage)))
}

/// As an exit code.
fn verdict(coverage: &Coverage) -> u8 {
    match (coverage.holes.is_empty(), coverage.judged) {
        (false, _) => 1,
        (true, 0) => 2,
        (true, _) => 0,
    }
}

fn find<'s>(sources: &'s [Source], name: &str) -> Result<&'s Source, String> {
    sources.iter().find(|source| source.name == name).ok_or_else(|| {
        let names: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
        match names.is_empty() {
            true => "the file holds no source yet".to_owned(),
            false => {
                let names = text::plain(&names.join(", "), 1_000);
                format!("no source is named '{}'; there are: {names}", text::plain(name, 200))
            }
        }
    })
}

/// What is wrong with the file, and what to do.
fn explain(db: &Path, error: &StateError) -> String {
    let path = db.display();
    match error {
        StateError::Io(io) if io.kind() == io::ErrorKind::NotFound => {
            format!("{path}: there is no such file; give the path that the input's 'db' names")
        }
        StateError::Directory | StateError::Foreign => {
            format!("{path}: {error}, not of lookback; give the path that the input's 'db' names")
        }
        StateError::Newer { .. } => format!("{path}: {error}; run that version's 'lookback state'"),
        StateError::UnderWay => format!("{path}: it changes all the time; try again"),
        error if error.trouble() == Trouble::Lost => format!(
            "{path}: it is damaged, or not of lookback ({error}); a damaged one is set aside, and what can be read of it carried over, when the plugin next opens it"
        ),
        error => format!(
            "{path}: {error}; let the user who runs this read the file and what lies beside it, or start the plugin once if it did not end well"
        ),
    }
}

/// A time without what nobody needs of it.
fn time(moment: Timestamp) -> String {
    moment.floor_secs().to_string()
}
