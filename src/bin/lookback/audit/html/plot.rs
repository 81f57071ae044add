//! The three plots, as SVG: numbers only, so nothing in them has to be escaped.

use std::collections::BTreeMap;
use std::fmt::{Result, Write as _};

use in_lookback::model::Timestamp;

use super::super::books::Hour;
use super::super::outcome::{Outcome, QUANTILES};
use super::scale::{Scale, hours_a_bar, minute, moments, ticks, time_ticks};
use crate::text::{count, span};

const WIDTH: f64 = 920.0;
const HEIGHT: f64 = 260.0;
/// Around the plot: the figures on the left, the names below.
const LEFT: f64 = 64.0;
const RIGHT: f64 = 26.0;
const TOP: f64 = 22.0;
const BOTTOM: f64 = 46.0;
const BARS_MAX: i64 = 120;
/// So much of its place a pair of bars takes, and no more than so much in all.
const FILLED: f64 = 0.8;
const PAIR_MAX: f64 = 56.0;
/// The lateness below which nobody looks closer, and above which neither, as powers of ten of a second.
const DECADES: (i32, i32) = (-1, 7);
const BARS_A_DECADE: i32 = 8;

fn across() -> (f64, f64) {
    (LEFT, WIDTH - RIGHT)
}

fn up() -> (f64, f64) {
    (HEIGHT - BOTTOM, TOP)
}

fn open(out: &mut String, label: &str) -> Result {
    writeln!(out, "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{label}\">")
}

/// Horizontal lines with their values.
fn grid(out: &mut String, y: Scale, ticks: &[f64], name: impl Fn(f64) -> String) -> Result {
    for tick in ticks {
        let (at, end) = (y.at(*tick), WIDTH - RIGHT);
        writeln!(
            out,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{end}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>"
        )?;
        let (x, y) = (LEFT - 8.0, at + 4.0);
        writeln!(out, "<text x=\"{x}\" y=\"{y:.1}\" text-anchor=\"end\">{}</text>", name(*tick))?;
    }
    Ok(())
}

/// Names below the plot, `drop` below its lower edge.
fn name(out: &mut String, x: f64, text: &str, drop: f64) -> Result {
    let y = HEIGHT - BOTTOM + drop;
    writeln!(out, "<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{text}</text>")
}

/// A bar with what the pointer tells of it.
fn bar(out: &mut String, class: &str, x: f64, width: f64, y: (f64, f64), told: &str) -> Result {
    let (top, height) = (y.1, (y.0 - y.1).max(0.0));
    writeln!(
        out,
        "<rect class=\"{class}\" x=\"{x:.2}\" y=\"{top:.2}\" width=\"{width:.2}\" height=\"{height:.2}\"><title>{told}</title></rect>"
    )
}

/// Events an hour: the API beside the SIEM, with a mark below where some are missing.
pub(super) fn events(out: &mut String, outcome: &Outcome) -> Result {
    let hour = |at: Timestamp| at.as_secs().div_euclid(3_600);
    let first = hour(outcome.range.from);
    // The end is not part of the range.
    let last = (outcome.range.to.as_secs() - 1).div_euclid(3_600);
    let step = hours_a_bar(last - first + 1, BARS_MAX);
    let mut bars: BTreeMap<i64, Hour> = BTreeMap::new();
    for (start, row) in &outcome.balance.hours {
        bars.entry((hour(*start) - first).div_euclid(step)).or_default().add(row);
    }
    let unit = match step {
        1 => "hour".to_owned(),
        24 => "day".to_owned(),
        hours => format!("{hours} hours"),
    };
    writeln!(out, "<h2>Events by {unit}</h2>")?;
    out.write_str(
        "<ul class=\"key\"><li><i class=\"api\"></i>the API shows</li><li><i class=\"siem\"></i>the SIEM holds</li>\
         <li><i class=\"lacks\"></i>missing</li></ul>\n",
    )?;
    let most =
        bars.values().map(|row| row.api.max(row.siem + row.missing)).max().unwrap_or_default();
    let steps = ticks((most as f64).max(1.0), 4.0);
    let y = Scale::new((0.0, steps.last().copied().unwrap_or(1.0)), up());
    let places = (last - first).div_euclid(step) + 1;
    let x = Scale::new((0.0, places as f64), across());
    open(out, "events by the time they happened, in the API and in the SIEM")?;
    grid(out, y, &steps, |tick| count(tick as u64))?;
    let width = x.at(1.0) - x.at(0.0);
    for (place, row) in &bars {
        let start = Timestamp::from_secs((first + place * step) * 3_600);
        let told = format!(
            "{}: API {}, SIEM {}, missing {}, doubled {}, unknown {}",
            minute(start),
            count(row.api),
            count(row.siem),
            count(row.missing),
            count(row.doubled),
            count(row.unknown),
        );
        let half = (width * FILLED).min(PAIR_MAX) / 2.0;
        let left = x.at(*place as f64 + 0.5) - half;
        let floor = y.at(0.0);
        bar(out, "api", left, half, (floor, y.at(row.api as f64)), &told)?;
        bar(out, "siem", left + half, half, (floor, y.at(row.siem as f64)), &told)?;
        if row.missing > 0 {
            let (held, whole) = (row.siem as f64, (row.siem + row.missing) as f64);
            bar(out, "lacks", left + half, half, (y.at(held), y.at(whole)), &told)?;
            let (middle, top) = (left + half, floor + 4.0);
            let reach = half.clamp(3.0, 6.0);
            writeln!(
                out,
                "<path class=\"lacks\" d=\"M{middle:.2} {top:.1}l{reach:.2} 10h-{:.2}z\"><title>{told}</title></path>",
                reach * 2.0
            )?;
            if places <= 36 {
                let label = count(row.missing);
                let y = floor + 26.0;
                writeln!(
                    out,
                    "<text class=\"told\" x=\"{middle:.2}\" y=\"{y}\" text-anchor=\"middle\">{label}</text>"
                )?;
            }
        }
    }
    let end = Timestamp::from_secs((first + places * step) * 3_600);
    for (at, text) in moments(Timestamp::from_secs(first * 3_600), end, 9) {
        let place = (at.as_secs() - first * 3_600) as f64 / (step * 3_600) as f64;
        name(out, x.at(place), &text, 41.0)?;
    }
    out.write_str("</svg>\n")
}

/// How late records were: equal steps are equal factors.
pub(super) fn lateness(out: &mut String, outcome: &Outcome) -> Result {
    let seconds = &outcome.lateness.seconds;
    if seconds.is_empty() {
        return out.write_str(
            "<h2>Lateness</h2>\n<p class=\"quiet\">Not known: no record of the export tells when it was received.</p>\n",
        );
    }
    let decade = |late: f64| late.log10().clamp(f64::from(DECADES.0), f64::from(DECADES.1));
    let bars = f64::from(BARS_A_DECADE);
    let mut found: BTreeMap<i32, u64> = BTreeMap::new();
    for late in seconds {
        *found.entry((decade(f64::from(*late)) * bars).floor() as i32).or_default() += 1;
    }
    let lowest = found.keys().next().copied().unwrap_or_default().div_euclid(BARS_A_DECADE);
    let highest = found.keys().last().copied().unwrap_or_default().div_euclid(BARS_A_DECADE) + 1;
    writeln!(
        out,
        "<h2>Lateness of {} records</h2>\n<p class=\"quiet\">From the event to its receipt; each step to the right is \
         longer by the same factor. The tail decides how long a window must be.</p>",
        count(seconds.len() as u64)
    )?;
    let most = found.values().copied().max().unwrap_or(1);
    // A tail of one in a million is to be seen: heights are powers of ten as well.
    let top = (most as f64).log10().ceil().max(1.0);
    let y = Scale::new((-0.3, top), up());
    let x = Scale::new((f64::from(lowest), f64::from(highest)), across());
    open(out, "how many records were how late")?;
    let steps: Vec<f64> = (0..=top as u32).map(f64::from).collect();
    grid(out, y, &steps, |tick| count(10f64.powf(tick).round() as u64))?;
    for (index, number) in &found {
        let (from, to) = (f64::from(*index) / bars, f64::from(*index + 1) / bars);
        let told =
            format!("{} to {}: {}", span(10f64.powf(from)), span(10f64.powf(to)), count(*number));
        let (left, right) = (x.at(from), x.at(to));
        bar(
            out,
            "siem",
            left + 0.5,
            (right - left - 1.0).max(0.5),
            (up().0, y.at((*number as f64).log10())),
            &told,
        )?;
    }
    for late in [0.1, 1.0, 10.0, 60.0, 600.0, 3_600.0, 21_600.0, 86_400.0, 604_800.0, 2_592_000.0] {
        let place = f64::log10(late);
        if (f64::from(lowest)..=f64::from(highest)).contains(&place) {
            name(out, x.at(place), &short(late), 18.0)?;
        }
    }
    let mut free = 0.0;
    for (text, q) in QUANTILES.iter().take(4) {
        let Some(late) = outcome.lateness.quantile(*q) else { continue };
        let at = x.at(decade(late));
        let floor = up().0;
        writeln!(
            out,
            "<line class=\"mark\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{floor}\"/>"
        )?;
        if at > free {
            writeln!(
                out,
                "<text class=\"told\" x=\"{at:.1}\" y=\"14\" text-anchor=\"middle\">{text}</text>"
            )?;
            free = at + 46.0;
        }
    }
    out.write_str("</svg>\n")
}

/// A round span, in as few letters as possible.
fn short(seconds: f64) -> String {
    match seconds {
        s if s < 1.0 => format!("{s} s"),
        s => in_lookback::config::units::show(std::time::Duration::from_secs_f64(s)),
    }
}

/// How old the newest record was, over time.
pub(super) fn drift(out: &mut String, outcome: &Outcome) -> Result {
    let points = outcome.lateness.drift(outcome.range);
    let Some(most) = points.iter().map(|(_, drift)| *drift).reduce(f64::max) else {
        return out.write_str(
            "<h2>Drift</h2>\n<p class=\"quiet\">Not known: the export has no heartbeats, and no record tells when it was \
             received.</p>\n",
        );
    };
    out.write_str(
        "<h2>Drift</h2>\n<p class=\"quiet\">How old the newest record was at each time. Where it grows, nothing new came.</p>\n",
    )?;
    let steps = time_ticks(most.max(1.0), 4.0);
    let y = Scale::new((0.0, steps.last().copied().unwrap_or(1.0)), up());
    let seconds = |at: Timestamp| at.as_secs_f64();
    let x = Scale::new((seconds(outcome.range.from), seconds(outcome.range.to)), across());
    open(out, "the age of the newest record over time")?;
    grid(out, y, &steps, short)?;
    out.write_str("<path class=\"drift\" d=\"")?;
    for (index, (at, drift)) in thinned(&points).iter().enumerate() {
        let command = if index == 0 { 'M' } else { 'L' };
        write!(out, "{command}{:.1} {:.1}", x.at(seconds(*at)), y.at(*drift))?;
    }
    out.write_str("\"/>\n")?;
    for (at, text) in moments(outcome.range.from, outcome.range.to, 9) {
        name(out, x.at(seconds(at)), &text, 18.0)?;
    }
    out.write_str("</svg>\n")
}

/// The highest of neighbours, so that no peak is lost however many points there are.
fn thinned(points: &[(Timestamp, f64)]) -> Vec<(Timestamp, f64)> {
    const POINTS_MAX: usize = 900;
    let highest =
        |part: &[(Timestamp, f64)]| part.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1));
    points.chunks(points.len().div_ceil(POINTS_MAX).max(1)).filter_map(highest).collect()
}
