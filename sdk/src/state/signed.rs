//! Which record of a conversation brought each signed message first.
//!
//! The other party can seal a message of its author's again, for the same topic and time: what is inside verifies in one
//! envelope as in the other. So a message has the name of what its author signed, and the first record with a name, in the
//! log's order, is the one that counts.

use alloy::primitives::B256;
use xmtp_proto::postmark::Cursor;
use xmtp_proto::record::Record;
use xmtp_proto::topic::Topic;

use super::letters::read_cursor;
use super::store::Table;
use super::{State, StateError};
use crate::layout::{Reader, Unreadable};

/// Kept records that were not named yet.
pub(crate) struct Unnamed {
    /// The number of the first of them.
    from: u64,
    /// In the log's order.
    pub(crate) records: Vec<Record>,
}

impl State {
    /// Some of the kept records of a conversation that were not named yet, the oldest of them.
    ///
    /// # Errors
    /// [`StateError::Damaged`], [`StateError::Database`].
    pub(crate) fn unnamed(&self, topic: &Topic, limit: u64) -> Result<Unnamed, StateError> {
        let from = self.store.read(Table::Signed, topic.to_string().as_bytes(), read_number)?.unwrap_or_default();
        let to = self.kept_records(topic)?.min(from.saturating_add(limit));
        let records = (from..to).map(|number| self.record(topic, number)).collect::<Result<_, _>>()?;
        Ok(Unnamed { from, records })
    }

    /// Names them, each with what its author signed, or with nothing if it is no genuine message; all of it or nothing. Those
    /// that were named meanwhile are left, and a name that was given before stays where it is.
    ///
    /// # Errors
    /// [`StateError`].
    pub(crate) fn name(&self, topic: &Topic, of: &Unnamed, names: &[Option<B256>]) -> Result<(), StateError> {
        let topic = topic.to_string();
        self.store.write(|entries| {
            let before = entries.get(Table::Signed, topic.as_bytes(), read_number)?.unwrap_or_default();
            let mut named = of.from;
            for (record, name) in of.records.iter().zip(names) {
                named += 1;
                if named > before
                    && let Some(name) = name
                    && entries.get(Table::Signed, name.as_slice(), read_cursor)?.is_none()
                {
                    let cursor = record.postmark.postmark.cursor;
                    entries.put(Table::Signed, name.as_slice(), &cursor.0.to_be_bytes())?;
                }
            }
            entries.put(Table::Signed, topic.as_bytes(), &named.max(before).to_be_bytes())
        })
    }

    /// Where the first record with this name stands in the log; none if none was named so.
    ///
    /// # Errors
    /// [`StateError::Damaged`], [`StateError::Database`].
    pub(crate) fn first_of(&self, name: B256) -> Result<Option<Cursor>, StateError> {
        self.store.read(Table::Signed, name.as_slice(), read_cursor)
    }
}

fn read_number(bytes: &[u8]) -> Result<u64, Unreadable> {
    let mut reader = Reader::new(bytes);
    let number = reader.u64()?;
    reader.end().map(|()| number)
}
