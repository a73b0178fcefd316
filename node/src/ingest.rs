//! The one door: everything this node stores came through here. Read this first.
//!
//! ```text
//! wire::Submission ──► parse ──► admit (validate, pure) ──► prove (proving, in batches) ──► append (store, durable) ──► postmark
//! ```

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use prost::Message as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use xmtp_proto::account::Account;
use xmtp_proto::key_bundle::KeyBundle;
use xmtp_proto::policy::{Policy, SignedPolicy};
use xmtp_proto::postmark::{Cursor, SignedPostmark};
use xmtp_proto::refusal::{AskedBy, Refusal};
use xmtp_proto::submission::Submission;
use xmtp_proto::time::Clock;
use xmtp_proto::topic::Topic;
use xmtp_proto::wire;

use crate::chain::ChainHandle;
use crate::claims::ClaimsHandle;
use crate::closing::Closing;
use crate::congestion::Congestion;
use crate::disk::DiskSpace;
use crate::members::MembersHandle;
use crate::metrics::Metrics;
use crate::peer::Peer;
use crate::proving::{NotAdmitted, Proving};
use crate::store::{AppendError, Evidence, OwnTopic, Store, StoreError};
use crate::validate::{self, AccountState, Admitted, Context, Judged, Rules};

/// When a client should try again after the node was too busy.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// So many submissions of a call are judged on one thread, one after the other: handing one over costs as much as judging it.
const JUDGED_TOGETHER: usize = 16;

/// How often a submission is judged, should its account's keys be replaced each time before it is appended.
const JUDGED_AT_MOST: usize = 3;

/// Why a submission has no postmark.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The sender's, or the client's, to mend; or to be tried again where the refusal says so.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Ours; wake someone.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A check panicked: a mistake of ours, and the submission has no verdict.
    #[error("a check of the node panicked")]
    Bug,
}

fn overloaded() -> Refusal {
    Refusal::Overloaded { retry_after: RETRY_AFTER }
}

/// What the checks came to.
enum Verdict {
    /// It is in the log already.
    Stored(Box<SignedPostmark>),
    /// It broke no rule.
    Judged(Box<Judged>),
}

/// The door and what stands behind it. Clones share it.
#[derive(Clone)]
pub struct Ingest {
    rules: Arc<Rules>,
    chain: ChainHandle,
    members: MembersHandle,
    claims: ClaimsHandle,
    store: Store,
    clock: Clock,
    view_age_max: Duration,
    proving: Proving,
    congestion: Congestion,
    /// Rules are checked on blocking threads; so many at once, and so many bytes more may wait.
    checking: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    closing: Closing,
    metrics: Metrics,
    disk: DiskSpace,
}

/// What the door waits for, and how much may wait at it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// No verdict from a view of the chain that is older.
    pub(crate) view_age_max: Duration,
    /// Of submissions in the node at once.
    pub(crate) waiting_bytes: usize,
}

/// The rooms behind the door.
pub(crate) struct Rooms {
    pub(crate) rules: Arc<Rules>,
    pub(crate) chain: ChainHandle,
    pub(crate) members: MembersHandle,
    pub(crate) claims: ClaimsHandle,
    pub(crate) proving: Proving,
    pub(crate) congestion: Congestion,
    pub(crate) closing: Closing,
    pub(crate) metrics: Metrics,
    pub(crate) store: Store,
    pub(crate) disk: DiskSpace,
    pub(crate) clock: Clock,
}

impl Ingest {
    pub(crate) fn new(rooms: Rooms, bounds: Bounds) -> Self {
        let Rooms { rules, chain, members, claims, proving, congestion, closing, metrics, store, disk, clock } = rooms;
        let Bounds { view_age_max, waiting_bytes } = bounds;
        Self {
            closing,
            metrics,
            disk,
            rules,
            chain,
            members,
            claims,
            proving,
            congestion,
            store,
            clock,
            view_age_max,
            checking: Arc::new(Semaphore::new(std::thread::available_parallelism().map_or(1, Into::into))),
            // One permit per KiB.
            waiting: Arc::new(Semaphore::new((waiting_bytes / 1024).min(Semaphore::MAX_PERMITS))),
        }
    }

    /// Takes the submissions of a call, each with the head of its topic that it was made against: parses, judges, proves and
    /// stores them, each by itself.
    ///
    /// # Errors
    /// [`Failure`], of each: nothing of it was cancelled or stored, but for evidence against who used one index twice.
    pub async fn ingest(
        &self,
        peer: Peer,
        submissions: Vec<(wire::Submission, Option<Cursor>)>,
    ) -> Vec<Result<SignedPostmark, Failure>> {
        let mut submissions = submissions.into_iter();
        let mut together = Vec::new();
        while submissions.len() > 0 {
            together.push(self.ingest_some(peer, submissions.by_ref().take(JUDGED_TOGETHER).collect()));
        }
        join_all(together).await.into_iter().flatten().collect()
    }

    async fn ingest_some(
        &self,
        peer: Peer,
        submissions: Vec<(wire::Submission, Option<Cursor>)>,
    ) -> Vec<Result<SignedPostmark, Failure>> {
        let (submissions, heads): (Vec<_>, Vec<_>) = submissions.into_iter().unzip();
        let places: Vec<_> = submissions.iter().map(|wire| self.place(wire)).collect();
        let taken = submissions.into_iter().zip(&places).filter_map(|(wire, place)| place.is_some().then_some(wire));
        let mut judged = self.judge(taken.collect()).await.into_iter();
        let outcomes = places.into_iter().zip(heads).map(|(place, expected_head)| {
            let judged = place.is_some().then(|| judged.next()).flatten();
            async move {
                // Held until there is an answer.
                let _place = place;
                self.store(peer, judged.unwrap_or_else(|| Err(overloaded().into())), expected_head).await
            }
        });
        join_all(outcomes).await
    }

    /// Room for a submission, as long as it is in the node.
    fn place(&self, wire: &wire::Submission) -> Option<OwnedSemaphorePermit> {
        let kibibytes = u32::try_from(wire.encoded_len() / 1024 + 1).unwrap_or(u32::MAX);
        self.waiting.clone().try_acquire_many_owned(kibibytes).ok()
    }

    /// Proves and stores what was judged; judges it again if it has to be.
    async fn store(
        &self,
        peer: Peer,
        mut judged: Result<Verdict, Failure>,
        expected_head: Option<Cursor>,
    ) -> Result<SignedPostmark, Failure> {
        for _ in 0..JUDGED_AT_MOST {
            let passed = match judged? {
                Verdict::Stored(postmark) => return Ok(*postmark),
                Verdict::Judged(passed) => passed,
            };
            let _waiting = self.congestion.wait();
            let admitted = self.prove(peer, *passed).await?;
            match self.store.append(admitted.into_entry(expected_head)).await {
                Ok(postmark) => return Ok(postmark),
                Err(AppendError::Refused(refusal)) => return Err(refusal.into()),
                Err(AppendError::DoubleSpend(evidence)) => return Err(self.expose(*evidence).await.into()),
                Err(AppendError::NotOpen) => {
                    let unmet = self.rules.opening.clone();
                    return Err(Refusal::RequirementUnmet { unmet, asked_by: AskedBy::Network }.into());
                }
                Err(AppendError::Overloaded) => return Err(overloaded().into()),
                Err(AppendError::Failed(error)) => return Err(error.into()),
                // The owner's own writes crossed each other.
                Err(AppendError::Outdated(submission)) => {
                    judged = self.judge(vec![*submission]).await.pop().unwrap_or(Err(Failure::Bug));
                }
            }
        }
        Err(overloaded().into())
    }

    /// Judges each, on a thread that may block.
    async fn judge(&self, submissions: Vec<wire::Submission>) -> Vec<Result<Verdict, Failure>> {
        let count = submissions.len();
        // Never closed, so never an error.
        let Ok(permit) = self.checking.clone().acquire_owned().await else {
            return (0..count).map(|_| Err(StoreError::Closed.into())).collect();
        };
        let this = self.clone();
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            submissions.into_iter().map(|wire| this.judge_blocking(wire)).collect()
        })
        .await
        .unwrap_or_else(|_| (0..count).map(|_| Err(Failure::Bug)).collect())
    }

    async fn prove(&self, peer: Peer, judged: Judged) -> Result<Admitted, Failure> {
        match judged {
            Judged::Admitted(admitted) => Ok(admitted),
            Judged::Unproved(unproved) => self.proving.prove(peer, unproved).await.map_err(|error| match error {
                NotAdmitted::Refused(refusal) => refusal.into(),
                NotAdmitted::Bug => Failure::Bug,
            }),
        }
    }

    fn judge_blocking(&self, wire: wire::Submission) -> Result<Verdict, Failure> {
        let submission = Submission::try_from(wire).map_err(Refusal::from)?;
        // Sent before: the same answer as then, whatever has changed since.
        if let Some(postmark) = self.store.postmark(&submission.envelope().id(self.rules.network))? {
            return Ok(Verdict::Stored(Box::new(postmark)));
        }
        self.disk.require_room()?;
        let now = self.clock.now();
        let view = self.chain.view();
        // No verdict from a view that is too old: the answer is "try later", never a guess.
        view.require_fresh(now, self.view_age_max)?;
        let topic = submission.envelope().topic;
        let account = self.account(&topic)?;
        let (members, claims) = (self.members.view(), self.claims.view());
        let times = self.congestion.asked(now);
        let context = Context {
            rules: &self.rules,
            times,
            view: &view,
            members: &members,
            claims: &claims,
            account: &account,
            now,
        };
        let judged = validate::admit(&context, submission)?;
        if let Judged::Unproved(unproved) = &judged {
            // Whoever repeats a double spend would have its proof verified each time.
            let (id, cancels) = unproved.cancels();
            if let Some(refusal) = self.store.known_refusal(id, cancels)? {
                return Err(refusal.into());
            }
        }
        Ok(Verdict::Judged(Box::new(judged)))
    }

    /// Bytes of submissions that may still come in.
    pub(crate) fn room_bytes(&self) -> usize {
        self.waiting.available_permits() * 1024
    }

    /// Refuses to answer from a view of the chain that is too old.
    pub(crate) fn require_fresh_view(&self) -> Result<(), Refusal> {
        self.chain.view().require_fresh(self.clock.now(), self.view_age_max)
    }

    /// What the log knows of the account that a topic names. A policy counts only under the identity key of the newest
    /// bundle, for one that a replaced key signed is nobody's word any more; and only at invites is it asked for.
    fn account(&self, topic: &Topic) -> Result<AccountState, StoreError> {
        let Some(account) = topic.account() else { return Ok(AccountState::default()) };
        let Some((cursor, bundle)) = self.bundle(&account)? else { return Ok(AccountState::default()) };
        let policy = match topic {
            Topic::Invite(_) => self.policy(&account, &bundle)?.map(|(_, policy)| policy),
            _ => None,
        };
        Ok(AccountState { bundle: Some(bundle), bundle_cursor: Some(cursor), policy })
    }

    fn bundle(&self, account: &Account) -> Result<Option<(Cursor, KeyBundle)>, StoreError> {
        let Some((cursor, bytes)) = self.own_bytes(account, OwnTopic::Contact)? else { return Ok(None) };
        let bundle = KeyBundle::from_bytes(&bytes).map_err(|_| StoreError::Damaged { what: "key bundle" })?;
        Ok(Some((cursor, bundle)))
    }

    fn policy(&self, account: &Account, bundle: &KeyBundle) -> Result<Option<(Vec<u8>, Policy)>, StoreError> {
        let Some((_, bytes)) = self.own_bytes(account, OwnTopic::Policy)? else { return Ok(None) };
        let signed = SignedPolicy::from_bytes(&bytes).map_err(|_| StoreError::Damaged { what: "policy" })?;
        let holds = signed.verify(self.rules.network, &bundle.keys.identity_key).is_ok();
        Ok(holds.then(|| (bytes, signed.policy().clone())))
    }

    /// An account's policy as it was published, if it has a bundle; the inner `None` if that has no policy.
    pub(crate) fn published_policy(&self, account: &Account) -> Result<Option<Option<Vec<u8>>>, StoreError> {
        let Some((_, bundle)) = self.bundle(account)? else { return Ok(None) };
        Ok(Some(self.policy(account, &bundle)?.map(|(bytes, _)| bytes)))
    }

    fn own_bytes(&self, account: &Account, topic: OwnTopic) -> Result<Option<(Cursor, Vec<u8>)>, StoreError> {
        let Some(own) = self.store.own_record(account, topic)? else { return Ok(None) };
        let envelope = own.record.submission.and_then(|submission| submission.envelope);
        let envelope = envelope.ok_or(StoreError::Damaged { what: "record" })?;
        Ok(Some((own.cursor, envelope.ciphertext)))
    }

    /// Recovers the secret of who used one index for two envelopes, and closes it. The evidence is on disk already; whoever
    /// holds it can slash.
    async fn expose(&self, evidence: Evidence) -> Refusal {
        let Evidence { group, nullifier, first: _, second: _ } = evidence;
        self.metrics.exposed(&group);
        match evidence.secret() {
            Ok(secret) => match self.closing.close(group, secret).await {
                Ok(passes) => tracing::warn!(passes, ?group, "one index went on two envelopes: its secret is closed"),
                Err(error) => tracing::error!(%error, "a secret that is known could not be closed"),
            },
            // Two envelopes have two signals but for a collision of keccak-256.
            Err(error) => tracing::error!(%error, "one index for two envelopes, and no evidence in it"),
        }
        Refusal::NullifierUsed { nullifier }
    }
}
