//! Conversations: which were begun or accepted, what is on its way in them, and what was read.
//!
//! A message is written down before it is sent, so that a retry sends the same bytes and it arrives once. So is an opening,
//! which an index of the membership will belong to.

use xmtp_proto::derive::EnvelopeId;
use xmtp_proto::envelope::Envelope;
use xmtp_proto::postmark::Cursor;
use xmtp_proto::time::{MAX_AGE_FRANKED, Timestamp};
use xmtp_proto::topic::Topic;

use super::letters::{Letter, read_cursor};
use super::store::{Entries, Table};
use super::{State, StateError};
use crate::layout::{Reader, Unreadable, join, length};

/// A conversation that was begun or accepted.
pub struct Kept {
    /// With this letter it begins.
    pub letter: Letter,
    /// Whether the journal has it, so that the account's other installations find it.
    pub copy: JournalCopy,
}

/// The copy of a conversation in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalCopy {
    /// Not planned yet.
    Wanted,
    /// Planned for a time.
    Due(Timestamp),
    /// It is there.
    Made,
}

impl State {
    /// Accepts the conversation that a letter begins.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn keep_conversation(&self, letter: &Letter) -> Result<(), StateError> {
        self.store.write(|entries| keep(entries, letter, JournalCopy::Wanted))
    }

    /// All conversations that were begun or accepted, here or, as far as the journal was read, elsewhere; the oldest first.
    ///
    /// # Errors
    /// [`StateError::Damaged`], [`StateError::Database`].
    pub fn kept_conversations(&self) -> Result<Vec<Kept>, StateError> {
        let mut all = self.store.read_all(Table::Conversations, |bytes| {
            let mut reader = Reader::new(bytes);
            let copy = JournalCopy::read(&mut reader)?;
            Ok(Kept { letter: Letter::from_secret_bytes(reader.rest())?, copy })
        })?;
        all.sort_by_key(|kept| (kept.letter.sent_at, kept.letter.id));
        Ok(all)
    }

    /// Plans the copies of conversations in the journal that nobody has planned yet.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn plan_copies(&self, plans: &[(&Letter, Timestamp)]) -> Result<(), StateError> {
        self.store.write(|entries| {
            for (letter, due) in plans {
                let name = letter.id.as_bytes();
                if entries.get(Table::Conversations, name, copy_of)? == Some(JournalCopy::Wanted) {
                    put(entries, letter, JournalCopy::Due(*due))?;
                }
            }
            Ok(())
        })
    }

    /// Writes down a message that is going to be sent.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn begin_post(&self, envelope: &Envelope) -> Result<(), StateError> {
        let id = envelope.id(self.network);
        self.store.write(|entries| entries.put(Table::Posts, id.as_bytes(), &to_bytes(envelope)))
    }

    /// Writes down a message as it is going to be sent now, in place of what no node takes any more.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn renew_post(&self, before: EnvelopeId, envelope: &Envelope) -> Result<(), StateError> {
        let id = envelope.id(self.network);
        self.store.write(|entries| {
            entries.remove(Table::Posts, before.as_bytes())?;
            entries.put(Table::Posts, id.as_bytes(), &to_bytes(envelope))
        })
    }

    /// The messages on a topic of which it is not known what became of them, the oldest first.
    ///
    /// # Errors
    /// [`StateError::Damaged`], [`StateError::Database`].
    pub fn posts(&self, topic: &Topic) -> Result<Vec<Envelope>, StateError> {
        let mut all = self.all_posts()?;
        all.retain(|envelope| envelope.topic == *topic);
        Ok(all)
    }

    /// As [`State::posts`], of all topics.
    ///
    /// # Errors
    /// [`StateError::Damaged`], [`StateError::Database`].
    pub fn all_posts(&self) -> Result<Vec<Envelope>, StateError> {
        let mut all = self.store.read_all(Table::Posts, read_envelope)?;
        all.sort_by_key(|envelope| envelope.sent_at);
        Ok(all)
    }

    /// What became of a message is known.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn end_post(&self, id: EnvelopeId) -> Result<(), StateError> {
        self.store.write(|entries| entries.remove(Table::Posts, id.as_bytes()))
    }

    /// Writes down an opening that is going to be published; the one that was written down before, if nodes still take it.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn begin_opening(&self, opening: Envelope, now: Timestamp) -> Result<Envelope, StateError> {
        let name = opening.topic.to_string();
        self.store.write(|entries| {
            let before = entries.get(Table::Openings, name.as_bytes(), read_envelope)?;
            if let Some(before) = before.filter(|before| now.since(before.sent_at) < MAX_AGE_FRANKED) {
                return Ok(before);
            }
            entries.put(Table::Openings, name.as_bytes(), &to_bytes(&opening))?;
            Ok(opening)
        })
    }

    /// The topic is open.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn end_opening(&self, topic: &Topic) -> Result<(), StateError> {
        self.store.write(|entries| entries.remove(Table::Openings, topic.to_string().as_bytes()))
    }

    /// Remembers which messages of a topic were read, and how far, both or neither. A cursor never goes back.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn read_messages(&self, topic: &Topic, cursor: Cursor, read: &[EnvelopeId]) -> Result<(), StateError> {
        let name = topic.to_string();
        self.store.write(|entries| {
            for id in read {
                entries.put(Table::Messages, id.as_bytes(), &[])?;
            }
            let before = entries.get(Table::Cursors, name.as_bytes(), read_cursor)?.unwrap_or_default();
            entries.put(Table::Cursors, name.as_bytes(), &before.max(cursor).0.to_be_bytes())
        })
    }

    /// Whether a message was read before.
    ///
    /// # Errors
    /// [`StateError::Damaged`], [`StateError::Database`].
    pub fn has_read(&self, id: EnvelopeId) -> Result<bool, StateError> {
        Ok(self.store.read(Table::Messages, id.as_bytes(), |_| Ok(()))?.is_some())
    }
}

/// Keeps a conversation; what the journal has, it has for good.
pub(super) fn keep(entries: &Entries<'_>, letter: &Letter, copy: JournalCopy) -> Result<(), StateError> {
    let before = entries.get(Table::Conversations, letter.id.as_bytes(), copy_of)?;
    if before.is_some_and(|before| before == JournalCopy::Made || copy != JournalCopy::Made) {
        return Ok(());
    }
    put(entries, letter, copy)
}

/// What became of the copy, then the letter.
fn put(entries: &Entries<'_>, letter: &Letter, copy: JournalCopy) -> Result<(), StateError> {
    entries.put(Table::Conversations, letter.id.as_bytes(), &join(&[&copy.to_bytes(), &letter.to_secret_bytes()]))
}

fn copy_of(bytes: &[u8]) -> Result<JournalCopy, Unreadable> {
    JournalCopy::read(&mut Reader::new(bytes))
}

impl JournalCopy {
    /// 0, 1 when it is made, or 2; then when it is due u64, or zeros.
    pub(super) fn to_bytes(self) -> [u8; 9] {
        let (kind, due) = match self {
            Self::Wanted => (0, Timestamp::default()),
            Self::Made => (1, Timestamp::default()),
            Self::Due(due) => (2, due),
        };
        let mut bytes = [kind; 9];
        bytes[1..].copy_from_slice(&due.as_nanos().to_be_bytes());
        bytes
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Unreadable> {
        let (kind, due) = (reader.u8()?, Timestamp::from_nanos(reader.u64()?));
        match kind {
            0 => Ok(Self::Wanted),
            1 => Ok(Self::Made),
            2 => Ok(Self::Due(due)),
            _ => Err(Unreadable),
        }
    }
}

/// Sent-at u64, length u32 and topic, ciphertext.
fn to_bytes(envelope: &Envelope) -> Vec<u8> {
    let Envelope { topic, sent_at, ciphertext } = envelope;
    let topic = topic.to_string();
    let topic = topic.as_bytes();
    [&sent_at.as_nanos().to_be_bytes(), length(topic).as_slice(), topic, ciphertext].concat()
}

fn read_envelope(bytes: &[u8]) -> Result<Envelope, Unreadable> {
    let mut reader = Reader::new(bytes);
    let sent_at = Timestamp::from_nanos(reader.u64()?);
    let topic = reader.text()?.parse().map_err(|_| Unreadable)?;
    Ok(Envelope { topic, sent_at, ciphertext: reader.rest().to_vec() })
}
