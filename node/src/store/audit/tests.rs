use std::num::NonZeroU32;

use alloy::primitives::B256;
use alloy::signers::local::PrivateKeySigner;
use tempfile::TempDir;
use xmtp_proto::derive::{Denomination, EnvelopeId, Group, Issue, NetworkId};
use xmtp_proto::envelope::Envelope;
use xmtp_proto::field::{FieldElement, Nullifier};
use xmtp_proto::pass::{Pass, Proof, Stamp};
use xmtp_proto::postmark::Cursor;
use xmtp_proto::submission::Submission;
use xmtp_proto::time::{Clock, Timestamp};
use xmtp_proto::topic::Topic;

use super::super::{Cancellation, Entry, Shard, keys};
use super::{Audit, Fault, Store};
use crate::operator::Operator;

const NETWORK: NetworkId = NetworkId(B256::ZERO);
const TOPIC: Topic = Topic::Conversation(B256::ZERO);
const ISSUE: Issue = Issue(7);

fn nullifier(number: u64) -> Nullifier {
    FieldElement::from(number).into()
}

fn envelope(number: u8) -> Envelope {
    Envelope { topic: TOPIC, sent_at: Timestamp::from_secs(1), ciphertext: vec![number] }
}

fn id(number: u8) -> EnvelopeId {
    envelope(number).id(NETWORK)
}

/// An envelope with one stamp, both told by a number.
fn entry(number: u8) -> Entry {
    let field = FieldElement::from(u64::from(number));
    let denomination = Denomination::try_from(1).unwrap();
    let proof =
        Proof { root: field.into(), nullifier: field.into(), share: field.into(), tag: field.into(), points: [0; 128] };
    let stamp = Stamp { denomination, issue: ISSUE, proof, nonce: None };
    Entry {
        id: id(number),
        topic: TOPIC,
        submission: Submission::new(envelope(number), vec![Pass::Stamp(stamp)]).unwrap().into(),
        cancels: vec![Cancellation {
            group: Group::Stamps { denomination, issue: ISSUE },
            shard: Shard::Issue(ISSUE),
            nullifier: field.into(),
            share: field.into(),
        }],
        owner: None,
        conversation: None,
        expected_head: None,
    }
}

/// Three envelopes in a log that something happens to.
async fn check(damage: impl Fn(&Store), faults: &[Fault]) {
    let folder = TempDir::new().unwrap();
    let operator = Operator::new(PrivateKeySigner::random(), NETWORK);
    let store = Store::open(folder.path(), operator, Clock::system(), NonZeroU32::MIN).unwrap();
    for number in 1..=3 {
        store.append(entry(number)).await.unwrap();
    }
    assert_eq!(store.audit(ISSUE).unwrap(), Audit { records: 3, stamps: 3, faults: Vec::new() });
    damage(&store);
    assert_eq!(store.audit(ISSUE).unwrap().faults, faults);
}

#[tokio::test]
async fn a_cursor_is_missing() {
    let damage = |store: &Store| store.damage(&keys::entry(Cursor(2)), None);
    let gap = Fault::Gap { expected: Cursor(2), found: Cursor(3) };
    check(damage, &[gap, Fault::NotStored { nullifier: nullifier(2), id: id(2) }]).await;
}

#[tokio::test]
async fn the_end_of_the_log_is_missing() {
    let damage = |store: &Store| store.damage(&keys::entry(Cursor(3)), None);
    let gap = Fault::Gap { expected: Cursor(3), found: Cursor(3) };
    check(damage, &[gap, Fault::NotStored { nullifier: nullifier(3), id: id(3) }]).await;
}

#[tokio::test]
async fn an_envelope_is_not_found_by_its_id() {
    let damage = |store: &Store| store.damage(&keys::envelope(&id(2)), None);
    let nullifier = nullifier(2);
    check(damage, &[Fault::Unlisted { cursor: Cursor(2) }, Fault::NotStored { nullifier, id: id(2) }]).await;
}

#[tokio::test]
async fn an_envelope_is_not_found_in_its_topic() {
    let damage = |store: &Store| store.damage(&keys::topic(&TOPIC, Cursor(2)), None);
    check(damage, &[Fault::Unlisted { cursor: Cursor(2) }]).await;
}

#[tokio::test]
async fn an_envelope_is_there_twice() {
    let damage = |store: &Store| store.damage(&keys::envelope(&id(2)), Some(&1_u64.to_be_bytes()));
    let doubled = Fault::Doubled { id: id(2), cursor: Cursor(1), again: Cursor(2) };
    check(damage, &[doubled, Fault::NotStored { nullifier: nullifier(2), id: id(2) }]).await;
}

#[tokio::test]
async fn an_envelope_is_stored_without_its_cancellation() {
    let damage = |store: &Store| store.damage(&keys::nullifier(Shard::Issue(ISSUE), &nullifier(2)), None);
    check(damage, &[Fault::NotCancelled { cursor: Cursor(2), nullifier: nullifier(2) }]).await;
}

#[tokio::test]
async fn a_stamp_is_cancelled_without_its_envelope() {
    let damage = |store: &Store| {
        let value = [id(9).as_bytes().as_slice(), &[0; 32]].concat();
        store.damage(&keys::nullifier(Shard::Issue(ISSUE), &nullifier(9)), Some(&value));
    };
    check(damage, &[Fault::NotStored { nullifier: nullifier(9), id: id(9) }]).await;
}

#[tokio::test]
async fn a_stamp_is_cancelled_for_an_envelope_that_does_not_bear_it() {
    let damage = |store: &Store| {
        let value = [id(1).as_bytes().as_slice(), &[0; 32]].concat();
        store.damage(&keys::nullifier(Shard::Issue(ISSUE), &nullifier(9)), Some(&value));
    };
    check(damage, &[Fault::NotStored { nullifier: nullifier(9), id: id(1) }]).await;
}

#[tokio::test]
async fn nullifiers_of_old_issues_may_be_gone() {
    let folder = TempDir::new().unwrap();
    let operator = Operator::new(PrivateKeySigner::random(), NETWORK);
    let store = Store::open(folder.path(), operator, Clock::system(), NonZeroU32::MIN).unwrap();
    store.append(entry(1)).await.unwrap();
    store.damage(&keys::nullifier(Shard::Issue(ISSUE), &nullifier(1)), None);
    assert_eq!(store.audit(Issue(8)).unwrap(), Audit { records: 1, stamps: 0, faults: Vec::new() });
}
