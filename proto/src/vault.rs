//! Vault records: the private part of an identity, sealed under a key that only the wallet can make again (docs/protocol.md,
//! "Identities and keys"; litepaper 5). What is inside is the client's business.

use prost::Message as _;

use crate::malformed::{Malformed, bounded, fixed};
use crate::wire;

/// The longest encoding.
pub const MAX_BYTES: usize = 64 * 1024;

/// A sealed private bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VaultRecord {
    /// Grows with every write.
    pub version: u64,
    /// Named in the text that the wallet signs to derive the key.
    pub salt: [u8; 32],
    /// XChaCha20-Poly1305.
    pub nonce: [u8; 24],
    /// Ciphertext and authenticator.
    pub sealed: Vec<u8>,
}

impl VaultRecord {
    /// The wire encoding, as it is published on the vault topic.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        wire::VaultRecord::from(self.clone()).encode_to_vec()
    }

    /// Reads the wire encoding.
    ///
    /// # Errors
    /// [`Malformed`] if the bytes are no vault record, or more than [`MAX_BYTES`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        bounded("vault record", bytes.len(), MAX_BYTES)?;
        wire::VaultRecord::decode(bytes)
            .map_err(|source| Malformed::Encoding { field: "vault record", source })?
            .try_into()
    }
}

impl TryFrom<wire::VaultRecord> for VaultRecord {
    type Error = Malformed;

    fn try_from(wire: wire::VaultRecord) -> Result<Self, Malformed> {
        let wire::VaultRecord { version, salt, nonce, sealed } = wire;
        if version == 0 {
            return Err(Malformed::OutOfRange { field: "version", got: 0 });
        }
        Ok(Self { version, salt: fixed("salt", &salt)?, nonce: fixed("nonce", &nonce)?, sealed })
    }
}

impl From<VaultRecord> for wire::VaultRecord {
    fn from(it: VaultRecord) -> Self {
        let VaultRecord { version, salt, nonce, sealed } = it;
        Self { version, salt: salt.to_vec(), nonce: nonce.to_vec(), sealed }
    }
}
