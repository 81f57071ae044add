//! A second opinion on JSON: serde_json's, over the same bytes.
//!
//! `None` stands for a text that serde_json cannot say anything about, though it is valid: a name
//! with half a surrogate pair in it.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// A member's name and its value's bytes.
pub type Member<'a> = (Cow<'a, str>, &'a str);

/// Whether a text is one JSON value.
pub fn is_valid(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// The elements of an array, as they stand in the text.
pub fn elements(array: &str) -> Vec<&str> {
    struct Elements;
    impl<'de> Visitor<'de> for Elements {
        type Value = Vec<&'de str>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array")
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut elements = Vec::new();
            while let Some(element) = seq.next_element::<&'de RawValue>()? {
                elements.push(element.get());
            }
            Ok(elements)
        }
    }
    let mut from = serde_json::Deserializer::from_str(array);
    from.deserialize_seq(Elements).expect("a valid array")
}

/// The members of an object, in their order.
pub fn members(object: &str) -> Option<Vec<Member<'_>>> {
    struct Members;
    impl<'de> Visitor<'de> for Members {
        type Value = Vec<Member<'de>>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some(name) = map.next_key::<String>()? {
                members.push((Cow::Owned(name), map.next_value::<&'de RawValue>()?.get()));
            }
            Ok(members)
        }
    }
    serde_json::Deserializer::from_str(object).deserialize_map(Members).ok()
}

/// A string, decoded.
pub fn string(literal: &str) -> Option<String> {
    serde_json::from_str(literal).ok()
}

/// All arrays that stand at a place, in the order of the text: names may occur twice.
pub fn arrays_at<'a>(text: &'a str, path: &[&str]) -> Option<Vec<&'a str>> {
    let text = text.trim_matches([' ', '\n', '\t', '\r']);
    let Some((step, rest)) = path.split_first() else {
        return Some(if text.starts_with('[') { vec![text] } else { Vec::new() });
    };
    let mut found = Vec::new();
    for value in children(text, step)? {
        found.extend(arrays_at(value, rest)?);
    }
    Some(found)
}

/// The scalar at a place, where the last of several members of one name counts. The outer `None`
/// is "no opinion", the inner one "nothing there, or null, or no scalar".
pub fn scalar_at<'a>(text: &'a str, path: &[&str]) -> Option<Option<&'a str>> {
    let text = text.trim_matches([' ', '\n', '\t', '\r']);
    let Some((step, rest)) = path.split_first() else {
        let is_scalar = !text.starts_with(['{', '[']) && text != "null";
        return Some(is_scalar.then_some(text));
    };
    match children(text, step)?.last() {
        Some(value) => scalar_at(value, rest),
        None => Some(None),
    }
}

/// The values that one step of a pointer leads to.
fn children<'a>(text: &'a str, step: &str) -> Option<Vec<&'a str>> {
    if text.starts_with('{') {
        let members = members(text)?;
        return Some(members.into_iter().filter(|(name, _)| name == step).map(|m| m.1).collect());
    }
    let is_index = step == "0" || (!step.starts_with('0') && !step.is_empty());
    match step.parse::<usize>() {
        Ok(index) if is_index && text.starts_with('[') => {
            Some(elements(text).get(index).copied().into_iter().collect())
        }
        _ => Some(Vec::new()),
    }
}

/// How deep containers are nested in a valid text.
pub fn depth(text: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth -= 1,
            _ => {}
        }
    }
    deepest
}
