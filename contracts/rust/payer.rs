//! Who pays for transactions.

use alloy::network::EthereumWallet;
use alloy::providers::{DynProvider, Provider as _, ProviderBuilder};
use alloy::rpc::client::RpcClient;

/// A chain on which a wallet pays. Before each transaction the chain is asked which one it is of its account: a count kept here
/// would go on where one was refused before it was sent, and no later one would ever be mined; or fall behind where the wallet
/// pays from elsewhere, too.
#[must_use]
pub fn paid_by(wallet: EthereumWallet, rpc: RpcClient) -> DynProvider {
    let fillers =
        ProviderBuilder::new().disable_recommended_fillers().with_gas_estimation().with_simple_nonce_management();
    fillers.fetch_chain_id().wallet(wallet).connect_client(rpc).erased()
}
