//! Preparing powers of tau for circuits: the Lagrange polynomials of every domain up to the file's power.

use ark_bn254::G1Affine;
use ark_ec::AffineRepr as _;

use super::{LAGRANGE_ALPHA_G1, LAGRANGE_BETA_G1, LAGRANGE_TAU_G1, LAGRANGE_TAU_G2, MAGIC, Tau};
use crate::{
    file::{assemble, section},
    points::{Point, lagrange},
};

/// The file with the Lagrange polynomials of all its domains: half a minute for 2^12. They follow from the powers, so this
/// is no contribution, and anybody can do it.
///
/// # Panics
/// Never.
#[must_use]
pub fn prepare(tau: &Tau) -> Vec<u8> {
    let points = &tau.points;
    // Of the powers of τ one is missing to fill a domain of twice the size. No polynomial of a circuit has that degree.
    let mut double: Vec<G1Affine> = points.tau_g1.clone();
    double.push(G1Affine::zero());
    let mut sections = tau.sections();
    std::thread::scope(|threads| {
        let jobs = [
            (LAGRANGE_TAU_G1, threads.spawn(|| all_domains(&double))),
            (LAGRANGE_TAU_G2, threads.spawn(|| all_domains(&points.tau_g2))),
            (LAGRANGE_ALPHA_G1, threads.spawn(|| all_domains(&points.alpha_g1))),
            (LAGRANGE_BETA_G1, threads.spawn(|| all_domains(&points.beta_g1))),
        ];
        for (number, job) in jobs {
            sections.push((number, job.join().expect("the threads do not panic")));
        }
    });
    assemble(MAGIC, &sections)
}

fn all_domains<P: Point>(powers: &[P]) -> Vec<u8> {
    let sizes = (0..=powers.len().trailing_zeros()).map(|power| 1 << power);
    sizes.flat_map(|size: usize| section(&lagrange(&powers[..size]))).collect()
}
