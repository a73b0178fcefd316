//! Contributing to powers of tau.

use ark_bn254::{Fr, G1Affine, G2Affine};
use ark_ec::{AffineRepr as _, CurveGroup as _};
use ark_ff::Field as _;
use zeroize::Zeroizing;

use super::{Contribution, Powers, Saved, Tau, first_challenge};
use crate::{
    credit::Credit,
    digest::{Digest, Hasher},
    entropy::Seed,
    knowledge::{Knowledge, challenge},
    points::scale,
};

/// Which number a proof of knowledge is about.
#[derive(Clone, Copy)]
pub(super) enum Secret {
    Tau = 0,
    Alpha = 1,
    Beta = 2,
}

/// The file is no longer open for contributions. For the coordinator to mend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CannotContribute {
    /// It holds fewer powers than its ceremony had.
    #[error("these powers were cut from a larger ceremony, which alone can be contributed to")]
    Truncated,
}

impl Tau {
    /// Multiplies a secret τ, α and β into the powers. What [`prepare`](super::prepare) made no longer belongs to them,
    /// and is dropped.
    ///
    /// # Errors
    /// [`CannotContribute`].
    pub fn contribute(&self, credit: Credit, seed: &Seed) -> Result<Self, CannotContribute> {
        if self.power != self.ceremony_power {
            return Err(CannotContribute::Truncated);
        }
        let last = self.contributions.last();
        let answered = last.map_or_else(|| first_challenge(self.power), |last| last.next_challenge);
        let (secrets, keys) = keys(seed, answered);
        let [tau, alpha, beta] = [&*secrets[0], &*secrets[1], &*secrets[2]];
        let points = self.points.times(tau, alpha, beta);

        let saved = Saved::behind(answered);
        let [tau, alpha, beta] = keys;
        let mut contribution =
            Contribution { after: points.ends(), tau, alpha, beta, saved, next_challenge: answered, credit };
        let response = contribution.proofs_into(Hasher::new().bytes(&answered.0)).finish();
        contribution.next_challenge = points.challenge(response);
        let mut contributions = self.contributions.clone();
        contributions.push(contribution);
        Ok(Self { points, contributions, lagrange: None, ..*self })
    }
}

/// The numbers of a seed, and the proofs that they are known.
pub(super) fn keys(seed: &Seed, answered: Digest) -> ([Zeroizing<Fr>; 3], [Knowledge; 3]) {
    let mut stream = seed.stream();
    let secrets = [stream.secret(), stream.secret(), stream.secret()];
    let mut key = |which: Secret| {
        Knowledge::of(&secrets[which as usize], &mut stream, |base, times| challenged(which, answered, base, times))
    };
    let keys = [key(Secret::Tau), key(Secret::Alpha), key(Secret::Beta)];
    (secrets, keys)
}

/// What a proof of knowledge must answer.
pub(super) fn challenged(which: Secret, answered: Digest, base: G1Affine, times: G1Affine) -> G2Affine {
    challenge(Hasher::new().bytes(&[which as u8]).bytes(&answered.0).point(&base).point(&times).finish())
}

impl Powers {
    fn times(&self, tau: &Fr, alpha: &Fr, beta: &Fr) -> Self {
        let Self { tau_g1, tau_g2, alpha_g1, beta_g1, beta_g2 } = self;
        // first, first · τ, first · τ², …
        let from = |first: Fr| std::iter::successors(Some(first), move |power| Some(*power * tau));
        Self {
            tau_g1: scale(tau_g1, from(Fr::ONE)),
            tau_g2: scale(tau_g2, from(Fr::ONE)),
            alpha_g1: scale(alpha_g1, from(*alpha)),
            beta_g1: scale(beta_g1, from(*beta)),
            beta_g2: (beta_g2.into_group() * beta).into_affine(),
        }
    }
}
