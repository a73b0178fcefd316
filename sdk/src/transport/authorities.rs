//! Certificate authorities: on whose word a node's name is believed where it speaks TLS (RFC 8446, RFC 5280).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tonic::transport::ClientTlsConfig;

/// For the handshake: behind a proxy it has the time that the proxy has.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);

/// Who vouches for a node's name: those that this system trusts, or those of a file, and then nobody else.
#[derive(Clone, Debug, Default)]
pub struct Authorities(Option<Arc<RootCertStore>>);

/// A file that names no authorities. The user's to mend.
#[derive(Debug, thiserror::Error)]
pub enum InvalidAuthorities {
    /// It is not there, may not be read, or is no PEM.
    #[error("{path}: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::pki_types::pem::Error,
    },
    /// There is no certificate in it.
    #[error("{0}: no certificate in it")]
    Empty(PathBuf),
    /// What it has is not a certificate of X.509.
    #[error("{path}: {source}")]
    Certificate {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::Error,
    },
}

impl Authorities {
    /// Those whose certificates are in a PEM file, as a private network has them.
    ///
    /// # Errors
    /// [`InvalidAuthorities`].
    pub fn read(file: &Path) -> Result<Self, InvalidAuthorities> {
        let failed = |source| InvalidAuthorities::File { path: file.to_owned(), source };
        let mut store = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(file).map_err(failed)? {
            let wrong = |source| InvalidAuthorities::Certificate { path: file.to_owned(), source };
            store.add(certificate.map_err(failed)?).map_err(wrong)?;
        }
        if store.is_empty() {
            return Err(InvalidAuthorities::Empty(file.to_owned()));
        }
        Ok(Self(Some(Arc::new(store))))
    }

    /// TLS that believes them; none if the system trusts nobody.
    pub(super) fn tls(&self) -> Option<ClientTlsConfig> {
        let store = match &self.0 {
            Some(store) => Arc::clone(store),
            None => {
                let mut store = RootCertStore::empty();
                store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                Arc::new(store)
            }
        };
        let roots = store.roots.iter().cloned();
        (!store.is_empty()).then(|| ClientTlsConfig::new().trust_anchors(roots).timeout(HANDSHAKE_TIMEOUT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_without_authorities_is_named_with_what_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        assert!(matches!(Authorities::read(&file), Err(InvalidAuthorities::File { .. })), "not there");
        for (text, expected) in [
            ("", "no certificate in it"),
            ("not a certificate", "no certificate in it"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "certificate"),
            ("-----BEGIN CERTIFICATE-----\n%\n-----END CERTIFICATE-----\n", "base64"),
        ] {
            std::fs::write(&file, text).unwrap();
            let error = Authorities::read(&file).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{}: ", file.display())), "{error}");
            assert!(error.contains(expected), "{text:?}: {error}");
        }
    }
}
