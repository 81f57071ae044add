//! The smaller parts of a definition.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

use super::Template;
use super::auth::header_name;
use crate::config::sweeps::{self, Sweep};
use crate::config::units;
use crate::json::Pointer;
use crate::model::TimeFormat;

/// A definition's own property.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// Its value if it is not set: may name `{tenant}` and `{client_id}`. Required if there is none.
    pub default: Option<Template>,
    /// What it means.
    #[serde(default)]
    pub doc: String,
}

/// The hosts of one cloud, where they are not the global one's.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloudHosts {
    /// The API.
    pub base_url: Option<Template>,
    /// The login service.
    pub token_url: Option<Template>,
    /// What a token is asked for, in the words that the definition uses for the global cloud.
    pub scope: Option<String>,
    /// The same in version 1.
    pub resource: Option<String>,
}

/// What to ask.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// GET or POST.
    #[serde(default)]
    pub method: Method,
    /// Below `base_url`.
    pub path: Template,
    /// Query parameters, which may name `{from}` and `{to}`.
    #[serde(default)]
    pub query: BTreeMap<String, Template>,
    /// Headers.
    #[serde(default, deserialize_with = "headers")]
    pub headers: BTreeMap<String, Template>,
    /// What a POST sends: a text, or YAML that is sent as JSON.
    #[serde(default)]
    pub body: Option<Body>,
    /// How `{from}` and `{to}` are written.
    #[serde(default = "rfc3339", deserialize_with = "time_format")]
    pub time_format: TimeFormat,
}

/// The method of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// GET
    #[default]
    Get,
    /// POST
    Post,
}

/// What a POST sends.
#[derive(Clone, Debug)]
pub enum Body {
    /// A text; values are put in as in JSON strings.
    Text(Template),
    /// A value whose strings are templates.
    Json(serde_json::Value),
}

impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let placed = super::Placed::<serde_json::Value>::deserialize(from)?;
        match placed.value {
            serde_json::Value::String(text) => {
                Template::new(text, placed.place).map(Self::Text).map_err(de::Error::custom)
            }
            value @ serde_json::Value::Object(_) => {
                check_strings(&value).map_err(de::Error::custom)?;
                Ok(Self::Json(value))
            }
            _ => Err(de::Error::custom("expected a text or a mapping")),
        }
    }
}

fn check_strings(value: &serde_json::Value) -> Result<(), String> {
    match value {
        serde_json::Value::String(text) => crate::api::template::check(text),
        serde_json::Value::Array(items) => items.iter().try_for_each(check_strings),
        serde_json::Value::Object(members) => members.values().try_for_each(check_strings),
        _ => Ok(()),
    }
}

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

/// One walk for each value of a parameter that is a list.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForEach {
    /// The parameter, comma separated.
    pub parameter: String,
    /// Its name in templates, one value at a time.
    #[serde(rename = "as")]
    pub name: String,
}

/// What must be switched on before the API collects events, for each value of `for_each`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subscriptions {
    /// Lists what there is: an array.
    pub list: Call,
    /// What an element of the list is about: a value of `for_each`.
    pub name: Pointer,
    /// Whether it is on.
    pub enabled: Equals,
    /// Switches one on: a POST.
    pub start: Call,
}

/// A request without a range.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// Below `base_url`.
    pub path: Template,
    /// Query parameters.
    #[serde(default)]
    pub query: BTreeMap<String, Template>,
}

/// A member that has a certain value.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Equals {
    /// Where it stands.
    pub at: Pointer,
    /// The value.
    pub is: String,
}

/// What an error's code means, where its status does not say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ErrorMeaning {
    /// No error at all: what was asked for is so already.
    Ok,
    /// Wait.
    Throttled,
    /// The token does not do.
    Unauthorized,
    /// The link died: the walk begins again.
    Restart,
    /// What was asked for is not there, or no longer.
    Gone,
    /// A subscription is missing.
    Subscribe,
    /// It may pass.
    Retry,
}

/// The headers that tell what is left of the request budget.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// The whole budget.
    #[serde(default)]
    pub limit: Option<String>,
    /// What is left.
    pub remaining: String,
    /// When it is whole again.
    pub reset: String,
    /// How that is written.
    #[serde(default)]
    pub reset_as: Reset,
    /// So many percent of the budget are left to others; one request at least.
    #[serde(default = "reserve")]
    pub reserve_percent: u8,
}

/// How the end of a budget's period is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reset {
    /// Seconds since 1970.
    #[default]
    Epoch,
    /// Seconds from now.
    Seconds,
}

fn reserve() -> u8 {
    10
}

/// What the API can bear.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Events a page.
    pub page: u32,
    /// The longest range one walk may ask for.
    #[serde(deserialize_with = "duration")]
    pub range: Duration,
    /// How far back the API answers.
    #[serde(deserialize_with = "duration")]
    pub reach: Duration,
    /// Requests a minute.
    pub requests_per_minute: u32,
}

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

fn time_format<'de, D: Deserializer<'de>>(from: D) -> Result<TimeFormat, D::Error> {
    let text = String::deserialize(from)?;
    TimeFormat::parse(&text).map_err(de::Error::custom)
}

fn rfc3339() -> TimeFormat {
    TimeFormat::Rfc3339
}

fn headers<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, Template>, D::Error> {
    let headers = BTreeMap::<String, Template>::deserialize(from)?;
    for name in headers.keys() {
        header_name(name.clone()).map_err(de::Error::custom)?;
    }
    Ok(headers)
}
