//! `xmtp send`.

use std::fmt;

use serde::Serialize;
use xmtp_proto::account::Account;
use xmtp_sdk::client::{Client, Draft, LITTLE_COVER, Sent};

use super::outbox::Before;
use super::reasoning::Reasoning;
use super::shown;
use crate::args::Send;
use crate::failure::Failure;
use crate::output::{Output, Said};

pub(super) async fn run(account: Account, letter: Send, client: &Client, output: &Output) -> Result<(), Failure> {
    let Send { account: _, text, max_price, without_passes, from_small_groups, explain } = letter;
    let draft = Draft { max_price, without_passes, from_small_groups, ..Draft::new(account, text) };
    let reasoning = if explain { Some(Reasoning::from(&client.requirements(account).await?)) } else { None };
    match client.send_draft(draft).await {
        Ok(sent) => output.say(&Receipt { reasoning, ..Receipt::from(sent) }),
        Err(error) => {
            // Where it matters most.
            if let Some(reasoning) = &reasoning {
                output.note(reasoning);
            }
            Err(error.into())
        }
    }
}

#[derive(Serialize)]
struct Receipt {
    to: String,
    envelope: String,
    cursor: u64,
    accepted_at: String,
    operator: String,
    /// What was shown.
    passes: Vec<String>,
    stamps_cancelled: usize,
    units_paid: u32,
    tagged: bool,
    /// Among how many books the stamp hid.
    cover: Option<u32>,
    fresh_root: bool,
    /// Whether the stamps were taken by the record on this machine alone: the node keeps no journal.
    unshared: bool,
    /// How many times its usual postage the network asked.
    times: u32,
    #[serde(flatten)]
    before: Before,
    /// Why these passes, if that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<Reasoning>,
}

impl From<Sent> for Receipt {
    fn from(it: Sent) -> Self {
        // A process that lives for one letter prepares none.
        let Sent {
            to,
            envelope,
            postmark,
            passes,
            stamps,
            tagged,
            cover,
            fresh_root,
            unshared,
            times,
            prepared: _,
            before,
        } = it;
        Self {
            to: to.to_string(),
            envelope: envelope.to_string(),
            cursor: postmark.postmark.cursor.0,
            accepted_at: shown::time(postmark.postmark.accepted_at),
            operator: postmark.postmark.operator.to_string(),
            passes: shown::passes(passes),
            stamps_cancelled: stamps.len(),
            units_paid: stamps.iter().map(|stamp| stamp.units()).sum(),
            tagged,
            cover,
            fresh_root,
            unshared,
            times,
            before: before.into(),
            reasoning: None,
        }
    }
}

impl Said for Receipt {
    fn text(&self, f: &mut impl fmt::Write) -> fmt::Result {
        writeln!(f, "Delivered to {} at {}.", self.to, self.accepted_at)?;
        match self.stamps_cancelled {
            0 if self.passes.is_empty() => writeln!(f, "  nothing was asked")?,
            0 => writeln!(f, "  nothing was paid: {} was shown", self.passes.join(", "))?,
            1 => writeln!(f, "  paid with 1 stamp, {}", shown::units(self.units_paid))?,
            count => writeln!(f, "  paid with {count} stamps, {}", shown::units(self.units_paid))?,
        }
        if self.times > 1 {
            writeln!(f, "  the node is busy, and the network asked {} times its postage", self.times)?;
        }
        if let Some(cover) = self.cover.filter(|cover| *cover < LITTLE_COVER) {
            writeln!(f, "  little cover: the stamp could be of {cover} books only")?;
        }
        if self.fresh_root {
            writeln!(f, "  a fresh root was used: it says that the book was bought lately")?;
        }
        if self.unshared {
            writeln!(
                f,
                "  this node keeps no journal: run no copy of this client, it would use the same stamps again"
            )?;
        }
        if let Some(reasoning) = &self.reasoning {
            write!(f, "{reasoning}")?;
        }
        self.before.text(f)
    }
}
