//! `xmtp sync`.

use std::fmt;

use serde::Serialize;
use xmtp_sdk::client::Client;

use super::outbox::Before;
use crate::failure::Failure;
use crate::output::{Output, Said};

pub(super) async fn run(client: &Client, output: &Output) -> Result<(), Failure> {
    let before = client.resume_outbox().await?.into();
    let copies = client.sync().await?;
    output.say(&Done { before, copies })
}

#[derive(Serialize)]
struct Done {
    #[serde(flatten)]
    before: Before,
    /// Conversations that the account's other installations find from now on.
    copies: usize,
}

impl Said for Done {
    fn text(&self, f: &mut impl fmt::Write) -> fmt::Result {
        writeln!(
            f,
            "{} sent again, {} conversations copied for other installations.",
            self.before.resumed, self.copies
        )?;
        self.before.unsent(f)
    }
}
