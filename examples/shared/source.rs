//! The kinds of sources: one with a login, one of blobs, one behind an endless link.

/// What a source is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source {
    /// The definition's name.
    pub(crate) api: &'static str,
    /// What the simulator calls its events.
    pub(crate) truth: &'static str,
    /// It signs in at a login service; else it has a fixed token.
    pub(crate) signs_in: bool,
    /// It goes by TLS to a name, where there is a name server to break.
    pub(crate) by_name: bool,
}

pub(crate) const SOURCES: [Source; 3] = [
    Source { api: "entra_signins", truth: "graph", signs_in: true, by_name: false },
    Source { api: "o365_management", truth: "o365", signs_in: true, by_name: false },
    Source { api: "okta_system_log", truth: "okta", signs_in: false, by_name: true },
];

/// The fields that hold an event's id: of the activity feed, of the system log, of Graph.
pub(crate) const ID_FIELDS: [&str; 3] = ["Id", "uuid", "id"];

impl Source {
    /// What its input needs to ask the simulator, as `url`.
    pub(crate) fn access(self, url: &str) -> Vec<(&'static str, String)> {
        let mut properties = vec![
            ("name", "lookback".to_owned()),
            ("api", self.api.to_owned()),
            ("base_url", url.to_owned()),
        ];
        if self.signs_in {
            properties.extend([
                ("tenant", "contoso".to_owned()),
                ("client_id", "simulator".to_owned()),
                ("client_secret", "simulator-secret".to_owned()),
                ("token_url", format!("{url}/contoso/oauth2/v2.0/token")),
            ]);
        } else {
            properties.push(("token", "simulator-token".to_owned()));
        }
        properties
    }
}

/// An input in Fluent Bit's YAML; what was set on the command line counts.
pub(crate) fn to_yaml(
    mut properties: Vec<(&'static str, String)>,
    set: &[(String, String)],
) -> String {
    properties.retain(|(name, _)| !set.iter().any(|(other, _)| other == name));
    let set = set.iter().map(|(name, value)| (name.as_str(), value.clone()));
    let lines = properties.into_iter().chain(set);
    let text: String = lines.map(|(name, value)| format!("      {name}: '{value}'\n")).collect();
    text.replacen("      ", "    - ", 1)
}
