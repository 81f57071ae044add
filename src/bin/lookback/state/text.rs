//! For people, in 80 columns.

use std::fmt::Write as _;
use std::time::Duration;

use in_lookback::config::units;
use in_lookback::model::Timestamp;
use in_lookback::poll::ledger::{Counts, Hour};
use in_lookback::poll::progress::{Progress, SweepProgress};
use in_lookback::state::look::{HourRow, Source};

use super::coverage::{Coverage, Hole, Judged, Standing};
use super::time;
pub(crate) use crate::audit::plain::plain;
use crate::audit::plain::span;

/// Holes that the last line names.
const HOLES_MAX: usize = 12;

/// In place of no records.
const QUIET: &str = "quiet";

const RED: &str = "\x1b[1;31m";
const YELLOW: &str = "\x1b[33m";
const OFF: &str = "\x1b[0m";

pub(crate) fn sources(sources: &[Source], now: Timestamp) -> String {
    if sources.is_empty() {
        return "The file holds no source yet.\n".to_owned();
    }
    let mut out = row("source", "read until", "behind", "holes", "ids");
    for source in sources {
        let name = plain(&source.name, 200);
        let ids = source.ids.to_string();
        match &source.progress {
            None => {
                out += &row(&name, "not known", "", "", &ids);
                out += "    how far it was read was lost with a damaged file\n";
            }
            Some(progress) => {
                let until = progress.read_until();
                let behind = span(now.since(until).as_secs_f64());
                out += &row(&name, &time(until), &behind, &progress.holes.len().to_string(), &ids);
                let _ = writeln!(out, "    {}", state(progress));
            }
        }
        let _ = writeln!(out, "    {}", ledger(source));
    }
    out
}

/// A name that does not fit has a line of its own.
fn row(name: &str, until: &str, behind: &str, holes: &str, ids: &str) -> String {
    let end = format!("{until:<20}{behind:>10}{holes:>7}{ids:>11}\n");
    match name.chars().count() {
        0..=31 => format!("{name:<32}{end}"),
        _ => format!("{name}\n{:<32}{end}", ""),
    }
}

fn state(progress: &Progress) -> String {
    let newest = progress.newest.map_or("none yet".to_owned(), time);
    let mut sweeps: Vec<&SweepProgress> = progress.sweeps.iter().collect();
    sweeps.sort_by_key(|sweep| sweep.depth_seconds);
    let sweep = |sweep: &&SweepProgress| {
        let unread: Duration = sweep.unread.iter().map(|range| range.span()).sum();
        let depth = units::show(Duration::from_secs(sweep.depth_seconds));
        match unread {
            Duration::ZERO => format!("{depth} idle"),
            left => format!("{depth} has {} to go", span(left.as_secs_f64())),
        }
    };
    let sweeps: Vec<String> = sweeps.iter().map(sweep).collect();
    let sweeps = if sweeps.is_empty() { "none".to_owned() } else { sweeps.join(", ") };
    format!("newest event {newest}\n    sweeps: {sweeps}")
}

fn ledger(source: &Source) -> String {
    let since = source.progress.as_ref().and_then(|progress| progress.ledger_from);
    match (&source.hours, since) {
        (None, _) => {
            "no ledger: it begins when this version of the plugin opens the file".to_owned()
        }
        (Some(rows), since) => {
            let Counts { records, duplicates, late } = total(rows);
            let since = since.map_or(String::new(), |since| format!(" since {}", time(since)));
            format!("ledger{since}: {records} records, {late} late, {duplicates} duplicates")
        }
    }
}

/// What came in all.
pub(crate) fn total(rows: &[HourRow]) -> Counts {
    let mut total = Counts::default();
    rows.iter().for_each(|row| total.add(row.counts));
    total
}

pub(crate) fn coverage(coverage: &Coverage, colour: bool) -> String {
    let mut out =
        line("hour (UTC)", "records", "duplicates", "late", "first complete", "last complete");
    let mut rest = coverage.hours.as_slice();
    while let Some(first) = rest.first() {
        let alike = rest.iter().take_while(|hour| folds(first, hour)).count().max(1);
        let text = match alike {
            1 => hour(first),
            hours => folded(first, &rest[hours - 1], hours),
        };
        out += &painted(&text, first, colour);
        rest = &rest[alike..];
    }
    summary(&mut out, coverage);
    out
}

/// Whether two hours can share a line: holes of one kind, in which nothing came.
fn folds(first: &Judged, other: &Judged) -> bool {
    first.standing.is_hole()
        && first.standing == other.standing
        && [first, other].iter().all(|hour| hour.row.counts == Counts::default())
}

fn line(
    hour: &str,
    records: &str,
    duplicates: &str,
    late: &str,
    first: &str,
    last: &str,
) -> String {
    let line = format!("{hour:<14}{records:>8}{duplicates:>11}{late:>6} {first:<19} {last}");
    format!("{}\n", line.trim_end())
}

fn hour(judged: &Judged) -> String {
    let Judged { row, standing, quiet } = judged;
    let read = |read: &Option<(Timestamp, String)>| {
        let shown = |(at, by): &(Timestamp, String)| format!("{} {}", minute(*at), plain(by, 7));
        read.as_ref().map(shown).unwrap_or_default()
    };
    let (first, last) = match words(*standing) {
        Some(words) => (words, String::new()),
        None => (read(&row.first), read(&row.last)),
    };
    let [records, duplicates, late] = match standing {
        Standing::Unknown | Standing::Unread if row.counts == Counts::default() => {
            ["-"; 3].map(str::to_owned)
        }
        _ => [row.counts.records, row.counts.duplicates, row.counts.late].map(|it| it.to_string()),
    };
    let records = if *quiet { QUIET.to_owned() } else { records };
    line(&name(row.hour), &records, &duplicates, &late, &first, &last)
}

fn folded(first: &Judged, last: &Judged, hours: usize) -> String {
    let words = words(first.standing).unwrap_or_default();
    let (from, to) = (name(first.row.hour), name(last.row.hour));
    format!("{from}  to {to}, {hours} hours: {words}\n")
}

/// What stands in place of the reads.
fn words(standing: Standing) -> Option<String> {
    match standing {
        Standing::Whole => None,
        Standing::Open => Some("(open)".to_owned()),
        Standing::Before => Some("(before the ledger)".to_owned()),
        Standing::Never => Some("HOLE: never read completely".to_owned()),
        Standing::Unknown => Some("HOLE: nothing is known of it".to_owned()),
        Standing::Unread => Some("HOLE: not read yet".to_owned()),
        Standing::Gap(at) => Some(format!("HOLE: gap, reported {}", minute(at))),
    }
}

fn painted(text: &str, judged: &Judged, colour: bool) -> String {
    let paint = match judged {
        Judged { standing, .. } if standing.is_hole() => RED,
        Judged { quiet: true, .. } => YELLOW,
        _ => return text.to_owned(),
    };
    if colour { format!("{paint}{}{OFF}\n", text.trim_end()) } else { text.to_owned() }
}

fn summary(out: &mut String, coverage: &Coverage) {
    let Coverage { hours, since, until, judged, whole, holes, other } = coverage;
    out.push('\n');
    if hours.iter().any(|hour| hour.quiet) {
        let _ = writeln!(out, "{QUIET}: no records, though the hours around it have many");
    }
    if *other != Counts::default() {
        let Counts { records, duplicates, .. } = other;
        let _ = writeln!(
            out,
            "Of other times, or of none: {records} records, {duplicates} duplicates."
        );
    }
    let since = time(since.start());
    let _ = match judged {
        0 => writeln!(out, "No whole hour to judge yet since {since}."),
        _ => writeln!(out, "{whole} of {judged} hours since {since} were read completely."),
    };
    let _ = match until {
        Some(until) => writeln!(out, "Live polls have come to {}.", time(*until)),
        None => writeln!(out, "No live poll is complete yet."),
    };
    if holes.is_empty() {
        *out += "No holes.\n";
        return;
    }
    *out += "Holes:\n";
    for Hole { from, to, standing } in holes.iter().take(HOLES_MAX) {
        let words = words(*standing).unwrap_or_default();
        let words = words.trim_start_matches("HOLE: ");
        let (from, to) = (time(from.start()), time(to.start()));
        let _ = writeln!(out, "  {from} to {to}: {words}");
    }
    if holes.len() > HOLES_MAX {
        let _ = writeln!(out, "  and {} more: --json lists all", holes.len() - HOLES_MAX);
    }
}

/// `2026-01-31T10Z`.
fn name(hour: Hour) -> String {
    let start = time(hour.start());
    format!("{}Z", start.split(':').next().unwrap_or(&start))
}

/// `01-31 10:07`: the year is the hour's, or the next.
fn minute(at: Timestamp) -> String {
    let text = time(at);
    text.get(5..16).unwrap_or(&text).replace('T', " ")
}

#[cfg(test)]
mod tests {
    use in_lookback::state::look::Source;

    use super::*;
    use crate::state::coverage::judge;

    const START: Hour = Hour::of(Timestamp::from_secs(1_769_853_600));

    fn at(minutes: u64) -> Timestamp {
        START.start() + Duration::from_secs(minutes * 60)
    }

    fn row(hour: i64, records: u64, reads: [Option<(u64, &str)>; 2]) -> HourRow {
        let [first, last] = reads.map(|it| it.map(|(minutes, by)| (at(minutes), by.to_owned())));
        let counts = Counts { records, duplicates: records * 9, late: records / 40 };
        HourRow { hour: START.plus(hour), counts, first, last, gap: None }
    }

    fn source() -> Source {
        let rows = vec![
            row(0, 12, [None, None]),
            row(1, 1_021, [Some((121, "live")), Some((541, "sweep"))]),
            row(2, 0, [Some((181, "live")), Some((541, "sweep"))]),
            row(3, 998, [Some((550, "catchup")), Some((550, "catchup"))]),
            row(4, 17, [None, None]),
            row(5, 0, [None, None]),
            row(6, 0, [None, None]),
            HourRow { gap: Some(at(600)), ..row(7, 3, [None, None]) },
            row(10, 44, [None, None]),
        ];
        let sweep = SweepProgress {
            depth_seconds: 21_600,
            began: at(540),
            unread: vec![in_lookback::model::TimeRange::new(at(180), at(300))],
        };
        let progress = Progress {
            live_until: Some(at(620)),
            newest: Some(at(619)),
            sweeps: vec![sweep],
            ..Progress::new(at(30))
        };
        let name = "acme_audit/eu.example".to_owned();
        Source { name, ids: 2_095, progress: Some(progress), hours: Some(rows) }
    }

    #[test]
    fn holes_stand_out_in_words_and_neighbours_of_one_kind_share_a_line() {
        let shown = coverage(&judge(&source(), (None, None), at(621)).unwrap(), false);
        insta::assert_snapshot!(shown, @r"
        hour (UTC)     records duplicates  late first complete      last complete
        2026-01-31T10Z      12        108     0 (before the ledger)
        2026-01-31T11Z    1021       9189    25 01-31 12:01 live    01-31 19:01 sweep
        2026-01-31T12Z   quiet          0     0 01-31 13:01 live    01-31 19:01 sweep
        2026-01-31T13Z     998       8982    24 01-31 19:10 catchup 01-31 19:10 catchup
        2026-01-31T14Z      17        153     0 HOLE: never read completely
        2026-01-31T15Z  to 2026-01-31T16Z, 2 hours: HOLE: never read completely
        2026-01-31T17Z       3         27     0 HOLE: gap, reported 01-31 20:00
        2026-01-31T18Z  to 2026-01-31T19Z, 2 hours: HOLE: nothing is known of it
        2026-01-31T20Z      44        396     1 (open)

        quiet: no records, though the hours around it have many
        3 of 9 hours since 2026-01-31T11:00:00Z were read completely.
        Live polls have come to 2026-01-31T20:20:00Z.
        Holes:
          2026-01-31T14:00:00Z to 2026-01-31T17:00:00Z: never read completely
          2026-01-31T17:00:00Z to 2026-01-31T18:00:00Z: gap, reported 01-31 20:00
          2026-01-31T18:00:00Z to 2026-01-31T20:00:00Z: nothing is known of it
        ");
        assert!(shown.lines().all(|line| line.chars().count() <= 80));
    }

    #[test]
    fn colours_come_only_where_they_are_wanted_and_only_on_what_stands_out() {
        let judged = judge(&source(), (None, None), at(621)).unwrap();
        let (plain, coloured) = (coverage(&judged, false), coverage(&judged, true));
        assert!(!plain.contains('\x1b'));
        let marked = coloured.lines().filter(|line| line.contains('\x1b'));
        assert!(marked.clone().count() >= 3 && marked.clone().all(|line| line.ends_with(OFF)));
        let stripped =
            [RED, YELLOW, OFF].iter().fold(coloured.clone(), |it, code| it.replace(code, ""));
        assert_eq!(stripped, plain);
    }

    #[test]
    fn a_source_has_a_row_and_says_how_its_sweeps_and_its_ledger_stand() {
        let old = Source { hours: None, name: "x".repeat(40), ..source() };
        let lost = Source { progress: None, name: "lost".to_owned(), ..source() };
        let shown = sources(&[source(), old, lost], at(621));
        insta::assert_snapshot!(shown, @r"
        source                          read until              behind  holes        ids
        acme_audit/eu.example           2026-01-31T20:20:00Z    60.0 s      0       2095
            newest event 2026-01-31T20:19:00Z
            sweeps: 6h has 2.0 h to go
            ledger since 2026-01-31T10:30:00Z: 2095 records, 50 late, 18855 duplicates
        xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
                                        2026-01-31T20:20:00Z    60.0 s      0       2095
            newest event 2026-01-31T20:19:00Z
            sweeps: 6h has 2.0 h to go
            no ledger: it begins when this version of the plugin opens the file
        lost                            not known                                   2095
            how far it was read was lost with a damaged file
            ledger: 2095 records, 50 late, 18855 duplicates
        ");
        assert!(shown.lines().all(|line| line.chars().count() <= 80));
    }
}
