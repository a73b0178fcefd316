//! The issuer of claims: a role of its own beside the relay node (docs/protocol.md, "Claims", "Snapshots"; docs/operating.md,
//! "Being an issuer"). It needs an RPC of the claim's chain, and a node to read the registered accounts from and to publish to.
//!
//! ```text
//! claim's chain ──► holders ──┐
//!                             ├──► list, roots ──► signature ──► the claim's topic
//! contact log ──► commitments ┘
//! ```
//!
//! A snapshot looks at the last block and the last entry before a moment that all issuers of a claim agree on, so those who are
//! honest sign the same one without talking to each other, and anybody can [compute it again](recompute()).

mod anchor;
mod config;
mod cross_check;
mod holders;
mod node;
mod progress;
mod recompute;
mod rpc;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use alloy::primitives::{Address, B256};
use alloy::signers::SignerSync as _;
use alloy::signers::local::PrivateKeySigner;
use tokio_util::sync::CancellationToken;
use xmtp_contracts::{Deployment, LoadError};
use xmtp_proto::claim::{Condition, Terms};
use xmtp_proto::derive::{ClaimId, NetworkId};
use xmtp_proto::envelope::Envelope;
use xmtp_proto::field::Commitment;
use xmtp_proto::malformed::Malformed;
use xmtp_proto::pass::{self, Pass};
use xmtp_proto::snapshot::{Anchorage, Contacts, Entry, PART_COMMITMENTS, Part, SignedSnapshot, Snapshot};
use xmtp_proto::submission::Submission;
use xmtp_proto::time::{Clock, Generation, Timestamp};
use xmtp_proto::topic::Topic;
use xmtp_prover::{Group as Tree, Limit, leaves};

use crate::chain::{Head, RpcError};
use crate::claims::issuers::Issuers;
use anchor::Anchors;
use holders::Reader;
use node::{Node, Published, Registered, Until, issuer_digest};
use progress::{Progress, ProgressFile};
use rpc::Rpc;

pub use anchor::{AnchorError, Anchored};
pub use config::{AnchorConfig, ClaimChain, CrossCheck, IssuedClaim, IssuerConfig, Refresh};
pub use cross_check::NotSo;
pub use node::NodeFailure;
pub use recompute::{Difference, Recomputed, Source, recompute};

/// Before what failed is tried again.
const RETRY: Duration = Duration::from_secs(30);
/// Before a snapshot that is not anchored yet is looked at again: another issuer's signature may have come.
const ANCHOR_AGAIN: Duration = Duration::from_secs(300);
/// How long after a moment a chain that is silent is taken to have had nothing to say before it.
const SILENCE: Duration = Duration::from_secs(60);

/// Why no snapshot was published.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The deployment file is missing or broken.
    #[error("deployment: {0}")]
    Deployment(#[from] LoadError),
    /// The configuration's to mend.
    #[error("the deployment offers no claim named {0}, or none that has issuers")]
    NoSuchClaim(String),
    /// The configuration's to mend.
    #[error("no chain {chain_id} is configured, and {claim} is about it")]
    NoSuchChain {
        /// The claim.
        claim: String,
        /// Its chain.
        chain_id: u64,
    },
    /// The configuration's to mend.
    #[error("the RPC answers for chain {got}, and the claim is about chain {expected}")]
    WrongChain {
        /// The claim's.
        expected: u64,
        /// The RPC's.
        got: u64,
    },
    /// Only issuers sign.
    #[error("{0} is no issuer of this claim")]
    NotIssuer(Address),
    /// The key cannot be read.
    #[error("key {path}: {reason}")]
    Key {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The machine's fault.
    #[error("progress: {0}")]
    Progress(#[source] io::Error),
    /// The endpoint's to mend.
    #[error("chain: {0}")]
    Rpc(#[from] RpcError),
    /// Nobody's fault: try again later.
    #[error("the chain has not come to the moment of the snapshot yet")]
    TooEarly,
    /// Nobody's fault: it was reorganised while it was read; try again.
    #[error("block {block} is no longer part of the chain")]
    ChainMoved {
        /// Its height.
        block: u64,
    },
    /// A snapshot that is not so is not signed.
    #[error("not signed: {0}")]
    NotSo(#[from] NotSo),
    /// See there.
    #[error(transparent)]
    Node(#[from] NodeFailure),
    /// More accounts than a snapshot has room for.
    #[error("more accounts satisfy the claim than a snapshot has room for")]
    TooMany,
    /// A mistake of ours.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

/// A snapshot that was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The claim.
    pub claim: ClaimId,
    /// What was signed.
    pub snapshot: Snapshot,
    /// Its EIP-712 hash.
    pub digest: B256,
    /// Whether this issuer brought the list; else another one had, and it is the same.
    pub listed: bool,
}

/// Whom a claim holds of, by commitment. One commitment may be several accounts'.
pub(crate) struct Computed {
    pub(crate) snapshot: Snapshot,
    pub(crate) holders: BTreeMap<Commitment, Address>,
}

/// What an issuer is about one claim.
struct Desk {
    terms: Terms,
    id: ClaimId,
    chain: ClaimChain,
    rpc: Rpc,
    issued: IssuedClaim,
    progress: ProgressFile,
}

/// An issuer, of one or more claims. Holds its key: no `Debug`.
pub struct Issuer {
    key: PrivateKeySigner,
    network: NetworkId,
    anchorage: Anchorage,
    node: url::Url,
    refresh: Refresh,
    desks: Vec<Desk>,
    anchors: Option<Anchors>,
    clock: Clock,
}

impl Issuer {
    /// Reads what the configuration names, and asks each chain for its id. TLS needs a provider for `rustls`, chosen before.
    ///
    /// # Errors
    /// [`IssueError`].
    pub async fn open(config: IssuerConfig, clock: Clock) -> Result<Self, IssueError> {
        let IssuerConfig { deployment, node, data_dir, key, refresh, chains, claims, anchor, log: _ } = config;
        let deployment = Deployment::load(&deployment)?;
        let network = NetworkId::new(deployment.chain_id, deployment.postage);
        let unreadable = |(path, reason)| IssueError::Key { path, reason };
        let key = crate::operator::key(&key.key_file, &key.password_file).map_err(unreadable)?;
        std::fs::create_dir_all(&data_dir).map_err(IssueError::Progress)?;
        let mut desks = Vec::with_capacity(claims.len());
        for issued in claims {
            let (terms, anchorage) = terms_of(&deployment, &issued.name)?;
            if !terms.issuers.contains(&key.address()) {
                return Err(IssueError::NotIssuer(key.address()));
            }
            let chain_id = terms.chain_id;
            let chain = chains.iter().find(|it| it.chain_id == chain_id).cloned();
            let chain = chain.ok_or_else(|| IssueError::NoSuchChain { claim: issued.name.clone(), chain_id })?;
            let rpc = rpc_of(&chain).await?;
            let id = terms.id(network);
            desks.push((anchorage, Desk { progress: ProgressFile::new(&data_dir, id), terms, id, chain, rpc, issued }));
        }
        let anchorage = desks.first().map(|(anchorage, _)| *anchorage);
        let anchorage = anchorage.ok_or_else(|| IssueError::NoSuchClaim("anything".to_owned()))?;
        let desks = desks.into_iter().map(|(_, desk)| desk).collect();
        let anchors = match anchor {
            None => None,
            Some(AnchorConfig { rpc_url, key_file, password_file, request_timeout }) => {
                let payer = crate::operator::key(&key_file, &password_file).map_err(unreadable)?;
                let anchors = Anchors::new(rpc_url, anchorage.claims, payer, request_timeout)?;
                anchors.require_chain(anchorage.chain_id).await?;
                Some(anchors)
            }
        };
        Ok(Self { key, network, anchorage, node, refresh, desks, anchors, clock })
    }

    /// Publishes the snapshots of all claims as of a moment; one after the other.
    ///
    /// # Errors
    /// [`IssueError`] of the first that fails.
    pub async fn issue(&self, at: Timestamp) -> Result<Vec<Issued>, IssueError> {
        let mut all = Vec::with_capacity(self.desks.len());
        for desk in &self.desks {
            all.push(self.issue_one(desk, at).await?);
        }
        Ok(all)
    }

    /// Whether a key is configured that pays for anchoring.
    #[must_use]
    pub const fn anchors(&self) -> bool {
        self.anchors.is_some()
    }

    /// Puts a snapshot on the settlement chain, if enough issuers have signed it.
    ///
    /// # Errors
    /// [`AnchorError`]; the snapshot counts all the same.
    pub async fn anchor(&self, issued: &Issued) -> Result<Anchored, AnchorError> {
        let anchors = self.anchors.as_ref().ok_or(AnchorError::NoKey)?;
        let desk = self.desks.iter().find(|desk| desk.id == issued.claim).ok_or(AnchorError::NotIssued)?;
        let node = Node::connect(&self.node, self.network).await?;
        let published = node.published(issued.claim).await?;
        anchors.anchor(issued, (&desk.terms, self.anchorage), &published).await
    }

    /// The moment of the snapshot that is due now.
    #[must_use]
    pub fn due(&self) -> Timestamp {
        self.refresh.due(self.clock.now())
    }

    /// Publishes every snapshot that is due, and anchors it if that is configured, until it is told to stop. What fails is tried
    /// again.
    pub async fn run(self, stop: CancellationToken) {
        let mut done: BTreeMap<ClaimId, Timestamp> = BTreeMap::new();
        let mut unanchored: BTreeMap<ClaimId, Issued> = BTreeMap::new();
        loop {
            let (due, mut failed) = (self.due(), false);
            for desk in &self.desks {
                if done.get(&desk.id) == Some(&due) {
                    continue;
                }
                let issuing = async { self.issue_one(desk, due).await };
                let issued = tokio::select! {
                    issued = issuing => issued,
                    () = stop.cancelled() => return,
                };
                match issued {
                    Ok(issued) => {
                        let Snapshot { block_number, leaves, .. } = issued.snapshot;
                        tracing::info!(claim = desk.issued.name, block_number, leaves, "published a snapshot");
                        done.insert(desk.id, due);
                        if self.anchors() {
                            unanchored.insert(desk.id, issued);
                        }
                    }
                    Err(error) => {
                        tracing::warn!(claim = desk.issued.name, %error, "no snapshot; it is tried again");
                        failed = true;
                    }
                }
            }
            tokio::select! {
                () = self.anchor_all(&mut unanchored) => {}
                () = stop.cancelled() => return,
            }
            let next = due.saturating_add(self.refresh.every).since(self.clock.now());
            let again = [(failed, RETRY), (!unanchored.is_empty(), ANCHOR_AGAIN)];
            let again = again.into_iter().filter_map(|(is_due, wait)| is_due.then_some(wait));
            let wait = again.fold(next, Duration::min).max(Duration::from_secs(1));
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Leaves what has to be tried again.
    async fn anchor_all(&self, unanchored: &mut BTreeMap<ClaimId, Issued>) {
        for (claim, issued) in std::mem::take(unanchored) {
            match self.anchor(&issued).await {
                Ok(Anchored::Sent(transaction)) => tracing::info!(%claim, %transaction, "anchored a snapshot"),
                Ok(Anchored::Before) => {}
                Ok(Anchored::TooFew) => {
                    unanchored.insert(claim, issued);
                }
                Err(error) => {
                    tracing::warn!(%claim, %error, "the snapshot is not anchored; it counts all the same");
                    unanchored.insert(claim, issued);
                }
            }
        }
    }

    async fn issue_one(&self, desk: &Desk, at: Timestamp) -> Result<Issued, IssueError> {
        let Desk { terms, id, chain, rpc, issued, progress: file } = desk;
        let target = self.target(desk, at).await?;
        let generation = Generation::at(at).0;
        let node = Node::connect(&self.node, self.network).await?;
        let registered = node.registered(generation, Until::Before(at)).await?;
        let mut progress = file.load(*id, issued.from_block).map_err(IssueError::Progress)?;
        let reader = Reader { rpc, range: chain.logs_range.get(), file: Some(file) };
        reader.read_to(&terms.condition, &mut progress, target).await?;
        let computed = compute(rpc, terms, generation, &progress, target, &registered, issued.cross_check).await?;
        if rpc.block(target.number).await?.is_none_or(|it| it.hash != target.hash) {
            return Err(IssueError::ChainMoved { block: target.number });
        }
        self.publish(&node, *id, computed).await
    }

    /// The last block of the claim's chain before a moment, when it is certain that no other will be.
    async fn target(&self, desk: &Desk, at: Timestamp) -> Result<Head, IssueError> {
        let head = desk.rpc.latest().await?;
        let silent = desk.chain.quiet || self.clock.now().since(at) >= SILENCE;
        if head.time < at && !silent {
            return Err(IssueError::TooEarly);
        }
        let target = desk.rpc.last_before(at, head).await?.ok_or(IssueError::TooEarly)?;
        if !desk.chain.quiet && target.number + desk.chain.confirmations > head.number {
            return Err(IssueError::TooEarly);
        }
        Ok(target)
    }

    async fn publish(&self, node: &Node, claim: ClaimId, computed: Computed) -> Result<Issued, IssueError> {
        let Computed { snapshot, holders } = computed;
        let digest = snapshot.digest(claim, self.anchorage);
        let list: Vec<Commitment> = holders.into_keys().collect();
        let published = node.published(claim).await?;
        let mut by_us = !is_listed(&published, digest, &list);
        if by_us {
            self.publish_list(node, claim, digest, &list).await?;
        }
        let signed = published.iter().any(|it| {
            let of_it = matches!(&it.entry, Entry::Snapshot(signed) if signed.snapshot == snapshot);
            of_it && it.issuer == self.key.address()
        });
        if !signed {
            let entry = Entry::Snapshot(SignedSnapshot { snapshot: snapshot.clone(), signature: self.sign(digest) });
            node.publish(self.entry(claim, &entry)?).await?;
            // Whose list it was may have begun another one just before the signature came.
            if !by_us && !is_listed(&node.published(claim).await?, digest, &list) {
                self.publish_list(node, claim, digest, &list).await?;
                by_us = true;
            }
        }
        Ok(Issued { claim, snapshot, digest, listed: by_us })
    }

    async fn publish_list(
        &self,
        node: &Node,
        claim: ClaimId,
        digest: B256,
        list: &[Commitment],
    ) -> Result<(), IssueError> {
        for (number, commitments) in list.chunks(PART_COMMITMENTS).enumerate() {
            let first = u32::try_from(number * PART_COMMITMENTS).map_err(|_| IssueError::TooMany)?;
            let part = Part { snapshot: digest, first, commitments: commitments.to_vec() };
            node.publish(self.entry(claim, &Entry::Part(part))?).await?;
        }
        Ok(())
    }

    fn entry(&self, claim: ClaimId, entry: &Entry) -> Result<Submission, IssueError> {
        let envelope =
            Envelope { topic: Topic::Claim(claim.0), sent_at: self.clock.now(), ciphertext: entry.to_bytes() };
        let signature = self.sign(issuer_digest(self.network, envelope.id(self.network)));
        let pass = Pass::Issuer(pass::Issuer { issuer: self.key.address(), signature });
        Ok(Submission::new(envelope, vec![pass])?)
    }

    fn sign(&self, digest: B256) -> [u8; 65] {
        // A key in memory signs every hash; the interface is fallible for the sake of remote signers.
        #[allow(clippy::expect_used)]
        self.key.sign_hash_sync(&digest).expect("a local key signs every hash").as_bytes()
    }
}

/// The terms of an issued claim, and what its snapshots are bound to.
fn terms_of(deployment: &Deployment, name: &str) -> Result<(Terms, Anchorage), IssueError> {
    let unknown = || IssueError::NoSuchClaim(name.to_owned());
    let terms = deployment.offered_claim(name).ok_or_else(unknown)?.terms();
    let claims = deployment.claims.filter(|_| !terms.issuers.is_empty()).ok_or_else(unknown)?;
    Ok((terms, Anchorage { chain_id: deployment.chain_id, claims }))
}

async fn rpc_of(chain: &ClaimChain) -> Result<Rpc, IssueError> {
    let rpc = Rpc::new(chain)?;
    let (expected, got) = (chain.chain_id, rpc.chain_id().await?);
    if got == expected { Ok(rpc) } else { Err(IssueError::WrongChain { expected, got }) }
}

/// The snapshot of a claim at a block that progress has come to.
async fn compute(
    rpc: &Rpc,
    terms: &Terms,
    generation: u32,
    progress: &Progress,
    target: Head,
    registered: &Registered,
    way: Option<CrossCheck>,
) -> Result<Computed, IssueError> {
    let Registered { read, accounts } = registered;
    // An externally owned account is one account on all chains; a contract is bound to its own.
    let here = accounts.iter().filter(|(it, _)| [1, terms.chain_id].contains(&it.chain_id()));
    let here: BTreeMap<Address, Commitment> = here.map(|(it, commitment)| (it.address(), *commitment)).collect();
    let addresses: BTreeSet<Address> = here.keys().copied().collect();
    let at = match terms.condition {
        Condition::Active { before_secs } => rpc.last_before(Timestamp::from_secs(before_secs), target).await?,
        _ => Some(target),
    };
    let holders = match at {
        Some(at) => {
            let holders = holders::holders(rpc, &terms.condition, progress, at, &addresses).await?;
            if let Some(way) = way {
                let all = holders.iter().copied();
                cross_check::check(rpc, way, &terms.condition, &progress.holdings, at, all).await?;
            }
            holders
        }
        None => BTreeSet::new(),
    };
    let holders: BTreeMap<Commitment, Address> =
        holders.into_iter().filter_map(|it| Some((*here.get(&it)?, it))).collect();
    let limit = Limit::new(terms.limit).map_err(|_| IssueError::TooMany)?;
    let commitments: Vec<Commitment> = holders.keys().copied().collect();
    // Hashes by the thousand.
    let roots = tokio::task::spawn_blocking(move || {
        let members: Vec<_> = commitments.into_iter().map(|it| Some((it, limit))).collect();
        let mut tree = Tree::new();
        tree.extend(leaves(&members));
        tree.checkpoint().volumes().iter().map(|it| it.root).collect()
    });
    let snapshot = Snapshot {
        generation,
        block_number: target.number,
        block_hash: target.hash,
        contacts: read.iter().copied().collect::<Vec<Contacts>>(),
        leaves: u32::try_from(holders.len()).map_err(|_| IssueError::TooMany)?,
        roots: roots.await.map_err(|_| IssueError::TooMany)?,
    };
    Ok(Computed { snapshot, holders })
}

/// Whether nodes have this list of a snapshot now: they keep one of each issuer, the last that it began. Entries come newest
/// first.
fn is_listed(published: &[Published], digest: B256, list: &[Commitment]) -> bool {
    let mut issuers = Issuers::default();
    for Published { issuer, entry } in published.iter().rev() {
        if let Entry::Part(part) = entry {
            issuers.list(*issuer, part.clone());
        }
    }
    list.is_empty() || issuers.lists(&digest).any(|it| it == list)
}

/// The lists of a snapshot that are whole, by issuer, those included that their issuer went on from. Entries come newest first.
fn lists(published: &[Published], digest: B256) -> BTreeMap<Address, Vec<Commitment>> {
    let mut lists: BTreeMap<Address, Vec<Commitment>> = BTreeMap::new();
    for Published { issuer, entry } in published.iter().rev() {
        let Entry::Part(part) = entry else { continue };
        if part.snapshot != digest {
            continue;
        }
        let list = lists.entry(*issuer).or_default();
        if part.first == 0 {
            list.clear();
        }
        if list.len() as u64 == u64::from(part.first) {
            list.extend(&part.commitments);
        }
    }
    lists
}
