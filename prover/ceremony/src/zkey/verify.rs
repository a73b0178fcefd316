//! Checking the phase of a circuit: that it is this circuit's, and that every contribution is what it says.

use ark_bn254::{G1Affine, G2Affine};
use ark_ec::AffineRepr as _;

use super::{Contribution, NotPrepared, Zkey, contribute::key};
use crate::{
    circuit::Circuit,
    credit::{Name, NoSecret},
    digest::Hasher,
    entropy::{NoEntropy, Random},
    knowledge::challenge,
    points::{combine, same_ratio},
    tau::Tau,
};

/// Why a proving key is not to be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidZkey {
    /// A part that no contribution touches is not the one that follows from circuit and powers of tau: the key was made for
    /// another circuit or from other powers, or changed.
    #[error("{0} do not follow from this circuit and these powers of tau")]
    OtherCircuit(Place),
    /// A contribution is not what it says: it was changed after it was made, or made wrongly, or one before it is gone, new,
    /// or in another place.
    #[error("contribution {number} ({name}) {fault}")]
    Contribution {
        /// Counted from one.
        number: usize,
        /// Whose it says it is.
        name: Name,
        /// What is wrong with it.
        fault: Fault,
    },
    /// The key is not what the last contribution left: its maker, or whoever had the file afterwards, changed it, or took a
    /// later contribution out.
    #[error("{place} are not what the last contribution, {number} ({name}), left")]
    Last {
        /// What was changed.
        place: Place,
        /// Counted from one.
        number: usize,
        /// Whose it says it is.
        name: Name,
    },
    /// Nobody contributed, and yet the key is not the initial one.
    #[error("{0} are not those of a key to which nobody has contributed")]
    Initial(Place),
    /// All of it is right, and everybody knows δ.
    #[error("the key: {0}")]
    NoSecret(#[from] NoSecret),
    /// The powers of tau do not fit.
    #[error(transparent)]
    NotPrepared(#[from] NotPrepared),
    /// No randomness to check with.
    #[error(transparent)]
    Entropy(#[from] NoEntropy),
}

/// What is wrong with a contribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Its hash is not the hash of what came before it.
    #[error("does not continue what came before it")]
    Transcript,
    /// It does not prove that its maker knew the number.
    #[error("does not prove to know its number")]
    Knowledge,
    /// δ did not change by the number whose knowledge is proved.
    #[error("did not multiply its number into what was there before it")]
    Step,
    /// The number is not the beacon's.
    #[error("is not the beacon that it says it is")]
    Beacon,
}

/// A part of a proving key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Place {
    /// α, β or γ.
    #[error("α, β and γ")]
    Constants,
    /// The public inputs'.
    #[error("the points of the public inputs")]
    Inputs,
    /// Those of A.
    #[error("the points of A")]
    A,
    /// Those of B in G1.
    #[error("the points of B in G1")]
    BG1,
    /// Those of B in G2.
    #[error("the points of B in G2")]
    BG2,
    /// The hash of all of them.
    #[error("the circuit's hash")]
    Hash,
    /// δ in G1 and G2.
    #[error("δ")]
    Delta,
    /// The private variables'.
    #[error("the points of the private variables")]
    Private,
    /// The quotient's.
    #[error("the points of the quotient")]
    Quotient,
}

impl Zkey {
    /// Checks everything: makes the initial key anew, holds every contribution against the one before it, and the points
    /// against what they must have become; and that somebody contributed who had a secret. The powers of tau are to be
    /// [verified](Tau::verify) for themselves.
    ///
    /// # Errors
    /// [`InvalidZkey`].
    pub fn verify(&self, circuit: &Circuit, tau: &Tau) -> Result<(), InvalidZkey> {
        let initial = Self::initial(circuit, tau)?;
        if let Some(place) = self.untouched_but_changed(&initial) {
            return Err(InvalidZkey::OtherCircuit(place));
        }
        let mut delta = initial.delta_g1;
        let mut transcript = Hasher::new().bytes(&self.circuit_hash.0);
        for (index, contribution) in self.contributions.iter().enumerate() {
            contribution.check(delta, &transcript).map_err(|fault| InvalidZkey::Contribution {
                number: index + 1,
                name: contribution.credit.name.clone(),
                fault,
            })?;
            delta = contribution.delta;
            transcript = contribution.hash_into(transcript);
        }
        let Some(place) = self.left_otherwise(&initial, delta)? else { return Ok(self.require_secret()?) };
        Err(match self.contributions.last() {
            Some(last) => InvalidZkey::Last { place, number: self.contributions.len(), name: last.credit.name.clone() },
            None => InvalidZkey::Initial(place),
        })
    }

    fn untouched_but_changed(&self, initial: &Self) -> Option<Place> {
        let constants = |key: &Self| (key.alpha_g1, key.beta_g1, key.beta_g2, key.gamma_g2);
        let same = [
            (Place::Constants, constants(self) == constants(initial)),
            (Place::Inputs, self.inputs == initial.inputs),
            (Place::A, self.a == initial.a),
            (Place::BG1, self.b_g1 == initial.b_g1),
            (Place::BG2, self.b_g2 == initial.b_g2),
            (Place::Hash, self.circuit_hash == initial.circuit_hash),
        ];
        same.into_iter().find(|(_, same)| !same).map(|(place, _)| place)
    }

    /// The first part that is not the initial one times or divided by δ.
    fn left_otherwise(&self, initial: &Self, delta: G1Affine) -> Result<Option<Place>, NoEntropy> {
        let (g1, g2) = (G1Affine::generator(), G2Affine::generator());
        if self.delta_g1 != delta || !same_ratio((g1, delta), (g2, self.delta_g2)) {
            return Ok(Some(Place::Delta));
        }
        let mut random = Random::new()?;
        let mut divided = |now: &[G1Affine], before: &[G1Affine]| {
            // Random sums, so that one pairing does for all points.
            let weights = random.numbers(before.len());
            same_ratio((combine(now, &weights), combine(before, &weights)), (g2, self.delta_g2))
        };
        if !divided(&self.private, &initial.private) {
            return Ok(Some(Place::Private));
        }
        Ok((!divided(&self.quotient, &initial.quotient)).then_some(Place::Quotient))
    }
}

impl Contribution {
    fn check(&self, delta: G1Affine, before: &Hasher) -> Result<(), Fault> {
        let Self { knowledge, transcript, .. } = self;
        if before.clone().point(&knowledge.base).point(&knowledge.times).finish() != *transcript {
            return Err(Fault::Transcript);
        }
        if let Some(beacon) = &self.credit.beacon
            && key(&beacon.seed(), before.clone()).1 != *knowledge
        {
            return Err(Fault::Beacon);
        }
        let challenge = challenge(*transcript);
        if !knowledge.holds(challenge) {
            return Err(Fault::Knowledge);
        }
        if knowledge.moved(challenge, delta, self.delta) { Ok(()) } else { Err(Fault::Step) }
    }
}
