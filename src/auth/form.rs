//! The request for a token by client credentials, in the dialects of version 1 and 2 of OAuth.

use url::form_urlencoded::Serializer;

use crate::api::RequestSpec;
use crate::api::definition::{Audience, Method};
use crate::api::request::{FORM, Payload};
use crate::config::Secret;
use crate::config::plan::OAuth;

/// What kind of assertion is sent: a JWT.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A client that proves itself by a secret.
pub(super) fn with_secret(oauth: &OAuth, secret: &Secret) -> RequestSpec {
    request(oauth, &[("client_secret", secret.expose())])
}

/// A client that proves itself by an assertion.
pub(super) fn with_assertion(oauth: &OAuth, assertion: &Secret) -> RequestSpec {
    let proof =
        [("client_assertion_type", ASSERTION_TYPE), ("client_assertion", assertion.expose())];
    request(oauth, &proof)
}

fn request(oauth: &OAuth, proof: &[(&str, &str)]) -> RequestSpec {
    let audience = match &oauth.audience {
        Audience::Scope(scope) => ("scope", scope.as_str()),
        Audience::Resource(resource) => ("resource", resource.as_str()),
    };
    let client_id = oauth.client_id.as_deref().unwrap_or_default();
    let form = Serializer::new(String::new())
        .append_pair("grant_type", "client_credentials")
        .append_pair("client_id", client_id)
        .extend_pairs(proof)
        .append_pair(audience.0, audience.1)
        .finish();
    RequestSpec {
        method: Method::Post,
        url: oauth.token_url.clone(),
        headers: Vec::new(),
        credential: None,
        payload: Some(Payload { content_type: FORM, text: Secret::new(form) }),
        is_login: true,
    }
}
