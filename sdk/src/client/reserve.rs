//! Stamps, reserved in the journal before they are used (docs/protocol.md, "Installations";
//! docs/decisions/0013-reservations.md).
//!
//! Only what the journal granted to this session is set aside for a letter. A node without members keeps no journal: then the
//! record on disk decides alone, and [`Sent::unshared`](super::Sent::unshared) says so.

use std::ops::Range;
use std::sync::{MutexGuard, PoisonError};

use super::{Client, SendError, Step};
use crate::conversation::ConversationError;
use crate::identity::Identity;
use crate::journal::{Entry, Grant, KnownBook, Session, View, free};
use crate::state::{Book, BookId, BooksError, LettersError, StateError, Supply};
use crate::transport::TransportError;

/// How often runs are asked for because another session was faster.
const ATTEMPTS: usize = 16;

impl Client {
    /// Ends this session in order: what it reserved and did not use goes back to the account's other sessions. A client that is
    /// merely dropped loses them, [`RUN_LENGTH`](crate::journal::RUN_LENGTH) of each book that it used at most.
    ///
    /// # Errors
    /// [`ConversationError`]; what was reserved may be lost then.
    pub async fn close(self) -> Result<(), ConversationError> {
        // Given up first: whatever becomes of the entries, nothing of it is used any more.
        let rests = self.session().give_up();
        if rests.is_empty() {
            return Ok(());
        }
        let identity = self.identity()??;
        let entries: Vec<_> = rests.into_iter().map(Entry::HandOver).collect();
        self.step(Step::HandingOver);
        self.write_journal(&identity, &entries).await?;
        self.step(Step::HandedOver);
        self.read_journal(&identity).await.map(drop)
    }

    /// One stamp for each book that is named, as nobody else of the account has it. None if a book cannot give so many any
    /// more: choose others.
    pub(super) async fn reserve_stamps(
        &self,
        identity: &Identity,
        books: &[BookId],
    ) -> Result<Option<Vec<Supply>>, SendError> {
        if books.is_empty() || !self.keeps_journal().await? {
            return Ok(Some(books.iter().copied().map(Supply::Unshared).collect()));
        }
        // One letter after the other: what is reserved for the first one may do for the next.
        let _turn = self.reserving.lock().await;
        for _ in 0..ATTEMPTS {
            if let Some(granted) = self.session().set_aside(books) {
                self.stamp_taken.notify_one();
                return Ok(Some(granted.into_iter().map(Supply::Granted).collect()));
            }
            // What was read last may be old; the log decides, and says so.
            let Some(entries) = self.runs_to_reserve(books)? else { return Ok(None) };
            self.reserve_runs(identity, &entries).await?;
        }
        Err(ConversationError::NotGranted.into())
    }

    /// Sees to it that so many stamps of a book are at hand before a letter asks for them, or as many as are left. False if
    /// none are.
    pub(super) async fn reserve_ahead(
        &self,
        identity: &Identity,
        id: BookId,
        stamps: usize,
    ) -> Result<bool, SendError> {
        let _turn = self.reserving.lock().await;
        for _ in 0..ATTEMPTS {
            let (view, _) = self.state.journal()?;
            let book = self.state.book(id)?.ok_or(LettersError::from(BooksError::Unknown(id)))?;
            let wanted = stamps.min(usize::try_from(self.left(&view, &book)).unwrap_or(usize::MAX));
            if usize::try_from(self.session().at_hand(id)).is_ok_and(|at_hand| at_hand >= wanted) {
                return Ok(wanted > 0);
            }
            let Some(entries) = self.runs_to_reserve(&vec![id; wanted])? else { continue };
            self.reserve_runs(identity, &entries).await?;
        }
        Err(ConversationError::NotGranted.into())
    }

    async fn reserve_runs(&self, identity: &Identity, entries: &[Entry]) -> Result<(), ConversationError> {
        self.step(Step::Reserving);
        self.write_journal(identity, entries).await?;
        self.read_journal(identity).await?;
        self.step(Step::Reserved);
        Ok(())
    }

    /// The entries that ask for what is missing; none if a book does not have it.
    fn runs_to_reserve(&self, books: &[BookId]) -> Result<Option<Vec<Entry>>, SendError> {
        let (view, _) = self.state.journal()?;
        let (session, installation) = (self.session(), self.state.installation());
        let mut entries = Vec::new();
        for (place, id) in books.iter().enumerate() {
            if books[..place].contains(id) {
                continue;
            }
            let wanted = u32::try_from(books.iter().filter(|it| *it == id).count()).unwrap_or(u32::MAX);
            let missing = wanted.saturating_sub(session.at_hand(*id));
            if missing == 0 {
                continue;
            }
            let book = self.state.book(*id)?.ok_or(LettersError::from(BooksError::Unknown(*id)))?;
            let known = known(&book).ok_or(LettersError::from(BooksError::NotBought(*id)))?;
            let unused = unused(&view, &known);
            let left = free(installation, &known, unused.clone(), book.taken);
            let count = missing.max(self.run_length.into());
            let run = session.run_to_reserve(installation, &known, unused, book.taken, count);
            let Some(run) = run.filter(|_| left.end - left.start >= missing) else { return Ok(None) };
            if view.books().get(*id).is_none() {
                entries.push(Entry::Book(known));
            }
            entries.push(Entry::Run(run));
        }
        Ok(Some(entries))
    }

    /// How many stamps of a book this session can use, or reserve.
    pub(super) fn left(&self, view: &View, book: &Book) -> u32 {
        let Some(known) = known(book) else { return book.count.get() };
        let free = free(self.state.installation(), &known, unused(view, &known), book.taken);
        self.session().at_hand(book.id) + (free.end - free.start)
    }

    /// Tells the account's other installations of the books that were bought here, once they are, and of the stamps of them that
    /// were used when there was no journal.
    pub(crate) async fn journal_books(&self, identity: &Identity) -> Result<(), ConversationError> {
        let (view, _) = self.state.journal()?;
        let mut untold = Vec::new();
        for book in self.state.books()?.into_iter().filter(|book| !book.taken_over) {
            let Some(known) = known(&book).filter(|known| view.books().is_good(known)) else { continue };
            if view.books().get(known.id) != Some(&known) {
                untold.push(Entry::Book(known));
            }
            let used = self.session().run_of_used(self.state.installation(), &known, unused(&view, &known), book.taken);
            untold.extend(used.map(Entry::Run));
        }
        self.tell(identity, &untold).await
    }

    /// Tells the account's other installations, if it has joined and the node keeps a journal.
    pub(super) async fn tell(&self, identity: &Identity, untold: &[Entry]) -> Result<(), ConversationError> {
        if untold.is_empty() || !self.keeps_journal().await? || !self.has_joined().await? {
            return Ok(());
        }
        self.step(Step::Journaling);
        self.write_journal(identity, untold).await?;
        self.read_journal(identity).await?;
        self.step(Step::Journaled);
        Ok(())
    }

    /// Whether the node keeps a journal, as it does if it has members: only they can open one.
    pub(super) async fn keeps_journal(&self) -> Result<bool, TransportError> {
        Ok(self.node().await?.network().member_limit.is_some())
    }

    /// Takes in what the journal granted. Whoever reads sees to it that each entry is read once.
    pub(super) fn receive(&self, grants: Vec<Grant>) -> Result<(), StateError> {
        for grant in grants {
            let Some(id) = self.session().book_of(&grant) else { continue };
            let Some(book) = self.state.book(id)? else { continue };
            let Some(known) = known(&book) else { continue };
            self.session().receive(grant, &known, book.taken);
        }
        Ok(())
    }

    /// Never held while something is waited for.
    pub(super) fn session(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As the journal tells of it; none before it was bought.
pub(super) fn known(book: &Book) -> Option<KnownBook> {
    let Book { id, denomination, count, .. } = *book;
    Some(KnownBook { id, denomination, count, bought: book.bought()? })
}

fn unused(view: &View, book: &KnownBook) -> Range<u32> {
    view.books().unused(book.id).unwrap_or_else(|| 0..book.count.get())
}
