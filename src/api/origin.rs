//! A host: scheme, name and port together. Credentials go to the configured ones and no other.

use std::fmt;

use url::{Host, Url};

/// Scheme, name and port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    scheme: String,
    host: String,
    port: u16,
}

impl Origin {
    /// The host of a URL; nothing if it is neither http nor https.
    pub fn of(url: &Url) -> Option<Self> {
        if !matches!(url.scheme(), "http" | "https") {
            return None;
        }
        let host = url.host_str()?.to_ascii_lowercase();
        Some(Self { scheme: url.scheme().to_owned(), host, port: url.port_or_known_default()? })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", self.scheme, self.host, self.port)
    }
}

/// Whether what is sent there stays on this machine.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

/// Parses an address that credentials may be sent to.
///
/// # Errors
/// If it is no URL, neither https nor (to a loopback address) http, or carries a user name.
pub fn endpoint(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("'{text}' is no URL ({error})"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("the URL carries credentials".to_owned());
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        "http" => Err(format!("'{text}' would send credentials unencrypted")),
        other => Err(format!("expected https, found '{other}' in '{text}'")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(text: &str) -> Option<Origin> {
        Origin::of(&Url::parse(text).unwrap())
    }

    #[test]
    fn another_port_or_scheme_is_another_host() {
        let base = origin("https://api.example/v1");
        assert_eq!(base, origin("https://API.example:443/v2?x=1"));
        for other in ["https://api.example:8443", "http://api.example", "https://api.example.evil"]
        {
            assert_ne!(base, origin(other), "{other}");
        }
        assert_eq!(origin("file:///etc/passwd"), None);
    }

    #[test]
    fn plain_http_goes_to_loopback_only() {
        for ok in
            ["https://a.example", "http://127.0.0.1:8080", "http://[::1]", "http://localhost:1"]
        {
            assert!(endpoint(ok).is_ok(), "{ok}");
        }
        for bad in
            ["http://a.example", "http://127.0.0.1.nip.io", "ftp://a", "https://u:p@a.example", "x"]
        {
            assert!(endpoint(bad).is_err(), "{bad}");
        }
    }
}
