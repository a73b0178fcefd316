//! The store in one folder: the only room that names sled.
//!
//! Appends come together in one committer thread (`embedded/committer.rs`), and another puts them on the device before it
//! answers (`embedded/syncer.rs`); records lie many under one key (`embedded/sheets.rs`); what no rule asks about any more goes in
//! batches (`embedded/sweep.rs`).

use std::io;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use governor::{Quota, RateLimiter};
use prost::Message as _;
use sled::{Batch, Db, Tree};
use tokio::sync::{mpsc, oneshot, watch};
use xmtp_proto::account::Account;
use xmtp_proto::derive::{EnvelopeId, Issue};
use xmtp_proto::field::Nullifier;
use xmtp_proto::postmark::{Cursor, SignedPostmark};
use xmtp_proto::refusal::Refusal;
use xmtp_proto::time::{Clock, Epoch};
use xmtp_proto::topic::Topic;
use xmtp_proto::wire;

use super::durable::{Folder, create_folder};
use super::values::{Owned, postmark_of};
use super::{
    AppendError, Appended, Cancellation, Entry, Evidence, OwnRecord, OwnTopic, PAGE_BYTES, Page, Shard, StoreError,
    Stretch, keys, receipts,
};
use crate::chain::{ChainStore, ChainStoreError};
use crate::metrics::CommitMetrics;
use crate::operator::Operator;
use committer::{Threads, Waiting};
use suspects::Suspects;

mod committer;
mod inspect;
mod lock;
mod sheets;
mod suspects;
mod sweep;
mod syncer;

pub(super) use inspect::Place;
pub(crate) use lock::LOCKED;
pub use sweep::{Sweeper, Swept};

const FORMAT: &[u8] = b"xmtp-node store 3";
const FORMAT_KEY: &[u8] = b"format";
const OWNER_KEY: &[u8] = b"owner";
const LOG_TREE: &[u8] = b"log";
const CHAIN_TREE: &[u8] = b"chain";

/// Appends that may wait for the committer; more are refused as overload.
const WAITING_MAX: usize = 1024;
/// Entries that one reading of the log passes over at the most.
const ENTRIES_AT_ONCE: usize = 10_000;
/// Memory that sled may use for its cache.
const CACHE_BYTES: u64 = 256 << 20;

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
    suspects: Suspects,
    folder: Arc<std::sync::Mutex<Folder>>,
    /// Held by who drops records.
    sweeping: Arc<std::sync::Mutex<()>>,
    db: Db,
    durable: watch::Receiver<Cursor>,
    waiting: mpsc::Sender<Waiting>,
    metrics: CommitMetrics,
    // Held for its drop alone, which waits for the threads. Behind `waiting`, so that the channel closes first.
    _threads: Arc<Threads>,
}

impl Store {
    /// Opens or creates an operator's store in a folder, and starts its committer, which lets so many accounts join in a
    /// minute. Waits a few seconds for a store that is being closed.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(
        path: &Path,
        operator: Operator,
        clock: Clock,
        new_accounts_per_minute: NonZeroU32,
    ) -> Result<Self, OpenError> {
        let unusable = |source| OpenError::Folder { path: path.to_owned(), source };
        create_folder(path).map_err(unusable)?;
        lock::wait(path).map_err(unusable)?;
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
        let (mut last, mut accepted_at) = Default::default();
        for newest in [sheets::newest(&log)?, sheets::newest_husk(&log)?].into_iter().flatten() {
            let postmark = postmark_of(&newest)?.postmark;
            (last, accepted_at) = (postmark.cursor, postmark.accepted_at).max((last, accepted_at));
        }
        let suspects = Suspects::of(&log)?;
        let folder = Arc::new(std::sync::Mutex::new(Folder::new(path)));
        sync(&db, &folder)?;

        let (announce, durable) = watch::channel(last);
        let (waiting, arriving) = mpsc::channel(WAITING_MAX);
        let joining = RateLimiter::direct(Quota::per_minute(new_accounts_per_minute));
        let metrics = CommitMetrics::default();
        let (groups, settling) = mpsc::unbounded_channel();
        let (log_, suspects_) = (log.clone(), suspects.clone());
        let committer = committer::Room { log: log_, suspects: suspects_, operator, clock, joining, last, accepted_at };
        let (db_, folder_, metrics_) = (db.clone(), folder.clone(), metrics.clone());
        let syncer = syncer::Room { db: db_, folder: folder_, metrics: metrics_, announce };
        // Only to wait for one of two things.
        let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(unusable)?;
        let committer = thread::Builder::new()
            .name("committer".to_owned())
            .spawn(move || runtime.block_on(committer.run(arriving, groups)))
            .map_err(unusable)?;
        let syncer =
            thread::Builder::new().name("syncer".to_owned()).spawn(move || syncer.run(settling)).map_err(unusable)?;
        let threads = Arc::new(Threads([Some(committer), Some(syncer)]));
        let sweeping = Arc::default();
        Ok(Self { log, chain, suspects, folder, sweeping, db, durable, waiting, metrics, _threads: threads })
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
        !self.waiting.is_closed() && self.durable.has_changed().is_ok()
    }

    /// What the committer counts.
    pub(crate) const fn commit_metrics(&self) -> &CommitMetrics {
        &self.metrics
    }

    /// Resolves when nothing is accepted any more: after a failure of the disk, or after the last append of a closed store.
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
        postmark_of(&self.kept(cursor)?).map(Some)
    }

    /// A page of a topic: at most `limit` records, and no more than 1 MiB unless the first alone is larger. What was dropped
    /// is left out.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn page(&self, topic: &Topic, after: Cursor, limit: usize, descending: bool) -> Result<Page, StoreError> {
        let durable = self.durable();
        let cursors: Box<dyn Iterator<Item = sled::Result<(sled::IVec, sled::IVec)>>> = if descending {
            let before = if after == Cursor::default() || after > durable { durable.next() } else { after };
            Box::new(self.log.range(keys::topic_before(topic, before)).rev())
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
            // Dropped since its key was read.
            let Some(record) = self.record(cursor)? else { continue };
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
    /// them unless the first alone is larger, and no more than 10,000 entries of any kind. What was dropped is passed over.
    /// What was read is behind [`Stretch::seen`].
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
        for (passed, place) in sheets::topics(&self.log, after, durable)?.enumerate() {
            let (cursor, topic) = place?;
            if topic.is_some_and(|topic| wanted(&topic)) {
                if stretch.records.len() == limit {
                    return Ok(stretch);
                }
                // Nothing if it was dropped since its key was read.
                if let Some(record) = self.record(cursor)? {
                    bytes += record.encoded_len();
                    if bytes > PAGE_BYTES && !stretch.records.is_empty() {
                        return Ok(stretch);
                    }
                    stretch.records.push((cursor, record));
                }
            }
            stretch.seen = cursor;
            if passed + 1 == ENTRIES_AT_ONCE {
                return Ok(stretch);
            }
        }
        stretch.seen = durable;
        Ok(stretch)
    }

    /// How many conversations messages were written in on a day.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn conversations_written(&self, epoch: Epoch) -> Result<u64, StoreError> {
        self.log.scan_prefix(keys::units_of(epoch)).try_fold(0, |count, entry| entry.map(|_| count + 1).map_err(disk))
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
            let record = self.record(cursor)?.ok_or(StoreError::Damaged { what: "own record" })?;
            return Ok(Some(OwnRecord { cursor, record }));
        }
        // A newer one is about to become durable; until then its predecessor stands.
        let Page { records, .. } = self.page(&topic.of(*account), Cursor::default(), 1, true)?;
        records
            .into_iter()
            .next()
            .map(|record| Ok(OwnRecord { cursor: postmark_of(&record)?.postmark.cursor, record }))
            .transpose()
    }

    /// The record that tells that a letter was read; nothing if none does, or if there is nothing left to settle.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn receipt(&self, letter: &EnvelopeId) -> Result<Option<Cursor>, StoreError> {
        let Some(issue) = self.issue_of(letter)? else { return Ok(None) };
        let found = self.log.get(keys::receipt(issue, letter)).map_err(disk)?;
        let found = found.map(|bytes| receipts::cursor_from_bytes(&bytes)).transpose()?;
        Ok(found.filter(|cursor| *cursor <= self.durable()))
    }

    /// The newest issue of a letter's stamps; nothing if there is no such letter, or none on it.
    pub(super) fn issue_of(&self, letter: &EnvelopeId) -> Result<Option<Issue>, StoreError> {
        let Some(postmark) = self.postmark(letter)? else { return Ok(None) };
        let cursor = postmark.postmark.cursor;
        let submission = self.kept(cursor)?.submission.ok_or(StoreError::Damaged { what: "record" })?;
        Ok(receipts::newest_issue(&submission))
    }

    /// All evidence of one index used for two envelopes.
    pub fn evidence(&self) -> impl Iterator<Item = Result<Evidence, StoreError>> {
        self.log.scan_prefix(keys::all_evidence()).map(|entry| {
            let (key, value) = entry.map_err(disk)?;
            let nullifier = keys::nullifier_of(&key).ok_or(StoreError::Damaged { what: "evidence key" })?;
            Evidence::from_bytes(nullifier, &value)
        })
    }

    /// Refuses these nullifiers from now on: the secret behind them is known to the world. Returns when that would survive
    /// a power cut.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn close(&self, shard: Shard, nullifiers: &[Nullifier]) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        for nullifier in nullifiers {
            self.suspects.add(nullifier);
            batch.insert(keys::closed(shard, nullifier), &[]);
        }
        self.log.apply_batch(batch).map_err(disk)?;
        sync(&self.db, &self.folder)
    }

    /// Whether a nullifier was closed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn is_closed(&self, shard: Shard, nullifier: &Nullifier) -> Result<bool, StoreError> {
        self.log.contains_key(keys::closed(shard, nullifier)).map_err(disk)
    }

    /// The refusal that an append of these would meet, as far as it is known already: a nullifier was closed, or was used for
    /// another envelope and there is evidence of that. A hint that spares verifying what is refused anyway: without evidence
    /// a second use is worth a verification, and the append decides in any case.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn known_refusal(&self, id: &EnvelopeId, cancels: &[Cancellation]) -> Result<Option<Refusal>, StoreError> {
        let suspects = cancels.iter().filter(|it| self.suspects.may_have(&it.nullifier));
        for &Cancellation { shard, nullifier, .. } in suspects {
            match self.cancelled_at(shard, &nullifier)? {
                Some(used) if self.log.contains_key(keys::evidence(&nullifier)).map_err(disk)? => {
                    if postmark_of(&self.kept(used)?)?.postmark.envelope != *id {
                        return Ok(Some(Refusal::NullifierUsed { nullifier }));
                    }
                }
                None if self.is_closed(shard, &nullifier)? => return Ok(Some(Refusal::SecretClosed)),
                Some(_) | None => {}
            }
        }
        Ok(None)
    }

    /// What stands at a cursor; nothing if it was dropped.
    fn record(&self, cursor: Cursor) -> Result<Option<wire::Record>, StoreError> {
        let record = sheets::record(&self.log, cursor)?;
        if record.is_none() && sheets::husk(&self.log, cursor)?.is_none() {
            return Err(StoreError::Damaged { what: "record entry" });
        }
        Ok(record)
    }

    /// What stands at a cursor, or what is left of it.
    fn kept(&self, cursor: Cursor) -> Result<wire::Record, StoreError> {
        sheets::kept(&self.log, cursor)?.ok_or(StoreError::Damaged { what: "record entry" })
    }
}

impl ChainStore for Store {
    fn load(&self, from: u64, at_most: usize) -> Result<Vec<(u64, Vec<u8>)>, ChainStoreError> {
        self.chain
            .range(from.to_be_bytes()..)
            .take(at_most)
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

fn sync(db: &Db, folder: &std::sync::Mutex<Folder>) -> Result<(), StoreError> {
    db.flush().map_err(disk)?;
    // A poisoned lock means that a sync panicked: what is durable is uncertain.
    folder.lock().map_err(|_| StoreError::Closed)?.sync().map_err(disk)
}

fn disk(error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Disk(Box::new(error))
}
