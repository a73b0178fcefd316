//! Between the protocol's bytes ([`FieldElement`]) and arkworks' numbers ([`Fr`]). Nothing outside this crate sees the
//! latter.

use ark_bn254::Fr;
use ark_ff::{BigInteger, PrimeField};
use rand_chacha::rand_core::CryptoRng;
use xmtp_proto::field::FieldElement;
use zeroize::Zeroizing;

/// The number these bytes are. They are below the modulus already, so nothing is reduced.
pub(crate) fn to_fr(element: FieldElement) -> Fr {
    Fr::from_be_bytes_mod_order(element.as_bytes())
}

/// The canonical bytes of a number.
pub(crate) fn from_fr(number: Fr) -> FieldElement {
    FieldElement::from_be_bytes(to_be_bytes(&number)).expect("arkworks reduces its numbers")
}

/// 32 bytes, big-endian.
pub(crate) fn to_be_bytes(number: &Fr) -> [u8; 32] {
    let mut bytes = [0; 32];
    // `to_bytes_be` would leave a copy on the heap, and the number may be a secret.
    for (chunk, limb) in bytes.rchunks_exact_mut(8).zip(number.into_bigint().as_ref()) {
        chunk.copy_from_slice(&limb.to_be_bytes());
    }
    debug_assert_eq!(bytes.as_slice(), number.into_bigint().to_bytes_be());
    bytes
}

/// Reduces 64 uniformly random big-endian bytes: the bias is below 2^-250.
pub(crate) fn reduce_wide(bytes: &[u8; 64]) -> Fr {
    Fr::from_be_bytes_mod_order(bytes)
}

/// A uniformly random number.
pub(crate) fn random(rng: &mut impl CryptoRng) -> Fr {
    let mut bytes = Zeroizing::new([0; 64]);
    rng.fill_bytes(bytes.as_mut_slice());
    reduce_wide(&bytes)
}
