//! From a definition and what is wanted to the request that asks for it. Sends nothing.

use std::collections::BTreeMap;
use std::fmt;

use url::Url;

use super::definition::{Body, Call, Definition, Into, Method, Paging, Template};
use super::position::Position;
use super::template::{self, Values};
use crate::config::Secret;
use crate::model::TimeRange;

/// Which request an answer belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// One HTTP request, ready to be sent.
#[derive(Clone)]
pub struct RequestSpec {
    /// GET or POST.
    pub method: Method,
    /// Where to. Never holds a credential: one that belongs into the query is put there when it is sent.
    pub url: Url,
    /// Headers, credentials excepted.
    pub headers: Vec<(String, String)>,
    /// What proves who asks.
    pub credential: Option<Credential>,
    /// What a POST sends.
    pub payload: Option<Payload>,
    /// Whether the answer holds a token: then no buffer of the exchange is kept for later.
    pub is_login: bool,
}

/// What proves who asks, and where it is put.
#[derive(Clone, Debug)]
pub struct Credential {
    /// Where it is put.
    pub place: Placement,
    /// What is put there, the prefix included.
    pub value: Secret,
}

/// Where a credential is put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Into a header.
    Header(String),
    /// Into a query parameter.
    Query(String),
}

/// What a POST sends.
#[derive(Clone, Debug)]
pub struct Payload {
    /// Its media type, unless a header names one.
    pub content_type: &'static str,
    /// It: a form holds a secret, a question does not.
    pub text: Secret,
}

/// Media types that are sent.
pub const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

impl fmt::Debug for RequestSpec {
    /// Without the query: a next link may carry a token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = if self.method == Method::Post { "POST" } else { "GET" };
        write!(f, "{method} {}", without_query(&self.url))
    }
}

/// A URL as it may stand in a log: no query, no fragment.
pub fn without_query(url: &Url) -> String {
    let mut shown = url.clone();
    shown.set_query(None);
    shown.set_fragment(None);
    shown.into()
}

/// The same, and of a URL whose path quotes the secret it is asked with, the host only.
pub fn shown(url: &Url, secret: Option<&Secret>) -> String {
    let mut shown = url.clone();
    if secret.is_some_and(|secret| secret.is_quoted_in(url.path())) {
        shown.set_path("");
    }
    without_query(&shown)
}

/// A page of a walk.
#[derive(Clone, Copy, Debug)]
pub struct PageOf<'a> {
    /// The walk's slice.
    pub range: TimeRange,
    /// The value of `for_each` that the walk is over.
    pub part: Option<&'a str>,
    /// The page; the first one if nothing.
    pub position: Option<&'a Position>,
    /// Whether the walk has no end: what names `{to}` is left out of the query.
    pub endless: bool,
}

/// Makes the requests of one API.
#[derive(Clone, Copy, Debug)]
pub struct Requests<'a> {
    /// The API's address.
    pub base: &'a Url,
    /// The API.
    pub definition: &'a Definition,
    /// What its templates may name.
    pub values: &'a Values,
}

impl Requests<'_> {
    /// The request for a page. `{from}` and `{to}` are whole seconds, rounded outwards, for APIs
    /// that compare with that grain.
    ///
    /// # Errors
    /// Which template could not be filled.
    pub fn page(&self, page: PageOf<'_>) -> Result<RequestSpec, String> {
        let request = &self.definition.request;
        let values = self.values_of(page.part, Some(page.range));
        let payload = match &request.body {
            None => None,
            Some(Body::Text(template)) => Some(Payload {
                content_type: JSON,
                text: Secret::new(template.fill(&values, template::json)?),
            }),
            Some(Body::Json(value)) => {
                let mut value = template::fill_in(value, &values)?;
                if let (Some((name, at)), Some(members)) =
                    (self.in_body(page.position), value.as_object_mut())
                {
                    members.insert(name, at);
                }
                Some(Payload { content_type: JSON, text: Secret::new(value.to_string()) })
            }
        };
        let mut url = match page.position {
            Some(Position::Link(link)) => link.clone(),
            _ => {
                let query = request.query.iter();
                let query = query.filter(|(_, value)| !page.endless || !value.mentions("to"));
                self.url(&request.path, query, &values)?
            }
        };
        if let Some((name, value)) = self.in_query(page.position) {
            set_query(&mut url, name, &value);
        }
        let headers = headers(&request.headers, &values)?;
        let method = request.method;
        self.finish(RequestSpec {
            method,
            url,
            headers,
            credential: None,
            payload,
            is_login: false,
        })
    }

    /// The request for a blob.
    ///
    /// # Errors
    /// Which template could not be filled.
    pub fn blob(&self, link: &Url) -> Result<RequestSpec, String> {
        let headers = headers(&self.definition.request.headers, self.values)?;
        let (method, url) = (Method::Get, link.clone());
        let (credential, payload, is_login) = (None, None, false);
        self.finish(RequestSpec { method, url, headers, credential, payload, is_login })
    }

    /// A request without a range.
    ///
    /// # Errors
    /// Which template could not be filled.
    pub fn call(
        &self,
        call: &Call,
        method: Method,
        part: Option<&str>,
    ) -> Result<RequestSpec, String> {
        let values = self.values_of(part, None);
        let url = self.url(&call.path, call.query.iter(), &values)?;
        let headers = headers(&self.definition.request.headers, &values)?;
        let (credential, payload, is_login) = (None, None, false);
        self.finish(RequestSpec { method, url, headers, credential, payload, is_login })
    }

    /// Adds what every request carries, unless a link carries it already.
    fn finish(&self, mut spec: RequestSpec) -> Result<RequestSpec, String> {
        for (name, template) in &self.definition.every_request {
            if !spec.url.query_pairs().any(|(present, _)| present == name.as_str()) {
                set_query(&mut spec.url, name, &template.fill(self.values, template::verbatim)?);
            }
        }
        Ok(spec)
    }

    fn values_of(&self, part: Option<&str>, range: Option<TimeRange>) -> Values {
        let mut values = self.values.clone();
        if let Some(range) = range {
            let format = &self.definition.request.time_format;
            values.set("from", format.show(range.from.floor_secs()));
            values.set("to", format.show(range.to.ceil_secs()));
        }
        if let (Some(each), Some(part)) = (&self.definition.for_each, part) {
            values.set(&each.name, part);
        }
        values
    }

    fn url<'t>(
        &self,
        path: &Template,
        query: impl Iterator<Item = (&'t String, &'t Template)>,
        values: &Values,
    ) -> Result<Url, String> {
        let path = path.fill(values, template::percent)?;
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        let mut pairs = Vec::new();
        for (name, value) in query {
            let value = value.fill(values, template::verbatim)?;
            pairs.push(format!("{}={}", template::percent(name), template::percent(&value)));
        }
        url.set_query((!pairs.is_empty()).then(|| pairs.join("&")).as_deref());
        Ok(url)
    }

    fn in_query(&self, position: Option<&Position>) -> Option<(&str, String)> {
        match (into(self.definition.next.as_ref()?)?, position?) {
            (Into::Query(_), Position::Link(_)) | (Into::Body(_), _) => None,
            (Into::Query(name), position) => Some((name, position.as_text())),
        }
    }

    fn in_body(&self, position: Option<&Position>) -> Option<(String, serde_json::Value)> {
        let Into::Body(name) = into(self.definition.next.as_ref()?)? else { return None };
        let at = match position? {
            Position::Page(count) | Position::Offset(count) => (*count).into(),
            other => other.as_text().into(),
        };
        Some((name.clone(), at))
    }
}

fn headers(
    templates: &BTreeMap<String, Template>,
    values: &Values,
) -> Result<Vec<(String, String)>, String> {
    let filled = templates
        .iter()
        .map(|(name, value)| Ok((name.clone(), value.fill(values, template::verbatim)?)));
    filled.collect()
}

fn into(paging: &Paging) -> Option<&Into> {
    match paging {
        Paging::Cursor { into, .. } | Paging::Page { into, .. } | Paging::Offset { into } => {
            Some(into)
        }
        Paging::Link(_) | Paging::Header(_) | Paging::LinkHeader(_) => None,
    }
}

/// Sets a query parameter, in place of any of that name.
pub fn set_query(url: &mut Url, name: &str, value: &str) {
    *url = without_parameter(url, name);
    let pair = format!("{}={}", template::percent(name), template::percent(value));
    let query = match url.query() {
        Some(kept) if !kept.is_empty() => format!("{kept}&{pair}"),
        _ => pair,
    };
    url.set_query(Some(&query));
}

/// The parameters of a query, less those of a name, however that is spelt.
pub fn without_parameter(url: &Url, name: &str) -> Url {
    without(url, |found, _| found == name)
}

/// A link without the credential that it may echo, by the parameter's name or by its value: it is put
/// where it belongs when the link is asked for.
pub fn without_credential(url: &Url, place: &Placement, value: &Secret) -> Url {
    without(url, |name, found| {
        // A short one could be anything's value.
        let echoes = value.expose() == found && value.is_quoted_in(found);
        echoes || matches!(place, Placement::Query(key) if key == name)
    })
}

/// The parameters of a query, less those of a name and value.
fn without(url: &Url, is_it: impl Fn(&str, &str) -> bool) -> Url {
    let mut url = url.clone();
    let query = url.query().unwrap_or_default().to_owned();
    let is_it = |pair: &&str| {
        let mut decoded = url::form_urlencoded::parse(pair.as_bytes());
        decoded.next().is_some_and(|(name, value)| is_it(&name, &value))
    };
    if !query.split('&').any(|pair| is_it(&pair)) {
        return url;
    }
    let kept: Vec<&str> = query.split('&').filter(|pair| !is_it(pair)).collect();
    url.set_query((!kept.is_empty()).then(|| kept.join("&")).as_deref());
    url
}

/// The values of a definition's `for_each`; one walk over nothing in particular if it has none.
pub fn parts(definition: &Definition, values: &Values) -> Vec<Option<String>> {
    let Some(each) = &definition.for_each else { return vec![None] };
    let list = values.get(&each.parameter).unwrap_or("");
    list.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| Some(part.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::catalog;
    use crate::model::Timestamp;

    const ACME: &str = "
name: acme
title: Acme
base_url: https://api.example/root
parameters: {kinds: {default: 'a, b'}}
auth: {kind: none}
request: {path: '/{kind}/events', query: {since: '{from}', until: '{to}'}}
every_request: {publisher: p}
for_each: {parameter: kinds, as: kind}
records: ''
id: /id
time: /t
next: {cursor: /c, query: after}
limits: {page: 1, range: 1h, reach: 1d, requests_per_minute: 1}
window: 1h
";

    fn range() -> TimeRange {
        TimeRange::new(
            Timestamp::parse("2026-01-01T00:00:00.9Z").unwrap(),
            Timestamp::parse("2026-01-01T01:00:00.1Z").unwrap(),
        )
    }

    fn page(yaml: &str, position: Option<&Position>, endless: bool) -> RequestSpec {
        let definition = Definition::parse(yaml).unwrap();
        let base = Url::parse("https://api.example/root").unwrap();
        let values = Values::default();
        let requests = Requests { base: &base, definition: &definition, values: &values };
        requests.page(PageOf { range: range(), part: Some("b"), position, endless }).unwrap()
    }

    #[test]
    fn a_range_is_asked_for_in_whole_seconds_rounded_outwards() {
        let definition = catalog::find("entra_signins").unwrap();
        let base = Url::parse("https://graph.microsoft.com").unwrap();
        let requests = Requests { base: &base, definition, values: &Values::default() };
        let page = PageOf { range: range(), part: None, position: None, endless: false };
        assert_eq!(
            requests.page(page).unwrap().url.as_str(),
            "https://graph.microsoft.com/v1.0/auditLogs/signIns?\
             $filter=createdDateTime%20ge%202026-01-01T00:00:00Z%20and%20createdDateTime%20le%202026-01-01T01:00:01Z\
             &$top=1000"
        );
    }

    #[test]
    fn a_request_carries_its_part_its_position_and_what_every_request_carries() {
        let at = |text: &str| Position::Link(Url::parse(text).unwrap());
        let range = "since=2026-01-01T00:00:00Z&until=2026-01-01T01:00:01Z";
        for (position, endless, expected) in [
            (None, false, format!("https://api.example/root/b/events?{range}&publisher=p")),
            (
                None,
                true,
                "https://api.example/root/b/events?since=2026-01-01T00:00:00Z&publisher=p"
                    .to_owned(),
            ),
            (
                Some(Position::Cursor("c d".to_owned())),
                false,
                format!("https://api.example/root/b/events?{range}&after=c%20d&publisher=p"),
            ),
            (
                Some(at("https://api.example/next?x=1")),
                false,
                "https://api.example/next?x=1&publisher=p".to_owned(),
            ),
            (
                Some(at("https://api.example/next?publisher=q")),
                false,
                "https://api.example/next?publisher=q".to_owned(),
            ),
        ] {
            let spec = page(ACME, position.as_ref(), endless);
            assert_eq!(spec.url.as_str(), expected);
        }
    }

    #[test]
    fn a_post_sends_its_body_with_the_cursor_in_it() {
        let yaml = ACME
            .replace(
                "query: {since: '{from}', until: '{to}'}",
                "method: POST, time_format: seconds, body: {since: '{from}', n: 5}",
            )
            .replace("query: after", "body: after");
        let text = |position: Option<Position>| {
            let spec = page(&yaml, position.as_ref(), false);
            assert_eq!(spec.method, Method::Post);
            spec.payload.unwrap().text.expose().to_owned()
        };
        assert_eq!(text(None), r#"{"n":5,"since":"1767225600"}"#);
        let next = text(Some(Position::Cursor("c\"".to_owned())));
        assert_eq!(next, r#"{"after":"c\"","n":5,"since":"1767225600"}"#);
    }

    #[test]
    fn debug_output_has_no_query_and_no_credential() {
        let value = Secret::new("Bearer s3cret".to_owned());
        let spec = RequestSpec {
            method: Method::Get,
            url: Url::parse("https://a.example/x?$skiptoken=s3cret").unwrap(),
            headers: vec![],
            credential: Some(Credential { place: Placement::Header("a".to_owned()), value }),
            payload: None,
            is_login: false,
        };
        assert_eq!(format!("{spec:?}"), "GET https://a.example/x");
    }

    #[test]
    fn a_path_that_quotes_the_credential_is_not_shown() {
        let link = Url::parse("https://a.example/next/hunter22?x=1").unwrap();
        let shown = |secret: &str| shown(&link, Some(&Secret::new(secret.to_owned())));
        assert_eq!(shown("hunter22"), "https://a.example/");
        assert_eq!(shown("another"), "https://a.example/next/hunter22");
    }

    #[test]
    fn a_parameter_can_be_set_and_taken_out_of_a_link() {
        let mut url = Url::parse("https://a.example/?key=old&b=%20&%6Bey=other").unwrap();
        set_query(&mut url, "key", "n&w");
        assert_eq!(url.as_str(), "https://a.example/?b=%20&key=n%26w");
        assert_eq!(without_parameter(&url, "key").as_str(), "https://a.example/?b=%20");
    }

    #[test]
    fn a_credential_that_a_link_echoes_is_taken_out_by_name_and_by_value() {
        let link = Url::parse("https://a.example/?k=old&b=%20&access_token=hunter%322").unwrap();
        let token = Secret::new("hunter22".to_owned());
        for (place, left) in [
            (Placement::Query("k".to_owned()), "https://a.example/?b=%20"),
            (Placement::Header("Authorization".to_owned()), "https://a.example/?k=old&b=%20"),
        ] {
            assert_eq!(without_credential(&link, &place, &token).as_str(), left);
        }
    }
}
