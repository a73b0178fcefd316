//! The rules: a pure function of (rules, chain view, account, submission, now). No clock, no database, no network
//! (docs/protocol.md, "How a message travels", "Requirements and policies").
//!
//! ```text
//! Submission ──► admit ──► Admitted ──► store.append
//!                  │
//!                  └─► Refusal
//! ```
//!
//! Cheap before dear: topic and time, then price, then roots, and pairings last. Whether a stamp was used before is not asked
//! here: only the log can know, inside the append.

use xmtp_proto::derive::{EnvelopeId, NetworkId};
use xmtp_proto::key_bundle::KeyBundle;
use xmtp_proto::pass::Pass;
use xmtp_proto::policy::Policy;
use xmtp_proto::postmark::Cursor;
use xmtp_proto::refusal::Refusal;
use xmtp_proto::requirement::Requirement;
use xmtp_proto::submission::Submission;
use xmtp_proto::time::{MAX_AGE, MAX_AGE_FRANKED, MAX_AHEAD, Timestamp};
use xmtp_proto::topic::Topic;
use xmtp_prover::VerifyingKey;

use crate::chain::ChainView;
use crate::store::{Cancellation, Entry, OwnerWrite};

mod invite;
mod owner;
mod price;
mod stamp;

/// What this network asks, and by which constants it judges.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The network's name.
    pub network: NetworkId,
    /// The contract that sells stamps.
    pub postage: alloy::primitives::Address,
    /// Seconds per issue of stamps.
    pub issue_seconds: u64,
    /// What the network asks at invite topics.
    pub invite: Requirement,
    /// What the network asks for an account's first key bundle.
    pub joining: Requirement,
    /// The key that proofs are verified with.
    pub verifying_key: &'static VerifyingKey,
}

/// What the log knows of the account that a topic names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AccountState {
    /// Its newest key bundle.
    pub bundle: Option<KeyBundle>,
    /// Where that stands in the log.
    pub bundle_cursor: Option<Cursor>,
    /// Its newest policy, if the identity key of its newest bundle signed it.
    pub policy: Option<Policy>,
}

/// All that a verdict may depend on beside the submission.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The network's rules.
    pub rules: &'a Rules,
    /// What this node knows of the chain.
    pub view: &'a ChainView,
    /// The account that the topic names.
    pub account: &'a AccountState,
    /// This node's clock.
    pub now: Timestamp,
}

/// A submission that may be stored, unless the log knows better. Only [`admit`] makes one.
#[derive(Debug)]
pub struct Admitted {
    submission: Submission,
    id: EnvelopeId,
    cancels: Vec<Cancellation>,
    owner: Option<OwnerWrite>,
}

impl Admitted {
    /// What the append records.
    pub(crate) fn into_entry(self, expected_head: Option<Cursor>) -> Entry {
        let Self { submission, id, cancels, owner } = self;
        let topic = submission.envelope().topic;
        Entry { id, topic, submission: submission.into(), cancels, owner, expected_head }
    }
}

/// Judges a submission.
///
/// # Errors
/// The [`Refusal`] of the first rule that it breaks.
pub fn admit(context: &Context<'_>, submission: Submission) -> Result<Admitted, Refusal> {
    let id = submission.envelope().id(context.rules.network);
    require_time(context.now, &submission)?;
    let (cancels, owner) = match submission.envelope().topic {
        Topic::Invite(_) => (invite::check(context, &submission, &id)?, None),
        Topic::Contact(account) => owner::check_contact(context, &submission, &id, account)?,
        Topic::Policy(account) => (Vec::new(), Some(owner::check_policy(context, &submission, &id, account)?)),
        Topic::Vault(account) => (Vec::new(), Some(owner::check_vault(context, &submission, &id, account)?)),
        Topic::Conversation(_) => return Err(Refusal::NotOffered { what: "a conversation topic".to_owned() }),
        Topic::Claim(_) => return Err(Refusal::NotOffered { what: "a claim topic".to_owned() }),
    };
    Ok(Admitted { submission, id, cancels, owner })
}

/// Franked envelopes may have waited for days, as letters do; what a client writes for itself has not.
fn require_time(now: Timestamp, submission: &Submission) -> Result<(), Refusal> {
    let franked = submission.passes().iter().any(|pass| matches!(pass, Pass::Stamp(_)));
    let oldest = now.saturating_sub(if franked { MAX_AGE_FRANKED } else { MAX_AGE });
    let sent_at = submission.envelope().sent_at;
    if sent_at < oldest || sent_at > now.saturating_add(MAX_AHEAD) {
        return Err(Refusal::TimeOutOfRange { now });
    }
    Ok(())
}
