//! Square matrices over the field: as much linear algebra as the constants of a permutation take.

use ark_bn254::Fr;
use ark_ff::{Field, One, Zero};

/// A square matrix, by rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Matrix(Vec<Vec<Fr>>);

impl Matrix {
    /// The rows are as long as they are many.
    pub(super) fn from_rows(rows: Vec<Vec<Fr>>) -> Self {
        debug_assert!(rows.iter().all(|row| row.len() == rows.len()), "the matrix is square");
        Self(rows)
    }

    pub(super) fn identity(width: usize) -> Self {
        Self((0..width).map(|row| unit(width, row)).collect())
    }

    pub(super) fn rows(&self) -> &[Vec<Fr>] {
        &self.0
    }

    pub(super) fn column(&self, index: usize) -> Vec<Fr> {
        self.0.iter().map(|row| row[index]).collect()
    }

    /// Without the first row and the first column.
    pub(super) fn minor(&self) -> Self {
        Self(self.0[1..].iter().map(|row| row[1..].to_vec()).collect())
    }

    /// `self · vector`.
    pub(super) fn apply(&self, vector: &[Fr]) -> Vec<Fr> {
        self.0.iter().map(|row| dot(row, vector)).collect()
    }

    /// `vector · self`.
    pub(super) fn apply_left(&self, vector: &[Fr]) -> Vec<Fr> {
        (0..self.0.len()).map(|index| dot(vector, &self.column(index))).collect()
    }

    /// `self · other`.
    pub(super) fn times(&self, other: &Self) -> Self {
        Self(self.0.iter().map(|row| other.apply_left(row)).collect())
    }

    /// `[1, 0; 0, self]`.
    pub(super) fn bordered(&self) -> Self {
        let width = self.0.len() + 1;
        let below = self.0.iter().map(|row| [&[Fr::zero()], row.as_slice()].concat());
        Self(std::iter::once(unit(width, 0)).chain(below).collect())
    }

    /// Gauss–Jordan. Circomlib's matrices are invertible, and so are their minors: every square part of an MDS matrix is.
    pub(super) fn inverse(&self) -> Self {
        let width = self.0.len();
        let mut rows: Vec<Vec<Fr>> =
            self.0.iter().enumerate().map(|(index, row)| [row.as_slice(), &unit(width, index)].concat()).collect();
        for column in 0..width {
            let pivot = (column..width).find(|row| !rows[*row][column].is_zero()).expect("the matrix is invertible");
            rows.swap(column, pivot);
            let scale = rows[column][column].inverse().expect("a pivot is not zero");
            rows[column].iter_mut().for_each(|entry| *entry *= scale);
            let reduced = rows[column].clone();
            for (_, row) in rows.iter_mut().enumerate().filter(|(index, _)| *index != column) {
                let factor = row[column];
                row.iter_mut().zip(&reduced).for_each(|(entry, other)| *entry -= factor * other);
            }
        }
        Self(rows.into_iter().map(|row| row[width..].to_vec()).collect())
    }
}

fn unit(width: usize, index: usize) -> Vec<Fr> {
    (0..width).map(|column| if column == index { Fr::one() } else { Fr::zero() }).collect()
}

fn dot(row: &[Fr], vector: &[Fr]) -> Fr {
    row.iter().zip(vector).map(|(weight, lane)| *weight * lane).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{field::random, testing::rng};

    #[test]
    fn inverse_undoes_a_matrix() {
        let rng = &mut rng(9);
        for width in [1, 2, 9] {
            let matrix = Matrix::from_rows((0..width).map(|_| (0..width).map(|_| random(rng)).collect()).collect());
            assert_eq!(matrix.times(&matrix.inverse()), Matrix::identity(width));
            let vector: Vec<Fr> = (0..width).map(|_| random(rng)).collect();
            assert_eq!(matrix.inverse().apply(&matrix.apply(&vector)), vector);
        }
    }

    #[test]
    fn zero_pivot_is_found_a_row_below() {
        let [zero, one] = [Fr::zero(), Fr::one()];
        let swap = Matrix::from_rows(vec![vec![zero, one], vec![one, zero]]);
        assert_eq!(swap.inverse(), swap);
    }
}
