//! Letters sent and received.
//!
//! A letter is written down whole, envelope and stamps, before anything of it leaves the process. From then on it can only
//! be sent as it is: a retry sends the same bytes, and gives more stamps at most.

use alloy::primitives::{Address, B256};
use xmtp_proto::account::Account;
use xmtp_proto::derive::{EnvelopeId, NetworkId};
use xmtp_proto::envelope::Envelope;
use xmtp_proto::postmark::{Cursor, Postmark, SignedPostmark};
use xmtp_proto::refusal::Code;
use xmtp_proto::submission::MAX_STAMPS;
use xmtp_proto::time::Timestamp;
use xmtp_proto::topic::Topic;
use zeroize::Zeroizing;

use super::books::{BooksError, StampUse, Supply, take};
use super::conversations;
use super::reading;
use super::store::{Entries, Table};
use super::{State, StateError};
use crate::identity::{Identity, VerifiedBundle};
use crate::invite::{ConversationKeys, Invitation, OpenedInvite};
use crate::layout::{Reader, Unreadable, join, length};
use crate::message::{Channel, Party};

/// A letter that was sent as an invite, or received as one. It holds the conversation's key material, and no other copy of
/// it may exist: the sender cannot open the invite again.
pub struct Letter {
    /// Its envelope.
    pub id: EnvelopeId,
    /// The sender's clock.
    pub sent_at: Timestamp,
    /// Who wrote.
    pub inviter: Party,
    /// To whom.
    pub invitee: Party,
    /// What was written.
    pub invitation: Invitation,
}

/// A letter on its way.
pub struct Outgoing {
    /// What was written.
    pub letter: Letter,
    /// What is sent, now and ever again.
    pub envelope: Envelope,
    /// The stamps that belong to it; at most [`MAX_STAMPS`].
    pub stamps: Vec<StampUse>,
    /// What became of it.
    pub delivery: Delivery,
}

/// What became of a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant)] // One at a time is in memory, and most of them are the large one.
pub enum Delivery {
    /// Not known yet: send it again.
    Pending,
    /// A node said no. It may say yes later, to the same bytes.
    Refused(Code),
    /// A node stored it.
    Delivered(SignedPostmark),
}

/// A letter cannot be written down so.
#[derive(Debug, thiserror::Error)]
pub enum LettersError {
    /// Letter and envelope do not belong together. The caller's fault.
    #[error("letter and envelope do not belong together")]
    Misfit,
    /// There is no such letter. The caller's fault.
    #[error("there is no letter {0}")]
    Unknown(EnvelopeId),
    /// The letter has been delivered: nothing about it changes any more. The caller's fault.
    #[error("letter {0} has been delivered")]
    Delivered(EnvelopeId),
    /// More than [`MAX_STAMPS`] for one envelope.
    #[error("{got} stamps for one letter, and at most {MAX_STAMPS} are allowed")]
    TooManyStamps {
        /// All of them.
        got: usize,
    },
    /// A book cannot give a stamp.
    #[error(transparent)]
    Books(#[from] BooksError),
    /// See there.
    #[error(transparent)]
    State(#[from] StateError),
}

impl Letter {
    /// A letter that is about to be sent.
    #[must_use]
    pub fn sent(sender: &Identity, recipient: &VerifiedBundle, envelope: &Envelope, invitation: Invitation) -> Self {
        Self {
            id: envelope.id(sender.network()),
            sent_at: envelope.sent_at,
            inviter: Party::of(&sender.verified_bundle()),
            invitee: Party::of(recipient),
            invitation,
        }
    }

    /// A letter that was opened.
    #[must_use]
    pub fn received(recipient: &Identity, envelope: &Envelope, opened: OpenedInvite) -> Self {
        Self {
            id: envelope.id(recipient.network()),
            sent_at: envelope.sent_at,
            inviter: Party::of(&opened.sender),
            // The bundle may be one of before; the keys that sign are the same.
            invitee: Party { bundle: opened.recipient, ..Party::of(&recipient.verified_bundle()) },
            invitation: opened.invitation,
        }
    }

    /// Who wrote.
    #[must_use]
    pub const fn from(&self) -> Account {
        self.inviter.account
    }

    /// To whom.
    #[must_use]
    pub const fn to(&self) -> Account {
        self.invitee.account
    }

    /// The conversation that it begins.
    #[must_use]
    pub fn conversation(&self, network: NetworkId) -> Channel {
        let Self { inviter, invitee, .. } = *self;
        let keys = ConversationKeys::new(self.invitation.key_material(), inviter.bundle, invitee.bundle);
        Channel::new(network, keys, inviter, invitee)
    }

    /// The same letter without its message, for where that would not fit.
    pub(crate) fn without_message(&self) -> Self {
        let Self { id, sent_at, inviter, invitee, ref invitation } = *self;
        Self { id, sent_at, inviter, invitee, invitation: invitation.without_message() }
    }

    /// The same letter once more: it cannot be cloned, as it holds secrets.
    #[cfg(test)]
    pub(super) fn from_bytes_of(other: &Self) -> Self {
        Self::from_secret_bytes(&other.to_secret_bytes()).unwrap()
    }

    /// Id 32, sent-at u64, inviter and invitee of 96 bytes each, invitation.
    pub(crate) fn to_secret_bytes(&self) -> Zeroizing<Vec<u8>> {
        let Self { id, sent_at, inviter, invitee, invitation } = self;
        join(&[
            id.as_bytes(),
            &sent_at.as_nanos().to_be_bytes(),
            &inviter.to_bytes(),
            &invitee.to_bytes(),
            &invitation.to_secret_bytes(),
        ])
    }

    pub(crate) fn from_secret_bytes(bytes: &[u8]) -> Result<Self, Unreadable> {
        let mut reader = Reader::new(bytes);
        Ok(Self {
            id: EnvelopeId::from(*reader.array::<32>()?),
            sent_at: Timestamp::from_nanos(reader.u64()?),
            inviter: Party::read(&mut reader)?,
            invitee: Party::read(&mut reader)?,
            invitation: Invitation::from_secret_bytes(reader.rest()).map_err(|_| Unreadable)?,
        })
    }
}

impl State {
    /// Writes down that a letter is going to be sent, with these stamps. **Call this before a proof is made**: once it returns,
    /// these indices belong to this envelope.
    ///
    /// A letter that was written down before is returned as it is, and takes no further stamps.
    ///
    /// # Errors
    /// [`LettersError`]; nothing was taken.
    pub fn begin_letter(
        &self,
        letter: Letter,
        envelope: Envelope,
        stamps: &[Supply],
    ) -> Result<Outgoing, LettersError> {
        let id = envelope.id(self.network);
        if (letter.id, letter.from(), letter.sent_at) != (id, self.account, envelope.sent_at)
            || envelope.topic != Topic::Invite(letter.to())
        {
            return Err(LettersError::Misfit);
        }
        self.store.write(|entries| {
            if let Some(before) = entries.get(Table::Outbox, id.as_bytes(), Outgoing::from_secret_bytes)? {
                return Ok(before);
            }
            let mut outgoing = Outgoing { letter, envelope, stamps: Vec::new(), delivery: Delivery::Pending };
            outgoing.take(entries, stamps)?;
            outgoing.put(entries)?;
            Ok(outgoing)
        })
    }

    /// Gives a letter more stamps, because the price rose. As with [`State::begin_letter`], call it before a proof is made.
    ///
    /// # Errors
    /// [`LettersError`]; nothing was taken.
    pub fn add_stamps(&self, id: EnvelopeId, stamps: &[Supply]) -> Result<Outgoing, LettersError> {
        self.change_outgoing(id, |outgoing, entries| match outgoing.delivery {
            Delivery::Delivered(_) => Err(LettersError::Delivered(id)),
            Delivery::Pending | Delivery::Refused(_) => outgoing.take(entries, stamps),
        })
    }

    /// Writes down what became of a letter.
    ///
    /// # Errors
    /// [`LettersError::Unknown`], [`LettersError::Delivered`], [`LettersError::State`].
    pub fn record_delivery(&self, id: EnvelopeId, delivery: Delivery) -> Result<Outgoing, LettersError> {
        self.change_outgoing(id, |outgoing, entries| match outgoing.delivery {
            before @ Delivery::Delivered(_) if before != delivery => Err(LettersError::Delivered(id)),
            Delivery::Pending | Delivery::Refused(_) | Delivery::Delivered(_) => {
                outgoing.delivery = delivery;
                if let Delivery::Delivered(postmark) = delivery {
                    conversations::keep(entries, &outgoing.letter, conversations::JournalCopy::Wanted)?;
                    let topic = outgoing.letter.conversation(self.network).topic();
                    reading::start(entries, &topic, postmark.postmark.cursor)?;
                }
                Ok(())
            }
        })
    }

    /// A letter that was begun.
    ///
    /// # Errors
    /// [`StateError::Damaged`], [`StateError::Database`].
    pub fn outgoing(&self, id: EnvelopeId) -> Result<Option<Outgoing>, StateError> {
        self.store.read(Table::Outbox, id.as_bytes(), Outgoing::from_secret_bytes)
    }

    /// All letters that were begun, the oldest first.
    ///
    /// # Errors
    /// [`StateError::Damaged`], [`StateError::Database`].
    pub fn outbox(&self) -> Result<Vec<Outgoing>, StateError> {
        let mut all = self.store.read_all(Table::Outbox, Outgoing::from_secret_bytes)?;
        all.sort_by_key(|outgoing| (outgoing.letter.sent_at, outgoing.letter.id));
        Ok(all)
    }

    /// How far a topic was read: the cursor of the last record seen, or 0.
    ///
    /// # Errors
    /// [`StateError::Damaged`], [`StateError::Database`].
    pub fn cursor(&self, topic: &Topic) -> Result<Cursor, StateError> {
        Ok(self.store.read(Table::Cursors, topic.to_string().as_bytes(), read_cursor)?.unwrap_or_default())
    }

    /// Keeps letters that were received, with where each stands in the log, and how far their topic was read, both or neither. A cursor never goes back, and
    /// what was received before is received once.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn receive(&self, topic: &Topic, cursor: Cursor, letters: &[(Letter, Cursor)]) -> Result<(), StateError> {
        let name = topic.to_string();
        self.store.write(|entries| {
            for (letter, at) in letters {
                entries.put(Table::Inbox, letter.id.as_bytes(), &letter.to_secret_bytes())?;
                reading::start(entries, &letter.conversation(self.network).topic(), *at)?;
            }
            let before = entries.get(Table::Cursors, name.as_bytes(), read_cursor)?.unwrap_or_default();
            entries.put(Table::Cursors, name.as_bytes(), &before.max(cursor).0.to_be_bytes())
        })
    }

    /// Whether a letter was received before.
    ///
    /// # Errors
    /// [`StateError::Damaged`], [`StateError::Database`].
    pub fn has_received(&self, id: EnvelopeId) -> Result<bool, StateError> {
        Ok(self.store.read(Table::Inbox, id.as_bytes(), |_| Ok(()))?.is_some())
    }

    /// All letters that were received, the oldest first.
    ///
    /// # Errors
    /// [`StateError::Damaged`], [`StateError::Database`].
    pub fn inbox(&self) -> Result<Vec<Letter>, StateError> {
        let mut all = self.store.read_all(Table::Inbox, Letter::from_secret_bytes)?;
        all.sort_by_key(|letter| (letter.sent_at, letter.id));
        Ok(all)
    }

    fn change_outgoing(
        &self,
        id: EnvelopeId,
        change: impl FnOnce(&mut Outgoing, &Entries<'_>) -> Result<(), LettersError>,
    ) -> Result<Outgoing, LettersError> {
        self.store.write(|entries| {
            let mut outgoing = entries
                .get(Table::Outbox, id.as_bytes(), Outgoing::from_secret_bytes)?
                .ok_or(LettersError::Unknown(id))?;
            change(&mut outgoing, entries)?;
            outgoing.put(entries)?;
            Ok(outgoing)
        })
    }
}

pub(super) fn read_cursor(bytes: &[u8]) -> Result<Cursor, Unreadable> {
    bytes.try_into().map(|bytes| Cursor(u64::from_be_bytes(bytes))).map_err(|_| Unreadable)
}

impl Outgoing {
    fn take(&mut self, entries: &Entries<'_>, stamps: &[Supply]) -> Result<(), LettersError> {
        let got = self.stamps.len() + stamps.len();
        if got > MAX_STAMPS {
            return Err(LettersError::TooManyStamps { got });
        }
        for supply in stamps {
            self.stamps.push(take(entries, supply, self.letter.id)?);
        }
        Ok(())
    }

    fn put(&self, entries: &Entries<'_>) -> Result<(), StateError> {
        entries.put(Table::Outbox, self.letter.id.as_bytes(), &self.to_secret_bytes())
    }

    /// Length u32 and topic, sent-at u64, length u32 and ciphertext, count of stamps u8 and the stamps of 22 bytes each,
    /// length u32 and delivery, and the letter.
    fn to_secret_bytes(&self) -> Zeroizing<Vec<u8>> {
        let Self { letter, envelope: Envelope { topic, sent_at, ciphertext }, stamps, delivery } = self;
        let topic = topic.to_string();
        let stamps_bytes: Vec<u8> = stamps.iter().flat_map(|stamp| stamp.to_bytes()).collect();
        let delivery = delivery.to_bytes();
        join(&[
            &length(topic.as_bytes()),
            topic.as_bytes(),
            &sent_at.as_nanos().to_be_bytes(),
            &length(ciphertext),
            ciphertext,
            &length(&stamps_bytes),
            &stamps_bytes,
            &length(&delivery),
            &delivery,
            &letter.to_secret_bytes(),
        ])
    }

    fn from_secret_bytes(bytes: &[u8]) -> Result<Self, Unreadable> {
        let mut reader = Reader::new(bytes);
        let envelope = Envelope {
            topic: reader.text()?.parse().map_err(|_| Unreadable)?,
            sent_at: Timestamp::from_nanos(reader.u64()?),
            ciphertext: reader.part()?.to_vec(),
        };
        let stamps = reader.part()?;
        if stamps.len() % StampUse::BYTES != 0 {
            return Err(Unreadable);
        }
        let stamps = stamps
            .chunks_exact(StampUse::BYTES)
            .map(|stamp| StampUse::read(&mut Reader::new(stamp)))
            .collect::<Result<_, _>>()?;
        let delivery = Delivery::from_bytes(reader.part()?)?;
        Ok(Self { letter: Letter::from_secret_bytes(reader.rest())?, envelope, stamps, delivery })
    }
}

impl Delivery {
    /// 0; or 1 and the code's name; or 2 and the postmark: network 32, operator 20, cursor u64, envelope 32, accepted-at
    /// u64, cancelled 32, signature 65.
    fn to_bytes(self) -> Vec<u8> {
        match self {
            Self::Pending => vec![0],
            Self::Refused(code) => [&[1], code.as_str().as_bytes()].concat(),
            Self::Delivered(SignedPostmark { postmark, signature }) => {
                let Postmark { network, operator, cursor, envelope, accepted_at, cancelled } = postmark;
                join(&[
                    &[2],
                    network.as_bytes(),
                    operator.as_slice(),
                    &cursor.0.to_be_bytes(),
                    envelope.as_bytes(),
                    &accepted_at.as_nanos().to_be_bytes(),
                    cancelled.as_slice(),
                    &signature,
                ])
                .to_vec()
            }
        }
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, Unreadable> {
        let mut reader = Reader::new(bytes);
        match reader.u8()? {
            0 => reader.end().map(|()| Self::Pending),
            1 => {
                let name = reader.rest();
                let code = Code::ALL.into_iter().find(|code| code.as_str().as_bytes() == name);
                code.map(Self::Refused).ok_or(Unreadable)
            }
            2 => {
                let postmark = Postmark {
                    network: (*reader.array::<32>()?).into(),
                    operator: Address::from(*reader.array()?),
                    cursor: Cursor(reader.u64()?),
                    envelope: (*reader.array::<32>()?).into(),
                    accepted_at: Timestamp::from_nanos(reader.u64()?),
                    cancelled: B256::from(*reader.array()?),
                };
                let signature = *reader.array()?;
                reader.end()?;
                Ok(Self::Delivered(SignedPostmark { postmark, signature }))
            }
            _ => Err(Unreadable),
        }
    }
}
