//! What writing to somebody takes: its key bundle, its policy, the network's requirement. All of it is verified, and
//! compared with the newest that was seen, before anything depends on it.

use xmtp_proto::account::Account;
use xmtp_proto::congestion::Steps;
use xmtp_proto::policy::Policy;
use xmtp_proto::refusal::Code;
use xmtp_proto::requirement::Requirement;
use xmtp_proto::topic::Topic;

use super::Client;
use crate::chain::Amount;
use crate::franking::{Choice, Demand, Holding, Offer, choose};
use crate::identity::{NotVerified, VerifiedBundle};
use crate::state::{RememberError, StateError};
use crate::transport::{Asked, Congestion, Connection, Role, TransportError};

/// Somebody who can be written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// Its keys.
    pub bundle: VerifiedBundle,
    /// What the network asks, now.
    pub network: Requirement,
    /// How many times the network's usual postage that is, and until when it is enough.
    pub congestion: Congestion,
    /// Its conditions, if it published any under these keys.
    pub policy: Option<Policy>,
}

/// What a letter of one unit takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WhatItTakes {
    /// To whom, and on which conditions.
    pub recipient: Recipient,
    /// Both requirements.
    pub demand: Demand,
    /// The cheapest that would do, and what its stamps cost; none if nothing would.
    pub offer: Option<(Offer, Amount)>,
    /// Each kind of pass that would do alone, and what its stamps cost; the cheapest first.
    pub alternatives: Vec<(Offer, Amount)>,
    /// What this account has.
    pub holdings: Vec<Holding>,
    /// What of that would do; none if it does not suffice.
    pub at_hand: Option<Choice>,
    /// What may be spent without asking, in units.
    pub limit: u32,
}

/// Somebody's conditions are not known.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// It has no inbox here. Nobody can write to it yet.
    #[error("{0} has no inbox on this network: it has published no messaging keys")]
    NoSuchInbox(Account),
    /// The bundle is not its account's. The node's fault: use another.
    #[error("the key bundle that the node served: {0}")]
    NotVerified(#[from] NotVerified),
    /// See there.
    #[error(transparent)]
    Remember(#[from] RememberError),
    /// See there.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// See there.
    #[error(transparent)]
    State(#[from] StateError),
}

impl Recipient {
    /// What may be spent on a letter of so many units without asking: twice what the owner signed, or twice what networks
    /// ask by default if that is more. What a node says of its network moves nothing here: its operator earns by it.
    #[must_use]
    pub fn spending_limit(&self, units: u32) -> u32 {
        let policy = self.policy.as_ref().map(|policy| &policy.requirement);
        let usual = Demand::new(&Requirement::default_for_invites(), policy, units);
        usual.offer().map_or(0, |offer| offer.units()).saturating_mul(2)
    }

    /// What a letter of so many units must show.
    #[must_use]
    pub fn demand(&self, units: u32) -> Demand {
        Demand::new(&self.network, self.policy.as_ref().map(|policy| &policy.requirement), units)
    }
}

impl Client {
    /// What writing to an account takes.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn requirements(&self, account: Account) -> Result<WhatItTakes, AskError> {
        let recipient = self.ask(&self.connection(Role::AskingAndFranking).await?, account).await?;
        let demand = recipient.demand(1);
        let priced = |offer: Offer| {
            let price = offer.price(&self.deployment);
            (offer, price)
        };
        let offer = demand.offer().map(priced);
        let alternatives = demand.alternatives().into_iter().map(priced).collect();
        if let Some(identity) = self.state.identity()? {
            self.look_for_claims(&identity, &demand).await;
        }
        let holdings = self.holdings(Some(&recipient), self.node().await?.network())?;
        let at_hand = choose(&demand, &holdings.all);
        let limit = recipient.spending_limit(1);
        Ok(WhatItTakes { recipient, demand, offer, alternatives, holdings: holdings.all, at_hand, limit })
    }

    /// An account's policy, verified; none if it has published none.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn policy(&self, account: Account) -> Result<Option<Policy>, AskError> {
        let role = if account == self.account() { Role::Mine } else { Role::AskingAndFranking };
        Ok(self.ask(&self.connection(role).await?, account).await?.policy)
    }

    /// Asks the node, and believes what can be verified.
    pub(super) async fn ask(&self, connection: &Connection, account: Account) -> Result<Recipient, AskError> {
        let (bundle, _) = connection.key_bundle(account).await?.ok_or(AskError::NoSuchInbox(account))?;
        let bundle = VerifiedBundle::new(bundle, account, self.network)?;
        self.state.remember_bundle(&bundle)?;
        let Asked { network, congestion, policy } = match connection.requirements(Topic::Invite(account)).await {
            Err(error) if error.code() == Some(Code::NoSuchInbox) => return Err(AskError::NoSuchInbox(account)),
            other => other?,
        };
        let congestion = congestion.ok_or(TransportError::Unfitting("no word of how busy it is"))?;
        let info = self.node().await?.network();
        if !is_published(&info.invite_requirement, &info.congestion_steps, &network, congestion.times) {
            return Err(TransportError::Unfitting("another requirement than the one published for the network").into());
        }
        // A policy that these keys did not sign is none: nodes judge so too, after keys were replaced.
        let policy = policy.filter(|signed| {
            signed.policy().account == account
                && signed.verify(self.network, &bundle.bundle().keys.identity_key).is_ok()
        });
        self.state.remember_policy(&bundle, policy.as_ref())?;
        Ok(Recipient { bundle, network, congestion, policy: policy.map(|signed| signed.policy().clone()) })
    }
}

/// Whether a network of these steps may ask this. The prices that there may be are few and published: a node that could ask
/// anything of anybody would know them again.
fn is_published(usual: &Requirement, steps: &Steps, asked: &Requirement, times: u32) -> bool {
    steps.allow(times) && *asked == usual.times(times)
}

#[cfg(test)]
mod tests {
    use xmtp_proto::time::Timestamp;

    use super::*;
    use crate::testing::{BOB, identity};

    #[test]
    fn price_is_one_of_the_published_ones() {
        let requirement = |text: &str| -> Requirement { text.parse().unwrap() };
        let steps = Steps::try_from(vec![2, 4]).unwrap();
        for (asked, times, expected) in [
            ("any(connection, stamp(5))", 1, true),
            ("any(connection, stamp(10))", 2, true),
            ("any(connection, stamp(20))", 4, true),
            ("any(connection, stamp(15))", 3, false),
            ("any(connection, stamp(40))", 8, false),
            ("any(connection, stamp(10))", 1, false),
            ("any(connection, stamp(5))", 2, false),
            ("stamp(10)", 2, false),
            ("all()", 0, false),
        ] {
            let usual = requirement("any(connection, stamp(5))");
            assert_eq!(is_published(&usual, &steps, &requirement(asked), times), expected, "{asked}, {times} times");
        }
    }

    #[tokio::test]
    async fn limit_follows_the_owner_and_no_node() {
        let bob = identity(BOB).await;
        for (network, owner, units, limit) in [
            ("stamp(1)", None, 1, 2),
            ("stamp(1)", Some("stamp(5)"), 1, 10),
            ("stamp(1)", Some("stamp(5)"), 3, 30),
            ("stamp(1)", Some("all()"), 1, 2),
            ("all()", None, 1, 2),
            ("stamp(500)", None, 1, 2),
            ("stamp(500)", Some("stamp(5)"), 1, 10),
            // No stamps would do alone; what the network's are for is not the owner's to say.
            ("stamp(1)", Some("connection"), 1, 0),
            ("stamp(1)", Some("all(member, stamp(5))"), 1, 10),
        ] {
            let requirement = |text: &str| -> Requirement { text.parse().unwrap() };
            let policy = owner.map(|owner| {
                let signed = bob.sign_policy(1, requirement(owner), Vec::new(), Vec::new()).unwrap();
                signed.policy().clone()
            });
            let congestion = Congestion { times: 8, good_until: Timestamp::default() };
            let recipient =
                Recipient { bundle: bob.verified_bundle(), network: requirement(network), congestion, policy };
            assert_eq!(recipient.spending_limit(units), limit, "{network}, {owner:?}, {units} units");
        }
    }
}
