//! The polynomial *h = (A·B − C)/Z* that a proof divides for, by its values on the domain of rows.
//!
//! *A*, *B* and *C* are the polynomials whose value at *ω^j* is what row *j* has on that side for the variables' values;
//! *Z = X^N − 1*. *A·B − C* is zero on the domain, so there *h* is its derivative over that of *Z*. On the domain *C* has
//! the values of *A·B*, so nobody reads the third matrix.
//!
//! For a blank the values are *z0 + x·z1*, and *z1* is the signal (1) and the share (the slope *a1*) alone. They stand
//! in the share's row *p* (the signal on side B; the share on side C) and in their own input rows *q* (side A). With
//! *ℓ_j* for the polynomial that is 1 at *ω^j* and 0 elsewhere on the domain, *h = h0 + x·h1 + x²·h2* where
//!
//! ```text
//! h0 = (A0·B0 − C0)/Z                                as above
//! h1 = Σ over q of weight·B0·ℓ_q/Z + (A0 − a1)·ℓ_p/Z     where A0 is a1 at ω^p, and B0 is 0 at ω^q
//! h2 = Σ over q of weight·ℓ_q·ℓ_p/Z
//! ```
//!
//! All of *h1* and *h2* are *openings*, *(u − u(ω^q))·ℓ_q/Z* of some *u*, which are linear in the values of *u*:
//! [`Opening`].

use std::sync::LazyLock;

use ark_bn254::Fr;
use ark_ff::{Field, One, Zero, batch_inversion};
use ark_poly::{EvaluationDomain, Radix2EvaluationDomain};
use zeroize::Zeroizing;

use crate::shape::{PUBLIC, SHAPE, SHARE, SIGNAL};

/// One number per row, or per point of the domain; or the coefficients of such a polynomial.
pub(crate) type Column = Zeroizing<Vec<Fr>>;

/// The rows' domain.
pub(crate) static DOMAIN: LazyLock<Radix2EvaluationDomain<Fr>> =
    LazyLock::new(|| Radix2EvaluationDomain::new(SHAPE.domain()).expect("the field has roots of unity of this order"));

/// Zero everywhere.
pub(crate) fn empty() -> Column {
    Zeroizing::new(vec![Fr::zero(); SHAPE.domain()])
}

/// Sides A and B of every row.
pub(crate) fn sides(values: &[Fr]) -> [Column; 2] {
    let mut sides = [empty(), empty()];
    for (side, matrix) in sides.iter_mut().zip(&SHAPE.matrices) {
        for (number, terms) in side.iter_mut().zip(matrix) {
            *number = terms.iter().map(|(weight, variable)| times(weight, &values[*variable])).sum();
        }
    }
    sides[0][SHAPE.constraints..][..PUBLIC].copy_from_slice(&values[..PUBLIC]);
    sides
}

/// The values of *h*, given values that satisfy every row.
pub(crate) fn quotient([a, b]: &[Column; 2]) -> Column {
    let mut c = empty();
    c.iter_mut().zip(a.iter().zip(&**b)).for_each(|(c, (a, b))| *c = *a * b);
    let [slope_a, slope_b, slope_c] = [a, b, &c].map(derive);
    let share = DOMAIN.size_inv();
    let mut quotient = c;
    for (row, value) in quotient.iter_mut().enumerate() {
        *value = (slope_a[row] * b[row] + slope_b[row] * a[row] - slope_c[row]) * share;
    }
    quotient
}

/// The values of *X·u′*, given those of *u*. The derivative of *Z* times *X* is *N* on all of the domain.
fn derive(values: &Column) -> Column {
    let mut column = values.clone();
    DOMAIN.ifft_in_place(&mut column);
    for (power, coefficient) in column.iter_mut().enumerate() {
        *coefficient *= Fr::from(power as u64);
    }
    DOMAIN.fft_in_place(&mut column);
    column
}

/// *(u − u(ω^q))·ℓ_q/Z* for one *q*, as a function of the values of *u*.
pub(crate) struct Opening {
    row: usize,
    /// *ω^q / (N·(ω^j − ω^q))* for every other *j*.
    weights: Vec<Fr>,
}

/// At the row of the share, and at the input rows of signal and share.
pub(crate) struct Openings {
    pub(crate) share_row: Opening,
    pub(crate) signal: Opening,
    pub(crate) share: Opening,
}

pub(crate) static OPENINGS: LazyLock<Openings> = LazyLock::new(|| Openings {
    share_row: Opening::at(SHAPE.share_row),
    signal: Opening::at(SHAPE.input_row(SIGNAL)),
    share: Opening::at(SHAPE.input_row(SHARE)),
});

impl Opening {
    fn at(row: usize) -> Self {
        let here = DOMAIN.element(row);
        let mut weights: Vec<Fr> = DOMAIN.elements().map(|there| there - here).collect();
        batch_inversion(&mut weights);
        let factor = here * DOMAIN.size_inv();
        weights.iter_mut().for_each(|weight| *weight *= factor);
        Self { row, weights }
    }

    /// Adds to the values of a polynomial `factor` times the opening of the one that is `value` in `row` and zero in
    /// all others. Touches no rows but `row` and the opening's own, unless they are the same.
    pub(crate) fn add(&self, factor: Fr, row: usize, value: Fr, to: &mut [Fr]) {
        let Self { row: here, weights } = self;
        if value.is_zero() {
            return;
        }
        let value = factor * value;
        if row == *here {
            to.iter_mut().zip(weights).for_each(|(to, weight)| *to -= *weight * value);
            let doubled = Fr::from(2 * DOMAIN.size).inverse().expect("the domain's size is a power of two");
            to[row] += Fr::from(DOMAIN.size - 1) * doubled * value;
        } else {
            to[row] += weights[row] * value;
            to[*here] -= (weights[row] + DOMAIN.size_inv()) * value;
        }
    }
}

fn times(weight: &Fr, value: &Fr) -> Fr {
    if weight.is_one() { *value } else { *weight * value }
}
