//! Stakes: that somebody has tokens locked, and has not used up the day (docs/protocol.md, "The pass circuit"; litepaper
//! 10.4). Trusts the chain view for the roots of what is staked; knows nothing of who staked it.

use xmtp_proto::derive::{Group, Purpose};
use xmtp_proto::pass::Stake;
use xmtp_proto::refusal::Refusal;
use xmtp_proto::topic::Topic;

use super::Context;
use super::proofs::Claimed;

/// What a stake must show: an index of this epoch, towards this topic. It has one purpose, whatever it is asked for: its
/// limit is what it may do in a day.
pub(super) fn claimed<'a>(context: &Context<'_>, stake: &'a Stake, topic: &Topic) -> Result<Claimed<'a>, Refusal> {
    let &Stake { tier, epoch, ref proof } = stake;
    let offered = context.rules.stake.filter(|offered| (1..=offered.tiers).contains(&tier));
    let offered = offered.ok_or_else(|| Refusal::NotOffered { what: format!("a stake of tier {tier}") })?;
    let group = Group::Stake { contract: offered.contract, tier };
    Claimed::in_epoch(context, proof, group, (Purpose::Envelope, epoch), topic)
}
