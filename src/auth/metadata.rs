//! The request to a machine's metadata service, which gives tokens for the machine's own identity.

use crate::api::RequestSpec;
use crate::api::definition::{Audience, Method};
use crate::api::request::set_query;
use crate::config::plan::OAuth;

/// The dialect that is spoken, unless the address names one.
const API_VERSION: (&str, &str) = ("api-version", "2018-02-01");

/// What a scope of version 2 of OAuth has behind the resource: all that was granted.
const EVERYTHING: &str = "/.default";

/// A question for the machine's own token.
pub(super) fn request(oauth: &OAuth) -> RequestSpec {
    let resource = match &oauth.audience {
        Audience::Scope(scope) => scope.strip_suffix(EVERYTHING).unwrap_or(scope),
        Audience::Resource(resource) => resource,
    };
    let mut url = oauth.token_url.clone();
    if !url.query_pairs().any(|(name, _)| name == API_VERSION.0) {
        set_query(&mut url, API_VERSION.0, API_VERSION.1);
    }
    set_query(&mut url, "resource", resource);
    if let Some(client_id) = &oauth.client_id {
        set_query(&mut url, "client_id", client_id);
    }
    RequestSpec {
        method: Method::Get,
        url,
        // Without this the service refuses: a redirected browser cannot set it.
        headers: vec![("Metadata".to_owned(), "true".to_owned())],
        credential: None,
        payload: None,
        is_login: true,
    }
}
