//! Claims that have issuers: their snapshots on the claims' topics, and letters that they pay for. Everything through the real
//! API, with wallets and issuers of our own.

#![allow(clippy::unwrap_used)] // A test may.

mod support;

use std::time::Duration;

use support::claims::{
    LIMIT, claim_pass, counts, entry, issue, issuer, issuer_pass, offered, part, root_today, send, signed, snapshot,
};
use support::{Person, World};
use xmtp_node::store::{ISSUER_WRITES_PER_EPOCH, Shard};
use xmtp_proto::derive::{ClaimId, Group, Purpose};
use xmtp_proto::envelope::Envelope;
use xmtp_proto::pass::{Claim, Pass};
use xmtp_proto::refusal::{Code, Refusal};
use xmtp_proto::snapshot::{Entry, Part, Snapshot};
use xmtp_proto::time::{Clock, Epoch, Generation, Timestamp};
use xmtp_proto::topic::Topic;
use xmtp_prover::Index;

const DAY: u64 = 86_400;

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
    let (mut world, [cats, dogs], [alice, bob, carol]) = start(Clock::system()).await;
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
    // From then on nobody looks at a proof of it.
    assert_eq!(send(&mut world, &other, vec![pass]).await.unwrap_err(), Code::NullifierUsed);
    // Her secret is known, and it is one for all claims.
    let unused = claim_pass(&mut world, &alice, (cats, root), (today, 1), &other).await;
    assert_eq!(send(&mut world, &other, vec![unused]).await.unwrap_err(), Code::SecretClosed);
    let generation = Generation::at(world.clock.now()).0;
    let of_dogs = Group::Claim { id: dogs, generation }.id(world.network, world.deployment.postage);
    let store = world.node.as_ref().unwrap().store();
    for (epoch, purpose) in [(today, Purpose::Envelope), (today, Purpose::Opening)] {
        let last = Index::new(u16::try_from(LIMIT - 1).unwrap());
        let nullifier = alice.claim_secret().nullifier(of_dogs.external_nullifier(purpose, Some(epoch)), last);
        assert!(store.is_closed(Shard::Epoch(epoch), &nullifier).unwrap());
    }
    // Carol has indices of her own, and another tag.
    let for_another = claim_pass(&mut world, &carol, (cats, root), (today, 1), &letter).await;
    assert_eq!(send(&mut world, &other, vec![for_another]).await.unwrap_err(), Code::ProofInvalid);
    let carols = claim_pass(&mut world, &carol, (cats, root), (today, 0), &other).await;
    let yesterday = Epoch(today.0 - 2);
    let old = claim_pass(&mut world, &carol, (cats, root), (yesterday, 1), &other).await;
    assert_eq!(send(&mut world, &other, vec![old]).await.unwrap_err(), Code::EpochWrong);
    send(&mut world, &other, vec![carols]).await.unwrap();

    // All of it follows from the log.
    world.restart().await;
    assert_eq!(root_today(&world, cats).await, Some(root));
}

/// With the key of an issuer nobody fills a disk, nor buries what the others wrote.
#[tokio::test]
async fn issuer_has_so_many_entries_a_claim_and_day() {
    let noon = Timestamp::from_secs(Clock::system().now().epoch().0 * DAY + DAY / 2);
    let (mut world, [cats, dogs], [alice, ..]) = start(Clock::manual(noon)).await;
    let (truth, list) = snapshot(&world, &[&alice], 10);
    let [thief, other] = [31, 32].map(issuer);
    let numbered = |first: u32| {
        let Entry::Part(part) = part(&world, cats, &truth, list.clone()) else { panic!() };
        Entry::Part(Part { first, ..part })
    };
    let parts: Vec<_> =
        (0..=ISSUER_WRITES_PER_EPOCH).map(|number| entry(&world, cats, &thief, &numbered(number))).collect();
    let (beyond, within) = parts.split_last().unwrap();
    for it in within {
        world.publish(it.clone()).await.unwrap();
    }
    let refused = world.publish(beyond.clone()).await.unwrap_err();
    assert_eq!(refused.code(), Code::QuotaExhausted);
    // What is stored has its postmark, whatever is left; a restart counts on.
    world.publish(within[0].clone()).await.unwrap();
    world.restart().await;
    assert_eq!(world.publish(beyond.clone()).await.unwrap_err().code(), Code::QuotaExhausted);
    // Another claim, another issuer and another day have their own.
    let elsewhere = entry(&world, dogs, &thief, &part(&world, dogs, &truth, list.clone()));
    world.publish(elsewhere).await.unwrap();
    let by_another = entry(&world, cats, &other, &part(&world, cats, &truth, list.clone()));
    world.publish(by_another).await.unwrap();
    world.set_clock(noon.saturating_add(Duration::from_secs(DAY))).await;
    let next_day = entry(&world, cats, &thief, &part(&world, cats, &truth, list));
    world.publish(next_day).await.unwrap();
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
