//! How single values are written: durations, switches, pointers, lists.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

use crate::config::sweeps::{self, Sweep};
use crate::config::units;
use crate::json::Pointer;
use crate::model::TimeFormat;

/// A value, or a list of them.
#[derive(Clone, Debug)]
pub struct OneOrMany<T>(pub Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> de::Visitor<'de> for Visitor<T> {
            type Value = OneOrMany<T>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("one value, or a list of them")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                let one = T::deserialize(de::value::StrDeserializer::new(text))?;
                Ok(OneOrMany(vec![one]))
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut many = Vec::new();
                while let Some(one) = seq.next_element()? {
                    many.push(one);
                }
                Ok(OneOrMany(many))
            }
        }
        from.deserialize_any(Visitor(std::marker::PhantomData))
    }
}

impl<'de> Deserialize<'de> for Pointer {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

pub(super) fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(from)?;
    units::duration(&text).map_err(de::Error::custom)
}

pub(super) fn sweep_list<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Sweep>, D::Error> {
    let text = String::deserialize(from)?;
    sweeps::parse(&text).map_err(de::Error::custom)
}

/// `on` or `off`, which YAML takes for a text or a boolean, depending on its version.
pub(super) fn switch<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    struct Visitor;
    impl de::Visitor<'_> for Visitor {
        type Value = bool;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("on or off")
        }
        fn visit_bool<E: de::Error>(self, value: bool) -> Result<bool, E> {
            Ok(value)
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<bool, E> {
            units::switch(text).map_err(E::custom)
        }
    }
    from.deserialize_any(Visitor)
}

pub(super) fn time_format<'de, D: Deserializer<'de>>(from: D) -> Result<TimeFormat, D::Error> {
    let text = String::deserialize(from)?;
    TimeFormat::parse(&text).map_err(de::Error::custom)
}

pub(super) fn rfc3339() -> TimeFormat {
    TimeFormat::Rfc3339
}
