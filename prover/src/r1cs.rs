//! The circuit as a file: iden3's `.r1cs`, version 1, which ceremony tools read.

use ark_bn254::Fr;
use ark_ff::PrimeField;

use crate::{
    field::to_be_bytes,
    shape::{PUBLIC, SHAPE, Shape},
};

const MAGIC: &[u8; 4] = b"r1cs";
const VERSION: u32 = 1;
/// Bytes of a number.
const NUMBER: u32 = 32;

/// The circuit as iden3's tools read it: 1.8 MB. Variable 0 is the constant one, the public inputs follow in their
/// order, then the private variables.
#[must_use]
pub fn r1cs() -> Vec<u8> {
    let sections = [header(&SHAPE), constraints(&SHAPE), labels(&SHAPE)];
    let mut bytes = [MAGIC.as_slice(), &VERSION.to_le_bytes(), &number_of(sections.len())].concat();
    for (number, section) in (1_u32..).zip(sections) {
        bytes.extend_from_slice(&number.to_le_bytes());
        bytes.extend_from_slice(&(section.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&section);
    }
    bytes
}

fn header(shape: &Shape) -> Vec<u8> {
    let modulus: Vec<u8> = Fr::MODULUS.0.into_iter().flat_map(u64::to_le_bytes).collect();
    [
        NUMBER.to_le_bytes().as_slice(),
        &modulus,
        &number_of(variables(shape)),
        &number_of(0), // outputs: for this format inputs that the circuit computes, and we tell none apart
        &number_of(PUBLIC - 1),
        &number_of(shape.private),
        &(variables(shape) as u64).to_le_bytes(), // labels: one for each variable
        &number_of(shape.constraints),
    ]
    .concat()
}

fn constraints(shape: &Shape) -> Vec<u8> {
    let mut bytes = Vec::new();
    for row in 0..shape.constraints {
        for terms in shape.matrices.iter().map(|matrix| &matrix[row]) {
            bytes.extend_from_slice(&number_of(terms.len()));
            for (coefficient, variable) in terms {
                bytes.extend_from_slice(&number_of(*variable));
                bytes.extend(to_be_bytes(coefficient).into_iter().rev());
            }
        }
    }
    bytes
}

fn labels(shape: &Shape) -> Vec<u8> {
    (0..variables(shape) as u64).flat_map(u64::to_le_bytes).collect()
}

const fn variables(shape: &Shape) -> usize {
    PUBLIC + shape.private
}

fn number_of(count: usize) -> [u8; 4] {
    u32::try_from(count).expect("the circuit is small").to_le_bytes()
}
