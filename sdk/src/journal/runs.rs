//! Runs of stamps: which session may use which indices of a book (docs/protocol.md, "Installations";
//! docs/decisions/0013-reservations.md).
//!
//! A book is used from both ends: from the lowest index upwards by the installation that bought it, from the highest downwards
//! by those that took it over. Of each book the journal says how far both have come, and no more: a run is granted if it
//! begins exactly there and does not reach beyond the other bound. Who was first in the log has it; the others find the bound
//! elsewhere, and ask again.
//!
//! A run belongs to a *session*: a name made at random when a client opens its state, and never written to disk. So a state
//! that was copied, put back from yesterday or opened twice goes on behind what was reserved before, whoever reserved it.

use std::collections::BTreeMap;
use std::ops::Range;

use xmtp_proto::derive::{Denomination, Issue};
use xmtp_proto::time::Timestamp;
use xmtp_prover::{Index, Limit, Position};

use crate::identity::Identity;
use crate::keys::{InstallationId, NoRandomness, random};
use crate::layout::{Reader, Unreadable};
use crate::state::{Book, BookId, Bought, Purchase, StampUse};

/// How many stamps of a book are reserved at once, unless a client says otherwise.
pub const RUN_LENGTH: u16 = 16;

/// Names one opening of a client's state: 16 random bytes, in memory only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionId([u8; 16]);

/// A book that was bought, as the journal tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KnownBook {
    /// Its name: whose it is.
    pub(crate) id: BookId,
    /// Face value of each stamp.
    pub(crate) denomination: Denomination,
    /// Stamps in it.
    pub(crate) count: Limit,
    /// Where the chain has it.
    pub(crate) bought: Bought,
}

/// Indices of a book that follow each other, and who asks for them, or gives them back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// Whose; from this follows from which end the book is used.
    pub(crate) installation: InstallationId,
    /// By which of its sessions.
    pub(crate) session: SessionId,
    /// Of which book.
    pub(crate) book: BookId,
    /// The lowest index.
    pub(crate) start: u16,
    /// How many; none are asked for in vain.
    pub(crate) count: u16,
}

/// The ends that a book is used from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// From the lowest index upwards: the installation that bought it.
    Bottom,
    /// From the highest index downwards: those that took it over.
    Top,
}

/// What the journal says of all books, as far as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Books {
    shelves: BTreeMap<BookId, Shelf>,
    /// The newest issue that an entry came in. It never goes back, whatever a node says of the time: a book that was dropped
    /// once must not be told of anew, as if nothing of it were used.
    newest: Issue,
}

/// A book and what is left of it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Shelf {
    book: KnownBook,
    /// Reserved by nobody.
    unused: Range<u32>,
    /// Who came last from the bottom, and from the top.
    last: [Option<Last>; 2],
}

/// The session that came last from an end, and where its runs begin: those that follow each other are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Last {
    session: SessionId,
    from: u32,
}

/// A run that the journal granted. Only [`Books::reserve`] makes one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Grant(Run);

/// What this session was granted and has not used. What is taken out of it is never in it again.
pub(crate) struct Session {
    id: SessionId,
    granted: Vec<Granted>,
}

struct Granted {
    installation: InstallationId,
    book: BookId,
    end: End,
    left: Range<u32>,
}

/// A stamp that the journal granted to this session, for one envelope. Nothing else makes one but a run that was read back.
#[derive(Debug)]
pub struct GrantedStamp(StampUse);

impl KnownBook {
    /// As this installation would remember it.
    pub(crate) fn book(&self, identity: &Identity) -> Book {
        let Self { id, denomination, count, bought } = *self;
        let commitment = identity.postal_seed().book_secret(&id.installation, id.counter).commitment();
        Book { id, denomination, count, commitment, purchase: Purchase::Bought(bought), taken_over: false, taken: 0 }
    }

    const fn is_good_in(&self, issue: Issue) -> bool {
        issue.0 <= self.bought.issue.0.saturating_add(Issue::VALID_AFTER)
    }

    /// Installation 16, counter u32, denomination u32, count u32, issue u32, volume u32, index u32.
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let Self { id, denomination, count, bought: Bought { issue, position: Position { volume, index } } } = self;
        let numbers = [denomination.units(), count.get(), issue.0, volume, index].map(u32::to_be_bytes);
        [id.to_bytes().as_slice(), numbers.as_flattened()].concat()
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, Unreadable> {
        Ok(Self {
            id: BookId::read(reader)?,
            denomination: reader.u32()?.try_into().map_err(|_| Unreadable)?,
            count: Limit::new(reader.u32()?).map_err(|_| Unreadable)?,
            bought: Bought {
                issue: Issue(reader.u32()?),
                position: Position { volume: reader.u32()?, index: reader.u32()? },
            },
        })
    }
}

impl Run {
    fn end(&self) -> End {
        End::of(self.installation, self.book)
    }

    fn indices(&self) -> Range<u32> {
        let start = u32::from(self.start);
        start..start + u32::from(self.count)
    }

    /// Installation 16, session 16, book 20, start u16, count u16.
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let Self { installation, session, book, start, count } = self;
        let numbers = [start, count].map(u16::to_be_bytes);
        [installation.as_bytes().as_slice(), &session.0, &book.to_bytes(), numbers.as_flattened()].concat()
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, Unreadable> {
        Ok(Self {
            installation: InstallationId::from(*reader.array()?),
            session: SessionId(*reader.array()?),
            book: BookId::read(reader)?,
            start: reader.u16()?,
            count: reader.u16()?,
        })
    }
}

impl Books {
    /// Of a book's stamps runs can be reserved from here on. Told of once more, it may be elsewhere: a reorganisation of the
    /// chain moves books. Books whose stamps are good no more are dropped.
    pub(super) fn tell(&mut self, book: &KnownBook, accepted_at: Timestamp, issue_seconds: u64) {
        let newest = self.newest.max(Issue::at(accepted_at, issue_seconds));
        self.newest = newest;
        self.shelves.retain(|_, shelf| shelf.book.is_good_in(newest));
        if !book.is_good_in(newest) {
            return;
        }
        let shelf = Shelf { book: *book, unused: 0..book.count.get(), last: [None; 2] };
        let known = &mut self.shelves.entry(book.id).or_insert(shelf).book;
        if (known.denomination, known.count) == (book.denomination, book.count) {
            known.bought = book.bought;
        }
    }

    /// Grants a run that begins where its end of the book has come to, and stays on its side of the other end.
    pub(super) fn reserve(&mut self, run: &Run) -> Option<Grant> {
        let shelf = self.shelves.get_mut(&run.book)?;
        let (indices, end) = (run.indices(), run.end());
        let reaches = match end {
            End::Bottom => indices.start == shelf.unused.start && indices.end <= shelf.unused.end,
            End::Top => indices.end == shelf.unused.end && indices.start >= shelf.unused.start,
        };
        if indices.is_empty() || !reaches {
            return None;
        }
        let last = &mut shelf.last[end.place()];
        let (bound, begins) = match end {
            End::Bottom => (&mut shelf.unused.start, indices.start),
            End::Top => (&mut shelf.unused.end, indices.end),
        };
        *bound = if end == End::Bottom { indices.end } else { indices.start };
        let before = last.filter(|last| last.session == run.session);
        *last = Some(Last { session: run.session, from: before.map_or(begins, |last| last.from) });
        Some(Grant(*run))
    }

    /// Takes back what a session did not use, if nobody came after it.
    pub(super) fn hand_over(&mut self, run: &Run) {
        let Some(shelf) = self.shelves.get_mut(&run.book) else { return };
        let (indices, end) = (run.indices(), run.end());
        let last = &mut shelf.last[end.place()];
        let Some(Last { from, .. }) = last.filter(|last| last.session == run.session) else { return };
        match end {
            End::Bottom if indices.end == shelf.unused.start && indices.start >= from => {
                shelf.unused.start = indices.start;
            }
            End::Top if indices.start == shelf.unused.end && indices.end <= from => shelf.unused.end = indices.end,
            End::Bottom | End::Top => return,
        }
        let bound = if end == End::Bottom { shelf.unused.start } else { shelf.unused.end };
        if bound == from {
            *last = None;
        }
    }

    /// Whether a book's stamps are good for a while yet, as far as was read.
    pub(crate) fn is_good(&self, book: &KnownBook) -> bool {
        book.is_good_in(self.newest)
    }

    /// All books, as they were told of.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &KnownBook> {
        self.shelves.values().map(|shelf| &shelf.book)
    }

    /// A book, as it was told of.
    pub(crate) fn get(&self, id: BookId) -> Option<&KnownBook> {
        self.shelves.get(&id).map(|shelf| &shelf.book)
    }

    /// The indices that nobody has reserved; none if there is no such book.
    pub(crate) fn unused(&self, id: BookId) -> Option<Range<u32>> {
        self.shelves.get(&id).map(|shelf| shelf.unused.clone())
    }

    /// The newest issue u32, then for each book: the book 40, lower and upper bound u32, then for the bottom and the top 0, or 1 and session 16, from u32.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.newest.0.to_be_bytes().to_vec();
        for Shelf { book, unused, last } in self.shelves.values() {
            bytes.extend_from_slice(&book.to_bytes());
            bytes.extend_from_slice([unused.start, unused.end].map(u32::to_be_bytes).as_flattened());
            for last in last {
                match last {
                    None => bytes.push(0),
                    Some(Last { session, from }) => {
                        bytes.push(1);
                        bytes.extend_from_slice(&session.0);
                        bytes.extend_from_slice(&from.to_be_bytes());
                    }
                }
            }
        }
        bytes
    }

    /// Reads all that is left.
    pub(super) fn read(mut reader: Reader<'_>) -> Result<Self, Unreadable> {
        let newest = Issue(reader.u32()?);
        let mut shelves = BTreeMap::<_, Shelf>::new();
        while !reader.is_empty() {
            let book = KnownBook::read(&mut reader)?;
            let unused = reader.u32()?..reader.u32()?;
            if unused.start > unused.end || unused.end > book.count.get() {
                return Err(Unreadable);
            }
            let mut last = [None; 2];
            for last in &mut last {
                *last = match reader.u8()? {
                    0 => None,
                    1 => Some(Last { session: SessionId(*reader.array()?), from: reader.u32()? }),
                    _ => return Err(Unreadable),
                };
            }
            // In order, so that one view has one encoding.
            if shelves.last_key_value().is_some_and(|(before, _)| *before >= book.id) {
                return Err(Unreadable);
            }
            shelves.insert(book.id, Shelf { book, unused, last });
        }
        Ok(Self { shelves, newest })
    }
}

/// What an installation can still ask for: of the unused indices those that were not used here, `taken` of them counted from
/// the end that it uses the book from.
pub(crate) fn free(installation: InstallationId, book: &KnownBook, unused: Range<u32>, taken: u32) -> Range<u32> {
    match End::of(installation, book.id) {
        End::Bottom => unused.start.max(taken).min(unused.end)..unused.end,
        End::Top => unused.start..unused.end.min(book.count.get().saturating_sub(taken)).max(unused.start),
    }
}

impl End {
    fn of(installation: InstallationId, book: BookId) -> Self {
        if installation == book.installation { Self::Bottom } else { Self::Top }
    }

    const fn place(self) -> usize {
        match self {
            Self::Bottom => 0,
            Self::Top => 1,
        }
    }
}

impl Session {
    /// A session that was granted nothing yet.
    pub(crate) fn new() -> Result<Self, NoRandomness> {
        Ok(Self { id: SessionId(*random()?), granted: Vec::new() })
    }

    /// The run to ask for next, of `count` stamps that were not used here already. Shorter if less is left; none if nothing is.
    pub(crate) fn run_to_reserve(
        &self,
        installation: InstallationId,
        book: &KnownBook,
        unused: Range<u32>,
        taken: u32,
        count: u32,
    ) -> Option<Run> {
        let free = free(installation, book, unused.clone(), taken);
        // What is used already is reserved with the rest: the bound moves in one piece.
        let (start, end) = match End::of(installation, book.id) {
            End::Bottom => (unused.start, free.start.saturating_add(count).min(free.end)),
            End::Top => (free.end.saturating_sub(count).max(free.start), unused.end),
        };
        let count = u16::try_from(end.checked_sub(start)?).unwrap_or(u16::MAX);
        let start = if End::of(installation, book.id) == End::Bottom { start } else { end - u32::from(count) };
        let start = u16::try_from(start).ok()?;
        (count > 0 && !free.is_empty()).then_some(Run { installation, session: self.id, book: book.id, start, count })
    }

    /// The run of what was used here of a book from the bottom, and of which the journal does not know yet; none if it knows.
    pub(crate) fn run_of_used(
        &self,
        installation: InstallationId,
        book: &KnownBook,
        unused: Range<u32>,
        taken: u32,
    ) -> Option<Run> {
        let count = taken.min(unused.end).checked_sub(unused.start)?;
        let (start, count) = (u16::try_from(unused.start).ok()?, u16::try_from(count).unwrap_or(u16::MAX));
        let is_own = End::of(installation, book.id) == End::Bottom;
        (is_own && count > 0).then_some(Run { installation, session: self.id, book: book.id, start, count })
    }

    /// Takes in a run that was granted, if it is this session's, but for what was used here already.
    pub(crate) fn receive(&mut self, Grant(run): Grant, book: &KnownBook, taken: u32) {
        if run.session != self.id {
            return;
        }
        let left = free(run.installation, book, run.indices(), taken);
        if !left.is_empty() {
            let Run { installation, book, .. } = run;
            self.granted.push(Granted { installation, book, end: run.end(), left });
        }
    }

    /// Whether a run is this session's, and of which book.
    pub(crate) fn book_of(&self, Grant(run): &Grant) -> Option<BookId> {
        (run.session == self.id).then_some(run.book)
    }

    /// How many stamps of a book are at hand.
    pub(crate) fn at_hand(&self, book: BookId) -> u32 {
        self.granted.iter().filter(|it| it.book == book).map(|it| it.left.end - it.left.start).sum()
    }

    /// The next stamps of a book, in the order in which they will be set aside; so many at most.
    pub(crate) fn coming(&self, book: BookId, count: usize) -> Vec<Index> {
        let mut coming = Vec::new();
        for Granted { end, left, .. } in self.granted.iter().filter(|it| it.book == book) {
            let room = count.saturating_sub(coming.len());
            match end {
                End::Bottom => coming.extend(left.clone().take(room)),
                End::Top => coming.extend(left.clone().rev().take(room)),
            }
        }
        coming.into_iter().filter_map(|index| u16::try_from(index).ok()).map(Index::new).collect()
    }

    /// Takes out one stamp for each book that is named. All, or none and nothing is taken.
    pub(crate) fn set_aside(&mut self, books: &[BookId]) -> Option<Vec<GrantedStamp>> {
        let wanted = |book: BookId| books.iter().filter(|it| **it == book).count();
        let suffices = |book: &BookId| usize::try_from(self.at_hand(*book)).is_ok_and(|left| left >= wanted(*book));
        if !books.iter().all(suffices) {
            return None;
        }
        let stamps = books.iter().map(|book| self.next(*book)).collect();
        self.granted.retain(|it| !it.left.is_empty());
        stamps
    }

    fn next(&mut self, book: BookId) -> Option<GrantedStamp> {
        let run = self.granted.iter_mut().find(|it| it.book == book && !it.left.is_empty())?;
        let index = match run.end {
            End::Bottom => run.left.next()?,
            End::Top => run.left.next_back()?,
        };
        Some(GrantedStamp(StampUse { book, index: Index::new(u16::try_from(index).ok()?) }))
    }

    /// Gives up all that is at hand: the rests of the last run of each book, which may go back.
    pub(crate) fn give_up(&mut self) -> Vec<Run> {
        let mut rests: Vec<Run> = Vec::new();
        for Granted { installation, book, left, .. } in self.granted.drain(..) {
            rests.retain(|rest| rest.book != book);
            let (Ok(start), Ok(count)) = (u16::try_from(left.start), u16::try_from(left.end - left.start)) else {
                continue;
            };
            rests.push(Run { installation, session: self.id, book, start, count });
        }
        rests
    }
}

impl GrantedStamp {
    /// Which.
    #[must_use]
    pub const fn stamp(&self) -> StampUse {
        self.0
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    impl GrantedStamp {
        /// As if the journal had said so.
        pub(crate) const fn made_up(stamp: StampUse) -> Self {
            Self(stamp)
        }
    }

    impl SessionId {
        pub(crate) const fn numbered(which: u8) -> Self {
            Self([which; 16])
        }
    }

    impl Session {
        pub(crate) const fn numbered(which: u8) -> Self {
            Self { id: SessionId::numbered(which), granted: Vec::new() }
        }
    }
}

#[cfg(test)]
mod tests;
