//! The rules: a pure function of (rules, chain view, account, submission, now). No clock, no database, no network
//! (docs/protocol.md, "How a message travels", "Requirements and policies").
//!
//! ```text
//! Submission ──► admit ──┬──────────────────────────► Admitted ──► store.append
//!                  │     └──► Unproved ──► prove ──►     ▲
//!                  ▼                         │  └────────┘
//!               Refusal ◄────────────────────┘
//! ```
//!
//! Cheap before dear: topic and time, then price, then roots, and pairings last, of many submissions in one batch. Whether a
//! stamp was used before is not asked here: only the log can know, inside the append.

use rand::CryptoRng;
use xmtp_proto::derive::{ClaimId, EnvelopeId, Group, NetworkId};
use xmtp_proto::field::Root;
use xmtp_proto::key_bundle::KeyBundle;
use xmtp_proto::opening::BYTES as OPENING_BYTES;
use xmtp_proto::policy::Policy;
use xmtp_proto::postmark::Cursor;
use xmtp_proto::refusal::Refusal;
use xmtp_proto::requirement::Requirement;
use xmtp_proto::submission::Submission;
use xmtp_proto::time::{MAX_AGE, MAX_AGE_FRANKED, MAX_AHEAD, Timestamp};
use xmtp_proto::topic::Topic;
use xmtp_prover::{Limit, VerifyingKey, batch};

use crate::chain::ChainView;
use crate::claims::{ClaimsView, Offered};
use crate::groups::GroupsView;
use crate::store::{Cancellation, ConnectionWrite, ConversationWrite, Entry, IssuerWrite, OwnerWrite, ReceiptsWrite};

mod claim;
mod connection;
mod invite;
mod issuer;
mod member;
mod opening;
mod owner;
mod posting;
mod price;
mod proofs;
mod receipts;
mod stake;
mod stamp;

use proofs::Claim;

/// What this network asks, and by which constants it judges.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The network's name.
    pub network: NetworkId,
    /// The contract that sells stamps.
    pub postage: alloy::primitives::Address,
    /// What can be staked; nothing if the network has no stakes.
    pub stake: Option<StakeRules>,
    /// Seconds per issue of stamps.
    pub issue_seconds: u64,
    /// What the network asks at invite topics.
    pub invite: Requirement,
    /// What the network asks for an account's first key bundle.
    pub joining: Requirement,
    /// What the network asks for the opening of a conversation.
    pub opening: Requirement,
    /// What a member may use of each purpose in an epoch, and the limit in its leaf.
    pub member_limit: Limit,
    /// The claims that it takes.
    pub claims: Offered,
    /// The key that proofs are verified with.
    pub verifying_key: VerifyingKey,
}

/// What can be staked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StakeRules {
    /// The contract that keeps it.
    pub contract: alloy::primitives::Address,
    /// Tiers, numbered from 1.
    pub tiers: u32,
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

/// How many times the network's stamps may have been asked at an invite topic of whoever sends now: a node that has too much to
/// do asks for more, and stands by what it asked a moment ago (docs/protocol.md, "Congestion").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// Less is refused.
    pub least: u32,
    /// More is surplus.
    pub most: u32,
}

/// All that a verdict may depend on beside the submission.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The network's rules.
    pub rules: &'a Rules,
    /// How many times the postage that they name.
    pub times: Times,
    /// What this node knows of the chain.
    pub view: &'a ChainView,
    /// The roots of the operator's members.
    pub members: &'a GroupsView,
    /// The roots of the claims.
    pub claims: &'a ClaimsView,
    /// The account that the topic names.
    pub account: &'a AccountState,
    /// This node's clock.
    pub now: Timestamp,
}

impl Context<'_> {
    /// Whether a proof under this root is good now, whoever keeps the group.
    fn require_root(&self, group: &Group, root: Root) -> Result<(), Refusal> {
        match group {
            Group::Members { .. } => self.members.lookup(group, root, self.now),
            // Which of them is good depends on the epoch of the pass.
            Group::Claim { .. } => Ok(()),
            Group::Stamps { .. } | Group::Stake { .. } => self.view.require_root(group, root, self.now),
        }
    }
}

/// A submission that may be stored, unless the log knows better. Only [`admit`] and [`prove`] make one.
#[derive(Debug)]
pub struct Admitted {
    submission: Submission,
    id: EnvelopeId,
    effects: Effects,
}

/// A submission that may be stored if its proofs hold.
#[derive(Debug)]
pub struct Unproved {
    admitted: Admitted,
    claims: Vec<Claim>,
}

/// A submission that broke no rule.
#[derive(Debug)]
pub enum Judged {
    /// Nothing in it has to be proved.
    Admitted(Admitted),
    /// Its proofs were not looked at yet.
    Unproved(Unproved),
}

/// What a submission does to the log beside being in it.
#[derive(Debug, Default)]
struct Effects {
    cancels: Vec<Cancellation>,
    owner: Option<OwnerWrite>,
    conversation: Option<ConversationWrite>,
    connection: Option<ConnectionWrite>,
    receipts: Option<ReceiptsWrite>,
    issuer: Option<IssuerWrite>,
}

impl Admitted {
    /// What the append records.
    pub(crate) fn into_entry(self, expected_head: Option<Cursor>) -> Entry {
        let Self { submission, id, effects } = self;
        let Effects { cancels, owner, conversation, connection, receipts, issuer } = effects;
        let topic = submission.envelope().topic;
        let submission = submission.into();
        Entry { id, topic, submission, cancels, owner, conversation, connection, receipts, issuer, expected_head }
    }
}

impl Unproved {
    /// How many proofs that is: at least one.
    #[must_use]
    pub fn proofs(&self) -> usize {
        self.claims.len()
    }

    /// The envelope, and what would be cancelled with it.
    pub(crate) fn cancels(&self) -> (&EnvelopeId, &[Cancellation]) {
        (&self.admitted.id, &self.admitted.effects.cancels)
    }
}

/// Judges a submission by all rules but one: whether proofs hold is for [`prove`] to say.
///
/// # Errors
/// The [`Refusal`] of the first rule that it breaks.
pub fn admit(context: &Context<'_>, submission: Submission) -> Result<Judged, Refusal> {
    let id = submission.envelope().id(context.rules.network);
    require_time(context.now, &submission)?;
    let (claims, effects) = match submission.envelope().topic {
        Topic::Invite(_) => invite::check(context, &submission, &id)?,
        Topic::Contact(account) => owner::check_contact(context, &submission, &id, account)?,
        Topic::Policy(account) => (Vec::new(), owner::check_policy(context, &submission, &id, account)?),
        Topic::Vault(account) => (Vec::new(), owner::check_vault(context, &submission, &id, account)?),
        Topic::Receipts(account) => (Vec::new(), receipts::check(context, &submission, &id, account)?),
        Topic::Conversation(_) if submission.envelope().ciphertext.len() == OPENING_BYTES => {
            opening::check(context, &submission, &id)?
        }
        Topic::Conversation(_) => (Vec::new(), posting::check(context, &submission, &id)?),
        Topic::Claim(claim) => (Vec::new(), issuer::check(context, &submission, &id, ClaimId(claim))?),
    };
    let admitted = Admitted { submission, id, effects };
    Ok(if claims.is_empty() { Judged::Admitted(admitted) } else { Judged::Unproved(Unproved { admitted, claims }) })
}

/// Checks the proofs of several submissions together; each is admitted or refused as if it were alone. `rng` must be one that
/// who made the proofs cannot foresee.
pub fn prove(rules: &Rules, unproved: Vec<Unproved>, rng: &mut impl CryptoRng) -> Vec<Result<Admitted, Refusal>> {
    let claims = unproved.iter().flat_map(|it| &it.claims);
    let proofs: Vec<_> = claims.map(|claim| (claim.statement, claim.points)).collect();
    let mut verdicts = batch::verify(&rules.verifying_key, &proofs, rng).into_iter();
    let judged = unproved.into_iter().map(|Unproved { admitted, claims }| {
        let own = verdicts.by_ref().take(claims.len());
        // All verdicts are taken, whichever is the first that says no: the next ones are the next submission's.
        let refusals = claims.iter().zip(own).filter_map(|(claim, verdict)| Some(claim.refusal(verdict.err()?)));
        refusals.reduce(|first, _| first).map_or(Ok(admitted), Err)
    });
    judged.collect()
}

/// Franked envelopes may have waited for days, as letters do; what a client writes for itself has not.
fn require_time(now: Timestamp, submission: &Submission) -> Result<(), Refusal> {
    let franked = submission.passes().iter().any(|pass| pass.nullifier().is_some());
    let oldest = now.saturating_sub(if franked { MAX_AGE_FRANKED } else { MAX_AGE });
    let sent_at = submission.envelope().sent_at;
    if sent_at < oldest || sent_at > now.saturating_add(MAX_AHEAD) {
        return Err(Refusal::TimeOutOfRange { now });
    }
    Ok(())
}
