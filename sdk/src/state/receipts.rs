//! Letters with stamps that were read, and whether the node was told so.

use xmtp_proto::derive::EnvelopeId;

use super::store::{Entries, Table};
use super::{State, StateError};
use crate::layout::{Reader, Unreadable};

const WANTED: u8 = 0;
const TOLD: u8 = 1;

impl State {
    /// The letters that the node is to be told of.
    ///
    /// # Errors
    /// [`StateError::Damaged`], [`StateError::Database`].
    pub fn receipts_wanted(&self) -> Result<Vec<EnvelopeId>, StateError> {
        let all = self.store.read_all(Table::Receipts, |bytes| {
            let mut reader = Reader::new(bytes);
            let entry = (reader.u8()?, EnvelopeId::from(*reader.array::<32>()?));
            reader.end().map(|()| entry)
        })?;
        Ok(all.into_iter().filter(|(told, _)| *told == WANTED).map(|(_, letter)| letter).collect())
    }

    /// The node was told of these.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn receipts_told(&self, letters: &[EnvelopeId]) -> Result<(), StateError> {
        self.store.write(|entries| letters.iter().try_for_each(|letter| put(entries, *letter, TOLD)))
    }

    /// The node is to be told that these were read, unless it was.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn want_receipts(&self, letters: &[EnvelopeId]) -> Result<(), StateError> {
        self.store.write(|entries| {
            letters.iter().try_for_each(|letter| match entries.get(Table::Receipts, letter.as_bytes(), told)? {
                Some(_) => Ok(()),
                None => put(entries, *letter, WANTED),
            })
        })
    }
}

fn told(bytes: &[u8]) -> Result<u8, Unreadable> {
    Reader::new(bytes).u8()
}

/// 0 or 1, then the letter: names are hashed.
fn put(entries: &Entries<'_>, letter: EnvelopeId, told: u8) -> Result<(), StateError> {
    entries.put(Table::Receipts, letter.as_bytes(), &[&[told], letter.as_bytes().as_slice()].concat())
}
