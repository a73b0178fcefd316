//! Dropping what no rule asks about any more, and what the operator keeps no longer.
//!
//! A record that is dropped leaves a husk: its passes and its postmark, under its cursor. So the log has no gaps, the envelope
//! has the same postmark for ever, and every nullifier that is still held has the submission that it was cancelled with.

use std::collections::BTreeSet;
use std::sync::PoisonError;

use prost::Message as _;
use sled::Batch;
use xmtp_proto::derive::Issue;
use xmtp_proto::postmark::Cursor;
use xmtp_proto::time::{Epoch, Timestamp};
use xmtp_proto::topic::Topic;
use xmtp_proto::wire;

use super::super::values::postmark_of;
use super::super::{RecordKind, StoreError, keys};
use super::{ENTRIES_AT_ONCE, Store, disk, sheets, sync};

/// Entries removed in one go.
const REMOVED_AT_ONCE: usize = 10_000;
/// Records dropped in one go.
const DROPPED_AT_ONCE: usize = 500;

impl Store {
    /// Drops the nullifiers of issues whose stamps are good no more, and what was counted in past epochs: owners' writes,
    /// units of conversations and connections, members' nullifiers. Returns how many entries went; call again while it is not zero.
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
}

/// Drops records of one kind, oldest first. It remembers how far it came; a new one begins at the beginning, and passes over
/// what was dropped before.
pub struct Sweeper {
    store: Store,
    kind: RecordKind,
    seen: Cursor,
}

/// What one step of a sweep came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Records dropped.
    pub dropped: usize,
    /// Whether there is more to do now.
    pub more: bool,
}

impl Sweeper {
    /// Of a store's records of a kind.
    #[must_use]
    pub const fn new(store: Store, kind: RecordKind) -> Self {
        Self { store, kind, seen: Cursor(0) }
    }

    /// Drops some of the records whose time was over before this: letters and messages accepted before, and what owners
    /// replaced before. Returns when that would survive a power cut.
    ///
    /// # Errors
    /// [`StoreError`]; the step is done again by the next call.
    pub fn sweep(&mut self, before: Timestamp) -> Result<Swept, StoreError> {
        let Self { store, kind, seen } = self;
        // What a sweep that panicked had in hand it has not written: that is one batch, at its end.
        let _sweeping = store.sweeping.lock().unwrap_or_else(PoisonError::into_inner);
        let mut step = Step { store, batch: Batch::default(), dropped: BTreeSet::new() };
        let (mut reached, durable) = (*seen, store.durable());
        let mut more = false;
        for (passed, place) in sheets::topics(&store.log, *seen, durable)?.enumerate() {
            let (cursor, topic) = place?;
            if let Some(topic) = topic.filter(|topic| RecordKind::of(topic) == Some(*kind)) {
                let record = store.record(cursor)?.ok_or(StoreError::Damaged { what: "record entry" })?;
                if postmark_of(&record)?.postmark.accepted_at >= before {
                    break;
                }
                match kind {
                    RecordKind::Letter | RecordKind::Message | RecordKind::Snapshot => {
                        step.drop(&topic, cursor, record)?
                    }
                    RecordKind::Bundle | RecordKind::Own => step.drop_before(&topic, cursor)?,
                }
            }
            reached = cursor;
            if passed + 1 >= ENTRIES_AT_ONCE || step.dropped.len() >= DROPPED_AT_ONCE {
                more = true;
                break;
            }
        }
        let dropped = step.apply()?;
        *seen = reached;
        Ok(Swept { dropped, more })
    }
}

/// Records that are dropped together.
struct Step<'a> {
    store: &'a Store,
    batch: Batch,
    dropped: BTreeSet<Cursor>,
}

impl Step<'_> {
    fn drop(&mut self, topic: &Topic, cursor: Cursor, record: wire::Record) -> Result<(), StoreError> {
        let wire::Record { submission, postmark } = record;
        let submission = submission.ok_or(StoreError::Damaged { what: "record" })?;
        let husk = wire::Record { submission: Some(wire::Submission { envelope: None, ..submission }), postmark };
        self.batch.insert(keys::husk(cursor), husk.encode_to_vec());
        self.batch.remove(keys::topic(topic, cursor));
        self.dropped.insert(cursor);
        Ok(())
    }

    /// What the record at a cursor replaced; it may be the newest, and stays.
    fn drop_before(&mut self, topic: &Topic, cursor: Cursor) -> Result<(), StoreError> {
        for entry in self.store.log.range(keys::topic_before(topic, cursor)).rev() {
            let (key, _) = entry.map_err(disk)?;
            let replaced = keys::cursor_of(&key).ok_or(StoreError::Damaged { what: "topic key" })?;
            if self.dropped.contains(&replaced) {
                break; // And with it what is before it.
            }
            let record = self.store.record(replaced)?.ok_or(StoreError::Damaged { what: "record entry" })?;
            self.drop(topic, replaced, record)?;
        }
        Ok(())
    }

    fn apply(self) -> Result<usize, StoreError> {
        let Self { store, mut batch, dropped } = self;
        if !dropped.is_empty() {
            sheets::empty(&store.log, &mut batch, &dropped)?;
            store.log.apply_batch(batch).map_err(disk)?;
            sync(&store.db, &store.folder)?;
        }
        Ok(dropped.len())
    }
}
