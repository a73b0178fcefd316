//! Connections at the node: who holds a key that the recipient attested writes without a proof, within a quota.

#![allow(clippy::unwrap_used)] // A test may.

mod support;

use std::num::NonZeroU32;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use support::{Person, World};
use xmtp_node::operator::Operator;
use xmtp_node::store::{Held, Store};
use xmtp_proto::attestation::Attestation;
use xmtp_proto::derive::{Issue, NetworkId};
use xmtp_proto::envelope::Envelope;
use xmtp_proto::pass::{Connection, Pass};
use xmtp_proto::refusal::Code;
use xmtp_proto::signature::{self, Label};
use xmtp_proto::submission::Submission;
use xmtp_proto::time::{Clock, Epoch, Generation, Timestamp};
use xmtp_proto::topic::Topic;
use xmtp_prover::PassSecret;

const DAY: Duration = Duration::from_secs(86_400);

/// Somebody's key for writing to somebody.
fn holder(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn attest(network: NetworkId, by: &Person, to: &SigningKey, quota: u32, expires_at: Timestamp) -> Attestation {
    let terms = (to.verifying_key().to_bytes(), quota, expires_at);
    Attestation::new(network, by.account, terms, |digest| signature::sign(&by.identity, digest)).unwrap()
}

fn connection(network: NetworkId, it: &Attestation, by: &SigningKey, envelope: &Envelope) -> Connection {
    let digest = signature::digest(Label::Connection, network, &[envelope.id(network).as_bytes()]);
    let &Attestation { holder, quota, expires_at, signature: attestation } = it;
    Connection { holder, quota, expires_at, attestation, signature: signature::sign(by, digest) }
}

fn with(envelope: &Envelope, pass: Connection) -> Submission {
    Submission::new(envelope.clone(), vec![Pass::Connection(pass)]).unwrap()
}

async fn check(world: &mut World, sentence: &str, it: Submission, expected: Code) {
    match world.publish(it).await {
        Ok(_) => panic!("{sentence}: accepted"),
        Err(refusal) => assert_eq!(refusal.code(), expected, "{sentence}: {refusal}"),
    }
}

/// A network, and Bob, who asks for a connection.
async fn world() -> (World, Person) {
    let mut world = World::start_with("all()", Clock::manual(Clock::system().now())).await;
    let bob = world.join(2).await;
    world.set_policy(&bob, 1, "connection").await;
    (world, bob)
}

#[tokio::test]
async fn recipients_word_opens_the_door_to_one_key_alone() {
    let (mut world, bob) = world().await;
    let carol = world.join(3).await;
    let (network, later) = (world.network, world.clock.now().saturating_add(DAY));
    let alice = holder(50);
    let attested = attest(network, &bob, &alice, 10, later);
    let letter = world.letter(&bob, "letter");
    let good = connection(network, &attested, &alice, &letter);

    let other = world.letter(&bob, "another letter");
    let elsewhere = NetworkId([1; 32].into());
    for (sentence, pass, code) in [
        ("signed for another letter", connection(network, &attested, &alice, &other), Code::ProofInvalid),
        ("signed by another key", connection(network, &attested, &holder(51), &letter), Code::ProofInvalid),
        ("another's key under the attestation", Connection { holder: [9; 32], ..good.clone() }, Code::ProofInvalid),
        ("a greater quota than was attested", Connection { quota: 11, ..good.clone() }, Code::ProofInvalid),
        (
            "a longer life than was attested",
            Connection { expires_at: later.saturating_add(DAY), ..good.clone() },
            Code::ProofInvalid,
        ),
        (
            "attested by somebody else",
            connection(network, &attest(network, &carol, &alice, 10, later), &alice, &letter),
            Code::ProofInvalid,
        ),
        (
            "attested on another network",
            connection(network, &attest(elsewhere, &bob, &alice, 10, later), &alice, &letter),
            Code::ProofInvalid,
        ),
        (
            "over",
            connection(network, &attest(network, &bob, &alice, 10, world.clock.now()), &alice, &letter),
            Code::RequirementUnmet,
        ),
    ] {
        check(&mut world, sentence, with(&letter, pass), code).await;
    }
    let twice = Submission::new(letter.clone(), vec![Pass::Connection(good.clone()), Pass::Connection(good.clone())]);
    check(&mut world, "twice", twice.unwrap(), Code::Malformed).await;
    world.publish(with(&letter, good)).await.unwrap();

    // Whoever replaced its keys has vouched for nobody.
    let mut moved = Person::new(2);
    moved.identity = SigningKey::from_bytes(&[77; 32]);
    let bundle = moved.bundle(network, 2, 1);
    let publication = moved.own(&world, Topic::Contact(bob.account), bundle.to_bytes());
    world.publish(publication).await.unwrap();
    world.set_policy(&moved, 1, "connection").await;
    let after = connection(network, &attested, &alice, &other);
    check(&mut world, "attested under keys of before", with(&other, after), Code::ProofInvalid).await;
}

#[tokio::test]
async fn revoked_attestation_counts_for_nothing_although_its_signatures_hold() {
    let (mut world, bob) = world().await;
    let (network, later) = (world.network, world.clock.now().saturating_add(DAY));
    let [alice, carol] = [50, 51].map(holder);
    let [to_alice, to_carol] = [&alice, &carol].map(|key| attest(network, &bob, key, 10, later));
    let mut policy = bob.policy(network, 2, "connection").policy().clone();
    policy.revoked_attestations.push(to_alice.hash());
    let signed = bob.sign_policy(network, policy);
    let publication = bob.own(&world, Topic::Policy(bob.account), signed.to_bytes());
    world.publish(publication).await.unwrap();

    let letter = world.letter(&bob, "letter");
    let revoked = connection(network, &to_alice, &alice, &letter);
    check(&mut world, "revoked", with(&letter, revoked), Code::TagBlocked).await;
    world.publish(with(&letter, connection(network, &to_carol, &carol, &letter))).await.unwrap();
}

#[tokio::test]
async fn quota_is_of_the_day_and_of_the_key_and_survives_a_restart() {
    let (mut world, bob) = world().await;
    let network = world.network;
    // Away from the edge of a day.
    let noon = Timestamp::from_secs(world.clock.now().epoch().starts_at().as_secs() + 43_200);
    world.set_clock(noon.max(world.clock.now())).await;
    let later = world.clock.now().saturating_add(DAY * 5);
    let alice = holder(50);
    let attested = attest(network, &bob, &alice, 3, later);
    let letter = |world: &World, text: &str| {
        let envelope = world.letter(&bob, text);
        with(&envelope, connection(network, &attested, &alice, &envelope))
    };
    // A letter of two units, then one, and one that is one too much.
    let long = Envelope { ciphertext: vec![1; 17 << 10], ..world.letter(&bob, "") };
    let first = with(&long, connection(network, &attested, &alice, &long));
    let postmark = world.publish(first.clone()).await.unwrap();
    assert_eq!(
        world.publish(first).await.unwrap(),
        postmark,
        "sent again it is the same letter, and is not counted again"
    );
    world.restart().await;
    let it = letter(&world, "second");
    world.publish(it).await.unwrap();
    let it = letter(&world, "third");
    check(&mut world, "beyond the quota", it.clone(), Code::QuotaExhausted).await;

    // Another attestation of the same key brings no second quota, but what it has more.
    let more = attest(network, &bob, &alice, 4, later);
    let envelope = it.envelope().clone();
    world.publish(with(&envelope, connection(network, &more, &alice, &envelope))).await.unwrap();
    let it = letter(&world, "fourth");
    check(&mut world, "beyond both", it, Code::QuotaExhausted).await;

    world.set_clock(world.clock.now().saturating_add(DAY)).await;
    let it = letter(&world, "tomorrow");
    world.publish(it).await.unwrap();
    audit(&mut world).await;
}

#[tokio::test]
async fn letters_at_once_share_one_quota() {
    let (mut world, bob) = world().await;
    let network = world.network;
    let attested = attest(network, &bob, &holder(50), 5, world.clock.now().saturating_add(DAY));
    let publications = (0..20).map(|number| {
        let envelope = world.letter(&bob, &format!("letter {number}"));
        with(&envelope, connection(network, &attested, &holder(50), &envelope))
    });
    let mut sending = tokio::task::JoinSet::new();
    for submission in publications {
        let mut client = world.client.clone();
        sending.spawn(async move {
            let publication =
                xmtp_proto::wire::Publication { submission: Some(submission.into()), expected_head: None };
            let request = xmtp_proto::wire::PublishRequest { publications: vec![publication] };
            support::outcome(client.publish(request).await.unwrap().into_inner().results.remove(0))
        });
    }
    let results = sending.join_all().await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 5);
    for refusal in results.into_iter().filter_map(Result::err) {
        assert_eq!(refusal.code(), Code::QuotaExhausted, "{refusal}");
    }
    audit(&mut world).await;
}

/// What a blocked sender could try: another secret, and so another pseudonym and another quota. A quarter has room for one
/// change, for who was robbed; the next one joins nothing.
#[tokio::test]
async fn fresh_commitment_is_no_way_out_of_a_block_or_a_quota_within_the_quarter() {
    let (mut world, _) = world().await;
    let (network, alice) = (world.network, world.join(5).await);
    let generation = Generation::at(world.clock.now());
    let [second, third] = [81_u8, 82].map(|seed| PassSecret::from_wide_bytes(&[seed; 64]).unwrap().commitment());
    world.admitted(&alice).await;
    let publish = async |world: &mut World, revision: u32, commitment| {
        let bundle = alice.bundle_of(network, (revision, 1), generation, commitment);
        let publication = alice.own(world, Topic::Contact(alice.account), bundle.to_bytes());
        world.publish(publication).await.unwrap();
    };
    let joined = async |world: &mut World, commitment| {
        for _ in 0..500 {
            if world.path_of(commitment).await.is_some() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("waited in vain: the commitment is in the group");
    };
    publish(&mut world, 2, second).await;
    joined(&mut world, second).await;
    assert!(world.path_of(alice.secret().commitment()).await.is_none(), "its predecessor left");

    // Bob blocks whom he knows by the second; a third changes nothing about that, nor does going back to the first.
    for (revision, commitment) in [(3, third), (4, alice.secret().commitment())] {
        publish(&mut world, revision, commitment).await;
        // Somebody who joins behind it is in, so it was looked at.
        let witness = world.join(90 + u8::try_from(revision).unwrap()).await;
        world.admitted(&witness).await;
        assert!(world.path_of(commitment).await.is_none(), "revision {revision} joined");
    }
    assert!(world.path_of(second).await.is_some(), "what was named last and counted stays");
}

/// Ends the node and looks whether its store kept its promises.
async fn audit(world: &mut World) {
    world.node.take().unwrap().shutdown().await.unwrap();
    let key = alloy::signers::local::PrivateKeySigner::from_slice(&[5; 32]).unwrap();
    let folder = world.folder.path().join("data");
    let store = Store::open(&folder, Operator::new(key, world.network), Clock::system(), NonZeroU32::MAX).unwrap();
    let audit = store.audit(Held { issue: Issue(0), epoch: Epoch(0) }).unwrap();
    assert_eq!(audit.faults, []);
    assert!(audit.records > 0);
}
