//! `xmtp receipts`.

use std::fmt;

use serde::Serialize;
use xmtp_sdk::client::{Client, Told};

use crate::failure::Failure;
use crate::output::{Output, Said};

pub(super) async fn run(client: &Client, output: &Output) -> Result<(), Failure> {
    let receipts = client.receipts().await?.into_iter().map(Line::from).collect();
    output.say(&Receipts { account: client.account().to_string(), receipts })
}

#[derive(Serialize)]
struct Receipts {
    account: String,
    receipts: Vec<Line>,
}

#[derive(Serialize)]
struct Line {
    /// The letter's envelope.
    letter: String,
    /// Where its receipt stands in the operator's log.
    record: u64,
}

impl From<Told> for Line {
    fn from(Told { letter, record }: Told) -> Self {
        Self { letter: letter.to_string(), record: record.0 }
    }
}

impl Said for Receipts {
    fn text(&self, f: &mut impl fmt::Write) -> fmt::Result {
        if self.receipts.is_empty() {
            return writeln!(f, "The node knows of no letter that was read.");
        }
        self.receipts.iter().try_for_each(|Line { letter, record }| writeln!(f, "{letter} (record {record})"))
    }
}
