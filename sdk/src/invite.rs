//! Invites: a letter to somebody one has no conversation with yet (docs/protocol.md, "Sending"; litepaper 4.2).
//!
//! The envelope's ciphertext, in a fixed layout:
//!
//! ```text
//! version u8 = 1 ‖ e 32 ‖ digest of R's bundle 32 ‖ outer layer
//! outer layer, sealed: length u32 ‖ S's key bundle ‖ inner layer
//! inner layer, sealed: key material 32 ‖ length u32 ‖ context ‖ 0, or 1 ‖ length u32 ‖ first message ‖ zeros
//! ```
//!
//! The zeros fill the whole up to a power of two, from 2 KiB to 1 MiB. What stands in the open names the recipient's bundle,
//! as the topic names the recipient; nothing names the sender. An invite that was passed on, cut, moved to another topic,
//! time or network, or sealed to keys that somebody copied into a bundle of his own, does not open.

use alloy::primitives::B256;
use ed25519_dalek::SigningKey;
use xmtp_proto::attestation::Attestation;
use xmtp_proto::derive::{EnvelopeId, NetworkId, conversation_topic};
use xmtp_proto::envelope::{Envelope, MAX_CIPHERTEXT_BYTES};
use xmtp_proto::key_bundle::{InvalidBundle, KeyBundle};
use xmtp_proto::malformed::Malformed;
use xmtp_proto::pass::{Connection, Posting};
use xmtp_proto::signature::{self, Label};
use xmtp_proto::time::Timestamp;
use xmtp_proto::topic::Topic;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::content::{Content, InvalidContent};
use crate::identity::{Identity, NotVerified, VerifiedBundle};
use crate::keys::{AgreementKey, AllZero, NoRandomness, derive, random};
use crate::layout::{Reader, Unreadable, join, length};
use crate::seal::{INVITES, TAG_BYTES, bucket};
use crate::x3dh::{Context, Ephemeral};

/// The longest context: 1 KiB.
pub const MAX_CONTEXT_BYTES: usize = 1024;

const VERSION: u8 = 1;
const HEADER_BYTES: usize = 1 + 32 + 32;

const POSTING: &[u8] = b"xmtp/key/posting/1";
const INVITER: &[u8] = b"xmtp/key/inviter/1";
const INVITEE: &[u8] = b"xmtp/key/invitee/1";
const CONNECTION_OF_INVITER: &[u8] = b"xmtp/key/connection-of-inviter/1";
const CONNECTION_OF_INVITEE: &[u8] = b"xmtp/key/connection-of-invitee/1";

/// What a conversation grows from: 32 random bytes that only its two parties know.
#[derive(ZeroizeOnDrop)]
pub struct KeyMaterial([u8; 32]);

impl KeyMaterial {
    pub(crate) const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

/// What an invite holds.
pub struct Invitation {
    key_material: KeyMaterial,
    context: String,
    message: Option<Content>,
}

/// An invitation could not be sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The recipient published a key of small order: its fault.
    #[error("the recipient's key bundle holds a key of small order: {0}")]
    AllZero(#[from] AllZero),
    /// The recipient's bundle was verified for another network than the sender's. The caller's fault.
    #[error("the recipient's key bundle is of another network")]
    OtherNetwork,
    /// The invitation fits no envelope. The caller's fault.
    #[error("the invitation is too large: {got} bytes when sealed, and at most {max} is allowed")]
    TooLarge {
        /// Bytes.
        got: usize,
        /// Bytes.
        max: usize,
    },
    /// The context is longer than [`MAX_CONTEXT_BYTES`]. The caller's fault.
    #[error("the context has {got} bytes, and at most {MAX_CONTEXT_BYTES} are allowed")]
    Context {
        /// Bytes.
        got: usize,
    },
    /// See there.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

/// An envelope is no genuine invite to this identity. Show it as that, and never as a letter; nothing else is lost. Unless
/// said otherwise, the fault of whoever made or forwarded it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The envelope lies on another topic than this account's invites. The caller's fault.
    #[error("the envelope is no invite to this account")]
    Topic,
    /// A later version of invites, perhaps. Update this program.
    #[error("invites of version {0} are unknown here")]
    Version(u8),
    /// Sealed to a bundle that this identity never published, or so long ago that its prekey is gone.
    #[error("sealed to a key bundle that this identity does not have")]
    UnknownBundle,
    /// A key in it is of small order.
    #[error(transparent)]
    AllZero(#[from] AllZero),
    /// A layer does not open: it was altered, or sealed for another recipient, topic, time or network, or by somebody else
    /// than it says.
    #[error("the seal does not open: altered, passed on, or not by whom it says")]
    Seal,
    /// The sender's key bundle is none.
    #[error("the sender's key bundle: {0}")]
    Bundle(#[from] Malformed),
    /// The sender's key bundle does not prove itself.
    #[error("the sender's key bundle: {0}")]
    Sender(#[from] InvalidBundle),
    /// What is inside is not of the layout.
    #[error("what was sealed is no invitation")]
    Unreadable,
    /// The first message is none.
    #[error("the first message: {0}")]
    Content(#[from] InvalidContent),
}

impl From<Unreadable> for OpenError {
    fn from(_: Unreadable) -> Self {
        Self::Unreadable
    }
}

/// An invite that was opened: who wrote, and what.
pub struct OpenedInvite {
    /// Who wrote, for certain (and, the invite being deniable, for the recipient alone).
    pub sender: VerifiedBundle,
    /// The digest of the recipient's bundle that it was sealed to.
    pub recipient: B256,
    /// What was written.
    pub invitation: Invitation,
}

impl OpenedInvite {
    /// The keys of the conversation that this invite begins.
    #[must_use]
    pub fn conversation(&self) -> ConversationKeys {
        ConversationKeys::new(self.invitation.key_material(), self.sender.digest(), self.recipient)
    }
}

impl Invitation {
    /// An invitation to a new conversation, with its first message.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn new(message: Option<Content>) -> Result<Self, NoRandomness> {
        Ok(Self { key_material: KeyMaterial(*random()?), context: String::new(), message })
    }

    /// What tells this conversation from others between the same two, such as the name of an application: at most
    /// [`MAX_CONTEXT_BYTES`], judged when it is sealed.
    #[must_use]
    pub fn in_context(mut self, context: impl Into<String>) -> Self {
        self.context = context.into();
        self
    }

    /// What the conversation grows from.
    #[must_use]
    pub const fn key_material(&self) -> &KeyMaterial {
        &self.key_material
    }

    /// What tells this conversation from others between the same two; mostly empty.
    #[must_use]
    pub fn context(&self) -> &str {
        &self.context
    }

    /// The first message, if there is one.
    #[must_use]
    pub const fn message(&self) -> Option<&Content> {
        self.message.as_ref()
    }

    /// The same invitation without its message.
    pub(crate) fn without_message(&self) -> Self {
        Self { key_material: KeyMaterial(self.key_material.0), context: self.context.clone(), message: None }
    }

    /// The inner layer without its zeros.
    pub(crate) fn to_secret_bytes(&self) -> Zeroizing<Vec<u8>> {
        let Self { key_material, context, message } = self;
        let head = join(&[&key_material.0, &length(context.as_bytes()), context.as_bytes()]);
        match message.as_ref().map(Content::to_bytes) {
            None => join(&[&head, &[0]]),
            Some(message) => join(&[&head, &[1], &length(&message), &message]),
        }
    }

    /// Reads what [`Invitation::to_secret_bytes`] wrote, and zeros behind it.
    pub(crate) fn from_secret_bytes(bytes: &[u8]) -> Result<Self, OpenError> {
        let mut reader = Reader::new(bytes);
        let key_material = KeyMaterial(*reader.array()?);
        let context = reader.text()?;
        if context.len() > MAX_CONTEXT_BYTES {
            return Err(OpenError::Unreadable);
        }
        let message = match reader.u8()? {
            0 => None,
            1 => Some(Content::from_bytes(reader.part()?)?),
            _ => return Err(OpenError::Unreadable),
        };
        if reader.rest().iter().any(|byte| *byte != 0) {
            return Err(OpenError::Unreadable);
        }
        Ok(Self { key_material, context: context.to_owned(), message })
    }
}

/// Seals an invitation, as an envelope on the recipient's invite topic.
///
/// # Errors
/// [`SealError`].
pub fn seal_invite(
    sender: &Identity,
    recipient: &VerifiedBundle,
    sent_at: Timestamp,
    invitation: &Invitation,
) -> Result<Envelope, SealError> {
    seal_with(&AgreementKey::random()?, sender, recipient, sent_at, invitation)
}

fn seal_with(
    ephemeral: &AgreementKey,
    sender: &Identity,
    recipient: &VerifiedBundle,
    sent_at: Timestamp,
    invitation: &Invitation,
) -> Result<Envelope, SealError> {
    if recipient.network() != sender.network() {
        return Err(SealError::OtherNetwork);
    }
    if invitation.context.len() > MAX_CONTEXT_BYTES {
        return Err(SealError::Context { got: invitation.context.len() });
    }
    let topic = Topic::Invite(recipient.account());
    let public = ephemeral.public();
    let context = Context {
        network: sender.network(),
        topic: &topic,
        sent_at,
        ephemeral: &public,
        recipient: recipient.digest(),
    };
    let agreed = Ephemeral::of_sender(ephemeral, recipient.bundle())?;
    let from_sender = sender.agreement_key().agree(&recipient.bundle().prekey)?;
    let bundle = sender.bundle();
    let [outer, inner] = [context.outer(), context.inner(bundle.digest(sender.network()))];

    let bundle = bundle.to_bytes();
    let invitation = invitation.to_secret_bytes();
    let bytes = HEADER_BYTES + 4 + bundle.len() + invitation.len() + 2 * TAG_BYTES;
    let padded = bucket(bytes, INVITES).ok_or(SealError::TooLarge { got: bytes, max: MAX_CIPHERTEXT_BYTES })?;
    let invitation = join(&[&invitation, &vec![0; padded - bytes]]);

    let sealed = agreed.inner(&from_sender, &inner).seal(&invitation, &inner);
    let sealed = agreed.outer(&outer).seal(&join(&[&length(&bundle), &bundle, &sealed]), &outer);
    let ciphertext = [&[VERSION], public.as_slice(), recipient.digest().as_slice(), &sealed].concat();
    Ok(Envelope { topic, sent_at, ciphertext })
}

/// Opens an invite: decrypts it, and verifies who wrote.
///
/// Whether the sender's keys are still its newest is not asked here; compare with the highest bundle seen.
///
/// # Errors
/// [`OpenError`] if it is not a genuine invite to this identity.
pub fn open_invite(recipient: &Identity, envelope: &Envelope) -> Result<OpenedInvite, OpenError> {
    let Envelope { topic, sent_at, ciphertext } = envelope;
    if *topic != Topic::Invite(recipient.account()) {
        return Err(OpenError::Topic);
    }
    let mut reader = Reader::new(ciphertext);
    let version = reader.u8()?;
    if version != VERSION {
        return Err(OpenError::Version(version));
    }
    let ephemeral: &[u8; 32] = reader.array()?;
    let digest = B256::from(*reader.array()?);
    let prekey = recipient.prekey_of(digest).ok_or(OpenError::UnknownBundle)?;
    let network = recipient.network();
    let context = Context { network, topic, sent_at: *sent_at, ephemeral, recipient: digest };

    let agreed = Ephemeral::of_recipient(recipient.agreement_key(), &prekey.key, ephemeral)?;
    let outer = context.outer();
    let opened = agreed.outer(&outer).open(reader.rest(), &outer).map_err(|_| OpenError::Seal)?;
    let mut reader = Reader::new(&opened);
    let bundle = KeyBundle::from_bytes(reader.part()?)?;
    let sender = VerifiedBundle::new(bundle, bundle.keys.account, network).map_err(|error| match error {
        NotVerified::Signature(error) => OpenError::Sender(error),
        NotVerified::Account { .. } => unreachable!("the account was taken from the bundle"),
    })?;

    let from_sender = prekey.key.agree(&bundle.keys.agreement_key)?;
    let inner = context.inner(sender.digest());
    let opened = agreed.inner(&from_sender, &inner).open(reader.rest(), &inner).map_err(|_| OpenError::Seal)?;
    Ok(OpenedInvite { sender, recipient: digest, invitation: Invitation::from_secret_bytes(&opened)? })
}

/// Whose messages a key seals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Author {
    /// Who wrote the invite.
    Inviter,
    /// To whom it was written.
    Invitee,
}

/// Seals the messages of one author in one conversation: 32 bytes, for XChaCha20-Poly1305.
#[derive(ZeroizeOnDrop)]
pub struct MessageKey([u8; 32]);

impl MessageKey {
    /// 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// The keys of a conversation. Both parties derive them; nobody can make two pairs of people share one.
pub struct ConversationKeys {
    posting: SigningKey,
    inviter: MessageKey,
    invitee: MessageKey,
    inviters_connection: HolderKey,
    invitees_connection: HolderKey,
}

/// With this a party of a conversation shows that the other one wants to hear from it: an Ed25519 seed, one for each of the two.
/// Both know both; what either gains by that is to write to itself.
#[derive(ZeroizeOnDrop)]
pub struct HolderKey([u8; 32]);

impl HolderKey {
    /// What an attestation names.
    #[must_use]
    pub fn public(&self) -> [u8; 32] {
        SigningKey::from_bytes(&self.0).verifying_key().to_bytes()
    }

    /// The pass for a letter to who attested the connection.
    #[must_use]
    pub fn connection(&self, network: NetworkId, id: EnvelopeId, attested: &Attestation) -> Connection {
        let &Attestation { holder, quota, expires_at, signature: attestation } = attested;
        let digest = signature::digest(Label::Connection, network, &[id.as_bytes()]);
        let signature = signature::sign(&SigningKey::from_bytes(&self.0), digest);
        Connection { holder, quota, expires_at, attestation, signature }
    }
}

impl ConversationKeys {
    /// From the key material and the digests of the inviter's and the invitee's bundle, as the invite names them: labels
    /// `xmtp/key/posting/1`, `xmtp/key/inviter/1`, `xmtp/key/invitee/1`, `xmtp/key/connection-of-inviter/1`,
    /// `xmtp/key/connection-of-invitee/1`, each over both digests, 32 bytes each.
    #[must_use]
    pub fn new(material: &KeyMaterial, inviter: B256, invitee: B256) -> Self {
        let key = |label| derive(label, &material.0, &[inviter.as_slice(), invitee.as_slice()]);
        Self {
            posting: SigningKey::from_bytes(&key(POSTING)),
            inviter: MessageKey(*key(INVITER)),
            invitee: MessageKey(*key(INVITEE)),
            inviters_connection: HolderKey(*key(CONNECTION_OF_INVITER)),
            invitees_connection: HolderKey(*key(CONNECTION_OF_INVITEE)),
        }
    }

    /// Where the conversation goes on: a hash of the posting key.
    #[must_use]
    pub fn topic(&self) -> Topic {
        conversation_topic(&self.posting.verifying_key().to_bytes())
    }

    /// The pass for the conversation's topic.
    #[must_use]
    pub fn sign_posting(&self, network: NetworkId, id: EnvelopeId) -> Posting {
        let digest = signature::digest(Label::Posting, network, &[id.as_bytes()]);
        Posting { key: self.posting.verifying_key().to_bytes(), signature: signature::sign(&self.posting, digest) }
    }

    /// By this the topic is named: Ed25519, 32 bytes.
    pub(crate) fn posting_key(&self) -> [u8; 32] {
        self.posting.verifying_key().to_bytes()
    }

    /// Signs the digest of an opening.
    pub(crate) fn sign_opening(&self, digest: B256) -> [u8; 64] {
        signature::sign(&self.posting, digest)
    }

    /// The key by which an author's letters to the other one are let through.
    #[must_use]
    pub const fn holder_key(&self, author: Author) -> &HolderKey {
        match author {
            Author::Inviter => &self.inviters_connection,
            Author::Invitee => &self.invitees_connection,
        }
    }

    /// The key of an author's messages.
    #[must_use]
    pub const fn message_key(&self, author: Author) -> &MessageKey {
        match author {
            Author::Inviter => &self.inviter,
            Author::Invitee => &self.invitee,
        }
    }
}

#[cfg(test)]
mod tests;
