//! For unit tests: seeded randomness, a witness to start from, and the references: the circuit's own values, arkworks'
//! own prover.

use ark_bn254::{Bn254, Fr};
use ark_groth16::Groth16;
use ark_relations::gr1cs::{ConstraintSynthesizer, ConstraintSystem, SynthesisError, SynthesisMode};
use rand_chacha::{
    ChaCha20Rng,
    rand_core::{Rng, SeedableRng},
};

use crate::{
    circuit::{PassCircuit, bits},
    field::random,
    keys::ProvingKey,
    poseidon::hash,
    shape::{PUBLIC, SHAPE},
    tree::{ARITY, DEPTH},
};

pub(crate) fn rng(seed: u8) -> ChaCha20Rng {
    ChaCha20Rng::from_seed([seed; 32])
}

/// A circuit whose public inputs follow from the rest, whether or not the rest is honest.
pub(crate) struct Sample {
    pub(crate) secret: Fr,
    pub(crate) index: [Fr; 16],
    pub(crate) slack: [Fr; 16],
    /// The secret and limit in the tree's leaf.
    pub(crate) member: (Fr, Fr),
    /// A level among whose children the leaf's ancestor is not.
    pub(crate) astray_at: Option<usize>,
}

impl Sample {
    /// Index 4321 of a leaf with limit 10,000.
    pub(crate) fn honest(rng: &mut ChaCha20Rng) -> Self {
        let secret = random(rng);
        Self {
            secret,
            index: bits(4321),
            slack: bits(9999 - 4321),
            member: (secret, Fr::from(10_000)),
            astray_at: None,
        }
    }

    pub(crate) fn circuit(&self, rng: &mut ChaCha20Rng) -> PassCircuit {
        let &Self { member, astray_at, .. } = self;
        let mut current = hash(&[hash(&[member.0]), member.1]);
        let path: [[Fr; ARITY]; DEPTH] = std::array::from_fn(|level| {
            let mut children = std::array::from_fn(|_| random(rng));
            if astray_at != Some(level) {
                children[rng.next_u32() as usize % ARITY] = current;
            }
            current = hash(&children);
            children
        });
        self.circuit_with(path, rng)
    }

    /// The same with a path at hand.
    pub(crate) fn circuit_with(&self, path: [[Fr; ARITY]; DEPTH], rng: &mut ChaCha20Rng) -> PassCircuit {
        let &Self { secret, index, slack, .. } = self;
        let root = hash(&path[DEPTH - 1]);
        let [external_nullifier, x, scope] = std::array::from_fn(|_| random(rng));
        let number = index.iter().rev().fold(Fr::from(0), |sum, bit| sum + sum + bit);
        let slope = hash(&[secret, external_nullifier, number]);
        let public = [root, external_nullifier, x, secret + slope * x, hash(&[slope]), scope, hash(&[secret, scope])];
        PassCircuit { public, secret, index, slack, path }
    }
}

/// The values of all variables, public ones first, as synthesis gives them.
pub(crate) fn assign(circuit: &PassCircuit) -> Result<Vec<Fr>, SynthesisError> {
    let cs = ConstraintSystem::new_ref();
    cs.set_mode(SynthesisMode::Prove { construct_matrices: false, generate_lc_assignments: false });
    circuit.generate_constraints(cs.clone())?;
    let assignments = cs.into_inner().ok_or(SynthesisError::MissingCS)?.assignments;
    Ok([assignments.instance_assignment, assignments.witness_assignment].concat())
}

/// The proof that arkworks makes with the prover's randomness.
pub(crate) fn arkworks_proof(key: &ProvingKey, circuit: &PassCircuit, [r, s]: [Fr; 2]) -> ark_groth16::Proof<Bn254> {
    Groth16::<Bn254>::create_proof_with_reduction_and_matrices(
        key.queries().key,
        r,
        s,
        &SHAPE.matrices,
        PUBLIC,
        SHAPE.constraints,
        &assign(circuit).unwrap(),
    )
    .unwrap()
}
