//! Policies: an account's conditions, signed by its identity key (docs/protocol.md, "Requirements and policies"; litepaper
//! 10.3).

use alloy_primitives::{B256, keccak256};
use prost::Message as _;

use crate::account::{self, Account};
use crate::derive::NetworkId;
use crate::field::Tag;
use crate::malformed::{Malformed, bounded, element, fixed, required};
use crate::requirement::Requirement;
use crate::signature::{self, Label};
use crate::wire;

/// The longest encoding of a policy.
pub const MAX_BYTES: usize = 16 * 1024;
/// The most blocked tags.
pub const MAX_BLOCKED_TAGS: usize = 256;
/// The most revoked attestations.
pub const MAX_REVOKED_ATTESTATIONS: usize = 256;

/// What a blocked tag or a revoked attestation takes of a policy's encoding: its field, its length, and 32 bytes.
const NAME_BYTES: usize = 34;

/// Who may write to an account, and who may not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Whose it is.
    pub account: Account,
    /// Grows with every change, from 1.
    pub version: u64,
    /// What the account asks beyond the network.
    pub requirement: Requirement,
    /// Passes with these tags count for nothing; at most [`MAX_BLOCKED_TAGS`].
    pub blocked_tags: Vec<Tag>,
    /// keccak-256 of the signatures of attestations that count no more; at most [`MAX_REVOKED_ATTESTATIONS`].
    pub revoked_attestations: Vec<B256>,
}

impl Policy {
    /// How many more tags and attestations its encoding has room for, beside the limit of each.
    #[must_use]
    pub fn room(&self) -> usize {
        MAX_BYTES.saturating_sub(wire::Policy::from(self.clone()).encoded_len()) / NAME_BYTES
    }
}

/// A policy with the bytes that were signed, which are kept and never encoded again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedPolicy {
    policy: Policy,
    bytes: Vec<u8>,
    signature: [u8; 64],
}

impl SignedPolicy {
    /// Has a policy signed by `sign`, which is given [`SignedPolicy::digest`].
    ///
    /// # Errors
    /// [`Malformed`] if the policy breaks a limit.
    pub fn new(network: NetworkId, policy: Policy, sign: impl FnOnce(B256) -> [u8; 64]) -> Result<Self, Malformed> {
        let bytes = wire::Policy::from(policy).encode_to_vec();
        let policy = decode(&bytes)?;
        let signature = sign(digest(network, &bytes));
        Ok(Self { policy, bytes, signature })
    }

    /// What it says.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Label `xmtp/sig/policy/1`, network 32, keccak-256 of the policy's bytes.
    #[must_use]
    pub fn digest(&self, network: NetworkId) -> B256 {
        digest(network, &self.bytes)
    }

    /// Checks that an identity key signed it.
    ///
    /// # Errors
    /// [`signature::Invalid`] if it did not.
    pub fn verify(&self, network: NetworkId, identity_key: &[u8; 32]) -> Result<(), signature::Invalid> {
        signature::verify(identity_key, self.digest(network), &self.signature)
    }

    /// The wire encoding, as it is published on the policy topic.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        wire::SignedPolicy { policy: self.bytes.clone(), signature: self.signature.to_vec() }.encode_to_vec()
    }

    /// Reads the wire encoding.
    ///
    /// # Errors
    /// [`Malformed`] if the bytes are no policy or break a limit.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        // The outer message adds a signature and three short headers.
        bounded("signed policy", bytes.len(), MAX_BYTES + 128)?;
        let wire::SignedPolicy { policy: bytes, signature } = wire::SignedPolicy::decode(bytes)
            .map_err(|source| Malformed::Encoding { field: "signed policy", source })?;
        Ok(Self { policy: decode(&bytes)?, bytes, signature: fixed("signature", &signature)? })
    }
}

fn digest(network: NetworkId, bytes: &[u8]) -> B256 {
    signature::digest(Label::Policy, network, &[keccak256(bytes).as_slice()])
}

fn decode(bytes: &[u8]) -> Result<Policy, Malformed> {
    bounded("policy", bytes.len(), MAX_BYTES)?;
    wire::Policy::decode(bytes).map_err(|source| Malformed::Encoding { field: "policy", source })?.try_into()
}

impl TryFrom<wire::Policy> for Policy {
    type Error = Malformed;

    fn try_from(wire: wire::Policy) -> Result<Self, Malformed> {
        let wire::Policy { account, version, requirement, blocked_tags, revoked_attestations } = wire;
        bounded("account", account.len(), account::MAX_NAME_BYTES)?;
        bounded("blocked_tags", blocked_tags.len(), MAX_BLOCKED_TAGS)?;
        bounded("revoked_attestations", revoked_attestations.len(), MAX_REVOKED_ATTESTATIONS)?;
        if version == 0 {
            return Err(Malformed::OutOfRange { field: "version", got: 0 });
        }
        Ok(Self {
            account: Account::from_canonical(&account)?,
            version,
            requirement: required("requirement", requirement)?.try_into()?,
            blocked_tags: blocked_tags.iter().map(|tag| element("blocked_tags", tag)).collect::<Result<_, _>>()?,
            revoked_attestations: revoked_attestations
                .iter()
                .map(|hash| fixed::<32>("revoked_attestations", hash).map(B256::from))
                .collect::<Result<_, _>>()?,
        })
    }
}

impl From<Policy> for wire::Policy {
    fn from(it: Policy) -> Self {
        let Policy { account, version, requirement, blocked_tags, revoked_attestations } = it;
        Self {
            account: account.to_string(),
            version,
            requirement: Some(requirement.into()),
            blocked_tags: blocked_tags.iter().map(|tag| tag.as_bytes().to_vec()).collect(),
            revoked_attestations: revoked_attestations.iter().map(|hash| hash.to_vec()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::U256;

    use super::*;
    use crate::field::FieldElement;

    #[test]
    fn room_is_what_still_fits() {
        let mut policy = Policy {
            account: "0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045".parse().unwrap(),
            version: 1,
            requirement: Requirement::nothing(),
            blocked_tags: vec![FieldElement::from(7).into(); MAX_BLOCKED_TAGS],
            revoked_attestations: Vec::new(),
        };
        let sign = |policy: &Policy| SignedPolicy::new(NetworkId(B256::ZERO), policy.clone(), |_| [0; 64]);
        let room = policy.room();
        assert!(room < MAX_REVOKED_ATTESTATIONS, "both lists do not fit: {room}");
        policy.revoked_attestations = (0..room).map(|it| U256::from(it).into()).collect();
        assert_eq!((sign(&policy).is_ok(), policy.room()), (true, 0));
        policy.revoked_attestations.push(B256::ZERO);
        assert!(sign(&policy).is_err());
    }
}
