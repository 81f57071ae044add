//! The language of `conf/apis/*.yaml`: one document describes one API.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

use super::{origin, template};
use crate::config::sweeps::{self, Sweep};
use crate::config::{keys, units};

/// A definition larger than this is refused.
pub const DEFINITION_BYTES_MAX: u64 = 256 * 1024;

/// One API.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// Its name, the first half of the default `source`.
    pub name: String,
    /// What it is, for people.
    pub title: String,
    /// Scheme, host, port, and a path prefix if there is one.
    pub base_url: String,
    /// Parameters of its own, set like properties; `{name}` in templates.
    #[serde(default)]
    pub parameters: BTreeMap<String, Parameter>,
    /// How to authenticate.
    pub auth: Auth,
    /// What to ask.
    pub request: Request,
    /// JSON pointer to the array of events; empty for the whole body.
    pub records: String,
    /// JSON pointer to an event's id, or several that make it together.
    pub id: OneOrMany,
    /// JSON pointer to the time an event happened at (RFC 3339).
    pub time: String,
    /// How a page names the next one.
    #[serde(default)]
    pub next: Option<Next>,
    /// What the API can bear.
    pub limits: Limits,
    /// How far back a live poll reads unless the user says otherwise.
    #[serde(deserialize_with = "duration")]
    pub window: Duration,
    /// Deeper re-reads unless the user says otherwise.
    #[serde(default, deserialize_with = "sweep_list")]
    pub sweeps: Vec<Sweep>,
}

/// A definition's own property.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// Its value if it is not set; required if there is none.
    pub default: Option<String>,
    /// What it means.
    #[serde(default)]
    pub doc: String,
}

/// How to authenticate.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Auth {
    /// Not at all.
    None,
    /// OAuth 2.0 client credentials.
    OAuth2 {
        /// The login service's URL, a template.
        token_url: String,
        /// What to ask for, in version 2 of the protocol's dialect.
        scope: Option<String>,
        /// What to ask for, in version 1.
        resource: Option<String>,
    },
}

/// What to ask.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// A template below `base_url`.
    pub path: String,
    /// Query parameters: templates that may name `{from}` and `{to}`.
    #[serde(default)]
    pub query: BTreeMap<String, String>,
    /// Static headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
}

/// How a page names the next one.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Next {
    /// JSON pointers in the body; the first that holds a link wins.
    pub link: OneOrMany,
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

/// A scalar, or a list of them.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

impl OneOrMany {
    /// All of them.
    pub fn as_slice(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(from)?;
    units::duration(&text).map_err(serde::de::Error::custom)
}

fn sweep_list<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Sweep>, D::Error> {
    let text = String::deserialize(from)?;
    sweeps::parse(&text).map_err(serde::de::Error::custom)
}

impl Definition {
    /// Reads and checks one YAML document.
    ///
    /// # Errors
    /// Line, column, and what was expected there; or which part cannot work.
    pub fn parse(yaml: &str) -> Result<Self, String> {
        let definition: Self = serde_saphyr::from_str(yaml).map_err(|error| error.to_string())?;
        definition.check()?;
        Ok(definition)
    }

    fn check(&self) -> Result<(), String> {
        origin::endpoint(&self.base_url).map_err(|error| format!("base_url: {error}"))?;
        for name in self.parameters.keys() {
            if keys::find(name).is_some() || keys::PLANNED.contains(&name.as_str()) {
                return Err(format!("parameters: '{name}' is a property of lookback itself"));
            }
        }
        let pointers = self.id.as_slice().iter().chain([&self.records, &self.time]);
        let links = self.next.iter().flat_map(|next| next.link.as_slice());
        for pointer in pointers.chain(links) {
            crate::json::Pointer::parse(pointer).map_err(|error| error.to_string())?;
        }
        if self.id.as_slice().is_empty() {
            return Err("id: expected at least one JSON pointer".to_owned());
        }
        self.check_templates()?;
        self.check_plan()
    }

    fn check_templates(&self) -> Result<(), String> {
        let token_url = match &self.auth {
            Auth::OAuth2 { token_url, .. } => Some(token_url),
            Auth::None => None,
        };
        let templates = self.request.query.values().chain([&self.request.path]).chain(token_url);
        for name in templates.flat_map(|text| template::names(text)) {
            let known = matches!(name, "from" | "to" | "tenant" | "client_id");
            if !known && !self.parameters.contains_key(name) {
                return Err(format!("'{{{name}}}' names no parameter of this definition"));
            }
        }
        Ok(())
    }

    fn check_plan(&self) -> Result<(), String> {
        if let Auth::OAuth2 { scope, resource, .. } = &self.auth
            && scope.is_some() == resource.is_some()
        {
            return Err("auth: expected either scope (v2) or resource (v1)".to_owned());
        }
        if self.limits.requests_per_minute == 0 || self.limits.page == 0 {
            return Err("limits: page and requests_per_minute must be at least 1".to_owned());
        }
        if self.limits.range < Duration::from_secs(1) || self.limits.reach < self.limits.range {
            return Err("limits: range must be at least 1s, and reach no shorter".to_owned());
        }
        let deepest = self.sweeps.iter().map(|s| s.depth).chain([self.window]).max();
        if deepest > Some(self.limits.reach) {
            return Err("window or sweeps reach further back than limits.reach".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = include_str!("../../conf/apis/entra_signins.yaml");

    #[test]
    fn an_unknown_key_is_shown_with_its_line() {
        let error = Definition::parse(&GOOD.replace("records:", "record:")).unwrap_err();
        assert!(error.contains("line"), "{error}");
        assert!(error.contains("record"), "{error}");
    }

    #[test]
    fn what_cannot_work_is_refused() {
        for (from, to, expected) in [
            ("https://graph", "http://graph", "base_url"),
            ("{from}", "{since}", "'{since}' names no parameter"),
            ("id: /id", "id: id", "id"),
            ("reach: 30d", "reach: 1s", "limits"),
            ("scope:", "resource: x\n  scope:", "either scope"),
        ] {
            let error = Definition::parse(&GOOD.replacen(from, to, 1)).unwrap_err();
            assert!(error.contains(expected), "{from} -> {to}: {error}");
        }
    }
}
