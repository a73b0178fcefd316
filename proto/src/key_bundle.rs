//! Key bundles: the public part of an identity, vouched for by the account's wallet (docs/protocol.md, "Identities and
//! keys"; litepaper 4.1).
//!
//! Two signatures. The wallet attests the long-lived keys and commitments under a *revision*; the identity key signs the
//! whole, prekey included, under a *version*. So prekeys rotate without the wallet, and an identity key that was stolen and
//! replaced cannot outbid its successor by a higher version (docs/decisions/0007-keys-revision.md).

use alloy_primitives::{B256, eip191_hash_message};
use prost::Message as _;

use crate::account::{self, Account};
use crate::derive::NetworkId;
use crate::field::Commitment;
use crate::malformed::{Malformed, bounded, element, fixed};
use crate::signature::{self, Label};
use crate::wire;

/// The longest encoding.
pub const MAX_BYTES: usize = 4096;

/// The keys and commitments that a wallet vouches for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttestedKeys {
    /// Whose they are.
    pub account: Account,
    /// Counts the wallet's attestations, from 1.
    pub revision: u32,
    /// Ed25519: signs for the account.
    pub identity_key: [u8; 32],
    /// X25519.
    pub agreement_key: [u8; 32],
    /// The quarter for which the commitments stand.
    pub generation: u32,
    /// The commitment that claims are issued to.
    pub claim_commitment: Commitment,
    /// The commitment that memberships are issued to.
    pub member_commitment: Commitment,
}

impl AttestedKeys {
    /// The digest that the attestation text names: label `xmtp/sig/keys/1`, network 32, chain id u64, address 20, revision
    /// u32, identity key 32, agreement key 32, generation u32, claim commitment 32, member commitment 32.
    #[must_use]
    pub fn digest(&self, network: NetworkId) -> B256 {
        let Self { account, revision, identity_key, agreement_key, generation, claim_commitment, member_commitment } =
            self;
        signature::digest(
            Label::Keys,
            network,
            &[
                &account.chain_id().to_be_bytes(),
                account.address().as_slice(),
                &revision.to_be_bytes(),
                identity_key,
                agreement_key,
                &generation.to_be_bytes(),
                claim_commitment.as_bytes(),
                member_commitment.as_bytes(),
            ],
        )
    }

    /// The text that the wallet signs (EIP-191 `personal_sign`).
    #[must_use]
    pub fn attestation_text(&self, network: NetworkId) -> String {
        format!(
            "XMTP: attest the messaging keys of this account\n\n\
             Account: {}\nNetwork: {network}\nRevision: {}\nKeys: {}\n\n\
             Whoever holds these keys reads and writes mail in your name. This moves no funds.",
            self.account,
            self.revision,
            self.digest(network),
        )
    }
}

/// The public part of an identity. What exists was decoded, not verified: see [`KeyBundle::verify`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyBundle {
    /// What the wallet attests.
    pub keys: AttestedKeys,
    /// The wallet's EIP-191 signature of [`AttestedKeys::attestation_text`]: r, s (low), v as 27 or 28.
    pub wallet_signature: [u8; 65],
    /// Counts the bundles under one revision, from 1.
    pub version: u32,
    /// X25519, rotated monthly.
    pub prekey: [u8; 32],
    /// The identity key's signature of [`KeyBundle::digest`].
    pub signature: [u8; 64],
}

/// A bundle that does not prove itself. The fault of whoever published it, or of who forged it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBundle {
    /// The wallet of the account did not attest these keys.
    #[error("the account's wallet did not attest these keys")]
    Wallet,
    /// The identity key did not sign this bundle.
    #[error("the identity key did not sign this bundle")]
    Identity,
}

impl KeyBundle {
    /// Label `xmtp/sig/bundle/1`, network 32, digest of the attested keys 32, wallet signature 65, version u32, prekey 32.
    #[must_use]
    pub fn digest(&self, network: NetworkId) -> B256 {
        signature::digest(
            Label::Bundle,
            network,
            &[self.keys.digest(network).as_slice(), &self.wallet_signature, &self.version.to_be_bytes(), &self.prekey],
        )
    }

    /// Bundles are ordered by this: the wallet's word first.
    #[must_use]
    pub const fn order(&self) -> (u32, u32) {
        (self.keys.revision, self.version)
    }

    /// Checks both signatures. Accounts are externally owned ones: a contract's signature cannot be judged without its chain.
    ///
    /// # Errors
    /// [`InvalidBundle`] names the signature that does not hold.
    pub fn verify(&self, network: NetworkId) -> Result<(), InvalidBundle> {
        let text = self.keys.attestation_text(network);
        let signer = signature::recover(eip191_hash_message(text), &self.wallet_signature);
        if signer.map(Account::externally_owned) != Ok(self.keys.account) {
            return Err(InvalidBundle::Wallet);
        }
        signature::verify(&self.keys.identity_key, self.digest(network), &self.signature)
            .map_err(|signature::Invalid| InvalidBundle::Identity)
    }

    /// The wire encoding, as it is published on the contact topic.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        wire::KeyBundle::from(*self).encode_to_vec()
    }

    /// Reads the wire encoding.
    ///
    /// # Errors
    /// [`Malformed`] if the bytes are no bundle, or more than [`MAX_BYTES`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        bounded("key bundle", bytes.len(), MAX_BYTES)?;
        wire::KeyBundle::decode(bytes).map_err(|source| Malformed::Encoding { field: "key bundle", source })?.try_into()
    }
}

impl TryFrom<wire::KeyBundle> for KeyBundle {
    type Error = Malformed;

    fn try_from(wire: wire::KeyBundle) -> Result<Self, Malformed> {
        let wire::KeyBundle {
            account,
            revision,
            identity_key,
            agreement_key,
            generation,
            claim_commitment,
            member_commitment,
            wallet_signature,
            version,
            prekey,
            signature,
        } = wire;
        bounded("account", account.len(), account::MAX_NAME_BYTES)?;
        let commitment = |field, bytes: &[u8]| -> Result<Commitment, Malformed> {
            let commitment: Commitment = element(field, bytes)?;
            if commitment.field().is_zero() { Err(Malformed::OutOfRange { field, got: 0 }) } else { Ok(commitment) }
        };
        for (field, number) in [("revision", revision), ("version", version)] {
            if number == 0 {
                return Err(Malformed::OutOfRange { field, got: 0 });
            }
        }
        Ok(Self {
            keys: AttestedKeys {
                account: Account::from_canonical(&account)?,
                revision,
                identity_key: fixed("identity_key", &identity_key)?,
                agreement_key: fixed("agreement_key", &agreement_key)?,
                generation,
                claim_commitment: commitment("claim_commitment", &claim_commitment)?,
                member_commitment: commitment("member_commitment", &member_commitment)?,
            },
            wallet_signature: fixed("wallet_signature", &wallet_signature)?,
            version,
            prekey: fixed("prekey", &prekey)?,
            signature: fixed("signature", &signature)?,
        })
    }
}

impl From<KeyBundle> for wire::KeyBundle {
    fn from(it: KeyBundle) -> Self {
        let KeyBundle {
            keys:
                AttestedKeys {
                    account,
                    revision,
                    identity_key,
                    agreement_key,
                    generation,
                    claim_commitment,
                    member_commitment,
                },
            wallet_signature,
            version,
            prekey,
            signature,
        } = it;
        Self {
            account: account.to_string(),
            revision,
            identity_key: identity_key.to_vec(),
            agreement_key: agreement_key.to_vec(),
            generation,
            claim_commitment: claim_commitment.as_bytes().to_vec(),
            member_commitment: member_commitment.as_bytes().to_vec(),
            wallet_signature: wallet_signature.to_vec(),
            version,
            prekey: prekey.to_vec(),
            signature: signature.to_vec(),
        }
    }
}
