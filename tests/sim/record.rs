//! A record of the simulation: just the event's index, in as many bytes as make lots worth counting.

/// Bytes of a record.
pub(crate) const BYTES: usize = 64;

/// Appends a record.
pub(crate) fn encode(index: usize, out: &mut Vec<u8>) {
    let end = out.len() + BYTES;
    out.extend_from_slice(&(index as u64).to_le_bytes());
    out.resize(end, 0);
}

/// The indices of a lot's records.
pub(crate) fn decode(bytes: &[u8]) -> impl Iterator<Item = usize> {
    bytes.chunks_exact(BYTES).map(|record| {
        let index = record.first_chunk().expect("a record is longer than its index");
        u64::from_le_bytes(*index) as usize
    })
}
