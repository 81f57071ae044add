//! `lookback audit`: what the API has against what the SIEM holds.
//!
//! | module | idea |
//! |---|---|
//! | this one | the course of it: the SIEM's side, the API's side, the report |
//! | [`source`] | which input of the configuration |
//! | [`siem`], [`export`] | the SIEM's side: an export, streamed |
//! | [`api`], [`fetch`] | the API's side: the plugin's own engine over one range |
//! | [`identity`] | what makes an event and a record the same one |
//! | [`books`] | the comparison |
//! | [`outcome`] | what was found out, and what it comes to |
//! | [`text`], [`json`], [`html`] | the report, for people, programs and browsers |

mod api;
mod books;
mod export;
mod fetch;
mod html;
mod identity;
mod json;
mod outcome;
mod siem;
mod source;
mod text;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use in_lookback::api::Definition;
use in_lookback::auth;
use in_lookback::clock::Clock;
use in_lookback::config::plan::Format;
use in_lookback::config::{Plan, units};
use in_lookback::json::{Finder, Pointer};
use in_lookback::model::{TimeRange, Timestamp};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use self::api::Api;
use self::books::Books;
use self::export::form::{Form, Hints};
use self::fetch::Reading;
use self::identity::Identity;
use self::outcome::{List, Outcome, Verdict};
use self::siem::{Siem, name_unknown};
use crate::when::{When, parse_when};

/// What no property names.
const RAW_KEY: &str = "log";
/// Of a range whose events are selected by another time than their own, a little more is read: clocks differ.
const MARGIN: Duration = Duration::from_secs(3_600);

type Problem = Box<dyn std::error::Error>;

/// Find out what the SIEM lacks: ask the API again, and compare an export of the SIEM.
///
/// Needs a Fluent Bit configuration with an input named `lookback`, whose API and credentials are used (its state is not
/// touched, and no plugin need be running), and an export of what the SIEM holds of the time from --from to --to, as JSON lines,
/// gzip or not: records as Fluent Bit sends them, in `record` or in `raw` form, or as Elasticsearch, OpenSearch or Splunk export
/// them. Health records are passed over. Works for any pipeline whose records keep the event's id.
///
/// The API counts these requests like all others: --rate-limit leaves some of its quota to the pipeline. Memory grows with the
/// number of events in the range, about 100 bytes each, not with their size.
///
/// Exit codes: 0 nothing is missing; 1 records are missing; 2 could not tell, the reason is printed.
#[derive(Args)]
pub(crate) struct AuditArgs {
    /// The configuration: .yaml and .yml as YAML, any other as classic
    config: PathBuf,

    /// What the SIEM holds, as JSON lines; - for standard input
    #[arg(long, value_name = "FILE")]
    export: PathBuf,

    /// The first moment: an RFC 3339 time, or how long ago, as 24h [default: the export's oldest event]
    #[arg(long, value_name = "TIME", value_parser = parse_when)]
    from: Option<When>,

    /// The moment that ends it, itself not included
    #[arg(long, value_name = "TIME", value_parser = parse_when)]
    to: When,

    /// Which input, if the configuration has several: its source, alias or tag
    #[arg(long, value_name = "NAME")]
    source: Option<String>,

    /// Where the id stands in the export's lines, as a JSON pointer such as /_id; repeat it for an id of several parts
    /// [default: where the API's definition says, in whatever is wrapped around the event]
    #[arg(long, value_name = "POINTER")]
    id: Vec<Pointer>,

    /// Where the export's lines tell when a record was received, for lateness and drift
    /// [default: _lookback/first_seen, _indextime, event.ingested]
    #[arg(long, value_name = "POINTER")]
    received: Option<Pointer>,

    /// Requests a minute at most [default: the configuration's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=60_000))]
    rate_limit: Option<u32>,

    /// Give up when the API has failed for so long
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = units::duration)]
    patience: Duration,

    /// Print the report as JSON
    #[arg(long)]
    json: bool,

    /// Write the report as a page with plots, complete in itself
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,

    /// Write every missing event here, byte for byte as the API sent it, one a line
    #[arg(long, value_name = "FILE")]
    missing: Option<PathBuf>,
}

pub(crate) fn run(args: &AuditArgs) -> ExitCode {
    match try_run(args) {
        Ok(verdict) => ExitCode::from(verdict.code()),
        Err(error) => {
            eprintln!("lookback: {error}");
            ExitCode::from(Verdict::CouldNotTell.code())
        }
    }
}

fn try_run(args: &AuditArgs) -> Result<Verdict, Problem> {
    let made = Clock::start().now().wall;
    let plan = source::plan(&args.config, args.source.as_deref(), args.rate_limit)?;
    if let Some(access) = &plan.access {
        auth::check(&access.login)?;
    }
    let (from, to) = (args.from.map(|from| from.moment(made)), args.to.moment(made));
    check_range(from, to, made)?;
    check_id(&plan, &args.id)?;
    // What cannot be written is better found out before than after.
    let html = args.html.as_ref().map(|path| create(path, "--html")).transpose()?;
    let missing = args.missing.as_ref().map(|path| create(path, "--missing")).transpose()?;

    let identity = Identity::new(fastrand::u128(..).to_le_bytes());
    let hints = Hints { id: args.id.clone(), received: args.received.clone() };
    let raw_key = match &plan.format {
        Format::Raw(key) => key.as_str(),
        Format::Record => RAW_KEY,
    };
    let form = Form::new(&plan.definition, &plan.source, raw_key, &hints);
    let reader = form.reader(identity);
    let mut siem = Siem::new(Books::new(from, to));
    siem.read(&args.export, &reader)?;
    siem.check(&args.export, &plan, &args.id)?;
    let from = from.or(siem.books.oldest()).ok_or_else(|| {
        format!(
            "{}: no record of before {to} tells where to begin; set --from",
            args.export.display()
        )
    })?;
    let range = TimeRange::new(from, to);

    let pointers = plan.definition.id.pointers().to_vec();
    let progress = bar("{prefix} {wide_bar} {percent} %  {msg}", range.span().as_secs());
    progress.set_prefix("the API   ");
    let mut api = Api {
        range,
        identity,
        finder: Finder::new(&pointers),
        unidentified: siem.tally.unidentified,
        books: siem.books,
        list: List::default(),
        undecided: 0,
        events: 0,
        copy: missing,
        copy_failed: None,
        progress,
    };
    let asked = asked(&plan, range, made);
    let reading = fetch::read(plan.clone(), asked, args.patience, &mut api)?;
    api.books.blind_to(blind(&plan, asked, &reading));
    let outcome = Outcome {
        source: plan.source.clone(),
        title: plan.definition.title.clone(),
        export: args.export.display().to_string(),
        range,
        made,
        deepest: deepest(&plan),
        reading,
        tally: siem.tally,
        lateness: siem.lateness,
        doubled: siem.doubled.sorted(),
        balance: api.books.balance(),
        undecided: api.undecided,
        unknown: List::default(),
        missing: List::default(),
    };
    let (list, books) = api.finish()?;
    let unknown = name_unknown(&args.export, &reader, &books, outcome.balance.total().unknown)?;
    let outcome = Outcome { missing: list.sorted(), unknown: unknown.sorted(), ..outcome };
    publish(args, &outcome, html)?;
    Ok(outcome.verdict())
}

fn check_range(from: Option<Timestamp>, to: Timestamp, now: Timestamp) -> Result<(), Problem> {
    if to > now {
        return Err(format!("--to {to} lies in the future: it is {now}").into());
    }
    match from.filter(|from| *from >= to) {
        Some(from) => Err(format!("--from {from} is not before --to {to}").into()),
        None => Ok(()),
    }
}

/// An id of other parts than the API's would make all events missing.
fn check_id(plan: &Plan, own: &[Pointer]) -> Result<(), Problem> {
    let parts = plan.definition.id.pointers();
    if own.is_empty() || own.len() == parts.len() {
        return Ok(());
    }
    let Definition { name, .. } = &plan.definition;
    if parts.is_empty() {
        return Err(format!("--id: events of {name} have no id, only their bytes; leave it out, and export in raw form").into());
    }
    let parts: Vec<String> = parts.iter().map(|part| format!("'{part}'")).collect();
    let (all, found) = (parts.join(" and "), own.len());
    Err(format!("--id is given {found} times, and an id of {name} is {all}: give it once for each")
        .into())
}

fn create(path: &Path, option: &str) -> Result<BufWriter<File>, Problem> {
    let file = File::create(path);
    let file =
        file.map_err(|error| format!("{option} {} cannot be written: {error}", path.display()))?;
    Ok(BufWriter::new(file))
}

/// What must be asked for to see all events of a range: where an API selects by the time at which it stored them,
/// they may have been stored at any time since.
fn asked(plan: &Plan, range: TimeRange, now: Timestamp) -> TimeRange {
    match plan.definition.window_on {
        None => range,
        Some(_) => TimeRange::new(range.from - MARGIN, now),
    }
}

/// The hours of which not all events were read: where the API selects by another time than the events' own, those
/// before the range that was not read as well.
fn blind(plan: &Plan, asked: TimeRange, reading: &Reading) -> Vec<TimeRange> {
    let unread = reading.unread.iter().chain(reading.gaps.iter().map(|(range, _)| range));
    let since = |range: &TimeRange| match plan.definition.window_on {
        None => *range,
        Some(_) => TimeRange::new(asked.from, range.to),
    };
    unread.map(since).collect()
}

/// How long after its time an event may still be delivered: as far back as sweeps read.
fn deepest(plan: &Plan) -> Duration {
    let deepest = plan.schedule.sweeps.iter().map(|sweep| sweep.depth).max();
    deepest.unwrap_or(plan.schedule.window).max(plan.schedule.window)
}

/// A bar on the terminal; nothing elsewhere.
fn bar(template: &str, length: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template(template).expect("a template");
    bar.with_style(style)
}

fn publish(
    args: &AuditArgs,
    outcome: &Outcome,
    html: Option<BufWriter<File>>,
) -> Result<(), Problem> {
    if let (Some(mut file), Some(path)) = (html, &args.html) {
        let written = file.write_all(html::page(outcome).as_bytes()).and_then(|()| file.flush());
        written.map_err(|error| format!("--html {} cannot be written: {error}", path.display()))?;
    }
    let report = match args.json {
        true => format!("{:#}\n", json::report(outcome)),
        false => text::report(outcome),
    };
    match io::stdout().lock().write_all(report.as_bytes()) {
        // Who reads no further has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}
