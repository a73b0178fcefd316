//! Topics of claims: their issuers write snapshots there (docs/protocol.md, "Snapshots"). Whether a snapshot is true no relay
//! node can say; enough issuers must sign the same one, and anybody can compute it again.

use xmtp_proto::derive::{ClaimId, EnvelopeId};
use xmtp_proto::malformed::Malformed;
use xmtp_proto::pass::{Issuer, Pass};
use xmtp_proto::refusal::Refusal;
use xmtp_proto::signature::{self, Label};
use xmtp_proto::snapshot::Entry;
use xmtp_proto::submission::Submission;
use xmtp_proto::time::Generation;

use super::{Context, Effects};
use crate::store::IssuerWrite;

/// What is written there is an entry, by an issuer, and a snapshot is signed by the same one. How much it may still write is
/// asked inside the append.
pub(super) fn check(
    context: &Context<'_>,
    submission: &Submission,
    id: &EnvelopeId,
    claim: ClaimId,
) -> Result<Effects, Refusal> {
    let claims = &context.rules.claims;
    let (Some(terms), Some(anchorage)) = (claims.terms(&claim), claims.anchorage()) else {
        return Err(Refusal::NotOffered { what: "this claim".to_owned() });
    };
    let &Issuer { issuer, signature } = only_issuer(submission.passes())?;
    if terms.issuers.binary_search(&issuer).is_err() {
        return Err(Refusal::NotOwner);
    }
    let entry = Entry::from_bytes(&submission.envelope().ciphertext)?;
    let digest = signature::digest(Label::Issuer, context.rules.network, &[id.as_bytes()]);
    if signature::recover(digest, &signature) != Ok(issuer) {
        return Err(Refusal::NotOwner);
    }
    if let Entry::Snapshot(signed) = entry {
        let current = Generation::at(context.now).0;
        if ![current, current.saturating_add(1)].contains(&signed.snapshot.generation) {
            return Err(Refusal::EpochWrong);
        }
        if signed.signer(claim, anchorage) != Ok(issuer) {
            return Err(Refusal::NotOwner);
        }
    }
    Ok(Effects { issuer: Some(IssuerWrite { claim, issuer }), ..Effects::default() })
}

/// The issuer's pass, where nothing else is asked.
fn only_issuer(passes: &[Pass]) -> Result<&Issuer, Refusal> {
    match passes {
        [Pass::Issuer(issuer)] => Ok(issuer),
        [Pass::Issuer(_), ..] => Err(Malformed::Surplus { position: 1 }.into()),
        _ => Err(Refusal::NotOwner),
    }
}
