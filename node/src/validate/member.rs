//! Membership: that somebody holds an account of the operator, and has not used up the epoch (docs/protocol.md, "The pass
//! circuit"). Trusts the view of the members' groups for the roots; knows nothing of who it is.

use xmtp_proto::derive::{Group, Purpose};
use xmtp_proto::pass::Member;
use xmtp_proto::refusal::Refusal;
use xmtp_proto::time::Generation;
use xmtp_proto::topic::Topic;

use super::Context;
use super::proofs::Claimed;

/// What a membership must show: an index of this epoch, for this purpose, towards this topic.
pub(super) fn claimed<'a>(
    context: &Context<'_>,
    member: &'a Member,
    topic: &Topic,
    purpose: Purpose,
) -> Result<Claimed<'a>, Refusal> {
    let &Member { operator, generation, epoch, ref proof } = member;
    if !Generation(generation).counts_at(context.now) {
        return Err(Refusal::EpochWrong);
    }
    let group = Group::Members { operator, generation };
    Claimed::in_epoch(context, proof, group, (purpose, epoch), topic)
}
