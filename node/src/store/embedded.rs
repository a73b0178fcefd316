//! The store in one folder: the only file that names sled.
//!
//! Appends come together in one committer thread. It takes what waits, decides each against the tree and what it has decided
//! since, applies all in one atomic batch, flushes, syncs, and only then answers (docs/decisions/0005-single-committer.md).

use std::collections::HashMap;
use std::io;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use prost::Message as _;
use sled::{Batch, Db, Tree};
use tokio::sync::{mpsc, oneshot, watch};
use xmtp_proto::derive::{EnvelopeId, Group, Issue, OperatorId, cancelled_hash};
use xmtp_proto::field::{FieldElement, Nullifier, Share};
use xmtp_proto::postmark::{Cursor, Postmark, SignedPostmark};
use xmtp_proto::refusal::Refusal;
use xmtp_proto::time::{Clock, Epoch, Timestamp};
use xmtp_proto::topic::Topic;
use xmtp_proto::wire;

use super::conversations::{self, Read as _};
use super::durable::{Folder, create_folder};
use super::{
    AppendError, Appended, Cancellation, Entry, Evidence, OWNER_WRITES_PER_EPOCH, OwnRecord, OwnTopic, Page, Shard,
    StoreError, Stretch, keys,
};
use crate::chain::{ChainStore, ChainStoreError};
use crate::metrics::CommitMetrics;
use crate::operator::Operator;
use xmtp_proto::account::Account;

const FORMAT: &[u8] = b"xmtp-node store 1";
const FORMAT_KEY: &[u8] = b"format";
const OWNER_KEY: &[u8] = b"owner";
const LOG_TREE: &[u8] = b"log";
const CHAIN_TREE: &[u8] = b"chain";

/// Appends that may wait for the committer; more are refused as overload.
const WAITING_MAX: usize = 1024;
/// Appends that are committed together.
const GROUP_MAX: usize = 256;
/// A group ends behind this many bytes of ciphertext.
const GROUP_BYTES: usize = 4 << 20;
/// A page ends behind this many bytes of records.
const PAGE_BYTES: usize = 1 << 20;
/// Entries that one reading of the log passes over at the most.
const ENTRIES_AT_ONCE: usize = 10_000;
/// Two signals and two shares.
const EVIDENCE_POINTS: usize = 4 * 32;
/// Memory that sled may use for its cache.
const CACHE_BYTES: u64 = 256 << 20;
/// Entries removed in one go by housekeeping.
const REMOVED_AT_ONCE: usize = 10_000;

/// A store that cannot be opened. The operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder cannot be made or read.
    #[error("cannot use the folder {path}: {source}")]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// sled refuses: another process has it open, or it is damaged.
    #[error("cannot open the store in {path} (is another node running on it?): {source}")]
    Sled {
        /// Which.
        path: PathBuf,
        /// Why.
        source: sled::Error,
    },
    /// Another version wrote it.
    #[error("the store in {path} has another format ({found}) than this version reads")]
    Format {
        /// Which.
        path: PathBuf,
        /// What it says of itself.
        found: String,
    },
    /// It is the log of another operator or network.
    #[error(
        "the store in {path} is the log of another operator or network: a log has one owner for ever; name another folder"
    )]
    Owner {
        /// Which.
        path: PathBuf,
    },
    /// It was read and makes no sense.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The log of one operator on one disk. Clones share it; it closes when the last is dropped.
#[derive(Clone)]
pub struct Store {
    log: Tree,
    chain: Tree,
    folder: Arc<std::sync::Mutex<Folder>>,
    db: Db,
    durable: watch::Receiver<Cursor>,
    waiting: mpsc::Sender<Waiting>,
    metrics: CommitMetrics,
    // Held for its drop alone, which waits for the committer. Behind `waiting`, so that the channel closes first.
    _committer: Arc<Committer>,
}

struct Waiting {
    entry: Entry,
    answer: oneshot::Sender<Appended>,
}

impl Waiting {
    fn bytes(&self) -> usize {
        self.entry.submission.envelope.as_ref().map_or(0, |envelope| envelope.ciphertext.len())
    }
}

struct Committer(Option<JoinHandle<()>>);

impl Drop for Committer {
    fn drop(&mut self) {
        if let Some(thread) = self.0.take() {
            // A committer that panicked has already closed its channel; there is nobody left to tell.
            let _ = thread.join();
        }
    }
}

impl Store {
    /// Opens or creates an operator's store in a folder, and starts its committer, which lets so many accounts join in a
    /// minute.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(
        path: &Path,
        operator: Operator,
        clock: Clock,
        new_accounts_per_minute: NonZeroU32,
    ) -> Result<Self, OpenError> {
        create_folder(path).map_err(|source| OpenError::Folder { path: path.to_owned(), source })?;
        let failed = |source| OpenError::Sled { path: path.to_owned(), source };
        // Nothing is flushed behind our back: the committer does it before it answers.
        let db =
            sled::Config::new().path(path).cache_capacity(CACHE_BYTES).flush_every_ms(None).open().map_err(failed)?;
        let owner = [operator.network().as_bytes().as_slice(), operator.address().as_slice()].concat();
        match db.get(FORMAT_KEY).map_err(failed)? {
            None => {
                db.insert(OWNER_KEY, owner).map_err(failed)?;
                db.insert(FORMAT_KEY, FORMAT).map_err(failed)?;
            }
            Some(found) if found == FORMAT => {
                if db.get(OWNER_KEY).map_err(failed)?.is_none_or(|found| found != owner) {
                    return Err(OpenError::Owner { path: path.to_owned() });
                }
            }
            Some(found) => {
                let found = String::from_utf8_lossy(&found).into_owned();
                return Err(OpenError::Format { path: path.to_owned(), found });
            }
        }
        let log = db.open_tree(LOG_TREE).map_err(failed)?;
        let chain = db.open_tree(CHAIN_TREE).map_err(failed)?;
        let (last, accepted_at) = match log.scan_prefix(keys::records()).next_back() {
            None => Default::default(),
            Some(entry) => {
                let (_, record) = entry.map_err(failed)?;
                let record = wire::Record::decode(record.as_ref());
                let postmark = postmark_of(&record.map_err(|_| StoreError::Damaged { what: "record" })?)?.postmark;
                (postmark.cursor, postmark.accepted_at)
            }
        };
        let folder = Arc::new(std::sync::Mutex::new(Folder::new(path)));
        sync(&db, &folder)?;

        let (announce, durable) = watch::channel(last);
        let (waiting, arriving) = mpsc::channel(WAITING_MAX);
        let joining = RateLimiter::direct(Quota::per_minute(new_accounts_per_minute));
        let metrics = CommitMetrics::default();
        let room = CommitterRoom {
            log: log.clone(),
            db: db.clone(),
            folder: folder.clone(),
            operator,
            clock,
            joining,
            metrics: metrics.clone(),
            announce,
        };
        let thread = thread::Builder::new()
            .name("committer".to_owned())
            .spawn(move || room.run(arriving, accepted_at))
            .map_err(|source| OpenError::Folder { path: path.to_owned(), source })?;
        Ok(Self { log, chain, folder, db, durable, waiting, metrics, _committer: Arc::new(Committer(Some(thread))) })
    }

    /// Records an entry and returns its postmark when it would survive a power cut.
    ///
    /// # Errors
    /// [`AppendError`]; nothing was recorded unless it is [`AppendError::Failed`], which leaves that open.
    pub async fn append(&self, entry: Entry) -> Appended {
        let (answer, answered) = oneshot::channel();
        self.waiting.try_send(Waiting { entry, answer }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => AppendError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => StoreError::Closed.into(),
        })?;
        answered.await.unwrap_or(Err(StoreError::Closed.into()))
    }

    /// The newest cursor that readers may see.
    #[must_use]
    pub fn durable(&self) -> Cursor {
        *self.durable.borrow()
    }

    /// Whether it takes appends.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.waiting.is_closed()
    }

    /// What the committer counts.
    pub(crate) const fn commit_metrics(&self) -> &CommitMetrics {
        &self.metrics
    }

    /// Resolves when the committer has ended: after a failure of the disk, or after the last append of a closed store.
    pub async fn failed(&self) {
        let mut durable = self.durable.clone();
        while durable.changed().await.is_ok() {}
    }

    /// The postmark of an envelope that is stored.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn postmark(&self, id: &EnvelopeId) -> Result<Option<SignedPostmark>, StoreError> {
        let Some(cursor) = self.log.get(keys::envelope(id)).map_err(disk)? else { return Ok(None) };
        let cursor = keys::cursor_of(&cursor).ok_or(StoreError::Damaged { what: "envelope entry" })?;
        if cursor > self.durable() {
            return Ok(None);
        }
        postmark_of(&self.record(cursor)?).map(Some)
    }

    /// A page of a topic: at most `limit` records, and no more than 1 MiB unless the first alone is larger.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn page(&self, topic: &Topic, after: Cursor, limit: usize, descending: bool) -> Result<Page, StoreError> {
        let durable = self.durable();
        let cursors: Box<dyn Iterator<Item = sled::Result<(sled::IVec, sled::IVec)>>> = if descending {
            let before = if after == Cursor::default() || after > durable { durable.next() } else { after };
            Box::new(self.log.range(keys::topic(topic, Cursor::default())..keys::topic(topic, before)).rev())
        } else if after < durable {
            Box::new(self.log.range(keys::topic(topic, after.next())..=keys::topic(topic, durable)))
        } else {
            // Whatever a client names as its cursor, nothing lies behind the end.
            return Ok(Page::default());
        };
        let mut page = Page::default();
        let mut bytes = 0;
        for entry in cursors {
            let (key, _) = entry.map_err(disk)?;
            let cursor = keys::cursor_of(&key).ok_or(StoreError::Damaged { what: "topic key" })?;
            if page.records.len() == limit {
                page.more = true;
                break;
            }
            let record = self.record(cursor)?;
            bytes += record.encoded_len();
            if bytes > PAGE_BYTES && !page.records.is_empty() {
                page.more = true;
                break;
            }
            page.records.push(record);
        }
        Ok(page)
    }

    /// Reads the log behind a cursor, oldest first: at most `limit` records of which `wanted` holds, no more than 1 MiB of
    /// them unless the first alone is larger, and no more than 10,000 entries of any kind. What was read is behind
    /// [`Stretch::seen`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn read(&self, after: Cursor, limit: usize, wanted: impl Fn(&Topic) -> bool) -> Result<Stretch, StoreError> {
        let durable = self.durable();
        let mut stretch = Stretch { records: Vec::new(), seen: after };
        if after >= durable {
            return Ok(stretch);
        }
        let mut bytes = 0;
        let entries = self.log.range(keys::entry(after.next())..=keys::entry(durable));
        for (passed, entry) in entries.enumerate() {
            let (key, topic) = entry.map_err(disk)?;
            let cursor = keys::cursor_of(&key).ok_or(StoreError::Damaged { what: "entry key" })?;
            let topic = std::str::from_utf8(&topic).ok().and_then(|name| name.parse().ok());
            if wanted(&topic.ok_or(StoreError::Damaged { what: "entry" })?) {
                if stretch.records.len() == limit {
                    return Ok(stretch);
                }
                let record = self.record(cursor)?;
                bytes += record.encoded_len();
                if bytes > PAGE_BYTES && !stretch.records.is_empty() {
                    return Ok(stretch);
                }
                stretch.records.push((cursor, record));
            }
            stretch.seen = cursor;
            if passed + 1 == ENTRIES_AT_ONCE {
                return Ok(stretch);
            }
        }
        stretch.seen = durable;
        Ok(stretch)
    }

    /// Waits until there is something behind a cursor to read.
    ///
    /// # Errors
    /// [`StoreError::Closed`] if the committer ends first.
    pub async fn grown_past(&self, seen: Cursor) -> Result<(), StoreError> {
        let mut durable = self.durable.clone();
        durable.wait_for(|durable| *durable > seen).await.map(drop).map_err(|_| StoreError::Closed)
    }

    /// The newest record of an account's own topic.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn own_record(&self, account: &Account, topic: OwnTopic) -> Result<Option<OwnRecord>, StoreError> {
        let Some(owned) = self.log.get(keys::owned(account, topic)).map_err(disk)? else { return Ok(None) };
        let Owned { cursor, .. } = Owned::from_bytes(&owned)?;
        if cursor <= self.durable() {
            return Ok(Some(OwnRecord { cursor, record: self.record(cursor)? }));
        }
        // A newer one is about to become durable; until then its predecessor stands.
        let Page { records, .. } = self.page(&topic.of(*account), Cursor::default(), 1, true)?;
        records
            .into_iter()
            .next()
            .map(|record| Ok(OwnRecord { cursor: postmark_of(&record)?.postmark.cursor, record }))
            .transpose()
    }

    /// All nullifiers that are used, each with the envelope that used it.
    pub(super) fn cancelled(&self) -> impl Iterator<Item = Result<(Nullifier, EnvelopeId), StoreError>> {
        self.log.scan_prefix(keys::all_nullifiers()).map(|entry| {
            let (key, value) = entry.map_err(disk)?;
            let nullifier = keys::nullifier_of(&key).ok_or(StoreError::Damaged { what: "nullifier key" })?;
            let id = value.first_chunk::<32>().ok_or(StoreError::Damaged { what: "nullifier" })?;
            Ok((nullifier, EnvelopeId::from(*id)))
        })
    }

    /// The envelope that used a nullifier.
    pub(super) fn cancelled_for(&self, issue: Issue, nullifier: &Nullifier) -> Result<Option<EnvelopeId>, StoreError> {
        let Some(used) = self.log.get(keys::nullifier(Shard::Issue(issue), nullifier)).map_err(disk)? else {
            return Ok(None);
        };
        let id = used.first_chunk::<32>().ok_or(StoreError::Damaged { what: "nullifier" })?;
        Ok(Some(EnvelopeId::from(*id)))
    }

    /// All evidence of one index used for two envelopes.
    pub fn evidence(&self) -> impl Iterator<Item = Result<Evidence, StoreError>> {
        self.log.scan_prefix(keys::all_evidence()).map(|entry| {
            let (key, value) = entry.map_err(disk)?;
            let nullifier = keys::nullifier_of(&key).ok_or(StoreError::Damaged { what: "evidence key" })?;
            const DAMAGED: StoreError = StoreError::Damaged { what: "evidence" };
            let (group, points) = value.split_at_checked(value.len().saturating_sub(EVIDENCE_POINTS)).ok_or(DAMAGED)?;
            let mut elements = points.chunks_exact(32).map(element);
            let mut next = || elements.next().unwrap_or(Err(DAMAGED));
            let (first_signal, first_share, second_signal, second_share) = (next()?, next()?, next()?, next()?);
            Ok(Evidence {
                group: group_from_bytes(group).ok_or(DAMAGED)?,
                nullifier,
                first: (first_signal.into(), first_share.into()),
                second: (second_signal.into(), second_share.into()),
            })
        })
    }

    /// Refuses these nullifiers from now on: the secret behind them is known to the world. Returns when that would survive
    /// a power cut.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn close(&self, issue: Issue, nullifiers: &[Nullifier]) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        for nullifier in nullifiers {
            batch.insert(keys::closed(issue, nullifier), &[]);
        }
        self.log.apply_batch(batch).map_err(disk)?;
        sync(&self.db, &self.folder)
    }

    /// Whether a nullifier was closed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn is_closed(&self, issue: Issue, nullifier: &Nullifier) -> Result<bool, StoreError> {
        self.log.contains_key(keys::closed(issue, nullifier)).map_err(disk)
    }

    /// Drops the nullifiers of issues whose stamps are good no more, and what was counted in past epochs: owners' writes,
    /// conversations' units, members' nullifiers. Returns how many entries went; call again while it is not zero.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn forget_before(&self, issue: Issue, epoch: Epoch) -> Result<usize, StoreError> {
        let mut removed = 0;
        for range in keys::nullifiers_before(issue).into_iter().chain(keys::counted_before(epoch)) {
            let mut batch = Batch::default();
            for entry in self.log.range(range).take(REMOVED_AT_ONCE) {
                let (key, _) = entry.map_err(disk)?;
                batch.remove(key);
                removed += 1;
            }
            self.log.apply_batch(batch).map_err(disk)?;
        }
        Ok(removed)
    }

    /// What no disk should do: puts an entry in the place of another, or takes it away.
    #[cfg(test)]
    pub(super) fn damage(&self, key: &[u8], value: Option<&[u8]>) {
        match value {
            Some(value) => self.log.insert(key, value).map(drop).unwrap(),
            None => self.log.remove(key).map(drop).unwrap(),
        }
    }

    fn record(&self, cursor: Cursor) -> Result<wire::Record, StoreError> {
        let bytes =
            self.log.get(keys::record(cursor)).map_err(disk)?.ok_or(StoreError::Damaged { what: "record entry" })?;
        wire::Record::decode(bytes.as_ref()).map_err(|_| StoreError::Damaged { what: "record" })
    }
}

impl ChainStore for Store {
    fn load(&self) -> Result<Vec<(u64, Vec<u8>)>, ChainStoreError> {
        self.chain
            .iter()
            .map(|entry| {
                let (key, value) = entry.map_err(ChainStoreError::new)?;
                let number = key.as_ref().try_into().map(u64::from_be_bytes).map_err(ChainStoreError::new)?;
                Ok((number, value.to_vec()))
            })
            .collect()
    }

    fn replace_from(&self, number: u64, blocks: Vec<(u64, Vec<u8>)>) -> Result<(), ChainStoreError> {
        let mut batch = Batch::default();
        for entry in self.chain.range(number.to_be_bytes()..) {
            let (key, _) = entry.map_err(ChainStoreError::new)?;
            batch.remove(key);
        }
        for (number, block) in blocks {
            batch.insert(&number.to_be_bytes(), block);
        }
        self.chain.apply_batch(batch).map_err(ChainStoreError::new)?;
        sync(&self.db, &self.folder).map_err(ChainStoreError::new)
    }
}

/// The committer's world.
struct CommitterRoom {
    log: Tree,
    db: Db,
    folder: Arc<std::sync::Mutex<Folder>>,
    operator: Operator,
    clock: Clock,
    /// Counts here, where nothing can refuse any more: who is refused uses up no place.
    joining: DefaultDirectRateLimiter,
    metrics: CommitMetrics,
    announce: watch::Sender<Cursor>,
}

impl CommitterRoom {
    /// Ends when the store is closed, or when the disk failed: what is durable is uncertain then, and nothing more may be
    /// promised.
    fn run(self, mut arriving: mpsc::Receiver<Waiting>, mut accepted_at: Timestamp) {
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
            let record = log.get(&keys::record(cursor))?.ok_or(StoreError::Damaged { what: "record entry" })?;
            let record = wire::Record::decode(record.as_slice()).map_err(|_| StoreError::Damaged { what: "record" })?;
            return Ok(postmark_of(&record)?);
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
            let ((x1, y1), (x2, y2)) = (evidence.first, evidence.second);
            let points = [*x1.as_bytes(), *y1.as_bytes(), *x2.as_bytes(), *y2.as_bytes()].concat();
            self.insert(key, [group_to_bytes(&it.group), points].concat());
        }
        Err(AppendError::DoubleSpend(Box::new(evidence)))
    }

    /// Refuses a record that is not newer than the last, or was made against another one; returns how many writes the
    /// account has made in this epoch with it.
    fn require_owner_write(
        &self,
        write: &super::OwnerWrite,
        expected_head: Option<Cursor>,
    ) -> Result<u32, AppendError> {
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

/// The entry of an account's own topic: cursor u64, order u128, content 32.
#[derive(Clone, Copy)]
struct Owned {
    cursor: Cursor,
    order: u128,
    content: [u8; 32],
}

impl Owned {
    fn to_bytes(self) -> Vec<u8> {
        [self.cursor.0.to_be_bytes().as_slice(), &self.order.to_be_bytes(), &self.content].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, StoreError> {
        const DAMAGED: StoreError = StoreError::Damaged { what: "own record entry" };
        let (cursor, rest) = bytes.split_first_chunk().ok_or(DAMAGED)?;
        let (order, content) = rest.split_first_chunk().ok_or(DAMAGED)?;
        Ok(Self {
            cursor: Cursor(u64::from_be_bytes(*cursor)),
            order: u128::from_be_bytes(*order),
            content: content.try_into().map_err(|_| DAMAGED)?,
        })
    }
}

fn group_to_bytes(group: &Group) -> Vec<u8> {
    match group {
        Group::Stamps { denomination, issue } => [denomination.units().to_be_bytes(), issue.0.to_be_bytes()].concat(),
        Group::Members { operator, generation } => [operator.as_bytes().as_slice(), &generation.to_be_bytes()].concat(),
        // Nobody admits proofs about these.
        Group::Stake { .. } | Group::Claim { .. } => Vec::new(),
    }
}

fn group_from_bytes(bytes: &[u8]) -> Option<Group> {
    let (source, number) = bytes.split_last_chunk()?;
    let number = u32::from_be_bytes(*number);
    if let Ok(operator) = <[u8; 32]>::try_from(source) {
        return Some(Group::Members { operator: OperatorId::from(operator), generation: number });
    }
    let units = u32::from_be_bytes(source.try_into().ok()?);
    Some(Group::Stamps { denomination: units.try_into().ok()?, issue: Issue(number) })
}

pub(super) fn postmark_of(record: &wire::Record) -> Result<SignedPostmark, StoreError> {
    let postmark = record.postmark.clone().ok_or(StoreError::Damaged { what: "record" })?;
    postmark.try_into().map_err(|_| StoreError::Damaged { what: "postmark" })
}

fn element(bytes: &[u8]) -> Result<FieldElement, StoreError> {
    bytes
        .try_into()
        .ok()
        .and_then(|bytes| FieldElement::from_be_bytes(bytes).ok())
        .ok_or(StoreError::Damaged { what: "field element" })
}

fn sync(db: &Db, folder: &std::sync::Mutex<Folder>) -> Result<(), StoreError> {
    db.flush().map_err(disk)?;
    // A poisoned lock means that a sync panicked: what is durable is uncertain.
    folder.lock().map_err(|_| StoreError::Closed)?.sync().map_err(disk)
}

fn disk(error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Disk(Box::new(error))
}
