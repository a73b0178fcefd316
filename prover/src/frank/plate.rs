//! What the blanks of one leaf have in common, and how a blank's points follow from it.
//!
//! Variables and rows that stay the same for the leaf ([`crate::values`]) are added up once, in a plate; a blank adds the
//! others. In *h1* the part of the input row of the share, and the value of the share's own row, are multiplied by the
//! slope *a1*, which every index has anew; so a plate has two points for it, one before *1* and one before *a1*. A blank
//! without a plate knows its slope from the start, and adds up everything at once.

use ark_bn254::{Fr, G1Affine, G1Projective, G2Projective};
use ark_ec::CurveGroup;
use ark_ff::{One, Zero};
use rand_chacha::rand_core::CryptoRng;
use xmtp_proto::field::{ExternalNullifier, FieldElement, Root, Scope};
use zeroize::{Zeroize, Zeroizing};

use super::{Blank, Coefficients, Facts};
use crate::{
    field::random,
    keys::ProvingKey,
    msm::sum,
    prove::{ProveError, Witness},
    quotient::{Column, OPENINGS, empty, quotient, sides},
    secret::{Index, Limit, PassSecret, leaf},
    shape::{SHAPE, SHARE, SIGNAL},
    tree::Path,
    values::{MOVING_ROWS, moved, moves, values},
};

/// What every blank of one leaf under one root starts from. As secret as the book: it holds a copy of *a0*.
///
/// Making it and a first blank costs about a fifth more than [`Blank::prepare`]; every further blank costs a third of
/// that.
pub struct Plate {
    key: ProvingKey,
    secret: PassSecret,
    limit: Limit,
    path: Path,
    root: Root,
    /// Of all variables. Those that move are some use's.
    values: Column,
    fixed: Fixed,
}

/// Sums over the variables and rows that stay the same.
struct Fixed {
    a: G1Projective,
    b_g1: G1Projective,
    b_g2: G2Projective,
    l: G1Projective,
    h1: [G1Projective; 2],
}

impl Drop for Fixed {
    fn drop(&mut self) {
        let Self { a, b_g1, b_g2, l, h1 } = self;
        [a, b_g1, l].into_iter().chain(h1).for_each(Zeroize::zeroize);
        b_g2.zeroize();
    }
}

impl Plate {
    /// Adds up what does not depend on index, external nullifier and scope.
    ///
    /// # Errors
    /// [`ProveError::Path`] if the path is not this leaf's.
    pub fn new(key: &ProvingKey, secret: &PassSecret, limit: Limit, path: &Path) -> Result<Self, ProveError> {
        let root = path.root_of(leaf(secret.commitment(), limit))?;
        let (secret, path) = (secret.copy(), path.clone());
        let (index, zero) = (Index::new(0), FieldElement::ZERO);
        let witness = Witness { secret: &secret, limit, index, path: &path };
        let any = Facts::new(root, &secret, zero.into(), index, zero.into());
        let values = values(&any.unsigned(&witness)?);
        let fixed = Fixed::new(key, &values);
        Ok(Self { key: key.clone(), secret, limit, path, root, values, fixed })
    }

    /// Under which every blank of this plate states its membership.
    #[must_use]
    pub const fn root(&self) -> Root {
        self.root
    }

    /// Makes a blank with fresh randomness. The caller sees to it that the index has no other.
    ///
    /// # Errors
    /// [`ProveError::IndexAboveLimit`].
    pub fn blank(
        &self,
        external_nullifier: ExternalNullifier,
        index: Index,
        scope: Scope,
        rng: &mut impl CryptoRng,
    ) -> Result<Blank, ProveError> {
        self.blind(external_nullifier, index, scope, &Zeroizing::new([random(rng), random(rng)]))
    }

    /// Makes the blank with the prover's randomness. Not generic, so that it is compiled here.
    pub(super) fn blind(
        &self,
        external_nullifier: ExternalNullifier,
        index: Index,
        scope: Scope,
        randomness: &[Fr; 2],
    ) -> Result<Blank, ProveError> {
        let Self { key, secret, limit, path, root, values, fixed } = self;
        let blank = Facts::new(*root, secret, external_nullifier, index, scope);
        let witness = Witness { secret, limit: *limit, index, path };
        let values = moved(values, &blank.unsigned(&witness)?);
        let rest = Rest { fixed, has_variable: moves, rows: &MOVING_ROWS };
        Ok(Blank { points: rest.coefficients(key, &values, randomness), facts: blank })
    }
}

/// All of a blank's points without a plate, with the prover's randomness.
pub(super) fn at_once(
    key: &ProvingKey,
    witness: &Witness<'_>,
    facts: &Facts,
    randomness: &[Fr; 2],
) -> Result<Coefficients, ProveError> {
    let values = values(&facts.unsigned(witness)?);
    let rows: Vec<usize> = (0..SHAPE.domain()).collect();
    let rest = Rest { fixed: &Fixed::nothing(key), has_variable: |_| true, rows: &rows };
    Ok(rest.coefficients(key, &values, randomness))
}

/// What is left to add up for a blank.
struct Rest<'p> {
    fixed: &'p Fixed,
    has_variable: fn(usize) -> bool,
    rows: &'p [usize],
}

impl Rest<'_> {
    /// Every sum is a secret as long as the blank is, and wiped.
    fn coefficients(&self, key: &ProvingKey, values: &[Fr], [r, s]: &[Fr; 2]) -> Coefficients {
        let (fixed, queries) = (self.fixed, key.queries());
        let points = queries.key;
        let numbers = || values.iter().copied().enumerate().filter(|(variable, _)| (self.has_variable)(*variable));

        let (bare, blind) = (Zeroizing::new(sum(&[queries.a(numbers())])), Zeroizing::new(points.delta_g1 * r));
        let a0 = Zeroizing::new(*bare + fixed.a + *blind);
        let (bare, blind) = (Zeroizing::new(sum(&[queries.b_g2(numbers())])), Zeroizing::new(points.vk.delta_g2 * s));
        let b0 = Zeroizing::new(*bare + fixed.b_g2 + *blind);
        let sides = sides(values);
        let scaled = numbers().map(|(variable, value)| (variable, value * r));
        let terms = [queries.l(numbers()), queries.b_g1(scaled), queries.h(quotient(&sides))];
        // The term r·s·δ is in r·B as often as it is taken away.
        let (bare, blind) = (Zeroizing::new(sum(&terms)), Zeroizing::new([*a0 * s, fixed.b_g1 * r]));
        let c0 = Zeroizing::new(*bare + fixed.l + blind[0] + blind[1]);

        let slope = &values[SHAPE.slope];
        let of_signal = |points: &[G1Affine]| points[SHARE] * slope + points[SIGNAL];
        let a1 = Zeroizing::new(of_signal(&points.a_query));
        let b1 = Zeroizing::new(points.b_g2_query[SHARE] * slope + points.b_g2_query[SIGNAL]);
        let bare = Zeroizing::new(sum(&[queries.h(openings(&sides, *slope, self.rows))]));
        let h1 = Zeroizing::new(*bare + fixed.h1[0] + fixed.h1[1] * slope);
        let blind = Zeroizing::new([*a1 * s, of_signal(&points.b_g1_query) * r]);
        let c1 = Zeroizing::new(*h1 + blind[0] + blind[1]);
        let [product_of_signal, product_of_share] = *key.products();
        let c2 = Zeroizing::new(product_of_share * slope + product_of_signal);

        Coefficients {
            a: [&a0, &a1].map(|sum| sum.into_affine()),
            b: [&b0, &b1].map(|sum| sum.into_affine()),
            c: [&c0, &c1, &c2].map(|sum| sum.into_affine()),
        }
    }
}

impl Fixed {
    fn nothing(key: &ProvingKey) -> Self {
        let points = key.queries().key;
        let zero = G1Projective::zero();
        let [a, b_g1] = [points.vk.alpha_g1, points.beta_g1].map(Into::into);
        Self { a, b_g1, b_g2: points.vk.beta_g2.into(), l: zero, h1: [zero; 2] }
    }

    fn new(key: &ProvingKey, values: &[Fr]) -> Self {
        let (queries, nothing) = (key.queries(), Self::nothing(key));
        let staying = || values.iter().copied().enumerate().filter(|(variable, _)| !moves(*variable));
        let a = sum(&[queries.a(staying())]) + nothing.a;
        let b_g1 = sum(&[queries.b_g1(staying())]) + nothing.b_g1;
        let b_g2 = sum(&[queries.b_g2(staying())]) + nothing.b_g2;
        let l = sum(&[queries.l(staying())]);
        let h1 = staying_openings(&sides(values)).map(|values| sum(&[queries.h(values)]));
        Self { a, b_g1, b_g2, l, h1 }
    }
}

/// The part of *h1* that stays: before *1* and before the slope.
fn staying_openings([a, b]: &[Column; 2]) -> [Column; 2] {
    let [mut once, mut by_slope] = [empty(), empty()];
    let mut moving = MOVING_ROWS.iter().peekable();
    for row in 0..a.len() {
        if row == SHAPE.share_row || moving.next_if(|next| **next == row).is_some() {
            continue;
        }
        OPENINGS.share_row.add(Fr::one(), row, a[row], &mut once);
        OPENINGS.signal.add(Fr::one(), row, b[row], &mut once);
        OPENINGS.share.add(Fr::one(), row, b[row], &mut by_slope);
    }
    OPENINGS.share_row.add(Fr::one(), SHAPE.share_row, Fr::one(), &mut by_slope);
    [once, by_slope]
}

/// The part of *h1* that these rows have.
fn openings([a, b]: &[Column; 2], slope: Fr, rows: &[usize]) -> Column {
    let mut values = empty();
    for row in rows.iter().copied() {
        OPENINGS.share_row.add(Fr::one(), row, a[row], &mut values);
        OPENINGS.signal.add(Fr::one(), row, b[row], &mut values);
        OPENINGS.share.add(slope, row, b[row], &mut values);
    }
    values
}
