//! JSON lines: one value on each line.

use super::lexer::Lexer;
use super::page::{Events, RawEvent};
use super::{JsonError, Pointer};

/// Delivers the values of a text that has one on each line, in order, and returns how many there are.
///
/// Lines end with LF or CR LF, the last one may end with the text. Lines of white space only are
/// skipped. As with pages, values are delivered while the text is being read.
///
/// # Errors
///
/// If a line is not one JSON value. Offsets count from the start of the text.
pub fn scan_lines<'a>(
    text: &'a str,
    of_event: &[Pointer],
    on_event: &mut dyn FnMut(&RawEvent<'a>),
) -> Result<usize, JsonError> {
    let mut events = Events::new(of_event);
    let mut start = 0;
    while start < text.len() {
        let rest = &text.as_bytes()[start..];
        let end = memchr::memchr(b'\n', rest).map_or(text.len(), |length| start + length);
        let mut lexer = Lexer::within(text, start, end);
        if lexer.peek().is_some() {
            let event = events.read(&mut lexer)?;
            // First the rest of the line: what is wrong with it is wrong with its event.
            lexer.finish()?;
            on_event(event);
        }
        start = end + 1;
    }
    Ok(events.count)
}
