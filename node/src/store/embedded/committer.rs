//! The one thread that writes entries: it takes what waits, decides each against the tree and what it has decided since, applies
//! all in one atomic batch, flushes, syncs, and only then answers (docs/decisions/0005-single-committer.md).

use std::collections::HashMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use governor::DefaultDirectRateLimiter;
use prost::Message as _;
use sled::{Batch, Db, Tree};
use tokio::sync::{mpsc, oneshot, watch};
use xmtp_proto::account::Account;
use xmtp_proto::derive::{EnvelopeId, cancelled_hash};
use xmtp_proto::field::{Nullifier, Share};
use xmtp_proto::postmark::{Cursor, Postmark};
use xmtp_proto::refusal::Refusal;
use xmtp_proto::time::{Clock, Timestamp};
use xmtp_proto::topic::Topic;
use xmtp_proto::wire;

use super::super::conversations::{self, Read as _};
use super::super::durable::Folder;
use super::super::values::{self, Owned, element, postmark_of};
use super::super::{
    AppendError, Appended, Cancellation, Entry, Evidence, OWNER_WRITES_PER_EPOCH, OwnTopic, OwnerWrite, Shard,
    StoreError, keys,
};
use super::{disk, sync};
use crate::metrics::CommitMetrics;
use crate::operator::Operator;

/// Appends that are committed together.
const GROUP_MAX: usize = 256;
/// A group ends behind this many bytes of ciphertext.
const GROUP_BYTES: usize = 4 << 20;

pub(super) struct Waiting {
    pub(super) entry: Entry,
    pub(super) answer: oneshot::Sender<Appended>,
}

impl Waiting {
    fn bytes(&self) -> usize {
        self.entry.submission.envelope.as_ref().map_or(0, |envelope| envelope.ciphertext.len())
    }
}

pub(super) struct Committer(pub(super) Option<JoinHandle<()>>);

impl Drop for Committer {
    fn drop(&mut self) {
        if let Some(thread) = self.0.take() {
            // A committer that panicked has already closed its channel; there is nobody left to tell.
            let _ = thread.join();
        }
    }
}

/// The committer's world.
pub(super) struct Room {
    pub(super) log: Tree,
    pub(super) db: Db,
    pub(super) folder: Arc<std::sync::Mutex<Folder>>,
    pub(super) operator: Operator,
    pub(super) clock: Clock,
    /// Counts here, where nothing can refuse any more: who is refused uses up no place.
    pub(super) joining: DefaultDirectRateLimiter,
    pub(super) metrics: CommitMetrics,
    pub(super) announce: watch::Sender<Cursor>,
}

impl Room {
    /// Ends when the store is closed, or when the disk failed: what is durable is uncertain then, and nothing more may be
    /// promised.
    pub(super) fn run(self, mut arriving: mpsc::Receiver<Waiting>, mut accepted_at: Timestamp) {
        while let Some(first) = arriving.blocking_recv() {
            let mut bytes = first.bytes();
            let mut group = vec![first];
            while group.len() < GROUP_MAX && bytes < GROUP_BYTES {
                match arriving.try_recv() {
                    Ok(next) => {
                        bytes += next.bytes();
                        group.push(next);
                    }
                    Err(_) => break,
                }
            }
            // Postmarks never run backwards, whatever the clock does.
            accepted_at = accepted_at.max(self.clock.now());
            if let Err(error) = self.commit(group, accepted_at) {
                tracing::error!(%error, "the store failed; nothing more is accepted");
                return;
            }
        }
    }

    fn commit(&self, group: Vec<Waiting>, accepted_at: Timestamp) -> Result<(), StoreError> {
        let mut tentative = Tentative { log: &self.log, batch: Batch::default(), overlay: HashMap::new() };
        let mut last = *self.announce.borrow();
        let mut answers = Vec::with_capacity(group.len());
        for Waiting { entry, answer } in group {
            match self.decide(&mut tentative, entry, &mut last, accepted_at) {
                // The disk failed: everybody in the group learns it by the dropped channel.
                Err(AppendError::Failed(error)) => return Err(error),
                decided => answers.push((answer, decided)),
            }
        }
        let Tentative { batch, overlay, .. } = tentative;
        if !overlay.is_empty() {
            let since = Instant::now();
            self.log.apply_batch(batch).map_err(disk)?;
            sync(&self.db, &self.folder)?;
            self.metrics.committed(answers.len(), since.elapsed());
            self.announce.send_replace(last);
        }
        for (answer, decided) in answers {
            // A caller that is gone finds the postmark by sending the same bytes again.
            let _ = answer.send(decided);
        }
        Ok(())
    }

    fn decide(&self, log: &mut Tentative<'_>, entry: Entry, last: &mut Cursor, accepted_at: Timestamp) -> Appended {
        let Entry { id, topic, submission, cancels, owner, conversation, expected_head } = entry;
        if let Some(cursor) = log.get(&keys::envelope(&id))? {
            let cursor = keys::cursor_of(&cursor).ok_or(StoreError::Damaged { what: "envelope entry" })?;
            // In this order: what is dropped between the two leaves its husk in the same write.
            let kept = match log.get(&keys::record(cursor))? {
                Some(record) => Some(record),
                None => log.get(&keys::husk(cursor))?,
            };
            let kept = kept.ok_or(StoreError::Damaged { what: "record entry" })?;
            return Ok(postmark_of(&values::record(&kept)?)?);
        }

        if let Some(write) = &owner
            && log.owned(&write.account, OwnTopic::Contact)?.map(|owned| owned.cursor) != write.bundle
        {
            return Err(AppendError::Outdated(Box::new(submission)));
        }
        let owned = owner.map(|write| log.require_owner_write(&write, expected_head)).transpose()?;
        // Before any nullifier is looked at: what is open already cancels nothing and leaves no evidence.
        let counted = match (conversation, topic) {
            (Some(write), Topic::Conversation(id)) => Some(conversations::decide(&*log, id, write, accepted_at)?),
            _ => None,
        };
        for it in &cancels {
            log.require_unused(&id, it)?;
        }
        if owner.is_some_and(|write| write.topic == OwnTopic::Contact && write.bundle.is_none())
            && self.joining.check().is_err()
        {
            return Err(AppendError::Overloaded);
        }

        let cursor = last.next();
        let nullifiers: Vec<Nullifier> = cancels.iter().map(|it| it.nullifier).collect();
        let postmark = self.operator.sign(Postmark {
            network: self.operator.network(),
            operator: self.operator.address(),
            cursor,
            envelope: id,
            accepted_at,
            cancelled: cancelled_hash(&nullifiers),
        });
        let record = wire::Record { submission: Some(submission), postmark: Some(postmark.into()) };

        for Cancellation { group: _, shard, nullifier, share } in &cancels {
            log.insert(keys::nullifier(*shard, nullifier), [id.as_bytes().as_slice(), share.as_bytes()].concat());
        }
        if let Some((key, value)) = counted {
            log.insert(key, value);
        }
        if let (Some(write), Some(writes)) = (owner, owned) {
            let owned = Owned { cursor, order: write.order, content: write.content.0 };
            log.insert(keys::owned(&write.account, write.topic), owned.to_bytes());
            log.insert(keys::quota(write.epoch, &write.account), writes.to_be_bytes().to_vec());
        }
        log.insert(keys::record(cursor), record.encode_to_vec());
        log.insert(keys::entry(cursor), topic.to_string().into_bytes());
        log.insert(keys::topic(&topic, cursor), Vec::new());
        log.insert(keys::envelope(&id), cursor.0.to_be_bytes().to_vec());
        *last = cursor;
        Ok(postmark)
    }
}

/// The tree as it will be after the group: what is written here is read here, and nowhere else before it is durable.
struct Tentative<'a> {
    log: &'a Tree,
    batch: Batch,
    overlay: HashMap<Vec<u8>, Vec<u8>>,
}

impl conversations::Read for Tentative<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.overlay.get(key) {
            Some(value) => Ok(Some(value.clone())),
            None => Ok(self.log.get(key).map_err(disk)?.map(|value| value.to_vec())),
        }
    }
}

impl Tentative<'_> {
    fn insert(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.batch.insert(key.as_slice(), value.as_slice());
        self.overlay.insert(key, value);
    }

    fn owned(&self, account: &Account, topic: OwnTopic) -> Result<Option<Owned>, StoreError> {
        self.get(&keys::owned(account, topic))?.as_deref().map(Owned::from_bytes).transpose()
    }

    /// Refuses an index that was used for another envelope, and keeps what proves it.
    fn require_unused(&mut self, id: &EnvelopeId, it: &Cancellation) -> Result<(), AppendError> {
        let Some(used) = self.get(&keys::nullifier(it.shard, &it.nullifier))? else {
            return match it.shard {
                Shard::Issue(issue) if self.get(&keys::closed(issue, &it.nullifier))?.is_some() => {
                    Err(Refusal::SecretClosed.into())
                }
                Shard::Issue(_) | Shard::Epoch(_) => Ok(()),
            };
        };
        let (first_id, first_share) =
            used.split_first_chunk::<32>().ok_or(StoreError::Damaged { what: "nullifier" })?;
        let first_id = EnvelopeId::from(*first_id);
        let evidence = Evidence {
            group: it.group,
            nullifier: it.nullifier,
            first: (first_id.signal(), Share::from(element(first_share)?)),
            second: (id.signal(), it.share),
        };
        let key = keys::evidence(&it.nullifier);
        // The first is enough to slash; more would be a way to fill the disk.
        if self.get(&key)?.is_none() {
            self.insert(key, evidence.to_bytes());
        }
        Err(AppendError::DoubleSpend(Box::new(evidence)))
    }

    /// Refuses a record that is not newer than the last, or was made against another one; returns how many writes the
    /// account has made in this epoch with it.
    fn require_owner_write(&self, write: &OwnerWrite, expected_head: Option<Cursor>) -> Result<u32, AppendError> {
        let owned = self.owned(&write.account, write.topic)?;
        let head = owned.map(|owned| owned.cursor).unwrap_or_default();
        if expected_head.is_some_and(|expected| expected != head) {
            return Err(Refusal::HeadMoved { head }.into());
        }
        if let Some(Owned { order, content, .. }) = owned
            && (write.order < order || (write.order == order && write.content != content))
        {
            return Err(Refusal::VersionStale.into());
        }
        let writes = match self.get(&keys::quota(write.epoch, &write.account))? {
            None => 0,
            Some(bytes) => {
                u32::from_be_bytes(bytes.as_slice().try_into().map_err(|_| StoreError::Damaged { what: "quota" })?)
            }
        };
        if writes >= OWNER_WRITES_PER_EPOCH {
            return Err(Refusal::QuotaExhausted.into());
        }
        Ok(writes + 1)
    }
}
