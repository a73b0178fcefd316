//! Attestations: that an account wants to hear from whoever holds a key (docs/protocol.md, "Requirements and policies";
//! litepaper 10.3.1, "Opt-in connections").

use std::time::Duration;

use alloy_primitives::{B256, keccak256};

use crate::account::Account;
use crate::derive::NetworkId;
use crate::malformed::{Malformed, fixed};
use crate::pass::Connection;
use crate::signature::{self, Invalid, Label};
use crate::time::Timestamp;

/// The length of the encoding: holder 32 ‖ quota u32 ‖ expiry u64 ‖ signature 64.
pub const BYTES: usize = 108;
/// The greatest quota: units of postage per epoch.
pub const MAX_QUOTA: u32 = 10_000;
/// The longest life of one that a client issues.
pub const MAX_LIFE: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// What an account's identity key vouches for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attestation {
    /// The holder's Ed25519 key for this connection.
    pub holder: [u8; 32],
    /// Units of postage per epoch: 1 to [`MAX_QUOTA`].
    pub quota: u32,
    /// When it ends, in whole seconds.
    pub expires_at: Timestamp,
    /// The identity key's.
    pub signature: [u8; 64],
}

impl Attestation {
    /// Has the identity key of `account` sign an attestation. What of the expiry is beyond whole seconds is dropped.
    ///
    /// # Errors
    /// [`Malformed::OutOfRange`] for a quota of 0 or above [`MAX_QUOTA`].
    pub fn new(
        network: NetworkId,
        account: Account,
        (holder, quota, expires_at): ([u8; 32], u32, Timestamp),
        sign: impl FnOnce(B256) -> [u8; 64],
    ) -> Result<Self, Malformed> {
        check_quota(quota)?;
        let expires_at = Timestamp::from_secs(expires_at.as_secs());
        let unsigned = Self { holder, quota, expires_at, signature: [0; 64] };
        Ok(Self { signature: sign(unsigned.digest(network, account)), ..unsigned })
    }

    /// Reads the fixed layout, integers big-endian, the expiry in seconds since the Unix epoch.
    ///
    /// # Errors
    /// [`Malformed`] for another length, a quota of 0 or above [`MAX_QUOTA`], and a second that no timestamp can name.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        let bytes: [u8; BYTES] = fixed("attestation", bytes)?;
        let (mut holder, mut quota, mut expiry, mut signature) = ([0; 32], [0; 4], [0; 8], [0; 64]);
        holder.copy_from_slice(&bytes[..32]);
        quota.copy_from_slice(&bytes[32..36]);
        expiry.copy_from_slice(&bytes[36..44]);
        signature.copy_from_slice(&bytes[44..]);
        let (quota, expiry) = (u32::from_be_bytes(quota), u64::from_be_bytes(expiry));
        check_quota(quota)?;
        let expires_at = Timestamp::from_secs(expiry);
        if expires_at.as_secs() != expiry {
            return Err(Malformed::OutOfRange { field: "attestation.expiry", got: expiry });
        }
        Ok(Self { holder, quota, expires_at, signature })
    }

    /// The fixed layout, as it is delivered to its holder.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; BYTES] {
        let Self { holder, quota, expires_at, signature } = self;
        let mut bytes = [0; BYTES];
        bytes[..32].copy_from_slice(holder);
        bytes[32..36].copy_from_slice(&quota.to_be_bytes());
        bytes[36..44].copy_from_slice(&expires_at.as_secs().to_be_bytes());
        bytes[44..].copy_from_slice(signature);
        bytes
    }

    /// What the identity key signs: label `xmtp/sig/attestation/1`, network 32, chain id u64, address 20, holder 32, quota u32,
    /// expiry u64.
    #[must_use]
    pub fn digest(&self, network: NetworkId, account: Account) -> B256 {
        let Self { holder, quota, expires_at, signature: _ } = self;
        let (chain_id, address) = (account.chain_id().to_be_bytes(), account.address());
        let (quota, expiry) = (quota.to_be_bytes(), expires_at.as_secs().to_be_bytes());
        signature::digest(Label::Attestation, network, &[&chain_id, address.as_slice(), holder, &quota, &expiry])
    }

    /// Whether an account's identity key signed it.
    ///
    /// # Errors
    /// [`Invalid`] if it did not.
    pub fn verify(&self, network: NetworkId, account: Account, identity_key: &[u8; 32]) -> Result<(), Invalid> {
        signature::verify(identity_key, self.digest(network, account), &self.signature)
    }

    /// What a policy names to revoke it: keccak-256 of the signature.
    #[must_use]
    pub fn hash(&self) -> B256 {
        keccak256(self.signature)
    }
}

impl Connection {
    /// What the recipient vouched for.
    #[must_use]
    pub const fn attested(&self) -> Attestation {
        let &Self { holder, quota, expires_at, attestation: signature, signature: _ } = self;
        Attestation { holder, quota, expires_at, signature }
    }
}

fn check_quota(quota: u32) -> Result<(), Malformed> {
    if (1..=MAX_QUOTA).contains(&quota) {
        Ok(())
    } else {
        Err(Malformed::OutOfRange { field: "attestation.quota", got: quota.into() })
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::hex;
    use ed25519_dalek::SigningKey;

    use super::*;

    const NETWORK: NetworkId = NetworkId(B256::repeat_byte(0x11));

    fn account() -> Account {
        "0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045".parse().unwrap()
    }

    fn attestation(quota: u32) -> Result<Attestation, Malformed> {
        let key = SigningKey::from_bytes(&[7; 32]);
        let terms = ([2; 32], quota, Timestamp::from_nanos(1_800_000_000_999_999_999));
        Attestation::new(NETWORK, account(), terms, |digest| signature::sign(&key, digest))
    }

    #[test]
    fn layout_is_pinned() {
        let it = attestation(3).unwrap();
        let bytes = it.to_bytes();
        assert_eq!(hex::encode(&bytes[..44]), format!("{}00000003000000006b49d200", "02".repeat(32)));
        assert_eq!(Attestation::from_bytes(&bytes), Ok(it));
        assert_eq!(
            Attestation::from_bytes(&bytes[1..]).unwrap_err().to_string(),
            "attestation has 107 bytes instead of 108"
        );
    }

    #[test]
    fn attestation_is_its_accounts_alone() {
        let it = attestation(3).unwrap();
        let key = SigningKey::from_bytes(&[7; 32]).verifying_key().to_bytes();
        assert_eq!(it.verify(NETWORK, account(), &key), Ok(()));
        let other = "0x0000000000000000000000000000000000000001".parse().unwrap();
        assert_eq!(it.verify(NETWORK, other, &key), Err(Invalid));
        assert_eq!(it.verify(NetworkId(B256::ZERO), account(), &key), Err(Invalid));
        assert_eq!(it.verify(NETWORK, account(), &[2; 32]), Err(Invalid));
        for changed in [
            Attestation { holder: [3; 32], ..it },
            Attestation { quota: 4, ..it },
            Attestation { expires_at: Timestamp::from_secs(1_800_000_001), ..it },
        ] {
            assert_eq!(changed.verify(NETWORK, account(), &key), Err(Invalid), "{changed:?}");
        }
    }

    #[test]
    fn quota_is_bounded() {
        assert!(attestation(0).is_err() && attestation(MAX_QUOTA + 1).is_err());
        let mut bytes = attestation(MAX_QUOTA).unwrap().to_bytes();
        bytes[32..36].copy_from_slice(&[0; 4]);
        assert!(Attestation::from_bytes(&bytes).is_err(), "nothing");
        bytes[32..44].copy_from_slice(&[0, 0, 0, 1, 255, 255, 255, 255, 255, 255, 255, 255]);
        assert!(Attestation::from_bytes(&bytes).is_err(), "a second that no timestamp can name");
    }
}
