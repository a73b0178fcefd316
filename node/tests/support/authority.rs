//! A certificate authority, and a node's certificate from it.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use super::secret;

/// One that vouches for whatever it is asked to.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    /// Its certificate.
    pub(crate) file: PathBuf,
}

/// When a certificate was good.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Good {
    Now,
    LongAgo,
}

impl Authority {
    /// Leaves its certificate in the folder, under its name.
    pub(crate) fn new(folder: &Path, name: &str) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let file = folder.join(format!("{name}.pem"));
        fs::write(&file, issuer.pem()).unwrap();
        Self { issuer, file }
    }

    /// Vouches for a name, with a certificate and a key in the folder; they are what the section of a node's configuration
    /// names.
    pub(crate) fn certify(&self, folder: &Path, name: &str, good: Good) -> String {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        if good == Good::LongAgo {
            params.not_before = rcgen::date_time_ymd(2001, 1, 1);
            params.not_after = rcgen::date_time_ymd(2002, 1, 1);
        }
        let pair = KeyPair::generate().unwrap();
        let (cert, key) = (folder.join("node.crt"), folder.join("node.key"));
        fs::write(&cert, params.signed_by(&pair, &self.issuer).unwrap().pem()).unwrap();
        secret(&key, &pair.serialize_pem());
        format!("[tls]\ncert_file = \"{}\"\nkey_file = \"{}\"\n", cert.display(), key.display())
    }
}
