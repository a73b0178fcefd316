//! What a million leaves cost a node, beside the hashes alone: `cargo run --release --bin tree [LEAVES]`.
//!
//! A purchase is a leaf `P2(commitment, limit)`, and seven leaves make a node of the tree, `P8`. What a node does beside
//! hashing when it starts (reading its store, linking keccak chains, keeping books, taking roots) is what is measured. Beside
//! that, the tree alone, hashed from commitments, and zerokit's of as many leaves: binary, with its own hash.

use std::error::Error;
use std::hint::black_box;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::{Duration, Instant};

use alloy::primitives::{Address, B256, U256};
use alloy::signers::local::PrivateKeySigner;
use cpu_time::ProcessTime;
use peak_alloc::PeakAlloc;
use rln::prelude::{Fr, Hasher, PoseidonHash};
use tokio::runtime::Runtime;
use xmtp_node::chain::{Chain, ChainConfig, ChainStore, stored};
use xmtp_node::groups::{Block, Checkpoints, Groups, Operation, RootRules, VolumeRoot};
use xmtp_node::operator::Operator;
use xmtp_node::store::Store;
use xmtp_proto::derive::{Denomination, Group, Issue, NetworkId};
use xmtp_proto::field::{Commitment, FieldElement, Root};
use xmtp_proto::time::{Clock, Timestamp};
use xmtp_prover::tree::{ARITY, BUCKET_LEAVES, BrokenPath, BucketError, DEPTH, VOLUME_LEAVES};
use xmtp_prover::{Group as Tree, Limit, Path, Position, Version, leaf, leaves};
use zerokit_utils::merkle_tree::{FullMerkleTree, ZerokitMerkleTree as _};

// The form of all reports, without the peer of those in prover/bench.
#[allow(dead_code)]
#[path = "../../../../prover/bench/src/report.rs"]
mod report;

use report::{Measure, Report, Side};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const LEAVES: u32 = 1_000_000;
const LIMIT: Limit = Limit::MAX;
const SAMPLES: usize = 3;
const CHAIN_ID: u64 = 1;
const ISSUE: Issue = Issue(220);
const ISSUE_SECONDS: u64 = 7_889_400;
/// Between purchases: the million is sold within an issue.
const SECONDS_APART: u64 = 6;
/// Blocks that are written to the store at once.
const PAGE: u32 = 10_000;
const OURS: &str = concat!("xmtp-node ", env!("CARGO_PKG_VERSION"));
const PEER: &str = "the hashes alone";
const OTHER_TREE: &str = "zerokit_utils 3.0.0";

fn main() -> Result<(), Box<dyn Error>> {
    let leaves = std::env::args().nth(1).map_or(Ok(LEAVES), |it| it.parse())?;
    if leaves == 0 || leaves > VOLUME_LEAVES {
        return Err(format!("one volume, please: 1 to {VOLUME_LEAVES} leaves").into());
    }
    // For the RPC's client, as in the node's `main`.
    rustls::crypto::ring::default_provider().install_default().map_err(|_| "a provider for TLS is chosen already")?;
    println!("{leaves} leaves; CPU time of all threads, unless it says otherwise");
    let (root, path) = measure_tree(leaves)?;
    measure_groups(leaves, root)?;

    let folder = tempfile::tempdir()?;
    persist(leaves, folder.path())?;
    let (mut ours, mut peer, mut tree, mut other_tree) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..SAMPLES {
        tree.push(tree_alone(leaves, root)?);
        other_tree.push(other_tree_alone(leaves)?);
        ours.push(reload(root, leaves, folder.path())?);
        peer.push(hashes_alone(leaves, &path)?);
    }
    let what = format!("a node's start with {leaves} leaves in its store, {SAMPLES} samples");
    let (ours, peer) = (Side { version: OURS, samples: ours }, Side { version: PEER, samples: peer });
    let (tree, other_tree) = (Side { version: OURS, samples: tree }, Side { version: OTHER_TREE, samples: other_tree });
    let also = vec![("tree rebuilt", Side { version: OURS, samples: tree.samples.clone() })];
    let pairs = vec![("tree alone", tree, other_tree)];
    Report { name: "tree", what, unit: "ms cpu", measure: Measure::Cost, ours, peer, also, pairs }.print();
    Ok(())
}

/// The tree by itself: built at one go, appended to, rolled back, served. Gives its root, and a path in it.
fn measure_tree(count: u32) -> Result<(Root, Path), Box<dyn Error>> {
    let books: Vec<_> = (0..count).map(|number| Some((commitment(number), LIMIT))).collect();
    let (time, leaves) = cpu(|| leaves(&books));
    row("leaves of commitments", time, count);

    let before = MEMORY.current_usage();
    let mut tree = Tree::new();
    let (time, ()) = cpu(|| tree.extend(leaves.iter().copied()));
    row("tree: built of leaves", time, count);
    memory_row("tree", before, count);
    let root = tree.root(0).ok_or("the tree is empty")?;

    let few = 1_000.min(count);
    let (time, ()) = cpu(|| {
        for leaf in leaves.iter().take(few as usize) {
            black_box(tree.append(*leaf));
        }
    });
    row("tree: one leaf appended", time, few);
    let (time, rolled_back) = cpu(|| tree.rollback(Version::new(count.into())));
    rolled_back?;
    row("tree: those rolled back, all at once", time, 1);
    let (time, checkpoint) = cpu(|| tree.checkpoint());
    row("tree: a checkpoint", time, 1);
    let buckets = count.div_ceil(BUCKET_LEAVES as u32);
    let (time, served) = cpu(|| {
        for bucket in 0..buckets {
            black_box(tree.bucket(&checkpoint, 0, bucket)?);
        }
        Ok::<_, BucketError>(())
    });
    served?;
    row("tree: a bucket served", time, buckets);
    let path = tree.bucket(&checkpoint, 0, 0)?.path(0)?;
    if tree.root(0) != Some(root) || path.root_of(leaves[0]) != Ok(root) {
        return Err("the tree is not what it was before the rollback".into());
    }
    Ok((root, path))
}

/// The tree by itself, from commitments.
fn tree_alone(count: u32, root: Root) -> Result<f64, Box<dyn Error>> {
    let (time, tree) = cpu(|| {
        let books: Vec<_> = (0..count).map(|number| Some((commitment(number), LIMIT))).collect();
        let mut tree = Tree::new();
        tree.extend(leaves(&books));
        tree
    });
    if tree.root(0) != Some(root) {
        return Err("the tree has another root than before".into());
    }
    Ok(time.as_secs_f64() * 1e3)
}

/// zerokit's, from commitments: the tree that keeps all nodes, as deep as it has to be.
fn other_tree_alone(count: u32) -> Result<f64, Box<dyn Error>> {
    let depth = count.next_power_of_two().trailing_zeros() as usize;
    let limit = Fr::from(LIMIT.get());
    let (time, tree) = cpu(|| {
        let leaf = |number: u32| Hasher::<PoseidonHash>::hash_pair(Fr::from(number + 1), limit);
        let leaves: Vec<_> = (0..count).map(leaf).collect();
        let mut tree = FullMerkleTree::<PoseidonHash>::default(depth)?;
        tree.set_range(0, leaves.into_iter())?;
        Ok::<_, Box<dyn Error>>(tree)
    });
    black_box(tree?.root());
    Ok(time.as_secs_f64() * 1e3)
}

/// What a node keeps of a group: its tree, its books, the roots of the last day and of every midnight.
fn measure_groups(count: u32, root: Root) -> Result<(), Box<dyn Error>> {
    let before = MEMORY.current_usage();
    let mut groups = Groups::new(rules(), network(), Address::ZERO);
    groups.replay_towards(block(count).time);
    for number in 0..count {
        let block = block(number);
        groups.apply(&block)?;
        groups.forget(block.number, block.time);
    }
    groups.apply(&empty_block(count))?;
    memory_row("node: tree, books, roots", before, count);
    require_root(&groups.roots(&group()), root)
}

/// Fills a node's store with what its follower would have left there.
fn persist(count: u32, folder: &FilePath) -> Result<(), Box<dyn Error>> {
    let store = open(folder)?;
    let start = Instant::now();
    for first in (0..count).step_by(PAGE as usize) {
        let blocks = (first..count.min(first + PAGE)).map(block);
        store.replace_from(
            first.into(),
            stored(network(), 0, &blocks.chain([empty_block(count)]).collect::<Vec<_>>()),
        )?;
    }
    println!("{:<44}{:>12.3} s, of the clock", "node: all written to its store", start.elapsed().as_secs_f64());
    Ok(())
}

fn open(folder: &FilePath) -> Result<Store, Box<dyn Error>> {
    let operator = Operator::new(PrivateKeySigner::from_slice(&[1; 32])?, network());
    Ok(Store::open(folder, operator, Clock::system(), NonZeroU32::MAX)?)
}

/// A node's start: what is in the store becomes groups.
fn reload(root: Root, leaves: u32, folder: &FilePath) -> Result<f64, Box<dyn Error>> {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let (time, store) = cpu(|| open(folder));
    row("node: its store opened", time, leaves);
    let store: Arc<dyn ChainStore> = Arc::new(store?);
    // Nobody answers there, and a node starts all the same.
    let config = ChainConfig::new("http://127.0.0.1:9".parse()?, CHAIN_ID, Address::ZERO, 0, rules());
    let runtime = Runtime::new()?;
    let start = Instant::now();
    let (time, opened) = cpu(|| runtime.block_on(Chain::open(config, store, Clock::system())));
    let (_chain, handle) = opened?;
    row("node: a start, its store open", time, leaves);
    println!("{:<44}{:>12.3} s, of the clock", "", start.elapsed().as_secs_f64());
    let peak = MEMORY.peak_usage().saturating_sub(before) as f64 / 1e6;
    println!("{:<44}{peak:>12.1} MB, the store's cache included", "node: memory at most, at a start");
    require_root(&handle.roots(&group()), root)?;
    Ok(time.as_secs_f64() * 1e3)
}

/// As many hashes as the tree and its leaves take, and nothing else; on all processors, as the node does them: one that is busy
/// makes the other's hashes dearer.
fn hashes_alone(count: u32, path: &Path) -> Result<f64, BrokenPath> {
    let nodes: u32 = (1..=DEPTH as u32).map(|level| count.div_ceil(ARITY.pow(level) as u32)).sum();
    let first = leaf(commitment(0), LIMIT);
    let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let (leaves, paths) = (count.div_ceil(threads as u32), nodes.div_ceil((DEPTH * threads) as u32));
    path.root_of(first)?;
    let (time, ()) = cpu(|| {
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    for number in 0..leaves {
                        black_box(leaf(commitment(number), LIMIT));
                    }
                    for _ in 0..paths {
                        let _ = black_box(black_box(path).root_of(first));
                    }
                });
            }
        });
    });
    Ok(time.as_secs_f64() * 1e3)
}

fn require_root(roots: &[VolumeRoot], root: Root) -> Result<(), Box<dyn Error>> {
    let taken = roots.iter().any(|it| it.root == root);
    if taken { Ok(()) } else { Err("the groups have not the root of the tree".into()) }
}

// The chain.

fn commitment(number: u32) -> Commitment {
    FieldElement::from(u64::from(number) + 1).into()
}

fn group() -> Group {
    Group::Stamps { denomination: Denomination::ALL[0], issue: ISSUE }
}

fn network() -> NetworkId {
    NetworkId::new(CHAIN_ID, Address::ZERO)
}

/// A purchase.
fn block(number: u32) -> Block {
    let position = Position { volume: 0, index: number };
    let insert = Operation::Insert {
        group: group(),
        commitment: commitment(number).field().to_u256(),
        limit: LIMIT.get(),
        position,
    };
    let seconds = ISSUE_SECONDS * u64::from(ISSUE.0) + SECONDS_APART * u64::from(number);
    Block {
        number: number.into(),
        hash: B256::from(U256::from(number)),
        time: Timestamp::from_secs(seconds),
        operations: vec![insert],
    }
}

/// The block that shows that a minute has passed since the last of so many purchases.
fn empty_block(count: u32) -> Block {
    let Block { number, hash, time, operations: _ } = block(count);
    Block { number, hash, time: time.saturating_add(rules().fresh_interval), operations: Vec::new() }
}

const fn rules() -> RootRules {
    RootRules {
        checkpoints: Some(Checkpoints::Daily),
        fresh_interval: Duration::from_secs(60),
        fresh_lifetime: Duration::from_secs(24 * 60 * 60),
        issue_seconds: ISSUE_SECONDS,
    }
}

// What is measured.

fn cpu<T>(action: impl FnOnce() -> T) -> (Duration, T) {
    let start = ProcessTime::now();
    let result = action();
    (start.elapsed(), result)
}

fn row(what: &str, time: Duration, each_of: u32) {
    let (all, each) = (time.as_secs_f64(), time.as_secs_f64() * 1e6 / f64::from(each_of));
    println!("{what:<44}{all:>12.3} s {each:>12.3} µs each of {each_of}");
}

fn memory_row(what: &str, before: usize, leaves: u32) {
    let bytes = MEMORY.current_usage().saturating_sub(before) as f64;
    println!("{what:<44}{:>12.1} MB{:>12.1} bytes a leaf", bytes / 1e6, bytes / f64::from(leaves));
}
