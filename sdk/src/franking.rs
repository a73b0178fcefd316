//! Franking: which passes to attach, given what network and recipient ask, and how a stamp is made out of a book
//! (docs/protocol.md, "Requirements and policies", "The pass circuit").
//!
//! Choosing is a plain function. Whoever frustrates it learns from [`NoPass`] what would do and what it costs.

mod choose;
mod stake;
mod stamp;
mod stock;

use std::fmt;

use alloy::primitives::U256;
use xmtp_contracts::Deployment;
use xmtp_proto::derive::Denomination;
use xmtp_proto::requirement::{Requirement, Shown};

use crate::chain::{Amount, Quote};

pub use choose::{Choice, Chosen, Cost, Holding, choose, choose_more};
pub(crate) use stake::stake_external_nullifier;
pub use stake::{StakeToUse, stake};
pub use stamp::{FrankError, StampToUse, find_path, stamp};
pub(crate) use stamp::{external_nullifier, finish, leaf_of, proof, random_scope};
pub use stock::STOCK;
pub(crate) use stock::{Ground, Stock, Towards};

/// What passes must show for one envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    requirements: Vec<Requirement>,
}

impl Demand {
    /// What the network and the recipient ask for an envelope of so many units.
    #[must_use]
    pub fn new(network: &Requirement, account: Option<&Requirement>, units: u32) -> Self {
        Self { requirements: [Some(network), account].into_iter().flatten().map(|it| it.for_units(units)).collect() }
    }

    /// Whether some part of it is of this kind.
    #[must_use]
    pub fn asks(&self, kind: impl Fn(&Requirement) -> bool) -> bool {
        self.requirements.iter().flat_map(Requirement::leaves).any(kind)
    }

    /// Whether passes that show this suffice.
    #[must_use]
    pub fn is_met_by(&self, shown: &[Shown]) -> bool {
        self.requirements.iter().all(|requirement| requirement.is_met_by(shown))
    }

    /// The cheapest that would do, whoever has it: stamps alone, if they would.
    #[must_use]
    pub fn offer(&self) -> Option<Offer> {
        choose::cheapest(self)
    }

    /// Each kind of pass that would do alone, whoever has it, the cheapest first: a connection, a membership, a claim, a stake,
    /// stamps. If none would, the cheapest mixture.
    #[must_use]
    pub fn alternatives(&self) -> Vec<Offer> {
        choose::alternatives(self)
    }
}

impl fmt::Display for Demand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut seen: Vec<&Requirement> = Vec::new();
        for requirement in &self.requirements {
            if !seen.contains(&requirement) {
                f.write_str(if seen.is_empty() { "" } else { " and " })?;
                write!(f, "{requirement}")?;
                seen.push(requirement);
            }
        }
        Ok(())
    }
}

/// Passes that would meet a demand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// What cannot be bought in a post office: a connection, a membership, claims, stakes. Empty if stamps do alone.
    pub with: Vec<Requirement>,
    /// How many of which denomination; descending, none twice. Empty if nothing is asked.
    pub stamps: Vec<(Denomination, u32)>,
    /// Whether the recipient will recognise the sender's pseudonym.
    pub tagged: bool,
}

impl Offer {
    /// What its stamps are worth.
    #[must_use]
    pub fn units(&self) -> u32 {
        self.stamps.iter().map(|(denomination, count)| denomination.units() * count).sum()
    }

    /// What its stamps cost, bonds included.
    #[must_use]
    pub fn price(&self, deployment: &Deployment) -> Amount {
        let total =
            self.stamps.iter().map(|(denomination, count)| Quote::of(deployment, *denomination, *count).total().0);
        Amount(total.sum())
    }
}

impl Offer {
    /// The stakes among it: the tier of each and what that locks, the cheapest one where any tier will do. It comes back a week
    /// after it was left.
    #[must_use]
    pub fn locks(&self, deployment: &Deployment) -> Vec<(u32, Amount)> {
        let tiers = || (1..).zip(deployment.stake.iter().flat_map(|staking| &staking.tiers));
        let lock = |requirement: &Requirement| {
            let Requirement::Stake(asked) = requirement else { return None };
            let fits = tiers().filter(|(tier, _)| asked.is_none_or(|asked| asked == *tier));
            let (tier, terms) = fits.min_by_key(|(_, terms)| terms.amount)?;
            Some((tier, Amount(U256::from(terms.amount))))
        };
        self.with.iter().filter_map(lock).collect()
    }
}

impl fmt::Display for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let with = self.with.iter().map(ToString::to_string);
        let stamps = self.stamps.iter().map(|(denomination, count)| format!("{count} of denomination {denomination}"));
        f.write_str(&with.chain(stamps).collect::<Vec<_>>().join(", "))
    }
}

/// What passes are wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// A letter.
    Letter,
    /// An account's first key bundle.
    Joining,
}

impl fmt::Display for Occasion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Letter => "writing to this account",
            Self::Joining => "joining this network",
        })
    }
}

/// The passes at hand do not suffice. The user's to mend.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{occasion} takes {demand}, and no passes at hand meet that{}", self.remedy())]
pub struct NoPass {
    /// What they are wanted for.
    pub occasion: Occasion,
    /// What is asked.
    pub demand: Demand,
    /// The cheapest that would do, and the price of its stamps; none if nothing would.
    pub offer: Option<(Offer, Amount)>,
    /// The stakes of that: tiers, and what each locks.
    pub locks: Vec<(u32, Amount)>,
}

impl NoPass {
    /// With the cheapest that would do, at a network's prices.
    #[must_use]
    pub fn new(occasion: Occasion, demand: Demand, deployment: &Deployment) -> Self {
        let offer = demand.offer().map(|offer| {
            let price = offer.price(deployment);
            (offer, price)
        });
        let locks = offer.iter().flat_map(|(offer, _)| offer.locks(deployment)).collect();
        Self { occasion, demand, offer, locks }
    }

    fn remedy(&self) -> String {
        let Some((offer, price)) = &self.offer else { return "; nothing would".to_owned() };
        let stamps = if offer.stamps.is_empty() { String::new() } else { format!(", for {price} (bond included)") };
        let locks = self.locks.iter().map(|(tier, amount)| format!("; a stake of tier {tier} locks {amount}"));
        format!("; what would: {offer}{stamps}{}", locks.collect::<String>())
    }
}
