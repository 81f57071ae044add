//! An instance's properties as the host answers for them.

use std::ffi::CString;

/// Keys the host keeps for itself: a plugin that asks for one gets null.
const HOST_OWNED: &[&str] = &[
    "alias",
    "host",
    "ipv6",
    "listen",
    "log_level",
    "log_suppress_interval",
    "mem_buf_limit",
    "name",
    "port",
    "processors",
    "rate_gate",
    "rate_window",
    "routable",
    "routes",
    "tag",
    "telemetry",
    "threaded",
    "tls",
];

const HOST_OWNED_PREFIXES: &[&str] =
    &["net.", "oauth2", "rate_gate.", "storage.", "thread.", "tls."];

pub(crate) fn is_host_owned(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    HOST_OWNED.contains(&key.as_str())
        || HOST_OWNED_PREFIXES.iter().any(|prefix| key.starts_with(prefix))
}

/// Lookup by any case; the first of several wins; an empty value is none.
#[derive(Debug)]
pub(crate) struct Properties {
    entries: Vec<(String, CString)>,
}

impl Properties {
    pub(crate) fn new(properties: &[(String, String)]) -> Self {
        let entries = properties
            .iter()
            .filter(|(key, value)| !is_host_owned(key) && !value.is_empty())
            .map(|(key, value)| (key.clone(), c_string(value)))
            .collect();
        Self { entries }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&CString> {
        let found = self.entries.iter().find(|(name, _)| name.eq_ignore_ascii_case(key));
        found.map(|(_, value)| value)
    }
}

/// As C would read it: up to the first NUL.
pub(crate) fn c_string(text: &str) -> CString {
    let end = text.find('\0').unwrap_or(text.len());
    CString::new(&text[..end]).expect("cut before the first NUL")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_as_the_host_does() {
        let set = [
            ("Api", "acme"),
            ("api", "second"),
            ("TAG", "x"),
            ("storage.type", "memory"),
            ("db", ""),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()));
        let properties = Properties::new(&set);
        assert_eq!(properties.get("API").unwrap().to_str(), Ok("acme"));
        for hidden in ["tag", "storage.type", "db", "nothing"] {
            assert_eq!(properties.get(hidden), None, "{hidden}");
        }
        assert!(!is_host_owned("tls_verify"));
    }
}
