//! Client assertions: a JWT in the place of a secret, signed by the client or by a foreign issuer.
//!
//! They are verified as the real service does, so that whoever makes them learns what is wrong.

use std::{collections::HashMap, fmt};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use ring::digest::{SHA256, digest};
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, pem::PemObject as _};
use serde_json::Value;

/// A certificate, good to verify signatures with its key.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Certificate(CertificateDer<'static>);

impl Certificate {
    /// The first certificate of a PEM text.
    pub(crate) fn from_pem(pem: &[u8]) -> Result<Self, String> {
        let der = CertificateDer::from_pem_slice(pem).map_err(|error| error.to_string())?;
        webpki::EndEntityCert::try_from(&der).map_err(|error| error.to_string())?;
        Ok(Self(der))
    }

    /// The first certificate of a PEM file.
    pub(crate) fn read(path: &str) -> Result<Self, String> {
        Self::from_pem(&std::fs::read(path).map_err(|error| error.to_string())?)
    }

    /// Its `x5t#S256`.
    fn thumbprint(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest(&SHA256, &self.0))
    }

    fn has_signed(&self, token: &Token<'_>) -> bool {
        let algorithm: &dyn SignatureVerificationAlgorithm = match token.header["alg"].as_str() {
            Some("RS256") => webpki::ring::RSA_PKCS1_2048_8192_SHA256,
            Some("PS256") => webpki::ring::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
            _ => return false,
        };
        webpki::EndEntityCert::try_from(&self.0).is_ok_and(|certificate| {
            let signed = token.signed.as_bytes();
            certificate.verify_signature(algorithm, signed, &token.signature).is_ok()
        })
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Certificate").field(&self.thumbprint()).finish()
    }
}

/// Who signed an assertion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signer {
    /// The client, with the key of its registered certificate.
    Client,
    /// The outside issuer.
    Issuer,
}

/// The assertions that are accepted, and those that were.
#[derive(Debug)]
pub(crate) struct Assertions {
    /// The client's registered certificate.
    certificate: Option<Certificate>,
    /// The outside issuer's.
    issuer: Option<Certificate>,
    /// The `jti` of accepted assertions, and until when they could be sent again.
    used: HashMap<String, i64>,
}

impl Assertions {
    /// Accepts what one of these certificates' keys signed.
    pub(crate) fn new(certificate: Option<Certificate>, issuer: Option<Certificate>) -> Self {
        Self { certificate, issuer, used: HashMap::new() }
    }

    /// Who signed `assertion`, if it is good for `client` at the token endpoint `endpoint`.
    pub(crate) fn verify(
        &mut self,
        assertion: &str,
        client: &str,
        endpoint: &str,
        now: Timestamp,
    ) -> Result<Signer, &'static str> {
        let token =
            Token::parse(assertion).ok_or("AADSTS50027: JWT token is invalid or malformed.")?;
        let by_client = token.claims["iss"] == client || !token.header["x5t#S256"].is_null();
        match (by_client, &self.certificate, &self.issuer) {
            (true, Some(certificate), _) => {
                check_client_key(certificate, &token)?;
                check_client_claims(&token, client, endpoint, now)?;
                self.use_once(&token, now)?;
                Ok(Signer::Client)
            }
            (false, _, Some(issuer)) => {
                check_federated(issuer, &token, now).map(|()| Signer::Issuer)
            }
            (true, None, _) => Err(NOT_REGISTERED),
            (false, _, None) => Err(NO_TRUST),
        }
    }

    fn use_once(&mut self, token: &Token<'_>, now: Timestamp) -> Result<(), &'static str> {
        self.used.retain(|_, exp| now.as_second() < *exp);
        let jti = token.claims["jti"].as_str().filter(|jti| !jti.is_empty()).ok_or(NO_JTI)?;
        let exp = token.claims["exp"].as_i64().unwrap_or_default();
        match self.used.insert(jti.to_owned(), exp) {
            None => Ok(()),
            Some(_) => Err("AADSTS50013: Assertion failed: its jti was used before."),
        }
    }
}

const NOT_REGISTERED: &str = "AADSTS700027: The certificate with identifier used to sign the client \
    assertion is not registered on application.";
const BAD_SIGNATURE: &str = "AADSTS700027: Client assertion failed signature validation.";
const NOT_NOW: &str = "AADSTS700024: Client assertion is not within its valid time range.";
const NO_TRUST: &str = "AADSTS700211: No matching federated identity record found for presented \
    assertion issuer.";
const NO_JTI: &str = "AADSTS50027: JWT token is invalid: it has no jti.";

/// What a federated token is for, whoever issued it.
const EXCHANGE: &str = "api://AzureADTokenExchange";

fn check_client_key(certificate: &Certificate, token: &Token<'_>) -> Result<(), &'static str> {
    if token.header["x5t#S256"] != certificate.thumbprint() {
        return Err(NOT_REGISTERED);
    }
    if certificate.has_signed(token) { Ok(()) } else { Err(BAD_SIGNATURE) }
}

fn check_client_claims(
    token: &Token<'_>,
    client: &str,
    endpoint: &str,
    now: Timestamp,
) -> Result<(), &'static str> {
    if token.claims["iss"] != client || token.claims["sub"] != client {
        return Err("AADSTS700021: Client assertion application identifier doesn't match \
            'client_id' parameter.");
    }
    if !token.is_for(endpoint) {
        return Err("AADSTS700023: Client assertion audience claim does not match Realm issuer.");
    }
    if !token.is_running(now) || token.claims["exp"].as_i64() > Some(now.as_second() + DAY) {
        return Err(NOT_NOW);
    }
    Ok(())
}

const DAY: i64 = 86_400;

fn check_federated(
    issuer: &Certificate,
    token: &Token<'_>,
    now: Timestamp,
) -> Result<(), &'static str> {
    let named = |claim: &str| token.claims[claim].as_str().is_some_and(|name| !name.is_empty());
    if !named("iss") {
        return Err(NO_TRUST);
    }
    if !issuer.has_signed(token) {
        return Err("AADSTS5013: Assertion failed signature validation.");
    }
    if !named("sub") {
        return Err("AADSTS700213: No matching federated identity record found for presented \
            assertion subject.");
    }
    if !token.is_for(EXCHANGE) {
        return Err("AADSTS700212: No matching federated identity record found for presented \
            assertion audience.");
    }
    if token.is_running(now) { Ok(()) } else { Err(NOT_NOW) }
}

/// A JWT, taken apart.
struct Token<'t> {
    header: Value,
    claims: Value,
    /// What the signature is of.
    signed: &'t str,
    signature: Vec<u8>,
}

impl<'t> Token<'t> {
    fn parse(text: &'t str) -> Option<Self> {
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
        let object = |part: &str| {
            serde_json::from_slice::<Value>(&decode(part)?).ok().filter(Value::is_object)
        };
        Some(Self {
            header: object(header)?,
            claims: object(claims)?,
            signed,
            signature: decode(signature)?,
        })
    }

    fn is_for(&self, audience: &str) -> bool {
        match &self.claims["aud"] {
            Value::Array(all) => all.iter().any(|one| one == audience),
            one => one == audience,
        }
    }

    fn is_running(&self, now: Timestamp) -> bool {
        let now = now.as_second();
        let begun =
            self.claims["nbf"].is_null() || self.claims["nbf"].as_i64().is_some_and(|at| at <= now);
        begun && self.claims["exp"].as_i64().is_some_and(|at| now < at)
    }
}

#[cfg(test)]
pub(crate) mod tests;
