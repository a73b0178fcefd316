//! `xmtp inbox`.

use std::fmt;

use serde::Serialize;
use xmtp_contracts::Deployment;
use xmtp_sdk::chain::held;
use xmtp_sdk::client::Client;
use xmtp_sdk::inbox::{Inbox, Message, Unverified, Which};

use super::shown::{self, Money};
use crate::failure::Failure;
use crate::output::{Output, Said};

pub(super) async fn run(new: bool, client: &Client, output: &Output) -> Result<(), Failure> {
    let earning = Earning { deployment: client.deployment(), told: client.tells_receipts() };
    let which = if new { Which::New } else { Which::All };
    let Inbox { messages, unverified, blocked } = client.inbox(which).await?;
    let mut conversations = Vec::new();
    for conversation in client.conversations().await?.iter().filter(|it| it.is_accepted()) {
        let Inbox { messages, unverified, blocked: _ } = conversation.messages(which).await?;
        if !messages.is_empty() || !unverified.is_empty() {
            conversations.push(Talk {
                with: conversation.peer().to_string(),
                messages: messages.into_iter().map(Line::from).collect(),
                unverified: unverified.iter().map(Doubtful::from).collect(),
            });
        }
    }
    output.say(&Letters {
        account: client.account().to_string(),
        messages: messages.into_iter().map(|message| earning.letter(message)).collect(),
        unverified: unverified.iter().map(Doubtful::from).collect(),
        blocked,
        conversations,
    })
}

#[derive(Serialize)]
struct Letters {
    account: String,
    /// Genuine ones only.
    messages: Vec<Letter>,
    /// What came and does not verify: never a text.
    unverified: Vec<Doubtful>,
    /// Genuine letters of accounts that this one blocked: not shown.
    blocked: usize,
    /// What followed the letters that were written, or answered.
    conversations: Vec<Talk>,
}

#[derive(Serialize)]
struct Talk {
    with: String,
    /// Both sides', genuine ones only.
    messages: Vec<Line>,
    unverified: Vec<Doubtful>,
}

#[derive(Serialize)]
pub(super) struct Line {
    from: String,
    /// Always true here: what does not verify stands elsewhere.
    verified: bool,
    /// The text, or what the content's type gives instead.
    text: Option<String>,
    content_type: Option<String>,
    sent_at: String,
    accepted_at: String,
    units_paid: u32,
    cursor: u64,
    envelope: String,
}

#[derive(Serialize)]
pub(super) struct Letter {
    from: String,
    /// Always true here: what does not verify stands elsewhere.
    verified: bool,
    /// The text, or what the content's type gives instead.
    text: Option<String>,
    content_type: Option<String>,
    sent_at: String,
    accepted_at: String,
    units_paid: u32,
    /// What of that is held for the operator and, now that it was read, for its reader; null if nothing was paid, or the node is
    /// not told what was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    earned: Option<Money>,
    /// The sender's pseudonym, if a pass showed one.
    tag: Option<String>,
    cursor: u64,
    envelope: String,
}

#[derive(Serialize)]
pub(super) struct Doubtful {
    reason: String,
    accepted_at: String,
    cursor: u64,
    envelope: String,
}

/// What reading is worth.
struct Earning<'a> {
    deployment: &'a Deployment,
    told: bool,
}

impl Earning<'_> {
    fn letter(&self, message: Message) -> Letter {
        let is_paid = self.told && message.units_paid > 0;
        let earned = is_paid.then(|| held(self.deployment, message.units_paid).into());
        Letter { earned, ..Letter::from(message) }
    }
}

impl From<Message> for Letter {
    fn from(it: Message) -> Self {
        let Message { envelope, cursor, from, sent_at, accepted_at, content, units_paid, tag } = it;
        Self {
            from: from.to_string(),
            verified: true,
            text: content.as_ref().and_then(|content| content.shown()).map(ToOwned::to_owned),
            content_type: content.map(|content| content.content_type().to_string()),
            sent_at: shown::time(sent_at),
            accepted_at: shown::time(accepted_at),
            units_paid,
            earned: None,
            tag: tag.map(|tag| tag.to_string()),
            cursor: cursor.0,
            envelope: envelope.to_string(),
        }
    }
}

impl From<&Unverified> for Doubtful {
    fn from(it: &Unverified) -> Self {
        let Unverified { envelope, cursor, accepted_at, reason } = it;
        Self {
            reason: reason.to_string(),
            accepted_at: shown::time(*accepted_at),
            cursor: cursor.0,
            envelope: envelope.to_string(),
        }
    }
}

impl From<Message> for Line {
    fn from(it: Message) -> Self {
        let Letter { from, verified, text, content_type, sent_at, accepted_at, units_paid, cursor, envelope, .. } =
            it.into();
        Self { from, verified, text, content_type, sent_at, accepted_at, units_paid, cursor, envelope }
    }
}

impl Said for Letters {
    fn text(&self, f: &mut impl fmt::Write) -> fmt::Result {
        let nothing = self.messages.is_empty() && self.unverified.is_empty() && self.conversations.is_empty();
        if nothing && self.blocked == 0 {
            return writeln!(f, "No letters.");
        }
        for letter in &self.messages {
            letter.text(f)?;
        }
        for doubtful in &self.unverified {
            doubtful.text(f)?;
        }
        for talk in &self.conversations {
            talk.text(f)?;
        }
        if self.blocked > 0 {
            writeln!(f, "{} letters of blocked accounts are not shown.", self.blocked)?;
        }
        Ok(())
    }
}

impl Said for Talk {
    fn text(&self, f: &mut impl fmt::Write) -> fmt::Result {
        writeln!(f, "Conversation with {}", self.with)?;
        for line in &self.messages {
            line.text_of(f, &self.with)?;
        }
        for doubtful in &self.unverified {
            doubtful.text(f)?;
        }
        Ok(())
    }
}

impl Line {
    pub(super) fn text_of(&self, f: &mut impl fmt::Write, with: &str) -> fmt::Result {
        writeln!(f, " {}, {}", if self.from == with { "they" } else { "you" }, self.sent_at)?;
        body(f, self.text.as_deref())
    }
}

impl Said for Letter {
    fn text(&self, f: &mut impl fmt::Write) -> fmt::Result {
        let Self { from, text, sent_at, units_paid, earned, tag, .. } = self;
        write!(f, "From {from}, {sent_at}, {} paid", shown::units(*units_paid))?;
        if let Some(earned) = earned {
            write!(f, ", {earned} of it held for you and the operator")?;
        }
        match tag {
            Some(tag) => writeln!(f, ", tag {tag}")?,
            None => writeln!(f)?,
        }
        body(f, text.as_deref())
    }
}

/// A text must not steer the terminal.
pub(super) fn body(f: &mut impl fmt::Write, text: Option<&str>) -> fmt::Result {
    for line in text.unwrap_or("(content that this program cannot show)").lines() {
        writeln!(f, "  {}", line.replace(|it: char| it.is_control() && it != '\t', "\u{fffd}"))?;
    }
    Ok(())
}

impl Said for Doubtful {
    fn text(&self, f: &mut impl fmt::Write) -> fmt::Result {
        let Self { reason, accepted_at, envelope, .. } = self;
        writeln!(f, "Not genuine, {accepted_at}: {reason} (envelope {envelope})")
    }
}
