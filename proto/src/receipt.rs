//! Receipts: that the recipient has read letters with stamps, by which it earns its part of what the senders paid
//! (docs/protocol.md, "Receipts"; litepaper 10.4).

use alloy_primitives::B256;

use crate::derive::{EnvelopeId, NetworkId};
use crate::malformed::{Malformed, bounded};
use crate::signature::{self, Invalid, Label};

/// The most receipts in one envelope.
pub const MAX_RECEIPTS: usize = 32;
/// The length of one: letter 32 ‖ signature 64.
pub const BYTES: usize = 96;

/// That one letter was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Its envelope's name, which binds its topic and so its recipient.
    pub letter: EnvelopeId,
    /// The recipient's identity key's.
    pub signature: [u8; 64],
}

impl Receipt {
    /// Has the recipient's identity key sign that a letter was read.
    #[must_use]
    pub fn new(network: NetworkId, letter: EnvelopeId, sign: impl FnOnce(B256) -> [u8; 64]) -> Self {
        Self { letter, signature: sign(digest(network, letter)) }
    }

    /// Whether an identity key signed it.
    ///
    /// # Errors
    /// [`Invalid`] if it did not.
    pub fn verify(&self, network: NetworkId, identity_key: &[u8; 32]) -> Result<(), Invalid> {
        signature::verify(identity_key, digest(network, self.letter), &self.signature)
    }
}

/// Label `xmtp/sig/receipt/1`, network 32, letter 32.
fn digest(network: NetworkId, letter: EnvelopeId) -> B256 {
    signature::digest(Label::Receipt, network, &[letter.as_bytes()])
}

/// The encoding of receipts, as it is published: one after the other.
#[must_use]
pub fn to_bytes(receipts: &[Receipt]) -> Vec<u8> {
    receipts.iter().flat_map(|it| [it.letter.as_bytes().as_slice(), &it.signature].concat()).collect()
}

/// Reads the encoding.
///
/// # Errors
/// [`Malformed`] for none, for more than [`MAX_RECEIPTS`], for bytes that are left over, and for one letter twice.
pub fn from_bytes(bytes: &[u8]) -> Result<Vec<Receipt>, Malformed> {
    bounded("receipts", bytes.len().div_ceil(BYTES), MAX_RECEIPTS)?;
    let (whole, rest) = bytes.as_chunks::<BYTES>();
    if whole.is_empty() || !rest.is_empty() {
        return Err(Malformed::Length { field: "receipts", expected: whole.len().max(1) * BYTES, got: bytes.len() });
    }
    let mut receipts: Vec<Receipt> = Vec::with_capacity(whole.len());
    for bytes in whole {
        let (mut letter, mut signature) = ([0; 32], [0; 64]);
        letter.copy_from_slice(&bytes[..32]);
        signature.copy_from_slice(&bytes[32..]);
        let letter = EnvelopeId::from(letter);
        if receipts.iter().any(|it| it.letter == letter) {
            return Err(Malformed::RepeatedLetter);
        }
        receipts.push(Receipt { letter, signature });
    }
    Ok(receipts)
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::*;

    const NETWORK: NetworkId = NetworkId(B256::repeat_byte(0x11));

    fn receipt(letter: u8) -> Receipt {
        let key = SigningKey::from_bytes(&[7; 32]);
        Receipt::new(NETWORK, [letter; 32].into(), |digest| signature::sign(&key, digest))
    }

    #[test]
    fn receipt_is_for_one_letter_of_one_network() {
        let key = SigningKey::from_bytes(&[7; 32]).verifying_key().to_bytes();
        let it = receipt(1);
        assert_eq!(it.verify(NETWORK, &key), Ok(()));
        assert_eq!(it.verify(NetworkId(B256::ZERO), &key), Err(Invalid));
        assert_eq!(Receipt { letter: [2; 32].into(), ..it }.verify(NETWORK, &key), Err(Invalid));
    }

    #[test]
    fn encoding_is_strict() {
        let two = [receipt(1), receipt(2)];
        let bytes = to_bytes(&two);
        assert_eq!((bytes.len(), &bytes[..32], &bytes[96..128]), (192, &[1; 32][..], &[2; 32][..]));
        assert_eq!(from_bytes(&bytes), Ok(two.to_vec()));
        for (sentence, bytes) in [
            ("none", Vec::new()),
            ("left over", [bytes.as_slice(), &[0]].concat()),
            ("cut", bytes[1..].to_vec()),
            ("one letter twice", to_bytes(&[receipt(1), receipt(1)])),
            ("too many", to_bytes(&(0..=32).map(receipt).collect::<Vec<_>>())),
        ] {
            assert!(from_bytes(&bytes).is_err(), "{sentence}");
        }
    }
}
