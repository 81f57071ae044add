//! Lines for people, 80 columns wide; colour only where someone sees it.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use in_lookback::config::units;
use serde_json::Value;

use super::books::{Lot, SignIn, Totals};
use crate::embedded::Record;

const WIDTH: usize = 80;
/// So much history at once gets a line of its own.
const HISTORY_LINE: usize = 100;
/// Where the text of a health line begins.
const TEXT_AT: usize = 30;
/// Of each lot, so many lines at most: a stream that can be read.
const PROMPT_SHOWN: usize = 4;
const LATE_SHOWN: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Paint {
    Plain,
    Bold,
    Dim,
    Red,
    Green,
    Yellow,
    Cyan,
}

impl Paint {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "0",
            Self::Bold => "1",
            Self::Dim => "2",
            Self::Red => "1;31",
            Self::Green => "1;32",
            Self::Yellow => "33",
            Self::Cyan => "36",
        }
    }
}

/// Standard output.
pub(crate) struct Screen {
    colour: bool,
}

impl Screen {
    pub(crate) fn of_stdout() -> Self {
        let says_no = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self { colour: io::stdout().is_terminal() && !says_no("NO_COLOR") && !dumb }
    }

    pub(crate) fn opening(
        &self,
        rate: u32,
        duration: Duration,
        window: Duration,
    ) -> io::Result<()> {
        let (duration, window) = (units::show(duration), units::show(window));
        let mut text = String::new();
        let _ = writeln!(text, "{}", self.paint(Paint::Bold, "lookback demo"));
        let _ = writeln!(
            text,
            "A simulated sign-in log: {rate} events a second for {duration}. One in ten shows later"
        );
        let _ = writeln!(
            text,
            "than the {window} that live polls read back; sweeps find those. Now and then the API"
        );
        let _ =
            writeln!(text, "throttles, fails, or breaks off. In the end the books are balanced.\n");
        let head = format!(
            "{:<8}  {:<18}  {:<24}  {:<15} {:>8}",
            "time UTC", "user", "application", "result", "after"
        );
        let _ = writeln!(text, "{}", self.paint(Paint::Dim, &head));
        self.print(&text)
    }

    pub(crate) fn lot(&self, lot: &Lot) -> io::Result<()> {
        let mut text = String::new();
        let history = if lot.history >= HISTORY_LINE { 0 } else { lot.history };
        if history < lot.history {
            let line = format!("{} sign-ins from before the start", thousands(lot.history));
            let _ = writeln!(text, "{}", self.paint(Paint::Dim, &format!("{:>10}{line}", "")));
        }
        for sign_in in spread(&lot.prompt, PROMPT_SHOWN) {
            let _ = writeln!(text, "{}", sign_in_line(sign_in));
        }
        for sign_in in spread(&lot.late, LATE_SHOWN) {
            let _ = writeln!(text, "{}", self.paint(Paint::Yellow, &sign_in_line(sign_in)));
        }
        let hidden = history + lot.prompt.len().saturating_sub(PROMPT_SHOWN);
        let hidden_late = lot.late.len().saturating_sub(LATE_SHOWN);
        if hidden + hidden_late > 0 {
            let mut line = format!("{:>10}and {} more", "", thousands(hidden + hidden_late));
            if hidden_late > 0 {
                let _ = write!(line, ", {} of them late", thousands(hidden_late));
            }
            let _ = writeln!(text, "{}", self.paint(Paint::Dim, &line));
        }
        self.print(&text)
    }

    /// A health record, its message wrapped.
    pub(crate) fn health(&self, record: &Record) -> io::Result<()> {
        let body: Value = serde_json::from_str(&record.body_json()).unwrap_or(Value::Null);
        let field = |name: &str| body["lookback"][name].as_str().unwrap_or_default().to_owned();
        let (sign, paint) = match field("severity").as_str() {
            "error" => ("!!", Paint::Red),
            "warning" => ("! ", Paint::Yellow),
            _ => ("--", Paint::Cyan),
        };
        let seconds = i64::from(record.seconds);
        let time = jiff::Timestamp::from_second(seconds).map(clock).unwrap_or_default();
        let label = format!("{time}  {sign} {:<16} ", field("event"));
        let mut text = String::new();
        for (i, line) in wrap(&message(&body["lookback"]), WIDTH - TEXT_AT).iter().enumerate() {
            let label = if i == 0 { label.as_str() } else { "" };
            let line = format!("{label:<TEXT_AT$}{line}");
            let _ = writeln!(text, "{}", self.paint(paint, line.trim_end()));
        }
        self.print(&text)
    }

    pub(crate) fn note(&self, note: &str) -> io::Result<()> {
        let line = format!("{:>10}{note}", "");
        self.print(&format!("{}\n", self.paint(Paint::Bold, &line)))
    }

    pub(crate) fn summary(&self, totals: &Totals) -> io::Result<()> {
        let mut text = String::new();
        let _ = writeln!(text, "\n{}", self.paint(Paint::Bold, "Summary"));
        let mut row = |name: &str, count: u64, remark: &str, paint: Paint| {
            let line = format!("  {name:<26}{:>9}", thousands(count as usize));
            let remark = if remark.is_empty() { String::new() } else { format!("   {remark}") };
            let _ =
                writeln!(text, "{}{}", self.paint(paint, &line), self.paint(Paint::Dim, &remark));
        };
        row("events happened", totals.happened, "by the simulator's own account", Paint::Plain);
        row("events visible", totals.visible, "shown by the API", Paint::Plain);
        row("records delivered", totals.delivered, "", Paint::Plain);
        row("duplicates dropped", totals.dropped, "read again on purpose", Paint::Plain);
        row("late, found by sweeps", totals.swept, "missed by every live poll", Paint::Plain);
        row("requests", totals.stats.requests, "tokens included", Paint::Plain);
        row("  told to wait", totals.throttled(), "429 and 503", Paint::Plain);
        row("  otherwise broken", totals.broken(), "errors, bodies cut off", Paint::Plain);
        let verdict = |count| if count == 0 { Paint::Green } else { Paint::Red };
        if totals.waited {
            row("lost", totals.lost, "visible, not delivered", verdict(totals.lost));
        } else {
            row("still to come", totals.lost, "interrupted before the end", Paint::Yellow);
        }
        row("duplicates", totals.twice, "delivered twice", verdict(totals.twice));
        if totals.unknown > 0 {
            row("unknown", totals.unknown, "delivered, never happened", Paint::Red);
        }
        for breach in &totals.breaches {
            let _ = writeln!(text, "  {}", self.paint(Paint::Red, breach));
        }
        self.print(&text)
    }

    fn paint(&self, paint: Paint, text: &str) -> String {
        match paint {
            Paint::Plain => text.to_owned(),
            _ if !self.colour || text.is_empty() => text.to_owned(),
            paint => format!("\x1b[{}m{text}\x1b[0m", paint.code()),
        }
    }

    fn print(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }
}

/// The plugin's own words; a range without the digits that nobody reads.
fn message(health: &Value) -> String {
    let moment = |name: &str| health[name].as_str()?.parse().map(clock).ok();
    if let (Some(from), Some(to)) = (moment("from"), moment("to")) {
        return format!("{from} to {to}");
    }
    health["message"].as_str().unwrap_or_default().to_owned()
}

fn sign_in_line(sign_in: &SignIn) -> String {
    format!(
        "{}  {}  {}  {:<15} {:>8}",
        clock(sign_in.time),
        fit(&sign_in.user, 18),
        fit(&sign_in.app, 24),
        result(sign_in.code),
        format!("{:.1} s", sign_in.took.as_secs_f64()),
    )
}

fn result(code: u64) -> String {
    match code {
        0 => "ok".to_owned(),
        50126 => "wrong password".to_owned(),
        50074 => "wants MFA".to_owned(),
        53003 => "blocked".to_owned(),
        50053 => "account locked".to_owned(),
        other => format!("error {other}"),
    }
}

fn clock(at: jiff::Timestamp) -> String {
    at.strftime("%H:%M:%S").to_string()
}

/// Exactly `width` characters.
fn fit(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return format!("{text:<width$}");
    }
    let kept: String = text.chars().take(width - 1).collect();
    format!("{kept}…")
}

/// At most `count` of them, evenly.
fn spread(sign_ins: &[SignIn], count: usize) -> impl Iterator<Item = &SignIn> {
    let shown = sign_ins.len().min(count);
    (0..shown).filter_map(move |i| sign_ins.get(i * sign_ins.len() / shown.max(1)))
}

/// Breaks at spaces; a word longer than the width keeps a line of its own.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is always one");
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

/// 12,345.
pub(crate) fn thousands(count: usize) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        for (count, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(thousands(count), text);
        }
    }

    #[test]
    fn text_is_fitted_and_wrapped() {
        assert_eq!(fit("Zoë", 5), "Zoë  ");
        assert_eq!(fit("Pawłowski", 5), "Pawł…");
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("incomprehensible", 5), ["", "incomprehensible"][1..]);
    }

    #[test]
    fn a_line_is_no_wider_than_the_screen() {
        let sign_in = SignIn {
            time: jiff::Timestamp::UNIX_EPOCH,
            user: "x".repeat(50),
            app: "y".repeat(50),
            code: 50126,
            took: Duration::from_secs(1234),
        };
        assert!(sign_in_line(&sign_in).chars().count() <= WIDTH);
    }
}
