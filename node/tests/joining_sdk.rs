//! Joining a network that asks something of who joins: the SDK as the client, a real node, a real chain. What is at hand goes
//! with the first key bundle, once and with no other envelope, and nothing goes with those that follow. Claims are in
//! `registered`, clients that die in `installations`.

#![allow(clippy::unwrap_used)] // A test may.

mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::U256;
use support::World;
use support::clients::copy_of;
use tempfile::TempDir;
use tokio::sync::Notify;
use xmtp_contracts::IXmtpToken;
use xmtp_proto::derive::Denomination;
use xmtp_proto::envelope::Envelope;
use xmtp_proto::pass::Pass;
use xmtp_proto::postmark::Cursor;
use xmtp_proto::record::Record;
use xmtp_proto::requirement::Shown;
use xmtp_proto::time::{Clock, MAX_AGE_FRANKED};
use xmtp_proto::topic::Topic;
use xmtp_prover::Limit;
use xmtp_sdk::client::{Client, JoinError, Joined, PublishError, Step};
use xmtp_sdk::franking::NoPass;
use xmtp_sdk::identity::PREKEY_LIFE;
use xmtp_sdk::inbox::Which;
use xmtp_sdk::transport::{Order, Role};

const ALICE: usize = 1;
const BOB: usize = 2;

const ONE: Denomination = Denomination::ALL[0];
const STAMP: Shown = Shown::Stamp { denomination: ONE, tagged: false };

async fn client(world: &World, number: usize, home: &Path) -> Client {
    world.builder(number, home).clock(world.clock.clone()).run_length(1).connect().await.unwrap()
}

/// Keys, and nothing to join with.
async fn refused(client: &Client) -> NoPass {
    match client.create_identity().await {
        Err(PublishError::Join(JoinError::NoPass(no_pass))) => *no_pass,
        other => panic!("{other:?}"),
    }
}

async fn buy(world: &World, client: &Client, denomination: u32, count: u32) {
    world.fund(client.account().address()).await;
    client.buy_stamps(denomination.try_into().unwrap(), Limit::new(count).unwrap()).await.unwrap();
}

/// All that is on the account's contact topic.
async fn bundles(client: &Client) -> Vec<Record> {
    let mine = client.node().await.unwrap().open(Role::Mine);
    mine.query(Topic::Contact(client.account()), Cursor::default(), Order::OldestFirst, 100).await.unwrap().records
}

async fn is_in_vault(client: &Client) -> bool {
    let mine = client.node().await.unwrap().open(Role::Mine);
    let topic = Topic::Vault(client.account());
    !mine.query(topic, Cursor::default(), Order::OldestFirst, 1).await.unwrap().records.is_empty()
}

async fn left(client: &Client) -> u32 {
    client.books().await.unwrap().iter().map(|it| it.left).sum()
}

fn no_index_went_twice(world: &World) {
    assert_eq!(world.node.as_ref().unwrap().store().evidence().count(), 0, "an index was shown with two envelopes");
}

/// Begins to join, and stops once the envelope is on record. Returns that.
async fn cut_short(world: &World, client: Client, home: &Path) -> Envelope {
    drop(client);
    let reached = Arc::new(Notify::new());
    let on_step = {
        let reached = Arc::clone(&reached);
        move |step| {
            if step == Step::WrittenDown {
                reached.notify_one();
            }
        }
    };
    let builder = world.builder(ALICE, home).clock(world.clock.clone()).run_length(1).on_step(on_step);
    let client = builder.connect().await.unwrap();
    tokio::select! {
        biased;
        () = reached.notified() => {}
        joined = client.create_identity() => panic!("{joined:?}"),
    }
    client.state().joining().unwrap().unwrap().envelope
}

#[tokio::test]
async fn who_has_nothing_is_told_what_would_do_and_joins_with_a_stamp_once_it_is_bought() {
    let world = World::start_with("any(claim(any), stake(any), stamp(1))", Clock::system()).await;
    let home = TempDir::new().unwrap();
    let alice = client(&world, ALICE, home.path()).await;
    let no_pass = refused(&alice).await;
    let asked = "joining this network takes any(claim(any), stake(any), stamp(1)), and no passes at hand meet that; what would: ";
    assert!(no_pass.to_string().starts_with(asked), "{no_pass}");
    assert_eq!(no_pass.offer.unwrap().0.stamps, [(ONE, 1)]);
    // Nothing is published, and nothing half written.
    assert!(bundles(&alice).await.is_empty() && !is_in_vault(&alice).await);
    let status = alice.identity_status().await.unwrap();
    assert!(status.here.is_some() && status.published.is_none());
    assert_eq!(alice.state().joining().unwrap(), None);

    buy(&world, &alice, 1, 4).await;
    drop(alice);
    let alice = client(&world, ALICE, home.path()).await;
    let Joined { published, passes } = alice.create_identity().await.unwrap();
    assert_eq!((published.bundle, passes.as_slice()), (status.here.unwrap(), [STAMP].as_slice()));
    let [record] = bundles(&alice).await.try_into().unwrap();
    let [Pass::Owner(_), Pass::Stamp(stamp)] = record.submission.passes() else { panic!("{:?}", record.submission) };
    // Its tag is towards nobody.
    assert!(stamp.nonce.is_some());
    assert!(matches!(alice.create_identity().await, Err(PublishError::Exists(_))));

    // The journal knows: what is left is used by whoever comes, here or elsewhere.
    assert_eq!(left(&alice).await, 3);
    let other_home = TempDir::new().unwrap();
    let elsewhere = client(&world, ALICE, other_home.path()).await;
    elsewhere.restore_identity().await.unwrap();
    let [book] = elsewhere.books().await.unwrap().try_into().unwrap();
    assert_eq!(book.left, 3);
    let bobs_home = TempDir::new().unwrap();
    let bob = client(&world, BOB, bobs_home.path()).await;
    refused(&bob).await;
    buy(&world, &bob, 1, 1).await;
    bob.create_identity().await.unwrap();
    bob.set_policy("stamp(1)".parse().unwrap()).await.unwrap();
    assert_eq!(left(&bob).await, 0);
    let to = bob.account().to_string();
    alice.send(&to, "from here").await.unwrap();
    elsewhere.take_over(book.book.id).await.unwrap();
    elsewhere.send(&to, "from elsewhere").await.unwrap();
    assert_eq!(bob.inbox(Which::All).await.unwrap().messages.len(), 2);
    no_index_went_twice(&world);
}

#[tokio::test]
async fn stake_lets_in_and_its_index_goes_with_no_letter() {
    let world = World::start_with("any(stake(1), stamp(1))", Clock::system()).await;
    let homes = [(); 2].map(|()| TempDir::new().unwrap());
    let alice = client(&world, ALICE, homes[0].path()).await;
    refused(&alice).await;
    let token = IXmtpToken::new(world.deployment.token, &world.provider);
    let amount = U256::from(world.deployment.stake.as_ref().unwrap().tier(1).unwrap().amount);
    token.transfer(alice.account().address(), amount).send().await.unwrap().get_receipt().await.unwrap();
    let made = alice.stake(1).await.unwrap();
    let joined = alice.create_identity().await.unwrap();
    assert_eq!(joined.passes, [Shown::Stake { tier: 1 }]);
    let [status] = alice.stakes().await.unwrap().try_into().unwrap();
    assert_eq!(status.left_today, status.stake.limit.get() - 1);

    // A stamp is dearer than a stake, and Bob has no stake.
    let bob = client(&world, BOB, homes[1].path()).await;
    refused(&bob).await;
    buy(&world, &bob, 1, 1).await;
    assert_eq!(bob.create_identity().await.unwrap().passes, [STAMP]);
    bob.set_policy("stake(1)".parse().unwrap()).await.unwrap();
    let to = bob.account().to_string();
    for text in ["one", "two"] {
        assert_eq!(alice.send(&to, text).await.unwrap().passes, [Shown::Stake { tier: 1 }]);
    }
    assert_eq!(alice.stakes().await.unwrap()[0].left_today, made.stake.limit.get() - 3);
    assert_eq!(bob.inbox(Which::All).await.unwrap().messages.len(), 2);
    no_index_went_twice(&world);
}

#[tokio::test]
async fn what_is_dearer_than_usual_is_paid_when_its_owner_says_so() {
    let world = World::start_with("stamp(5)", Clock::system()).await;
    let home = TempDir::new().unwrap();
    let alice = client(&world, ALICE, home.path()).await;
    refused(&alice).await;
    buy(&world, &alice, 5, 1).await;
    let error = alice.create_identity().await.unwrap_err();
    assert!(
        matches!(error, PublishError::Join(JoinError::SpendLimit { needed: 5, limit: 2 })),
        "joining is twice what networks ask by default at most: {error}"
    );
    assert_eq!(alice.state().joining().unwrap(), None);
    let joined = alice.create_identity_within(Some(5)).await.unwrap();
    assert_eq!(joined.passes, [Shown::Stamp { denomination: 5.try_into().unwrap(), tagged: false }]);
}

#[tokio::test]
async fn network_that_asks_nothing_gets_nothing() {
    let world = World::start().await;
    let home = TempDir::new().unwrap();
    let alice = client(&world, ALICE, home.path()).await;
    assert_eq!(alice.create_identity().await.unwrap().passes, []);
    assert_eq!(alice.state().joining().unwrap(), None);
    let [record] = bundles(&alice).await.try_into().unwrap();
    assert!(matches!(record.submission.passes(), [Pass::Owner(_)]));
}

#[tokio::test]
async fn bundles_that_follow_the_first_take_nothing() {
    let mut world = World::start_with("stamp(1)", Clock::manual(Clock::system().now())).await;
    let home = TempDir::new().unwrap();
    let alice = client(&world, ALICE, home.path()).await;
    refused(&alice).await;
    buy(&world, &alice, 1, 4).await;
    alice.create_identity().await.unwrap();
    let later = world.clock.now().saturating_add(PREKEY_LIFE + Duration::from_secs(1));
    world.set_clock(later).await;
    alice.keep_keys_fresh().await.unwrap().unwrap();
    let elsewhere = TempDir::new().unwrap();
    client(&world, ALICE, elsewhere.path()).await.replace_identity().await.unwrap();
    let [_, renewed, replaced] = bundles(&alice).await.try_into().unwrap();
    for record in [renewed, replaced] {
        assert!(matches!(record.submission.passes(), [Pass::Owner(_)]), "{:?}", record.submission);
    }
    assert_eq!(left(&alice).await, 3);
}

#[tokio::test]
async fn price_that_rises_meanwhile_is_paid_with_the_same_envelope() {
    let mut world = World::start_with("stamp(1)", Clock::system()).await;
    let home = TempDir::new().unwrap();
    let alice = client(&world, ALICE, home.path()).await;
    refused(&alice).await;
    buy(&world, &alice, 1, 4).await;
    let begun = cut_short(&world, alice, home.path()).await;

    world.ask_of_who_joins("stamp(2)").await;
    let alice = client(&world, ALICE, home.path()).await;
    assert_eq!(alice.create_identity().await.unwrap().passes, [STAMP, STAMP]);
    let [record] = bundles(&alice).await.try_into().unwrap();
    assert_eq!(record.submission.envelope(), &begun);
    assert_eq!(left(&alice).await, 2);
    no_index_went_twice(&world);
}

#[tokio::test]
async fn network_that_asks_nothing_any_more_gets_nothing_of_what_was_set_aside() {
    let mut world = World::start_with("stamp(1)", Clock::system()).await;
    let home = TempDir::new().unwrap();
    let alice = client(&world, ALICE, home.path()).await;
    refused(&alice).await;
    buy(&world, &alice, 1, 4).await;
    cut_short(&world, alice, home.path()).await;

    world.ask_of_who_joins("all()").await;
    let alice = client(&world, ALICE, home.path()).await;
    assert_eq!(alice.create_identity().await.unwrap().passes, []);
    no_index_went_twice(&world);
}

#[tokio::test]
async fn bundle_that_has_become_too_old_makes_way_for_another_with_another_stamp() {
    let mut world = World::start_with("stamp(1)", Clock::manual(Clock::system().now())).await;
    let home = TempDir::new().unwrap();
    let alice = client(&world, ALICE, home.path()).await;
    refused(&alice).await;
    buy(&world, &alice, 1, 4).await;
    let begun = cut_short(&world, alice, home.path()).await;

    let later = world.clock.now().saturating_add(MAX_AGE_FRANKED + Duration::from_secs(1));
    world.set_clock(later).await;
    let alice = client(&world, ALICE, home.path()).await;
    assert_eq!(alice.create_identity().await.unwrap().passes, [STAMP]);
    let [record] = bundles(&alice).await.try_into().unwrap();
    let envelope = record.submission.envelope();
    assert_eq!((envelope.sent_at, &envelope.ciphertext), (later, &begun.ciphertext));
    assert_eq!(left(&alice).await, 2, "what was set aside for the one goes with no other");
    no_index_went_twice(&world);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_of_a_client_that_join_at_once_make_one_envelope() {
    let world = World::start_with("stamp(1)", Clock::system()).await;
    let home = TempDir::new().unwrap();
    let alice = client(&world, ALICE, home.path()).await;
    refused(&alice).await;
    buy(&world, &alice, 1, 4).await;
    drop(alice);
    let copied = copy_of(home.path());
    let alice = client(&world, ALICE, home.path()).await;
    let copy = client(&world, ALICE, copied.path()).await;
    let (one, other) = tokio::join!(alice.create_identity(), copy.create_identity());
    for result in [one, other] {
        // The other may have been through already.
        assert!(matches!(result, Ok(_) | Err(PublishError::Exists(_) | PublishError::Refused { .. })), "{result:?}");
    }
    let [record] = bundles(&alice).await.try_into().unwrap();
    for client in [&alice, &copy] {
        if let Some(joining) = client.state().joining().unwrap() {
            assert_eq!(&joining.envelope, record.submission.envelope());
        }
    }
    no_index_went_twice(&world);
}
