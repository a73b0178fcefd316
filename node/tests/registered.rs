//! Claims without issuers: holders of a token register on the settlement chain, the node follows the contract, and letters are
//! paid for until the token is sold and its entry pruned. A real chain, a real node, the real API.

#![allow(clippy::unwrap_used)] // A test may.

mod support;

use std::time::Duration;

use alloy::primitives::{Address, U256};
use alloy::providers::ext::AnvilApi as _;
use alloy::providers::{DynProvider, Provider as _, ProviderBuilder};
use support::claims::{LIMIT, claim_pass, counts, limit, offered, root_today, send};
use support::{Person, World, until};
use tempfile::TempDir;
use xmtp_contracts::testing::{Mock, deploy_mock};
use xmtp_contracts::{Condition, IClaims, OfferedClaim};
use xmtp_proto::derive::ClaimId;
use xmtp_proto::envelope::Envelope;
use xmtp_proto::field::{FieldElement, Root};
use xmtp_proto::refusal::Code;
use xmtp_proto::requirement::Shown;
use xmtp_proto::time::{Clock, Epoch, Generation, Timestamp};
use xmtp_proto::topic::Topic;
use xmtp_prover::{Group as Tree, Limit, leaf};
use xmtp_sdk::chain::ClaimError;
use xmtp_sdk::client::{DeclaredClaim, JoinError, PublishError, RegisterError, SendError};
use xmtp_sdk::inbox::Which;

const DAY: u64 = 86_400;
const HOUR: u64 = 3_600;

alloy::sol! {
    #[sol(rpc)]
    interface ICollection {
        function mint(address to, uint256 tokenId) external;
        function transferFrom(address from, address to, uint256 tokenId) external;
    }
}

/// A network that offers one claim, about a collection on its own chain.
struct Stage {
    world: World,
    collection: Address,
    id: ClaimId,
    generation: u32,
    /// Accounts of the chain, for whom it signs.
    holders: [Address; 3],
}

impl Stage {
    async fn start(clock: Clock) -> Self {
        Self::start_with("all()", LIMIT, clock).await
    }

    /// A network that asks this of accounts that join, and a claim with this limit.
    async fn start_with(joining: &str, limit: u32, clock: Clock) -> Self {
        let mut world = World::start_with(joining, clock).await;
        let deployer = world.anvil().addresses()[0];
        let collection = deploy_mock(&world.provider, deployer, Mock::Collection).await.unwrap();
        let cats = OfferedClaim {
            name: "cats".to_owned(),
            chain_id: world.deployment.chain_id,
            condition: Condition::Erc721 { collection },
            issuers: Vec::new(),
            threshold: 0,
            limit,
        };
        let id = cats.id(world.network);
        let claims = IClaims::new(world.deployment.claims.unwrap(), &world.provider);
        claims.declare((&cats).into()).send().await.unwrap().get_receipt().await.unwrap();
        world.offer(vec![cats]).await;
        world.deployment.verify(&world.provider).await.unwrap();
        let holders = [1, 2, 3].map(|number| world.anvil().addresses()[number]);
        let generation = Generation::at(world.clock.now()).0;
        Self { world, collection, id, generation, holders }
    }

    /// A new one each time: one that waited for blocks which a reorganisation took away would wait for ever.
    fn provider(&self) -> DynProvider {
        ProviderBuilder::new().connect_http(self.world.anvil().endpoint_url()).erased()
    }

    fn claims(&self) -> IClaims::IClaimsInstance<DynProvider> {
        IClaims::new(self.world.deployment.claims.unwrap(), self.provider())
    }

    fn tokens(&self) -> ICollection::ICollectionInstance<DynProvider> {
        ICollection::new(self.collection, self.provider())
    }

    async fn mint(&self, to: Address, token: u64) {
        let minted = self.tokens().mint(to, U256::from(token)).from(to).send().await.unwrap();
        assert!(minted.get_receipt().await.unwrap().status());
    }

    async fn sell(&self, from: Address, to: Address, token: u64) {
        let sold = self.tokens().transferFrom(from, to, U256::from(token)).from(from).send().await.unwrap();
        assert!(sold.get_receipt().await.unwrap().status());
    }

    /// Registers a token under a person's commitment.
    async fn register(&self, holder: Address, token: u64, person: &Person) {
        let commitment = person.claim_secret().commitment().field().to_u256();
        let claims = self.claims();
        let call = claims.register(self.id.0, self.generation, U256::from(token), commitment).from(holder);
        assert!(call.send().await.unwrap().get_receipt().await.unwrap().status());
    }

    async fn prune(&self, by: Address, token: u64) {
        let claims = self.claims();
        let call = claims.prune(self.id.0, self.generation, U256::from(token)).from(by);
        assert!(call.send().await.unwrap().get_receipt().await.unwrap().status());
    }

    /// Waits until the node has read all that the chain has.
    async fn synced(&self) {
        let number = self.provider().get_block_number().await.unwrap();
        let chain = self.world.node.as_ref().unwrap().chain();
        chain.wait_for(|view| view.applied() >= Some(number)).await.unwrap();
    }

    /// Lets the chain come to a time, and the node see it.
    async fn mine_at(&self, time: Timestamp) {
        self.provider().anvil_set_next_block_timestamp(time.as_secs()).await.unwrap();
        self.provider().anvil_mine(Some(1), None).await.unwrap();
        self.synced().await;
    }

    async fn root_today(&self) -> Option<Root> {
        root_today(&self.world, self.id).await
    }
}

/// The root of a tree with these people's leaves, and none where somebody left.
fn root_of(people: &[Option<&Person>]) -> Root {
    let mut tree = Tree::new();
    let leaf_of = |person: &Person| leaf(person.claim_secret().commitment(), limit());
    tree.extend(people.iter().map(|it| it.map_or_else(|| FieldElement::ZERO.into(), leaf_of)));
    tree.root(0).unwrap()
}

/// Noon of a day in the present quarter, the days after it being in it too.
fn noon() -> Timestamp {
    let now = Clock::system().now();
    let soon = Generation::at(now.saturating_add(Duration::from_secs(3 * DAY)));
    let day = if soon == Generation::at(now) { now.epoch().0 } else { now.epoch().0 - 4 };
    Timestamp::from_secs(day * DAY + DAY / 2)
}

fn later(time: Timestamp, seconds: u64) -> Timestamp {
    time.saturating_add(Duration::from_secs(seconds))
}

#[tokio::test]
async fn registered_token_pays_for_letters_until_the_day_after_it_was_sold_and_pruned() {
    let noon = noon();
    let mut stage = Stage::start(Clock::manual(noon)).await;
    let [seller, collector, anybody] = stage.holders;
    let [alice, bob, carol] = [stage.world.join(2).await, stage.world.join(3).await, stage.world.join(4).await];
    stage.world.set_policy(&bob, 1, &format!("claim({})", stage.id)).await;
    stage.mint(seller, 1).await;
    stage.mint(collector, 2).await;
    stage.synced().await;
    assert_eq!(stage.root_today().await, None, "who has a token has not registered");

    // The first root of a quarter counts at once.
    stage.register(seller, 1, &alice).await;
    let first = root_of(&[Some(&alice)]);
    counts(&stage.world, stage.id, first).await;
    let (today, id) = (noon.epoch(), stage.id);
    let letter = stage.world.letter(&bob, "letter");
    let pass = claim_pass(&mut stage.world, &alice, (id, first), (today, 0), &letter).await;
    send(&mut stage.world, &letter, vec![pass]).await.unwrap();

    // Whoever comes later counts from tomorrow on, and so does a sale.
    stage.register(collector, 2, &carol).await;
    stage.sell(seller, collector, 1).await;
    stage.prune(anybody, 1).await;
    stage.synced().await;
    assert_eq!(stage.root_today().await, Some(first));
    let other = stage.world.letter(&bob, "other");
    let pass = claim_pass(&mut stage.world, &alice, (id, first), (today, 1), &other).await;
    send(&mut stage.world, &other, vec![pass]).await.unwrap();

    stage.mine_at(later(noon, 11 * HOUR)).await;
    let tomorrow = later(noon, DAY);
    stage.world.set_clock(tomorrow).await;
    let second = root_of(&[None, Some(&carol)]);
    assert_eq!(stage.root_today().await, Some(second));
    let letter = stage.world.letter(&bob, "tomorrow");
    let sold = claim_pass(&mut stage.world, &alice, (id, first), (tomorrow.epoch(), 0), &letter).await;
    assert_eq!(send(&mut stage.world, &letter, vec![sold]).await.unwrap_err(), Code::RootExpired);
    let held = claim_pass(&mut stage.world, &carol, (id, second), (tomorrow.epoch(), 0), &letter).await;
    send(&mut stage.world, &letter, vec![held]).await.unwrap();
    // The same index for another letter gives the secret away, which ends it.
    for (index, expected) in [(0, Code::NullifierUsed), (1, Code::SecretClosed)] {
        let other = stage.world.letter(&bob, "the day after");
        let again = claim_pass(&mut stage.world, &carol, (id, second), (tomorrow.epoch(), index), &other).await;
        assert_eq!(send(&mut stage.world, &other, vec![again]).await.unwrap_err(), expected);
    }

    // All of it follows from what the node has kept.
    stage.world.restart().await;
    assert_eq!(stage.root_today().await, Some(second));
}

#[tokio::test]
async fn token_that_is_moved_to_and_fro_has_one_limit_and_one_tag_a_day() {
    let noon = noon();
    let mut stage = Stage::start(Clock::manual(noon)).await;
    let [first_wallet, second_wallet, _] = stage.holders;
    let [mallory, other_self, bob] = [stage.world.join(2).await, stage.world.join(3).await, stage.world.join(4).await];
    stage.world.set_policy(&bob, 1, "claim(any)").await;
    stage.mint(first_wallet, 1).await;
    stage.register(first_wallet, 1, &mallory).await;
    let (today, id, first) = (noon.epoch(), stage.id, root_of(&[Some(&mallory)]));
    counts(&stage.world, id, first).await;

    stage.sell(first_wallet, second_wallet, 1).await;
    stage.register(second_wallet, 1, &other_self).await;
    stage.mine_at(later(noon, 11 * HOUR)).await;
    assert_eq!(stage.root_today().await, Some(first));
    let second = root_of(&[None, Some(&other_self)]);
    let letter = stage.world.letter(&bob, "letter");
    // Tomorrow's root is known an hour ahead, and no proof under it counts today.
    let early = claim_pass(&mut stage.world, &other_self, (id, second), (today, 0), &letter).await;
    assert_eq!(send(&mut stage.world, &letter, vec![early]).await.unwrap_err(), Code::RootExpired);
    let ahead = Epoch(today.0 + 1);
    let ahead_of_time = claim_pass(&mut stage.world, &other_self, (id, second), (ahead, 0), &letter).await;
    assert_eq!(send(&mut stage.world, &letter, vec![ahead_of_time]).await.unwrap_err(), Code::EpochWrong);
}

#[tokio::test]
async fn reorganisation_undoes_a_registration() {
    let mut stage = Stage::start(Clock::manual(noon())).await;
    let [one, another, _] = stage.holders;
    let [alice, bob, carol] = [stage.world.join(2).await, stage.world.join(3).await, stage.world.join(4).await];
    stage.world.set_policy(&bob, 1, "claim(any)").await;
    stage.mint(one, 1).await;
    stage.mint(another, 2).await;
    let before = stage.provider().anvil_snapshot().await.unwrap();
    stage.register(one, 1, &alice).await;
    let orphaned = root_of(&[Some(&alice)]);
    counts(&stage.world, stage.id, orphaned).await;
    let (today, id) = (stage.world.clock.now().epoch(), stage.id);
    let letter = stage.world.letter(&bob, "letter");
    let alices = claim_pass(&mut stage.world, &alice, (id, orphaned), (today, 0), &letter).await;

    assert!(stage.provider().anvil_revert(before).await.unwrap());
    stage.provider().anvil_increase_time(5).await.unwrap();
    stage.register(another, 2, &carol).await;
    let root = root_of(&[Some(&carol)]);
    counts(&stage.world, id, root).await;
    assert_eq!(send(&mut stage.world, &letter, vec![alices]).await.unwrap_err(), Code::RootUnknown);
    let carols = claim_pass(&mut stage.world, &carol, (id, root), (today, 0), &letter).await;
    send(&mut stage.world, &letter, vec![carols]).await.unwrap();
}

#[tokio::test]
async fn registered_token_meets_a_joining_requirement() {
    let mut stage = Stage::start_with("claim(any)", LIMIT, Clock::manual(noon())).await;
    let [alice, mallory] = [Person::new(2), Person::new(3)];
    stage.mint(stage.holders[0], 1).await;
    // Nobody has to have an inbox to register.
    stage.register(stage.holders[0], 1, &alice).await;
    let root = root_of(&[Some(&alice)]);
    counts(&stage.world, stage.id, root).await;
    let (network, today) = (stage.world.network, stage.world.clock.now().epoch());
    let bundle_of = |person: &Person, sent_at| Envelope {
        topic: Topic::Contact(person.account),
        sent_at,
        ciphertext: person.bundle(network, 1, 1).to_bytes(),
    };
    let first = bundle_of(&alice, stage.world.clock.now());
    let owner = alice.owner(network, &first);
    assert_eq!(send(&mut stage.world, &first, vec![owner.clone()]).await.unwrap_err(), Code::RequirementUnmet);
    let pass = claim_pass(&mut stage.world, &alice, (stage.id, root), (today, 0), &first).await;
    send(&mut stage.world, &first, vec![owner, pass.clone()]).await.unwrap();

    // What let one account in lets in no other.
    let second = bundle_of(&mallory, stage.world.clock.now());
    let owner = mallory.owner(network, &second);
    let again = claim_pass(&mut stage.world, &alice, (stage.id, root), (today, 0), &second).await;
    for (pass, code) in [(pass, Code::ProofInvalid), (again, Code::NullifierUsed)] {
        let refused = send(&mut stage.world, &second, vec![owner.clone(), pass]).await;
        assert_eq!(refused.unwrap_err(), code);
    }
}

#[tokio::test]
async fn client_joins_with_the_claim_of_its_token_and_has_a_days_letters_left() {
    // Three indices a day for each of sixteen installations. The first of all is the journal's, and here the bundle's.
    let stage = Stage::start_with("any(claim(any), stamp(1))", 48, Clock::system()).await;
    let homes = [(); 2].map(|()| TempDir::new().unwrap());
    let client = async |number, home: &TempDir| {
        stage.world.builder(number, home.path()).small_claims(true).connect().await.unwrap()
    };
    let (alice, bob) = (client(1, &homes[0]).await, client(2, &homes[1]).await);
    for it in [&alice, &bob] {
        let error = it.create_identity().await.unwrap_err();
        assert!(matches!(error, PublishError::Join(JoinError::NoPass(_))), "{error}");
    }
    stage.mint(alice.account().address(), 1).await;
    alice.register_claim("cats", Some(U256::from(1))).await.unwrap();
    until("the registration counts", async || alice.claims().await.unwrap()[0].held).await;
    let joined = alice.create_identity().await.unwrap();
    assert!(matches!(joined.passes.as_slice(), [Shown::Claim { id, .. }] if *id == stage.id), "{:?}", joined.passes);

    // A claim is cheaper than a stamp, and Bob has a stamp only.
    stage.world.fund(bob.account().address()).await;
    bob.buy_stamps(1.try_into().unwrap(), Limit::new(1).unwrap()).await.unwrap();
    let joined = bob.create_identity().await.unwrap();
    assert!(matches!(joined.passes.as_slice(), [Shown::Stamp { tagged: false, .. }]), "{:?}", joined.passes);
    bob.set_policy(format!("claim({})", stage.id).parse().unwrap()).await.unwrap();
    let to = bob.account().to_string();
    for number in 0..2 {
        alice.send(&to, &format!("letter {number}")).await.unwrap();
    }
    assert!(matches!(alice.send(&to, "one too many").await, Err(SendError::NoPass(_))));
    assert_eq!(stage.world.node.as_ref().unwrap().store().evidence().count(), 0, "no index went twice");
}

#[tokio::test]
async fn client_registers_its_token_and_anybody_prunes_it_once_it_is_sold() {
    // Three letters a day for each of sixteen installations, but for the first, whose first index is the journal's.
    let stage = Stage::start_with("all()", 48, Clock::system()).await;
    let homes = [(); 2].map(|()| TempDir::new().unwrap());
    let client = async |number, home: &TempDir| {
        stage.world.builder(number, home.path()).small_claims(true).connect().await.unwrap()
    };
    let (alice, bob) = (client(1, &homes[0]).await, client(2, &homes[1]).await);
    for it in [&alice, &bob] {
        it.create_identity().await.unwrap();
    }
    let to = bob.account().to_string();
    bob.set_policy(format!("claim({})", stage.id).parse().unwrap()).await.unwrap();
    let (own, bobs) = (alice.account().address(), bob.account().address());
    let token = Some(U256::from(1));
    assert!(matches!(alice.register_claim("dogs", token).await, Err(RegisterError::NoSuchClaim(_))));
    assert!(matches!(alice.register_claim("cats", None).await, Err(RegisterError::WhichToken(_))));
    let not_hers = alice.register_claim("cats", token).await.unwrap_err();
    assert!(matches!(not_hers, RegisterError::Chain(ClaimError::NotHolder)), "{not_hers}");
    assert!(matches!(alice.send(&to, "Dear Bob").await, Err(SendError::NoPass(_))));

    stage.mint(own, 1).await;
    let registered = alice.register_claim("cats", token).await.unwrap();
    assert_eq!((registered.claim, registered.generation.0), (stage.id, stage.generation));
    assert!(registered.transaction.is_some());
    let again = alice.register_claim(&stage.id.to_string(), token).await.unwrap();
    assert_eq!(again.transaction, None, "nothing is registered twice");
    until("the registration counts", async || alice.claims().await.unwrap()[0].held).await;
    let [status] = alice.claims().await.unwrap().try_into().unwrap();
    assert_eq!((status.id, status.holders), (stage.id, Some(1)));
    assert!(!bob.claims().await.unwrap()[0].held);
    let sent = alice.send(&to, "Dear Bob").await.unwrap();
    assert!(matches!(sent.passes.as_slice(), [Shown::Claim { id, .. }] if *id == stage.id), "{:?}", sent.passes);
    assert_eq!(bob.inbox(Which::All).await.unwrap().messages.len(), 1);

    let held = bob.prune_claim("cats", token, None).await.unwrap_err();
    assert!(matches!(held, RegisterError::Chain(ClaimError::StillHeld)), "{held}");
    stage.sell(own, bobs, 1).await;
    bob.prune_claim("cats", token, None).await.unwrap();
    let gone = bob.prune_claim("cats", token, None).await.unwrap_err();
    assert!(matches!(gone, RegisterError::Chain(ClaimError::NoRegistration)), "{gone}");
    // Bob may register it in turn; a third time nobody may.
    bob.register_claim("cats", token).await.unwrap();
    stage.sell(bobs, own, 1).await;
    let third = alice.register_claim("cats", token).await.unwrap_err();
    assert!(matches!(third, RegisterError::Chain(ClaimError::RegisteredTwice)), "{third}");
}

#[tokio::test]
async fn anybody_declares_what_the_network_offers_and_once() {
    let mut world = World::start().await;
    let deployer = world.anvil().addresses()[0];
    let collection = deploy_mock(&world.provider, deployer, Mock::Collection).await.unwrap();
    let condition = Condition::Erc721 { collection };
    let chain_id = world.deployment.chain_id;
    let cats = OfferedClaim { chain_id, condition, issuers: Vec::new(), threshold: 0, ..offered("cats", 0xc1) };
    let elsewhere = OfferedClaim { name: "no-chain-of-ours".to_owned(), chain_id: 1, ..cats.clone() };
    let dogs = offered("dogs", 0xd1);
    world.deployment.offered_claims = vec![cats.clone(), dogs.clone(), elsewhere];
    let home = tempfile::tempdir().unwrap();
    let client = world.builder(1, home.path()).connect().await.unwrap();
    client.create_identity().await.unwrap();

    let early = client.register_claim("cats", Some(U256::from(1))).await.unwrap_err();
    assert!(matches!(early, RegisterError::Chain(ClaimError::Undeclared)), "{early}");
    let claims = IClaims::new(world.deployment.claims.unwrap(), &world.provider);
    for claim in [&cats, &dogs] {
        let id = claim.id(world.network);
        let declared = client.declare_claim(&claim.name).await.unwrap();
        assert_eq!((declared.claim, declared.transaction.is_some()), (id, true), "{}", claim.name);
        let terms = claims.claimOf(id.0).call().await.unwrap();
        assert_eq!(terms, IClaims::Claim::from(claim), "{}", claim.name);
        let again = client.declare_claim(&id.to_string()).await.unwrap();
        assert_eq!(again, DeclaredClaim { claim: id, transaction: None }, "{}", claim.name);
    }
    let refused = client.declare_claim("mice").await.unwrap_err();
    assert!(matches!(refused, RegisterError::NoSuchClaim(_)), "{refused}");
    // Without issuers the chain itself is asked, and it knows of no other.
    let refused = client.declare_claim("no-chain-of-ours").await.unwrap_err();
    assert!(matches!(refused, RegisterError::Chain(ClaimError::Terms(_))), "{refused}");
}
