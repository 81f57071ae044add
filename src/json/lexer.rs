//! One token at a time.
//!
//! What every token goes through is inlined by force: as soon as a token's
//! parts pass through memory, a scan takes three times as long.

use super::text::{RawStr, Span, string_end};
use super::walk::{Skip, walk};
use super::{Container, JsonError};

/// A place in a text. Small, so that a loop can keep its own copy.
#[derive(Clone, Copy)]
pub(super) struct Lexer<'a> {
    text: &'a str,
    pos: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Lexer<'a> {
        Lexer { text, pos: 0 }
    }

    /// A lexer for a part of a text, which counts from the start of the whole.
    pub(super) fn within(text: &'a str, start: usize, end: usize) -> Lexer<'a> {
        Lexer { text: &text[..end], pos: start }
    }

    pub(super) fn pos(&self) -> usize {
        self.pos
    }

    /// The text from `start` up to here.
    pub(super) fn since(&self, start: usize) -> &'a str {
        &self.text[start..self.pos]
    }

    /// Steps over the byte that [`Lexer::peek`] has shown.
    #[inline]
    pub(super) fn advance(&mut self) {
        self.pos += 1;
    }

    /// The byte that the next token starts with; now at that token.
    #[inline(always)]
    pub(super) fn peek(&mut self) -> Option<u8> {
        match self.text.as_bytes().get(self.pos) {
            Some(&byte) if byte > b' ' => Some(byte),
            _ => self.peek_after_space(),
        }
    }

    #[inline]
    fn peek_after_space(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = bytes.get(self.pos) {
            self.pos += 1;
        }
        bytes.get(self.pos).copied()
    }

    /// Reads a string; the text stands at its quote.
    #[inline(always)]
    pub(super) fn string(&mut self) -> Result<RawStr<'a>, JsonError> {
        let start = self.pos + 1;
        let (end, escaped) = string_end(self.text, start)?;
        self.pos = end + 1;
        let text = self.text;
        let span = Span { text, start, end };
        Ok(RawStr { span, escaped })
    }

    /// Reads a member's name and the colon after it.
    #[inline(always)]
    pub(super) fn key(&mut self) -> Result<RawStr<'a>, JsonError> {
        if self.peek() != Some(b'"') {
            return Err(self.error("a string as the next key", "an object"));
        }
        let key = self.string()?;
        if self.peek() != Some(b':') {
            return Err(self.error("':' after a key", "an object"));
        }
        self.advance();
        Ok(key)
    }

    /// Steps over the bracket that opens a container: true if it holds anything.
    #[inline]
    pub(super) fn open(&mut self, container: Container) -> bool {
        self.advance();
        let empty = self.peek() == Some(container.close());
        if empty {
            self.advance();
        }
        !empty
    }

    /// Steps over a comma or the closing bracket: true if it was a comma.
    #[inline]
    pub(super) fn next_or_close(&mut self, container: Container) -> Result<bool, JsonError> {
        match self.peek() {
            Some(b',') => {
                self.advance();
                Ok(true)
            }
            Some(byte) if byte == container.close() => {
                self.advance();
                Ok(false)
            }
            _ => Err(self.separator_error(container)),
        }
    }

    /// Reads a number; the text stands at its first byte.
    #[inline]
    pub(super) fn number(&mut self) -> Result<Span<'a>, JsonError> {
        let start = self.pos;
        let end = number_end(self.text, start)?;
        self.pos = end;
        let text = self.text;
        Ok(Span { text, start, end })
    }

    /// Reads `true`, `false` or `null`.
    #[inline]
    pub(super) fn literal(&mut self, literal: &'static str) -> Result<(), JsonError> {
        let bytes = self.text.as_bytes();
        if bytes[self.pos..].starts_with(literal.as_bytes()) {
            self.pos += literal.len();
            return Ok(());
        }
        Err(literal_error(self.text, self.pos, literal))
    }

    /// Steps over a whole value.
    #[inline]
    pub(super) fn skip(&mut self) -> Result<(), JsonError> {
        match self.peek() {
            // Most values are strings: no need to get ready for more.
            Some(b'"') => self.string().map(drop),
            _ => walk(self, &mut Skip),
        }
    }

    /// Checks that nothing but white space is left.
    pub(super) fn finish(&mut self) -> Result<(), JsonError> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.error("the end of the text", "the document")),
        }
    }

    /// The error for a value that does not start here.
    #[cold]
    pub(super) fn value_error(self, inside: Option<Container>) -> JsonError {
        match inside {
            Some(container) => self.error("a value", container.name()),
            // A value that is skipped may stand deep in a text that breaks off.
            None if self.text.trim_ascii().is_empty() => {
                JsonError::Empty { length: self.text.len() }
            }
            None => self.error("a value", "the document"),
        }
    }

    #[cold]
    fn separator_error(self, container: Container) -> JsonError {
        match container {
            Container::Object => self.error("',' or '}'", container.name()),
            Container::Array => self.error("',' or ']'", container.name()),
        }
    }

    #[cold]
    fn error(self, expected: &'static str, inside: &'static str) -> JsonError {
        JsonError::at(self.text, self.pos, expected, inside)
    }
}

/// The first byte after the number at `at`.
#[inline]
fn number_end(text: &str, mut at: usize) -> Result<usize, JsonError> {
    let bytes = text.as_bytes();
    if bytes.get(at) == Some(&b'-') {
        at += 1;
    }
    at = match bytes.get(at) {
        Some(b'0') => no_digit(text, at + 1)?,
        _ => digits_end(text, at)?,
    };
    if bytes.get(at) == Some(&b'.') {
        at = digits_end(text, at + 1)?;
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        let sign = matches!(bytes.get(at + 1), Some(b'+' | b'-'));
        at = digits_end(text, at + 1 + usize::from(sign))?;
    }
    Ok(at)
}

/// One digit or more from `at` on; gives the first byte after them.
#[inline]
fn digits_end(text: &str, at: usize) -> Result<usize, JsonError> {
    let rest = text.as_bytes().get(at..).unwrap_or_default();
    let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if count == 0 {
        return Err(JsonError::at(text, at, "a digit", "a number"));
    }
    Ok(at + count)
}

/// Nothing like `01`.
#[inline]
fn no_digit(text: &str, at: usize) -> Result<usize, JsonError> {
    match text.as_bytes().get(at) {
        Some(b'0'..=b'9') => {
            let expected = "no digit after a leading zero";
            Err(JsonError::at(text, at, expected, "a number"))
        }
        _ => Ok(at),
    }
}

#[cold]
fn literal_error(text: &str, start: usize, literal: &'static str) -> JsonError {
    let found = text.as_bytes()[start..].iter();
    let same = found.zip(literal.bytes()).take_while(|(a, b)| **a == *b);
    JsonError::at(text, start + same.count(), literal, "a literal")
}
