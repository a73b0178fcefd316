//! The values of the circuit's variables, natively and in the circuit's order; a test holds the two against each other.
//!
//! Most of them are *fixed* for a leaf under one root: the path, which is four fifths of the circuit, and what it begins
//! with. The others *move* with index, external nullifier and scope.

use std::{ops::Range, sync::LazyLock};

use ark_bn254::Fr;
use ark_ff::Zero;
use zeroize::Zeroizing;

use crate::{
    circuit::{INDEX_BITS, PassCircuit},
    poseidon::trace,
    shape::{EXTERNAL_NULLIFIER, NULLIFIER, PUBLIC, SCOPE, SHAPE, TAG},
    tree::{ARITY, DEPTH},
};

/// The bits of index and slack: they follow the secret, which is the first private variable.
const BITS: Range<usize> = PUBLIC + 1..PUBLIC + 1 + 2 * INDEX_BITS;

/// Whether a variable moves.
pub(crate) fn moves(variable: usize) -> bool {
    matches!(variable, EXTERNAL_NULLIFIER | NULLIFIER | SCOPE | TAG)
        || BITS.contains(&variable)
        || variable >= SHAPE.slope
}

/// The rows with a variable that moves on side A or B, ascending; those of public inputs come last. The share's own row,
/// which has nothing but the slope there, is not among them.
pub(crate) static MOVING_ROWS: LazyLock<Vec<usize>> = LazyLock::new(|| {
    let has = |side: usize, row: usize| SHAPE.matrices[side][row].iter().any(|(_, variable)| moves(*variable));
    let rows = (0..SHAPE.constraints).filter(|row| *row != SHAPE.share_row && (has(0, *row) || has(1, *row)));
    rows.chain((0..PUBLIC).filter(|input| moves(*input)).map(|input| SHAPE.input_row(input))).collect()
});

/// The values of all variables, public ones first. Whether they satisfy the circuit is not asked.
pub(crate) fn values(circuit: &PassCircuit) -> Zeroizing<Vec<Fr>> {
    let mut values = beginning(circuit);
    let (index, slack) = (number(&circuit.index), number(&circuit.slack));
    let commitment = digest(&[circuit.secret], &mut values);
    let leaf = digest(&[commitment, index + slack + Fr::from(1)], &mut values);
    membership(leaf, &circuit.path, &mut values);
    end(circuit, &mut values);
    values
}

/// The same for a circuit of the same leaf and path, given the values of the other.
pub(crate) fn moved(fixed: &[Fr], circuit: &PassCircuit) -> Zeroizing<Vec<Fr>> {
    let mut values = beginning(circuit);
    let begun = values.len();
    values.extend(&fixed[begun..SHAPE.slope]);
    end(circuit, &mut values);
    values
}

/// With room for all of them, so that growing leaves no copy behind.
fn beginning(circuit: &PassCircuit) -> Zeroizing<Vec<Fr>> {
    let PassCircuit { public, secret, index, slack, path: _ } = circuit;
    let mut values = Zeroizing::new(Vec::with_capacity(PUBLIC + SHAPE.private));
    values.push(Fr::from(1));
    values.extend(public);
    values.push(*secret);
    values.extend(index.iter().chain(slack));
    values
}

fn end(circuit: &PassCircuit, values: &mut Vec<Fr>) {
    let PassCircuit { public, secret, index, .. } = circuit;
    debug_assert_eq!(values.len(), SHAPE.slope);
    let slope = digest(&[*secret, public[EXTERNAL_NULLIFIER - 1], number(index)], values);
    trace(&[slope], values);
    trace(&[*secret, public[SCOPE - 1]], values);
}

/// The number with these bits, lowest first.
fn number(bits: &[Fr]) -> Fr {
    bits.iter().rev().fold(Fr::zero(), |sum, bit| sum + sum + bit)
}

/// A variable that is the hash of `inputs`, and those of the hash.
fn digest<const N: usize>(inputs: &[Fr; N], values: &mut Vec<Fr>) -> Fr {
    let place = values.len();
    values.push(Fr::zero());
    values[place] = trace(inputs, values);
    values[place]
}

fn membership(leaf: Fr, path: &[[Fr; ARITY]; DEPTH], values: &mut Vec<Fr>) {
    let mut current = leaf;
    for (level, children) in path.iter().enumerate() {
        values.extend(children);
        let [first, middle @ .., _] = children;
        let mut product = current - first;
        for child in middle {
            product *= current - child;
            values.push(product);
        }
        current = if level + 1 == DEPTH { trace(children, values) } else { digest(children, values) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        circuit::bits,
        shape::{SHARE, SIGNAL},
        testing::{Sample, assign, rng},
    };

    #[test]
    fn native_values_are_those_of_the_circuit() {
        for seed in 40..43 {
            let rng = &mut rng(seed);
            let circuit = Sample::honest(rng).circuit(rng);
            assert_eq!(*values(&circuit), *assign(&circuit).unwrap());
        }
    }

    #[test]
    fn only_variables_that_move_differ_for_another_use_of_the_leaf() {
        let rng = &mut rng(44);
        let mut sample = Sample::honest(rng);
        sample.member.1 = Fr::from(1 << 16);
        (sample.index, sample.slack) = (bits(0), bits(u16::MAX));
        let path = sample.circuit(rng).path;
        let one = sample.circuit_with(path, rng);
        (sample.index, sample.slack) = (bits(u16::MAX), bits(0));
        let other = sample.circuit_with(path, rng);
        let [one_values, other_values] = [&one, &other].map(values);
        assert_eq!(*moved(&one_values, &other), *other_values);
        for variable in 0..one_values.len() {
            let differs = one_values[variable] != other_values[variable];
            // A blank has values of its own for these two.
            let of_the_signal = [SIGNAL, SHARE].contains(&variable);
            assert!(!differs || moves(variable) || of_the_signal, "variable {variable}");
        }
        // And nearly all that move do so: it is their number that a blank costs.
        let count = |is: &dyn Fn(&usize) -> bool| (0..one_values.len()).filter(is).count();
        let (moving, differing) = (count(&|it| moves(*it)), count(&|it| one_values[*it] != other_values[*it]));
        assert!(moving <= differing + 8 && moving < 800, "{moving} move, {differing} differ");
    }
}
