//! What slashing asks of the chain: how something stands at the head, and the transaction that slashes it.

use std::time::Duration;

use alloy::eips::BlockNumberOrTag;
use alloy::network::{EthereumWallet, TransactionBuilder as _};
use alloy::primitives::{Address, TxHash, U256};
use alloy::providers::utils::Eip1559Estimation;
use alloy::providers::{DynProvider, Provider, ProviderBuilder};
use alloy::rpc::types::TransactionRequest;
use alloy::signers::local::PrivateKeySigner;
use alloy::transports::TransportError;
use tokio::time::Instant;
use url::Url;
use xmtp_contracts::{IPostage, IStake};
use xmtp_proto::derive::Group;

use super::{Case, Standing};
use crate::chain::RpcError;

/// What a replacement must offer at least, as a share of what it replaces: nodes ask for a tenth more.
const REPLACEMENT: (u128, u128) = (9, 8);

/// `Postage` and `Stake` behind an RPC.
pub(crate) struct Contract {
    provider: DynProvider,
    postage: Address,
    account: Address,
    /// Wei for a unit of gas at the most.
    fee_max: u128,
    timeout: Duration,
}

/// A transaction that was sent.
#[derive(Clone, Copy)]
pub(super) struct Pending {
    pub(super) transaction: TxHash,
    pub(super) fees: Eip1559Estimation,
    pub(super) since: Instant,
}

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// It is in no block yet.
    Waiting,
    /// It is in a block.
    Mined,
    /// It is in a block, and did nothing.
    Reverted,
    /// The RPC does not know it any more.
    Lost,
}

/// Why nothing was sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    /// The RPC's operator's to mend.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// Ours to mend, if the account has no coin; else nobody's, if somebody was faster.
    #[error("refused: {0}")]
    Refused(String),
}

impl Contract {
    /// Asks, and does not send: for who has no key.
    pub(crate) fn to_ask(rpc: Url, postage: Address, timeout: Duration) -> Result<Self, RpcError> {
        let provider = ProviderBuilder::new().disable_recommended_fillers().connect_reqwest(client()?, rpc).erased();
        Ok(Self { provider, postage, account: Address::ZERO, fee_max: 0, timeout })
    }

    /// Sends what a key signs, for so many wei for a unit of gas at the most.
    pub(crate) fn with_key(
        rpc: Url,
        postage: Address,
        (key, fee_max): (PrivateKeySigner, u128),
        timeout: Duration,
    ) -> Result<Self, RpcError> {
        let account = key.address();
        let provider =
            ProviderBuilder::new().wallet(EthereumWallet::from(key)).connect_reqwest(client()?, rpc).erased();
        Ok(Self { provider, postage, account, fee_max, timeout })
    }

    /// Who pays for the transactions.
    pub(crate) const fn account(&self) -> Address {
        self.account
    }

    /// What that account has, in wei.
    pub(super) async fn funds(&self) -> Result<U256, RpcError> {
        self.ask(self.provider.get_balance(self.account)).await
    }

    /// How a case stands at the chain's head.
    pub(crate) async fn standing(&self, case: &Case) -> Result<Standing, RpcError> {
        let commitment = case.commitment.field().to_u256();
        let (is_known, is_open) = match case.group {
            Group::Stamps { .. } => {
                let book = self.call(IPostage::new(self.postage, &self.provider).bookOf(commitment).call()).await?;
                (book.denomination != 0, !book.buyer.is_zero())
            }
            Group::Stake { contract, .. } => {
                let lock = self.call(IStake::new(contract, &self.provider).lockOf(commitment).call()).await?;
                (lock.tier != 0, !lock.staker.is_zero())
            }
            Group::Claim { .. } | Group::Members { .. } => (false, false),
        };
        Ok(match (is_known, is_open) {
            (false, _) => Standing::Unknown,
            (true, true) => Standing::Open,
            (true, false) => Standing::Gone,
        })
    }

    /// What became of a transaction.
    pub(super) async fn look_for(&self, pending: &Pending) -> Result<Sent, RpcError> {
        let hash = pending.transaction;
        if let Some(receipt) = self.ask(self.provider.get_transaction_receipt(hash)).await? {
            return Ok(if receipt.status() { Sent::Mined } else { Sent::Reverted });
        }
        let known = self.ask(self.provider.get_transaction_by_hash(hash)).await?;
        Ok(if known.is_some() { Sent::Waiting } else { Sent::Lost })
    }

    /// Whether more may be offered than was.
    pub(super) const fn may_raise(&self, before: &Eip1559Estimation) -> bool {
        before.max_fee_per_gas < self.fee_max
    }

    /// Sends the slash of a case under the next nonce that the chain wants, for more than `before` if that is given.
    pub(super) async fn send(
        &self,
        case: &Case,
        reporter: Address,
        before: Option<Eip1559Estimation>,
    ) -> Result<Pending, SendError> {
        let nonce = self.provider.get_transaction_count(self.account).block_id(BlockNumberOrTag::Latest.into());
        let nonce = self.ask(nonce).await?;
        let fees = replacing(self.ask(self.provider.estimate_eip1559_fees()).await?, before);
        let fees = capped(fees, self.fee_max);
        let request = TransactionRequest::default()
            .with_from(self.account)
            .with_to(case.contract(self.postage))
            .with_input(case.calldata(reporter))
            .with_nonce(nonce)
            .with_max_fee_per_gas(fees.max_fee_per_gas)
            .with_max_priority_fee_per_gas(fees.max_priority_fee_per_gas);
        match self.ask(self.provider.send_transaction(request)).await {
            Ok(sent) => Ok(Pending { transaction: *sent.tx_hash(), fees, since: Instant::now() }),
            Err(RpcError::Refused { message, .. }) => Err(SendError::Refused(message)),
            Err(error) => Err(error.into()),
        }
    }

    async fn call<T>(&self, call: impl IntoFuture<Output = Result<T, alloy::contract::Error>>) -> Result<T, RpcError> {
        match tokio::time::timeout(self.timeout, call.into_future()).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(alloy::contract::Error::TransportError(error))) => Err(error.into()),
            Ok(Err(error)) => Err(RpcError::Transport(error.into())),
            Err(_) => Err(RpcError::Timeout(self.timeout)),
        }
    }

    async fn ask<T>(&self, request: impl IntoFuture<Output = Result<T, TransportError>>) -> Result<T, RpcError> {
        match tokio::time::timeout(self.timeout, request.into_future()).await {
            Ok(answer) => answer.map_err(Into::into),
            Err(_) => Err(RpcError::Timeout(self.timeout)),
        }
    }
}

fn client() -> Result<reqwest::Client, RpcError> {
    reqwest::Client::builder().build().map_err(|error| RpcError::Transport(error.into()))
}

/// What the chain asks for now, or enough to replace what was offered before.
fn replacing(now: Eip1559Estimation, before: Option<Eip1559Estimation>) -> Eip1559Estimation {
    let Some(before) = before else { return now };
    let raised = |fee: u128| fee.saturating_mul(REPLACEMENT.0).div_ceil(REPLACEMENT.1).max(fee.saturating_add(1));
    Eip1559Estimation {
        max_fee_per_gas: now.max_fee_per_gas.max(raised(before.max_fee_per_gas)),
        max_priority_fee_per_gas: now.max_priority_fee_per_gas.max(raised(before.max_priority_fee_per_gas)),
    }
}

/// No more than may be offered.
fn capped(fees: Eip1559Estimation, fee_max: u128) -> Eip1559Estimation {
    Eip1559Estimation {
        max_fee_per_gas: fees.max_fee_per_gas.min(fee_max),
        max_priority_fee_per_gas: fees.max_priority_fee_per_gas.min(fee_max),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn fees(max_fee_per_gas: u128, max_priority_fee_per_gas: u128) -> Eip1559Estimation {
        Eip1559Estimation { max_fee_per_gas, max_priority_fee_per_gas }
    }

    #[test]
    fn nothing_offers_more_than_it_may() {
        for (asked, max, expected) in
            [(fees(80, 8), 100, fees(80, 8)), (fees(800, 8), 100, fees(100, 8)), (fees(800, 700), 100, fees(100, 100))]
        {
            let offered = capped(asked, max);
            assert_eq!(
                (offered.max_fee_per_gas, offered.max_priority_fee_per_gas),
                (expected.max_fee_per_gas, expected.max_priority_fee_per_gas)
            );
        }
    }

    #[test]
    fn replacement_offers_an_eighth_more_or_what_the_chain_asks_for() {
        for (now, before, expected) in [
            (fees(80, 8), None, fees(80, 8)),
            (fees(10, 1), Some(fees(80, 8)), fees(90, 9)),
            (fees(500, 50), Some(fees(80, 8)), fees(500, 50)),
            (fees(0, 0), Some(fees(1, 0)), fees(2, 1)),
        ] {
            let replaced = replacing(now, before);
            assert_eq!(
                (replaced.max_fee_per_gas, replaced.max_priority_fee_per_gas),
                (expected.max_fee_per_gas, expected.max_priority_fee_per_gas)
            );
        }
    }
}
