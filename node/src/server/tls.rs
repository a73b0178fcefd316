//! TLS 1.2 and 1.3 from PEM files, with HTTP/2 and HTTP/1.1 by ALPN (RFC 7301).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::config::TlsConfig;
use crate::secret_file::{self, Exposed};

/// A certificate or key that cannot be used. The operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// It is not there, may not be read, or is no PEM.
    #[error("{path}: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::pki_types::pem::Error,
    },
    /// Others can read the key.
    #[error("{path} {exposed}")]
    Exposed {
        /// Its file.
        path: PathBuf,
        /// Its mode.
        exposed: Exposed,
    },
    /// There is no certificate in it.
    #[error("{0}: no certificate in it")]
    Empty(PathBuf),
    /// The key is not the certificate's, or of a kind that TLS does not know.
    #[error("{cert} and {key}: {source}")]
    Pair {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's.
        key: PathBuf,
        /// What is wrong with them.
        source: rustls::Error,
    },
}

/// Reads and checks what a configuration names.
pub(crate) fn acceptor(config: &TlsConfig) -> Result<TlsAcceptor, TlsError> {
    let TlsConfig { cert_file, key_file } = config;
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| TlsError::File { path, source }
    };
    let certificates = CertificateDer::pem_file_iter(cert_file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(failed(cert_file))?;
    if certificates.is_empty() {
        return Err(TlsError::Empty(cert_file.clone()));
    }
    // What cannot be looked at cannot be read either.
    if let Ok(Some(exposed)) = secret_file::exposed(key_file) {
        return Err(TlsError::Exposed { path: key_file.clone(), exposed });
    }
    let key = PrivateKeyDer::from_pem_file(key_file).map_err(failed(key_file))?;
    let pair = |source| TlsError::Pair { cert: cert_file.clone(), key: key_file.clone(), source };
    let mut server = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(pair)?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .map_err(pair)?;
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(server)))
}
