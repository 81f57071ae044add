//! Numbers: which of MessagePack's forms holds exactly what the text says.

use rmp::encode::{write_f64, write_sint, write_uint};

use super::msgpack::{sure, write_plain};

/// Decimals of so many digits survive the way through a double (`f64::DIGITS`),
/// as long as it is a normal one.
const DIGITS_SAFE: usize = 15;

/// Exponents for which a decimal of few digits is a normal double for sure.
const EXPONENT_SAFE: std::ops::RangeInclusive<i64> = -290..=290;

/// Appends a JSON number: as the smallest integer, as a double, or, if neither
/// holds it, as a string.
pub(super) fn write_number(out: &mut Vec<u8>, literal: &str) {
    if let Ok(number) = literal.parse::<u64>() {
        sure(write_uint(out, number));
        return;
    }
    match literal.parse::<i64>() {
        // Only a double knows the zero below zero.
        Ok(number) if number != 0 => sure(write_sint(out, number)),
        _ => write_decimal(out, literal),
    }
}

fn write_decimal(out: &mut Vec<u8>, literal: &str) {
    match exact_double(literal) {
        Some(double) => sure(write_f64(out, double)),
        None => write_plain(out, literal.as_bytes()),
    }
}

/// The double which, printed as short as possible, is this number again.
fn exact_double(literal: &str) -> Option<f64> {
    let decimal = Decimal::parse(literal)?;
    let double: f64 = literal.parse().ok()?;
    let few = decimal.digits.len() <= DIGITS_SAFE;
    if decimal.is_zero() || few && EXPONENT_SAFE.contains(&decimal.exponent) {
        return Some(double);
    }
    shortest(double)?.contains(&decimal).then_some(double)
}

/// The shortest decimals for a double that is finite. There can be two, equally
/// near: `1544692465434695.25` is `.2` for those who round to even, as most
/// printers do, and `.3` for the others.
fn shortest(double: f64) -> Option<[Decimal; 2]> {
    let to_even = serde_json::Number::from_f64(double)?.to_string();
    let up = format!("{double:e}");
    Some([Decimal::parse(&to_even)?, Decimal::parse(&up)?])
}

/// The digits that count, without zeros at either end, and the power of ten of
/// the last of them. The sign is left out.
#[derive(PartialEq, Eq)]
struct Decimal {
    digits: Vec<u8>,
    exponent: i64,
}

impl Decimal {
    /// Nothing if the exponent is beyond all reason.
    fn parse(literal: &str) -> Option<Decimal> {
        let unsigned = literal.trim_start_matches('-');
        let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));

        let all = [whole, fraction].concat();
        let digits = all.trim_start_matches('0');
        let cut = digits.trim_end_matches('0');
        if cut.is_empty() {
            return Some(Decimal { digits: Vec::new(), exponent: 0 });
        }
        let exponent: i64 = exponent.parse().ok()?;
        let zeros = i64::try_from(digits.len() - cut.len()).ok()?;
        let places = i64::try_from(fraction.len()).ok()?;
        Some(Decimal {
            digits: cut.as_bytes().to_vec(),
            exponent: exponent.checked_add(zeros)?.checked_sub(places)?,
        })
    }

    fn is_zero(&self) -> bool {
        self.digits.is_empty()
    }
}
