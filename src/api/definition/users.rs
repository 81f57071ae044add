//! What differs between users: parameters, and the hosts of clouds.

use serde::Deserialize;

use super::Template;

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
