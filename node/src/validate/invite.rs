//! First contact: anyone may write who meets the network's requirement and the account's (docs/protocol.md, "Requirements and
//! policies"; litepaper 10.3).

use xmtp_proto::derive::{EnvelopeId, Purpose};
use xmtp_proto::refusal::{AskedBy, Refusal};
use xmtp_proto::requirement::Requirement;
use xmtp_proto::submission::Submission;

use super::price::Asked;
use super::{Claim, Context, Effects, connection, price, proofs};

pub(super) fn check(
    context: &Context<'_>,
    submission: &Submission,
    id: &EnvelopeId,
) -> Result<(Vec<Claim>, Effects), Refusal> {
    let bundle = context.account.bundle.as_ref().ok_or(Refusal::NoSuchInbox)?;
    let units = submission.envelope().units();
    let nothing = Requirement::nothing();
    let policy = context.account.policy.as_ref();
    let [least, most] =
        [context.times.least, context.times.most].map(|times| context.rules.invite.times(times).for_units(units));
    let owner = policy.map_or(&nothing, |policy| &policy.requirement).for_units(units);
    let asked = [Asked { least, most, by: AskedBy::Network }, Asked::fixed(owner, AskedBy::Account)];
    let terms = price::Terms { asked: &asked, policy, now: context.now };
    price::require(&terms, submission.passes(), None)?;
    let keys = &bundle.keys;
    let connection = connection::claimed(context, submission, id, (keys.account, &keys.identity_key))?;
    let (claims, cancels) = proofs::claim_all(context, submission, id, Purpose::Envelope)?;
    Ok((claims, Effects { cancels, connection, ..Effects::default() }))
}
