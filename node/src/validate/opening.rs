//! Openings: some member declares that a conversation may be written to (docs/protocol.md, "Openings"). Whether it is open
//! already is asked inside the append.

use xmtp_proto::derive::{EnvelopeId, Purpose};
use xmtp_proto::malformed::Malformed;
use xmtp_proto::opening::{MAX_LIFE, Opening};
use xmtp_proto::refusal::{AskedBy, Refusal};
use xmtp_proto::submission::Submission;

use super::price::Asked;
use super::{Claim, Context, Effects, price, proofs};
use crate::store::{ConversationWrite, Opened};

pub(super) fn check(
    context: &Context<'_>,
    submission: &Submission,
    id: &EnvelopeId,
) -> Result<(Vec<Claim>, Effects), Refusal> {
    let envelope = submission.envelope();
    let opening = Opening::from_bytes(&envelope.ciphertext)?;
    if opening.topic() != envelope.topic {
        return Err(Refusal::NotOwner);
    }
    let expires_at = opening.expires_at();
    if expires_at <= context.now {
        return Err(Refusal::TimeOutOfRange { now: context.now });
    }
    if expires_at > envelope.sent_at.saturating_add(MAX_LIFE) {
        return Err(Malformed::OutOfRange { field: "opening.expiry", got: expires_at.as_secs() }.into());
    }
    let asked = [Asked::fixed(context.rules.opening.for_units(envelope.units()), AskedBy::Network)];
    let terms = price::Terms { asked: &asked, policy: None, now: context.now };
    price::require(&terms, submission.passes(), None)?;
    opening.verify(context.rules.network).map_err(|_| Refusal::NotOwner)?;
    let (claims, cancels) = proofs::claim_all(context, submission, id, Purpose::Opening)?;
    let opened = Opened { opened_at: envelope.sent_at, expires_at, quota: opening.quota() };
    let conversation = Some(ConversationWrite::Open(opened));
    Ok((claims, Effects { cancels, conversation, ..Effects::default() }))
}
