//! Passes of the one circuit, of whichever group: everything in the statement that the node can compute it computes
//! (docs/protocol.md, "The pass circuit").

use xmtp_proto::derive::{EnvelopeId, Group, Purpose};
use xmtp_proto::field::{ExternalNullifier, Scope};
use xmtp_proto::malformed::Malformed;
use xmtp_proto::pass::{self, Pass};
use xmtp_proto::refusal::Refusal;
use xmtp_proto::submission::Submission;
use xmtp_prover::{Proof, Statement, verify};

use super::{Context, member, stamp};
use crate::store::{Cancellation, Shard};

/// A proof, and what the node holds it against.
pub(super) struct Claimed<'a> {
    pub(super) proof: &'a pass::Proof,
    pub(super) group: Group,
    pub(super) shard: Shard,
    pub(super) external_nullifier: ExternalNullifier,
    pub(super) scope: Scope,
}

/// Checks all proofs of a submission and says what they cancel, in the order of the passes.
pub(super) fn check_all(
    context: &Context<'_>,
    submission: &Submission,
    id: &EnvelopeId,
    purpose: Purpose,
) -> Result<Vec<Cancellation>, Refusal> {
    let mut all = Vec::new();
    // All roots before any proof: unknown ones are the common spam, and pairings are not free.
    for (position, pass) in submission.passes().iter().enumerate() {
        let topic = &submission.envelope().topic;
        let claimed = match pass {
            Pass::Stamp(stamp) => stamp::claimed(context, stamp, topic)?,
            Pass::Member(member) => member::claimed(context, member, topic, purpose)?,
            _ => continue,
        };
        context.require_root(&claimed.group, claimed.proof.root)?;
        all.push((position, claimed));
    }
    all.into_iter().map(|(position, claimed)| check(context, id, position, &claimed)).collect()
}

fn check(
    context: &Context<'_>,
    id: &EnvelopeId,
    position: usize,
    claimed: &Claimed<'_>,
) -> Result<Cancellation, Refusal> {
    let Claimed { proof, group, shard, external_nullifier, scope } = *claimed;
    let points = Proof::from_bytes(&proof.points).map_err(|_| Malformed::Points { position })?;
    let statement = Statement {
        root: proof.root,
        external_nullifier,
        signal: id.signal(),
        share: proof.share,
        nullifier: proof.nullifier,
        scope,
        tag: proof.tag,
    };
    verify(context.rules.verifying_key, &statement, &points).map_err(|_| Refusal::ProofInvalid)?;
    Ok(Cancellation { group, shard, nullifier: proof.nullifier, share: proof.share })
}
