//! A campaign of reorganisations: a chain takes back what it said, seen through an RPC that refuses, hangs, garbles, lies about the
//! head, or answers for another chain. `scripts/campaign chain` runs it; without harness, for it takes numbers and ends with
//! figures.
//!
//! ```text
//! buy ──► spend ──► trouble ──► the purchase is orphaned ──► the trouble ends ──► offer its stamps, and honest ones ──► buy …
//! ```
//!
//! The node counts blocks at once, without confirmations: so whatever it counts may be taken back, and has to be withdrawn.

#![allow(clippy::unwrap_used)] // A test may.

#[path = "../crash/dice.rs"]
mod dice;
#[path = "../chain/rpc_proxy.rs"]
mod rpc_proxy;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use alloy::node_bindings::AnvilInstance;
use alloy::primitives::B256;
use alloy::providers::{Provider as _, ProviderBuilder};
use alloy::rpc::types::Block;
use clap::Parser;
use dice::Dice;
use rpc_proxy::{Mood, RpcProxy};
use serde_json::Value;
use support::{Book, Person, Tag, World, until};
use tracing_subscriber::EnvFilter;
use xmtp_contracts::{IPostage, testing};
use xmtp_proto::derive::Issue;
use xmtp_proto::pass::Pass;
use xmtp_proto::refusal::{Code, Refusal};
use xmtp_proto::submission::Submission;
use xmtp_proto::time::Clock;
use xmtp_prover::{Limit, PassSecret};

/// For everything that happens by itself.
const PATIENCE: Duration = Duration::from_secs(60);
/// The deepest reorganisation.
const DEPTH_MAX: u64 = 20;
/// Longer than a view of the chain is believed.
const TOO_OLD: Duration = Duration::from_secs(90);
/// Stamps in a book.
const COUNT: u32 = 8;
/// Kinds of trouble.
const KINDS: usize = 7;
/// Faults that are told in words.
const EXAMPLES_MAX: usize = 20;

#[derive(Parser)]
struct Options {
    /// How many.
    #[arg(long, default_value_t = 15)]
    reorganisations: u32,
    /// How deep they are, and what else goes wrong. Chosen by the clock if left out.
    #[arg(long)]
    seed: Option<u64>,
}

/// What is wrong with the RPC while the chain is reorganised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    None,
    Refuses,
    Hangs,
    Garbles,
    Behind(u64),
    Boasts(u64),
    OtherChain,
}

impl Trouble {
    /// One of each kind.
    fn deck(dice: &mut Dice) -> Vec<Self> {
        let mut blocks = || dice.between(1, DEPTH_MAX + 5);
        let (behind, boasts) = (blocks(), blocks());
        vec![
            Self::None,
            Self::Refuses,
            Self::Hangs,
            Self::Garbles,
            Self::Behind(behind),
            Self::Boasts(boasts),
            Self::OtherChain,
        ]
    }

    const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Refuses => "refuses",
            Self::Hangs => "hangs",
            Self::Garbles => "garbles",
            Self::Behind(_) => "head_too_low",
            Self::Boasts(_) => "head_too_high",
            Self::OtherChain => "other_chain",
        }
    }

    /// Whether the node can tell that it knows nothing: an old head that is not contradicted looks like a chain at rest.
    const fn shows(self) -> bool {
        matches!(self, Self::Refuses | Self::Hangs | Self::Garbles | Self::Boasts(_) | Self::OtherChain)
    }
}

/// What a campaign comes to.
#[derive(Default)]
struct Report {
    deepest: u64,
    troubles: BTreeMap<&'static str, u32>,
    /// Stamps that were used before their purchase was orphaned.
    spent_before: u32,
    /// Stamps of orphaned purchases that were offered, and those that were accepted.
    orphaned: u32,
    orphaned_accepted: u32,
    /// Honest stamps offered after the trouble, and those that were refused.
    honest: u32,
    honest_refused: u32,
    /// Stamps offered while the node could not know its chain, and those that were accepted.
    blind: u32,
    blind_accepted: u32,
    /// Answers that nothing explains.
    unexpected: u32,
    examples: Vec<String>,
}

impl Report {
    fn example(&mut self, what: String) {
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(what);
        }
    }

    const fn faults(&self) -> u32 {
        self.orphaned_accepted + self.honest_refused + self.blind_accepted + self.unexpected
    }
}

/// The node does not come to know its chain.
struct Stuck(String);

struct Campaign {
    world: World,
    proxy: RpcProxy,
    /// Another chain, with another id.
    other: AnvilInstance,
    bob: Person,
    dice: Dice,
    /// Kinds of trouble that are still to come before each comes again.
    deck: Vec<Trouble>,
    letters: u32,
    report: Report,
}

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    // What the node has to say about its chain, if `RUST_LOG` asks for it.
    tracing_subscriber::fmt().with_env_filter(EnvFilter::from_default_env()).with_writer(std::io::stderr).init();
    let Options { reorganisations, seed } = Options::parse();
    let seed = seed.unwrap_or_else(|| Clock::system().now().as_nanos());
    eprintln!("seed {seed}");
    let mut world = World::start_with("all()", Clock::manual(Clock::system().now())).await;
    let bob = world.join(2).await;
    let proxy = RpcProxy::start(world.anvil().endpoint_url()).await;
    world.restart_through(proxy.url()).await;
    let other = testing::start(testing::anvil_builder().chain_id(1_337_u64));
    let dice = Dice::new(seed);
    let deck = Vec::new();
    let mut campaign = Campaign { world, proxy, other, bob, dice, deck, letters: 0, report: Report::default() };
    if let Err(Stuck(how)) = campaign.rounds(reorganisations).await {
        campaign.unexpected(how);
    }
    let report = campaign.report;
    eprintln!("── {reorganisations} reorganisations, the deepest of {} blocks; {:?}", report.deepest, report.troubles);
    eprintln!("spent before   {}", report.spent_before);
    eprintln!("orphaned       {}, accepted {}", report.orphaned, report.orphaned_accepted);
    eprintln!("honest         {}, refused {}", report.honest, report.honest_refused);
    eprintln!("blind          {}, accepted {}", report.blind, report.blind_accepted);
    eprintln!("unexpected     {}", report.unexpected);
    for example in &report.examples {
        eprintln!("  {example}");
    }
    let each = usize::try_from(reorganisations).unwrap() < KINDS || report.troubles.len() == KINDS;
    let void = !each || [report.spent_before, report.orphaned, report.honest, report.blind].contains(&0);
    if void {
        eprintln!("void: nothing was at stake, or there was too little trouble");
    }
    let json = serde_json::json!({
        "campaign": "chain",
        "seed": seed,
        "reorganisations": reorganisations,
        "deepest": report.deepest,
        "troubles": report.troubles,
        "spent_before": report.spent_before,
        "orphaned": report.orphaned,
        "orphaned_accepted": report.orphaned_accepted,
        "honest": report.honest,
        "honest_refused": report.honest_refused,
        "blind": report.blind,
        "blind_accepted": report.blind_accepted,
        "unexpected": report.unexpected,
    });
    println!("{json}");
    if void || report.faults() > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

impl Campaign {
    async fn rounds(&mut self, of: u32) -> Result<(), Stuck> {
        let mut honest = self.buy().await?;
        for number in 1..=of {
            honest = self.round(number, of, honest).await?;
        }
        Ok(())
    }

    /// One reorganisation; returns a book of the new chain.
    async fn round(&mut self, number: u32, of: u32, honest: Book) -> Result<Book, Stuck> {
        let depth = self.dice.between(1, DEPTH_MAX + 1);
        let trouble = self.deal();
        eprintln!("{number}/{of}: {depth} blocks; the RPC: {}", trouble.name());
        self.report.deepest = self.report.deepest.max(depth);
        *self.report.troubles.entry(trouble.name()).or_default() += 1;

        // Under a root below the fork, which the reorganisation must leave good.
        let prepared = self.letter(&honest, 1).await;
        let fork = self.raw("evm_snapshot", [(); 0]).await;
        let orphan = self.buy().await?;
        let spent = self.letter(&orphan, 0).await;
        match self.world.publish(spent).await {
            Ok(_) => self.report.spent_before += 1,
            Err(refusal) => self.unexpected(format!("{number}: before the fork: {refusal}")),
        }
        let kept_back = self.letter(&orphan, 1).await;
        self.mine(depth - 1).await;

        let height = self.height().await;
        self.begin(trouble).await;
        self.reorganise(depth, fork).await;
        if trouble.shows() {
            self.pass(TOO_OLD).await;
            // Begun and ended since: none of the answers from before is still under way.
            self.proxy.requests(3).await;
            self.report.blind += 1;
            match self.world.publish(kept_back.clone()).await {
                Ok(_) => {
                    self.report.blind_accepted += 1;
                    self.report.example(format!("{number}: accepted by a node that did not know its chain"));
                }
                Err(refusal) if refusal.code() == Code::ChainViewStale => {}
                Err(refusal) => self.unexpected(format!("{number}: while the RPC {}: {refusal}", trouble.name())),
            }
        }
        // A shorter chain proves nothing, since an RPC that is behind shows the same: it has to grow as long as the one before.
        let shorter = height.saturating_sub(self.height().await);
        self.mine(shorter).await;
        self.end(trouble).await?;

        self.report.orphaned += 1;
        match self.world.publish(kept_back).await {
            Ok(_) => {
                self.report.orphaned_accepted += 1;
                self.report.example(format!("{number}: a stamp of an orphaned purchase was accepted"));
            }
            Err(refusal) if refusal.code() == Code::RootUnknown => {}
            Err(refusal) => self.unexpected(format!("{number}: an orphaned stamp: {refusal}")),
        }
        let outcome = self.world.publish(prepared).await.map(drop);
        self.honest(number, "prepared before the fork", outcome);
        let next = self.buy().await?;
        let letter = self.letter(&next, 0).await;
        let outcome = self.world.publish(letter).await.map(drop);
        self.honest(number, "bought on the new chain", outcome);
        Ok(next)
    }

    /// All kinds come before one comes again.
    fn deal(&mut self) -> Trouble {
        if self.deck.is_empty() {
            self.deck = Trouble::deck(&mut self.dice);
        }
        let place = self.dice.between(0, u64::try_from(self.deck.len()).unwrap());
        self.deck.swap_remove(usize::try_from(place).unwrap())
    }

    fn honest(&mut self, number: u32, which: &str, outcome: Result<(), Refusal>) {
        self.report.honest += 1;
        if let Err(refusal) = outcome {
            self.report.honest_refused += 1;
            self.report.example(format!("{number}: a stamp {which} was refused: {refusal}"));
        }
    }

    fn unexpected(&mut self, what: String) {
        self.report.unexpected += 1;
        self.report.example(what);
    }

    async fn begin(&mut self, trouble: Trouble) {
        match trouble {
            Trouble::None => return,
            Trouble::Refuses => self.proxy.set(Mood::Refuses),
            Trouble::Hangs => self.proxy.set(Mood::Hangs),
            Trouble::Garbles => self.proxy.set(Mood::Garbles),
            Trouble::Behind(blocks) => self.proxy.set(Mood::IsBehind(blocks)),
            Trouble::Boasts(blocks) => self.proxy.set(Mood::Boasts(blocks)),
            Trouble::OtherChain => self.proxy.turn_to(self.other.endpoint_url()),
        }
        self.proxy.requests(2).await;
    }

    /// The trouble ends, and the node has seen the chain as it is.
    async fn end(&mut self, trouble: Trouble) -> Result<(), Stuck> {
        match trouble {
            Trouble::None => {}
            Trouble::OtherChain => self.proxy.turn_to(self.world.anvil().endpoint_url()),
            _ => self.proxy.set(Mood::Answers),
        }
        self.caught_up().await
    }

    /// Waits until the node knows the newest block, as of now.
    async fn caught_up(&self) -> Result<(), Stuck> {
        let head = self.head().await;
        let now = self.world.clock.now();
        let chain = self.world.node.as_ref().unwrap().chain();
        let seen = chain.wait_for(|view| {
            view.head().is_some_and(|seen| seen.hash == head) && view.as_of().is_some_and(|as_of| as_of >= now)
        });
        match tokio::time::timeout(PATIENCE, seen).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(Stuck("the node has ended".to_owned())),
            Err(_) => {
                let found = (chain.view().head(), chain.view().as_of());
                Err(Stuck(format!("the node does not find {head} at {now:?}: it is at {found:?}")))
            }
        }
    }

    /// Another chain from the fork on: shorter, as long, or longer than the one before, and without its purchases.
    async fn reorganise(&mut self, depth: u64, fork: Value) {
        if self.dice.one_in(2) {
            let _: Value = self.raw("anvil_reorg", (depth, [(); 0])).await;
            let more = self.dice.between(0, 4);
            self.mine(more).await;
        } else {
            assert_eq!(self.raw("evm_revert", [fork]).await, true);
            // So that no block is what it was.
            self.raw("evm_increaseTime", [7]).await;
            let blocks = self.dice.between(1, depth + 4);
            self.mine(blocks).await;
        }
    }

    async fn buy(&mut self) -> Result<Book, Stuck> {
        let secret = PassSecret::from_wide_bytes(&self.dice.bytes(64).try_into().unwrap()).unwrap();
        let commitment = secret.commitment();
        // A new one each time: one that counts transactions, or waits for blocks, would not believe in reorganisations.
        let provider = ProviderBuilder::new().connect_http(self.world.anvil().endpoint_url());
        let postage = IPostage::new(self.world.deployment.postage, &provider);
        let call = postage.buy(1, COUNT, commitment.field().to_u256());
        let request = call.from(self.world.anvil().addresses()[0]).into_transaction_request();
        let receipt = provider.send_transaction(request).await.unwrap().get_receipt().await.unwrap();
        assert!(receipt.status(), "the purchase was reverted");
        let bought = receipt.decoded_log::<IPostage::Bought>().unwrap();
        let book = Book {
            secret,
            denomination: 1.try_into().unwrap(),
            issue: Issue(bought.issue),
            limit: Limit::new(COUNT).unwrap(),
            position: bought.position,
        };
        self.caught_up().await?;
        let chain = self.world.node.as_ref().unwrap().chain();
        until("the node knows the book", async || chain.book(&book.group(), commitment).is_some()).await;
        Ok(book)
    }

    async fn letter(&mut self, book: &Book, index: u16) -> Submission {
        self.letters += 1;
        let letter = self.world.letter(&self.bob, &format!("letter {}", self.letters));
        let stamp = self.world.stamp(book, index, &letter, Tag::ToNonce).await;
        Submission::new(letter, vec![Pass::Stamp(stamp)]).unwrap()
    }

    /// On the node's clock and on the chain's.
    async fn pass(&self, duration: Duration) {
        self.world.clock.set(self.world.clock.now().saturating_add(duration));
        self.raw("evm_increaseTime", [duration.as_secs()]).await;
    }

    async fn mine(&self, blocks: u64) {
        if blocks > 0 {
            self.raw("anvil_mine", [blocks]).await;
        }
    }

    async fn head(&self) -> B256 {
        self.latest().await.header.hash
    }

    async fn height(&self) -> u64 {
        self.latest().await.header.number
    }

    async fn latest(&self) -> Block {
        serde_json::from_value(self.raw("eth_getBlockByNumber", ("latest", false)).await).unwrap()
    }

    async fn raw(&self, method: &'static str, params: impl serde::Serialize) -> Value {
        let params = serde_json::value::to_raw_value(&params).unwrap();
        let answer = self.world.provider.raw_request_dyn(method.into(), &params).await.unwrap();
        serde_json::from_str(answer.get()).unwrap()
    }
}
