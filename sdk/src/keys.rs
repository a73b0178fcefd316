//! Keys: a type for every secret, and every derivation from one (docs/protocol.md, "Identities and keys").
//!
//! All of it is HKDF-SHA256 (RFC 5869) with a label per use as the salt, so that no derived value can be another one's, and
//! fields of fixed width as the info. Secrets are wiped when dropped; they cannot be printed, compared or serialised, and
//! only this crate reads their bytes.

use std::fmt;

use alloy::primitives::hex;
use ed25519_dalek::SigningKey;
use hkdf::Hkdf;
use sha2::Sha256;
use x25519_dalek::{PublicKey, StaticSecret};
use xmtp_proto::signature;
use xmtp_prover::PassSecret;
use zeroize::{ZeroizeOnDrop, Zeroizing};

const BOOK: &[u8] = b"xmtp/key/book/1";
const CLAIM: &[u8] = b"xmtp/key/claim/1";
const MEMBER: &[u8] = b"xmtp/key/member/1";

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
    pub(crate) fn sign(&self, digest: alloy::primitives::B256) -> [u8; 64] {
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
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
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
