//! Verifying many proofs at once: one product of pairings, in which every proof has a random exponent of 128 bits, and one
//! final exponentiation (docs/protocol.md, "The pass circuit"). A batch that fails is halved until the culprits are named,
//! with what was computed before.
//!
//! A proof that [`verify`](crate::verify()) refuses is refused here but for a chance of 2^-128, whatever is beside it, as
//! long as nobody knows the randomness before the proofs are chosen. What `verify` accepts is always proved.

use std::ops::Range;

use ark_bn254::{Bn254, Fq12, Fr, G1Affine, G1Projective, G2Affine};
use ark_ec::{
    CurveGroup,
    pairing::{MillerLoopOutput, Pairing, PairingOutput},
    scalar_mul::glv::GLVConfig,
};
use ark_ff::{AdditiveGroup, Zero};
use rand_chacha::rand_core::CryptoRng;

use crate::{
    keys::VerifyingKey,
    proof::{MalformedProof, Proof, points_on_curves},
    shape::PUBLIC,
    statement::Statement,
    verify::VerifyError,
};
use lines::Lines;

mod lines;
#[cfg(test)]
mod tests;

/// What became of a proof.
pub type Verdict = Result<(), Unproved>;

/// So many Miller loops share their squarings. What they come to is kept, so that a culprit is looked for among so few.
const GROUP: usize = 8;
/// Of one half of a coefficient.
const HALF_BITS: u32 = u64::BITS;

/// Why a statement is not proved. The fault of who sent it; the same bytes will never do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unproved {
    /// The bytes are no proof at all.
    #[error(transparent)]
    Malformed(#[from] MalformedProof),
    /// They are not one of this statement.
    #[error(transparent)]
    Refused(#[from] VerifyError),
}

/// Reads and checks proofs under one key, with all that [`Proof::from_bytes`] and [`verify`](crate::verify()) ask; the
/// verdicts are in the order of the proofs.
///
/// The knee is at some 64: then a proof costs a fifth of what it costs alone, and needs 12 kB meanwhile. `rng` must be
/// one that who made the proofs cannot foresee.
pub fn verify(key: &VerifyingKey, proofs: &[(Statement, [u8; Proof::LEN])], rng: &mut impl CryptoRng) -> Vec<Verdict> {
    let coefficients: Vec<Coefficient> = proofs.iter().map(|_| Coefficient::random(rng)).collect();
    verify_with(key, proofs, &coefficients)
}

/// Not generic, so that it is compiled here, optimised, and not in whatever crate calls with a generator of its own.
fn verify_with(
    key: &VerifyingKey,
    proofs: &[(Statement, [u8; Proof::LEN])],
    coefficients: &[Coefficient],
) -> Vec<Verdict> {
    let mut verdicts = vec![Ok(()); proofs.len()];
    let mut read = Vec::with_capacity(proofs.len());
    for (position, (statement, bytes)) in proofs.iter().enumerate() {
        if statement.signal.field().is_zero() {
            // Alone, a proof's bytes are judged first.
            let zero_signal = |_| Err(VerifyError::ZeroSignal.into());
            verdicts[position] = Proof::from_bytes(bytes).map_err(Unproved::from).and_then(zero_signal);
            continue;
        }
        match points_on_curves(bytes) {
            Ok(points) => read.push((position, points)),
            Err(malformed) => verdicts[position] = Err(malformed.into()),
        }
    }
    let walked = lines::walk(&read.iter().map(|(_, points)| points.b).collect::<Vec<_>>());
    let mut claims = Vec::with_capacity(read.len());
    for ((position, points), lines) in read.into_iter().zip(walked) {
        let Some(lines) = lines else {
            verdicts[position] = Err(MalformedProof.into());
            continue;
        };
        let coefficient = coefficients[position];
        let inputs = proofs[position].0.numbers();
        let a = combine(&[(coefficient, points.a)]);
        claims.push(Claim { position, coefficient, inputs, a, lines, c: points.c });
    }
    for culprit in Batch::new(key, claims).culprits() {
        verdicts[culprit] = Err(VerifyError::NotProved.into());
    }
    verdicts
}

/// A proof in a batch: the equation e(A, B) = e(α, β) · e(Σ inputs, γ) · e(C, δ), to the power of the coefficient.
struct Claim {
    /// Among all proofs.
    position: usize,
    coefficient: Coefficient,
    inputs: [Fr; PUBLIC - 1],
    /// A times the coefficient, to be paired with B, whose lines these are.
    a: G1Projective,
    lines: Lines,
    c: G1Affine,
}

/// Claims, and the Miller loops of A and B.
struct Batch<'a> {
    key: &'a VerifyingKey,
    claims: Vec<Claim>,
    a: Vec<G1Affine>,
    /// Products over [`GROUP`] claims each.
    groups: Vec<Fq12>,
}

impl<'a> Batch<'a> {
    fn new(key: &'a VerifyingKey, claims: Vec<Claim>) -> Self {
        let a = G1Projective::normalize_batch(&claims.iter().map(|claim| claim.a).collect::<Vec<_>>());
        let mut batch = Self { key, claims, a, groups: Vec::new() };
        let all = batch.claims.len();
        let starts = (0..all).step_by(GROUP);
        batch.groups = starts.map(|start| batch.loops(start..all.min(start + GROUP))).collect();
        batch
    }

    /// The positions of the claims that are not true.
    fn culprits(&self) -> Vec<usize> {
        let all = 0..self.claims.len();
        let mut culprits = Vec::new();
        if !all.is_empty() {
            self.search(all.clone(), self.value(all), &mut culprits);
        }
        culprits
    }

    /// Halves claims whose value is not one. Values multiply: the second half's follows from those of both and of the
    /// first.
    fn search(&self, range: Range<usize>, value: PairingOutput<Bn254>, culprits: &mut Vec<usize>) {
        if value.is_zero() {
            return;
        }
        if range.len() == 1 {
            culprits.push(self.claims[range.start].position);
            return;
        }
        let half = range.len().div_ceil(2);
        let half = if range.len() > GROUP { half.next_multiple_of(GROUP) } else { half };
        let (first, second) = (range.start..range.start + half, range.start + half..range.end);
        let first_value = self.value(first.clone());
        self.search(first, first_value, culprits);
        self.search(second, value - first_value, culprits);
    }

    /// The product of both sides of some claims, the right ones inverted: one, written additively, if all are true.
    fn value(&self, range: Range<usize>) -> PairingOutput<Bn254> {
        let claims = &self.claims[range.clone()];
        let weights: Vec<Fr> = claims.iter().map(|claim| claim.coefficient.number()).collect();
        let sum: Fr = weights.iter().sum();
        let inputs = std::array::from_fn(|input| {
            claims.iter().zip(&weights).map(|(claim, weight)| claim.inputs[input] * weight).sum()
        });
        let c: Vec<_> = claims.iter().map(|claim| (claim.coefficient, claim.c)).collect();
        let right = self.key.lines().loops(self.key, sum, &inputs, &combine(&c));
        let product = MillerLoopOutput(self.left(range) * right);
        Bn254::final_exponentiation(product).expect("no line is zero: there is a one in it")
    }

    /// The loops of A and B over whole groups, or over claims of one group.
    fn left(&self, range: Range<usize>) -> Fq12 {
        let whole =
            range.start.is_multiple_of(GROUP) && (range.len().is_multiple_of(GROUP) || range.end == self.a.len());
        if whole {
            self.groups[range.start / GROUP..range.end.div_ceil(GROUP)].iter().product()
        } else {
            self.loops(range)
        }
    }

    fn loops(&self, range: Range<usize>) -> Fq12 {
        let lines = self.claims[range.clone()].iter().map(|claim| &claim.lines);
        lines::miller(&self.a[range].iter().copied().zip(lines).collect::<Vec<_>>())
    }
}

/// The lines of a key's points in G2.
pub(crate) struct KeyLines {
    beta: Lines,
    gamma: Lines,
    delta: Lines,
}

impl KeyLines {
    /// `None` if one of the points is outside the subgroup.
    pub(crate) fn new(key: &ark_groth16::VerifyingKey<Bn254>) -> Option<Self> {
        let points: [G2Affine; 3] = [key.beta_g2, key.gamma_g2, key.delta_g2];
        let mut walked = lines::walk(&points).into_iter();
        Some(Self { beta: walked.next()??, gamma: walked.next()??, delta: walked.next()?? })
    }

    /// The loops of the right sides, inverted: α as often as the sum says, with β; the inputs with γ; C with δ.
    fn loops(&self, key: &VerifyingKey, sum: Fr, inputs: &[Fr; PUBLIC - 1], c: &G1Projective) -> Fq12 {
        let alpha = key.alpha() * sum;
        let inputs = key.combine(inputs) + key.one() * sum;
        let sides = G1Projective::normalize_batch(&[-alpha, -inputs, -*c]);
        lines::miller(&[(sides[0], &self.beta), (sides[1], &self.gamma), (sides[2], &self.delta)])
    }
}

/// A random number *a + b·λ* with *a* and *b* below 2^64: one of 2^128, all different (λ is the scalar by which the curve's
/// endomorphism φ multiplies), for half the doublings.
#[derive(Clone, Copy)]
struct Coefficient([u64; 2]);

impl Coefficient {
    fn random(rng: &mut impl CryptoRng) -> Self {
        Self([rng.next_u64(), rng.next_u64()])
    }

    fn number(self) -> Fr {
        let Self([a, b]) = self;
        Fr::from(a) + Fr::from(b) * <ark_bn254::g1::Config as GLVConfig>::LAMBDA
    }

    /// Which of nothing, P, φ(P) and their sum is added at a bit.
    fn digit(self, bit: u32) -> usize {
        let Self([a, b]) = self;
        usize::from(a >> bit & 1 == 1) + 2 * usize::from(b >> bit & 1 == 1)
    }
}

/// The sum of points, each times its coefficient: doublings are shared.
fn combine(terms: &[(Coefficient, G1Affine)]) -> G1Projective {
    let addends: Vec<[G1Affine; 3]> = terms
        .iter()
        .map(|(_, point)| {
            let image = ark_bn254::g1::Config::endomorphism_affine(point);
            // φ² + φ + 1 = 0.
            [*point, image, -ark_bn254::g1::Config::endomorphism_affine(&image)]
        })
        .collect();
    let mut sum = G1Projective::zero();
    for bit in (0..HALF_BITS).rev() {
        sum.double_in_place();
        for ((coefficient, _), addends) in terms.iter().zip(&addends) {
            if let Some(addend) = coefficient.digit(bit).checked_sub(1) {
                sum += addends[addend];
            }
        }
    }
    sum
}
