//! Each way to authenticate: accepted by a service that verifies it, refused when it is wrong, never seen.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::signature::{RSA_PSS_SHA256, RsaKeyPair};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use serde_json::json;

use crate::bench::{Bench, SECRET, history, with};
use crate::embedded::InputSpec;
use crate::faults::holds_token;
use crate::simulate::{Certificate, Options};

const TOKEN: &str = "an-api-token-that-nobody-may-see";
const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data");

fn certificate(name: &str) -> Option<Certificate> {
    let pem = std::fs::read(format!("{DATA}/{name}.pem")).unwrap();
    Some(Certificate::from_pem(&pem).unwrap())
}

fn bench() -> Bench {
    Bench::tuned(history(50), |options: &mut Options| {
        options.login.api_token = TOKEN.to_owned();
        options.login.certificate = certificate("client");
        options.login.federated_certificate = certificate("other");
        options.login.identity_client_id = Some("user-assigned".to_owned());
    })
}

/// The bench's input without its secret.
fn input(bench: &Bench) -> InputSpec {
    let mut input = bench.input("in");
    input.properties.retain(|(name, _)| name != "client_secret");
    input
}

/// A token of the other issuer, about a workload.
fn federated_token(audience: &str) -> String {
    let now = jiff::Timestamp::now().as_second();
    let claims = json!({
        "iss": "https://issuer.example", "sub": "system:serviceaccount:logs:fluent-bit",
        "aud": audience, "iat": now, "nbf": now, "exp": now + 600,
    });
    let part = |value: serde_json::Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(json!({"alg": "PS256", "typ": "JWT"})), part(claims));
    let key = PrivateKeyDer::from_pem_file(format!("{DATA}/other.key")).unwrap();
    let key = RsaKeyPair::from_pkcs8(key.secret_der()).unwrap();
    let mut signature = vec![0; key.public().modulus_len()];
    let rng = ring::rand::SystemRandom::new();
    key.sign(&RSA_PSS_SHA256, &rng, signed.as_bytes(), &mut signature).unwrap();
    format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

/// Delivers the history, and says by what the login service was convinced.
fn convinced_by(bench: &Bench, input: InputSpec) -> Vec<&'static str> {
    let host = bench.start(vec![input]);
    bench.finish(host, "in");
    bench.simulator.stats().tokens_by_proof.into_keys().collect()
}

#[test]
fn a_certificate_signs_an_assertion_that_the_service_verifies() {
    let bench = bench();
    let input = input(&bench).set("certificate_file", format!("{DATA}/client.pem"));
    let input = input.set("certificate_key_file", format!("{DATA}/client.key"));
    assert_eq!(convinced_by(&bench, input), ["certificate"]);
}

#[test]
fn a_certificate_that_is_not_registered_is_refused_and_reported() {
    let bench = bench();
    let input = input(&bench).set("certificate_file", format!("{DATA}/other.pem"));
    let input = input.set("certificate_key_file", format!("{DATA}/other.key"));
    let host = bench.start(vec![input]);
    bench.wait(&host, "the refusal", || bench.has_health("auth_failed"));
    assert!(bench.has_logged("invalid_client"), "{:#?}", bench.log());
    bench.stop(host);
    assert_eq!(bench.simulator.stats().tokens_issued, 0);
}

#[test]
fn a_federated_token_is_the_assertion_and_a_new_one_is_read_from_the_file() {
    let bench = bench();
    let file = bench.write("token", &federated_token("someone else"));
    let host = bench.start(vec![input(&bench).set("federated_token_file", &file)]);
    bench.wait(&host, "the refusal", || bench.has_health("auth_failed"));
    bench.write("token", &federated_token("api://AzureADTokenExchange"));
    bench.finish(host, "in");
    let proofs = bench.simulator.stats().tokens_by_proof;
    assert_eq!(proofs.into_keys().collect::<Vec<_>>(), ["federated"]);
    assert!(bench.has_health("auth_recovered"));
}

#[test]
fn the_machines_identity_and_one_that_the_user_assigned_give_tokens() {
    for client_id in [None, Some("user-assigned")] {
        let bench = bench();
        let url = format!("{}/metadata/identity/oauth2/token", bench.simulator.url());
        let mut input = with(input(&bench), "token_url", url).set("managed_identity", "on");
        input.properties.retain(|(name, _)| name != "client_id");
        if let Some(client_id) = client_id {
            input = input.set("client_id", client_id);
        }
        assert_eq!(convinced_by(&bench, input), ["managed_identity"]);
    }
}

/// An API that insists on one way to show a token.
fn acme(bench: &Bench, kind: &str, auth: &str) -> InputSpec {
    let definition = format!(
        "
name: acme
title: Acme
base_url: https://api.acme.example
auth: {auth}
request: {{path: /acme/link/events, query: {{from: '{{from}}', to: '{{to}}', auth: {kind}}}}}
records: /data/items
id: /id
time: /at
next: {{link: /links/next}}
limits: {{page: 100, range: 24h, reach: 30d, requests_per_minute: 1000}}
window: 20m
"
    );
    let mut input = with(input(bench), "api", bench.write(&format!("{kind}.yaml"), &definition));
    input.properties.retain(|(name, _)| !["tenant", "client_id", "token_url"].contains(&&**name));
    input
}

const KINDS: [(&str, &str); 4] = [
    ("bearer", "{kind: bearer}"),
    ("header", "{kind: header, name: X-Api-Key}"),
    ("query", "{kind: query, name: api_key}"),
    ("basic", "{kind: basic}"),
];

#[test]
fn a_fixed_token_is_sent_as_the_definition_says_from_the_config_or_a_file() {
    for (kind, auth) in KINDS {
        let bench = bench();
        let input = acme(&bench, kind, auth);
        let token = if kind == "basic" { format!("simulator:{TOKEN}") } else { TOKEN.to_owned() };
        let from_file = input.clone().set("token_file", bench.write("token", &token));
        let host = bench.start(vec![from_file]);
        bench.finish(host, "in");
        let again = with(input.set("token", token), "source", "again");
        let host = bench.start(vec![with(again, "start", "1h")]);
        bench.wait(&host, "the same once more", || bench.count("in") == 100);
        bench.stop(host);
    }
}

#[test]
fn a_file_that_everybody_can_read_or_write_is_warned_of() {
    use std::os::unix::fs::PermissionsExt;
    let from = |name: &str| std::fs::read_to_string(format!("{DATA}/{name}")).unwrap();
    let files = [
        ("token_file", TOKEN.to_owned()),
        ("client_secret_file", SECRET.to_owned()),
        ("certificate_file", from("client.pem") + &from("client.key")),
        ("certificate_key_file", from("client.key")),
        ("federated_token_file", federated_token("api://AzureADTokenExchange")),
        ("tls_client_key_file", from("tls/server.key")),
        ("api", from("../../conf/apis/entra_signins.yaml")),
    ];
    let of_secrets = [(0o644, "read"), (0o642, "written"), (0o640, ""), (0o600, "")];
    let of_definitions = [(0o644, ""), (0o646, "written")];
    for (property, text) in files {
        let of_this = if property == "api" { &of_definitions[..] } else { &of_secrets };
        for (mode, verb) in of_this {
            let bench = bench();
            let file = bench.write("definition.yaml", &text);
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(*mode)).unwrap();
            let input = match property {
                "token_file" => acme(&bench, "bearer", "{kind: bearer}"),
                "certificate_key_file" => {
                    input(&bench).set("certificate_file", format!("{DATA}/client.pem"))
                }
                "tls_client_key_file" => bench
                    .input("in")
                    .set("tls_client_cert_file", format!("{DATA}/tls/tls-client.pem")),
                "api" => bench.input("in"),
                _ => input(&bench),
            };
            let host = bench.start(vec![with(input, property, &file)]);
            bench.stop(host);
            let warned = format!("property '{property}': '{file}' can be {verb} by everybody");
            let is_warned = bench.has_logged(&warned);
            assert_eq!(is_warned, !verb.is_empty(), "{property} {mode:o}: {:#?}", bench.log());
        }
    }
}

#[test]
fn basic_takes_a_name_and_a_password_as_well() {
    let bench = bench();
    let input = acme(&bench, "basic", "{kind: basic}");
    let host = bench.start(vec![input.set("client_id", "simulator").set("client_secret", TOKEN)]);
    bench.finish(host, "in");
}

#[test]
fn a_token_that_is_refused_raises_auth_failed() {
    for (kind, auth) in KINDS {
        let bench = bench();
        let host = bench.start(vec![acme(&bench, kind, auth).set("token", "simulator:wrong")]);
        bench.wait(&host, "the refusal", || bench.has_health("auth_failed"));
        bench.stop(host);
    }
}

/// Every way to authenticate: its name, its input, and what of it nobody may see.
fn ways(bench: &Bench) -> Vec<(String, InputSpec, Vec<String>)> {
    let mut ways = Vec::new();
    for (kind, auth) in KINDS {
        let pair = format!("simulator:{TOKEN}");
        let encoded = base64::prelude::BASE64_STANDARD.encode(&pair);
        let token = if kind == "basic" { pair } else { TOKEN.to_owned() };
        let input = acme(bench, kind, auth).set("token", token);
        ways.push((kind.to_owned(), input, vec![TOKEN.to_owned(), encoded]));
    }
    let prefixed = with(input(bench), "api", "okta_system_log").set("token", TOKEN);
    let app = ["tenant", "client_id", "token_url"];
    let prefixed = app.iter().fold(prefixed, |mut input, app| {
        input.properties.retain(|(name, _)| name != app);
        input
    });
    ways.push(("header with a prefix".to_owned(), prefixed, vec![TOKEN.to_owned()]));
    let small = || with(input(bench), "api", bench.path("small_pages.yaml").display());
    ways.push(("secret".to_owned(), small().set("client_secret", SECRET), vec![SECRET.to_owned()]));
    let key = std::fs::read_to_string(format!("{DATA}/client.key")).unwrap();
    let signed = small().set("certificate_file", format!("{DATA}/client.pem"));
    let signed = signed.set("certificate_key_file", format!("{DATA}/client.key"));
    let lines = key.lines().skip(1).take(5).map(str::to_owned);
    ways.push(("certificate".to_owned(), signed, lines.collect()));
    let token = federated_token("api://AzureADTokenExchange");
    let federated = small().set("federated_token_file", bench.write("federated", &token));
    ways.push(("federated".to_owned(), federated, vec![token]));
    let metadata = format!("{}/metadata/identity/oauth2/token", bench.simulator.url());
    let mut managed = with(small(), "token_url", metadata).set("managed_identity", "on");
    managed.properties.retain(|(name, _)| name != "client_id");
    ways.push(("managed identity".to_owned(), managed, Vec::new()));
    ways
}

/// What every assertion of ours begins with.
const ASSERTION: &str = "eyJhbGciOiJQUzI1Ni";

#[test]
fn no_credential_appears_in_anything_that_comes_out() {
    let count = ways(&bench()).len();
    for way in 0..count {
        let bench = bench();
        let (name, input, mut secrets) = ways(&bench).swap_remove(way);
        secrets.push(ASSERTION.to_owned());
        bench.faults(json!({"error": 0.3, "reset": 0.2, "expire_link": 0.3}));
        let host = bench.start(vec![input]);
        bench.wait(&host, "a failure", || bench.has_health("fetch_failed"));
        bench.faults(json!({"error": 0, "reset": 0, "expire_link": 0}));
        bench.wait_for_all(&host, "in");
        bench.assert_exact("in");
        for (place, bytes) in bench.everything_shown(host) {
            for secret in &secrets {
                let found = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
                assert!(!found, "{name}: the credential stands in {place}");
            }
            assert!(!holds_token(&String::from_utf8_lossy(&bytes)), "{name}: a token in {place}");
        }
    }
}
