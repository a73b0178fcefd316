//! The circuit as matrices: synthesised once per process, never per proof.

use std::sync::LazyLock;

use ark_bn254::Fr;
use ark_ff::Zero;
use ark_relations::gr1cs::{
    ConstraintSynthesizer, ConstraintSystem, Matrix, OptimizationGoal, R1CS_PREDICATE_LABEL, SynthesisMode,
};

use crate::circuit::{INDEX_BITS, PassCircuit};
use crate::tree::{ARITY, DEPTH};

/// Public inputs, and the constant one.
pub(crate) const PUBLIC: usize = 8;

/// The numbers of public inputs, behind the constant one and the root.
pub(crate) const EXTERNAL_NULLIFIER: usize = 2;
pub(crate) const SIGNAL: usize = 3;
pub(crate) const SHARE: usize = 4;
pub(crate) const NULLIFIER: usize = 5;
pub(crate) const SCOPE: usize = 6;
pub(crate) const TAG: usize = 7;

/// What the circuit is, whatever the values.
pub(crate) struct Shape {
    /// A, B and C: per row the coefficients and the variables' numbers, public ones first.
    pub(crate) matrices: Vec<Matrix<Fr>>,
    pub(crate) constraints: usize,
    pub(crate) private: usize,
    /// The row `slope · signal = share − secret`, the only one with either public input.
    pub(crate) share_row: usize,
    /// The variable *a1*, which is the first one behind the path.
    pub(crate) slope: usize,
}

impl Shape {
    /// The row that arkworks adds for a public input, or for the constant one, so that no two are bound alike: the input
    /// times zero is zero.
    pub(crate) fn input_row(&self, input: usize) -> usize {
        self.constraints + input
    }

    /// The size of the domain over which the prover divides.
    pub(crate) fn domain(&self) -> usize {
        (self.constraints + PUBLIC).next_power_of_two()
    }
}

/// The numbers that are pinned in `testdata/vectors/circuit.json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Rows of the constraint system.
    pub constraints: usize,
    /// Public inputs, and the constant one.
    pub instance: usize,
}

/// The size of the circuit, as synthesised.
#[must_use]
pub fn size() -> Size {
    Size { constraints: SHAPE.constraints, instance: PUBLIC }
}

pub(crate) static SHAPE: LazyLock<Shape> = LazyLock::new(|| {
    let cs = ConstraintSystem::new_ref();
    cs.set_optimization_goal(OptimizationGoal::Constraints);
    cs.set_mode(SynthesisMode::Setup);
    blank_circuit().generate_constraints(cs.clone()).expect("setup asks for no values");
    cs.finalize();
    assert_eq!(cs.num_instance_variables(), PUBLIC);
    let mut matrices = cs.to_matrices().expect("setup makes matrices");
    let matrices = matrices.remove(R1CS_PREDICATE_LABEL).expect("all rows are of rank one");
    let has_signal = |row: &Vec<(Fr, usize)>| row.iter().any(|(_, variable)| *variable == SIGNAL);
    let share_row = matrices[1].iter().position(has_signal).expect("the share depends on the signal");
    let [(_, slope)] = matrices[0][share_row][..] else { panic!("the signal is multiplied with the slope") };
    Shape { matrices, constraints: cs.num_constraints(), private: cs.num_witness_variables(), share_row, slope }
});

/// The circuit with no values that mean anything.
pub(crate) fn blank_circuit() -> PassCircuit {
    PassCircuit {
        public: [Fr::zero(); 7],
        secret: Fr::zero(),
        index: [Fr::zero(); INDEX_BITS],
        slack: [Fr::zero(); INDEX_BITS],
        path: [[Fr::zero(); ARITY]; DEPTH],
    }
}
