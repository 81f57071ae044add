//! What is wrong with a text that is not JSON, and where.

use thiserror::Error;

/// A text is not JSON.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum JsonError {
    /// Something else was due here.
    #[error("expected {expected} at byte {offset}, found {found:?}")]
    Unexpected {
        /// Where, in bytes from the start of the text.
        offset: usize,
        /// What the grammar allows here.
        expected: &'static str,
        /// What stands here instead.
        found: char,
    },
    /// The text stops before the value does.
    #[error("ended at byte {offset} in the middle of {inside}")]
    Ended {
        /// The length of the text.
        offset: usize,
        /// The innermost thing that was open.
        inside: &'static str,
    },
    /// There is nothing but white space.
    #[error("expected a value, found nothing in {length} bytes")]
    Empty {
        /// The length of the text.
        length: usize,
    },
}

impl JsonError {
    /// The error for `text` at `offset`, where `expected` was due `inside` something.
    #[cold]
    pub(super) fn at(
        text: &str,
        offset: usize,
        expected: &'static str,
        inside: &'static str,
    ) -> JsonError {
        match text.get(offset..).and_then(|rest| rest.chars().next()) {
            Some(found) => JsonError::Unexpected { offset, expected, found },
            None => JsonError::Ended { offset: text.len(), inside },
        }
    }
}
