//! The managed identity: what a machine in the cloud asks its metadata service for a token.

use jiff::Timestamp;
use serde_json::json;

use super::{
    login::{Login, Proof},
    reply::Reply,
    units::later,
};

/// A request for a token of the managed identity.
#[derive(Clone, Debug, Default)]
pub(crate) struct IdentityAsk {
    /// The query, as sent.
    pub(crate) query: String,
    /// The `Metadata` field.
    pub(crate) metadata: String,
    /// Whether there is an `X-Forwarded-For`.
    pub(crate) forwarded: bool,
}

/// The place of the metadata service's tokens.
pub(crate) const IDENTITY_PATH: &str = "/metadata/identity/oauth2/token";

impl Login {
    /// Answers a request for a token of the managed identity.
    pub(crate) fn identity(&mut self, ask: &IdentityAsk, now: Timestamp) -> Reply {
        let resource = match self.check_identity(ask) {
            Ok(resource) => resource,
            Err((error, description)) => {
                let body = json!({"error": error, "error_description": description});
                return Reply::json(400, &body);
            }
        };
        let ttl = self.options.token_ttl;
        let body = json!({
            "access_token": self.issue(Proof::ManagedIdentity, now),
            "expires_in": ttl.as_secs().to_string(),
            "expires_on": later(now, ttl).as_second().to_string(),
            "not_before": now.as_second().to_string(),
            "resource": resource,
            "token_type": "Bearer",
        });
        Reply::json(200, &body)
    }

    /// The resource that a token is asked for, or what is wrong.
    fn check_identity(&self, ask: &IdentityAsk) -> Result<String, (&'static str, &'static str)> {
        let field = |wanted: &str| {
            url::form_urlencoded::parse(ask.query.as_bytes())
                .find(|(name, _)| name == wanted)
                .map(|(_, value)| value.into_owned())
        };
        // The real service's guards against being reached through a proxy that someone else uses.
        if !ask.metadata.eq_ignore_ascii_case("true") {
            return Err(("invalid_request", "Required metadata header not specified"));
        }
        if ask.forwarded {
            return Err(("invalid_request", "X-Forwarded-For is not allowed"));
        }
        if field("api-version").as_deref() != Some("2018-02-01") {
            return Err(("invalid_request", "Required query variable 'api-version' is invalid"));
        }
        if let Some(asked) = field("client_id")
            && self.options.identity_client_id.as_ref() != Some(&asked)
        {
            return Err(("identity_not_found", "Identity not found"));
        }
        field("resource").filter(|resource| !resource.is_empty()).ok_or((
            "invalid_resource",
            "AADSTS500011: The resource principal was not found in the tenant.",
        ))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{super::login::LoginOptions, *};

    fn login() -> Login {
        let identity_client_id = Some("user-assigned".to_owned());
        Login::new(LoginOptions { identity_client_id, ..Default::default() }, 1)
    }

    fn ask(query: &str) -> IdentityAsk {
        let query = format!("api-version=2018-02-01&{query}");
        IdentityAsk { query, metadata: "true".to_owned(), forwarded: false }
    }

    fn answer(ask: &IdentityAsk) -> (u16, Value) {
        let reply = login().identity(ask, Timestamp::UNIX_EPOCH);
        (reply.status, serde_json::from_slice(&reply.body).unwrap())
    }

    #[test]
    fn its_token_is_good() {
        let mut login = login();
        let ask = ask("resource=https%3A%2F%2Fmanage.office.com&client_id=user-assigned");
        let reply = login.identity(&ask, Timestamp::UNIX_EPOCH);
        let body: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!((&body["expires_in"], &body["expires_on"]), (&json!("3600"), &json!("3600")));
        assert_eq!(body["resource"], "https://manage.office.com");
        let bearer = format!("Bearer {}", body["access_token"].as_str().unwrap());
        assert!(login.accepts(Some(&bearer), Timestamp::UNIX_EPOCH));
        assert_eq!(login.issued["managed_identity"], 1);
    }

    #[test]
    fn what_is_refused() {
        let good = ask("resource=r");
        assert_eq!(answer(&good).0, 200);
        let without = IdentityAsk { metadata: String::new(), ..good.clone() };
        assert_eq!(answer(&without).1["error"], "invalid_request");
        let forwarded = IdentityAsk { forwarded: true, ..good };
        assert_eq!(answer(&forwarded).0, 400);
        assert_eq!(answer(&ask("")).1["error"], "invalid_resource");
        assert_eq!(answer(&ask("resource=r&client_id=x")).1["error"], "identity_not_found");
        let old = IdentityAsk { query: "resource=r".to_owned(), ..ask("") };
        assert_eq!(answer(&old).0, 400);
    }
}
