//! A client: one account on one network, its wallet, its state on disk, a node and, for buying, a chain (litepaper 4.2).
//!
//! | part | does |
//! |---|---|
//! | `account` | makes, publishes, replaces and restores the identity |
//! | `policy` | publishes what strangers must show, and whom nodes shut out |
//! | `renewal` | makes the prekey anew every month, and the pass secrets every quarter |
//! | `joining` | the first key bundle, with what the network asks of who joins |
//! | `ask` | asks what writing to somebody takes, and believes nothing unverified |
//! | `journal` | shares with the account's other installations, and opens conversations |
//! | `reading` | reads conversations and the journal by prefix |
//! | `receipts` | tells the node which letters with stamps were read |
//! | `stamps` | buys books, and finds those again whose purchase was cut short |
//! | `stakes` | makes stakes, leaves them, and has the journal grant their indices |
//! | `holdings` | what the account has that a letter could show |
//! | `claims` | which claims hold of the account, and their passes |
//! | `registering` | registers for claims that have no issuers |
//! | `frank` | the passes of a letter, proved |
//! | `stock` | prepares stamps while there is nothing to send |
//! | `reserve` | has the journal grant stamps to this client before they are used |
//! | `send` | seals, franks and publishes a letter |
//! | `outbox` | what did not get through, sent again and told of |
//! | [`inbox`](crate::inbox), [`stream`](crate::stream) | reads what came, and what comes |
//! | [`conversation`](crate::conversation) | what follows a letter |
//! | [`connection`](crate::connection) | who may write without postage, and who not at all |

mod account;
mod ask;
mod belonging;
mod claims;
mod frank;
mod holdings;
mod joining;
mod journal;
mod outbox;
mod policy;
mod reading;
mod receipts;
mod registering;
mod renewal;
mod reserve;
mod send;
mod stakes;
mod stamps;
mod stock;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use alloy::primitives::{Address, B256};
use tokio::sync::{Notify, OnceCell};
use url::Url;
use xmtp_contracts::Deployment;
use xmtp_proto::account::Account;
use xmtp_proto::derive::NetworkId;
use xmtp_proto::time::{Clock, Epoch, Timestamp};
use xmtp_prover::{DevKeyError, KeyFileError, MalformedKey, ProvingKey, VerifyingKey};

use crate::chain::{Chain, Wallet};
use crate::franking::Stock;
use crate::identity::Identity;
use crate::journal::{RUN_LENGTH, Session};
use crate::state::{State, StateError};
use crate::transport::{Authorities, Connection, Node, Proxies, Proxy, Role, TransportError};

pub use account::{IdentityStatus, PublishError, Published, ReplacedIdentity, RestoreError};
pub(crate) use journal::Copies;
pub(crate) use outbox::is_passing;
pub(crate) use reading::{Reached, bits_for};

pub use ask::{AskError, Recipient, WhatItTakes};
pub use claims::ClaimStatus;
pub use joining::{JoinError, Joined};
pub use outbox::{Mail, Resent, Unsent};
pub use policy::PublishedPolicy;
pub use receipts::Told;
pub use registering::{DeclaredClaim, RegisterError, RegisteredToken};
pub use send::{Draft, SendError, Sent};
pub use stakes::{MadeStake, StakeStatus, StakingError};
pub use stamps::{BookStatus, BoughtBook, BuyStampsError, Keeper, TakeOverError};

/// The chain of development networks, whose proofs anybody can forge.
pub const DEV_CHAIN: u64 = 31_337;
/// A group of fewer books is not spent from unless the user says so; development networks aside.
pub const SMALL_GROUP: u32 = 64;
/// The longest random delay of copies in the journal, unless another is named.
pub const DELAY: Duration = Duration::from_secs(30);
/// A group of fewer leaves offers little cover.
pub const LITTLE_COVER: u32 = 1_000;

/// One account on one network.
pub struct Client {
    deployment: Deployment,
    network: NetworkId,
    wallet: Arc<dyn Wallet>,
    state: State,
    clock: Clock,
    node_url: Url,
    proxies: Proxies,
    authorities: Authorities,
    delay: Duration,
    node: OnceCell<Node>,
    chain: Option<Chain>,
    cache: PathBuf,
    proving_key_file: Option<PathBuf>,
    keys: OnceCell<Keys>,
    run_length: u16,
    /// Whether the node is told what was read.
    receipts: bool,
    small_claims: bool,
    held: Mutex<claims::Held>,
    session: Mutex<Session>,
    /// Held by whoever reserves stamps.
    reserving: tokio::sync::Mutex<()>,
    /// Held by whoever reads the journal.
    reading: tokio::sync::Mutex<()>,
    stock: Mutex<Stock>,
    /// Connections whose quota of the day a node said to be used up.
    used_up: Mutex<Vec<([u8; 32], Epoch)>>,
    /// For who keeps the stock filled.
    stamp_taken: Notify,
    on_step: OnStep,
}

/// What to prove with, and what to check it with before it leaves.
#[derive(Clone)]
pub(crate) struct Keys {
    pub(crate) proving: Arc<ProvingKey>,
    pub(crate) verifying: VerifyingKey,
}

/// What a client is doing, for whoever waits for it.
///
/// Everything that sending leaves on disk or with a node has a step before it and one after it, so that whoever is told can see
/// to it that it is cut short anywhere: see [`Step::OF_SENDING`] and [`Step::OF_CLOSING`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Another process has the state.
    WaitingForState,
    /// Keys are made and attested.
    MakingKeys,
    /// Talking to the node.
    Asking,
    /// A transaction is on its way into a block.
    Buying,
    /// The node has not seen a book yet.
    WaitingForRoot,
    /// The proving key is read, or made if this is the first time.
    LoadingProvingKey,
    /// A random moment passes between two calls that a node should not link.
    Lingering,
    /// The journal is asked for stamps, or for the index of a membership.
    Reserving,
    /// The journal was read since. What it granted is known to this process alone.
    Reserved,
    /// What is to be sent is written down, or which index goes with it.
    WritingDown,
    /// It is on disk.
    WrittenDown,
    /// A pass is proved.
    Proving,
    /// The proof is made, and nobody has seen it.
    Proved,
    /// A letter, a message, an opening or a record is published.
    Publishing,
    /// The node has answered, and that is not on disk yet.
    Published,
    /// What became of it is on disk.
    Recorded,
    /// The journal gets a copy, for the account's other installations.
    Journaling,
    /// It has it.
    Journaled,
    /// What was reserved and not used is handed back.
    HandingOver,
    /// The journal has it back.
    HandedOver,
}

impl Step {
    /// The steps around what sending leaves on disk or with a node.
    pub const OF_SENDING: [Self; 11] = [
        Self::Reserving,
        Self::Reserved,
        Self::WritingDown,
        Self::WrittenDown,
        Self::Proving,
        Self::Proved,
        Self::Publishing,
        Self::Published,
        Self::Recorded,
        Self::Journaling,
        Self::Journaled,
    ];

    /// The steps around what [`Client::close`] leaves with a node.
    pub const OF_CLOSING: [Self; 2] = [Self::HandingOver, Self::HandedOver];
}

type OnStep = Arc<dyn Fn(Step) + Send + Sync>;

/// Says what a client needs; [`Builder::connect`] makes it.
#[derive(Clone)]
pub struct Builder {
    wallet: Arc<dyn Wallet>,
    deployment: Deployment,
    home: PathBuf,
    cache: Option<PathBuf>,
    proving_key: Option<PathBuf>,
    node: Url,
    proxies: Proxies,
    authorities: Authorities,
    delay: Duration,
    rpc: Option<Url>,
    clock: Clock,
    run_length: u16,
    receipts: bool,
    small_claims: bool,
    on_step: OnStep,
}

/// There is no client.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The deployment file names another network than its chain and contract make. The user's to mend: get it anew.
    #[error("the deployment names network {named}, and its chain and contract make {computed}: get the file anew")]
    Deployment {
        /// In the file.
        named: NetworkId,
        /// From chain id and contract.
        computed: NetworkId,
    },
    /// See there.
    #[error(transparent)]
    State(#[from] StateError),
}

/// The identity is missing on this machine. The user's to mend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{account} has no messaging keys on this machine")]
pub struct NoIdentity {
    /// Whose.
    pub account: Account,
}

/// There is no key to prove with.
#[derive(Debug, thiserror::Error)]
pub enum ProvingKeyError {
    /// Development networks have a key that this makes by itself; every other network's came out of a ceremony, and is to be
    /// had from who ran it. The user's to mend.
    #[error(
        "chain {0} needs a proving key out of its ceremony: get pass.pk from where the network is announced, and name the file"
    )]
    NotOffered(u64),
    /// The file has no proving key. The user's to mend: get it anew.
    #[error("proving key: {0}")]
    File(#[from] KeyFileError),
    /// The file has a proving key of another ceremony. The user's to mend: get the network's.
    #[error("the proving key belongs to the verifying key {found}, and this network's is {expected}")]
    OtherKey {
        /// The deployment's, or the development key's.
        expected: B256,
        /// The file's.
        found: B256,
    },
    /// The folder for caches cannot be used. The user's to mend.
    #[error("{path}: {source}")]
    Cache {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// See there.
    #[error(transparent)]
    Malformed(#[from] MalformedKey),
    /// See there.
    #[error(transparent)]
    Dev(#[from] DevKeyError),
    /// The computation was broken off.
    #[error("the computation was broken off")]
    Interrupted,
}

impl Builder {
    /// The node to publish to and read from, https or http; by default `http://127.0.0.1:5050`. Over http, whoever is on the
    /// way reads what the node reads.
    #[must_use]
    pub fn node(mut self, url: Url) -> Self {
        self.node = url;
        self
    }

    /// Sends a role's connections to the node through a proxy; by default none. The way to the chain is not among them.
    #[must_use]
    pub fn proxy(mut self, role: Role, proxy: Arc<Proxy>) -> Self {
        self.proxies.set(role, proxy);
        self
    }

    /// Who vouches for the node's name, if its address is one of https; by default those that this system trusts.
    #[must_use]
    pub fn authorities(mut self, authorities: Authorities) -> Self {
        self.authorities = authorities;
        self
    }

    /// The longest random delay of what must not follow a letter at once: copies for the account's other installations, and,
    /// no longer than some seconds, openings; by default [`DELAY`]. None makes them follow at once.
    #[must_use]
    pub fn delay(mut self, longest: Duration) -> Self {
        self.delay = longest;
        self
    }

    /// The chain's JSON-RPC endpoint. Without one, nothing can be bought.
    #[must_use]
    pub fn rpc(mut self, url: Url) -> Self {
        self.rpc = Some(url);
        self
    }

    /// Where what can be made again is kept, such as the proving key; by default `cache` in the home.
    #[must_use]
    pub fn cache(mut self, folder: PathBuf) -> Self {
        self.cache = Some(folder);
        self
    }

    /// A ceremony's proving key (`pass.pk`), for a network whose deployment names its verifying key. Development networks need
    /// none.
    #[must_use]
    pub fn proving_key(mut self, file: PathBuf) -> Self {
        self.proving_key = Some(file);
        self
    }

    /// The clock to go by; by default the machine's.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// How many stamps of a book are reserved in the journal at once, if the letter does not take more; by default
    /// [`RUN_LENGTH`]. What is reserved and not used goes back with [`Client::close`]. With 1, as befits a program that sends
    /// one letter and ends, nothing is ever lost, and every letter is preceded by an entry in the journal.
    #[must_use]
    pub fn run_length(mut self, stamps: u16) -> Self {
        self.run_length = stamps;
        self
    }

    /// Whether the node is told when a letter with stamps was read, which is what its reader's part of them is paid for; by default
    /// it is. The node, and whoever asks it, then knows that the letter was read, and when.
    #[must_use]
    pub const fn receipts(mut self, told: bool) -> Self {
        self.receipts = told;
        self
    }

    /// Shows claims of groups with fewer than [`SMALL_CLAIM`](crate::claims::SMALL_CLAIM) accounts too: the fewer hold it, the more
    /// a claim says about who shows it. By default it does not.
    #[must_use]
    pub fn small_claims(mut self, agreed: bool) -> Self {
        self.small_claims = agreed;
        self
    }

    /// Is told what the client is doing, as it begins to.
    #[must_use]
    pub fn on_step(mut self, on_step: impl Fn(Step) + Send + Sync + 'static) -> Self {
        self.on_step = Arc::new(on_step);
        self
    }

    /// Opens the account's state, which takes a signature of the wallet, and waits while another process has it. The node is
    /// greeted when it is needed first, and must then serve the deployment's network.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn connect(self) -> Result<Client, ConnectError> {
        let Self {
            wallet,
            deployment,
            home,
            cache,
            proving_key,
            node,
            proxies,
            authorities,
            delay,
            rpc,
            clock,
            run_length,
            receipts,
            small_claims,
            on_step,
        } = self;
        let named = NetworkId(deployment.network_id);
        let network = NetworkId::new(deployment.chain_id, deployment.postage);
        if named != network {
            return Err(ConnectError::Deployment { named, computed: network });
        }
        let waiting = Arc::clone(&on_step);
        let state = State::open(&home, network, &*wallet, move || waiting(Step::WaitingForState)).await?;
        Ok(Client {
            network,
            state,
            clock,
            node_url: node,
            proxies,
            authorities,
            delay,
            node: OnceCell::new(),
            chain: rpc.map(|rpc| Chain::new(rpc, deployment.clone(), Arc::clone(&wallet))),
            cache: cache.unwrap_or_else(|| home.join("cache")),
            proving_key_file: proving_key,
            keys: OnceCell::new(),
            run_length,
            receipts,
            small_claims,
            held: Mutex::default(),
            session: Mutex::new(Session::new().map_err(StateError::from)?),
            reserving: tokio::sync::Mutex::default(),
            reading: tokio::sync::Mutex::default(),
            stock: Mutex::default(),
            used_up: Mutex::default(),
            stamp_taken: Notify::new(),
            on_step,
            deployment,
            wallet,
        })
    }
}

impl Client {
    /// A client for the wallet's account on a network, with its state under `home`.
    #[must_use]
    pub fn builder(wallet: impl Wallet + 'static, deployment: Deployment, home: PathBuf) -> Builder {
        Builder {
            wallet: Arc::new(wallet),
            deployment,
            home,
            cache: None,
            proving_key: None,
            node: default_node(),
            proxies: Proxies::default(),
            authorities: Authorities::default(),
            delay: DELAY,
            rpc: None,
            clock: Clock::system(),
            run_length: RUN_LENGTH,
            receipts: true,
            small_claims: false,
            on_step: Arc::new(|_| ()),
        }
    }

    /// Whose client it is.
    #[must_use]
    pub const fn account(&self) -> Account {
        self.state.account()
    }

    /// On which network.
    #[must_use]
    pub const fn network(&self) -> NetworkId {
        self.network
    }

    /// The terms that stamps are sold on.
    #[must_use]
    pub const fn deployment(&self) -> &Deployment {
        &self.deployment
    }

    /// What is remembered on this machine.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// The chain to buy on, if an endpoint was named.
    #[must_use]
    pub const fn chain(&self) -> Option<&Chain> {
        self.chain.as_ref()
    }

    /// Where the node is.
    #[must_use]
    pub const fn node_url(&self) -> &Url {
        &self.node_url
    }

    /// Whether the node is told what was read.
    #[must_use]
    pub const fn tells_receipts(&self) -> bool {
        self.receipts
    }

    /// By which proxies its connections go there.
    #[must_use]
    pub const fn proxies(&self) -> &Proxies {
        &self.proxies
    }

    /// Who vouches to it for the node's name.
    #[must_use]
    pub const fn authorities(&self) -> &Authorities {
        &self.authorities
    }

    /// The node, greeted.
    ///
    /// # Errors
    /// [`TransportError`].
    pub async fn node(&self) -> Result<&Node, TransportError> {
        self.node
            .get_or_try_init(|| async {
                self.step(Step::Asking);
                self.greet().await
            })
            .await
    }

    /// The node as it is now.
    async fn greet(&self) -> Result<Node, TransportError> {
        let (url, key) = (&self.node_url, self.verifying_key_hash());
        Node::greet(url, &self.proxies, &self.authorities, self.network, key).await
    }

    pub(crate) async fn connection(&self, role: Role) -> Result<Connection, TransportError> {
        Ok(self.node().await?.open(role))
    }

    pub(crate) fn identity(&self) -> Result<Result<Identity, NoIdentity>, StateError> {
        Ok(self.state.identity()?.ok_or_else(|| NoIdentity { account: self.account() }))
    }

    pub(crate) fn step(&self, step: Step) {
        (self.on_step)(step);
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The keys for proofs: from the file, or on a development network, if none was named, the development key.
    async fn keys(&self) -> Result<Keys, ProvingKeyError> {
        let load = || async {
            let (file, cache) = (self.proving_key_file.clone(), self.cache.clone());
            if file.is_none() && self.deployment.chain_id != DEV_CHAIN {
                return Err(ProvingKeyError::NotOffered(self.deployment.chain_id));
            }
            self.step(Step::LoadingProvingKey);
            let expected = self.verifying_key_hash();
            let loaded = tokio::task::spawn_blocking(move || {
                let proving = match file {
                    Some(file) => ProvingKey::read(&file)?,
                    None => development_key(&cache)?,
                };
                let verifying = proving.verifying_key()?;
                let found = verifying.keccak();
                if found != expected {
                    return Err(ProvingKeyError::OtherKey { expected, found });
                }
                Ok(Keys { proving: Arc::new(proving), verifying })
            });
            loaded.await.map_err(|_| ProvingKeyError::Interrupted)?
        };
        self.keys.get_or_try_init(load).await.cloned()
    }

    /// What digests and proofs are bound to.
    const fn place(&self) -> (NetworkId, Address) {
        (self.network, self.deployment.postage)
    }

    /// The name of the key that proofs are verified with: what the deployment says, and not the node.
    #[must_use]
    pub fn verifying_key_hash(&self) -> B256 {
        verifying_key_hash(&self.deployment)
    }
}

/// The name of a network's key for proofs: the one that its deployment names, or the development key's.
#[must_use]
pub fn verifying_key_hash(deployment: &Deployment) -> B256 {
    deployment.verifying_key.unwrap_or_else(|| VerifyingKey::dev().keccak())
}

fn development_key(cache: &Path) -> Result<ProvingKey, ProvingKeyError> {
    std::fs::create_dir_all(cache).map_err(|source| ProvingKeyError::Cache { path: cache.to_owned(), source })?;
    Ok(ProvingKey::dev_cached(cache)?)
}

fn default_node() -> Url {
    Url::parse("http://127.0.0.1:5050").unwrap_or_else(|_| unreachable!("a literal that is a URL"))
}
