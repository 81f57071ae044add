//! What is accepted, and all that is not.

use ring::{
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair},
};
use rustls_pki_types::PrivatePkcs8KeyDer;
use serde_json::json;

use super::*;

const CLIENT: &str = "simulator";
const ENDPOINT: &str = "http://127.0.0.1:1/contoso/oauth2/v2.0/token";
const CLIENT_PEM: &[u8] = include_bytes!("../../../../../tests/data/client.pem");
const CLIENT_KEY: &[u8] = include_bytes!("../../../../../tests/data/client.key");
const OTHER_PEM: &[u8] = include_bytes!("../../../../../tests/data/other.pem");
const OTHER_KEY: &[u8] = include_bytes!("../../../../../tests/data/other.key");

fn now() -> Timestamp {
    "2026-03-01T12:00:00.5Z".parse().unwrap()
}

/// The client's certificate.
pub(crate) fn client_certificate() -> Certificate {
    Certificate::from_pem(CLIENT_PEM).unwrap()
}

fn assertions() -> Assertions {
    Assertions::new(Some(client_certificate()), Some(Certificate::from_pem(OTHER_PEM).unwrap()))
}

fn jwt(header: &Value, claims: &Value, key: &[u8], encoding: &'static dyn RsaEncoding) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(header), part(claims));
    let key = PrivatePkcs8KeyDer::from_pem_slice(key).unwrap();
    let key = RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).unwrap();
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(encoding, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn client_header() -> Value {
    json!({"typ": "JWT", "alg": "PS256", "x5t#S256": client_certificate().thumbprint()})
}

fn client_claims() -> Value {
    let now = now().as_second();
    json!({"aud": ENDPOINT, "iss": CLIENT, "sub": CLIENT, "jti": "one", "nbf": now, "exp": now + 600})
}

/// A good assertion of the client for `endpoint`, as of `at`.
pub(crate) fn client_assertion(endpoint: &str, at: Timestamp) -> String {
    let (mut claims, at) = (client_claims(), at.as_second());
    claims["aud"] = endpoint.into();
    (claims["nbf"], claims["exp"]) = (at.into(), (at + 600).into());
    jwt(&client_header(), &claims, CLIENT_KEY, &RSA_PSS_SHA256)
}

fn federated_claims() -> Value {
    let exp = now().as_second() + 600;
    json!({"aud": EXCHANGE, "iss": "https://issuer.example", "sub": "pod:collector", "exp": exp})
}

/// `value` with one member changed; null takes it away.
fn with(mut value: Value, name: &str, change: Value) -> Value {
    value[name] = change;
    value
}

fn verify(assertion: &str) -> Result<Signer, &'static str> {
    assertions().verify(assertion, CLIENT, ENDPOINT, now())
}

#[test]
fn both_signatures_of_the_registered_key_are_good() {
    let pss = jwt(&client_header(), &client_claims(), CLIENT_KEY, &RSA_PSS_SHA256);
    assert_eq!(verify(&pss), Ok(Signer::Client));
    let header = with(client_header(), "alg", json!("RS256"));
    let pkcs1 = jwt(&header, &client_claims(), CLIENT_KEY, &RSA_PKCS1_SHA256);
    assert_eq!(verify(&pkcs1), Ok(Signer::Client));
}

#[test]
fn an_assertion_is_good_once() {
    let mut assertions = assertions();
    let assertion = client_assertion(ENDPOINT, now());
    let mut verify = || assertions.verify(&assertion, CLIENT, ENDPOINT, now());
    assert_eq!(verify(), Ok(Signer::Client));
    assert!(verify().unwrap_err().contains("jti"));
}

#[test]
fn headers_and_keys_that_are_refused() {
    for (name, value) in [
        ("alg", json!("none")),
        ("alg", json!("RS256")),
        ("alg", json!("HS256")),
        ("x5t#S256", Value::Null),
        ("x5t#S256", json!("AAAA")),
    ] {
        let header = with(client_header(), name, value);
        let refused = verify(&jwt(&header, &client_claims(), CLIENT_KEY, &RSA_PSS_SHA256));
        assert!(refused.unwrap_err().starts_with("AADSTS700027"), "{header}");
    }
    let foreign = jwt(&client_header(), &client_claims(), OTHER_KEY, &RSA_PSS_SHA256);
    assert_eq!(verify(&foreign), Err(BAD_SIGNATURE));
    for bad in ["", "abc", "a.b.c", "e30.e30", "e30.e30.====", "W10.e30.AAAA"] {
        assert!(verify(bad).is_err(), "{bad}");
    }
}

#[test]
fn claims_that_are_refused() {
    let now = now().as_second();
    for (name, value, code) in [
        ("aud", json!("http://127.0.0.1:1/contoso/oauth2/token"), "AADSTS700023"),
        ("aud", Value::Null, "AADSTS700023"),
        ("iss", json!("other"), "AADSTS700021"),
        ("sub", json!("other"), "AADSTS700021"),
        ("exp", json!(now), "AADSTS700024"),
        ("exp", json!(now + DAY + 1), "AADSTS700024"),
        ("exp", Value::Null, "AADSTS700024"),
        ("nbf", json!(now + 1), "AADSTS700024"),
        ("jti", Value::Null, "AADSTS50027"),
    ] {
        let claims = with(client_claims(), name, value);
        let refused = verify(&jwt(&client_header(), &claims, CLIENT_KEY, &RSA_PSS_SHA256));
        assert!(refused.unwrap_err().starts_with(code), "{claims}: {refused:?}");
    }
}

#[test]
fn a_federated_token_is_good_and_refused() {
    let signed = |claims: &Value, key| {
        verify(&jwt(&json!({"alg": "RS256"}), claims, key, &RSA_PKCS1_SHA256))
    };
    assert_eq!(signed(&federated_claims(), OTHER_KEY), Ok(Signer::Issuer));
    let list = with(federated_claims(), "aud", json!([EXCHANGE]));
    assert_eq!(signed(&list, OTHER_KEY), Ok(Signer::Issuer));
    assert!(signed(&federated_claims(), CLIENT_KEY).is_err(), "another key");
    for (name, value, code) in [
        ("aud", json!("api://other"), "AADSTS700212"),
        ("sub", Value::Null, "AADSTS700213"),
        ("iss", Value::Null, "AADSTS700211"),
        ("exp", json!(now().as_second()), "AADSTS700024"),
    ] {
        let claims = with(federated_claims(), name, value);
        assert!(signed(&claims, OTHER_KEY).unwrap_err().starts_with(code), "{claims}");
    }
}

#[test]
fn what_is_not_set_up_is_refused() {
    let client = client_assertion(ENDPOINT, now());
    let federated =
        jwt(&json!({"alg": "RS256"}), &federated_claims(), OTHER_KEY, &RSA_PKCS1_SHA256);
    let verify = |certificate, issuer, assertion: &str| {
        Assertions::new(certificate, issuer).verify(assertion, CLIENT, ENDPOINT, now())
    };
    let other = || Some(Certificate::from_pem(OTHER_PEM).unwrap());
    assert_eq!(verify(None, other(), &client), Err(NOT_REGISTERED));
    assert_eq!(verify(Some(client_certificate()), None, &federated), Err(NO_TRUST));
    assert!(verify(other(), None, &client).is_err(), "another certificate is registered");
    assert!(Certificate::from_pem(CLIENT_KEY).is_err(), "a key is no certificate");
}
