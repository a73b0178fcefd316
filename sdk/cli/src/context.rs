//! From the command line to a client.

use std::path::PathBuf;

use directories::ProjectDirs;
use xmtp_contracts::Deployment;
use xmtp_sdk::client::{Builder, Client, Step};

use crate::args::Global;
use crate::failure::Failure;
use crate::output::Output;
use crate::wallet;

/// Says what a client needs.
pub(crate) fn builder(global: &Global, output: &Output) -> Result<Builder, Failure> {
    let Some(network) = &global.network else {
        return Err(Failure::usage("no network: name its deployment file with --network or $XMTP_NETWORK".to_owned()));
    };
    let deployment = Deployment::load(network)?;
    let (home, cache) = folders(global.home.clone())?;
    let wallet = wallet::load(&global.wallet)?;
    let progress = output.progress().clone();
    let builder = Client::builder(wallet, deployment, home).cache(cache).node(global.node.clone());
    Ok(builder.rpc(global.rpc.clone()).on_step(move |step| progress.now(described(step))))
}

/// State, and what can be made again.
fn folders(home: Option<PathBuf>) -> Result<(PathBuf, PathBuf), Failure> {
    let system = ProjectDirs::from("", "", "xmtp");
    match (home, system) {
        (Some(home), Some(system)) => Ok((home, system.cache_dir().to_owned())),
        (Some(home), None) => {
            let cache = home.join("cache");
            Ok((home, cache))
        }
        (None, Some(system)) => Ok((system.data_dir().to_owned(), system.cache_dir().to_owned())),
        (None, None) => Err(Failure::usage("no home folder: name one with --home or $XMTP_HOME".to_owned())),
    }
}

const fn described(step: Step) -> &'static str {
    match step {
        Step::WaitingForState => "waiting for another xmtp command to finish",
        Step::MakingKeys => "making keys",
        Step::Asking => "asking the node",
        Step::Buying => "buying: waiting for the chain",
        Step::WaitingForRoot => "waiting for the node to see the book",
        Step::LoadingProvingKey => "loading the proving key (made anew the first time)",
        Step::Proving => "proving that a stamp is paid for",
        Step::Publishing => "publishing",
    }
}
