//! Issuers: claims about another chain than the one on which postage settles, from real contracts to a letter that a claim
//! pays for, and to a false snapshot that is found out.

#![allow(clippy::unwrap_used)] // A test may.

#[path = "crash/dice.rs"]
mod dice;
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use alloy::eips::BlockNumberOrTag;
use alloy::network::EthereumWallet;
use alloy::node_bindings::AnvilInstance;
use alloy::primitives::{Address, B256, U256};
use alloy::providers::ext::AnvilApi as _;
use alloy::providers::{DynProvider, Provider as _, ProviderBuilder};
use alloy::rpc::types::TransactionRequest;
use alloy::signers::local::PrivateKeySigner;
use dice::Dice;
use support::claims::{anchorage, claim_pass, counts, entry, issuer, part, root_today, send, signed, snapshot};
use support::{Person, World, keystore, secret};
use xmtp_contracts::testing::{Mock, anvil_builder, deploy_mock, start as start_chain};
use xmtp_contracts::{Condition, IClaims, IXmtpToken, OfferedClaim};
use xmtp_node::config::{LogConfig, OperatorConfig};
use xmtp_node::issuer::{
    AnchorConfig, AnchorError, Anchored, ClaimChain, CrossCheck, Difference, IssueError, IssuedClaim, Issuer,
    IssuerConfig, NotSo, Recomputed, Refresh, Source, recompute,
};
use xmtp_proto::derive::ClaimId;
use xmtp_proto::field::Commitment;
use xmtp_proto::requirement::Shown;
use xmtp_proto::snapshot::{Entry, Part};
use xmtp_proto::time::{Clock, Timestamp};
use xmtp_proto::topic::Topic;
use xmtp_proto::wire;
use xmtp_sdk::client::{Client, SendError};
use xmtp_sdk::inbox::Which;

const CHAIN: u64 = 4_242;

alloy::sol! {
    #[sol(rpc)]
    interface ICollection {
        function mint(address to, uint256 tokenId) external;
        function transferFrom(address from, address to, uint256 tokenId) external;
    }
    #[sol(rpc)]
    interface IBadges {
        function mint(address to, uint256 id, uint256 value) external;
        function mintBatch(address to, uint256[] calldata ids, uint256[] calldata values) external;
    }
}

/// A chain that claims are about.
struct Elsewhere {
    anvil: AnvilInstance,
    provider: DynProvider,
    deployer: Address,
}

impl Elsewhere {
    fn start() -> Self {
        // Its clock is behind, so that there is a past.
        let began = Clock::system().now().as_secs() - 100_000;
        let anvil = start_chain(anvil_builder().chain_id(CHAIN).arg("--timestamp").arg(began.to_string()));
        let key = |number: usize| PrivateKeySigner::from_slice(&anvil.keys()[number].to_bytes()).unwrap();
        let mut wallet = EthereumWallet::from(key(0));
        wallet.register_signer(key(1));
        for seed in 1..10 {
            wallet.register_signer(Person::new(seed).wallet);
        }
        let deployer = anvil.addresses()[0];
        let provider = ProviderBuilder::new().wallet(wallet).connect_http(anvil.endpoint_url()).erased();
        Self { anvil, provider, deployer }
    }

    async fn pay(&self, from: Address, to: Address, value: u64) {
        let request = TransactionRequest::default().from(from).to(to).value(U256::from(value));
        let receipt = self.provider.send_transaction(request).await.unwrap().get_receipt().await.unwrap();
        assert!(receipt.status());
    }

    async fn mint(&self, collection: Address, to: &Person, token: u64) {
        let collection = ICollection::new(collection, &self.provider);
        collection.mint(to.account.address(), U256::from(token)).send().await.unwrap().get_receipt().await.unwrap();
    }

    fn chain(&self) -> ClaimChain {
        let range = NonZeroU64::new(3).unwrap();
        ClaimChain { quiet: true, ..ClaimChain::new(CHAIN, self.anvil.endpoint_url(), range) }
    }
}

fn claim(name: &str, condition: Condition, (issuers, threshold): (&[u8], u8)) -> OfferedClaim {
    let mut issuers: Vec<Address> = issuers.iter().map(|seed| issuer(*seed).address()).collect();
    issuers.sort_unstable();
    OfferedClaim { name: name.to_owned(), chain_id: CHAIN, condition, issuers, threshold, limit: 16 }
}

/// An issuer with this key, of these claims.
async fn open(
    world: &World,
    elsewhere: &Elsewhere,
    seed: u8,
    claims: &[(&str, Option<CrossCheck>)],
) -> Result<Issuer, IssueError> {
    open_with(world, elsewhere, seed, claims, None).await
}

/// Who pays for anchoring: an account of the settlement chain with coin.
fn payer(world: &World) -> AnchorConfig {
    let key = world.anvil().keys()[4].to_bytes().into();
    let key_file = keystore(world.folder.path(), "payer.json", key);
    let password_file = world.folder.path().join("payer.password");
    secret(&password_file, "password\n");
    let request_timeout = Duration::from_secs(10);
    AnchorConfig { rpc_url: world.anvil().endpoint_url(), key_file, password_file, request_timeout }
}

async fn open_with(
    world: &World,
    elsewhere: &Elsewhere,
    seed: u8,
    claims: &[(&str, Option<CrossCheck>)],
    anchor: Option<AnchorConfig>,
) -> Result<Issuer, IssueError> {
    let folder = world.folder.path().join(format!("issuer-{seed}"));
    fs::create_dir_all(&folder).unwrap();
    secret(&folder.join("password"), "password\n");
    let key_file = keystore(&folder, "key.json", [seed; 32]);
    let issued = claims.iter().map(|(name, cross_check)| IssuedClaim {
        name: (*name).to_owned(),
        from_block: 0,
        cross_check: *cross_check,
    });
    let config = IssuerConfig {
        deployment: world.folder.path().join("deployment.json"),
        node: world.node_url(),
        data_dir: folder.join("progress"),
        key: OperatorConfig { key_file, password_file: folder.join("password") },
        refresh: Refresh::default(),
        chains: vec![elsewhere.chain()],
        claims: issued.collect(),
        anchor,
        log: LogConfig::default(),
    };
    Issuer::open(config, world.clock.clone()).await
}

async fn again(world: &World, elsewhere: &Elsewhere, name: &str) -> Vec<Recomputed> {
    let claim = IssuedClaim { name: name.to_owned(), from_block: 0, cross_check: None };
    let (deployment, node, chain) = (world.deployment.clone(), world.node_url(), elsewhere.chain());
    recompute(&Source { deployment, node, chain, claim }).await.unwrap()
}

/// A moment when all that has happened is past.
fn moment(world: &World) -> Timestamp {
    world.clock.now().saturating_add(Duration::from_secs(1))
}

/// The newest list on a claim's topic.
async fn listed(world: &World, claim: ClaimId) -> BTreeSet<Commitment> {
    let topic = Topic::Claim(claim.0).to_string();
    let request = wire::QueryRequest { topic, after: 0, limit: 0, descending: true };
    let records = world.client.clone().query(request).await.unwrap().into_inner().records;
    let entries = records.into_iter().map(|it| it.submission.unwrap().envelope.unwrap().ciphertext);
    let parts = entries.filter_map(|bytes| match Entry::from_bytes(&bytes).unwrap() {
        Entry::Part(part) => Some(part.commitments.into_iter().collect()),
        Entry::Snapshot(_) => None,
    });
    parts.into_iter().next().unwrap_or_default()
}

#[tokio::test]
async fn collection_elsewhere_pays_for_a_letter_here_until_the_token_is_sold() {
    let elsewhere = Elsewhere::start();
    let collection = deploy_mock(&elsewhere.provider, elsewhere.deployer, Mock::Collection).await.unwrap();
    let mut world = World::start().await;
    let cats = claim("cats", Condition::Erc721 { collection }, (&[31, 32, 33], 2));
    let id = cats.id(world.network);
    world.offer(vec![cats.clone()]).await;
    let [alice, bob, carol] = [world.join(2).await, world.join(3).await, world.join(4).await];
    // Dave holds a token, and has no inbox.
    for (person, token) in [(&alice, 1), (&alice, 2), (&carol, 3), (&Person::new(5), 4)] {
        elsewhere.mint(collection, person, token).await;
    }
    world.set_policy(&bob, 1, "claim(any)").await;

    // A false issuer says that Bob holds a token. It is one of three.
    let liar = issuer(33);
    let head = elsewhere.provider.get_block_by_number(BlockNumberOrTag::Latest).await.unwrap().unwrap();
    let (mut lie, false_list) = snapshot(&world, &[&alice, &bob], head.header.number);
    lie.block_hash = head.header.hash;
    lie.contacts[0].operator = world.operator().await;
    lie.contacts[0].cursor.0 = 3;
    for it in [part(&world, id, &lie, false_list), signed(&world, id, &lie, &liar)] {
        let submission = entry(&world, id, &liar, &it);
        world.publish(submission).await.unwrap();
    }
    let way = Some(CrossCheck::Slot(2));
    let at = moment(&world);
    let first = open(&world, &elsewhere, 31, &[("cats", way)]).await.unwrap().issue(at).await.unwrap();
    assert_eq!(root_today(&world, id).await, None, "a lie and a truth are not two of one");
    let [by_first] = first.as_slice() else { panic!("one claim") };
    assert!(by_first.listed);
    assert_eq!(by_first.snapshot.leaves, 2);

    let anchoring = open_with(&world, &elsewhere, 31, &[("cats", None)], Some(payer(&world))).await.unwrap();
    assert_eq!(anchoring.anchor(by_first).await.unwrap(), Anchored::TooFew);

    // The second issuer looks for itself, and comes to the same.
    let second = open(&world, &elsewhere, 32, &[("cats", None)]).await.unwrap();
    let by_second = second.issue(at).await.unwrap().remove(0);
    assert_eq!((by_second.digest, by_second.listed), (by_first.digest, false));
    let root = by_first.snapshot.roots[0];
    counts(&world, id, root).await;

    let today = world.clock.now().epoch();
    let letter = world.letter(&bob, "letter");
    let pass = claim_pass(&mut world, &alice, (id, root), (today, 0), &letter).await;
    send(&mut world, &letter, vec![pass]).await.unwrap();

    // What they signed, the contract hashes as they did, and takes.
    let claims = IClaims::new(world.deployment.claims.unwrap(), &world.provider);
    let hashed = claims.snapshotDigest(id.0, (&by_first.snapshot).into()).call().await.unwrap();
    assert_eq!(hashed, by_first.digest);
    let undeclared = anchoring.anchor(by_first).await.unwrap_err();
    assert!(matches!(undeclared, AnchorError::Refused(_)), "{undeclared}");
    claims.declare((&cats).into()).send().await.unwrap().get_receipt().await.unwrap();
    world.deployment.verify(&world.provider).await.unwrap();
    assert!(matches!(second.anchor(by_first).await, Err(AnchorError::NoKey)));
    assert!(matches!(anchoring.anchor(by_first).await.unwrap(), Anchored::Sent(_)));
    assert_eq!(claims.anchorsOf(id.0).call().await.unwrap().current.digest, by_first.digest);
    assert_eq!(anchoring.anchor(by_first).await.unwrap(), Anchored::Before);
    let recomputed = again(&world, &elsewhere, "cats").await;
    let verdict = |digest| recomputed.iter().find(|it| it.digest == digest).unwrap();
    let truth = verdict(by_first.digest);
    assert_eq!((truth.signers.len(), truth.threshold, &truth.difference), (2, 2, &None));
    let found = verdict(lie.digest(id, anchorage(&world)));
    assert_eq!(found.signers, [liar.address()].into());
    let bobs = bob.claim_secret().commitment();
    let carols = carol.claim_secret().commitment();
    // The list is looked at in ascending order.
    let expected = if bobs < carols {
        Difference::Invented { commitment: bobs.to_string(), account: Some(bob.account.address()) }
    } else {
        Difference::LeftOut { commitment: carols.to_string(), account: carol.account.address() }
    };
    assert_eq!(found.difference, Some(expected));

    // Alice sells both: she is out at the next snapshot.
    let to = Person::new(5).account.address();
    elsewhere.pay(elsewhere.deployer, alice.account.address(), 1_000_000_000_000_000_000).await;
    for token in [1, 2] {
        let contract = ICollection::new(collection, &elsewhere.provider);
        let sale = contract.transferFrom(alice.account.address(), to, U256::from(token)).from(alice.account.address());
        sale.send().await.unwrap().get_receipt().await.unwrap();
    }
    let next = second.issue(moment(&world)).await.unwrap().remove(0);
    assert_eq!(next.snapshot.leaves, 1);
    assert_eq!(listed(&world, id).await, [carols].into());
    // The same moment again is the same snapshot, and nothing is published twice.
    let again = second.issue(moment(&world)).await.unwrap().remove(0);
    assert_eq!((again.digest, again.listed), (next.digest, false));
}

#[tokio::test]
async fn issuer_who_goes_back_on_its_list_stops_nobody() {
    let elsewhere = Elsewhere::start();
    let collection = deploy_mock(&elsewhere.provider, elsewhere.deployer, Mock::Collection).await.unwrap();
    let mut world = World::start().await;
    let cats = claim("cats", Condition::Erc721 { collection }, (&[31, 32, 33], 2));
    let id = cats.id(world.network);
    world.offer(vec![cats]).await;
    let alice = world.join(2).await;
    elsewhere.mint(collection, &alice, 1).await;
    let (first, second) = (
        open(&world, &elsewhere, 31, &[("cats", None)]).await.unwrap(),
        open(&world, &elsewhere, 32, &[("cats", None)]).await.unwrap(),
    );
    let at = moment(&world);
    let goes_back = async |world: &mut World, by: u8| {
        let commitments = vec![alice.claim_secret().commitment()];
        let part = Part { snapshot: B256::repeat_byte(by), first: 0, commitments };
        let submission = entry(world, id, &issuer(by), &Entry::Part(part));
        world.publish(submission).await.unwrap();
    };
    assert!(first.issue(at).await.unwrap().remove(0).listed);
    goes_back(&mut world, 31).await;
    assert!(first.issue(at).await.unwrap().remove(0).listed, "its own list is there no more");
    goes_back(&mut world, 31).await;
    let issued = second.issue(at).await.unwrap().remove(0);
    assert!(issued.listed, "the list that stood on the topic is there no more");
    counts(&world, id, issued.snapshot.roots[0]).await;
}

#[tokio::test]
async fn holder_changes_its_commitment_once_a_quarter_and_no_oftener() {
    let elsewhere = Elsewhere::start();
    let collection = deploy_mock(&elsewhere.provider, elsewhere.deployer, Mock::Collection).await.unwrap();
    let mut world = World::start().await;
    let cats = claim("cats", Condition::Erc721 { collection }, (&[31], 1));
    let id = cats.id(world.network);
    world.offer(vec![cats]).await;
    let alice = world.join(2).await;
    elsewhere.mint(collection, &alice, 1).await;
    let issuer = open(&world, &elsewhere, 31, &[("cats", None)]).await.unwrap();
    let [second, third] = [8, 9].map(|seed| Person {
        wallet: alice.wallet.clone(),
        identity: Person::new(seed).identity,
        account: alice.account,
    });
    let mut holds = async |renewed: Option<(&Person, u32)>, expected: &Person| {
        if let Some((renewed, revision)) = renewed {
            let bundle = renewed.bundle(world.network, revision, 1).to_bytes();
            let submission = renewed.own(&world, Topic::Contact(renewed.account), bundle);
            world.publish(submission).await.unwrap();
        }
        elsewhere.pay(elsewhere.deployer, elsewhere.deployer, 1).await;
        issuer.issue(moment(&world)).await.unwrap();
        assert_eq!(listed(&world, id).await, [expected.claim_secret().commitment()].into());
    };
    holds(None, &alice).await;
    holds(Some((&second, 2)), &second).await;
    // A pseudonym a day would be a way out of every block.
    holds(Some((&third, 3)), &second).await;
}

#[tokio::test]
async fn each_kind_of_claim_holds_of_whom_it_should_and_of_nobody_who_only_looks_like_it() {
    let elsewhere = Elsewhere::start();
    let (provider, deployer) = (&elsewhere.provider, elsewhere.deployer);
    let mut world = World::start().await;
    let [alice, bob, carol, mallory] =
        [world.join(2).await, world.join(3).await, world.join(4).await, world.join(5).await];
    let address = |person: &Person| person.account.address();
    let deployed = async |mock| deploy_mock(provider, deployer, mock).await.unwrap();
    let (collection, badges) = (deployed(Mock::Collection).await, deployed(Mock::Badges).await);
    let (coin, worthless) = (deployed(Mock::Coin).await, deployed(Mock::Coin).await);
    let (coin_of, payer) = (|token| IXmtpToken::new(token, provider), elsewhere.anvil.addresses()[1]);

    // Mallory was active early; then time passes.
    elsewhere.pay(deployer, address(&mallory), 1_000_000_000_000_000_000).await;
    elsewhere.pay(address(&mallory), payer, 1).await;
    let head = provider.get_block_by_number(BlockNumberOrTag::Latest).await.unwrap().unwrap();
    let before = head.header.timestamp + 1_000;
    provider.anvil_increase_time(10_000).await.unwrap();

    for (person, token) in [(&alice, 1), (&bob, 7)] {
        elsewhere.mint(collection, person, token).await;
    }
    let badge = IBadges::new(badges, provider);
    for mint in [
        badge.mint(address(&alice), U256::from(3), U256::from(4)),
        badge.mint(address(&bob), U256::from(3), U256::from(5)),
        badge.mint(address(&mallory), U256::from(4), U256::from(9)),
    ] {
        mint.send().await.unwrap().get_receipt().await.unwrap();
    }
    let batch =
        badge.mintBatch(address(&carol), vec![U256::from(4), U256::from(3)], vec![U256::from(1), U256::from(6)]);
    batch.send().await.unwrap().get_receipt().await.unwrap();
    for (to, value) in [(address(&alice), 100_u64), (address(&bob), 90), (payer, 50)] {
        coin_of(coin).transfer(to, U256::from(value)).send().await.unwrap().get_receipt().await.unwrap();
        coin_of(worthless).transfer(to, U256::from(value)).send().await.unwrap().get_receipt().await.unwrap();
    }
    elsewhere.pay(deployer, address(&bob), 1_000).await;

    // Whom the payer paid itself: Alice in native coin, Bob in a listed token.
    elsewhere.pay(payer, address(&alice), 1).await;
    let pays = async |token, to: &Person, value: u64| {
        let transfer = coin_of(token);
        let transfer = transfer.transfer(address(to), U256::from(value)).from(payer);
        transfer.send().await.unwrap().get_receipt().await.unwrap();
    };
    pays(coin, &bob, 5).await;
    // Mallory makes it look as if she was paid: dust from her, a transfer of nothing from the payer, a worthless token.
    elsewhere.pay(address(&mallory), payer, 1).await;
    let forged = coin_of(coin);
    let nothing = forged.transferFrom(payer, address(&mallory), U256::ZERO).from(address(&mallory));
    nothing.send().await.unwrap().get_receipt().await.unwrap();
    pays(worthless, &mallory, 5).await;
    pays(coin, &carol, 0).await;
    elsewhere.pay(payer, address(&carol), 0).await;

    let amount = |amount: u64| U256::from(amount);
    let token_id = U256::from(3);
    let rows = [
        ("any-cat", Condition::Erc721 { collection }, Some(CrossCheck::Slot(2)), vec![&alice, &bob]),
        (
            "cat-seven",
            Condition::Erc721Token { collection, token_id: U256::from(7) },
            Some(CrossCheck::Slot(2)),
            vec![&bob],
        ),
        (
            "badges",
            Condition::Erc1155 { contract: badges, token_id, amount: amount(5) },
            Some(CrossCheck::Slot(0)),
            vec![&bob, &carol],
        ),
        ("coins", Condition::Erc20 { token: coin, amount: amount(100) }, Some(CrossCheck::Slot(0)), vec![&alice]),
        ("rich", Condition::Native { amount: amount(1_000) }, Some(CrossCheck::Accounts), vec![&bob, &mallory]),
        ("paid", Condition::Counterparty { account: payer, tokens: vec![coin] }, None, vec![&alice, &bob]),
        ("early", Condition::Active { before }, Some(CrossCheck::Accounts), vec![&mallory]),
    ];
    let offered = rows.iter().map(|(name, condition, ..)| claim(name, condition.clone(), (&[31], 1)));
    let offered: Vec<OfferedClaim> = offered.collect();
    let ids: Vec<ClaimId> = offered.iter().map(|it| it.id(world.network)).collect();
    world.offer(offered).await;
    let claims: Vec<_> = rows.iter().map(|(name, _, way, _)| (*name, *way)).collect();
    let issuer = open(&world, &elsewhere, 31, &claims).await.unwrap();
    issuer.issue(moment(&world)).await.unwrap();
    for ((name, _, _, expected), id) in rows.iter().zip(ids) {
        let expected: BTreeSet<_> = expected.iter().map(|it| it.claim_secret().commitment()).collect();
        assert_eq!(listed(&world, id).await, expected, "{name}");
        let [recomputed] = again(&world, &elsewhere, name).await.try_into().unwrap();
        assert_eq!(recomputed.difference, None, "{name}");
    }

    // A layout that is not the contract's: what the logs say is not in the state, and nothing is signed.
    let wrong = open(&world, &elsewhere, 31, &[("coins", Some(CrossCheck::Slot(3)))]).await.unwrap();
    let error = wrong.issue(moment(&world)).await.unwrap_err();
    assert!(matches!(error, IssueError::NotSo(NotSo::Differs(it)) if it == address(&alice)), "{error}");
    let unfit = open(&world, &elsewhere, 31, &[("coins", Some(CrossCheck::Accounts))]).await.unwrap();
    let error = unfit.issue(moment(&world)).await.unwrap_err();
    assert!(matches!(error, IssueError::NotSo(NotSo::Unfit)), "{error}");
    let stranger = open(&world, &elsewhere, 77, &[("coins", None)]).await;
    assert!(matches!(stranger.err(), Some(IssueError::NotIssuer(_))));
}

#[tokio::test]
async fn issuer_goes_on_where_it_stopped_and_begins_anew_after_a_reorganisation() {
    let elsewhere = Elsewhere::start();
    let collection = deploy_mock(&elsewhere.provider, elsewhere.deployer, Mock::Collection).await.unwrap();
    let mut world = World::start().await;
    let cats = claim("cats", Condition::Erc721 { collection }, (&[31], 1));
    let id = cats.id(world.network);
    world.offer(vec![cats]).await;
    let [alice, bob] = [world.join(2).await, world.join(3).await];
    elsewhere.mint(collection, &alice, 1).await;
    let issuer = open(&world, &elsewhere, 31, &[("cats", None)]).await.unwrap();
    issuer.issue(moment(&world)).await.unwrap();

    // What it keeps is what it goes on from: a token that only the file has is still there.
    let file = world.folder.path().join(format!("issuer-31/progress/{id}.json"));
    let kept = fs::read_to_string(&file).unwrap();
    let (token, owner) = ("\"0x63\"", format!("\"{:#x}\"", bob.account.address()));
    fs::write(&file, kept.replace("\"owners\":{", &format!("\"owners\":{{{token}:{owner},"))).unwrap();
    elsewhere.mint(collection, &bob, 2).await;
    let carried_on = issuer.issue(moment(&world)).await.unwrap().remove(0);
    assert_eq!(carried_on.snapshot.leaves, 2);
    assert!(fs::read_to_string(&file).unwrap().contains(token), "it read everything again");

    // The last block is replaced by one without Bob's token: nothing that was read of it is left.
    elsewhere.provider.raw_request::<_, serde_json::Value>("anvil_reorg".into(), (1, Vec::<()>::new())).await.unwrap();
    let anew = issuer.issue(moment(&world)).await.unwrap().remove(0);
    assert!(!fs::read_to_string(&file).unwrap().contains(token), "it went on from a block that is gone");
    assert_eq!(anew.snapshot.leaves, 1);
    assert!(Path::new(&file).exists());
}

/// The command, in a process of its own.
fn spawn(config: &Path, at: Timestamp) -> Child {
    Command::new(env!("CARGO_BIN_EXE_xmtp-node"))
        .args(["issue", "--once", "--config"])
        .arg(config)
        .args(["--at", &at.as_secs().to_string()])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// A configuration file of an issuer with this key, which reads one block at a time.
fn configure(world: &World, elsewhere: &Elsewhere, seed: u8) -> (PathBuf, PathBuf) {
    let folder = world.folder.path().join("killed");
    fs::create_dir_all(&folder).unwrap();
    secret(&folder.join("password"), "password\n");
    keystore(&folder, "key.json", [seed; 32]);
    let text = format!(
        r#"
        deployment = "{deployment}"
        node = "{node}"
        data_dir = "{folder}/progress"
        [key]
        key_file = "{folder}/key.json"
        password_file = "{folder}/password"
        [[chains]]
        chain_id = {CHAIN}
        rpc_url = "{rpc}"
        confirmations = 0
        logs_range = 1
        quiet = true
        [[claims]]
        name = "cats"
        cross_check = {{ slot = 2 }}
        "#,
        deployment = world.folder.path().join("deployment.json").display(),
        node = world.node_url(),
        rpc = elsewhere.anvil.endpoint(),
        folder = folder.display(),
    );
    let file = folder.join("issuer.toml");
    fs::write(&file, text).unwrap();
    (file, folder.join("progress"))
}

// The command is waited for on a thread; the node that it asks runs on others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn issuer_that_is_killed_while_it_reads_comes_to_the_same_snapshot() {
    const KILLS: u32 = 12;
    let seed = Clock::system().now().as_nanos();
    eprintln!("seed {seed}");
    let mut dice = Dice::new(seed);
    let elsewhere = Elsewhere::start();
    let collection = deploy_mock(&elsewhere.provider, elsewhere.deployer, Mock::Collection).await.unwrap();
    let mut world = World::start().await;
    let cats = claim("cats", Condition::Erc721 { collection }, (&[31, 32], 2));
    let id = cats.id(world.network);
    world.offer(vec![cats]).await;
    let mut people = Vec::new();
    for number in 2..8 {
        people.push(world.join(number).await);
    }
    // Tokens come, and those of the first two go again.
    let tokens = ICollection::new(collection, &elsewhere.provider);
    for (token, person) in (1..).zip(people.iter().chain(&people[..2])) {
        elsewhere.mint(collection, person, token).await;
        elsewhere.provider.anvil_mine(Some(40), None).await.unwrap();
    }
    for (token, person) in [(1, 0), (7, 0), (2, 1)] {
        let owner = people[person].account.address();
        elsewhere.pay(elsewhere.deployer, owner, 1_000_000_000_000_000_000).await;
        let sale = tokens.transferFrom(owner, elsewhere.deployer, U256::from(token)).from(owner);
        sale.send().await.unwrap().get_receipt().await.unwrap();
        elsewhere.provider.anvil_mine(Some(40), None).await.unwrap();
    }

    let (config, data_dir) = configure(&world, &elsewhere, 31);
    let progress = data_dir.join(format!("{id}.json"));
    let at = moment(&world);
    let mut seen = BTreeSet::new();
    for _ in 0..KILLS {
        let mut child = spawn(&config, at);
        tokio::time::sleep(Duration::from_millis(dice.between(1, 1_500))).await;
        // SIGKILL. It may have come to its end before.
        child.kill().unwrap();
        child.wait().unwrap();
        seen.extend(fs::read_to_string(&progress).ok().and_then(|text| read_to(&text)));
    }
    assert!(!seen.is_empty(), "it kept nothing before it was killed");
    let output = spawn(&config, at).wait_with_output().unwrap();
    assert!(output.status.success());
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();

    let never_killed = open(&world, &elsewhere, 32, &[("cats", None)]).await.unwrap();
    let expected = never_killed.issue(at).await.unwrap().remove(0);
    assert_eq!(said["digest"], expected.digest.to_string());
    assert_eq!(expected.snapshot.leaves, 5, "one of six sold all that it had");
    let [recomputed] = again(&world, &elsewhere, "cats").await.try_into().unwrap();
    assert_eq!((recomputed.signers.len(), recomputed.difference), (2, None));
    assert_eq!(root_today(&world, id).await, Some(expected.snapshot.roots[0]));
}

/// The block up to which an issuer has read, as its file of progress says.
fn read_to(progress: &str) -> Option<u64> {
    serde_json::from_str::<serde_json::Value>(progress).unwrap()["read"][0].as_u64()
}

async fn client(world: &World, home: &Path, wallet: usize, small_claims: bool) -> Client {
    world.builder(wallet, home).small_claims(small_claims).connect().await.unwrap()
}

#[tokio::test]
async fn stranger_writes_with_a_claim_in_the_place_of_postage() {
    let elsewhere = Elsewhere::start();
    let collection = deploy_mock(&elsewhere.provider, elsewhere.deployer, Mock::Collection).await.unwrap();
    let mut world = World::start().await;
    // Three letters a day for each of sixteen installations, but for the first, whose first index is the journal's.
    let cats = OfferedClaim { limit: 48, ..claim("cats", Condition::Erc721 { collection }, (&[31], 1)) };
    let id = cats.id(world.network);
    world.offer(vec![cats]).await;
    let homes = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let alice = client(&world, homes[0].path(), 1, false).await;
    let bob = client(&world, homes[1].path(), 2, false).await;
    for it in [&alice, &bob] {
        it.create_identity().await.unwrap();
    }
    let to = bob.account().to_string();
    bob.set_policy(format!("claim({id})").parse().unwrap()).await.unwrap();
    let minted = ICollection::new(collection, &elsewhere.provider);
    minted.mint(alice.account().address(), U256::from(1)).send().await.unwrap().get_receipt().await.unwrap();
    let issuer = open(&world, &elsewhere, 31, &[("cats", None)]).await.unwrap();
    let root = issuer.issue(moment(&world)).await.unwrap().remove(0).snapshot.roots[0];
    counts(&world, id, root).await;

    // She holds it, and one account hides nobody: it is not shown unless she agrees.
    let [status] = alice.claims().await.unwrap().try_into().unwrap();
    assert_eq!((status.id, status.holders, status.held), (id, Some(1), true));
    assert!(!bob.claims().await.unwrap()[0].held);
    assert!(matches!(alice.send(&to, "Dear Bob").await, Err(SendError::NoPass(_))));
    alice.close().await.unwrap();
    let alice = client(&world, homes[0].path(), 1, true).await;
    let mut nullifiers = BTreeSet::new();
    for text in ["Dear Bob", "and another thing"] {
        let sent = alice.send(&to, text).await.unwrap();
        assert!(matches!(sent.passes.as_slice(), [Shown::Claim { id: of, .. }] if *of == id), "{:?}", sent.passes);
        assert!(sent.stamps.is_empty());
        nullifiers.insert(sent.postmark.postmark.cancelled);
    }
    assert_eq!(nullifiers.len(), 2, "an index for each letter");
    assert!(matches!(alice.send(&to, "too much").await, Err(SendError::NoPass(_))), "used up for today");
    let inbox = bob.inbox(Which::All).await.unwrap();
    assert_eq!(inbox.messages.len(), 2);
}
