//! The sources that run side by side: one with a login, one of blobs, one behind an endless link.

use std::path::Path;

use super::args::Args;

/// The name that the tests' certificate is for.
pub(crate) const NAME: &str = "elsewhere.example";

/// What all sources have, but for what the command line sets instead.
///
/// Events are late by up to twice the window, which is within what the sweeps promise: their depth less the
/// time between two. Time-outs are shorter than the longest stall.
fn common(pace: u32) -> Vec<(&'static str, String)> {
    let seconds = |seconds: u32| format!("{}s", seconds / pace);
    vec![
        ("interval", seconds(3)),
        ("window", seconds(30)),
        ("sweeps", format!("{}/{}", seconds(90), seconds(10))),
        ("start", "1h".to_owned()),
        ("heartbeat", "10s".to_owned()),
        ("timeout", "10s".to_owned()),
        ("connect_timeout", "4s".to_owned()),
        ("rate_limit", "1200".to_owned()),
        ("storage.type", "filesystem".to_owned()),
    ]
}

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
    pub(crate) fn tag(self) -> String {
        format!("torture.{}", self.api)
    }

    /// Its input in Fluent Bit's YAML, behind a relay at `port`.
    pub(crate) fn input(self, port: u16, tls: bool, db: &Path, args: &Args) -> String {
        let url =
            if tls { format!("https://{NAME}:{port}") } else { format!("http://127.0.0.1:{port}") };
        let mut properties = vec![
            ("name", "lookback".to_owned()),
            ("api", self.api.to_owned()),
            ("tag", self.tag()),
            ("base_url", url.clone()),
            ("db", db.display().to_string()),
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
        if tls {
            let ca = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tls/ca.pem");
            properties.push(("tls_ca_file", ca.to_owned()));
        }
        properties.extend(common(args.pace));
        properties.retain(|(name, _)| !args.set.iter().any(|(set, _)| set == name));
        let set = args.set.iter().map(|(name, value)| (name.as_str(), value.clone()));
        let lines = properties.into_iter().chain(set);
        let text: String =
            lines.map(|(name, value)| format!("      {name}: '{value}'\n")).collect();
        text.replacen("      ", "    - ", 1)
    }
}
