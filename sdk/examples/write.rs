//! Writes a letter for every line that comes, as a program does that lives longer than one letter: between the lines, it
//! prepares stamps.
//!
//! ```text
//! XMTP_WALLET_KEY=0x… XMTP_NETWORK=FILE XMTP_NODE=URL XMTP_HOME=FOLDER write
//! ```
//!
//! A line is an account, a space, and the text. The wallet's account has its keys and its stamps in the folder already. Prints
//! one line of JSON for each letter.

use std::error::Error;
use std::fs::File;
use std::io;

use alloy::signers::local::PrivateKeySigner;
use serde_json::json;
use xmtp_sdk::client::Client;

type Anything = Box<dyn Error>;

#[tokio::main]
async fn main() -> Result<(), Anything> {
    let wallet: PrivateKeySigner = variable("XMTP_WALLET_KEY")?.parse()?;
    let deployment = serde_json::from_reader(File::open(variable("XMTP_NETWORK")?)?)?;
    let node = variable("XMTP_NODE")?.parse()?;
    let client = Client::builder(wallet, deployment, variable("XMTP_HOME")?.into()).node(node).connect().await?;
    let written = tokio::select! {
        never = client.keep_prepared() => match never {},
        written = write(&client) => written,
    };
    // What was reserved for stamps that were not used goes back.
    client.close().await?;
    written
}

async fn write(client: &Client) -> Result<(), Anything> {
    while let Some(line) = next_line().await? {
        let (to, text) = line.trim_end().split_once(' ').ok_or("a line is an account, a space, and a text")?;
        let told = match client.send(to, text).await {
            Ok(sent) => json!({ "envelope": sent.envelope.to_string(), "prepared": sent.prepared }),
            Err(error) => json!({ "error": error.to_string() }),
        };
        println!("{told}");
    }
    Ok(())
}

/// None at the end. Waits elsewhere, so that stamps are prepared meanwhile.
async fn next_line() -> Result<Option<String>, Anything> {
    let read = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        Ok::<_, io::Error>((io::stdin().read_line(&mut line)? > 0).then_some(line))
    });
    Ok(read.await??)
}

fn variable(name: &str) -> Result<String, Anything> {
    std::env::var(name).map_err(|_| format!("${name} is not set").into())
}
