//! The penny post end to end: the SDK as the client, a real node, a real chain.

#![allow(clippy::unwrap_used)] // A test may.

mod support;

use std::path::Path;

use support::World;
use xmtp_proto::derive::Denomination;
use xmtp_proto::refusal::Code;
use xmtp_prover::Limit;
use xmtp_sdk::client::{BuyStampsError, Client, Draft, SendError};
use xmtp_sdk::inbox::{Inbox, Which};

async fn client(world: &World, number: usize, home: &Path) -> Client {
    // These clients are dropped without a farewell, and count their stamps.
    world.builder(number, home).run_length(1).connect().await.unwrap()
}

async fn grant(world: &World, to: &Client) {
    world.fund(to.account().address()).await;
}

fn denomination(units: u32) -> Denomination {
    units.try_into().unwrap()
}

fn texts(inbox: &Inbox) -> Vec<(String, &str)> {
    let text = |message: &xmtp_sdk::inbox::Message| message.content.as_ref().unwrap().as_text().unwrap().to_owned();
    inbox
        .messages
        .iter()
        .map(|message| (text(message), if message.units_paid == 0 { "free" } else { "paid" }))
        .collect()
}

#[tokio::test]
async fn strangers_letter_arrives_and_is_read_on_a_second_client_from_the_wallet_alone() {
    let world = World::start().await;
    let homes = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let alice = client(&world, 1, homes[0].path()).await;
    let bob = client(&world, 2, homes[1].path()).await;
    for it in [&alice, &bob] {
        it.create_identity().await.unwrap();
    }
    bob.set_policy("stamp(5)".parse().unwrap()).await.unwrap();
    let to = bob.account().to_string();

    // Without a stamp she learns what would do.
    let Err(SendError::NoPass(no_pass)) = alice.send(&to, "Dear Bob").await else { panic!("sent for nothing") };
    let offer = no_pass.to_string();
    assert!(offer.contains('5'), "{offer}");
    // The node thinks so too.
    let unpaid = Draft { without_passes: true, ..Draft::new(bob.account(), "Dear Bob") };
    let Err(SendError::Refused(refusal)) = alice.send_draft(unpaid).await else { panic!("relayed for nothing") };
    assert_eq!(refusal.code(), Code::RequirementUnmet);

    grant(&world, &alice).await;
    alice.buy_stamps(denomination(5), Limit::new(3).unwrap()).await.unwrap();
    let sent = alice.send(&to, "Dear Bob").await.unwrap();
    assert_eq!(sent.stamps, [denomination(5)]);
    let second = alice.send(&to, "P.S.").await.unwrap();
    assert_ne!(second.envelope, sent.envelope);

    let expected = [("Dear Bob".to_owned(), "paid"), ("P.S.".to_owned(), "paid")];
    let inbox = bob.inbox(Which::New).await.unwrap();
    assert_eq!(texts(&inbox), expected);
    assert!(inbox.messages.iter().all(|message| message.from == alice.account() && message.units_paid == 5));
    assert!(inbox.unverified.is_empty());
    assert!(bob.inbox(Which::New).await.unwrap().messages.is_empty(), "nothing is new twice");

    let restored = client(&world, 2, homes[2].path()).await;
    restored.restore_identity().await.unwrap();
    assert_eq!(texts(&restored.inbox(Which::All).await.unwrap()), expected);
}

#[tokio::test]
async fn letter_that_met_a_dead_node_goes_out_once_and_with_one_stamp() {
    let mut world = World::start().await;
    let homes = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let alice = client(&world, 1, homes[0].path()).await;
    let bob = client(&world, 2, homes[1].path()).await;
    for it in [&alice, &bob] {
        it.create_identity().await.unwrap();
    }
    grant(&world, &alice).await;
    alice.buy_stamps(denomination(1), Limit::new(2).unwrap()).await.unwrap();
    let to = bob.account().to_string();
    alice.send(&to, "first").await.unwrap();

    world.node.take().unwrap().shutdown().await.unwrap();
    alice.send(&to, "second").await.unwrap_err();
    drop((alice, bob));

    world.rebind().await;
    let alice = client(&world, 1, homes[0].path()).await;
    let bob = client(&world, 2, homes[1].path()).await;
    alice.send(&to, "second").await.unwrap();
    alice.resume_outbox().await.unwrap();
    let expected = [("first".to_owned(), "paid"), ("second".to_owned(), "paid")];
    assert_eq!(texts(&bob.inbox(Which::All).await.unwrap()), expected);
    // Both stamps are used, and no third letter goes out on them.
    let Err(SendError::NoPass(_)) = alice.send(&to, "third").await else { panic!("a stamp went twice") };
}

#[tokio::test]
async fn who_cannot_pay_is_told_how_much_is_missing() {
    let world = World::start().await;
    let home = tempfile::tempdir().unwrap();
    let alice = client(&world, 1, home.path()).await;
    alice.create_identity().await.unwrap();
    let error = alice.buy_stamps(denomination(500), Limit::new(10).unwrap()).await.unwrap_err();
    assert!(matches!(error, BuyStampsError::Buy(_)), "{error}");
    assert!(error.to_string().contains("XMTP"), "{error}");
}
