//! Randomness with an address: the same seed, place and purpose always give the same draw.
//!
//! Everything about an event follows from the seed and the event's number, so that no event needs
//! to be stored and a second run tells the same story.

/// What a draw is for; keeps the draws of one event apart.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    /// Where in its time slot an event falls.
    Time,
    /// How late it shows.
    Lateness,
    /// Its id.
    Id,
    /// Its fields.
    Fields,
    /// The check in a page token.
    Seal,
    /// The faults.
    Faults,
    /// Access tokens.
    Tokens,
    /// How late a blob is listed.
    BlobLateness,
    /// Whether an event comes again in another blob, and in which.
    BlobRepeat,
    /// The order within a blob.
    BlobOrder,
    /// Whether a bounded query misses an event.
    Missed,
    /// Whether, how often and when an event changes.
    Changes,
}

/// The random numbers of one place and purpose.
pub(crate) fn draws(seed: u64, place: u64, purpose: Purpose) -> fastrand::Rng {
    fastrand::Rng::with_seed(mix(mix(seed, place), purpose as u64))
}

/// Scrambles two numbers into one (the finalizer of SplitMix64).
pub(crate) fn mix(a: u64, b: u64) -> u64 {
    let mut z = a
        .rotate_left(29)
        .wrapping_add(b.wrapping_mul(0x9e37_79b9_7f4a_7c15))
        .wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A GUID of the random kind.
pub(crate) fn guid(rng: &mut fastrand::Rng) -> String {
    let bits = (rng.u128(..) & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guids_are_of_version_four() {
        let id = guid(&mut draws(1, 2, Purpose::Id));
        assert_eq!(id.len(), 36);
        assert_eq!(&id[14..15], "4");
        assert!(matches!(&id[19..20], "8" | "9" | "a" | "b"), "{id}");
        assert_eq!(id, guid(&mut draws(1, 2, Purpose::Id)));
        assert_ne!(id, guid(&mut draws(1, 3, Purpose::Id)));
        assert_ne!(id, guid(&mut draws(2, 2, Purpose::Id)));
    }
}
