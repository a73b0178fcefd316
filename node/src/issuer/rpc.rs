//! The only file of the issuer that talks to a claim's chain: JSON-RPC over HTTP, every request with a deadline, and asked
//! again a few times.

use std::time::Duration;

use alloy::consensus::Transaction as _;
use alloy::eips::{BlockId, BlockNumberOrTag};
use alloy::network::TransactionResponse as _;
use alloy::primitives::{Address, B256, TxHash, U256};
use alloy::providers::{Provider, ProviderBuilder, RootProvider};
use alloy::rpc::types::{Block, EIP1186AccountProofResponse, Filter, Header, Log};
use alloy::transports::TransportError;
use backon::{ExponentialBuilder, Retryable};
use xmtp_proto::time::Timestamp;

use super::config::ClaimChain;
use crate::chain::{Head, RpcError};

/// Between the first two tries, doubled from there on.
const RETRY_FIRST: Duration = Duration::from_millis(200);
const RETRIES: usize = 5;

/// A client of one chain's RPC.
pub(super) struct Rpc {
    provider: RootProvider,
    timeout: Duration,
}

/// A transaction that moved native coin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Payment {
    pub(super) hash: TxHash,
    pub(super) to: Address,
}

impl Rpc {
    pub(super) fn new(chain: &ClaimChain) -> Result<Self, RpcError> {
        let client = reqwest::Client::builder().build().map_err(|error| RpcError::Transport(error.into()))?;
        let provider =
            ProviderBuilder::new().disable_recommended_fillers().connect_reqwest(client, chain.rpc_url.clone());
        Ok(Self { provider, timeout: chain.request_timeout })
    }

    pub(super) async fn chain_id(&self) -> Result<u64, RpcError> {
        self.ask(|| self.provider.get_chain_id()).await
    }

    pub(super) async fn latest(&self) -> Result<Head, RpcError> {
        self.ask(|| self.provider.get_block(BlockId::latest()).into_future())
            .await?
            .map(|it| head(&it))
            .ok_or_else(none)
    }

    /// The canonical block at a height; nothing if the chain has not come so far.
    pub(super) async fn block(&self, number: u64) -> Result<Option<Head>, RpcError> {
        let number = BlockNumberOrTag::Number(number);
        Ok(self.ask(|| self.provider.get_block_by_number(number).into_future()).await?.map(|it| head(&it)))
    }

    /// The last block before a time, at or below a block; nothing if that would be before the first.
    pub(super) async fn last_before(&self, time: Timestamp, head: Head) -> Result<Option<Head>, RpcError> {
        if head.time < time {
            return Ok(Some(head));
        }
        // The block at `early` is before the time, if there is one; that at `late` is not.
        let (mut early, mut late) = (None, head.number);
        while early.map_or(0, |it: Head| it.number + 1) < late {
            let middle = early.map_or(late / 2, |it| it.number + (late - it.number) / 2);
            let block = self.block(middle).await?.ok_or_else(none)?;
            if block.time < time {
                early = Some(block);
            } else {
                late = middle;
            }
        }
        Ok(early)
    }

    pub(super) async fn logs(&self, filter: &Filter) -> Result<Vec<Log>, RpcError> {
        // Too many blocks are too many the next time, too: who asks takes fewer.
        let answer = tokio::time::timeout(self.timeout, self.provider.get_logs(filter)).await;
        answer.map_err(|_| RpcError::Timeout(self.timeout))?.map_err(RpcError::from)
    }

    pub(super) async fn balance(&self, account: Address, at: B256) -> Result<U256, RpcError> {
        self.ask(|| self.provider.get_balance(account).block_id(BlockId::hash(at)).into_future()).await
    }

    /// How many transactions an account has sent by a height.
    pub(super) async fn nonce(&self, account: Address, number: u64) -> Result<u64, RpcError> {
        self.ask(|| self.provider.get_transaction_count(account).number(number).into_future()).await
    }

    /// The transactions of a block that an account sent itself, and that moved native coin, be it that they failed.
    pub(super) async fn payments(&self, from: Address, number: u64) -> Result<Vec<Payment>, RpcError> {
        let number = BlockNumberOrTag::Number(number);
        let block = self.ask(|| self.provider.get_block_by_number(number).full().into_future()).await?;
        let block = block.ok_or_else(none)?;
        let paid = block.transactions.into_transactions().filter(|it| it.from() == from && it.value() > U256::ZERO);
        Ok(paid.filter_map(|it| Some(Payment { hash: it.tx_hash(), to: it.to()? })).collect())
    }

    /// Whether a transaction was carried out.
    pub(super) async fn succeeded(&self, transaction: TxHash) -> Result<bool, RpcError> {
        let receipt = self.ask(|| self.provider.get_transaction_receipt(transaction)).await?;
        Ok(receipt.ok_or_else(none)?.status())
    }

    /// Who signed a transaction.
    pub(super) async fn sender(&self, transaction: TxHash) -> Result<Address, RpcError> {
        let transaction = self.ask(|| self.provider.get_transaction_by_hash(transaction)).await?;
        Ok(transaction.ok_or_else(none)?.from())
    }

    pub(super) async fn header(&self, block: B256) -> Result<Header, RpcError> {
        let block = self.ask(|| self.provider.get_block_by_hash(block).into_future()).await?;
        Ok(block.ok_or_else(none)?.header)
    }

    pub(super) async fn proof(
        &self,
        account: Address,
        slots: Vec<B256>,
        block: B256,
    ) -> Result<EIP1186AccountProofResponse, RpcError> {
        let slots = || slots.clone();
        self.ask(|| self.provider.get_proof(account, slots()).block_id(BlockId::hash(block)).into_future()).await
    }

    async fn ask<T, F>(&self, request: impl Fn() -> F) -> Result<T, RpcError>
    where
        F: Future<Output = Result<T, TransportError>>,
    {
        let once = || async {
            let answer = tokio::time::timeout(self.timeout, request()).await;
            answer.map_err(|_| RpcError::Timeout(self.timeout))?.map_err(RpcError::from)
        };
        let policy = ExponentialBuilder::default().with_min_delay(RETRY_FIRST).with_max_times(RETRIES).with_jitter();
        once.retry(policy).await
    }
}

fn head(block: &Block) -> Head {
    let header = &block.header;
    Head { number: header.inner.number, hash: header.hash, time: Timestamp::from_secs(header.inner.timestamp) }
}

/// It named something, and does not have it.
fn none() -> RpcError {
    RpcError::Transport("it does not have what it named before".into())
}
