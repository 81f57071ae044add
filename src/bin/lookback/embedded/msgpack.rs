//! MessagePack event streams: cut into records, and written as JSON in one pass, with no tree between.

use std::fmt;
use std::io::Write as _;

use rmp::Marker;

/// Deeper nesting than this is refused.
const DEPTH_MAX: usize = 256;

/// The bytes are not what the interface promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Malformed {
    CutShort,
    TooDeep,
    NotARecord,
    ReservedByte,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CutShort => "the buffer ends inside a value",
            Self::TooDeep => "values are nested too deeply",
            Self::NotARecord => "expected [[time, metadata], record] with maps for both",
            Self::ReservedByte => "0xc1 is no MessagePack",
        })
    }
}

impl std::error::Error for Malformed {}

/// One record's parts, still MessagePack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parts<'a> {
    pub(crate) seconds: u32,
    pub(crate) nanoseconds: u32,
    pub(crate) metadata: &'a [u8],
    pub(crate) body: &'a [u8],
}

/// Cuts one record off the stream.
pub(crate) fn next_record<'a>(stream: &mut &'a [u8]) -> Result<Parts<'a>, Malformed> {
    array_of_two(stream)?;
    array_of_two(stream)?;
    let (seconds, nanoseconds) = event_time(stream)?;
    let metadata = map(stream)?;
    let body = map(stream)?;
    Ok(Parts { seconds, nanoseconds, metadata, body })
}

/// Writes the next value as JSON. Key order and the digits of numbers stay.
pub(crate) fn write_json(stream: &mut &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    json_value(stream, out, 0)
}

/// Writes text as a JSON string; what is not UTF-8 becomes U+FFFD.
pub(crate) fn write_json_string(text: &[u8], out: &mut Vec<u8>) {
    let text = String::from_utf8_lossy(text);
    serde_json::to_writer(out, text.as_ref()).expect("writing to memory");
}

fn array_of_two(stream: &mut &[u8]) -> Result<(), Malformed> {
    match head(stream)? {
        Head::Array(2) => Ok(()),
        _ => Err(Malformed::NotARecord),
    }
}

fn event_time(stream: &mut &[u8]) -> Result<(u32, u32), Malformed> {
    match head(stream)? {
        Head::Ext(0, &[a, b, c, d, e, f, g, h]) => {
            Ok((u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h])))
        }
        _ => Err(Malformed::NotARecord),
    }
}

fn map<'a>(stream: &mut &'a [u8]) -> Result<&'a [u8], Malformed> {
    let start = *stream;
    let Head::Map(_) = head(&mut &*start)? else {
        return Err(Malformed::NotARecord);
    };
    skip(stream, 0)?;
    Ok(&start[..start.len() - stream.len()])
}

fn skip(stream: &mut &[u8], depth: usize) -> Result<(), Malformed> {
    if depth > DEPTH_MAX {
        return Err(Malformed::TooDeep);
    }
    let values = match head(stream)? {
        Head::Array(count) => u64::from(count),
        Head::Map(count) => 2 * u64::from(count),
        _ => 0,
    };
    for _ in 0..values {
        skip(stream, depth + 1)?;
    }
    Ok(())
}

fn json_value(stream: &mut &[u8], out: &mut Vec<u8>, depth: usize) -> Result<(), Malformed> {
    if depth > DEPTH_MAX {
        return Err(Malformed::TooDeep);
    }
    match head(stream)? {
        Head::Nil => out.extend_from_slice(b"null"),
        Head::Bool(value) => out.extend_from_slice(if value { b"true" } else { b"false" }),
        Head::Unsigned(value) => write!(out, "{value}").expect("writing to memory"),
        Head::Signed(value) => write!(out, "{value}").expect("writing to memory"),
        // serde_json writes the shortest digits that read back the same, and null for NaN.
        Head::Double(value) => serde_json::to_writer(out, &value).expect("writing to memory"),
        Head::Single(value) => serde_json::to_writer(out, &value).expect("writing to memory"),
        Head::Text(text) => write_json_string(text, out),
        Head::Ext(kind, bytes) => {
            write!(out, "\"ext {kind}: ").expect("writing to memory");
            for byte in bytes {
                write!(out, "{byte:02x}").expect("writing to memory");
            }
            out.push(b'"');
        }
        Head::Array(count) => {
            out.push(b'[');
            for i in 0..count {
                separate(i, out);
                json_value(stream, out, depth + 1)?;
            }
            out.push(b']');
        }
        Head::Map(count) => {
            out.push(b'{');
            for i in 0..count {
                separate(i, out);
                json_key(stream, out, depth + 1)?;
                out.push(b':');
                json_value(stream, out, depth + 1)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

fn separate(i: u32, out: &mut Vec<u8>) {
    if i > 0 {
        out.push(b',');
    }
}

/// JSON's keys are strings: any other key is written as the string of its JSON.
fn json_key(stream: &mut &[u8], out: &mut Vec<u8>, depth: usize) -> Result<(), Malformed> {
    if let Head::Text(text) = head(&mut &**stream)? {
        head(stream)?;
        write_json_string(text, out);
        return Ok(());
    }
    let mut key = Vec::new();
    json_value(stream, &mut key, depth)?;
    write_json_string(&key, out);
    Ok(())
}

/// A value without what it contains.
enum Head<'a> {
    Nil,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Single(f32),
    Double(f64),
    /// Strings and binaries.
    Text(&'a [u8]),
    Ext(i8, &'a [u8]),
    Array(u32),
    Map(u32),
}

fn head<'a>(stream: &mut &'a [u8]) -> Result<Head<'a>, Malformed> {
    let [marker] = fixed(stream)?;
    Ok(match Marker::from_u8(marker) {
        Marker::Null => Head::Nil,
        Marker::True => Head::Bool(true),
        Marker::False => Head::Bool(false),
        Marker::FixPos(value) => Head::Unsigned(value.into()),
        Marker::FixNeg(value) => Head::Signed(value.into()),
        Marker::U8 => Head::Unsigned(u8::from_be_bytes(fixed(stream)?).into()),
        Marker::U16 => Head::Unsigned(u16::from_be_bytes(fixed(stream)?).into()),
        Marker::U32 => Head::Unsigned(u32::from_be_bytes(fixed(stream)?).into()),
        Marker::U64 => Head::Unsigned(u64::from_be_bytes(fixed(stream)?)),
        Marker::I8 => Head::Signed(i8::from_be_bytes(fixed(stream)?).into()),
        Marker::I16 => Head::Signed(i16::from_be_bytes(fixed(stream)?).into()),
        Marker::I32 => Head::Signed(i32::from_be_bytes(fixed(stream)?).into()),
        Marker::I64 => Head::Signed(i64::from_be_bytes(fixed(stream)?)),
        Marker::F32 => Head::Single(f32::from_be_bytes(fixed(stream)?)),
        Marker::F64 => Head::Double(f64::from_be_bytes(fixed(stream)?)),
        Marker::FixStr(len) => Head::Text(bytes(stream, len.into())?),
        Marker::Str8 | Marker::Bin8 => text(stream, 1)?,
        Marker::Str16 | Marker::Bin16 => text(stream, 2)?,
        Marker::Str32 | Marker::Bin32 => text(stream, 4)?,
        Marker::FixArray(count) => Head::Array(count.into()),
        Marker::Array16 => Head::Array(length(stream, 2)?),
        Marker::Array32 => Head::Array(length(stream, 4)?),
        Marker::FixMap(count) => Head::Map(count.into()),
        Marker::Map16 => Head::Map(length(stream, 2)?),
        Marker::Map32 => Head::Map(length(stream, 4)?),
        Marker::FixExt1 => ext(stream, 1)?,
        Marker::FixExt2 => ext(stream, 2)?,
        Marker::FixExt4 => ext(stream, 4)?,
        Marker::FixExt8 => ext(stream, 8)?,
        Marker::FixExt16 => ext(stream, 16)?,
        Marker::Ext8 => sized_ext(stream, 1)?,
        Marker::Ext16 => sized_ext(stream, 2)?,
        Marker::Ext32 => sized_ext(stream, 4)?,
        Marker::Reserved => return Err(Malformed::ReservedByte),
    })
}

fn text<'a>(stream: &mut &'a [u8], width: usize) -> Result<Head<'a>, Malformed> {
    let len = length(stream, width)?;
    Ok(Head::Text(bytes(stream, len)?))
}

fn sized_ext<'a>(stream: &mut &'a [u8], width: usize) -> Result<Head<'a>, Malformed> {
    let len = length(stream, width)?;
    ext(stream, len)
}

fn ext<'a>(stream: &mut &'a [u8], len: u32) -> Result<Head<'a>, Malformed> {
    let kind = i8::from_be_bytes(fixed(stream)?);
    Ok(Head::Ext(kind, bytes(stream, len)?))
}

fn length(stream: &mut &[u8], width: usize) -> Result<u32, Malformed> {
    let (digits, rest) = stream.split_at_checked(width).ok_or(Malformed::CutShort)?;
    *stream = rest;
    Ok(digits.iter().fold(0, |length, &digit| length << 8 | u32::from(digit)))
}

fn bytes<'a>(stream: &mut &'a [u8], len: u32) -> Result<&'a [u8], Malformed> {
    let (bytes, rest) = stream.split_at_checked(len as usize).ok_or(Malformed::CutShort)?;
    *stream = rest;
    Ok(bytes)
}

fn fixed<const N: usize>(stream: &mut &[u8]) -> Result<[u8; N], Malformed> {
    let (bytes, rest) = stream.split_first_chunk().ok_or(Malformed::CutShort)?;
    *stream = rest;
    Ok(*bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(bytes: &[u8]) -> Result<String, Malformed> {
        let (mut stream, mut out) = (bytes, Vec::new());
        write_json(&mut stream, &mut out)?;
        assert!(stream.is_empty(), "all of it is read");
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn values() {
        let table: &[(&[u8], &str)] = &[
            (&[0xc0], "null"),
            (&[0xc3], "true"),
            (&[0x7f], "127"),
            (&[0xe0], "-32"),
            (&[0xcf, 255, 255, 255, 255, 255, 255, 255, 255], "18446744073709551615"),
            (&[0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0], "-9223372036854775808"),
            (&[0xcb, 0x3f, 0xb9, 0x99, 0x99, 0x99, 0x99, 0x99, 0x9a], "0.1"),
            (&[0xcb, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0], "1.0"),
            (&[0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0], "null"),
            (b"\xa6a\"b\\\nc", "\"a\\\"b\\\\\\nc\""),
            (&[0xd9, 2, 0xc3, 0xa9], "\"é\""),
            (&[0xc4, 1, 0xff], "\"\u{fffd}\""),
            (&[0x92, 0x01, 0x90], "[1,[]]"),
            (b"\x82\xa1z\x01\xa1a\x02", "{\"z\":1,\"a\":2}"),
            (b"\x81\x05\x01", "{\"5\":1}"),
            (&[0xd4, 0x07, 0xab], "\"ext 7: ab\""),
        ];
        for (bytes, expected) in table {
            assert_eq!(json(bytes).as_deref(), Ok(*expected), "{bytes:02x?}");
        }
    }

    #[test]
    fn damage_is_told() {
        assert_eq!(json(&[0xa5, b'a']), Err(Malformed::CutShort));
        assert_eq!(json(&[0xc1]), Err(Malformed::ReservedByte));
        assert_eq!(json(&vec![0x91; DEPTH_MAX + 2]), Err(Malformed::TooDeep));
    }

    #[test]
    fn records_are_cut_off_one_by_one() {
        let mut stream: Vec<u8> = vec![0x92, 0x92, 0xd7, 0, 0, 0, 0, 5, 0, 0, 0, 6, 0x80];
        stream.extend(b"\x81\xa1k\x01");
        let twice = stream.repeat(2);
        let mut rest = twice.as_slice();
        for _ in 0..2 {
            let record = next_record(&mut rest).unwrap();
            assert_eq!((record.seconds, record.nanoseconds), (5, 6));
            assert_eq!((record.metadata, record.body), (&[0x80][..], &b"\x81\xa1k\x01"[..]));
        }
        assert!(rest.is_empty());
    }

    #[test]
    fn records_of_another_shape_are_refused() {
        for stream in [&[0x92, 0x05, 0x80][..], &[0x80], &[0x92, 0x92, 0x05, 0x80, 0x80]] {
            assert_eq!(next_record(&mut { stream }), Err(Malformed::NotARecord));
        }
    }
}
