//! Groups that a node keeps: their roots, and buckets of their leaves.

use std::fmt;

use xmtp_proto::derive::{ClaimId, Denomination, Issue, OperatorId};
use xmtp_proto::field::{Leaf, Root};
use xmtp_proto::malformed::Malformed;
use xmtp_proto::refusal::Code;
use xmtp_proto::wire::{self, node_client::NodeClient};
use xmtp_prover::Bucket;

use super::check::{elements, fixed};
use super::connection::Connection;
use super::error::TransportError;

const NOT_FOUND: &str = "NotFound";

/// Whether many senders share a root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RootKind {
    /// Taken at a height that all nodes know; good for the life of the issue.
    Checkpoint,
    /// Minutes old; good for a day. Says that its user could not wait.
    Fresh,
}

/// A root of a volume that the node accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VolumeRoot {
    /// Which volume.
    pub volume: u32,
    /// How it was taken.
    pub kind: RootKind,
    /// The root.
    pub root: Root,
    /// How many positions of the volume were taken.
    pub leaves: u32,
    /// The block at which it was taken.
    pub block: u64,
}

/// Stamps of one denomination and issue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StampGroup {
    /// Face value.
    pub denomination: Denomination,
    /// Issue.
    pub issue: Issue,
}

/// The accounts registered with an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MemberGroup {
    /// The operator.
    pub operator: OperatorId,
    /// The quarter for which the commitments stand.
    pub generation: u32,
}

/// The stakes of a tier of the network's contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StakeGroup {
    /// The tier's number; the first is 1.
    pub tier: u32,
}

/// The accounts that a claim holds of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClaimGroup {
    /// The claim.
    pub id: ClaimId,
    /// The quarter for which the commitments stand.
    pub generation: u32,
}

/// A group that a node keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeptGroup {
    /// Stamps.
    Stamps(StampGroup),
    /// Members.
    Members(MemberGroup),
    /// Stakes.
    Stakes(StakeGroup),
    /// Holders of a claim.
    Claim(ClaimGroup),
}

impl From<StakeGroup> for KeptGroup {
    fn from(group: StakeGroup) -> Self {
        Self::Stakes(group)
    }
}

impl From<StampGroup> for KeptGroup {
    fn from(group: StampGroup) -> Self {
        Self::Stamps(group)
    }
}

impl From<ClaimGroup> for KeptGroup {
    fn from(group: ClaimGroup) -> Self {
        Self::Claim(group)
    }
}

impl From<MemberGroup> for KeptGroup {
    fn from(group: MemberGroup) -> Self {
        Self::Members(group)
    }
}

impl Connection {
    /// The newest roots of a group; none while it is empty.
    ///
    /// # Errors
    /// [`TransportError`].
    pub async fn roots(&self, group: impl Into<KeptGroup>) -> Result<Vec<VolumeRoot>, TransportError> {
        let group = match group.into() {
            KeptGroup::Stamps(group) => wire::get_roots_request::Group::Stamps(group.into()),
            KeptGroup::Members(group) => wire::get_roots_request::Group::Members(group.into()),
            KeptGroup::Stakes(group) => wire::get_roots_request::Group::Stakes(group.into()),
            KeptGroup::Claim(group) => wire::get_roots_request::Group::Claim(group.into()),
        };
        let request = wire::GetRootsRequest { group: Some(group) };
        let wire::GetRootsResponse { roots } = match self.call(NodeClient::get_roots, request).await {
            Err(TransportError::Failed { status, .. }) if status == NOT_FOUND => return Ok(Vec::new()),
            Err(TransportError::Refused { code: Code::RootUnknown, .. }) => return Ok(Vec::new()),
            other => other?,
        };
        roots.into_iter().map(VolumeRoot::try_from).collect::<Result<_, _>>().map_err(Into::into)
    }

    /// A bucket of a volume as it stood under a root. That the root follows from it is for the caller to check.
    ///
    /// # Errors
    /// [`TransportError`].
    pub async fn bucket(&self, group: impl Into<KeptGroup>, root: Root, bucket: u32) -> Result<Bucket, TransportError> {
        let group = match group.into() {
            KeptGroup::Stamps(group) => wire::get_bucket_request::Group::Stamps(group.into()),
            KeptGroup::Members(group) => wire::get_bucket_request::Group::Members(group.into()),
            KeptGroup::Stakes(group) => wire::get_bucket_request::Group::Stakes(group.into()),
            KeptGroup::Claim(group) => wire::get_bucket_request::Group::Claim(group.into()),
        };
        let request = wire::GetBucketRequest { group: Some(group), root: root.as_bytes().to_vec(), bucket };
        let wire::GetBucketResponse { volume, bucket: index, top, leaves } =
            self.call(NodeClient::get_bucket, request).await?;
        if index != bucket {
            return Err(TransportError::Unfitting("another bucket"));
        }
        let too_long = || TransportError::Unfitting("a bucket larger than there are");
        let index = u16::try_from(index).map_err(|_| too_long())?;
        let leaves = elements("leaves", &leaves)?.into_iter().map(Leaf::from).collect();
        Bucket::new(volume, index, elements("top", &top)?, leaves).map_err(|_| too_long())
    }
}

impl From<StampGroup> for wire::StampGroup {
    fn from(it: StampGroup) -> Self {
        Self { denomination: it.denomination.units(), issue: it.issue.0 }
    }
}

impl From<ClaimGroup> for wire::ClaimGroup {
    fn from(it: ClaimGroup) -> Self {
        Self { id: it.id.as_bytes().to_vec(), generation: it.generation }
    }
}

impl From<MemberGroup> for wire::MemberGroup {
    fn from(it: MemberGroup) -> Self {
        Self { operator: it.operator.as_bytes().to_vec(), generation: it.generation }
    }
}

impl From<StakeGroup> for wire::StakeGroup {
    fn from(it: StakeGroup) -> Self {
        Self { tier: it.tier }
    }
}

impl TryFrom<wire::VolumeRoot> for VolumeRoot {
    type Error = Malformed;

    fn try_from(wire: wire::VolumeRoot) -> Result<Self, Malformed> {
        let wire::VolumeRoot { volume, kind, root, leaves, block } = wire;
        let kind = match wire::RootKind::try_from(kind) {
            Ok(wire::RootKind::Checkpoint) => RootKind::Checkpoint,
            Ok(wire::RootKind::Fresh) => RootKind::Fresh,
            Ok(wire::RootKind::Unspecified) | Err(_) => {
                return Err(Malformed::OutOfRange { field: "root.kind", got: u64::from(kind.unsigned_abs()) });
            }
        };
        let root = Root::from_be_bytes(fixed("root", &root)?).map_err(|_| Malformed::NotCanonical { field: "root" })?;
        Ok(Self { volume, kind, root, leaves, block })
    }
}

impl fmt::Display for StampGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stamps of {} units, issue {}", self.denomination, self.issue.0)
    }
}
