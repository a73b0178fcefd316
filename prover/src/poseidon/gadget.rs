//! The hash as rows of the circuit.

use std::sync::OnceLock;

use ark_bn254::Fr;
use ark_ff::{Field, Zero};
use ark_relations::gr1cs::{ConstraintSystemRef, SynthesisError};
use zeroize::Zeroizing;

use super::{Constants, MAX_INPUTS, matrix::Matrix};
use crate::wire::{Wire, enforce};

/// Enforces `digest = Pn(inputs)`, in three rows per S-box.
///
/// The variables are the *inputs* of the S-boxes (and their squares and fourth powers), so that the A and B rows,
/// whose points a prover multiplies in G1 and G2, have a term or two. The linear layers stand in the C rows: read
/// backwards from the digest, the output of every S-box is a linear combination of later inputs.
pub(crate) fn enforce_hash<const N: usize>(
    cs: &ConstraintSystemRef<Fr>,
    inputs: [&Wire; N],
    digest: &Wire,
) -> Result<(), SynthesisError> {
    const { assert!(N >= 1 && N <= MAX_INPUTS) };
    let permutation = permutation::<N>();
    let sboxes = permutation.allocate_sboxes(cs, &inputs)?;
    permutation.enforce_linear_layers(cs, &sboxes, digest)
}

/// The digest of `inputs`, and the values of all variables that [`enforce_hash`] makes, in its order, behind those in
/// `values`.
pub(crate) fn trace<const N: usize>(inputs: &[Fr; N], values: &mut Vec<Fr>) -> Fr {
    const { assert!(N >= 1 && N <= MAX_INPUTS) };
    permutation::<N>().trace(inputs, values)
}

/// An S-box: its input and the fourth power of that. The fifth power is whatever the linear layers say.
struct Sbox {
    input: Wire,
    fourth: Wire,
}

impl Sbox {
    fn new(cs: &ConstraintSystemRef<Fr>, input: Wire) -> Result<Self, SynthesisError> {
        let square = Wire::product(cs, &input, &input)?;
        let fourth = Wire::product(cs, &square, &square)?;
        Ok(Self { input, fourth })
    }

    fn fifth(&self) -> Fr {
        self.fourth.value * self.input.value
    }

    fn enforce_output(&self, cs: &ConstraintSystemRef<Fr>, output: &Wire) -> Result<(), SynthesisError> {
        enforce(cs, &self.fourth, &self.input, output)
    }
}

/// The constants of one width, as the gadget needs them.
struct Permutation {
    width: usize,
    full_rounds: usize,
    partial_rounds: usize,
    /// One constant per lane and round.
    constants: Vec<Vec<Fr>>,
    mix: Matrix,
    unmix: Matrix,
}

fn permutation<const N: usize>() -> &'static Permutation {
    static PERMUTATIONS: [OnceLock<Permutation>; MAX_INPUTS] = [const { OnceLock::new() }; MAX_INPUTS];
    PERMUTATIONS[N - 1].get_or_init(|| Permutation::new(Constants::new(N)))
}

impl Permutation {
    fn new(constants: Constants) -> Self {
        let Constants { full_rounds, partial_rounds, rounds: constants, mix } = constants;
        Self { width: mix.rows().len(), full_rounds, partial_rounds, constants, unmix: mix.inverse(), mix }
    }

    fn rounds(&self) -> usize {
        self.full_rounds + self.partial_rounds
    }

    fn is_full(&self, round: usize) -> bool {
        let half = self.full_rounds / 2;
        round < half || round >= half + self.partial_rounds
    }

    /// Runs the permutation on values, giving every S-box its variables. Result: the S-boxes of each round, one or
    /// `width` of them. The first S-box of the first round has a constant input and is left out.
    fn allocate_sboxes(
        &self,
        cs: &ConstraintSystemRef<Fr>,
        inputs: &[&Wire],
    ) -> Result<Vec<Vec<Sbox>>, SynthesisError> {
        let capacity_output = self.constants[0][0].pow([5]);
        let first = inputs.iter().zip(&self.constants[0][1..]);
        let first = first.map(|(input, constant)| Sbox::new(cs, input.plus(&Wire::constant(*constant))));
        let first: Vec<Sbox> = first.collect::<Result<_, _>>()?;
        let mut state = vec![capacity_output];
        state.extend(first.iter().map(Sbox::fifth));

        let mut rounds = Vec::with_capacity(self.rounds());
        rounds.push(first);
        for round in 1..self.rounds() {
            state = self.mix.apply(&state);
            for (lane, constant) in state.iter_mut().zip(&self.constants[round]) {
                *lane += constant;
            }
            let lanes = if self.is_full(round) { self.width } else { 1 };
            let mut sboxes = Vec::with_capacity(lanes);
            for (lane, value) in state.iter_mut().enumerate().take(lanes) {
                let input = if round == 1 && lane == self.width - 1 {
                    self.last_lane_of_second_round(&sboxes, capacity_output)
                } else {
                    Wire::private(cs, *value)?
                };
                let sbox = Sbox::new(cs, input)?;
                *value = sbox.fifth();
                sboxes.push(sbox);
            }
            rounds.push(sboxes);
        }
        Ok(rounds)
    }

    /// What [`Self::allocate_sboxes`] and [`Self::enforce_digest`] make variables of.
    fn trace(&self, inputs: &[Fr], values: &mut Vec<Fr>) -> Fr {
        let mut sbox = |value: &mut Fr, input_is_variable: bool| {
            let square = value.square();
            let fourth = square.square();
            values.extend(input_is_variable.then_some(*value).into_iter().chain([square, fourth]));
            *value *= fourth;
        };
        // They may be secrets.
        let [mut state, mut before] = [(); 2].map(|()| Zeroizing::new([Fr::zero(); MAX_INPUTS + 1]));
        let state = &mut state[..self.width];
        state[0] = self.constants[0][0].pow([5]);
        for ((lane, input), constant) in state[1..].iter_mut().zip(inputs).zip(&self.constants[0][1..]) {
            *lane = *input + constant;
            sbox(lane, false);
        }
        for round in 1..self.rounds() {
            before[..self.width].copy_from_slice(state);
            for ((lane, weights), constant) in state.iter_mut().zip(self.mix.rows()).zip(&self.constants[round]) {
                *lane = weights.iter().zip(&*before).map(|(weight, lane)| *weight * lane).sum::<Fr>() + constant;
            }
            let lanes = if self.is_full(round) { self.width } else { 1 };
            for (lane, value) in state.iter_mut().enumerate().take(lanes) {
                sbox(value, round != 1 || lane != self.width - 1);
            }
        }
        values.extend(&state[1..]);
        self.mix.rows()[0].iter().zip(&*state).map(|(weight, lane)| *weight * lane).sum()
    }

    /// The capacity lane of the first round is a constant, so the second round's inputs have one degree of freedom
    /// less than lanes: the last one follows from the others, and no row is spent on saying so.
    fn last_lane_of_second_round(&self, others: &[Sbox], capacity_output: Fr) -> Wire {
        let (last, weights) = self.unmix.rows()[0].split_last().expect("a state has at least two lanes");
        let (last_constant, constants) = self.constants[1].split_last().expect("a state has at least two lanes");
        let scale = last.inverse().expect("no entry of the inverted matrix is zero");
        let mut lane = Wire::constant(capacity_output * scale + last_constant);
        for ((sbox, weight), constant) in others.iter().zip(weights).zip(constants) {
            lane = lane.plus_scaled(-*weight * scale, &sbox.input.minus(&Wire::constant(*constant)));
        }
        lane
    }

    /// Ties the output of every S-box to the inputs of later ones, from the last round to the first.
    fn enforce_linear_layers(
        &self,
        cs: &ConstraintSystemRef<Fr>,
        rounds: &[Vec<Sbox>],
        digest: &Wire,
    ) -> Result<(), SynthesisError> {
        let (last, earlier) = rounds.split_last().expect("there are rounds");
        self.enforce_digest(cs, last, digest)?;
        let with_rows = cs.should_construct_matrices();
        let mut later: Vec<Wire> = last.iter().map(|sbox| sbox.input.clone()).collect();
        for (round, sboxes) in earlier.iter().enumerate().rev() {
            // Values are known already: without rows there is nothing left to do.
            let outputs = if with_rows { self.undo_linear_layer(round + 1, &later) } else { Vec::new() };
            if round == 0 {
                // The capacity lane has no S-box: `last_lane_of_second_round` made its output the constant it is.
                for (sbox, output) in sboxes.iter().zip(outputs.iter().skip(1)) {
                    sbox.enforce_output(cs, output)?;
                }
            } else {
                for (sbox, output) in sboxes.iter().zip(&outputs) {
                    sbox.enforce_output(cs, output)?;
                }
                later = sboxes.iter().map(|sbox| sbox.input.clone()).collect();
                // In a partial round the other lanes pass unchanged.
                later.extend(outputs.into_iter().skip(sboxes.len()));
            }
        }
        Ok(())
    }

    /// The last round: the digest is a combination of its outputs, which are variables but for the first one.
    fn enforce_digest(&self, cs: &ConstraintSystemRef<Fr>, last: &[Sbox], digest: &Wire) -> Result<(), SynthesisError> {
        let (first, others) = last.split_first().expect("a state has at least two lanes");
        let mut output = digest.clone();
        for (sbox, weight) in others.iter().zip(&self.mix.rows()[0][1..]) {
            let fifth = Wire::product(cs, &sbox.fourth, &sbox.input)?;
            output = output.plus_scaled(-*weight, &fifth);
        }
        let scale = self.mix.rows()[0][0].inverse().expect("no entry of the matrix is zero");
        first.enforce_output(cs, &Wire::constant(Fr::zero()).plus_scaled(scale, &output))
    }

    /// The state after the S-boxes of the round before `round`, given the one before the S-boxes of `round`.
    fn undo_linear_layer(&self, round: usize, state: &[Wire]) -> Vec<Wire> {
        let lanes = state.iter().zip(&self.constants[round]);
        let mixed: Vec<Wire> = lanes.map(|(lane, constant)| lane.minus(&Wire::constant(*constant))).collect();
        let combine = |row: &Vec<Fr>| {
            let sum = Wire::constant(Fr::zero());
            row.iter().zip(&mixed).fold(sum, |sum, (weight, lane)| sum.plus_scaled(*weight, lane))
        };
        self.unmix.rows().iter().map(combine).collect()
    }
}

#[cfg(test)]
mod tests {
    use ark_ff::One;
    use ark_relations::gr1cs::ConstraintSystem;

    use super::*;
    use crate::{field::random, poseidon::hash, testing::rng};

    fn check_gadget<const N: usize>(constraints: usize) {
        let rng = &mut rng(N as u8);
        for _ in 0..4 {
            let values: [Fr; N] = std::array::from_fn(|_| random(rng));
            let satisfied = |digest: Fr| {
                let cs = ConstraintSystem::new_ref();
                let inputs = values.map(|value| Wire::private(&cs, value).unwrap());
                let digest = Wire::private(&cs, digest).unwrap();
                enforce_hash(&cs, inputs.each_ref(), &digest).unwrap();
                assert_eq!(cs.num_constraints(), constraints);
                cs.is_satisfied().unwrap()
            };
            assert!(satisfied(hash(&values)));
            assert!(!satisfied(hash(&values) + Fr::one()));
            assert!(!satisfied(random(rng)));
        }
    }

    #[test]
    fn gadget_agrees_with_the_native_hash_in_three_rows_per_sbox() {
        check_gadget::<1>(3 * (8 * 2 + 56 - 1));
        check_gadget::<2>(3 * (8 * 3 + 57 - 1));
        check_gadget::<3>(3 * (8 * 4 + 56 - 1));
        check_gadget::<8>(3 * (8 * 9 + 63 - 1));
    }
}
