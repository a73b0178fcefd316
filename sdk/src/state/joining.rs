//! The first key bundle of an account on a network that asks something of who joins, and the stamps that go with it.
//!
//! An account that has not joined has no journal, so this record alone says which envelope its stamps belong to. It is written
//! before a proof is made; from then on the bundle is sent as it is, with more stamps at most. Indices of stakes and claims are
//! on record under the envelope's id, as those of letters are.

use xmtp_proto::envelope::Envelope;
use xmtp_proto::refusal::Code;
use xmtp_proto::time::Timestamp;
use xmtp_proto::topic::Topic;

use super::books::{BookId, BooksError, StampUse, Supply, take};
use super::store::{Entries, Table};
use super::{State, StateError};
use crate::layout::{Reader, Unreadable, join, length};

/// A first key bundle on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joining {
    /// What is sent, now and ever again.
    pub envelope: Envelope,
    /// The stamps that belong to it.
    pub stamps: Vec<StampUse>,
    /// By what a node refused it for good.
    pub refused: Option<Code>,
}

impl State {
    /// The first key bundle as it was written down last; none if nothing was ever to go with it.
    ///
    /// # Errors
    /// [`StateError::Damaged`], [`StateError::Database`].
    pub fn joining(&self) -> Result<Option<Joining>, StateError> {
        self.store.read(Table::Joining, &[], |bytes| self.read_joining(bytes))
    }

    /// Writes down that a bundle is going to be the account's first one, with a stamp of each of these books, in the place of
    /// the one before, whose stamps stay its own. **Call this before a proof is made.** One that was written down before is
    /// returned as it is.
    ///
    /// # Errors
    /// [`BooksError`]; nothing was taken.
    pub fn begin_joining(&self, sent_at: Timestamp, bundle: Vec<u8>, books: &[BookId]) -> Result<Joining, BooksError> {
        let envelope = Envelope { topic: Topic::Contact(self.account), sent_at, ciphertext: bundle };
        self.store.write(|entries| match entries.get(Table::Joining, &[], |bytes| self.read_joining(bytes))? {
            Some(before) if before.envelope == envelope => Ok(before),
            _ => self.put_with(entries, Joining { envelope, stamps: Vec::new(), refused: None }, books),
        })
    }

    /// Gives the first key bundle more stamps, because the price rose. As with [`State::begin_joining`], call it before a proof
    /// is made.
    ///
    /// # Errors
    /// [`BooksError`]; nothing was taken.
    pub fn add_to_joining(&self, joining: Joining, books: &[BookId]) -> Result<Joining, BooksError> {
        self.store.write(|entries| self.put_with(entries, joining, books))
    }

    /// Writes down that a node refused the first key bundle for good.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn refuse_joining(&self, joining: Joining, code: Code) -> Result<(), StateError> {
        let refused = Joining { refused: Some(code), ..joining };
        self.store.write(|entries| entries.put(Table::Joining, &[], &refused.to_bytes()))
    }

    fn put_with(&self, entries: &Entries<'_>, mut joining: Joining, books: &[BookId]) -> Result<Joining, BooksError> {
        let id = joining.envelope.id(self.network);
        for book in books {
            joining.stamps.push(take(entries, &Supply::Unshared(*book), id)?);
        }
        entries.put(Table::Joining, &[], &joining.to_bytes())?;
        Ok(joining)
    }

    fn read_joining(&self, bytes: &[u8]) -> Result<Joining, Unreadable> {
        let mut reader = Reader::new(bytes);
        let sent_at = Timestamp::from_nanos(reader.u64()?);
        let envelope = Envelope { topic: Topic::Contact(self.account), sent_at, ciphertext: reader.part()?.to_vec() };
        let (stamps, rest) = reader.part()?.as_chunks::<{ StampUse::BYTES }>();
        if !rest.is_empty() {
            return Err(Unreadable);
        }
        let stamps = stamps.iter().map(|stamp| StampUse::read(&mut Reader::new(stamp))).collect::<Result<_, _>>()?;
        let refused = match reader.rest() {
            [] => None,
            name => Some(Code::ALL.into_iter().find(|code| code.as_str().as_bytes() == name).ok_or(Unreadable)?),
        };
        Ok(Joining { envelope, stamps, refused })
    }
}

impl Joining {
    /// Sent-at u64, length u32 and bundle, length u32 and the stamps of 22 bytes each, and the name of the code, if any.
    fn to_bytes(&self) -> Vec<u8> {
        let Self { envelope: Envelope { topic: _, sent_at, ciphertext }, stamps, refused } = self;
        let stamps: Vec<u8> = stamps.iter().flat_map(|stamp| stamp.to_bytes()).collect();
        let sent_at = sent_at.as_nanos().to_be_bytes();
        let code = refused.map_or("", Code::as_str).as_bytes();
        join(&[&sent_at, &length(ciphertext), ciphertext, &length(&stamps), &stamps, code]).to_vec()
    }
}
