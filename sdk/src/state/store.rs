//! The database and the sealing. The only file that names redb.

use std::path::Path;

use alloy::signers::Signer;
use redb::backends::FileBackend;
use redb::{
    Builder, Database, Durability, ReadableDatabase as _, ReadableTable as _, TableDefinition, WriteTransaction,
};
use xmtp_proto::derive::NetworkId;
use zeroize::Zeroizing;

use super::{StateError, folder};
use crate::keys::{InstallationId, derive, random};
use crate::layout::{Unreadable, join, length};
use crate::seal::{NONCE_BYTES, SealKey};
use crate::wallet::{self, Opens};

/// Changes with the layout of any entry.
pub(super) const FORMAT: u32 = 4;

const VALUES: &[u8] = b"xmtp/key/state/1";
const NAMES: &[u8] = b"xmtp/key/names/1";
const ENTRY: &[u8] = b"xmtp/state/1";

/// What must be known before there is a key: the format and the salt.
const HEAD: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("head");
const HEAD_FORMAT: &str = "format";
const HEAD_SALT: &str = "salt";

/// A kind of entry.
#[derive(Clone, Copy)]
pub(super) enum Table {
    /// The installation's name; also tells a wrong key from damage.
    Installation,
    Identity,
    Books,
    /// Which index of which book belongs to which envelope.
    Uses,
    Outbox,
    /// The first key bundle, and the stamps that belong to it.
    Joining,
    Inbox,
    /// What was counted: the next book or stake.
    Counters,
    /// How far an account's own topics were read.
    Cursors,
    /// The newest bundles and policies seen.
    Seen,
    /// The letters whose conversations were begun or accepted here or elsewhere.
    Conversations,
    /// Messages on their way.
    Posts,
    /// Openings on their way.
    Openings,
    /// Which messages were read.
    Messages,
    /// What the journal says, and how far it was read.
    Journal,
    /// How far the log was read for which conversation.
    Reading,
    /// The records of conversations.
    Records,
    /// Which record brought which signed message first, and how many records of a conversation were looked at for that.
    Signed,
    /// Which index of which membership belongs to which envelope, and where the leaf was.
    Memberships,
    Stakes,
    /// Which index of which stake's day belongs to which envelope, and the other way round.
    StakeUses,
    /// What was said about writing to one another.
    Words,
    /// Letters with stamps that were read: whether the node was told.
    Receipts,
}

impl Table {
    const fn name(self) -> &'static str {
        match self {
            Self::Installation => "installation",
            Self::Identity => "identity",
            Self::Books => "books",
            Self::Uses => "uses",
            Self::Outbox => "outbox",
            Self::Joining => "joining",
            Self::Inbox => "inbox",
            Self::Counters => "counters",
            Self::Cursors => "cursors",
            Self::Seen => "seen",
            Self::Conversations => "conversations",
            Self::Posts => "posts",
            Self::Openings => "openings",
            Self::Messages => "messages",
            Self::Journal => "journal",
            Self::Reading => "reading",
            Self::Records => "records",
            Self::Signed => "signed",
            Self::Memberships => "memberships",
            Self::Stakes => "stakes",
            Self::StakeUses => "stake_uses",
            Self::Words => "words",
            Self::Receipts => "receipts",
        }
    }

    const fn definition(self) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
        TableDefinition::new(self.name())
    }

    const fn damaged(self) -> StateError {
        StateError::Damaged { table: self.name() }
    }
}

/// Sealed entries under hashed names.
pub(super) struct Store {
    database: Database,
    sealing: Sealing,
}

struct Sealing {
    values: SealKey,
    names: Zeroizing<[u8; 32]>,
}

/// The entries, inside one transaction: all that is put is on disk together, or nothing.
pub(super) struct Entries<'a> {
    transaction: &'a WriteTransaction,
    sealing: &'a Sealing,
}

impl Store {
    pub(super) async fn open<S: Signer + Sync + ?Sized>(
        folder: &Path,
        network: NetworkId,
        wallet: &S,
    ) -> Result<(Self, InstallationId), StateError> {
        let path = folder.join("state.redb");
        let file = folder::open(&path).map_err(|source| StateError::Io { path, source })?;
        let file = FileBackend::new(file).map_err(redb::Error::from)?;
        let database = Builder::new().create_with_backend(file).map_err(redb::Error::from)?;
        folder::sync(folder)?;
        let text = |salt| wallet::unlocking_text(Opens::State, wallet::account_of(wallet), network, salt);

        if let Some(salt) = salt(&database)? {
            let signature = wallet::sign(wallet, &text(&salt)).await?;
            let it = Self { database, sealing: Sealing::new(&*signature) };
            let read = |bytes: &[u8]| bytes.try_into().map(|id: [u8; 16]| id.into()).map_err(|_| Unreadable);
            return match it.read(Table::Installation, &[], read) {
                Ok(Some(installation)) => Ok((it, installation)),
                Ok(None) | Err(StateError::Damaged { .. }) => Err(StateError::WrongKey),
                Err(error) => Err(error),
            };
        }

        let salt = *random::<32>()?;
        let signature = wallet::sign_repeatably(wallet, &text(&salt)).await?;
        let it = Self { database, sealing: Sealing::new(&*signature) };
        let installation = InstallationId::random()?;
        it.write(|entries| {
            let mut head = entries.transaction.open_table(HEAD).map_err(redb::Error::from)?;
            head.insert(HEAD_FORMAT, FORMAT.to_be_bytes().as_slice()).map_err(redb::Error::from)?;
            head.insert(HEAD_SALT, salt.as_slice()).map_err(redb::Error::from)?;
            entries.put(Table::Installation, &[], installation.as_bytes())
        })?;
        Ok((it, installation))
    }

    /// One entry, decoded.
    pub(super) fn read<T>(
        &self,
        table: Table,
        name: &[u8],
        decode: impl FnOnce(&[u8]) -> Result<T, Unreadable>,
    ) -> Result<Option<T>, StateError> {
        let transaction = self.database.begin_read().map_err(redb::Error::from)?;
        let entries = match transaction.open_table(table.definition()) {
            Ok(entries) => entries,
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
            Err(error) => return Err(redb::Error::from(error).into()),
        };
        let name = self.sealing.name(table, name);
        let Some(sealed) = entries.get(name.as_slice()).map_err(redb::Error::from)? else { return Ok(None) };
        let value = self.sealing.open(table, name.as_slice(), sealed.value())?;
        decode(&value).map(Some).map_err(|Unreadable| table.damaged())
    }

    /// All entries of a table, decoded, in no order that means anything.
    pub(super) fn read_all<T>(
        &self,
        table: Table,
        decode: impl Fn(&[u8]) -> Result<T, Unreadable>,
    ) -> Result<Vec<T>, StateError> {
        let transaction = self.database.begin_read().map_err(redb::Error::from)?;
        let entries = match transaction.open_table(table.definition()) {
            Ok(entries) => entries,
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
            Err(error) => return Err(redb::Error::from(error).into()),
        };
        entries
            .iter()
            .map_err(redb::Error::from)?
            .map(|entry| {
                let (name, sealed) = entry.map_err(redb::Error::from)?;
                let value = self.sealing.open(table, name.value(), sealed.value())?;
                decode(&value).map_err(|Unreadable| table.damaged())
            })
            .collect()
    }

    /// Changes entries, durably and at once, unless the change fails.
    pub(super) fn write<T, E: From<StateError>>(
        &self,
        change: impl FnOnce(&Entries<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let failed = |error: redb::Error| E::from(StateError::Database(error));
        let mut transaction = self.database.begin_write().map_err(|error| failed(error.into()))?;
        transaction.set_durability(Durability::Immediate).map_err(|error| failed(error.into()))?;
        let changed = change(&Entries { transaction: &transaction, sealing: &self.sealing })?;
        transaction.commit().map_err(|error| failed(error.into()))?;
        Ok(changed)
    }
}

/// What somebody with the file, and without the key, can do to it.
#[cfg(test)]
impl Store {
    pub(super) fn set_format(&self, format: u32) {
        let transaction = self.database.begin_write().unwrap();
        transaction.open_table(HEAD).unwrap().insert(HEAD_FORMAT, format.to_be_bytes().as_slice()).unwrap();
        transaction.commit().unwrap();
    }

    /// Gives the first two entries of a table each other's values.
    pub(super) fn swap_values(&self, table: Table) {
        let transaction = self.database.begin_write().unwrap();
        {
            let mut entries = transaction.open_table(table.definition()).unwrap();
            let pairs: Vec<_> = entries
                .iter()
                .unwrap()
                .map(|entry| entry.map(|(name, value)| (name.value().to_vec(), value.value().to_vec())).unwrap())
                .collect();
            entries.insert(pairs[0].0.as_slice(), pairs[1].1.as_slice()).unwrap();
            entries.insert(pairs[1].0.as_slice(), pairs[0].1.as_slice()).unwrap();
        }
        transaction.commit().unwrap();
    }
}

impl Entries<'_> {
    pub(super) fn get<T>(
        &self,
        table: Table,
        name: &[u8],
        decode: impl FnOnce(&[u8]) -> Result<T, Unreadable>,
    ) -> Result<Option<T>, StateError> {
        let entries = self.transaction.open_table(table.definition()).map_err(redb::Error::from)?;
        let name = self.sealing.name(table, name);
        let Some(sealed) = entries.get(name.as_slice()).map_err(redb::Error::from)? else { return Ok(None) };
        let value = self.sealing.open(table, name.as_slice(), sealed.value())?;
        decode(&value).map(Some).map_err(|Unreadable| table.damaged())
    }

    pub(super) fn put(&self, table: Table, name: &[u8], value: &[u8]) -> Result<(), StateError> {
        let name = self.sealing.name(table, name);
        let sealed = self.sealing.seal(table, name.as_slice(), value)?;
        let mut entries = self.transaction.open_table(table.definition()).map_err(redb::Error::from)?;
        entries.insert(name.as_slice(), sealed.as_slice()).map_err(redb::Error::from)?;
        Ok(())
    }

    pub(super) fn remove(&self, table: Table, name: &[u8]) -> Result<(), StateError> {
        let name = self.sealing.name(table, name);
        let mut entries = self.transaction.open_table(table.definition()).map_err(redb::Error::from)?;
        entries.remove(name.as_slice()).map_err(redb::Error::from)?;
        Ok(())
    }
}

impl Sealing {
    fn new(signature: &[u8]) -> Self {
        Self { values: SealKey::new(&derive(VALUES, signature, &[])), names: derive(NAMES, signature, &[]) }
    }

    /// 32 bytes that tell nothing of the name.
    fn name(&self, table: Table, name: &[u8]) -> Zeroizing<[u8; 32]> {
        let table = table.name().as_bytes();
        derive(ENTRY, &*self.names, &[&length(table), table, name])
    }

    /// Nonce 24, then what was sealed, bound to the entry's place.
    fn seal(&self, table: Table, name: &[u8], value: &[u8]) -> Result<Vec<u8>, StateError> {
        let (nonce, sealed) = self.values.seal(value, &place(table, name))?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    fn open(&self, table: Table, name: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, StateError> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or_else(|| table.damaged())?;
        self.values.open(nonce, sealed, &place(table, name)).map_err(|_| table.damaged())
    }
}

/// Label `xmtp/state/1`, format u32, length of the table's name u32, the table's name, the entry's hashed name 32.
fn place(table: Table, name: &[u8]) -> Zeroizing<Vec<u8>> {
    let table = table.name().as_bytes();
    join(&[ENTRY, &FORMAT.to_be_bytes(), &length(table), table, name])
}

/// The salt, or nothing if the database is new.
fn salt(database: &Database) -> Result<Option<[u8; 32]>, StateError> {
    let damaged = StateError::Damaged { table: "head" };
    let transaction = database.begin_read().map_err(redb::Error::from)?;
    let head = match transaction.open_table(HEAD) {
        Ok(head) => head,
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
        Err(error) => return Err(redb::Error::from(error).into()),
    };
    let read = |name| head.get(name).map(|value| value.map(|value| value.value().to_vec())).map_err(redb::Error::from);
    let format = read(HEAD_FORMAT)?.and_then(|bytes| Some(u32::from_be_bytes(bytes.try_into().ok()?)));
    match format {
        Some(FORMAT) => read(HEAD_SALT)?.and_then(|bytes| bytes.try_into().ok()).map(Some).ok_or(damaged),
        Some(got) => Err(StateError::Format { got, known: FORMAT }),
        None => Err(damaged),
    }
}
