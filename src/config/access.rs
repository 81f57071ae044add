//! How an instance proves who it is: which of the ways that there are, and that it is one only.

use std::path::PathBuf;

use url::Url;

use super::hosts::Hosts;
use super::plan::{Access, Login, OAuth, Proof, SecretSource};
use super::property::{parsed, required};
use super::{ConfigError, Raw, Secret, units};
use crate::api::definition::{Auth, Definition};
use crate::api::origin::{self, Origin};
use crate::api::request::Placement;

/// Where a machine's metadata service gives tokens. The address is link-local: a request to it does
/// not leave the machine's host, so plain http does no harm there, and nowhere else but on loopback.
const METADATA: &str = "http://169.254.169.254/metadata/identity/oauth2/token";

/// What an application proves itself with. Not its name and the login service's address: these prove
/// nothing, and may well stand in a config without being used.
const APPLICATION: [&str; 6] = [
    "client_secret",
    "client_secret_file",
    "certificate_file",
    "certificate_key_file",
    "federated_token_file",
    "managed_identity",
];

/// A credential that is sent as it is.
const TOKEN: [&str; 2] = ["token", "token_file"];

const AUTHORIZATION: &str = "Authorization";

/// How to prove who asks; nothing if the API wants no proof.
pub(super) fn access(
    raw: &Raw,
    definition: &Definition,
    hosts: &Hosts<'_>,
) -> Result<Option<Access>, ConfigError> {
    let header = |name: &str| Placement::Header(name.to_owned());
    let (place, prefix, login) = match &definition.auth {
        Auth::None => return Ok(None),
        Auth::Bearer => (header(AUTHORIZATION), "Bearer ", fixed(raw, definition)?),
        Auth::Header { name, prefix } => (header(name), prefix.as_str(), fixed(raw, definition)?),
        Auth::Query { name } => (Placement::Query(name.clone()), "", fixed(raw, definition)?),
        Auth::Basic => (header(AUTHORIZATION), "Basic ", basic(raw, definition)?),
        Auth::OAuth2 { token_url, audience } => {
            refuse_others(raw, definition, &APPLICATION, "an application's credentials")?;
            let proof = proof(raw)?;
            let managed = matches!(proof, Proof::Metadata);
            let login = OAuth {
                token_url: match managed {
                    true => metadata_url(raw)?,
                    false => hosts.token_url(token_url)?,
                },
                client_id: match managed {
                    true => raw.get("client_id").map(str::to_owned),
                    false => Some(client_id(raw)?.to_owned()),
                },
                proof,
                audience: hosts.audience(audience),
            };
            (header(AUTHORIZATION), "Bearer ", Login::OAuth(login))
        }
    };
    Ok(Some(Access { place, prefix: prefix.to_owned(), login }))
}

/// A token that is sent as it is.
fn fixed(raw: &Raw, definition: &Definition) -> Result<Login, ConfigError> {
    refuse_others(raw, definition, &TOKEN, "token or token_file")?;
    one_of(raw, &TOKEN)?;
    let source = secret(raw, "token", "token_file");
    if let SecretSource::Value(token) = &source
        && !token.is_printable()
    {
        let problem = "holds a character that cannot stand in a header";
        return Err(ConfigError::new("token", problem, "set printable ASCII"));
    }
    Ok(Login::Fixed(source))
}

/// A user and a password, together or apart.
fn basic(raw: &Raw, definition: &Definition) -> Result<Login, ConfigError> {
    let wants = "client_id with client_secret or client_secret_file, or a token or token_file that holds user:password";
    let ways = ["token", "token_file", "client_secret", "client_secret_file"];
    let way = one_of(raw, &ways)?;
    let apart = way.starts_with("client_secret");
    refuse_others(raw, definition, &[way], wants)?;
    if apart {
        let user = client_id(raw)?;
        if user.contains(':') {
            let problem = "holds a colon, which a user's name in HTTP basic has not";
            return Err(ConfigError::new("client_id", problem, "set the name alone"));
        }
        let secret = secret(raw, "client_secret", "client_secret_file");
        return Ok(Login::Basic { user: Some(user.to_owned()), secret });
    }
    let secret = secret(raw, "token", "token_file");
    if let SecretSource::Value(token) = &secret
        && !token.expose().contains(':')
    {
        return Err(ConfigError::new("token", "has no colon", "set user:password"));
    }
    Ok(Login::Basic { user: None, secret })
}

/// The one way in which the application proves itself to the login service.
fn proof(raw: &Raw) -> Result<Proof, ConfigError> {
    let file = |name| raw.get(name).map(PathBuf::from);
    let certificate = file("certificate_file");
    if certificate.is_none() && raw.get("certificate_key_file").is_some() {
        let problem = "is missing, though certificate_key_file is set";
        return Err(ConfigError::new("certificate_file", problem, "set both, or neither"));
    }
    one_of(
        raw,
        &[
            "client_secret",
            "client_secret_file",
            "certificate_file",
            "federated_token_file",
            "managed_identity",
        ],
    )?;
    Ok(match (certificate, file("federated_token_file")) {
        _ if is_set(raw, "managed_identity")? => Proof::Metadata,
        (Some(certificate), _) => {
            let key = file("certificate_key_file").unwrap_or_else(|| certificate.clone());
            Proof::Certificate { certificate, key }
        }
        (None, Some(token)) => Proof::Federated(token),
        (None, None) => Proof::Secret(secret(raw, "client_secret", "client_secret_file")),
    })
}

fn metadata_url(raw: &Raw) -> Result<Url, ConfigError> {
    let text = raw.get("token_url").unwrap_or(METADATA);
    let own = Url::parse(METADATA).ok().as_ref().and_then(Origin::of);
    match Url::parse(text) {
        Ok(url) if Origin::of(&url) == own => Ok(url),
        _ => origin::endpoint(text).map_err(|problem| {
            let mend = "remove it, or set an https URL, or an http one to a loopback address";
            ConfigError::new("token_url", problem, mend)
        }),
    }
}

fn client_id(raw: &Raw) -> Result<&str, ConfigError> {
    required(raw, "client_id", "set the application's id")
}

/// Either of two properties; one of them is set.
fn secret(raw: &Raw, value: &str, file: &str) -> SecretSource {
    match raw.get(file) {
        Some(path) => SecretSource::File(PathBuf::from(path)),
        None => SecretSource::Value(Secret::new(raw.get(value).unwrap_or_default().to_owned())),
    }
}

fn is_set(raw: &Raw, name: &str) -> Result<bool, ConfigError> {
    match name {
        "managed_identity" => parsed(raw, name, units::switch),
        _ => Ok(raw.get(name).is_some()),
    }
}

/// The one of several properties that is set.
fn one_of<'n>(raw: &Raw, names: &[&'n str]) -> Result<&'n str, ConfigError> {
    let mut found: Option<&'n str> = None;
    for name in names {
        if !is_set(raw, name)? {
            continue;
        }
        if let Some(first) = found {
            let problem = format!("two ways to authenticate are set, {first} and {name}");
            return Err(ConfigError::new(first, problem, "remove one of them"));
        }
        found = Some(name);
    }
    let mend = || format!("set {}", names.join(", or "));
    found.ok_or_else(|| ConfigError::new(names[0], "is missing", mend()))
}

/// Refuses credentials that would go nowhere: their owner believes that they are in use.
fn refuse_others(
    raw: &Raw,
    definition: &Definition,
    used: &[&str],
    wants: &str,
) -> Result<(), ConfigError> {
    for name in APPLICATION.into_iter().chain(TOKEN).filter(|name| !used.contains(name)) {
        if is_set(raw, name)? {
            let problem = format!("is set, but the definition '{}' wants {wants}", definition.name);
            return Err(ConfigError::new(name, problem, "remove it"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OAUTH: &str =
        "kind: oauth2, token_url: 'https://login.example/{tenant}/token?v=1', scope: s";

    fn definition(auth: &str) -> Definition {
        let yaml = format!(
            "
name: acme
title: Acme
base_url: https://api.example
auth: {{{auth}}}
request: {{path: /events}}
records: ''
id: /id
time: /t
limits: {{page: 1, range: 1h, reach: 1d, requests_per_minute: 1}}
window: 1h
"
        );
        Definition::parse(&yaml).unwrap()
    }

    fn tried(definition: &Definition, set: &[(&str, &str)]) -> Result<Option<Access>, ConfigError> {
        let mut raw = Raw::default();
        set.iter().for_each(|(name, value)| raw.set(name, value));
        let values = crate::config::values::collect(&raw, definition)?;
        let hosts = Hosts::choose(&raw, definition, &values)?;
        access(&raw, definition, &hosts)
    }

    #[test]
    fn each_way_puts_its_proof_where_the_definition_says() {
        let key = [("token", "hunter2")];
        let pair = [("token", "me:hunter2")];
        let apart = [("client_id", "me"), ("client_secret", "hunter2")];
        for (auth, set, expected) in [
            ("kind: bearer", &key[..], "Header(\"Authorization\") 'Bearer ' token ***"),
            (
                "kind: bearer",
                &[("token_file", "/t")],
                "Header(\"Authorization\") 'Bearer ' token /t",
            ),
            ("kind: header, name: X-Key", &key, "Header(\"X-Key\") '' token ***"),
            ("kind: header, name: A, prefix: 'SSWS '", &key, "Header(\"A\") 'SSWS ' token ***"),
            ("kind: query, name: k", &key, "Query(\"k\") '' token ***"),
            ("kind: basic", &pair, "Header(\"Authorization\") 'Basic ' basic ***"),
            ("kind: basic", &[("token_file", "/t")], "Header(\"Authorization\") 'Basic ' basic /t"),
            ("kind: basic", &apart, "Header(\"Authorization\") 'Basic ' basic 'me' ***"),
        ] {
            let access = tried(&definition(auth), set).unwrap().unwrap();
            let shown =
                format!("{:?} '{}' {}", access.place, access.prefix, access.login.summary());
            assert_eq!(shown, expected, "{auth} {set:?}");
            assert!(!format!("{access:?}").contains("hunter"), "{access:?}");
        }
        assert!(tried(&definition("kind: none"), &[]).unwrap().is_none());
    }

    #[test]
    fn an_application_proves_itself_in_one_of_five_ways() {
        let login = "https://login.example/t/token";
        let elsewhere = "https://identity.example/token";
        for (set, expected) in [
            (&[("client_secret", "hunter2")][..], format!("client 'app' at {login}, secret ***")),
            (&[("client_secret_file", "/s")], format!("client 'app' at {login}, secret /s")),
            (
                &[("certificate_file", "/c")],
                format!("client 'app' at {login}, certificate /c, key /c"),
            ),
            (
                &[("certificate_file", "/c"), ("certificate_key_file", "/k")],
                format!("client 'app' at {login}, certificate /c, key /k"),
            ),
            (
                &[("federated_token_file", "/f")],
                format!("client 'app' at {login}, federated by /f"),
            ),
            (
                &[("managed_identity", "on")],
                format!("client 'app' at {METADATA}, managed identity"),
            ),
            (
                &[("managed_identity", "on"), ("client_id", ""), ("tenant", "")],
                format!("client 'the machine itself' at {METADATA}, managed identity"),
            ),
            (
                &[("managed_identity", "yes"), ("token_url", elsewhere)],
                format!("client 'app' at {elsewhere}, managed identity"),
            ),
            (
                &[("managed_identity", "on"), ("token_url", "http://169.254.169.254/v2?a=b")],
                "client 'app' at http://169.254.169.254/v2, managed identity".to_owned(),
            ),
        ] {
            let all = [&[("client_id", "app"), ("tenant", "t")], set].concat();
            let access = tried(&definition(OAUTH), &all).unwrap().unwrap();
            assert_eq!(access.login.summary(), expected, "{set:?}");
            assert!(!format!("{access:?}").contains("hunter"), "{access:?}");
        }
    }

    #[test]
    fn what_proves_nothing_or_too_much_is_refused_by_name() {
        const WAYS: [(&str, &str); 5] = [
            ("client_secret", "hunter2"),
            ("client_secret_file", "/s"),
            ("certificate_file", "/c"),
            ("federated_token_file", "/f"),
            ("managed_identity", "on"),
        ];
        let app = [("client_id", "app"), ("tenant", "t")];
        let oauth = definition(OAUTH);
        for (i, first) in WAYS.iter().enumerate() {
            for second in &WAYS[i + 1..] {
                let error = tried(&oauth, &[&app[..], &[*first, *second]].concat()).unwrap_err();
                let expected = format!(
                    "property '{0}': two ways to authenticate are set, {0} and {1}; remove one of them",
                    first.0, second.0
                );
                assert_eq!(error.to_string(), expected);
            }
        }
        for (auth, set, property, word) in [
            (OAUTH, &app[..], "client_secret", "is missing"),
            (OAUTH, &[WAYS[0], ("tenant", "t")], "client_id", "is missing"),
            (OAUTH, &[WAYS[0], ("client_id", "app")], "tenant", "is missing"),
            (OAUTH, &[app[0], app[1], ("token", "hunter2")], "token", "application"),
            (OAUTH, &[app[0], app[1], ("certificate_key_file", "/k")], "certificate_file", "key"),
            (OAUTH, &[("managed_identity", "maybe")], "managed_identity", "'maybe'"),
            (
                OAUTH,
                &[WAYS[4], ("token_url", "http://169.254.169.253/x")],
                "token_url",
                "unencrypted",
            ),
            (
                OAUTH,
                &[WAYS[4], ("token_url", "http://169.254.169.254:81/x")],
                "token_url",
                "unencrypted",
            ),
            (
                OAUTH,
                &[app[0], WAYS[0], ("token_url", "http://169.254.169.254/x")],
                "token_url",
                "unencrypted",
            ),
            ("kind: bearer", &[], "token", "token_file"),
            ("kind: bearer", &[("token", "a"), ("token_file", "/t")], "token", "two ways"),
            ("kind: bearer", &[("token", "a"), WAYS[0]], "client_secret", "token_file"),
            ("kind: bearer", &[("token", "hunter\n2")], "token", "ASCII"),
            ("kind: query, name: k", &[("token", "hünter2")], "token", "ASCII"),
            ("kind: header, name: k", &[("client_secret", "hunter2")], "client_secret", "'acme'"),
            ("kind: basic", &[], "token", "client_secret"),
            ("kind: basic", &[("token", "hunter2")], "token", "user:password"),
            ("kind: basic", &[("token", "me:hunter2"), WAYS[0]], "token", "two ways"),
            ("kind: basic", &[WAYS[0]], "client_id", "is missing"),
            ("kind: basic", &[WAYS[0], ("client_id", "a:hunter2")], "client_id", "colon"),
            ("kind: basic", &[WAYS[2]], "token", "is missing"),
        ] {
            let error = tried(&definition(auth), set).unwrap_err();
            let shown = error.to_string();
            assert_eq!(error.property, property, "{auth} {set:?}: {shown}");
            assert!(shown.contains(word), "{auth} {set:?}: {shown}");
            assert!(!shown.contains("hunter") && !shown.contains("hünter"), "{shown}");
        }
    }

    #[test]
    fn what_proves_nothing_may_stand_unused() {
        let set = [("client_id", "app"), ("token_url", "https://login.example")];
        assert!(tried(&definition("kind: none"), &set).unwrap().is_none());
        let set = [&set[..], &[("token", "hunter2")]].concat();
        assert!(tried(&definition("kind: bearer"), &set).unwrap().is_some());
    }
}
