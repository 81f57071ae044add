//! The APIs that are played: their names, places and the names of their times.

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
    /// Office 365's Management Activity API, with its subscriptions and blobs.
    Activity,
    /// Okta's System Log.
    Okta,
    /// The audit log of a GitHub organisation.
    Github,
    /// None in particular: all ways of paging, for definitions that users write.
    Acme,
}

/// How a route is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    /// `GET`
    Get,
    /// `POST`
    Post,
}

impl Api {
    /// All of them.
    pub(crate) const ALL: [Api; 10] = [
        Api::Graph,
        Api::GraphBeta,
        Api::DirectoryAudits,
        Api::Provisioning,
        Api::Alerts,
        Api::Aad,
        Api::Activity,
        Api::Okta,
        Api::Github,
        Api::Acme,
    ];

    /// Its name in the truth.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Api::Graph => "graph",
            Api::GraphBeta => "graph_beta",
            Api::DirectoryAudits => "directory_audits",
            Api::Provisioning => "provisioning",
            Api::Alerts => "alerts",
            Api::Aad => "aad",
            Api::Activity => "o365",
            Api::Okta => "okta",
            Api::Github => "github",
            Api::Acme => "acme",
        }
    }

    /// Its routes.
    pub(crate) fn routes(self) -> &'static [(Verb, &'static str)] {
        match self {
            Api::Graph => &[(Verb::Get, "/v1.0/auditLogs/signIns")],
            Api::GraphBeta => &[(Verb::Get, "/beta/auditLogs/signIns")],
            Api::DirectoryAudits => &[(Verb::Get, "/v1.0/auditLogs/directoryAudits")],
            Api::Provisioning => &[(Verb::Get, "/v1.0/auditLogs/provisioning")],
            Api::Alerts => &[(Verb::Get, "/v1.0/security/alerts_v2")],
            Api::Aad => &[(Verb::Get, "/{tenant}/activities/signinEvents")],
            Api::Activity => &[
                (Verb::Get, "/api/v1.0/{tenant}/activity/feed/subscriptions/list"),
                (Verb::Post, "/api/v1.0/{tenant}/activity/feed/subscriptions/start"),
                (Verb::Get, "/api/v1.0/{tenant}/activity/feed/subscriptions/content"),
                (Verb::Get, "/api/v1.0/{tenant}/activity/feed/audit/{content}"),
            ],
            Api::Okta => &[(Verb::Get, "/api/v1/logs")],
            Api::Github => &[(Verb::Get, "/orgs/{org}/audit-log")],
            Api::Acme => {
                &[(Verb::Get, "/acme/{paging}/events"), (Verb::Post, "/acme/{paging}/events")]
            }
        }
    }

    /// The field with an event's time, in records as in filters.
    pub(crate) fn time_field(self) -> &'static str {
        match self {
            Api::Graph | Api::GraphBeta | Api::Alerts => "createdDateTime",
            Api::DirectoryAudits | Api::Provisioning => "activityDateTime",
            Api::Aad => "signinDateTime",
            Api::Activity => "CreationTime",
            Api::Okta => "published",
            Api::Github => "@timestamp",
            Api::Acme => "at",
        }
    }

    /// The API of that name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Api::ALL.into_iter().find(|api| api.name() == name)
    }

    /// Whether a filter may choose among the types of sign-ins.
    pub(crate) fn has_types(self) -> bool {
        self == Api::GraphBeta
    }
}
