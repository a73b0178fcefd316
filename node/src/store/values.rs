//! What stands under the keys of the embedded store: fixed layouts, integers big-endian.

use alloy::primitives::Address;
use prost::Message as _;
use xmtp_proto::account::Account;
use xmtp_proto::derive::{ClaimId, Group, Issue, OperatorId};
use xmtp_proto::field::{FieldElement, Nullifier, Share};
use xmtp_proto::pass::Pass;
use xmtp_proto::postmark::{Cursor, SignedPostmark};
use xmtp_proto::topic::Topic;
use xmtp_proto::wire;

use super::{Evidence, StoreError};

/// Before the id of a claim, so that it is not taken for an operator's.
const CLAIM: u8 = b'c';
/// Kinds of topics: behind the first five is an account, behind the others 32 bytes.
const CONTACT: u8 = b'c';
const POLICY: u8 = b'p';
const VAULT: u8 = b'v';
const INVITE: u8 = b'i';
const RECEIPTS: u8 = b'r';
const CONVERSATION: u8 = b'd';
const SNAPSHOTS: u8 = b's';
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

fn element(bytes: &[u8]) -> Result<FieldElement, StoreError> {
    bytes
        .try_into()
        .ok()
        .and_then(|bytes| FieldElement::from_be_bytes(bytes).ok())
        .ok_or(StoreError::Damaged { what: "field element" })
}

/// The passes of a record, or of what is left of it.
pub(super) fn passes_of(record: wire::Record) -> Result<Vec<Pass>, StoreError> {
    let submission = record.submission.ok_or(StoreError::Damaged { what: "submission" })?;
    let passes = submission.passes.into_iter().map(|wire| Pass::try_from(wire).ok());
    passes.collect::<Option<_>>().ok_or(StoreError::Damaged { what: "pass" })
}

/// The share that a record used an index with.
pub(super) fn share_in(record: wire::Record, nullifier: &Nullifier) -> Result<Share, StoreError> {
    let passes = passes_of(record)?;
    let proof = passes.iter().filter_map(Pass::proof).find(|proof| proof.nullifier == *nullifier);
    proof.map(|proof| proof.share).ok_or(StoreError::Damaged { what: "nullifier" })
}

/// A topic: kind u8, account 28 or id 32.
pub(super) fn topic_to_bytes(topic: &Topic) -> Vec<u8> {
    let of = |kind, name: &[u8]| [&[kind], name].concat();
    match topic {
        Topic::Contact(account) => of(CONTACT, &account_to_bytes(account)),
        Topic::Policy(account) => of(POLICY, &account_to_bytes(account)),
        Topic::Vault(account) => of(VAULT, &account_to_bytes(account)),
        Topic::Invite(account) => of(INVITE, &account_to_bytes(account)),
        Topic::Receipts(account) => of(RECEIPTS, &account_to_bytes(account)),
        Topic::Conversation(id) => of(CONVERSATION, id.as_slice()),
        Topic::Claim(id) => of(SNAPSHOTS, id.as_slice()),
    }
}

pub(super) fn topic_from_bytes(bytes: &[u8]) -> Result<Topic, StoreError> {
    let topic = bytes.split_first().and_then(|(kind, name)| {
        let (account, id) = (|| account_from_bytes(name), || <[u8; 32]>::try_from(name).ok());
        Some(match *kind {
            CONTACT => Topic::Contact(account()?),
            POLICY => Topic::Policy(account()?),
            VAULT => Topic::Vault(account()?),
            INVITE => Topic::Invite(account()?),
            RECEIPTS => Topic::Receipts(account()?),
            CONVERSATION => Topic::Conversation(id()?.into()),
            SNAPSHOTS => Topic::Claim(id()?.into()),
            _ => return None,
        })
    });
    topic.ok_or(StoreError::Damaged { what: "topic" })
}

/// An account: chain u64, address 20.
pub(super) fn account_to_bytes(account: &Account) -> [u8; 28] {
    let mut bytes = [0; 28];
    bytes[..8].copy_from_slice(&account.chain_id().to_be_bytes());
    bytes[8..].copy_from_slice(account.address().as_slice());
    bytes
}

fn account_from_bytes(bytes: &[u8]) -> Option<Account> {
    let (chain, address) = bytes.split_first_chunk()?;
    let address = <[u8; 20]>::try_from(address).ok()?;
    Some(Account::on_chain(u64::from_be_bytes(*chain), Address::from(address)))
}

/// Puts something in the next place of a list: length u32, bytes. An empty place has no length.
pub(super) fn push_place(list: &mut Vec<u8>, place: &[u8]) {
    // No submission comes near so many bytes.
    let length = u32::try_from(place.len()).unwrap_or(u32::MAX);
    list.extend_from_slice(&length.to_be_bytes());
    list.extend_from_slice(place);
}

/// The places of a list, in their order: nothing in empty ones. Ends at the first that is cut short.
pub(super) fn places(list: &[u8]) -> impl Iterator<Item = Result<Option<&[u8]>, StoreError>> {
    let mut rest = Some(list);
    std::iter::from_fn(move || {
        let list = rest.take().filter(|list| !list.is_empty())?;
        let place = list
            .split_first_chunk()
            .and_then(|(length, bytes)| bytes.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?));
        Some(match place {
            Some((place, behind)) => {
                rest = Some(behind);
                Ok((!place.is_empty()).then_some(place))
            }
            None => Err(StoreError::Damaged { what: "list" }),
        })
    })
}

#[cfg(test)]
mod tests {
    use alloy::primitives::B256;

    use super::*;

    #[test]
    fn topic_is_what_was_written() {
        let account = Account::on_chain(7, Address::repeat_byte(0x22));
        let id = B256::repeat_byte(0x33);
        for topic in [
            Topic::Contact(account),
            Topic::Policy(account),
            Topic::Vault(account),
            Topic::Invite(account),
            Topic::Receipts(account),
            Topic::Conversation(id),
            Topic::Claim(id),
        ] {
            let bytes = topic_to_bytes(&topic);
            assert_eq!(topic_from_bytes(&bytes).unwrap(), topic);
            for damaged in [&bytes[..bytes.len() - 1], &[bytes.as_slice(), &[0]].concat(), &[]] {
                assert!(topic_from_bytes(damaged).is_err(), "{topic:?} of {} bytes", damaged.len());
            }
        }
    }

    #[test]
    fn topic_has_these_bytes() {
        let invite = Topic::Invite(Account::on_chain(1, Address::repeat_byte(0xaa)));
        let expected = ["69", "0000000000000001", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"].concat();
        assert_eq!(alloy::hex::encode(topic_to_bytes(&invite)), expected);
    }

    #[test]
    fn list_keeps_its_places_and_says_where_it_is_cut_short() {
        let mut list = Vec::new();
        for place in [&b"first"[..], b"", b"third"] {
            push_place(&mut list, place);
        }
        let all: Vec<_> = places(&list).map(Result::unwrap).collect();
        assert_eq!(all, [Some(&b"first"[..]), None, Some(b"third")]);
        assert_eq!(places(&[]).count(), 0);
        let whole = [9, 13];
        for length in (1..list.len()).filter(|it| !whole.contains(it)) {
            let last = places(&list[..length]).last();
            assert!(matches!(last, Some(Err(_))), "{length} bytes");
        }
    }
}
