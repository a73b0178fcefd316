//! Contributing to the phase of a circuit.

use ark_bn254::Fr;
use ark_ec::CurveGroup as _;
use ark_ff::Field as _;
use zeroize::Zeroizing;

use super::{Contribution, Zkey};
use crate::{
    credit::Credit,
    digest::{Digest, Hasher},
    entropy::Seed,
    knowledge::{Knowledge, challenge},
    points::scale,
};

impl Zkey {
    /// Multiplies a secret into δ and divides it out of what is divided by δ.
    #[must_use]
    pub fn contribute(&self, credit: Credit, seed: &Seed) -> Self {
        let (secret, knowledge, transcript) = key(seed, self.transcript());
        // One value in 2^254 has none, and it would show at once.
        let inverse = Zeroizing::new(secret.inverse().unwrap_or_default());
        let delta_g1 = (self.delta_g1 * *secret).into_affine();
        let mut contributions = self.contributions.clone();
        contributions.push(Contribution { delta: delta_g1, knowledge, transcript, credit });
        Self {
            delta_g1,
            delta_g2: (self.delta_g2 * *secret).into_affine(),
            private: scale(&self.private, std::iter::repeat(*inverse)),
            quotient: scale(&self.quotient, std::iter::repeat(*inverse)),
            contributions,
            ..self.clone()
        }
    }
}

/// The number of a seed, the proof that it is known, and the hash that the proof answers.
pub(super) fn key(seed: &Seed, before: Hasher) -> (Zeroizing<Fr>, Knowledge, Digest) {
    let mut stream = seed.stream();
    let secret = stream.secret();
    let mut transcript = Digest([0; 64]);
    let knowledge = Knowledge::of(&secret, &mut stream, |base, times| {
        transcript = before.point(&base).point(&times).finish();
        challenge(transcript)
    });
    (secret, knowledge, transcript)
}
