//! Receipts: the recipient has read letters with stamps (docs/protocol.md, "Receipts"). Whether there are such letters is asked
//! inside the append.

use xmtp_proto::account::Account;
use xmtp_proto::derive::EnvelopeId;
use xmtp_proto::receipt;
use xmtp_proto::refusal::Refusal;
use xmtp_proto::submission::Submission;

use super::owner::{only_owner, require_owner};
use super::{Context, Effects};
use crate::store::ReceiptsWrite;

pub(super) fn check(
    context: &Context<'_>,
    submission: &Submission,
    id: &EnvelopeId,
    account: Account,
) -> Result<Effects, Refusal> {
    let current = context.account.bundle.as_ref().ok_or(Refusal::NoSuchInbox)?;
    let owner = only_owner(submission.passes())?;
    let receipts = receipt::from_bytes(&submission.envelope().ciphertext)?;
    require_owner(context, &current.keys.identity_key, id, owner)?;
    for it in &receipts {
        it.verify(context.rules.network, &current.keys.identity_key).map_err(|_| Refusal::NotOwner)?;
    }
    let letters = receipts.into_iter().map(|it| it.letter).collect();
    Ok(Effects { receipts: Some(ReceiptsWrite { account, letters }), ..Effects::default() })
}
