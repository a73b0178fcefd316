//! Stakes as passes: within a day's limit, across the edges of days, and until they leave or are slashed.

#![allow(clippy::unwrap_used)] // A test may.

mod support;

use std::time::Duration;

use alloy::primitives::Address;
use support::stakes::{Staked, roots_request};
use support::{Person, World, until};
use xmtp_proto::envelope::Envelope;
use xmtp_proto::pass::{Pass, Stake};
use xmtp_proto::refusal::{Code, Refusal};
use xmtp_proto::submission::Submission;
use xmtp_proto::time::{Clock, Epoch, Timestamp};
use xmtp_proto::topic::Topic;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How far the clocks of a node and a client may be apart.
const SKEW: Duration = Duration::from_secs(120);

/// A world at noon of a day that is about to come, so that nothing depends on the time of day.
async fn at_noon() -> (World, Person) {
    let noon = Epoch(Clock::system().now().epoch().0 + 1).starts_at().saturating_add(12 * HOUR);
    let mut world = World::start_with("all()", Clock::manual(noon)).await;
    let bob = world.join(2).await;
    world.set_policy(&bob, 1, "stake(1)").await;
    (world, bob)
}

fn with(envelope: &Envelope, stake: Stake) -> Submission {
    Submission::new(envelope.clone(), vec![Pass::Stake(stake)]).unwrap()
}

async fn send(world: &mut World, to: &Person, stake: &Staked, epoch: Epoch, index: u16, text: &str) -> Option<Code> {
    let letter = world.letter(to, text);
    let pass = world.stake_pass(stake, epoch, index, &letter).await;
    world.publish(with(&letter, pass)).await.err().map(|refusal| refusal.code())
}

fn today(world: &World) -> Epoch {
    world.clock.now().epoch()
}

#[tokio::test]
async fn stake_pays_for_its_limit_every_day_and_is_not_used_up() {
    let (mut world, bob) = at_noon().await;
    let stake = world.stake(1, 21).await;
    let epoch = today(&world);
    assert_eq!(send(&mut world, &bob, &stake, epoch, 0, "the first").await, None);
    let last = u16::try_from(stake.limit.get() - 1).unwrap();
    assert_eq!(send(&mut world, &bob, &stake, epoch, last, "the last").await, None);

    // The same index is another one tomorrow.
    world.set_clock(epoch.starts_at().saturating_add(DAY + HOUR)).await;
    assert_eq!(send(&mut world, &bob, &stake, Epoch(epoch.0 + 1), 0, "the next day").await, None);
}

#[tokio::test]
async fn day_of_a_pass_is_the_nodes_give_or_take_two_minutes() {
    let (mut world, bob) = at_noon().await;
    let stake = world.stake(1, 21).await;
    let day = Epoch(today(&world).0 + 1);
    let midnight = day.starts_at();
    let ends = midnight.saturating_add(DAY);
    // The client's clock says `day` in all of these; the node's is this far off.
    let rows = [
        ("the client is more than two minutes ahead", midnight.saturating_sub(SKEW + SECOND), Some(Code::EpochWrong)),
        ("the client is two minutes ahead", midnight.saturating_sub(SKEW), None),
        ("both say midnight", midnight, None),
        ("the last second of the day", ends.saturating_sub(SECOND), None),
        ("the client is nearly two minutes behind", ends.saturating_add(SKEW - SECOND), None),
        ("the client is two minutes behind", ends.saturating_add(SKEW), Some(Code::EpochWrong)),
    ];
    for (index, (sentence, now, expected)) in rows.into_iter().enumerate() {
        world.set_clock(now).await;
        let got = send(&mut world, &bob, &stake, day, u16::try_from(index).unwrap(), sentence).await;
        assert_eq!(got, expected, "{sentence}");
    }
}

#[tokio::test]
async fn letter_of_before_midnight_is_accepted_after_it_once() {
    let (mut world, bob) = at_noon().await;
    let stake = world.stake(1, 21).await;
    let day = today(&world);
    let midnight = Epoch(day.0 + 1).starts_at();
    world.set_clock(midnight.saturating_sub(SECOND)).await;
    let letter = world.letter(&bob, "on its way over midnight");
    let pass = world.stake_pass(&stake, day, 7, &letter).await;
    world.set_clock(midnight.saturating_add(SECOND)).await;
    let first = world.publish(with(&letter, pass.clone())).await.unwrap();
    assert_eq!(world.publish(with(&letter, pass)).await.unwrap(), first);
    // What was used in the old day stays used for as long as the day counts.
    assert_eq!(send(&mut world, &bob, &stake, day, 7, "the index again").await, Some(Code::NullifierUsed));
}

#[tokio::test]
async fn index_on_two_letters_closes_the_stake_for_every_day_to_come() {
    let (mut world, bob) = at_noon().await;
    let stake = world.stake(1, 21).await;
    let honest = world.stake(1, 22).await;
    let day = today(&world);
    assert_eq!(send(&mut world, &bob, &stake, day, 3, "one").await, None);
    assert_eq!(send(&mut world, &bob, &stake, day, 3, "another").await, Some(Code::NullifierUsed));
    let [evidence] = world.node.as_ref().unwrap().store().evidence().collect::<Vec<_>>().try_into().unwrap();
    let evidence = evidence.unwrap();
    assert!(evidence.is_slashable());
    assert_eq!(
        evidence.secret().unwrap().commitment(),
        stake.secret.commitment(),
        "the two shares give the secret away"
    );

    let last = u16::try_from(stake.limit.get() - 1).unwrap();
    for index in [0, 4, last] {
        let got = send(&mut world, &bob, &stake, day, index, "with what is left of it").await;
        assert_eq!(got, Some(Code::SecretClosed), "{index}");
    }
    assert_eq!(send(&mut world, &bob, &honest, day, 4, "another stake of the tier").await, None);

    // Nobody has slashed it, so its leaf stands; and no day begins in which it is good. Not even after a restart.
    for (days, restart) in [(1, false), (2, true), (9, false)] {
        let next = Epoch(day.0 + days);
        if restart {
            world.restart_in_place().await;
        }
        world.set_clock(next.starts_at().saturating_sub(HOUR)).await;
        world.set_clock(next.starts_at().saturating_sub(SKEW)).await;
        until_refused(&mut world, &bob, &stake, next).await;
        for index in [1, last] {
            let got = send(&mut world, &bob, &stake, next, index, "a day later").await;
            assert_eq!(got, Some(Code::SecretClosed), "{days} days later, {index}");
        }
        assert_eq!(send(&mut world, &bob, &honest, next, 0, "a day later").await, None, "{days} days later");
    }
}

/// The days that begin are closed by a task of the node's: this waits until it has come round after the clock was set, without
/// using an index that counts.
async fn until_refused(world: &mut World, bob: &Person, stake: &Staked, epoch: Epoch) {
    let letter = world.letter(bob, "waiting");
    let last = u16::try_from(stake.limit.get() - 1).unwrap();
    let pass = world.stake_pass(stake, epoch, last, &letter).await;
    let (store, shard) = (world.node.as_ref().unwrap().store(), xmtp_node::store::Shard::Epoch(epoch));
    until("the day is closed", async || store.is_closed(shard, &pass.proof.nullifier).unwrap()).await;
}

#[tokio::test]
async fn slashed_stake_is_closed_at_once_and_its_leaf_is_gone() {
    let (mut world, bob) = at_noon().await;
    let stake = world.stake(1, 21).await;
    let letter = world.letter(&bob, "under the root of before");
    let day = today(&world);
    let path = world.stake_path(&stake).await;
    let before = world.stake_root(1).await;
    let pass = world.stake_pass_under(&path, &stake, day, 0, &letter);
    world.slash_stake(&stake, Address::ZERO).await;
    let store = world.node.as_ref().unwrap().store().clone();
    let shard = xmtp_node::store::Shard::Epoch(day);
    let last = world.stake_pass_under(&path, &stake, day, 99, &letter);
    until("the stake is closed", async || store.is_closed(shard, &last.proof.nullifier).unwrap()).await;
    // The old root is good for a day, and the pass under it is not.
    let refused = world.publish(with(&letter, pass)).await.unwrap_err();
    assert_eq!(refused.code(), Code::SecretClosed);
    assert_ne!(world.stake_root(1).await, before, "the leaf is gone");
}

#[tokio::test]
async fn stake_that_leaves_is_good_for_a_day_under_old_roots_and_no_longer() {
    let (mut world, bob) = at_noon().await;
    let stake = world.stake(1, 21).await;
    world.stake(1, 22).await;
    let path = world.stake_path(&stake).await;
    let before = world.stake_root(1).await;
    world.exit(&stake).await;
    until("the leaf is gone", async || {
        let roots = world.client.clone().get_roots(roots_request(1)).await.unwrap().into_inner().roots;
        roots[0].root != before.as_bytes()
    })
    .await;

    let left = chain_time(&world);
    // An index for each: two of these moments may be of one day.
    for (index, after, expected) in [(5, HOUR, None), (6, DAY - HOUR, None), (7, DAY + HOUR, Some(Code::RootExpired))] {
        world.set_clock(left.saturating_add(after)).await;
        let letter = world.letter(&bob, &format!("{after:?} after"));
        let pass = world.stake_pass_under(&path, &stake, today(&world), index, &letter);
        let got = world.publish(with(&letter, pass)).await.err().map(|refusal| refusal.code());
        assert_eq!(got, expected, "{after:?} after it left");
    }
}

/// The time of the newest block.
fn chain_time(world: &World) -> Timestamp {
    world.node.as_ref().unwrap().chain().view().head().unwrap().time
}

#[tokio::test]
async fn what_a_stake_does_not_show_is_refused() {
    let (mut world, bob) = at_noon().await;
    let (silver, gold) = (world.stake(1, 21).await, world.stake(2, 22).await);
    let (day, letter) = (today(&world), world.letter(&bob, "letter"));
    let good = world.stake_pass(&silver, day, 0, &letter).await;
    let dear = world.stake_pass(&gold, day, 0, &letter).await;
    let with_change = |change: &dyn Fn(&mut Stake)| {
        let mut pass = good.clone();
        change(&mut pass);
        with(&letter, pass)
    };
    let other = world.letter(&bob, "another");
    let later = Epoch(day.0 + 1);
    for (sentence, submission, expected) in [
        ("another tier than asked", with(&letter, dear.clone()), Code::RequirementUnmet),
        ("the other tier's proof", with_change(&|it| it.proof = dear.proof.clone()), Code::RootUnknown),
        ("another letter", with(&other, good.clone()), Code::ProofInvalid),
        ("another day", with_change(&|it| it.epoch = later), Code::EpochWrong),
        ("two, where one is asked", both(&letter, &good, &dear), Code::Malformed),
    ] {
        let refusal = world.publish(submission).await.unwrap_err();
        assert_eq!(refusal.code(), expected, "{sentence}: {refusal}");
    }
    world.set_policy(&bob, 2, "all()").await;
    let nowhere = with_change(&|it| it.tier = 3);
    assert_eq!(world.publish(nowhere).await.unwrap_err(), Refusal::NotOffered { what: "a stake of tier 3".into() });

    let mut policy = bob.policy(world.network, 3, "stake(any)").policy().clone();
    policy.blocked_tags.push(good.proof.tag);
    let signed = bob.sign_policy(world.network, policy);
    let it = bob.own(&world, Topic::Policy(bob.account), signed.to_bytes());
    world.publish(it).await.unwrap();
    assert_eq!(world.publish(with(&letter, good)).await.unwrap_err().code(), Code::TagBlocked);
    // Nothing was cancelled by what was refused.
    world.publish(with(&letter, dear)).await.unwrap();
}

fn both(letter: &Envelope, one: &Stake, other: &Stake) -> Submission {
    Submission::new(letter.clone(), [one, other].map(|stake| Pass::Stake(stake.clone())).to_vec()).unwrap()
}

#[tokio::test]
async fn network_without_stakes_works_as_before_and_offers_none() {
    let (mut world, bob) = at_noon().await;
    let stake = world.stake(1, 21).await;
    let letter = world.letter(&bob, "letter");
    let pass = world.stake_pass(&stake, today(&world), 0, &letter).await;
    world.forget_stakes().await;
    let refused = world.publish(with(&letter, pass)).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotOffered);
    assert_eq!(world.client.get_roots(roots_request(1)).await.unwrap_err().code(), tonic::Code::Unimplemented);
    world.set_policy(&bob, 2, "stamp(1)").await;
    let book = world.buy(1, 4, 11).await;
    let letter = world.letter(&bob, "with a stamp");
    let stamp = world.stamp(&book, 0, &letter, support::Tag::ToNonce).await;
    world.publish(Submission::new(letter, vec![Pass::Stamp(stamp)]).unwrap()).await.unwrap();
}
