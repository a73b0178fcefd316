//! Reading pays: the recipient of letters with stamps says that it has read them, once, and nobody else can.

#![allow(clippy::unwrap_used)] // A test may.

mod support;

use std::num::NonZeroU32;

use alloy::signers::local::PrivateKeySigner;
use support::{Person, Tag, World};
use xmtp_node::operator::Operator;
use xmtp_node::store::{Held, Store};
use xmtp_proto::derive::{EnvelopeId, Issue, NetworkId};
use xmtp_proto::envelope::Envelope;
use xmtp_proto::pass::Pass;
use xmtp_proto::receipt::{self, Receipt};
use xmtp_proto::refusal::Code;
use xmtp_proto::signature;
use xmtp_proto::submission::Submission;
use xmtp_proto::time::{Clock, Epoch};
use xmtp_proto::topic::Topic;
use xmtp_prover::Limit;
use xmtp_sdk::inbox::Which;

fn read(network: NetworkId, by: &Person, letter: EnvelopeId) -> Receipt {
    Receipt::new(network, letter, |digest| signature::sign(&by.identity, digest))
}

async fn check(world: &mut World, sentence: &str, it: Submission, expected: Code) {
    match world.publish(it).await {
        Ok(_) => panic!("{sentence}: accepted"),
        Err(refusal) => assert_eq!(refusal.code(), expected, "{sentence}: {refusal}"),
    }
}

#[tokio::test]
async fn letter_is_read_once_and_by_its_recipient_alone() {
    let mut world = World::start().await;
    let (bob, carol) = (world.join(2).await, world.join(3).await);
    let (network, book) = (world.network, world.buy(1, 16, 11).await);
    let mut letters = Vec::new();
    for index in 0..2 {
        let envelope = world.letter(&bob, &format!("letter {index}"));
        let stamp = world.stamp(&book, index, &envelope, Tag::ToNonce).await;
        world.publish(Submission::new(envelope.clone(), vec![Pass::Stamp(stamp)]).unwrap()).await.unwrap();
        letters.push(envelope.id(network));
    }
    let [first, second] = letters[..] else { panic!() };
    let told = |world: &World, by: &Person, on: &Person, receipts: &[Receipt]| {
        by.own(world, Topic::Receipts(on.account), receipt::to_bytes(receipts))
    };

    let unknown = EnvelopeId::from([9; 32]);
    for (sentence, by, on, receipts, code) in [
        ("another's topic", &carol, &bob, vec![read(network, &carol, first)], Code::NotOwner),
        ("another's letter", &carol, &carol, vec![read(network, &carol, first)], Code::Malformed),
        ("another's signature", &bob, &bob, vec![read(network, &carol, first)], Code::NotOwner),
        ("no letter", &bob, &bob, vec![read(network, &bob, unknown)], Code::Malformed),
        (
            "one letter and none",
            &bob,
            &bob,
            vec![read(network, &bob, first), read(network, &bob, unknown)],
            Code::Malformed,
        ),
        ("no receipt", &bob, &bob, vec![], Code::Malformed),
    ] {
        let it = told(&world, by, on, &receipts);
        check(&mut world, sentence, it, code).await;
    }
    let store = |world: &World| world.node.as_ref().unwrap().store().clone();
    assert_eq!(store(&world).receipt(&first).unwrap(), None);

    let it = told(&world, &bob, &bob, &[read(network, &bob, first)]);
    let postmark = world.publish(it.clone()).await.unwrap();
    assert_eq!(store(&world).receipt(&first).unwrap(), Some(postmark.postmark.cursor));
    assert_eq!(world.publish(it).await.unwrap(), postmark, "the same bytes are the same receipt");
    let again = Envelope {
        sent_at: world.clock.now(),
        topic: Topic::Receipts(bob.account),
        ciphertext: receipt::to_bytes(&[read(network, &bob, first)]),
    };
    let owner = bob.owner(network, &again);
    check(&mut world, "told twice", Submission::new(again, vec![owner]).unwrap(), Code::VersionStale).await;

    world.restart().await;
    let both = told(&world, &bob, &bob, &[read(network, &bob, first), read(network, &bob, second)]);
    let later = world.publish(both).await.unwrap();
    assert_eq!(store(&world).receipt(&first).unwrap(), Some(postmark.postmark.cursor), "the first word counts");
    assert_eq!(store(&world).receipt(&second).unwrap(), Some(later.postmark.cursor));
    audit(&mut world, 2).await;
}

#[tokio::test]
async fn client_tells_what_it_read_unless_it_was_told_not_to() {
    let mut world = World::start().await;
    let homes = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let client = async |world: &World, person: usize, home: usize, receipts: bool| {
        world.builder(person, homes[home].path()).receipts(receipts).connect().await.unwrap()
    };
    let alice = client(&world, 1, 0, true).await;
    let quiet = client(&world, 2, 1, false).await;
    for it in [&alice, &quiet] {
        it.create_identity().await.unwrap();
    }
    world.fund(alice.account().address()).await;
    alice.buy_stamps(1.try_into().unwrap(), Limit::new(8).unwrap()).await.unwrap();
    let letter = alice.send(&quiet.account().to_string(), "Dear Bob").await.unwrap().envelope;

    assert_eq!(quiet.inbox(Which::New).await.unwrap().messages.len(), 1);
    let receipt = |world: &World| world.node.as_ref().unwrap().store().receipt(&letter).unwrap();
    assert_eq!(receipt(&world), None);
    assert_eq!(quiet.state().receipts_wanted().unwrap(), [letter], "it is on record, for another day");
    drop(quiet);
    let bob = client(&world, 2, 1, true).await;
    assert!(bob.inbox(Which::New).await.unwrap().messages.is_empty());
    let first = receipt(&world);
    assert!(first.is_some());
    assert!(bob.state().receipts_wanted().unwrap().is_empty());
    // Another installation reads the same letter, and is told that nothing is left to tell.
    let second = client(&world, 2, 2, true).await;
    second.restore_identity().await.unwrap();
    assert_eq!(second.inbox(Which::New).await.unwrap().messages.len(), 1);
    assert_eq!((receipt(&world), second.state().receipts_wanted().unwrap()), (first, Vec::new()));
    drop((bob, second, alice));
    audit(&mut world, 1).await;
}

/// Ends the node and looks whether its store kept its promises.
async fn audit(world: &mut World, receipts: u64) {
    world.node.take().unwrap().shutdown().await.unwrap();
    let key = PrivateKeySigner::from_slice(&[5; 32]).unwrap();
    let folder = world.folder.path().join("data");
    let store = Store::open(&folder, Operator::new(key, world.network), Clock::system(), NonZeroU32::MAX).unwrap();
    let audit = store.audit(Held { issue: Issue(0), epoch: Epoch(0) }).unwrap();
    assert_eq!((audit.faults, audit.receipts), (vec![], receipts));
}
