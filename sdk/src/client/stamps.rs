//! Books: buying them, finding those again whose purchase was cut short, and what is left of them.

use alloy::primitives::TxHash;
use alloy::signers::Signer;
use xmtp_contracts::Deployment;
use xmtp_proto::derive::{Denomination, Issue};
use xmtp_prover::Limit;

use super::{Client, NoIdentity, StakingError, Step};
use crate::chain::{BuyError, Chain, Quote};
use crate::conversation::ConversationError;
use crate::journal::{KnownBook, View};
use crate::state::{Book, BookId, BooksError, Bought, Purchase, StateError};

/// A book that was just bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoughtBook {
    /// The book.
    pub book: Book,
    /// Where the chain has it.
    pub bought: Bought,
    /// What was paid.
    pub quote: Quote,
    /// The transaction; none if one from before was found to have gone through.
    pub transaction: Option<TxHash>,
}

/// A book of the account, and how far its purchase is as far as could be found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BookStatus {
    /// The book.
    pub book: Book,
    /// Stamps that no session has used or reserved, and those that this one has reserved.
    pub left: u32,
    /// Who uses it.
    pub keeper: Keeper,
    /// Until when its stamps are good, in seconds since the Unix epoch; none before it was bought.
    pub valid_until: Option<u64>,
}

/// Who uses a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeper {
    /// This installation, which bought it.
    Here,
    /// This installation, which took it over from another.
    TakenOver,
    /// Another installation of the account. If that is gone, take it over.
    Elsewhere,
}

/// No book was bought.
#[derive(Debug, thiserror::Error)]
pub enum BuyStampsError {
    /// Stamps belong to an identity: their secrets derive from it.
    #[error(transparent)]
    NoIdentity(#[from] NoIdentity),
    /// The client was given no endpoint of the chain. The user's to mend.
    #[error("buying takes the chain's JSON-RPC endpoint, and none was given")]
    NoRpc,
    /// See there.
    #[error(transparent)]
    Buy(#[from] BuyError),
    /// See there.
    #[error(transparent)]
    Books(#[from] BooksError),
    /// See there.
    #[error(transparent)]
    State(#[from] StateError),
}

/// The book was not taken over.
#[derive(Debug, thiserror::Error)]
pub enum TakeOverError {
    /// See there.
    #[error(transparent)]
    NoIdentity(#[from] NoIdentity),
    /// The journal does not know it, or its stamps are good no more. The user's to mend: look at the list.
    #[error("the account's journal knows no book {0} whose stamps are good")]
    Unknown(BookId),
    /// It was bought here, and needs no taking over. The user's to mend.
    #[error("book {0} was bought by this installation")]
    Own(BookId),
    /// The journal was not read.
    #[error(transparent)]
    Journal(#[from] ConversationError),
    /// See there.
    #[error(transparent)]
    State(#[from] StateError),
}

impl Client {
    /// Buys a book. If an earlier purchase of the same kind was cut short, that one is finished instead: nothing is ever
    /// paid twice.
    ///
    /// # Errors
    /// [`BuyStampsError`].
    pub async fn buy_stamps(&self, denomination: Denomination, count: Limit) -> Result<BoughtBook, BuyStampsError> {
        let identity = self.identity()??;
        let chain = self.chain.as_ref().ok_or(BuyStampsError::NoRpc)?;
        self.step(Step::Buying);
        let unfinished = self
            .state
            .books()?
            .into_iter()
            // What another installation bought is its own to finish.
            .filter(|book| is_unfinished(book) && !book.taken_over)
            .find(|book| (book.denomination, book.count) == (denomination, count));
        let book = match unfinished {
            Some(book) => book,
            None => {
                // What cannot be paid for need not be remembered.
                chain.check_balance(Signer::address(&*self.wallet), denomination, count).await?;
                self.state.intend_book(&identity, denomination, count)?
            }
        };
        let (book, bought, transaction) = match self.look_for(chain, &book).await? {
            Some((book, bought)) => (book, bought, None),
            None => self.pay(chain, &book).await?,
        };
        self.care_for_journal(&identity).await?;
        let quote = Quote::of(chain.deployment(), denomination, count.get());
        Ok(BoughtBook { book, bought, quote, transaction })
    }

    /// Uses a book of another installation here too, from its highest index downwards. For one whose installation is gone,
    /// **on the owner's word**; if it is not gone, both can go on, and never use one stamp twice.
    ///
    /// # Errors
    /// [`TakeOverError`].
    pub async fn take_over(&self, book: BookId) -> Result<BookStatus, TakeOverError> {
        let identity = self.identity()??;
        if book.installation == self.state.installation() {
            return Err(TakeOverError::Own(book));
        }
        let view = self.read_journal(&identity).await?;
        let known = view.books().get(book).filter(|known| self.is_good(known.bought.issue));
        let known = known.ok_or(TakeOverError::Unknown(book))?;
        let book = self.state.take_over_book(&identity, known)?;
        Ok(self.status(&view, book))
    }

    /// The books of this installation, the oldest first, then those of the account's others that are good. Asks the chain about
    /// all but those whose time is over, and reads the journal, if it can.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn books(&self) -> Result<Vec<BookStatus>, StateError> {
        self.look_for_each(|book| book.bought().is_none_or(|it| self.is_good(it.issue))).await?;
        let books = self.state.books()?;
        let Some(identity) = self.state.identity()? else { return Ok(Vec::new()) };
        if let Err(ConversationError::State(error)) = self.read_journal(&identity).await {
            return Err(error);
        }
        let (view, _) = self.state.journal()?;
        let is_here = |known: &KnownBook| books.iter().any(|book| book.id == known.id);
        let others = view.books().iter().filter(|known| !is_here(known) && self.is_good(known.bought.issue));
        let others = others.map(|known| known.book(&identity));
        Ok(books.iter().copied().chain(others).map(|book| self.status(&view, book)).collect())
    }

    fn status(&self, view: &View, book: Book) -> BookStatus {
        let keeper = match book {
            Book { id, .. } if id.installation == self.state.installation() => Keeper::Here,
            Book { taken_over: true, .. } => Keeper::TakenOver,
            _ => Keeper::Elsewhere,
        };
        BookStatus {
            book,
            left: self.left(view, &book),
            keeper,
            valid_until: book.bought().map(|it| valid_until(&self.deployment, it.issue)),
        }
    }

    pub(super) fn is_good(&self, issue: Issue) -> bool {
        let current = Issue::at(self.clock.now(), self.deployment.issue_seconds.into());
        // The chain's clock may run ahead of ours.
        issue.valid_in(current) || issue.0 == current.0.saturating_add(1)
    }

    /// Asks the chain about purchases that were cut short.
    pub(super) async fn look_for_unfinished(&self) -> Result<(), StateError> {
        self.look_for_each(is_unfinished).await
    }

    /// Asks the chain about some of the books. Its silence leaves them as they are.
    async fn look_for_each(&self, which: impl Fn(&Book) -> bool) -> Result<(), StateError> {
        let Some(chain) = &self.chain else { return Ok(()) };
        for book in self.state.books()?.into_iter().filter(which) {
            match self.look_for(chain, &book).await {
                Err(BuyStampsError::State(error)) => return Err(error),
                // An answer, and about this book alone.
                Ok(_) | Err(BuyStampsError::Buy(BuyError::CommitmentUsed)) => {}
                Err(_) => return Ok(()),
            }
        }
        Ok(())
    }

    /// Sends the transaction, writes it down, and waits for it. None if one from before bought the book.
    async fn pay(&self, chain: &Chain, book: &Book) -> Result<(Book, Bought, Option<TxHash>), BuyStampsError> {
        let submitted = chain.submit(&*self.wallet, book.denomination, book.count, book.commitment).await?;
        let transaction = submitted.transaction();
        self.state.record_purchase(book.id, Purchase::Submitted { transaction })?;
        match chain.confirm(submitted).await {
            // A commitment is taken once: the later of two transactions fails.
            Err(error @ BuyError::Reverted(_)) => {
                if let Some((book, bought)) = self.look_for(chain, book).await? {
                    return Ok((book, bought, None));
                }
                self.state.record_purchase(book.id, Purchase::Failed)?;
                Err(error.into())
            }
            other => {
                other?;
                let (book, bought) = self.look_for(chain, book).await?.ok_or(BuyError::Pending(transaction))?;
                Ok((book, bought, Some(transaction)))
            }
        }
    }

    /// Asks the chain where a book or a stake is now, for a reorganisation can move it, or take it away. Its silence leaves it
    /// as it is.
    pub(super) async fn look_again(&self, id: BookId) -> Result<(), StateError> {
        let Some(chain) = &self.chain else { return Ok(()) };
        if let Some(stake) = self.state.stake(id)? {
            if let Err(StakingError::State(error)) = self.look_for_stake(chain, &stake).await {
                return Err(error);
            }
        } else {
            self.look_for_each(|book| book.id == id).await?;
        }
        Ok(())
    }

    /// Asks the chain for a book by its commitment, and writes down where it is.
    async fn look_for(&self, chain: &Chain, book: &Book) -> Result<Option<(Book, Bought)>, BuyStampsError> {
        let Some(found) = chain.book(book.commitment).await? else {
            if book.bought().is_some() {
                // A reorganisation took it away, and may bring it again.
                self.state.record_purchase(book.id, Purchase::Intended)?;
            }
            return Ok(None);
        };
        if (found.group.denomination, found.count) != (book.denomination, book.count) {
            // Bought by somebody else who saw our commitment: theirs is another leaf than ours would be.
            self.state.record_purchase(book.id, Purchase::Failed)?;
            return Err(BuyError::CommitmentUsed.into());
        }
        let bought = Bought { issue: found.group.issue, position: found.position };
        if book.bought().is_some_and(|before| before != bought) {
            // What was prepared is for where it was.
            self.stock().give_up(book.id);
        }
        let book = self.state.record_purchase(book.id, Purchase::Bought(bought))?;
        Ok(Some((book, bought)))
    }
}

const fn is_unfinished(book: &Book) -> bool {
    matches!(book.purchase, Purchase::Intended | Purchase::Submitted { .. })
}

/// The end of the fourth issue after a book's own.
fn valid_until(deployment: &Deployment, issue: Issue) -> u64 {
    (u64::from(issue.0) + u64::from(Issue::VALID_AFTER) + 1) * u64::from(deployment.issue_seconds)
}
