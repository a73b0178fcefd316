//! Signatures with messaging keys: one function that signs, one that verifies (docs/protocol.md, "Identities and keys").
//!
//! Every signature is over `keccak256(label ‖ network id ‖ …)` with a label per kind, so that no signed thing can be read as
//! another. Ed25519 (RFC 8032) is verified strictly: no malleable encodings, no keys of small order.

use alloy_primitives::{Address, B256, Signature as EcdsaSignature};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

use crate::derive::{NetworkId, keccak};

/// What is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// A key bundle, by its identity key.
    Bundle,
    /// The keys of a bundle, named in the text that the wallet signs.
    Keys,
    /// A policy.
    Policy,
    /// An envelope on a topic of the signer's own.
    Owner,
    /// An envelope on a conversation topic.
    Posting,
    /// An opening of a conversation.
    Opening,
    /// A message inside an envelope.
    Message,
    /// A connection, by the recipient who vouches for it.
    Attestation,
    /// An envelope, by the holder of a connection.
    Connection,
    /// That a letter was read.
    Receipt,
    /// An envelope on a claim's topic, by an issuer (secp256k1).
    Issuer,
}

impl Label {
    const fn as_bytes(self) -> &'static [u8] {
        match self {
            Self::Bundle => b"xmtp/sig/bundle/1",
            Self::Keys => b"xmtp/sig/keys/1",
            Self::Policy => b"xmtp/sig/policy/1",
            Self::Owner => b"xmtp/sig/owner/1",
            Self::Posting => b"xmtp/sig/posting/1",
            Self::Opening => b"xmtp/sig/opening/1",
            Self::Message => b"xmtp/sig/message/1",
            Self::Attestation => b"xmtp/sig/attestation/1",
            Self::Connection => b"xmtp/sig/connection/1",
            Self::Receipt => b"xmtp/sig/receipt/1",
            Self::Issuer => b"xmtp/sig/issuer/1",
        }
    }
}

/// The signature does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify")]
pub struct Invalid;

/// `keccak256(label ‖ network id ‖ parts…)`. Parts before the last must be of fixed width or carry their length.
#[must_use]
pub fn digest(label: Label, network: NetworkId, parts: &[&[u8]]) -> B256 {
    let mut all = vec![label.as_bytes(), network.as_bytes().as_slice()];
    all.extend_from_slice(parts);
    keccak(&all)
}

/// Signs a digest: 64 bytes.
#[must_use]
pub fn sign(key: &SigningKey, digest: B256) -> [u8; 64] {
    key.sign(digest.as_slice()).to_bytes()
}

/// Verifies an Ed25519 signature over a digest, strictly.
///
/// # Errors
/// [`Invalid`] if it does not hold, or if the key is no point or of small order.
pub fn verify(key: &[u8; 32], digest: B256, signature: &[u8; 64]) -> Result<(), Invalid> {
    let key = VerifyingKey::from_bytes(key).map_err(|_| Invalid)?;
    key.verify_strict(digest.as_slice(), &Signature::from_bytes(signature)).map_err(|_| Invalid)
}

/// Recovers the externally owned account that signed a hash. Takes only low `s` and `v` as 27 or 28, so that a signature
/// has one encoding.
///
/// # Errors
/// [`Invalid`] if the encoding is another one or no account can be recovered.
pub fn recover(hash: B256, signature: &[u8; 65]) -> Result<Address, Invalid> {
    if !matches!(signature[64], 27 | 28) {
        return Err(Invalid);
    }
    let signature = EcdsaSignature::from_raw_array(signature).map_err(|_| Invalid)?;
    if signature.normalize_s().is_some() {
        return Err(Invalid);
    }
    signature.recover_address_from_prehash(&hash).map_err(|_| Invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NETWORK: NetworkId = NetworkId(B256::ZERO);

    #[test]
    fn signature_of_one_kind_is_none_of_another() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let public = key.verifying_key().to_bytes();
        let signature = sign(&key, digest(Label::Policy, NETWORK, &[b"text"]));
        assert_eq!(verify(&public, digest(Label::Policy, NETWORK, &[b"text"]), &signature), Ok(()));
        assert_eq!(verify(&public, digest(Label::Owner, NETWORK, &[b"text"]), &signature), Err(Invalid));
        assert_eq!(verify(&public, digest(Label::Policy, NETWORK, &[b"test"]), &signature), Err(Invalid));
    }

    #[test]
    fn key_of_small_order_signs_nothing() {
        // The neutral element: with R of small order and s = 0 a lax verifier accepts it for any message.
        let mut neutral = [0; 32];
        neutral[0] = 1;
        let mut signature = [0; 64];
        signature[0] = 1;
        assert_eq!(verify(&neutral, B256::ZERO, &signature), Err(Invalid));
    }
}
