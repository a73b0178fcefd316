//! Messages: what the two parties of a conversation write to each other once an invite has been read (docs/protocol.md,
//! "Sending").
//!
//! The envelope's ciphertext, in a fixed layout:
//!
//! ```text
//! version u8 = 1 ‖ nonce 24 ‖ sealed
//! sealed: digest of the author's key bundle 32 ‖ signature 64 ‖ length u32 ‖ content ‖ zeros
//! ```
//!
//! The zeros fill the whole up to a power of two, from 256 B to 1 MiB. Both parties know both keys, so the seal keeps out
//! everybody else, and the signature tells the two apart: it is the author's identity key's, over topic, time, both accounts
//! and content. What one party seals again under another time, on another topic or in the other's name, does not verify; what
//! it seals again for the same time and topic does, and is the same message: it has the same [`OpenedMessage::signed`].

use alloy::primitives::{Address, B256, keccak256};
use xmtp_proto::account::Account;
use xmtp_proto::derive::{EnvelopeId, NetworkId};
use xmtp_proto::envelope::{Envelope, MAX_CIPHERTEXT_BYTES};
use xmtp_proto::malformed::Malformed;
use xmtp_proto::opening::{self, Opening};
use xmtp_proto::pass::Posting;
use xmtp_proto::signature::{self, Label};
use xmtp_proto::time::Timestamp;
use xmtp_proto::topic::Topic;
use zeroize::Zeroizing;

use crate::identity::{Identity, VerifiedBundle};
use crate::invite::{Author, ConversationKeys, HolderKey};
use crate::keys::NoRandomness;
use crate::layout::{Reader, Unreadable, join, length};
use crate::seal::{MESSAGES, NONCE_BYTES, SealKey, TAG_BYTES, bucket};

const VERSION: u8 = 1;
const HEADER_BYTES: usize = 1 + NONCE_BYTES;

/// One end of a conversation, as the invite that began it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Party {
    /// Whose end.
    pub account: Account,
    /// Ed25519: what its messages are signed with.
    pub identity_key: [u8; 32],
    /// How often the account's wallet had attested keys by then.
    pub revision: u32,
    /// The digest of the key bundle that the invite names.
    pub bundle: B256,
}

/// A conversation as its messages see it: where it is, its keys and its two ends.
pub struct Channel {
    network: NetworkId,
    topic: Topic,
    keys: ConversationKeys,
    inviter: Party,
    invitee: Party,
}

/// A message could not be sealed. The caller's fault, but for the last.
#[derive(Debug, thiserror::Error)]
pub enum SealMessageError {
    /// The identity is neither of the two, or its keys are others than those in the invite.
    #[error("{0} does not take part in this conversation with these keys")]
    NotAParty(Account),
    /// The content fits no envelope.
    #[error("the message is too large: {got} bytes when sealed, and at most {max} is allowed")]
    TooLarge {
        /// Bytes.
        got: usize,
        /// Bytes.
        max: usize,
    },
    /// See there.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

/// An envelope on a conversation's topic holds no genuine message. Show it as that, and never as a message. Unless said
/// otherwise, the fault of the other party: nobody else can write there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenMessageError {
    /// The envelope lies on another topic. The caller's fault.
    #[error("the envelope belongs to another conversation")]
    Topic,
    /// A later version of messages, perhaps. Update this program.
    #[error("messages of version {0} are unknown here")]
    Version(u8),
    /// It was altered, or sealed under another key, topic, time or network.
    #[error("the seal does not open: altered, or made for another place or time")]
    Seal,
    /// What is inside is not of the layout.
    #[error("what was sealed is no message")]
    Unreadable,
    /// Whom it claims to be by did not sign it for this conversation and this time.
    #[error("not signed by {0} for this conversation and this time")]
    Signature(Account),
}

impl From<Unreadable> for OpenMessageError {
    fn from(_: Unreadable) -> Self {
        Self::Unreadable
    }
}

/// A genuine message.
pub struct OpenedMessage {
    /// Which of the two wrote it, for certain.
    pub author: Author,
    /// The digest of the key bundle that the author had published then.
    pub bundle: B256,
    /// What was written.
    pub content: Zeroizing<Vec<u8>>,
    /// What the author signed: one message has one, however often it was sealed, and by whom.
    pub signed: B256,
}

impl Party {
    /// The end of who publishes this bundle.
    #[must_use]
    pub const fn of(bundle: &VerifiedBundle) -> Self {
        let keys = &bundle.bundle().keys;
        Self {
            account: keys.account,
            identity_key: keys.identity_key,
            revision: keys.revision,
            bundle: bundle.digest(),
        }
    }

    /// Chain id u64, address 20, identity key 32, revision u32, digest of the bundle 32.
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let Self { account, identity_key, revision, bundle } = self;
        [
            account.chain_id().to_be_bytes().as_slice(),
            account.address().as_slice(),
            &identity_key,
            &revision.to_be_bytes(),
            bundle.as_slice(),
        ]
        .concat()
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, Unreadable> {
        Ok(Self {
            account: Account::on_chain(reader.u64()?, Address::from(*reader.array()?)),
            identity_key: *reader.array()?,
            revision: reader.u32()?,
            bundle: B256::from(*reader.array()?),
        })
    }
}

impl Channel {
    /// The conversation that these keys were derived for.
    #[must_use]
    pub fn new(network: NetworkId, keys: ConversationKeys, inviter: Party, invitee: Party) -> Self {
        Self { network, topic: keys.topic(), keys, inviter, invitee }
    }

    /// Where it goes on.
    #[must_use]
    pub const fn topic(&self) -> Topic {
        self.topic
    }

    /// One of the two ends.
    #[must_use]
    pub const fn party(&self, author: Author) -> &Party {
        match author {
            Author::Inviter => &self.inviter,
            Author::Invitee => &self.invitee,
        }
    }

    /// Seals a message of the identity's account.
    ///
    /// # Errors
    /// [`SealMessageError`].
    pub fn seal(&self, author: &Identity, sent_at: Timestamp, content: &[u8]) -> Result<Envelope, SealMessageError> {
        let bundle = author.verified_bundle();
        let me = Party::of(&bundle);
        let is_me = |party: &&Party| (party.account, party.identity_key) == (me.account, me.identity_key);
        let role = [Author::Inviter, Author::Invitee].into_iter().find(|role| is_me(&self.party(*role)));
        let role = role.ok_or(SealMessageError::NotAParty(me.account))?;

        let signature = author.sign(self.digest(role, sent_at, content));
        let length = length(content);
        let head = [me.bundle.as_slice(), &signature, &length];
        let bytes = head.iter().map(|part| part.len()).sum::<usize>() + content.len();
        let got = HEADER_BYTES + bytes + TAG_BYTES;
        let too_large = SealMessageError::TooLarge { got, max: MAX_CIPHERTEXT_BYTES };
        let padding = bucket(got, MESSAGES).ok_or(too_large)? - got;
        let plaintext = join(&[head[0], head[1], head[2], content, &vec![0; padding]]);
        let (nonce, sealed) = self.key(role).seal(&plaintext, &self.associated(sent_at))?;
        let ciphertext = [&[VERSION], nonce.as_slice(), &sealed].concat();
        Ok(Envelope { topic: self.topic, sent_at, ciphertext })
    }

    /// Opens a message, and verifies who wrote it.
    ///
    /// # Errors
    /// [`OpenMessageError`].
    pub fn open(&self, envelope: &Envelope) -> Result<OpenedMessage, OpenMessageError> {
        let Envelope { topic, sent_at, ciphertext } = envelope;
        if *topic != self.topic {
            return Err(OpenMessageError::Topic);
        }
        let mut reader = Reader::new(ciphertext);
        let version = reader.u8()?;
        if version != VERSION {
            return Err(OpenMessageError::Version(version));
        }
        let (nonce, sealed) = (reader.array()?, reader.rest());
        let associated = self.associated(*sent_at);
        let open = |author| Some((author, self.key(author).open(nonce, sealed, &associated).ok()?));
        let opened = [Author::Inviter, Author::Invitee].into_iter().find_map(open);
        let (author, plaintext) = opened.ok_or(OpenMessageError::Seal)?;

        let mut reader = Reader::new(&plaintext);
        let bundle = B256::from(*reader.array()?);
        let signature = reader.array()?;
        let content = reader.part()?;
        if reader.rest().iter().any(|byte| *byte != 0) {
            return Err(OpenMessageError::Unreadable);
        }
        let party = self.party(author);
        let signed = self.digest(author, *sent_at, content);
        signature::verify(&party.identity_key, signed, signature)
            .map_err(|signature::Invalid| OpenMessageError::Signature(party.account))?;
        Ok(OpenedMessage { author, bundle, content: join(&[content]), signed })
    }

    /// The pass of a message.
    #[must_use]
    pub fn posting(&self, id: EnvelopeId) -> Posting {
        self.keys.sign_posting(self.network, id)
    }

    /// The key by which an author's letters to the other one are let through.
    #[must_use]
    pub const fn holder_key(&self, author: Author) -> &HolderKey {
        self.keys.holder_key(author)
    }

    /// Declares that the conversation may be written to, `quota` units per epoch, for as long as can be.
    ///
    /// # Errors
    /// [`Malformed::OutOfRange`] for a quota of 0 or above [`opening::MAX_QUOTA`].
    pub fn opening(&self, sent_at: Timestamp, quota: u32) -> Result<Envelope, Malformed> {
        let expires_at = sent_at.saturating_add(opening::MAX_LIFE);
        let sign = |digest| self.keys.sign_opening(digest);
        let opening = Opening::new(self.network, self.keys.posting_key(), quota, expires_at, sign)?;
        Ok(Envelope { topic: self.topic, sent_at, ciphertext: opening.to_bytes().to_vec() })
    }

    fn key(&self, author: Author) -> SealKey {
        SealKey::new(self.keys.message_key(author).as_bytes())
    }

    /// Network 32, length of topic u32, topic, sent-at in nanoseconds u64.
    fn associated(&self, sent_at: Timestamp) -> Zeroizing<Vec<u8>> {
        let topic = self.topic.to_string();
        let topic = topic.as_bytes();
        join(&[self.network.as_bytes(), &length(topic), topic, &sent_at.as_nanos().to_be_bytes()])
    }

    /// What the author signs: label `xmtp/sig/message/1`, network 32, length of topic u32, topic, sent-at u64, author and
    /// recipient (chain id u64, address 20), keccak-256 of the content.
    fn digest(&self, author: Author, sent_at: Timestamp, content: &[u8]) -> B256 {
        let topic = self.topic.to_string();
        let other = match author {
            Author::Inviter => Author::Invitee,
            Author::Invitee => Author::Inviter,
        };
        let [from, to] = [author, other].map(|author| self.party(author).account);
        signature::digest(
            Label::Message,
            self.network,
            &[
                &length(topic.as_bytes()),
                topic.as_bytes(),
                &sent_at.as_nanos().to_be_bytes(),
                &from.chain_id().to_be_bytes(),
                from.address().as_slice(),
                &to.chain_id().to_be_bytes(),
                to.address().as_slice(),
                keccak256(content).as_slice(),
            ],
        )
    }
}

#[cfg(test)]
mod tests;
