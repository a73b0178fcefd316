//! What the journal says, and which index of a membership went with which envelope.
//!
//! The journal decides who has an index; it is written down here too before a proof is made, so that not even a node that
//! shows this client two journals makes it show one index with two envelopes.

use alloy::primitives::B256;
use xmtp_proto::derive::{ClaimId, EnvelopeId, OperatorId};
use xmtp_proto::postmark::Cursor;
use xmtp_prover::Position;

use super::conversations;
use super::letters::Letter;
use super::stakes::{self, Stake};
use super::store::{Entries, Table};
use super::words::{self, Word};
use super::{State, StateError};
use crate::journal::{IndexName, View};
use crate::layout::{Reader, Unreadable};

const VIEW: &[u8] = b"view";

/// An index of a membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberIndex {
    /// Among whose members.
    pub operator: OperatorId,
    /// The quarter of the commitment.
    pub generation: u32,
    /// Which.
    pub index: IndexName,
}

/// An index of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimIndex {
    /// Which claim.
    pub claim: ClaimId,
    /// The quarter of the commitment.
    pub generation: u32,
    /// Which.
    pub index: IndexName,
}

/// An index of what an account's installations share, and which was set aside for a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SharedIndex {
    /// Of a membership.
    Member(MemberIndex),
    /// Of a claim.
    Claim(ClaimIndex),
}

/// An index cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MembershipsError {
    /// It was shown with another envelope, perhaps. Nothing is lost but this index: is the state a copy of another, or does
    /// the node show several journals?
    #[error("index {} belongs to another envelope: use another node, or restore the identity under another home", .0.index.index().get())]
    Taken(MemberIndex),
    /// See there.
    #[error(transparent)]
    State(#[from] StateError),
}

impl State {
    /// What the journal says, as far as it was read, and how far that is.
    pub(crate) fn journal(&self) -> Result<(View, Cursor), StateError> {
        Ok(self.store.read(Table::Journal, VIEW, read_view)?.unwrap_or_default())
    }

    /// Keeps what the journal says behind `from`, unless somebody was faster, and the conversations, words and stakes in it.
    pub(crate) fn read_journal(
        &self,
        from: Cursor,
        (view, to): (&View, Cursor),
        conversations: &[Letter],
        said: &[Word],
        told: &[Stake],
    ) -> Result<(), StateError> {
        self.store.write(|entries| {
            for letter in conversations {
                conversations::keep(entries, letter, conversations::JournalCopy::Made)?;
            }
            for word in said {
                words::keep(entries, word, conversations::JournalCopy::Made)?;
            }
            for stake in told {
                stakes::tell(entries, self.installation, stake)?;
            }
            let cursor = |bytes: &[u8]| bytes.first_chunk().map(|it| u64::from_be_bytes(*it)).ok_or(Unreadable);
            if entries.get(Table::Journal, VIEW, cursor)?.unwrap_or_default() != from.0 {
                return Ok(());
            }
            entries.put(Table::Journal, VIEW, &[to.0.to_be_bytes().as_slice(), &view.to_bytes()].concat())
        })
    }

    /// Writes down that an index belongs to an envelope for ever. **Call this before a proof is made.**
    ///
    /// # Errors
    /// [`MembershipsError::Taken`] if it belongs to another; [`MembershipsError::State`].
    pub fn use_index(&self, index: MemberIndex, envelope: EnvelopeId) -> Result<(), MembershipsError> {
        self.use_shared(SharedIndex::Member(index), envelope)
    }

    /// As [`State::use_index`], of a claim. Ids of claims and operators are hashes of different things.
    ///
    /// # Errors
    /// As there.
    pub fn use_claim_index(&self, index: ClaimIndex, envelope: EnvelopeId) -> Result<(), MembershipsError> {
        self.use_shared(SharedIndex::Claim(index), envelope)
    }

    fn use_shared(&self, shared: SharedIndex, envelope: EnvelopeId) -> Result<(), MembershipsError> {
        let name = shared.name();
        let read = |bytes: &[u8]| bytes.try_into().map(|id: [u8; 32]| EnvelopeId::from(id)).map_err(|_| Unreadable);
        self.store.write(|entries| match entries.get(Table::Memberships, &name.to_bytes(), read)? {
            Some(before) if before == envelope => Ok(()),
            Some(_) => Err(MembershipsError::Taken(name)),
            None => {
                entries.put(Table::Memberships, &name.to_bytes(), envelope.as_bytes())?;
                let mut all = entries.get(Table::Memberships, envelope.as_bytes(), read_shared)?.unwrap_or_default();
                all.push(shared);
                let bytes: Vec<u8> = all.iter().flat_map(|shared| shared.to_bytes()).collect();
                Ok(entries.put(Table::Memberships, envelope.as_bytes(), &bytes)?)
            }
        })
    }

    /// The indices that belong to an envelope, the first one first.
    ///
    /// # Errors
    /// [`StateError::Damaged`], [`StateError::Database`].
    pub fn indices_of(&self, envelope: EnvelopeId) -> Result<Vec<SharedIndex>, StateError> {
        // Shorter than the names of indices and of leaves' places.
        Ok(self.store.read(Table::Memberships, envelope.as_bytes(), read_shared)?.unwrap_or_default())
    }

    /// Where the account's leaf was found last in an operator's group.
    pub(crate) fn member_position(
        &self,
        operator: OperatorId,
        generation: u32,
    ) -> Result<Option<Position>, StateError> {
        self.store.read(Table::Memberships, &position_name(operator, generation), |bytes| {
            let mut reader = Reader::new(bytes);
            let it = Position { volume: reader.u32()?, index: reader.u32()? };
            reader.end().map(|()| it)
        })
    }

    /// Remembers where that is.
    pub(crate) fn save_member_position(
        &self,
        operator: OperatorId,
        generation: u32,
        Position { volume, index }: Position,
    ) -> Result<(), StateError> {
        let name = position_name(operator, generation);
        let bytes = [volume, index].map(u32::to_be_bytes);
        self.store.write(|entries| entries.put(Table::Memberships, &name, bytes.as_flattened()))
    }
}

/// What the journal says, as far as it was read.
pub(super) fn view(entries: &Entries<'_>) -> Result<View, StateError> {
    Ok(entries.get(Table::Journal, VIEW, read_view)?.unwrap_or_default().0)
}

/// Cursor u64, then the view.
fn read_view(bytes: &[u8]) -> Result<(View, Cursor), Unreadable> {
    let (cursor, view) = bytes.split_first_chunk().ok_or(Unreadable)?;
    Ok((View::from_bytes(view)?, Cursor(u64::from_be_bytes(*cursor))))
}

fn read_shared(bytes: &[u8]) -> Result<Vec<SharedIndex>, Unreadable> {
    let mut reader = Reader::new(bytes);
    let mut all = Vec::new();
    while !reader.is_empty() {
        all.push(SharedIndex::read(&mut reader)?);
    }
    Ok(all)
}

impl SharedIndex {
    /// As the index of a membership is named: ids of claims and operators are hashes of different things.
    const fn name(self) -> MemberIndex {
        match self {
            Self::Member(index) => index,
            Self::Claim(ClaimIndex { claim, generation, index }) => {
                MemberIndex { operator: OperatorId(claim.0), generation, index }
            }
        }
    }

    /// 1 for a membership, 2 for a claim; then the name.
    fn to_bytes(self) -> Vec<u8> {
        let kind = match self {
            Self::Member(_) => 1,
            Self::Claim(_) => 2,
        };
        [&[kind], self.name().to_bytes().as_slice()].concat()
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Unreadable> {
        let (kind, name) = (reader.u8()?, MemberIndex::read(reader)?);
        let MemberIndex { operator, generation, index } = name;
        match kind {
            1 => Ok(Self::Member(name)),
            2 => Ok(Self::Claim(ClaimIndex { claim: ClaimId(operator.0), generation, index })),
            _ => Err(Unreadable),
        }
    }
}

impl MemberIndex {
    /// Operator 32, generation u32, index 11.
    fn to_bytes(self) -> Vec<u8> {
        let Self { operator, generation, index } = self;
        [operator.as_bytes().as_slice(), &generation.to_be_bytes(), &index.to_bytes()].concat()
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Unreadable> {
        let operator = OperatorId(B256::from(*reader.array()?));
        Ok(Self { operator, generation: reader.u32()?, index: IndexName::read(reader)? })
    }
}

/// Operator 32, generation u32: shorter than the name of an index.
fn position_name(operator: OperatorId, generation: u32) -> Vec<u8> {
    [operator.as_bytes().as_slice(), &generation.to_be_bytes()].concat()
}
