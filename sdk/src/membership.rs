//! Memberships: the proof that its maker holds one of an operator's accounts, and not which (docs/protocol.md, "The pass
//! circuit", "Groups and their roots").
//!
//! The leaf's place is not told by any chain: it is looked for in the buckets that the node serves, the newest first, and then
//! remembered. A bucket is believed only if the leaf leads to the root that the node named.

use std::cmp::Reverse;

use alloy::primitives::Address;
use xmtp_proto::derive::{self, Group, NetworkId, Purpose};
use xmtp_proto::envelope::Envelope;
use xmtp_proto::field::{ExternalNullifier, Leaf};
use xmtp_proto::pass;
use xmtp_proto::time::Epoch;
use xmtp_prover::{Bucket, Index, Limit, PassSecret, Path, Position, ProvingKey, VerifyingKey, Witness};

use crate::franking::{FrankError, proof};
use crate::transport::{Connection, MemberGroup, RootKind, VolumeRoot};

/// Leaves in a bucket.
const BUCKET_LEAVES: u32 = xmtp_prover::tree::BUCKET_LEAVES as u32;

/// A membership's index that was set aside for an envelope.
pub struct MemberToUse<'a> {
    /// Among whose members.
    pub group: MemberGroup,
    /// The membership's secret.
    pub secret: &'a PassSecret,
    /// The limit in every leaf of the group.
    pub limit: Limit,
    /// For what.
    pub purpose: Purpose,
    /// On which day.
    pub epoch: Epoch,
    /// Which. Belongs to one envelope for ever.
    pub index: Index,
}

/// Where a leaf was found, and its path.
pub struct Found {
    /// Where.
    pub position: Position,
    /// From there to a root that the node accepts.
    pub path: Path,
}

/// Looks for a leaf in an operator's group: at `hint` first, where it was last, then from the newest bucket to the oldest.
///
/// # Errors
/// [`FrankError::NotYetRooted`] if it is under no root that the node names; [`FrankError::WrongBucket`],
/// [`FrankError::Transport`].
pub async fn find_member(
    connection: &Connection,
    group: MemberGroup,
    leaf: Leaf,
    hint: Option<Position>,
) -> Result<Found, FrankError> {
    let mut roots = connection.roots(group).await?;
    roots.sort_by_key(|root| Reverse((root.kind == RootKind::Checkpoint, root.block, root.volume)));
    for root in &roots {
        let buckets = root.leaves.div_ceil(BUCKET_LEAVES);
        let first = hint.filter(|hint| hint.volume == root.volume).map(|hint| Bucket::index_of(hint.index));
        let first = first.filter(|first| *first < buckets);
        let others = (0..buckets).rev().filter(|bucket| Some(*bucket) != first);
        for index in first.into_iter().chain(others) {
            let bucket = connection.bucket(group, root.root, index).await?;
            if let Some(found) = look_in(bucket, *root, leaf).await? {
                return Ok(found);
            }
        }
    }
    Err(FrankError::NotYetRooted)
}

pub(crate) async fn look_in(bucket: Bucket, root: VolumeRoot, leaf: Leaf) -> Result<Option<Found>, FrankError> {
    if bucket.volume() != root.volume {
        return Err(FrankError::WrongBucket);
    }
    let Some(place) = bucket.leaves().iter().position(|it| *it == leaf) else { return Ok(None) };
    let place = u32::try_from(place).map_err(|_| FrankError::WrongBucket)?;
    let index = u32::from(bucket.index()) * BUCKET_LEAVES + place;
    // Some hundred hashes: a tenth of a second at most.
    let path = tokio::task::spawn_blocking(move || {
        let path = bucket.path(index).ok()?;
        (path.root_of(leaf) == Ok(root.root)).then_some(path)
    });
    let path = path.await.ok().flatten().ok_or(FrankError::WrongBucket)?;
    Ok(Some(Found { position: Position { volume: root.volume, index }, path }))
}

/// Makes the pass for an envelope, and verifies it.
///
/// Takes about a fifth of a second of computation. The caller has the index on record for this very envelope.
///
/// # Errors
/// [`FrankError`].
pub fn member(
    key: &ProvingKey,
    verifying_key: &VerifyingKey,
    (network, postage): (NetworkId, Address),
    envelope: &Envelope,
    to_use: &MemberToUse<'_>,
    path: &Path,
) -> Result<pass::Member, FrankError> {
    let MemberToUse { group, secret, limit, purpose, epoch, index } = *to_use;
    let external_nullifier = member_external_nullifier((network, postage), group, purpose, epoch);
    let witness = Witness { secret, limit, index, path };
    let scope = derive::scope(network, &envelope.topic);
    let signal = envelope.id(network).signal();
    let proof = proof(key, verifying_key, &witness, external_nullifier, signal, scope)?;
    let MemberGroup { operator, generation } = group;
    Ok(pass::Member { operator, generation, epoch, proof })
}

/// What the nullifiers of a group's members are bound to on a day.
pub(crate) fn member_external_nullifier(
    (network, postage): (NetworkId, Address),
    MemberGroup { operator, generation }: MemberGroup,
    purpose: Purpose,
    epoch: Epoch,
) -> ExternalNullifier {
    Group::Members { operator, generation }.id(network, postage).external_nullifier(purpose, Some(epoch))
}
