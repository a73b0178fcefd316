//! The commands, one file per group. Each does one thing with a client and says what came of it.

mod can_send;
mod claims;
mod config;
mod connections;
mod doctor;
mod identity;
mod inbox;
mod keystore;
mod manual;
mod outbox;
mod policy;
mod reasoning;
mod receipts;
mod reply;
mod requirements;
mod send;
mod shown;
mod stakes;
mod stamps;
mod sync;
mod watch;

use clap::ArgMatches;
use xmtp_sdk::connection::Terms;

use crate::args::{Args, Command, Config, Keystore};
use crate::context;
use crate::failure::Failure;
use crate::output::Output;
use crate::settings::Settings;

/// What the exit status says of a command that did what it was asked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Yes,
    /// It was asked whether, and it is not so.
    No,
}

pub(crate) async fn run(args: Args, matches: &ArgMatches, output: &Output) -> Result<Answer, Failure> {
    let Args { global, command } = args;
    let settings = &Settings::read(&global, matches)?;
    let small_claims = global.small_claims;
    let connect =
        async || Ok::<_, Failure>(context::builder(settings, output)?.small_claims(small_claims).connect().await?);
    let done = match command {
        Command::Identity(command) => identity::run(command, &connect().await?, output).await,
        Command::Policy(command) => policy::run(command, settings, &connect().await?, output).await,
        Command::Stamps(command) => stamps::run(command, &connect().await?, output).await,
        Command::Stake(command) => stakes::run(command, &connect().await?, output).await,
        Command::Claims { command } => claims::run(command, &connect().await?, output).await,
        Command::Requirements { account } => {
            let account = context::account(account, settings, output).await?;
            requirements::run(account, &connect().await?, output).await
        }
        Command::CanSend { account } => {
            let account = context::account(account, settings, output).await?;
            return can_send::run(account, &connect().await?, output).await;
        }
        Command::Send(letter) => {
            let account = context::account(letter.account.clone(), settings, output).await?;
            send::run(account, letter, &connect().await?, output).await
        }
        Command::Reply { account, text } => {
            let account = context::account(account, settings, output).await?;
            reply::run(account, &text, &connect().await?, output).await
        }
        Command::Connections => connections::list(&connect().await?, output).await,
        Command::Accept { account, quota, life } => {
            let account = context::account(account, settings, output).await?;
            connections::accept(account, Terms { quota, life }, &connect().await?, output).await
        }
        Command::Decline { account } => {
            let account = context::account(account, settings, output).await?;
            connections::decline(account, &connect().await?, output).await
        }
        Command::Revoke { account } => {
            let account = context::account(account, settings, output).await?;
            connections::revoke(account, &connect().await?, output).await
        }
        Command::Block { account } => {
            let account = context::account(account, settings, output).await?;
            connections::block(account, &connect().await?, output).await
        }
        Command::Inbox { new } => inbox::run(new, &connect().await?, output).await,
        Command::Receipts => receipts::run(&connect().await?, output).await,
        // Watching leaves the account's state to other commands while nothing comes.
        Command::Watch { all, letters } => watch::run(all, letters, context::builder(settings, output)?, output).await,
        Command::Outbox => outbox::run(&connect().await?, output),
        Command::Sync => sync::run(&connect().await?, output).await,
        Command::Doctor => return doctor::run(settings, output).await,
        Command::Keystore(Keystore::New { file }) => keystore::new(file, settings, output),
        Command::Config(Config::Show { origin }) => config::show(origin, settings, output),
        Command::Completions { shell } => manual::completions(shell),
        Command::Man { folder } => manual::pages(folder),
    };
    done.map(|()| Answer::Yes)
}
