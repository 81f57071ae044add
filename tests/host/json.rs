//! JSON that keeps the order of keys, and the texts of an array's elements.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Whole(i128),
    Number(f64),
    Text(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Whole(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Whole(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Number(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Json, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = from.next_element()? {
            values.push(value);
        }
        Ok(Json::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Json, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = from.next_entry()? {
            entries.push(entry);
        }
        Ok(Json::Object(entries))
    }
}

/// The texts of the objects in the first array of `page` that is called `value`.
pub(crate) fn texts(page: &str) -> Vec<&str> {
    let start = page.find("\"value\":[").unwrap() + "\"value\":[".len();
    let (mut depth, mut quoted, mut escaped, mut begin) = (0, false, false, start);
    let mut texts = Vec::new();
    for (at, byte) in page.bytes().enumerate().skip(start) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'{' | b'[' => {
                if depth == 0 {
                    begin = at;
                }
                depth += 1;
            }
            b']' if depth == 0 => return texts,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    texts.push(&page[begin..=at]);
                }
            }
            _ => {}
        }
    }
    panic!("the array has no end");
}

#[test]
fn an_arrays_elements_are_told_apart() {
    let page = r#"{"x":1,"value":[{"a":"}]\"","b":[1]},{"c":{}}],"y":[2]}"#;
    assert_eq!(texts(page), [r#"{"a":"}]\"","b":[1]}"#, r#"{"c":{}}"#]);
}

#[test]
fn the_order_of_keys_counts() {
    let read = |text| serde_json::from_str::<Json>(text).unwrap();
    assert_eq!(read(r#"{"a":1,"b":[1.50]}"#), read(r#"{ "a":1, "b":[1.5]}"#));
    assert_ne!(read(r#"{"a":1,"b":2}"#), read(r#"{"b":2,"a":1}"#));
}
