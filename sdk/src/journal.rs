//! The journal: an account's conversation with itself, where its installations share what they must agree on (docs/protocol.md,
//! "Sending", "Installations").
//!
//! Its key material derives from the postal seed, so whoever restores the identity finds it, and no node can link it to the
//! account. What holds is decided by the order of the log: every installation that reads as far comes to the same [`View`].
//!
//! An index of a membership is used only after three entries were read back: a claim to one of sixteen slots, made in this
//! very epoch and granted; and a reservation of an index of that slot for the envelope that it is going to be shown with.
//! Who was first in the log has it. So neither two installations, nor two copies of one, ever use one index twice.
//!
//! Stamps of books are reserved in runs: see `runs`. Indices of a stake's day are reserved as memberships' are, one for one
//! envelope, but without slots: a stake belongs to the installation that made it, and to copies of that. One that took it over
//! on the owner's word reserves from the highest index downwards.
//!
//! To write, the journal must be open, and to open it takes an index: the one with number 0, which belongs to the journal.
//! On any day there is one opening that every installation makes to the bit, so it does not matter which of them comes first.
//! Nor is index 0 ever granted to a letter: a claim may have let the account join with it, when there was no journal yet.

mod runs;

use std::cmp::Ordering;
use std::collections::BTreeMap;

use alloy::primitives::B256;
use xmtp_proto::derive::{EnvelopeId, Purpose};
use xmtp_proto::time::{Epoch, Timestamp};
use xmtp_prover::{Index, Limit};
use zeroize::Zeroizing;

use crate::identity::Identity;
use crate::invite::ConversationKeys;
use crate::keys::InstallationId;
use crate::layout::{Reader, Unreadable, join};
use crate::message::{Channel, Party};
use crate::state::{BookId, Letter, Word};

#[cfg(test)]
pub(crate) use runs::SessionId;
pub(crate) use runs::{Grant, KnownBook, Run, Session, free};
pub use runs::{GrantedStamp, RUN_LENGTH};

use runs::Books;

/// How many installations of an account can use its memberships in one epoch.
pub const SLOTS: u16 = 16;
/// A slot whose holder has not claimed it again for so many whole epochs may be taken over.
pub const SILENT_EPOCHS: u64 = 2;
/// The index that the journal's own opening takes. It is granted to nobody, for whatever purpose.
pub const JOURNAL_INDEX: Index = Index::new(0);
/// The index of a claim that the account's first key bundle takes: one that is granted to nobody.
pub const JOINING_INDEX: Index = JOURNAL_INDEX;

const VERSION: u8 = 1;

/// What an installation tells the others, and itself.
pub(crate) enum Entry {
    /// That it wants to use a slot in an epoch.
    Claim {
        /// Who.
        installation: InstallationId,
        /// Which; below [`SLOTS`].
        slot: u16,
        /// When.
        epoch: Epoch,
    },
    /// That an index is going to be shown with an envelope.
    Reservation {
        /// Who.
        installation: InstallationId,
        /// Which index.
        index: IndexName,
        /// With what.
        envelope: EnvelopeId,
    },
    /// A conversation that the account began or accepted, with its first letter.
    Conversation(Box<Letter>),
    /// A book that was bought, or moved on the chain.
    Book(KnownBook),
    /// That a session wants to use a run of a book's stamps.
    Run(Run),
    /// That a session has not used the rest of its last run, and never will.
    HandOver(Run),
    /// That an index of a stake's day is going to be shown with an envelope.
    StakeReservation {
        /// Which index.
        index: StakeIndex,
        /// With what.
        envelope: EnvelopeId,
    },
    /// What the account said to another one about writing to it, or heard.
    Word(Word),
    /// A stake that was made.
    Stake(KnownStake),
}

/// A stake, as the account's other installations learn of it; how it stands the chain knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KnownStake {
    pub(crate) id: BookId,
    pub(crate) tier: u32,
    pub(crate) limit: Limit,
}

impl KnownStake {
    /// Stake 20, tier u32, limit u32.
    fn to_bytes(self) -> Vec<u8> {
        let Self { id, tier, limit } = self;
        [id.to_bytes().as_slice(), &tier.to_be_bytes(), &limit.get().to_be_bytes()].concat()
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Unreadable> {
        let (id, tier) = (BookId::read(reader)?, reader.u32()?);
        Ok(Self { id, tier, limit: Limit::new(reader.u32()?).map_err(|_| Unreadable)? })
    }
}

/// An index of a membership, among those of its day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct IndexName {
    /// The day.
    pub epoch: Epoch,
    /// Whether it is for an opening, and not for an envelope.
    for_opening: bool,
    /// Which.
    index: u16,
}

/// An index of a stake's day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StakeIndex {
    /// Of which stake.
    pub stake: BookId,
    /// The day.
    pub epoch: Epoch,
    /// Which.
    pub index: Index,
}

impl StakeIndex {
    /// Stake 20, epoch u64, index u16.
    pub(crate) fn to_bytes(self) -> [u8; 30] {
        let mut bytes = [0; 30];
        bytes[..20].copy_from_slice(&self.stake.to_bytes());
        bytes[20..28].copy_from_slice(&self.epoch.0.to_be_bytes());
        bytes[28..].copy_from_slice(&self.index.get().to_be_bytes());
        bytes
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, Unreadable> {
        Ok(Self { stake: BookId::read(reader)?, epoch: Epoch(reader.u64()?), index: Index::new(reader.u16()?) })
    }
}

/// A slot, and who has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Holder {
    installation: InstallationId,
    /// The last epoch it was claimed in.
    epoch: Epoch,
}

/// What the journal says, as far as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct View {
    slots: [Option<Holder>; SLOTS as usize],
    reserved: BTreeMap<IndexName, EnvelopeId>,
    stakes: BTreeMap<StakeIndex, EnvelopeId>,
    books: Books,
}

/// The journal of an account: label `xmtp/key/journal/1`, and the identity key in the place of both bundles' digests, as
/// bundles change with every prekey and attestations with every quarter.
pub(crate) fn channel(identity: &Identity) -> Channel {
    let bundle = identity.verified_bundle();
    let stable = B256::from(bundle.bundle().keys.identity_key);
    let keys = ConversationKeys::new(&identity.postal_seed().journal(), stable, stable);
    let party = Party { bundle: stable, ..Party::of(&bundle) };
    Channel::new(identity.network(), keys, party, party)
}

/// When all openings of the journal of this day are made: at its first nanosecond.
pub(crate) fn opening_time(now: Timestamp) -> Timestamp {
    now.epoch().starts_at()
}

impl IndexName {
    /// An index of a membership.
    #[must_use]
    pub const fn new(purpose: Purpose, epoch: Epoch, index: Index) -> Self {
        Self { epoch, for_opening: matches!(purpose, Purpose::Opening), index: index.get() }
    }

    /// Which index.
    #[must_use]
    pub const fn index(self) -> Index {
        Index::new(self.index)
    }

    const fn slot(self) -> u16 {
        self.index % SLOTS
    }

    /// Epoch u64, purpose u8, index u16.
    pub(crate) fn to_bytes(self) -> [u8; 11] {
        let Self { epoch, for_opening, index } = self;
        let mut bytes = [0; 11];
        bytes[..8].copy_from_slice(&epoch.0.to_be_bytes());
        bytes[8] = u8::from(for_opening);
        bytes[9..].copy_from_slice(&index.to_be_bytes());
        bytes
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, Unreadable> {
        let epoch = Epoch(reader.u64()?);
        let for_opening = match reader.u8()? {
            0 => false,
            1 => true,
            _ => return Err(Unreadable),
        };
        Ok(Self { epoch, for_opening, index: reader.u16()? })
    }
}

impl Entry {
    /// Version u8, kind u8; then for 1, a claim: installation 16, slot u16, epoch u64; for 2, a reservation: installation 16,
    /// epoch u64, purpose u8, index u16, envelope 32; for 3, a conversation: the letter; for 4, a book: see there; for 5, a run,
    /// and for 6, one that is handed over: see there; for 7, a reservation of a stake's: stake 20, epoch u64, index u16,
    /// envelope 32; for 8, a word: see there; for 9, a stake: see there.
    pub(crate) fn to_secret_bytes(&self) -> Zeroizing<Vec<u8>> {
        match self {
            Self::Claim { installation, slot, epoch } => {
                join(&[&[VERSION, 1], installation.as_bytes(), &slot.to_be_bytes(), &epoch.0.to_be_bytes()])
            }
            Self::Reservation { installation, index, envelope } => {
                join(&[&[VERSION, 2], installation.as_bytes(), &index.to_bytes(), envelope.as_bytes()])
            }
            Self::Conversation(letter) => join(&[&[VERSION, 3], &letter.to_secret_bytes()]),
            Self::Book(book) => join(&[&[VERSION, 4], &book.to_bytes()]),
            Self::Run(run) => join(&[&[VERSION, 5], &run.to_bytes()]),
            Self::HandOver(run) => join(&[&[VERSION, 6], &run.to_bytes()]),
            Self::StakeReservation { index, envelope } => {
                join(&[&[VERSION, 7], &index.to_bytes(), envelope.as_bytes()])
            }
            Self::Word(word) => join(&[&[VERSION, 8], &word.to_bytes()]),
            Self::Stake(stake) => join(&[&[VERSION, 9], &stake.to_bytes()]),
        }
    }

    /// None for a kind or version that a later program wrote: it means nothing here.
    pub(crate) fn from_secret_bytes(bytes: &[u8]) -> Result<Option<Self>, Unreadable> {
        let mut reader = Reader::new(bytes);
        if reader.u8()? != VERSION {
            return Ok(None);
        }
        let entry = match reader.u8()? {
            1 => Self::Claim {
                installation: InstallationId::from(*reader.array()?),
                slot: reader.u16()?,
                epoch: Epoch(reader.u64()?),
            },
            2 => Self::Reservation {
                installation: InstallationId::from(*reader.array()?),
                index: IndexName::read(&mut reader)?,
                envelope: EnvelopeId::from(*reader.array::<32>()?),
            },
            3 => return Letter::from_secret_bytes(reader.rest()).map(|letter| Some(Self::Conversation(letter.into()))),
            4 => Self::Book(KnownBook::read(&mut reader)?),
            5 => Self::Run(Run::read(&mut reader)?),
            6 => Self::HandOver(Run::read(&mut reader)?),
            7 => Self::StakeReservation {
                index: StakeIndex::read(&mut reader)?,
                envelope: EnvelopeId::from(*reader.array::<32>()?),
            },
            8 => Self::Word(Word::read(&mut reader)?),
            9 => Self::Stake(KnownStake::read(&mut reader)?),
            _ => return Ok(None),
        };
        reader.end()?;
        Ok(Some(entry))
    }
}

impl View {
    /// Takes the next entry of the log into account. What comes too late, or claims what another has, changes nothing. What
    /// is granted to a session is returned, once: later entries hide it.
    pub(crate) fn apply(&mut self, entry: &Entry, accepted_at: Timestamp, issue_seconds: u64) -> Option<Grant> {
        match *entry {
            Entry::Claim { installation, slot, epoch } => self.claim(installation, slot, epoch, accepted_at),
            Entry::Reservation { installation, index, envelope } => {
                self.reserve(installation, index, envelope, accepted_at);
            }
            Entry::Conversation(_) | Entry::Word(_) | Entry::Stake(_) => {}
            Entry::Book(ref book) => self.books.tell(book, accepted_at, issue_seconds),
            Entry::Run(ref run) => return self.books.reserve(run),
            Entry::HandOver(ref run) => self.books.hand_over(run),
            Entry::StakeReservation { index, envelope } => self.reserve_stake(index, envelope, accepted_at),
        }
        None
    }

    /// Whoever was first has it; copies of an installation, and whoever took the stake over, find out.
    fn reserve_stake(&mut self, index: StakeIndex, envelope: EnvelopeId, accepted_at: Timestamp) {
        if index.epoch.counts_at(accepted_at) {
            self.stakes.entry(index).or_insert(envelope);
        }
        // None of these days can be reserved, or used, any more.
        let past = accepted_at.epoch().0.saturating_sub(2);
        self.stakes.retain(|index, _| index.epoch.0 >= past);
    }

    /// The indices of a stake's day that are reserved, lowest first.
    fn reserved_of(&self, stake: BookId, epoch: Epoch) -> impl Iterator<Item = (&StakeIndex, &EnvelopeId)> {
        let at = |index| StakeIndex { stake, epoch, index: Index::new(index) };
        self.stakes.range(at(0)..=at(u16::MAX))
    }

    /// How many those are.
    pub(crate) fn stakes_reserved(&self, stake: BookId, epoch: Epoch) -> u32 {
        u32::try_from(self.reserved_of(stake, epoch).count()).unwrap_or(u32::MAX)
    }

    /// Whether an index of a stake's day belongs to an envelope.
    pub(crate) fn is_stake_index_reserved(&self, index: &StakeIndex) -> bool {
        self.stakes.contains_key(index)
    }

    /// The index of a stake's day that belongs to an envelope.
    pub(crate) fn stake_index_of(&self, stake: BookId, epoch: Epoch, envelope: EnvelopeId) -> Option<StakeIndex> {
        self.reserved_of(stake, epoch).find_map(|(index, reserved)| (*reserved == envelope).then_some(*index))
    }

    /// The lowest index of a stake's day that is not reserved. None if all are.
    pub(crate) fn stake_index_to_reserve(&self, stake: BookId, epoch: Epoch, limit: Limit) -> Option<StakeIndex> {
        let mut free = 0;
        for (index, _) in self.reserved_of(stake, epoch) {
            if u32::from(index.index.get()) > free {
                break;
            }
            free += 1;
        }
        let index = u16::try_from(free).ok().filter(|_| free < limit.get())?;
        Some(StakeIndex { stake, epoch, index: Index::new(index) })
    }

    /// The highest index of a stake's day that is not reserved. None if all are.
    pub(crate) fn last_stake_index_to_reserve(&self, stake: BookId, epoch: Epoch, limit: Limit) -> Option<StakeIndex> {
        let mut free = limit.get().checked_sub(1)?;
        for (index, _) in self.reserved_of(stake, epoch).collect::<Vec<_>>().into_iter().rev() {
            match u32::from(index.index.get()).cmp(&free) {
                Ordering::Less => break,
                Ordering::Equal => free = free.checked_sub(1)?,
                Ordering::Greater => {}
            }
        }
        Some(StakeIndex { stake, epoch, index: Index::new(u16::try_from(free).ok()?) })
    }

    /// The books, and what of them is reserved.
    pub(crate) const fn books(&self) -> &Books {
        &self.books
    }

    fn claim(&mut self, installation: InstallationId, slot: u16, epoch: Epoch, accepted_at: Timestamp) {
        if !epoch.counts_at(accepted_at) || self.held_by(installation).is_some_and(|held| held != slot) {
            return;
        }
        let Some(holder) = self.slots.get_mut(usize::from(slot)) else { return };
        let granted = match holder {
            None => true,
            Some(holder) if holder.installation == installation => holder.epoch < epoch,
            Some(holder) => is_silent(holder.epoch, epoch),
        };
        if granted {
            *holder = Some(Holder { installation, epoch });
        }
    }

    fn reserve(
        &mut self,
        installation: InstallationId,
        index: IndexName,
        envelope: EnvelopeId,
        accepted_at: Timestamp,
    ) {
        let in_time = index.epoch.counts_at(accepted_at);
        if in_time && index.index() != JOURNAL_INDEX && self.slot(installation, index.epoch) == Some(index.slot()) {
            self.reserved.entry(index).or_insert(envelope);
        }
        // None of these days can be reserved, or used, any more.
        let past = accepted_at.epoch().0.saturating_sub(2);
        self.reserved.retain(|index, _| index.epoch.0 >= past);
    }

    fn held_by(&self, installation: InstallationId) -> Option<u16> {
        (0..SLOTS).find(|slot| self.slots[usize::from(*slot)].is_some_and(|holder| holder.installation == installation))
    }

    /// The slot whose indices an installation may use in an epoch: it has claimed it for this epoch, and nobody was faster.
    pub(crate) fn slot(&self, installation: InstallationId, epoch: Epoch) -> Option<u16> {
        let slot = self.held_by(installation)?;
        (self.slots[usize::from(slot)]?.epoch == epoch).then_some(slot)
    }

    /// Which slot an installation should claim in an epoch: its own again, else the first that is free. None if all are taken.
    pub(crate) fn slot_to_claim(&self, installation: InstallationId, epoch: Epoch) -> Option<u16> {
        self.held_by(installation).or_else(|| {
            (0..SLOTS).find(|slot| self.slots[usize::from(*slot)].is_none_or(|holder| is_silent(holder.epoch, epoch)))
        })
    }

    /// The next index of a slot that is not reserved. None if all are.
    pub(crate) fn index_to_reserve(
        &self,
        slot: u16,
        purpose: Purpose,
        epoch: Epoch,
        limit: Limit,
    ) -> Option<IndexName> {
        (slot..=u16::MAX)
            .step_by(usize::from(SLOTS))
            .take_while(|index| u32::from(*index) < limit.get())
            .map(|index| IndexName::new(purpose, epoch, Index::new(index)))
            .find(|index| index.index() != JOURNAL_INDEX && !self.reserved.contains_key(index))
    }

    /// The index of an epoch that belongs to an envelope.
    pub(crate) fn index_of(&self, envelope: EnvelopeId, purpose: Purpose, epoch: Epoch) -> Option<IndexName> {
        let of_it = |(index, reserved): (&IndexName, &EnvelopeId)| {
            let fits = *reserved == envelope && IndexName::new(purpose, epoch, index.index()) == *index;
            fits.then_some(*index)
        };
        self.reserved.iter().find_map(of_it)
    }

    /// For each slot 0, or 1 and installation 16, epoch u64; then how many reservations u32, and for each: epoch u64, purpose
    /// u8, index u16, envelope 32; then how many of stakes u32, and for each: stake 20, epoch u64, index u16, envelope 32; then
    /// the books.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for holder in &self.slots {
            match holder {
                None => bytes.push(0),
                Some(Holder { installation, epoch }) => {
                    bytes.push(1);
                    bytes.extend_from_slice(installation.as_bytes());
                    bytes.extend_from_slice(&epoch.0.to_be_bytes());
                }
            }
        }
        let reserved = u32::try_from(self.reserved.len()).unwrap_or(u32::MAX);
        bytes.extend_from_slice(&reserved.to_be_bytes());
        for (index, envelope) in &self.reserved {
            bytes.extend_from_slice(&index.to_bytes());
            bytes.extend_from_slice(envelope.as_bytes());
        }
        let stakes = u32::try_from(self.stakes.len()).unwrap_or(u32::MAX);
        bytes.extend_from_slice(&stakes.to_be_bytes());
        for (index, envelope) in &self.stakes {
            bytes.extend_from_slice(&index.to_bytes());
            bytes.extend_from_slice(envelope.as_bytes());
        }
        bytes.extend_from_slice(&self.books.to_bytes());
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, Unreadable> {
        let mut reader = Reader::new(bytes);
        let mut it = Self::default();
        for slot in &mut it.slots {
            *slot = match reader.u8()? {
                0 => None,
                1 => Some(Holder { installation: InstallationId::from(*reader.array()?), epoch: Epoch(reader.u64()?) }),
                _ => return Err(Unreadable),
            };
        }
        for _ in 0..reader.u32()? {
            let index = IndexName::read(&mut reader)?;
            // In order, so that one view has one encoding.
            if it.reserved.last_key_value().is_some_and(|(before, _)| *before >= index) {
                return Err(Unreadable);
            }
            it.reserved.insert(index, EnvelopeId::from(*reader.array::<32>()?));
        }
        for _ in 0..reader.u32()? {
            let index = StakeIndex::read(&mut reader)?;
            if it.stakes.last_key_value().is_some_and(|(before, _)| *before >= index) {
                return Err(Unreadable);
            }
            it.stakes.insert(index, EnvelopeId::from(*reader.array::<32>()?));
        }
        it.books = Books::read(reader)?;
        Ok(it)
    }
}

const fn is_silent(last: Epoch, now: Epoch) -> bool {
    now.0 > last.0.saturating_add(SILENT_EPOCHS)
}

#[cfg(test)]
mod tests;
