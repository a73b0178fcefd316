//! Computing a published snapshot again, with an RPC of one's own: whoever does so finds out a false one, and says where it
//! begins to be false (docs/protocol.md, "Snapshots").

use std::collections::{BTreeMap, BTreeSet};

use alloy::primitives::{Address, B256};
use serde::Serialize;
use url::Url;
use xmtp_contracts::Deployment;
use xmtp_proto::derive::NetworkId;
use xmtp_proto::field::Commitment;
use xmtp_proto::snapshot::{Entry, Snapshot};

use super::config::{ClaimChain, IssuedClaim};
use super::holders::Reader;
use super::node::{Node, Registered, Until};
use super::progress::Progress;
use super::{Computed, IssueError, compute, lists, rpc_of, terms_of};
use crate::chain::Head;

/// What a snapshot is held against.
#[derive(Clone, Debug)]
pub struct Source {
    /// It names the claim.
    pub deployment: Deployment,
    /// Whose log has the snapshot, and the accounts.
    pub node: Url,
    /// The claim's chain, by an endpoint of one's own.
    pub chain: ClaimChain,
    /// The claim, and how it is looked at.
    pub claim: IssuedClaim,
}

/// A snapshot that issuers signed, and what came of computing it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Recomputed {
    /// What they signed.
    pub digest: B256,
    /// Whose commitments.
    pub generation: u32,
    /// The block that it looks at.
    pub block: u64,
    /// How many accounts it has.
    pub leaves: u32,
    /// Who signed it.
    pub signers: BTreeSet<Address>,
    /// How many of the issuers must.
    pub threshold: u8,
    /// The first thing that is not so; nothing if it is true.
    pub difference: Option<Difference>,
}

/// Where a snapshot begins to be false, in the order of its list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Difference {
    /// The chain has another block at that height.
    Block {
        /// In the snapshot.
        published: B256,
        /// On the chain; none if it has not come so far.
        found: Option<B256>,
    },
    /// The list has a commitment of an account that does not satisfy the claim, or of nobody.
    Invented {
        /// In the list.
        commitment: String,
        /// Whose it is.
        account: Option<Address>,
    },
    /// The list leaves out an account that satisfies the claim.
    LeftOut {
        /// Not in the list.
        commitment: String,
        /// Whose it is.
        account: Address,
    },
    /// No issuer has published a list that is whole.
    NoList,
    /// The list is as it should be, and what was signed of it is not.
    Signed,
}

/// Computes the newest snapshot of every issuer again.
///
/// # Errors
/// [`IssueError`] if one cannot be computed; a false one is an answer, not an error.
pub async fn recompute(source: &Source) -> Result<Vec<Recomputed>, IssueError> {
    let Source { deployment, node, chain, claim } = source;
    let network = NetworkId::new(deployment.chain_id, deployment.postage);
    let (terms, anchorage) = terms_of(deployment, &claim.name)?;
    let id = terms.id(network);
    let rpc = rpc_of(chain).await?;
    let node = Node::connect(node, network).await?;
    let published = node.published(id).await?;

    let mut newest: BTreeMap<Address, &Snapshot> = BTreeMap::new();
    for it in &published {
        if let Entry::Snapshot(signed) = &it.entry
            && signed.signer(id, anchorage) == Ok(it.issuer)
        {
            newest.entry(it.issuer).or_insert(&signed.snapshot);
        }
    }
    let mut of: BTreeMap<B256, (&Snapshot, BTreeSet<Address>)> = BTreeMap::new();
    for (issuer, snapshot) in newest {
        of.entry(snapshot.digest(id, anchorage)).or_insert_with(|| (snapshot, BTreeSet::new())).1.insert(issuer);
    }
    let mut all = Vec::with_capacity(of.len());
    for (digest, (snapshot, signers)) in of {
        let list = lists(&published, digest).into_values().find(|it| it.len() as u64 == u64::from(snapshot.leaves));
        let found = rpc.block(snapshot.block_number).await?;
        let difference = match found.filter(|it| it.hash == snapshot.block_hash) {
            None => Some(Difference::Block { published: snapshot.block_hash, found: found.map(|it| it.hash) }),
            Some(target) => {
                let (computed, registered) = again(source, &rpc, &node, snapshot, target).await?;
                differ(snapshot, list, &computed, &registered)
            }
        };
        let Snapshot { generation, block_number: block, leaves, .. } = *snapshot;
        let threshold = terms.threshold;
        all.push(Recomputed { digest, generation, block, leaves, signers, threshold, difference });
    }
    Ok(all)
}

async fn again(
    Source { deployment, chain, claim, .. }: &Source,
    rpc: &super::Rpc,
    node: &Node,
    snapshot: &Snapshot,
    target: Head,
) -> Result<(Computed, Registered), IssueError> {
    let (terms, _) = terms_of(deployment, &claim.name)?;
    let own = snapshot.contacts.iter().find(|it| it.operator == node.operator());
    let until = Until::Cursor(own.map(|it| it.cursor).unwrap_or_default());
    let registered = node.registered(snapshot.generation, until).await?;
    let network = NetworkId::new(deployment.chain_id, deployment.postage);
    let mut progress = Progress::new(terms.id(network), claim.from_block);
    let reader = Reader { rpc, range: chain.logs_range.get(), file: None };
    reader.read_to(&terms.condition, &mut progress, target).await?;
    let way = claim.cross_check;
    let computed = compute(rpc, &terms, snapshot.generation, &progress, target, &registered, way).await?;
    Ok((computed, registered))
}

fn differ(
    snapshot: &Snapshot,
    list: Option<Vec<Commitment>>,
    computed: &Computed,
    registered: &Registered,
) -> Option<Difference> {
    let list = match list {
        Some(list) => list,
        None if snapshot.leaves == 0 => Vec::new(),
        None => return Some(Difference::NoList),
    };
    let published: BTreeSet<Commitment> = list.into_iter().collect();
    let all: BTreeSet<Commitment> = published.iter().chain(computed.holders.keys()).copied().collect();
    for it in all {
        let commitment = || it.to_string();
        match (published.contains(&it), computed.holders.get(&it)) {
            (true, None) => {
                let owner = registered.accounts.iter().find(|(_, of)| **of == it);
                let account = owner.map(|(account, _)| account.address());
                return Some(Difference::Invented { commitment: commitment(), account });
            }
            (false, Some(account)) => {
                return Some(Difference::LeftOut { commitment: commitment(), account: *account });
            }
            _ => {}
        }
    }
    (computed.snapshot != *snapshot).then_some(Difference::Signed)
}
