//! How an API wants callers to prove who they are.

use serde::Deserialize;

use super::{Placed, Template};

/// How to authenticate.
#[derive(Clone, Debug)]
pub enum Auth {
    /// Not at all.
    None,
    /// A fixed token, in `Authorization: Bearer`.
    Bearer,
    /// A fixed token in a header, after a prefix such as `SSWS `.
    Header {
        /// The header.
        name: String,
        /// What stands before the token, a blank included.
        prefix: String,
    },
    /// A fixed token in a query parameter.
    Query {
        /// The parameter.
        name: String,
    },
    /// HTTP basic: a name and a password.
    Basic,
    /// OAuth 2.0 client credentials.
    OAuth2 {
        /// The login service's URL.
        token_url: Template,
        /// What to ask for.
        audience: Audience,
    },
}

/// What a token is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audience {
    /// In version 2 of the protocol's dialect.
    Scope(String),
    /// In version 1.
    Resource(String),
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Bearer,
    Header,
    Query,
    Basic,
    OAuth2,
    None,
}

/// As it is written. Flat, so that a mistake is shown where it stands.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    kind: Kind,
    name: Option<String>,
    prefix: Option<String>,
    token_url: Option<Template>,
    scope: Option<String>,
    resource: Option<String>,
}

impl<'de> Deserialize<'de> for Auth {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let fields = Placed::<Fields>::deserialize(from)?.value;
        Self::from_fields(fields).map_err(serde::de::Error::custom)
    }
}

impl Auth {
    fn from_fields(fields: Fields) -> Result<Self, String> {
        let Fields { kind, name, prefix, token_url, scope, resource } = fields;
        let used: &[&str] = match kind {
            Kind::Header => &["name", "prefix"],
            Kind::Query => &["name"],
            Kind::OAuth2 => &["token_url", "scope", "resource"],
            Kind::Bearer | Kind::Basic | Kind::None => &[],
        };
        for (field, is_set) in [
            ("name", name.is_some()),
            ("prefix", prefix.is_some()),
            ("token_url", token_url.is_some()),
            ("scope", scope.is_some()),
            ("resource", resource.is_some()),
        ] {
            if is_set && !used.contains(&field) {
                return Err(format!("'{field}' has no meaning for this kind of auth"));
            }
        }
        let named = |name: Option<String>| name.ok_or_else(|| "expected a 'name'".to_owned());
        Ok(match kind {
            Kind::None => Self::None,
            Kind::Bearer => Self::Bearer,
            Kind::Basic => Self::Basic,
            Kind::Header => Self::Header {
                name: header_name(named(name)?)?,
                prefix: printable(prefix.unwrap_or_default())?,
            },
            Kind::Query => Self::Query { name: named(name)? },
            Kind::OAuth2 => Self::OAuth2 {
                token_url: token_url.ok_or("expected a 'token_url'")?,
                audience: match (scope, resource) {
                    (Some(scope), None) => Audience::Scope(scope),
                    (None, Some(resource)) => Audience::Resource(resource),
                    _ => return Err("expected either 'scope' (v2) or 'resource' (v1)".to_owned()),
                },
            },
        })
    }
}

fn printable(prefix: String) -> Result<String, String> {
    if !prefix.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Err(format!("expected a 'prefix' of printable ASCII, found '{prefix}'"));
    }
    Ok(prefix)
}

/// The name of an HTTP header.
pub(super) fn header_name(name: String) -> Result<String, String> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(format!("expected the name of an HTTP header, found '{name}'"));
    }
    Ok(name)
}
