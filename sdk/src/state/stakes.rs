//! Stakes, and which index of which day went with which envelope.
//!
//! A stake is written down before its transaction is made, with the commitment that the chain can be asked for. An index is
//! written down with its envelope before a proof is made: the journal decides who has it, and what is on record here holds
//! besides.

use alloy::primitives::B256;
use xmtp_proto::derive::EnvelopeId;
use xmtp_proto::field::Commitment;
use xmtp_prover::{Limit, Position};

use super::books::{self, BookId};
use super::store::{Entries, Table};
use super::{State, StateError};
use crate::identity::Identity;
use crate::journal::{KnownStake, StakeIndex};
use crate::keys::InstallationId;
use crate::layout::{Reader, Unreadable, join};

/// Tokens that are locked, from the wish to lock them on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stake {
    /// Its name here: stakes and books share one counter, and so one kind of names.
    pub id: BookId,
    /// Which tier.
    pub tier: u32,
    /// Envelopes a day.
    pub limit: Limit,
    /// By this the chain knows it.
    pub commitment: Commitment,
    /// How far it is.
    pub lock: Lock,
}

/// How far a stake is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// Written down; a transaction may be under way. Ask the chain for the commitment before sending another.
    Intended,
    /// A transaction was sent.
    Submitted {
        /// Its hash.
        transaction: B256,
    },
    /// The chain has it.
    Locked {
        /// Where its leaf is.
        position: Position,
    },
    /// Its exit was requested: no passes any more.
    Leaving {
        /// From when on it may be withdrawn, in seconds since the Unix epoch.
        from: u64,
    },
    /// It was withdrawn, or slashed.
    Gone,
    /// The transaction failed, and the chain has no such stake; the commitment is not used again.
    Failed,
    /// Another installation of the account made it. It is not used here, but on the owner's word.
    Elsewhere,
}

/// A stake cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum StakesError {
    /// There is no such stake here. The caller's fault.
    #[error("this installation has no stake {0}")]
    Unknown(BookId),
    /// It has no leaf: the chain does not have it yet, or it was left. Use another.
    #[error("stake {0} is not locked")]
    NotLocked(BookId),
    /// The index belongs to another envelope. Nothing is lost but this index: is the state a copy of another, or does the node
    /// show several journals?
    #[error("index {} of stake {} belongs to another envelope: use another node", .0.index.get(), .0.stake)]
    Taken(StakeIndex),
    /// All indices of the day are taken. Wait for midnight UTC, or use another.
    #[error("stake {0} is used up for today: the count starts anew at midnight UTC")]
    UsedUp(BookId),
    /// This installation uses it already. The caller's fault.
    #[error("this installation has stake {0} already")]
    Here(BookId),
    /// Another installation made it, and only a journal keeps the two from one index. Use a node that has members.
    #[error(
        "stake {0} is shared with another installation, and this node keeps no journal to share it by: use another node"
    )]
    Shared(BookId),
    /// Counters have run out.
    #[error("this installation can make no more stakes")]
    Counters,
    /// See there.
    #[error(transparent)]
    State(#[from] StateError),
}

impl Stake {
    /// What another installation made.
    pub(crate) fn elsewhere(identity: &Identity, KnownStake { id, tier, limit }: KnownStake) -> Self {
        let commitment = identity.postal_seed().book_secret(&id.installation, id.counter).commitment();
        Self { id, tier, limit, commitment, lock: Lock::Elsewhere }
    }

    /// Where its leaf is, while it has one.
    #[must_use]
    pub const fn position(&self) -> Option<Position> {
        match self.lock {
            Lock::Locked { position } => Some(position),
            Lock::Intended
            | Lock::Submitted { .. }
            | Lock::Leaving { .. }
            | Lock::Gone
            | Lock::Failed
            | Lock::Elsewhere => None,
        }
    }
}

impl State {
    /// Writes down the wish to stake, under the next commitment of this installation. Call it before the transaction is made.
    ///
    /// # Errors
    /// [`StakesError::Counters`], [`StakesError::State`].
    pub fn intend_stake(&self, identity: &Identity, tier: u32, limit: Limit) -> Result<Stake, StakesError> {
        if (identity.account(), identity.network()) != (self.account, self.network) {
            return Err(StateError::OtherAccount.into());
        }
        self.store.write(|entries| {
            let counter = books::next_counter(entries)?.ok_or(StakesError::Counters)?;
            let id = BookId { installation: self.installation, counter };
            let commitment = identity.postal_seed().book_secret(&id.installation, counter).commitment();
            let stake = Stake { id, tier, limit, commitment, lock: Lock::Intended };
            entries.put(Table::Stakes, &id.to_bytes(), &stake.to_bytes())?;
            Ok(stake)
        })
    }

    /// Writes down how far a stake is.
    ///
    /// # Errors
    /// [`StakesError::Unknown`], [`StakesError::State`].
    pub fn record_lock(&self, id: BookId, lock: Lock) -> Result<Stake, StakesError> {
        self.store.write(|entries| {
            let name = id.to_bytes();
            let before = entries.get(Table::Stakes, &name, Stake::from_bytes)?.ok_or(StakesError::Unknown(id))?;
            let stake = Stake { lock, ..before };
            if stake != before {
                entries.put(Table::Stakes, &name, &stake.to_bytes())?;
            }
            Ok(stake)
        })
    }

    /// A stake.
    ///
    /// # Errors
    /// [`StateError::Damaged`], [`StateError::Database`].
    pub fn stake(&self, id: BookId) -> Result<Option<Stake>, StateError> {
        self.store.read(Table::Stakes, &id.to_bytes(), Stake::from_bytes)
    }

    /// All stakes of the account that are known: those that this installation made first, each installation's oldest first.
    ///
    /// # Errors
    /// [`StateError::Damaged`], [`StateError::Database`].
    pub fn stakes(&self) -> Result<Vec<Stake>, StateError> {
        let mut stakes = self.store.read_all(Table::Stakes, Stake::from_bytes)?;
        stakes.sort_by_key(|stake| {
            let BookId { installation, counter } = stake.id;
            (installation != self.installation, *installation.as_bytes(), counter)
        });
        Ok(stakes)
    }

    /// Whether the journal has a stake of this installation's.
    pub(crate) fn is_told(&self, id: BookId) -> Result<bool, StateError> {
        Ok(self.store.read(Table::Journal, &told_name(id), |_| Ok(()))?.is_some())
    }

    /// Writes down that an index belongs to an envelope for ever. **Call this before a proof is made.**
    ///
    /// # Errors
    /// [`StakesError::Taken`] if it belongs to another; [`StakesError::State`].
    pub fn use_stake(&self, index: StakeIndex, envelope: EnvelopeId) -> Result<(), StakesError> {
        self.store.write(|entries| match entries.get(Table::StakeUses, &index.to_bytes(), read_envelope)? {
            Some(before) if before == envelope => Ok(()),
            Some(_) => Err(StakesError::Taken(index)),
            None => {
                entries.put(Table::StakeUses, &index.to_bytes(), envelope.as_bytes())?;
                let name = uses_name(envelope);
                let mut uses = entries.get(Table::StakeUses, &name, read_uses)?.unwrap_or_default();
                uses.push(index);
                let bytes: Vec<u8> = uses.iter().flat_map(|index| index.to_bytes()).collect();
                Ok(entries.put(Table::StakeUses, &name, &bytes)?)
            }
        })
    }

    /// The envelope that an index belongs to, once it was taken.
    ///
    /// # Errors
    /// [`StateError::Damaged`], [`StateError::Database`].
    pub fn envelope_of_stake(&self, index: StakeIndex) -> Result<Option<EnvelopeId>, StateError> {
        self.store.read(Table::StakeUses, &index.to_bytes(), read_envelope)
    }

    /// The indices that belong to an envelope, the first one first.
    ///
    /// # Errors
    /// [`StateError::Damaged`], [`StateError::Database`].
    pub fn stakes_of(&self, envelope: EnvelopeId) -> Result<Vec<StakeIndex>, StateError> {
        Ok(self.store.read(Table::StakeUses, &uses_name(envelope), read_uses)?.unwrap_or_default())
    }
}

/// Keeps what the journal tells of stakes: another installation's, unless it is known, and that it has one of this one's.
pub(super) fn tell(entries: &Entries<'_>, installation: InstallationId, told: &Stake) -> Result<(), StateError> {
    let name = told.id.to_bytes();
    if told.id.installation == installation {
        return entries.put(Table::Journal, &told_name(told.id), &[]);
    }
    match entries.get(Table::Stakes, &name, Stake::from_bytes)? {
        Some(_) => Ok(()),
        None => entries.put(Table::Stakes, &name, &Stake { lock: Lock::Elsewhere, ..*told }.to_bytes()),
    }
}

/// Longer than the name of what the journal says.
fn told_name(id: BookId) -> [u8; 20] {
    id.to_bytes()
}

/// Longer than the name of an index.
fn uses_name(envelope: EnvelopeId) -> [u8; 32] {
    *envelope.as_bytes()
}

fn read_envelope(bytes: &[u8]) -> Result<EnvelopeId, Unreadable> {
    bytes.try_into().map(|id: [u8; 32]| EnvelopeId::from(id)).map_err(|_| Unreadable)
}

fn read_uses(bytes: &[u8]) -> Result<Vec<StakeIndex>, Unreadable> {
    let mut reader = Reader::new(bytes);
    let mut uses = Vec::new();
    while !reader.is_empty() {
        uses.push(StakeIndex::read(&mut reader)?);
    }
    Ok(uses)
}

impl Stake {
    /// Id 20, tier u32, limit u32, commitment 32; then 0, or 1 and the transaction 32, or 2 and volume u32, index u32, or 3 and
    /// the time u64, or 4, or 5, or 6.
    fn to_bytes(self) -> Vec<u8> {
        let Self { id, tier, limit, commitment, lock } = self;
        let lock = match lock {
            Lock::Intended => vec![0],
            Lock::Submitted { transaction } => [&[1], transaction.as_slice()].concat(),
            Lock::Locked { position: Position { volume, index } } => {
                [&[2], [volume, index].map(u32::to_be_bytes).as_flattened()].concat()
            }
            Lock::Leaving { from } => [&[3], from.to_be_bytes().as_slice()].concat(),
            Lock::Gone => vec![4],
            Lock::Failed => vec![5],
            Lock::Elsewhere => vec![6],
        };
        let numbers = [tier, limit.get()].map(u32::to_be_bytes);
        join(&[&id.to_bytes(), numbers.as_flattened(), commitment.as_bytes(), &lock]).to_vec()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, Unreadable> {
        let mut reader = Reader::new(bytes);
        let it = Self {
            id: BookId::read(&mut reader)?,
            tier: reader.u32()?,
            limit: Limit::new(reader.u32()?).map_err(|_| Unreadable)?,
            commitment: Commitment::from_be_bytes(*reader.array()?).map_err(|_| Unreadable)?,
            lock: match reader.u8()? {
                0 => Lock::Intended,
                1 => Lock::Submitted { transaction: B256::from(*reader.array()?) },
                2 => Lock::Locked { position: Position { volume: reader.u32()?, index: reader.u32()? } },
                3 => Lock::Leaving { from: reader.u64()? },
                4 => Lock::Gone,
                5 => Lock::Failed,
                6 => Lock::Elsewhere,
                _ => return Err(Unreadable),
            },
        };
        reader.end()?;
        Ok(it)
    }
}
