//! The trees of groups (docs/protocol.md, "Groups and their roots"): eight children to a node, seven levels, so that a
//! volume holds 2^21 leaves; and membership in one, natively and in the circuit.
//!
//! [`Group`] is what a node keeps, [`Bucket`] what it serves, [`Path`] what a client proves with.

mod bucket;
mod group;

use std::{fmt, sync::LazyLock};

use ark_bn254::Fr;
use ark_ff::Zero;
use ark_relations::gr1cs::{ConstraintSystemRef, SynthesisError};
use xmtp_proto::field::{FieldElement, Leaf, Root};

pub use bucket::{Bucket, BucketTooLong, NotInBucket};
pub use group::{BucketError, Checkpoint, Group, NoSuchLeaf, Position, RollbackError, Version, VolumeCheckpoint};

use crate::{
    field::{from_fr, to_fr},
    parallel::fill,
    poseidon::{enforce_hash, hash},
    wire::{Wire, enforce},
};

/// Children of a node.
pub const ARITY: usize = 8;
/// Levels of hashes between a leaf and its root.
pub const DEPTH: usize = 7;
/// Leaves in a volume: 8^7.
pub const VOLUME_LEAVES: u32 = 1 << 21;
/// Levels of hashes inside a bucket.
const BUCKET_DEPTH: usize = 4;
/// Leaves in a bucket: 8^4.
pub const BUCKET_LEAVES: usize = 1 << 12;
/// Buckets in a volume, and so nodes in the top that every bucket repeats: 8^3.
pub const BUCKETS: usize = 1 << 9;

/// The children of every node on the way from a leaf to the root, lowest first. It does not say which child is which
/// ancestor: the proof shows no position, and needs none.
#[derive(Clone, PartialEq, Eq)]
pub struct Path([[Fr; ARITY]; DEPTH]);

/// The path does not lead from this leaf to a root: no child at this level is the leaf's ancestor. The fault of who
/// made the path, or of who asked with another leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the path breaks off at level {level}, counted from the leaves")]
pub struct BrokenPath {
    /// 0 (among the leaves) to 6 (below the root).
    pub level: usize,
}

impl Path {
    /// Takes the children of the seven nodes, lowest first. Whether they fit together is asked by [`Self::root_of`].
    #[must_use]
    pub fn from_children(levels: [[FieldElement; ARITY]; DEPTH]) -> Self {
        Self(levels.map(|children| children.map(to_fr)))
    }

    /// The children of the seven nodes, lowest first.
    #[must_use]
    pub fn children(&self) -> [[FieldElement; ARITY]; DEPTH] {
        self.0.map(|children| children.map(from_fr))
    }

    /// The root to which this path leads from a leaf.
    ///
    /// # Errors
    /// [`BrokenPath`] if it does not.
    pub fn root_of(&self, leaf: Leaf) -> Result<Root, BrokenPath> {
        let mut current = to_fr(leaf.field());
        for (level, children) in self.0.iter().enumerate() {
            if !children.contains(&current) {
                return Err(BrokenPath { level });
            }
            current = hash(children);
        }
        Ok(from_fr(current).into())
    }

    pub(crate) fn numbers(&self) -> [[Fr; ARITY]; DEPTH] {
        self.0
    }
}

/// A path names its leaf, and so its owner: it belongs in no log.
impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Path(..)")
    }
}

/// Enforces that `leaf` is under `root`: at each level the current node is one of eight children, and their hash is
/// the next. Eight children and the product of differences take the place of position bits and selections.
pub(crate) fn enforce_membership(
    cs: &ConstraintSystemRef<Fr>,
    leaf: &Wire,
    path: &[[Fr; ARITY]; DEPTH],
    root: &Wire,
) -> Result<(), SynthesisError> {
    let mut current = leaf.clone();
    for (level, values) in path.iter().enumerate() {
        let children = allocate(cs, values)?;
        enforce_one_of(cs, &current, &children)?;
        let parent = if level + 1 == DEPTH { root.clone() } else { Wire::private(cs, hash(values))? };
        enforce_hash(cs, children.each_ref(), &parent)?;
        current = parent;
    }
    Ok(())
}

fn allocate(cs: &ConstraintSystemRef<Fr>, values: &[Fr; ARITY]) -> Result<[Wire; ARITY], SynthesisError> {
    let mut wires = [const { None }; ARITY];
    for (wire, value) in wires.iter_mut().zip(values) {
        *wire = Some(Wire::private(cs, *value)?);
    }
    Ok(wires.map(|wire| wire.expect("each was set above")))
}

/// `Π (current − childᵢ) = 0`, in seven rows.
fn enforce_one_of(
    cs: &ConstraintSystemRef<Fr>,
    current: &Wire,
    children: &[Wire; ARITY],
) -> Result<(), SynthesisError> {
    let [first, middle @ .., last] = children;
    let mut product = current.minus(first);
    for child in middle {
        product = Wire::product(cs, &product, &current.minus(child))?;
    }
    enforce(cs, &product, &current.minus(last), &Wire::constant(Fr::zero()))
}

/// The node at each level, from leaf to root, over nothing but empty leaves.
static EMPTY: LazyLock<[Fr; DEPTH + 1]> = LazyLock::new(|| {
    let mut nodes = [Fr::zero(); DEPTH + 1];
    for level in 0..DEPTH {
        nodes[level + 1] = hash(&[nodes[level]; ARITY]);
    }
    nodes
});

/// The children of node `parent` at `level + 1`, given the nodes that exist at `level`.
fn children(nodes: &[Fr], level: usize, parent: usize) -> [Fr; ARITY] {
    let empty = EMPTY[level];
    std::array::from_fn(|child| nodes.get(parent * ARITY + child).copied().unwrap_or(empty))
}

/// The level above `nodes`, which are all that exist at `level`.
fn level_above(nodes: &[Fr], level: usize) -> Vec<Fr> {
    let mut above = vec![Fr::zero(); nodes.len().div_ceil(ARITY)];
    fill(&mut above, |parent| hash(&children(nodes, level, parent)));
    above
}
