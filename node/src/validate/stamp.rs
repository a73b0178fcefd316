//! Postage: the pass of last resort (docs/protocol.md, "The pass circuit"; litepaper 10.4). Trusts the chain view for the
//! roots of books sold; knows nothing of who bought them.

use xmtp_proto::derive::{EnvelopeId, Group, Issue, Purpose, scope};
use xmtp_proto::malformed::Malformed;
use xmtp_proto::pass::{Pass, Stamp};
use xmtp_proto::refusal::Refusal;
use xmtp_proto::submission::Submission;
use xmtp_prover::{Proof, Statement, verify};

use super::Context;
use crate::store::Cancellation;

/// Checks all stamps of a submission and says what they cancel, in the order of the passes.
pub(super) fn check_all(
    context: &Context<'_>,
    submission: &Submission,
    id: &EnvelopeId,
) -> Result<Vec<Cancellation>, Refusal> {
    let stamps = || {
        submission.passes().iter().enumerate().filter_map(|(position, pass)| match pass {
            Pass::Stamp(stamp) => Some((position, stamp)),
            _ => None,
        })
    };
    // All roots before any proof: unknown ones are the common spam, and pairings are not free.
    for (_, stamp) in stamps() {
        require_issue(context, stamp)?;
        context.view.require_root(&group(stamp), stamp.proof.root, context.now)?;
    }
    stamps().map(|(position, stamp)| check(context, submission, id, position, stamp)).collect()
}

fn check(
    context: &Context<'_>,
    submission: &Submission,
    id: &EnvelopeId,
    position: usize,
    stamp: &Stamp,
) -> Result<Cancellation, Refusal> {
    let Stamp { denomination, issue, ref proof, nonce } = *stamp;
    let rules = context.rules;
    let points = Proof::from_bytes(&proof.points).map_err(|_| Malformed::Points { position })?;
    let statement = Statement {
        root: proof.root,
        external_nullifier: group(stamp).id(rules.network, rules.postage).external_nullifier(Purpose::Envelope, None),
        signal: id.signal(),
        share: proof.share,
        nullifier: proof.nullifier,
        scope: nonce.unwrap_or_else(|| scope(rules.network, &submission.envelope().topic)),
        tag: proof.tag,
    };
    verify(rules.verifying_key, &statement, &points).map_err(|_| Refusal::ProofInvalid)?;
    Ok(Cancellation { denomination, issue, nullifier: proof.nullifier, share: proof.share })
}

/// An issue that is over has no nullifiers any more, so a stamp of it could be used again and again.
fn require_issue(context: &Context<'_>, stamp: &Stamp) -> Result<(), Refusal> {
    let current = Issue::at(context.now, context.rules.issue_seconds);
    // The chain's clock may run ahead of ours across the edge of an issue.
    let ahead = Issue::at(context.now.saturating_add(xmtp_proto::time::EPOCH_SKEW), context.rules.issue_seconds);
    if stamp.issue.valid_in(current) || stamp.issue == ahead { Ok(()) } else { Err(Refusal::EpochWrong) }
}

const fn group(stamp: &Stamp) -> Group {
    Group::Stamps { denomination: stamp.denomination, issue: stamp.issue }
}
