//! What the blanks of one leaf have in common, and how a blank's points follow from it.
//!
//! Variables and rows that stay the same for the leaf ([`crate::values`]) are added up once. In a blank's *h1* the part
//! of the input row of the share, and the value of the share's own row, are multiplied by the slope *a1*, which every
//! index has anew; so there are two points for *h1* and two for *h2*, one before *1* and one before *a1*.

use ark_bn254::{Fr, G1Affine, G1Projective, G2Projective};
use ark_ec::CurveGroup;
use ark_ff::{One, Zero};
use xmtp_proto::field::{ExternalNullifier, FieldElement, Nullifier, Root, Scope, Tag};
use zeroize::Zeroize;

use super::Coefficients;
use crate::{
    circuit::PassCircuit,
    field::to_fr,
    groth16::Queries,
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
/// Making one costs more than a blank does, so who makes several keeps it.
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
    h2: [G1Projective; 2],
}

impl Drop for Fixed {
    fn drop(&mut self) {
        let Self { a, b_g1, b_g2, l, h1, h2 } = self;
        [a, b_g1, l].into_iter().chain(h1).chain(h2).for_each(Zeroize::zeroize);
        b_g2.zeroize();
    }
}

/// What a statement says of one use, whatever the signal.
pub(super) struct Use {
    pub(super) external_nullifier: ExternalNullifier,
    pub(super) index: Index,
    pub(super) scope: Scope,
    pub(super) nullifier: Nullifier,
    pub(super) tag: Tag,
}

impl Plate {
    /// Adds up what does not depend on index, external nullifier and scope.
    ///
    /// # Errors
    /// [`ProveError::Path`] if the path is not this leaf's.
    pub fn new(key: &ProvingKey, secret: &PassSecret, limit: Limit, path: &Path) -> Result<Self, ProveError> {
        let root = path.root_of(leaf(secret.commitment(), limit))?;
        let (secret, path) = (secret.copy(), path.clone());
        let zero = FieldElement::ZERO;
        let index = Index::new(0);
        let witness = Witness { secret: &secret, limit, index, path: &path };
        let any_use = Use {
            external_nullifier: zero.into(),
            index,
            scope: zero.into(),
            nullifier: zero.into(),
            tag: zero.into(),
        };
        let values = values(&unsigned(&witness, root, &any_use)?);
        let fixed = Fixed::new(key.queries(), &values);
        Ok(Self { key: key.clone(), secret, limit, path, root, values, fixed })
    }

    /// Under which every blank of this plate states its membership.
    #[must_use]
    pub const fn root(&self) -> Root {
        self.root
    }

    pub(super) fn look_up(&self, external_nullifier: ExternalNullifier, index: Index, scope: Scope) -> Use {
        let nullifier = self.secret.nullifier(external_nullifier, index);
        Use { external_nullifier, index, scope, nullifier, tag: self.secret.tag(scope) }
    }

    /// The blank's points, with the prover's randomness.
    pub(super) fn coefficients(&self, of: &Use, [r, s]: [Fr; 2]) -> Result<Coefficients, ProveError> {
        let Self { key, secret, limit, path, root, values, fixed } = self;
        let witness = Witness { secret, limit: *limit, index: of.index, path };
        let values = moved(values, &unsigned(&witness, *root, of)?);
        let queries = key.queries();
        let points = queries.key;
        let moving = || values.iter().copied().enumerate().filter(|(variable, _)| moves(*variable));

        let a0 = sum(&[queries.a(moving())]) + fixed.a + points.delta_g1 * r;
        let b0 = sum(&[queries.b_g2(moving())]) + fixed.b_g2 + points.vk.delta_g2 * s;
        let sides = sides(&values);
        let scaled = moving().map(|(variable, value)| (variable, value * r));
        let terms = [queries.l(moving()), queries.b_g1(scaled), queries.h(quotient(&sides))];
        // The term r·s·δ is in r·B as often as it is taken away.
        let c0 = sum(&terms) + fixed.l + a0 * s + fixed.b_g1 * r;

        let slope = values[SHAPE.slope];
        let with_slope = |[one, other]: [G1Projective; 2]| one + other * slope;
        let of_signal = |query: &[G1Affine]| with_slope([query[SIGNAL], query[SHARE]].map(Into::into));
        let a1 = of_signal(&points.a_query);
        let b1 = points.b_g2_query[SHARE] * slope + points.b_g2_query[SIGNAL];
        let h1 = sum(&[queries.h(moving_openings(&sides, slope))]) + with_slope(fixed.h1);
        let c1 = h1 + a1 * s + of_signal(&points.b_g1_query) * r;
        let c2 = with_slope(fixed.h2);

        let [b0, b1] = [b0, b1].map(CurveGroup::into_affine);
        let [a0, a1, c0, c1, c2] = [a0, a1, c0, c1, c2].map(CurveGroup::into_affine);
        Ok(Coefficients { a: [a0, a1], b: [b0, b1], c: [c0, c1, c2] })
    }
}

impl Fixed {
    fn new(queries: Queries<'_>, values: &[Fr]) -> Self {
        let points = queries.key;
        let staying = || values.iter().copied().enumerate().filter(|(variable, _)| !moves(*variable));
        let a = sum(&[queries.a(staying())]) + points.vk.alpha_g1;
        let b_g1 = sum(&[queries.b_g1(staying())]) + points.beta_g1;
        let b_g2 = sum(&[queries.b_g2(staying())]) + points.vk.beta_g2;
        let l = sum(&[queries.l(staying())]);
        let h = |values: Column| sum(&[queries.h(values)]);
        let [once, by_slope] = staying_openings(&sides(values));
        let product = |input| {
            let mut values = empty();
            OPENINGS.share_row.add(Fr::one(), SHAPE.input_row(input), Fr::one(), &mut values);
            values
        };
        let (h1, h2) = ([h(once), h(by_slope)], [h(product(SIGNAL)), h(product(SHARE))]);
        Self { a, b_g1, b_g2, l, h1, h2 }
    }
}

/// The part of *h1* that stays: before *1* and before the slope.
fn staying_openings([a, b]: &[Column; 2]) -> [Column; 2] {
    let [mut once, mut by_slope] = [empty(), empty()];
    let mut moving = MOVING_ROWS.iter().peekable();
    for row in 0..a.len() {
        if moving.next_if(|next| **next == row).is_some() {
            continue;
        }
        OPENINGS.share_row.add(Fr::one(), row, a[row], &mut once);
        OPENINGS.signal.add(Fr::one(), row, b[row], &mut once);
        OPENINGS.share.add(Fr::one(), row, b[row], &mut by_slope);
    }
    OPENINGS.share_row.add(Fr::one(), SHAPE.share_row, Fr::one(), &mut by_slope);
    [once, by_slope]
}

/// The part of *h1* that moves, but for the share's own row, whose value on side A is the slope.
fn moving_openings([a, b]: &[Column; 2], slope: Fr) -> Column {
    let mut values = empty();
    for row in MOVING_ROWS.iter().copied().filter(|row| *row != SHAPE.share_row) {
        OPENINGS.share_row.add(Fr::one(), row, a[row], &mut values);
        OPENINGS.signal.add(Fr::one(), row, b[row], &mut values);
        OPENINGS.share.add(slope, row, b[row], &mut values);
    }
    values
}

/// The circuit at signal zero, whose share is *a0*: never shown.
fn unsigned(witness: &Witness<'_>, root: Root, of: &Use) -> Result<PassCircuit, ProveError> {
    let Use { external_nullifier, index: _, scope, nullifier, tag } = *of;
    let [root, external_nullifier, nullifier, scope, tag] =
        [root.field(), external_nullifier.field(), nullifier.field(), scope.field(), tag.field()].map(to_fr);
    witness.circuit([root, external_nullifier, Fr::zero(), witness.secret.number(), nullifier, scope, tag])
}
