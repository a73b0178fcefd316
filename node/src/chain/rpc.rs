//! The only file that talks to the chain: JSON-RPC over HTTP, every request with a deadline.

use std::time::Duration;

use alloy::eips::{BlockId, BlockNumberOrTag};
use alloy::primitives::{Address, B256};
use alloy::providers::{Provider, ProviderBuilder, RootProvider};
use alloy::rpc::types::{Block, Filter, Log};
use alloy::transports::{TransportError, TransportErrorKind};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use url::Url;
use xmtp_contracts::leaf_log::storage_slot;
use xmtp_proto::derive::GroupId;
use xmtp_proto::time::Timestamp;

use super::Head;
use super::source::Source;

/// Requests under way at once.
const CONCURRENT: usize = 8;

/// Why the RPC did not answer. Its operator's to mend; asking again may help.
#[derive(Debug, thiserror::Error)]
pub enum RpcError {
    /// There was no answer in time.
    #[error("the RPC did not answer within {0:?}")]
    Timeout(Duration),
    /// It answered that it will not: too many blocks, too many requests, no such method.
    #[error("the RPC refused: {message} ({code})")]
    Refused {
        /// JSON-RPC's error code.
        code: i64,
        /// Its words.
        message: String,
    },
    /// It could not be reached, or what it said makes no sense.
    #[error("the RPC could not be asked")]
    Transport(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The node is shutting down.
    #[error("the node is shutting down")]
    Stopped,
}

/// A client of one RPC.
#[derive(Clone)]
pub(super) struct Rpc {
    provider: RootProvider,
    timeout: Duration,
    stop: CancellationToken,
}

impl Rpc {
    pub(super) fn new(url: Url, timeout: Duration) -> Result<Self, RpcError> {
        let client = reqwest::Client::builder().build().map_err(|error| RpcError::Transport(error.into()))?;
        let provider = ProviderBuilder::new().disable_recommended_fillers().connect_reqwest(client, url);
        Ok(Self { provider, timeout, stop: CancellationToken::new() })
    }

    /// From now on, requests end with [`RpcError::Stopped`] when it is cancelled.
    pub(super) fn stop_with(&mut self, stop: CancellationToken) {
        self.stop = stop;
    }

    pub(super) async fn chain_id(&self) -> Result<u64, RpcError> {
        self.ask(self.provider.get_chain_id()).await
    }

    /// Whether there is a contract at an address.
    pub(super) async fn has_code(&self, contract: Address) -> Result<bool, RpcError> {
        Ok(!self.ask(self.provider.get_code_at(contract)).await?.is_empty())
    }

    pub(super) async fn latest(&self) -> Result<Head, RpcError> {
        let block = self.ask(self.provider.get_block(BlockId::latest())).await?;
        block.map(head).ok_or_else(|| RpcError::Transport("the chain has no head".into()))
    }

    /// The canonical block at a height; nothing if the RPC does not have it.
    pub(super) async fn header(&self, number: u64) -> Result<Option<Head>, RpcError> {
        let block = self.ask(self.provider.get_block_by_number(BlockNumberOrTag::Number(number))).await?;
        Ok(block.map(head).filter(|head| head.number == number))
    }

    /// The canonical blocks at heights, in any order, without those that the RPC does not have.
    pub(super) async fn headers(&self, numbers: &[u64]) -> Result<Vec<Head>, RpcError> {
        let mut heads = Vec::with_capacity(numbers.len());
        for numbers in numbers.chunks(CONCURRENT) {
            let mut requests = JoinSet::new();
            for number in numbers.iter().copied() {
                let rpc = self.clone();
                requests.spawn(async move { rpc.header(number).await });
            }
            while let Some(answer) = requests.join_next().await {
                heads.extend(answer.map_err(|error| RpcError::Transport(error.into()))??);
            }
        }
        Ok(heads)
    }

    /// The logs of what the contracts did to their groups in a range of blocks.
    pub(super) async fn logs(&self, sources: &[Source], (from, to): (u64, u64)) -> Result<Vec<Log>, RpcError> {
        let contracts: Vec<Address> = sources.iter().map(Source::contract).collect();
        let events: Vec<B256> = sources.iter().flat_map(Source::events).copied().collect();
        let filter = Filter::new().address(contracts).event_signature(events).from_block(from).to_block(to);
        self.ask(self.provider.get_logs(&filter)).await
    }

    /// Where a group's keccak chain stood in a contract's storage after a block; nothing if the RPC cannot say, as for
    /// blocks whose state it has given up.
    pub(super) async fn group_chain(
        &self,
        contract: Address,
        group: GroupId,
        block: B256,
    ) -> Result<Option<B256>, RpcError> {
        let slot = storage_slot(group.0).into();
        match self.ask(self.provider.get_storage_at(contract, slot).block_id(BlockId::hash(block))).await {
            Ok(chain) => Ok(Some(chain.into())),
            Err(RpcError::Refused { code, message }) => {
                tracing::debug!(code, message, "the RPC does not know the contract's state at that block");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn ask<T>(&self, request: impl IntoFuture<Output = Result<T, TransportError>>) -> Result<T, RpcError> {
        self.bounded(async { request.into_future().await.map_err(RpcError::from) }).await
    }

    async fn bounded<T>(&self, request: impl Future<Output = Result<T, RpcError>>) -> Result<T, RpcError> {
        tokio::select! {
            () = self.stop.cancelled() => Err(RpcError::Stopped),
            answer = tokio::time::timeout(self.timeout, request) => {
                answer.map_err(|_| RpcError::Timeout(self.timeout))?
            }
        }
    }
}

impl From<TransportError> for RpcError {
    fn from(error: TransportError) -> Self {
        match error {
            TransportError::ErrorResp(payload) => {
                Self::Refused { code: payload.code, message: payload.message.into_owned() }
            }
            // reqwest names the URL, which may hold the key to the RPC.
            TransportError::Transport(TransportErrorKind::Custom(error)) => match error.downcast::<reqwest::Error>() {
                Ok(error) => Self::Transport(error.without_url().into()),
                Err(error) => Self::Transport(error),
            },
            error => Self::Transport(error.into()),
        }
    }
}

fn head(block: Block) -> Head {
    Head {
        number: block.header.inner.number,
        hash: block.header.hash,
        time: Timestamp::from_secs(block.header.inner.timestamp),
    }
}
