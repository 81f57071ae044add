//! Where the records of a body are, and what makes a body count as not read.

use crate::api::definition::Records;
use crate::json::{self, JsonError, PageShape, Pointer, RawEvent, Slots};

use super::Response;

/// A body that does not count as read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// Not text.
    #[error("expected UTF-8, found a byte that is not at {0}")]
    Utf8(usize),
    /// Not whole, or not JSON.
    #[error("the body is no valid JSON: {0}")]
    Json(#[from] JsonError),
    /// JSON, but not the page that the definition describes.
    #[error("expected an array at '{0}' of the body, found none")]
    NoRecords(String),
    /// An entry of a listing that cannot be followed. To leave it out would lose its records.
    #[error("entry {number} of the listing: expected {expected} at '{at}', found {found}")]
    Entry {
        /// Which one, from 1.
        number: usize,
        /// What an entry needs.
        expected: &'static str,
        /// Where the definition says it is.
        at: String,
        /// What stands there instead.
        found: String,
    },
    /// More records than one body may have.
    #[error(
        "the body holds {found} records, expected at most {at_most}; ask for smaller pages or shorter ranges"
    )]
    TooMany {
        /// How many it has.
        found: usize,
        /// How many it may have.
        at_most: usize,
    },
    /// What stands where the next page is named is no link.
    #[error("the next page: {0}")]
    Next(&'static str),
    /// The definition has no such bodies.
    #[error("expected a definition {0}, found another")]
    Undefined(&'static str),
}

/// Where the records of a body are, and what is asked of each and of the body.
#[derive(Clone, Debug)]
pub(super) enum Layout {
    /// In an array.
    Array(PageShape),
    /// One a line: of the body as a whole, nothing can be asked.
    Lines(Vec<Pointer>),
}

impl Layout {
    pub(super) fn new(records: &Records, of_record: Vec<Pointer>, of_body: Vec<Pointer>) -> Layout {
        match records {
            Records::At(at) => Layout::Array(PageShape {
                records: at.clone(),
                of_event: of_record,
                of_page: of_body,
            }),
            Records::Lines => Layout::Lines(of_record),
        }
    }

    /// Delivers the records of an answer, of which there may be so many; returns what was asked of
    /// its body.
    pub(super) fn scan<'p>(
        &self,
        response: &'p Response,
        at_most: usize,
        on_record: &mut dyn FnMut(&RawEvent<'p>),
    ) -> Result<Slots<'p>, BodyError> {
        if response.status == NO_CONTENT {
            return Ok(Slots::new());
        }
        let text = std::str::from_utf8(&response.body)
            .map_err(|error| BodyError::Utf8(error.valid_up_to()))?;
        let mut found = 0;
        let mut on_record = |record: &RawEvent<'p>| {
            found += 1;
            if found <= at_most {
                on_record(record);
            }
        };
        let of_body = match self {
            Layout::Lines(of_record) => {
                json::scan_lines(text, of_record, &mut on_record)?;
                Slots::new()
            }
            Layout::Array(shape) => {
                let tail = json::scan_page(text, shape, &mut on_record)?;
                if !tail.has_records {
                    return Err(BodyError::NoRecords(shape.records.to_string()));
                }
                tail.found
            }
        };
        if found > at_most { Err(BodyError::TooMany { found, at_most }) } else { Ok(of_body) }
    }
}

/// The status of an answer without a body: there are no records.
const NO_CONTENT: u16 = 204;
