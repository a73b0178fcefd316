//! Follows the contracts and publishes what it saw as an immutable [`ChainView`] (docs/protocol.md, "Groups and their
//! roots"; ARCHITECTURE.md, "A message's way").
//!
//! One follower reads the events of all contracts that have groups ([`source::Source`]), in one order.
//!
//! The RPC is trusted for what the chain says. Logs are held against block hashes, a group's operations against its keccak
//! chain in its contract's storage, and positions against each other, so that an answer that leaves something out, or mixes two
//! moments up, is found out and asked for again. But hashes, logs and contract state come from the same endpoint, without
//! proofs: one that lies throughout can invent a purchase, and with it free postage at this node
//! (docs/threat-model.md, "The node and its RPC").
//!
//! One owned task ([`Chain::run`]) does everything that changes; it ends when it is told to, or when the store fails.
//! An RPC that fails, hangs, falls behind or answers for another chain only lets the view grow old: validation then
//! says `chain_view_stale`, and all is well again by itself when the RPC is.

mod events;
mod follower;
mod record;
mod rpc;
mod source;
mod store;
mod view;
mod window;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use alloy::primitives::Address;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use url::Url;
use xmtp_contracts::Staking;
use xmtp_proto::derive::{ClaimId, Group, NetworkId};
use xmtp_proto::field::{Commitment, Root};
use xmtp_proto::time::{Clock, Epoch};
use xmtp_prover::Bucket;

use crate::groups::{Block, Book, Fate, Groups, NoSuchBucket, RootRules, Slashed, VolumeRoot};

pub use rpc::RpcError;
pub use store::{ChainStore, ChainStoreError, MemoryStore};
pub use view::{ChainView, Head};

use follower::Follower;
use record::Progress;
use rpc::Rpc;
use source::Source;
use window::Window;

/// What to follow, and how.
#[derive(Clone, Debug)]
pub struct ChainConfig {
    /// JSON-RPC over HTTP. May hold a secret key; it is never logged.
    pub rpc: Url,
    /// The settlement chain.
    pub chain_id: u64,
    /// `Postage` on it.
    pub postage: Address,
    /// `Stake` on it, if the network has stakes.
    pub stake: Option<Staking>,
    /// Claims on it that holders register, if the network takes some.
    pub claims: Option<RegisteredClaims>,
    /// No block before this one has anything to say: the deployment's.
    pub first_block: u64,
    /// Blocks that must lie above a block before it counts.
    pub confirmations: u64,
    /// Between looks at the chain's head.
    pub poll_interval: Duration,
    /// For one answer of the RPC.
    pub request_timeout: Duration,
    /// The most blocks to ask for the logs of at once; fewer while the RPC refuses so many.
    pub max_range: u64,
    /// A head whose own time is older than this does not count as seen: the RPC has lost its chain. Nothing for chains
    /// without a rhythm, such as devnets.
    pub max_head_age: Option<Duration>,
    /// When roots are taken.
    pub roots: RootRules,
}

impl ChainConfig {
    /// Follows `Postage` alone. Polls every two seconds for up to 2,000 blocks, without confirmations, and gives up on a
    /// request after 10 s.
    #[must_use]
    pub const fn new(rpc: Url, chain_id: u64, postage: Address, first_block: u64, roots: RootRules) -> Self {
        Self {
            rpc,
            chain_id,
            postage,
            stake: None,
            claims: None,
            first_block,
            confirmations: 0,
            poll_interval: Duration::from_secs(2),
            request_timeout: Duration::from_secs(10),
            max_range: 2_000,
            max_head_age: None,
            roots,
        }
    }
}

/// The claims whose groups are followed on chain. Anybody can declare others, and nobody asks what becomes of those.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisteredClaims {
    /// `Claims`.
    pub contract: Address,
    /// Fewer than 256.
    pub claims: Arc<[ClaimId]>,
}

/// Why the chain is not followed. All are the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// The RPC belongs to another chain than the deployment.
    #[error("the RPC answers for chain {got}, but the deployment is on chain {expected}")]
    WrongChain {
        /// The deployment's.
        expected: u64,
        /// The RPC's.
        got: u64,
    },
    /// Nobody lives at the address of a contract.
    #[error("there is no contract at {contract} on chain {chain_id}: was it deployed to another chain?")]
    NoContract {
        /// The deployment's chain.
        chain_id: u64,
        /// An address of the deployment's.
        contract: Address,
    },
    /// The HTTP client cannot be made.
    #[error("the HTTP client for the RPC cannot be made")]
    Client(#[source] RpcError),
    /// The progress cannot be read or kept.
    #[error(transparent)]
    Store(#[from] ChainStoreError),
}

/// The follower has ended, and its view will not change any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the chain's follower has ended")]
pub struct Ended;

/// The follower, before it runs.
pub struct Chain {
    follower: Follower,
}

impl Chain {
    /// Takes up what the store has, and has a first look at the chain. An RPC that does not answer is no reason not to
    /// start; one that answers wrongly is. TLS needs a provider for `rustls`, chosen before this is called.
    ///
    /// # Errors
    /// [`ChainError`].
    pub async fn open(
        config: ChainConfig,
        store: Arc<dyn ChainStore>,
        clock: Clock,
    ) -> Result<(Self, ChainHandle), ChainError> {
        let network = NetworkId::new(config.chain_id, config.postage);
        let rpc = Rpc::new(config.rpc.clone(), config.request_timeout).map_err(ChainError::Client)?;
        match rpc.chain_id().await {
            Ok(got) if got != config.chain_id => {
                return Err(ChainError::WrongChain { expected: config.chain_id, got });
            }
            Ok(_) => {
                for contract in Source::all(&config).iter().map(Source::contract) {
                    match rpc.has_code(contract).await {
                        Ok(true) => {}
                        Ok(false) => return Err(ChainError::NoContract { chain_id: config.chain_id, contract }),
                        Err(error) => {
                            tracing::warn!(%error, %contract, "the RPC does not say whether the contract is there; going on");
                        }
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "the RPC does not answer; starting without it"),
        }
        let groups = Groups::new(config.roots.clone(), network, config.postage);
        let groups = Arc::new(RwLock::new(groups));
        let (view, seen) = watch::channel(Arc::default());
        let handle = ChainHandle { view: seen, groups: Arc::clone(&groups) };
        let mut follower = Follower::new(config, network, rpc, store, clock, groups, view);
        follower.replay().await?;
        Ok((Self { follower }, handle))
    }

    /// Follows the chain until it is told to stop.
    ///
    /// # Errors
    /// [`ChainError::Store`] if progress cannot be kept; nothing else ends it.
    pub async fn run(self, stop: CancellationToken) -> Result<(), ChainError> {
        Ok(self.follower.run(stop).await?)
    }
}

/// What a follower of `Postage` alone leaves in its store that came as far as the last of these blocks, to be put there from
/// the first one's number on: for benchmarks, which cannot wait for a chain with a million purchases.
#[must_use]
pub fn stored(network: NetworkId, first_block: u64, blocks: &[Block]) -> Vec<(u64, Vec<u8>)> {
    let mut window = Window::default();
    for block in blocks {
        window.push(Head { number: block.number, hash: block.hash, time: block.time });
    }
    Progress { network, first_block, beside: Vec::new(), claims: Vec::new(), window }.records(blocks)
}

/// What the rest of the node has of the chain. Its clones see the same.
#[derive(Clone)]
pub struct ChainHandle {
    view: watch::Receiver<Arc<ChainView>>,
    groups: Arc<RwLock<Groups>>,
}

impl ChainHandle {
    /// The chain as it is known now.
    #[must_use]
    pub fn view(&self) -> Arc<ChainView> {
        Arc::clone(&self.view.borrow())
    }

    /// Every view from now on; those that come too quickly are skipped.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Arc<ChainView>> {
        self.view.clone()
    }

    /// Waits for a view of which this holds, be it the present one.
    ///
    /// # Errors
    /// [`Ended`] if the follower ends first.
    pub async fn wait_for(&self, mut holds: impl FnMut(&ChainView) -> bool) -> Result<Arc<ChainView>, Ended> {
        let mut view = self.view.clone();
        let view = view.wait_for(|view| holds(view)).await.map_err(|_| Ended)?;
        Ok(Arc::clone(&view))
    }

    /// The roots of a group for an epoch, where each epoch has its own; nothing if it has none.
    #[must_use]
    pub fn roots_in(&self, group: &Group, epoch: Epoch) -> Vec<VolumeRoot> {
        self.read(|groups| groups.roots_in(group, epoch))
    }

    /// The newest checkpoint and the newest fresh root of every volume of a group; nothing if it has none.
    #[must_use]
    pub fn roots(&self, group: &Group) -> Vec<VolumeRoot> {
        self.read(|groups| groups.roots(group))
    }

    /// A bucket as it stood under a root. Takes up to a millisecond, and waits while a block is being applied.
    ///
    /// # Errors
    /// [`NoSuchBucket`] if the root is not served, or had no such bucket.
    pub fn bucket(&self, group: &Group, root: Root, index: u32) -> Result<Bucket, NoSuchBucket> {
        self.read(|groups| groups.bucket(group, root, index))
    }

    /// The book under a commitment, slashed or not.
    #[must_use]
    pub fn book(&self, group: &Group, commitment: Commitment) -> Option<Book> {
        self.read(|groups| groups.book(group, commitment))
    }

    /// What became of the leaf of a commitment, as far as blocks are deep enough to count.
    pub(crate) fn fate(&self, group: &Group, commitment: Commitment) -> Option<Fate> {
        self.read(|groups| groups.fate(group, commitment))
    }

    /// The slashes so far.
    pub(crate) fn slashed(&self) -> Vec<Slashed> {
        self.read(|groups| groups.slashed().to_vec())
    }

    fn read<T>(&self, look: impl FnOnce(&Groups) -> T) -> T {
        // Groups check before they change, so one that panicked left them whole.
        look(&self.groups.read().unwrap_or_else(PoisonError::into_inner))
    }
}
