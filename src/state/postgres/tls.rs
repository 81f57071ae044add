//! Who may be at the other end of a connection, by libpq's `sslmode`.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::DatabaseError;
use crate::config::database::{Database, Tls};

/// What makes a connection to this database an encrypted one; nothing if it is to be in clear text. Its files are read again for
/// each connection, so that they can be exchanged.
pub(super) fn connector(database: &Database) -> Result<Option<MakeRustlsConnect>, DatabaseError> {
    if database.tls == Tls::Disable {
        return Ok(None);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().map_err(unusable)?;
    let builder = match database.tls {
        Tls::VerifyFull => builder.with_root_certificates(roots(database)?),
        tls => {
            // As with libpq: who names an authority wants it to be asked.
            let asks = tls == Tls::VerifyCa || database.ca_file.is_some();
            let roots = asks.then(|| roots(database)).transpose()?;
            let verifier = Arc::new(AnyName { roots, provider });
            builder.dangerous().with_custom_certificate_verifier(verifier)
        }
    };
    let config = match &database.client {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = certificates(certificate)?;
            let key = PrivateKeyDer::from_pem_file(key).map_err(|error| no_use(key, error))?;
            builder.with_client_auth_cert(chain, key).map_err(unusable)?
        }
    };
    Ok(Some(MakeRustlsConnect::new(config)))
}

/// Whose word counts: the configured authorities, or else the system's.
fn roots(database: &Database) -> Result<RootCertStore, DatabaseError> {
    let mut roots = RootCertStore::empty();
    match &database.ca_file {
        Some(path) => {
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|error| no_use(path, error))?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if roots.is_empty() {
        let problem = "this system trusts no certificate authority";
        return Err(DatabaseError::new(problem, "set sslrootcert, or install ca-certificates"));
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, DatabaseError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let found: Vec<_> = read.map_err(|error| no_use(path, error))?;
    if found.is_empty() { Err(no_use(path, "it holds no PEM certificate")) } else { Ok(found) }
}

fn no_use(path: &Path, error: impl std::fmt::Display) -> DatabaseError {
    let problem = format!("'{}' is of no use: {error}", path.display());
    DatabaseError::new(problem, "set a PEM file that can be read")
}

fn unusable(error: Error) -> DatabaseError {
    DatabaseError::new(
        format!("TLS cannot be set up: {error}"),
        "see that sslcert and sslkey belong together",
    )
}

/// What to do about an error, if it is one of encryption.
pub(super) fn mend(error: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let io = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let tls = io.and_then(|inner| inner.downcast_ref::<Error>());
        if let Some(tls) = tls.or_else(|| error.downcast_ref::<Error>()) {
            return Some(mend_of(tls));
        }
        // The client has no kind of its own for it.
        if error.to_string() == "server does not support TLS" {
            return Some(
                "turn ssl on in the database's postgresql.conf; on this machine alone, sslmode=disable does without",
            );
        }
        cause = error.source();
    }
    None
}

fn mend_of(error: &Error) -> &'static str {
    use CertificateError::{
        Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet,
        NotValidYetContext, UnknownIssuer,
    };
    match error {
        Error::InvalidCertificate(UnknownIssuer) => {
            "set sslrootcert to the certificate of the authority that signed the database's (PEM)"
        }
        Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. }) => {
            "set the host in db to a name in the database's certificate; or set sslmode=verify-ca, if no other server has one of that authority's"
        }
        Error::InvalidCertificate(Expired | ExpiredContext { .. }) => {
            "renew the database's certificate, or set this machine's clock right"
        }
        Error::InvalidCertificate(NotValidYet | NotValidYetContext { .. }) => {
            "set this machine's clock right"
        }
        Error::InvalidCertificate(_) => {
            "give the database a certificate that an authority has signed, and set sslrootcert to that authority's (PEM)"
        }
        Error::AlertReceived(_) => "see that sslcert and sslkey are what the database asks for",
        _ => "see that the database speaks TLS 1.2 or newer",
    }
}

/// Asks for a certificate that an authority has signed, if there are any, for whatever name.
#[derive(Debug)]
struct AnyName {
    roots: Option<RootCertStore>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(roots) = &self.roots {
            let certificate = ParsedCertificate::try_from(certificate)?;
            let algorithms = self.provider.signature_verification_algorithms.all;
            verify_server_cert_signed_by_trust_anchor(
                &certificate,
                roots,
                intermediates,
                now,
                algorithms,
            )?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
