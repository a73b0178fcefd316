//! Checking powers of tau: that they are powers, and that every contribution is what it says.

use ark_bn254::{Fr, G1Affine, G2Affine};
use ark_ec::AffineRepr as _;
use ark_ff::Zero as _;
use ark_poly::EvaluationDomain as _;

use super::{
    Contribution, Ends, Lagrange, Powers, Tau,
    contribute::{Secret, challenged, keys},
    first_challenge,
};
use crate::{
    credit::{Credit, Name, NoSecret},
    digest::{Digest, Hasher},
    entropy::{NoEntropy, Random},
    points::{Point, combine, domain, same_ratio},
};

/// Why powers of tau are not to be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidTau {
    /// Everybody knows τ, α and β.
    #[error("powers of tau: {0}")]
    NoSecret(#[from] NoSecret),
    /// A contribution is not what it says: it was changed after it was made, or made wrongly, or one before it is gone.
    #[error("powers of tau: contribution {number} ({name}) {fault}")]
    Contribution {
        /// Counted from one.
        number: usize,
        /// Whose it says it is.
        name: Name,
        /// What is wrong with it.
        fault: TauFault,
    },
    /// The points are not what the last contribution left. The fault of whoever had the file after it.
    #[error("powers of tau: {0} are not those that the last contribution, {1} ({2}), left")]
    Points(Part, usize, Name),
    /// The prepared part does not follow from the powers. The fault of whoever prepared the file; it can be done anew.
    #[error("powers of tau: the prepared {0} do not follow from the powers")]
    Prepared(Part),
    /// No randomness to check with.
    #[error(transparent)]
    Entropy(#[from] NoEntropy),
}

/// What is wrong with a contribution to powers of tau.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TauFault {
    /// The proof of knowledge of a number does not answer the contribution before it.
    #[error("does not prove to know its {0}")]
    Knowledge(&'static str),
    /// The points did not change by the numbers whose knowledge is proved.
    #[error("did not multiply its {0} into what was there before it")]
    Step(&'static str),
    /// The numbers are not the beacon's.
    #[error("is not the beacon that it says it is")]
    Beacon,
    /// The hash that it leaves is not the hash of what it left.
    #[error("leaves a hash that is not the hash of its powers")]
    Hash,
}

/// Which points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Part {
    /// Powers of τ in G1.
    #[error("τ in G1")]
    TauG1,
    /// Powers of τ in G2.
    #[error("τ in G2")]
    TauG2,
    /// The same times α.
    #[error("ατ in G1")]
    AlphaG1,
    /// The same times β.
    #[error("βτ in G1")]
    BetaG1,
    /// β in G2.
    #[error("β in G2")]
    BetaG2,
}

impl Tau {
    /// Checks the whole transcript, of the points those that were read, and that somebody contributed who had a secret.
    ///
    /// What a file cut from a larger ceremony left out cannot be checked, nor can the last hash of a contribution made with
    /// another tool, on which nothing rests but its maker's memory of it.
    ///
    /// # Errors
    /// [`InvalidTau`].
    pub fn verify(&self) -> Result<(), InvalidTau> {
        let last = self.contributions.last().ok_or(NoSecret::Untouched)?;
        let mut before = (Ends::first(), first_challenge(self.ceremony_power));
        for (index, contribution) in self.contributions.iter().enumerate() {
            contribution.check(before).map_err(|fault| self.at(index, fault))?;
            before = (contribution.after, contribution.next_challenge);
        }
        let mut random = Random::new()?;
        if let Some(part) = self.points.wrong(&last.after, &mut random) {
            return Err(InvalidTau::Points(part, self.contributions.len(), last.credit.name.clone()));
        }
        if self.power == self.ceremony_power && !self.hash_is_right(last) {
            return Err(self.at(self.contributions.len() - 1, TauFault::Hash));
        }
        match self.lagrange.as_ref().and_then(|lagrange| lagrange.wrong(&self.points, &mut random)) {
            Some(part) => Err(InvalidTau::Prepared(part)),
            None => Ok(Credit::require_secret(self.contributions.iter().map(|contribution| &contribution.credit))?),
        }
    }

    fn at(&self, index: usize, fault: TauFault) -> InvalidTau {
        InvalidTau::Contribution { number: index + 1, name: self.contributions[index].credit.name.clone(), fault }
    }

    /// Whether the last contribution left the hash of these powers, or cannot be asked.
    fn hash_is_right(&self, last: &Contribution) -> bool {
        let Some(hashed) = last.saved.hashed() else { return true };
        let response = last.proofs_into(Hasher::new().bytes(hashed)).finish();
        self.points.challenge(response) == last.next_challenge
    }
}

impl Contribution {
    fn check(&self, (before, answered): (Ends, Digest)) -> Result<(), TauFault> {
        if let Some(beacon) = &self.credit.beacon
            && keys(&beacon.seed(), answered).1 != [self.tau, self.alpha, self.beta]
        {
            return Err(TauFault::Beacon);
        }
        let challenges = [(Secret::Tau, &self.tau), (Secret::Alpha, &self.alpha), (Secret::Beta, &self.beta)]
            .map(|(which, key)| challenged(which, answered, key.base, key.times));
        for ((key, challenge), name) in
            [&self.tau, &self.alpha, &self.beta].into_iter().zip(challenges).zip(["τ", "α", "β"])
        {
            if !key.holds(challenge) {
                return Err(TauFault::Knowledge(name));
            }
        }
        let [tau, alpha, beta] = challenges;
        let after = &self.after;
        let steps = [
            ("τ", self.tau.moved(tau, before.tau_g1, after.tau_g1) && self.tau.moved_g2(before.tau_g2, after.tau_g2)),
            ("α", self.alpha.moved(alpha, before.alpha_g1, after.alpha_g1)),
            (
                "β",
                self.beta.moved(beta, before.beta_g1, after.beta_g1)
                    && self.beta.moved_g2(before.beta_g2, after.beta_g2),
            ),
        ];
        match steps.iter().find(|(_, right)| !right) {
            Some((name, _)) => Err(TauFault::Step(name)),
            None => Ok(()),
        }
    }
}

impl Powers {
    /// The first part that is not the powers of what the contributions left.
    fn wrong(&self, ends: &Ends, random: &mut Random) -> Option<Part> {
        let Self { tau_g1, tau_g2, alpha_g1, beta_g1, beta_g2 } = self;
        let (g1, g2) = (G1Affine::generator(), G2Affine::generator());
        let mut rises = |points: &[G1Affine]| same_ratio(neighbours(points, random), (g2, ends.tau_g2));
        if tau_g1[..2] != [g1, ends.tau_g1] || !rises(tau_g1) {
            return Some(Part::TauG1);
        }
        if alpha_g1[0] != ends.alpha_g1 || !rises(alpha_g1) {
            return Some(Part::AlphaG1);
        }
        if beta_g1[0] != ends.beta_g1 || !rises(beta_g1) {
            return Some(Part::BetaG1);
        }
        if tau_g2[..2] != [g2, ends.tau_g2] || !same_ratio((g1, ends.tau_g1), neighbours(tau_g2, random)) {
            return Some(Part::TauG2);
        }
        (*beta_g2 != ends.beta_g2).then_some(Part::BetaG2)
    }
}

/// Random sums of all points but the last, and of all but the first: if each is τ times the one before it, so is the
/// second sum, and if not, it is not, but for one chance in 2^128.
fn neighbours<P: Point>(points: &[P], random: &mut Random) -> (P, P) {
    let weights = random.numbers(points.len() - 1);
    (combine(&points[..points.len() - 1], &weights), combine(&points[1..], &weights))
}

impl Lagrange {
    /// The first part that does not follow from the powers.
    fn wrong(&self, powers: &Powers, random: &mut Random) -> Option<Part> {
        let Self { tau_g1, double_g1, tau_g2, alpha_g1, beta_g1 } = self;
        let tau = &powers.tau_g1;
        if !follows(tau_g1, &tau[..tau_g1.len()], random) || !follows(double_g1, tau, random) {
            return Some(Part::TauG1);
        }
        if !follows(tau_g2, &powers.tau_g2, random) {
            return Some(Part::TauG2);
        }
        if !follows(alpha_g1, &powers.alpha_g1, random) {
            return Some(Part::AlphaG1);
        }
        (!follows(beta_g1, &powers.beta_g1, random)).then_some(Part::BetaG1)
    }
}

/// Whether these are the Lagrange polynomials for those powers: a random sum of the powers is the sum of the polynomials
/// by their values. Of twice the domain's powers the last is missing, and no circuit's polynomial has that degree.
fn follows<P: Point>(lagrange: &[P], powers: &[P], random: &mut Random) -> bool {
    let mut weights = random.numbers(powers.len());
    let sum = combine(powers, &weights);
    weights.resize(lagrange.len(), Fr::zero());
    combine(lagrange, &domain(lagrange.len()).fft(&weights)) == sum
}
