//! Stamps, prepared while there is nothing to send (docs/protocol.md, "Franking ahead of time").
//!
//! Nothing here shows anything to anybody but what asking for a path shows: which bucket, on a connection of its own, and not
//! when a letter is sent. What goes wrong costs a letter half a second, and is tried again.

use std::convert::Infallible;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chacha20::ChaCha20Rng;
use chacha20::rand_core::SeedableRng;
use xmtp_proto::account::Account;
use xmtp_proto::derive;
use xmtp_proto::topic::Topic;
use xmtp_prover::Plate;

use super::{Client, ProvingKeyError, SendError};
use crate::franking::{Demand, FrankError, Ground, STOCK, Stock, Towards, choose, external_nullifier, find_path};
use crate::identity::Identity;
use crate::keys::random;
use crate::state::BookId;
use crate::transport::{Role, RootKind};

/// How often [`Client::keep_prepared`] looks for itself whether blanks or their checkpoints are too old.
const LOOK_INTERVAL: Duration = Duration::from_secs(3_600);
/// How long it leaves a node alone that could not be asked.
const RETRY_INTERVAL: Duration = Duration::from_secs(60);

impl Client {
    /// Prepares stamps for letters to whoever comes next: [`STOCK`] of each book that a letter of one unit would take a stamp
    /// of. A prepared stamp is franked in two milliseconds, most of which goes into verifying it. Returns how many were made
    /// now.
    ///
    /// Books that no daily checkpoint has yet are left out: under a fresh root, a blank would say when it was made.
    ///
    /// # Errors
    /// [`SendError`]; what was prepared before stays.
    pub async fn prepare_stamps(&self) -> Result<usize, SendError> {
        self.fill(false).await
    }

    /// Prepares the stamps of a letter to somebody, if they are to show a pseudonym to that account alone; else as
    /// [`Self::prepare_stamps`]. For when a recipient has been chosen and the letter is being written.
    ///
    /// # Errors
    /// [`SendError`], if the account cannot be written to. What no stamps suffice for is no error yet.
    pub async fn prepare_stamps_for(&self, to: Account) -> Result<usize, SendError> {
        let connection = self.connection(Role::AskingAndFranking).await?;
        let recipient = self.ask(&connection, to).await?;
        let holdings = self.holdings(Some(&recipient), self.node().await?.network())?;
        let Some(choice) = choose(&recipient.demand(1), &holdings.all) else { return Ok(0) };
        if choice.cost.tagged == 0 {
            return self.fill(false).await;
        }
        let identity = self.identity()??;
        let towards = Towards::One(derive::scope(self.network, &Topic::Invite(to)));
        let chosen = holdings.books(&choice);
        let mut made = 0;
        for (place, book) in chosen.iter().enumerate() {
            if !chosen[..place].contains(book) {
                let stamps = chosen.iter().filter(|it| *it == book).count();
                made += self.fill_shelf(&identity, *book, stamps, towards, false).await?;
            }
        }
        Ok(made)
    }

    /// How many stamps are prepared, whoever for.
    #[must_use]
    pub fn prepared_stamps(&self) -> usize {
        self.stock().len()
    }

    /// Keeps stamps prepared for as long as it is polled, beside whatever else the application does. What cannot be done now
    /// is tried again.
    ///
    /// Begins with tables that make all proofs of this client cheaper: three seconds of computation, on two cores if they are
    /// there. From then on it does one thing at a time and rests for as long as that took: half of one core at most.
    ///
    /// ```no_run
    /// # async fn example(client: xmtp_sdk::client::Client, letters: impl Future<Output = ()>) {
    /// tokio::select! {
    ///     never = client.keep_prepared() => match never {},
    ///     () = letters => {}
    /// }
    /// # }
    /// ```
    pub async fn keep_prepared(&self) -> Infallible {
        if let Ok(keys) = self.keys().await {
            // Worth it for who makes many; if it is broken off, blanks take twice the time.
            let _ = tokio::task::spawn_blocking(move || keys.proving.precompute()).await;
        }
        loop {
            let wait = match self.fill(true).await {
                Ok(_) => LOOK_INTERVAL,
                Err(_) => RETRY_INTERVAL,
            };
            // Too early is as good as late: then nothing is missing.
            let _ = tokio::time::timeout(wait, self.stamp_taken.notified()).await;
        }
    }

    /// Fills the shelves of the books that a letter to a stranger would take stamps of.
    async fn fill(&self, restful: bool) -> Result<usize, SendError> {
        let identity = self.identity()??;
        let network = self.node().await?.network();
        let holdings = self.holdings(None, network)?;
        let demand = Demand::new(&network.invite_requirement, None, 1);
        let Some(choice) = choose(&demand, &holdings.all) else { return Ok(0) };
        let chosen = holdings.books(&choice);
        let mut made = 0;
        for (place, book) in chosen.iter().enumerate() {
            if !chosen[..place].contains(book) {
                made += self.fill_shelf(&identity, *book, STOCK, Towards::Anybody, restful).await?;
            }
        }
        Ok(made)
    }

    /// Makes blanks for the next stamps of a book. For a node without a journal none: no run says whose its indices are.
    async fn fill_shelf(
        &self,
        identity: &Identity,
        book: BookId,
        stamps: usize,
        towards: Towards,
        restful: bool,
    ) -> Result<usize, SendError> {
        let mut made = 0;
        if !self.keeps_journal().await? || !self.reserve_ahead(identity, book, stamps).await? {
            return Ok(made);
        }
        let begun = Instant::now();
        let Some(ground) = self.ground(identity, book).await? else { return Ok(made) };
        if restful {
            tokio::time::sleep(begun.elapsed()).await;
        }
        let (_, group, _) = self.book(book)?;
        let external_nullifier = external_nullifier(self.place(), group);
        loop {
            let coming = self.session().coming(book, stamps.max(STOCK));
            let wanted = &coming[..coming.len().min(stamps)];
            self.stock().tidy(book, &coming, self.now());
            let Some(index) = self.stock().missing(book, wanted, towards) else { return Ok(made) };
            let scope = match towards {
                Towards::Anybody => crate::franking::random_scope()?,
                Towards::One(scope) => scope,
            };
            let mut rng = ChaCha20Rng::from_seed(*random()?);
            let (plate, begun) = (Arc::clone(&ground.plate), Instant::now());
            let blank =
                tokio::task::spawn_blocking(move || plate.blank(external_nullifier, index, scope, &mut rng)).await;
            let blank = blank.map_err(|_| ProvingKeyError::Interrupted)?.map_err(FrankError::from)?;
            // A letter may have taken the stamp meanwhile, and made its own proof: then this one is never shown.
            if self.session().coming(book, stamps.max(STOCK)).contains(&index) {
                self.stock().keep(book, towards, &ground, blank);
                made += 1;
            }
            if restful {
                tokio::time::sleep(begun.elapsed()).await;
            }
        }
    }

    /// What a book's blanks are made from: its leaf under the newest checkpoint. None if no checkpoint has it yet.
    async fn ground(&self, identity: &Identity, id: BookId) -> Result<Option<Ground>, SendError> {
        let now = self.now();
        if let Some(ground) = self.stock().ground(id, now) {
            return Ok(Some(ground));
        }
        let (book, group, position) = self.book(id)?;
        let secret = identity.postal_seed().book_secret(&id.installation, id.counter);
        let leaf = crate::franking::leaf_of(&secret, book.count);
        // A connection of its own: what it asks is not asked together with a letter.
        let connection = self.connection(Role::AskingAndFranking).await?;
        let (root, path) = match find_path(&connection, group, position, leaf).await {
            Ok(found) => found,
            Err(FrankError::NotYetRooted) => return Ok(None),
            Err(FrankError::WrongBucket) => {
                // The next time, if it was moved.
                self.look_again(id).await?;
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        if root.kind != RootKind::Checkpoint {
            return Ok(None);
        }
        let keys = self.keys().await?;
        let (count, of_leaf) = (book.count, path.clone());
        let plate = tokio::task::spawn_blocking(move || Plate::new(&keys.proving, &secret, count, &of_leaf)).await;
        let plate = plate.map_err(|_| ProvingKeyError::Interrupted)?.map_err(FrankError::from)?;
        let ground = Ground { root, path, plate: Arc::new(plate), since: now };
        self.stock().lay(id, ground.clone());
        Ok(Some(ground))
    }

    /// Never held while something is waited for.
    pub(super) fn stock(&self) -> MutexGuard<'_, Stock> {
        self.stock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
