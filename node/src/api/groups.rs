//! Groups: their roots, and buckets of their leaves. A client asks for 4,096 candidates, never for its own path.

use tonic::Status;
use xmtp_proto::derive::{Denomination, Group, Issue};
use xmtp_proto::field::Root;
use xmtp_proto::malformed::Malformed;
use xmtp_proto::refusal::Refusal;
use xmtp_proto::wire::{
    ClaimGroup, GetBucketRequest, GetBucketResponse, GetRootsRequest, GetRootsResponse, MemberGroup, RootKind,
    StakeGroup, StampGroup, VolumeRoot, get_bucket_request, get_roots_request,
};

use super::{Api, status};
use crate::groups;

impl Api {
    pub(super) fn roots(&self, request: GetRootsRequest) -> Result<GetRootsResponse, Status> {
        let GetRootsRequest { group } = request;
        let group = match group {
            Some(get_roots_request::Group::Stamps(group)) => stamps(group)?,
            Some(get_roots_request::Group::Members(group)) => members(group)?,
            Some(get_roots_request::Group::Claim(group)) => claim(group)?,
            Some(get_roots_request::Group::Stakes(group)) => self.stakes(group)?,
            None => return Err(status::malformed(Malformed::Missing { field: "group" })),
        };
        let roots = match group {
            // The log is the node's own and never stale.
            Group::Members { .. } => self.members.roots(&group),
            Group::Claim { id, .. } if !self.rules.claims.is_registered(&id) => {
                self.claims.roots(&group, self.clock.now())
            }
            _ => {
                self.ingest.require_fresh_view().map_err(|refusal| status::refused(&refusal))?;
                match group {
                    Group::Claim { .. } => {
                        let today = self.clock.now().epoch();
                        self.chain.view().require_epoch(today).map_err(|refusal| status::refused(&refusal))?;
                        self.chain.roots_in(&group, today)
                    }
                    _ => self.chain.roots(&group),
                }
            }
        };
        let roots: Vec<_> = roots.into_iter().map(volume_root).collect();
        if roots.is_empty() {
            return Err(status::refused(&Refusal::RootUnknown));
        }
        Ok(GetRootsResponse { roots })
    }

    pub(super) fn bucket(&self, request: GetBucketRequest) -> Result<GetBucketResponse, Status> {
        let GetBucketRequest { group, root, bucket } = request;
        let group = match group {
            Some(get_bucket_request::Group::Stamps(group)) => stamps(group)?,
            Some(get_bucket_request::Group::Members(group)) => members(group)?,
            Some(get_bucket_request::Group::Claim(group)) => claim(group)?,
            Some(get_bucket_request::Group::Stakes(group)) => self.stakes(group)?,
            None => return Err(status::malformed(Malformed::Missing { field: "group" })),
        };
        let expected = 32;
        let root: [u8; 32] = root
            .as_slice()
            .try_into()
            .map_err(|_| status::malformed(Malformed::Length { field: "root", expected, got: root.len() }))?;
        let root =
            Root::from_be_bytes(root).map_err(|_| status::malformed(Malformed::NotCanonical { field: "root" }))?;
        let bucket = match group {
            Group::Members { .. } => self.members.bucket(&group, root, bucket),
            Group::Claim { id, .. } if !self.rules.claims.is_registered(&id) => {
                self.claims.bucket(&group, root, bucket)
            }
            _ => self.chain.bucket(&group, root, bucket),
        };
        let bucket = bucket.map_err(|_| status::refused(&Refusal::RootUnknown))?;
        Ok(GetBucketResponse {
            volume: bucket.volume(),
            bucket: bucket.index().into(),
            top: bucket.top().iter().flat_map(|node| node.to_be_bytes()).collect(),
            leaves: bucket.leaves().iter().flat_map(|leaf| *leaf.as_bytes()).collect(),
        })
    }

    fn stakes(&self, group: StakeGroup) -> Result<Group, Status> {
        let StakeGroup { tier } = group;
        let contract = self.rules.stake.map(|stake| stake.contract);
        let not_offered = || status::refused(&Refusal::NotOffered { what: "stakes".to_owned() });
        Ok(Group::Stake { contract: contract.ok_or_else(not_offered)?, tier })
    }
}

fn stamps(group: StampGroup) -> Result<Group, Status> {
    let StampGroup { denomination, issue } = group;
    let denomination = Denomination::try_from(denomination).map_err(|_| {
        status::malformed(Malformed::OutOfRange { field: "group.denomination", got: denomination.into() })
    })?;
    Ok(Group::Stamps { denomination, issue: Issue(issue) })
}

fn members(group: MemberGroup) -> Result<Group, Status> {
    let MemberGroup { operator, generation } = group;
    let (expected, got) = (32, operator.len());
    let operator: [u8; 32] = operator
        .try_into()
        .map_err(|_| status::malformed(Malformed::Length { field: "group.operator", expected, got }))?;
    Ok(Group::Members { operator: operator.into(), generation })
}

fn claim(group: ClaimGroup) -> Result<Group, Status> {
    let ClaimGroup { id, generation } = group;
    let (expected, got) = (32, id.len());
    let id: [u8; 32] =
        id.try_into().map_err(|_| status::malformed(Malformed::Length { field: "group.id", expected, got }))?;
    Ok(Group::Claim { id: id.into(), generation })
}

fn volume_root(it: groups::VolumeRoot) -> VolumeRoot {
    let groups::VolumeRoot { volume, kind, root, leaves, block } = it;
    let kind = match kind {
        groups::RootKind::Checkpoint => RootKind::Checkpoint,
        groups::RootKind::Fresh => RootKind::Fresh,
    };
    VolumeRoot { volume, kind: kind.into(), root: root.as_bytes().to_vec(), leaves, block }
}
