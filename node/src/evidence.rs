//! `xmtp-node evidence`: what this node has seen of indices used for two envelopes, and the call with which anybody slashes
//! who did it (docs/operating.md, "Slashing"). A running node says it on its admin port; of one that is stopped the store is
//! opened.

use std::net::SocketAddr;
use std::path::PathBuf;

use alloy::primitives::Address;
use xmtp_proto::derive::NetworkId;
use xmtp_proto::time::Clock;

use crate::backup::{self, BackupError};
use crate::chain::RpcError;
use crate::config::Config;
use crate::node::{self, StartError};
use crate::operator::Operator;
use crate::slashing::{Contract, Offer, Slashable};
use crate::store::{OpenError, Store, StoreError};

/// Where a running node answers.
pub(crate) const PATH: &str = "/evidence";

/// Why there is nothing to show. The operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// The configuration names what is not there.
    #[error(transparent)]
    Config(#[from] StartError),
    /// A node runs on the store, and nothing says where to ask it.
    #[error("a node runs on {0}, and the configuration has no [admin] to ask it at: name its address with --admin")]
    InUse(PathBuf),
    /// The node that runs does not answer.
    #[error("the running node does not answer at http://{0}{PATH}: {1}")]
    Silent(SocketAddr, #[source] reqwest::Error),
    /// Something else answers there.
    #[error("what answers at http://{0}{PATH} is no node of this version: {1}")]
    Other(SocketAddr, #[source] serde_json::Error),
    /// There is no store.
    #[error(transparent)]
    Folder(#[from] BackupError),
    /// See there.
    #[error("store: {0}")]
    Open(#[from] OpenError),
    /// See there.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The HTTP client cannot be made.
    #[error("the HTTP client for the RPC cannot be made")]
    Client(#[source] RpcError),
}

/// All that can be slashed, with `reporter` in the calls. `admin` outranks the configuration's port.
///
/// # Errors
/// [`EvidenceError`].
pub async fn list(
    config: &Config,
    admin: Option<SocketAddr>,
    reporter: Address,
) -> Result<Vec<Slashable>, EvidenceError> {
    let all = if backup::in_use(&config.data_dir)? {
        let admin = admin.or_else(|| config.admin.as_ref().map(|admin| admin.listen));
        ask(admin.ok_or_else(|| EvidenceError::InUse(config.data_dir.clone()))?).await?
    } else {
        open(config).await?
    };
    Ok(all.into_iter().map(|it| it.for_reporter(reporter)).collect())
}

async fn open(config: &Config) -> Result<Vec<Slashable>, EvidenceError> {
    let deployment = node::deployment(config)?;
    let network = NetworkId::new(deployment.chain_id, deployment.postage);
    let operator = Operator::new(node::operator_key(config)?, network);
    let store = Store::open(&config.data_dir, operator, Clock::system(), config.limits.new_accounts_per_minute)?;
    let contract = Contract::to_ask(config.chain.rpc_url.clone(), deployment.postage, config.chain.request_timeout)
        .map_err(EvidenceError::Client)?;
    Ok(Offer::new(store, deployment.postage, contract).list().await?)
}

async fn ask(admin: SocketAddr) -> Result<Vec<Slashable>, EvidenceError> {
    let answer = async {
        let response = reqwest::get(format!("http://{admin}{PATH}")).await?;
        response.error_for_status()?.bytes().await
    };
    let answer = answer.await.map_err(|error| EvidenceError::Silent(admin, error))?;
    serde_json::from_slice(&answer).map_err(|error| EvidenceError::Other(admin, error))
}
