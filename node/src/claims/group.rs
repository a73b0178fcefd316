//! The snapshots of one generation of a claim, of which each epoch has one.

use xmtp_proto::field::Root;
use xmtp_proto::time::Epoch;
use xmtp_prover::{Bucket, Checkpoint, Group as Tree, Limit, leaves};

use super::issuers::Agreed;
use crate::groups::{EpochRoots, InForce, NoSuchBucket, RootKind, VolumeRoot};

/// Ascending by epoch, each from another one on: the one in force yesterday, and what came after it.
#[derive(Default)]
pub(super) struct Snapshots(Vec<Kept>);

pub(super) struct Kept {
    from: Epoch,
    agreed: Agreed,
    limit: Limit,
    /// None while it is not known whether anybody will ask.
    hashed: Option<Hashed>,
}

struct Hashed {
    tree: Tree,
    checkpoint: Checkpoint,
}

/// The list has other roots than the snapshot names: the fault of the issuers who signed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the list has other roots than the snapshot names")]
pub(super) struct OtherRoots;

impl Snapshots {
    /// From when on a snapshot would count that was agreed on in the epoch `at`. The first one counts at once, for nobody can
    /// have used the one before; any other from the next epoch on.
    pub(super) fn from(&self, at: Epoch) -> Epoch {
        if self.0.is_empty() { at } else { Epoch(at.0.saturating_add(1)) }
    }

    /// Takes a snapshot, in the place of one that would count from the same epoch on.
    pub(super) fn push(&mut self, kept: Kept, present: Epoch) {
        let is_past = was_before(kept.from, present);
        self.0.retain(|it| !is_past && it.from != kept.from);
        self.0.push(kept);
    }

    /// Drops what nobody asks for any more, and hashes what is left.
    pub(super) fn settle(&mut self, present: Epoch) {
        let base = self.0.iter().rposition(|it| was_before(it.from, present));
        self.0.drain(..base.unwrap_or_default());
        self.0.retain_mut(|kept| match kept.hash() {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(%error, "a snapshot does not count");
                false
            }
        });
    }

    /// The block number of the newest one.
    pub(super) fn newest_block(&self) -> Option<u64> {
        self.0.last().map(|it| it.agreed.snapshot.block_number)
    }

    pub(super) fn in_force(&self) -> EpochRoots {
        let all = self.0.iter().map(|it| InForce { from: it.from, roots: it.agreed.snapshot.roots.clone() });
        EpochRoots::new(all.collect())
    }

    /// The roots for an epoch.
    pub(super) fn roots(&self, epoch: Epoch) -> Vec<VolumeRoot> {
        let Some(kept) = self.0.iter().rfind(|it| it.from <= epoch) else { return Vec::new() };
        let volumes = kept.hashed.iter().flat_map(|it| it.checkpoint.volumes());
        let roots = (0..).zip(volumes).map(|(volume, it)| VolumeRoot {
            volume,
            kind: RootKind::Checkpoint,
            root: it.root,
            leaves: it.len,
            block: kept.agreed.snapshot.block_number,
        });
        roots.collect()
    }

    pub(super) fn bucket(&self, root: Root, index: u32) -> Result<Bucket, NoSuchBucket> {
        let mut places = self.0.iter().filter_map(|it| it.hashed.as_ref()).filter_map(|hashed| {
            let volumes = hashed.checkpoint.volumes();
            Some((hashed, u32::try_from(volumes.iter().position(|it| it.root == root)?).ok()?))
        });
        let (Hashed { tree, checkpoint }, volume) = places.next_back().ok_or(NoSuchBucket)?;
        tree.bucket(checkpoint, volume, index).map_err(|_| NoSuchBucket)
    }
}

impl Kept {
    /// A snapshot that counts from an epoch on. One that was over before `present` is not looked at yet. Blocks.
    ///
    /// # Errors
    /// [`OtherRoots`].
    pub(super) fn new(agreed: Agreed, limit: Limit, from: Epoch, present: Epoch) -> Result<Self, OtherRoots> {
        let mut kept = Self { from, agreed, limit, hashed: None };
        if !was_before(from, present) {
            kept.hash()?;
        }
        Ok(kept)
    }

    fn hash(&mut self) -> Result<(), OtherRoots> {
        if self.hashed.is_some() {
            return Ok(());
        }
        let members: Vec<_> = self.agreed.commitments.iter().map(|it| Some((*it, self.limit))).collect();
        let mut tree = Tree::new();
        tree.extend(leaves(&members));
        let checkpoint = tree.checkpoint();
        let roots = checkpoint.volumes().iter().map(|volume| volume.root);
        if !roots.eq(self.agreed.snapshot.roots.iter().copied()) {
            return Err(OtherRoots);
        }
        // The tree has them.
        self.agreed.commitments = Vec::new();
        self.hashed = Some(Hashed { tree, checkpoint });
        Ok(())
    }
}

/// Whether all that counts near `present` is this one, or came after it.
const fn was_before(from: Epoch, present: Epoch) -> bool {
    from.0 < present.0
}

#[cfg(test)]
mod tests {
    use alloy::primitives::B256;
    use xmtp_proto::field::{Commitment, FieldElement};
    use xmtp_proto::snapshot::Snapshot;

    use super::*;

    fn limit() -> Limit {
        Limit::new(16).unwrap()
    }

    fn roots_of(commitments: &[Commitment]) -> Vec<Root> {
        let members: Vec<_> = commitments.iter().map(|it| Some((*it, limit()))).collect();
        let mut tree = Tree::new();
        tree.extend(leaves(&members));
        tree.checkpoint().volumes().iter().map(|it| it.root).collect()
    }

    /// A snapshot of one account at a block.
    fn agreed(block_number: u64) -> Agreed {
        let commitments = vec![FieldElement::from(block_number).into()];
        let roots = roots_of(&commitments);
        let snapshot =
            Snapshot { generation: 227, block_number, block_hash: B256::ZERO, contacts: Vec::new(), leaves: 1, roots };
        Agreed { digest: B256::ZERO, snapshot, commitments }
    }

    fn push(snapshots: &mut Snapshots, agreed: Agreed, at: u64, present: u64) -> Result<(), OtherRoots> {
        let (at, present) = (Epoch(at), Epoch(present));
        snapshots.push(Kept::new(agreed, limit(), snapshots.from(at), present)?, present);
        Ok(())
    }

    /// Which block counts in an epoch.
    fn block_in(snapshots: &Snapshots, epoch: u64) -> Option<u64> {
        snapshots.roots(Epoch(epoch)).first().map(|root| root.block)
    }

    #[test]
    fn first_snapshot_counts_at_once_and_the_next_one_from_the_next_epoch() {
        let mut snapshots = Snapshots::default();
        push(&mut snapshots, agreed(1), 10, 10).unwrap();
        push(&mut snapshots, agreed(2), 10, 10).unwrap();
        push(&mut snapshots, agreed(3), 10, 10).unwrap();
        snapshots.settle(Epoch(10));
        assert_eq!([9, 10, 11, 12].map(|epoch| block_in(&snapshots, epoch)), [None, Some(1), Some(3), Some(3)]);
        push(&mut snapshots, agreed(4), 11, 11).unwrap();
        snapshots.settle(Epoch(12));
        // Only yesterday's is still asked for, at the edge of the day.
        assert_eq!([10, 11, 12].map(|epoch| block_in(&snapshots, epoch)), [None, Some(3), Some(4)]);
    }

    #[test]
    fn list_with_other_roots_does_not_count() {
        let mut snapshots = Snapshots::default();
        push(&mut snapshots, agreed(1), 10, 10).unwrap();
        let lie = || Agreed { commitments: agreed(3).commitments, ..agreed(2) };
        assert_eq!(push(&mut snapshots, lie(), 10, 10), Err(OtherRoots));
        assert_eq!(block_in(&snapshots, 11), Some(1));
        // Long past, it is not looked at before it would count.
        push(&mut snapshots, lie(), 10, 20).unwrap();
        snapshots.settle(Epoch(20));
        assert_eq!(block_in(&snapshots, 20), None);
    }

    #[test]
    fn bucket_is_served_under_each_root_that_is_in_force() {
        let mut snapshots = Snapshots::default();
        for block in [1, 2] {
            push(&mut snapshots, agreed(block), 10, 10).unwrap();
        }
        for block in [1, 2] {
            let root = agreed(block).snapshot.roots[0];
            assert_eq!(snapshots.bucket(root, 0).unwrap().root(), root);
            assert!(snapshots.bucket(root, 1).is_err());
        }
    }
}
