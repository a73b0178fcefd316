//! What did not get through: sent again with what comes next, and told of, until it did or was refused.

use std::fmt;
use std::time::Duration;

use xmtp_proto::account::Account;
use xmtp_proto::derive::EnvelopeId;
use xmtp_proto::refusal::{Code, Refusal};
use xmtp_proto::time::Timestamp;

use super::{Client, SendError};
use crate::content::Content;
use crate::state::{Delivery, Outgoing, StateError};

/// For so long a letter that was refused is listed.
const REMEMBERED: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What became of letters or messages from before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resent {
    /// How many are known to have got through now.
    pub delivered: usize,
    /// Those that did not.
    pub unsent: Vec<Unsent>,
}

/// A letter or a message that did not get through.
#[derive(Clone, PartialEq, Eq)]
pub struct Unsent {
    /// Which of them.
    pub what: Mail,
    /// To whom.
    pub to: Account,
    /// The envelope's name.
    pub envelope: EnvelopeId,
    /// When it was written.
    pub sent_at: Timestamp,
    /// What was written; none if that can no longer be read.
    pub content: Option<Content>,
    /// By what a node refused it for good: then nobody sends it again but who writes the same once more. None if it waits.
    pub refused: Option<Code>,
}

/// What can be on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mail {
    /// A letter.
    Letter,
    /// A message of a conversation.
    Message,
}

impl Client {
    /// Sends again what did not get through, letters and messages of all conversations.
    ///
    /// # Errors
    /// [`SendError::NoIdentity`], [`SendError::State`].
    pub async fn resume_outbox(&self) -> Result<Resent, SendError> {
        let identity = self.identity()??;
        let mut resent = self.resume(&identity, |_| true).await?;
        let posts = self.resend_posts(&identity).await?;
        resent.delivered += posts.delivered;
        resent.unsent.extend(posts.unsent);
        self.care_for_journal(&identity).await?;
        Ok(resent)
    }

    /// What did not get through, the oldest first: what waits to be sent again, and letters that were refused within the last
    /// month. Asks nobody.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn outbox(&self) -> Result<Vec<Unsent>, StateError> {
        let (all, now) = (self.state.outbox()?, self.now());
        let says = |outgoing: &Outgoing| (outgoing.letter.to(), outgoing.letter.invitation.message().cloned());
        let is_delivered = |outgoing: &Outgoing| matches!(outgoing.delivery, Delivery::Delivered(_));
        let is_unsent = |place: usize, outgoing: &Outgoing| match outgoing.delivery {
            Delivery::Pending => true,
            Delivery::Delivered(_) => false,
            Delivery::Refused(_) => {
                let again = all[place..].iter().any(|later| is_delivered(later) && says(later) == says(outgoing));
                !again && now.since(outgoing.envelope.sent_at) < REMEMBERED
            }
        };
        let letters = all.iter().enumerate().filter(|(place, outgoing)| is_unsent(*place, outgoing));
        let mut unsent: Vec<Unsent> = letters.map(|(_, outgoing)| outgoing.into()).collect();
        unsent.extend(self.unsent_posts()?);
        unsent.sort_by_key(|it| it.sent_at);
        Ok(unsent)
    }
}

impl Resent {
    /// The names of those that were refused for good.
    pub(crate) fn refused(&self) -> impl Iterator<Item = EnvelopeId> {
        self.unsent.iter().filter(|unsent| unsent.refused.is_some()).map(|unsent| unsent.envelope)
    }
}

impl From<&Outgoing> for Unsent {
    fn from(it: &Outgoing) -> Self {
        Self {
            what: Mail::Letter,
            to: it.letter.to(),
            envelope: it.letter.id,
            sent_at: it.envelope.sent_at,
            content: it.letter.invitation.message().cloned(),
            refused: if let Delivery::Refused(code) = it.delivery { Some(code) } else { None },
        }
    }
}

impl fmt::Debug for Unsent {
    /// Without what was written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, to, envelope, sent_at, content: _, refused } = self;
        f.debug_struct("Unsent")
            .field("what", what)
            .field("to", to)
            .field("envelope", envelope)
            .field("sent_at", sent_at)
            .field("refused", refused)
            .finish_non_exhaustive()
    }
}

/// Whether a node says no to the same bytes for ever.
pub(super) const fn is_final(code: Code) -> bool {
    matches!(code, Code::TimeOutOfRange | Code::NullifierUsed | Code::SecretClosed | Code::Malformed)
}

/// Whether a node may say yes to the same bytes in a moment.
pub(crate) const fn is_passing(refusal: &Refusal) -> bool {
    matches!(refusal.code(), Code::Overloaded | Code::ChainViewStale)
}
