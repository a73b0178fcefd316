//! What a node is told, and what it keeps, while whole stories are played through it by the SDK: nothing of who writes, and
//! nothing by which two letters of one sender could be told to be that (docs/threat-model.md, "Nodes").
//!
//! ```text
//! alice, bob, carol, dave ──► a recorder each ──► node ──► its store
//!                                   └──── searched ────────────┘
//! ```
//!
//! | file | has |
//! |---|---|
//! | `needle` | what is looked for |
//! | `permitted` | what may be seen all the same, where, and why |
//! | `recorder`, `told` | what came on a connection, and what it names |
//! | `kept` | what is in the store |
//! | `letters` | what two letters have in common |
//!
//! Each story ends with the control: what is planted in a letter is found, on its connection and in the store.

#![allow(clippy::unwrap_used)] // A test may.

mod kept;
mod letters;
mod needle;
mod permitted;
mod recorder;
#[path = "../support/mod.rs"]
mod support;
mod told;

use std::collections::BTreeSet;
use std::fs;

use alloy::primitives::{B256, U256};
use kept::Kept;
use letters::{Letter, in_common, require_found_if_shared};
use needle::{Needle, What};
use permitted::{Place, leaks};
use recorder::Recorder;
use support::claims::{counts, entry, issuer, offered, part, signed, snapshot_of};
use support::{Tag, World};
use tempfile::TempDir;
use xmtp_contracts::{IPostage, IStake, OfferedClaim};
use xmtp_proto::account::Account;
use xmtp_proto::derive::ClaimId;
use xmtp_proto::envelope::Envelope;
use xmtp_proto::field::{Commitment, FieldElement};
use xmtp_proto::key_bundle::KeyBundle;
use xmtp_proto::pass::Pass;
use xmtp_proto::requirement::Shown;
use xmtp_proto::submission::Submission;
use xmtp_proto::topic::Topic;
use xmtp_proto::wire::{self, node_client::NodeClient};
use xmtp_prover::{Limit, leaf};
use xmtp_sdk::client::{Client, SendError};
use xmtp_sdk::connection::Terms;
use xmtp_sdk::inbox::Which;
use xmtp_sdk::state::Lock;

/// Somebody, and all that they ever say to the node.
struct Party {
    client: Client,
    recorder: Recorder,
    _home: TempDir,
}

/// Alice writes; Bob and Carol are written to; Dave writes too, so that Alice is not the only one.
struct Cast {
    alice: Party,
    bob: Party,
    carol: Party,
    dave: Party,
}

impl Party {
    async fn new(world: &World, person: usize) -> Self {
        let recorder = Recorder::before(world.node.as_ref().unwrap().address()).await;
        let home = tempfile::tempdir().unwrap();
        let builder = world.builder(person, home.path()).node(format!("http://{}", recorder.address).parse().unwrap());
        let client = builder.small_claims(true).connect().await.unwrap();
        world.fund(client.account().address()).await;
        client.create_identity().await.unwrap();
        Self { client, recorder, _home: home }
    }

    fn account(&self) -> Account {
        self.client.account()
    }

    /// Writes a letter; returns what it showed.
    async fn write(&self, to: &Self, text: &str) -> Vec<Shown> {
        self.client.send(&to.account().to_string(), text).await.unwrap().passes
    }

    async fn reads(&self) -> usize {
        self.client.inbox(Which::All).await.unwrap().messages.len()
    }

    async fn asks(&self, requirement: &str) {
        self.client.set_policy(requirement.parse().unwrap()).await.unwrap();
    }
}

impl Cast {
    async fn gather(world: &World) -> Self {
        Self {
            alice: Party::new(world, 1).await,
            bob: Party::new(world, 2).await,
            carol: Party::new(world, 3).await,
            dave: Party::new(world, 4).await,
        }
    }

    fn all(&self) -> [&Party; 4] {
        [&self.alice, &self.bob, &self.carol, &self.dave]
    }

    /// Alice and Dave buy stamps, before anybody writes: who pays afterwards pays under one root with everybody.
    async fn buy_stamps(&self) {
        for it in [&self.alice, &self.dave] {
            it.client.buy_stamps(1.try_into().unwrap(), Limit::new(16).unwrap()).await.unwrap();
        }
    }

    /// A letter of Alice's to each of two strangers, and one of Dave's.
    async fn write_to_strangers(&self) -> [Vec<Shown>; 3] {
        let Self { alice, bob, carol, dave } = self;
        [
            alice.write(bob, "Dear Bob").await,
            alice.write(carol, "Dear Carol").await,
            dave.write(bob, "Dear Bob, too").await,
        ]
    }

    /// An answer, and an answer to that.
    async fn converse(&self) {
        let Self { alice, bob, .. } = self;
        let answer = bob.client.conversation(alice.account()).await.unwrap().unwrap();
        answer.send("Dear Alice").await.unwrap();
        let answered = alice.client.conversation(bob.account()).await.unwrap().unwrap();
        assert_eq!(answered.messages(Which::All).await.unwrap().messages.len(), 1);
        answered.send("Dear Bob, again").await.unwrap();
        for it in [alice, bob] {
            it.client.settle().await.unwrap();
        }
    }
}

#[tokio::test]
async fn penny_post_tells_a_node_nothing_of_who_wrote() {
    let world = World::start().await;
    let cast = Cast::gather(&world).await;
    cast.buy_stamps().await;
    cast.write_to_strangers().await;
    assert_eq!((cast.bob.reads().await, cast.carol.reads().await), (2, 1));
    cast.converse().await;
    judge(world, cast).await;
}

#[tokio::test]
async fn receipts_tell_a_node_nothing_of_whose_letters_were_read() {
    let world = World::start().await;
    let cast = Cast::gather(&world).await;
    cast.buy_stamps().await;
    cast.write_to_strangers().await;
    for (reader, letters) in [(&cast.bob, 2), (&cast.carol, 1)] {
        assert_eq!(reader.reads().await, letters);
        assert_eq!(reader.client.receipts().await.unwrap().len(), letters, "reading is told once for each letter");
    }
    // Dave is told nothing that he could not ask for, and reads what is public.
    assert_eq!(cast.dave.client.receipts().await.unwrap().len(), 0);
    judge(world, cast).await;
}

#[tokio::test]
async fn stake_tells_a_node_nothing_of_whose_it_is() {
    let world = World::start().await;
    let cast = Cast::gather(&world).await;
    let Cast { alice, bob, carol, dave } = &cast;
    for it in [bob, carol] {
        it.asks("stake(1)").await;
    }
    let stake = alice.client.stake(1).await.unwrap().stake.id;
    dave.client.stake(1).await.unwrap();
    for shown in cast.write_to_strangers().await {
        assert_eq!(shown, [Shown::Stake { tier: 1 }]);
    }
    assert_eq!((bob.reads().await, carol.reads().await), (2, 1));
    cast.converse().await;
    let left = alice.client.exit_stake(stake).await.unwrap().stake.lock;
    assert!(matches!(left, Lock::Leaving { .. }), "{left:?}");
    let refused = alice.client.send(&carol.account().to_string(), "P.S.").await.unwrap_err();
    assert!(matches!(refused, SendError::NoPass(_)), "{refused}");
    judge(world, cast).await;
}

#[tokio::test]
async fn claim_tells_a_node_nothing_of_whose_it_is() {
    let mut world = World::start().await;
    // Three letters a day for each of sixteen installations, but for the first, whose first index is the journal's.
    let cats = OfferedClaim { limit: 48, ..offered("cats", 7) };
    let id = cats.id(world.network);
    world.offer(vec![cats]).await;
    let cast = Cast::gather(&world).await;
    let Cast { alice, bob, carol, dave } = &cast;
    for it in [bob, carol] {
        it.asks(&format!("claim({id})")).await;
    }
    let mut holders = Vec::new();
    for it in [alice, dave] {
        holders.push(bundle(&mut world, it.account()).await.keys.claim_commitment);
    }
    vouch(&mut world, id, holders).await;
    assert!(alice.client.claims().await.unwrap()[0].held && !bob.client.claims().await.unwrap()[0].held);
    for shown in cast.write_to_strangers().await {
        assert!(matches!(shown[..], [Shown::Claim { .. }]), "{shown:?}");
    }
    assert_eq!((bob.reads().await, carol.reads().await), (2, 1));
    cast.converse().await;
    judge(world, cast).await;
}

#[tokio::test]
async fn connection_tells_a_node_nothing_of_who_was_let_in() {
    let mut world = World::start().await;
    world.ask_at_invites("any(connection, member, stamp(1))").await;
    let cast = Cast::gather(&world).await;
    let Cast { alice, bob, carol, dave } = &cast;
    for it in [bob, carol] {
        it.asks("any(connection, member)").await;
    }
    // Requests, for nothing but an account.
    for shown in cast.write_to_strangers().await {
        assert_eq!(shown, [Shown::Member]);
    }
    for (by, of) in [(bob, alice), (carol, alice), (bob, dave)] {
        assert!(by.client.accept(of.account(), Terms::default()).await.unwrap().message.opened);
    }
    for it in [alice, dave] {
        it.client.relations().await.unwrap();
    }
    for shown in cast.write_to_strangers().await {
        assert_eq!(shown, [Shown::Connection]);
    }
    assert_eq!((bob.reads().await, carol.reads().await), (4, 2));
    let conversation = alice.client.conversation(bob.account()).await.unwrap().unwrap();
    conversation.send("And now without a letter").await.unwrap();

    bob.client.revoke(alice.account()).await.unwrap();
    assert_eq!(alice.write(bob, "And now?").await, [Shown::Member]);
    let blocked = bob.client.block(alice.account()).await.unwrap();
    assert!(blocked.tags > 0, "nothing of hers is blocked");
    let refused = alice.client.send(&bob.account().to_string(), "please").await.unwrap_err();
    assert!(matches!(refused, SendError::NoPass(_)), "{refused}");
    assert_eq!(alice.write(carol, "Bob has shut me out").await, [Shown::Connection]);
    for it in cast.all() {
        it.client.sync().await.unwrap();
    }
    judge(world, cast).await;
}

/// Looks at all that the node was told and all that it kept. Then the same search finds what is planted.
async fn judge(mut world: World, cast: Cast) {
    let Cast { alice, bob, carol, dave } = &cast;
    let (mut needles, mut alices) = (Vec::new(), Vec::new());
    for it in cast.all() {
        let own = [own_needles(&mut world, it.account()).await, chain_needles(&world, it.account()).await].concat();
        if it.account() == alice.account() {
            alices.clone_from(&own);
        }
        needles.extend(own);
    }

    for it in cast.all() {
        for (number, connection) in told::connections(&it.recorder, it.account()).iter().enumerate() {
            let leaked = leaks(&needles, connection.place, &connection.bytes);
            assert!(leaked.is_empty(), "connection {number} of {}, {:?}: {leaked:?}", it.account(), connection.place);
        }
    }
    require_unlinkable(alice, [bob, carol], dave);

    world.restart_in_place().await;
    world.node.take().unwrap().shutdown().await.unwrap();
    let data = world.folder.path().join("data");
    for Kept { place, name, bytes } in kept::entries(&data) {
        let leaked = leaks(&needles, place, &bytes);
        assert!(leaked.is_empty(), "{name}, {place:?}: {leaked:?}");
    }
    // The files as they are, with what was overwritten in them: what is permitted nowhere is not there either.
    let nowhere: Vec<Needle> = needles.iter().filter(|it| it.is_permitted_nowhere()).cloned().collect();
    for file in kept::files(&data) {
        let found = needle::find(&nowhere, &fs::read(&file).unwrap());
        assert!(found.is_empty(), "{}: {found:?}", file.display());
    }

    // The control.
    world.rebind().await;
    plant(&mut world, alice, dave, &alices).await;
    let connections = told::connections(&alice.recorder, alice.account());
    let last = connections.last().unwrap();
    let found = leaks(&needles, last.place, &last.bytes);
    assert_eq!(found, needle::all(&alices), "what was planted in a letter is not found on its connection");
    world.node.take().unwrap().shutdown().await.unwrap();
    let mut found = BTreeSet::new();
    for Kept { place, bytes, .. } in kept::entries(&data) {
        if place == Place::Letter(dave.account()) {
            found.extend(leaks(&needles, place, &bytes));
        }
    }
    assert_eq!(found, needle::all(&alices), "what was planted in a letter is not found in the store");
}

/// No letter to one recipient has anything in common with one to the other but what it has in common with somebody else's; and
/// it would be found.
fn require_unlinkable(sender: &Party, recipients: [&Party; 2], other: &Party) {
    let of = |party: &Party, to: &Party| {
        let connections = told::connections(&party.recorder, party.account());
        told::letters(&connections, to.account())
    };
    let [first, second] = recipients.map(|to| of(sender, to));
    let others: Vec<Letter> = recipients.iter().flat_map(|to| of(other, to)).collect();
    assert!(!first.is_empty() && !second.is_empty() && !others.is_empty(), "nobody wrote");
    for one in &first {
        for another in &second {
            let common = in_common(one, another, &others);
            assert!(common.is_empty(), "two letters of one sender share {common:?}");
            let kind = |letter: &Letter| letter.1.passes().iter().map(std::mem::discriminant).collect::<Vec<_>>();
            if kind(one) == kind(another) {
                require_found_if_shared(one, another, &others);
            }
        }
    }
}

async fn bundle(world: &mut World, account: Account) -> KeyBundle {
    let request = wire::GetKeyBundleRequest { account: account.to_string() };
    let record = world.client.get_key_bundle(request).await.unwrap().into_inner().record.unwrap();
    KeyBundle::from_bytes(&record.submission.unwrap().envelope.unwrap().ciphertext).unwrap()
}

/// Who an account is.
async fn own_needles(world: &mut World, account: Account) -> Vec<Needle> {
    let KeyBundle { keys, wallet_signature, version: _, prekey, signature } = bundle(world, account).await;
    let member_leaf = leaf(keys.member_commitment, support::MEMBER_LIMIT);
    let needle = |what, bytes: &[u8]| Needle::new(account, what, bytes);
    vec![
        needle(What::Account, account.address().as_slice()),
        needle(What::IdentityKey, &keys.identity_key),
        needle(What::AgreementKey, &keys.agreement_key),
        needle(What::Prekey, &prekey),
        needle(What::ClaimCommitment, keys.claim_commitment.as_bytes()),
        needle(What::MemberCommitment, keys.member_commitment.as_bytes()),
        needle(What::MemberLeaf, member_leaf.as_bytes()),
        needle(What::WalletSignature, &wallet_signature),
        needle(What::BundleSignature, &signature),
    ]
}

/// What the chain shows of an account's purchases and stakes, and a node must not be able to match with anything that it is
/// told.
async fn chain_needles(world: &World, account: Account) -> Vec<Needle> {
    let mut needles = Vec::new();
    let mut add = |kinds: [What; 2], commitment: U256, limit: u32, transaction: Option<B256>| {
        let commitment = Commitment::from(FieldElement::from_be_bytes(commitment.to_be_bytes()).unwrap());
        let leaf = leaf(commitment, Limit::new(limit).unwrap());
        needles.push(Needle::new(account, kinds[0], commitment.as_bytes()));
        needles.push(Needle::new(account, kinds[1], leaf.as_bytes()));
        needles.push(Needle::new(account, What::Transaction, transaction.unwrap()));
    };
    let postage = IPostage::new(world.deployment.postage, &world.provider);
    for (bought, log) in postage.Bought_filter().from_block(0).topic2(account.address()).query().await.unwrap() {
        add([What::BookCommitment, What::BookLeaf], bought.commitment, bought.count, log.transaction_hash);
    }
    let stakes = IStake::new(world.deployment.stake.as_ref().unwrap().contract, &world.provider);
    for (staked, log) in stakes.Staked_filter().from_block(0).topic2(account.address()).query().await.unwrap() {
        add([What::StakeCommitment, What::StakeLeaf], staked.commitment, staked.limit, log.transaction_hash);
    }
    needles
}

/// Has two of a claim's three issuers vouch for these holders.
async fn vouch(world: &mut World, claim: ClaimId, holders: Vec<Commitment>) {
    let (snapshot, list) = snapshot_of(world, holders, Limit::new(48).unwrap(), 1);
    let [first, second] = [31, 32].map(issuer);
    let listed = part(world, claim, &snapshot, list);
    for (by, it) in [
        (&first, listed),
        (&first, signed(world, claim, &snapshot, &first)),
        (&second, signed(world, claim, &snapshot, &second)),
    ] {
        let submission = entry(world, claim, by, &it);
        world.publish(submission).await.unwrap();
    }
    counts(world, claim, snapshot.roots[0]).await;
}

/// Sends a letter, over the sender's recorder, that has everything in it in every form.
async fn plant(world: &mut World, through: &Party, to: &Party, needles: &[Needle]) {
    let ciphertext: Vec<u8> = needles.iter().flat_map(Needle::written).flat_map(|form| [form, b" "].concat()).collect();
    let book = world.buy(5, 4, 77).await;
    let envelope = Envelope { topic: Topic::Invite(to.account()), sent_at: world.clock.now(), ciphertext };
    assert!(envelope.units() <= 5);
    let stamp = world.stamp(&book, 0, &envelope, Tag::ToNonce).await;
    let submission = Submission::new(envelope, vec![Pass::Stamp(stamp)]).unwrap();
    let mut client = NodeClient::connect(format!("http://{}", through.recorder.address)).await.unwrap();
    let publication = wire::Publication { submission: Some(submission.into()), expected_head: None };
    let answer = client.publish(wire::PublishRequest { publications: vec![publication] }).await.unwrap().into_inner();
    for result in answer.results {
        support::outcome(result).unwrap();
    }
}
