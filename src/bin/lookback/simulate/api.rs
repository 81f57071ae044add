//! The APIs that are played: what differs between them is here.

use serde_json::{Value, json};

/// An API of the simulator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Api {
    /// Microsoft Graph: `GET /v1.0/auditLogs/signIns`.
    Graph,
    /// The retired Azure AD Graph: `GET /{tenant}/activities/signinEvents`.
    Aad,
}

impl Api {
    /// Its name in the truth.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Api::Graph => "graph",
            Api::Aad => "aad",
        }
    }

    /// The API of that name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        [Api::Graph, Api::Aad]
            .into_iter()
            .find(|api| api.name() == name)
    }

    /// The field with an event's time, in records as in filters.
    pub(crate) fn time_field(self) -> &'static str {
        match self {
            Api::Graph => "createdDateTime",
            Api::Aad => "signinDateTime",
        }
    }

    /// The `@odata.context` of a listing.
    pub(crate) fn context(self, host: &str) -> String {
        match self {
            Api::Graph => format!("http://{host}/v1.0/$metadata#auditLogs/signIns"),
            Api::Aad => format!("http://{host}/$metadata#activities/signinEvents"),
        }
    }

    /// A refusal in the API's own words.
    pub(crate) fn error(self, code: &str, message: &str) -> Value {
        match self {
            Api::Graph => json!({"error": {"code": code, "message": message, "innerError": {}}}),
            Api::Aad => {
                json!({"odata.error": {"code": code, "message": {"lang": "en", "value": message}}})
            }
        }
    }
}
