//! Snapshots on the settlement chain: what enough issuers signed, `Claims.anchor` takes from anybody (docs/protocol.md,
//! "Contracts"). Nodes need none of it; it is evidence that outlives their logs, and what contracts can read. An issuer with a
//! funded key sends it in the end, and whether it gets there changes nothing about what it publishes.

use std::collections::BTreeMap;
use std::time::Duration;

use alloy::network::EthereumWallet;
use alloy::primitives::{Address, Bytes, TxHash};
use alloy::providers::{DynProvider, Provider as _};
use alloy::rpc::client::ClientBuilder;
use alloy::signers::local::PrivateKeySigner;
use url::Url;
use xmtp_contracts::IClaims;
use xmtp_proto::claim::Terms;
use xmtp_proto::snapshot::{Anchorage, Entry};

use super::node::{NodeFailure, Published};
use super::{IssueError, Issued};
use crate::chain::RpcError;

/// How long a transaction is waited for; what takes longer is found the next time.
const RECEIPT_TIMEOUT: Duration = Duration::from_secs(120);

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchored {
    /// By this transaction.
    Sent(TxHash),
    /// It, or one that looked at a later block, was there.
    Before,
    /// Not enough issuers have signed it yet.
    TooFew,
}

/// Why a snapshot was not anchored. None keeps it from counting.
#[derive(Debug, thiserror::Error)]
pub enum AnchorError {
    /// The configuration's to mend: the issuer has no `[anchor]`.
    #[error("no key is configured to pay for it")]
    NoKey,
    /// The snapshot is of a claim that is not issued here.
    #[error("the claim is not issued here")]
    NotIssued,
    /// The endpoint's to mend.
    #[error("settlement chain: {0}")]
    Rpc(#[from] RpcError),
    /// The contract refused, or the account cannot pay. The configuration's to mend, or the network's: the claim may not be
    /// declared.
    #[error("refused: {0}")]
    Refused(String),
    /// It was sent, and did nothing: somebody was faster.
    #[error("transaction {0} was reverted")]
    Reverted(TxHash),
    /// See there.
    #[error(transparent)]
    Node(#[from] NodeFailure),
}

/// `Claims`, and who pays.
pub(super) struct Anchors {
    provider: DynProvider,
    claims: Address,
    account: Address,
    timeout: Duration,
}

impl Anchors {
    pub(super) fn new(rpc: Url, claims: Address, key: PrivateKeySigner, timeout: Duration) -> Result<Self, RpcError> {
        let client = reqwest::Client::builder().build().map_err(|error| RpcError::Transport(error.into()))?;
        let account = key.address();
        let rpc = ClientBuilder::default().http_with_client(client, rpc);
        let provider = xmtp_contracts::paid_by(EthereumWallet::from(key), rpc);
        Ok(Self { provider, claims, account, timeout })
    }

    /// Asks for the endpoint's chain.
    pub(super) async fn require_chain(&self, expected: u64) -> Result<(), IssueError> {
        let asked = tokio::time::timeout(self.timeout, self.provider.get_chain_id()).await;
        let got = asked.map_err(|_| RpcError::Timeout(self.timeout))?.map_err(RpcError::from)?;
        if got == expected { Ok(()) } else { Err(IssueError::WrongChain { expected, got }) }
    }

    /// Sends a snapshot to the contract, unless it has it, with the signatures that were published.
    pub(super) async fn anchor(
        &self,
        issued: &Issued,
        (terms, at): (&Terms, Anchorage),
        published: &[Published],
    ) -> Result<Anchored, AnchorError> {
        let signatures = signatures(issued, (terms, at), published);
        let Some(enough) = signatures.get(..terms.threshold.into()) else { return Ok(Anchored::TooFew) };
        let contract = IClaims::new(self.claims, &self.provider);
        let Issued { claim, snapshot, digest, .. } = issued;
        let IClaims::anchorsOfReturn { current, previous } = self.within(contract.anchorsOf(claim.0).call()).await?;
        let is_older = snapshot.generation < current.generation || snapshot.block_number <= current.blockNumber;
        if is_older || [current.digest, previous.digest].contains(digest) {
            return Ok(Anchored::Before);
        }
        let call = contract.anchor(claim.0, snapshot.into(), enough.to_vec()).from(self.account);
        let sent = self.within(call.send()).await?;
        let transaction = *sent.tx_hash();
        match sent.with_timeout(Some(RECEIPT_TIMEOUT)).get_receipt().await {
            Ok(receipt) if !receipt.status() => Err(AnchorError::Reverted(transaction)),
            // Not in a block yet, or not heard of: it was sent.
            Ok(_) | Err(_) => Ok(Anchored::Sent(transaction)),
        }
    }

    async fn within<T>(
        &self,
        call: impl IntoFuture<Output = Result<T, alloy::contract::Error>>,
    ) -> Result<T, AnchorError> {
        match tokio::time::timeout(self.timeout, call.into_future()).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(match error.as_decoded_interface_error::<IClaims::IClaimsErrors>() {
                Some(refused) => AnchorError::Refused(format!("{refused:?}")),
                None => match error {
                    alloy::contract::Error::TransportError(error) => match RpcError::from(error) {
                        RpcError::Refused { message, .. } => AnchorError::Refused(message),
                        error => error.into(),
                    },
                    error => AnchorError::Refused(error.to_string()),
                },
            }),
            Err(_) => Err(RpcError::Timeout(self.timeout).into()),
        }
    }
}

/// Those of the issuers, in the contract's order.
fn signatures(issued: &Issued, (terms, at): (&Terms, Anchorage), published: &[Published]) -> Vec<Bytes> {
    let of_it = published.iter().filter_map(|it| match &it.entry {
        Entry::Snapshot(signed) if signed.snapshot == issued.snapshot => {
            let is_its_own = signed.signer(issued.claim, at) == Ok(it.issuer) && terms.issuers.contains(&it.issuer);
            is_its_own.then(|| (it.issuer, Bytes::copy_from_slice(&signed.signature)))
        }
        _ => None,
    });
    of_it.collect::<BTreeMap<Address, Bytes>>().into_values().collect()
}
