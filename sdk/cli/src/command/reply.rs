//! `xmtp reply`.

use std::fmt;

use serde::Serialize;
use xmtp_proto::account::Account;
use xmtp_sdk::client::Client;
use xmtp_sdk::conversation::SentMessage;

use super::outbox::Before;
use super::shown;
use crate::failure::Failure;
use crate::output::{Output, Said};

pub(super) async fn run(account: Account, text: &str, client: &Client, output: &Output) -> Result<(), Failure> {
    let conversation = client.conversation(account).await?.ok_or_else(|| Failure::no_conversation(account))?;
    output.say(&Receipt::from(conversation.send(text).await?))
}

#[derive(Serialize)]
struct Receipt {
    to: String,
    envelope: String,
    cursor: u64,
    accepted_at: String,
    operator: String,
    /// Whether the conversation had to be opened for it.
    opened: bool,
    units_paid: u32,
    #[serde(flatten)]
    before: Before,
}

impl From<SentMessage> for Receipt {
    fn from(it: SentMessage) -> Self {
        let SentMessage { to, envelope, postmark, opened, before } = it;
        Self {
            to: to.to_string(),
            envelope: envelope.to_string(),
            cursor: postmark.postmark.cursor.0,
            accepted_at: shown::time(postmark.postmark.accepted_at),
            operator: postmark.postmark.operator.to_string(),
            opened,
            // No message has stamps.
            units_paid: 0,
            before: before.into(),
        }
    }
}

impl Said for Receipt {
    fn text(&self, f: &mut impl fmt::Write) -> fmt::Result {
        writeln!(f, "Delivered to {} at {}.", self.to, self.accepted_at)?;
        if self.opened {
            writeln!(f, "  the conversation is open now: neither of you needs stamps in it")?;
        }
        self.before.text(f)
    }
}
