//! A chain for a test: anvil on a free port, ended when its handle is dropped; and contracts of other people's on it.

use std::{env, path::PathBuf};

use alloy::{
    node_bindings::{Anvil, AnvilInstance},
    primitives::Address,
    providers::Provider,
    sol_types::SolValue,
};

use crate::{DeployError, artifact, deploy::create};

/// Starts a chain with ten funded, unlocked accounts, on a free port of the loopback interface.
///
/// # Panics
/// If anvil is missing or does not start; the message says how to get it.
pub fn anvil() -> AnvilInstance {
    start(anvil_builder())
}

/// Starts a chain as `anvil` describes it (see [`anvil_builder`]).
///
/// # Panics
/// As [`anvil()`].
pub fn start(anvil: Anvil) -> AnvilInstance {
    // A client of JSON-RPC cannot be made without one; programs choose theirs in `main`. Whoever came first has chosen.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match anvil.try_spawn() {
        Ok(instance) => instance,
        Err(error) => panic!("{} does not start: {error}; {HOW_TO_GET_IT}", anvil_path().display()),
    }
}

/// As [`anvil()`], begun at this moment: seconds since 1970.
///
/// # Panics
/// As [`anvil()`].
pub fn anvil_at(moment: u64) -> AnvilInstance {
    start(anvil_builder().args(["--timestamp", &moment.to_string()]))
}

/// So many of the latest blocks can be gone back to.
const STATES_KEPT: &str = "5000";

/// For chains of another kind: block times, finality, hard forks.
pub fn anvil_builder() -> Anvil {
    // Left to itself it keeps the states of some hundred blocks in memory and writes older ones to disk; from then on a
    // reorganisation may lose the code of contracts (1.7.1).
    Anvil::at(anvil_path()).port(0_u16).args(["--prune-history", STATES_KEPT])
}

const HOW_TO_GET_IT: &str = "run scripts/setup, or name a binary in ANVIL";

/// The binary: `ANVIL` if it is set, else what is pinned in `contracts/package.json`.
fn anvil_path() -> PathBuf {
    match env::var_os("ANVIL") {
        Some(path) => path.into(),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("node_modules/.bin/anvil"),
    }
}

/// Contracts that claims are about: who asks them for a token gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mock {
    /// ERC-721: `mint(address to, uint256 tokenId)`.
    Collection,
    /// ERC-1155: `mint(address to, uint256 id, uint256 value)`.
    Badges,
    /// ERC-20: the deployer has the whole supply.
    Coin,
}

/// Puts one on a chain from `deployer`, for whom `provider` can sign.
///
/// # Errors
/// [`DeployError`].
pub async fn deploy_mock(provider: impl Provider, deployer: Address, mock: Mock) -> Result<Address, DeployError> {
    let (artifact, arguments) = match mock {
        Mock::Collection => (include_str!("../artifacts/Collection.json"), Vec::new()),
        Mock::Badges => (include_str!("../artifacts/Badges.json"), Vec::new()),
        Mock::Coin => (artifact::TOKEN, deployer.abi_encode()),
    };
    create(&provider, deployer, artifact::creation_code(artifact, None, &arguments)?).await
}
