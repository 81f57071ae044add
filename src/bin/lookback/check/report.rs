//! What was found, for people (80 columns) and for programs.

use std::fmt::Write as _;

use in_lookback::config::units::show;
use serde_json::{Value, json};

use super::advice::Advice;
use super::attempt::Tried;
use super::budget::Budget;
use super::finding::Finding;
use super::fleet;
use super::schedule::about;

/// As wide as a terminal at least is.
const COLUMNS: usize = 80;

/// Where what is said begins.
const INDENT: usize = 9;

/// What became of the trial of one input.
pub(crate) enum Trial {
    /// It was not to be tried.
    None,
    /// It could not be had: what, and what to do.
    Failed(String, String),
    Done(Box<(Tried, Advice)>),
}

/// One input, looked at.
pub(crate) struct Looked {
    pub(crate) name: String,
    pub(crate) source: String,
    pub(crate) window: std::time::Duration,
    /// Whether that is only what it begins with.
    pub(crate) window_is_auto: bool,
    pub(crate) budget: Budget,
    pub(crate) trial: Trial,
}

/// All of it.
pub(crate) struct Report {
    pub(crate) config: String,
    pub(crate) findings: Vec<Finding>,
    pub(crate) databases: Vec<fleet::Looked>,
    pub(crate) inputs: Vec<Looked>,
}

/// How it stands, all in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Fine,
    /// It does not start, or can lose records.
    Serious,
    /// Nothing serious was found, but it could not be tried.
    Untried,
}

impl Verdict {
    fn as_str(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Serious => "findings",
            Self::Untried => "untried",
        }
    }
}

impl Report {
    /// Of a configuration that cannot be read.
    pub(crate) fn unread(config: String, finding: Finding) -> Self {
        Self { config, findings: vec![finding], databases: Vec::new(), inputs: Vec::new() }
    }

    pub(crate) fn verdict(&self) -> Verdict {
        if self.findings.iter().any(|finding| finding.severity.is_serious()) {
            return Verdict::Serious;
        }
        let mut inputs = self.inputs.iter().map(|input| matches!(input.trial, Trial::Failed(..)));
        let failed = |it: &fleet::Looked| matches!(it.trial, fleet::Trial::Failed(..));
        match inputs.any(|failed| failed) || self.databases.iter().any(failed) {
            true => Verdict::Untried,
            false => Verdict::Fine,
        }
    }

    pub(crate) fn text(&self) -> String {
        let mut out = String::new();
        for finding in &self.findings {
            let _ = writeln!(out, "{:<INDENT$}{}", finding.severity.as_str(), finding.place);
            say(&mut out, "", &finding.problem);
            say(&mut out, "-> ", &finding.mend);
            out.push('\n');
        }
        for database in &self.databases {
            let _ = writeln!(out, "{:<INDENT$}{}", "database", database.fleet.database);
            database.lines().iter().for_each(|(word, text)| say(&mut out, word, text));
            out.push('\n');
        }
        for input in &self.inputs {
            input.text(&mut out);
        }
        out.push_str(&self.conclusion());
        out
    }

    fn conclusion(&self) -> String {
        let serious = self.findings.iter().filter(|finding| finding.severity.is_serious()).count();
        let warnings = self.findings.len() - serious;
        let warnings = match warnings {
            0 => String::new(),
            some => format!("; {}", count(some as u64, "warning")),
        };
        let tried = match self.inputs.iter().any(|input| !matches!(input.trial, Trial::None)) {
            true => "linted and tried",
            false => "linted, not tried",
        };
        let verdict = match self.verdict() {
            Verdict::Fine => format!("fine ({tried})"),
            Verdict::Serious => format!("{} to mend", count(serious as u64, "thing")),
            Verdict::Untried => "could not be tried".to_owned(),
        };
        format!("{}: {verdict}{warnings}\n", self.config)
    }

    pub(crate) fn json(&self) -> Value {
        let inputs: Vec<Value> = self.inputs.iter().map(Looked::json).collect();
        let databases: Vec<Value> = self.databases.iter().map(fleet::Looked::json).collect();
        json!({
            "config": self.config,
            "verdict": self.verdict().as_str(),
            "findings": self.findings,
            "databases": databases,
            "inputs": inputs,
        })
    }
}

impl Looked {
    fn text(&self, out: &mut String) {
        let _ = writeln!(out, "{:<INDENT$}{}", "input", self.name);
        say(out, "source    ", &self.source);
        let requests = format!(
            "at least {:.0} an hour, allowed {:.0}",
            self.budget.needed.ceil(),
            self.budget.allowed
        );
        say(out, "requests  ", &requests);
        match &self.trial {
            Trial::None => say(out, "window    ", &self.shown_window()),
            Trial::Failed(problem, mend) => {
                say(out, "tried     ", problem);
                say(out, "       -> ", mend);
            }
            Trial::Done(done) => self.tried(out, &done.0, &done.1),
        }
        out.push('\n');
    }

    fn tried(&self, out: &mut String, tried: &Tried, advice: &Advice) {
        let whole = if tried.whole { "" } else { ", and did not read all of it" };
        let events = count(tried.times.len() as u64, "event");
        let page = format!(
            "answered: {events} in {}, {} back{whole}",
            count(u64::from(tried.requests), "request"),
            about(tried.span)
        );
        say(out, "tried     ", &page);
        if let (Some(newest), Some(drift)) = (tried.times.first(), advice.drift) {
            let newest = format!("{}, drift {}", newest.floor_secs(), about(drift));
            say(out, "newest    ", &newest);
        }
        let window = format!("{}; advised {}", self.shown_window(), show(advice.window));
        say(out, "window    ", &window);
        say(out, "          ", &format!("({})", advice.basis));
    }

    fn shown_window(&self) -> String {
        let window = show(self.window);
        if self.window_is_auto { format!("auto, {window} at first") } else { window }
    }

    fn json(&self) -> Value {
        let mut value = json!({
            "input": self.name,
            "source": self.source,
            "window_seconds": self.window.as_secs(),
            "window_is_auto": self.window_is_auto,
            "requests_per_hour": self.budget.needed.ceil(),
            "requests_per_hour_allowed": self.budget.allowed,
        });
        value["tried"] = match &self.trial {
            Trial::None => Value::Null,
            Trial::Failed(problem, mend) => json!({"ok": false, "problem": problem, "mend": mend}),
            Trial::Done(done) => {
                let (tried, advice) = done.as_ref();
                json!({
                    "ok": true,
                    "events": tried.times.len(),
                    "requests": tried.requests,
                    "read_seconds": tried.span.as_secs(),
                    "read_whole": tried.whole,
                    "newest": tried.times.first().map(ToString::to_string),
                    "drift_seconds": advice.drift.map(|drift| drift.as_secs()),
                    "is_lateness": advice.is_lateness,
                    "advised_window_seconds": advice.window.as_secs(),
                    "basis": advice.basis,
                })
            }
        };
        value
    }
}

/// `1 event`, `2 events`.
pub(crate) fn count(number: u64, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

/// Says something behind a word, below the indent, wrapped at blanks.
fn say(out: &mut String, word: &str, text: &str) {
    let indent = " ".repeat(INDENT + word.chars().count());
    let mut line = format!("{:INDENT$}{word}", "");
    let mut is_first = true;
    for part in text.split_whitespace() {
        let wide = line.chars().count() + usize::from(!is_first) + part.chars().count();
        if wide > COLUMNS && !is_first {
            let _ = writeln!(out, "{}", line.trim_end());
            line.clone_from(&indent);
            is_first = true;
        }
        if !is_first {
            line.push(' ');
        }
        line.push_str(part);
        is_first = false;
    }
    let _ = writeln!(out, "{}", line.trim_end());
}
