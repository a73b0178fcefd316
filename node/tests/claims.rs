//! Claims that have issuers: their snapshots on the claims' topics, and letters that they pay for. Everything through the real
//! API, with wallets and issuers of our own.

#![allow(clippy::unwrap_used)] // A test may.

mod support;

use std::time::Duration;

use alloy::primitives::{Address, B256};
use alloy::signers::SignerSync as _;
use alloy::signers::local::PrivateKeySigner;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;
use support::{Person, World, fetch_bucket, proving_key, until};
use xmtp_contracts::{Condition, OfferedClaim};
use xmtp_proto::derive::{self, ClaimId, Group, Purpose};
use xmtp_proto::envelope::Envelope;
use xmtp_proto::field::{Commitment, Root};
use xmtp_proto::pass::{self, Claim, Issuer, Pass};
use xmtp_proto::postmark::{Cursor, SignedPostmark};
use xmtp_proto::refusal::{Code, Refusal};
use xmtp_proto::signature::{self, Label};
use xmtp_proto::snapshot::{Anchorage, Contacts, Entry, Part, SignedSnapshot, Snapshot};
use xmtp_proto::submission::Submission;
use xmtp_proto::time::{Clock, Epoch, Generation, Timestamp};
use xmtp_proto::topic::Topic;
use xmtp_proto::wire;
use xmtp_prover::{Group as Tree, Index, Limit, Statement, Witness, leaf, leaves, prove};

const LIMIT: u32 = 16;
const DAY: u64 = 86_400;

fn issuer(seed: u8) -> PrivateKeySigner {
    PrivateKeySigner::from_slice(&[seed; 32]).unwrap()
}

/// A claim about a collection, for which two of three issuers vouch.
fn offered(name: &str, collection: u8) -> OfferedClaim {
    let mut issuers = [31, 32, 33].map(|seed| issuer(seed).address()).to_vec();
    issuers.sort_unstable();
    let condition = Condition::Erc721 { collection: Address::repeat_byte(collection) };
    OfferedClaim { name: name.to_owned(), chain_id: 1, condition, issuers, threshold: 2, limit: LIMIT }
}

fn limit() -> Limit {
    Limit::new(LIMIT).unwrap()
}

/// A snapshot of these people at a block, and its list.
fn snapshot(world: &World, people: &[&Person], block_number: u64) -> (Snapshot, Vec<Commitment>) {
    let mut commitments: Vec<_> = people.iter().map(|it| it.claim_secret().commitment()).collect();
    commitments.sort_unstable();
    let mut tree = Tree::new();
    tree.extend(leaves(&commitments.iter().map(|it| Some((*it, limit()))).collect::<Vec<_>>()));
    let snapshot = Snapshot {
        generation: Generation::at(world.clock.now()).0,
        block_number,
        block_hash: B256::repeat_byte(0xb1),
        contacts: vec![Contacts { operator: [7; 32].into(), cursor: Cursor(2) }],
        leaves: commitments.len().try_into().unwrap(),
        roots: tree.checkpoint().volumes().iter().map(|it| it.root).collect(),
    };
    (snapshot, commitments)
}

fn anchorage(world: &World) -> Anchorage {
    Anchorage { chain_id: world.deployment.chain_id, claims: world.deployment.claims.unwrap() }
}

fn part(world: &World, claim: ClaimId, snapshot: &Snapshot, commitments: Vec<Commitment>) -> Entry {
    Entry::Part(Part { snapshot: snapshot.digest(claim, anchorage(world)), first: 0, commitments })
}

fn signed(world: &World, claim: ClaimId, snapshot: &Snapshot, by: &PrivateKeySigner) -> Entry {
    let digest = snapshot.digest(claim, anchorage(world));
    let signature = by.sign_hash_sync(&digest).unwrap().as_bytes();
    Entry::Snapshot(SignedSnapshot { snapshot: snapshot.clone(), signature })
}

/// An entry on a claim's topic, with this issuer's pass.
fn entry(world: &World, claim: ClaimId, by: &PrivateKeySigner, entry: &Entry) -> Submission {
    let envelope = Envelope { topic: Topic::Claim(claim.0), sent_at: world.clock.now(), ciphertext: entry.to_bytes() };
    let pass = issuer_pass(world, &envelope, by);
    Submission::new(envelope, vec![pass]).unwrap()
}

fn issuer_pass(world: &World, envelope: &Envelope, by: &PrivateKeySigner) -> Pass {
    let digest = signature::digest(Label::Issuer, world.network, &[envelope.id(world.network).as_bytes()]);
    Pass::Issuer(Issuer { issuer: by.address(), signature: by.sign_hash_sync(&digest).unwrap().as_bytes() })
}

/// Has one issuer publish a snapshot with its list, and another sign it; returns the first root.
async fn issue(world: &mut World, claim: ClaimId, people: &[&Person], block: u64) -> Root {
    let (snapshot, list) = snapshot(world, people, block);
    let part = part(world, claim, &snapshot, list);
    let [first, second] = [31, 32].map(issuer);
    let entries = [
        entry(world, claim, &first, &part),
        entry(world, claim, &first, &signed(world, claim, &snapshot, &first)),
        entry(world, claim, &second, &signed(world, claim, &snapshot, &second)),
    ];
    for entry in entries {
        world.publish(entry).await.unwrap();
    }
    snapshot.roots[0]
}

fn group(world: &World, claim: ClaimId) -> wire::ClaimGroup {
    wire::ClaimGroup { id: claim.as_bytes().to_vec(), generation: Generation::at(world.clock.now()).0 }
}

/// The root of today's snapshot; nothing if there is none.
async fn root_today(world: &World, claim: ClaimId) -> Option<Root> {
    let request = wire::GetRootsRequest { group: Some(wire::get_roots_request::Group::Claim(group(world, claim))) };
    let roots = world.client.clone().get_roots(request).await.ok()?.into_inner().roots;
    Some(Root::from_be_bytes(roots.first()?.root.clone().try_into().unwrap()).unwrap())
}

/// A proof under a root that the node serves.
async fn claim_pass(
    world: &mut World,
    person: &Person,
    (claim, root): (ClaimId, Root),
    (epoch, index): (Epoch, u16),
    envelope: &Envelope,
) -> Pass {
    let secret = person.claim_secret();
    let request = wire::GetBucketRequest {
        group: Some(wire::get_bucket_request::Group::Claim(group(world, claim))),
        root: root.as_bytes().to_vec(),
        bucket: 0,
    };
    let bucket = fetch_bucket(&mut world.client, request, root).await;
    let own = leaf(secret.commitment(), limit());
    let position = bucket.leaves().iter().position(|it| *it == own).expect("the snapshot has this person");
    let path = bucket.path(position.try_into().unwrap()).unwrap();
    let witness = Witness { secret: &secret, limit: limit(), index: Index::new(index), path: &path };
    let generation = Generation::at(world.clock.now()).0;
    let of = Group::Claim { id: claim, generation }.id(world.network, world.deployment.postage);
    let (statement, proof) = prove(
        proving_key(),
        &witness,
        of.external_nullifier(Purpose::Envelope, Some(epoch)),
        envelope.id(world.network).signal(),
        derive::scope(world.network, &envelope.topic),
        &mut ChaCha20Rng::from_seed([9; 32]),
    )
    .unwrap();
    let Statement { root, share, nullifier, tag, external_nullifier: _, signal: _, scope: _ } = statement;
    let proof = pass::Proof { root, nullifier, share, tag, points: proof.to_bytes() };
    Pass::Claim(Claim { id: claim, generation, epoch, proof })
}

async fn send(world: &mut World, letter: &Envelope, passes: Vec<Pass>) -> Result<SignedPostmark, Code> {
    let submission = Submission::new(letter.clone(), passes).unwrap();
    world.publish(submission).await.map_err(|refusal| refusal.code())
}

async fn counts(world: &World, claim: ClaimId, root: Root) {
    until("the snapshot counts", async || root_today(world, claim).await == Some(root)).await;
}

/// A network with two claims, and three people.
async fn start(clock: Clock) -> (World, [ClaimId; 2], [Person; 3]) {
    let mut world = World::start_with("all()", clock).await;
    let claims = vec![offered("cats", 0xc1), offered("dogs", 0xd1)];
    let ids = [0, 1].map(|claim| claims[claim].id(world.network));
    world.offer(claims).await;
    let people = [world.join(2).await, world.join(3).await, world.join(4).await];
    (world, ids, people)
}

#[tokio::test]
async fn snapshot_counts_once_enough_issuers_have_signed_it_and_pays_for_letters() {
    let (mut world, [cats, _], [alice, bob, carol]) = start(Clock::system()).await;
    world.set_policy(&bob, 1, &format!("claim({cats})")).await;
    let letter = world.letter(&bob, "letter");
    let today = world.clock.now().epoch();

    // One of three issuers lies, and another says the truth: neither is enough.
    let (truth, list) = snapshot(&world, &[&alice, &carol], 10);
    let (lie, false_list) = snapshot(&world, &[&bob], 10);
    let [first, second, liar] = [31, 32, 33].map(issuer);
    for (by, snapshot, list) in [(&liar, &lie, false_list), (&first, &truth, list)] {
        let entries = [part(&world, cats, snapshot, list), signed(&world, cats, snapshot, by)];
        for it in entries {
            let submission = entry(&world, cats, by, &it);
            world.publish(submission).await.unwrap();
        }
    }
    assert_eq!(root_today(&world, cats).await, None);
    // Signing twice is one signature.
    for by in [&first, &second] {
        assert_eq!(root_today(&world, cats).await, None, "a threshold of two");
        let it = entry(&world, cats, by, &signed(&world, cats, &truth, by));
        world.publish(it).await.unwrap();
    }
    let root = truth.roots[0];
    counts(&world, cats, root).await;

    let pass = claim_pass(&mut world, &alice, (cats, root), (today, 0), &letter).await;
    send(&mut world, &letter, vec![pass.clone()]).await.unwrap();
    // The same index for another letter gives the secret away, and is refused.
    let other = world.letter(&bob, "other");
    let again = claim_pass(&mut world, &alice, (cats, root), (today, 0), &other).await;
    assert_eq!(send(&mut world, &other, vec![again]).await.unwrap_err(), Code::NullifierUsed);
    assert_eq!(send(&mut world, &other, vec![pass]).await.unwrap_err(), Code::ProofInvalid);
    // Carol has indices of her own, and another tag.
    let carols = claim_pass(&mut world, &carol, (cats, root), (today, 0), &other).await;
    let yesterday = Epoch(today.0 - 2);
    let old = claim_pass(&mut world, &carol, (cats, root), (yesterday, 1), &other).await;
    assert_eq!(send(&mut world, &other, vec![old]).await.unwrap_err(), Code::EpochWrong);
    send(&mut world, &other, vec![carols]).await.unwrap();

    // All of it follows from the log.
    world.restart().await;
    assert_eq!(root_today(&world, cats).await, Some(root));
}

#[tokio::test]
async fn each_epoch_has_one_snapshot() {
    // Noon of a day in the present quarter, tomorrow being in it too.
    let now = Clock::system().now();
    let tomorrow = Generation::at(now.saturating_add(Duration::from_secs(2 * DAY)));
    let start_day = if tomorrow == Generation::at(now) { now.epoch().0 } else { now.epoch().0 - 3 };
    let noon = Timestamp::from_secs(start_day * DAY + DAY / 2);
    let clock = Clock::manual(noon);
    let (mut world, [cats, _], [alice, bob, carol]) = start(clock).await;
    let today = noon.epoch();

    let before = issue(&mut world, cats, &[&alice, &carol], 10).await;
    counts(&world, cats, before).await;
    // Alice sold: she is not in the next one.
    let after = issue(&mut world, cats, &[&carol], 11).await;
    let letter = world.letter(&bob, "to-day");
    let sent = claim_pass(&mut world, &alice, (cats, before), (today, 0), &letter).await;
    send(&mut world, &letter, vec![sent]).await.unwrap();
    let early = claim_pass(&mut world, &carol, (cats, after), (today, 1), &letter).await;
    let too_early = world.letter(&bob, "early");
    assert_eq!(send(&mut world, &too_early, vec![early]).await.unwrap_err(), Code::RootExpired);

    let next = noon.saturating_add(Duration::from_secs(DAY));
    world.set_clock(next).await;
    counts(&world, cats, after).await;
    let letter = world.letter(&bob, "tomorrow");
    let sold = claim_pass(&mut world, &alice, (cats, before), (next.epoch(), 0), &letter).await;
    assert_eq!(send(&mut world, &letter, vec![sold]).await.unwrap_err(), Code::RootExpired);
    let holds = claim_pass(&mut world, &carol, (cats, after), (next.epoch(), 0), &letter).await;
    send(&mut world, &letter, vec![holds]).await.unwrap();

    // After a start it is the same.
    world.restart().await;
    assert_eq!(root_today(&world, cats).await, Some(after));
    // A snapshot of an earlier block is no news, whoever signed it.
    issue(&mut world, cats, &[&alice, &bob], 9).await;
    world.set_clock(next.saturating_add(Duration::from_secs(DAY))).await;
    assert_eq!(root_today(&world, cats).await, Some(after));
}

#[tokio::test]
async fn all_claims_of_a_letter_are_one_senders() {
    let (mut world, [cats, dogs], [alice, bob, carol]) = start(Clock::system()).await;
    world.set_policy(&bob, 1, &format!("all(claim({cats}), claim({dogs}))")).await;
    let today = world.clock.now().epoch();
    let roots = [
        (cats, issue(&mut world, cats, &[&alice], 10).await),
        (dogs, issue(&mut world, dogs, &[&alice, &carol], 10).await),
    ];
    for (claim, root) in roots {
        counts(&world, claim, root).await;
    }
    let letter = world.letter(&bob, "letter");
    let alices_cats = claim_pass(&mut world, &alice, roots[0], (today, 0), &letter).await;
    let alices_dogs = claim_pass(&mut world, &alice, roots[1], (today, 0), &letter).await;
    let carols_dogs = claim_pass(&mut world, &carol, roots[1], (today, 0), &letter).await;
    let refused = send(&mut world, &letter, vec![alices_cats.clone()]).await;
    assert_eq!(refused.unwrap_err(), Code::RequirementUnmet, "one of two");
    let refused = send(&mut world, &letter, vec![alices_cats.clone(), carols_dogs]).await;
    assert_eq!(refused.unwrap_err(), Code::RequirementUnmet, "two of two people");

    // A tag that is blocked counts for nothing, whichever claim shows it.
    let Pass::Claim(Claim { proof, .. }) = &alices_dogs else { panic!("a claim") };
    let mut policy = bob.policy(world.network, 2, "claim(any)").policy().clone();
    policy.blocked_tags.push(proof.tag);
    let policy = bob.sign_policy(world.network, policy);
    let submission = bob.own(&world, Topic::Policy(bob.account), policy.to_bytes());
    world.publish(submission).await.unwrap();
    let blocked = send(&mut world, &letter, vec![alices_cats.clone()]).await;
    assert_eq!(blocked.unwrap_err(), Code::TagBlocked);

    world.set_policy(&bob, 3, &format!("all(claim({cats}), claim({dogs}))")).await;
    send(&mut world, &letter, vec![alices_cats, alices_dogs]).await.unwrap();
}

#[tokio::test]
async fn only_issuers_write_to_a_claims_topic_and_only_for_themselves() {
    let (mut world, [cats, _], [alice, ..]) = start(Clock::system()).await;
    let (truth, list) = snapshot(&world, &[&alice], 10);
    let [first, second, stranger] = [31, 32, 99].map(issuer);
    let list = part(&world, cats, &truth, list);
    let of_another = signed(&world, cats, &truth, &second);
    let old = Snapshot { generation: truth.generation - 1, ..truth.clone() };
    let later = Snapshot { generation: truth.generation + 2, ..truth.clone() };
    let unknown = ClaimId::from([1; 32]);
    let rows = [
        ("a stranger's list", entry(&world, cats, &stranger, &list), Code::NotOwner),
        ("another's signature", entry(&world, cats, &first, &of_another), Code::NotOwner),
        ("over another claim", entry(&world, cats, &first, &signed(&world, unknown, &truth, &first)), Code::NotOwner),
        ("of the last quarter", entry(&world, cats, &first, &signed(&world, cats, &old, &first)), Code::EpochWrong),
        ("of a quarter to come", entry(&world, cats, &first, &signed(&world, cats, &later, &first)), Code::EpochWrong),
        ("a claim that nobody offers", entry(&world, unknown, &first, &list), Code::NotOffered),
    ];
    for (sentence, submission, code) in rows {
        let refusal: Refusal = world.publish(submission).await.unwrap_err();
        assert_eq!(refusal.code(), code, "{sentence}: {refusal}");
    }
    let envelope = Envelope { topic: Topic::Claim(cats.0), sent_at: world.clock.now(), ciphertext: list.to_bytes() };
    let other = Envelope { ciphertext: vec![1, 9], ..envelope.clone() };
    let (own, others) = (issuer_pass(&world, &envelope, &first), issuer_pass(&world, &other, &first));
    assert_eq!(send(&mut world, &envelope, vec![]).await.unwrap_err(), Code::NotOwner, "no pass");
    let code = send(&mut world, &envelope, vec![others.clone()]).await.unwrap_err();
    assert_eq!(code, Code::NotOwner, "for another envelope");
    let code = send(&mut world, &envelope, vec![own.clone(), own.clone()]).await.unwrap_err();
    assert_eq!(code, Code::Malformed, "twice");
    assert_eq!(send(&mut world, &other, vec![others]).await.unwrap_err(), Code::Malformed, "no entry");
    send(&mut world, &envelope, vec![own]).await.unwrap();
}

#[tokio::test]
async fn list_that_does_not_have_the_roots_counts_for_nothing() {
    let (mut world, [cats, _], [alice, bob, carol]) = start(Clock::system()).await;
    let (truth, list) = snapshot(&world, &[&alice, &carol], 10);
    let (_, false_list) = snapshot(&world, &[&alice, &bob], 10);
    let [first, second] = [31, 32].map(issuer);
    let false_part = part(&world, cats, &truth, false_list);
    for (by, it) in [
        (&first, false_part),
        (&first, signed(&world, cats, &truth, &first)),
        (&second, signed(&world, cats, &truth, &second)),
    ] {
        let submission = entry(&world, cats, by, &it);
        world.publish(submission).await.unwrap();
    }
    assert_eq!(root_today(&world, cats).await, None);
    // Who signed can bring the list itself.
    let it = entry(&world, cats, &second, &part(&world, cats, &truth, list));
    world.publish(it).await.unwrap();
    counts(&world, cats, truth.roots[0]).await;
}
