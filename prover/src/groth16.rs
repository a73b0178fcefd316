//! Groth16's arithmetic with this circuit's keys: which points are multiplied with which numbers, and a proof in one go.

use ark_bn254::{Bn254, Fr, G1Affine, G1Projective, g1, g2};
use ark_ec::CurveGroup;
use ark_ff::One;
use ark_poly::EvaluationDomain;
use zeroize::Zeroizing;

use crate::{
    msm::{Bases, Table, Terms, sum},
    quotient::{Column, DOMAIN, OPENINGS, empty, quotient, sides},
    shape::{PUBLIC, SHAPE, SHARE, SIGNAL},
};

type Key = ark_groth16::ProvingKey<Bn254>;

/// Bits of a digit in the tables. With some thousand terms, and with some hundred, one more or less costs the same.
const G1_WINDOW: usize = 13;
const G2_WINDOW: usize = 12;

/// Multiples of a key's points.
pub(crate) struct Tables {
    a: Table<g1::Config>,
    b_g1: Table<g1::Config>,
    b_g2: Table<g2::Config>,
    l: Table<g1::Config>,
    /// For the values of a polynomial, where the key's points are for its coefficients.
    h: Table<g1::Config>,
}

impl Tables {
    pub(crate) fn new(key: &Key) -> Self {
        // Half of the work each.
        std::thread::scope(|scope| {
            let h = scope.spawn(|| Table::new(&for_values(&key.h_query), G1_WINDOW));
            let [a, b_g1, l] =
                [&key.a_query, &key.b_g1_query, &key.l_query].map(|points| Table::new(points, G1_WINDOW));
            let b_g2 = Table::new(&key.b_g2_query, G2_WINDOW);
            let h = h.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            Self { a, b_g1, b_g2, l, h }
        })
    }
}

/// A polynomial's coefficients are the inverse transform of its values, and the transform is symmetric: applied to the
/// points in place of the coefficients, it gives points for the values. The highest coefficient has no point, since a
/// quotient has none; that counts as infinity.
fn for_values(h_query: &[G1Affine]) -> Vec<G1Affine> {
    let mut points: Vec<G1Projective> = h_query.iter().map(|point| (*point).into()).collect();
    points.resize(DOMAIN.size(), G1Projective::default());
    DOMAIN.ifft_in_place(&mut points);
    G1Projective::normalize_batch(&points)
}

/// The key's points in front of numbers.
#[derive(Clone, Copy)]
pub(crate) struct Queries<'k> {
    pub(crate) key: &'k Key,
    pub(crate) tables: Option<&'k Tables>,
}

impl<'k> Queries<'k> {
    /// Variables and numbers, for A.
    pub(crate) fn a(self, numbers: impl Iterator<Item = (usize, Fr)>) -> Terms<'k, g1::Config> {
        Terms::new(self.bases(&self.key.a_query, |tables| &tables.a), numbers)
    }

    /// Variables and numbers, for B where it enters C.
    pub(crate) fn b_g1(self, numbers: impl Iterator<Item = (usize, Fr)>) -> Terms<'k, g1::Config> {
        Terms::new(self.bases(&self.key.b_g1_query, |tables| &tables.b_g1), numbers)
    }

    /// Variables and numbers, for B.
    pub(crate) fn b_g2(self, numbers: impl Iterator<Item = (usize, Fr)>) -> Terms<'k, g2::Config> {
        let bases = self.tables.map_or(Bases::Points(&self.key.b_g2_query), |tables| Bases::Table(&tables.b_g2));
        Terms::new(bases, numbers)
    }

    /// Variables and numbers, for C. Public ones count for nothing here.
    pub(crate) fn l(self, numbers: impl Iterator<Item = (usize, Fr)>) -> Terms<'k, g1::Config> {
        let private = numbers.filter_map(|(variable, number)| Some((variable.checked_sub(PUBLIC)?, number)));
        Terms::new(self.bases(&self.key.l_query, |tables| &tables.l), private)
    }

    /// The values of a quotient, for C.
    pub(crate) fn h(self, mut values: Column) -> Terms<'k, g1::Config> {
        if self.tables.is_none() {
            DOMAIN.ifft_in_place(&mut values);
            values.truncate(self.key.h_query.len());
        }
        let bases = self.bases(&self.key.h_query, |tables| &tables.h);
        Terms::new(bases, values.iter().copied().enumerate())
    }

    /// What *h2* consists of, before *1* and before the slope ([`crate::quotient`]): the same for every blank.
    pub(crate) fn products(self) -> [G1Affine; 2] {
        [SIGNAL, SHARE].map(|input| {
            let mut values = empty();
            OPENINGS.share_row.add(Fr::one(), SHAPE.input_row(input), Fr::one(), &mut values);
            sum(&[self.h(values)]).into_affine()
        })
    }

    fn bases(
        self,
        points: &'k [G1Affine],
        table: impl FnOnce(&'k Tables) -> &'k Table<g1::Config>,
    ) -> Bases<'k, g1::Config> {
        self.tables.map_or(Bases::Points(points), |tables| Bases::Table(table(tables)))
    }

    /// The proof for these values with the prover's randomness. What is not blinded yet, and what blinds it, is wiped.
    pub(crate) fn prove(self, values: &[Fr], [r, s]: &[Fr; 2]) -> ark_groth16::Proof<Bn254> {
        let Key { vk, beta_g1, delta_g1, .. } = self.key;
        let numbered = || values.iter().copied().enumerate();
        let (bare, blind) = (Zeroizing::new(sum(&[self.a(numbered())])), Zeroizing::new(*delta_g1 * r));
        let a = *bare + *blind + vk.alpha_g1;
        let (bare, blind) = (Zeroizing::new(sum(&[self.b_g2(numbered())])), Zeroizing::new(vk.delta_g2 * s));
        let b = *bare + *blind + vk.beta_g2;
        // The term r·s·δ is in r·B as often as it is taken away.
        let scaled = numbered().map(|(variable, value)| (variable, value * r));
        let terms = [self.l(numbered()), self.b_g1(scaled), self.h(quotient(&sides(values)))];
        let (bare, blind) = (Zeroizing::new(sum(&terms)), Zeroizing::new([a * s, *beta_g1 * r]));
        let c = *bare + blind[0] + blind[1];
        ark_groth16::Proof { a: a.into_affine(), b: b.into_affine(), c: c.into_affine() }
    }
}
