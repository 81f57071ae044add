//! For people, in 80 columns.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use in_lookback::config::units;
use in_lookback::model::{TimeRange, Timestamp};
use in_lookback::poll::ledger::{Counts, Hour};
use in_lookback::poll::progress::{Progress, SweepProgress};
use in_lookback::state::look::{HourRow, Source};
use in_lookback::state::postgres::look::Holder;

use super::coverage::{Coverage, Hole, Judged, Standing};
use super::time;
use crate::text::{count, plain, span};

/// Holes that the last line names.
const HOLES_MAX: usize = 12;

/// In place of no records.
const QUIET: &str = "quiet";

const RED: &str = "\x1b[1;31m";
const YELLOW: &str = "\x1b[33m";
const OFF: &str = "\x1b[0m";

/// Of a source in a database that no node has begun to read.
pub(crate) const NEVER: &str = "no node has read it yet";

pub(crate) fn sources(
    sources: &[Source],
    leaders: Option<&BTreeMap<String, Holder>>,
    now: Timestamp,
    colour: bool,
) -> String {
    if sources.is_empty() {
        let place = if leaders.is_some() { "database" } else { "file" };
        return format!("The {place} holds no source yet.\n");
    }
    let mut out = row("source", "read until", "behind", "to catch up", "ids");
    for source in sources {
        let name = plain(&source.name, 200);
        let ids = count(source.ids);
        match &source.progress {
            None if leaders.is_some() => {
                out += &row(&name, "not yet", "", "", &ids);
                let _ = writeln!(out, "    {NEVER}");
            }
            None => {
                out += &row(&name, "not known", "", "", &ids);
                out += "    how far it was read was lost with a damaged file\n";
            }
            Some(progress) => {
                let until = progress.read_until();
                let behind = span(now.since(until).as_secs_f64());
                out += &row(&name, &time(until), &behind, &left(&progress.holes), &ids);
                out += &gaps(&progress.gaps, colour);
                let _ = writeln!(out, "    {}", state(progress));
            }
        }
        let _ = writeln!(out, "    {}", ledger(source));
        if let Some(leaders) = leaders {
            let led = leader(leaders.get(&source.name));
            let is_led = led.starts_with("led");
            out += &painted(&format!("    {led}"), (colour && !is_led).then_some(RED));
        }
    }
    out
}

/// Who reads a source, or did so last.
fn leader(holder: Option<&Holder>) -> String {
    let Some(Holder { node, epoch, until, left }) = holder else {
        return "nobody leads it, and nobody has".to_owned();
    };
    let node = plain(node, 40);
    match *left > 0.0 {
        true => format!("led by {node}, for {} yet (epoch {epoch})", span(*left)),
        false => format!("nobody leads it\n    until {} {node} did (epoch {epoch})", time(*until)),
    }
}

/// A name that does not fit has a line of its own.
fn row(name: &str, until: &str, behind: &str, to_catch_up: &str, ids: &str) -> String {
    let end = format!("{until:<20} {behind:>8} {to_catch_up:>11} {ids:>11}\n");
    match name.chars().count() {
        0..=26 => format!("{name:<26} {end}"),
        _ => format!("{name}\n{:<26} {end}", ""),
    }
}

/// How much of the past is unread.
fn left(unread: &[TimeRange]) -> String {
    let left: Duration = unread.iter().map(|range| range.span()).sum();
    if left.is_zero() { "nothing".to_owned() } else { span(left.as_secs_f64()) }
}

/// What could not be had, a range a line.
fn gaps(gaps: &[TimeRange], colour: bool) -> String {
    let mut out = String::new();
    for (nth, TimeRange { from, to }) in gaps.iter().take(HOLES_MAX).enumerate() {
        let begin = if nth == 0 { "gaps:" } else { "" };
        let end = if nth + 1 < gaps.len() { "," } else { "" };
        let line = format!("    {begin:<5} {} to {}{end}", time(*from), time(*to));
        out += &painted(&line, colour.then_some(RED));
    }
    if gaps.len() > HOLES_MAX {
        let _ = writeln!(out, "          and {} more: --json lists all", gaps.len() - HOLES_MAX);
    }
    out
}

fn state(progress: &Progress) -> String {
    let newest = progress.newest.map_or("none yet".to_owned(), time);
    let mut sweeps: Vec<&SweepProgress> = progress.sweeps.iter().collect();
    sweeps.sort_by_key(|sweep| sweep.depth_seconds);
    let sweep = |sweep: &&SweepProgress| {
        let depth = units::show(Duration::from_secs(sweep.depth_seconds));
        match sweep.unread.as_slice() {
            [] => format!("{depth} idle"),
            unread => format!("{depth} has {} to go", left(unread)),
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
            let [records, late, duplicates] = [records, late, duplicates].map(count);
            format!(
                "ledger{since}:\n        {records} records, {late} late, {duplicates} duplicates"
            )
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
    while let Some((first, others)) = rest.split_first() {
        let (standing, others) = fold(first, others);
        let text = match others {
            [] => hour(first),
            [.., last] => folded(first, last, others.len() + 1, standing),
        };
        out += &painted(&text, paint(first).filter(|_| colour));
        rest = &rest[1 + others.len()..];
    }
    summary(&mut out, coverage);
    out
}

/// The hours that can share a line with the one before them, and how it stands with all of these: they are holes of one
/// kind, in which nothing came.
fn fold<'j>(first: &Judged, others: &'j [Judged]) -> (Standing, &'j [Judged]) {
    let is_empty = |hour: &Judged| hour.standing.is_hole() && hour.row.counts == Counts::default();
    let mut all = first.standing;
    let mut joins = |other: &&Judged| {
        let joined = all.joined(other.standing).filter(|_| is_empty(first) && is_empty(other));
        all = joined.unwrap_or(all);
        joined.is_some()
    };
    let alike = others.iter().take_while(|other| joins(other)).count();
    (all, &others[..alike])
}

fn line(
    hour: &str,
    records: &str,
    duplicates: &str,
    late: &str,
    first: &str,
    last: &str,
) -> String {
    let line = format!("{hour:<14} {records:>8} {duplicates:>10} {late:>5} {first:<19} {last}");
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
        Standing::Unknown | Standing::Unread | Standing::CatchUp
            if row.counts == Counts::default() =>
        {
            ["-"; 3].map(str::to_owned)
        }
        _ => [row.counts.records, row.counts.duplicates, row.counts.late].map(count),
    };
    let records = if *quiet { QUIET.to_owned() } else { records };
    line(&name(row.hour), &records, &duplicates, &late, &first, &last)
}

fn folded(first: &Judged, last: &Judged, hours: usize, standing: Standing) -> String {
    let words = words(standing).unwrap_or_default();
    let (from, to) = (name(first.row.hour), name(last.row.hour));
    format!("{from}  to {to}, {hours} hours: {words}\n")
}

/// What stands in place of the reads.
fn words(standing: Standing) -> Option<String> {
    match standing {
        Standing::Whole => None,
        Standing::Open => Some("(open)".to_owned()),
        Standing::Before => Some("(before the ledger)".to_owned()),
        Standing::Partial => Some("(began amid it)".to_owned()),
        Standing::Never => Some("HOLE: never read completely".to_owned()),
        Standing::Unknown => Some("HOLE: nothing is known of it".to_owned()),
        Standing::Unread => Some("HOLE: not read yet".to_owned()),
        Standing::CatchUp => Some("HOLE: not read yet (to catch up)".to_owned()),
        Standing::Gap(None) => Some("HOLE: gap".to_owned()),
        Standing::Gap(Some(at)) => Some(format!("HOLE: gap, reported {}", minute(at))),
    }
}

fn paint(judged: &Judged) -> Option<&'static str> {
    match judged {
        Judged { standing, .. } if standing.is_hole() => Some(RED),
        Judged { quiet: true, .. } => Some(YELLOW),
        _ => None,
    }
}

fn painted(line: &str, paint: Option<&str>) -> String {
    let line = line.trim_end();
    match paint {
        Some(paint) => format!("{paint}{line}{OFF}\n"),
        None => format!("{line}\n"),
    }
}

fn summary(out: &mut String, coverage: &Coverage) {
    let Coverage { hours, since, until, judged, whole, holes, other } = coverage;
    out.push('\n');
    if hours.iter().any(|hour| hour.quiet) {
        let _ = writeln!(out, "{QUIET}: no records, though the hours around it have many");
    }
    if *other != Counts::default() {
        let [records, duplicates] = [other.records, other.duplicates].map(count);
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
        *out += if *judged == 0 { "" } else { "No holes.\n" };
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
            row(1, 1_234_567, [Some((121, "live")), Some((541, "sweep"))]),
            row(2, 0, [Some((181, "live")), Some((541, "sweep"))]),
            row(3, 998, [Some((550, "catchup")), Some((550, "catchup"))]),
            row(4, 17, [None, None]),
            row(5, 0, [None, None]),
            row(6, 0, [None, None]),
            HourRow { gap: Some(at(600)), ..row(7, 0, [None, None]) },
            HourRow { gap: Some(at(605)), ..row(8, 0, [None, None]) },
            row(10, 44, [None, None]),
        ];
        let sweep = SweepProgress {
            depth_seconds: 21_600,
            began: at(540),
            unread: vec![TimeRange::new(at(180), at(300))],
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
        hour (UTC)      records duplicates  late first complete      last complete
        2026-01-31T10Z       12        108     0 (began amid it)
        2026-01-31T11Z 1,234,567 11,111,103 30,864 01-31 12:01 live    01-31 19:01 sweep
        2026-01-31T12Z    quiet          0     0 01-31 13:01 live    01-31 19:01 sweep
        2026-01-31T13Z      998      8,982    24 01-31 19:10 catchup 01-31 19:10 catchup
        2026-01-31T14Z       17        153     0 HOLE: never read completely
        2026-01-31T15Z  to 2026-01-31T16Z, 2 hours: HOLE: never read completely
        2026-01-31T17Z  to 2026-01-31T18Z, 2 hours: HOLE: gap, reported 01-31 20:05
        2026-01-31T19Z        -          -     - HOLE: nothing is known of it
        2026-01-31T20Z       44        396     1 (open)

        quiet: no records, though the hours around it have many
        3 of 9 hours since 2026-01-31T11:00:00Z were read completely.
        Live polls have come to 2026-01-31T20:20:00Z.
        Holes:
          2026-01-31T14:00:00Z to 2026-01-31T17:00:00Z: never read completely
          2026-01-31T17:00:00Z to 2026-01-31T19:00:00Z: gap, reported 01-31 20:05
          2026-01-31T19:00:00Z to 2026-01-31T20:00:00Z: nothing is known of it
        ");
        assert!(shown.lines().all(|line| line.chars().count() <= 80));
    }

    #[test]
    fn what_the_catch_up_has_not_come_to_fits_a_line() {
        let mut source = source();
        source.progress.as_mut().unwrap().holes = vec![TimeRange::new(at(210), at(400))];
        let shown = coverage(&judge(&source, (None, None), at(621)).unwrap(), false);
        let expected =
            "2026-01-31T15Z  to 2026-01-31T16Z, 2 hours: HOLE: not read yet (to catch up)";
        assert!(shown.lines().any(|line| line == expected), "{shown}");
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
        let mut behind = Source { name: "behind".to_owned(), ..source() };
        let progress = behind.progress.as_mut().unwrap();
        progress.holes =
            [(30, 90), (200, 230)].map(|(from, to)| TimeRange::new(at(from), at(to))).into();
        progress.gaps = (0..14).map(|nth| TimeRange::new(at(nth * 9), at(nth * 9 + 5))).collect();
        let all = [source(), old, lost, behind];
        let shown = sources(&all, None, at(621), false);
        insta::assert_snapshot!(shown, @r"
        source                     read until             behind to catch up         ids
        acme_audit/eu.example      2026-01-31T20:20:00Z   60.0 s     nothing       2,095
            newest event 2026-01-31T20:19:00Z
            sweeps: 6h has 2.0 h to go
            ledger since 2026-01-31T10:30:00Z:
                1,235,638 records, 30,889 late, 11,120,742 duplicates
        xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
                                   2026-01-31T20:20:00Z   60.0 s     nothing       2,095
            newest event 2026-01-31T20:19:00Z
            sweeps: 6h has 2.0 h to go
            no ledger: it begins when this version of the plugin opens the file
        lost                       not known                                       2,095
            how far it was read was lost with a damaged file
            ledger:
                1,235,638 records, 30,889 late, 11,120,742 duplicates
        behind                     2026-01-31T10:30:00Z    9.8 h    90.0 min       2,095
            gaps: 2026-01-31T10:00:00Z to 2026-01-31T10:05:00Z,
                  2026-01-31T10:09:00Z to 2026-01-31T10:14:00Z,
                  2026-01-31T10:18:00Z to 2026-01-31T10:23:00Z,
                  2026-01-31T10:27:00Z to 2026-01-31T10:32:00Z,
                  2026-01-31T10:36:00Z to 2026-01-31T10:41:00Z,
                  2026-01-31T10:45:00Z to 2026-01-31T10:50:00Z,
                  2026-01-31T10:54:00Z to 2026-01-31T10:59:00Z,
                  2026-01-31T11:03:00Z to 2026-01-31T11:08:00Z,
                  2026-01-31T11:12:00Z to 2026-01-31T11:17:00Z,
                  2026-01-31T11:21:00Z to 2026-01-31T11:26:00Z,
                  2026-01-31T11:30:00Z to 2026-01-31T11:35:00Z,
                  2026-01-31T11:39:00Z to 2026-01-31T11:44:00Z,
                  and 2 more: --json lists all
            newest event 2026-01-31T20:19:00Z
            sweeps: 6h has 2.0 h to go
            ledger since 2026-01-31T10:30:00Z:
                1,235,638 records, 30,889 late, 11,120,742 duplicates
        ");
        assert!(shown.lines().all(|line| line.chars().count() <= 80));
        let coloured = sources(&all, None, at(621), true);
        assert_eq!(coloured.lines().filter(|line| line.starts_with(RED)).count(), HOLES_MAX);
    }

    #[test]
    fn of_a_database_it_is_told_who_leads_each_source_and_for_how_long_yet() {
        let source = |name: &str| {
            let (name, progress) = (name.to_owned(), Some(Progress::new(at(0))));
            Source { name, ids: 0, progress, hours: Some(Vec::new()) }
        };
        let new = Source { progress: None, ..source("new") };
        let holder =
            |node: &str, left| Holder { node: node.to_owned(), epoch: 7, until: at(5), left };
        let leaders = [("held", holder("a", 22.0)), ("over", holder("b", -90.0))];
        let leaders = leaders.map(|(name, holder)| (name.to_owned(), holder)).into();
        let all = [source("held"), source("over"), new];
        let shown = sources(&all, Some(&leaders), at(6), true);
        for expected in [
            "    led by a, for 22.0 s yet (epoch 7)\n",
            &format!(
                "{RED}    nobody leads it\n    until 2026-01-31T10:05:00Z b did (epoch 7){OFF}\n"
            ),
            "    no node has read it yet\n",
            &format!("{RED}    nobody leads it, and nobody has{OFF}\n"),
        ] {
            assert!(shown.contains(expected), "{expected}: {shown}");
        }
        assert_eq!(
            sources(&[], Some(&leaders), at(6), false),
            "The database holds no source yet.\n"
        );
    }
}
