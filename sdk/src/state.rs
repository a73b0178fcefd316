//! What a client remembers, on disk: one folder per network and account (docs/protocol.md, "Identities and keys",
//! "Installations"; docs/decisions/0006-redb-in-the-client.md).
//!
//! ```text
//! base/<network id>/<account>/        0700
//!     lock                            held while a process uses the state; others wait
//!     state.redb                      every commit is on disk when it returns
//! ```
//!
//! Values are sealed under a key that the wallet can make again from a salt that lies beside them, and bound to the name of
//! their entry, so that none can be put in another's place. The names are hashed under a key of their own: who reads the
//! file learns neither what one wrote nor to whom. What nobody here can prevent is that the whole folder is replaced by an
//! older copy of itself.
//!
//! | part | remembers |
//! |---|---|
//! | `books` | the books of stamps, from the wish to buy on, and which index of which went with which envelope |
//! | `stakes` | the stakes, and which index of which day went with which envelope |
//! | `letters` | the letters sent, with the bytes that a retry sends again, and those received, with how far was read |
//! | `joining` | the first key bundle that something goes with, and which stamps |
//! | `conversations` | which letters' conversations were begun or accepted, what is on its way in them, and what was read |
//! | `reading` | the records of conversations, and how far the log was read for each |
//! | `signed` | which record brought each signed message first |
//! | `journal` | what the journal says, and which index of a membership went with which envelope |
//! | `receipts` | which letters with stamps were read, and whether the node was told |
//! | `words` | who may write to whom, as was said in conversations |
//! | `seen` | the newest bundle and policy of every account, so that no node can roll one back |
//! | `folder`, `store` | the folder and its lock; the database and the sealing |
//!
//! The methods block for as long as an fsync takes.

mod books;
mod conversations;
mod folder;
mod joining;
mod journal;
mod letters;
mod reading;
mod receipts;
mod seen;
mod signed;
mod stakes;
mod store;
mod words;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use alloy::signers::Signer;
use xmtp_proto::account::Account;
use xmtp_proto::derive::NetworkId;

pub use books::{Book, BookId, BooksError, Bought, InvalidBookId, Purchase, StampUse, Supply};
pub use conversations::{JournalCopy, Kept};
pub use joining::Joining;
pub use journal::{ClaimIndex, MemberIndex, MembershipsError, SharedIndex};
pub use letters::{Delivery, Letter, LettersError, Outgoing};
pub use seen::{Order, Record, RememberError, Seen};
pub use stakes::{Lock, Stake, StakesError};
pub use words::{KeptWord, Said, Word};

use crate::identity::Identity;
use crate::keys::{InstallationId, NoRandomness};
use crate::wallet::{self, WalletError};
use store::{Store, Table};

/// The state of one account on one network. One process has it at a time.
pub struct State {
    // Before the lock, so that the database is closed when the lock is let go.
    store: Store,
    _lock: File,
    folder: PathBuf,
    network: NetworkId,
    account: Account,
    installation: InstallationId,
}

/// The state cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// A file or folder cannot be made, read or locked. The user's to mend.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others may read the folder. The user's to mend.
    #[error("{path} has mode {mode:03o}, so others can get at it: `chmod 700` it")]
    Permissions {
        /// Which.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// See there.
    #[error(transparent)]
    Wallet(#[from] WalletError),
    /// See there.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// Written by a later version of this program. Use that one.
    #[error("the state has format {got}, and this program knows {known}: use the program that wrote it")]
    Format {
        /// What the file says.
        got: u32,
        /// What is known here.
        known: u32,
    },
    /// The wallet's signature does not open the state: it was made with another wallet, or by one that signs in several
    /// ways, or the file is damaged. The user's to mend.
    #[error("the state does not open with this wallet's signature")]
    WrongKey,
    /// An entry was altered, or moved to another's place, or is of no known layout: the file is damaged. Restore from the
    /// vault into an empty folder.
    #[error("the state is damaged: an entry of `{table}` does not open")]
    Damaged {
        /// The table.
        table: &'static str,
    },
    /// The identity is of another account or network than this state. The caller's fault.
    #[error("the identity belongs to another account or network than this state")]
    OtherAccount,
    /// The database failed: the disk is full or broken, as a rule.
    #[error("the state's database: {0}")]
    Database(#[from] redb::Error),
}

impl State {
    /// Opens the state of the wallet's account under `base`, and makes it if there is none.
    ///
    /// While another process has it, this waits; `waiting` is then called once. The wallet is asked for one signature, and
    /// for two of the same text when the state is new. To wait or to sign may take a person's time: there is no limit here.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn open<S: Signer + Sync + ?Sized>(
        base: &Path,
        network: NetworkId,
        wallet: &S,
        waiting: impl FnOnce(),
    ) -> Result<Self, StateError> {
        let account = wallet::account_of(wallet);
        let folder = folder::private(base, network, account)?;
        let lock = folder::lock(&folder, waiting).await?;
        let (store, installation) = Store::open(&folder, network, wallet).await?;
        Ok(Self { store, _lock: lock, folder, network, account, installation })
    }

    /// Whose state it is.
    #[must_use]
    pub const fn account(&self) -> Account {
        self.account
    }

    /// On which network.
    #[must_use]
    pub const fn network(&self) -> NetworkId {
        self.network
    }

    /// Where it lies.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The name of this installation, given when the state was made.
    #[must_use]
    pub const fn installation(&self) -> InstallationId {
        self.installation
    }

    /// The private keys, if there are any yet.
    ///
    /// # Errors
    /// [`StateError::Damaged`], [`StateError::Database`].
    pub fn identity(&self) -> Result<Option<Identity>, StateError> {
        self.store.read(Table::Identity, &[], Identity::from_secret_bytes)
    }

    /// Keeps the private keys, in place of those before.
    ///
    /// # Errors
    /// [`StateError::OtherAccount`], [`StateError::NoRandomness`], [`StateError::Database`].
    pub fn save_identity(&self, identity: &Identity) -> Result<(), StateError> {
        if (identity.account(), identity.network()) != (self.account, self.network) {
            return Err(StateError::OtherAccount);
        }
        self.store.write(|entries| entries.put(Table::Identity, &[], &identity.to_secret_bytes()))
    }
}

#[cfg(test)]
mod tests;
