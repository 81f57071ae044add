//! gzip, whole bodies at a time: several times faster than a stream, and bounded all the same.

use std::io::Read;

use libdeflater::{DecompressionError, Decompressor};

/// No gzip makes a body more than this much smaller.
const RATIO_MAX: usize = 1_032;

/// More members are no way to compress anything; each of them costs time.
const MEMBERS_MAX: usize = 10_000;

/// Why a body cannot be decompressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InflateError {
    /// Not gzip, not whole, or its checksum is wrong.
    #[error("the compressed body is truncated or damaged")]
    Damaged,
    /// More than is allowed comes out.
    #[error("the decompressed body is larger than max_page ({0} bytes)")]
    TooLarge(usize),
    /// It is in more pieces than anybody has a use for.
    #[error("the compressed body has more than {MEMBERS_MAX} gzip members")]
    Members,
}

/// A decompressor, to be used again and again.
pub struct Inflater {
    inner: Decompressor,
}

impl Inflater {
    /// A fresh one.
    #[allow(clippy::new_without_default, reason = "it allocates; a default would hide that")]
    pub fn new() -> Self {
        Self { inner: Decompressor::new() }
    }

    /// Decompresses all of `from` into `to`, which is overwritten and never grows beyond `max`.
    ///
    /// # Errors
    /// If the body is damaged or too large.
    pub fn gunzip(
        &mut self,
        from: &[u8],
        to: &mut Vec<u8>,
        max: usize,
    ) -> Result<(), InflateError> {
        let most = from.len().saturating_mul(RATIO_MAX).min(max);
        let mut room =
            stated_size(from).unwrap_or(0).clamp(1_024.min(max), most.max(1_024).min(max));
        loop {
            to.resize(room, 0);
            match self.inner.gzip_decompress(from, to) {
                Ok(len) if is_alone(from, len) => {
                    to.truncate(len);
                    return Ok(());
                }
                Ok(_) => return gunzip_members(from, to, max),
                Err(DecompressionError::InsufficientSpace) if room < max => {
                    room = room.saturating_mul(2).min(max);
                }
                Err(DecompressionError::InsufficientSpace) => {
                    return Err(InflateError::TooLarge(max));
                }
                Err(DecompressionError::BadData) => return Err(InflateError::Damaged),
            }
        }
    }
}

/// What every member begins with.
const MEMBER: [u8; 3] = [0x1f, 0x8b, 8];

/// Whether no member follows the one that came out: the length at the end of the data is that of what
/// came out, and nothing else looks like a beginning. (If it only looks like one, that costs time.)
fn is_alone(from: &[u8], len: usize) -> bool {
    let rest = from.get(MEMBER.len()..).unwrap_or_default();
    stated_size(from) == Some(len & 0xffff_ffff) && memchr::memmem::find(rest, &MEMBER).is_none()
}

/// How long its last member becomes, by the word of the data itself.
fn stated_size(from: &[u8]) -> Option<usize> {
    let size = u32::from_le_bytes(*from.last_chunk::<4>()?);
    usize::try_from(size).ok()
}

/// The slow path, for gzip of several members.
fn gunzip_members(from: &[u8], to: &mut Vec<u8>, max: usize) -> Result<(), InflateError> {
    to.clear();
    let mut rest = from;
    for _ in 0..MEMBERS_MAX {
        let room = u64::try_from(max - to.len()).unwrap_or(u64::MAX).saturating_add(1);
        let mut member = flate2::bufread::GzDecoder::new(rest).take(room);
        member.read_to_end(to).map_err(|_| InflateError::Damaged)?;
        if to.len() > max {
            return Err(InflateError::TooLarge(max));
        }
        rest = member.into_inner().into_inner();
        if rest.is_empty() {
            return Ok(());
        }
    }
    Err(InflateError::Members)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn gunzip(from: &[u8], max: usize) -> Result<Vec<u8>, InflateError> {
        let mut to = Vec::new();
        Inflater::new().gunzip(from, &mut to, max).map(|()| to)
    }

    #[test]
    fn a_body_comes_out_as_it_went_in_in_one_member_or_several() {
        let data = b"lookback ".repeat(10_000);
        assert_eq!(gunzip(&gzip(&data), 1 << 20), Ok(data.clone()));
        let two = [gzip(&data), gzip(b"more")].concat();
        assert_eq!(gunzip(&two, 1 << 20), Ok([&data[..], b"more"].concat()));
    }

    #[test]
    fn no_member_is_left_out_for_being_like_the_first() {
        let data = b"lookback ".repeat(9);
        let same_length = [b"x".repeat(81), data.clone()].concat();
        for (members, expected) in [
            ([gzip(&b"x".repeat(81)), gzip(&data)].concat(), same_length),
            ([gzip(&data), gzip(&data)].concat(), data.repeat(2)),
            (gzip(&data).repeat(3), data.repeat(3)),
        ] {
            assert_eq!(gunzip(&members, 1 << 20), Ok(expected));
        }
        // What follows is cut off, and ends as the first member does.
        let whole = gzip(&data);
        let torn = [&whole, &gzip(b"more")[..9], &whole[whole.len() - 8..]].concat();
        assert_eq!(gunzip(&torn, 1 << 20), Err(InflateError::Damaged));
    }

    #[test]
    fn a_bomb_of_many_members_ends_at_the_limit_too() {
        let bombs = gzip(&vec![0; 1 << 16]).repeat(100);
        assert_eq!(gunzip(&bombs, 1 << 20), Err(InflateError::TooLarge(1 << 20)));
    }

    #[test]
    fn a_bomb_ends_at_the_limit() {
        let bomb = gzip(&vec![0; 1 << 20]);
        assert_eq!(gunzip(&bomb, 1 << 16), Err(InflateError::TooLarge(1 << 16)));
    }

    #[test]
    fn members_without_end_do_not_take_for_ever() {
        let many = gzip(b"").repeat(MEMBERS_MAX);
        assert_eq!(gunzip(&many, 1 << 20), Ok(Vec::new()));
        assert_eq!(gunzip(&[many, gzip(b"")].concat(), 1 << 20), Err(InflateError::Members));
    }

    #[test]
    fn a_body_that_has_more_behind_it_is_damaged() {
        for behind in [&b"x"[..], b"\x1f\x8b\x08", &gzip(b"more")[..20]] {
            let body = [&gzip(b"lookback")[..], behind].concat();
            assert_eq!(gunzip(&body, 1 << 20), Err(InflateError::Damaged));
        }
    }

    #[test]
    fn what_is_cut_off_or_garbled_is_damaged() {
        let whole = gzip(&b"lookback ".repeat(1_000));
        assert_eq!(gunzip(&whole[..whole.len() - 9], 1 << 20), Err(InflateError::Damaged));
        assert_eq!(gunzip(b"not gzip at all", 1 << 20), Err(InflateError::Damaged));
        let mut garbled = whole.clone();
        let middle = garbled.len() / 2;
        garbled[middle] ^= 0xff;
        assert_eq!(gunzip(&garbled, 1 << 20), Err(InflateError::Damaged));
    }
}
