//! Keys: a type for every secret, and every derivation from one (docs/protocol.md, "Identities and keys").
//!
//! All of it is HKDF-SHA256 (RFC 5869) with a label per use as the salt, so that no derived value can be another one's, and
//! fields of fixed width as the info. Secrets are wiped when dropped; they cannot be printed, compared or serialised, and
//! only this crate reads their bytes.

use std::fmt;
use std::time::Duration;

use alloy::primitives::{B256, hex};
use ed25519_dalek::SigningKey;
use hkdf::Hkdf;
use sha2::Sha256;
use x25519_dalek::{PublicKey, StaticSecret};
use xmtp_proto::signature;
use xmtp_prover::PassSecret;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::invite::KeyMaterial;

const BOOK: &[u8] = b"xmtp/key/book/1";
const CLAIM: &[u8] = b"xmtp/key/claim/1";
const MEMBER: &[u8] = b"xmtp/key/member/1";
const JOURNAL: &[u8] = b"xmtp/key/journal/1";

/// The operating system gave no randomness. Nobody's fault here, and nothing secret can be made without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gave no randomness")]
pub struct NoRandomness;

/// An agreement (RFC 7748) gave all zeros: the other key has small order, and anybody could compute the result. The fault
/// of whoever published that key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key agreement gave all zeros: the other key is of small order")]
pub struct AllZero;

/// Uniform bytes from the operating system.
pub(crate) fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, NoRandomness> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(&mut *bytes).map_err(|_| NoRandomness)?;
    Ok(bytes)
}

/// A uniform duration below `max`; nothing if that is nothing.
pub(crate) fn random_up_to(max: Duration) -> Result<Duration, NoRandomness> {
    let of_u64 = u128::from(u64::from_be_bytes(*random()?));
    // The upper half of the product. Nobody waits for more than the 584 years that 64 bits hold.
    let nanos = (u128::from(u64::try_from(max.as_nanos()).unwrap_or(u64::MAX)) * of_u64) >> 64;
    Ok(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
}

/// HKDF-SHA256: `label` as the salt, the parts one after the other as the info.
pub(crate) fn derive<const N: usize>(label: &[u8], secret: &[u8], info: &[&[u8]]) -> Zeroizing<[u8; N]> {
    // HKDF gives at most 255 blocks of 32 bytes, and that is known when this is compiled.
    const { assert!(N <= 255 * 32) };
    let mut bytes = Zeroizing::new([0; N]);
    if Hkdf::<Sha256>::new(Some(label), secret).expand_multi_info(info, &mut *bytes).is_err() {
        unreachable!("the length is within HKDF's limit");
    }
    bytes
}

/// Signs for an account: Ed25519 (RFC 8032).
pub struct IdentityKey(SigningKey);

impl IdentityKey {
    /// A new key.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn random() -> Result<Self, NoRandomness> {
        Ok(Self::from_bytes(&*random()?))
    }

    pub(crate) fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(bytes))
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// 32 bytes.
    #[must_use]
    pub fn public(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    /// Signs a digest of [`signature::digest`].
    pub(crate) fn sign(&self, digest: B256) -> [u8; 64] {
        signature::sign(&self.0, digest)
    }
}

/// Agrees on secrets: X25519 (RFC 7748). An identity's agreement key, a prekey, or an ephemeral one.
pub struct AgreementKey(StaticSecret);

impl AgreementKey {
    /// A new key.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn random() -> Result<Self, NoRandomness> {
        Ok(Self::from_bytes(&*random()?))
    }

    pub(crate) fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(StaticSecret::from(*bytes))
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// 32 bytes.
    #[must_use]
    pub fn public(&self) -> [u8; 32] {
        PublicKey::from(&self.0).to_bytes()
    }

    /// The secret shared with the holder of `public`.
    ///
    /// # Errors
    /// [`AllZero`] if `public` is of small order.
    pub fn agree(&self, public: &[u8; 32]) -> Result<Agreed, AllZero> {
        let agreed = self.0.diffie_hellman(&PublicKey::from(*public));
        if agreed.was_contributory() { Ok(Agreed(agreed)) } else { Err(AllZero) }
    }
}

/// What two agreement keys agreed on: 32 bytes, not all zero.
pub struct Agreed(x25519_dalek::SharedSecret);

impl Agreed {
    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

/// Names an installation of a client: 16 random bytes, no secret.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstallationId([u8; 16]);

impl InstallationId {
    /// A new name.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn random() -> Result<Self, NoRandomness> {
        Ok(Self(*random()?))
    }

    /// 16 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

#[cfg(test)]
impl InstallationId {
    pub(crate) const fn numbered(which: u8) -> Self {
        Self([which; 16])
    }
}

impl From<[u8; 16]> for InstallationId {
    fn from(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for InstallationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for InstallationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InstallationId({self})")
    }
}

/// From this every secret for passes derives: 32 bytes.
#[derive(ZeroizeOnDrop)]
pub struct PostalSeed([u8; 32]);

impl PostalSeed {
    /// A new seed.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn random() -> Result<Self, NoRandomness> {
        Ok(Self(*random()?))
    }

    pub(crate) const fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(*bytes)
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The secret of a book or stake: label `xmtp/key/book/1`, installation 16, counter u32.
    #[must_use]
    pub fn book_secret(&self, installation: &InstallationId, counter: u32) -> PassSecret {
        self.pass_secret(BOOK, &[installation.as_bytes(), &counter.to_be_bytes()])
    }

    /// The secret that claims of a quarter are issued to: label `xmtp/key/claim/1`, generation u32.
    #[must_use]
    pub fn claim_secret(&self, generation: u32) -> PassSecret {
        self.pass_secret(CLAIM, &[&generation.to_be_bytes()])
    }

    /// The secret that memberships of a quarter are issued to: label `xmtp/key/member/1`, generation u32.
    #[must_use]
    pub fn member_secret(&self, generation: u32) -> PassSecret {
        self.pass_secret(MEMBER, &[&generation.to_be_bytes()])
    }

    /// What the journal grows from: label `xmtp/key/journal/1`, 32 bytes.
    #[must_use]
    pub fn journal(&self) -> KeyMaterial {
        KeyMaterial::from_bytes(*derive(JOURNAL, &self.0, &[]))
    }

    /// 64 bytes, reduced; a last byte of info counts the attempts, because zero is no secret.
    fn pass_secret(&self, label: &[u8], info: &[&[u8]]) -> PassSecret {
        let attempt = |attempt: u8| {
            let mut info = info.to_vec();
            let attempt = [attempt];
            info.push(&attempt);
            PassSecret::from_wide_bytes(&derive(label, &self.0, &info)).ok()
        };
        // One attempt fails with a probability of 2^-253.
        (0..=u8::MAX).find_map(attempt).unwrap_or_else(|| unreachable!("HKDF gave multiples of the modulus only"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_waits_fill_their_range() {
        let max = Duration::from_secs(10);
        let waits: Vec<_> = (0..1_000).map(|_| random_up_to(max).unwrap()).collect();
        assert!(waits.iter().all(|wait| *wait < max));
        for tenth in 0..10 {
            let within = waits.iter().filter(|wait| wait.as_secs() == tenth).count();
            // Of a binomial with mean 100, further away than any run will see.
            assert!((40..200).contains(&within), "{within} of 1000 in second {tenth}");
        }
        assert_eq!(random_up_to(Duration::ZERO).unwrap(), Duration::ZERO);
    }
    use crate::testing::{SMALL_ORDER, assert_secret};

    assert_secret!(
        IdentityKey,
        AgreementKey,
        Agreed,
        PostalSeed,
        PassSecret,
        crate::seal::OnceKey,
        crate::seal::SealKey,
        crate::vault::VaultKey,
        KeyMaterial,
        crate::invite::MessageKey,
        crate::invite::ConversationKeys,
        crate::invite::HolderKey,
        crate::invite::Invitation,
        crate::message::Channel,
        crate::message::OpenedMessage,
        crate::identity::Identity,
        crate::state::Letter,
    );

    #[test]
    fn derivation_is_hkdf_of_rfc_5869() {
        // Test case 1 of its appendix A.
        let salt = hex!("000102030405060708090a0b0c");
        let info = hex!("f0f1f2f3f4f5f6f7f8f9");
        let expected = hex!("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
        assert_eq!(*derive::<42>(&salt, &[0x0b; 22], &[&info]), expected);
        assert_eq!(*derive::<42>(&salt, &[0x0b; 22], &[&info[..4], &info[4..]]), expected);
    }

    #[test]
    fn agreement_is_x25519_of_rfc_7748() {
        // Section 6.1.
        let alice = AgreementKey::from_bytes(&hex!("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"));
        let bob = AgreementKey::from_bytes(&hex!("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"));
        let shared = hex!("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
        for (own, other) in [(&alice, &bob), (&bob, &alice)] {
            assert_eq!(own.agree(&other.public()).map(|agreed| *agreed.as_bytes()), Ok(shared));
        }
    }

    #[test]
    fn key_of_small_order_is_refused() {
        let own = AgreementKey::random().unwrap();
        for point in SMALL_ORDER {
            assert_eq!(own.agree(&point).err(), Some(AllZero), "{}", hex::encode(point));
        }
    }

    #[test]
    fn every_pass_secret_is_its_own_and_pinned() {
        let seed = PostalSeed::from_bytes(&[7; 32]);
        let [one, two] = [[1; 16], [2; 16]].map(InstallationId::from);
        let commitments = [
            seed.book_secret(&one, 0),
            seed.book_secret(&one, 1),
            seed.book_secret(&two, 0),
            seed.claim_secret(0),
            seed.claim_secret(1),
            seed.member_secret(0),
            seed.member_secret(1),
            PostalSeed::from_bytes(&[8; 32]).member_secret(1),
        ]
        .map(|secret| secret.commitment());
        for (position, commitment) in commitments.iter().enumerate() {
            assert!(!commitments[..position].contains(commitment), "{position}");
        }
        let pinned = [commitments[0], commitments[3], commitments[5]].map(|it| hex::encode(it.as_bytes()));
        assert_eq!(pinned, PINNED);
    }

    /// A book's, a claim's and a membership's commitment, of the seed 07…07.
    const PINNED: [&str; 3] = [
        "0abcc58a1df08c9b1f0c1565320e11ebf3cd0a047caf0a98415dba25bfb674da",
        "22f0e2f6a9322099ebb5e452e9ad33414ec4eac397a576c5497f8fea73538bc7",
        "10bff652e401268dd938a52f77952062cfa5354bf4dff00ede18b1c41a3c662e",
    ];
}
