//! The one door: everything this node stores came through here. Read this first.
//!
//! ```text
//! wire::Submission ──► parse ──► admit (validate, pure) ──► append (store, durable) ──► postmark
//! ```

use std::sync::Arc;
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::sync::Semaphore;
use xmtp_proto::account::Account;
use xmtp_proto::key_bundle::KeyBundle;
use xmtp_proto::policy::{Policy, SignedPolicy};
use xmtp_proto::postmark::{Cursor, SignedPostmark};
use xmtp_proto::refusal::Refusal;
use xmtp_proto::submission::Submission;
use xmtp_proto::time::Clock;
use xmtp_proto::topic::Topic;
use xmtp_proto::wire;

use crate::chain::ChainHandle;
use crate::config::Limits;
use crate::store::{AppendError, Evidence, OwnTopic, Store, StoreError};
use crate::validate::{self, AccountState, Admitted, Context, Rules};

/// When a client should try again after the node was too busy.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why a submission has no postmark.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The sender's, or the client's, to mend; or to be tried again where the refusal says so.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Ours; wake someone.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What the checks came to.
enum Verdict {
    /// It is in the log already.
    Stored(Box<SignedPostmark>),
    /// It may be appended.
    Admitted(Box<Admitted>),
}

/// The door and what stands behind it. Clones share it.
#[derive(Clone)]
pub struct Ingest {
    rules: Arc<Rules>,
    chain: ChainHandle,
    store: Store,
    clock: Clock,
    view_age_max: Duration,
    /// Proofs are checked on blocking threads; so many at once, and so many more may wait.
    checking: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    new_accounts: Arc<DefaultDirectRateLimiter>,
}

impl Ingest {
    pub(crate) fn new(
        rules: Arc<Rules>,
        chain: ChainHandle,
        store: Store,
        clock: Clock,
        view_age_max: Duration,
        limits: &Limits,
    ) -> Self {
        Self {
            rules,
            chain,
            store,
            clock,
            view_age_max,
            checking: Arc::new(Semaphore::new(std::thread::available_parallelism().map_or(1, Into::into))),
            waiting: Arc::new(Semaphore::new(limits.submissions_waiting)),
            new_accounts: Arc::new(RateLimiter::direct(Quota::per_minute(limits.new_accounts_per_minute))),
        }
    }

    /// Takes a submission: parses it, judges it, stores it.
    ///
    /// # Errors
    /// [`Failure`]; nothing was cancelled or stored, but for evidence against who used one stamp twice.
    pub async fn ingest(
        &self,
        wire: wire::Submission,
        expected_head: Option<Cursor>,
    ) -> Result<SignedPostmark, Failure> {
        let _place = self.waiting.try_acquire().map_err(|_| Refusal::Overloaded { retry_after: RETRY_AFTER })?;
        let admitted = match self.judge(wire).await? {
            Verdict::Stored(postmark) => return Ok(*postmark),
            Verdict::Admitted(admitted) => admitted,
        };
        match self.store.append(admitted.into_entry(expected_head)).await {
            Ok(postmark) => Ok(postmark),
            Err(AppendError::Refused(refusal)) => Err(refusal.into()),
            Err(AppendError::DoubleSpend(evidence)) => Err(expose(&evidence).into()),
            Err(AppendError::Overloaded) => Err(Refusal::Overloaded { retry_after: RETRY_AFTER }.into()),
            Err(AppendError::Failed(error)) => Err(error.into()),
        }
    }

    async fn judge(&self, wire: wire::Submission) -> Result<Verdict, Failure> {
        // Never closed, so never an error.
        let permit = self.checking.clone().acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let this = self.clone();
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            this.judge_blocking(wire)
        })
        .await
        // A panic in the rules is a bug of ours; the submission has no verdict.
        .unwrap_or(Err(StoreError::Closed.into()))
    }

    fn judge_blocking(&self, wire: wire::Submission) -> Result<Verdict, Failure> {
        let submission = Submission::try_from(wire).map_err(Refusal::from)?;
        // Sent before: the same answer as then, whatever has changed since.
        if let Some(postmark) = self.store.postmark(&submission.envelope().id(self.rules.network))? {
            return Ok(Verdict::Stored(Box::new(postmark)));
        }
        let now = self.clock.now();
        let view = self.chain.view();
        // No verdict from a view that is too old: the answer is "try later", never a guess.
        view.require_fresh(now, self.view_age_max)?;
        let topic = submission.envelope().topic;
        let account = topic.account().map(|account| self.account(&account)).transpose()?.unwrap_or_default();
        let joins = matches!(topic, Topic::Contact(_)) && account.bundle.is_none();
        let context = Context { rules: &self.rules, view: &view, account: &account, now };
        let admitted = validate::admit(&context, submission)?;
        if joins && self.new_accounts.check().is_err() {
            return Err(Refusal::Overloaded { retry_after: RETRY_AFTER }.into());
        }
        Ok(Verdict::Admitted(Box::new(admitted)))
    }

    /// Refuses to answer from a view of the chain that is too old.
    pub(crate) fn require_fresh_view(&self) -> Result<(), Refusal> {
        self.chain.view().require_fresh(self.clock.now(), self.view_age_max)
    }

    /// What the log knows of an account. A policy counts only under the identity key of the newest bundle: one that a
    /// replaced key signed is nobody's word any more.
    pub(crate) fn account(&self, account: &Account) -> Result<AccountState, StoreError> {
        let Some(bundle) = self.bundle(account)? else { return Ok(AccountState::default()) };
        let policy = self.policy(account, &bundle)?.map(|(_, policy)| policy);
        Ok(AccountState { bundle: Some(bundle), policy })
    }

    fn bundle(&self, account: &Account) -> Result<Option<KeyBundle>, StoreError> {
        let Some(bytes) = self.own_bytes(account, OwnTopic::Contact)? else { return Ok(None) };
        KeyBundle::from_bytes(&bytes).map(Some).map_err(|_| StoreError::Damaged { what: "key bundle" })
    }

    fn policy(&self, account: &Account, bundle: &KeyBundle) -> Result<Option<(Vec<u8>, Policy)>, StoreError> {
        let Some(bytes) = self.own_bytes(account, OwnTopic::Policy)? else { return Ok(None) };
        let signed = SignedPolicy::from_bytes(&bytes).map_err(|_| StoreError::Damaged { what: "policy" })?;
        let holds = signed.verify(self.rules.network, &bundle.keys.identity_key).is_ok();
        Ok(holds.then(|| (bytes, signed.policy().clone())))
    }

    /// An account's policy as it was published, if it has a bundle; the inner `None` if that has no policy.
    pub(crate) fn published_policy(&self, account: &Account) -> Result<Option<Option<Vec<u8>>>, StoreError> {
        let Some(bundle) = self.bundle(account)? else { return Ok(None) };
        Ok(Some(self.policy(account, &bundle)?.map(|(bytes, _)| bytes)))
    }

    fn own_bytes(&self, account: &Account, topic: OwnTopic) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(own) = self.store.own_record(account, topic)? else { return Ok(None) };
        let envelope = own.record.submission.and_then(|submission| submission.envelope);
        envelope.map(|envelope| Some(envelope.ciphertext)).ok_or(StoreError::Damaged { what: "record" })
    }
}

/// Recovers the secret of who used one index for two envelopes. The evidence is on disk already; whoever holds it can slash.
fn expose(evidence: &Evidence) -> Refusal {
    match xmtp_prover::recover(evidence.first, evidence.second) {
        Ok(secret) => {
            tracing::warn!(commitment = %secret.commitment(), "one stamp for two envelopes: the book's secret is known");
        }
        // Two envelopes have two signals but for a collision of keccak-256.
        Err(error) => tracing::error!(%error, "one stamp for two envelopes, and no evidence in it"),
    }
    Refusal::NullifierUsed { nullifier: evidence.nullifier }
}
