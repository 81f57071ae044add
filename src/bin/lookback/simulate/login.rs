//! The login service: OAuth 2.0 client credentials, in the shapes of v1 and v2.

use std::{collections::HashMap, time::Duration};

use jiff::Timestamp;
use serde_json::json;

use super::{
    chance::{Purpose, draws},
    reply::Reply,
    units::later,
};

/// Who may sign in.
#[derive(Clone, Debug)]
pub(crate) struct LoginOptions {
    /// The only client's id.
    pub(crate) client_id: String,
    /// Its secret.
    pub(crate) client_secret: String,
    /// How long a token is good.
    pub(crate) token_ttl: Duration,
}

impl Default for LoginOptions {
    fn default() -> Self {
        Self {
            client_id: "simulator".to_owned(),
            client_secret: "simulator-secret".to_owned(),
            token_ttl: Duration::from_secs(3600),
        }
    }
}

/// The generations of the token endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// Takes a `resource`; numbers in its answers are strings.
    V1,
    /// Takes a `scope`.
    V2,
}

/// The login service and the tokens it gave.
#[derive(Debug)]
pub(crate) struct Login {
    options: LoginOptions,
    /// Tokens, and until when they are good.
    tokens: HashMap<String, Timestamp>,
    rng: fastrand::Rng,
    /// How many tokens were given.
    pub(crate) issued: u64,
}

impl Login {
    /// A login service that has given no token yet.
    pub(crate) fn new(options: LoginOptions, seed: u64) -> Self {
        Self { options, tokens: HashMap::new(), rng: draws(seed, 0, Purpose::Tokens), issued: 0 }
    }

    /// Answers a request for a token; `form` is its body.
    pub(crate) fn token(&mut self, version: Version, form: &[u8], now: Timestamp) -> Reply {
        let form: HashMap<_, _> = url::form_urlencoded::parse(form).collect();
        let field = |name: &str| form.get(name).map_or("", |value| value.as_ref());
        if let Err(reply) = self.check(version, field) {
            return reply;
        }
        let ttl = self.options.token_ttl.as_secs();
        let token = self.issue(now);
        let body = match version {
            Version::V2 => {
                json!({"token_type": "Bearer", "expires_in": ttl, "ext_expires_in": ttl, "access_token": token})
            }
            Version::V1 => json!({
                "token_type": "Bearer",
                "expires_in": ttl.to_string(),
                "ext_expires_in": ttl.to_string(),
                "expires_on": later(now, self.options.token_ttl).as_second().to_string(),
                "resource": field("resource"),
                "access_token": token,
            }),
        };
        Reply::json(200, &body).with("cache-control", "no-store, no-cache".to_owned())
    }

    /// Whether `authorization` carries a token that is good at `now`.
    pub(crate) fn accepts(&self, authorization: Option<&str>, now: Timestamp) -> bool {
        authorization
            .and_then(|field| field.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .and_then(|(_, token)| self.tokens.get(token.trim()))
            .is_some_and(|until| now < *until)
    }

    fn check<'f>(&self, version: Version, field: impl Fn(&str) -> &'f str) -> Result<(), Reply> {
        if field("grant_type") != "client_credentials" {
            return Err(refusal(
                400,
                "unsupported_grant_type",
                "AADSTS70003: The app requested an unsupported grant type.",
            ));
        }
        if field("client_id") != self.options.client_id {
            let text =
                "AADSTS700016: Application with this identifier was not found in the directory.";
            return Err(refusal(400, "unauthorized_client", text));
        }
        if !self.proves_itself(&field) {
            return Err(refusal(
                401,
                "invalid_client",
                "AADSTS7000215: Invalid client secret provided.",
            ));
        }
        match version {
            Version::V2 if !field("scope").ends_with("/.default") => Err(refusal(
                400,
                "invalid_scope",
                "AADSTS1002012: The provided value for scope is not valid.",
            )),
            Version::V1 if field("resource").is_empty() => Err(refusal(
                400,
                "invalid_resource",
                "AADSTS500011: The resource principal was not found.",
            )),
            _ => Ok(()),
        }
    }

    /// By the secret, or by an assertion: of that, only the shape of a JWT is looked at.
    fn proves_itself<'f>(&self, field: impl Fn(&str) -> &'f str) -> bool {
        let assertion = field("client_assertion");
        if assertion.is_empty() {
            return field("client_secret") == self.options.client_secret;
        }
        field("client_assertion_type") == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
            && assertion.split('.').filter(|part| !part.is_empty()).count() == 3
    }

    fn issue(&mut self, now: Timestamp) -> String {
        self.tokens.retain(|_, until| now < *until);
        // Random, beyond the seed: a token from before a restart must not be good after it.
        let token = format!("sim.{:032x}.{:016x}", self.rng.u128(..), fastrand::u64(..));
        self.tokens.insert(token.clone(), later(now, self.options.token_ttl));
        self.issued += 1;
        token
    }
}

fn refusal(status: u16, error: &str, description: &str) -> Reply {
    Reply::json(status, &json!({"error": error, "error_description": description}))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    const GOOD: &str = "grant_type=client_credentials&client_id=simulator&client_secret=simulator-secret\
        &scope=https%3A%2F%2Fgraph.microsoft.com%2F.default&resource=https%3A%2F%2Fgraph.windows.net";

    fn ask(version: Version, form: &str) -> (u16, Value) {
        let mut login = Login::new(LoginOptions::default(), 1);
        let reply = login.token(version, form.as_bytes(), Timestamp::UNIX_EPOCH);
        (reply.status, serde_json::from_slice(&reply.body).unwrap())
    }

    #[test]
    fn a_token_is_good_until_it_expires() {
        let mut login = Login::new(LoginOptions::default(), 1);
        let now = Timestamp::UNIX_EPOCH;
        let reply = login.token(Version::V2, GOOD.as_bytes(), now);
        let body: Value = serde_json::from_slice(&reply.body).unwrap();
        let bearer = format!("Bearer {}", body["access_token"].as_str().unwrap());
        assert_eq!(body["expires_in"], 3600);
        assert!(login.accepts(Some(&bearer), now));
        assert!(login.accepts(Some(&bearer), later(now, Duration::from_secs(3599))));
        assert!(!login.accepts(Some(&bearer), later(now, Duration::from_secs(3600))));
        assert!(!login.accepts(Some("Bearer other"), now));
        assert!(!login.accepts(None, now));
    }

    #[test]
    fn refusals() {
        assert_eq!(ask(Version::V1, GOOD).0, 200);
        let (status, body) = ask(Version::V2, &GOOD.replace("simulator-secret", "wrong"));
        assert_eq!((status, &body["error"]), (401, &"invalid_client".into()));
        assert!(body["error_description"].as_str().unwrap().starts_with("AADSTS7000215:"));
        assert_eq!(ask(Version::V2, &GOOD.replace("client_id=simulator", "client_id=x")).0, 400);
        assert_eq!(ask(Version::V2, &GOOD.replace("&scope", "&nope")).1["error"], "invalid_scope");
        assert_eq!(
            ask(Version::V1, &GOOD.replace("&resource", "&nope")).1["error"],
            "invalid_resource"
        );
        assert_eq!(ask(Version::V1, "").1["error"], "unsupported_grant_type");
    }

    #[test]
    fn an_assertion_stands_for_the_secret() {
        let with = |assertion: &str| {
            GOOD.replace(
                "client_secret=simulator-secret",
                &format!("client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&client_assertion={assertion}"),
            )
        };
        assert_eq!(ask(Version::V2, &with("a.b.c")).0, 200);
        assert_eq!(ask(Version::V2, &with("abc")).0, 401);
    }
}
