//! Stamps that were prepared while there was nothing to send: accepted like any other, and each used once.

#![allow(clippy::unwrap_used)] // A test may.

mod support;

use std::path::Path;
use std::time::Duration;

use alloy::primitives::U256;
use alloy::signers::local::PrivateKeySigner;
use support::World;
use tempfile::TempDir;
use url::Url;
use xmtp_contracts::IXmtpToken;
use xmtp_prover::Limit;
use xmtp_sdk::client::{Client, Sent};
use xmtp_sdk::franking::STOCK;
use xmtp_sdk::inbox::Which;

const ALICE: usize = 1;
const BOB: usize = 2;
/// Stamps that she has.
const STAMPS: u32 = 20;
/// For the node to see a book, and for a stock to fill up.
const PATIENCE: Duration = Duration::from_secs(120);

async fn client(world: &World, person: usize, home: &Path) -> Client {
    let wallet = PrivateKeySigner::from_slice(&world.anvil().keys()[person].to_bytes()).unwrap();
    let node: Url = format!("http://{}", world.node.as_ref().unwrap().address()).parse().unwrap();
    Client::builder(wallet, world.deployment.clone(), home.to_owned())
        .node(node)
        .rpc(world.anvil().endpoint_url())
        .cache(env!("CARGO_TARGET_TMPDIR").into())
        .clock(world.clock.clone())
        .connect()
        .await
        .unwrap()
}

/// Alice with stamps, and Bob with a policy.
async fn people(world: &World, policy: &str) -> (Client, Client, [TempDir; 2]) {
    let homes = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let alice = client(world, ALICE, homes[0].path()).await;
    let bob = client(world, BOB, homes[1].path()).await;
    for it in [&alice, &bob] {
        it.create_identity().await.unwrap();
    }
    bob.set_policy(policy.parse().unwrap()).await.unwrap();
    let token = IXmtpToken::new(world.deployment.token, &world.provider);
    let amount = U256::from(10).pow(U256::from(20));
    token.transfer(alice.account().address(), amount).send().await.unwrap().get_receipt().await.unwrap();
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
