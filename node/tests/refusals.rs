//! Every refusal through the real API, each with its code, and what was refused cancels nothing.

#![allow(clippy::unwrap_used)] // A test may.

mod support;

use std::time::Duration;

use alloy::primitives::B256;
use prost::Message as _;
use support::{Book, Person, Tag, World};
use xmtp_proto::derive::{Denomination, Issue, NetworkId};
use xmtp_proto::envelope::{Envelope, MAX_CIPHERTEXT_BYTES};
use xmtp_proto::field::{FieldElement, MODULUS, Scope};
use xmtp_proto::pass::{Claim, Issuer, Pass, Stamp};
use xmtp_proto::postmark::Cursor;
use xmtp_proto::refusal::{AskedBy, Code, Refusal};
use xmtp_proto::requirement::Requirement;
use xmtp_proto::submission::{MAX_PASSES, MAX_PER_CALL, MAX_STAMPS, Submission};
use xmtp_proto::time::{Clock, Epoch, Timestamp};
use xmtp_proto::topic::Topic;
use xmtp_proto::vault::VaultRecord;
use xmtp_proto::wire;

fn submission(envelope: &Envelope, stamps: &[&Stamp]) -> Submission {
    let passes = stamps.iter().map(|stamp| Pass::Stamp((*stamp).clone())).collect();
    Submission::new(envelope.clone(), passes).unwrap()
}

async fn check(world: &mut World, sentence: &str, submission: Submission, expected: Code) -> Refusal {
    check_wire(world, sentence, submission.into(), expected).await
}

async fn check_wire(world: &mut World, sentence: &str, submission: wire::Submission, expected: Code) -> Refusal {
    match world.publish_wire(submission, None).await {
        Ok(postmark) => panic!("{sentence}: accepted at {:?}", postmark.postmark.cursor),
        Err(refusal) => {
            assert_eq!(refusal.code(), expected, "{sentence}: {refusal}");
            refusal
        }
    }
}

#[tokio::test]
async fn what_is_not_paid_is_not_relayed() {
    let mut world = World::start().await;
    let bob = world.join(2).await;
    world.set_policy(&bob, 1, "stamp(5)").await;
    let ones = world.buy(1, 4, 11).await;
    let fives = world.buy(5, 4, 12).await;
    let letter = world.letter(&bob, "letter");
    let one = world.stamp(&ones, 0, &letter, Tag::ToNonce).await;
    let five = world.stamp(&fives, 0, &letter, Tag::ToNonce).await;

    let unmet = check(&mut world, "no pass", submission(&letter, &[]), Code::RequirementUnmet).await;
    assert!(matches!(unmet, Refusal::RequirementUnmet { asked_by: AskedBy::Network, .. }), "{unmet}");
    let unmet = check(&mut world, "too little", submission(&letter, &[&one]), Code::RequirementUnmet).await;
    let five_units = Requirement::Stamp { at_least: 5, tagged: false };
    assert_eq!(unmet, Refusal::RequirementUnmet { unmet: five_units, asked_by: AskedBy::Account });

    let surplus = submission(&letter, &[&one, &five]);
    check(&mut world, "a surplus pass", surplus, Code::Malformed).await;
    let large = Envelope { ciphertext: vec![7; 16 * 1024 + 1], ..letter.clone() };
    let five_for_large = world.stamp(&fives, 1, &large, Tag::ToNonce).await;
    let refused = submission(&large, &[&five_for_large]);
    check(&mut world, "a second unit of ciphertext unpaid", refused, Code::RequirementUnmet).await;

    let stranger = Person::new(9);
    let nowhere = world.letter(&stranger, "hello?");
    check(&mut world, "no such inbox", submission(&nowhere, &[&five]), Code::NoSuchInbox).await;

    // None of the refusals cancelled anything.
    world.publish(submission(&letter, &[&five])).await.unwrap();
    let other = world.letter(&bob, "with ones");
    let ten = world.buy(10, 1, 13).await;
    let ten = world.stamp(&ten, 0, &other, Tag::ToNonce).await;
    world.publish(submission(&other, &[&ten])).await.unwrap();
}

#[tokio::test]
async fn proof_is_good_for_its_own_letter_only() {
    let mut world = World::start().await;
    let (bob, carol) = (world.join(2).await, world.join(3).await);
    let book = world.buy(1, 16, 11).await;
    let other_book = world.buy(2, 16, 12).await;
    let letter = world.letter(&bob, "letter");
    let good = world.stamp(&book, 0, &letter, Tag::ToTopic).await;
    let with = |change: &dyn Fn(&mut Stamp)| {
        let mut stamp = good.clone();
        change(&mut stamp);
        submission(&letter, &[&stamp])
    };

    let mut rows: Vec<(&str, Submission, Code)> = Vec::new();
    let another = Envelope { ciphertext: b"another".to_vec(), ..letter.clone() };
    rows.push(("another envelope", submission(&another, &[&good]), Code::ProofInvalid));
    let later = Envelope { sent_at: letter.sent_at.saturating_add(Duration::from_nanos(1)), ..letter.clone() };
    rows.push(("another time", submission(&later, &[&good]), Code::ProofInvalid));
    let elsewhere = Envelope { topic: Topic::Invite(carol.account), ..letter.clone() };
    rows.push(("another recipient", submission(&elsewhere, &[&good]), Code::ProofInvalid));

    // Made for this letter, and under the wrong topic's scope.
    let wrong_scope = xmtp_proto::derive::scope(world.network, &Topic::Contact(bob.account));
    let stamp = world.stamp_with(&book, 1, letter.id(world.network), wrong_scope, None).await;
    rows.push(("another topic's tag", submission(&letter, &[&stamp]), Code::ProofInvalid));
    let other_network = NetworkId(B256::repeat_byte(1));
    let scope = Scope::from(FieldElement::from(5));
    let stamp = world.stamp_with(&book, 2, letter.id(other_network), scope, Some(scope)).await;
    rows.push(("another network's digest", submission(&letter, &[&stamp]), Code::ProofInvalid));
    // The digest is right, and the group is the other network's.
    let (network, id) = (world.network, letter.id(world.network));
    world.network = other_network;
    let stamp = world.stamp_with(&book, 3, id, scope, Some(scope)).await;
    world.network = network;
    rows.push(("another network's group", submission(&letter, &[&stamp]), Code::ProofInvalid));

    let two = Denomination::try_from(2).unwrap();
    rows.push(("a root of another group", with(&|it| it.denomination = two), Code::RootUnknown));
    let root = world.newest_root(&other_book).await;
    let dearer = with(&|it| (it.denomination, it.proof.root) = (two, root));
    rows.push(("another group's stamp", dearer, Code::ProofInvalid));
    let one = FieldElement::from(1);
    rows.push(("a root that never was", with(&|it| it.proof.root = one.into()), Code::RootUnknown));
    rows.push(("another nullifier", with(&|it| it.proof.nullifier = one.into()), Code::ProofInvalid));
    rows.push(("another share", with(&|it| it.proof.share = one.into()), Code::ProofInvalid));
    rows.push(("another tag", with(&|it| it.proof.tag = one.into()), Code::ProofInvalid));
    rows.push(("a scope of one's choice", with(&|it| it.nonce = Some(one.into())), Code::ProofInvalid));
    let old = Issue(book.issue.0 - Issue::VALID_AFTER - 1);
    rows.push(("an issue that is over", with(&|it| it.issue = old), Code::EpochWrong));
    let next = Issue(book.issue.0 + 1);
    rows.push(("an issue that is not yet", with(&|it| it.issue = next), Code::EpochWrong));
    rows.push(("points that are none", with(&|it| it.proof.points = [0xff; 128]), Code::Malformed));
    rows.push(("points at infinity", with(&|it| it.proof.points = infinity()), Code::Malformed));
    for (sentence, submission, code) in rows {
        check(&mut world, sentence, submission, code).await;
    }
    world.publish(submission(&letter, &[&good])).await.unwrap();
}

/// A, B and C at infinity, as arkworks flags it.
fn infinity() -> [u8; 128] {
    let mut points = [0; 128];
    for last in [31, 95, 127] {
        points[last] = 0x40;
    }
    points
}

#[tokio::test]
async fn second_use_of_a_stamp_reveals_its_secret() {
    let mut world = World::start().await;
    let bob = world.join(2).await;
    let book = world.buy(1, 16, 11).await;
    let letter = world.letter(&bob, "letter");
    let stamp = world.stamp(&book, 0, &letter, Tag::ToNonce).await;
    let first = world.publish(submission(&letter, &[&stamp])).await.unwrap();
    assert_eq!(first.postmark.operator, alloy::primitives::Address::from_slice(&operator(&mut world).await));
    assert_eq!(first.postmark.cancelled, xmtp_proto::derive::cancelled_hash(&[stamp.proof.nullifier]));

    // The same envelope again: the same postmark, before any pass is looked at.
    assert_eq!(world.publish(submission(&letter, &[&stamp])).await.unwrap(), first);
    assert_eq!(world.publish(submission(&letter, &[])).await.unwrap(), first);

    let second = world.letter(&bob, "second letter");
    let again = world.stamp(&book, 0, &second, Tag::ToNonce).await;
    assert_eq!(again.proof.nullifier, stamp.proof.nullifier);
    let refusal = check(&mut world, "used", submission(&second, &[&again]), Code::NullifierUsed).await;
    assert_eq!(refusal, Refusal::NullifierUsed { nullifier: stamp.proof.nullifier });

    world.restart().await;
    let store = world.node.as_ref().unwrap().store();
    let evidence: Vec<_> = store.evidence().map(Result::unwrap).collect();
    let [evidence] = evidence.as_slice() else { panic!("{evidence:?}") };
    let recovered = xmtp_prover::recover(evidence.first, evidence.second).unwrap();
    assert_eq!(recovered.commitment(), book.secret.commitment());
    check(&mut world, "used before the restart", submission(&second, &[&again]), Code::NullifierUsed).await;
    // The secret is known to the world, so no other stamp of the book is worth anything either.
    let third = world.letter(&bob, "third letter");
    let unused = world.stamp(&book, 15, &third, Tag::ToNonce).await;
    check(&mut world, "a closed book", submission(&third, &[&unused]), Code::SecretClosed).await;
}

#[tokio::test]
async fn slashed_book_is_closed_although_older_roots_still_have_it() {
    let mut world = World::start().await;
    let bob = world.join(2).await;
    let book = world.buy(1, 16, 11).await;
    let letter = world.letter(&bob, "letter");
    let stamp = world.stamp(&book, 3, &letter, Tag::ToNonce).await;
    world.slash(&book).await;
    support::until("the node closes the book", async || {
        let store = world.node.as_ref().unwrap().store();
        store.is_closed(xmtp_node::store::Shard::Issue(book.issue), &stamp.proof.nullifier).unwrap()
    })
    .await;
    check(&mut world, "a slashed book", submission(&letter, &[&stamp]), Code::SecretClosed).await;
}

async fn operator(world: &mut World) -> Vec<u8> {
    world.client.get_network(wire::GetNetworkRequest {}).await.unwrap().into_inner().operator
}

#[tokio::test]
async fn malformed_bytes_are_refused_by_the_rule_they_break() {
    let mut world = World::start().await;
    let bob = world.join(2).await;
    let book = world.buy(1, 16, 11).await;
    let letter = world.letter(&bob, "letter");
    let stamp = world.stamp(&book, 0, &letter, Tag::ToNonce).await;
    let good: wire::Submission = submission(&letter, &[&stamp]).into();
    let changed = |change: &dyn Fn(&mut wire::Submission)| {
        let mut wire = good.clone();
        change(&mut wire);
        wire
    };
    fn proof(wire: &mut wire::Submission) -> &mut wire::Proof {
        stamp_of(wire).proof.as_mut().unwrap()
    }
    fn stamp_of(wire: &mut wire::Submission) -> &mut wire::Stamp {
        match wire.passes[0].pass.as_mut().unwrap() {
            wire::pass::Pass::Stamp(stamp) => stamp,
            other => panic!("{other:?}"),
        }
    }
    fn envelope(wire: &mut wire::Submission) -> &mut wire::Envelope {
        wire.envelope.as_mut().unwrap()
    }

    let modulus = MODULUS.to_vec();
    // The nullifier plus r: the same number modulo r, under another name.
    let alias = (stamp.proof.nullifier.field().to_u256() + alloy::primitives::U256::from_be_bytes(MODULUS))
        .to_be_bytes::<32>()
        .to_vec();
    let rows: Vec<(&str, wire::Submission)> = vec![
        ("one nullifier twice", changed(&|it| it.passes.push(it.passes[0].clone()))),
        ("no envelope", changed(&|it| it.envelope = None)),
        ("an empty pass", changed(&|it| it.passes[0].pass = None)),
        ("a stamp without its proof", changed(&|it| stamp_of(it).proof = None)),
        ("a denomination that is not sold", changed(&|it| stamp_of(it).denomination = 3)),
        ("a nonce not below r", changed(&|it| stamp_of(it).nonce = modulus.clone())),
        ("a nonce of one byte", changed(&|it| stamp_of(it).nonce = vec![1])),
        ("a root not below r", changed(&|it| proof(it).root = modulus.clone())),
        ("the nullifier under another name", changed(&|it| proof(it).nullifier = alias.clone())),
        ("a share not below r", changed(&|it| proof(it).share = vec![0xff; 32])),
        ("a tag of 31 bytes", changed(&|it| proof(it).tag = vec![0; 31])),
        ("points of 127 bytes", changed(&|it| proof(it).points.truncate(127))),
        ("points of 129 bytes", changed(&|it| proof(it).points.push(0))),
        ("too many passes", changed(&|it| it.passes = vec![it.passes[0].clone(); MAX_PASSES + 1])),
        (
            "too many stamps",
            changed(&|it| {
                it.passes = (0..=MAX_STAMPS).map(|_| it.passes[0].clone()).collect();
                for (number, pass) in it.passes.iter_mut().enumerate() {
                    let Some(wire::pass::Pass::Stamp(stamp)) = &mut pass.pass else { continue };
                    stamp.proof.as_mut().unwrap().nullifier[31] ^= u8::try_from(number).unwrap();
                }
            }),
        ),
        ("a ciphertext above 1 MiB", changed(&|it| envelope(it).ciphertext = vec![0; MAX_CIPHERTEXT_BYTES + 1])),
        ("a topic above 300 bytes", changed(&|it| envelope(it).topic = "/".repeat(301))),
        ("a topic in upper case", changed(&|it| envelope(it).topic = it_upper(&letter))),
        ("a topic with a trailing slash", changed(&|it| envelope(it).topic += "/")),
        ("a topic with a zero byte", changed(&|it| envelope(it).topic += "\0")),
        (
            "a topic of the wrong version",
            changed(&|it| envelope(it).topic = letter.topic.to_string().replace("/1/", "/2/")),
        ),
        ("a topic that is none", changed(&|it| envelope(it).topic = "invite".to_owned())),
    ];
    for (sentence, wire) in rows {
        check_wire(&mut world, sentence, wire, Code::Malformed).await;
    }

    // Limits of a whole call are the call's own error.
    let publication = wire::Publication { submission: Some(good.clone()), expected_head: None };
    let many = wire::PublishRequest { publications: vec![publication.clone(); MAX_PER_CALL + 1] };
    assert_eq!(world.client.publish(many).await.unwrap_err().code(), tonic::Code::InvalidArgument);
    let large = wire::Publication {
        submission: Some(changed(&|it| envelope(it).ciphertext = vec![0; 1 << 20])),
        expected_head: None,
    };
    let large = wire::PublishRequest { publications: vec![large; 5] };
    assert_eq!(world.client.publish(large).await.unwrap_err().code(), tonic::Code::OutOfRange);
    let nameless = wire::QueryRequest { topic: "/xmtp/1/invite-nobody/proto".to_owned(), ..Default::default() };
    assert_eq!(world.client.query(nameless).await.unwrap_err().code(), tonic::Code::InvalidArgument);
    // Each submission of a call has its own result.
    let mixed = wire::PublishRequest {
        publications: vec![wire::Publication { submission: None, expected_head: None }, publication],
    };
    let results = world.client.publish(mixed).await.unwrap().into_inner().results;
    let codes: Vec<_> = results.into_iter().map(|it| support::outcome(it).map_err(|it| it.code())).collect();
    assert_eq!(codes.first().unwrap().as_ref().unwrap_err(), &Code::Malformed);
    assert!(codes[1].is_ok());
}

fn it_upper(letter: &Envelope) -> String {
    letter.topic.to_string().replace("0x", "0X")
}

#[tokio::test]
async fn passes_of_kinds_that_come_later_are_not_offered() {
    let mut world = World::start().await;
    let bob = world.join(2).await;
    let book = world.buy(1, 16, 11).await;
    let letter = world.letter(&bob, "letter");
    let proof = world.stamp(&book, 0, &letter, Tag::ToTopic).await.proof;
    let epoch = Epoch(20_000);
    let later = [
        Pass::Claim(Claim { id: [1; 32].into(), generation: 1, epoch, proof }),
        Pass::Issuer(Issuer { issuer: [1; 20].into(), signature: [1; 65] }),
    ];
    for pass in later {
        let sentence = format!("{pass:?}");
        let it = Submission::new(letter.clone(), vec![pass]).unwrap();
        check(&mut world, &sentence, it, Code::NotOffered).await;
    }
    let topic = Topic::Claim(B256::ZERO);
    let it = Submission::new(Envelope { topic, ..letter.clone() }, Vec::new()).unwrap();
    check(&mut world, "a topic of a later kind", it, Code::NotOffered).await;
}

#[tokio::test]
async fn blocked_tag_counts_for_nothing() {
    let mut world = World::start().await;
    let bob = world.join(2).await;
    let book = world.buy(1, 16, 11).await;
    let letter = world.letter(&bob, "letter");
    let stamp = world.stamp(&book, 0, &letter, Tag::ToTopic).await;
    let mut policy = bob.policy(world.network, 1, "stamp(1, tagged)").policy().clone();
    policy.blocked_tags.push(stamp.proof.tag);
    let signed = bob.sign_policy(world.network, policy);
    let it = bob.own(&world, Topic::Policy(bob.account), signed.to_bytes());
    world.publish(it).await.unwrap();

    let untagged = world.stamp(&book, 1, &letter, Tag::ToNonce).await;
    check(&mut world, "untagged", submission(&letter, &[&untagged]), Code::RequirementUnmet).await;
    check(&mut world, "blocked", submission(&letter, &[&stamp]), Code::TagBlocked).await;
    let stranger = world.buy(1, 16, 12).await;
    let welcome = world.stamp(&stranger, 0, &letter, Tag::ToTopic).await;
    world.publish(submission(&letter, &[&welcome])).await.unwrap();
}

#[tokio::test]
async fn nobody_writes_on_what_belongs_to_another() {
    let mut world = World::start().await;
    let bob = world.join(2).await;
    let mallory = world.join(66).await;
    let network = world.network;
    let contact = Topic::Contact(bob.account);

    // Mallory's own bundle, policy and vault on Bob's topics; Bob's under Mallory's signature; none at all.
    let mut rows: Vec<(&str, Submission, Code)> = Vec::new();
    let it = mallory.own(&world, contact, mallory.bundle(network, 2, 1).to_bytes());
    rows.push(("another's bundle", it, Code::Malformed));
    let it = mallory.own(&world, contact, bob.bundle(network, 2, 1).to_bytes());
    rows.push(("a bundle published by another", it, Code::NotOwner));
    let mut forged = bob.bundle(network, 2, 1);
    forged.keys.identity_key = mallory.identity.verifying_key().to_bytes();
    forged.signature = xmtp_proto::signature::sign(&mallory.identity, forged.digest(network));
    let it = mallory.own(&world, contact, forged.to_bytes());
    rows.push(("keys that the wallet did not attest", it, Code::NotOwner));
    let elsewhere = bob.bundle(NetworkId(B256::repeat_byte(1)), 2, 1);
    rows.push(("a bundle of another network", bob.own(&world, contact, elsewhere.to_bytes()), Code::NotOwner));

    let policy = Topic::Policy(bob.account);
    let it = mallory.own(&world, policy, mallory.policy(network, 1, "any()").to_bytes());
    rows.push(("another's policy", it, Code::Malformed));
    let mut named = mallory.policy(network, 1, "any()").policy().clone();
    named.account = bob.account;
    let it = mallory.own(&world, policy, mallory.sign_policy(network, named.clone()).to_bytes());
    rows.push(("a policy in another's name", it, Code::NotOwner));
    let it = bob.own(&world, policy, mallory.sign_policy(network, named).to_bytes());
    rows.push(("a policy that another signed", it, Code::NotOwner));

    let vault = |version| VaultRecord { version, salt: [1; 32], nonce: [2; 24], sealed: vec![3; 100] }.to_bytes();
    let topic = Topic::Vault(bob.account);
    rows.push(("another's vault", mallory.own(&world, topic, vault(1)), Code::NotOwner));
    let envelope = Envelope { topic, sent_at: world.clock.now(), ciphertext: vault(1) };
    rows.push(("nobody's signature", Submission::new(envelope, Vec::new()).unwrap(), Code::NotOwner));
    let stranger = Person::new(9);
    let it = stranger.own(&world, Topic::Vault(stranger.account), vault(1));
    rows.push(("a vault without an inbox", it, Code::NoSuchInbox));
    let it = stranger.own(&world, Topic::Policy(stranger.account), stranger.policy(network, 1, "all()").to_bytes());
    rows.push(("a policy without an inbox", it, Code::NoSuchInbox));
    let twice = bob.own(&world, topic, vault(1));
    let [owner] = twice.passes() else { panic!() };
    let twice = Submission::new(twice.envelope().clone(), vec![owner.clone(), owner.clone()]).unwrap();
    rows.push(("a second owner's pass", twice, Code::Malformed));
    for (sentence, submission, code) in rows {
        check(&mut world, sentence, submission, code).await;
    }
}

#[tokio::test]
async fn older_records_do_not_replace_newer_ones() {
    let mut world = World::start().await;
    let bob = world.join(2).await;
    let network = world.network;
    let vault =
        |version, byte| VaultRecord { version, salt: [1; 32], nonce: [2; 24], sealed: vec![byte; 100] }.to_bytes();

    let contact = Topic::Contact(bob.account);
    let next = bob.own(&world, contact, bob.bundle(network, 2, 3).to_bytes());
    world.publish(next).await.unwrap();
    world.set_policy(&bob, 5, "stamp(5)").await;
    let it = bob.own(&world, Topic::Vault(bob.account), vault(5, 0));
    world.publish(it).await.unwrap();

    let mut rows: Vec<(&str, Submission)> = Vec::new();
    rows.push(("a lower version", bob.own(&world, contact, bob.bundle(network, 2, 2).to_bytes())));
    rows.push(("a lower revision", bob.own(&world, contact, bob.bundle(network, 1, 9).to_bytes())));
    let mut other = bob.bundle(network, 2, 3);
    other.prekey = [9; 32];
    other.signature = xmtp_proto::signature::sign(&bob.identity, other.digest(network));
    rows.push(("the same version with other content", bob.own(&world, contact, other.to_bytes())));
    let thief = Person { wallet: bob.wallet.clone(), identity: Person::new(8).identity, account: bob.account };
    let it = thief.own(&world, contact, thief.bundle(network, 2, 4).to_bytes());
    rows.push(("other keys under the same revision", it));
    let policy = Topic::Policy(bob.account);
    rows.push(("an older policy", bob.own(&world, policy, bob.policy(network, 4, "all()").to_bytes())));
    let it = bob.own(&world, policy, bob.policy(network, 5, "all()").to_bytes());
    rows.push(("this policy with other content", it));
    rows.push(("an older vault", bob.own(&world, Topic::Vault(bob.account), vault(4, 0))));
    rows.push(("this vault with other content", bob.own(&world, Topic::Vault(bob.account), vault(5, 1))));
    for (sentence, submission) in rows {
        check(&mut world, sentence, submission, Code::VersionStale).await;
    }

    // Written against a head that is no longer the topic's.
    let it = bob.own(&world, Topic::Vault(bob.account), vault(6, 0));
    let refusal = world.publish_wire(it.clone().into(), Some(Cursor::default())).await.unwrap_err();
    let Refusal::HeadMoved { head } = refusal else { panic!("{refusal}") };
    world.publish_wire(it.into(), Some(head)).await.unwrap();

    // Whoever stole the identity key has signed the highest version there is.
    let it = bob.own(&world, policy, bob.policy(network, u64::MAX, "any()").to_bytes());
    world.publish(it).await.unwrap();
    // A new revision replaces the identity key; what the old key signed is nobody's word any more.
    let renewed = Person { wallet: bob.wallet.clone(), identity: Person::new(8).identity, account: bob.account };
    let it = renewed.own(&world, contact, renewed.bundle(network, 3, 1).to_bytes());
    world.publish(it).await.unwrap();
    let topic = Topic::Invite(bob.account).to_string();
    let asked = world.client.get_requirements(wire::GetRequirementsRequest { topic }).await.unwrap().into_inner();
    assert!(asked.policy.is_empty(), "a policy outlived the key that signed it");
    let it = bob.own(&world, policy, bob.policy(network, 9, "all()").to_bytes());
    check(&mut world, "the old key", it, Code::NotOwner).await;
    // And versions start anew under the new one.
    world.set_policy(&renewed, 1, "stamp(2)").await;
}

#[tokio::test]
async fn records_have_their_limits() {
    let mut world = World::start().await;
    let bob = world.join(2).await;
    let [contact, policy, vault] = [Topic::Contact(bob.account), Topic::Policy(bob.account), Topic::Vault(bob.account)];
    let record =
        |version, bytes| VaultRecord { version, salt: [1; 32], nonce: [2; 24], sealed: vec![3; bytes] }.to_bytes();
    let mut deep: wire::Requirement = Requirement::Member.into();
    for _ in 0..8 {
        let parts = wire::Requirements { parts: vec![deep] };
        deep = wire::Requirement { requirement: Some(wire::requirement::Requirement::AllOf(parts)) };
    }
    let parts = wire::Requirements { parts: vec![Requirement::Member.into(); 64] };
    let wide = wire::Requirement { requirement: Some(wire::requirement::Requirement::AnyOf(parts)) };
    let signed = |requirement: wire::Requirement, tags: usize| {
        let policy = wire::Policy {
            account: bob.account.to_string(),
            version: 1,
            requirement: Some(requirement),
            blocked_tags: vec![vec![0; 32]; tags],
            revoked_attestations: Vec::new(),
        };
        wire::SignedPolicy { policy: policy.encode_to_vec(), signature: vec![0; 64] }.encode_to_vec()
    };
    for (sentence, topic, bytes) in [
        ("a bundle above 4 KiB", contact, vec![0; 4097]),
        ("a bundle that is none", contact, vec![0xff; 100]),
        ("a policy above 16 KiB", policy, vec![0; 17 * 1024]),
        ("a policy nested nine deep", policy, signed(deep, 0)),
        ("a policy of 65 parts", policy, signed(wide, 0)),
        ("a policy that blocks 257 tags", policy, signed(Requirement::Member.into(), 257)),
        ("a vault record above 64 KiB", vault, record(1, 64 * 1024)),
    ] {
        let it = bob.own(&world, topic, bytes);
        check(&mut world, sentence, it, Code::Malformed).await;
    }

    // The bundle was the first of this day's writes.
    for version in 1..64 {
        let it = bob.own(&world, vault, record(version, 100));
        world.publish(it).await.unwrap();
    }
    let it = bob.own(&world, vault, record(64, 100));
    check(&mut world, "the sixty-fifth write of a day", it, Code::QuotaExhausted).await;
}

#[tokio::test]
async fn letters_arrive_within_their_time() {
    let clock = Clock::manual(Clock::system().now());
    let mut world = World::start_with("all()", clock.clone()).await;
    let bob = world.join(2).await;
    let book = world.buy(1, 16, 11).await;
    let now = clock.now();
    let (minute, hour, day) = (Duration::from_secs(60), Duration::from_secs(3600), Duration::from_secs(86_400));
    let stale = |sent_at: Timestamp| sent_at.saturating_sub(Duration::from_secs(1));
    let franked: [(&str, Timestamp, bool); 4] = [
        ("seven days old", now.saturating_sub(7 * day), true),
        ("older than seven days", stale(now.saturating_sub(7 * day)), false),
        ("five minutes ahead", now.saturating_add(5 * minute), true),
        ("more than five minutes ahead", now.saturating_add(5 * minute + Duration::from_secs(1)), false),
    ];
    for (index, (sentence, sent_at, accepted)) in (0..).zip(franked) {
        let letter = Envelope { sent_at, ..world.letter(&bob, sentence) };
        let stamp = world.stamp(&book, index, &letter, Tag::ToNonce).await;
        let it = submission(&letter, &[&stamp]);
        if accepted {
            world.publish(it).await.unwrap();
        } else {
            let refusal = check(&mut world, sentence, it, Code::TimeOutOfRange).await;
            assert_eq!(refusal, Refusal::TimeOutOfRange { now });
        }
    }
    let vault = VaultRecord { version: 1, salt: [1; 32], nonce: [2; 24], sealed: vec![3; 100] }.to_bytes();
    let unfranked =
        [("an hour old", now.saturating_sub(hour), true), ("older", stale(now.saturating_sub(hour)), false)];
    for (sentence, sent_at, accepted) in unfranked {
        let envelope = Envelope { topic: Topic::Vault(bob.account), sent_at, ciphertext: vault.clone() };
        let owner = bob.owner(world.network, &envelope);
        let it = Submission::new(envelope, vec![owner]).unwrap();
        match world.publish(it).await {
            Ok(_) => assert!(accepted, "{sentence}"),
            Err(refusal) => assert_eq!((refusal.code(), accepted), (Code::TimeOutOfRange, false), "{sentence}"),
        }
    }
}

#[tokio::test]
async fn joining_costs_what_the_network_says() {
    let mut world = World::start_with("stamp(1)", Clock::system()).await;
    let book: Book = world.buy(1, 16, 11).await;
    let bob = Person::new(2);
    let topic = Topic::Contact(bob.account);
    let unpaid = bob.own(&world, topic, bob.bundle(world.network, 1, 1).to_bytes());
    check(&mut world, "unpaid", unpaid.clone(), Code::RequirementUnmet).await;

    let stamp = world.stamp(&book, 0, unpaid.envelope(), Tag::ToNonce).await;
    let mut passes = unpaid.passes().to_vec();
    passes.push(Pass::Stamp(stamp));
    world.publish(Submission::new(unpaid.envelope().clone(), passes).unwrap()).await.unwrap();
    // Those who have joined pay no more.
    let next = bob.own(&world, topic, bob.bundle(world.network, 1, 2).to_bytes());
    world.publish(next).await.unwrap();
}
