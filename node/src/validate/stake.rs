//! Stakes: that somebody has tokens locked, and has not used up the day (docs/protocol.md, "The pass circuit"; litepaper
//! 10.4). Trusts the chain view for the roots of what is staked; knows nothing of who staked it.

use xmtp_proto::derive::{Group, Purpose, scope};
use xmtp_proto::pass::Stake;
use xmtp_proto::refusal::Refusal;
use xmtp_proto::topic::Topic;

use super::Context;
use super::proofs::Claimed;
use crate::store::Shard;

/// What a stake must show: an index of this epoch, towards this topic. It has one purpose, whatever it is asked for: its
/// limit is what it may do in a day.
pub(super) fn claimed<'a>(context: &Context<'_>, stake: &'a Stake, topic: &Topic) -> Result<Claimed<'a>, Refusal> {
    let &Stake { tier, epoch, ref proof } = stake;
    let rules = context.rules;
    let offered = rules.stake.filter(|offered| (1..=offered.tiers).contains(&tier));
    let offered = offered.ok_or_else(|| Refusal::NotOffered { what: format!("a stake of tier {tier}") })?;
    // What is over has no nullifiers any more, so an index of it could be used again and again.
    if !epoch.counts_at(context.now) {
        return Err(Refusal::EpochWrong);
    }
    let group = Group::Stake { contract: offered.contract, tier };
    Ok(Claimed {
        proof,
        group,
        shard: Shard::Epoch(epoch),
        external_nullifier: group.id(rules.network, rules.postage).external_nullifier(Purpose::Envelope, Some(epoch)),
        scope: scope(rules.network, topic),
    })
}
