//! What the relay shows to who asks for a name.

use std::sync::Arc;

use tokio_rustls::TlsAcceptor;

/// The tests' own certificate for [`super::sources::NAME`].
pub(crate) fn acceptor() -> Result<TlsAcceptor, String> {
    use tokio_rustls::rustls::ServerConfig;
    use tokio_rustls::rustls::crypto::ring;
    use tokio_rustls::rustls::pki_types::pem::PemObject as _;
    use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

    const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tls");
    let make = || -> Result<ServerConfig, Box<dyn std::error::Error>> {
        let chain = CertificateDer::pem_file_iter(format!("{DATA}/elsewhere.pem"))?;
        let chain = chain.collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_file(format!("{DATA}/server.key"))?;
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions()?.with_no_client_auth();
        Ok(builder.with_single_cert(chain, key)?)
    };
    let config = make().map_err(|error| format!("the relay's certificate: {error}"))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
