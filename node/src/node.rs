//! A running node: `bind`, `join`, `shutdown`. Owns the tasks of its rooms; the first to end, for any reason, ends the others.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use alloy::primitives::B256;
use alloy::signers::local::PrivateKeySigner;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic_health::server::HealthReporter;
use tonic_reflection::server::v1::{ServerReflection, ServerReflectionServer};
use xmtp_contracts::Deployment;
use xmtp_proto::derive::{NetworkId, OperatorId};
use xmtp_proto::snapshot::Anchorage;
use xmtp_proto::submission::MAX_CALL_BYTES;
use xmtp_proto::time::Clock;
use xmtp_proto::wire::{self, node_server::NodeServer};
use xmtp_prover::{KeyFileError, VerifyingKey};

use crate::admin::{self, Admin, Load};
use crate::api::{Api, NetworkInfo, Streams};
use crate::chain::{Chain, ChainError, ChainHandle, RpcError};
use crate::claims::{Claims, Offered};
use crate::closing::Closing;
use crate::config::{Config, SlashingConfig};
use crate::congestion::Congestion;
use crate::disk;
use crate::housekeeping::Housekeeping;
use crate::ingest::{Bounds, Ingest, Rooms};
use crate::live::Reloader;
use crate::members::{Members, MembersConfig};
use crate::metrics::Metrics;
use crate::operator::{self, Operator};
use crate::places::Places;
use crate::proving::{Gathering, Proving};
use crate::server::{self, BadOrigin, Server, TlsError};
use crate::slashing::{Contract, Offer, Slashing};
use crate::store::{OpenError, Store, StoreError};
use crate::traffic::Traffic;
use crate::validate::{Rules, StakeRules};

/// The chain id of development networks: there alone development keys are good.
const DEVELOPMENT_CHAIN: u64 = 31337;
/// Wei.
const GWEI: u128 = 1_000_000_000;
/// What an answer may be encoded to.
pub(crate) const ANSWER_BYTES: usize = 4 << 20;
/// A call that publishes nothing: a subscription with as many filters as it may have.
pub(crate) const QUESTION_BYTES: usize = 128 << 10;
/// Requests that read from disk or trees at the same time.
const READS_AT_ONCE: usize = 64;

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The deployment file is missing or broken.
    #[error("deployment: {0}")]
    Deployment(#[from] xmtp_contracts::LoadError),
    /// The deployment names another network than its chain and contract make.
    #[error("the deployment's networkId is {found}, but its chain id and Postage address make {expected}")]
    Network {
        /// What the file says.
        found: NetworkId,
        /// What it should say.
        expected: NetworkId,
    },
    /// The operator's key, or that for slashing, cannot be read, or not by its owner alone.
    #[error("key {path}: {reason}")]
    Key {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The HTTP client for what is slashed cannot be made.
    #[error("the HTTP client for the RPC cannot be made")]
    Client(#[source] RpcError),
    /// The key for proofs is the development key, and this is not a development network.
    #[error(
        "chain {chain_id} is no development chain, and this node has only development keys for proofs: whoever knows their \
         seed forges postage; name a ceremony's key in proofs.verifying_key"
    )]
    DevelopmentKeys {
        /// The deployment's chain.
        chain_id: u64,
    },
    /// The key for proofs cannot be read.
    #[error("verifying key: {0}")]
    VerifyingKey(#[from] KeyFileError),
    /// The key for proofs is not the one that the deployment names, and clients go by that.
    #[error("the verifying key is {found}, and the deployment names {pinned}")]
    OtherVerifyingKey {
        /// In the deployment.
        pinned: B256,
        /// The node's.
        found: B256,
    },
    /// The store cannot be opened.
    #[error("store: {0}")]
    Store(#[from] OpenError),
    /// The log was opened, and what is in it makes no sense.
    #[error("log: {0}")]
    Log(#[from] StoreError),
    /// The chain is not the one that the deployment names.
    #[error("chain: {0}")]
    Chain(#[from] ChainError),
    /// The address is taken or not ours.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The certificate or its key cannot be used.
    #[error("tls: {0}")]
    Tls(#[from] TlsError),
    /// An origin that may call is none.
    #[error(transparent)]
    Origin(#[from] BadOrigin),
    /// The disk of the store does not say how much room it has.
    #[error("disk: {0}")]
    Disk(#[source] io::Error),
    /// The schema cannot be reflected: a mistake of ours.
    #[error("reflection: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// Why a node ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The operator's port failed.
    #[error("admin: {0}")]
    Admin(#[source] io::Error),
    /// The follower gave up.
    #[error("chain: {0}")]
    Chain(#[from] ChainError),
    /// The disk failed; what is on it is uncertain. Start again when it is mended.
    #[error("the store failed; see the log above")]
    Store,
    /// A room panicked: a bug of ours.
    #[error("a room of the node panicked: {0}")]
    Panic(#[from] tokio::task::JoinError),
}

/// A node that serves.
pub struct Node {
    address: SocketAddr,
    admin: Option<SocketAddr>,
    chain: ChainHandle,
    store: Store,
    reloader: Arc<Reloader>,
    stop: CancellationToken,
    rooms: JoinSet<Result<(), RunError>>,
}

impl Node {
    /// Opens the store, finds the chain, listens, and starts the rooms.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running.
    pub async fn bind(config: Config, clock: Clock) -> Result<Self, StartError> {
        let key = operator_key(&config)?;
        let slashing_key = config.slashing.as_ref().map(slashing_key).transpose()?;
        let deployment = deployment(&config)?;
        let verifying_key = verifying_key(&config, &deployment)?;
        let (reloader, live) = Reloader::new(config.clone())?;
        // What is not named here is live.
        let Config { listen, data_dir, reflection, chain, rules, limits, congestion, admin, slashing, web, .. } =
            config;
        let cors = server::cors(&web)?;
        let network = NetworkId::new(deployment.chain_id, deployment.postage);
        let operator = Operator::new(key, network);
        let info = NetworkInfo { chain_id: deployment.chain_id, token: deployment.token, operator: operator.address() };
        let traffic = Traffic::new(rules.conversations_per_prefix);
        let rules = Arc::new(Rules {
            network,
            postage: deployment.postage,
            stake: deployment.stake.as_ref().map(|stake| StakeRules {
                contract: stake.contract,
                // A contract has sixteen at most.
                tiers: u32::try_from(stake.tiers.len()).unwrap_or(u32::MAX),
            }),
            issue_seconds: deployment.issue_seconds.into(),
            invite: rules.invite,
            joining: rules.joining,
            opening: rules.opening,
            member_limit: rules.member_limit,
            claims: offered(&deployment, network),
            verifying_key,
        });

        let members = MembersConfig {
            network,
            operator: OperatorId::new(info.operator),
            limit: rules.member_limit,
            roots: chain.member_roots(),
        };

        let store = Store::open(&data_dir, operator, clock.clone(), limits.new_accounts_per_minute)?;
        let (gauge, disk) = disk::Gauge::new(&data_dir, live.clone()).map_err(StartError::Disk)?;
        let kept = disk::WithRoom { store: store.clone(), disk: disk.clone() };
        let (follower, chain_handle) = Chain::open(chain.follow(&deployment), Arc::new(kept), clock.clone()).await?;
        let (members, members_handle) = Members::open(members, store.clone(), clock.clone()).await?;
        let (claims, claims_handle) = Claims::open(rules.claims.clone(), store.clone(), clock.clone()).await?;
        traffic.follow(&store, clock.now().epoch()).map_err(OpenError::from)?;
        let metrics = Metrics::new(store.commit_metrics());
        let (listener, address) = listen_on(listen, limits.backlog)?;
        let admin_listener = match admin {
            Some(admin) => Some(listen_on(admin.listen, limits.backlog)?),
            None => None,
        };
        let reflection = reflection.then(reflect).transpose()?;

        let gathering =
            Gathering { linger: limits.proof_linger, waiting_max: limits.proofs, bad_max: limits.bad_proofs_per_ip };
        let proving = Proving::new(rules.clone(), metrics.clone(), gathering);
        let congestion = Congestion::new(congestion, clock.now());
        let (rpc, timeout) = (chain.rpc_url.clone(), chain.request_timeout);
        let contract = Contract::to_ask(rpc.clone(), rules.postage, timeout).map_err(StartError::Client)?;
        let offer = Arc::new(Offer::new(store.clone(), rules.postage, contract));
        let slashing = match slashing.zip(slashing_key) {
            None => None,
            Some((SlashingConfig { beneficiary, fee_max_gwei, .. }, key)) => {
                let reporter = beneficiary.unwrap_or_else(|| key.address());
                let fee_max = u128::from(fee_max_gwei.get()) * GWEI;
                let contract =
                    Contract::with_key(rpc, rules.postage, (key, fee_max), timeout).map_err(StartError::Client)?;
                let poll_interval = chain.poll_interval;
                let (store, chain) = (store.clone(), chain_handle.clone());
                Some(Slashing::new(store, chain, contract, reporter, poll_interval, metrics.clone()))
            }
        };
        let closing = Closing::new(rules.clone(), chain_handle.clone(), store.clone(), clock.clone());
        let ingest = Ingest::new(
            Rooms {
                rules: rules.clone(),
                chain: chain_handle.clone(),
                members: members_handle.clone(),
                claims: claims_handle.clone(),
                proving: proving.clone(),
                congestion: congestion.clone(),
                closing: closing.clone(),
                metrics: metrics.clone(),
                store: store.clone(),
                disk: disk.clone(),
                clock: clock.clone(),
            },
            Bounds { view_age_max: chain.max_age, waiting_bytes: limits.submission_bytes },
        );
        let stop = CancellationToken::new();
        let streams = Places::default();
        let load = Load { ingest: ingest.clone(), submission_bytes: limits.submission_bytes, streams: streams.clone() };
        let chain_id = info.chain_id;
        let api = Api {
            ingest,
            metrics: metrics.clone(),
            store: store.clone(),
            chain: chain_handle.clone(),
            members: members_handle,
            claims: claims_handle,
            rules: rules.clone(),
            traffic: traffic.clone(),
            congestion: congestion.clone(),
            info,
            clock: clock.clone(),
            reads: Arc::new(Semaphore::new(READS_AT_ONCE)),
            streams: Streams { places: streams, total_max: limits.streams, per_peer_max: limits.streams_per_ip },
            stop: stop.clone(),
        };

        let (health, health_service) = tonic_health::server::health_reporter();
        health.set_serving::<NodeServer<Api>>().await;
        let api = |most: usize| {
            NodeServer::new(api.clone()).max_decoding_message_size(most).max_encoding_message_size(ANSWER_BYTES)
        };
        let publishing = Routes::new(api(MAX_CALL_BYTES));
        let mut routes = Routes::builder();
        routes.add_service(health_service).add_service(api(QUESTION_BYTES));
        if let Some(reflection) = reflection {
            routes.add_service(reflection);
        }
        let routes = routes.routes();
        let server = Server { listener, cors, publishing, routes, live: live.clone(), metrics: metrics.clone() };

        let mut rooms = JoinSet::new();
        // The operator sees the node drain, so this port closes last.
        let drained = CancellationToken::new();
        let admin = admin_listener.map(|(listener, address)| {
            let admin = Admin {
                metrics: metrics.clone(),
                store: store.clone(),
                chain: chain_handle.clone(),
                disk,
                offer,
                started_at: clock.now(),
                clock: clock.clone(),
                view_age_max: chain.max_age,
                load,
                chain_id,
                stop: stop.clone(),
            };
            let drained = drained.clone();
            rooms.spawn(async move { admin::serve(listener, admin, drained).await.map_err(RunError::Admin) });
            address
        });
        rooms.spawn({
            let proving = proving.clone();
            let moving = congestion.run(move || proving.held_apart(), metrics.clone(), clock.clone(), stop.clone());
            async move {
                moving.await;
                Ok(())
            }
        });
        rooms.spawn({
            // Requests in flight when the node stops have proofs, too.
            let drained = drained.clone();
            async move {
                proving.run(drained).await;
                Ok(())
            }
        });
        rooms.spawn(serve(server, health, stop.clone(), drained));
        rooms.spawn({
            let stop = stop.clone();
            async move {
                gauge.run(stop).await;
                Ok(())
            }
        });
        rooms.spawn({
            let stop = stop.clone();
            async move { Ok(follower.run(stop).await?) }
        });
        rooms.spawn({
            let stop = stop.clone();
            async move { members.run(stop).await.map_err(|_| RunError::Store) }
        });
        rooms.spawn({
            let stop = stop.clone();
            async move { claims.run(stop).await.map_err(|_| RunError::Store) }
        });
        rooms.spawn(watch_store(store.clone(), stop.clone()));
        rooms.spawn({
            let stop = stop.clone();
            async move { closing.run(stop).await.map_err(|_| RunError::Store) }
        });
        if let Some(slashing) = slashing {
            let stop = stop.clone();
            rooms.spawn(async move { slashing.run(stop).await.map_err(|_| RunError::Store) });
        }
        let house =
            Housekeeping { store: store.clone(), chain: chain_handle.clone(), rules, traffic, live, metrics, clock };
        rooms.spawn({
            let stop = stop.clone();
            async move { Ok(house.run(stop).await?) }
        });
        Ok(Self { address, admin, chain: chain_handle, store, reloader: Arc::new(reloader), stop, rooms })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the operator's port is, if there is one.
    #[must_use]
    pub const fn admin_address(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// What it knows of the chain.
    #[must_use]
    pub const fn chain(&self) -> &ChainHandle {
        &self.chain
    }

    /// Its log.
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// Changes what can change while the node runs.
    #[must_use]
    pub fn reloader(&self) -> Arc<Reloader> {
        self.reloader.clone()
    }

    /// Tells the node to stop: requests in flight are finished, what was acknowledged is kept.
    #[must_use]
    pub fn stopper(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Waits until the node has ended.
    ///
    /// # Errors
    /// [`RunError`] of the first room that failed.
    pub async fn join(mut self) -> Result<(), RunError> {
        let mut result = Ok(());
        while let Some(ended) = self.rooms.join_next().await {
            self.stop.cancel();
            let ended = ended.unwrap_or_else(|panic| Err(panic.into()));
            result = result.and(ended);
        }
        result
    }

    /// Stops the node and waits until it has ended.
    ///
    /// # Errors
    /// As [`Node::join`].
    pub async fn shutdown(self) -> Result<(), RunError> {
        self.stop.cancel();
        self.join().await
    }
}

/// Reads and checks all that a configuration names, and starts nothing.
///
/// # Errors
/// [`StartError`] names what is wrong.
pub fn check(config: &Config) -> Result<(), StartError> {
    operator_key(config)?;
    config.slashing.as_ref().map(slashing_key).transpose()?;
    verifying_key(config, &deployment(config)?)?;
    config.tls.as_ref().map(server::acceptor).transpose()?;
    server::cors(&config.web).map(drop)?;
    Ok(())
}

/// The claims that the deployment names.
fn offered(deployment: &Deployment, network: NetworkId) -> Offered {
    let anchorage = deployment.claims.map(|claims| Anchorage { chain_id: deployment.chain_id, claims });
    let terms = deployment.offered_claims.iter().map(|it| it.terms()).map(|terms| (terms.id(network), terms));
    Offered::new(anchorage, terms)
}

pub(crate) fn operator_key(config: &Config) -> Result<PrivateKeySigner, StartError> {
    key(&config.operator.key_file, &config.operator.password_file)
}

/// The key that pays for slashing.
pub(crate) fn slashing_key(config: &SlashingConfig) -> Result<PrivateKeySigner, StartError> {
    key(&config.key_file, &config.password_file)
}

fn key(key_file: &Path, password_file: &Path) -> Result<PrivateKeySigner, StartError> {
    operator::key(key_file, password_file).map_err(|(path, reason)| StartError::Key { path, reason })
}

pub(crate) fn deployment(config: &Config) -> Result<Deployment, StartError> {
    let deployment = Deployment::load(&config.chain.deployment)?;
    let (found, expected) = (NetworkId(deployment.network_id), NetworkId::new(deployment.chain_id, deployment.postage));
    if found != expected {
        return Err(StartError::Network { found, expected });
    }
    Ok(deployment)
}

/// The key that proofs are verified with: a ceremony's, or on a development chain the development key.
pub(crate) fn verifying_key(config: &Config, deployment: &Deployment) -> Result<VerifyingKey, StartError> {
    let key = match &config.proofs.verifying_key {
        Some(path) => VerifyingKey::read(path)?,
        None => VerifyingKey::dev().clone(),
    };
    let chain_id = deployment.chain_id;
    if key.is_dev() && chain_id != DEVELOPMENT_CHAIN {
        return Err(StartError::DevelopmentKeys { chain_id });
    }
    let found = key.keccak();
    match deployment.verifying_key {
        Some(pinned) if pinned != found => Err(StartError::OtherVerifyingKey { pinned, found }),
        _ => Ok(key),
    }
}

fn listen_on(address: SocketAddr, backlog: u32) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Listen { address, source };
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.map_err(failed)?;
    // A restart does not wait until the system has forgotten the connections of before.
    socket.set_reuseaddr(true).map_err(failed)?;
    socket.bind(address).map_err(failed)?;
    let listener = socket.listen(backlog).map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

async fn serve(
    server: Server,
    health: HealthReporter,
    stop: CancellationToken,
    drained: CancellationToken,
) -> Result<(), RunError> {
    let _drained = drained.drop_guard();
    let told = async {
        stop.cancelled().await;
        health.set_not_serving::<NodeServer<Api>>().await;
        std::future::pending().await
    };
    tokio::select! {
        () = server.run(stop.clone()) => Ok(()),
        never = told => never,
    }
}

fn reflect() -> Result<ServerReflectionServer<impl ServerReflection>, tonic_reflection::server::Error> {
    tonic_reflection::server::Builder::configure().register_encoded_file_descriptor_set(wire::DESCRIPTORS).build_v1()
}

async fn watch_store(store: Store, stop: CancellationToken) -> Result<(), RunError> {
    tokio::select! {
        () = store.failed() => Err(RunError::Store),
        () = stop.cancelled() => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::future::join_all;
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn system_completes_as_many_connections_as_it_was_told_to() {
        const CALLERS: usize = 12;
        for (backlog, all) in [(2, false), (32, true)] {
            let (listener, address) = listen_on(SocketAddr::from(([127, 0, 0, 1], 0)), backlog).unwrap();
            // Nobody takes them; what does not fit is tried again by the system in a second.
            let call = || tokio::time::timeout(Duration::from_millis(500), TcpStream::connect(address));
            let calls = join_all(std::iter::repeat_with(call).take(CALLERS)).await;
            let completed = calls.iter().filter(|call| matches!(call, Ok(Ok(_)))).count();
            assert_eq!(completed == CALLERS, all, "{completed} with {backlog}");
            drop(listener);
        }
    }
}
