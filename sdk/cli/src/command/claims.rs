//! `xmtp claims`: what the network offers, and what holds of the account today.

use std::fmt;

use serde::Serialize;
use xmtp_sdk::claims::SMALL_CLAIM;
use xmtp_sdk::client::{ClaimStatus, Client};

use crate::failure::Failure;
use crate::output::{Output, Said};

pub(crate) async fn run(client: &Client, output: &Output) -> Result<(), Failure> {
    output.say(&Claims { claims: client.claims().await?.into_iter().map(Entry::from).collect() })
}

#[derive(Serialize)]
struct Claims {
    claims: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    name: String,
    /// What policies call it.
    id: String,
    /// Null if there is no snapshot today.
    holders: Option<u32>,
    /// Whether the account can show it today.
    held: bool,
    /// Whether it is shown without `--small-claims`.
    hides: bool,
    /// Envelopes a day.
    limit: u32,
}

impl From<ClaimStatus> for Entry {
    fn from(it: ClaimStatus) -> Self {
        let ClaimStatus { claim, id, holders, held } = it;
        let hides = holders.is_some_and(|holders| holders >= SMALL_CLAIM);
        Self { name: claim.name, id: id.to_string(), holders, held, hides, limit: claim.limit }
    }
}

impl Said for Claims {
    fn text(&self, f: &mut impl fmt::Write) -> fmt::Result {
        if self.claims.is_empty() {
            return writeln!(f, "The network offers no claims.");
        }
        for Entry { name, id, holders, held, hides, limit: _ } in &self.claims {
            let of = holders.map_or_else(|| "no snapshot today".to_owned(), |it| format!("{it} accounts"));
            let yours = match (held, hides) {
                (false, _) => "not yours",
                (true, true) => "yours",
                (true, false) => "yours, and shown with --small-claims only, for so few hide nobody",
            };
            writeln!(f, "{name:<20} claim({id})  {of}  {yours}")?;
        }
        Ok(())
    }
}
