//! Passes of the one circuit, of whichever group: everything in the statement that the node can compute it computes
//! (docs/protocol.md, "The pass circuit"). Whether they hold is asked of many submissions at once.

use xmtp_proto::derive::{EnvelopeId, Group, Purpose, scope};
use xmtp_proto::field::{ExternalNullifier, Scope};
use xmtp_proto::malformed::Malformed;
use xmtp_proto::pass::{self, Pass};
use xmtp_proto::refusal::Refusal;
use xmtp_proto::submission::Submission;
use xmtp_proto::time::Epoch;
use xmtp_proto::topic::Topic;
use xmtp_prover::batch::Unproved;
use xmtp_prover::{Proof, Statement};

use super::{Context, claim, member, stake, stamp};
use crate::store::{Cancellation, Shard};

/// A proof, and what the node holds it against.
pub(super) struct Claimed<'a> {
    pub(super) proof: &'a pass::Proof,
    pub(super) group: Group,
    pub(super) shard: Shard,
    pub(super) external_nullifier: ExternalNullifier,
    pub(super) scope: Scope,
}

impl<'a> Claimed<'a> {
    /// An index of an epoch that counts now, for one purpose, towards a topic.
    ///
    /// # Errors
    /// [`Refusal::EpochWrong`]: what is over has no nullifiers any more, so an index of it could be used again and again.
    pub(super) fn in_epoch(
        context: &Context<'_>,
        proof: &'a pass::Proof,
        group: Group,
        (purpose, epoch): (Purpose, Epoch),
        topic: &Topic,
    ) -> Result<Self, Refusal> {
        if !epoch.counts_at(context.now) {
            return Err(Refusal::EpochWrong);
        }
        let rules = context.rules;
        Ok(Self {
            proof,
            group,
            shard: Shard::Epoch(epoch),
            external_nullifier: group.id(rules.network, rules.postage).external_nullifier(purpose, Some(epoch)),
            scope: scope(rules.network, topic),
        })
    }
}

/// What has to be proved before a submission is admitted.
#[derive(Debug)]
pub(super) struct Claim {
    /// Of the pass.
    pub(super) position: usize,
    pub(super) statement: Statement,
    pub(super) points: [u8; Proof::LEN],
}

/// What the proofs of a submission are held against, and what they cancel if they hold, in the order of the passes.
pub(super) fn claim_all(
    context: &Context<'_>,
    submission: &Submission,
    id: &EnvelopeId,
    purpose: Purpose,
) -> Result<(Vec<Claim>, Vec<Cancellation>), Refusal> {
    let mut all = (Vec::new(), Vec::new());
    for (position, pass) in submission.passes().iter().enumerate() {
        let topic = &submission.envelope().topic;
        let claimed = match pass {
            Pass::Stamp(stamp) => stamp::claimed(context, stamp, topic)?,
            Pass::Stake(stake) => stake::claimed(context, stake, topic)?,
            Pass::Member(member) => member::claimed(context, member, topic, purpose)?,
            Pass::Claim(claim) => claim::claimed(context, claim, topic, purpose)?,
            Pass::Connection(_) | Pass::Posting(_) | Pass::Owner(_) | Pass::Issuer(_) => continue,
        };
        // Unknown roots are the common spam, and pairings are not free.
        context.require_root(&claimed.group, claimed.proof.root)?;
        let Claimed { proof, group, shard, external_nullifier, scope } = claimed;
        let statement = Statement {
            root: proof.root,
            external_nullifier,
            signal: id.signal(),
            share: proof.share,
            nullifier: proof.nullifier,
            scope,
            tag: proof.tag,
        };
        all.0.push(Claim { position, statement, points: proof.points });
        all.1.push(Cancellation { group, shard, nullifier: proof.nullifier, share: proof.share });
    }
    Ok(all)
}

impl Claim {
    /// What to say of it if it does not hold.
    pub(super) fn refusal(&self, unproved: Unproved) -> Refusal {
        match unproved {
            Unproved::Malformed(_) => Malformed::Points { position: self.position }.into(),
            Unproved::Refused(_) => Refusal::ProofInvalid,
        }
    }
}

#[cfg(test)]
impl super::Unproved {
    /// A submission with so many proofs, for who counts them and does not look at them.
    pub(crate) fn counting(proofs: usize) -> Self {
        use xmtp_proto::envelope::Envelope;
        use xmtp_proto::field::FieldElement;
        use xmtp_proto::{derive::NetworkId, time::Timestamp, topic::Topic};

        let topic = Topic::Invite("0xd8da6bf26964af9d7eed9e03e53415d37aa96045".parse().unwrap());
        let envelope = Envelope { topic, sent_at: Timestamp::from_secs(0), ciphertext: Vec::new() };
        let (id, zero) = (envelope.id(NetworkId([0; 32].into())), FieldElement::ZERO);
        let submission = Submission::new(envelope, Vec::new()).unwrap();
        let statement = Statement {
            root: zero.into(),
            external_nullifier: zero.into(),
            signal: id.signal(),
            share: zero.into(),
            nullifier: zero.into(),
            scope: zero.into(),
            tag: zero.into(),
        };
        let claim = |position| Claim { position, statement, points: [0; Proof::LEN] };
        let admitted = super::Admitted { submission, id, effects: super::Effects::default() };
        Self { admitted, claims: (0..proofs).map(claim).collect() }
    }
}
