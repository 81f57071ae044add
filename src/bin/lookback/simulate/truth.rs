//! What really happened: every event, for comparison with what a collector delivered.

use std::{
    fmt::Write as _,
    fs::File,
    io::{self, Write as _},
    ops::Range,
    path::Path,
};

use jiff::Timestamp;

use super::{
    api::Api,
    feed::Feed,
    kind::{CONTENT_TYPES, content_type, sign_in_type},
};

/// One event of the truth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Truth {
    /// Its id.
    pub(crate) id: String,
    /// When it happened.
    pub(crate) time: Timestamp,
    /// When the API began, or begins, to show it.
    pub(crate) visible_at: Timestamp,
    /// What the beta's filter by `signInEventTypes` finds it under.
    pub(crate) sign_in_type: &'static str,
    /// What the activity feed finds it under.
    pub(crate) content_type: &'static str,
    /// When it changes after that.
    pub(crate) changes: Vec<Timestamp>,
}

/// The events of these numbers.
pub(crate) fn truth(feed: &Feed, numbers: Range<u64>) -> impl Iterator<Item = Truth> {
    numbers.map(|number| {
        let event = feed.event(number);
        Truth {
            id: feed.id(number),
            time: event.happened,
            visible_at: event.visible_at,
            sign_in_type: sign_in_type(number),
            content_type: CONTENT_TYPES[content_type(number)],
            changes: feed.changes(number),
        }
    })
}

/// Appends one event as a line of JSON.
pub(crate) fn write_line(out: &mut String, truth: &Truth, api: Api) {
    let Truth { id, time, visible_at, sign_in_type, content_type, changes } = truth;
    // Writing to a string cannot fail.
    let _ = write!(
        out,
        r#"{{"id":"{id}","time":"{time:.7}","visible_at":"{visible_at:.9}","api":"{}","sign_in_type":"{sign_in_type}","content_type":"{content_type}""#,
        api.name()
    );
    if !changes.is_empty() {
        let changes: Vec<String> = changes.iter().map(|at| format!("{at:.9}")).collect();
        let _ = write!(out, r#","changes":["{}"]"#, changes.join(r#"",""#));
    }
    out.push_str("}\n");
}

/// A file to which the truth is appended as it comes about.
#[derive(Debug)]
pub(crate) struct TruthFile {
    file: File,
    written: u64,
}

impl TruthFile {
    /// A new file, in the place of one that may be there.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        Ok(Self { file: File::create(path)?, written: 0 })
    }

    /// The lines that are not yet in the file; `append` takes them.
    pub(crate) fn due(&self, feed: &Feed, now: Timestamp) -> String {
        let mut lines = String::new();
        let until = feed.generated(now).min(self.written + LINES_AT_ONCE);
        for event in truth(feed, self.written..until) {
            write_line(&mut lines, &event, Api::Graph);
        }
        lines
    }

    /// Writes what `due` gave.
    pub(crate) fn append(&mut self, lines: &str) -> io::Result<()> {
        self.file.write_all(lines.as_bytes())?;
        self.written += lines.lines().count() as u64;
        Ok(())
    }
}

/// A long history is written in parts, so that it takes little memory and holds no request up.
const LINES_AT_ONCE: u64 = 10_000;
