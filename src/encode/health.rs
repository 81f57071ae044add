//! Health reports as records: one key, `lookback`, whose map has the report.

use rmp::encode::{write_f64, write_map_len, write_str, write_uint};

use super::msgpack::sure;
use super::record;
use crate::model::Timestamp;
use crate::poll::report::{Field, Report};

/// MessagePack's nil.
const NIL: u8 = 0xc0;

/// Appends a report as a record.
pub fn health(report: &Report, source: &str, now: Timestamp, out: &mut Vec<u8>) {
    let secs = u32::try_from(now.as_secs()).unwrap_or_default();
    record::begin(out, secs, now.subsec_nanos());
    sure(write_map_len(out, 1));
    sure(write_str(out, "lookback"));
    let fixed = [
        ("event", report.event),
        ("severity", report.severity.as_str()),
        ("source", source),
        ("message", report.message.as_str()),
    ];
    let members = fixed.len() + report.fields.len();
    sure(write_map_len(out, u32::try_from(members).unwrap_or(u32::MAX)));
    for (name, value) in fixed {
        sure(write_str(out, name));
        sure(write_str(out, value));
    }
    for (name, value) in &report.fields {
        sure(write_str(out, name));
        match value {
            Field::Count(count) => {
                sure(write_uint(out, *count));
            }
            Field::Seconds(seconds) => sure(write_f64(out, *seconds)),
            Field::Text(text) => sure(write_str(out, text)),
            Field::Null => out.push(NIL),
        }
    }
}
