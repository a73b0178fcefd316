//! A group as a node keeps it: volumes of leaves in the order in which they came, every operation numbered, so that a
//! reorganisation can be rolled back and an older state served (docs/protocol.md, "Groups and their roots").

use std::collections::VecDeque;

use ark_bn254::Fr;
use ark_ff::Zero;
use xmtp_proto::field::{FieldElement, Leaf, Root};

use super::{ARITY, BUCKET_DEPTH, BUCKET_LEAVES, BUCKETS, Bucket, DEPTH, EMPTY, VOLUME_LEAVES, children};
use crate::{
    field::{from_fr, to_fr},
    poseidon::hash,
};

/// A sequence of volumes. An operation on one leaf costs seven hashes (a millisecond); [`Group::extend`] is cheaper.
pub struct Group {
    volumes: Vec<Volume>,
    version: u64,
    /// Updates and removals, oldest first. Appends need no record: all operations that are not here were appends.
    changes: VecDeque<Change>,
    /// States before this version are gone.
    horizon: u64,
    /// When a rollback went below a checkpoint, the checkpoint is no longer part of this group's history.
    rollbacks: Vec<Rollback>,
    /// How many rollbacks there were.
    rollback_count: u64,
    volume_leaves: u32,
}

/// The state of a group: the number of operations since it was empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(u64);

impl Version {
    /// The state after so many operations.
    #[must_use]
    pub const fn new(operations: u64) -> Self {
        Self(operations)
    }

    /// The number of operations.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// Where a leaf is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The volume, counted from zero.
    pub volume: u32,
    /// The leaf's index in it: below 2^21.
    pub index: u32,
}

/// The group has no leaf there. The fault of the caller, or of the source of its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no leaf {} in volume {}", .0.index, .0.volume)]
pub struct NoSuchLeaf(pub Position);

/// Why a group does not go back to a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RollbackError {
    /// The group has not come that far. The caller's fault.
    #[error("the group is at an earlier version")]
    Ahead,
    /// What is needed to go back so far was forgotten. Rebuild the group.
    #[error("the group no longer remembers that version")]
    Forgotten,
}

/// Why a bucket cannot be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BucketError {
    /// There is no such bucket at this checkpoint. The fault of who asked.
    #[error("there is no such bucket")]
    NoSuchBucket,
    /// The checkpoint was rolled back, and its root with it. Ask for a newer one.
    #[error("the checkpoint was rolled back")]
    Withdrawn,
    /// The checkpoint is older than the group's memory. Ask for a newer one.
    #[error("the group no longer remembers that checkpoint")]
    Forgotten,
}

/// A state of a group that others may refer to: its roots, and what is needed to serve its buckets later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    version: Version,
    volumes: Vec<VolumeCheckpoint>,
    after_rollbacks: u64,
}

/// One volume at a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeCheckpoint {
    /// The volume's root.
    pub root: Root,
    /// How many leaves it has, removed ones included.
    pub len: u32,
    /// The nodes above its buckets, at most 512, without empty ones at the end.
    pub top: Vec<FieldElement>,
}

impl Checkpoint {
    /// The state this is.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// The volumes, in order.
    #[must_use]
    pub fn volumes(&self) -> &[VolumeCheckpoint] {
        &self.volumes
    }
}

struct Change {
    /// The version that this operation made.
    version: u64,
    position: Position,
    before: Fr,
}

/// A rollback to a version, remembered until a later one goes further back.
struct Rollback {
    count: u64,
    to: u64,
}

// === impl Group ===

impl Default for Group {
    fn default() -> Self {
        Self::new()
    }
}

impl Group {
    /// An empty group.
    #[must_use]
    pub const fn new() -> Self {
        Self::with_volume_leaves(VOLUME_LEAVES)
    }

    /// Tests cannot wait for two million leaves.
    const fn with_volume_leaves(volume_leaves: u32) -> Self {
        Self {
            volumes: Vec::new(),
            version: 0,
            changes: VecDeque::new(),
            horizon: 0,
            rollbacks: Vec::new(),
            rollback_count: 0,
            volume_leaves,
        }
    }

    /// The number of operations so far.
    #[must_use]
    pub const fn version(&self) -> Version {
        Version(self.version)
    }

    /// How many leaves were appended, removed ones included.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.volumes.iter().map(|volume| volume.len() as u64).sum()
    }

    /// Whether nothing was appended yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.volumes.is_empty()
    }

    /// How many volumes there are: none while the group is empty.
    #[must_use]
    pub fn volumes(&self) -> u32 {
        self.volumes.len() as u32
    }

    /// The root of a volume.
    #[must_use]
    pub fn root(&self, volume: u32) -> Option<Root> {
        self.volumes.get(volume as usize).map(Volume::root)
    }

    /// The leaf at a position: zero if it was removed.
    #[must_use]
    pub fn leaf(&self, position: Position) -> Option<Leaf> {
        let volume = self.volumes.get(position.volume as usize)?;
        volume.leaves().get(position.index as usize).map(|leaf| from_fr(*leaf).into())
    }

    /// Appends a leaf: one operation. Whether its commitment occurs already is for the caller to know.
    pub fn append(&mut self, leaf: Leaf) -> Position {
        self.extend([leaf]);
        let volume = self.volumes() - 1;
        Position { volume, index: self.volumes[volume as usize].len() as u32 - 1 }
    }

    /// Appends leaves, one operation each, and hashes every node above them once.
    pub fn extend(&mut self, leaves: impl IntoIterator<Item = Leaf>) {
        let mut leaves = leaves.into_iter().peekable();
        while leaves.peek().is_some() {
            if self.volumes.last().is_none_or(|volume| volume.len() >= self.volume_leaves as usize) {
                self.volumes.push(Volume::default());
            }
            let Some(volume) = self.volumes.last_mut() else { return };
            let room = self.volume_leaves as usize - volume.len();
            self.version += volume.extend(leaves.by_ref().take(room).map(|leaf| to_fr(leaf.field()))) as u64;
        }
    }

    /// Replaces a leaf: one operation.
    ///
    /// # Errors
    /// [`NoSuchLeaf`] if none was appended there.
    pub fn update(&mut self, position: Position, leaf: Leaf) -> Result<(), NoSuchLeaf> {
        let volume = self.volumes.get_mut(position.volume as usize).ok_or(NoSuchLeaf(position))?;
        let before = volume.set(position.index as usize, to_fr(leaf.field())).ok_or(NoSuchLeaf(position))?;
        self.version += 1;
        self.changes.push_back(Change { version: self.version, position, before });
        Ok(())
    }

    /// Empties a leaf: one operation. Its place is not used again.
    ///
    /// # Errors
    /// [`NoSuchLeaf`] if none was appended there.
    pub fn remove(&mut self, position: Position) -> Result<(), NoSuchLeaf> {
        self.update(position, FieldElement::ZERO.into())
    }

    /// Undoes the latest operations until the group is as it was.
    ///
    /// # Errors
    /// [`RollbackError`] if there was no such state, or it is forgotten.
    pub fn rollback(&mut self, to: Version) -> Result<(), RollbackError> {
        if to.0 > self.version {
            return Err(RollbackError::Ahead);
        }
        if to.0 < self.horizon {
            return Err(RollbackError::Forgotten);
        }
        let mut appended = self.version - to.0;
        while let Some(change) = self.changes.pop_back_if(|change| change.version > to.0) {
            appended -= 1;
            // Positions of leaves that are appended later do not occur in earlier changes.
            if let Some(volume) = self.volumes.get_mut(change.position.volume as usize) {
                volume.set(change.position.index as usize, change.before);
            }
        }
        while appended > 0 {
            let Some(volume) = self.volumes.last_mut() else { break };
            let cut = appended.min(volume.len() as u64);
            volume.truncate(volume.len() - cut as usize);
            appended -= cut;
            if volume.len() == 0 {
                self.volumes.pop();
            }
        }
        if to.0 < self.version {
            self.version = to.0;
            self.rollback_count += 1;
            self.rollbacks.retain(|rollback| rollback.to < to.0);
            self.rollbacks.push(Rollback { count: self.rollback_count, to: to.0 });
        }
        Ok(())
    }

    /// Gives up the states before a version: they can no longer be rolled back to nor served. Bounds the memory that
    /// updates and removals take.
    pub fn forget_before(&mut self, version: Version) {
        self.horizon = self.horizon.max(version.0.min(self.version));
        while self.changes.pop_front_if(|change| change.version <= self.horizon).is_some() {}
    }

    /// The present state, to refer to later.
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        let volumes = self.volumes.iter().map(Volume::checkpoint).collect();
        Checkpoint { version: self.version(), volumes, after_rollbacks: self.rollback_count }
    }

    /// A bucket of a volume as it stood at a checkpoint of this group.
    ///
    /// # Errors
    /// [`BucketError`] if the checkpoint had no such bucket, was rolled back, or is forgotten.
    pub fn bucket(&self, at: &Checkpoint, volume: u32, index: u32) -> Result<Bucket, BucketError> {
        if at.version.0 < self.horizon {
            return Err(BucketError::Forgotten);
        }
        if self.rollbacks.iter().any(|rollback| rollback.count > at.after_rollbacks && rollback.to < at.version.0) {
            return Err(BucketError::Withdrawn);
        }
        let then = at.volumes.get(volume as usize).ok_or(BucketError::NoSuchBucket)?;
        let range = bucket_range(index, then.len).ok_or(BucketError::NoSuchBucket)?;
        let now = self.volumes.get(volume as usize).ok_or(BucketError::Withdrawn)?;
        let mut leaves = now.leaves().get(range.clone()).ok_or(BucketError::Withdrawn)?.to_vec();
        for change in self.changes.iter().rev().take_while(|change| change.version > at.version.0) {
            let Position { volume: changed, index } = change.position;
            if changed == volume && range.contains(&(index as usize)) {
                leaves[index as usize - range.start] = change.before;
            }
        }
        while leaves.pop_if(|leaf| leaf.is_zero()).is_some() {}
        let leaves = leaves.into_iter().map(|leaf| from_fr(leaf).into()).collect();
        let index = u16::try_from(index).map_err(|_| BucketError::NoSuchBucket)?;
        Bucket::new(volume, index, then.top.clone(), leaves).map_err(|_| BucketError::NoSuchBucket)
    }
}

/// The leaves of a bucket in a volume of so many leaves. The first bucket exists in every volume.
fn bucket_range(index: u32, len: u32) -> Option<std::ops::Range<usize>> {
    let index = index as usize;
    let start = index.checked_mul(BUCKET_LEAVES)?;
    let end = (len as usize).min(start + BUCKET_LEAVES);
    (index < BUCKETS && start < end).then_some(start..end)
}

/// The nodes that exist: at level 0 the leaves, at level 7 the root. Those to the right of them are empty.
#[derive(Default)]
struct Volume {
    levels: [Vec<Fr>; DEPTH + 1],
}

impl Volume {
    fn leaves(&self) -> &[Fr] {
        &self.levels[0]
    }

    fn len(&self) -> usize {
        self.levels[0].len()
    }

    fn root(&self) -> Root {
        from_fr(self.levels[DEPTH].first().copied().unwrap_or(EMPTY[DEPTH])).into()
    }

    fn extend(&mut self, leaves: impl Iterator<Item = Fr>) -> usize {
        let before = self.len();
        self.levels[0].extend(leaves);
        let appended = self.len() - before;
        if appended > 0 {
            self.rehash(before, self.len() - 1);
        }
        appended
    }

    /// Returns the leaf that was there, or nothing if there is none.
    fn set(&mut self, index: usize, leaf: Fr) -> Option<Fr> {
        let before = std::mem::replace(self.levels[0].get_mut(index)?, leaf);
        self.rehash(index, index);
        Some(before)
    }

    fn truncate(&mut self, len: usize) {
        for (level, nodes) in self.levels.iter_mut().enumerate() {
            nodes.truncate(len.div_ceil(ARITY.pow(level as u32)));
        }
        if len > 0 {
            self.rehash(len - 1, len - 1);
        }
    }

    /// Hashes all nodes above the leaves `first` to `last`.
    fn rehash(&mut self, mut first: usize, mut last: usize) {
        for level in 0..DEPTH {
            (first, last) = (first / ARITY, last / ARITY);
            let (below, above) = self.levels.split_at_mut(level + 1);
            let (below, above) = (&below[level], &mut above[0]);
            above.resize(above.len().max(last + 1), EMPTY[level + 1]);
            for (parent, node) in above.iter_mut().enumerate().take(last + 1).skip(first) {
                *node = hash(&children(below, level, parent));
            }
        }
    }

    fn checkpoint(&self) -> VolumeCheckpoint {
        let mut top = self.levels[BUCKET_DEPTH].as_slice();
        while let [rest @ .., last] = top
            && *last == EMPTY[BUCKET_DEPTH]
        {
            top = rest;
        }
        VolumeCheckpoint { root: self.root(), len: self.len() as u32, top: top.iter().copied().map(from_fr).collect() }
    }
}
