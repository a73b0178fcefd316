//! The follower against a real chain, through an RPC that misbehaves on command.

#![allow(clippy::unwrap_used)] // A test may.

#[path = "chain/rpc_proxy.rs"]
mod rpc_proxy;

use std::sync::Arc;
use std::time::Duration;

use alloy::node_bindings::AnvilInstance;
use alloy::primitives::{Address, U256};
use alloy::providers::{DynProvider, Provider, ProviderBuilder};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use url::Url;
use xmtp_contracts::{Deployment, IPostage, IStake, IXmtpToken, Parameters, deploy, testing};
use xmtp_node::chain::{Chain, ChainConfig, ChainError, ChainHandle, ChainStore, ChainView, MemoryStore};
use xmtp_node::groups::{Checkpoints, RootKind, RootRules};
use xmtp_proto::derive::{Denomination, Group, Issue};
use xmtp_proto::field::{FieldElement, Leaf, Root};
use xmtp_proto::refusal::{Code, Refusal};
use xmtp_proto::time::{Clock, Timestamp};
use xmtp_prover::{Limit, leaf};

use rpc_proxy::{Mood, RpcProxy};

/// Stamps in every book that is bought here.
const COUNT: u32 = 10;
/// How old a view may be.
const MAX_AGE: Duration = Duration::from_secs(30);
/// For everything that happens by itself.
const PATIENCE: Duration = Duration::from_secs(20);

/// A chain with the contracts on it.
struct World {
    anvil: AnvilInstance,
    deployment: Deployment,
    buyer: Address,
    group: Group,
    clock: Clock,
}

impl World {
    async fn new() -> Self {
        Self::on(testing::anvil()).await
    }

    async fn on(anvil: AnvilInstance) -> Self {
        let provider = connect(&anvil);
        let buyer = anvil.addresses()[0];
        let deployment = deploy(&provider, buyer, &Parameters::default()).await.unwrap();
        let token = IXmtpToken::new(deployment.token, &provider);
        token.approve(deployment.postage, U256::MAX).from(buyer).send().await.unwrap().get_receipt().await.unwrap();
        let issue = IPostage::new(deployment.postage, &provider).currentIssue().call().await.unwrap();
        let group = Group::Stamps { denomination: Denomination::ALL[0], issue: Issue(issue) };
        let clock = Clock::manual(Timestamp::from_secs(1_000_000));
        Self { anvil, deployment, buyer, group, clock }
    }

    /// A new one each time: one that waited for blocks which a reorganisation took away would wait for ever.
    fn provider(&self) -> DynProvider {
        connect(&self.anvil)
    }

    fn config(&self, rpc: Url) -> ChainConfig {
        let Deployment { chain_id, postage, block, issue_seconds, .. } = self.deployment;
        let roots = RootRules {
            checkpoints: Some(Checkpoints::EveryBlock),
            fresh_interval: Duration::from_secs(60),
            fresh_lifetime: Duration::from_secs(86_400),
            issue_seconds: issue_seconds.into(),
        };
        ChainConfig {
            poll_interval: Duration::from_millis(20),
            request_timeout: Duration::from_millis(500),
            ..ChainConfig::new(rpc, chain_id, postage, block, roots)
        }
    }

    /// Buys a book of one-unit stamps, and returns the block that has it.
    async fn buy(&self, commitment: u64) -> u64 {
        self.buy_under(U256::from(commitment)).await
    }

    async fn buy_under(&self, commitment: U256) -> u64 {
        let postage = IPostage::new(self.deployment.postage, self.provider());
        let bought = postage.buy(1, COUNT, commitment).from(self.buyer).send().await.unwrap();
        bought.get_receipt().await.unwrap().block_number.unwrap()
    }

    async fn raw(&self, method: &'static str, params: impl serde::Serialize) -> serde_json::Value {
        let params = serde_json::value::to_raw_value(&params).unwrap();
        let answer = self.provider().raw_request_dyn(method.into(), &params).await.unwrap();
        serde_json::from_str(answer.get()).unwrap()
    }

    async fn mine(&self, blocks: u64) {
        self.raw("anvil_mine", [blocks]).await;
    }

    /// As seconds pass on the node's clock.
    fn wait(&self, duration: Duration) {
        self.clock.set(self.clock.now().saturating_add(duration));
    }
}

fn connect(anvil: &AnvilInstance) -> DynProvider {
    ProviderBuilder::new().connect_http(anvil.endpoint_url()).erased()
}

/// A follower that runs.
struct Running {
    handle: ChainHandle,
    stop: CancellationToken,
    task: JoinHandle<Result<(), ChainError>>,
}

impl Running {
    async fn start(world: &World, config: ChainConfig, store: Arc<dyn ChainStore>) -> Self {
        let (chain, handle) = Chain::open(config, store, world.clock.clone()).await.unwrap();
        let stop = CancellationToken::new();
        // The test owns the task, and ends it.
        #[allow(clippy::disallowed_methods)]
        let task = tokio::spawn(chain.run(stop.clone()));
        Self { handle, stop, task }
    }

    async fn follow(world: &World, rpc: Url) -> Self {
        Self::start(world, world.config(rpc), Arc::new(MemoryStore::default())).await
    }

    async fn until(&self, what: &str, holds: impl FnMut(&ChainView) -> bool) -> Arc<ChainView> {
        let seen = tokio::time::timeout(PATIENCE, self.handle.wait_for(holds)).await;
        seen.unwrap_or_else(|_| panic!("in vain: {what}; {:?}", self.handle.view())).unwrap()
    }

    async fn until_good(&self, world: &World, root: Root) -> Arc<ChainView> {
        self.until("the root is good", |view| lookup(world, view, root).is_ok() && is_fresh(world, view)).await
    }

    fn newest(&self, world: &World) -> Option<Root> {
        let roots = self.handle.roots(&world.group);
        roots.into_iter().find(|root| root.kind == RootKind::Checkpoint).map(|root| root.root)
    }

    async fn end(self) {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.task).await.expect("it ends when told to").unwrap().unwrap();
    }
}

fn lookup(world: &World, view: &ChainView, root: Root) -> Result<(), Refusal> {
    // The chain's own time: it runs ahead of the test's clock.
    let now = view.head().map_or_else(|| world.clock.now(), |head| head.time);
    view.require_root(&world.group, root, now)
}

fn is_fresh(world: &World, view: &ChainView) -> bool {
    view.require_fresh(world.clock.now(), MAX_AGE).is_ok()
}

fn code(result: Result<(), Refusal>) -> Option<Code> {
    result.err().map(|refusal| refusal.code())
}

fn leaf_of(commitment: u64) -> Leaf {
    leaf(FieldElement::from(commitment).into(), Limit::new(COUNT).unwrap())
}

/// The root of a tree of these books alone.
fn books(commitments: &[u64]) -> Root {
    let mut tree = xmtp_prover::Group::new();
    tree.extend(commitments.iter().copied().map(leaf_of));
    tree.root(0).unwrap()
}

#[tokio::test]
async fn book_counts_when_it_is_deep_enough() {
    let world = World::new().await;
    let config = ChainConfig { confirmations: 2, ..world.config(world.anvil.endpoint_url()) };
    let running = Running::start(&world, config, Arc::new(MemoryStore::default())).await;
    let block = world.buy(1).await;
    world.mine(1).await;
    let view = running
        .until("the head is seen", |view| view.head().is_some_and(|head| head.number > block) && is_fresh(&world, view))
        .await;
    assert_eq!(view.applied(), Some(block - 1));
    assert_eq!(code(lookup(&world, &view, books(&[1]))), Some(Code::RootUnknown));

    world.mine(1).await;
    let view = running.until_good(&world, books(&[1])).await;
    assert_eq!(view.applied(), Some(block));
    let [root] = running.handle.roots(&world.group).try_into().unwrap();
    assert_eq!((root.volume, root.root, root.leaves, root.block), (0, books(&[1]), 1, block));
    let bucket = running.handle.bucket(&world.group, root.root, 0).unwrap();
    assert_eq!(bucket.path(0).unwrap().root_of(leaf_of(1)), Ok(books(&[1])));
    let book = running.handle.book(&world.group, FieldElement::from(1).into()).unwrap();
    assert_eq!((book.position.index, book.limit.get()), (0, COUNT));
    running.end().await;
}

#[tokio::test]
async fn slashed_book_leaves_the_tree() {
    let world = World::new().await;
    let secret = xmtp_prover::PassSecret::from_wide_bytes(&[3; 64]).unwrap();
    let commitment = secret.commitment();
    world.buy_under(commitment.field().to_u256()).await;
    world.buy(2).await;
    let postage = IPostage::new(world.deployment.postage, world.provider());
    let secret = U256::from_be_bytes(*secret.to_be_bytes());
    postage.slash(secret, world.buyer).from(world.buyer).send().await.unwrap().get_receipt().await.unwrap();

    let running = Running::follow(&world, world.anvil.endpoint_url()).await;
    let mut tree = xmtp_prover::Group::new();
    tree.extend([FieldElement::ZERO.into(), leaf_of(2)]);
    running.until_good(&world, tree.root(0).unwrap()).await;
    assert!(running.handle.book(&world.group, commitment).is_some());
    running.end().await;
}

#[tokio::test]
async fn reorganisation_withdraws_the_roots_it_orphaned() {
    let world = World::new().await;
    let running = Running::follow(&world, world.anvil.endpoint_url()).await;
    world.buy(1).await;
    running.until_good(&world, books(&[1])).await;
    let before = world.raw("evm_snapshot", [(); 0]).await;
    world.buy(2).await;
    world.buy(3).await;
    running.until_good(&world, books(&[1, 2, 3])).await;

    // The new chain is shorter than the one that is known, and for a while all that it has is known.
    assert_eq!(world.raw("evm_revert", [before]).await, true);
    world.raw("evm_increaseTime", [5]).await;
    world.buy(4).await;
    let view = running.until_good(&world, books(&[1, 4])).await;
    for orphaned in [books(&[1, 2]), books(&[1, 2, 3])] {
        assert_eq!(code(lookup(&world, &view, orphaned)), Some(Code::RootUnknown));
    }
    assert_eq!(lookup(&world, &view, books(&[1])), Ok(()));
    assert_eq!(running.handle.book(&world.group, FieldElement::from(2).into()), None);
    running.end().await;
}

#[tokio::test]
async fn reorganisation_of_the_same_length_is_noticed() {
    let world = World::new().await;
    let running = Running::follow(&world, world.anvil.endpoint_url()).await;
    world.buy(1).await;
    world.buy(2).await;
    running.until_good(&world, books(&[1, 2])).await;
    world.raw("anvil_reorg", (1_u64, [(); 0])).await;
    running
        .until("the orphaned root is gone", |view| {
            code(lookup(&world, view, books(&[1, 2]))) == Some(Code::RootUnknown) && is_fresh(&world, view)
        })
        .await;
    assert_eq!(running.newest(&world), Some(books(&[1])));
    running.end().await;
}

#[tokio::test]
async fn reorganisation_below_blocks_that_are_new_is_noticed() {
    let world = World::new().await;
    let proxy = RpcProxy::start(world.anvil.endpoint_url()).await;
    let running = Running::follow(&world, proxy.url()).await;
    world.buy(1).await;
    let block = world.buy(2).await;
    running.until_good(&world, books(&[1, 2])).await;
    proxy.set(Mood::Refuses);
    proxy.requests(2).await;
    world.raw("anvil_reorg", (1_u64, [(); 0])).await;
    world.mine(3).await;
    proxy.set(Mood::Answers);
    let view = running.until("the new blocks are read", |view| view.applied() == Some(block + 3)).await;
    assert_eq!(code(lookup(&world, &view, books(&[1, 2]))), Some(Code::RootUnknown));
    assert_eq!(running.newest(&world), Some(books(&[1])));
    running.end().await;
}

#[tokio::test]
async fn view_grows_stale_while_the_rpc_fails_and_recovers_by_itself() {
    let world = World::new().await;
    let proxy = RpcProxy::start(world.anvil.endpoint_url()).await;
    let running = Running::follow(&world, proxy.url()).await;
    world.buy(1).await;
    running.until_good(&world, books(&[1])).await;
    let mut bought = vec![1];
    for mood in [Mood::Refuses, Mood::Hangs, Mood::Garbles] {
        proxy.set(mood);
        // More than one attempt, so that none that began before is still under way.
        proxy.requests(3).await;
        world.wait(2 * MAX_AGE);
        let commitment = bought.len() as u64 + 1;
        world.buy(commitment).await;
        proxy.requests(2).await;
        let view = running.handle.view();
        let stale = view.require_fresh(world.clock.now(), MAX_AGE);
        assert_eq!(code(stale), Some(Code::ChainViewStale), "{mood:?}");
        // What was known stays known; whether it may be used is for the view's age to say.
        assert_eq!(lookup(&world, &view, books(&bought)), Ok(()));
        bought.push(commitment);

        proxy.set(Mood::Answers);
        running.until_good(&world, books(&bought)).await;
    }
    running.end().await;
}

#[tokio::test]
async fn rpc_that_is_down_at_the_start_is_waited_for() {
    let world = World::new().await;
    let proxy = RpcProxy::start(world.anvil.endpoint_url()).await;
    proxy.set(Mood::Refuses);
    let running = Running::follow(&world, proxy.url()).await;
    world.buy(1).await;
    proxy.requests(2).await;
    assert_eq!(running.handle.view().as_of(), None);
    proxy.set(Mood::Answers);
    running.until_good(&world, books(&[1])).await;
    running.end().await;
}

#[tokio::test]
async fn wrong_chain_and_missing_contract_are_no_start() {
    let world = World::new().await;
    let open = |config| Chain::open(config, Arc::new(MemoryStore::default()), world.clock.clone());
    let config = world.config(world.anvil.endpoint_url());
    let error = open(ChainConfig { chain_id: 1, ..config.clone() }).await.err().unwrap();
    assert!(matches!(error, ChainError::WrongChain { expected: 1, got: 31_337 }), "{error}");
    let nobody = Address::repeat_byte(0x11);
    let error = open(ChainConfig { postage: nobody, ..config }).await.err().unwrap();
    assert!(matches!(error, ChainError::NoContract { contract, .. } if contract == nobody), "{error}");
}

#[tokio::test]
async fn rpc_that_turns_to_another_chain_changes_nothing() {
    let world = World::new().await;
    let proxy = RpcProxy::start(world.anvil.endpoint_url()).await;
    let running = Running::follow(&world, proxy.url()).await;
    world.buy(1).await;
    running.until_good(&world, books(&[1])).await;

    let other = World::on(testing::start(testing::anvil_builder().chain_id(1_337_u64))).await;
    other.buy(7).await;
    other.mine(20).await;
    proxy.turn_to(other.anvil.endpoint_url());
    proxy.requests(8).await;
    world.wait(2 * MAX_AGE);
    let view = running.handle.view();
    assert!(!is_fresh(&world, &view));
    assert_eq!(lookup(&world, &view, books(&[1])), Ok(()));

    proxy.turn_to(world.anvil.endpoint_url());
    running.until_good(&world, books(&[1])).await;
    running.end().await;
}

#[tokio::test]
async fn restart_goes_on_from_what_was_kept() {
    let world = World::new().await;
    let proxy = RpcProxy::start(world.anvil.endpoint_url()).await;
    let store: Arc<dyn ChainStore> = Arc::new(MemoryStore::default());
    let running = Running::start(&world, world.config(proxy.url()), Arc::clone(&store)).await;
    world.buy(1).await;
    let block = world.buy(2).await;
    running.until_good(&world, books(&[1, 2])).await;
    running.end().await;

    // From the disk alone; and too old to be used.
    proxy.set(Mood::Refuses);
    let running = Running::start(&world, world.config(proxy.url()), Arc::clone(&store)).await;
    assert_eq!(running.newest(&world), Some(books(&[1, 2])));
    let view = running.handle.view();
    assert_eq!((view.applied(), view.as_of()), (Some(block), None));
    world.buy(3).await;
    proxy.set(Mood::Answers);
    running.until_good(&world, books(&[1, 2, 3])).await;
    assert!(proxy.lowest_block_asked_for() > block, "nothing is read twice");
    running.end().await;

    // Orphaned while nobody was looking.
    world.raw("anvil_reorg", (1_u64, [(); 0])).await;
    let running = Running::start(&world, world.config(proxy.url()), Arc::clone(&store)).await;
    assert_eq!(running.newest(&world), Some(books(&[1, 2, 3])));
    running
        .until("the orphan is gone", |view| is_fresh(&world, view) && lookup(&world, view, books(&[1, 2])).is_ok())
        .await;
    let view = running.handle.view();
    assert_eq!(code(lookup(&world, &view, books(&[1, 2, 3]))), Some(Code::RootUnknown));
    running.end().await;

    // Another deployment's progress is of no use to this one.
    let mut config = world.config(proxy.url());
    config.postage = deploy(&world.provider(), world.buyer, &Parameters::default()).await.unwrap().postage;
    let running = Running::start(&world, config, store).await;
    running.until("the chain is read", |view| is_fresh(&world, view)).await;
    assert_eq!(running.handle.roots(&world.group), []);
    running.end().await;
}

#[tokio::test]
async fn damaged_progress_is_read_anew() {
    let world = World::new().await;
    let store: Arc<dyn ChainStore> = Arc::new(MemoryStore::default());
    let running = Running::start(&world, world.config(world.anvil.endpoint_url()), Arc::clone(&store)).await;
    let block = world.buy(1).await;
    running.until_good(&world, books(&[1])).await;
    running.end().await;
    let records = store.load(0, usize::MAX).unwrap();
    for number in [block, u64::MAX] {
        let mut damaged = records.clone();
        damaged.iter_mut().find(|(it, _)| *it == number).unwrap().1.pop();
        store.replace_from(0, damaged).unwrap();
        let config = world.config(world.anvil.endpoint_url());
        let running = Running::start(&world, config, Arc::clone(&store)).await;
        assert_eq!(running.newest(&world), None, "{number}");
        running.until_good(&world, books(&[1])).await;
        running.end().await;
    }
}

#[tokio::test]
async fn logs_that_the_rpc_left_out_are_found_out() {
    let world = World::new().await;
    let proxy = RpcProxy::start(world.anvil.endpoint_url()).await;
    let running = Running::follow(&world, proxy.url()).await;
    world.buy(1).await;
    running.until_good(&world, books(&[1])).await;

    // By the contract's own record of the group, once it is asked for it.
    proxy.set(Mood::OmitsLogs);
    let block = world.buy(2).await;
    running.until("the block is read", |view| view.applied() >= Some(block)).await;
    assert_eq!(running.newest(&world), Some(books(&[1])));
    world.wait(Duration::from_secs(61));
    proxy.requests(30).await;
    assert_ne!(running.newest(&world), Some(books(&[1, 2])));
    assert!(!is_fresh(&world, &running.handle.view()), "what does not agree with the contract does not count as seen");
    proxy.set(Mood::Answers);
    running.until_good(&world, books(&[1, 2])).await;

    // By the position of the next book.
    proxy.set(Mood::OmitsLogs);
    let block = world.buy(3).await;
    running.until("the block is read", |view| view.applied() >= Some(block)).await;
    proxy.set(Mood::Answers);
    world.buy(4).await;
    running.until_good(&world, books(&[1, 2, 3, 4])).await;
    running.end().await;
}

#[tokio::test]
async fn range_is_halved_until_the_rpc_takes_it() {
    let world = World::new().await;
    world.buy(1).await;
    world.mine(100).await;
    world.buy(2).await;
    let proxy = RpcProxy::start(world.anvil.endpoint_url()).await;
    proxy.set(Mood::TakesRangesOf(7));
    let running = Running::follow(&world, proxy.url()).await;
    running.until_good(&world, books(&[1, 2])).await;
    running.end().await;
}

#[tokio::test]
async fn head_that_is_old_does_not_count_as_seen() {
    let world = World::new().await;
    world.buy(1).await;
    for (max_head_age, fresh) in [(None, true), (Some(Duration::from_secs(60)), false)] {
        let proxy = RpcProxy::start(world.anvil.endpoint_url()).await;
        let config = ChainConfig { max_head_age, ..world.config(proxy.url()) };
        let running = Running::start(&world, config, Arc::new(MemoryStore::default())).await;
        let view = running.until("the chain is read", |view| view.applied().is_some()).await;
        world.clock.set(view.head().unwrap().time.saturating_add(Duration::from_secs(1_000)));
        if fresh {
            running.until_good(&world, books(&[1])).await;
        } else {
            proxy.requests(10).await;
            assert!(!is_fresh(&world, &running.handle.view()));
        }
        running.end().await;
    }
}

/// A chain whose buyer has staked under two secrets, and the follower's configuration for it.
async fn staked(world: &World) -> (ChainConfig, [xmtp_prover::PassSecret; 2]) {
    let staking = world.deployment.stake.clone().unwrap();
    let token = IXmtpToken::new(world.deployment.token, world.provider());
    let approved = token.approve(staking.contract, U256::MAX).from(world.buyer).send().await.unwrap();
    approved.get_receipt().await.unwrap();
    let secrets = [3, 4].map(|seed| xmtp_prover::PassSecret::from_wide_bytes(&[seed; 64]).unwrap());
    for secret in &secrets {
        let commitment = secret.commitment().field().to_u256();
        let stake = IStake::new(staking.contract, world.provider());
        stake.stake(1, commitment).from(world.buyer).send().await.unwrap().get_receipt().await.unwrap();
    }
    (ChainConfig { stake: Some(staking), ..world.config(world.anvil.endpoint_url()) }, secrets)
}

/// The root of a tree of these leaves of tier 1 alone; nothing for one that left.
fn stakes(world: &World, secrets: &[Option<&xmtp_prover::PassSecret>]) -> Root {
    let limit = Limit::new(world.deployment.stake.as_ref().unwrap().tier(1).unwrap().limit).unwrap();
    let mut tree = xmtp_prover::Group::new();
    tree.extend(secrets.iter().map(|it| it.map_or(FieldElement::ZERO.into(), |it| leaf(it.commitment(), limit))));
    tree.root(0).unwrap()
}

#[tokio::test]
async fn stakes_are_followed_beside_postage_and_leave_by_exit_and_by_slash() {
    let mut world = World::new().await;
    let (config, [first, second]) = staked(&world).await;
    let contract = config.stake.as_ref().unwrap().contract;
    let books_group = std::mem::replace(&mut world.group, Group::Stake { contract, tier: 1 });
    let running = Running::start(&world, config.clone(), Arc::new(MemoryStore::default())).await;
    let both = stakes(&world, &[Some(&first), Some(&second)]);
    running.until_good(&world, both).await;

    let contract = IStake::new(contract, world.provider());
    let exit = contract.requestExit(first.commitment().field().to_u256());
    exit.from(world.buyer).send().await.unwrap().get_receipt().await.unwrap();
    let exited = stakes(&world, &[None, Some(&second)]);
    running.until_good(&world, exited).await;
    let secret = U256::from_be_bytes(*second.to_be_bytes());
    contract.slash(secret, world.buyer).from(world.buyer).send().await.unwrap().get_receipt().await.unwrap();
    let view = running.until_good(&world, stakes(&world, &[None, None])).await;
    // Who was under way with an old root has a day.
    for root in [both, exited] {
        assert_eq!(lookup(&world, &view, root), Ok(()));
    }
    assert!(running.handle.book(&world.group, first.commitment()).is_some(), "an exit can be slashed for a week");
    world.group = books_group;
    world.buy(1).await;
    running.until_good(&world, books(&[1])).await;
    running.end().await;
}

#[tokio::test]
async fn contract_that_is_followed_anew_is_read_from_the_beginning() {
    let mut world = World::new().await;
    let (config, [first, second]) = staked(&world).await;
    let contract = config.stake.as_ref().unwrap().contract;
    world.buy(1).await;
    let store: Arc<dyn ChainStore> = Arc::new(MemoryStore::default());
    let without = ChainConfig { stake: None, ..config.clone() };
    let running = Running::start(&world, without, Arc::clone(&store)).await;
    running.until_good(&world, books(&[1])).await;
    running.end().await;

    let running = Running::start(&world, config, store).await;
    running.until_good(&world, books(&[1])).await;
    world.group = Group::Stake { contract, tier: 1 };
    running.until_good(&world, stakes(&world, &[Some(&first), Some(&second)])).await;
    running.end().await;
}

#[tokio::test]
async fn stakes_that_the_rpc_left_out_are_found_out() {
    let mut world = World::new().await;
    let (config, [first, second]) = staked(&world).await;
    world.group = Group::Stake { contract: config.stake.as_ref().unwrap().contract, tier: 1 };
    let proxy = RpcProxy::start(world.anvil.endpoint_url()).await;
    proxy.set(Mood::OmitsLogs);
    let config = ChainConfig { rpc: proxy.url(), ..config };
    let running = Running::start(&world, config, Arc::new(MemoryStore::default())).await;
    proxy.requests(30).await;
    assert!(!is_fresh(&world, &running.handle.view()), "what does not agree with the contract does not count as seen");
    proxy.set(Mood::Answers);
    running.until_good(&world, stakes(&world, &[Some(&first), Some(&second)])).await;
    running.end().await;
}
