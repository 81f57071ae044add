//! What is asked: requests, once for each part, and what must be switched on first.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, de};

use super::Template;
use super::auth::header_name;
use super::values::{rfc3339, time_format};
use crate::json::Pointer;
use crate::model::TimeFormat;

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

fn headers<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, Template>, D::Error> {
    let headers = BTreeMap::<String, Template>::deserialize(from)?;
    for name in headers.keys() {
        header_name(name.clone()).map_err(de::Error::custom)?;
    }
    Ok(headers)
}
