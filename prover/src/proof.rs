//! Proofs as bytes. Strictly one encoding per proof; that does not make a proof one of a kind (Groth16 proofs are
//! malleable), so nothing may be keyed on it: nullifiers name uses.

use ark_bn254::Bn254;
use ark_ec::AffineRepr;
use ark_serialize::{CanonicalDeserialize, CanonicalSerialize};

/// A Groth16 proof over BN254 whose points are on their curves, in the right subgroups, and not at infinity.
#[derive(Clone, Debug, PartialEq)]
pub struct Proof(ark_groth16::Proof<Bn254>);

/// The bytes are not a proof in its one encoding. The fault of who sent them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not three compressed points of BN254 that are on the curve, in the subgroup and not at infinity")]
pub struct MalformedProof;

impl Proof {
    /// The length of an encoded proof.
    pub const LEN: usize = 128;

    /// Reads A, B, C: 32, 64 and 32 bytes, compressed as arkworks does it (x little-endian; the two highest bits say
    /// which y, and whether the point is at infinity).
    ///
    /// # Errors
    /// [`MalformedProof`] if a coordinate is not below the modulus, or a point is off its curve, outside its subgroup
    /// or at infinity.
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Result<Self, MalformedProof> {
        let proof = ark_groth16::Proof::deserialize_compressed(bytes.as_slice()).map_err(|_| MalformedProof)?;
        let proof = Self::from_points(proof)?;
        // Flags that the decoder is lenient about would be a second encoding.
        if proof.to_bytes() == *bytes { Ok(proof) } else { Err(MalformedProof) }
    }

    /// 128 bytes, the only ones that [`Self::from_bytes`] reads as this proof.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        self.0.serialize_compressed(bytes.as_mut_slice()).expect("three compressed points are 128 bytes");
        bytes
    }

    /// The points are on their curves and in their subgroups.
    pub(crate) fn from_points(points: ark_groth16::Proof<Bn254>) -> Result<Self, MalformedProof> {
        let ark_groth16::Proof { a, b, c } = &points;
        if a.is_zero() || b.is_zero() || c.is_zero() { Err(MalformedProof) } else { Ok(Self(points)) }
    }

    pub(crate) fn points(&self) -> &ark_groth16::Proof<Bn254> {
        &self.0
    }
}
