//! `lookback check`: lints a configuration, then tries it.
//!
//! | module | idea |
//! |---|---|
//! | [`finding`] | what is wrong, how bad it is, the mend |
//! | [`properties`] | an input's properties by themselves |
//! | [`schedule`] | what a plan that would start would miss |
//! | [`budget`] | requests an hour, needed and allowed |
//! | [`delivery`] | from the input to the SIEM: storage, routes, retries |
//! | [`files`] | what of the machine is named: the state's place, certificates |
//! | [`fleet`] | a shared database: what would work against it, and what it says of itself |
//! | [`attempt`] | a token, then pages: what the API says |
//! | [`advice`] | what that says of drift and window |
//! | [`report`] | the words |

mod advice;
mod attempt;
mod budget;
mod delivery;
mod files;
mod finding;
mod fleet;
mod properties;
mod report;
mod schedule;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use in_lookback::clock::Clock;
use in_lookback::config::{ConfigError, Plan, load};
use in_lookback::model::Timestamp;

use self::budget::Budget;
use self::finding::{Finding, Severity};
use self::report::{Looked, Report, Trial, Verdict};
use crate::config::{self, Config, Place, Section};

/// Lint a Fluent Bit configuration, then try it.
///
/// Says what lookback would refuse, what would lose records, and what to do about it. Then, unless --offline, asks for
/// a token and for the newest events, and says how late the API is. It delivers nothing, starts no subscription, and
/// leaves the state alone: of a shared database it asks only what it is. Needs what Fluent Bit will have: its environment, its user, its network.
#[derive(Args)]
#[command(after_help = "\
Exit codes:
  0  fine; there may be warnings
  1  findings: it would not start (error), or can lose records (loss)
  2  nothing of that kind, but it could not be tried: no token, no page, or no database")]
pub(crate) struct CheckArgs {
    /// The configuration: .yaml and .yml as YAML, any other as classic
    config: PathBuf,

    /// Only lint: ask nobody
    #[arg(long)]
    offline: bool,

    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// One input of lookback's.
pub(crate) struct Input<'c> {
    section: &'c Section,
    /// As Fluent Bit names it.
    name: String,
    tag: String,
    /// The parameters that its definition has of its own; nothing if there is no such definition.
    parameters: Option<BTreeSet<String>>,
    plan: Result<Plan, ConfigError>,
}

impl<'c> Input<'c> {
    /// The input at this place among all of them.
    fn new(section: &'c Section, at: usize) -> Self {
        let plain = format!("{}.{at}", crate::run::PLUGIN_NAME);
        let own = |key: &str| section.get(key).unwrap_or(&plain).to_owned();
        let definition = section.get("api").and_then(|api| load::definition(api.trim()).ok());
        Self {
            section,
            name: own("alias"),
            tag: own("tag"),
            parameters: definition.map(|it| it.parameters.into_keys().collect()),
            plan: load::plan(|name| section.get(name).map(str::to_owned)),
        }
    }

    /// Where a property stands, else where the input begins.
    fn place_of(&self, property: &str) -> &'c Place {
        delivery::place_of(self.section, property)
    }
}

pub(crate) fn run(args: &CheckArgs) -> ExitCode {
    let report = look(args);
    let text = match args.json {
        true => format!("{:#}\n", report.json()),
        false => report.text(),
    };
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            eprintln!("lookback: {error}");
            return ExitCode::FAILURE;
        }
        _ => {}
    }
    match report.verdict() {
        Verdict::Fine => ExitCode::SUCCESS,
        Verdict::Serious => ExitCode::from(1),
        Verdict::Untried => ExitCode::from(2),
    }
}

fn look(args: &CheckArgs) -> Report {
    let name = args.config.display().to_string();
    let config = match config::read(&args.config) {
        Ok(config) => config,
        Err(error) => {
            let mend = "mend the file: nothing else could be looked at";
            let finding = Finding::new(Severity::Error, &error.place, error.message, mend);
            return Report::unread(name, finding);
        }
    };
    let inputs = inputs(&config);
    let mut findings = lint(&config, &inputs, Clock::start().now().wall);
    if inputs.is_empty() {
        let problem = format!("no input is named '{}'", crate::run::PLUGIN_NAME);
        findings.push(Finding::new(Severity::Error, &name, problem, "add one: see the README"));
    }
    let mut looked = Vec::new();
    for (input, plan) in inputs.iter().filter_map(|it| Some((it, it.plan.as_ref().ok()?))) {
        files::lint(input, plan, &mut findings);
        let trial = if args.offline { Trial::None } else { try_it(input, plan, &mut findings) };
        looked.push(Looked {
            name: input.name.clone(),
            source: plan.source.clone(),
            window: plan.schedule.window,
            window_is_auto: plan.schedule.auto.is_some(),
            budget: Budget::of(plan, None),
            trial,
        });
    }
    let databases = fleet::look(&inputs, args.offline, &mut findings);
    findings.sort_by_key(|finding| finding.severity);
    Report { config: name, findings, databases, inputs: looked }
}

/// The inputs that are lookback's.
fn inputs(config: &Config) -> Vec<Input<'_>> {
    let all = config.inputs.iter().enumerate();
    let ours = all.filter(|(_, it)| it.plugin.eq_ignore_ascii_case(crate::run::PLUGIN_NAME));
    ours.map(|(at, section)| Input::new(section, at)).collect()
}

/// All that can be said without asking anybody, or the machine.
fn lint(config: &Config, inputs: &[Input<'_>], now: Timestamp) -> Vec<Finding> {
    let mut findings: Vec<Finding> = config.warnings.iter().map(|it| passed_over(it)).collect();
    for input in inputs {
        properties::lint(input, &mut findings);
        match &input.plan {
            Ok(plan) => schedule::lint(input, plan, now, &mut findings),
            Err(error) => {
                findings.push(Finding::refusal(input.place_of(&error.property), error));
            }
        }
    }
    schedule::one_source_each(inputs, &mut findings);
    fleet::lint(inputs, &mut findings);
    delivery::lint(config, inputs, &mut findings);
    findings
}

/// What reading the configuration remarked upon: a place, and a sentence.
fn passed_over(warning: &str) -> Finding {
    let (place, problem) = warning.split_once(": ").unwrap_or(("", warning));
    let mend = match problem.ends_with("is used but not set") {
        true => "set it here as well, as Fluent Bit's environment has it",
        false => "mend it, or remove it",
    };
    Finding::new(Severity::Warning, place, problem, mend)
}

/// Tries one input, and says what that shows of its plan.
fn try_it(input: &Input<'_>, plan: &Plan, findings: &mut Vec<Finding>) -> Trial {
    if io::stderr().is_terminal() {
        eprintln!("lookback: trying {} at {} …", plan.source, plan.base_url);
    }
    let tried = match attempt::attempt(plan) {
        Ok(tried) => tried,
        Err((asked, failure)) => {
            let (problem, mend) = attempt::explain(asked, &failure);
            return Trial::Failed(problem, mend.to_owned());
        }
    };
    let advice = advice::advise(plan, &tried);
    findings.extend(schedule::in_practice(input, plan, &tried, &advice));
    Trial::Done(Box::new((tried, advice)))
}
