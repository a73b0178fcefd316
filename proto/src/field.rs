//! Elements of BN254's scalar field as the protocol writes them: 32 bytes, big-endian, below the modulus.
//!
//! A value that is not canonical would be the same number under another name, and so a second life for a nullifier;
//! therefore nothing here can be made from bytes without the comparison. Arithmetic lives in the prover.

use std::fmt;

use alloy_primitives::{B256, U256, hex};

/// The order *r* of BN254's group, big-endian: every element is below it.
pub const MODULUS: [u8; 32] = hex!("30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001");

/// The bytes are not below the field's modulus. The fault of whoever made them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a canonical field element: not below the order of BN254")]
pub struct NotCanonical;

/// An element of BN254's scalar field.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldElement([u8; 32]);

impl FieldElement {
    /// Zero.
    pub const ZERO: Self = Self([0; 32]);

    /// Reads 32 big-endian bytes.
    ///
    /// # Errors
    /// [`NotCanonical`] unless the number is below [`MODULUS`].
    pub fn from_be_bytes(bytes: [u8; 32]) -> Result<Self, NotCanonical> {
        // Big-endian numbers of one width compare as their bytes do.
        if bytes < MODULUS { Ok(Self(bytes)) } else { Err(NotCanonical) }
    }

    /// A hash with its last byte dropped (`hash >> 8`): 248 bits, always below the modulus (docs/protocol.md, "The
    /// envelope digest").
    #[must_use]
    pub fn from_hash(hash: B256) -> Self {
        let mut bytes = [0; 32];
        bytes[1..].copy_from_slice(&hash[..31]);
        Self(bytes)
    }

    /// 32 bytes, big-endian.
    #[must_use]
    pub const fn to_be_bytes(self) -> [u8; 32] {
        self.0
    }

    /// 32 bytes, big-endian.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether this is zero.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        *self == Self::ZERO
    }

    /// The same number for the EVM.
    #[must_use]
    pub const fn to_u256(self) -> U256 {
        U256::from_be_bytes(self.0)
    }
}

impl From<u64> for FieldElement {
    fn from(value: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[24..].copy_from_slice(&value.to_be_bytes());
        Self(bytes)
    }
}

impl TryFrom<U256> for FieldElement {
    type Error = NotCanonical;
    fn try_from(value: U256) -> Result<Self, NotCanonical> {
        Self::from_be_bytes(value.to_be_bytes())
    }
}

impl fmt::Debug for FieldElement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for FieldElement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(self.0))
    }
}

/// A public value of the pass circuit: a field element that cannot be taken for another one.
macro_rules! public_value {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(FieldElement);

        impl $name {
            /// The number.
            #[must_use]
            pub const fn field(self) -> FieldElement {
                self.0
            }

            /// 32 bytes, big-endian.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 32] {
                self.0.as_bytes()
            }

            /// Reads 32 big-endian bytes.
            ///
            /// # Errors
            /// [`NotCanonical`] unless the number is below [`MODULUS`].
            pub fn from_be_bytes(bytes: [u8; 32]) -> Result<Self, NotCanonical> {
                FieldElement::from_be_bytes(bytes).map(Self)
            }
        }

        impl From<FieldElement> for $name {
            fn from(value: FieldElement) -> Self {
                Self(value)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    )*};
}

public_value! {
    /// The root of a volume of a group's tree.
    Root
    /// What a proof is for: protocol, network, group, purpose and epoch, hashed.
    ExternalNullifier
    /// The signal *x*: the envelope's digest as a field element, never zero in an accepted proof.
    Signal
    /// The share *y = a0 + a1·x*: two of them for one index reveal *a0*.
    Share
    /// The name of one index of one member under one external nullifier, unknown until it is used.
    Nullifier
    /// Towards whom a tag is made: a topic's hash, or for a blank stamp a random nonce.
    Scope
    /// A sender's pseudonym within a scope.
    Tag
    /// *C = P1(a0)*: what a chain or a bundle knows of a pass secret.
    Commitment
    /// *P2(C, limit)*, or zero where a member was removed: what a group's tree holds.
    Leaf
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modulus_is_refused_and_its_predecessor_is_not() {
        assert_eq!(FieldElement::from_be_bytes(MODULUS), Err(NotCanonical));
        let mut below = MODULUS;
        below[31] -= 1;
        assert!(FieldElement::from_be_bytes(below).is_ok());
        assert_eq!(FieldElement::from_be_bytes([0xff; 32]), Err(NotCanonical));
    }

    #[test]
    fn hash_loses_its_last_byte() {
        let element = FieldElement::from_hash(B256::repeat_byte(0xff));
        assert_eq!(element.to_be_bytes()[0], 0);
        assert!(element.to_be_bytes()[1..].iter().all(|byte| *byte == 0xff));
    }
}
