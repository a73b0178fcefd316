//! The inbox: what came to the account's invite topic, decrypted, its author checked (litepaper 4.2).
//!
//! A letter that does not verify is reported with the reason, and its text is never shown.

use xmtp_proto::account::Account;
use xmtp_proto::derive::EnvelopeId;
use xmtp_proto::field::Tag;
use xmtp_proto::pass::Pass;
use xmtp_proto::postmark::Cursor;
use xmtp_proto::record::Record;
use xmtp_proto::time::Timestamp;
use xmtp_proto::topic::Topic;

use crate::client::{Client, NoIdentity};
use crate::content::{Content, InvalidContent};
use crate::identity::Identity;
use crate::invite::{OpenError, open_invite};
use crate::message::OpenMessageError;
use crate::state::{self, Letter, StateError};
use crate::transport::{Order, Role, TransportError};

/// Records asked for at once.
const PAGE: u32 = 100;
/// Pages read in one go; the next call goes on.
const MAX_PAGES: usize = 1_000;

/// Which letters to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// All that there are.
    All,
    /// Those that this client has not read before.
    New,
}

/// What came.
#[derive(Default)]
pub struct Inbox {
    /// Genuine letters, in the order in which they were accepted.
    pub messages: Vec<Message>,
    /// What does not verify.
    pub unverified: Vec<Unverified>,
    /// Genuine letters from accounts that this one blocked: not shown.
    pub blocked: usize,
}

/// A genuine letter.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// Its envelope's name.
    pub envelope: EnvelopeId,
    /// Where it stands in the operator's log.
    pub cursor: Cursor,
    /// Who wrote.
    pub from: Account,
    /// The sender's clock.
    pub sent_at: Timestamp,
    /// The operator's clock.
    pub accepted_at: Timestamp,
    /// What was written; none if the invitation came without a letter.
    pub content: Option<Content>,
    /// What the sender paid, in units of postage, as the operator accepted it.
    pub units_paid: u32,
    /// The sender's pseudonym towards this account, if a pass showed one.
    pub tag: Option<Tag>,
}

/// Something that came and is no genuine letter.
#[derive(Debug)]
pub struct Unverified {
    /// Its envelope's name.
    pub envelope: EnvelopeId,
    /// Where it stands in the operator's log.
    pub cursor: Cursor,
    /// The operator's clock.
    pub accepted_at: Timestamp,
    /// Why.
    pub reason: Reason,
}

/// Why something is no genuine letter.
#[derive(Debug, thiserror::Error)]
pub enum Reason {
    /// See there.
    #[error(transparent)]
    Unopened(#[from] OpenError),
    /// See there.
    #[error(transparent)]
    Message(#[from] OpenMessageError),
    /// A genuine message whose content does not decode.
    #[error(transparent)]
    Content(#[from] InvalidContent),
    /// A genuine message that stands further up in the log, sealed once more: the other party can do that, or its author.
    #[error("a message of {0} that came before, sealed again")]
    Repeated(Account),
    /// Written with keys that the account's wallet has replaced since: whoever stole those could have written it.
    #[error("written with messaging keys of {0} that its wallet has replaced since")]
    KeysReplaced(Account),
}

/// The inbox was not read.
#[derive(Debug, thiserror::Error)]
pub enum InboxError {
    /// See there.
    #[error(transparent)]
    NoIdentity(#[from] NoIdentity),
    /// See there.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// See there.
    #[error(transparent)]
    State(#[from] StateError),
}

impl Client {
    /// Reads the letters that came, and remembers how far it read.
    ///
    /// # Errors
    /// [`InboxError`].
    pub async fn inbox(&self, which: Which) -> Result<Inbox, InboxError> {
        self.care_for_keys().await?;
        let identity = self.identity()??;
        let connection = self.connection(Role::Mine).await?;
        let topic = Topic::Invite(self.account());
        let mut cursor = match which {
            Which::All => Cursor::default(),
            Which::New => self.state().cursor(&topic)?,
        };
        let mut inbox = Inbox::default();
        for _ in 0..MAX_PAGES {
            let page = connection.query(topic, cursor, Order::OldestFirst, PAGE).await?;
            let (mut received, mut paid) = (Vec::new(), Vec::new());
            for record in &page.records {
                cursor = record.postmark.postmark.cursor;
                match self.open(&identity, record) {
                    Ok((message, _)) if self.is_blocked(message.from)? => inbox.blocked += 1,
                    Ok((message, letter)) => {
                        paid.extend((message.units_paid > 0).then_some(message.envelope));
                        inbox.messages.push(message);
                        received.push((letter, cursor));
                    }
                    Err(Failed::State(error)) => return Err(error.into()),
                    Err(Failed::Reason(reason)) => inbox.unverified.push(unverified(&identity, record, reason)),
                }
            }
            // Before the cursor moves on, so that none is missed; told twice, a letter is read once.
            self.state().want_receipts(&paid)?;
            self.state().receive(&topic, cursor, &received)?;
            if !page.more {
                break;
            }
        }
        self.care_for_receipts(&identity).await?;
        self.care_for_journal(&identity).await?;
        Ok(inbox)
    }

    /// The passes of every genuine letter, and who wrote it, in the order of the log.
    pub(crate) async fn look_at_passes(&self, mut look: impl FnMut(Account, &[Pass])) -> Result<(), InboxError> {
        let identity = self.identity()??;
        let connection = self.connection(Role::Mine).await?;
        let (topic, mut cursor) = (Topic::Invite(self.account()), Cursor::default());
        for _ in 0..MAX_PAGES {
            let page = connection.query(topic, cursor, Order::OldestFirst, PAGE).await?;
            for record in &page.records {
                cursor = record.postmark.postmark.cursor;
                match self.open(&identity, record) {
                    Ok((message, _)) => look(message.from, record.submission.passes()),
                    Err(Failed::State(error)) => return Err(error.into()),
                    Err(Failed::Reason(_)) => {}
                }
            }
            if !page.more {
                break;
            }
        }
        Ok(())
    }

    pub(crate) fn open(&self, identity: &Identity, record: &Record) -> Result<(Message, Letter), Failed> {
        let envelope = record.submission.envelope();
        let opened = open_invite(identity, envelope).map_err(Reason::from)?;
        let from = opened.sender.account();
        let seen = self.state().seen(from, state::Record::Bundle)?;
        let (revision, _) = opened.sender.bundle().order();
        let identity_key = opened.sender.bundle().keys.identity_key;
        if seen.is_none_or(|seen| seen.revision < revision) {
            self.state().remember_attested(&opened.sender)?;
        }
        let letter = Letter::received(identity, envelope, opened);
        // What was genuine when it was first read stays so.
        if seen.is_some_and(|seen| seen.has_replaced(revision, &identity_key))
            && !self.state().has_received(letter.id)?
        {
            return Err(Reason::KeysReplaced(from).into());
        }
        let passes = record.submission.passes();
        let units =
            passes.iter().map(|pass| if let Pass::Stamp(stamp) = pass { stamp.denomination.units() } else { 0 });
        let message = Message {
            envelope: letter.id,
            cursor: record.postmark.postmark.cursor,
            from,
            sent_at: letter.sent_at,
            accepted_at: record.postmark.postmark.accepted_at,
            content: letter.invitation.message().cloned(),
            units_paid: units.sum(),
            tag: passes.iter().find_map(tag),
        };
        Ok((message, letter))
    }
}

/// The pseudonym that a pass shows to the account, if it shows one.
pub(crate) const fn tag(pass: &Pass) -> Option<Tag> {
    match pass {
        Pass::Stamp(stamp) if stamp.nonce.is_none() => Some(stamp.proof.tag),
        Pass::Stake(stake) => Some(stake.proof.tag),
        Pass::Claim(claim) => Some(claim.proof.tag),
        Pass::Member(member) => Some(member.proof.tag),
        Pass::Stamp(_) | Pass::Connection(_) | Pass::Posting(_) | Pass::Owner(_) | Pass::Issuer(_) => None,
    }
}

/// Either this letter, or the inbox as a whole.
pub(crate) enum Failed {
    Reason(Reason),
    State(StateError),
}

impl From<Reason> for Failed {
    fn from(reason: Reason) -> Self {
        Self::Reason(reason)
    }
}

impl From<StateError> for Failed {
    fn from(error: StateError) -> Self {
        Self::State(error)
    }
}

pub(crate) fn unverified(identity: &Identity, record: &Record, reason: Reason) -> Unverified {
    Unverified {
        envelope: record.submission.envelope().id(identity.network()),
        cursor: record.postmark.postmark.cursor,
        accepted_at: record.postmark.postmark.accepted_at,
        reason,
    }
}
