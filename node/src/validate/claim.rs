//! Claims: that somebody is in the claim's snapshot, and has not used up the epoch (docs/protocol.md, "The pass circuit";
//! litepaper 10.3). Trusts the view of the claims for the roots; knows nothing of who it is.

use xmtp_proto::derive::{Group, Purpose, scope};
use xmtp_proto::pass::Claim;
use xmtp_proto::refusal::Refusal;
use xmtp_proto::time::Generation;
use xmtp_proto::topic::Topic;

use super::Context;
use super::proofs::Claimed;
use crate::store::Shard;

/// What a claim must show: an index of this epoch, for this purpose, towards this topic, under the one root that counts in
/// this epoch. With two, who changed its commitment would have two limits in a day, and two tags.
pub(super) fn claimed<'a>(
    context: &Context<'_>,
    claim: &'a Claim,
    topic: &Topic,
    purpose: Purpose,
) -> Result<Claimed<'a>, Refusal> {
    let &Claim { id, generation, epoch, ref proof } = claim;
    let rules = context.rules;
    if !rules.claims.offers(&id) {
        return Err(Refusal::NotOffered { what: "this claim".to_owned() });
    }
    // What is over has no nullifiers any more, so an index of it could be used again and again.
    if !epoch.counts_at(context.now) || !Generation(generation).counts_at(context.now) {
        return Err(Refusal::EpochWrong);
    }
    let group = Group::Claim { id, generation };
    context.claims.lookup(&group, proof.root, epoch)?;
    Ok(Claimed {
        proof,
        group,
        shard: Shard::Epoch(epoch),
        external_nullifier: group.id(rules.network, rules.postage).external_nullifier(purpose, Some(epoch)),
        scope: scope(rules.network, topic),
    })
}
