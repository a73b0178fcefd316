//! `xmtp outbox`, and the same beside what other commands say.

use std::fmt;

use serde::Serialize;
use xmtp_sdk::client::{Client, Mail, Resent, Unsent};

use super::{inbox, shown};
use crate::failure::Failure;
use crate::output::{Output, Said};

pub(super) fn run(client: &Client, output: &Output) -> Result<(), Failure> {
    let unsent = client.outbox()?.into_iter().map(Entry::from).collect();
    output.say(&Outbox { account: client.account().to_string(), unsent })
}

#[derive(Serialize)]
struct Outbox {
    account: String,
    unsent: Vec<Entry>,
}

/// What became of letters or messages from before.
#[derive(Serialize)]
pub(super) struct Before {
    /// How many got through now.
    pub(super) resumed: usize,
    /// Those that did not.
    unsent: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    /// `letter` or `message`.
    what: &'static str,
    to: String,
    /// The text, or what the content's type gives instead.
    text: Option<String>,
    sent_at: String,
    /// `waiting`, to be sent again, or `refused`, for good.
    status: &'static str,
    /// By what it was refused.
    refused: Option<&'static str>,
    envelope: String,
}

impl Before {
    /// Those that did not get through, for people.
    pub(super) fn unsent(&self, f: &mut impl fmt::Write) -> fmt::Result {
        self.unsent.iter().try_for_each(|entry| entry.text(f))
    }
}

impl From<Resent> for Before {
    fn from(Resent { delivered, unsent }: Resent) -> Self {
        Self { resumed: delivered, unsent: unsent.into_iter().map(Entry::from).collect() }
    }
}

impl From<Unsent> for Entry {
    fn from(Unsent { what, to, envelope, sent_at, content, refused }: Unsent) -> Self {
        Self {
            what: match what {
                Mail::Letter => "letter",
                Mail::Message => "message",
            },
            to: to.to_string(),
            text: content.as_ref().and_then(|content| content.shown()).map(ToOwned::to_owned),
            sent_at: shown::time(sent_at),
            status: if refused.is_some() { "refused" } else { "waiting" },
            refused: refused.map(|code| code.as_str()),
            envelope: envelope.to_string(),
        }
    }
}

impl Said for Outbox {
    fn text(&self, f: &mut impl fmt::Write) -> fmt::Result {
        if self.unsent.is_empty() {
            return writeln!(f, "All that was written got through.");
        }
        self.unsent.iter().try_for_each(|entry| entry.text(f))
    }
}

impl Said for Before {
    /// Nothing if nothing is to be told.
    fn text(&self, f: &mut impl fmt::Write) -> fmt::Result {
        if self.resumed > 0 {
            writeln!(f, "{} from before got through too.", self.resumed)?;
        }
        self.unsent(f)
    }
}

impl Said for Entry {
    fn text(&self, f: &mut impl fmt::Write) -> fmt::Result {
        let Self { what, to, text, sent_at, refused, .. } = self;
        match refused {
            Some(code) => {
                writeln!(
                    f,
                    "Refused ({code}): a {what} to {to}, written {sent_at}. To try once more, write the same again."
                )?;
            }
            None => writeln!(
                f,
                "Waiting: a {what} to {to}, written {sent_at}. It is sent again with the next one, or by xmtp sync."
            )?,
        }
        inbox::body(f, text.as_deref())
    }
}
