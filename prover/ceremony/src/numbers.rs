//! Numbers as iden3's files hold them: 32 bytes, little-endian.

use ark_ff::BigInt;

/// Bytes of a number.
pub(crate) const NUMBER: usize = 32;
/// Bytes of what says which field a file is over.
pub(crate) const FIELD: usize = 4 + NUMBER;

pub(crate) fn to_bytes(number: BigInt<4>) -> [u8; NUMBER] {
    let mut bytes = [0; NUMBER];
    for (bytes, limb) in bytes.chunks_exact_mut(8).zip(number.0) {
        bytes.copy_from_slice(&limb.to_le_bytes());
    }
    bytes
}

pub(crate) fn from_bytes(bytes: &[u8; NUMBER]) -> BigInt<4> {
    let mut limbs = [0; 4];
    for (limb, bytes) in limbs.iter_mut().zip(bytes.as_chunks().0) {
        *limb = u64::from_le_bytes(*bytes);
    }
    BigInt(limbs)
}

/// Says which field a file is over: how many bytes its numbers have, and its modulus.
pub(crate) fn field(modulus: BigInt<4>) -> [u8; FIELD] {
    let mut bytes = [0; FIELD];
    bytes[..4].copy_from_slice(&(NUMBER as u32).to_le_bytes());
    bytes[4..].copy_from_slice(&to_bytes(modulus));
    bytes
}
