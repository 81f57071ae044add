//! `lookback state`: what a state holds, and which hours have been read completely.
//!
//! | module | idea |
//! |---|---|
//! | [`place`] | a file, or a database that several machines share |
//! | [`coverage`] | which hours are whole, and which are holes |
//! | [`text`], [`json`] | the words |

mod coverage;
mod json;
mod place;
mod text;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use in_lookback::clock::Clock;
use in_lookback::model::Timestamp;
use in_lookback::state::look::Source;

use self::coverage::Coverage;
use self::place::{Found, Place};
use crate::terminal::wants_colour;
use crate::text::plain;
use crate::when::{When, parse_when};

/// Show what a state holds: how far each source was read, and which hours completely.
///
/// Reads the file or the database that `db` names, while the plugin runs and when it does not; it creates and changes nothing, and holds up
/// nobody. Of a database it also shows who leads each source, and for how long yet. With --coverage, an hour of event time a row, in UTC: how many records came, how many were known already, how many of them a
/// sweep saw first, and when all of the hour was read for the first and for the last time, by a live poll, the catch-up or
/// a sweep. Holes stand out: hours that were never read completely, or of which something could not be had.
#[derive(Args)]
#[command(after_help = "\
Exit codes:
  0  the state could be read; with --coverage: every hour was read completely
  1  with --coverage: there are holes
  2  could not tell: the reason is printed")]
pub(crate) struct StateArgs {
    /// The state, as `db` names it: a file, or the URL of a database. Its password is better not written here, where others see
    /// it: PGPASSWORD, `?password_file=` or `?passfile=` hold it
    // Not parsed here: what is wrong would be quoted, password and all.
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

const HOLES: u8 = 1;
const COULD_NOT_TELL: u8 = 2;

pub(crate) fn run(args: &StateArgs) -> ExitCode {
    let (text, code) = match show(args) {
        Ok(shown) => shown,
        Err(problem) => return could_not_tell(&problem),
    };
    match io::stdout().lock().write_all(text.as_bytes()) {
        // Who reads no further has read enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            could_not_tell(&error.to_string())
        }
        _ if code == COULD_NOT_TELL => {
            could_not_tell("could not tell: no hour of the range has ended and can be judged yet")
        }
        _ => ExitCode::from(code),
    }
}

fn could_not_tell(why: &str) -> ExitCode {
    eprintln!("lookback: {why}");
    ExitCode::from(COULD_NOT_TELL)
}

/// What to print, and the exit code.
fn show(args: &StateArgs) -> Result<(String, u8), String> {
    let now = Clock::start().now().wall;
    let [from, to] = [&args.from, &args.to].map(|when| when.as_ref().map(|it| it.moment(now)));
    if let (Some(from), Some(to)) = (from, to)
        && from >= to
    {
        return Err(format!("--from ({}) must be before --to ({})", time(from), time(to)));
    }
    let place = Place::parse(&args.db)?;
    let Found { sources, leaders } = place.look(args.coverage.as_deref())?;
    let Some(name) = &args.coverage else {
        let text = match args.json {
            true => format!("{:#}\n", json::sources(&sources, leaders.as_ref(), now)),
            false => text::sources(&sources, leaders.as_ref(), now, wants_colour()),
        };
        return Ok((text, 0));
    };
    let source = find(&sources, name).map_err(|error| format!("{place}: {error}"))?;
    if leaders.is_some() && source.progress.is_none() {
        return Err(format!("{place}: {name}: {}", text::NEVER));
    }
    let coverage = coverage::judge(source, (from, to), now)
        .map_err(|problem| format!("{place}: {name}: {problem}"))?;
    let text = match args.json {
        true => format!("{:#}\n", json::coverage(name, &coverage)),
        false => text::coverage(&coverage, wants_colour()),
    };
    Ok((text, verdict(&coverage)))
}

/// As an exit code.
fn verdict(coverage: &Coverage) -> u8 {
    match (coverage.holes.is_empty(), coverage.judged) {
        (false, _) => HOLES,
        (true, 0) => COULD_NOT_TELL,
        (true, _) => 0,
    }
}

fn find<'s>(sources: &'s [Source], name: &str) -> Result<&'s Source, String> {
    sources.iter().find(|source| source.name == name).ok_or_else(|| {
        let names: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
        match names.is_empty() {
            true => "it holds no source yet".to_owned(),
            false => {
                let names = plain(&names.join(", "), 1_000);
                format!("no source is named '{}'; there are: {names}", plain(name, 200))
            }
        }
    })
}

/// A time without what nobody needs of it.
fn time(moment: Timestamp) -> String {
    moment.floor_secs().to_string()
}
