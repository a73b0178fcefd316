//! Deployment from Rust: for tests and embedded development networks. Real ones use `script/Deploy.s.sol`, which signs
//! with a keystore and refuses a settlement address without code.

use alloy::{
    network::TransactionBuilder,
    primitives::{Address, Bytes, TxHash},
    providers::{PendingTransactionError, Provider},
    rpc::types::TransactionRequest,
    sol_types::SolValue,
    transports::{RpcError, TransportErrorKind},
};

use crate::{Deployment, IPostage, Staking, Tier, artifact};

/// One token, in wei.
const TOKEN: u128 = 1_000_000_000_000_000_000;

/// What a deployment fixes for ever. The defaults are the script's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// Who receives the token's whole supply; the deployer if nobody is named.
    pub token_recipient: Option<Address>,
    /// Who may release what `Postage` holds; the deployer if nobody is named.
    pub settlement: Option<Address>,
    /// Price of a unit of postage in wei, at most 96 bits.
    pub unit_price: u128,
    /// Length of an issue, 1 second to 366 days.
    pub issue_seconds: u32,
    /// Share of a sale that is burned, 3,000 to 10,000 basis points.
    pub burn_bps: u16,
    /// The bond as a share of face value, 1 to 10,000 basis points.
    pub bond_bps: u16,
    /// What can be staked, from tier 1 on: 1 to 16 tiers.
    pub tiers: Vec<Tier>,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            token_recipient: None,
            settlement: None,
            unit_price: 1_000_000_000_000_000,
            issue_seconds: 7_889_400,
            burn_bps: 3_000,
            bond_bps: 1_000,
            tiers: vec![Tier { amount: 100 * TOKEN, limit: 100 }, Tier { amount: 1_000 * TOKEN, limit: 1_000 }],
        }
    }
}

/// Why nothing, or not everything, was deployed.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// The endpoint refused or did not answer: ours if parameters are out of range (it simulates), else its.
    #[error("the chain's RPC endpoint: {0}")]
    Rpc(#[from] RpcError<TransportErrorKind>),
    /// The transaction was sent and not seen again.
    #[error("a transaction was lost: {0}")]
    Pending(#[from] PendingTransactionError),
    /// The contract could not be asked for its network id.
    #[error("the deployed contract does not answer: {0}")]
    Call(#[from] alloy::contract::Error),
    /// The transaction made no contract: a parameter is out of its range, or gas ran out.
    #[error("transaction {0} made no contract")]
    Reverted(TxHash),
    /// The checked-in bytecode is broken. A mistake in this tree.
    #[error(transparent)]
    Artifact(#[from] artifact::ArtifactError),
}

/// Deploys Poseidon, the token, `Postage`, `Stake` and `Claims` from `deployer`, for whom `provider` can sign.
pub async fn deploy(
    provider: impl Provider,
    deployer: Address,
    parameters: &Parameters,
) -> Result<Deployment, DeployError> {
    let Parameters { token_recipient, settlement, unit_price, issue_seconds, burn_bps, bond_bps, tiers } = parameters;
    let settlement = settlement.unwrap_or(deployer);
    let chain_id = provider.get_chain_id().await?;
    let block = provider.get_block_number().await?;

    let poseidon = create(&provider, deployer, artifact::creation_code(artifact::POSEIDON, None, &[])?).await?;
    let arguments = token_recipient.unwrap_or(deployer).abi_encode();
    let token = create(&provider, deployer, artifact::creation_code(artifact::TOKEN, None, &arguments)?).await?;
    // Words of 32 bytes each; the contract refuses a price above 96 bits.
    let arguments = (token, settlement, *unit_price, *issue_seconds, *burn_bps, *bond_bps).abi_encode_params();
    let postage =
        create(&provider, deployer, artifact::creation_code(artifact::POSTAGE, Some(poseidon), &arguments)?).await?;
    let offered: Vec<_> = tiers.iter().map(|Tier { amount, limit }| (*amount, *limit)).collect();
    let arguments = (postage, offered).abi_encode_params();
    let stake =
        create(&provider, deployer, artifact::creation_code(artifact::STAKE, Some(poseidon), &arguments)?).await?;
    let code = artifact::creation_code(artifact::CLAIMS, None, &postage.abi_encode())?;
    let claims = create(&provider, deployer, code).await?;

    Ok(Deployment {
        chain_id,
        block,
        token,
        postage,
        poseidon,
        settlement,
        network_id: IPostage::new(postage, &provider).networkId().call().await?,
        unit_price: *unit_price,
        issue_seconds: *issue_seconds,
        burn_bps: *burn_bps,
        bond_bps: *bond_bps,
        stake: Some(Staking { contract: stake, tiers: tiers.clone() }),
        claims: Some(claims),
        offered_claims: Vec::new(),
        verifying_key: None,
        tier_names: std::collections::BTreeMap::new(),
    })
}

pub(crate) async fn create(provider: &impl Provider, deployer: Address, code: Bytes) -> Result<Address, DeployError> {
    let request = TransactionRequest::default().with_from(deployer).with_deploy_code(code);
    let receipt = provider.send_transaction(request).await?.get_receipt().await?;
    match receipt.contract_address {
        Some(address) if receipt.status() => Ok(address),
        _ => Err(DeployError::Reverted(receipt.transaction_hash)),
    }
}
