//! The commands, one file per group. Each does one thing with a client and says what came of it.

mod identity;
mod inbox;
mod policy;
mod requirements;
mod send;
mod shown;
mod stamps;
mod watch;

use crate::args::{Args, Command};
use crate::context;
use crate::failure::Failure;
use crate::output::Output;

pub(crate) async fn run(args: Args, output: &Output) -> Result<(), Failure> {
    let Args { global, command } = args;
    // Watching leaves the account's state to other commands while nothing comes.
    if let Command::Watch { all } = command {
        return watch::run(all, context::builder(&global, output)?, output).await;
    }
    let client = &context::builder(&global, output)?.connect().await?;
    match command {
        Command::Watch { .. } => Ok(()),
        Command::Identity(command) => identity::run(command, client, output).await,
        Command::Policy(command) => policy::run(command, client, output).await,
        Command::Stamps(command) => stamps::run(command, client, output).await,
        Command::Requirements { account } => requirements::run(account, client, output).await,
        Command::Send(letter) => send::run(letter, client, output).await,
        Command::Inbox { new } => inbox::run(new, client, output).await,
    }
}
