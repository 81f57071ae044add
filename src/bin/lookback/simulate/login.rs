//! The login service: OAuth 2.0 client credentials, in the shapes of v1 and v2.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use jiff::Timestamp;
use serde_json::json;

use super::{
    assertion::{Assertions, Certificate, Signer},
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
    /// The token of the APIs that have no login service.
    pub(crate) api_token: String,
    /// The client's registered certificate, for assertions that it signs.
    pub(crate) certificate: Option<Certificate>,
    /// The certificate of the outside issuer of federated tokens.
    pub(crate) federated_certificate: Option<Certificate>,
    /// The client id of a managed identity that may be asked for by it.
    pub(crate) identity_client_id: Option<String>,
}

impl Default for LoginOptions {
    fn default() -> Self {
        Self {
            client_id: "simulator".to_owned(),
            client_secret: "simulator-secret".to_owned(),
            token_ttl: Duration::from_secs(3600),
            api_token: "simulator-token".to_owned(),
            certificate: None,
            federated_certificate: None,
            identity_client_id: None,
        }
    }
}

/// What a token was given for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// The client's secret.
    Secret,
    /// An assertion that the client signed.
    Certificate,
    /// A token of the outside issuer.
    Federated,
    /// Being where the managed identity is.
    ManagedIdentity,
}

impl Proof {
    /// Its name in the statistics.
    fn name(self) -> &'static str {
        match self {
            Proof::Secret => "secret",
            Proof::Certificate => "certificate",
            Proof::Federated => "federated",
            Proof::ManagedIdentity => "managed_identity",
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
    /// Who may sign in.
    pub(super) options: LoginOptions,
    assertions: Assertions,
    /// Tokens, and until when they are good.
    tokens: HashMap<String, Timestamp>,
    rng: fastrand::Rng,
    /// How many tokens were given, by what was shown for them.
    pub(crate) issued: BTreeMap<&'static str, u64>,
}

impl Login {
    /// A login service that has given no token yet.
    pub(crate) fn new(options: LoginOptions, seed: u64) -> Self {
        let assertions =
            Assertions::new(options.certificate.clone(), options.federated_certificate.clone());
        let rng = draws(seed, 0, Purpose::Tokens);
        Self { options, assertions, tokens: HashMap::new(), rng, issued: BTreeMap::new() }
    }

    /// Answers a request for a token to the endpoint `url`; `form` is its body.
    pub(crate) fn token(
        &mut self,
        version: Version,
        url: &str,
        form: &[u8],
        now: Timestamp,
    ) -> Reply {
        let form: HashMap<_, _> = url::form_urlencoded::parse(form).collect();
        let field = |name: &str| form.get(name).map_or("", |value| value.as_ref());
        let proof = self.check(version, field).and_then(|()| self.prove(url, field, now));
        let token = match proof {
            Ok(proof) => self.issue(proof, now),
            Err(reply) => return reply,
        };
        let ttl = self.options.token_ttl.as_secs();
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
        credentials(authorization, "bearer")
            .and_then(|token| self.tokens.get(token))
            .is_some_and(|until| now < *until)
    }

    /// Whether `token` is the one of the APIs without a login service.
    pub(crate) fn is_api_token(&self, token: &str) -> bool {
        token == self.options.api_token
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

    /// How the client proves who it is: by the secret, or by an assertion.
    fn prove<'f>(
        &mut self,
        url: &str,
        field: impl Fn(&str) -> &'f str,
        now: Timestamp,
    ) -> Result<Proof, Reply> {
        let unproven = |description: &str| refusal(401, "invalid_client", description);
        let assertion = field("client_assertion");
        if assertion.is_empty() {
            return if field("client_secret") == self.options.client_secret {
                Ok(Proof::Secret)
            } else {
                Err(unproven("AADSTS7000215: Invalid client secret provided."))
            };
        }
        if field("client_assertion_type") != ASSERTION_TYPE || !field("client_secret").is_empty() {
            let text = "AADSTS900144: An assertion needs its client_assertion_type, and no \
                client_secret beside it.";
            return Err(refusal(400, "invalid_request", text));
        }
        match self.assertions.verify(assertion, &self.options.client_id, url, now) {
            Ok(Signer::Client) => Ok(Proof::Certificate),
            Ok(Signer::Issuer) => Ok(Proof::Federated),
            Err(description) => Err(unproven(description)),
        }
    }

    /// Gives out a token.
    pub(super) fn issue(&mut self, proof: Proof, now: Timestamp) -> String {
        self.tokens.retain(|_, until| now < *until);
        // Random, beyond the seed: a token from before a restart must not be good after it.
        let token = format!("sim.{:032x}.{:016x}", self.rng.u128(..), fastrand::u64(..));
        self.tokens.insert(token.clone(), later(now, self.options.token_ttl));
        *self.issued.entry(proof.name()).or_default() += 1;
        token
    }
}

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// What an `Authorization` field says behind its scheme, if it is of that scheme.
pub(crate) fn credentials<'a>(authorization: Option<&'a str>, scheme: &str) -> Option<&'a str> {
    let (given, rest) = authorization?.split_once(' ')?;
    given.eq_ignore_ascii_case(scheme).then(|| rest.trim())
}

fn refusal(status: u16, error: &str, description: &str) -> Reply {
    Reply::json(status, &json!({"error": error, "error_description": description}))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{
        super::assertion::tests::{client_assertion, client_certificate},
        *,
    };

    const GOOD: &str = "grant_type=client_credentials&client_id=simulator&client_secret=simulator-secret\
        &scope=https%3A%2F%2Fgraph.microsoft.com%2F.default&resource=https%3A%2F%2Fgraph.windows.net";

    const URL: &str = "http://127.0.0.1:1/contoso/oauth2/v2.0/token";

    fn ask(version: Version, form: &str) -> (u16, Value) {
        let mut login = Login::new(LoginOptions::default(), 1);
        let reply = login.token(version, URL, form.as_bytes(), Timestamp::UNIX_EPOCH);
        (reply.status, serde_json::from_slice(&reply.body).unwrap())
    }

    #[test]
    fn a_token_is_good_until_it_expires() {
        let mut login = Login::new(LoginOptions::default(), 1);
        let now = Timestamp::UNIX_EPOCH;
        let reply = login.token(Version::V2, URL, GOOD.as_bytes(), now);
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
        let assertion = client_assertion(URL, Timestamp::UNIX_EPOCH);
        let form = GOOD.replace(
            "client_secret=simulator-secret",
            &format!("client_assertion_type={ASSERTION_TYPE}&client_assertion={assertion}"),
        );
        assert_eq!(ask(Version::V2, &form).1["error"], "invalid_client", "none is registered");

        let certificate = Some(client_certificate());
        let mut login = Login::new(LoginOptions { certificate, ..Default::default() }, 1);
        let mut ask = |form: &str| {
            login.token(Version::V2, URL, form.as_bytes(), Timestamp::UNIX_EPOCH).status
        };
        assert_eq!(ask(&form.replace("jwt-bearer", "other")), 400);
        assert_eq!(ask(&format!("{form}&client_secret=simulator-secret")), 400);
        assert_eq!(ask(&form), 200);
        assert_eq!(ask(&form), 401, "once only");
        assert_eq!(login.issued["certificate"], 1);
    }
}
