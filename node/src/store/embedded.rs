//! The store in one folder: the only room that names sled.
//!
//! Appends come together in one committer thread (`embedded/committer.rs`); what no rule asks about any more goes in batches
//! (`embedded/sweep.rs`). Both return when what they did is on the device.

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
use xmtp_proto::time::Clock;
use xmtp_proto::topic::Topic;
use xmtp_proto::wire;

use super::durable::{Folder, create_folder};
use super::values::{self, Owned, postmark_of};
use super::{AppendError, Appended, Entry, Evidence, OwnRecord, OwnTopic, Page, Shard, StoreError, Stretch, keys};
use crate::chain::{ChainStore, ChainStoreError};
use crate::metrics::CommitMetrics;
use crate::operator::Operator;
use committer::{Committer, Waiting};

mod committer;
mod sweep;

const FORMAT: &[u8] = b"xmtp-node store 1";
const FORMAT_KEY: &[u8] = b"format";
const OWNER_KEY: &[u8] = b"owner";
const LOG_TREE: &[u8] = b"log";
const CHAIN_TREE: &[u8] = b"chain";

/// Appends that may wait for the committer; more are refused as overload.
const WAITING_MAX: usize = 1024;
/// A page ends behind this many bytes of records.
const PAGE_BYTES: usize = 1 << 20;
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
    folder: Arc<std::sync::Mutex<Folder>>,
    db: Db,
    durable: watch::Receiver<Cursor>,
    waiting: mpsc::Sender<Waiting>,
    metrics: CommitMetrics,
    // Held for its drop alone, which waits for the committer. Behind `waiting`, so that the channel closes first.
    _committer: Arc<Committer>,
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
                let postmark = postmark_of(&values::record(&record)?)?.postmark;
                (postmark.cursor, postmark.accepted_at)
            }
        };
        let folder = Arc::new(std::sync::Mutex::new(Folder::new(path)));
        sync(&db, &folder)?;

        let (announce, durable) = watch::channel(last);
        let (waiting, arriving) = mpsc::channel(WAITING_MAX);
        let joining = RateLimiter::direct(Quota::per_minute(new_accounts_per_minute));
        let metrics = CommitMetrics::default();
        let room = committer::Room {
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
            Evidence::from_bytes(nullifier, &value)
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
        values::record(&bytes)
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
