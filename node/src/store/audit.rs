//! Whether a store keeps its own promises (see [`super`]), record by record. Reads only, through what every store offers, so
//! that it trusts no index it did not follow.

use xmtp_proto::derive::{EnvelopeId, Issue};
use xmtp_proto::field::Nullifier;
use xmtp_proto::pass::Pass;
use xmtp_proto::postmark::Cursor;
use xmtp_proto::submission::Submission;
use xmtp_proto::wire;

use super::values::postmark_of;
use super::{Store, StoreError};

#[cfg(test)]
mod tests;

/// Records looked at in one go.
const AT_ONCE: usize = 100;
/// Faults after which an audit has seen enough.
const FAULTS_MAX: usize = 1_000;

/// What an audit found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Records in the log.
    pub records: u64,
    /// Stamps among their passes.
    pub stamps: u64,
    /// At most 1,000; empty if the promises were kept.
    pub faults: Vec<Fault>,
}

/// A broken promise. The node's fault, or its disk's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A cursor was left out.
    #[error("{found:?} stands where {expected:?} should")]
    Gap {
        /// The next cursor.
        expected: Cursor,
        /// What came instead.
        found: Cursor,
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
    /// A record is not found by its envelope's id, or not in its topic.
    #[error("the record at {cursor:?} is not found by its id or in its topic")]
    Unlisted {
        /// Where.
        cursor: Cursor,
    },
    /// An envelope is stored, and a stamp of it is not cancelled for it.
    #[error("the stamp {nullifier:?} of the record at {cursor:?} is not cancelled")]
    NotCancelled {
        /// Where.
        cursor: Cursor,
        /// Which stamp.
        nullifier: Nullifier,
    },
    /// A stamp is cancelled, and the envelope that it was cancelled for is not stored, or does not bear it.
    #[error("the stamp {nullifier:?} is cancelled for {id:?}, which is not stored with it")]
    NotStored {
        /// The stamp.
        nullifier: Nullifier,
        /// The envelope.
        id: EnvelopeId,
    },
}

impl Store {
    /// Compares the log, its indices and the cancelled nullifiers with one another. Stamps of issues before `held_from`,
    /// whose nullifiers may have been dropped, are not asked for.
    ///
    /// # Errors
    /// [`StoreError`], also for a record or an index entry that cannot be read at all.
    pub fn audit(&self, held_from: Issue) -> Result<Audit, StoreError> {
        let mut audit = Audit::default();
        let mut last = Cursor::default();
        while last < self.durable() && audit.faults.len() < FAULTS_MAX {
            let stretch = self.read(last, AT_ONCE, |_| true)?;
            for (cursor, record) in stretch.records {
                if cursor != last.next() {
                    audit.faults.push(Fault::Gap { expected: last.next(), found: cursor });
                }
                last = cursor;
                self.audit_record(&mut audit, cursor, record, held_from)?;
            }
            // What was read ends in records that are not there.
            if last < stretch.seen {
                audit.faults.push(Fault::Gap { expected: last.next(), found: stretch.seen });
                last = stretch.seen;
            }
        }
        for cancelled in self.cancelled() {
            let (nullifier, id) = cancelled?;
            if !self.bears(&id, &nullifier)? {
                audit.faults.push(Fault::NotStored { nullifier, id });
            }
            if audit.faults.len() >= FAULTS_MAX {
                break;
            }
        }
        Ok(audit)
    }

    fn audit_record(
        &self,
        audit: &mut Audit,
        cursor: Cursor,
        record: wire::Record,
        held_from: Issue,
    ) -> Result<(), StoreError> {
        audit.records += 1;
        let postmark = postmark_of(&record)?.postmark;
        let submission = submission_of(record)?;
        let id = submission.envelope().id(postmark.network);
        if postmark.cursor != cursor || postmark.envelope != id {
            audit.faults.push(Fault::Misplaced { cursor });
        }
        match self.postmark(&id)?.map(|signed| signed.postmark.cursor) {
            Some(found) if found == cursor => {}
            Some(found) => audit.faults.push(Fault::Doubled { id, cursor: found, again: cursor }),
            None => audit.faults.push(Fault::Unlisted { cursor }),
        }
        let page = self.page(&submission.envelope().topic, Cursor(cursor.0.saturating_sub(1)), 1, false)?;
        let listed = page.records.first().map(postmark_of).transpose()?;
        if listed.is_none_or(|signed| signed.postmark != postmark) {
            audit.faults.push(Fault::Unlisted { cursor });
        }
        for stamp in submission.passes().iter().filter_map(|pass| match pass {
            Pass::Stamp(stamp) if stamp.issue >= held_from => Some(stamp),
            _ => None,
        }) {
            audit.stamps += 1;
            let nullifier = stamp.proof.nullifier;
            if self.cancelled_for(stamp.issue, &nullifier)? != Some(id) {
                audit.faults.push(Fault::NotCancelled { cursor, nullifier });
            }
        }
        Ok(())
    }

    /// Whether an envelope is stored with this stamp.
    fn bears(&self, id: &EnvelopeId, nullifier: &Nullifier) -> Result<bool, StoreError> {
        let Some(signed) = self.postmark(id)? else { return Ok(false) };
        let before = Cursor(signed.postmark.cursor.0.saturating_sub(1));
        let Some((_, record)) = self.read(before, 1, |_| true)?.records.into_iter().next() else { return Ok(false) };
        Ok(submission_of(record)?.passes().iter().any(|pass| pass.nullifier() == Some(*nullifier)))
    }
}

fn submission_of(record: wire::Record) -> Result<Submission, StoreError> {
    let submission = record.submission.and_then(|wire| Submission::try_from(wire).ok());
    submission.ok_or(StoreError::Damaged { what: "submission" })
}
