//! A bucket: what a client fetches to compute the path of its leaf, and all that the node learns is which 4,096 leaves
//! it is among (docs/protocol.md, "Groups and their roots").

use ark_bn254::Fr;
use xmtp_proto::field::{FieldElement, Leaf, Root};

use super::{ARITY, BUCKET_DEPTH, BUCKET_LEAVES, BUCKETS, DEPTH, EMPTY, Path, children, level_above};
use crate::field::{from_fr, to_fr};

/// The top of a volume's tree (the 8^3 nodes above the buckets) and the 8^4 leaves of one bucket.
///
/// Who receives one believes nothing but its root: a bucket with a made-up leaf has another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    volume: u32,
    index: u16,
    top: Vec<FieldElement>,
    leaves: Vec<Leaf>,
}

/// More nodes than a top, or more leaves than a bucket, or a bucket that no volume has. The fault of who sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a bucket has at most {BUCKETS} nodes of the top and {BUCKET_LEAVES} leaves, and an index below {BUCKETS}")]
pub struct BucketTooLong;

/// The bucket has no such leaf: another bucket, or one from before the leaf was appended or after it was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no leaf {index} in this bucket")]
pub struct NotInBucket {
    /// The leaf's index in its volume.
    pub index: u32,
}

impl Bucket {
    /// Puts together what was received.
    ///
    /// `top` are the nodes above buckets 0, 1, …, `leaves` those of the bucket in order; both may end early, the rest
    /// is empty. The top's node above this bucket is not looked at: it follows from the leaves.
    ///
    /// # Errors
    /// [`BucketTooLong`] for more than 512 nodes or 4,096 leaves, or an index of 512 or more.
    pub fn new(volume: u32, index: u16, top: Vec<FieldElement>, leaves: Vec<Leaf>) -> Result<Self, BucketTooLong> {
        if top.len() > BUCKETS || leaves.len() > BUCKET_LEAVES || usize::from(index) >= BUCKETS {
            return Err(BucketTooLong);
        }
        Ok(Self { volume, index, top, leaves })
    }

    /// The bucket in which a leaf of a volume lies.
    #[must_use]
    pub const fn index_of(leaf: u32) -> u32 {
        leaf / BUCKET_LEAVES as u32
    }

    /// The volume.
    #[must_use]
    pub const fn volume(&self) -> u32 {
        self.volume
    }

    /// Which bucket of the volume: 0 to 511.
    #[must_use]
    pub const fn index(&self) -> u16 {
        self.index
    }

    /// The nodes above the buckets, at most 512, without empty ones at the end.
    #[must_use]
    pub fn top(&self) -> &[FieldElement] {
        &self.top
    }

    /// The bucket's leaves, at most 4,096, without empty ones at the end.
    #[must_use]
    pub fn leaves(&self) -> &[Leaf] {
        &self.leaves
    }

    /// The root of the volume. Costs up to 658 hashes (some thirty milliseconds).
    #[must_use]
    pub fn root(&self) -> Root {
        let [.., root] = self.upper_levels(&self.lower_levels());
        from_fr(root.first().copied().unwrap_or(EMPTY[DEPTH])).into()
    }

    /// The path of the leaf with this index *in the volume*. Costs as much as [`Self::root`]; the path gives the root.
    ///
    /// # Errors
    /// [`NotInBucket`] if the leaf is in another bucket, or empty here.
    pub fn path(&self, index: u32) -> Result<Path, NotInBucket> {
        let first = u32::from(self.index) * BUCKET_LEAVES as u32;
        let local = index.checked_sub(first).ok_or(NotInBucket { index })? as usize;
        if self.leaves.get(local).is_none_or(|leaf| leaf.field().is_zero()) {
            return Err(NotInBucket { index });
        }
        let lower = self.lower_levels();
        let upper = self.upper_levels(&lower);
        let inside = lower.iter().take(BUCKET_DEPTH).map(|nodes| (nodes, local));
        let above = upper.iter().take(DEPTH - BUCKET_DEPTH).map(|nodes| (nodes, index as usize));
        let mut path = [[Fr::default(); ARITY]; DEPTH];
        for (level, (nodes, leaf)) in inside.chain(above).enumerate() {
            path[level] = children(nodes, level, leaf / ARITY.pow(level as u32 + 1));
        }
        Ok(Path(path))
    }

    /// Levels 0 to 4 inside the bucket.
    fn lower_levels(&self) -> [Vec<Fr>; BUCKET_DEPTH + 1] {
        let mut levels: [Vec<Fr>; BUCKET_DEPTH + 1] = Default::default();
        levels[0] = self.leaves.iter().map(|leaf| to_fr(leaf.field())).collect();
        for level in 0..BUCKET_DEPTH {
            levels[level + 1] = level_above(&levels[level], level);
        }
        levels
    }

    /// Levels 4 to 7 of the volume, with this bucket's own node in its place.
    fn upper_levels(&self, lower: &[Vec<Fr>; BUCKET_DEPTH + 1]) -> [Vec<Fr>; DEPTH - BUCKET_DEPTH + 1] {
        let mut levels: [Vec<Fr>; DEPTH - BUCKET_DEPTH + 1] = Default::default();
        let mut top: Vec<Fr> = self.top.iter().copied().map(to_fr).collect();
        if let Some(own) = lower[BUCKET_DEPTH].first() {
            let index = usize::from(self.index);
            top.resize(top.len().max(index + 1), EMPTY[BUCKET_DEPTH]);
            top[index] = *own;
        } else if let Some(own) = top.get_mut(usize::from(self.index)) {
            *own = EMPTY[BUCKET_DEPTH];
        }
        levels[0] = top;
        for above in 0..DEPTH - BUCKET_DEPTH {
            levels[above + 1] = level_above(&levels[above], BUCKET_DEPTH + above);
        }
        levels
    }
}
