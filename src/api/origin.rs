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

/// An address as an error may quote it: without what stands before an `@` or behind a `?`, where people
/// put credentials.
fn harmless(text: &str) -> &str {
    let text = text.split(['?', '#']).next().unwrap_or_default();
    text.rsplit('@').next().unwrap_or_default()
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
    let shown = harmless(text);
    let url = Url::parse(text).map_err(|error| format!("'{shown}' is no URL ({error})"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("the URL carries credentials".to_owned());
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        "http" => Err(format!("'{shown}' would send credentials unencrypted")),
        other => Err(format!("expected https, found '{other}' in '{shown}'")),
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
        // What it is taken for, where it is not plain.
        for (ok, host) in [
            ("https://a.example", "a.example"),
            ("http://127.0.0.1:8080", "127.0.0.1"),
            ("http://127.8.9.1", "127.8.9.1"),
            ("http://0x7f.1", "127.0.0.1"),
            ("http://2130706433", "127.0.0.1"),
            ("http://127.0.0.1.", "127.0.0.1"),
            ("http://[::1]", "[::1]"),
            ("http://localhost:1", "localhost"),
            ("HTTP://LOCALHOST", "localhost"),
            ("http://ｌocalhost", "localhost"),
            ("http:localhost", "localhost"),
            ("http://localhost\\@evil.example", "localhost"),
            ("http://local\thost", "localhost"),
        ] {
            assert_eq!(endpoint(ok).unwrap().host_str(), Some(host), "{ok}");
        }
        for bad in [
            "http://a.example",
            "http://localhost.evil.example",
            "http://localhost.",
            "http://127.0.0.1.nip.io",
            "http://127.0.0.1\n.nip.io",
            "http://evil.example\\@localhost",
            "http://localhost@evil.example",
            "http://localhost:80@evil.example",
            "http://@evil.example",
            "http://u@localhost",
            "http://loca1host",
            "http://xn--lcalhost-x8e",
            "http://0.0.0.0",
            "http://[::]",
            "http://[::ffff:127.0.0.1]",
            "http://[::ffff:10.0.0.1]",
            "http://10.0.0.1",
            "http://0xa.1",
            "http://169.254.169.254",
            "//localhost",
            "localhost",
            "ftp://localhost",
            "file:///localhost",
            "unix:/run/api.sock",
            "https://u:p@a.example",
            "https://",
            "x",
            "",
        ] {
            assert!(endpoint(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_refusal_does_not_quote_what_may_be_a_credential() {
        for bad in [
            "http://u:hunter2@a.example/",
            "https://u:hunter2@a b/",
            "u:hunter2@a.example",
            "http://a.example/?key=hunter2",
            "https://a b/#hunter2",
            "ftp://hunter2@a.example?hunter2",
        ] {
            let error = endpoint(bad).unwrap_err();
            assert!(!error.contains("hunter"), "{error}");
        }
    }
}
