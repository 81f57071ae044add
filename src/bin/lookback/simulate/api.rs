//! The APIs that are played: what differs between them is here.

use serde_json::{Value, json};

/// An API of the simulator. All of them show the same events, under the same ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Api {
    /// Microsoft Graph: `GET /v1.0/auditLogs/signIns`.
    Graph,
    /// Its other sign-ins, by `signInEventTypes`: `GET /beta/auditLogs/signIns`.
    GraphBeta,
    /// `GET /v1.0/auditLogs/directoryAudits`.
    DirectoryAudits,
    /// `GET /v1.0/auditLogs/provisioning`.
    Provisioning,
    /// `GET /v1.0/security/alerts_v2`.
    Alerts,
    /// The retired Azure AD Graph: `GET /{tenant}/activities/signinEvents`.
    Aad,
}

impl Api {
    /// All of them.
    pub(crate) const ALL: [Api; 6] = [
        Api::Graph,
        Api::GraphBeta,
        Api::DirectoryAudits,
        Api::Provisioning,
        Api::Alerts,
        Api::Aad,
    ];

    /// Its name in the truth.
    pub(crate) fn name(self) -> &'static str {
        self.profile().0
    }

    /// Its path, as a route.
    pub(crate) fn path(self) -> &'static str {
        self.profile().1
    }

    /// The field with an event's time, in records as in filters.
    pub(crate) fn time_field(self) -> &'static str {
        self.profile().2
    }

    /// The API of that name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Api::ALL.into_iter().find(|api| api.name() == name)
    }

    /// Whether a filter may choose among the types of sign-ins.
    pub(crate) fn has_types(self) -> bool {
        self == Api::GraphBeta
    }

    /// Name, path, time field.
    fn profile(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Api::Graph => ("graph", "/v1.0/auditLogs/signIns", "createdDateTime"),
            Api::GraphBeta => ("graph_beta", "/beta/auditLogs/signIns", "createdDateTime"),
            Api::DirectoryAudits => {
                ("directory_audits", "/v1.0/auditLogs/directoryAudits", "activityDateTime")
            }
            Api::Provisioning => {
                ("provisioning", "/v1.0/auditLogs/provisioning", "activityDateTime")
            }
            Api::Alerts => ("alerts", "/v1.0/security/alerts_v2", "createdDateTime"),
            Api::Aad => ("aad", "/{tenant}/activities/signinEvents", "signinDateTime"),
        }
    }

    /// The `@odata.context` of a listing.
    pub(crate) fn context(self, host: &str) -> String {
        match self.path().strip_prefix("/{tenant}/") {
            Some(rest) => format!("http://{host}/$metadata#{rest}"),
            None => {
                let (version, rest) = self.path()[1..].split_once('/').unwrap_or_default();
                format!("http://{host}/{version}/$metadata#{rest}")
            }
        }
    }

    /// A refusal in the API's own words.
    pub(crate) fn error(self, code: &str, message: &str) -> Value {
        if self == Api::Aad {
            return json!({"odata.error": {"code": code, "message": {"lang": "en", "value": message}}});
        }
        json!({"error": {"code": code, "message": message, "innerError": {}}})
    }
}
