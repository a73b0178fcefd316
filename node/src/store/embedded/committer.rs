//! The one thread that writes entries: it takes what waits, decides each against the tree and what it has decided since, and
//! applies what was decided together in one atomic batch. Whoever waits is answered by the syncer, when the batch is durable;
//! until that has synced the last group, the next one grows (docs/decisions/0005-single-committer.md).

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use governor::DefaultDirectRateLimiter;
use prost::Message as _;
use sled::{Batch, Tree};
use tokio::sync::{Semaphore, mpsc, oneshot};
use xmtp_proto::account::Account;
use xmtp_proto::derive::{EnvelopeId, cancelled_hash};
use xmtp_proto::field::Nullifier;
use xmtp_proto::postmark::{Cursor, Postmark};
use xmtp_proto::refusal::Refusal;
use xmtp_proto::time::{Clock, Timestamp};
use xmtp_proto::topic::Topic;
use xmtp_proto::wire;

use super::super::conversations::{self, Read as _};
use super::super::values::{self, Owned, postmark_of};
use super::super::{
    AppendError, Appended, Cancellation, Entry, Evidence, OWNER_WRITES_PER_EPOCH, OwnTopic, OwnerWrite, StoreError,
    connections, issuers, keys, receipts,
};
use super::sheets::Fresh;
use super::suspects::Suspects;
use super::syncer::Group;
use super::{disk, sheets};
use crate::operator::Operator;

/// Appends that are committed together.
const GROUP_MAX: usize = 256;
/// A group ends behind this many bytes of ciphertext.
const GROUP_BYTES: usize = 4 << 20;

pub(super) struct Waiting {
    pub(super) entry: Entry,
    pub(super) answer: oneshot::Sender<Appended>,
}

/// The threads that write and sync, in the order in which they end.
pub(super) struct Threads(pub(super) [Option<JoinHandle<()>>; 2]);

impl Drop for Threads {
    fn drop(&mut self) {
        for thread in self.0.iter_mut().filter_map(Option::take) {
            // One that panicked has already closed its channel; there is nobody left to tell.
            let _ = thread.join();
        }
    }
}

/// The committer's world.
pub(super) struct Room {
    pub(super) log: Tree,
    pub(super) suspects: Suspects,
    pub(super) operator: Operator,
    pub(super) clock: Clock,
    /// Counts here, where nothing can refuse any more: who is refused uses up no place.
    pub(super) joining: DefaultDirectRateLimiter,
    /// The newest entry.
    pub(super) last: Cursor,
    pub(super) accepted_at: Timestamp,
}

impl Room {
    /// Ends when the store is closed, or when the disk failed: what is durable is uncertain then, and nothing more may be
    /// promised.
    pub(super) async fn run(mut self, mut arriving: mpsc::Receiver<Waiting>, groups: mpsc::UnboundedSender<Group>) {
        // The syncer has one group at a time, so its channel never holds more.
        let turns = Arc::new(Semaphore::new(1));
        let mut growing = self.growing();
        let mut open = true;
        while open || !growing.is_empty() {
            let outcome = tokio::select! {
                biased;
                next = arriving.recv(), if open && growing.has_room() => match next {
                    Some(waiting) => self.add(&mut growing, waiting),
                    None => {
                        open = false;
                        Ok(())
                    }
                },
                Ok(turn) = turns.clone().acquire_owned(), if !growing.is_empty() => {
                    let Growing { log, answers, .. } = mem::replace(&mut growing, self.growing());
                    let batch = log.into_batch();
                    let written = batch.is_some().then(Instant::now);
                    let applied = batch.map_or(Ok(()), |batch| self.log.apply_batch(batch).map_err(disk));
                    // A syncer that has failed has said why.
                    let sent = applied.map(|()| groups.send(Group { answers, last: self.last, written, turn }));
                    match sent {
                        Ok(Err(_)) => return,
                        Ok(Ok(())) => Ok(()),
                        Err(error) => Err(error),
                    }
                }
            };
            if let Err(error) = outcome {
                // Everybody in the group learns it by the dropped channel.
                tracing::error!(%error, "the store failed; nothing more is accepted");
                return;
            }
        }
    }

    fn growing(&self) -> Growing {
        let (log, suspects) = (self.log.clone(), self.suspects.clone());
        let first = self.last.next();
        let log = Tentative { log, suspects, overlay: HashMap::new(), first, records: Vec::new() };
        Growing { log, answers: Vec::new(), bytes: 0 }
    }

    fn add(&mut self, growing: &mut Growing, Waiting { entry, answer }: Waiting) -> Result<(), StoreError> {
        growing.bytes += entry.submission.envelope.as_ref().map_or(0, |envelope| envelope.ciphertext.len());
        // Postmarks never run backwards, whatever the clock does.
        self.accepted_at = self.accepted_at.max(self.clock.now());
        match self.decide(&mut growing.log, entry) {
            Err(AppendError::Failed(error)) => Err(error),
            decided => {
                growing.answers.push((answer, decided));
                Ok(())
            }
        }
    }

    fn decide(&mut self, log: &mut Tentative, entry: Entry) -> Appended {
        let Entry { id, topic, submission, cancels, owner, conversation, connection, receipts, issuer, expected_head } =
            entry;
        if let Some(cursor) = log.get(&keys::envelope(&id))? {
            let cursor = keys::cursor_of(&cursor).ok_or(StoreError::Damaged { what: "envelope entry" })?;
            return Ok(postmark_of(&log.kept(cursor)?)?);
        }

        if let Some(write) = &owner
            && log.owned(&write.account, OwnTopic::Contact)?.map(|owned| owned.cursor) != write.bundle
        {
            return Err(AppendError::Outdated(Box::new(submission)));
        }
        let owned = owner.map(|write| log.require_owner_write(&write, expected_head)).transpose()?;
        // Before any nullifier is looked at: what is open already cancels nothing and leaves no evidence.
        let counted = match (conversation, topic) {
            (Some(write), Topic::Conversation(id)) => Some(conversations::decide(&*log, id, write, self.accepted_at)?),
            _ => None,
        };
        let connected = connection.map(|write| connections::decide(&*log, write, self.accepted_at)).transpose()?;
        let issued = issuer.map(|write| issuers::decide(&*log, write, self.accepted_at)).transpose()?;
        let read = receipts.map(|write| receipts::decide(&*log, &write)).transpose()?.unwrap_or_default();
        for it in &cancels {
            log.require_unused(&id, it)?;
        }
        if owner.is_some_and(|write| write.topic == OwnTopic::Contact && write.bundle.is_none())
            && self.joining.check().is_err()
        {
            return Err(AppendError::Overloaded);
        }

        let cursor = self.last.next();
        let nullifiers: Vec<Nullifier> = cancels.iter().map(|it| it.nullifier).collect();
        let postmark = self.operator.sign(Postmark {
            network: self.operator.network(),
            operator: self.operator.address(),
            cursor,
            envelope: id,
            accepted_at: self.accepted_at,
            cancelled: cancelled_hash(&nullifiers),
        });
        let record = wire::Record { submission: Some(submission), postmark: Some(postmark.into()) };

        for Cancellation { group: _, shard, nullifier, share: _ } in &cancels {
            log.insert(keys::nullifier(*shard, nullifier), cursor.0.to_be_bytes().to_vec());
        }
        for (key, value) in counted.into_iter().chain(connected).chain(issued) {
            log.insert(key, value);
        }
        if let (Some(write), Some(writes)) = (owner, owned) {
            let owned = Owned { cursor, order: write.order, content: write.content.0 };
            log.insert(keys::owned(&write.account, write.topic), owned.to_bytes());
            log.insert(keys::quota(write.epoch, &write.account), writes.to_be_bytes().to_vec());
        }
        for key in read {
            log.insert(key, cursor.0.to_be_bytes().to_vec());
        }
        log.records.push(Fresh { topic, record: record.encode_to_vec() });
        log.insert(keys::topic(&topic, cursor), Vec::new());
        log.insert(keys::envelope(&id), cursor.0.to_be_bytes().to_vec());
        self.last = cursor;
        Ok(postmark)
    }
}

/// What is decided already of the next group.
struct Growing {
    log: Tentative,
    answers: Vec<(oneshot::Sender<Appended>, Appended)>,
    bytes: usize,
}

impl Growing {
    fn is_empty(&self) -> bool {
        self.answers.is_empty()
    }

    fn has_room(&self) -> bool {
        self.answers.len() < GROUP_MAX && self.bytes < GROUP_BYTES
    }
}

/// The tree as it will be after the group: what is written here is read here, and nowhere else before it is durable.
struct Tentative {
    log: Tree,
    suspects: Suspects,
    overlay: HashMap<Vec<u8>, Vec<u8>>,
    /// Where the first record of the group will stand.
    first: Cursor,
    records: Vec<Fresh>,
}

impl conversations::Read for Tentative {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.overlay.get(key) {
            Some(value) => Ok(Some(value.clone())),
            None => Ok(self.log.get(key).map_err(disk)?.map(|value| value.to_vec())),
        }
    }

    fn record(&self, cursor: Cursor) -> Result<Option<wire::Record>, StoreError> {
        match self.fresh(cursor) {
            Some(fresh) => values::record(&fresh.record).map(Some),
            None => sheets::record(&self.log, cursor),
        }
    }
}

impl Tentative {
    fn insert(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.overlay.insert(key, value);
    }

    /// All that the group writes; nothing if that is nothing.
    fn into_batch(self) -> Option<Batch> {
        if self.overlay.is_empty() {
            return None;
        }
        let mut batch = Batch::default();
        for (key, value) in self.overlay {
            batch.insert(key, value);
        }
        sheets::write(&mut batch, self.first, &self.records);
        Some(batch)
    }

    fn fresh(&self, cursor: Cursor) -> Option<&Fresh> {
        let number = usize::try_from(cursor.0.checked_sub(self.first.0)?).ok()?;
        self.records.get(number)
    }

    /// What an entry leads to: a record, or its husk.
    fn kept(&self, cursor: Cursor) -> Result<wire::Record, StoreError> {
        let kept = match self.fresh(cursor) {
            Some(fresh) => Some(values::record(&fresh.record)?),
            None => sheets::kept(&self.log, cursor)?,
        };
        kept.ok_or(StoreError::Damaged { what: "record entry" })
    }

    fn owned(&self, account: &Account, topic: OwnTopic) -> Result<Option<Owned>, StoreError> {
        self.get(&keys::owned(account, topic))?.as_deref().map(Owned::from_bytes).transpose()
    }

    /// Refuses an index that was used for another envelope, and keeps what proves it.
    fn require_unused(&mut self, id: &EnvelopeId, it: &Cancellation) -> Result<(), AppendError> {
        let Some(used) = self.get(&keys::nullifier(it.shard, &it.nullifier))? else {
            let closed =
                self.suspects.may_have(&it.nullifier) && self.get(&keys::closed(it.shard, &it.nullifier))?.is_some();
            return if closed { Err(Refusal::SecretClosed.into()) } else { Ok(()) };
        };
        let used = keys::cursor_of(&used).ok_or(StoreError::Damaged { what: "nullifier" })?;
        let first = self.kept(used)?;
        let signal = postmark_of(&first)?.postmark.envelope.signal();
        let share = values::share_in(first, &it.nullifier)?;
        let evidence = Evidence {
            group: it.group,
            nullifier: it.nullifier,
            first: (signal, share),
            second: (id.signal(), it.share),
        };
        let key = keys::evidence(&it.nullifier);
        // The first is enough to slash; more would be a way to fill the disk.
        if self.get(&key)?.is_none() {
            self.suspects.add(&it.nullifier);
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
