//! Whether a store keeps its own promises (see [`super`]), place by place. Reads only, and trusts no index that it did not follow.

use alloy::primitives::B256;
use xmtp_proto::derive::{EnvelopeId, Issue};
use xmtp_proto::field::Nullifier;
use xmtp_proto::pass::Pass;
use xmtp_proto::postmark::Cursor;
use xmtp_proto::submission::Submission;
use xmtp_proto::time::Epoch;
use xmtp_proto::wire;

use super::embedded::Place;
use super::values::{passes_of, postmark_of};
use super::{Shard, Store, StoreError};
use connections::Connections;
use conversations::Conversations;
use receipts::Receipts;

mod connections;
mod conversations;
mod receipts;
#[cfg(test)]
mod tests;

/// Faults after which an audit has seen enough.
const FAULTS_MAX: usize = 1_000;

/// From when on nullifiers and counts are held; older ones may have been dropped.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    /// Of stamps.
    pub issue: Issue,
    /// Of stakes, claims and memberships, and of what is counted by the day.
    pub epoch: Epoch,
}

impl Held {
    const fn holds(self, shard: Shard) -> bool {
        match shard {
            Shard::Issue(issue) => issue.0 >= self.issue.0,
            Shard::Epoch(epoch) => epoch.0 >= self.epoch.0,
        }
    }
}

/// What an audit found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Records in the log.
    pub records: u64,
    /// Records of which only the husk is left.
    pub dropped: u64,
    /// Stamps among the passes of both.
    pub stamps: u64,
    /// And stakes.
    pub stakes: u64,
    /// And claims.
    pub claims: u64,
    /// And memberships.
    pub memberships: u64,
    /// Conversations that are open, or were.
    pub conversations: u64,
    /// Letters that their recipients said they have read.
    pub receipts: u64,
    /// At most 1,000; empty if the promises were kept.
    pub faults: Vec<Fault>,
}

/// A broken promise. The node's fault, or its disk's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Nothing stands at a cursor.
    #[error("nothing stands at {cursor:?}")]
    Gap {
        /// Where.
        cursor: Cursor,
    },
    /// A record was dropped, and not whole: it is there beside its husk, or readers are still led to it.
    #[error("the record at {cursor:?} was dropped by half")]
    HalfDropped {
        /// Where.
        cursor: Cursor,
    },
    /// The postmark of a record is for another place or another envelope.
    #[error("the record at {cursor:?} bears another's postmark")]
    Misplaced {
        /// Where.
        cursor: Cursor,
    },
    /// One envelope is in the log twice.
    #[error("{id:?} stands at {cursor:?} and at {again:?}")]
    Doubled {
        /// Which.
        id: EnvelopeId,
        /// Where its postmark says that it is.
        cursor: Cursor,
        /// Where it is, too.
        again: Cursor,
    },
    /// A record is not found by its envelope's id, or not in its topic, or not by who reads the whole log.
    #[error("the record at {cursor:?} is not found by its id, in its topic, or in the log")]
    Unlisted {
        /// Where.
        cursor: Cursor,
    },
    /// An envelope is stored, and an index that one of its passes uses is not cancelled for it.
    #[error("the nullifier {nullifier:?} of the record at {cursor:?} is not cancelled")]
    NotCancelled {
        /// Where.
        cursor: Cursor,
        /// Of which pass.
        nullifier: Nullifier,
    },
    /// An index is cancelled, and nothing stands where it was cancelled, or what does not bear it.
    #[error("the nullifier {nullifier:?} is cancelled for the record at {cursor:?}, which is not stored with it")]
    NotStored {
        /// The index.
        nullifier: Nullifier,
        /// Where the record should be.
        cursor: Cursor,
    },
    /// What is known to be read is not what the receipts say.
    #[error("{receipts} receipts are not where the records say")]
    Misread {
        /// How many.
        receipts: usize,
    },
    /// What is counted of connections' quotas is not what the records come to.
    #[error("{connections} connections are counted otherwise than their letters")]
    Uncounted {
        /// How many.
        connections: usize,
    },
    /// What is counted of a conversation is not what its records come to.
    #[error("the conversation {id} is counted otherwise than its records")]
    Miscounted {
        /// Which.
        id: B256,
    },
}

impl Store {
    /// Compares the log, its indices, the cancelled nullifiers and what is counted with one another.
    ///
    /// # Errors
    /// [`StoreError`], also for a record or an index entry that cannot be read at all.
    pub fn audit(&self, held: Held) -> Result<Audit, StoreError> {
        let mut auditor = Auditor {
            store: self,
            held,
            audit: Audit::default(),
            connections: Connections::default(),
            receipts: Receipts::default(),
            conversations: Conversations::default(),
        };
        auditor.log()?;
        auditor.listings()?;
        auditor.nullifiers()?;
        auditor.conversations()?;
        Ok(auditor.audit)
    }
}

struct Auditor<'a> {
    store: &'a Store,
    held: Held,
    audit: Audit,
    connections: Connections,
    receipts: Receipts,
    conversations: Conversations,
}

impl Auditor<'_> {
    fn is_done(&self) -> bool {
        self.audit.faults.len() >= FAULTS_MAX
    }

    fn fault(&mut self, fault: Fault) {
        self.audit.faults.push(fault);
    }

    fn log(&mut self) -> Result<(), StoreError> {
        let mut cursor = Cursor::default();
        while cursor < self.store.durable() && !self.is_done() {
            cursor = cursor.next();
            match self.store.at(cursor)? {
                Place { record: Some(record), husk: None, .. } => self.record(cursor, record)?,
                Place { record: None, husk: Some(husk), listed: false } => self.husk(cursor, husk)?,
                Place { husk: Some(_), .. } => self.fault(Fault::HalfDropped { cursor }),
                Place { record: None, husk: None, .. } => self.fault(Fault::Gap { cursor }),
            }
        }
        Ok(())
    }

    fn record(&mut self, cursor: Cursor, record: wire::Record) -> Result<(), StoreError> {
        self.audit.records += 1;
        let postmark = postmark_of(&record)?.postmark;
        let submission = submission_of(record)?;
        let envelope = submission.envelope();
        let id = envelope.id(postmark.network);
        if postmark.cursor != cursor || postmark.envelope != id {
            self.fault(Fault::Misplaced { cursor });
        }
        self.found_by_id(cursor, id)?;
        let before = Cursor(cursor.0.saturating_sub(1));
        let page = self.store.page(&envelope.topic, before, 1, false)?;
        let in_topic = page.records.first().map(postmark_of).transpose()?;
        let in_log = self.store.read(before, 1, |_| true)?.records.into_iter().next();
        if in_topic.is_none_or(|signed| signed.postmark != postmark) || in_log.is_none_or(|(at, _)| at != cursor) {
            self.fault(Fault::Unlisted { cursor });
        }
        self.passes(cursor, submission.passes())?;
        self.receipts.enter(envelope, cursor);
        self.connections.enter(envelope, submission.passes(), postmark.accepted_at);
        self.conversations.enter(envelope, postmark.accepted_at);
        Ok(())
    }

    fn husk(&mut self, cursor: Cursor, husk: wire::Record) -> Result<(), StoreError> {
        self.audit.dropped += 1;
        let postmark = postmark_of(&husk)?.postmark;
        if postmark.cursor != cursor {
            self.fault(Fault::Misplaced { cursor });
        }
        self.found_by_id(cursor, postmark.envelope)?;
        self.passes(cursor, &passes_of(husk)?)
    }

    fn found_by_id(&mut self, cursor: Cursor, id: EnvelopeId) -> Result<(), StoreError> {
        match self.store.postmark(&id)?.map(|signed| signed.postmark.cursor) {
            Some(found) if found == cursor => {}
            Some(found) => self.fault(Fault::Doubled { id, cursor: found, again: cursor }),
            None => self.fault(Fault::Unlisted { cursor }),
        }
        Ok(())
    }

    fn passes(&mut self, cursor: Cursor, passes: &[Pass]) -> Result<(), StoreError> {
        for pass in passes {
            let Some(nullifier) = pass.nullifier() else { continue };
            let (shard, count) = match pass {
                Pass::Stamp(stamp) => (Shard::Issue(stamp.issue), &mut self.audit.stamps),
                Pass::Stake(stake) => (Shard::Epoch(stake.epoch), &mut self.audit.stakes),
                Pass::Claim(claim) => (Shard::Epoch(claim.epoch), &mut self.audit.claims),
                Pass::Member(member) => (Shard::Epoch(member.epoch), &mut self.audit.memberships),
                Pass::Connection(_) | Pass::Posting(_) | Pass::Owner(_) | Pass::Issuer(_) => continue,
            };
            if !self.held.holds(shard) {
                continue;
            }
            *count += 1;
            if self.store.cancelled_at(shard, &nullifier)? != Some(cursor) {
                self.fault(Fault::NotCancelled { cursor, nullifier });
            }
        }
        Ok(())
    }

    /// Readers are led to nothing that is not there.
    fn listings(&mut self) -> Result<(), StoreError> {
        for listed in self.store.listed()? {
            let cursor = listed?;
            // The log's own places have been looked at.
            if self.store.at(cursor)?.record.is_none() && !self.audit.faults.contains(&Fault::HalfDropped { cursor }) {
                self.fault(Fault::HalfDropped { cursor });
            }
            if self.is_done() {
                break;
            }
        }
        Ok(())
    }

    fn nullifiers(&mut self) -> Result<(), StoreError> {
        for cancelled in self.store.cancelled() {
            let (nullifier, cursor) = cancelled?;
            if !self.bears(cursor, &nullifier)? {
                self.fault(Fault::NotStored { nullifier, cursor });
            }
            if self.is_done() {
                break;
            }
        }
        Ok(())
    }

    /// Whether a pass of this nullifier stands at a cursor.
    fn bears(&self, cursor: Cursor, nullifier: &Nullifier) -> Result<bool, StoreError> {
        let Place { record, husk, .. } = self.store.at(cursor)?;
        let Some(kept) = record.or(husk) else { return Ok(false) };
        Ok(passes_of(kept)?.iter().any(|pass| pass.nullifier() == Some(*nullifier)))
    }

    fn conversations(&mut self) -> Result<(), StoreError> {
        // What was dropped was counted, too.
        let exact = self.audit.dropped == 0;
        self.audit.conversations = self.conversations.opened();
        for id in self.conversations.miscounted(self.store, self.held.epoch, exact)? {
            self.fault(Fault::Miscounted { id });
        }
        self.audit.receipts = u64::try_from(self.receipts.count()).unwrap_or(u64::MAX);
        match self.receipts.misplaced(self.store, self.held.issue)? {
            0 => {}
            receipts => self.fault(Fault::Misread { receipts }),
        }
        match self.connections.miscounted(self.store, self.held.epoch, exact)? {
            0 => {}
            connections => self.fault(Fault::Uncounted { connections }),
        }
        Ok(())
    }
}

fn submission_of(record: wire::Record) -> Result<Submission, StoreError> {
    let submission = record.submission.and_then(|wire| Submission::try_from(wire).ok());
    submission.ok_or(StoreError::Damaged { what: "submission" })
}
