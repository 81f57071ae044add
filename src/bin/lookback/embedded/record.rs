//! A record as the engine decoded it, and its JSON line.

use std::io::Write as _;

use super::msgpack::{self, Malformed};

/// One event. Metadata and body stay MessagePack, byte for byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// The instance it came from.
    pub(crate) instance: String,
    pub(crate) tag: String,
    pub(crate) seconds: u32,
    pub(crate) nanoseconds: u32,
    pub(crate) metadata: Vec<u8>,
    pub(crate) body: Vec<u8>,
}

/// How a JSON line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct JsonStyle {
    /// RFC 3339 instead of seconds since 1970.
    pub(crate) iso_time: bool,
    /// The tag, under `_tag`.
    pub(crate) tag: bool,
    /// The metadata, under `_metadata`, where there is any.
    pub(crate) metadata: bool,
}

impl Record {
    /// Appends `{"date":…,…}` and a line end.
    pub(crate) fn write_json_line(
        &self,
        style: JsonStyle,
        out: &mut Vec<u8>,
    ) -> Result<(), Malformed> {
        out.extend_from_slice(b"{\"date\":");
        self.write_time(style.iso_time, out);
        if style.tag {
            out.extend_from_slice(b",\"_tag\":");
            msgpack::write_json_string(self.tag.as_bytes(), out);
        }
        if style.metadata && self.metadata != [0x80] {
            out.extend_from_slice(b",\"_metadata\":");
            msgpack::write_json(&mut self.metadata.as_slice(), out)?;
        }
        let body = out.len();
        msgpack::write_json(&mut self.body.as_slice(), out)?;
        // The body's own brace becomes the comma, unless it is empty.
        if out[body..] == *b"{}" {
            out.truncate(body);
            out.push(b'}');
        } else {
            out[body] = b',';
        }
        out.push(b'\n');
        Ok(())
    }

    /// The record's own fields as JSON.
    pub(crate) fn body_json(&self) -> String {
        to_json(&self.body)
    }

    /// The metadata as JSON.
    pub(crate) fn metadata_json(&self) -> String {
        to_json(&self.metadata)
    }

    /// The event's time in seconds since 1970, as a double can hold it.
    pub(crate) fn epoch(&self) -> f64 {
        f64::from(self.seconds) + f64::from(self.nanoseconds) / 1e9
    }

    fn write_time(&self, iso: bool, out: &mut Vec<u8>) {
        let nanoseconds = i32::try_from(self.nanoseconds).unwrap_or(i32::MAX);
        let time = jiff::Timestamp::new(i64::from(self.seconds), nanoseconds.min(999_999_999));
        match time {
            Ok(time) if iso => write!(out, "\"{time}\"").expect("writing to memory"),
            _ => {
                // Whole seconds get `.0`, others what 16 digits hold: the host's json_lines.
                let text = format!("{}.{:06}", self.seconds, self.nanoseconds / 1000);
                let text = text.trim_end_matches('0');
                out.extend_from_slice(text.as_bytes());
                if text.ends_with('.') {
                    out.push(b'0');
                }
            }
        }
    }
}

fn to_json(mut bytes: &[u8]) -> String {
    let mut out = Vec::new();
    msgpack::write_json(&mut bytes, &mut out).expect("the engine checked it");
    String::from_utf8(out).expect("JSON is text")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(body: &[u8], style: JsonStyle) -> String {
        let record = Record {
            instance: "lookback.0".into(),
            tag: "a.b".into(),
            seconds: 1_700_000_000,
            nanoseconds: 123_456_700,
            metadata: vec![0x81, 0xa1, b'm', 0x01],
            body: body.to_vec(),
        };
        let mut out = Vec::new();
        record.write_json_line(style, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_time_comes_first() {
        let body = [0x81, 0xa1, b'k', 0xa1, b'v'];
        let all = JsonStyle { iso_time: true, tag: true, metadata: true };
        for (style, expected) in [
            (JsonStyle::default(), "{\"date\":1700000000.123456,\"k\":\"v\"}\n"),
            (
                all,
                "{\"date\":\"2023-11-14T22:13:20.1234567Z\",\"_tag\":\"a.b\",\"_metadata\":{\"m\":1},\"k\":\"v\"}\n",
            ),
        ] {
            assert_eq!(line(&body, style), expected);
        }
    }

    #[test]
    fn an_empty_body_is_only_a_time() {
        assert_eq!(line(&[0x80], JsonStyle::default()), "{\"date\":1700000000.123456}\n");
    }
}
