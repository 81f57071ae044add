//! The report as a page that is complete in itself: it loads nothing, and has no script. Its own policy forbids
//! both, and any style but the one whose hash it names. What others wrote goes through [`Escaped`].
//!
//! | module | idea |
//! |---|---|
//! | this one | the page: verdict, figures, tables |
//! | [`plot`] | the three plots |
//! | [`scale`] | axes: round steps, hours, powers of ten |

mod plot;
mod scale;

use std::fmt::{self, Display, Write as _};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use ring::digest;

use super::books::Hour;
use super::outcome::{List, Outcome, QUANTILES, Verdict};
use crate::text::{count, plain, span};

const STYLE: &str = include_str!("style.css");

/// A text in which nothing is markup.
struct Escaped<T>(T);

impl<T: Display> Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.to_string().chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// The page.
pub(crate) fn page(outcome: &Outcome) -> String {
    let mut out = String::new();
    // Writing to memory cannot fail.
    let _ = write(&mut out, outcome);
    out
}

fn write(out: &mut String, outcome: &Outcome) -> fmt::Result {
    let source = Escaped(plain(&outcome.source, 200)).to_string();
    let hash = BASE64.encode(digest::digest(&digest::SHA256, STYLE.as_bytes()));
    write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-{hash}'\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>Audit of {source}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
    )?;
    writeln!(out, "<h1>Audit of {source}</h1>")?;
    writeln!(
        out,
        "<p class=\"quiet\">{}. {} to {}, compared with {} at {}.</p>",
        Escaped(plain(&outcome.title, 200)),
        outcome.range.from,
        outcome.range.to,
        Escaped(plain(&outcome.export, 200)),
        in_lookback::model::Timestamp::from_secs(outcome.made.as_secs()),
    )?;
    let class = match outcome.verdict() {
        Verdict::Complete => "good",
        Verdict::Missing => "bad",
        Verdict::CouldNotTell => "open",
    };
    writeln!(out, "<p class=\"verdict {class}\">{}</p>", Escaped(outcome.sentence()))?;
    figures(out, outcome)?;
    remarks(out, outcome)?;
    plot::events(out, outcome)?;
    plot::lateness(out, outcome)?;
    quantiles(out, outcome)?;
    plot::drift(out, outcome)?;
    hours(out, outcome)?;
    list(out, "Missing", "In the API, and not in the SIEM.", &outcome.missing)?;
    list(out, "Doubled", "In the SIEM more often than in the API.", &outcome.doubled)?;
    list(out, "Unknown", "In the SIEM, and not shown by the API.", &outcome.unknown)?;
    writeln!(
        out,
        "<footer class=\"quiet\">Made by lookback {}. All times are UTC. This page loads nothing, and has no script.</footer>\n\
         </main>\n</body>\n</html>",
        env!("CARGO_PKG_VERSION"),
    )
}

fn figures(out: &mut String, outcome: &Outcome) -> fmt::Result {
    let total = outcome.balance.total();
    out.write_str("<dl class=\"figures\">\n")?;
    for (what, number, alarms) in [
        ("events in the API", total.api, false),
        ("ids in the SIEM", total.siem, false),
        ("missing", total.missing, true),
        ("doubled", total.doubled, false),
        ("unknown", total.unknown, false),
    ] {
        let class = if alarms && number > 0 { " class=\"bad\"" } else { "" };
        writeln!(out, "<div><dt>{what}</dt><dd{class}>{}</dd></div>", count(number))?;
    }
    out.write_str("</dl>\n")
}

fn remarks(out: &mut String, outcome: &Outcome) -> fmt::Result {
    let (doubts, notes) = (outcome.doubts(), outcome.notes());
    if doubts.is_empty() && notes.is_empty() {
        return Ok(());
    }
    out.write_str("<ul class=\"remarks\">\n")?;
    for remark in doubts.iter().chain(&notes) {
        writeln!(out, "<li>{}</li>", Escaped(remark))?;
    }
    out.write_str("</ul>\n")
}

fn quantiles(out: &mut String, outcome: &Outcome) -> fmt::Result {
    let known = |(name, q): &(&'static str, f64)| Some((*name, outcome.lateness.quantile(*q)?));
    let known: Vec<_> = QUANTILES.iter().filter_map(known).collect();
    if known.is_empty() {
        return Ok(());
    }
    out.write_str("<table>\n<thead><tr><th>records</th>")?;
    known.iter().try_for_each(|(name, _)| write!(out, "<th>{name}</th>"))?;
    out.write_str("</tr></thead>\n<tbody><tr><th>at most so late</th>")?;
    known.iter().try_for_each(|(_, late)| write!(out, "<td>{}</td>", span(*late)))?;
    out.write_str("</tr></tbody>\n</table>\n")
}

fn hours(out: &mut String, outcome: &Outcome) -> fmt::Result {
    let differs = |hour: &Hour| hour.missing + hour.doubled + hour.unknown > 0;
    let rows: Vec<_> = outcome.balance.hours.iter().filter(|(_, hour)| differs(hour)).collect();
    if rows.is_empty() {
        return Ok(());
    }
    out.write_str(
        "<h2>Hours that differ</h2>\n<div class=\"scroll\"><table>\n<thead><tr><th>hour</th><th>API</th><th>SIEM</th>\
         <th>missing</th><th>doubled</th><th>unknown</th></tr></thead>\n<tbody>\n",
    )?;
    for (start, hour) in rows {
        let Hour { api, siem, missing, doubled, unknown } = *hour;
        let class = if missing > 0 { " class=\"bad\"" } else { "" };
        let [api, siem, missing, doubled, unknown] =
            [api, siem, missing, doubled, unknown].map(count);
        writeln!(
            out,
            "<tr><th>{}</th><td>{api}</td><td>{siem}</td><td{class}>{missing}</td><td>{doubled}</td><td>{unknown}</td></tr>",
            scale::minute(*start),
        )?;
    }
    out.write_str("</tbody>\n</table></div>\n")
}

fn list(out: &mut String, title: &str, meaning: &str, list: &List) -> fmt::Result {
    let all = list.listed.len() as u64 + list.unlisted;
    if all == 0 {
        return Ok(());
    }
    writeln!(out, "<h2>{title} ({})</h2>\n<p class=\"quiet\">{meaning}</p>", count(all))?;
    out.write_str("<div class=\"scroll\"><table class=\"events\">\n<tbody>\n")?;
    for event in &list.listed {
        let time = event.time.map_or("(no time)".to_owned(), |time| time.to_string());
        write!(out, "<tr><td>{time}</td><td><b>{}</b>", Escaped(&event.id))?;
        if let Some(bytes) = &event.bytes {
            write!(out, "<br><code>{}</code>", Escaped(bytes))?;
        }
        out.write_str("</td></tr>\n")?;
    }
    out.write_str("</tbody>\n</table></div>\n")?;
    match list.unlisted {
        0 => Ok(()),
        more => writeln!(out, "<p class=\"quiet\">And {} more.</p>", count(more)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_of_others_is_markup() {
        let text = "<script>alert(\"x\" + 'y')</script> & <img src=x onerror=y>";
        let shown = Escaped(text).to_string();
        assert!(!shown.contains(['<', '>', '"', '\'']), "{shown}");
        assert!(shown.starts_with("&lt;script&gt;alert(&quot;x&quot;"));
        assert!(shown.contains(" &amp; "));
    }
}
