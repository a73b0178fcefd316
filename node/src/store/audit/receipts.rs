//! Receipts as the records tell them.

use std::collections::HashMap;

use xmtp_proto::derive::{EnvelopeId, Issue};
use xmtp_proto::envelope::Envelope;
use xmtp_proto::postmark::Cursor;
use xmtp_proto::receipt;
use xmtp_proto::topic::Topic;

use super::super::{Store, StoreError};

/// Which record told first that a letter was read.
#[derive(Default)]
pub(super) struct Receipts {
    first: HashMap<EnvelopeId, Cursor>,
}

impl Receipts {
    /// Enters a record, in the order of the log.
    pub(super) fn enter(&mut self, envelope: &Envelope, cursor: Cursor) {
        let Topic::Receipts(_) = envelope.topic else { return };
        for it in receipt::from_bytes(&envelope.ciphertext).unwrap_or_default() {
            self.first.entry(it.letter).or_insert(cursor);
        }
    }

    /// How many of the receipts that the store has are not where the records say, or the other way round; those for stamps of
    /// before may have been forgotten.
    pub(super) fn misplaced(&self, store: &Store, held: Issue) -> Result<usize, StoreError> {
        let mut misplaced = 0;
        for entry in store.receipts() {
            let (letter, cursor) = entry?;
            misplaced += usize::from(self.first.get(&letter) != Some(&cursor));
        }
        for letter in self.first.keys() {
            let is_held = store.issue_of(letter)?.is_none_or(|issue| issue >= held);
            misplaced += usize::from(is_held && store.receipt(letter)?.is_none());
        }
        Ok(misplaced)
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.first.len()
    }
}
