//! Books of stamps, and which index of which went with which envelope.
//!
//! A book is written down before its transaction is made, with the commitment that the chain can be asked for: whatever dies
//! in between, the stamps are found again. An index is written down with its envelope before a proof is made: whatever dies
//! in between, the index never meets another envelope.
//!
//! Which index that is the journal decides, where there is one: what it granted to this session is a value that
//! [`State::begin_letter`] asks for. What is on record here holds besides, so that not even a node that shows this client two
//! journals makes it show one index with two envelopes.

use std::fmt;
use std::str::FromStr;

use alloy::primitives::{B256, hex};
use xmtp_proto::derive::{Denomination, EnvelopeId, Issue};
use xmtp_proto::field::Commitment;
use xmtp_prover::{Index, Limit, Position};

use super::store::{Entries, Table};
use super::{State, StateError, journal};
use crate::identity::Identity;
use crate::journal::{GrantedStamp, KnownBook};
use crate::keys::InstallationId;
use crate::layout::{Reader, Unreadable, join};

const NEXT_BOOK: &[u8] = b"book";

/// Names a book, or a stake: its secret is [`PostalSeed::book_secret`](crate::keys::PostalSeed::book_secret) of both parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BookId {
    /// Who bought it.
    pub installation: InstallationId,
    /// Counts the installation's books and stakes together, from 0.
    pub counter: u32,
}

/// The text names no book and no stake. The user's to mend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a book or a stake is named by its installation's 32 hexadecimal digits, `-`, and its number")]
pub struct InvalidBookId;

/// A book of stamps, from the wish to buy it on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Book {
    /// Its name here.
    pub id: BookId,
    /// Face value of each stamp.
    pub denomination: Denomination,
    /// Stamps in it.
    pub count: Limit,
    /// By this the chain knows it.
    pub commitment: Commitment,
    /// How far the purchase is.
    pub purchase: Purchase,
    /// Whether another installation bought it, and this one uses it from its highest index downwards, on the owner's word.
    pub taken_over: bool,
    /// How many of its stamps may have been used here, counted from the end that this installation uses it from. At most
    /// `count`.
    pub taken: u32,
}

/// Where a stamp of a letter comes from.
#[derive(Debug)]
pub enum Supply {
    /// Out of a run that the journal granted to this session.
    Granted(GrantedStamp),
    /// The next one of a book by the record here alone. For nodes without members, which keep no journal, and for accounts that
    /// have not joined yet: nothing keeps another copy of this state from the same index.
    Unshared(BookId),
}

/// How far the purchase of a book is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purchase {
    /// Written down; a transaction may be under way. Ask the chain for the commitment before sending another.
    Intended,
    /// A transaction was sent.
    Submitted {
        /// Its hash.
        transaction: B256,
    },
    /// The chain has it.
    Bought(Bought),
    /// The transaction failed, and the chain has no such book; the commitment is not used again.
    Failed,
}

/// Where the chain has a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bought {
    /// The issue that it was bought in.
    pub issue: Issue,
    /// Where its leaf is in the group.
    pub position: Position,
}

/// A stamp that belongs to an envelope for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StampUse {
    /// Of which book.
    pub book: BookId,
    /// Which stamp.
    pub index: Index,
}

/// A book cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum BooksError {
    /// There is no such book. The caller's fault.
    #[error("there is no book {} of installation {}", .0.counter, .0.installation)]
    Unknown(BookId),
    /// The chain does not have it yet. Wait.
    #[error("book {} is not bought yet", .0.counter)]
    NotBought(BookId),
    /// It has no stamp left. Buy another.
    #[error("book {} is used up", .0.counter)]
    UsedUp(BookId),
    /// An index was granted that belongs to another envelope. Nothing is lost but this stamp: does the node show several
    /// journals?
    #[error("stamp {} of book {} belongs to another envelope: use another node", .0.index.get(), .0.book.counter)]
    Taken(StampUse),
    /// What another installation bought can be used only with the journal, and this node keeps none. Use another.
    #[error("book {} was taken over, and this node keeps no journal to share it by: use another node", .0.counter)]
    Shared(BookId),
    /// Purchases do not run backwards. The caller's fault.
    #[error("book {} cannot go from {from:?} to {to:?}", .id.counter)]
    Backwards {
        /// Which.
        id: BookId,
        /// What it is.
        from: Purchase,
        /// What it should have become.
        to: Purchase,
    },
    /// Counters have run out.
    #[error("this installation can buy no more books")]
    Counters,
    /// See there.
    #[error(transparent)]
    State(#[from] StateError),
}

impl Book {
    /// Where the chain has it.
    #[must_use]
    pub const fn bought(&self) -> Option<Bought> {
        match self.purchase {
            Purchase::Bought(bought) => Some(bought),
            Purchase::Intended | Purchase::Submitted { .. } | Purchase::Failed => None,
        }
    }
}

impl State {
    /// Writes down the wish to buy a book, under the next commitment of this installation. Call it before the transaction
    /// is made.
    ///
    /// # Errors
    /// [`BooksError::Counters`], [`BooksError::State`].
    pub fn intend_book(
        &self,
        identity: &Identity,
        denomination: Denomination,
        count: Limit,
    ) -> Result<Book, BooksError> {
        if (identity.account(), identity.network()) != (self.account, self.network) {
            return Err(StateError::OtherAccount.into());
        }
        self.store.write(|entries| {
            let counter = next_counter(entries)?.ok_or(BooksError::Counters)?;
            let id = BookId { installation: self.installation, counter };
            let commitment = identity.postal_seed().book_secret(&id.installation, counter).commitment();
            let book =
                Book { id, denomination, count, commitment, purchase: Purchase::Intended, taken_over: false, taken: 0 };
            book.put(entries)?;
            Ok(book)
        })
    }

    /// Writes down that another installation's book is used here too, from its highest index downwards; a book that is here
    /// already stays as it is. **On the owner's word only.**
    ///
    /// # Errors
    /// [`StateError`].
    pub(crate) fn take_over_book(&self, identity: &Identity, known: &KnownBook) -> Result<Book, StateError> {
        let book = Book { taken_over: true, ..known.book(identity) };
        self.store.write(|entries| match entries.get(Table::Books, &book.id.to_bytes(), Book::from_bytes)? {
            Some(before) => Ok(before),
            None => book.put(entries).map(|()| book),
        })
    }

    /// Writes down how far the purchase of a book is.
    ///
    /// # Errors
    /// [`BooksError::Unknown`]; [`BooksError::Backwards`] if it would become intended again that was not bought, or if a
    /// transaction were sent for one that was; [`BooksError::State`].
    pub fn record_purchase(&self, id: BookId, to: Purchase) -> Result<Book, BooksError> {
        self.store.write(|entries| {
            let mut book = Book::get(entries, id)?;
            let from = book.purchase;
            // A reorganisation of the chain can move a book, take it away, or give its commitment to somebody else's; to a failed
            // one the chain may still say yes.
            let forwards = match (from, to) {
                (_, Purchase::Bought(_) | Purchase::Failed) => true,
                (Purchase::Bought(_), Purchase::Submitted { .. })
                | (Purchase::Submitted { .. } | Purchase::Failed, Purchase::Intended) => false,
                (_, Purchase::Intended | Purchase::Submitted { .. }) => true,
            };
            if !forwards {
                return Err(BooksError::Backwards { id, from, to });
            }
            book.purchase = to;
            book.put(entries)?;
            Ok(book)
        })
    }

    /// A book.
    ///
    /// # Errors
    /// [`StateError::Damaged`], [`StateError::Database`].
    pub fn book(&self, id: BookId) -> Result<Option<Book>, StateError> {
        self.store.read(Table::Books, &id.to_bytes(), Book::from_bytes)
    }

    /// All books that this installation bought or took over, the oldest first.
    ///
    /// # Errors
    /// [`StateError::Damaged`], [`StateError::Database`].
    pub fn books(&self) -> Result<Vec<Book>, StateError> {
        let mut books = self.store.read_all(Table::Books, Book::from_bytes)?;
        books.sort_by_key(|book| (*book.id.installation.as_bytes(), book.id.counter));
        Ok(books)
    }

    /// The envelope that a stamp belongs to, once it was taken.
    ///
    /// # Errors
    /// [`StateError::Damaged`], [`StateError::Database`].
    pub fn envelope_of(&self, stamp: StampUse) -> Result<Option<EnvelopeId>, StateError> {
        self.store.read(Table::Uses, &stamp.to_bytes(), |bytes| {
            bytes.try_into().map(|id: [u8; 32]| EnvelopeId::from(id)).map_err(|_| Unreadable)
        })
    }
}

/// The next number of a book or a stake, which is not given out again; none if they have run out.
pub(super) fn next_counter(entries: &Entries<'_>) -> Result<Option<u32>, StateError> {
    let read = |bytes: &[u8]| bytes.try_into().map(u32::from_be_bytes).map_err(|_| Unreadable);
    let counter = entries.get(Table::Counters, NEXT_BOOK, read)?.unwrap_or_default();
    let Some(next) = counter.checked_add(1) else { return Ok(None) };
    entries.put(Table::Counters, NEXT_BOOK, &next.to_be_bytes())?;
    Ok(Some(counter))
}

/// Takes a stamp for an envelope.
pub(super) fn take(entries: &Entries<'_>, supply: &Supply, envelope: EnvelopeId) -> Result<StampUse, BooksError> {
    let id = supply.book();
    let mut book = Book::get(entries, id)?;
    if book.bought().is_none() {
        return Err(BooksError::NotBought(id));
    }
    let stamp = match supply {
        Supply::Granted(granted) => granted.stamp(),
        Supply::Unshared(_) if book.taken_over => return Err(BooksError::Shared(id)),
        Supply::Unshared(_) => {
            // Another node may have kept a journal.
            let unused = journal::view(entries)?.books().unused(id).unwrap_or_else(|| 0..book.count.get());
            let next = unused.start.max(book.taken);
            let index = u16::try_from(next).ok().filter(|_| next < unused.end).ok_or(BooksError::UsedUp(id))?;
            StampUse { book: id, index: Index::new(index) }
        }
    };
    let index = u32::from(stamp.index.get());
    if index >= book.count.get() {
        return Err(BooksError::UsedUp(id));
    }
    if entries.get(Table::Uses, &stamp.to_bytes(), |_| Ok(()))?.is_some() {
        // Two envelopes under one index would cost the bond.
        return Err(BooksError::Taken(stamp));
    }
    entries.put(Table::Uses, &stamp.to_bytes(), envelope.as_bytes())?;
    let taken = if book.taken_over { book.count.get() - index } else { index + 1 };
    book.taken = book.taken.max(taken);
    book.put(entries)?;
    Ok(stamp)
}

impl Supply {
    /// Of which book.
    #[must_use]
    pub const fn book(&self) -> BookId {
        match self {
            Self::Granted(granted) => granted.stamp().book,
            Self::Unshared(book) => *book,
        }
    }
}

impl StampUse {
    pub(super) const BYTES: usize = 22;

    /// Installation 16, counter u32, index u16.
    pub(super) fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..20].copy_from_slice(&self.book.to_bytes());
        bytes[20..].copy_from_slice(&self.index.get().to_be_bytes());
        bytes
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Unreadable> {
        Ok(Self { book: BookId::read(reader)?, index: Index::new(reader.u16()?) })
    }
}

impl fmt::Display for BookId {
    /// The installation in hexadecimal digits, `-`, the counter.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.installation, self.counter)
    }
}

impl FromStr for BookId {
    type Err = InvalidBookId;

    fn from_str(text: &str) -> Result<Self, InvalidBookId> {
        let (installation, counter) = text.split_once('-').ok_or(InvalidBookId)?;
        let installation: [u8; 16] = hex::decode_to_array(installation).map_err(|_| InvalidBookId)?;
        let id = Self { installation: installation.into(), counter: counter.parse().map_err(|_| InvalidBookId)? };
        // One spelling.
        if id.to_string() == text { Ok(id) } else { Err(InvalidBookId) }
    }
}

impl BookId {
    /// Installation 16, counter u32.
    pub(crate) fn to_bytes(self) -> [u8; 20] {
        let mut bytes = [0; 20];
        bytes[..16].copy_from_slice(self.installation.as_bytes());
        bytes[16..].copy_from_slice(&self.counter.to_be_bytes());
        bytes
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, Unreadable> {
        Ok(Self { installation: InstallationId::from(*reader.array()?), counter: reader.u32()? })
    }
}

impl Book {
    fn get(entries: &Entries<'_>, id: BookId) -> Result<Self, BooksError> {
        entries.get(Table::Books, &id.to_bytes(), Self::from_bytes)?.ok_or(BooksError::Unknown(id))
    }

    pub(super) fn put(&self, entries: &Entries<'_>) -> Result<(), StateError> {
        entries.put(Table::Books, &self.id.to_bytes(), &self.to_bytes())
    }

    /// Id 20, denomination u32, count u32, commitment 32, taken over u8, taken u32; then 0, or 1 and the transaction 32, or 2 and issue
    /// u32, volume u32, index u32, or 3.
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let Self { id, denomination, count, commitment, purchase, taken_over, taken } = self;
        let purchase = match purchase {
            Purchase::Intended => vec![0],
            Purchase::Submitted { transaction } => [&[1], transaction.as_slice()].concat(),
            Purchase::Bought(Bought { issue, position: Position { volume, index } }) => {
                [&[2], [issue.0, volume, index].map(u32::to_be_bytes).as_flattened()].concat()
            }
            Purchase::Failed => vec![3],
        };
        join(&[
            &id.to_bytes(),
            &denomination.units().to_be_bytes(),
            &count.get().to_be_bytes(),
            commitment.as_bytes(),
            &[u8::from(taken_over)],
            &taken.to_be_bytes(),
            &purchase,
        ])
        .to_vec()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, Unreadable> {
        let mut reader = Reader::new(bytes);
        let it = Self {
            id: BookId::read(&mut reader)?,
            denomination: reader.u32()?.try_into().map_err(|_| Unreadable)?,
            count: Limit::new(reader.u32()?).map_err(|_| Unreadable)?,
            commitment: Commitment::from_be_bytes(*reader.array()?).map_err(|_| Unreadable)?,
            taken_over: match reader.u8()? {
                0 => false,
                1 => true,
                _ => return Err(Unreadable),
            },
            taken: reader.u32()?,
            purchase: match reader.u8()? {
                0 => Purchase::Intended,
                1 => Purchase::Submitted { transaction: B256::from(*reader.array()?) },
                2 => Purchase::Bought(Bought {
                    issue: Issue(reader.u32()?),
                    position: Position { volume: reader.u32()?, index: reader.u32()? },
                }),
                3 => Purchase::Failed,
                _ => return Err(Unreadable),
            },
        };
        reader.end()?;
        if it.taken > it.count.get() { Err(Unreadable) } else { Ok(it) }
    }
}
