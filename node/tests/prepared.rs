//! Stamps that were prepared while there was nothing to send: accepted like any other, and each used once.

#![allow(clippy::unwrap_used)] // A test may.

mod support;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use alloy::providers::Provider as _;
use serde_json::{Value, json};
use support::World;
use tempfile::TempDir;
use xmtp_proto::time::{Clock, Generation, Timestamp};
use xmtp_prover::Limit;
use xmtp_sdk::client::{Client, Sent, Step};
use xmtp_sdk::franking::STOCK;
use xmtp_sdk::inbox::Which;

const ALICE: usize = 1;
const BOB: usize = 2;
/// Stamps that she has.
const STAMPS: u32 = 20;
/// For the node to see a book, and for a stock to fill up.
const PATIENCE: Duration = Duration::from_secs(120);
const DAY: Duration = Duration::from_secs(86_400);

/// What a client did.
type Steps = Arc<Mutex<Vec<Step>>>;

async fn client(world: &World, person: usize, home: &Path, steps: &Steps) -> Client {
    world
        .builder(person, home)
        .clock(world.clock.clone())
        .on_step({
            let steps = Arc::clone(steps);
            move |step| steps.lock().unwrap().push(step)
        })
        .connect()
        .await
        .unwrap()
}

/// Alice with stamps, and Bob with a policy.
async fn people(world: &World, policy: &str) -> (Client, Client, [TempDir; 2]) {
    people_told(world, policy, &Steps::default()).await
}

/// The same, and what Alice does.
async fn people_told(world: &World, policy: &str, steps: &Steps) -> (Client, Client, [TempDir; 2]) {
    let homes = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let alice = client(world, ALICE, homes[0].path(), steps).await;
    let bob = client(world, BOB, homes[1].path(), &Steps::default()).await;
    for it in [&alice, &bob] {
        it.create_identity().await.unwrap();
    }
    bob.set_policy(policy.parse().unwrap()).await.unwrap();
    world.fund(alice.account().address()).await;
    alice.buy_stamps(1.try_into().unwrap(), Limit::new(STAMPS).unwrap()).await.unwrap();
    (alice, bob, homes)
}

/// Prepares as many stamps as are kept, once a checkpoint has the book.
async fn prepare_all(alice: &Client) {
    let all = async {
        while alice.prepare_stamps().await.unwrap() == 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, all).await.expect("a checkpoint has the book");
}

/// Asks the chain for what only a development chain does.
async fn raw(world: &World, method: &'static str, params: Value) -> Value {
    let params = serde_json::value::to_raw_value(&params).unwrap();
    serde_json::from_str(world.provider.raw_request_dyn(method.into(), &params).await.unwrap().get()).unwrap()
}

async fn write(alice: &Client, bob: &Client, text: &str) -> Sent {
    alice.send(&bob.account().to_string(), text).await.unwrap()
}

async fn received(bob: &Client) -> usize {
    let inbox = bob.inbox(Which::All).await.unwrap();
    assert!(inbox.unverified.is_empty());
    inbox.messages.len()
}

#[tokio::test]
async fn letters_take_what_was_prepared_and_then_prove_as_ever() {
    let world = World::start().await;
    let (alice, bob, _homes) = people(&world, "stamp(1)").await;
    prepare_all(&alice).await;
    assert_eq!(alice.prepare_stamps().await.unwrap(), 0, "nothing is missing");
    for letter in 0..=STOCK {
        let sent = write(&alice, &bob, &format!("letter {letter}")).await;
        assert_eq!(sent.prepared, usize::from(letter < STOCK), "letter {letter}");
        assert!(!sent.tagged && !sent.fresh_root);
    }
    assert_eq!(received(&bob).await, STOCK + 1);
}

#[tokio::test]
async fn stamps_are_prepared_for_who_asks_for_a_pseudonym() {
    let world = World::start().await;
    let (alice, bob, _homes) = people(&world, "stamp(1, tagged)").await;
    prepare_all(&alice).await;
    assert_eq!(alice.prepare_stamps_for(bob.account()).await.unwrap(), 1);
    assert_eq!(alice.prepare_stamps_for(bob.account()).await.unwrap(), 0, "nothing is missing");
    // The next stamp's blank shows no pseudonym, so it is of no use here.
    for prepared in [1, 0] {
        let sent = write(&alice, &bob, &format!("{prepared} prepared")).await;
        assert!(sent.tagged);
        assert_eq!(sent.prepared, prepared);
    }
    assert_eq!(received(&bob).await, 2);
}

#[tokio::test]
async fn stamp_under_a_root_that_was_withdrawn_is_proved_again_for_the_same_letter() {
    let mut world = World::start().await;
    let steps = Steps::default();
    let (alice, bob, _homes) = people_told(&world, "stamp(1)", &steps).await;
    let before = raw(&world, "evm_snapshot", json!([])).await;
    let other = world.buy(1, 8, 11).await;
    prepare_all(&alice).await;
    let prepared_under = world.newest_root(&other).await;

    // The chain takes the other purchase back, and with it the root.
    assert_eq!(raw(&world, "evm_revert", json!([before])).await, true);
    raw(&world, "anvil_mine", json!([4])).await;
    let withdrawn = async {
        while world.newest_root(&other).await == prepared_under {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, withdrawn).await.expect("the root is withdrawn");

    steps.lock().unwrap().clear();
    let sent = write(&alice, &bob, "a letter").await;
    assert_eq!((sent.prepared, sent.cover), (0, Some(1)));
    assert_eq!(alice.prepared_stamps(), 0, "all that was made under that root is given up");
    // One letter and one index were written down, and two proofs were made for them.
    let told = |step: &Step| matches!(step, Step::WrittenDown | Step::Proving | Step::Publishing | Step::Recorded);
    let of_letter: Vec<Step> = steps.lock().unwrap().iter().copied().filter(told).take(6).collect();
    let attempt = [Step::Proving, Step::Publishing];
    assert_eq!(of_letter, [&[Step::WrittenDown], &attempt[..], &attempt, &[Step::Recorded]].concat());
    assert_eq!(received(&bob).await, 1);

    prepare_all(&alice).await;
    assert_eq!(write(&alice, &bob, "another letter").await.prepared, 1);
}

/// The first noon of a quarter, so that no other one begins within weeks.
fn noon() -> Timestamp {
    let noon = |day: u64| Timestamp::from_secs(day * 86_400 + 43_200);
    let begins = |day: &u64| Generation::at(noon(*day)) != Generation::at(noon(day - 1));
    noon((1..=Clock::system().now().epoch().0).rev().find(begins).unwrap())
}

#[tokio::test]
async fn blanks_are_made_anew_after_a_week_under_the_newest_checkpoint() {
    let start = noon();
    let mut world = World::start_with("all()", Clock::manual(start)).await;
    let (alice, bob, _homes) = people(&world, "stamp(1)").await;
    prepare_all(&alice).await;
    let first = write(&alice, &bob, "on the first day").await;
    assert_eq!((first.prepared, first.cover), (1, Some(1)));

    world.buy(1, 8, 11).await;
    world.set_clock(start.saturating_add(6 * DAY)).await;
    assert_eq!(alice.prepare_stamps().await.unwrap(), 1, "the one that was used");
    let sixth = write(&alice, &bob, "six days later").await;
    assert_eq!((sixth.prepared, sixth.cover), (1, Some(1)), "of the first day, and still good");

    world.set_clock(start.saturating_add(7 * DAY)).await;
    assert_eq!(alice.prepare_stamps().await.unwrap(), STOCK - 1, "all but the one of yesterday");
    let seventh = write(&alice, &bob, "a week later").await;
    assert_eq!((seventh.prepared, seventh.cover), (1, Some(2)), "under the newest checkpoint");

    // Nobody made them anew: they are not used.
    world.set_clock(start.saturating_add(14 * DAY)).await;
    assert_eq!(alice.prepared_stamps(), STOCK - 1);
    let last = write(&alice, &bob, "another week later").await;
    assert_eq!((last.prepared, last.cover), (0, Some(2)));
    assert_eq!(received(&bob).await, 4);
}

#[tokio::test]
async fn stock_fills_up_again_while_letters_are_written() {
    let world = World::start().await;
    let (alice, bob, _homes) = people(&world, "stamp(1)").await;
    prepare_all(&alice).await;
    let letters = async {
        for letter in 0..2 * STOCK {
            // Whoever writes slowly enough finds one prepared each time.
            let filled = async {
                while alice.prepared_stamps() == 0 {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            tokio::time::timeout(PATIENCE, filled).await.expect("the stock fills up");
            assert_eq!(write(&alice, &bob, &format!("letter {letter}")).await.prepared, 1, "letter {letter}");
        }
    };
    tokio::select! {
        never = alice.keep_prepared() => match never {},
        () = letters => {}
    }
    assert_eq!(received(&bob).await, 2 * STOCK);
}
