//! JSON text to MessagePack in one pass, without a tree.
//!
//! Nothing is lost on the way: names, their order, even names that occur twice
//! stay as they are. MessagePack wants to know how much a container holds before
//! its contents; one byte is set aside for that, and made more where it is due.
//! Numbers that neither an integer nor a double can hold become strings of the
//! same digits.

use rmp::encode::{
    ValueWriteError, write_array_len, write_bool, write_map_len, write_nil, write_str_len,
};
use thiserror::Error;

use super::number::write_number;
use crate::json::{Container, JsonError, RawStr, Span, Visit, walk_document};

/// How deep containers may be nested in what [`transcode`] accepts.
pub const DEPTH_MAX: usize = 256;

/// The longest header: a marker and a length of four bytes.
const HEADER_MAX: usize = 5;

/// A text cannot be written as MessagePack.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum TranscodeError {
    /// It is not JSON.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// Its containers are nested deeper than a reader can be expected to follow.
    #[error("expected at most {depth_max} levels of nesting, found one more at byte {offset}")]
    TooDeep {
        /// How deep they may be nested.
        depth_max: usize,
        /// Where the container begins that is too much.
        offset: usize,
    },
    /// MessagePack cannot count that far.
    #[error("expected at most {} bytes, found {found}", u32::MAX)]
    TooLong {
        /// The length of the text.
        found: usize,
    },
}

/// Appends one JSON value as MessagePack.
///
/// # Errors
///
/// If the text is not one JSON value, is nested deeper than [`DEPTH_MAX`], or is
/// longer than 4 GiB. Then `out` is as it was.
pub fn transcode(json: &str, out: &mut Vec<u8>) -> Result<(), TranscodeError> {
    transcode_within(json, DEPTH_MAX, out)
}

/// [`transcode`] with another limit of depth.
pub(super) fn transcode_within(
    json: &str,
    depth_max: usize,
    out: &mut Vec<u8>,
) -> Result<(), TranscodeError> {
    if u32::try_from(json.len()).is_err() {
        return Err(TranscodeError::TooLong { found: json.len() });
    }
    let start = out.len();
    // Most texts shrink; short numbers may grow.
    out.reserve(json.len());
    let mut packer = Packer { out, open: Vec::new(), depth_max };
    let result = walk_document(json, &mut packer);
    if result.is_err() {
        out.truncate(start);
    }
    result
}

/// Appends a string that is given as UTF-8. Its length fits 32 bits.
pub(super) fn write_plain(out: &mut Vec<u8>, text: &[u8]) {
    sure(write_str_len(out, length(text.len())));
    out.extend_from_slice(text);
}

/// Lengths are checked once, for the whole text; nothing in it is longer.
pub(super) fn length(len: usize) -> u32 {
    u32::try_from(len).expect("no part is longer than a text of less than 4 GiB")
}

/// Writing to memory that grows, or that is large enough, succeeds.
pub(super) fn sure<T>(written: Result<T, ValueWriteError>) {
    written.expect("a buffer takes every header");
}

struct Packer<'o> {
    out: &'o mut Vec<u8>,
    open: Vec<Open>,
    depth_max: usize,
}

/// A container whose end has not been seen.
struct Open {
    /// Where its header is to be.
    header: usize,
    /// How many values it holds so far.
    count: u32,
}

impl Packer<'_> {
    #[inline]
    fn count(&mut self) {
        if let Some(container) = self.open.last_mut() {
            container.count += 1;
        }
    }

    #[inline]
    fn write_str(&mut self, string: RawStr<'_>) {
        match string.plain() {
            Some(bytes) => write_plain(self.out, bytes),
            None => self.write_escaped(string),
        }
    }

    fn write_escaped(&mut self, string: RawStr<'_>) {
        let header = self.set_header_aside();
        string.for_each_piece(|piece| self.out.extend_from_slice(piece.as_bytes()));
        let len = length(self.out.len() - header - 1);
        self.put_header(header, |buffer| sure(write_str_len(buffer, len)));
    }

    fn set_header_aside(&mut self) -> usize {
        self.out.push(0);
        self.out.len() - 1
    }

    /// Writes a header where one byte was set aside, moving what follows if it is longer.
    #[inline]
    fn put_header(&mut self, at: usize, write: impl FnOnce(&mut &mut [u8])) {
        let mut header = [0; HEADER_MAX];
        let mut unused = &mut header[..];
        write(&mut unused);
        let len = HEADER_MAX - unused.len();

        let end = self.out.len();
        if len > 1 {
            self.out.resize(end + len - 1, 0);
            self.out.copy_within(at + 1..end, at + len);
        }
        self.out[at..at + len].copy_from_slice(&header[..len]);
    }
}

impl<'a> Visit<'a> for Packer<'_> {
    type Error = TranscodeError;

    fn begin(&mut self, _: Container, offset: usize) -> Result<(), TranscodeError> {
        if self.open.len() >= self.depth_max {
            let depth_max = self.depth_max;
            return Err(TranscodeError::TooDeep { depth_max, offset });
        }
        self.count();
        let header = self.set_header_aside();
        self.open.push(Open { header, count: 0 });
        Ok(())
    }

    fn end(&mut self, container: Container) {
        let Some(Open { header, count }) = self.open.pop() else {
            return;
        };
        self.put_header(header, |buffer| {
            sure(match container {
                Container::Object => write_map_len(buffer, count),
                Container::Array => write_array_len(buffer, count),
            });
        });
    }

    #[inline]
    fn key(&mut self, key: RawStr<'a>) {
        self.write_str(key);
    }

    #[inline]
    fn string(&mut self, string: RawStr<'a>) {
        self.count();
        self.write_str(string);
    }

    fn number(&mut self, literal: Span<'a>) {
        self.count();
        write_number(self.out, literal.as_str());
    }

    fn bool(&mut self, value: bool) {
        self.count();
        write_bool(self.out, value).expect("a buffer takes every marker");
    }

    fn null(&mut self) {
        self.count();
        write_nil(self.out).expect("a buffer takes every marker");
    }
}
