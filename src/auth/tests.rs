//! Every way to a token, from the file to the request.

use std::path::{Path, PathBuf};

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey,
};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use serde_json::Value;
use url::Url;

use super::*;
use crate::api::definition::{Audience, Method};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn oauth(proof: Proof) -> OAuth {
    OAuth {
        token_url: Url::parse("https://login.example/t/token?api-version=1.0").unwrap(),
        client_id: Some("app".to_owned()),
        proof,
        audience: Audience::Scope("https://api.example/.default".to_owned()),
    }
}

fn signed_by(certificate: &Path, key: &Path) -> Login {
    let (certificate, key) = (certificate.to_owned(), key.to_owned());
    Login::OAuth(oauth(Proof::Certificate { certificate, key }))
}

/// A directory with one file in it.
fn file(content: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    std::fs::write(&path, content).unwrap();
    (dir, path)
}

fn value(text: &str) -> SecretSource {
    SecretSource::Value(Secret::new(text.to_owned()))
}

fn asked(login: &Login) -> RequestSpec {
    match acquire(login, NOW).unwrap() {
        Acquire::Ask { spec, .. } => *spec,
        Acquire::Granted(_) => panic!("nothing is to be asked"),
    }
}

/// The form's members.
fn form(spec: &RequestSpec) -> Vec<(String, String)> {
    let text = spec.payload.as_ref().unwrap().text.expose().to_owned();
    url::form_urlencoded::parse(text.as_bytes()).into_owned().collect()
}

fn member(form: &[(String, String)], name: &str) -> String {
    form.iter().find(|(it, _)| it == name).unwrap().1.clone()
}

#[test]
fn a_fixed_token_is_there_at_once_and_a_file_is_read_again() {
    let (_dir, token) = file(" hunter2\n");
    let (_dir, pair) = file("me:hunter2\n");
    let user = || Some("me".to_owned());
    for (login, expected, seconds) in [
        (Login::Fixed(value("hunter2")), "hunter2", 86_400),
        (Login::Fixed(SecretSource::File(token.clone())), "hunter2", 300),
        (Login::Basic { user: None, secret: value("me:hunter2") }, "bWU6aHVudGVyMg==", 86_400),
        (Login::Basic { user: None, secret: SecretSource::File(pair) }, "bWU6aHVudGVyMg==", 300),
        (Login::Basic { user: user(), secret: value("hunter2") }, "bWU6aHVudGVyMg==", 86_400),
        (Login::Basic { user: user(), secret: SecretSource::File(token) }, "bWU6aHVudGVyMg==", 300),
    ] {
        let Acquire::Granted(grant) = acquire(&login, NOW).unwrap() else { panic!("{login:?}") };
        assert_eq!((grant.token.expose(), grant.expires_in.as_secs()), (expected, seconds));
    }
}

#[test]
fn a_file_that_will_not_do_is_named_with_its_property_and_never_quoted() {
    let missing = || PathBuf::from("/no/such/file");
    let fixed = |path| Login::Fixed(SecretSource::File(path));
    let (_dir, blank) = file(" \n");
    let (_dir, huge) = file(&"hunter2".repeat(10_000));
    let (_dir, broken) = file("hunter\n2");
    let basic = |user: Option<&str>, path| Login::Basic {
        user: user.map(str::to_owned),
        secret: SecretSource::File(path),
    };
    for (login, words) in [
        (fixed(missing()), ["token_file", "/no/such/file"]),
        (fixed(blank), ["token_file", "is empty"]),
        (fixed(huge), ["token_file", "larger than 65536 bytes"]),
        (fixed(broken.clone()), ["token_file", "cannot stand in a header"]),
        (basic(None, broken), ["token_file", "user:password"]),
        (basic(Some("me"), missing()), ["client_secret_file", "/no/such/file"]),
        (
            Login::OAuth(oauth(Proof::Secret(SecretSource::File(missing())))),
            ["client_secret_file", "/no/such/file"],
        ),
        (Login::OAuth(oauth(Proof::Federated(missing()))), ["federated_token_file", "/no/such"]),
        (signed_by(&missing(), &data("client.key")), ["'certificate_file'", "/no/such/file"]),
        (signed_by(&data("client.pem"), &missing()), ["certificate_key_file", "/no/such/file"]),
    ] {
        let failure = acquire(&login, NOW).unwrap_err();
        assert_eq!((failure.kind, failure.status), (FailureKind::Transient, 0));
        for word in words {
            assert!(failure.error.contains(word), "{word}: {}", failure.error);
        }
        assert!(!failure.error.contains("hunter"), "{}", failure.error);
    }
}

#[test]
fn a_secret_is_asked_with_in_both_dialects() {
    let v2 = oauth(Proof::Secret(value("hunter&2")));
    let v1 = OAuth { audience: Audience::Resource("https://api.example".to_owned()), ..v2.clone() };
    for (oauth, audience) in
        [(v2, ("scope", "https://api.example/.default")), (v1, ("resource", "https://api.example"))]
    {
        let spec = asked(&Login::OAuth(oauth));
        let expected = [
            ("grant_type", "client_credentials"),
            ("client_id", "app"),
            ("client_secret", "hunter&2"),
            audience,
        ];
        assert_eq!(form(&spec), expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
        assert_eq!(format!("{spec:?}"), "POST https://login.example/t/token");
        let payload = format!("{:?}", spec.payload);
        assert!(!payload.contains("hunter"), "{payload}");
    }
}

#[test]
fn a_federated_token_is_the_assertion() {
    let (_dir, path) = file("a.b.c\n");
    let form = form(&asked(&Login::OAuth(oauth(Proof::Federated(path)))));
    assert_eq!(member(&form, "client_assertion"), "a.b.c");
    assert_eq!(
        member(&form, "client_assertion_type"),
        "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    );
    assert!(form.iter().all(|(name, _)| name != "client_secret"));
}

#[test]
fn an_assertion_is_signed_and_says_who_for_whom_and_how_long() {
    let form = form(&asked(&signed_by(&data("client.pem"), &data("client.key"))));
    let jwt = member(&form, "client_assertion");
    let (signed, signature) = jwt.rsplit_once('.').unwrap();

    let key = PrivateKeyDer::from_pem_file(data("client.key")).unwrap();
    let key = ring::rsa::KeyPair::from_pkcs8(key.secret_der()).unwrap();
    let public = UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, key.public());
    public.verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();

    let part = |text: &str| -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
    };
    let (header, claims) = signed.split_once('.').unwrap();
    // openssl x509 -in tests/data/client.pem -outform der | openssl dgst -sha256 -binary | basenc --base64url
    let thumbprint = "nQGGPhnLzpy3FTYSRVouRhfcbcG922zu2w-XcrJTuTU";
    assert_eq!(
        part(header),
        serde_json::json!({"alg": "PS256", "typ": "JWT", "x5t#S256": thumbprint})
    );
    let mut claims = part(claims);
    let id = claims.as_object_mut().unwrap().remove("jti").unwrap();
    assert_eq!(id.as_str().unwrap().len(), 32);
    assert_eq!(
        claims,
        serde_json::json!({
            "aud": "https://login.example/t/token",
            "iss": "app",
            "sub": "app",
            "iat": 1_800_000_000,
            "nbf": 1_799_999_940,
            "exp": 1_800_000_600,
        })
    );
}

#[test]
fn a_key_may_be_in_the_certificates_file_and_in_either_format() {
    let read = |name: &str| std::fs::read_to_string(data(name)).unwrap();
    let (_dir, both) = file(&(read("client.key") + &read("other.pem") + &read("client.pem")));
    // PKCS#8 is PKCS#1 behind a header of 26 bytes.
    let pkcs8 = PrivateKeyDer::from_pem_file(data("client.key")).unwrap();
    let (_dir, pkcs1) = file(&pem("RSA PRIVATE KEY", &pkcs8.secret_der()[26..]));
    for (certificate, key) in [(&both, &both), (&data("client.pem"), &pkcs1)] {
        check(&signed_by(certificate, key)).unwrap();
    }
}

#[test]
fn a_certificate_or_key_that_cannot_sign_refuses_to_start() {
    let random = ring::rand::SystemRandom::new();
    let ec = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
    let (_dir, ec) = file(&pem("PRIVATE KEY", ec.as_ref()));
    let (_dir, locked) = file(&pem("ENCRYPTED PRIVATE KEY", b"locked"));
    let (_dir, nonsense) = file(&pem("PRIVATE KEY", b"hunter2"));
    let (certificate, key) = (data("client.pem"), data("client.key"));
    for (certificate, key, property, word) in [
        (&certificate, &ec, "certificate_key_file", "RSA key of 2048"),
        (&certificate, &locked, "certificate_key_file", "not encrypted"),
        (&certificate, &nonsense, "certificate_key_file", "RSA key of 2048"),
        (&certificate, &certificate, "certificate_key_file", "holds no key"),
        (&certificate, &data("other.key"), "certificate_key_file", "is not the key of"),
        (&key, &key, "certificate_file", "holds no certificate"),
    ] {
        let error = check(&signed_by(certificate, key)).unwrap_err();
        assert_eq!(error.property, property, "{error}");
        assert!(error.to_string().contains(word), "{error}");
    }
    assert!(check(&Login::Fixed(SecretSource::File(PathBuf::from("/no/such/file")))).is_ok());
}

#[test]
fn the_metadata_service_is_asked_for_the_resource() {
    let plain = Url::parse("http://169.254.169.254/token").unwrap();
    let queried = Url::parse("https://identity.example/token?api-version=2&a=b").unwrap();
    let scope = Audience::Scope("https://api.example/.default".to_owned());
    let resource = Audience::Resource("https://api.example".to_owned());
    for (token_url, client_id, audience, query) in [
        (&plain, None, &scope, "api-version=2018-02-01&resource=https:%2F%2Fapi.example"),
        (
            &plain,
            Some("app".to_owned()),
            &resource,
            "api-version=2018-02-01&resource=https:%2F%2Fapi.example&client_id=app",
        ),
        (&queried, None, &resource, "api-version=2&a=b&resource=https:%2F%2Fapi.example"),
    ] {
        let (token_url, audience) = (token_url.clone(), audience.clone());
        let oauth = OAuth { token_url, client_id, proof: Proof::Metadata, audience };
        let spec = asked(&Login::OAuth(oauth));
        assert_eq!(spec.url.query(), Some(query));
        assert_eq!(spec.method, Method::Get);
        assert_eq!(spec.headers, [("Metadata".to_owned(), "true".to_owned())]);
        assert!(spec.payload.is_none() && spec.credential.is_none());
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}

#[test]
fn files_of_a_databases_url_that_everybody_can_read_or_write_are_warned_of() {
    use std::os::unix::fs::PermissionsExt;

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "x").unwrap();
    for (parameter, mode, warned) in [
        ("password_file", 0o644, true),
        ("password_file", 0o640, false),
        ("passfile", 0o604, true),
        ("sslcert=/c&sslkey", 0o644, true),
        ("sslrootcert", 0o644, false),
        ("sslrootcert", 0o646, true),
    ] {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        let db = format!("postgresql://me@db.example/x?{parameter}={}", file.display());
        let plan = crate::config::load::plan(|name| match name {
            "api" => Some("okta_system_log".to_owned()),
            "domain" | "token" => Some("x.example".to_owned()),
            "db" => Some(db.clone()),
            _ => None,
        });
        let exposed = exposed(&plan.unwrap());
        assert_eq!(exposed.len(), usize::from(warned), "{parameter} {mode:o}: {exposed:?}");
        assert!(exposed.iter().all(|it| it.starts_with("property 'db'")), "{exposed:?}");
    }
}
