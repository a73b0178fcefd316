//! The pass circuit (docs/protocol.md, "The pass circuit"): one circuit for stamps, stakes, claims and memberships.
//!
//! It is RLN-v2 over an eight-ary tree with one output more, the tag. Rows and public inputs together fit a domain of
//! 2^12 ([`MAX_ROWS`]); `tests/pinned.rs` pins their number and the verifying key.

use ark_bn254::Fr;
use ark_ff::{One, Zero};
use ark_relations::gr1cs::{ConstraintSynthesizer, ConstraintSystemRef, SynthesisError};
use zeroize::Zeroize;

use crate::{
    poseidon::{enforce_hash, hash},
    tree::{ARITY, DEPTH, enforce_membership},
    wire::{Wire, enforce},
};

/// Constraints and public inputs (the constant one included): an invariant of the project.
pub const MAX_ROWS: usize = 1 << 12;

/// Bits of an index, and of what is left of the limit above it.
pub(crate) const INDEX_BITS: usize = 16;

/// Values for the public inputs, in order, and for what they follow from.
pub(crate) struct PassCircuit {
    pub(crate) public: [Fr; 7],
    pub(crate) secret: Fr,
    /// Lowest first, and so is `slack`, which is limit − 1 − index.
    pub(crate) index: [Fr; INDEX_BITS],
    pub(crate) slack: [Fr; INDEX_BITS],
    pub(crate) path: [[Fr; ARITY]; DEPTH],
}

impl ConstraintSynthesizer<Fr> for &PassCircuit {
    fn generate_constraints(self, cs: ConstraintSystemRef<Fr>) -> Result<(), SynthesisError> {
        let cs = &cs;
        let [root, external_nullifier, x, y, nullifier, scope, tag] = self.public;
        let root = Wire::public(cs, root)?;
        let external_nullifier = Wire::public(cs, external_nullifier)?;
        let x = Wire::public(cs, x)?;
        let y = Wire::public(cs, y)?;
        let nullifier = Wire::public(cs, nullifier)?;
        let scope = Wire::public(cs, scope)?;
        let tag = Wire::public(cs, tag)?;

        // 0 ≤ index < limit: both numbers on either side of the index have 16 bits, so neither is a negative one.
        let secret = Wire::private(cs, self.secret)?;
        let index = enforce_bits(cs, &self.index)?;
        let slack = enforce_bits(cs, &self.slack)?;
        let limit = index.plus(&slack).plus(&Wire::constant(Fr::one()));

        let commitment = digest(cs, [&secret])?;
        let leaf = digest(cs, [&commitment, &limit])?;
        enforce_membership(cs, &leaf, &self.path, &root)?;

        let slope = digest(cs, [&secret, &external_nullifier, &index])?;
        enforce(cs, &slope, &x, &y.minus(&secret))?;
        enforce_hash(cs, [&slope], &nullifier)?;
        enforce_hash(cs, [&secret, &scope], &tag)
    }
}

/// A new private variable that is the hash of `inputs`.
fn digest<const N: usize>(cs: &ConstraintSystemRef<Fr>, inputs: [&Wire; N]) -> Result<Wire, SynthesisError> {
    let digest = Wire::private(cs, hash(&inputs.map(|input| input.value)))?;
    enforce_hash(cs, inputs, &digest)?;
    Ok(digest)
}

/// The number below 2^16 with these bits.
fn enforce_bits(cs: &ConstraintSystemRef<Fr>, bits: &[Fr; INDEX_BITS]) -> Result<Wire, SynthesisError> {
    let mut number = Wire::constant(Fr::zero());
    let mut weight = Fr::one();
    for value in bits {
        number = number.plus_scaled(weight, &Wire::bit(cs, *value)?);
        weight += weight;
    }
    Ok(number)
}

/// The bits of a number, lowest first.
pub(crate) fn bits(number: u16) -> [Fr; INDEX_BITS] {
    std::array::from_fn(|bit| Fr::from(number >> bit & 1))
}

impl Drop for PassCircuit {
    fn drop(&mut self) {
        let Self { public: _, secret, index, slack, path } = self;
        secret.zeroize();
        index.zeroize();
        slack.zeroize();
        path.zeroize();
    }
}
