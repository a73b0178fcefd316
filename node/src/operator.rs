//! The operator's key, which signs postmarks; and how keys are read.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use alloy::primitives::Address;
use alloy::signers::local::PrivateKeySigner;
use secp256k1::{Message, Secp256k1, SecretKey, SignOnly};
use xmtp_proto::derive::NetworkId;
use xmtp_proto::postmark::{Postmark, SignedPostmark};
use zeroize::Zeroizing;

use crate::secret_file;

/// What the parity of a recovery id counts from (docs/protocol.md, "Envelopes": v is 27 or 28).
const V: u8 = 27;

/// Who answers for this node, in one network. Holds the signing key: no `Debug`.
#[derive(Clone)]
pub struct Operator {
    key: Arc<Key>,
    address: Address,
    network: NetworkId,
}

/// Every submission that is accepted costs a signature, so it is libsecp256k1's, which needs a third of the time of that in
/// alloy's signer.
struct Key {
    secret: SecretKey,
    context: Secp256k1<SignOnly>,
}

impl Drop for Key {
    fn drop(&mut self) {
        self.secret.non_secure_erase();
    }
}

impl Operator {
    /// An operator with its secp256k1 key.
    #[must_use]
    pub fn new(key: PrivateKeySigner, network: NetworkId) -> Self {
        let address = key.address();
        let bytes = Zeroizing::new(<[u8; 32]>::from(key.credential().to_bytes()));
        // Both libraries take the numbers from 1 to the order of the group.
        #[allow(clippy::expect_used)]
        let secret = SecretKey::from_byte_array(*bytes).expect("a key of one library is one of the other");
        let mut context = Secp256k1::signing_only();
        // Blinds what the secret is multiplied with against who can watch the processor.
        context.seeded_randomize(&rand::random());
        Self { key: Arc::new(Key { secret, context }), address, network }
    }

    /// The address that postmarks name.
    #[must_use]
    pub const fn address(&self) -> Address {
        self.address
    }

    /// The network it serves.
    #[must_use]
    pub const fn network(&self) -> NetworkId {
        self.network
    }

    /// Signs a postmark (EIP-712), with a nonce as of RFC 6979 and a low s.
    pub(crate) fn sign(&self, postmark: Postmark) -> SignedPostmark {
        let Key { secret, context } = &*self.key;
        let hash = Message::from_digest(postmark.signing_hash().0);
        let (recovery, compact) = context.sign_ecdsa_recoverable(hash, secret).serialize_compact();
        let mut signature = [0; 65];
        signature[..64].copy_from_slice(&compact);
        signature[64] = V + (i32::from(recovery) & 1) as u8;
        SignedPostmark { postmark, signature }
    }
}

/// Reads a key from its Web3 Secret Storage file. That and its password's are nobody else's to read.
///
/// # Errors
/// Which file is wrong, and what is wrong with it.
pub(crate) fn key(key_file: &Path, password_file: &Path) -> Result<PrivateKeySigner, (PathBuf, String)> {
    for path in [key_file, password_file] {
        let exposed = secret_file::exposed(path).map_err(|error| (path.to_owned(), error.to_string()))?;
        if let Some(exposed) = exposed {
            return Err((path.to_owned(), exposed.to_string()));
        }
    }
    let password = std::fs::read_to_string(password_file);
    let password = Zeroizing::new(password.map_err(|error| (password_file.to_owned(), error.to_string()))?);
    let failed = |reason: String| (key_file.to_owned(), reason);
    let key = eth_keystore::decrypt_key(key_file, password.lines().next().unwrap_or_default())
        .map_err(|error| failed(error.to_string()))?;
    PrivateKeySigner::from_slice(&Zeroizing::new(key)).map_err(|error| failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use alloy::primitives::B256;
    use alloy::signers::SignerSync as _;
    use xmtp_proto::derive::EnvelopeId;
    use xmtp_proto::postmark::Cursor;
    use xmtp_proto::time::Timestamp;

    use super::*;

    #[test]
    fn postmark_is_signed_as_alloy_signs_and_names_its_signer() {
        for key in 1..=8 {
            let key = PrivateKeySigner::from_slice(&[key; 32]).unwrap();
            let operator = Operator::new(key.clone(), NetworkId(B256::repeat_byte(7)));
            for cursor in 1..=32 {
                let postmark = Postmark {
                    network: operator.network(),
                    operator: key.address(),
                    cursor: Cursor(cursor),
                    envelope: EnvelopeId(B256::repeat_byte(9)),
                    accepted_at: Timestamp::from_secs(1),
                    cancelled: B256::ZERO,
                };
                let signed = operator.sign(postmark);
                assert_eq!(signed.signature, key.sign_hash_sync(&postmark.signing_hash()).unwrap().as_bytes());
                signed.verify().unwrap();
            }
        }
    }
}
