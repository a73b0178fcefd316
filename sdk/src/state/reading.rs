//! What was read of conversations by prefix: the records that are theirs, and how far the log was read for each.
//!
//! A prefix brings others' records along, so nothing is fetched twice: what came is kept as it came, and read from here.

use xmtp_proto::postmark::Cursor;
use xmtp_proto::record::Record;
use xmtp_proto::topic::Topic;

use super::store::{Entries, Table};
use super::{State, StateError};
use crate::layout::{Reader, Unreadable};

/// Where reading begins is rounded down to a multiple of this: the cursor of the very letter would say whose conversation it
/// is.
const START_STEP: u64 = 1_024;

/// Of one conversation.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Shelf {
    /// Up to here all of its records are kept.
    read: Cursor,
    /// How many.
    kept: u64,
}

impl State {
    /// Up to where all records of a conversation are kept.
    ///
    /// # Errors
    /// [`StateError::Damaged`], [`StateError::Database`].
    pub fn read_to(&self, topic: &Topic) -> Result<Cursor, StateError> {
        Ok(self.shelf(topic)?.read)
    }

    /// Keeps what is new of the records, which are all that there are of these conversations behind where each was read to,
    /// up to `seen`; all of it or nothing.
    ///
    /// # Errors
    /// [`StateError`].
    pub(crate) fn keep_records(&self, topics: &[Topic], records: &[&Record], seen: Cursor) -> Result<(), StateError> {
        self.store.write(|entries| {
            for topic in topics {
                let name = topic.to_string();
                let before = entries.get(Table::Reading, name.as_bytes(), Shelf::from_bytes)?.unwrap_or_default();
                let mut shelf = before;
                let its_own = records.iter().filter(|record| record.submission.envelope().topic == *topic);
                for record in its_own.filter(|record| record.postmark.postmark.cursor > before.read) {
                    let bytes = (*record).clone().to_bytes();
                    entries.put(Table::Records, &record_name(&name, shelf.kept), &bytes)?;
                    shelf.kept += 1;
                }
                shelf.read = shelf.read.max(seen);
                if shelf != before {
                    entries.put(Table::Reading, name.as_bytes(), &shelf.to_bytes())?;
                }
            }
            Ok(())
        })
    }

    /// The kept records of a conversation behind a cursor, the oldest first.
    ///
    /// # Errors
    /// [`StateError::Damaged`], [`StateError::Database`].
    pub(crate) fn records(&self, topic: &Topic, after: Cursor) -> Result<Vec<Record>, StateError> {
        let mut records = Vec::new();
        for number in (0..self.kept_records(topic)?).rev() {
            let record = self.record(topic, number)?;
            if record.postmark.postmark.cursor <= after {
                break;
            }
            records.push(record);
        }
        records.reverse();
        Ok(records)
    }

    /// How many records of a conversation are kept.
    pub(super) fn kept_records(&self, topic: &Topic) -> Result<u64, StateError> {
        Ok(self.shelf(topic)?.kept)
    }

    /// One of them; they are numbered in the log's order.
    pub(super) fn record(&self, topic: &Topic, number: u64) -> Result<Record, StateError> {
        let read = |bytes: &[u8]| Record::from_bytes(bytes).map_err(|_| Unreadable);
        let record = self.store.read(Table::Records, &record_name(&topic.to_string(), number), read)?;
        record.ok_or(StateError::Damaged { table: "records" })
    }

    fn shelf(&self, topic: &Topic) -> Result<Shelf, StateError> {
        let shelf = self.store.read(Table::Reading, topic.to_string().as_bytes(), Shelf::from_bytes)?;
        Ok(shelf.unwrap_or_default())
    }
}

/// Nothing of a conversation can stand before the letter that begins it.
pub(super) fn start(entries: &Entries<'_>, topic: &Topic, letter: Cursor) -> Result<(), StateError> {
    let name = topic.to_string();
    if entries.get(Table::Reading, name.as_bytes(), Shelf::from_bytes)?.is_some() {
        return Ok(());
    }
    let shelf = Shelf { read: Cursor(letter.0 - letter.0 % START_STEP), kept: 0 };
    entries.put(Table::Reading, name.as_bytes(), &shelf.to_bytes())
}

/// Length u32 and topic, number u64.
fn record_name(topic: &str, number: u64) -> Vec<u8> {
    let topic = topic.as_bytes();
    [crate::layout::length(topic).as_slice(), topic, &number.to_be_bytes()].concat()
}

impl Shelf {
    /// Cursor u64, count u64.
    fn to_bytes(self) -> Vec<u8> {
        [self.read.0, self.kept].map(u64::to_be_bytes).concat()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, Unreadable> {
        let mut reader = Reader::new(bytes);
        let it = Self { read: Cursor(reader.u64()?), kept: reader.u64()? };
        reader.end().map(|()| it)
    }
}
