//! Slashing, all the way to the money, on a real chain: what is burned and who is credited, whoever is in the way.

#![allow(clippy::unwrap_used)] // A test may.

#[path = "chain/rpc_proxy.rs"]
mod rpc_proxy;
mod support;

use std::fs;
use std::process::{Child, Command};
use std::time::Duration;

use alloy::primitives::{Address, U256};
use alloy::providers::Provider as _;
use alloy::signers::local::PrivateKeySigner;
use rpc_proxy::{Mood, RpcProxy};
use support::stakes::Staked;
use support::{ADMIN, Book, Person, Tag, World, keystore, metric, restart_with, until};
use xmtp_contracts::{IPostage, IStake, IXmtpToken};
use xmtp_node::config::{Config, Overrides};
use xmtp_node::evidence;
use xmtp_node::slashing::{Standing, What};
use xmtp_proto::pass::Pass;
use xmtp_proto::refusal::Code;
use xmtp_proto::submission::Submission;
use xmtp_proto::wire::node_client::NodeClient;

/// How long the proxy waits for requests.
const PATIENCE: Duration = Duration::from_secs(60);
/// Who pays for the node's slashes.
const KEY: [u8; 32] = [0x51; 32];

fn slasher() -> Address {
    PrivateKeySigner::from_slice(&KEY).unwrap().address()
}

/// A section that has the node slash; its key is there, and funded.
async fn with_a_key(world: &World, beneficiary: Option<Address>) -> String {
    let folder = world.folder.path();
    let file = keystore(folder, "slasher.json", KEY);
    let password = folder.join("operator.password");
    raw(world, "anvil_setBalance", (slasher(), U256::from(10).pow(U256::from(18)))).await;
    let beneficiary = beneficiary.map(|it| format!("beneficiary = \"{it}\"\n")).unwrap_or_default();
    format!("[slashing]\nkey_file = \"{}\"\npassword_file = \"{}\"\n{beneficiary}", file.display(), password.display())
}

async fn raw(world: &World, method: &'static str, params: impl serde::Serialize) -> serde_json::Value {
    let params = serde_json::value::to_raw_value(&params).unwrap();
    let answer = world.provider.raw_request_dyn(method.into(), &params).await.unwrap();
    serde_json::from_str(answer.get()).unwrap()
}

/// Uses one index for two letters.
async fn cheat(world: &mut World, bob: &Person, stake: &Staked) {
    let epoch = world.clock.now().epoch();
    for (text, expected) in [("one", None), ("another", Some(Code::NullifierUsed))] {
        let letter = world.letter(bob, text);
        let pass = world.stake_pass(stake, epoch, 3, &letter).await;
        let got = world.publish(Submission::new(letter, vec![Pass::Stake(pass)]).unwrap()).await;
        assert_eq!(got.err().map(|refusal| refusal.code()), expected, "{text}");
    }
}

async fn cheat_with_stamps(world: &mut World, bob: &Person, book: &Book) {
    for (text, expected) in [("one stamp", None), ("the same stamp", Some(Code::NullifierUsed))] {
        let letter = world.letter(bob, text);
        let stamp = world.stamp(book, 3, &letter, Tag::ToNonce).await;
        let got = world.publish(Submission::new(letter, vec![Pass::Stamp(stamp)]).unwrap()).await;
        assert_eq!(got.err().map(|refusal| refusal.code()), expected, "{text}");
    }
}

async fn supply(world: &World) -> U256 {
    IXmtpToken::new(world.deployment.token, &world.provider).totalSupply().call().await.unwrap()
}

async fn credit(world: &World, account: Address) -> (U256, U256) {
    let postage = IPostage::new(world.deployment.postage, &world.provider).credits(account).call().await.unwrap();
    (postage, world.stake_contract().credits(account).call().await.unwrap())
}

async fn is_open(world: &World, stake: &Staked) -> bool {
    !world.stake_contract().lockOf(stake.commitment()).call().await.unwrap().staker.is_zero()
}

async fn sent(world: &World) -> u64 {
    world.provider.get_transaction_count(slasher()).await.unwrap()
}

#[tokio::test]
async fn node_with_a_key_slashes_books_and_stakes_and_earns_a_tenth() {
    let mut world = World::start().await;
    let section = with_a_key(&world, None).await + ADMIN;
    restart_with(&mut world, &section).await;
    let bob = world.join(2).await;
    let (book, stake) = (world.buy(1, 100, 11).await, world.stake(1, 21).await);
    let honest = world.stake(1, 22).await;
    let (before, root) = (supply(&world).await, world.stake_root(1).await);
    cheat_with_stamps(&mut world, &bob, &book).await;
    cheat(&mut world, &bob, &stake).await;
    until("both are slashed", async || {
        let credit = credit(&world, slasher()).await;
        !credit.0.is_zero() && !credit.1.is_zero()
    })
    .await;

    let amount = U256::from(world.deployment.stake.as_ref().unwrap().tier(1).unwrap().amount);
    let bond = IPostage::new(world.deployment.postage, &world.provider).quote(1, 100).call().await.unwrap().bond;
    assert_eq!(credit(&world, slasher()).await, (bond / U256::from(10), amount / U256::from(10)));
    let burned = bond - bond / U256::from(10) + amount - amount / U256::from(10);
    assert_eq!(before - supply(&world).await, burned);
    assert!(is_open(&world, &honest).await);
    until("the leaf is gone", async || {
        let roots = world.client.clone().get_roots(support::stakes::roots_request(1)).await.unwrap().into_inner().roots;
        roots[0].root != root.as_bytes()
    })
    .await;
    until("the node has seen both", async || metric(&world, "xmtpn_slashing_cases{state=\"slashed\"}").await == 2.0)
        .await;
    for (line, expected) in [
        ("xmtpn_slashing_evidence_total{pass=\"stamp\"}", 1.0),
        ("xmtpn_slashing_evidence_total{pass=\"stake\"}", 1.0),
        ("xmtpn_slashing_evidence_total{pass=\"member\"}", 0.0),
        ("xmtpn_slashing_cases{state=\"open\"}", 0.0),
        ("xmtpn_slashing_sent_total", 2.0),
        ("xmtpn_slashing_failed_total", 0.0),
    ] {
        assert_eq!(metric(&world, line).await, expected, "{line}");
    }
    let funds = metric(&world, "xmtpn_slashing_funds_ether").await;
    assert!(0.9 < funds && funds < 1.0, "{funds} of one, less the gas");
    // One transaction each, and no more when all is done.
    raw(&world, "anvil_mine", [3]).await;
    let head = world.provider.get_block_number().await.unwrap();
    world.node.as_ref().unwrap().chain().wait_for(|view| view.applied() >= Some(head)).await.unwrap();
    restart_with(&mut world, "").await;
    raw(&world, "anvil_mine", [1]).await;
    world.node.as_ref().unwrap().chain().wait_for(|view| view.applied() > Some(head)).await.unwrap();
    assert_eq!(sent(&world).await, 2);
}

#[tokio::test]
async fn beneficiary_that_cannot_receive_does_not_block_a_slash() {
    let mut world = World::start().await;
    // A contract without a function to be paid by, and none to ask for the credit with.
    let beneficiary = world.deployment.poseidon;
    let section = with_a_key(&world, Some(beneficiary)).await;
    restart_with(&mut world, &section).await;
    let (bob, stake) = (world.join(2).await, world.stake(1, 21).await);
    cheat(&mut world, &bob, &stake).await;
    until("it is slashed", async || !is_open(&world, &stake).await).await;
    assert_eq!(credit(&world, slasher()).await.1, U256::ZERO);
    let amount = world.deployment.stake.as_ref().unwrap().tier(1).unwrap().amount;
    assert_eq!(credit(&world, beneficiary).await.1, U256::from(amount / 10));
}

#[tokio::test]
async fn evidence_waits_for_a_key_and_for_funds_across_restarts() {
    let mut world = World::start().await;
    let (bob, stake) = (world.join(2).await, world.stake(2, 21).await);
    cheat(&mut world, &bob, &stake).await;
    assert!(is_open(&world, &stake).await, "a node without a key slashes nothing");

    // A stopped node's store, and a chain that can be asked.
    let config = |world: &World| Config::load(&world.folder.path().join("node.toml"), &Overrides::default()).unwrap();
    world.node.take().unwrap().shutdown().await.unwrap();
    let reporter = Address::repeat_byte(0x77);
    let [offer] = evidence::list(&config(&world), None, reporter).await.unwrap().try_into().unwrap();
    assert_eq!((offer.what, offer.state), (What::Stake { tier: 2 }, Standing::Open));
    assert_eq!(offer.commitment, stake.commitment());
    world.rebind().await;

    // A running node says the same, if it can be asked.
    let refused = evidence::list(&config(&world), None, reporter).await.unwrap_err();
    assert!(refused.to_string().contains("--admin"), "{refused}");
    restart_with(&mut world, ADMIN).await;
    let admin = world.node.as_ref().unwrap().admin_address();
    assert_eq!(evidence::list(&config(&world), admin, reporter).await.unwrap(), std::slice::from_ref(&offer));

    // Anybody can submit it.
    let snapshot = raw(&world, "evm_snapshot", [(); 0]).await;
    let request = alloy::rpc::types::TransactionRequest::default().to(offer.contract).input(offer.calldata.into());
    let receipt = world.provider.send_transaction(request).await.unwrap().get_receipt().await.unwrap();
    assert!(receipt.status());
    assert_eq!(credit(&world, reporter).await.1, U256::from(100) * U256::from(10).pow(U256::from(18)));
    let [gone] = evidence::list(&config(&world), admin, reporter).await.unwrap().try_into().unwrap();
    assert_eq!(gone.state, Standing::Gone);
    assert_eq!(raw(&world, "evm_revert", [snapshot]).await, true);
    // A chain that is only shorter could as well be behind.
    raw(&world, "evm_increaseTime", [5]).await;
    raw(&world, "anvil_mine", [2]).await;

    let section = with_a_key(&world, None).await;
    restart_with(&mut world, &section).await;
    until("it is slashed", async || !is_open(&world, &stake).await).await;
    assert_eq!(sent(&world).await, 1);
}

#[tokio::test]
async fn slash_that_a_reorganisation_undoes_is_made_again() {
    let mut world = World::start().await;
    let section = with_a_key(&world, None).await;
    restart_with(&mut world, &section).await;
    let (bob, stake) = (world.join(2).await, world.stake(1, 21).await);
    let before = raw(&world, "evm_snapshot", [(); 0]).await;
    let slashed_root = async |world: &mut World, was: &[u8]| {
        until("the node knows the slash", async || {
            let request = support::stakes::roots_request(1);
            let roots = world.client.clone().get_roots(request).await.unwrap().into_inner().roots;
            roots[0].root != was
        })
        .await;
    };
    let root = world.stake_root(1).await;
    cheat(&mut world, &bob, &stake).await;
    until("it is slashed", async || !is_open(&world, &stake).await).await;
    slashed_root(&mut world, root.as_bytes()).await;

    assert_eq!(raw(&world, "evm_revert", [before]).await, true);
    raw(&world, "evm_increaseTime", [5]).await;
    assert!(is_open(&world, &stake).await, "the reorganisation undid it");
    raw(&world, "anvil_mine", [2]).await;
    until("it is slashed again", async || !is_open(&world, &stake).await).await;
    slashed_root(&mut world, root.as_bytes()).await;
    assert_eq!(credit(&world, slasher()).await.1, U256::from(10) * U256::from(10).pow(U256::from(18)));
}

#[tokio::test]
async fn what_another_reporter_slashed_first_costs_nothing() {
    let mut world = World::start().await;
    let (bob, stake) = (world.join(2).await, world.stake(1, 21).await);
    cheat(&mut world, &bob, &stake).await;
    world.slash_stake(&stake, Address::repeat_byte(0x33)).await;
    let section = with_a_key(&world, None).await + ADMIN;
    restart_with(&mut world, &section).await;
    let other = world.stake(1, 22).await;
    cheat(&mut world, &bob, &other).await;
    until("the other one is slashed", async || !is_open(&world, &other).await).await;
    assert_eq!(sent(&world).await, 1);
}

#[tokio::test]
async fn slashing_oneself_is_no_way_out_of_a_lock() {
    let mut world = World::start().await;
    let stake = world.stake(1, 21).await;
    let owner = world.stake_contract().lockOf(stake.commitment()).call().await.unwrap().staker;
    let token = IXmtpToken::new(world.deployment.token, &world.provider);
    let before = token.balanceOf(owner).call().await.unwrap();
    world.exit(&stake).await;
    let contract = world.stake_contract();
    let early = contract.withdraw(stake.commitment()).call().await.err().unwrap();
    assert!(early.as_decoded_error::<IStake::TooEarly>().is_some(), "{early}");
    world.slash_stake(&stake, owner).await;
    let gone = contract.withdraw(stake.commitment()).call().await.err().unwrap();
    assert!(gone.as_decoded_error::<IStake::StakeGone>().is_some(), "{gone}");
    contract.withdrawCredit().send().await.unwrap().get_receipt().await.unwrap();
    let amount = U256::from(world.deployment.stake.as_ref().unwrap().tier(1).unwrap().amount);
    assert_eq!(token.balanceOf(owner).call().await.unwrap() - before, amount / U256::from(10));
}

#[tokio::test]
async fn book_is_closed_also_if_the_node_learns_of_it_after_its_evidence() {
    let mut world = World::start().await;
    let bob = world.join(2).await;
    let book = world.buy(1, 100, 11).await;
    cheat_with_stamps(&mut world, &bob, &book).await;
    let letter = world.letter(&bob, "with what is left of it");
    let stamp = world.stamp(&book, 5, &letter, Tag::ToNonce).await;

    // As after a crash between the two, and an upgrade after which the chain is read anew.
    world.node.take().unwrap().shutdown().await.unwrap();
    {
        let db = sled::Config::new().path(world.folder.path().join("data")).open().unwrap();
        db.open_tree("chain").unwrap().clear().unwrap();
        let log = db.open_tree("log").unwrap();
        let closed: Vec<_> = log.scan_prefix(b"x").keys().map(Result::unwrap).collect();
        assert_eq!(closed.len(), 100);
        for key in closed {
            log.remove(key).unwrap();
        }
        db.flush().unwrap();
    }
    // Evidence is looked at once at a start, before the chain has told of any book.
    let proxy = RpcProxy::start(world.anvil().endpoint_url()).await;
    proxy.set(Mood::TakesRangesOf(0));
    tokio::join!(world.start_through(proxy.url()), async {
        proxy.requests(12).await;
        proxy.set(Mood::Answers);
    });
    let store = world.node.as_ref().unwrap().store().clone();
    assert_eq!(store.evidence().count(), 1);
    let shard = xmtp_node::store::Shard::Issue(book.issue);
    until("the book is closed", async || store.is_closed(shard, &stamp.proof.nullifier).unwrap()).await;
    let refused = world.publish(Submission::new(letter, vec![Pass::Stamp(stamp)]).unwrap()).await.unwrap_err();
    assert_eq!(refused.code(), Code::SecretClosed);
}

/// A node in a process of its own, which dies with this.
struct Process(Child);

impl Process {
    /// Runs the world's configuration, and has the world ask there.
    async fn start(world: &mut World) -> Self {
        let folder = world.folder.path();
        let (config, ready) = (folder.join("node.toml"), folder.join("ready.json"));
        let _ = fs::remove_file(&ready);
        let log = fs::File::create(folder.join("node.log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_xmtp-node"));
        command.args(["run", "--config"]).arg(config).arg("--ready-file").arg(&ready).stderr(log);
        let process = Self(command.spawn().unwrap());
        let address = || {
            let json: serde_json::Value = serde_json::from_str(&fs::read_to_string(&ready).ok()?).ok()?;
            Some(json["listening"].as_str()?.to_owned())
        };
        until("the node serves", async || address().is_some()).await;
        world.client = NodeClient::connect(format!("http://{}", address().unwrap())).await.unwrap();
        until("the node sees its chain", async || {
            let roots = world.client.clone().get_roots(support::stakes::roots_request(1)).await;
            roots.err().is_none_or(|status| status.code() != tonic::Code::Unavailable)
        })
        .await;
        process
    }

    /// SIGKILL.
    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn balance_of_slasher(world: &World, wei: u64) {
    raw(world, "anvil_setBalance", (slasher(), U256::from(wei))).await;
}

/// Between the evidence and the slash that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Killed {
    BeforeItIsSent,
    WhileItWaits,
    WhenItIsInABlock,
}

#[tokio::test]
async fn node_that_is_killed_between_evidence_and_slash_slashes_once() {
    let mut world = World::start().await;
    let section = with_a_key(&world, None).await;
    restart_with(&mut world, &section).await;
    world.node.take().unwrap().shutdown().await.unwrap();
    let mut node = Process::start(&mut world).await;
    let bob = world.join(2).await;
    let tenth = U256::from(world.deployment.stake.as_ref().unwrap().tier(1).unwrap().amount / 10);
    for (slashes, killed) in (1..).zip([Killed::BeforeItIsSent, Killed::WhileItWaits, Killed::WhenItIsInABlock]) {
        let stake = world.stake(1, 20 + u8::try_from(slashes).unwrap()).await;
        match killed {
            // The chain takes nothing from who has nothing.
            Killed::BeforeItIsSent => balance_of_slasher(&world, 0).await,
            Killed::WhileItWaits => drop(raw(&world, "evm_setAutomine", [false]).await),
            Killed::WhenItIsInABlock => {}
        }
        cheat(&mut world, &bob, &stake).await;
        match killed {
            Killed::BeforeItIsSent => {
                let log = world.folder.path().join("node.log");
                until("it was tried", async || fs::read_to_string(&log).unwrap().contains("takes no slash")).await;
            }
            Killed::WhileItWaits => {
                let waits =
                    async || world.provider.get_transaction_count(slasher()).pending().await.unwrap() == slashes;
                until("it was sent", waits).await;
            }
            Killed::WhenItIsInABlock => until("it is slashed", async || !is_open(&world, &stake).await).await,
        }
        node.kill();
        assert_eq!(is_open(&world, &stake).await, killed != Killed::WhenItIsInABlock, "{killed:?}");

        balance_of_slasher(&world, 10_u64.pow(18)).await;
        node = Process::start(&mut world).await;
        if killed == Killed::WhileItWaits {
            raw(&world, "evm_setAutomine", [true]).await;
            raw(&world, "anvil_mine", [1]).await;
        }
        until("it is slashed", async || !is_open(&world, &stake).await).await;
        // And not again, whatever it learns of the chain.
        let root = world.stake_root(1).await;
        for _ in 0..3 {
            raw(&world, "anvil_mine", [1]).await;
        }
        let other = world.stake(1, 40 + u8::try_from(slashes).unwrap()).await;
        assert_ne!(world.stake_root(1).await, root, "it has seen the blocks behind the slash");
        assert_eq!(sent(&world).await, slashes, "{killed:?}");
        assert_eq!(credit(&world, slasher()).await.1, tenth * U256::from(slashes), "{killed:?}");
        assert!(is_open(&world, &other).await);
    }
}
