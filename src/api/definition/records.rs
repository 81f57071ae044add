//! Where events are in an answer, and what of them matters.

use serde::{Deserialize, Deserializer, de};

use super::OneOrMany;
use super::values::time_format;
use crate::json::Pointer;
use crate::model::TimeFormat;

/// Where the events of a body are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Records {
    /// In the array at a pointer.
    At(Pointer),
    /// One on each line.
    Lines,
}

impl Default for Records {
    fn default() -> Self {
        Self::At(Pointer::root())
    }
}

impl<'de> Deserialize<'de> for Records {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        if text == "lines" {
            return Ok(Self::Lines);
        }
        let expected = |_| {
            format!(
                "expected a JSON pointer such as /data/items, '' for the whole body, or lines; found '{text}'"
            )
        };
        Pointer::parse(&text).map(Self::At).map_err(|error| de::Error::custom(expected(error)))
    }
}

/// What tells an event from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Id {
    /// The values at these pointers together.
    At(Vec<Pointer>),
    /// Its bytes.
    Hash,
}

impl Id {
    /// Where its parts stand; nowhere in particular if it is the bytes.
    pub fn pointers(&self) -> &[Pointer] {
        match self {
            Self::At(pointers) => pointers,
            Self::Hash => &[],
        }
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let many = OneOrMany::<String>::deserialize(from)?.0;
        match many.as_slice() {
            [word] if word == "hash" => Ok(Self::Hash),
            [] => Err(de::Error::custom("expected at least one JSON pointer, or hash")),
            texts => {
                let pointers = texts.iter().map(|text| Pointer::parse(text));
                pointers.collect::<Result<_, _>>().map(Self::At).map_err(de::Error::custom)
            }
        }
    }
}

/// Where a moment stands, and how it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MomentAt {
    /// Where.
    pub at: Pointer,
    /// How.
    pub format: TimeFormat,
}

impl<'de> Deserialize<'de> for MomentAt {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Fields {
            at: Pointer,
            #[serde(deserialize_with = "time_format")]
            format: TimeFormat,
        }
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = MomentAt;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a JSON pointer, or {at: pointer, format: ...}")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<MomentAt, E> {
                let at = Pointer::parse(text).map_err(E::custom)?;
                Ok(MomentAt { at, format: TimeFormat::Rfc3339 })
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<MomentAt, A::Error> {
                let fields = Fields::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(MomentAt { at: fields.at, format: fields.format })
            }
        }
        from.deserialize_any(Visitor)
    }
}

/// A listing's entries are links to blobs of records.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Blobs {
    /// The link, in an entry.
    pub link: Pointer,
    /// What tells a blob from others, in an entry.
    pub id: Pointer,
    /// Where the events are, in a blob.
    #[serde(default)]
    pub records: Records,
    /// So many are fetched at once.
    #[serde(default = "parallel")]
    pub parallel: usize,
}

/// Blobs fetched at once, unless the definition says otherwise, and at most.
const PARALLEL: usize = 4;
/// No API needs more.
pub const PARALLEL_MAX: usize = 32;

fn parallel() -> usize {
    PARALLEL
}
