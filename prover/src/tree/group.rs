//! A group as a node keeps it: volumes of leaves in the order in which they came, every operation numbered, so that a
//! reorganisation can be rolled back and an older state served (docs/protocol.md, "Groups and their roots").

use std::collections::VecDeque;

use ark_bn254::Fr;
use ark_ff::Zero;
use xmtp_proto::field::{FieldElement, Leaf, Root};

use super::{ARITY, BUCKET_DEPTH, BUCKET_LEAVES, BUCKETS, Bucket, DEPTH, EMPTY, VOLUME_LEAVES, children};
use crate::{
    field::{from_fr, to_fr},
    parallel::fill,
    poseidon::hash,
};

/// A sequence of volumes. An operation on one leaf costs seven hashes (some 0.4 ms); [`Group::extend`] costs
/// one for seven leaves, on as many cores as the machine has, up to eight.
pub struct Group {
    volumes: Vec<Volume>,
    version: u64,
    /// Updates and removals, oldest first. Appends need no record: all operations that are not here were appends.
    changes: VecDeque<Change>,
    /// States before this version are gone.
    horizon: u64,
    /// When a rollback went below a checkpoint, the checkpoint is no longer part of this group's history. In order, and
    /// each went back less far than the one before it.
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
        // To any checkpoint that is left, the latest of the rollbacks below the horizon says what all of them say.
        let below = self.rollbacks.partition_point(|rollback| rollback.to < self.horizon);
        self.rollbacks.drain(..below.saturating_sub(1));
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
        for leaf in leaves {
            make_room(&mut self.levels[0], 1);
            self.levels[0].push(leaf);
        }
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
            let missing = (last + 1).saturating_sub(above.len());
            make_room(above, missing);
            above.resize(above.len() + missing, EMPTY[level + 1]);
            fill(&mut above[first..=last], |index| hash(&children(below, level, first + index)));
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

/// Room for so many more nodes. A level may be as large as memory allows, so it grows by an eighth and not to its double.
fn make_room(nodes: &mut Vec<Fr>, more: usize) {
    if nodes.capacity() - nodes.len() < more {
        nodes.reserve_exact(more.max(nodes.len() / ARITY));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Leaves per volume in these tests: two levels are full, and volumes fill quickly.
    const SMALL: u32 = 70;

    fn leaf(number: u64) -> Leaf {
        FieldElement::from(number).into()
    }

    /// The root of a subtree with these leaves, straight from the definition.
    fn naive(leaves: &[Leaf], level: usize) -> Fr {
        if level == 0 {
            return leaves.first().map_or_else(Fr::zero, |leaf| to_fr(leaf.field()));
        }
        if leaves.is_empty() {
            return hash(&[naive(&[], level - 1); ARITY]);
        }
        let width = ARITY.pow(level as u32 - 1);
        hash::<ARITY>(&std::array::from_fn(|child| {
            naive(leaves.chunks(width).nth(child).unwrap_or_default(), level - 1)
        }))
    }

    #[derive(Clone, Debug)]
    enum Operation {
        Append(u64),
        Extend(usize),
        Update(prop::sample::Index, u64),
        Remove(prop::sample::Index),
        Rollback(prop::sample::Index),
    }

    fn arb_operation() -> impl Strategy<Value = Operation> {
        use Operation::*;
        prop_oneof![
            4 => any::<u64>().prop_map(Append),
            2 => (0..100_usize).prop_map(Extend),
            2 => (any::<prop::sample::Index>(), any::<u64>()).prop_map(|(at, leaf)| Update(at, leaf)),
            2 => any::<prop::sample::Index>().prop_map(Remove),
            1 => any::<prop::sample::Index>().prop_map(Rollback),
        ]
    }

    /// The leaves after each operation: the whole history, kept the simplest way.
    struct Model(Vec<Vec<Leaf>>);

    impl Model {
        fn leaves(&self) -> Vec<Leaf> {
            self.0.last().cloned().unwrap_or_default()
        }

        fn push(&mut self, change: impl FnOnce(&mut Vec<Leaf>)) {
            let mut leaves = self.leaves();
            change(&mut leaves);
            self.0.push(leaves);
        }

        fn roots(&self) -> Vec<Root> {
            self.leaves().chunks(SMALL as usize).map(|volume| from_fr(naive(volume, DEPTH)).into()).collect()
        }
    }

    fn position(index: usize) -> Position {
        Position { volume: index as u32 / SMALL, index: index as u32 % SMALL }
    }

    fn apply(group: &mut Group, model: &mut Model, operation: Operation) {
        let len = model.leaves().len();
        match operation {
            Operation::Append(number) => {
                assert_eq!(group.append(leaf(number)), position(len));
                model.push(|leaves| leaves.push(leaf(number)));
            }
            Operation::Extend(count) => {
                group.extend((0..count as u64).map(leaf));
                (0..count as u64).for_each(|number| model.push(|leaves| leaves.push(leaf(number))));
            }
            Operation::Update(at, number) if len > 0 => {
                group.update(position(at.index(len)), leaf(number)).unwrap();
                model.push(|leaves| leaves[at.index(len)] = leaf(number));
            }
            Operation::Remove(at) if len > 0 => {
                group.remove(position(at.index(len))).unwrap();
                model.push(|leaves| leaves[at.index(len)] = leaf(0));
            }
            Operation::Update(..) | Operation::Remove(_) => {
                assert!(group.remove(position(0)).is_err());
            }
            Operation::Rollback(to) => {
                let to = to.index(model.0.len());
                group.rollback(Version::new(to as u64)).unwrap();
                model.0.truncate(to + 1);
            }
        }
    }

    fn check_against_model(group: &Group, model: &Model) {
        assert_eq!(group.version().get(), model.0.len() as u64 - 1);
        assert_eq!(group.len(), model.leaves().len() as u64);
        let roots: Vec<Root> = (0..group.volumes()).filter_map(|volume| group.root(volume)).collect();
        assert_eq!(roots, model.roots());
        for (index, leaf) in model.leaves().into_iter().enumerate() {
            assert_eq!(group.leaf(position(index)), Some(leaf));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn group_is_what_its_history_says(operations in prop::collection::vec(arb_operation(), 1..24)) {
            let mut group = Group::with_volume_leaves(SMALL);
            let mut model = Model(vec![Vec::new()]);
            for operation in operations {
                apply(&mut group, &mut model, operation);
            }
            check_against_model(&group, &model);
        }

        #[test]
        fn buckets_at_an_old_checkpoint_are_those_of_a_group_that_stopped_there(
            before in prop::collection::vec(arb_operation(), 1..12),
            after in prop::collection::vec(arb_operation(), 1..12),
        ) {
            let mut model = Model(vec![Vec::new()]);
            let mut group = Group::with_volume_leaves(SMALL);
            before.into_iter().for_each(|operation| apply(&mut group, &mut model, operation));
            let checkpoint = group.checkpoint();
            let stopped = model.leaves();
            let mut lowest = model.0.len();
            for operation in after {
                apply(&mut group, &mut model, operation);
                lowest = lowest.min(model.0.len());
            }
            let withdrawn = lowest as u64 - 1 < checkpoint.version().get();
            for (volume, leaves) in stopped.chunks(SMALL as usize).enumerate() {
                let bucket = group.bucket(&checkpoint, volume as u32, 0);
                if withdrawn {
                    prop_assert_eq!(bucket, Err(BucketError::Withdrawn));
                    continue;
                }
                let bucket = bucket.unwrap();
                prop_assert_eq!(bucket.root(), from_fr(naive(leaves, DEPTH)).into());
                prop_assert_eq!(bucket.root(), checkpoint.volumes()[volume].root);
                for (index, leaf) in leaves.iter().enumerate() {
                    match bucket.path(index as u32) {
                        Ok(path) => prop_assert_eq!(path.root_of(*leaf), Ok(bucket.root())),
                        Err(_) => prop_assert!(leaf.field().is_zero()),
                    }
                }
            }
        }
    }

    #[test]
    fn every_bucket_of_a_volume_leads_to_the_checkpoints_root() {
        let mut group = Group::new();
        let last = 2 * BUCKET_LEAVES as u32 + 99;
        group.extend((1..=u64::from(last) + 1).map(leaf));
        let checkpoint = group.checkpoint();
        group.remove(Position { volume: 0, index: 5000 }).unwrap();
        group.append(leaf(7));
        let root = checkpoint.volumes()[0].root;
        assert_ne!(group.root(0), Some(root));
        for index in [0, 7, 8, 4095, 4096, 5000, 8191, 8192, last] {
            let bucket = group.bucket(&checkpoint, 0, Bucket::index_of(index)).unwrap();
            let path = bucket.path(index).unwrap();
            assert_eq!(path.root_of(leaf(u64::from(index) + 1)), Ok(root), "{index}");
            assert!(path.root_of(leaf(u64::MAX)).is_err());
        }
        let bucket = group.bucket(&checkpoint, 0, 1).unwrap();
        assert_eq!((bucket.top().len(), bucket.leaves().len()), (3, BUCKET_LEAVES));
        assert_eq!(bucket.path(4095), Err(super::super::NotInBucket { index: 4095 }));
        assert_eq!(bucket.path(8192), Err(super::super::NotInBucket { index: 8192 }));
        assert_eq!(group.bucket(&checkpoint, 0, 3), Err(BucketError::NoSuchBucket));
        assert_eq!(group.bucket(&checkpoint, 0, u32::MAX), Err(BucketError::NoSuchBucket));
        assert_eq!(group.bucket(&checkpoint, 1, 0), Err(BucketError::NoSuchBucket));
    }

    #[test]
    fn bucket_with_a_made_up_leaf_has_another_root() {
        let mut group = Group::new();
        group.extend((1..20).map(leaf));
        let honest = group.bucket(&group.checkpoint(), 0, 0).unwrap();
        let mut leaves = honest.leaves().to_vec();
        leaves[3] = leaf(99);
        let forged = Bucket::new(0, 0, honest.top().to_vec(), leaves).unwrap();
        assert_ne!(forged.root(), honest.root());
        // The top's node above the bucket is the receiver's own to compute: what is sent there does not matter.
        let ignored = Bucket::new(0, 0, vec![FieldElement::from(5)], honest.leaves().to_vec()).unwrap();
        assert_eq!(ignored.root(), honest.root());
        let stranger = vec![honest.top()[0], FieldElement::from(5)];
        assert_ne!(Bucket::new(0, 0, stranger, honest.leaves().to_vec()).unwrap().root(), honest.root());
    }

    #[test]
    fn oversized_buckets_are_refused() {
        let check = |index, top, leaves, expected: bool| {
            let bucket = Bucket::new(0, index, vec![FieldElement::ZERO; top], vec![leaf(1); leaves]);
            assert_eq!(bucket.is_ok(), expected, "{index} {top} {leaves}");
        };
        check(511, 512, 4096, true);
        check(512, 512, 4096, false);
        check(511, 513, 4096, false);
        check(511, 512, 4097, false);
    }

    #[test]
    fn forgotten_states_are_neither_served_nor_rolled_back_to() {
        let mut group = Group::new();
        group.extend((1..10).map(leaf));
        let old = group.checkpoint();
        group.remove(Position { volume: 0, index: 3 }).unwrap();
        let new = group.checkpoint();
        group.forget_before(new.version());
        assert_eq!(group.bucket(&old, 0, 0), Err(BucketError::Forgotten));
        assert_eq!(group.rollback(old.version()), Err(RollbackError::Forgotten));
        assert_eq!(group.rollback(Version::new(99)), Err(RollbackError::Ahead));
        assert!(group.bucket(&new, 0, 0).is_ok());
    }

    #[test]
    fn checkpoint_that_was_rolled_back_is_withdrawn_even_when_the_group_has_grown_again() {
        let mut group = Group::new();
        group.append(leaf(1));
        let shared = group.checkpoint();
        group.append(leaf(2));
        let orphan = group.checkpoint();
        group.rollback(shared.version()).unwrap();
        group.append(leaf(3));
        assert_eq!(group.version(), orphan.version());
        assert_eq!(group.bucket(&orphan, 0, 0), Err(BucketError::Withdrawn));
        assert_eq!(group.bucket(&shared, 0, 0).unwrap().leaves(), [leaf(1)]);
        assert_eq!(group.bucket(&group.checkpoint(), 0, 0).unwrap().leaves(), [leaf(1), leaf(3)]);
        // A later rollback that does not go back so far changes nothing about that, and neither does forgetting.
        group.append(leaf(4));
        group.rollback(orphan.version()).unwrap();
        assert_eq!(group.bucket(&orphan, 0, 0), Err(BucketError::Withdrawn));
        group.forget_before(orphan.version());
        assert_eq!(group.bucket(&orphan, 0, 0), Err(BucketError::Withdrawn));
        assert!(group.bucket(&group.checkpoint(), 0, 0).is_ok());
    }
}
