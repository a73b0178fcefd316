//! Books and stakes that were paid for, whatever the chain said meanwhile: the SDK as the client, a real node, a real chain.

#![allow(clippy::unwrap_used)] // A test may.

#[path = "chain/rpc_proxy.rs"]
mod rpc_proxy;
mod support;

use std::path::Path;
use std::time::Duration;

use alloy::primitives::{Address, B256, U256};
use alloy::providers::{DynProvider, Provider as _, ProviderBuilder};
use rpc_proxy::{Mood, RpcProxy};
use serde_json::Value;
use support::{World, until};
use tempfile::TempDir;
use url::Url;
use xmtp_contracts::{IPostage, IStake, IXmtpToken};
use xmtp_proto::field::Commitment;
use xmtp_proto::requirement::Shown;
use xmtp_prover::{Limit, PassSecret};
use xmtp_sdk::client::{BookStatus, BoughtBook, BuyStampsError, Client, SendError, StakeStatus};
use xmtp_sdk::state::{Lock, Purchase};

/// For the proxy.
const PATIENCE: Duration = Duration::from_secs(20);
const ALICE: usize = 1;
const BOB: usize = 2;
/// Has the whole supply, and is faster than Alice on the chain that counts.
const CAROL: usize = 0;
/// Leaves that share their way to the root.
const EIGHT: u8 = 8;
/// Stamps in a book.
const COUNT: u32 = 8;
/// What she has, in wei.
const WEALTH: u128 = 200 * 10_u128.pow(18);

/// Somebody with an identity and tokens, behind this RPC.
async fn client(world: &World, number: usize, home: &Path, rpc: Url) -> Client {
    let client = world.builder(number, home).run_length(1).rpc(rpc).connect().await.unwrap();
    client.create_identity().await.unwrap();
    for _ in 0..2 {
        world.fund(client.account().address()).await;
    }
    client
}

async fn buy(client: &Client) -> Result<BoughtBook, BuyStampsError> {
    client.buy_stamps(1.try_into().unwrap(), Limit::new(COUNT).unwrap()).await
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

/// Takes the chain back to a snapshot. From there on it is another one.
async fn fork(world: &World, snapshot: Value) {
    assert_eq!(raw(world, "evm_revert", [snapshot]).await, true);
    // So that no block is what it was.
    raw(world, "evm_increaseTime", [7]).await;
}

/// Makes the chain longer than it was before, and waits until the node follows it.
async fn outgrow(world: &World) {
    raw(world, "anvil_mine", [4]).await;
    let head = raw(world, "eth_getBlockByNumber", ("latest", false)).await["hash"].clone();
    let head: B256 = head.as_str().unwrap().parse().unwrap();
    let chain = world.node.as_ref().unwrap().chain();
    until("the node follows the other chain", async || chain.view().head().is_some_and(|it| it.hash == head)).await;
}

/// An account for which the chain itself signs, and lets contracts take what they ask for. A new one each time: one that
/// waited for blocks which were taken away would wait for ever.
async fn unlocked(world: &World, number: usize, spender: Address) -> (DynProvider, Address) {
    let provider = ProviderBuilder::new().connect_http(world.anvil().endpoint_url()).erased();
    let account = world.anvil().addresses()[number];
    let token = IXmtpToken::new(world.deployment.token, &provider);
    token.approve(spender, U256::MAX).from(account).send().await.unwrap().get_receipt().await.unwrap();
    (provider, account)
}

async fn buy_as(world: &World, number: usize, commitment: Commitment) {
    let (provider, account) = unlocked(world, number, world.deployment.postage).await;
    let postage = IPostage::new(world.deployment.postage, provider);
    let bought = postage.buy(1, COUNT, commitment.field().to_u256()).from(account).send().await.unwrap();
    assert!(bought.get_receipt().await.unwrap().status());
}

async fn stake_as(world: &World, number: usize, commitment: Commitment) {
    let contract = world.deployment.stake.as_ref().unwrap().contract;
    let (provider, account) = unlocked(world, number, contract).await;
    let stakes = IStake::new(contract, provider);
    let staked = stakes.stake(1, commitment.field().to_u256()).from(account).send().await.unwrap();
    assert!(staked.get_receipt().await.unwrap().status());
}

/// As many as make leaves behind them go another way to the root.
fn carols() -> impl Iterator<Item = Commitment> {
    (0..EIGHT).map(|number| PassSecret::from_wide_bytes(&[7 + number; 64]).unwrap().commitment())
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
    hold_blocks(&world).await;
    proxy.set(Mood::ForgetsPending);
    give_up(&world, buy(&alice)).await;

    let bought = both_at_once(&world, buy(&alice)).await.unwrap();
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
    give_up(&world, buy(&alice)).await;
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

#[tokio::test]
async fn book_that_a_reorganisation_moved_pays_from_where_it_is() {
    let world = World::start().await;
    let homes = [(); 2].map(|()| TempDir::new().unwrap());
    let alice = client(&world, ALICE, homes[0].path(), world.anvil().endpoint_url()).await;
    let bob = client(&world, BOB, homes[1].path(), world.anvil().endpoint_url()).await;
    let snapshot = raw(&world, "evm_snapshot", [(); 0]).await;
    let bought = buy(&alice).await.unwrap();
    assert_eq!(bought.bought.position.index, 0);

    fork(&world, snapshot).await;
    for commitment in carols() {
        buy_as(&world, CAROL, commitment).await;
    }
    buy_as(&world, ALICE, bought.book.commitment).await;
    outgrow(&world).await;
    alice.send(&bob.account().to_string(), "Dear Bob").await.unwrap();
    let found = alice.state().book(bought.book.id).unwrap().unwrap();
    assert_eq!(found.bought().unwrap().position.index, u32::from(EIGHT));
}

#[tokio::test]
async fn stake_that_a_reorganisation_moved_pays_from_where_it_is() {
    let world = World::start().await;
    let homes = [(); 2].map(|()| TempDir::new().unwrap());
    let alice = client(&world, ALICE, homes[0].path(), world.anvil().endpoint_url()).await;
    let bob = client(&world, BOB, homes[1].path(), world.anvil().endpoint_url()).await;
    bob.set_policy("stake(1)".parse().unwrap()).await.unwrap();
    let snapshot = raw(&world, "evm_snapshot", [(); 0]).await;
    let made = alice.stake(1).await.unwrap();
    assert_eq!(made.stake.position().unwrap().index, 0);

    fork(&world, snapshot).await;
    for commitment in carols() {
        stake_as(&world, CAROL, commitment).await;
    }
    stake_as(&world, ALICE, made.stake.commitment).await;
    outgrow(&world).await;
    let sent = alice.send(&bob.account().to_string(), "Dear Bob").await.unwrap();
    assert_eq!(sent.passes, [Shown::Stake { tier: 1 }]);
    let found = alice.state().stake(made.stake.id).unwrap().unwrap();
    assert_eq!(found.position().unwrap().index, u32::from(EIGHT));
}

#[tokio::test]
async fn book_that_a_reorganisation_took_away_is_bought_again() {
    let world = World::start().await;
    let homes = [(); 2].map(|()| TempDir::new().unwrap());
    let alice = client(&world, ALICE, homes[0].path(), world.anvil().endpoint_url()).await;
    let bob = client(&world, BOB, homes[1].path(), world.anvil().endpoint_url()).await;
    let to = bob.account().to_string();
    let snapshot = raw(&world, "evm_snapshot", [(); 0]).await;
    let bought = buy(&alice).await.unwrap();
    drop(alice);

    fork(&world, snapshot).await;
    outgrow(&world).await;
    let alice = world.builder(ALICE, homes[0].path()).run_length(1).connect().await.unwrap();
    let Err(SendError::NoPass(_)) = alice.send(&to, "Dear Bob").await else { panic!("paid with nothing") };
    assert_eq!(only_book(&alice).await.book.purchase, Purchase::Intended);
    let again = buy(&alice).await.unwrap();
    assert_eq!((again.book.id, spent(&world, &alice).await), (bought.book.id, bought.quote.total().0), "one book");
    alice.send(&to, "Dear Bob").await.unwrap();
}
