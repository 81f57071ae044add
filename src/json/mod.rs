//! The only module that scans JSON.
//!
//! A page of an API is read in one pass over its bytes. No tree is built: an
//! event is a slice of the page, and of all its members only the ones that a
//! [`PageShape`] points at are looked into. Everything else is skipped, but
//! checked on the way: a text is accepted exactly when it is valid JSON.
//!
//! ```text
//! text    find the end of a string, undo escapes
//! lexer   one token at a time: strings, numbers, literals, punctuation
//! walk    the grammar, iterative: skips a value or reports its parts
//! trie    pointers, merged, so that one pass serves all of them
//! page    scan_page and find: the trie over the lexer
//! lines   scan_lines: the same for one value a line
//! ```
//!
//! Nesting is limited by the length of the text only, except that pointers
//! themselves are short.

mod error;
mod lexer;
mod lines;
mod page;
mod pointer;
#[cfg(test)]
mod tests;
mod text;
mod trie;
mod walk;

pub use error::JsonError;
pub use lines::scan_lines;
pub use page::{Finder, PageShape, PageTail, RawEvent, Scalar, Slots, find, find_all, scan_page};
pub use pointer::{Pointer, PointerError};

pub(crate) use text::{RawStr, Span};
pub(crate) use walk::{Container, Visit, walk_document};
