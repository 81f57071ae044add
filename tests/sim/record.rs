//! A record of the simulation: just the event's index and what it says, in as many bytes as make lots worth counting.

use crate::event::Says;

/// Bytes of a record.
pub(crate) const BYTES: usize = 64;

/// Appends a record.
pub(crate) fn encode(index: usize, says: Says, out: &mut Vec<u8>) {
    let end = out.len() + BYTES;
    out.extend_from_slice(&(index as u64).to_le_bytes());
    out.extend_from_slice(&says.0.to_le_bytes());
    out.resize(end, 0);
}

/// The indices of a lot's records, and what they say.
pub(crate) fn decode(bytes: &[u8]) -> impl Iterator<Item = (usize, Says)> {
    let number = |record: &[u8], at: usize| {
        let bytes = record[at..].first_chunk().expect("a record is longer than its numbers");
        u64::from_le_bytes(*bytes)
    };
    let records = bytes.chunks_exact(BYTES);
    records.map(move |record| (number(record, 0) as usize, Says(number(record, 8))))
}
