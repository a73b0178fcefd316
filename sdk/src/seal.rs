//! Sealing: XChaCha20-Poly1305 (RFC 8439 with draft-irtf-cfrg-xchacha's nonce), and padding.
//!
//! Two kinds of key. A [`OnceKey`] comes with its nonce from one derivation and seals one plaintext. A [`SealKey`] seals
//! many, under random nonces, of which 24 bytes never repeat.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::keys::{NoRandomness, random};

/// The length of a nonce.
pub(crate) const NONCE_BYTES: usize = 24;
/// What sealing adds: the authenticator.
pub(crate) const TAG_BYTES: usize = 16;

/// What is padded to powers of two, from the first to the last of these: no length says more than its order of magnitude.
pub(crate) type Buckets = std::ops::RangeInclusive<u32>;
/// Invites: 2 KiB to 1 MiB. Nearly every letter has the smallest size.
pub(crate) const INVITES: Buckets = 11..=20;
/// Messages: 256 B to 1 MiB.
pub(crate) const MESSAGES: Buckets = 8..=20;

/// The seal does not open: another key, another purpose, or other bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the seal does not open")]
pub(crate) struct Unopened;

/// The smallest bucket that so many bytes fit.
pub(crate) fn bucket(bytes: usize, mut buckets: Buckets) -> Option<usize> {
    buckets.find(|power| bytes <= 1 << power).map(|power| 1 << power)
}

/// Seals one plaintext: a key of 32 bytes and its nonce of 24, derived together.
#[derive(ZeroizeOnDrop)]
pub(crate) struct OnceKey {
    key: [u8; 32],
    nonce: [u8; NONCE_BYTES],
}

impl OnceKey {
    pub(crate) fn new(derived: &[u8; 32 + NONCE_BYTES]) -> Self {
        let mut it = Self { key: [0; 32], nonce: [0; NONCE_BYTES] };
        it.key.copy_from_slice(&derived[..32]);
        it.nonce.copy_from_slice(&derived[32..]);
        it
    }

    pub(crate) fn seal(self, plaintext: &[u8], associated: &[u8]) -> Vec<u8> {
        seal(&self.key, &self.nonce, plaintext, associated)
    }

    pub(crate) fn open(self, sealed: &[u8], associated: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unopened> {
        open(&self.key, &self.nonce, sealed, associated)
    }
}

/// Seals many plaintexts: 32 bytes.
#[derive(ZeroizeOnDrop)]
pub(crate) struct SealKey([u8; 32]);

impl SealKey {
    pub(crate) fn new(derived: &[u8; 32]) -> Self {
        Self(*derived)
    }

    /// The nonce and what was sealed under it.
    pub(crate) fn seal(
        &self,
        plaintext: &[u8],
        associated: &[u8],
    ) -> Result<([u8; NONCE_BYTES], Vec<u8>), NoRandomness> {
        let nonce = *random()?;
        let sealed = seal(&self.0, &nonce, plaintext, associated);
        Ok((nonce, sealed))
    }

    pub(crate) fn open(
        &self,
        nonce: &[u8; NONCE_BYTES],
        sealed: &[u8],
        associated: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Unopened> {
        open(&self.0, nonce, sealed, associated)
    }
}

fn seal(key: &[u8; 32], nonce: &[u8; NONCE_BYTES], plaintext: &[u8], associated: &[u8]) -> Vec<u8> {
    let payload = Payload { msg: plaintext, aad: associated };
    XChaCha20Poly1305::new(&Key::from(*key))
        .encrypt(&XNonce::from(*nonce), payload)
        // The cipher takes 256 GiB, and nothing here is larger than an envelope.
        .unwrap_or_else(|_| unreachable!("the plaintext is within the cipher's limit"))
}

fn open(
    key: &[u8; 32],
    nonce: &[u8; NONCE_BYTES],
    sealed: &[u8],
    associated: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Unopened> {
    let payload = Payload { msg: sealed, aad: associated };
    XChaCha20Poly1305::new(&Key::from(*key))
        .decrypt(&XNonce::from(*nonce), payload)
        .map(Zeroizing::new)
        .map_err(|_| Unopened)
}

#[cfg(test)]
mod tests {
    use alloy::primitives::hex;

    use super::*;

    #[test]
    fn seal_is_xchacha20_poly1305_of_its_draft() {
        // draft-irtf-cfrg-xchacha-03, appendix A.3.1.
        let text = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, \
                     sunscreen would be it.";
        let key = hex!("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f");
        let nonce = hex!("404142434445464748494a4b4c4d4e4f5051525354555657");
        let associated = hex!("50515253c0c1c2c3c4c5c6c7");
        let sealed = hex!(
            "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda7e39ae64c670"
            "8c54c216cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff921f9664c97637da9"
            "768812f615c68b13b52ec0875924c1c7987947deafd8780acf49"
        );
        assert_eq!(seal(&key, &nonce, text, &associated), sealed);
        assert_eq!(open(&key, &nonce, &sealed, &associated).as_deref().map(Vec::as_slice), Ok(text.as_slice()));
        assert_eq!(open(&key, &nonce, &sealed, &associated[1..]), Err(Unopened));
        assert_eq!(open(&key, &nonce, &sealed[1..], &associated), Err(Unopened));
        assert_eq!(open(&key, &nonce, &[], &associated), Err(Unopened));
    }

    #[test]
    fn no_nonce_comes_twice() {
        let key = SealKey::new(&[1; 32]);
        let (first, second) = (key.seal(b"text", b"").unwrap(), key.seal(b"text", b"").unwrap());
        assert_ne!(first, second);
        for (nonce, sealed) in [first, second] {
            assert_eq!(key.open(&nonce, &sealed, b"").as_deref().map(Vec::as_slice), Ok(b"text".as_slice()));
        }
    }

    #[test]
    fn buckets_are_powers_of_two() {
        for (bytes, expected) in [
            (0, Some(2048)),
            (2048, Some(2048)),
            (2049, Some(4096)),
            (16 * 1024, Some(16 * 1024)),
            (16 * 1024 + 1, Some(32 * 1024)),
            (1 << 20, Some(1 << 20)),
            ((1 << 20) + 1, None),
        ] {
            assert_eq!(bucket(bytes, INVITES), expected, "{bytes}");
        }
        assert_eq!([0, 256, 257, 1 << 20].map(|it| bucket(it, MESSAGES)), [256, 256, 512, 1 << 20].map(Some));
    }
}
