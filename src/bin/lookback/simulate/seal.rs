//! Tokens that carry a place in a listing: a few numbers, and a check that they are ours.
//!
//! So the server needs to remember nothing of a walk, and a client can make nothing up.

use super::chance::{Purpose, draws, mix};

/// The numbers as an opaque token.
pub(crate) fn to_token<const N: usize>(fields: &[u64; N], seed: u64) -> String {
    fields.iter().chain([&seal(seed, fields)]).map(|field| format!("{field:016x}")).collect()
}

/// The numbers that `token` carries, if it is one of ours and of as many numbers.
pub(crate) fn from_token<const N: usize>(token: &str, seed: u64) -> Option<[u64; N]> {
    if token.len() != 16 * (N + 1) || !token.is_ascii() {
        return None;
    }
    let number =
        |index: usize| u64::from_str_radix(token.get(16 * index..16 * (index + 1))?, 16).ok();
    let mut fields = [0; N];
    for (index, field) in fields.iter_mut().enumerate() {
        *field = number(index)?;
    }
    (number(N)? == seal(seed, &fields)).then_some(fields)
}

fn seal(seed: u64, fields: &[u64]) -> u64 {
    let key = draws(seed, fields.len() as u64, Purpose::Seal).u64(..);
    fields.iter().fold(key, |seal, field| mix(seal, *field))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_comes_back_and_nothing_else_does() {
        let token = to_token(&[1, u64::MAX, 3], 7);
        assert_eq!(from_token(&token, 7), Some([1, u64::MAX, 3]));
        assert_eq!(from_token::<3>(&token, 8), None, "another seed's");
        assert_eq!(from_token::<2>(&token, 7), None, "of another kind");
        for bad in ["", "abc", &token.replacen('0', "1", 1), &token[1..]] {
            assert_eq!(from_token::<3>(bad, 7), None, "{bad}");
        }
    }
}
