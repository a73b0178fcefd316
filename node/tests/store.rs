//! What the log promises, on a real disk.

#![allow(clippy::unwrap_used)] // A test may.

use std::num::NonZeroU32;
use std::time::Duration;

use alloy::primitives::{B256, keccak256};
use alloy::signers::local::PrivateKeySigner;
use tempfile::TempDir;
use xmtp_node::operator::Operator;
use xmtp_node::store::{
    AppendError, Appended, Cancellation, ConversationWrite, Entry, OWNER_WRITES_PER_EPOCH, OpenError, Opened, OwnTopic,
    OwnerWrite, RecordKind, Shard, Store, Sweeper, Swept,
};
use xmtp_proto::account::Account;
use xmtp_proto::derive::{Denomination, EnvelopeId, Group, Issue, NetworkId, OperatorId};
use xmtp_proto::field::FieldElement;
use xmtp_proto::pass::{Member, Pass, Proof, Stake, Stamp};
use xmtp_proto::postmark::Cursor;
use xmtp_proto::refusal::Refusal;
use xmtp_proto::time::{Clock, Epoch, Timestamp};
use xmtp_proto::topic::Topic;
use xmtp_proto::wire;

const NETWORK: NetworkId = NetworkId(B256::ZERO);

const NOW: Timestamp = Timestamp::from_secs(1_795_392_000);
const STAMPS: Group = Group::Stamps { denomination: Denomination::ALL[1], issue: Issue(7) };
const JOINING: NonZeroU32 = NonZeroU32::new(3).unwrap();

fn open(folder: &TempDir) -> Store {
    open_at(folder, NOW)
}

fn open_at(folder: &TempDir, now: Timestamp) -> Store {
    Store::open(folder.path(), operator(5, NETWORK), Clock::manual(now), JOINING).unwrap()
}

fn operator(key: u8, network: NetworkId) -> Operator {
    Operator::new(PrivateKeySigner::from_slice(&[key; 32]).unwrap(), network)
}

fn topic(number: u8) -> Topic {
    Topic::Conversation(B256::repeat_byte(number))
}

/// An entry whose envelope is told from others by its text.
fn entry(topic: Topic, text: &str) -> Entry {
    let envelope = wire::Envelope { topic: topic.to_string(), sent_at_ns: 1, ciphertext: text.as_bytes().to_vec() };
    let id = EnvelopeId::new(NETWORK, &topic, Timestamp::from_nanos(1), text.as_bytes());
    Entry::new(id, topic, wire::Submission { envelope: Some(envelope), passes: Vec::new() })
}

fn cancelling(text: &str, nullifiers: &[u64]) -> Entry {
    let stamp = |nullifier: &u64| {
        let (denomination, issue) = (Denomination::ALL[1], Issue(7));
        let stamp = Stamp { denomination, issue, proof: proof(text, *nullifier), nonce: None };
        (STAMPS, Shard::Issue(issue), Pass::Stamp(stamp))
    };
    with(entry(topic(1), text), nullifiers.iter().map(stamp))
}

/// A proof of an index, whose share is told from others by a text.
fn proof(text: &str, nullifier: u64) -> Proof {
    let (zero, share) = (FieldElement::ZERO, FieldElement::from_hash(keccak256(text)).into());
    Proof {
        root: zero.into(),
        nullifier: FieldElement::from(nullifier).into(),
        share,
        tag: zero.into(),
        points: [0; 128],
    }
}

/// An entry with passes that it cancels.
fn with(mut entry: Entry, passes: impl IntoIterator<Item = (Group, Shard, Pass)>) -> Entry {
    for (group, shard, pass) in passes {
        let Proof { nullifier, share, .. } = *pass.proof().unwrap();
        entry.cancels.push(Cancellation { group, shard, nullifier, share });
        entry.submission.passes.push(pass.into());
    }
    entry
}

fn owned(order: u128, content: &str) -> Entry {
    let account = Account::externally_owned([1; 20].into());
    owned_by(account, OwnTopic::Policy, order, content)
}

fn owned_by(account: Account, topic: OwnTopic, order: u128, content: &str) -> Entry {
    let epoch = Epoch(20_000);
    let write = OwnerWrite { account, topic, order, content: keccak256(content), epoch, bundle: None };
    Entry { owner: Some(write), ..entry(topic.of(account), &format!("{order} {content}")) }
}

fn cursor(appended: Appended) -> u64 {
    appended.unwrap().postmark.cursor.0
}

fn refused(appended: Appended) -> Refusal {
    match appended {
        Err(AppendError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

fn texts(store: &Store, topic: &Topic, after: u64, limit: usize, descending: bool) -> (Vec<String>, bool) {
    let page = store.page(topic, Cursor(after), limit, descending).unwrap();
    let text =
        |record: wire::Record| String::from_utf8(record.submission.unwrap().envelope.unwrap().ciphertext).unwrap();
    (page.records.into_iter().map(text).collect(), page.more)
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_restart() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let first = store.append(cancelling("first", &[1, 2])).await.unwrap();
    first.verify().unwrap();
    drop(store);

    let store = open(&folder);
    assert_eq!(store.durable(), Cursor(1));
    assert_eq!(store.postmark(&cancelling("first", &[]).id).unwrap(), Some(first));
    assert!(matches!(store.append(cancelling("second", &[2])).await, Err(AppendError::DoubleSpend(_))));
    assert_eq!(cursor(store.append(cancelling("third", &[3])).await), 2);
}

#[tokio::test]
async fn same_envelope_again_has_the_same_postmark() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let first = store.append(cancelling("letter", &[1])).await.unwrap();
    assert_eq!(store.append(cancelling("letter", &[1])).await.unwrap(), first);
    assert_eq!(store.append(cancelling("letter", &[9])).await.unwrap(), first);
    assert_eq!(store.durable(), Cursor(1));
}

#[tokio::test]
async fn stamp_used_twice_is_refused_with_evidence_and_cancels_nothing_else() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    store.append(cancelling("first", &[1])).await.unwrap();
    let Err(AppendError::DoubleSpend(evidence)) = store.append(cancelling("second", &[5, 1])).await else {
        panic!("one stamp went twice");
    };
    assert_eq!(evidence.group, STAMPS);
    assert_eq!(evidence.nullifier, FieldElement::from(1).into());
    assert_eq!(evidence.first.0, cancelling("first", &[]).id.signal());
    assert_eq!(evidence.second.0, cancelling("second", &[]).id.signal());
    // Stamp 5 of the refused letter is as good as before.
    assert_eq!(cursor(store.append(cancelling("third", &[5])).await), 2);
    drop(store);
    assert_eq!(open(&folder).evidence().map(Result::unwrap).collect::<Vec<_>>(), [*evidence]);
}

#[tokio::test]
async fn many_publishers_get_gapless_cursors_and_each_stamp_goes_once() {
    const PUBLISHERS: u64 = 200;
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    // Two envelopes compete for each stamp.
    let names: Vec<String> = (0..2 * PUBLISHERS).map(|it| format!("letter {it}")).collect();
    let appends = names.iter().zip(0..).map(|(name, it)| store.append(cancelling(name, &[it % PUBLISHERS])));
    let (accepted, refused): (Vec<_>, Vec<_>) =
        futures_util::future::join_all(appends).await.into_iter().partition(Result::is_ok);
    assert_eq!((accepted.len() as u64, refused.len() as u64), (PUBLISHERS, PUBLISHERS));
    let mut cursors: Vec<u64> = accepted.into_iter().map(cursor).collect();
    cursors.sort_unstable();
    assert_eq!(cursors, (1..=PUBLISHERS).collect::<Vec<_>>());
}

#[tokio::test]
async fn pages_go_both_ways_without_gap_or_repeat() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    for text in ["a", "b", "c"] {
        store.append(entry(topic(1), text)).await.unwrap();
        store.append(entry(topic(2), "other")).await.unwrap();
    }
    let page = |after, limit, descending| {
        let (texts, more) = texts(&store, &topic(1), after, limit, descending);
        (texts.concat(), more)
    };
    assert_eq!(page(0, 2, false), ("ab".to_owned(), true));
    assert_eq!(page(3, 2, false), ("c".to_owned(), false));
    assert_eq!(page(5, 2, false), (String::new(), false));
    assert_eq!(page(u64::MAX, 2, false), (String::new(), false));
    assert_eq!(page(0, 2, true), ("cb".to_owned(), true));
    assert_eq!(page(3, 2, true), ("a".to_owned(), false));
    assert_eq!(page(1, 2, true), (String::new(), false));
}

#[tokio::test]
async fn page_ends_at_a_mebibyte_but_not_before_its_first_record() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    for it in 0..3 {
        store.append(entry(topic(1), &it.to_string().repeat(700 << 10))).await.unwrap();
    }
    let (texts, more) = texts(&store, &topic(1), 0, 100, false);
    assert_eq!((texts.len(), more), (1, true));
}

#[tokio::test]
async fn own_records_replace_each_other_upwards_only() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    assert_eq!(cursor(store.append(owned(2, "two")).await), 1);
    assert_eq!(refused(store.append(owned(1, "one")).await), Refusal::VersionStale);
    assert_eq!(refused(store.append(owned(2, "another two")).await), Refusal::VersionStale);
    let against = |head, it| Entry { expected_head: Some(Cursor(head)), ..it };
    assert_eq!(refused(store.append(against(0, owned(3, "three"))).await), Refusal::HeadMoved { head: Cursor(1) });
    assert_eq!(cursor(store.append(against(1, owned(3, "three"))).await), 2);
    let account = Account::externally_owned([1; 20].into());
    assert_eq!(store.own_record(&account, OwnTopic::Policy).unwrap().unwrap().cursor, Cursor(2));
    assert_eq!(store.own_record(&account, OwnTopic::Vault).unwrap(), None);
}

#[tokio::test]
async fn owner_has_so_many_writes_a_day() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    for version in 1..=u128::from(OWNER_WRITES_PER_EPOCH) {
        store.append(owned(version, "text")).await.unwrap();
    }
    assert_eq!(refused(store.append(owned(1000, "text")).await), Refusal::QuotaExhausted);
    let mut tomorrow = owned(1001, "text");
    tomorrow.owner.as_mut().unwrap().epoch = Epoch(20_001);
    store.append(tomorrow).await.unwrap();
}

#[tokio::test]
async fn what_is_over_is_dropped_and_what_is_not_stays() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    store.append(cancelling("old", &[1])).await.unwrap();
    assert_eq!(store.forget_before(Issue(7), Epoch(20_000)).unwrap(), 0);
    assert!(matches!(store.append(cancelling("again", &[1])).await, Err(AppendError::DoubleSpend(_))));
    assert_eq!(store.forget_before(Issue(8), Epoch(20_000)).unwrap(), 1);
}

#[tokio::test]
async fn second_process_on_the_folder_is_told_so() {
    let folder = TempDir::new().unwrap();
    let _store = open(&folder);
    let error = Store::open(folder.path(), operator(5, NETWORK), Clock::system(), JOINING).err().unwrap();
    assert!(error.to_string().contains("another node"), "{error}");
}

#[tokio::test]
async fn store_that_is_being_closed_is_waited_for() {
    let folder = TempDir::new().unwrap();
    for round in 1..=100 {
        // sled's own threads may still have it open.
        let store = open(&folder);
        assert_eq!(cursor(store.append(entry(topic(1), &format!("message {round}"))).await), round);
    }
    // As they have it open here, but longer.
    let locked = std::fs::File::open(folder.path().join("db")).unwrap();
    locked.lock().unwrap();
    let opening = std::thread::spawn(move || open(&folder).durable());
    // Long enough for it to come to the lock. Should it not, this test has shown less, and passes.
    std::thread::sleep(Duration::from_millis(100));
    assert!(!opening.is_finished());
    drop(locked);
    assert_eq!(opening.join().unwrap(), Cursor(100));
}

#[tokio::test]
async fn log_has_one_owner_for_ever() {
    let folder = TempDir::new().unwrap();
    drop(open(&folder));
    for other in [operator(6, NETWORK), operator(5, NetworkId(B256::repeat_byte(1)))] {
        let error = Store::open(folder.path(), other, Clock::system(), JOINING).err().unwrap();
        assert!(error.to_string().contains("another operator or network"), "{error}");
    }
    open(&folder);
}

#[tokio::test]
async fn postmarks_do_not_run_backwards_when_the_clock_does() {
    let folder = TempDir::new().unwrap();
    open(&folder).append(entry(topic(1), "first")).await.unwrap();
    let store = open_at(&folder, Timestamp::from_secs(1));
    assert_eq!(store.append(entry(topic(1), "second")).await.unwrap().postmark.accepted_at, NOW);
}

#[tokio::test]
async fn closed_stamp_is_refused_for_ever() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let nullifier = FieldElement::from(1).into();
    store.append(cancelling("used before", &[2])).await.unwrap();
    store.close(Shard::Issue(Issue(7)), &[nullifier, FieldElement::from(2).into()]).unwrap();
    drop(store);
    let store = open(&folder);
    assert!(store.is_closed(Shard::Issue(Issue(7)), &nullifier).unwrap());
    assert_eq!(refused(store.append(cancelling("letter", &[3, 1])).await), Refusal::SecretClosed);
    assert!(matches!(store.append(cancelling("again", &[2])).await, Err(AppendError::DoubleSpend(_))));
    store.append(cancelling("letter", &[3])).await.unwrap();
}

/// A letter with an index of a stake's day.
fn staked(text: &str, epoch: Epoch, nullifier: u64) -> Entry {
    let group = Group::Stake { contract: [0x22; 20].into(), tier: 2 };
    let stake = Pass::Stake(Stake { tier: 2, epoch, proof: proof(text, nullifier) });
    with(entry(topic(1), text), [(group, Shard::Epoch(epoch), stake)])
}

#[tokio::test]
async fn closed_day_of_a_stake_is_refused_until_it_is_over_and_dropped() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let (today, tomorrow) = (NOW.epoch(), Epoch(NOW.epoch().0 + 1));
    for epoch in [today, tomorrow] {
        store.close(Shard::Epoch(epoch), &[FieldElement::from(1).into()]).unwrap();
    }
    for epoch in [today, tomorrow] {
        assert_eq!(refused(store.append(staked("letter", epoch, 1)).await), Refusal::SecretClosed);
    }
    // A stamp of that number is none of it.
    store.append(cancelling("with a stamp", &[1])).await.unwrap();
    assert_eq!(store.forget_before(Issue(7), tomorrow).unwrap(), 1);
    assert!(!store.is_closed(Shard::Epoch(today), &FieldElement::from(1).into()).unwrap());
    assert!(store.is_closed(Shard::Epoch(tomorrow), &FieldElement::from(1).into()).unwrap());
}

#[tokio::test]
async fn evidence_against_a_stake_outlives_the_store_that_found_it() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    store.append(staked("letter", NOW.epoch(), 1)).await.unwrap();
    let Err(AppendError::DoubleSpend(evidence)) = store.append(staked("another", NOW.epoch(), 1)).await else {
        panic!("one index went twice");
    };
    drop(store);
    assert_eq!(open(&folder).evidence().map(Result::unwrap).collect::<Vec<_>>(), [*evidence]);
}

#[tokio::test]
async fn write_that_was_judged_against_another_bundle_is_judged_again() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let account = Account::externally_owned([1; 20].into());
    let first = cursor(store.append(owned_by(account, OwnTopic::Contact, 1, "bundle")).await);
    // Judged when there was no bundle yet.
    let late = owned_by(account, OwnTopic::Contact, 2, "another bundle");
    let Err(AppendError::Outdated(submission)) = store.append(late.clone()).await else { panic!("not judged again") };
    assert_eq!(*submission, late.submission);
    let judged_again = |bundle| {
        let mut entry = late.clone();
        entry.owner.as_mut().unwrap().bundle = Some(Cursor(bundle));
        entry
    };
    assert!(matches!(store.append(judged_again(first + 7)).await, Err(AppendError::Outdated(_))));
    store.append(judged_again(first)).await.unwrap();
}

#[tokio::test]
async fn who_is_refused_takes_nobodys_place_among_those_who_join() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let joining = |number: u8| owned_by(Account::externally_owned([number; 20].into()), OwnTopic::Contact, 1, "bundle");
    for _ in 0..10 {
        let moved = Entry { expected_head: Some(Cursor(5)), ..joining(1) };
        assert_eq!(refused(store.append(moved).await), Refusal::HeadMoved { head: Cursor(0) });
    }
    for number in 1..=3 {
        store.append(joining(number)).await.unwrap();
    }
    assert!(matches!(store.append(joining(4)).await, Err(AppendError::Overloaded)));
}

/// An opening of a conversation by a member, and its index.
fn opening(number: u8, text: &str, quota: u32, index: u64) -> Entry {
    let opened = Opened { opened_at: NOW, expires_at: NOW.saturating_add(100 * DAY), quota };
    let (operator, generation, epoch) = (OperatorId::from([9; 32]), 227, NOW.epoch());
    let group = Group::Members { operator, generation };
    let member = Pass::Member(Member { operator, generation, epoch, proof: proof(text, index) });
    let opening = Entry { conversation: Some(ConversationWrite::Open(opened)), ..entry(topic(number), text) };
    with(opening, [(group, Shard::Epoch(epoch), member)])
}

fn message(number: u8, text: &str, units: u32) -> Entry {
    Entry { conversation: Some(ConversationWrite::Post { units }), ..entry(topic(number), text) }
}

const DAY: Duration = Duration::from_secs(86_400);

#[tokio::test]
async fn opening_and_its_index_are_recorded_together_or_not_at_all() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    assert!(matches!(store.append(message(1, "too early", 1)).await, Err(AppendError::NotOpen)));
    store.append(opening(1, "opening", 5, 1)).await.unwrap();
    // What is open already cancels nothing, not even where the index was used before.
    assert_eq!(refused(store.append(opening(1, "again", 5, 2)).await), Refusal::AlreadyOpen);
    assert_eq!(refused(store.append(opening(1, "again", 5, 1)).await), Refusal::AlreadyOpen);
    assert_eq!(store.evidence().count(), 0);
    // And an index that was used opens nothing.
    let Err(AppendError::DoubleSpend(evidence)) = store.append(opening(2, "another", 5, 1)).await else {
        panic!("one index went twice");
    };
    assert!(matches!(store.append(message(2, "not open", 1)).await, Err(AppendError::NotOpen)));
    store.append(opening(2, "another", 5, 2)).await.unwrap();
    drop(store);

    let store = open(&folder);
    assert_eq!(store.evidence().map(Result::unwrap).collect::<Vec<_>>(), [*evidence]);
    assert!(matches!(evidence.group, Group::Members { generation: 227, .. }));
    store.append(message(1, "after a restart", 5)).await.unwrap();
    assert_eq!(refused(store.append(opening(1, "third", 5, 3)).await), Refusal::AlreadyOpen);
    assert!(matches!(store.append(opening(3, "used before", 5, 2)).await, Err(AppendError::DoubleSpend(_))));
}

#[tokio::test]
async fn quota_holds_among_many_who_write_at_once() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    store.append(opening(1, "opening", 100, 1)).await.unwrap();
    let texts: Vec<String> = (0..150).map(|it| format!("message {it}")).collect();
    let appends = texts.iter().map(|text| store.append(message(1, text, 1)));
    let (accepted, others): (Vec<_>, Vec<_>) =
        futures_util::future::join_all(appends).await.into_iter().partition(Result::is_ok);
    assert_eq!(accepted.len(), 100);
    for it in others {
        assert_eq!(refused(it), Refusal::QuotaExhausted);
    }
    // The same message again is no second one.
    store.append(message(1, "message 0", 1)).await.unwrap();
    drop(store);

    let tomorrow = open_at(&folder, NOW.saturating_add(DAY));
    tomorrow.append(message(1, "tomorrow", 100)).await.unwrap();
    assert_eq!(refused(tomorrow.append(message(1, "too much", 1)).await), Refusal::QuotaExhausted);
}

#[tokio::test]
async fn what_was_counted_in_an_epoch_is_dropped_two_epochs_later() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    store.append(opening(1, "opening", 100, 1)).await.unwrap();
    store.append(message(1, "message", 1)).await.unwrap();
    let epoch = NOW.epoch();
    assert_eq!(store.forget_before(Issue(0), epoch).unwrap(), 0);
    assert!(matches!(store.append(opening(2, "again", 1, 1)).await, Err(AppendError::DoubleSpend(_))));
    // The index, and the units.
    assert_eq!(store.forget_before(Issue(0), Epoch(epoch.0 + 1)).unwrap(), 2);
}

/// Drops to the end, and returns how many records went.
fn sweep(sweeper: &mut Sweeper, before: Timestamp) -> usize {
    let mut total = 0;
    loop {
        let Swept { dropped, more } = sweeper.sweep(before).unwrap();
        total += dropped;
        if !more {
            return total;
        }
    }
}

#[tokio::test]
async fn what_is_kept_no_longer_leaves_its_place_its_postmark_and_its_nullifiers() {
    let folder = TempDir::new().unwrap();
    let clock = Clock::manual(NOW);
    let open = || Store::open(folder.path(), operator(5, NETWORK), clock.clone(), JOINING).unwrap();
    let store = open();
    let first = store.append(cancelling("first", &[1])).await.unwrap();
    let other = Topic::Invite(Account::externally_owned([2; 20].into()));
    store.append(entry(other, "a letter")).await.unwrap();
    clock.set(NOW.saturating_add(Duration::from_secs(10)));
    store.append(entry(topic(1), "second")).await.unwrap();
    let mut sweeper = Sweeper::new(store.clone(), RecordKind::Message);
    assert_eq!(sweep(&mut sweeper, NOW), 0, "it is not older than that");
    assert_eq!(sweep(&mut sweeper, NOW.saturating_add(Duration::from_secs(5))), 1);
    assert_eq!(sweep(&mut sweeper, NOW.saturating_add(Duration::from_secs(5))), 0, "once");

    let check = async |store: &Store| {
        for descending in [false, true] {
            assert_eq!(texts(store, &topic(1), 0, 10, descending), (vec!["second".to_owned()], false));
        }
        let stretch = store.read(Cursor(0), 10, |_| true).unwrap();
        assert_eq!(stretch.records.iter().map(|(cursor, _)| cursor.0).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(store.append(cancelling("first", &[1])).await.unwrap(), first);
        assert_eq!(store.postmark(&first.postmark.envelope).unwrap(), Some(first));
        assert!(matches!(store.append(cancelling("thief", &[1])).await, Err(AppendError::DoubleSpend(_))));
    };
    check(&store).await;
    // The newest record goes, too, and its cursor is not given again.
    assert_eq!(sweep(&mut sweeper, NOW.saturating_add(Duration::from_secs(20))), 1);
    drop((store, sweeper));
    clock.set(NOW);
    let store = open();
    assert_eq!(store.durable(), Cursor(3));
    let last = store.append(entry(topic(1), "third")).await.unwrap().postmark;
    assert_eq!((last.cursor, last.accepted_at), (Cursor(4), NOW.saturating_add(Duration::from_secs(10))));
    assert_eq!(texts(&store, &topic(1), 0, 10, false), (vec!["third".to_owned()], false));
}

/// What a store that is closed says of its format; and makes it say something else, if there is something to say.
fn format_of(folder: &TempDir, then: Option<&str>) -> String {
    let db = sled::open(folder.path()).unwrap();
    let found = db.get("format").unwrap().unwrap();
    if let Some(then) = then {
        db.insert("format", then).unwrap();
    }
    db.flush().unwrap();
    String::from_utf8(found.to_vec()).unwrap()
}

#[tokio::test]
async fn store_of_a_format_that_is_unknown_here_is_left_as_it_is() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    store.append(entry(topic(1), "first")).await.unwrap();
    drop(store);
    assert_eq!(format_of(&folder, Some("xmtp-node store 4")), "xmtp-node store 3");
    let refused = Store::open(folder.path(), operator(5, NETWORK), Clock::manual(NOW), JOINING).err().unwrap();
    let OpenError::Format { path, found } = &refused else { panic!("{refused}") };
    assert_eq!((path.as_path(), found.as_str()), (folder.path(), "xmtp-node store 4"));
    assert_eq!(format_of(&folder, Some("xmtp-node store 3")), "xmtp-node store 4", "it was not touched");
    assert_eq!(texts(&open(&folder), &topic(1), 0, 10, false), (vec!["first".to_owned()], false));
}

#[tokio::test]
async fn store_of_an_older_format_is_refused_and_left_as_it_is() {
    let folder = TempDir::new().unwrap();
    drop(open(&folder));
    for older in ["xmtp-node store 1", "xmtp-node store 2"] {
        format_of(&folder, Some(older));
        let refused = Store::open(folder.path(), operator(5, NETWORK), Clock::manual(NOW), JOINING).err().unwrap();
        assert!(refused.to_string().contains(older), "{refused}");
        assert_eq!(format_of(&folder, None), older, "it was not touched");
    }
}

/// Groups of all sizes, so that lists end in their midst, and records so large that a list has one alone.
#[tokio::test]
async fn what_is_committed_together_is_read_from_everywhere_and_dropped_one_by_one() {
    const RECORDS: u64 = 300;
    let folder = TempDir::new().unwrap();
    let clock = Clock::manual(NOW);
    let open = || Store::open(folder.path(), operator(5, NETWORK), clock.clone(), JOINING).unwrap();
    let store = open();
    let invite = Topic::Invite(Account::externally_owned([2; 20].into()));
    // Every third is a letter, and what is dropped leaves holes everywhere.
    let of = |number: u64| if number.is_multiple_of(3) { invite } else { topic((number % 3) as u8) };
    let text = |number: u64| format!("{number:03}{}", "x".repeat(if number % 50 == 7 { 200 << 10 } else { 300 }));
    for group in [1..=1, 2..=40, 41..=43, 44..=RECORDS] {
        let entries: Vec<_> = group.map(|number| store.append(entry(of(number), &text(number)))).collect();
        assert!(futures_util::future::join_all(entries).await.iter().all(Result::is_ok));
    }
    let numbers = |store: &Store, after: u64, wanted: &dyn Fn(&Topic) -> bool| {
        let (mut numbers, mut seen) = (Vec::new(), Cursor(after));
        while seen < store.durable() {
            let stretch = store.read(seen, 1000, wanted).unwrap();
            assert!(stretch.seen > seen);
            seen = stretch.seen;
            for (cursor, record) in stretch.records {
                let bytes = record.submission.unwrap().envelope.unwrap().ciphertext;
                assert_eq!(String::from_utf8(bytes[..3].to_vec()).unwrap(), format!("{:03}", cursor.0));
                numbers.push(cursor.0);
            }
        }
        numbers
    };
    let check = |store: &Store, kept: &dyn Fn(u64) -> bool| {
        for after in [0, 1, 39, 40, 41, 100, 299] {
            let expected: Vec<u64> = (after + 1..=RECORDS).filter(|it| kept(*it)).collect();
            assert_eq!(numbers(store, after, &|_| true), expected, "behind {after}");
            let expected: Vec<u64> = expected.into_iter().filter(|it| of(*it) == topic(2)).collect();
            assert_eq!(numbers(store, after, &|it| *it == topic(2)), expected, "of one topic, behind {after}");
        }
    };
    check(&store, &|_| true);
    let mut sweeper = Sweeper::new(store.clone(), RecordKind::Letter);
    assert_eq!(sweep(&mut sweeper, NOW.saturating_add(Duration::from_secs(1))), 100);
    check(&store, &|number| !number.is_multiple_of(3));
    for number in 1..=RECORDS {
        let again = store.append(entry(of(number), &text(number))).await.unwrap();
        assert_eq!(again.postmark.cursor, Cursor(number), "it has its postmark for ever");
    }
    drop((store, sweeper));
    let store = open();
    assert_eq!(store.durable(), Cursor(RECORDS));
    check(&store, &|number| !number.is_multiple_of(3));
    let mut sweeper = Sweeper::new(store.clone(), RecordKind::Message);
    assert_eq!(sweep(&mut sweeper, NOW.saturating_add(Duration::from_secs(1))), 200);
    check(&store, &|_| false);
    drop((store, sweeper));
    let store = open();
    assert_eq!(store.append(entry(topic(1), "the next")).await.unwrap().postmark.cursor, Cursor(RECORDS + 1));
    assert_eq!(numbers_of(&store), [RECORDS + 1]);
}

/// The cursors of all that is kept.
fn numbers_of(store: &Store) -> Vec<u64> {
    let stretch = store.read(Cursor(0), 1000, |_| true).unwrap();
    stretch.records.iter().map(|(cursor, _)| cursor.0).collect()
}

#[tokio::test]
async fn of_an_owners_records_the_newest_stays_and_the_others_go_when_they_were_replaced_long_ago() {
    let folder = TempDir::new().unwrap();
    let clock = Clock::manual(NOW);
    let store = Store::open(folder.path(), operator(5, NETWORK), clock.clone(), JOINING).unwrap();
    let at = |seconds| NOW.saturating_add(Duration::from_secs(seconds));
    for order in 1..=4_u32 {
        clock.set(at(order.into()));
        store.append(owned(order.into(), "policy")).await.unwrap();
    }
    let topic = OwnTopic::Policy.of(Account::externally_owned([1; 20].into()));
    let mut sweeper = Sweeper::new(store.clone(), RecordKind::Own);
    // The second was replaced at 3, which is not before 3.
    assert_eq!(sweep(&mut sweeper, at(3)), 1);
    assert_eq!(texts(&store, &topic, 0, 10, false).0, ["2 policy", "3 policy", "4 policy"]);
    assert_eq!(sweep(&mut sweeper, at(1000)), 2);
    assert_eq!(texts(&store, &topic, 0, 10, true).0, ["4 policy"]);
    let own = store.own_record(&Account::externally_owned([1; 20].into()), OwnTopic::Policy).unwrap().unwrap();
    assert_eq!(own.cursor, Cursor(4));
    assert_eq!(sweep(&mut Sweeper::new(store.clone(), RecordKind::Own), at(1000)), 0, "the newest is kept for ever");
    assert_eq!(refused(store.append(owned(3, "late")).await), Refusal::VersionStale);
}

#[tokio::test]
async fn room_of_what_was_dropped_is_used_again() {
    const ROUNDS: u64 = 10;
    const RECORDS: usize = 32;
    let folder = TempDir::new().unwrap();
    let clock = Clock::manual(NOW);
    let store = Store::open(folder.path(), operator(5, NETWORK), clock.clone(), JOINING).unwrap();
    let mut sweeper = Sweeper::new(store.clone(), RecordKind::Message);
    let mut sizes = Vec::new();
    for round in 1..=ROUNDS {
        clock.set(NOW.saturating_add(Duration::from_secs(round)));
        // 512 KiB.
        let texts: Vec<String> = (0..RECORDS).map(|it| format!("{round} {it} {}", "x".repeat(16 << 10))).collect();
        futures_util::future::join_all(texts.iter().map(|text| store.append(entry(topic(1), text)))).await;
        assert_eq!(
            sweep(&mut sweeper, NOW.saturating_add(Duration::from_secs(round))),
            usize::from(round > 1) * RECORDS
        );
        sizes.push(bytes_in(folder.path()));
    }
    let (early, late) = (sizes[2], *sizes.last().unwrap());
    assert!(late < early * 2, "the store grows although nothing is kept: {sizes:?}");
}

fn bytes_in(folder: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| match entry.metadata().unwrap() {
            metadata if metadata.is_dir() => bytes_in(&entry.path()),
            metadata => metadata.len(),
        })
        .sum()
}
