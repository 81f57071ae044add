//! A client assertion: a short-lived JWT that an application signs with its certificate's key.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{KeyPair, RSA_PSS_SHA256, RsaKeyPair};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use zeroize::Zeroizing;

use super::file;
use crate::api::request::without_query;
use crate::config::plan::OAuth;
use crate::config::{ConfigError, Secret};
use crate::model::Timestamp;

/// How long an assertion is good for, in seconds: it is used at once.
const LIFE_SECONDS: i64 = 600;

/// How many seconds the login service's clock may be behind ours.
const SKEW_SECONDS: i64 = 60;

const KEY: &str = "certificate_key_file";
const CERTIFICATE: &str = "certificate_file";

/// What signs assertions.
pub(super) struct Signer {
    /// SHA-256 of the certificate: how the service finds the key to verify with.
    thumbprint: String,
    key: RsaKeyPair,
}

impl Signer {
    /// Reads a certificate and its key, PEM both; they may be in one file.
    ///
    /// # Errors
    /// The property whose file will not do, and what was expected in it.
    pub(super) fn load(certificate: &Path, key: &Path) -> Result<Self, ConfigError> {
        let text = file::read(CERTIFICATE, certificate)?;
        let expected = "expected a PEM file with a certificate";
        let chain = CertificateDer::pem_slice_iter(text.as_bytes());
        let chain: Vec<_> = chain.collect::<Result<_, _>>().unwrap_or_default();
        if chain.is_empty() {
            let problem = format!("'{}' holds no certificate", certificate.display());
            return Err(ConfigError::new(CERTIFICATE, problem, expected));
        }
        let pair = read_key(key)?;
        // The certificate holds the public key in the very bytes that ring encodes it to. With a
        // chain, so the one is found that the key belongs to.
        let public = pair.public_key().as_ref();
        let own = chain.iter().find(|der| der.windows(public.len()).any(|part| part == public));
        let own = own.ok_or_else(|| {
            let problem =
                format!("'{}' is not the key of '{}'", key.display(), certificate.display());
            ConfigError::new(KEY, problem, "set the key that the certificate was made for")
        })?;
        let thumbprint = ring::digest::digest(&ring::digest::SHA256, own);
        Ok(Self { thumbprint: URL_SAFE_NO_PAD.encode(thumbprint), key: pair })
    }

    /// An assertion for one request.
    ///
    /// # Errors
    /// If the system gives no random bytes.
    pub(super) fn assertion(&self, oauth: &OAuth, now: Timestamp) -> Result<Secret, ConfigError> {
        let random = SystemRandom::new();
        let no_signature = |_| {
            ConfigError::new(KEY, "cannot sign: no random bytes", "check the system's randomness")
        };
        let mut id = [0_u8; 16];
        random.fill(&mut id).map_err(no_signature)?;
        let (client_id, now) = (oauth.client_id.as_deref().unwrap_or_default(), now.as_secs());
        let header = json!({"alg": "PS256", "typ": "JWT", "x5t#S256": self.thumbprint});
        let claims = json!({
            "aud": without_query(&oauth.token_url),
            "iss": client_id,
            "sub": client_id,
            "jti": format!("{:032x}", u128::from_be_bytes(id)),
            "iat": now,
            "nbf": now - SKEW_SECONDS,
            "exp": now + LIFE_SECONDS,
        });
        let encode = |part: serde_json::Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let signed = format!("{}.{}", encode(header), encode(claims));
        let mut signature = vec![0; self.key.public().modulus_len()];
        let done = self.key.sign(&RSA_PSS_SHA256, &random, signed.as_bytes(), &mut signature);
        done.map_err(no_signature)?;
        Ok(Secret::new(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))))
    }
}

/// An RSA key, PKCS#8 or PKCS#1. Nothing of what it holds is in an error.
fn read_key(path: &Path) -> Result<RsaKeyPair, ConfigError> {
    let text = file::read(KEY, path)?;
    let bad = |problem: &str| {
        let expected = "expected a PEM file with an RSA key of 2048 to 4096 bits, not encrypted";
        ConfigError::new(KEY, format!("'{}' {problem}", path.display()), expected)
    };
    let key = PrivateKeyDer::from_pem_slice(text.as_bytes()).map(Zeroizing::new);
    let key = key.map_err(|_| bad("holds no key that can be read"))?;
    let pair = match &*key {
        PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
        PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
        _ => return Err(bad("holds a key of another kind")),
    };
    pair.map_err(|error| bad(&format!("holds a key that will not do ({error})")))
}
