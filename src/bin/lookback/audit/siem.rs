//! The SIEM's side: an export, entered into the books.

use std::cell::Cell;
use std::io;
use std::path::Path;
use std::rc::Rc;

use in_lookback::config::Plan;
use in_lookback::json::Pointer;

use super::books::{Books, Entered};
use super::export::form::{Found, Reader};
use super::export::{self, Document};
use super::outcome::{Lateness, List, Listed, Tally};
use super::{Problem, bar};

/// The SIEM's side.
pub(crate) struct Siem {
    pub(crate) books: Books,
    pub(crate) tally: Tally,
    pub(crate) doubled: List,
    pub(crate) lateness: Lateness,
}

impl Siem {
    pub(crate) fn new(books: Books) -> Self {
        let (tally, doubled, lateness) = Default::default();
        Self { books, tally, doubled, lateness }
    }

    pub(crate) fn read(&mut self, path: &Path, reader: &Reader<'_>) -> Result<(), Problem> {
        read_export(path, "the export", &mut |line, document| match document {
            Ok(document) => match reader.read(document) {
                Ok(found) => self.found(line, found),
                Err(error) => self.unreadable(line, error.to_string()),
            },
            Err(error) => self.unreadable(line, error),
        })?;
        self.lateness.sort();
        Ok(())
    }

    fn unreadable(&mut self, line: u64, error: String) {
        self.tally.unreadable += 1;
        self.tally.unreadable_at.get_or_insert((line, error));
    }

    fn found(&mut self, line: u64, found: Found) {
        self.tally.documents += 1;
        match found {
            Found::Record(record) => {
                let entered = self.books.exported(record.id, record.time);
                if entered == Entered::Outside {
                    self.tally.outside += 1;
                    return;
                }
                self.tally.records += 1;
                if entered == Entered::Again {
                    let shown = record.shown.as_deref().unwrap_or(NO_ID);
                    self.doubled.add(|| Listed::new(record.time, shown, None));
                } else if let (Some(happened), Some(received)) = (record.time, record.received) {
                    self.lateness.add(happened, received);
                }
            }
            Found::Health(told) => {
                self.tally.health += 1;
                if let Some((at, drift)) = told {
                    self.lateness.told(at, drift);
                }
            }
            Found::Unidentified => {
                self.tally.unidentified += 1;
                self.tally.unidentified_at.get_or_insert(line);
            }
        }
    }

    /// An export without a single id is the wrong file, or of another form: to call all missing would be wrong.
    pub(crate) fn check(&self, path: &Path, plan: &Plan, own: &[Pointer]) -> Result<(), Problem> {
        let Tally { records, outside, unidentified, unreadable, .. } = self.tally;
        if records + outside > 0 || unidentified + unreadable == 0 {
            return Ok(());
        }
        let at: Vec<String> = match own {
            [] => plan.definition.id.pointers().iter().map(ToString::to_string).collect(),
            own => own.iter().map(ToString::to_string).collect(),
        };
        let path = path.display();
        if let (0, Some((line, error))) = (unidentified, &self.tally.unreadable_at) {
            return Err(
                format!("{path}: expected JSON lines, found in line {line}: {error}").into()
            );
        }
        let place =
            if at.is_empty() { "their bytes in raw form".to_owned() } else { at.join(", ") };
        let problem = format!("{path}: none of its {unidentified} records has an id at {place}");
        Err(format!("{problem}, nor in what is wrapped around events; is it an export of {}? --id says where ids are", plan.source).into())
    }
}

/// What is shown where an event has no id.
pub(crate) const NO_ID: &str = "(without an id)";

fn read_export(
    path: &Path,
    what: &'static str,
    on_document: &mut dyn FnMut(u64, Document<'_>),
) -> Result<(), Problem> {
    let wrong = |error: io::Error| format!("--export {}: {error}", path.display());
    let size = path.metadata().map(|data| data.len()).unwrap_or_default();
    let progress = match size {
        // What comes through a pipe has no end that is known.
        0 => bar("{prefix} {spinner} {bytes}", size),
        size => bar("{prefix} {wide_bar} {bytes} of {total_bytes}", size),
    };
    progress.set_prefix(what);
    let shown = progress.clone();
    let read = Rc::new(Cell::new(0));
    let input = export::open(path, move |bytes| {
        read.set(read.get() + bytes);
        shown.set_position(read.get());
    });
    export::read(input.map_err(wrong)?, on_document).map_err(wrong)?;
    progress.finish_and_clear();
    Ok(())
}

/// Reads the export once more, to say which ids the API does not show: before it was asked, nobody knew. Standard
/// input cannot be read again.
pub(crate) fn name_unknown(
    path: &Path,
    reader: &Reader<'_>,
    books: &Books,
    unknown: u64,
) -> Result<List, Problem> {
    let mut list = List::default();
    if unknown == 0 || path == Path::new("-") {
        list.unlisted = unknown;
        return Ok(list);
    }
    read_export(path, "once more ", &mut |_, document| {
        let found = document.ok().and_then(|document| reader.read(document).ok());
        if let Some(Found::Record(record)) = found
            && books.is_unknown(&record.id)
        {
            list.add(|| Listed::new(record.time, record.shown.as_deref().unwrap_or(NO_ID), None));
        }
    })?;
    Ok(list)
}
