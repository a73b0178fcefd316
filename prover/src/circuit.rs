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
        let Self { public, secret, index, slack, path } = self;
        public.zeroize(); // without a signal, the share is the secret
        secret.zeroize();
        index.zeroize();
        slack.zeroize();
        path.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use ark_ff::Field;

    use super::*;
    use crate::{
        field::random,
        shape::{PUBLIC, SHAPE},
        testing::{Sample, assign, rng},
    };

    /// The sides of a row, over these values.
    fn sides(row: usize, values: &[Fr]) -> [Fr; 3] {
        let side = |matrix: usize| {
            SHAPE.matrices[matrix][row].iter().map(|(weight, variable)| *weight * values[*variable]).sum()
        };
        [side(0), side(1), side(2)]
    }

    fn refusing_rows(circuit: &PassCircuit) -> usize {
        let values = assign(circuit).unwrap();
        assert_eq!(values.len(), PUBLIC + SHAPE.private);
        let refuses = |row: &usize| {
            let [a, b, c] = sides(*row, &values);
            a * b != c
        };
        (0..SHAPE.constraints).filter(refuses).count()
    }

    /// One wrong thing, and everything else made to fit it: a single row stands in the way, so that row is needed.
    fn check_refused_by_one_row(seed: u8, change: impl FnOnce(&mut Sample)) {
        let rng = &mut rng(seed);
        let mut sample = Sample::honest(rng);
        change(&mut sample);
        assert_eq!(refusing_rows(&sample.circuit(rng)), 1);
    }

    fn at_bit(bit: usize, value: Fr) -> [Fr; INDEX_BITS] {
        let mut bits = [Fr::zero(); INDEX_BITS];
        bits[bit] = value;
        bits
    }

    #[test]
    fn honest_witness_satisfies_every_row() {
        for seed in 0..4 {
            let rng = &mut rng(seed);
            assert_eq!(refusing_rows(&Sample::honest(rng).circuit(rng)), 0);
        }
    }

    #[test]
    fn edges_of_index_and_limit_satisfy_every_row() {
        for (index, limit) in [(0, 1), (0, 1 << 16), (u16::MAX, 1 << 16), (9, 10), (0, 10)] {
            let rng = &mut rng(8);
            let mut sample = Sample::honest(rng);
            sample.index = bits(index);
            sample.slack = bits((limit - 1 - u32::from(index)) as u16);
            sample.member.1 = Fr::from(limit);
            assert_eq!(refusing_rows(&sample.circuit(rng)), 0);
        }
    }

    #[test]
    fn leaf_of_another_secret() {
        check_refused_by_one_row(10, |sample| sample.member.0 += Fr::one());
    }

    #[test]
    fn forged_limit() {
        check_refused_by_one_row(11, |sample| sample.slack = bits(20_000));
    }

    #[test]
    fn index_equal_to_the_limit() {
        check_refused_by_one_row(12, |sample| {
            sample.index = bits(10_000);
            sample.slack = at_bit(0, -Fr::one()); // a slack of −1 gives the leaf's true limit
        });
    }

    #[test]
    fn index_above_the_limit_by_any_bit_of_the_slack() {
        for bit in 0..INDEX_BITS {
            check_refused_by_one_row(13, |sample| {
                sample.index = bits(10_000 + 5);
                sample.slack = at_bit(bit, Fr::from(-6) * Fr::from(1_u32 << bit).inverse().unwrap());
            });
        }
    }

    #[test]
    fn index_of_two_to_the_sixteenth() {
        check_refused_by_one_row(14, |sample| {
            sample.index = at_bit(INDEX_BITS - 1, Fr::from(2));
            sample.slack = bits(0);
            sample.member.1 = Fr::from((1 << 16) + 1); // whoever admitted such a leaf
        });
    }

    #[test]
    fn index_that_is_no_number_of_sixteen_bits_by_any_bit() {
        for bit in 0..INDEX_BITS {
            check_refused_by_one_row(15, |sample| {
                sample.index = at_bit(bit, Fr::from(70_000) * Fr::from(1_u32 << bit).inverse().unwrap());
                sample.slack = bits(0);
                sample.member.1 = Fr::from(70_001);
            });
        }
    }

    #[test]
    fn slack_of_two_to_the_sixteenth() {
        check_refused_by_one_row(16, |sample| {
            sample.index = bits(0);
            sample.slack = at_bit(INDEX_BITS - 1, Fr::from(2));
            sample.member.1 = Fr::from((1 << 16) + 1);
        });
    }

    #[test]
    fn node_that_is_none_of_the_eight_children_at_any_level() {
        for level in 0..DEPTH {
            check_refused_by_one_row(17, |sample| sample.astray_at = Some(level));
        }
    }

    #[test]
    fn any_public_input_changed() {
        let rng = &mut rng(18);
        for input in 0..7 {
            let mut circuit = Sample::honest(rng).circuit(rng);
            circuit.public[input] += random(rng);
            assert!(refusing_rows(&circuit) > 0, "public input {input}");
        }
    }

    #[test]
    fn any_variable_changed_alone_leaves_some_row_unsatisfied() {
        let rng = &mut rng(19);
        let values = assign(&Sample::honest(rng).circuit(rng)).unwrap();
        let rows: Vec<[Fr; 3]> = (0..SHAPE.constraints).map(|row| sides(row, &values)).collect();
        // Which rows mention a variable, on which side, with which weight.
        let mut mentions = vec![Vec::new(); values.len()];
        for (side, matrix) in SHAPE.matrices.iter().enumerate() {
            for (row, terms) in matrix.iter().enumerate() {
                for (weight, variable) in terms {
                    mentions[*variable].push((row, side, *weight));
                }
            }
        }
        // Variable 0 is the constant one, which is not the prover's to choose.
        for (variable, mentions) in mentions.iter_mut().enumerate().skip(1) {
            let change = random(rng);
            mentions.sort_unstable_by_key(|(row, side, _)| (*row, *side));
            let refused = mentions.chunk_by(|one, other| one.0 == other.0).any(|terms| {
                let mut sides = rows[terms[0].0];
                terms.iter().for_each(|(_, side, weight)| sides[*side] += *weight * change);
                sides[0] * sides[1] != sides[2]
            });
            assert!(refused, "variable {variable}");
        }
    }

    #[test]
    fn rows_are_cheap_for_the_prover_and_fit_the_domain() {
        assert!(SHAPE.constraints + PUBLIC <= MAX_ROWS);
        assert_eq!(SHAPE.domain(), MAX_ROWS);
        let terms = |matrix: usize| SHAPE.matrices[matrix].iter().map(Vec::len).sum::<usize>();
        assert!(terms(0) + terms(1) < 3 * SHAPE.constraints, "A {} and B {}", terms(0), terms(1));
    }
}
