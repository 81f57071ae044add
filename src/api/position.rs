//! How far a walk over pages has come, and where it goes on.

use url::Url;

use super::Origin;
use super::definition::Paging;

/// A longer link or cursor is refused: nobody's server takes a request with it.
const LINK_BYTES_MAX: usize = 64 * 1024;

/// The page of a walk that comes next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Position {
    /// At a link, on the API's own host.
    Link(Url),
    /// At a cursor.
    Cursor(String),
    /// The page of a number.
    Page(u64),
    /// After so many events.
    Offset(u64),
}

impl Position {
    /// The position that a page's own words for the next one mean; `base` resolves a link.
    ///
    /// # Errors
    /// If it is a link that is none, leads to another host, or is too long.
    pub fn read(paging: &Paging, token: &str, base: &Url) -> Result<Self, String> {
        match paging {
            Paging::Link(_) | Paging::Header(_) | Paging::LinkHeader(_) => {
                pin(token, base).map(Self::Link)
            }
            Paging::Cursor { .. } => {
                check_length("cursor", token)?;
                Ok(Self::Cursor(token.to_owned()))
            }
            Paging::Page { .. } | Paging::Offset { .. } => {
                Err("numbered pages have no link".to_owned())
            }
        }
    }

    /// Where a walk goes on after a page of so many events, which named the next one with `token`;
    /// nothing if the page was the last one.
    ///
    /// # Errors
    /// If the next page is at a link that is none, or leads to another host.
    pub fn after(
        paging: Option<&Paging>,
        current: Option<&Self>,
        token: Option<&str>,
        events: usize,
        base: &Url,
    ) -> Result<Option<Self>, String> {
        let Some(paging) = paging else { return Ok(None) };
        let count = u64::try_from(events).unwrap_or(u64::MAX);
        Ok(match (paging, current) {
            (Paging::Page { .. } | Paging::Offset { .. }, _) if count == 0 => None,
            (Paging::Page { .. }, Some(Self::Page(number))) => {
                Some(Self::Page(number.saturating_add(1)))
            }
            (Paging::Page { first, .. }, _) => Some(Self::Page(first.saturating_add(1))),
            (Paging::Offset { .. }, Some(Self::Offset(passed))) => {
                Some(Self::Offset(passed.saturating_add(count)))
            }
            (Paging::Offset { .. }, _) => Some(Self::Offset(count)),
            _ => match token.filter(|token| !token.is_empty()) {
                Some(token) => Some(Self::read(paging, token, base)?),
                None => None,
            },
        })
    }

    /// As it is kept over a restart.
    pub fn as_text(&self) -> String {
        match self {
            Self::Link(url) => url.to_string(),
            Self::Cursor(cursor) => cursor.clone(),
            Self::Page(count) | Self::Offset(count) => count.to_string(),
        }
    }
}

fn check_length(what: &str, token: &str) -> Result<(), String> {
    if token.len() <= LINK_BYTES_MAX {
        return Ok(());
    }
    Err(format!(
        "the {what} is {} bytes long, expected at most {LINK_BYTES_MAX}; does the definition look for it in the right place?",
        token.len()
    ))
}

/// Resolves a link, and refuses one that leads to another host.
///
/// # Errors
/// If it is none, another host's, or too long.
pub fn pin(link: &str, base: &Url) -> Result<Url, String> {
    check_length("link", link)?;
    let url = base.join(link).map_err(|error| format!("the link is no URL: {error}"))?;
    let other = Origin::of(&url);
    if other.is_some()
        && other == Origin::of(base)
        && url.username().is_empty()
        && url.password().is_none()
    {
        return Ok(url);
    }
    let other = other.map_or_else(|| url.scheme().to_owned(), |origin| origin.to_string());
    Err(format!("the link leads to another host ({other}) and is not followed"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::definition::Into;
    use crate::json::Pointer;

    fn base() -> Url {
        Url::parse("https://api.example/v1").unwrap()
    }

    #[test]
    fn a_link_to_another_host_is_refused() {
        for (ok, meant) in [
            ("https://api.example/v1/x?y", "/v1/x?y"),
            ("/v1/x", "/v1/x"),
            ("https://API.EXAMPLE:443/", "/"),
            ("https:evil", "/evil"),
            ("https:/evil", "/evil"),
            ("?next=https://evil.example", "/v1?next=https://evil.example"),
            ("@evil.example", "/@evil.example"),
            ("evil.example", "/evil.example"),
            ("/x\r\nHost: evil.example", "/xHost:%20evil.example"),
            ("https://api.example\\@evil.example:1/", "/@evil.example:1/"),
            ("/..//evil.example", "//evil.example"),
        ] {
            assert_eq!(pin(ok, &base()).unwrap().as_str(), format!("https://api.example{meant}"));
        }
        for bad in [
            "https://evil.example/",
            "https://api.example:8443/",
            "http://api.example/",
            "http://api.example:443/",
            "HTTP:/evil",
            "//evil.example/x",
            "\\\\evil.example",
            "/\\evil.example",
            "\\/evil.example",
            "/\t/evil.example",
            "\u{1}//evil.example",
            "https:\\\\evil.example",
            "https:///evil.example",
            "https://api.example.evil.example/",
            "https://api.example./",
            "https://api.example@evil.example/",
            "https://api.example:443@evil.example/",
            "https://evil.example\\@api.example/",
            "https://evil.example#@api.example/",
            "https://evil.example?@api.example/",
            "https://u:p@api.example/",
            "https://u@api.example/",
            "https://аpi.example/",
            "https://xn--pi-7kc.example/",
            "https://127.0.0.1/",
            "wss://api.example/",
            "javascript:alert(1)",
            "data:,x",
            "file:///etc/passwd",
            "https://",
        ] {
            assert!(pin(bad, &base()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_link_or_a_cursor_that_no_request_can_hold_is_refused() {
        let long = "x".repeat(LINK_BYTES_MAX + 1);
        let cursor = Paging::Cursor { at: Pointer::root(), into: Into::Query("p".to_owned()) };
        for paging in [cursor, Paging::Link(vec![Pointer::root()])] {
            let error = Position::read(&paging, &long, &base()).unwrap_err();
            assert!(error.contains("expected at most 65536") && error.len() < 200, "{error}");
            assert!(Position::read(&paging, &long[1..], &base()).is_ok());
        }
    }

    #[test]
    fn each_way_of_paging_goes_on_until_its_own_end() {
        let into = Into::Query("p".to_owned());
        let link = Paging::Link(vec![Pointer::root()]);
        let cursor = Paging::Cursor { at: Pointer::root(), into: into.clone() };
        let page = Paging::Page { into: into.clone(), first: 1 };
        let endless = Paging::Page { into: into.clone(), first: u64::MAX };
        let offset = Paging::Offset { into };
        let at = |text: &str| Position::Link(Url::parse(text).unwrap());
        for (paging, current, token, events, expected) in [
            (&link, None, Some("/2"), 0, Some(at("https://api.example/2"))),
            (&link, None, None, 5, None),
            (&cursor, None, Some("c"), 5, Some(Position::Cursor("c".to_owned()))),
            (&cursor, None, Some(""), 5, None),
            (&page, None, None, 5, Some(Position::Page(2))),
            (&page, Some(Position::Page(2)), None, 5, Some(Position::Page(3))),
            (&page, Some(Position::Page(3)), None, 0, None),
            (&page, Some(Position::Page(u64::MAX)), None, 5, Some(Position::Page(u64::MAX))),
            (&endless, None, None, 5, Some(Position::Page(u64::MAX))),
            (&offset, None, None, 5, Some(Position::Offset(5))),
            (&offset, Some(Position::Offset(5)), None, 2, Some(Position::Offset(7))),
            (&offset, Some(Position::Offset(7)), None, 0, None),
        ] {
            let next = Position::after(Some(paging), current.as_ref(), token, events, &base());
            assert_eq!(next, Ok(expected), "{paging:?} {current:?} {token:?} {events}");
        }
        assert_eq!(Position::after(None, None, Some("x"), 5, &base()), Ok(None));
    }
}
