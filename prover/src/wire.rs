//! What gadgets work with: a linear combination of the circuit's variables together with its value.

use ark_bn254::Fr;
use ark_ff::{One, Zero};
use ark_relations::gr1cs::{ConstraintSystemRef, LinearCombination, SynthesisError, Variable};

/// A number inside the circuit. In setup its value means nothing.
#[derive(Clone)]
pub(crate) struct Wire {
    pub(crate) value: Fr,
    pub(crate) terms: LinearCombination<Fr>,
}

impl Wire {
    /// A number that is part of the circuit.
    pub(crate) fn constant(value: Fr) -> Self {
        Self { value, terms: LinearCombination::from((value, Variable::One)) }
    }

    /// A new public input. They are numbered in the order of these calls.
    pub(crate) fn public(cs: &ConstraintSystemRef<Fr>, value: Fr) -> Result<Self, SynthesisError> {
        let variable = cs.new_input_variable(|| Ok(value))?;
        Ok(Self { value, terms: variable.into() })
    }

    /// A new private variable.
    pub(crate) fn private(cs: &ConstraintSystemRef<Fr>, value: Fr) -> Result<Self, SynthesisError> {
        let variable = cs.new_witness_variable(|| Ok(value))?;
        Ok(Self { value, terms: variable.into() })
    }

    /// A new private variable that is a bit: `bit · (1 − bit) = 0`.
    pub(crate) fn bit(cs: &ConstraintSystemRef<Fr>, value: Fr) -> Result<Self, SynthesisError> {
        let bit = Self::private(cs, value)?;
        enforce(cs, &bit, &Self::constant(Fr::one()).minus(&bit), &Self::constant(Fr::zero()))?;
        Ok(bit)
    }

    /// A new private variable that is the product of two numbers.
    pub(crate) fn product(cs: &ConstraintSystemRef<Fr>, a: &Self, b: &Self) -> Result<Self, SynthesisError> {
        let product = Self::private(cs, a.value * b.value)?;
        enforce(cs, a, b, &product)?;
        Ok(product)
    }

    /// The sum: no constraint.
    pub(crate) fn plus(&self, other: &Self) -> Self {
        Self { value: self.value + other.value, terms: &self.terms + &other.terms }
    }

    /// The difference: no constraint.
    pub(crate) fn minus(&self, other: &Self) -> Self {
        self.plus_scaled(-Fr::one(), other)
    }

    /// `self + factor · other`: no constraint.
    pub(crate) fn plus_scaled(&self, factor: Fr, other: &Self) -> Self {
        Self { value: self.value + factor * other.value, terms: &self.terms + (factor, &other.terms) }
    }
}

/// Adds the row `a · b = c`.
pub(crate) fn enforce(cs: &ConstraintSystemRef<Fr>, a: &Wire, b: &Wire, c: &Wire) -> Result<(), SynthesisError> {
    cs.enforce_r1cs_constraint(|| a.terms.clone(), || b.terms.clone(), || c.terms.clone())
}
