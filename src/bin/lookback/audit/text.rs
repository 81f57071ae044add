//! The report for people, in 80 columns.

use std::fmt::Write as _;

use super::outcome::{List, Listed, Outcome, QUANTILES};
use crate::text::{count, plain, span};

const WIDTH: usize = 80;
/// Rows of a table, and events of a list.
const ROWS_MAX: usize = 24;
const EVENTS_MAX: usize = 20;

pub(crate) fn report(outcome: &Outcome) -> String {
    let mut out = String::new();
    let title = format!("Audit of {}, {}", plain(&outcome.source, 200), outcome.range);
    wrapped(&mut out, "", &title);
    out.push('\n');
    totals(&mut out, outcome);
    hours(&mut out, outcome);
    lateness(&mut out, outcome);
    list(&mut out, "Missing", &outcome.missing, "--missing FILE writes all of them");
    list(&mut out, "In the SIEM more than once", &outcome.doubled, "--json lists up to 1,000");
    list(
        &mut out,
        "In the SIEM, unknown to the API",
        &outcome.unknown,
        "--json lists up to 1,000 of a file",
    );
    for doubt in outcome.doubts().iter().chain(&outcome.notes()) {
        wrapped(&mut out, "! ", doubt);
    }
    if !outcome.doubts().is_empty() || !outcome.notes().is_empty() {
        out.push('\n');
    }
    wrapped(&mut out, "", &outcome.sentence());
    out
}

fn totals(out: &mut String, outcome: &Outcome) {
    let total = outcome.balance.total();
    let tally = &outcome.tally;
    let rows = [
        (total.api, "events shown by the API"),
        (total.siem, "ids held by the SIEM"),
        (total.missing, "missing: in the API, not in the SIEM"),
        (total.doubled, "doubled: records more than there should be of an id"),
        (total.unknown, "unknown: ids in the SIEM, not in the API"),
    ];
    for (number, what) in rows {
        line(out, format_args!("{:>15}  {what}", count(number)));
    }
    let passed = [(tally.outside, "of other times"), (tally.health, "health records")];
    let passed = passed.iter().filter(|(number, _)| *number > 0);
    let passed: Vec<String> =
        passed.map(|(number, what)| format!("{} {what}", count(*number))).collect();
    if !passed.is_empty() {
        line(out, format_args!("{:>15}  in the export besides: {}", "", passed.join(", ")));
    }
    out.push('\n');
}

/// The hours in which the two differ.
fn hours(out: &mut String, outcome: &Outcome) {
    let differs = |hour: &super::books::Hour| hour.missing + hour.doubled + hour.unknown > 0;
    let rows: Vec<_> = outcome.balance.hours.iter().filter(|(_, hour)| differs(hour)).collect();
    if rows.is_empty() {
        return;
    }
    line(
        out,
        format_args!(
            "{:<17}{:>13}{:>13}{:>12}{:>12}{:>12}",
            "hour (UTC)", "API", "SIEM", "missing", "doubled", "unknown"
        ),
    );
    for (start, hour) in rows.iter().take(ROWS_MAX) {
        let figures = [hour.missing, hour.doubled, hour.unknown];
        let [missing, doubled, unknown] = figures.map(|number| match number {
            0 => "-".to_owned(),
            number => count(number),
        });
        let (api, siem) = (count(hour.api), count(hour.siem));
        line(
            out,
            format_args!(
                "{:<17}{api:>13}{siem:>13}{missing:>12}{doubled:>12}{unknown:>12}",
                minute(start)
            ),
        );
    }
    if rows.len() > ROWS_MAX {
        line(
            out,
            format_args!("and {} hours more: --json and --html have all", rows.len() - ROWS_MAX),
        );
    }
    out.push('\n');
}

/// A whole hour, without seconds.
fn minute(start: &in_lookback::model::Timestamp) -> String {
    start.to_string().replace('T', " ").chars().take(16).collect()
}

fn lateness(out: &mut String, outcome: &Outcome) {
    let known =
        |(name, q): &(&'static str, f64)| outcome.lateness.quantile(*q).map(|late| (*name, late));
    let known: Vec<String> = QUANTILES
        .iter()
        .filter_map(known)
        .map(|(name, late)| format!("{name} {}", span(late)))
        .collect();
    if known.is_empty() {
        let text = "Lateness is not known: no record of the export tells when it was received (--received).";
        wrapped(out, "", text);
    } else {
        let records = count(outcome.lateness.seconds.len() as u64);
        wrapped(out, "", &format!("Lateness of {records} records, at most: {}", known.join(", ")));
    }
    out.push('\n');
}

fn list(out: &mut String, title: &str, list: &List, more: &str) {
    let all = list.listed.len() as u64 + list.unlisted;
    if all == 0 {
        return;
    }
    line(out, format_args!("{title} ({}):", count(all)));
    for Listed { time, id, bytes } in list.listed.iter().take(EVENTS_MAX) {
        let time = time.map_or("(no time)".to_owned(), |time| time.to_string());
        wrapped(out, "  ", &format!("{time}  {id}"));
        if let Some(bytes) = bytes {
            line(out, format_args!("    {}", plain(bytes, WIDTH - 5)));
        }
    }
    if all > EVENTS_MAX as u64 {
        let shown = list.listed.len().min(EVENTS_MAX) as u64;
        line(out, format_args!("  and {} more: {more}", count(all - shown)));
    }
    out.push('\n');
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to memory cannot fail.
    let _ = writeln!(out, "{text}");
}

/// A paragraph; what follows the first line is indented as far as `begin` is wide.
fn wrapped(out: &mut String, begin: &str, text: &str) {
    let mut column = begin.chars().count();
    let indent = " ".repeat(column);
    out.push_str(begin);
    let start = column;
    for word in text.split(' ') {
        let length = word.chars().count();
        if column > start && column + 1 + length > WIDTH {
            out.push('\n');
            out.push_str(&indent);
            column = start;
        } else if column > start {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    out.push('\n');
}
