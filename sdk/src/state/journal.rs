//! What the journal says, and which index of a membership went with which envelope.
//!
//! The journal decides who has an index; it is written down here too before a proof is made, so that not even a node that
//! shows this client two journals makes it show one index with two envelopes.

use xmtp_proto::derive::{ClaimId, EnvelopeId, OperatorId};
use xmtp_proto::postmark::Cursor;
use xmtp_prover::Position;

use super::conversations;
use super::letters::Letter;
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

    /// Keeps what the journal says behind `from`, unless somebody was faster, and the conversations and words in it.
    pub(crate) fn read_journal(
        &self,
        from: Cursor,
        (view, to): (&View, Cursor),
        conversations: &[Letter],
        said: &[Word],
    ) -> Result<(), StateError> {
        self.store.write(|entries| {
            for letter in conversations {
                conversations::keep(entries, letter, conversations::JournalCopy::Made)?;
            }
            for word in said {
                words::keep(entries, word, conversations::JournalCopy::Made)?;
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
        let name = index.to_bytes();
        let read = |bytes: &[u8]| bytes.try_into().map(|id: [u8; 32]| EnvelopeId::from(id)).map_err(|_| Unreadable);
        self.store.write(|entries| match entries.get(Table::Memberships, &name, read)? {
            Some(before) if before == envelope => Ok(()),
            Some(_) => Err(MembershipsError::Taken(index)),
            None => Ok(entries.put(Table::Memberships, &name, envelope.as_bytes())?),
        })
    }

    /// As [`State::use_index`], of a claim. Ids of claims and operators are hashes of different things.
    ///
    /// # Errors
    /// As there.
    pub fn use_claim_index(&self, index: ClaimIndex, envelope: EnvelopeId) -> Result<(), MembershipsError> {
        let ClaimIndex { claim, generation, index } = index;
        self.use_index(MemberIndex { operator: OperatorId(claim.0), generation, index }, envelope)
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

impl MemberIndex {
    /// Operator 32, generation u32, index 11.
    fn to_bytes(self) -> Vec<u8> {
        let Self { operator, generation, index } = self;
        [operator.as_bytes().as_slice(), &generation.to_be_bytes(), &index.to_bytes()].concat()
    }
}

/// Operator 32, generation u32: shorter than the name of an index.
fn position_name(operator: OperatorId, generation: u32) -> Vec<u8> {
    [operator.as_bytes().as_slice(), &generation.to_be_bytes()].concat()
}
