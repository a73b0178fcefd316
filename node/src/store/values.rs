//! What stands under the keys of the embedded store: fixed layouts, integers big-endian.

use prost::Message as _;
use xmtp_proto::derive::{ClaimId, Group, Issue, OperatorId};
use xmtp_proto::field::{FieldElement, Nullifier};
use xmtp_proto::postmark::{Cursor, SignedPostmark};
use xmtp_proto::wire;

use super::{Evidence, StoreError};

/// Before the id of a claim, so that it is not taken for an operator's.
const CLAIM: u8 = b'c';
/// Two signals and two shares.
const EVIDENCE_POINTS: usize = 4 * 32;

/// The entry of an account's own topic: cursor u64, order u128, content 32.
#[derive(Clone, Copy)]
pub(super) struct Owned {
    pub(super) cursor: Cursor,
    pub(super) order: u128,
    pub(super) content: [u8; 32],
}

impl Owned {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        [self.cursor.0.to_be_bytes().as_slice(), &self.order.to_be_bytes(), &self.content].concat()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, StoreError> {
        const DAMAGED: StoreError = StoreError::Damaged { what: "own record entry" };
        let (cursor, rest) = bytes.split_first_chunk().ok_or(DAMAGED)?;
        let (order, content) = rest.split_first_chunk().ok_or(DAMAGED)?;
        Ok(Self {
            cursor: Cursor(u64::from_be_bytes(*cursor)),
            order: u128::from_be_bytes(*order),
            content: content.try_into().map_err(|_| DAMAGED)?,
        })
    }
}

impl Evidence {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let ((x1, y1), (x2, y2)) = (self.first, self.second);
        let points = [*x1.as_bytes(), *y1.as_bytes(), *x2.as_bytes(), *y2.as_bytes()].concat();
        [group_to_bytes(&self.group), points].concat()
    }

    pub(super) fn from_bytes(nullifier: Nullifier, bytes: &[u8]) -> Result<Self, StoreError> {
        const DAMAGED: StoreError = StoreError::Damaged { what: "evidence" };
        let (group, points) = bytes.split_at_checked(bytes.len().saturating_sub(EVIDENCE_POINTS)).ok_or(DAMAGED)?;
        let mut elements = points.chunks_exact(32).map(element);
        let mut next = || elements.next().unwrap_or(Err(DAMAGED));
        let (first_signal, first_share, second_signal, second_share) = (next()?, next()?, next()?, next()?);
        Ok(Self {
            group: group_from_bytes(group).ok_or(DAMAGED)?,
            nullifier,
            first: (first_signal.into(), first_share.into()),
            second: (second_signal.into(), second_share.into()),
        })
    }
}

fn group_to_bytes(group: &Group) -> Vec<u8> {
    match group {
        Group::Stamps { denomination, issue } => [denomination.units().to_be_bytes(), issue.0.to_be_bytes()].concat(),
        Group::Stake { contract, tier } => [contract.as_slice(), &tier.to_be_bytes()].concat(),
        Group::Members { operator, generation } => [operator.as_bytes().as_slice(), &generation.to_be_bytes()].concat(),
        Group::Claim { id, generation } => [&[CLAIM], id.as_bytes().as_slice(), &generation.to_be_bytes()].concat(),
    }
}

fn group_from_bytes(bytes: &[u8]) -> Option<Group> {
    let (source, number) = bytes.split_last_chunk()?;
    let number = u32::from_be_bytes(*number);
    if let Ok(operator) = <[u8; 32]>::try_from(source) {
        return Some(Group::Members { operator: OperatorId::from(operator), generation: number });
    }
    if let Some((&CLAIM, id)) = source.split_first()
        && let Ok(id) = <[u8; 32]>::try_from(id)
    {
        return Some(Group::Claim { id: ClaimId::from(id), generation: number });
    }
    if let Ok(contract) = <[u8; 20]>::try_from(source) {
        return Some(Group::Stake { contract: contract.into(), tier: number });
    }
    let units = u32::from_be_bytes(source.try_into().ok()?);
    Some(Group::Stamps { denomination: units.try_into().ok()?, issue: Issue(number) })
}

pub(super) fn record(bytes: &[u8]) -> Result<wire::Record, StoreError> {
    wire::Record::decode(bytes).map_err(|_| StoreError::Damaged { what: "record" })
}

pub(super) fn postmark_of(record: &wire::Record) -> Result<SignedPostmark, StoreError> {
    let postmark = record.postmark.clone().ok_or(StoreError::Damaged { what: "record" })?;
    postmark.try_into().map_err(|_| StoreError::Damaged { what: "postmark" })
}

pub(super) fn element(bytes: &[u8]) -> Result<FieldElement, StoreError> {
    bytes
        .try_into()
        .ok()
        .and_then(|bytes| FieldElement::from_be_bytes(bytes).ok())
        .ok_or(StoreError::Damaged { what: "field element" })
}
