//! Proofs as bytes. Strictly one encoding per proof; that does not make a proof one of a kind (Groth16 proofs are
//! malleable), so nothing may be keyed on it: nullifiers name uses.

use ark_bn254::Bn254;
use ark_ec::AffineRepr;
use ark_serialize::{CanonicalDeserialize, CanonicalSerialize};

type Points = ark_groth16::Proof<Bn254>;

/// A Groth16 proof over BN254 whose points are on their curves, in the right subgroups, and not at infinity.
#[derive(Clone, Debug, PartialEq)]
pub struct Proof(Points);

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
        let points = points_on_curves(bytes)?;
        // G1 is the whole of its curve.
        if points.b.is_in_correct_subgroup_assuming_on_curve() { Ok(Self(points)) } else { Err(MalformedProof) }
    }

    /// 128 bytes, the only ones that [`Self::from_bytes`] reads as this proof.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        encode(&self.0)
    }

    /// The points are on their curves and in their subgroups.
    pub(crate) fn from_points(points: Points) -> Result<Self, MalformedProof> {
        if is_finite(&points) { Ok(Self(points)) } else { Err(MalformedProof) }
    }

    pub(crate) fn points(&self) -> &Points {
        &self.0
    }
}

/// Reads a proof as strictly as [`Proof::from_bytes`], but for one thing: B may be outside its subgroup.
pub(crate) fn points_on_curves(bytes: &[u8; Proof::LEN]) -> Result<Points, MalformedProof> {
    // A compressed point says one coordinate, and the curve says the other.
    let points = Points::deserialize_compressed_unchecked(bytes.as_slice()).map_err(|_| MalformedProof)?;
    // Flags that the decoder is lenient about would be a second encoding.
    if is_finite(&points) && encode(&points) == *bytes { Ok(points) } else { Err(MalformedProof) }
}

fn is_finite(Points { a, b, c }: &Points) -> bool {
    !(a.is_zero() || b.is_zero() || c.is_zero())
}

fn encode(points: &Points) -> [u8; Proof::LEN] {
    let mut bytes = [0; Proof::LEN];
    points.serialize_compressed(bytes.as_mut_slice()).expect("three compressed points are 128 bytes");
    bytes
}
