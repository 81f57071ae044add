//! How a source comes by its token: from its configuration, a file, or a login service. Reads files,
//! sends nothing: what is to be asked of whom is handed back.

mod answer;
mod assertion;
mod file;
mod form;
mod metadata;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

pub use answer::grant;

use crate::api::RequestSpec;
use crate::api::page::{Failure, FailureKind};
use crate::config::plan::{Login, OAuth, Proof, SecretSource};
use crate::config::{ConfigError, Db, Plan, Secret};
use crate::model::Timestamp;
use crate::poll::tokens::Grant;

/// A token in a file is read again this often, so that it can be exchanged.
const FILE_LIFE: Duration = Duration::from_secs(300);

/// A token in the configuration cannot change.
const VALUE_LIFE: Duration = Duration::from_secs(86_400);

/// How to go on to a token.
#[derive(Debug)]
pub enum Acquire {
    /// Here it is.
    Granted(Grant),
    /// Send this; [`grant`] finds the token in the answer.
    Ask {
        /// The request.
        spec: Box<RequestSpec>,
        /// The secret or assertion in it, if there is one.
        proof: Option<Secret>,
    },
}

/// Goes for a token as far as it can be done without the network.
///
/// # Errors
/// If a file cannot be read or does not hold what it should. It may pass: the file may come later.
/// Names the property and the path, never what the file holds.
pub fn acquire(login: &Login, now: Timestamp) -> Result<Acquire, Failure> {
    let acquired = match login {
        Login::Fixed(source) => fixed(source).map(|token| granted(token, source)),
        Login::Basic { user, secret } => {
            basic(user.as_deref(), secret).map(|token| granted(token, secret))
        }
        Login::OAuth(oauth) => ask(oauth, now),
    };
    acquired.map_err(|error| Failure {
        kind: FailureKind::Transient,
        status: 0,
        error: error.to_string(),
    })
}

/// Checks what never heals by itself: that a certificate and its key are there, fit each other, and
/// can sign. Files that hold a token or a secret may still come: without them, [`acquire`] fails.
///
/// # Errors
/// The property whose file will not do.
pub fn check(login: &Login) -> Result<(), ConfigError> {
    match login {
        Login::OAuth(OAuth { proof: Proof::Certificate { certificate, key }, .. }) => {
            assertion::Signer::load(certificate, key).map(drop)
        }
        Login::Fixed(_) | Login::Basic { .. } | Login::OAuth(_) => Ok(()),
    }
}

/// What others on this machine can do and should not: read or write a file with a secret, or write the
/// file that says where secrets are sent. The property, and what is wrong.
pub fn exposed(plan: &Plan) -> Vec<String> {
    let login = plan.access.as_ref().and_then(|access| exposed_login(&access.login));
    let tls = plan.http.tls_client.as_ref();
    let tls = tls.and_then(|(_, key)| file::exposed("tls_client_key_file", key));
    let authorities = plan.http.tls_ca_file.as_ref();
    let authorities = authorities.and_then(|path| file::writable("tls_ca_file", path));
    let definition = plan.definition_file.as_ref();
    let definition = definition.and_then(|path| file::writable("api", path));
    let first = [login, tls, authorities, definition].into_iter().flatten();
    first.chain(exposed_database(&plan.db)).collect()
}

fn exposed_database(db: &Db) -> Vec<String> {
    let Db::Shared(fleet) = db else { return Vec::new() };
    let database = &fleet.database;
    let key = database.client.as_ref().map(|(_, key)| key);
    let secrets = [database.password_file.as_ref(), database.passfile.as_ref(), key];
    let exposed = secrets.into_iter().flatten().filter_map(|path| file::exposed("db", path));
    let authorities = database.ca_file.as_ref();
    exposed.chain(authorities.and_then(|path| file::writable("db", path))).collect()
}

fn exposed_login(login: &Login) -> Option<String> {
    let source = |property, source: &SecretSource| match source {
        SecretSource::Value(_) => None,
        SecretSource::File(path) => file::exposed(property, path),
    };
    match login {
        Login::Fixed(secret) | Login::Basic { user: None, secret } => source("token_file", secret),
        Login::Basic { user: Some(_), secret } => source("client_secret_file", secret),
        Login::OAuth(oauth) => match &oauth.proof {
            Proof::Secret(secret) => source("client_secret_file", secret),
            Proof::Certificate { certificate, key } if certificate == key => {
                file::exposed("certificate_file", key)
            }
            Proof::Certificate { key, .. } => file::exposed("certificate_key_file", key),
            Proof::Federated(path) => file::exposed("federated_token_file", path),
            Proof::Metadata => None,
        },
    }
}

fn granted(token: Secret, source: &SecretSource) -> Acquire {
    let expires_in = match source {
        SecretSource::Value(_) => VALUE_LIFE,
        SecretSource::File(_) => FILE_LIFE,
    };
    Acquire::Granted(Grant { token, expires_in })
}

fn fixed(source: &SecretSource) -> Result<Secret, ConfigError> {
    let token = file::secret("token_file", source)?;
    if !token.is_printable() {
        let problem = format!("'{source}' holds a character that cannot stand in a header");
        return Err(ConfigError::new("token_file", problem, "leave printable ASCII in it"));
    }
    Ok(token)
}

fn basic(user: Option<&str>, source: &SecretSource) -> Result<Secret, ConfigError> {
    let pair = match user {
        Some(user) => {
            let password = file::secret("client_secret_file", source)?;
            Zeroizing::new(format!("{user}:{}", password.expose()))
        }
        None => {
            let pair = file::secret("token_file", source)?;
            if !pair.expose().contains(':') {
                let problem = format!("'{source}' holds no colon");
                return Err(ConfigError::new("token_file", problem, "put user:password into it"));
            }
            Zeroizing::new(pair.expose().to_owned())
        }
    };
    Ok(Secret::new(STANDARD.encode(pair.as_bytes())))
}

fn ask(oauth: &OAuth, now: Timestamp) -> Result<Acquire, ConfigError> {
    let (spec, proof) = match &oauth.proof {
        Proof::Secret(source) => {
            let secret = file::secret("client_secret_file", source)?;
            (form::with_secret(oauth, &secret), Some(secret))
        }
        Proof::Certificate { certificate, key } => {
            let assertion = assertion::Signer::load(certificate, key)?.assertion(oauth, now)?;
            (form::with_assertion(oauth, &assertion), Some(assertion))
        }
        Proof::Federated(path) => {
            let source = SecretSource::File(path.clone());
            let token = file::secret("federated_token_file", &source)?;
            (form::with_assertion(oauth, &token), Some(token))
        }
        Proof::Metadata => (metadata::request(oauth), None),
    };
    Ok(Acquire::Ask { spec: Box::new(spec), proof })
}

#[cfg(test)]
mod tests;
