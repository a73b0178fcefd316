//! What a node is told, and what it keeps, while a whole story is played through it by the SDK: nothing of who writes, and
//! nothing by which two letters of one sender could be told to be that (docs/threat-model.md, "Nodes").
//!
//! ```text
//! alice, bob, carol, dave ──► a recorder each ──► node ──► its store
//!                                   └──── searched ────────────┘
//! ```
//!
//! What is public anyway is left out, and no more: an account's own topics are its own, and the chain shows who bought stamps.

#![allow(clippy::unwrap_used)] // A test may.

mod needle;
mod recorder;
#[path = "../support/mod.rs"]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use alloy::primitives::U256;
use alloy::signers::local::PrivateKeySigner;
use needle::Needle;
use recorder::{Heard, Recorder};
use support::{Tag, World};
use tempfile::TempDir;
use xmtp_contracts::{IPostage, IXmtpToken};
use xmtp_proto::account::Account;
use xmtp_proto::field::{FieldElement, Root};
use xmtp_proto::key_bundle::KeyBundle;
use xmtp_proto::pass::{self, Pass};
use xmtp_proto::submission::Submission;
use xmtp_proto::topic::Topic;
use xmtp_proto::wire::{self, node_client::NodeClient};
use xmtp_prover::{Limit, leaf};
use xmtp_sdk::client::Client;
use xmtp_sdk::inbox::Which;

/// Two things that say the same in so many bytes were not drawn apart from each other.
const WINDOW: usize = 8;
/// Of a group's volume: 2^21 leaves in subtrees of 4,096.
const BUCKETS: u32 = 512;

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
        let wallet = PrivateKeySigner::from_slice(&world.anvil().keys()[person].to_bytes()).unwrap();
        let token = IXmtpToken::new(world.deployment.token, &world.provider);
        let amount = U256::from(10).pow(U256::from(20));
        token.transfer(wallet.address(), amount).send().await.unwrap().get_receipt().await.unwrap();
        let client = Client::builder(wallet, world.deployment.clone(), home.path().to_owned())
            .node(format!("http://{}", recorder.address).parse().unwrap())
            .rpc(world.anvil().endpoint_url())
            .cache(env!("CARGO_TARGET_TMPDIR").into())
            .delay(Duration::ZERO)
            .connect()
            .await
            .unwrap();
        client.create_identity().await.unwrap();
        Self { client, recorder, _home: home }
    }

    fn account(&self) -> Account {
        self.client.account()
    }

    fn name(&self) -> String {
        self.account().to_string()
    }
}

/// A letter to each of two strangers, an answer from one, and everybody reads.
async fn penny_post(_: &mut World, cast: &Cast) {
    let Cast { alice, bob, carol, dave } = cast;
    // All books first: who pays afterwards pays under one root with everybody.
    for it in [alice, dave] {
        it.client.buy_stamps(1.try_into().unwrap(), Limit::new(16).unwrap()).await.unwrap();
    }
    alice.client.send(&bob.name(), "Dear Bob").await.unwrap();
    alice.client.send(&carol.name(), "Dear Carol").await.unwrap();
    dave.client.send(&bob.name(), "Dear Bob, too").await.unwrap();
    assert_eq!(bob.client.inbox(Which::All).await.unwrap().messages.len(), 2);
    assert_eq!(carol.client.inbox(Which::All).await.unwrap().messages.len(), 1);
    let answer = bob.client.conversation(alice.account()).await.unwrap().unwrap();
    answer.send("Dear Alice").await.unwrap();
    let answered = alice.client.conversation(bob.account()).await.unwrap().unwrap();
    assert_eq!(answered.messages(Which::All).await.unwrap().messages.len(), 1);
    answered.send("Dear Bob, again").await.unwrap();
    for it in [alice, bob] {
        it.client.settle().await.unwrap();
    }
}

#[tokio::test]
async fn penny_post_tells_a_node_nothing_of_who_wrote() {
    play(penny_post).await;
}

/// Plays a story, and looks at all that the node was told and all that it kept. Then the same search finds what was planted.
async fn play(story: impl AsyncFnOnce(&mut World, &Cast)) {
    let mut world = World::start().await;
    let cast = Cast {
        alice: Party::new(&world, 1).await,
        bob: Party::new(&world, 2).await,
        carol: Party::new(&world, 3).await,
        dave: Party::new(&world, 4).await,
    };
    story(&mut world, &cast).await;
    let Cast { alice, bob, carol, dave } = &cast;

    let mut own = BTreeMap::new();
    for it in [alice, bob, carol, dave] {
        own.insert(it.account(), own_needles(&mut world, it.account()).await);
    }
    let purchases = purchase_needles(&world, alice.account()).await;
    for it in [alice, bob, carol, dave] {
        require_calls_without_position(&it.recorder.heard());
        require_connections_of_one_account(it, &own);
        for connection in 0..it.recorder.connections() {
            require_nothing(&purchases, &on_connection(&it.recorder, connection), "a connection");
        }
    }
    let letters = [bob, carol].map(|to| letter(&alice.recorder.heard(), to.account()));
    let others = letter(&dave.recorder.heard(), bob.account());
    require_unlinkable(&letters, &others);

    world.restart_in_place().await;
    world.node.take().unwrap().shutdown().await.unwrap();
    let data = world.folder.path().join("data");
    require_store_without_sender(&data, alice.account(), &own[&alice.account()], &purchases);

    // The control.
    world.rebind().await;
    let planted: Vec<Needle> = [&own[&alice.account()][..], &purchases].concat();
    plant(&mut world, alice, bob, &planted).await;
    let last = alice.recorder.connections() - 1;
    let found = needle::find(&planted, &on_connection(&alice.recorder, last));
    assert_eq!(found, needle::all(&planted), "what was planted in a letter is not found on its connection");
    world.node.take().unwrap().shutdown().await.unwrap();
    let mut found = BTreeSet::new();
    for Kept { bytes, .. } in kept(&data).into_iter().filter(|it| !is_own(it, alice.account()) && it.tree == "log") {
        found.extend(needle::find(&planted, &bytes));
    }
    assert_eq!(found, needle::all(&planted), "what was planted in a letter is not found in the store");
}

/// What an account says of itself on its own topics, and nowhere else.
async fn own_needles(world: &mut World, account: Account) -> Vec<Needle> {
    let request = wire::GetKeyBundleRequest { account: account.to_string() };
    let record = world.client.get_key_bundle(request).await.unwrap().into_inner().record.unwrap();
    let bundle = KeyBundle::from_bytes(&record.submission.unwrap().envelope.unwrap().ciphertext).unwrap();
    let KeyBundle { keys, wallet_signature, version: _, prekey, signature } = bundle;
    let member_leaf = leaf(keys.member_commitment, support::MEMBER_LIMIT);
    vec![
        Needle::new("account", account.address()),
        Needle::new("identity key", keys.identity_key),
        Needle::new("agreement key", keys.agreement_key),
        Needle::new("prekey", prekey),
        Needle::new("claim commitment", keys.claim_commitment.as_bytes()),
        Needle::new("member commitment", keys.member_commitment.as_bytes()),
        Needle::new("member leaf", member_leaf.as_bytes()),
        Needle::new("wallet's signature", wallet_signature),
        Needle::new("bundle's signature", signature),
    ]
}

/// What the chain shows of an account's purchases, and a node must not be able to match with anything that it is told.
async fn purchase_needles(world: &World, buyer: Account) -> Vec<Needle> {
    let postage = IPostage::new(world.deployment.postage, &world.provider);
    let bought = postage.Bought_filter().from_block(0).topic2(buyer.address()).query().await.unwrap();
    assert!(!bought.is_empty(), "the sender never bought anything");
    let mut needles = Vec::new();
    for (event, log) in bought {
        let commitment = FieldElement::from_be_bytes(event.commitment.to_be_bytes()).unwrap().into();
        let leaf = leaf(commitment, Limit::new(event.count).unwrap());
        needles.push(Needle::new("book's commitment", commitment.as_bytes()));
        needles.push(Needle::new("book's leaf", leaf.as_bytes()));
        needles.push(Needle::new("purchase's transaction", log.transaction_hash.unwrap()));
    }
    needles
}

fn require_nothing(needles: &[Needle], haystack: &[u8], place: &str) {
    let found = needle::find(needles, haystack);
    assert!(found.is_empty(), "{place} shows {found:?}");
}

/// Everything that came on a connection, at the socket and as HTTP has it.
fn on_connection(recorder: &Recorder, connection: usize) -> Vec<u8> {
    let mut all = recorder.raw(connection);
    for it in recorder.heard().into_iter().filter(|it| it.connection == connection) {
        all.extend_from_slice(it.path.as_bytes());
        all.extend_from_slice(&it.headers);
        all.extend_from_slice(&it.body);
    }
    all
}

/// The topics that a request names.
fn topics(heard: &Heard) -> Vec<Topic> {
    let text = String::from_utf8_lossy(&heard.body);
    let names = text.match_indices("/xmtp/1/").filter_map(|(start, _)| {
        let end = start + text[start..].find("/proto")? + "/proto".len();
        text[start..end].parse().ok()
    });
    names.collect()
}

/// Every call is one that this test knows, and none says more of a leaf than which 4,096 it is among.
fn require_calls_without_position(heard: &[Heard]) {
    for it in heard {
        match it.path.rsplit_once('/').unwrap().1 {
            "GetBucket" => {
                let wire::GetBucketRequest { group, root, bucket } = it.message();
                assert!(group.is_some() && root.len() == 32 && bucket < BUCKETS, "bucket {bucket}");
            }
            "GetNetwork" | "GetRoots" | "GetKeyBundle" | "GetRequirements" | "Publish" | "Query"
            | "QueryConversations" | "Subscribe" => {}
            call => panic!("what does {call} say of a leaf?"),
        }
    }
}

/// A connection tells of one account at the most: its own, or one that is written to. And where it is not the own one, nothing of
/// the own one is told.
fn require_connections_of_one_account(party: &Party, own: &BTreeMap<Account, Vec<Needle>>) {
    for connection in 0..party.recorder.connections() {
        let all = on_connection(&party.recorder, connection);
        let told: Vec<_> = own.iter().filter(|(_, needles)| !needle::find(needles, &all).is_empty()).collect();
        assert!(
            told.len() <= 1,
            "one connection tells of {:?}",
            told.iter().map(|(account, _)| account).collect::<Vec<_>>()
        );
        let about_itself = party.recorder.heard().iter().filter(|it| it.connection == connection).any(|it| {
            topics(it).iter().any(|topic| topic.account() == Some(party.account()))
                || (it.path.ends_with("/GetKeyBundle")
                    && it.message::<wire::GetKeyBundleRequest>().account == party.name())
        });
        if !about_itself {
            require_nothing(&own[&party.account()], &all, "a connection that is not the own one");
        }
    }
}

/// The one submission to an account's invite topic, and its connection.
fn letter(heard: &[Heard], to: Account) -> (usize, Submission) {
    let mut found = Vec::new();
    for it in heard.iter().filter(|it| it.path.ends_with("/Publish")) {
        for publication in it.message::<wire::PublishRequest>().publications {
            let submission = Submission::try_from(publication.submission.unwrap()).unwrap();
            if submission.envelope().topic == Topic::Invite(to) {
                found.push((it.connection, submission));
            }
        }
    }
    assert_eq!(found.len(), 1, "letters to {to}");
    found.remove(0)
}

fn proofs<'a>(submission: &'a Submission) -> Vec<&'a pass::Proof> {
    let proof = |pass: &'a Pass| match pass {
        Pass::Stamp(it) => Some(&it.proof),
        Pass::Stake(it) => Some(&it.proof),
        Pass::Claim(it) => Some(&it.proof),
        Pass::Member(it) => Some(&it.proof),
        Pass::Posting(_) | Pass::Connection(_) | Pass::Owner(_) | Pass::Issuer(_) => None,
    };
    submission.passes().iter().filter_map(proof).collect()
}

/// Two letters of one sender have nothing in common but what they have in common with somebody else's.
fn require_unlinkable(letters: &[(usize, Submission); 2], others: &(usize, Submission)) {
    let [(first_connection, first), (second_connection, second)] = letters;
    assert_ne!(first_connection, second_connection, "one connection for two recipients");
    let roots = |it: &Submission| proofs(it).into_iter().map(|proof| proof.root).collect::<BTreeSet<Root>>();
    let shared: BTreeSet<_> = roots(first).intersection(&roots(second)).copied().collect();
    assert!(shared.is_subset(&roots(&others.1)), "a root that nobody else chose");
    assert!(!proofs(first).is_empty() && proofs(first).len() == proofs(second).len());
    let secret = |it: &Submission| {
        let mut all = vec![it.envelope().ciphertext.clone()];
        for proof in proofs(it) {
            let pass::Proof { root: _, nullifier, share, tag, points } = proof;
            let fields = [nullifier.as_bytes(), share.as_bytes(), tag.as_bytes()];
            all.extend(fields.map(|field| field.to_vec()));
            all.push(points.to_vec());
        }
        for pass in it.passes() {
            if let Pass::Stamp(stamp) = pass {
                all.extend(stamp.nonce.map(|nonce| nonce.as_bytes().to_vec()));
            }
        }
        all
    };
    let windows = |it: &Submission| -> BTreeSet<Vec<u8>> {
        secret(it).iter().flat_map(|bytes| bytes.windows(WINDOW).map(<[u8]>::to_vec)).collect()
    };
    let common: Vec<_> = windows(first).intersection(&windows(second)).cloned().collect();
    assert!(common.is_empty(), "two letters share {common:02x?}");
}

/// One entry of the store.
struct Kept {
    tree: String,
    key: Vec<u8>,
    /// Key and value.
    bytes: Vec<u8>,
}

/// Every entry of every tree.
fn kept(data: &Path) -> Vec<Kept> {
    let db = sled::Config::new().path(data).open().unwrap();
    let mut all = Vec::new();
    for tree in db.tree_names() {
        for entry in db.open_tree(&tree).unwrap().iter() {
            let (key, value) = entry.unwrap();
            let tree = String::from_utf8_lossy(&tree).into_owned();
            all.push(Kept { tree, key: key.to_vec(), bytes: [&key[..], &value].concat() });
        }
    }
    assert!(all.len() > 20, "the store is empty");
    all
}

/// Whether an entry is of an account's own topics: what it published there, and the places that lead to it.
fn is_own(kept: &Kept, account: Account) -> bool {
    let names = |topic: Topic| memchr::memmem::find(&kept.bytes, topic.to_string().as_bytes()).is_some();
    let owned = [Topic::Contact(account), Topic::Policy(account), Topic::Vault(account)].into_iter().any(names);
    // The newest of each, and how many there were today.
    owned || matches!(kept.key.first(), Some(b'o' | b'q'))
}

fn require_store_without_sender(data: &Path, sender: Account, own: &[Needle], purchases: &[Needle]) {
    for it in kept(data).iter().filter(|it| !is_own(it, sender)) {
        let Kept { tree, key, bytes } = it;
        let place = format!("the entry {key:02x?} of {tree}");
        // The answer to her letter stands in a conversation; nothing names her invite topic, for nobody wrote to her first.
        require_nothing(own, bytes, &place);
        if tree != "chain" {
            require_nothing(purchases, bytes, &place);
        }
    }
    // The files as they are: of a purchase's transaction there is nothing at all, and of the rest only what was let through above.
    for file in files(data) {
        let bytes = fs::read(&file).unwrap();
        let transactions: Vec<_> = purchases.iter().filter(|it| it.what.contains("transaction")).cloned().collect();
        require_nothing(&transactions, &bytes, &file.display().to_string());
    }
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// Sends a letter, over the sender's recorder, that has everything in it in every form.
async fn plant(world: &mut World, through: &Party, to: &Party, needles: &[Needle]) {
    let forms = needles.iter().flat_map(Needle::forms);
    let ciphertext: Vec<u8> = forms.flat_map(|(_, form)| [&form[..], b" "].concat()).collect();
    let book = world.buy(1, 4, 77).await;
    let envelope =
        xmtp_proto::envelope::Envelope { topic: Topic::Invite(to.account()), sent_at: world.clock.now(), ciphertext };
    assert_eq!(envelope.units(), 1);
    let stamp = world.stamp(&book, 0, &envelope, Tag::ToNonce).await;
    let submission = Submission::new(envelope, vec![Pass::Stamp(stamp)]).unwrap();
    let mut client = NodeClient::connect(format!("http://{}", through.recorder.address)).await.unwrap();
    let publication = wire::Publication { submission: Some(submission.into()), expected_head: None };
    let answer = client.publish(wire::PublishRequest { publications: vec![publication] }).await.unwrap().into_inner();
    for result in answer.results {
        support::outcome(result).unwrap();
    }
}
