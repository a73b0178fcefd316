use std::num::NonZeroU32;

use alloy::primitives::{Address, B256};
use alloy::signers::local::PrivateKeySigner;
use tempfile::TempDir;
use xmtp_proto::account::Account;
use xmtp_proto::derive::{Denomination, EnvelopeId, Group, Issue, NetworkId, OperatorId};
use xmtp_proto::envelope::Envelope;
use xmtp_proto::field::{FieldElement, Nullifier};
use xmtp_proto::opening::Opening;
use xmtp_proto::pass::{Connection, Member, Pass, Proof, Stamp};
use xmtp_proto::postmark::Cursor;
use xmtp_proto::receipt::{self, Receipt};
use xmtp_proto::submission::Submission;
use xmtp_proto::time::{Clock, Epoch, Timestamp};
use xmtp_proto::topic::Topic;

use super::super::{
    Cancellation, ConnectionWrite, ConversationWrite, Entry, Opened, ReceiptsWrite, RecordKind, Shard, Sweeper, keys,
};
use super::{Audit, Fault, Held, Store};
use crate::operator::Operator;

const NETWORK: NetworkId = NetworkId(B256::ZERO);
const TOPIC: Topic = Topic::Invite(Account::externally_owned(Address::ZERO));
const ISSUE: Issue = Issue(7);
const EPOCH: Epoch = Epoch(20_000);
const HELD: Held = Held { issue: ISSUE, epoch: EPOCH };

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
    let submission = Submission::new(envelope(number), vec![Pass::Stamp(stamp)]).unwrap();
    let cancels = vec![Cancellation {
        group: Group::Stamps { denomination, issue: ISSUE },
        shard: Shard::Issue(ISSUE),
        nullifier: field.into(),
        share: field.into(),
    }];
    Entry { cancels, ..Entry::new(id(number), TOPIC, submission.into()) }
}

/// Three envelopes in a log that something happens to.
async fn check(damage: impl Fn(&Store), faults: &[Fault]) {
    let folder = TempDir::new().unwrap();
    let operator = Operator::new(PrivateKeySigner::random(), NETWORK);
    let store = Store::open(folder.path(), operator, Clock::system(), NonZeroU32::MIN).unwrap();
    for number in 1..=3 {
        store.append(entry(number)).await.unwrap();
    }
    assert_eq!(store.audit(HELD).unwrap(), Audit { records: 3, stamps: 3, ..Audit::default() });
    damage(&store);
    assert_eq!(store.audit(HELD).unwrap().faults, faults);
}

#[tokio::test]
async fn a_record_is_missing() {
    let damage = |store: &Store| {
        for key in [keys::sheet(Cursor(2)), keys::contents(Cursor(2)), keys::topic(&TOPIC, Cursor(2))] {
            store.damage(&key, None);
        }
        store.damage(&keys::envelope(&id(2)), None);
    };
    check(damage, &[Fault::Gap { cursor: Cursor(2) }, Fault::NotStored { nullifier: nullifier(2), cursor: Cursor(2) }])
        .await;
}

#[tokio::test]
async fn the_log_does_not_lead_to_a_record() {
    let damage = |store: &Store| store.damage(&keys::contents(Cursor(2)), None);
    check(damage, &[Fault::Unlisted { cursor: Cursor(2) }]).await;
}

#[tokio::test]
async fn the_end_of_the_log_is_not_led_to() {
    let damage = |store: &Store| store.damage(&keys::contents(Cursor(3)), None);
    check(damage, &[Fault::Unlisted { cursor: Cursor(3) }]).await;
}

#[tokio::test]
async fn a_record_was_dropped_and_its_topic_leads_there() {
    let damage = |store: &Store| {
        Sweeper::new(store.clone(), RecordKind::Letter).sweep(Timestamp::from_nanos(u64::MAX)).unwrap();
        assert_eq!(store.audit(HELD).unwrap(), Audit { dropped: 3, stamps: 3, ..Audit::default() });
        store.damage(&keys::topic(&TOPIC, Cursor(2)), Some(&[]));
    };
    check(damage, &[Fault::HalfDropped { cursor: Cursor(2) }]).await;
}

#[tokio::test]
async fn a_record_was_dropped_and_is_there() {
    let damage = |store: &Store| {
        let record = store.at(Cursor(2)).unwrap().record.unwrap();
        store.damage(&keys::husk(Cursor(2)), Some(&prost::Message::encode_to_vec(&record)));
    };
    check(damage, &[Fault::HalfDropped { cursor: Cursor(2) }]).await;
}

#[tokio::test]
async fn an_envelope_is_not_found_by_its_id() {
    let damage = |store: &Store| store.damage(&keys::envelope(&id(2)), None);
    check(damage, &[Fault::Unlisted { cursor: Cursor(2) }]).await;
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
    check(damage, &[doubled]).await;
}

#[tokio::test]
async fn an_envelope_is_stored_without_its_cancellation() {
    let damage = |store: &Store| store.damage(&keys::nullifier(Shard::Issue(ISSUE), &nullifier(2)), None);
    check(damage, &[Fault::NotCancelled { cursor: Cursor(2), nullifier: nullifier(2) }]).await;
}

#[tokio::test]
async fn a_stamp_is_cancelled_without_its_envelope() {
    let damage = |store: &Store| {
        store.damage(&keys::nullifier(Shard::Issue(ISSUE), &nullifier(9)), Some(&9_u64.to_be_bytes()));
    };
    check(damage, &[Fault::NotStored { nullifier: nullifier(9), cursor: Cursor(9) }]).await;
}

#[tokio::test]
async fn a_stamp_is_cancelled_for_an_envelope_that_does_not_bear_it() {
    let damage = |store: &Store| {
        store.damage(&keys::nullifier(Shard::Issue(ISSUE), &nullifier(9)), Some(&1_u64.to_be_bytes()));
    };
    check(damage, &[Fault::NotStored { nullifier: nullifier(9), cursor: Cursor(1) }]).await;
}

#[tokio::test]
async fn nullifiers_of_old_issues_may_be_gone() {
    let folder = TempDir::new().unwrap();
    let operator = Operator::new(PrivateKeySigner::random(), NETWORK);
    let store = Store::open(folder.path(), operator, Clock::system(), NonZeroU32::MIN).unwrap();
    store.append(entry(1)).await.unwrap();
    store.damage(&keys::nullifier(Shard::Issue(ISSUE), &nullifier(1)), None);
    assert_eq!(store.audit(Held { issue: Issue(8), epoch: EPOCH }).unwrap(), Audit { records: 1, ..Audit::default() });
}

/// A conversation that a membership opened and one message followed, and something that happens to it.
async fn check_conversation(damage: impl Fn(&Store, B256, Epoch), faults: impl Fn(B256) -> Vec<Fault>) {
    let folder = TempDir::new().unwrap();
    let operator = Operator::new(PrivateKeySigner::random(), NETWORK);
    let store = Store::open(folder.path(), operator, Clock::system(), NonZeroU32::MIN).unwrap();
    let opening = Opening::new(NETWORK, [7; 32], 10, Timestamp::from_secs(u32::MAX.into()), |_| [0; 64]).unwrap();
    let Topic::Conversation(conversation) = opening.topic() else { panic!() };
    let epoch = Clock::system().now().epoch();
    let field = FieldElement::from(9);
    let proof =
        Proof { root: field.into(), nullifier: field.into(), share: field.into(), tag: field.into(), points: [0; 128] };
    let operator = OperatorId::new(Address::ZERO);
    let member = Pass::Member(Member { operator, generation: 1, epoch, proof });
    let entry = |ciphertext: Vec<u8>, passes: Vec<Pass>, cancels, conversation| {
        let envelope = Envelope { topic: opening.topic(), sent_at: Timestamp::from_secs(1), ciphertext };
        let (id, topic) = (envelope.id(NETWORK), envelope.topic);
        let submission = Submission::new(envelope, passes).unwrap().into();
        Entry { cancels, conversation: Some(conversation), ..Entry::new(id, topic, submission) }
    };
    let cancel = Cancellation {
        group: Group::Members { operator, generation: 1 },
        shard: Shard::Epoch(epoch),
        nullifier: field.into(),
        share: field.into(),
    };
    let opened = Opened { opened_at: Timestamp::from_secs(1), expires_at: opening.expires_at(), quota: 10 };
    let write = ConversationWrite::Open(opened);
    store.append(entry(opening.to_bytes().to_vec(), vec![member], vec![cancel], write)).await.unwrap();
    let message = entry(vec![0; 5000], Vec::new(), Vec::new(), ConversationWrite::Post { units: 2 });
    store.append(message).await.unwrap();
    let held = Held { issue: ISSUE, epoch };
    let whole = Audit { records: 2, memberships: 1, conversations: 1, ..Audit::default() };
    assert_eq!(store.audit(held).unwrap(), whole);
    damage(&store, conversation, epoch);
    assert_eq!(store.audit(held).unwrap().faults, faults(conversation));
}

#[tokio::test]
async fn a_membership_is_not_cancelled() {
    let damage = |store: &Store, _, epoch| store.damage(&keys::nullifier(Shard::Epoch(epoch), &nullifier(9)), None);
    check_conversation(damage, |_| vec![Fault::NotCancelled { cursor: Cursor(1), nullifier: nullifier(9) }]).await;
}

#[tokio::test]
async fn a_membership_is_cancelled_for_nothing() {
    let damage = |store: &Store, _, epoch| {
        store.damage(&keys::nullifier(Shard::Epoch(epoch), &nullifier(8)), Some(&9_u64.to_be_bytes()));
    };
    check_conversation(damage, |_| vec![Fault::NotStored { nullifier: nullifier(8), cursor: Cursor(9) }]).await;
}

#[tokio::test]
async fn a_conversation_was_opened_and_is_not_open() {
    let damage = |store: &Store, id, _| store.damage(&keys::conversation(&id), None);
    check_conversation(damage, |id| vec![Fault::Miscounted { id }]).await;
}

#[tokio::test]
async fn units_are_counted_that_nobody_wrote() {
    let damage = |store: &Store, id, epoch| store.damage(&keys::units(epoch, &id), Some(&3_u32.to_be_bytes()));
    check_conversation(damage, |id| vec![Fault::Miscounted { id }]).await;
}

#[tokio::test]
async fn units_were_written_that_nobody_counted() {
    let damage = |store: &Store, id, epoch| store.damage(&keys::units(epoch, &id), None);
    check_conversation(damage, |id| vec![Fault::Miscounted { id }]).await;
}

/// A letter with a connection, and the receipt of one with a stamp.
#[tokio::test]
async fn what_is_counted_of_connections_and_known_of_receipts_follows_from_the_records() {
    let folder = TempDir::new().unwrap();
    let operator = Operator::new(PrivateKeySigner::random(), NETWORK);
    let store = Store::open(folder.path(), operator, Clock::system(), NonZeroU32::MIN).unwrap();
    store.append(entry(1)).await.unwrap();
    let (account, holder) = (Account::externally_owned(Address::ZERO), [7; 32]);
    let expires_at = Timestamp::from_secs(1);
    let pass = Connection { holder, quota: 5, expires_at, attestation: [0; 64], signature: [0; 64] };
    let submission = Submission::new(envelope(2), vec![Pass::Connection(pass)]).unwrap();
    let connection = Some(ConnectionWrite { account, holder, quota: 5, units: 1 });
    let connected = Entry { id: id(2), submission: submission.into(), cancels: Vec::new(), connection, ..entry(2) };
    let accepted_at = store.append(connected).await.unwrap().postmark.accepted_at;

    let topic = Topic::Receipts(account);
    let ciphertext = receipt::to_bytes(&[Receipt { letter: id(1), signature: [0; 64] }]);
    let told = Envelope { topic, sent_at: Timestamp::from_secs(1), ciphertext };
    let receipts = Some(ReceiptsWrite { account, letters: vec![id(1)] });
    let (id_told, submission) = (told.id(NETWORK), Submission::new(told, Vec::new()).unwrap());
    let told = Entry { id: id_told, topic, submission: submission.into(), cancels: Vec::new(), receipts, ..entry(3) };
    store.append(told).await.unwrap();
    let whole = Audit { records: 3, stamps: 1, receipts: 1, ..Audit::default() };
    assert_eq!(store.audit(HELD).unwrap(), whole);

    let counted = keys::connection(accepted_at.epoch(), &account, &holder);
    let known = keys::receipt(ISSUE, &id(1));
    for (key, wrong, right, fault) in [
        (&counted, 2_u32.to_be_bytes().to_vec(), 1_u32.to_be_bytes().to_vec(), Fault::Uncounted { connections: 1 }),
        (&known, 1_u64.to_be_bytes().to_vec(), 3_u64.to_be_bytes().to_vec(), Fault::Misread { receipts: 1 }),
    ] {
        for value in [Some(wrong.as_slice()), None] {
            store.damage(key, value);
            assert_eq!(store.audit(HELD).unwrap().faults, [fault], "{value:?}");
        }
        store.damage(key, Some(&right));
        assert_eq!(store.audit(HELD).unwrap(), whole);
    }
}
