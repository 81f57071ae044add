//! The API's side: every event that is read again, compared with the books.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::time::Duration;

use in_lookback::api::page::Event;
use in_lookback::json::Finder;
use in_lookback::model::{Bucket, TimeRange};
use indicatif::ProgressBar;

use super::Problem;
use super::books::Books;
use super::fetch::Observer;
use super::identity::{Identity, show};
use super::outcome::{List, Listed};
use super::siem::NO_ID;
use crate::text;

/// The API's side.
pub(crate) struct Api<'p> {
    pub(crate) range: TimeRange,
    pub(crate) identity: Identity,
    pub(crate) finder: Finder<'p>,
    /// Records of the SIEM without an id.
    pub(crate) unidentified: u64,
    pub(crate) books: Books,
    pub(crate) list: List,
    pub(crate) undecided: u64,
    pub(crate) events: u64,
    pub(crate) copy: Option<BufWriter<File>>,
    pub(crate) copy_failed: Option<io::Error>,
    pub(crate) progress: ProgressBar,
}

impl Observer for Api<'_> {
    fn event(&mut self, event: &Event<'_>) {
        let timed = event.seen.key.bucket != Bucket::UNTIMED;
        let time = timed.then_some(event.seen.time);
        let parts = self.finder.find(event.raw).unwrap_or_default();
        let by_id = self.identity.of_parts(&parts);
        let id = by_id.unwrap_or_else(|| self.identity.of_bytes(event.raw));
        if time.is_some_and(|time| time < self.range.from || self.range.to <= time) {
            self.books.shown_outside(&id);
            return;
        }
        self.events += 1;
        if by_id.is_none() && self.unidentified > 0 && !self.books.holds(&id) {
            // It may be one of those.
            self.undecided += 1;
            return;
        }
        if !self.books.shown(id, time) {
            return;
        }
        let shown = if by_id.is_some() { show(&parts) } else { NO_ID.to_owned() };
        self.list.add(|| Listed::new(time, &shown, Some(event.raw)));
        if let Some(copy) = &mut self.copy
            && let Err(error) = write_line(copy, event.raw)
        {
            self.copy_failed.get_or_insert(error);
            self.copy = None;
        }
    }

    fn unread(&mut self, left: Duration) {
        let length = self.progress.length().unwrap_or_default();
        self.progress.set_position(length.saturating_sub(left.as_secs()));
        self.progress.set_message(format!("{} events", text::count(self.events)));
    }

    fn say(&mut self, text: &str) {
        let text = text::plain(text, 400);
        self.progress.suspend(|| eprintln!("lookback: {text}"));
    }
}

impl Api<'_> {
    pub(crate) fn finish(self) -> Result<(List, Books), Problem> {
        self.progress.finish_and_clear();
        let flushed = self.copy.map_or(Ok(()), |mut copy| copy.flush());
        match self.copy_failed.map_or(flushed, Err) {
            Ok(()) => Ok((self.list, self.books)),
            Err(error) => Err(format!("--missing: {error}").into()),
        }
    }
}

/// One event a line, whatever white space is in it: a line break in JSON stands between tokens only.
fn write_line(out: &mut impl Write, raw: &str) -> io::Result<()> {
    for part in raw.split(['\n', '\r']) {
        out.write_all(part.as_bytes())?;
    }
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_also_if_the_api_sends_it_on_several() {
        let mut out = Vec::new();
        write_line(&mut out, "{\r\n  \"a\": \"b\\n\"\n}").unwrap();
        assert_eq!(out, b"{  \"a\": \"b\\n\"}\n");
    }
}
