//! The sources that run side by side: one with a login, one of blobs, one behind an endless link.

use std::path::Path;

use super::args::Args;

/// The name that the tests' certificate is for.
pub(crate) const NAME: &str = "elsewhere.example";

/// From one live poll to the next; what a live poll reads; what sweeps read. Events are late by up to
/// twice the window, which is within what the sweeps promise: their depth less the time between two.
fn schedule(pace: u32) -> String {
    let [interval, window, depth, every] = [3, 30, 90, 10].map(|seconds| seconds / pace);
    format!("interval: {interval}s, window: {window}s, sweeps: {depth}s/{every}s, start: 1h")
}

/// Time-outs shorter than the longest stall; sources that are not throttled by their own limit.
const REQUESTS: &str = "timeout: 10s, connect_timeout: 4s, rate_limit: 1200";

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
            format!("name: lookback, api: {}, tag: {}, base_url: '{url}'", self.api, self.tag()),
            format!("db: {}, storage.type: filesystem, heartbeat: 10s", db.display()),
            schedule(args.pace),
            REQUESTS.to_owned(),
        ];
        if self.signs_in {
            let login = "tenant: contoso, client_id: simulator, client_secret: simulator-secret";
            properties.push(format!("{login}, token_url: '{url}/contoso/oauth2/v2.0/token'"));
        } else {
            properties.push("token: simulator-token".to_owned());
        }
        if tls {
            let ca = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tls/ca.pem");
            properties.push(format!("tls_ca_file: {ca}"));
        }
        properties.extend(args.set.iter().map(|(name, value)| format!("{name}: '{value}'")));
        format!("    - {{{}}}\n", properties.join(",\n       "))
    }
}
