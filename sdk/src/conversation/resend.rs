//! Messages from before of which it is not known whether they arrived: sent again, sealed anew if they have waited for too long.

use std::time::Duration;

use xmtp_proto::envelope::Envelope;
use xmtp_proto::postmark::Cursor;
use xmtp_proto::refusal::Code;
use xmtp_proto::time::{MAX_AGE, MAX_AHEAD};

use super::{Conversation, ConversationError, SentMessage};
use crate::client::{Client, Mail, Reached, Resent, Step, Unsent, is_passing};
use crate::content::Content;
use crate::identity::Identity;
use crate::inbox::InboxError;
use crate::state::StateError;

/// From this age on a message is sealed anew before it is sent again: nodes judge by clocks of their own.
const TOO_OLD: Duration = MAX_AGE.saturating_sub(MAX_AHEAD);

/// A message from before, looked at again.
pub(super) enum Renewed {
    /// It is in the conversation.
    Arrived(Box<SentMessage>),
    /// It is to be sent like this.
    Open(Envelope),
}

impl Client {
    /// Sends again what did not get through in any conversation.
    pub(crate) async fn resend_posts(&self, identity: &Identity) -> Result<Resent, StateError> {
        let mut resent = Resent::default();
        for envelope in self.state().all_posts()? {
            if let Some(conversation) = self.kept_conversation(&envelope.topic)? {
                conversation.resend(identity, envelope, &mut resent).await?;
            }
        }
        // From here on somebody knows.
        resent.refused().try_for_each(|id| self.state().end_post(id))?;
        Ok(resent)
    }

    /// What did not get through in any conversation.
    pub(crate) fn unsent_posts(&self) -> Result<Vec<Unsent>, StateError> {
        let mut unsent = Vec::new();
        for envelope in self.state().all_posts()? {
            unsent.extend(self.kept_conversation(&envelope.topic)?.map(|it| it.unsent(&envelope, None)));
        }
        Ok(unsent)
    }
}

impl Conversation<'_> {
    /// Sends a message from before again. What does not get through stays, whatever the reason, and is told of.
    pub(super) async fn resend(
        &self,
        identity: &Identity,
        envelope: Envelope,
        resent: &mut Resent,
    ) -> Result<(), StateError> {
        let (envelope, result) = match self.renew(identity, envelope.clone()).await {
            Ok(Renewed::Arrived(sent)) => (envelope, Ok(*sent)),
            Ok(Renewed::Open(envelope)) => (envelope.clone(), self.deliver(identity, envelope).await),
            Err(error) => (envelope, Err(error)),
        };
        match result {
            Ok(_) => resent.delivered += 1,
            Err(ConversationError::State(error)) => return Err(error),
            Err(ConversationError::Refused(refusal)) if !is_passing(&refusal) => {
                resent.unsent.push(self.unsent(&envelope, Some(refusal.code())));
            }
            Err(_) => resent.unsent.push(self.unsent(&envelope, None)),
        }
        Ok(())
    }

    /// A message from before as nodes take it now: sealed anew if its time is past, or from a clock that ran ahead, and it did not
    /// arrive.
    pub(super) async fn renew(&self, identity: &Identity, envelope: Envelope) -> Result<Renewed, ConversationError> {
        let now = self.client.now();
        if envelope.sent_at.since(now) <= MAX_AHEAD && now.since(envelope.sent_at) < TOO_OLD {
            return Ok(Renewed::Open(envelope));
        }
        let (state, network) = (self.client.state(), self.client.network());
        let id = envelope.id(network);
        match self.client.read_on(identity, self.topic()).await {
            Ok(Reached::End) => {}
            Ok(Reached::Limit) => return Err(ConversationError::Behind),
            Err(InboxError::Transport(error)) => return Err(ConversationError::Unknown(error)),
            Err(error) => return Err(error.into()),
        }
        let records = state.records(&self.topic(), Cursor::default())?;
        if let Some(found) = records.iter().rfind(|record| record.submission.envelope().id(network) == id) {
            state.end_post(id)?;
            return Ok(Renewed::Arrived(self.sent(id, found.postmark, false).into()));
        }
        let opened = self.channel.open(&envelope).map_err(|_| ConversationError::Unreadable(id))?;
        let renewed = self.channel.seal(identity, now, &opened.content)?;
        self.client.step(Step::WritingDown);
        state.renew_post(id, &renewed)?;
        self.client.step(Step::WrittenDown);
        Ok(Renewed::Open(renewed))
    }

    fn unsent(&self, envelope: &Envelope, refused: Option<Code>) -> Unsent {
        let opened = self.channel.open(envelope).ok();
        Unsent {
            what: Mail::Message,
            to: self.peer(),
            envelope: envelope.id(self.client.network()),
            sent_at: envelope.sent_at,
            content: opened.and_then(|it| Content::from_bytes(&it.content).ok()),
            refused,
        }
    }
}
