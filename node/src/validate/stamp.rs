//! Postage: the pass of last resort (docs/protocol.md, "The pass circuit"; litepaper 10.4). Trusts the chain view for the
//! roots of books sold; knows nothing of who bought them.

use xmtp_proto::derive::{Group, Issue, Purpose, scope};
use xmtp_proto::pass::Stamp;
use xmtp_proto::refusal::Refusal;
use xmtp_proto::time::EPOCH_SKEW;
use xmtp_proto::topic::Topic;

use super::Context;
use super::proofs::Claimed;
use crate::store::Shard;

/// What a stamp must show. It has one purpose and no epoch, for it is used once, ever.
pub(super) fn claimed<'a>(context: &Context<'_>, stamp: &'a Stamp, topic: &Topic) -> Result<Claimed<'a>, Refusal> {
    require_issue(context, stamp)?;
    let rules = context.rules;
    let group = Group::Stamps { denomination: stamp.denomination, issue: stamp.issue };
    Ok(Claimed {
        proof: &stamp.proof,
        group,
        shard: Shard::Issue(stamp.issue),
        external_nullifier: group.id(rules.network, rules.postage).external_nullifier(Purpose::Envelope, None),
        scope: stamp.nonce.unwrap_or_else(|| scope(rules.network, topic)),
    })
}

/// An issue that is over has no nullifiers any more, so a stamp of it could be used again and again.
fn require_issue(context: &Context<'_>, stamp: &Stamp) -> Result<(), Refusal> {
    let current = Issue::at(context.now, context.rules.issue_seconds);
    // The chain's clock may run ahead of ours across the edge of an issue.
    let ahead = Issue::at(context.now.saturating_add(EPOCH_SKEW), context.rules.issue_seconds);
    if stamp.issue.valid_in(current) || stamp.issue == ahead { Ok(()) } else { Err(Refusal::EpochWrong) }
}
