//! From the command line to a client.

use std::sync::Arc;

use xmtp_contracts::Deployment;
use xmtp_proto::account::Account;
use xmtp_sdk::client::{Builder, Client, Step};
use xmtp_sdk::ens;
use xmtp_sdk::transport::Role;

use crate::args::Who;
use crate::failure::Failure;
use crate::output::Output;
use crate::settings::Settings;
use crate::wallet;

/// Says what a client needs.
pub(crate) fn builder(settings: &Settings, output: &Output) -> Result<Builder, Failure> {
    let Some(network) = &settings.network else {
        return Err(Failure::usage("no network: name its deployment file with --network or $XMTP_NETWORK".to_owned()));
    };
    let deployment = Deployment::load(&network.value)?;
    let wallet = wallet::load(settings)?;
    let progress = output.progress().clone();
    let builder = Client::builder(wallet, deployment, settings.home.value.clone()).cache(settings.cache.clone());
    let builder = builder.node(settings.node.value.clone()).rpc(settings.rpc.value.clone());
    let builder = match &settings.proving_key {
        Some(file) => builder.proving_key(file.value.clone()),
        None => builder,
    };
    let builder = builder.authorities(settings.authorities()?).delay(settings.delay.value);
    let builder = Role::ALL.into_iter().fold(builder, |builder, role| match settings.proxies().of(role) {
        Some(proxy) => builder.proxy(role, Arc::clone(proxy)),
        None => builder,
    });
    // A command ends when its letter is sent: it reserves what that takes, and has nothing to hand back.
    Ok(builder.run_length(1).on_step(move |step| progress.now(described(step))))
}

/// The account that is meant. A name is resolved before anything else is asked of anybody.
pub(crate) async fn account(who: Who, settings: &Settings, output: &Output) -> Result<Account, Failure> {
    let name = match who {
        Who::Account(account) => return Ok(account),
        Who::Name(name) => name,
    };
    let rpc = settings.ens_rpc.as_ref().ok_or_else(|| Failure::no_ens_rpc(&name))?;
    let account = ens::resolve(&rpc.value, &name).await?;
    output.note(&format_args!("{name} is {account}"));
    Ok(account)
}

const fn described(step: Step) -> &'static str {
    match step {
        Step::WaitingForState => "waiting for another xmtp command to finish",
        Step::MakingKeys => "making keys",
        Step::Asking => "asking the node",
        Step::Buying => "buying: waiting for the chain",
        Step::WaitingForRoot => "waiting for the node to see the book",
        Step::LoadingProvingKey => "loading the proving key (made anew the first time)",
        Step::Lingering => "waiting for a random moment, so that a watcher cannot link two calls",
        Step::Reserving | Step::Reserved => "reserving in the account's journal",
        Step::WritingDown | Step::WrittenDown => "writing down what is sent",
        Step::Proving | Step::Proved => "proving that a stamp is paid for",
        Step::Publishing | Step::Published | Step::Recorded => "publishing",
        Step::Journaling | Step::Journaled => "telling the account's other clients",
        Step::HandingOver | Step::HandedOver => "handing back what was not used",
    }
}
