//! Where a record came from, added to it: as its metadata, or as a member of its body.

use rmp::encode::{write_f64, write_map_len, write_nil, write_str};

use super::msgpack::sure;
use super::record::METADATA_AT;
use crate::model::Timestamp;

/// The body's key for it.
const KEY: &str = "_lookback";

/// What it takes at most, besides the source's name.
pub const ADDED_BYTES: usize = 256;

/// The markers of a map: with its length in the marker, in two bytes, in four.
const FIXMAP: u8 = 0x80;
const MAP16: u8 = 0xde;
const MAP32: u8 = 0xdf;

/// Where an event came from.
#[derive(Clone, Copy, Debug)]
pub struct Provenance<'a> {
    /// The source's name.
    pub source: &'a str,
    /// When the page came that showed it first; where changes matter, that showed this version of it first.
    pub first_seen: Timestamp,
    /// When it happened; nothing if it does not say.
    pub happened: Option<Timestamp>,
    /// What read it: `live`, `sweep` or `catchup`.
    pub poll: &'a str,
    /// Its bytes as the API sent them.
    pub event: &'a str,
}

impl Provenance<'_> {
    /// Makes it the metadata of the record that begins at `start` and ends `out`.
    pub fn into_metadata(self, start: usize, out: &mut Vec<u8>) {
        let mut map = Vec::with_capacity(ADDED_BYTES + self.source.len());
        self.write(&mut map);
        let at = start + METADATA_AT;
        out.splice(at..=at, map);
    }

    /// Adds it to the body of the record that begins at `start` and ends `out`.
    pub fn into_body(self, start: usize, out: &mut Vec<u8>) {
        one_more_member(start + METADATA_AT + 1, out);
        sure(write_str(out, KEY));
        self.write(out);
    }

    fn write(self, out: &mut Vec<u8>) {
        sure(write_map_len(out, 5));
        let sha256 = sha256(self.event);
        let first_seen = self.first_seen.to_string();
        let texts = [
            ("source", self.source),
            ("first_seen", &first_seen),
            ("poll", self.poll),
            ("sha256", &sha256),
        ];
        for (name, text) in texts {
            sure(write_str(out, name));
            sure(write_str(out, text));
        }
        sure(write_str(out, "late_by_seconds"));
        match self.happened {
            Some(happened) => {
                let late_by = self.first_seen.since(happened);
                sure(write_f64(out, late_by.as_secs_f64()));
            }
            None => write_nil(out).expect("a buffer takes every marker"),
        }
    }
}

/// Makes room for one more in the map whose header is at `at`.
fn one_more_member(at: usize, out: &mut Vec<u8>) {
    let (len, count) = match out[at..] {
        [MAP16, a, b, ..] => (3, u32::from(u16::from_be_bytes([a, b]))),
        [MAP32, a, b, c, d, ..] => (5, u32::from_be_bytes([a, b, c, d])),
        [marker, ..] => (1, u32::from(marker ^ FIXMAP)),
        [] => return,
    };
    let mut header = Vec::with_capacity(5);
    sure(write_map_len(&mut header, count + 1));
    out.splice(at..at + len, header);
}

fn sha256(text: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
