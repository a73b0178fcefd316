//! The lines of many Miller loops at once (optimal ate over BN254). Points of the twist are walked in affine coordinates,
//! with one inversion per step for all of them; where a walk ends says whether its point is in the subgroup, so that the
//! check costs next to nothing.
//!
//! The fields are arkworks', and so are the digits of the loop; a test holds the result against its pairing.

use ark_bn254::{Config, Fq, Fq2, Fq12, Fq12Config, G1Affine, G2Affine};
use ark_ec::bn::BnConfig;
use ark_ff::{AdditiveGroup, Field, One, Zero, batch_inversion, fp12_2over3over2::Fp12Config};

/// The lines of one point's loop, in order: they depend on the point of G2 alone.
pub(super) struct Lines(Vec<Line>);

/// The line through a point R of a walk: at (x, y) it is y − slope · x + offset.
#[derive(Clone, Copy)]
struct Line {
    slope: Fq2,
    offset: Fq2,
}

/// A point on its way through the loop.
struct Walk {
    start: G2Affine,
    x: Fq2,
    y: Fq2,
    lines: Vec<Line>,
    /// It met a point that no point of the subgroup meets, and what follows means nothing.
    astray: bool,
}

/// Walks points of the twist, which are not at infinity; `None` for those outside the subgroup.
///
/// With ψ the Frobenius endomorphism of the twist, a walk ends at \[6X + 2\]Q + ψ(Q) − ψ²(Q), and that is −ψ³(Q) if and only
/// if Q is in the subgroup: ψ acts there as the field's characteristic p, and 6X + 2 + p − p² + p³ is a multiple of the
/// order; elsewhere nothing else fulfils the equation, because the norm of 6X + 2 + ψ − ψ² + ψ³ in Z\[ψ\] has no factor in
/// common with the cofactor (ePrint 2022/348, theorem 1; the tests compute both numbers).
pub(super) fn walk(points: &[G2Affine]) -> Vec<Option<Lines>> {
    let mut walks: Vec<Walk> = points.iter().map(Walk::new).collect();
    for digit in digits() {
        advance(&mut walks, |walk| (walk.x, walk.y));
        match digit {
            0 => {}
            1 => advance(&mut walks, |walk| (walk.start.x, walk.start.y)),
            _ => advance(&mut walks, |walk| (walk.start.x, -walk.start.y)),
        }
    }
    advance(&mut walks, |walk| psi((walk.start.x, walk.start.y)));
    advance(&mut walks, |walk| {
        let (x, y) = psi(psi((walk.start.x, walk.start.y)));
        (x, -y)
    });
    walks.into_iter().map(Walk::end).collect()
}

/// The product of the Miller loops of pairs of points. A point of G1 at infinity counts as one.
pub(super) fn miller(pairs: &[(G1Affine, &Lines)]) -> Fq12 {
    // Lines are divided by y, whose powers the final exponentiation makes one.
    let mut inverses: Vec<Fq> = pairs.iter().map(|(point, _)| point.y).collect();
    batch_inversion(&mut inverses);
    let ratios: Vec<[Fq; 2]> =
        pairs.iter().zip(inverses).map(|((point, _), inverse)| [-point.x * inverse, inverse]).collect();

    let mut product = Fq12::one();
    let mut step = 0;
    let mut multiply = |product: &mut Fq12| {
        for ((_, lines), ratio) in pairs.iter().zip(&ratios) {
            multiply_by_line(product, lines.0[step], ratio);
        }
        step += 1;
    };
    for digit in digits() {
        product.square_in_place();
        multiply(&mut product);
        if digit != 0 {
            multiply(&mut product);
        }
    }
    multiply(&mut product);
    multiply(&mut product);
    product
}

/// Of 6X + 2, behind the highest.
fn digits() -> impl Iterator<Item = i8> {
    Config::ATE_LOOP_COUNT.iter().rev().skip(1).copied()
}

/// Adds to each walk's point what `addend` says (the point itself: doubles it), and keeps the line through the two.
fn advance(walks: &mut [Walk], addend: impl Fn(&Walk) -> (Fq2, Fq2)) {
    let addends: Vec<_> = walks.iter().map(&addend).collect();
    let mut slopes = Vec::with_capacity(walks.len());
    let mut inverses = Vec::with_capacity(walks.len());
    for (walk, (x, y)) in walks.iter().zip(&addends) {
        let (rise, run) = if walk.x == *x && walk.y == *y {
            let square = x.square();
            (square.double() + square, y.double())
        } else {
            (walk.y - y, walk.x - x)
        };
        slopes.push(rise);
        inverses.push(run);
    }
    batch_inversion(&mut inverses);
    for (((walk, (other, _)), rise), inverse) in walks.iter_mut().zip(addends).zip(slopes).zip(inverses) {
        // Zero has no inverse and stays zero.
        walk.astray |= inverse.is_zero();
        let slope = rise * inverse;
        walk.lines.push(Line { slope, offset: slope * walk.x - walk.y });
        let x = slope.square() - walk.x - other;
        walk.y = slope * (walk.x - x) - walk.y;
        walk.x = x;
    }
}

/// The Frobenius endomorphism of the twist.
fn psi((mut x, mut y): (Fq2, Fq2)) -> (Fq2, Fq2) {
    x.frobenius_map_in_place(1);
    y.frobenius_map_in_place(1);
    (x * Config::TWIST_MUL_BY_Q_X, y * Config::TWIST_MUL_BY_Q_Y)
}

/// `product · (1 + (ratio₀ · slope + ratio₁ · offset · v) · w)`: half of the factor is a one.
fn multiply_by_line(product: &mut Fq12, Line { mut slope, mut offset }: Line, ratio: &[Fq; 2]) {
    slope.mul_assign_by_fp(&ratio[0]);
    offset.mul_assign_by_fp(&ratio[1]);
    let Fq12 { c0: mut even, c1: mut odd } = *product;
    even.mul_by_01(&slope, &offset);
    odd.mul_by_01(&slope, &offset);
    Fq12Config::mul_fp6_by_nonresidue_in_place(&mut odd);
    product.c0 += &odd;
    product.c1 += &even;
}

impl Walk {
    fn new(start: &G2Affine) -> Self {
        // A line per digit, one more where it is not zero, and two.
        let lines = Vec::with_capacity(2 * Config::ATE_LOOP_COUNT.len());
        Self { start: *start, x: start.x, y: start.y, lines, astray: false }
    }

    fn end(self) -> Option<Lines> {
        let (x, y) = psi(psi(psi((self.start.x, self.start.y))));
        (!self.astray && (self.x, self.y) == (x, -y)).then_some(Lines(self.lines))
    }
}

#[cfg(test)]
mod tests {
    use ark_bn254::{Bn254, Fr, G1Projective, G2Projective, g2};
    use ark_ec::{
        AffineRepr, CurveGroup, PrimeGroup,
        models::CurveConfig,
        pairing::{MillerLoopOutput, Pairing},
    };
    use ark_ff::PrimeField;
    use num_bigint::{BigInt, Sign};

    use super::*;
    use crate::{field::random, testing::rng};

    /// A prime factor of the cofactor, the smallest.
    const SMALL_ORDER: u64 = 10069;

    fn is_inside(point: G2Affine) -> bool {
        let [walked] = walk(&[point]).try_into().ok().unwrap();
        walked.is_some()
    }

    /// Points of the twist, hardly any of them in the subgroup.
    fn on_the_twist(count: usize) -> Vec<G2Affine> {
        let xs = (1_u64..).map(|x| Fq2::new(x.into(), (x * x).into()));
        xs.filter_map(|x| G2Affine::get_point_from_x_unchecked(x, true)).take(count).collect()
    }

    fn number(limbs: &[u64]) -> BigInt {
        limbs.iter().rev().fold(BigInt::from(0), |sum, limb| (sum << 64) + *limb)
    }

    #[test]
    fn membership_is_what_arkworks_says_it_is() {
        let mut rng = rng(1);
        let mut points = on_the_twist(50);
        points.extend((0..50).map(|_| (G2Projective::generator() * random(&mut rng)).into_affine()));
        // Strays hidden in good points.
        let hidden: Vec<G2Affine> = (0..50).map(|at| (points[at] + points[50 + at]).into_affine()).collect();
        points.extend(hidden);
        let walked = walk(&points);
        for (at, (point, walked)) in points.iter().zip(&walked).enumerate() {
            assert_eq!(walked.is_some(), point.is_in_correct_subgroup_assuming_on_curve(), "{at}");
            assert_eq!(walked.is_some(), (50..100).contains(&at), "{at}");
        }
    }

    #[test]
    fn points_of_the_cofactors_order_and_of_its_smallest_factor_are_outside() {
        let cofactor = number(g2::Config::COFACTOR);
        assert_eq!(&cofactor % SMALL_ORDER, BigInt::from(0));
        let rest = (&cofactor / SMALL_ORDER).to_u64_digits().1;
        for point in on_the_twist(20) {
            let of_cofactor = point.mul_bigint(Fr::MODULUS);
            let of_small_order = of_cofactor.mul_bigint(&rest);
            assert!(of_small_order.mul_bigint([SMALL_ORDER]).is_zero());
            for point in [of_cofactor, of_small_order, of_small_order + G2Projective::generator()] {
                assert!(point.is_zero() || !is_inside(point.into_affine()));
            }
        }
    }

    /// The condition under which the end of a walk says whether its point is in the subgroup.
    #[test]
    fn norm_of_the_equation_has_no_factor_in_common_with_the_cofactor() {
        let (p, x) = (number(Fq::MODULUS.as_ref()), number(Config::X));
        let trace: BigInt = 6 * &x * &x + 1;
        // 6X + 2 + ψ − ψ² + ψ³ as a + b·ψ, for ψ² = trace · ψ − p.
        let a: BigInt = 6 * &x + 2 + &p - &p * &trace;
        let b: BigInt = 1 - &trace + &trace * &trace - &p;
        let norm: BigInt = &a * &a + &a * &b * &trace + &b * &b * &p;
        assert_eq!(&norm % number(Fr::MODULUS.as_ref()), BigInt::from(0));
        let (mut divisor, mut rest) = (number(g2::Config::COFACTOR), norm);
        while rest.sign() != Sign::NoSign {
            (divisor, rest) = (rest.clone(), divisor % rest);
        }
        assert_eq!(divisor.magnitude(), BigInt::from(1).magnitude());
    }

    #[test]
    fn products_are_those_of_arkworks() {
        let mut rng = rng(2);
        for count in [0, 1, 2, 7] {
            let mut g1: Vec<G1Affine> =
                (0..count).map(|_| (G1Projective::generator() * random(&mut rng)).into_affine()).collect();
            if count == 7 {
                g1[3] = G1Affine::identity();
            }
            let g2: Vec<G2Affine> =
                (0..count).map(|_| (G2Projective::generator() * random(&mut rng)).into_affine()).collect();
            let lines: Vec<Lines> = walk(&g2).into_iter().map(Option::unwrap).collect();
            let product = miller(&g1.iter().copied().zip(&lines).collect::<Vec<_>>());
            let product = Bn254::final_exponentiation(MillerLoopOutput(product)).unwrap();
            assert_eq!(product, Bn254::multi_pairing(g1, g2), "{count}");
        }
    }
}
