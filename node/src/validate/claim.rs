//! Claims: that somebody is in the claim's snapshot, or has registered, and has not used up the epoch (docs/protocol.md, "The
//! pass circuit"; litepaper 10.3). Trusts the views of the claims and of the chain for the roots; knows nothing of who it is.

use xmtp_proto::derive::{Group, Purpose};
use xmtp_proto::pass::Claim;
use xmtp_proto::refusal::Refusal;
use xmtp_proto::time::Generation;
use xmtp_proto::topic::Topic;

use super::Context;
use super::proofs::Claimed;

/// What a claim must show: an index of this epoch, for this purpose, towards this topic, under the one root that counts in
/// this epoch. With two, who changed its commitment would have two limits in a day, and two tags.
pub(super) fn claimed<'a>(
    context: &Context<'_>,
    claim: &'a Claim,
    topic: &Topic,
    purpose: Purpose,
) -> Result<Claimed<'a>, Refusal> {
    let &Claim { id, generation, epoch, ref proof } = claim;
    if !context.rules.claims.offers(&id) {
        return Err(Refusal::NotOffered { what: "this claim".to_owned() });
    }
    if !Generation(generation).counts_at(context.now) {
        return Err(Refusal::EpochWrong);
    }
    let group = Group::Claim { id, generation };
    let claimed = Claimed::in_epoch(context, proof, group, (purpose, epoch), topic)?;
    if context.rules.claims.is_registered(&id) {
        context.view.require_root_in(&group, proof.root, epoch)?;
    } else {
        context.claims.lookup(&group, proof.root, epoch)?;
    }
    Ok(claimed)
}
