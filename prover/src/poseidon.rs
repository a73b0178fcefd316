//! Poseidon over BN254 with circomlib's parameters, natively and in the circuit (docs/protocol.md, "The pass circuit":
//! `Pn` has n inputs).
//!
//! Capacity first (zero), the digest is the first lane of the last state. The constants are `light-poseidon`'s; the
//! native function and the gadget share nothing else, and tests hold both against `light-poseidon` and circomlib's vectors.

mod gadget;
mod matrix;
mod native;

use ark_bn254::Fr;
use light_poseidon::{PoseidonParameters, parameters::bn254_x5::get_poseidon_parameters};

pub(crate) use gadget::{enforce_hash, trace};
pub(crate) use native::hash;

use matrix::Matrix;

/// The widest hash that is used here, in inputs.
const MAX_INPUTS: usize = 8;

/// The constants of one width, as circomlib has them. A round adds its constants, applies the S-boxes (to every lane in
/// a full round, to the first in a partial one) and mixes.
struct Constants {
    full_rounds: usize,
    partial_rounds: usize,
    /// One per lane and round.
    rounds: Vec<Vec<Fr>>,
    mix: Matrix,
}

impl Constants {
    /// Of the hash with so many inputs.
    fn new(inputs: usize) -> Self {
        let width = u8::try_from(inputs + 1).expect("no hash is that wide");
        let PoseidonParameters { ark, mds, full_rounds, partial_rounds, width, alpha } =
            get_poseidon_parameters::<Fr>(width).expect("circomlib has parameters for widths 2 to 17");
        assert_eq!(alpha, 5, "the S-box is x^5");
        let rounds = ark.chunks_exact(width).map(<[Fr]>::to_vec).collect();
        Self { full_rounds, partial_rounds, rounds, mix: Matrix::from_rows(mds) }
    }
}
