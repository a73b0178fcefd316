//! `xmtp requirements`.

use std::fmt;

use serde::Serialize;
use xmtp_proto::account::Account;
use xmtp_sdk::client::{Client, WhatItTakes};

use super::shown::Offered;
use crate::failure::Failure;
use crate::output::{Output, Said};

pub(super) async fn run(account: Account, client: &Client, output: &Output) -> Result<(), Failure> {
    output.say(&Asked::new(account, &client.requirements(account).await?))
}

#[derive(Serialize)]
struct Asked {
    account: String,
    /// By the network, of everybody.
    network: String,
    /// How many times its usual postage that is, for the node is busy; 1 if it is not.
    times: u32,
    /// By the account; null if it asks for nothing more.
    policy: Option<String>,
    /// The cheapest passes for a letter of one unit; null if nothing would do.
    offer: Option<Offered>,
    /// Whether the passes at hand suffice.
    met: bool,
    #[serde(skip)]
    offer_text: String,
}

impl Asked {
    fn new(account: Account, what: &WhatItTakes) -> Self {
        let WhatItTakes { recipient, offer, at_hand, .. } = what;
        let offer_text = match offer {
            None => "nothing would".to_owned(),
            Some((offer, _)) if offer.stamps.is_empty() && offer.with.is_empty() => "nothing".to_owned(),
            Some((offer, _)) if offer.stamps.is_empty() => offer.to_string(),
            Some((offer, price)) if offer.with.is_empty() => {
                format!("stamps: {offer}, for {price} (bond included)")
            }
            Some((offer, price)) => format!("{offer}, for {price} (bond included)"),
        };
        Self {
            account: account.to_string(),
            network: recipient.network.to_string(),
            times: recipient.congestion.times,
            policy: recipient.policy.as_ref().map(|policy| policy.requirement.to_string()),
            offer: offer.as_ref().map(Offered::from),
            met: at_hand.is_some(),
            offer_text,
        }
    }
}

impl Said for Asked {
    fn text(&self, f: &mut impl fmt::Write) -> fmt::Result {
        writeln!(f, "To write to {}", self.account)?;
        writeln!(f, "  the network asks  {}", self.network)?;
        if self.times > 1 {
            writeln!(f, "                    which is {} times its usual postage: the node is busy", self.times)?;
        }
        writeln!(f, "  its owner asks    {}", self.policy.as_deref().unwrap_or("nothing more"))?;
        writeln!(f, "  what would do     {}", self.offer_text)?;
        writeln!(f, "  at hand           {}", if self.met { "enough" } else { "not enough" })
    }
}
