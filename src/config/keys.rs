//! The table of properties: one row drives asking the host, defaults, the log line and the README.

/// One property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// As it stands in a config.
    pub name: &'static str,
    /// What it is if it is not set; empty if there is no default.
    pub default: &'static str,
    /// What it means, in a sentence.
    pub doc: &'static str,
    /// Whether its value must never be shown.
    pub secret: bool,
}

const fn key(name: &'static str, default: &'static str, doc: &'static str) -> Key {
    Key { name, default, doc, secret: false }
}

const fn secret(name: &'static str, doc: &'static str) -> Key {
    Key { name, default: "", doc, secret: true }
}

/// Every property there is, in the order in which the README shows them.
pub const KEYS: &[Key] = &[
    key("api", "", "a built-in definition's name, or the path of a definition file; required"),
    key(
        "source",
        "",
        "names this source in the state, the metrics and the health records; default: `<api>/<tenant>`, else `<api>/<host>`",
    ),
    key("interval", "3m", "from the start of one live poll to the next"),
    key(
        "window",
        "",
        "how far back every live poll reads; default: the definition's. `auto`: set from the lateness measured, twice its 99.9th percentile as far as 14 reads of each record allow, never under twice `interval`",
    ),
    key(
        "sweeps",
        "",
        "deeper re-reads for late records, `depth/every` pairs such as `6h/30m, 7d/24h`, or `off`; default: the definition's",
    ),
    key(
        "start",
        "",
        "how far back the very first poll reads: a duration, or an RFC 3339 time; default: `window`. If it is set, nothing older is ever asked for",
    ),
    key("widen", "on", "an empty result widens the window in steps until records come"),
    key("widen_step", "30m", "by how much an empty result widens the window"),
    key("widen_max", "24h", "where widening ends"),
    key("drift_alert", "45m", "API drift above this raises `drift_high`"),
    key(
        "dedup_on",
        "id",
        "`id`: a record comes once; `content`: also again, each time it is seen changed: other bytes under the same id and time",
    ),
    key(
        "format",
        "record",
        "`record`: the event's own fields; `raw`: one field holding the event's JSON bytes as the API sent them",
    ),
    key("raw_key", "log", "the name of that field"),
    key(
        "provenance",
        "off",
        "`metadata` or `record` (under the key `_lookback`): every record says its `source`, `first_seen`, `late_by_seconds`, `poll` (what read it: `live`, `sweep`, `catchup`) and `sha256` of the API's bytes",
    ),
    key("health", "on", "whether health records are emitted"),
    key("health_tag", "lookback.health", "the tag of health records"),
    key("heartbeat", "5m", "a `heartbeat` health record this often, or `off`"),
    key("batch_size", "2M", "one hand-over to the host at most"),
    key("tick_bytes", "16M", "all hand-overs of one callback (a second) at most"),
    key(
        "db",
        "lookback.db",
        "the state file, which several instances may share; or `postgresql://…`, a database that several machines share: [docs/fleet.md](docs/fleet.md)",
    ),
    key(
        "node",
        "",
        "with a shared database: this node's name in the fleet; default: the host name",
    ),
    key(
        "lease",
        "30s",
        "with a shared database: how long a source stays with a node that fell silent; at least `2s`",
    ),
    key(
        "commit_delay",
        "5s",
        "a record counts as handed over only this long after the host took it",
    ),
    key("tenant", "", "OAuth 2.0: the tenant's name or id"),
    key("client_id", "", "OAuth 2.0 client credentials: the application's id"),
    secret("client_secret", "OAuth 2.0 client credentials: the secret"),
    key("client_secret_file", "", "a file that holds the secret, read again for every token"),
    key(
        "certificate_file",
        "",
        "a certificate (PEM) instead of a secret: the application signs an assertion; read again for every token",
    ),
    key(
        "certificate_key_file",
        "",
        "its RSA key (PEM, not encrypted); default: it is in `certificate_file`",
    ),
    key(
        "federated_token_file",
        "",
        "workload identity federation: the token in this file is the assertion; read again for every token",
    ),
    key(
        "managed_identity",
        "off",
        "the machine's metadata service gives the token; `client_id` then selects one of its identities",
    ),
    secret(
        "token",
        "a fixed API token, sent as the definition says; for HTTP basic `user:password`",
    ),
    key("token_file", "", "a file that holds it, read again every few minutes"),
    key(
        "cloud",
        "global",
        "`global`, `gcc`, `gcc_high`, `dod` or `china`: the hosts for login and API, where the definition has them",
    ),
    key(
        "base_url",
        "",
        "overrides the definition's API address; plain http only to a loopback address",
    ),
    key("token_url", "", "overrides the definition's login address: the whole URL"),
    key("timeout", "60s", "of one request"),
    key("connect_timeout", "10s", "of one connection attempt"),
    key("max_page", "64M", "a larger response body (after decompression) is an error"),
    key(
        "rate_limit",
        "",
        "requests a minute at most, all windows of this source together; default: the definition's",
    ),
    key("proxy", "", "an HTTP or SOCKS proxy's URL; default: the environment's"),
    key("tls_verify", "on", "whether the servers' certificates are verified"),
    key("tls_ca_file", "", "certificates to trust besides the system's (PEM)"),
    key("tls_client_cert_file", "", "a certificate to show to servers (PEM)"),
    key("tls_client_key_file", "", "its key (PEM)"),
];

/// The row of a property.
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// The README's table.
pub fn markdown() -> String {
    let mut out = String::from("| property | default | meaning |\n|---|---|---|\n");
    for key in KEYS {
        let default =
            if key.default.is_empty() { String::new() } else { format!("`{}`", key.default) };
        out.push_str(&format!("| `{}` | {default} | {} |\n", key.name, key.doc));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_shows_this_table() {
        let readme = include_str!("../../README.md");
        assert!(readme.contains(&markdown()), "README.md must contain:\n{}", markdown());
    }

    #[test]
    fn names_are_unique() {
        for (i, key) in KEYS.iter().enumerate() {
            assert!(KEYS[i + 1..].iter().all(|other| other.name != key.name), "{}", key.name);
        }
    }
}
