//! Strings as they stand in JSON text: finding their end, undoing escapes.

use std::borrow::Cow;

use super::JsonError;

/// How many bytes are looked at together.
const CHUNK: usize = 8;

/// A part of a text; sliced only when it is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span<'a> {
    pub(super) text: &'a str,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// The contents of a string literal, still escaped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawStr<'a> {
    pub(super) span: Span<'a>,
    pub(super) escaped: bool,
}

impl<'a> Span<'a> {
    /// The part itself.
    #[inline]
    pub(crate) fn as_str(self) -> &'a str {
        &self.text[self.start..self.end]
    }

    /// Its bytes.
    #[inline]
    pub(crate) fn as_bytes(self) -> &'a [u8] {
        &self.text.as_bytes()[self.start..self.end]
    }
}

impl<'a> RawStr<'a> {
    /// The bytes between the quotes, if they are the string as it is.
    #[inline]
    pub(crate) fn plain(self) -> Option<&'a [u8]> {
        if self.escaped { None } else { Some(self.span.as_bytes()) }
    }

    /// The string itself.
    pub(crate) fn decode(self) -> Cow<'a, str> {
        if !self.escaped {
            return Cow::Borrowed(self.span.as_str());
        }
        let mut decoded = String::with_capacity(self.span.end - self.span.start);
        self.for_each_piece(|piece| decoded.push_str(piece));
        Cow::Owned(decoded)
    }

    /// Hands over the string in pieces. A lone surrogate becomes U+FFFD.
    pub(crate) fn for_each_piece(self, mut piece: impl FnMut(&str)) {
        let mut rest = self.span.as_str();
        while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
            piece(&rest[..at]);
            let (decoded, used) = unescape(&rest[at..]);
            piece(decoded.encode_utf8(&mut [0; 4]));
            rest = &rest[at + used..];
        }
        piece(rest);
    }
}

/// Decodes the checked escape that `text` starts with: the character, and its
/// length in the text.
fn unescape(text: &str) -> (char, usize) {
    let decoded = match text.as_bytes().get(1) {
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return unescape_unit(text),
        Some(&same) => char::from(same),
        None => char::REPLACEMENT_CHARACTER,
    };
    (decoded, 2)
}

/// The same for `\uXXXX`, and for two of them that make up one character.
fn unescape_unit(text: &str) -> (char, usize) {
    let first = unit(text);
    let second = match text.get(6..8) {
        Some("\\u") => unit(&text[6..]),
        _ => None,
    };
    if let (Some(high @ 0xd800..=0xdbff), Some(low @ 0xdc00..=0xdfff)) = (first, second) {
        let code = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
        return (to_char(Some(code)), 12);
    }
    (to_char(first), 6)
}

fn to_char(code: Option<u32>) -> char {
    code.and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// The number in the `\uXXXX` that `text` starts with.
fn unit(text: &str) -> Option<u32> {
    u32::from_str_radix(text.get(2..6)?, 16).ok()
}

/// The closing quote of the string whose contents start at `start`, and
/// whether there are escapes before it.
#[inline(always)]
pub(super) fn string_end(text: &str, start: usize) -> Result<(usize, bool), JsonError> {
    let at = find_special(text.as_bytes(), start);
    if text.as_bytes().get(at) == Some(&b'"') {
        return Ok((at, false));
    }
    Ok((escaped_string_end(text, at)?, true))
}

/// The closing quote, from the first special byte on.
fn escaped_string_end(text: &str, mut at: usize) -> Result<usize, JsonError> {
    let bytes = text.as_bytes();
    loop {
        match bytes.get(at) {
            Some(b'"') => return Ok(at),
            Some(b'\\') => at = escape_end(text, at)?,
            _ => {
                let expected = "a control character to be escaped";
                return Err(JsonError::at(text, at, expected, "a string"));
            }
        }
        at = find_special(bytes, at);
    }
}

/// Checks the escape at `at`; gives the first byte after it.
fn escape_end(text: &str, at: usize) -> Result<usize, JsonError> {
    match text.as_bytes().get(at + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
        Some(b'u') => unit_end(text, at + 2),
        _ => {
            let expected = "one of \"\\/bfnrtu after a backslash";
            Err(JsonError::at(text, at + 1, expected, "a string"))
        }
    }
}

fn unit_end(text: &str, start: usize) -> Result<usize, JsonError> {
    let end = start + 4;
    for at in start..end {
        if !matches!(text.as_bytes().get(at), Some(byte) if byte.is_ascii_hexdigit()) {
            let expected = "four hexadecimal digits after \\u";
            return Err(JsonError::at(text, at, expected, "a string"));
        }
    }
    Ok(end)
}

/// The first byte from `at` on that a string cannot hold as it is: a quote, a
/// backslash, a control character; or the end.
#[inline(always)]
fn find_special(bytes: &[u8], mut at: usize) -> usize {
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk::<CHUNK>) {
        if let Some(offset) = first_special(chunk) {
            return at + offset;
        }
        at += CHUNK;
    }
    while bytes.get(at).is_some_and(|&byte| !is_special(byte)) {
        at += 1;
    }
    at
}

#[inline]
fn is_special(byte: u8) -> bool {
    byte == b'"' || byte == b'\\' || byte < b' '
}

/// Eight comparisons at once, in a register.
#[inline(always)]
fn first_special(chunk: &[u8; CHUNK]) -> Option<usize> {
    const ONES: u64 = u64::from_le_bytes([1; CHUNK]);
    const HIGH: u64 = ONES << 7;
    let word = u64::from_le_bytes(*chunk);
    // A byte that becomes negative by a subtraction was less than what was
    // subtracted. A borrow can mark only bytes after one that is marked rightly.
    let quote = (word ^ (ONES * b'"' as u64)).wrapping_sub(ONES);
    let backslash = (word ^ (ONES * b'\\' as u64)).wrapping_sub(ONES);
    let control = word.wrapping_sub(ONES * b' ' as u64);
    let marks = (quote | backslash | control) & !word & HIGH;
    if marks == 0 { None } else { Some(marks.trailing_zeros() as usize / 8) }
}
