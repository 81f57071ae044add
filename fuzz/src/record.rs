//! Whether a record is what its event's JSON says: names, their order, nesting, exact numbers.

use crate::json;
use crate::msgpack::{Head, next};

/// Reads a record's time and metadata; returns its body.
pub fn body(mut record: &[u8], secs: u32, nanos: u32) -> &[u8] {
    let rest = &mut record;
    assert_eq!(next(rest), Head::Array(2));
    assert_eq!(next(rest), Head::Array(2));
    let time = [secs.to_be_bytes(), nanos.to_be_bytes()].concat();
    assert_eq!(next(rest), Head::Extension(0, &time));
    assert_eq!(next(rest), Head::Map(0));
    record
}

/// Checks a whole value against a JSON text, both of which end with it.
pub fn check_value(mut packed: &[u8], text: &str) {
    check(&mut packed, text);
    assert!(packed.is_empty(), "{} bytes too many", packed.len());
}

/// Recurses as deep as records are nested, which is not deep.
fn check(rest: &mut &[u8], text: &str) {
    let text = text.trim_matches([' ', '\n', '\t', '\r']);
    let head = next(rest);
    match text.as_bytes().first() {
        Some(b'{') => {
            let Head::Map(count) = head else { panic!("expected a map, found {head:?}") };
            match json::members(text) {
                Some(members) => {
                    assert_eq!(members.len(), count as usize);
                    for (name, value) in members {
                        assert_eq!(next(rest), Head::Text(&name));
                        check(rest, value);
                    }
                }
                None => (0..count).for_each(|_| {
                    assert!(matches!(next(rest), Head::Text(_)));
                    skip(rest);
                }),
            }
        }
        Some(b'[') => {
            let elements = json::elements(text);
            assert_eq!(head, Head::Array(elements.len() as u32));
            elements.into_iter().for_each(|element| check(rest, element));
        }
        Some(b'"') => match (json::string(text), head) {
            (Some(expected), found) => assert_eq!(found, Head::Text(&expected)),
            // Half a surrogate pair.
            (None, found) => assert!(matches!(found, Head::Text(t) if t.contains('\u{fffd}'))),
        },
        Some(b't') => assert_eq!(head, Head::Bool(true)),
        Some(b'f') => assert_eq!(head, Head::Bool(false)),
        Some(b'n') => assert_eq!(head, Head::Nil),
        _ => check_number(head, text),
    }
}

fn skip(rest: &mut &[u8]) {
    match next(rest) {
        Head::Array(count) => (0..count).for_each(|_| skip(rest)),
        Head::Map(count) => (0..count).for_each(|_| {
            skip(rest);
            skip(rest);
        }),
        _ => {}
    }
}

/// The very number, or its digits as a string where no integer and no double is the number.
fn check_number(head: Head<'_>, literal: &str) {
    match head {
        Head::Unsigned(number) => assert_eq!(literal.parse(), Ok(number)),
        Head::Signed(number) => assert_eq!(literal.parse(), Ok(number)),
        Head::Double(number) => {
            assert_eq!(literal.parse::<f64>().map(f64::to_bits), Ok(number.to_bits()), "{literal}");
            assert!(is_shown_as(number, literal), "{number:e} is not {literal}");
            let whole = literal.parse::<u64>().is_ok() || literal.parse::<i64>().is_ok();
            assert!(!whole || number == 0.0, "{literal} is a whole number");
        }
        Head::Text(text) => {
            assert_eq!(text, literal);
            let whole = literal.parse::<u64>().is_ok() || literal.parse::<i64>().is_ok();
            let double: f64 = literal.parse().expect("a number");
            let exact = digits(&format!("{double:e}")) == digits(literal);
            assert!(!whole && !exact, "{literal} could be a number");
        }
        other => panic!("expected a number, found {other:?}"),
    }
}

/// Whether the literal is what comes out if the double is printed with as many digits.
fn is_shown_as(double: f64, literal: &str) -> bool {
    let wanted = digits(literal);
    let precision = wanted.0.len().saturating_sub(1);
    wanted.0.len() <= 17
        && (digits(&format!("{double:.precision$e}")) == wanted
            || digits(&format!("{double:e}")) == wanted)
}

/// The digits that count, and the power of ten of the last of them.
fn digits(literal: &str) -> (String, i128) {
    let unsigned = literal.trim_start_matches('-');
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let cut = all.trim_start_matches('0').trim_end_matches('0');
    if cut.is_empty() {
        return (String::new(), 0);
    }
    let zeros = all.len() - all.trim_end_matches('0').len();
    // No text is long enough for a larger one to matter.
    let exponent = exponent.parse().unwrap_or(i128::from(i64::MAX));
    (cut.to_owned(), exponent + zeros as i128 - fraction.len() as i128)
}
