//! A network that is worth something: a key out of a ceremony at the node and at its clients, on a chain that is no
//! development chain.

#![allow(clippy::unwrap_used)] // A test may.

mod support;

use std::path::{Path, PathBuf};

use support::World;
use tempfile::TempDir;
use xmtp_contracts::Deployment;
use xmtp_proto::time::Clock;
use xmtp_prover::{Limit, ProvingKey};
use xmtp_sdk::client::{Builder, Client, Draft};
use xmtp_sdk::inbox::Which;
use xmtp_sdk::transport::TransportError;

const CHAIN: u64 = 424_242;

/// Stands for what a ceremony makes: a key that is not the development key.
fn keys(folder: &TempDir) -> (ProvingKey, PathBuf) {
    let key = ProvingKey::from_seed([9; 32]);
    let file = folder.path().join("pass.pk");
    std::fs::write(&file, key.to_bytes()).unwrap();
    (key, file)
}

fn builder(world: &World, number: usize, deployment: &Deployment, home: &Path) -> Builder {
    Client::builder(world.wallet(number), deployment.clone(), home.to_owned())
        .node(world.node_url())
        .rpc(world.anvil().endpoint_url())
        .cache(env!("CARGO_TARGET_TMPDIR").into())
        // These clients are dropped without a farewell.
        .run_length(1)
}

fn to_bob(bob: &Client) -> Draft {
    Draft { from_small_groups: true, ..Draft::new(bob.account(), "Dear Bob") }
}

/// Nothing is sent, for this reason: whatever is to be proved first, stamp or reservation.
async fn refused(client: &Client, to: &Client, reason: &str) {
    let error = client.send_draft(to_bob(to)).await.unwrap_err();
    assert!(error.to_string().contains(reason), "{error}");
}

#[tokio::test]
async fn letter_is_sent_with_the_networks_own_key_and_with_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let (key, file) = keys(&folder);
    let verifying_key = key.verifying_key().unwrap();
    let anvil = xmtp_contracts::testing::start(xmtp_contracts::testing::anvil_builder().chain_id(CHAIN));
    let world = World::start_on(anvil, "all()", Clock::system(), Some(&verifying_key)).await;
    assert_eq!(world.deployment.chain_id, CHAIN);
    let homes = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let bob = builder(&world, 2, &world.deployment, homes[1].path()).connect().await.unwrap();
    bob.create_identity().await.unwrap();
    let alice = builder(&world, 1, &world.deployment, homes[0].path());

    let without = alice.clone().connect().await.unwrap();
    without.create_identity().await.unwrap();
    world.fund(without.account().address()).await;
    without.buy_stamps(1.try_into().unwrap(), Limit::new(4).unwrap()).await.unwrap();
    refused(&without, &bob, "chain 424242 needs a proving key out of its ceremony").await;
    drop(without);

    let development = folder.path().join("dev.pk");
    std::fs::write(&development, ProvingKey::dev_cached(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap().to_bytes())
        .unwrap();
    let wrong = alice.clone().proving_key(development).connect().await.unwrap();
    refused(&wrong, &bob, "the proving key belongs to the verifying key").await;
    drop(wrong);

    let alice = alice.proving_key(file).connect().await.unwrap();
    alice.send_draft(to_bob(&bob)).await.unwrap();
    let inbox = bob.inbox(Which::New).await.unwrap();
    let texts: Vec<_> = inbox.messages.iter().map(|it| it.content.as_ref().unwrap().as_text().unwrap()).collect();
    assert_eq!(texts, ["Dear Bob"]);
}

#[tokio::test]
async fn node_with_another_key_than_the_deployments_is_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    let (key, _) = keys(&folder);
    let world = World::start_on(
        xmtp_contracts::testing::anvil(),
        "all()",
        Clock::system(),
        Some(&key.verifying_key().unwrap()),
    )
    .await;
    let home = tempfile::tempdir().unwrap();
    // A deployment that names no key stands by the development key.
    let unpinned = Deployment { verifying_key: None, ..world.deployment.clone() };
    let client = builder(&world, 1, &unpinned, home.path()).connect().await.unwrap();
    assert!(matches!(client.node().await, Err(TransportError::OtherVerifyingKey { .. })));
}
