//! Log records as Fluent Bit stores them: `[[time, metadata], body]`.

use super::msgpack::{TranscodeError, sure, transcode_within, write_plain};
use rmp::encode::write_map_len;

/// How deep the body of a record may be nested. The host unpacks 32 levels
/// (`MSGPACK_EMBED_STACK_SIZE` of the MessagePack library it brings), one of
/// which is the record. It gives up a whole chunk at the first record deeper
/// than that.
pub const BODY_DEPTH_MAX: usize = 31;

/// The key for what is no object.
const LOG_KEY: &str = "log";

/// The headers in front of the time: an array of two, the first of which is an
/// array of two, which begins with an extension of type 0 and 8 bytes.
const HEAD: [u8; 4] = [0x92, 0x92, 0xd7, 0x00];

/// The metadata: an empty map.
const NO_METADATA: u8 = 0x80;

/// Where in a record the metadata begin: after the headers and eight bytes of time. The body follows them.
pub(super) const METADATA_AT: usize = HEAD.len() + 8;

/// Appends a record up to its body.
pub fn begin(out: &mut Vec<u8>, secs: u32, nanos: u32) {
    out.extend_from_slice(&HEAD);
    out.extend_from_slice(&secs.to_be_bytes());
    out.extend_from_slice(&nanos.to_be_bytes());
    out.push(NO_METADATA);
}

/// Appends a record with a JSON text as its body: an object as it is, anything
/// else under the key `log`.
///
/// # Errors
///
/// If the text is not one JSON value, is longer than 4 GiB, or would make the
/// body nested deeper than [`BODY_DEPTH_MAX`]: [`raw`] can still carry it. Then
/// `out` is as it was.
pub fn record(json: &str, secs: u32, nanos: u32, out: &mut Vec<u8>) -> Result<(), TranscodeError> {
    let start = out.len();
    begin(out, secs, nanos);
    let mut depth_max = BODY_DEPTH_MAX;
    if !is_object(json) {
        one_member(out, LOG_KEY);
        depth_max -= 1;
    }
    let result = transcode_within(json, depth_max, out);
    if result.is_err() {
        out.truncate(start);
    }
    result
}

/// Appends a record whose body has the text under `key`, as a string. What is
/// beyond 4 GiB of it, or of the key, is cut off: a string cannot be longer.
pub fn raw(json: &str, key: &str, secs: u32, nanos: u32, out: &mut Vec<u8>) {
    begin(out, secs, nanos);
    one_member(out, key);
    write_plain(out, cut(json).as_bytes());
}

/// Begins a map of one; its value is to follow.
fn one_member(out: &mut Vec<u8>, key: &str) {
    sure(write_map_len(out, 1));
    write_plain(out, cut(key).as_bytes());
}

fn is_object(json: &str) -> bool {
    json.trim_ascii_start().starts_with('{')
}

fn cut(text: &str) -> &str {
    let longest = usize::try_from(u32::MAX).unwrap_or(usize::MAX);
    &text[..text.floor_char_boundary(longest)]
}
