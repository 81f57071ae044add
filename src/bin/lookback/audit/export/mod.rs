//! An export of a SIEM: lines of JSON, one after the other, never all of them in memory.
//!
//! | module | idea |
//! |---|---|
//! | this one | bytes to documents: gzip, lines, arrays |
//! | [`form`] | a document to a record: what was wrapped around it, its id, its times |

pub(crate) mod form;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use in_lookback::json::{self, PageShape, Pointer};

/// A longer line is no record.
const LINE_BYTES_MAX: u64 = 256 * 1024 * 1024;
const BUFFER_BYTES: usize = 256 * 1024;
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// What Excel and its friends begin a text with.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// A tag that stands before the record is not longer.
const TAG_BYTES_MAX: usize = 256;

/// Opens an export, `-` being standard input, unpacked if it is gzip. `on_read` is told of the bytes read.
pub(crate) fn open(path: &Path, on_read: impl Fn(u64) + 'static) -> io::Result<Box<dyn BufRead>> {
    let file: Box<dyn Read> = match path.to_str() {
        Some("-") => Box::new(io::stdin().lock()),
        _ => Box::new(File::open(path)?),
    };
    let mut input = BufReader::with_capacity(BUFFER_BYTES, Counted { inner: file, on_read });
    if input.fill_buf()?.starts_with(&GZIP) {
        return Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(input))));
    }
    Ok(Box::new(input))
}

struct Counted<R, F> {
    inner: R,
    on_read: F,
}

impl<R: Read, F: Fn(u64)> Read for Counted<R, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        (self.on_read)(read as u64);
        Ok(read)
    }
}

/// A document of an export, or why there is none.
pub(crate) type Document<'a> = Result<&'a str, String>;

/// Reads an export to its end; `on_document` gets each document with the number of its line.
pub(crate) fn read(
    mut input: impl BufRead,
    on_document: &mut dyn FnMut(u64, Document<'_>),
) -> io::Result<()> {
    let mut line = Vec::new();
    let mut number = 0;
    loop {
        line.clear();
        let read = (&mut input).take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(());
        }
        number += 1;
        if read as u64 == LINE_BYTES_MAX && line.last() != Some(&b'\n') {
            let error =
                format!("line {number} is longer than {LINE_BYTES_MAX} bytes: expected JSON lines");
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        let bytes = line.strip_prefix(BYTE_ORDER_MARK).filter(|_| number == 1).unwrap_or(&line);
        match std::str::from_utf8(bytes) {
            Ok(text) => documents(text, &mut |document| on_document(number, document)),
            Err(error) => {
                let error = format!("not UTF-8 at byte {}", error.valid_up_to());
                on_document(number, Err(error));
            }
        }
    }
}

/// The documents of one line: mostly one.
fn documents(line: &str, on_document: &mut dyn FnMut(Document<'_>)) {
    // An array that was written an element a line is an array all the same.
    let line = line.trim().trim_end_matches(',').trim_end();
    let line = untagged(line);
    if matches!(line, "" | "[" | "]") {
        return;
    }
    if !is_list(line) {
        return on_document(Ok(line));
    }
    let shape = PageShape { records: Pointer::root(), of_event: Vec::new(), of_page: Vec::new() };
    let mut elements = Vec::new();
    match json::scan_page(line, &shape, &mut |element| elements.push(element.raw)) {
        Ok(_) => elements.into_iter().for_each(|element| on_document(Ok(element))),
        Err(error) => on_document(Err(error.to_string())),
    }
}

/// Whether it is an array of objects. One that begins with a time is a record of its own: `[time, record]`.
fn is_list(line: &str) -> bool {
    line.strip_prefix('[').is_some_and(|rest| rest.trim_start().starts_with('{'))
}

/// What stands behind a tag: Fluent Bit writes `tag: [time, record]` into files.
fn untagged(line: &str) -> &str {
    if line.starts_with(['{', '[']) {
        return line;
    }
    let tag = line.bytes().take(TAG_BYTES_MAX).position(|byte| byte == b':');
    let behind = tag.map(|at| line[at + 1..].trim_start());
    behind.filter(|rest| rest.starts_with(['{', '['])).unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn read_all(bytes: &[u8]) -> Vec<(u64, Result<String, String>)> {
        let mut found = Vec::new();
        read(bytes, &mut |line, document| found.push((line, document.map(str::to_owned)))).unwrap();
        found
    }

    #[test]
    fn a_line_is_a_document_or_an_array_of_them() {
        let text = "\u{feff}{\"a\":1}\r\n\n[{\"b\":2}, {\"c\":3}]\n[1.5, {\"d\":4}]\n[\n{\"e\":5},\n]\nx.y: [1.5, {\"f\":6}]";
        let ok = |line, text: &str| (line, Ok(text.to_owned()));
        let expected = [
            ok(1, "{\"a\":1}"),
            ok(3, "{\"b\":2}"),
            ok(3, "{\"c\":3}"),
            ok(4, "[1.5, {\"d\":4}]"),
            ok(6, "{\"e\":5}"),
            ok(8, "[1.5, {\"f\":6}]"),
        ];
        assert_eq!(read_all(text.as_bytes()), expected);
    }

    #[test]
    fn what_is_no_text_is_told_with_its_line() {
        let found = read_all(b"{}\n\xff\xfe\n{}");
        assert_eq!(found[1], (2, Err("not UTF-8 at byte 0".to_owned())));
        assert_eq!(found.len(), 3);
    }

    #[test]
    fn gzip_is_known_by_its_first_bytes_also_in_several_members_and_its_end_is_checked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("export");
        let member = |text: &str| {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gzip.write_all(text.as_bytes()).unwrap();
            gzip.finish().unwrap()
        };
        let whole = [member("{\"a\":1}\n"), member("{\"b\":2}\n")].concat();
        std::fs::write(&path, &whole).unwrap();
        let mut documents = Vec::new();
        let mut on_document =
            |_, document: Document<'_>| documents.push(document.unwrap().to_owned());
        read(open(&path, |_| ()).unwrap(), &mut on_document).unwrap();
        assert_eq!(documents, ["{\"a\":1}", "{\"b\":2}"]);
        std::fs::write(&path, &whole[..whole.len() - 5]).unwrap();
        assert!(read(open(&path, |_| ()).unwrap(), &mut |_, _| ()).is_err(), "cut off");
    }
}
