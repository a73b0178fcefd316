//! Messages of a conversation: who holds the posting key may write, within the quota of the opening (docs/protocol.md,
//! "Openings"). No proof, no account: one signature with the key that the topic is named after.

use xmtp_proto::derive::{EnvelopeId, conversation_topic};
use xmtp_proto::malformed::Malformed;
use xmtp_proto::pass::{Pass, Posting};
use xmtp_proto::refusal::Refusal;
use xmtp_proto::signature::{self, Label};
use xmtp_proto::submission::Submission;

use super::{Context, Effects};
use crate::store::ConversationWrite;

pub(super) fn check(context: &Context<'_>, submission: &Submission, id: &EnvelopeId) -> Result<Effects, Refusal> {
    let posting = only_posting(submission.passes())?;
    let envelope = submission.envelope();
    if conversation_topic(&posting.key) != envelope.topic {
        return Err(Refusal::NotOwner);
    }
    let digest = signature::digest(Label::Posting, context.rules.network, &[id.as_bytes()]);
    signature::verify(&posting.key, digest, &posting.signature).map_err(|_| Refusal::NotOwner)?;
    Ok(Effects { conversation: Some(ConversationWrite::Post { units: envelope.units() }), ..Effects::default() })
}

/// The one pass that a message carries.
fn only_posting(passes: &[Pass]) -> Result<&Posting, Refusal> {
    match passes {
        [Pass::Posting(posting)] => Ok(posting),
        [Pass::Posting(_), ..] => Err(Malformed::Surplus { position: 1 }.into()),
        passes if passes.iter().any(|pass| matches!(pass, Pass::Posting(_))) => {
            Err(Malformed::Surplus { position: 0 }.into())
        }
        _ => Err(Refusal::NotOwner),
    }
}
