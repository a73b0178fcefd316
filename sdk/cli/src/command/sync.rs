//! `xmtp sync`.

use std::fmt;

use serde::Serialize;
use xmtp_sdk::client::Client;

use crate::failure::Failure;
use crate::output::{Output, Said};

pub(super) async fn run(client: &Client, output: &Output) -> Result<(), Failure> {
    let letters = client.resume_outbox().await?;
    let copies = client.sync().await?;
    output.say(&Done { letters, copies })
}

#[derive(Serialize)]
struct Done {
    /// Letters from before that got through now.
    letters: usize,
    /// Conversations that the account's other installations find from now on.
    copies: usize,
}

impl Said for Done {
    fn text(&self, f: &mut impl fmt::Write) -> fmt::Result {
        writeln!(
            f,
            "{} letters sent again, {} conversations copied for other installations.",
            self.letters, self.copies
        )
    }
}
