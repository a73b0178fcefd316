//! `xmtp can-send`: may this wallet write to that account now, and what would it show?

use std::fmt;

use serde::Serialize;
use xmtp_proto::account::Account;
use xmtp_sdk::client::{AskError, Client, WhatItTakes};

use super::Answer;
use super::shown::{self, Offered};
use crate::failure::Failure;
use crate::output::{Output, Said};

pub(super) async fn run(account: Account, client: &Client, output: &Output) -> Result<Answer, Failure> {
    let verdict = match client.requirements(account).await {
        Ok(what) => Verdict::new(account, &what),
        Err(AskError::NoSuchInbox(_)) => Verdict { account: account.to_string(), ..Verdict::no("no_such_inbox") },
        Err(error) => return Err(error.into()),
    };
    output.say(&verdict)?;
    Ok(if verdict.can_send { Answer::Yes } else { Answer::No })
}

#[derive(Default, Serialize)]
struct Verdict {
    account: String,
    can_send: bool,
    /// Why not: `no_such_inbox`, `no_pass`, or `nobody` if nothing would do; null if it can.
    reason: Option<&'static str>,
    /// By the network, of everybody.
    network: Option<String>,
    /// By the account; null if it asks for nothing more.
    policy: Option<String>,
    /// What this wallet would show; empty if nothing is asked. Null if it cannot.
    passes: Option<Vec<String>>,
    /// What the stamps among that are worth.
    units: Option<u32>,
    /// The cheapest that would do, whoever has it.
    offer: Option<Offered>,
    #[serde(skip)]
    price: String,
}

impl Verdict {
    fn no(reason: &'static str) -> Self {
        Self { reason: Some(reason), ..Self::default() }
    }

    fn new(account: Account, what: &WhatItTakes) -> Self {
        let WhatItTakes { recipient, offer, at_hand, .. } = what;
        let reason = match (at_hand, offer) {
            (Some(_), _) => None,
            (None, Some(_)) => Some("no_pass"),
            (None, None) => Some("nobody"),
        };
        let price = offer.as_ref().map(|(offer, price)| match offer.stamps.as_slice() {
            [] => offer.to_string(),
            _ => format!("{offer}, for {price} (bond included)"),
        });
        Self {
            account: account.to_string(),
            can_send: at_hand.is_some(),
            reason,
            network: Some(recipient.network.to_string()),
            policy: recipient.policy.as_ref().map(|policy| policy.requirement.to_string()),
            passes: at_hand.as_ref().map(|choice| shown::passes(choice.passes.iter().map(|it| it.shows))),
            units: at_hand.as_ref().map(|choice| choice.cost.units),
            offer: offer.as_ref().map(Offered::from),
            price: price.unwrap_or_default(),
        }
    }
}

impl Said for Verdict {
    fn text(&self, f: &mut impl fmt::Write) -> fmt::Result {
        match (self.passes.as_deref(), self.reason) {
            (Some([]), _) => writeln!(f, "Yes: nothing is asked of who writes to {}.", self.account)?,
            (Some(passes), _) => {
                writeln!(f, "Yes: the passes at hand will do for {}: {}.", self.account, passes.join(", "))?;
            }
            (None, Some("no_such_inbox")) => {
                return writeln!(f, "No: {} has no inbox on this network.", self.account);
            }
            (None, Some("no_pass")) => {
                writeln!(f, "No: the passes at hand do not suffice for {}.", self.account)?;
                writeln!(f, "  would do          {}", self.price)?;
            }
            (None, _) => writeln!(f, "No: nothing would do for {}.", self.account)?,
        }
        writeln!(f, "  the network asks  {}", self.network.as_deref().unwrap_or_default())?;
        writeln!(f, "  its owner asks    {}", self.policy.as_deref().unwrap_or("nothing more"))
    }
}
