//! Books and stakes that were paid for, whatever the chain said meanwhile: the SDK as the client, a real node, a real chain.

#![allow(clippy::unwrap_used)] // A test may.

#[path = "chain/rpc_proxy.rs"]
mod rpc_proxy;
mod support;

use std::path::Path;
use std::time::Duration;

use alloy::primitives::U256;
use alloy::providers::Provider as _;
use alloy::signers::local::PrivateKeySigner;
use rpc_proxy::{Mood, RpcProxy};
use serde_json::Value;
use support::{World, until};
use tempfile::TempDir;
use url::Url;
use xmtp_contracts::IXmtpToken;
use xmtp_prover::Limit;
use xmtp_sdk::client::{BookStatus, Client, StakeStatus};
use xmtp_sdk::state::{Lock, Purchase};

/// For the proxy.
const PATIENCE: Duration = Duration::from_secs(20);
const ALICE: usize = 1;
/// What she has, in wei.
const WEALTH: u128 = 100_000 * 10_u128.pow(18);

async fn client(world: &World, number: usize, home: &Path, rpc: Url) -> Client {
    let wallet = PrivateKeySigner::from_slice(&world.anvil().keys()[number].to_bytes()).unwrap();
    let node: Url = format!("http://{}", world.node.as_ref().unwrap().address()).parse().unwrap();
    let client = Client::builder(wallet, world.deployment.clone(), home.to_owned())
        .node(node)
        .rpc(rpc)
        .cache(env!("CARGO_TARGET_TMPDIR").into())
        .run_length(1)
        .delay(Duration::ZERO)
        .connect()
        .await
        .unwrap();
    client.create_identity().await.unwrap();
    let token = IXmtpToken::new(world.deployment.token, &world.provider);
    let granted = token.transfer(client.account().address(), U256::from(WEALTH)).send().await.unwrap();
    granted.get_receipt().await.unwrap();
    client
}

async fn spent(world: &World, client: &Client) -> U256 {
    let token = IXmtpToken::new(world.deployment.token, &world.provider);
    U256::from(WEALTH) - token.balanceOf(client.account().address()).call().await.unwrap()
}

async fn raw(world: &World, method: &'static str, params: impl serde::Serialize) -> Value {
    let params = serde_json::value::to_raw_value(&params).unwrap();
    let answer = world.provider.raw_request_dyn(method.into(), &params).await.unwrap();
    serde_json::from_str(answer.get()).unwrap()
}

/// Blocks are made when a test says so.
async fn hold_blocks(world: &World) {
    raw(world, "evm_setAutomine", [false]).await;
}

async fn until_waiting(world: &World, transactions: u64) {
    until("the transaction waits for a block", async || {
        raw(world, "txpool_status", [(); 0]).await["pending"] == format!("{transactions:#x}")
    })
    .await;
}

/// Gives up once the transaction waits for a block, as after three minutes.
async fn give_up<T>(world: &World, purchase: impl Future<Output = T>) {
    tokio::select! {
        _ = purchase => panic!("nothing was bought without a block"),
        () = until_waiting(world, 1) => {}
    }
}

/// Makes the block that both transactions wait for.
async fn both_at_once<T>(world: &World, second: impl Future<Output = T>) -> T {
    let block = async {
        until_waiting(world, 2).await;
        raw(world, "evm_mine", [(); 0]).await;
    };
    tokio::join!(second, block).0
}

async fn only_book(client: &Client) -> BookStatus {
    let [book] = client.books().await.unwrap().try_into().unwrap();
    book
}

async fn only_stake(client: &Client) -> StakeStatus {
    let [stake] = client.stakes().await.unwrap().try_into().unwrap();
    stake
}

#[tokio::test]
async fn book_is_there_although_the_second_of_two_transactions_failed() {
    let world = World::start().await;
    let proxy = RpcProxy::start(world.anvil().endpoint_url()).await;
    let home = TempDir::new().unwrap();
    let alice = client(&world, ALICE, home.path(), proxy.url()).await;
    let buy = || alice.buy_stamps(1.try_into().unwrap(), Limit::new(8).unwrap());
    hold_blocks(&world).await;
    proxy.set(Mood::ForgetsPending);
    give_up(&world, buy()).await;

    let bought = both_at_once(&world, buy()).await.unwrap();
    assert_eq!(bought.transaction, None, "it was another one that bought it");
    assert_eq!(spent(&world, &alice).await, bought.quote.total().0, "paid once");
    assert_eq!(only_book(&alice).await.book.bought(), Some(bought.bought));
}

#[tokio::test]
async fn stake_is_there_although_the_second_of_two_transactions_failed() {
    let world = World::start().await;
    let proxy = RpcProxy::start(world.anvil().endpoint_url()).await;
    let home = TempDir::new().unwrap();
    let alice = client(&world, ALICE, home.path(), proxy.url()).await;
    hold_blocks(&world).await;
    proxy.set(Mood::ForgetsPending);
    give_up(&world, alice.stake(1)).await;

    let made = both_at_once(&world, alice.stake(1)).await.unwrap();
    assert_eq!(made.transaction, None, "it was another one that locked it");
    assert_eq!(spent(&world, &alice).await, made.amount.0, "locked once");
    assert!(matches!(only_stake(&alice).await.stake.lock, Lock::Locked { .. }));
}

#[tokio::test]
async fn what_was_given_up_for_lost_is_found_when_it_is_listed() {
    let world = World::start().await;
    let home = TempDir::new().unwrap();
    let alice = client(&world, ALICE, home.path(), world.anvil().endpoint_url()).await;
    hold_blocks(&world).await;
    give_up(&world, alice.buy_stamps(1.try_into().unwrap(), Limit::new(8).unwrap())).await;
    let book = only_book(&alice).await.book.id;
    alice.state().record_purchase(book, Purchase::Failed).unwrap();
    assert_eq!(only_book(&alice).await.book.purchase, Purchase::Failed, "the chain has nothing yet");
    raw(&world, "evm_mine", [(); 0]).await;
    assert!(matches!(only_book(&alice).await.book.purchase, Purchase::Bought(_)));

    give_up(&world, alice.stake(1)).await;
    let stake = only_stake(&alice).await.stake.id;
    alice.state().record_lock(stake, Lock::Failed).unwrap();
    assert_eq!(only_stake(&alice).await.stake.lock, Lock::Failed, "the chain has nothing yet");
    raw(&world, "evm_mine", [(); 0]).await;
    assert!(matches!(only_stake(&alice).await.stake.lock, Lock::Locked { .. }));
}
