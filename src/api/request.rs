//! From a definition and a range to the request that asks for it. Sends nothing.

use std::fmt;

use url::Url;

use super::definition::Request;
use super::template::{self, Values};
use crate::config::Secret;
use crate::model::TimeRange;

/// One HTTP request, ready to be sent.
#[derive(Clone)]
pub struct RequestSpec {
    /// Where to.
    pub url: Url,
    /// Headers, credentials excepted.
    pub headers: Vec<(String, String)>,
    /// The `Authorization` header.
    pub authorization: Option<Secret>,
    /// A form to POST; without one the request is a GET.
    pub form: Option<Secret>,
}

impl fmt::Debug for RequestSpec {
    /// Without the query: a next link may carry a token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = if self.form.is_some() { "POST" } else { "GET" };
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

/// The URL that asks for the events of a range. `{from}` and `{to}` are whole seconds, rounded
/// outwards, for APIs that compare with that grain.
///
/// # Errors
/// Which template could not be filled.
pub fn first_page(
    base: &Url,
    request: &Request,
    values: &Values,
    range: TimeRange,
) -> Result<Url, String> {
    let mut values = values.clone();
    values.set("from", crate::model::Timestamp::from_secs(range.from.as_secs()).to_string());
    values.set("to", range.to.ceil_secs().to_string());
    let path = template::fill(&request.path, &values, template::percent)?;
    let mut url = base.clone();
    url.set_path(&format!("{}{path}", base.path().trim_end_matches('/')));
    let mut query = Vec::new();
    for (name, value) in &request.query {
        let value = template::fill(value, &values, template::verbatim)?;
        query.push(format!("{}={}", template::percent(name), template::percent(&value)));
    }
    url.set_query((!query.is_empty()).then(|| query.join("&")).as_deref());
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::catalog;
    use crate::model::Timestamp;

    #[test]
    fn a_range_is_asked_for_in_whole_seconds_rounded_outwards() {
        let definition = catalog::find("entra_signins").unwrap();
        let base = Url::parse(&definition.base_url).unwrap();
        let range = TimeRange::new(
            Timestamp::parse("2026-01-01T00:00:00.9Z").unwrap(),
            Timestamp::parse("2026-01-01T01:00:00.1Z").unwrap(),
        );
        let url = first_page(&base, &definition.request, &Values::default(), range).unwrap();
        assert_eq!(
            url.as_str(),
            "https://graph.microsoft.com/v1.0/auditLogs/signIns?\
             $filter=createdDateTime%20ge%202026-01-01T00:00:00Z%20and%20createdDateTime%20le%202026-01-01T01:00:01Z\
             &$top=1000"
        );
    }

    #[test]
    fn debug_output_has_no_query_and_no_credential() {
        let spec = RequestSpec {
            url: Url::parse("https://a.example/x?$skiptoken=s3cret").unwrap(),
            headers: vec![],
            authorization: Some(Secret::new("Bearer s3cret".to_owned())),
            form: None,
        };
        assert_eq!(format!("{spec:?}"), "GET https://a.example/x");
    }
}
