//! A stamp whose blank does not become a proof is proved in the ordinary way.

use std::sync::Arc;

use alloy::primitives::{Address, B256};
use chacha20::ChaCha20Rng;
use chacha20::rand_core::SeedableRng as _;
use serde_json::json;
use tempfile::TempDir;
use xmtp_contracts::Deployment;
use xmtp_proto::derive::{Issue, NetworkId};
use xmtp_proto::field::FieldElement;
use xmtp_proto::time::Clock;
use xmtp_prover::{Group, Limit, PassSecret, Plate, Proof, ProvingKey, Statement, VerifyingKey, verify};

use super::*;
use crate::client::DEV_CHAIN;
use crate::content::Content;
use crate::franking::external_nullifier;
use crate::invite::{Invitation, seal_invite};
use crate::journal::GrantedStamp;
use crate::state::{Bought, Letter, Outgoing, Purchase, Supply};
use crate::testing::{ALICE, BOB, identity_on, now, wallet};
use crate::transport::RootKind;

const POSTAGE: Address = Address::repeat_byte(7);
const COUNT: u32 = 20;

/// Alice, who needs no node to frank a letter that is on record, and a letter of hers.
struct World {
    client: Client,
    identity: Identity,
    outgoing: Outgoing,
    prepared: PreparedStamp,
    secret: PassSecret,
    _home: TempDir,
}

fn deployment() -> Deployment {
    let deployment = json!({
        "chainId": DEV_CHAIN,
        "block": 0,
        "token": Address::repeat_byte(5),
        "postage": POSTAGE,
        "poseidon": Address::repeat_byte(8),
        "settlement": Address::repeat_byte(6),
        "networkId": NetworkId::new(DEV_CHAIN, POSTAGE).0,
        "unitPrice": "1",
        "issueSeconds": 7_889_400,
        "burnBps": 3_000,
        "bondBps": 1_000,
    });
    serde_json::from_value(deployment).unwrap()
}

impl World {
    /// With a stamp that belongs to the letter, under a root that a node named.
    async fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let builder = Client::builder(wallet(ALICE), deployment(), home.path().to_owned());
        let client = builder.cache(std::env::temp_dir()).clock(Clock::manual(now())).connect().await.unwrap();
        let (network, state) = (client.network(), client.state());
        let (alice, bob) = (identity_on(network, ALICE).await, identity_on(network, BOB).await.verified_bundle());
        let limit = Limit::new(COUNT).unwrap();
        let mut group = Group::new();
        let id = state.intend_book(&alice, 1.try_into().unwrap(), limit).unwrap().id;
        let secret = alice.postal_seed().book_secret(&id.installation, id.counter);
        let position = group.append(leaf_of(&secret, limit));
        let issue = Issue(227);
        let book = state.record_purchase(id, Purchase::Bought(Bought { issue, position })).unwrap();
        let checkpoint = group.checkpoint();
        let path = group.bucket(&checkpoint, position.volume, 0).unwrap().path(position.index).unwrap();
        let root = checkpoint.volumes()[0].root;
        let root = VolumeRoot { volume: 0, kind: RootKind::Checkpoint, root, leaves: 1, block: 1 };

        let invitation = Invitation::new(Some(Content::text("hello").unwrap())).unwrap();
        let envelope = seal_invite(&alice, &bob, now(), &invitation).unwrap();
        let letter = Letter::sent(&alice, &bob, &envelope, invitation);
        let usage = StampUse { book: id, index: xmtp_prover::Index::new(3) };
        let outgoing = state.begin_letter(letter, envelope, &[Supply::Granted(GrantedStamp::made_up(usage))]).unwrap();
        let group = StampGroup { denomination: book.denomination, issue };
        let prepared = PreparedStamp { book, usage, group, tagged: false, root, path, ahead: false };
        Self { client, identity: alice, outgoing, prepared, secret, _home: home }
    }

    /// A blank for the stamp, of whoever has this secret.
    fn blank(&self, secret: &PassSecret) -> (Ground, Blank) {
        let key = ProvingKey::dev_cached(&std::env::temp_dir()).unwrap();
        let PreparedStamp { ref book, usage, group, root, .. } = self.prepared;
        let mut tree = Group::new();
        let position = tree.append(leaf_of(secret, book.count));
        let path = tree.bucket(&tree.checkpoint(), position.volume, 0).unwrap().path(position.index).unwrap();
        let plate = Arc::new(Plate::new(&key, secret, book.count, &path).unwrap());
        let scope = FieldElement::from_hash(B256::repeat_byte(9)).into();
        let external_nullifier = external_nullifier(self.client.place(), group);
        let blank = plate.blank(external_nullifier, usage.index, scope, &mut ChaCha20Rng::from_seed([1; 32])).unwrap();
        (Ground { root, path, plate, since: now() }, blank)
    }

    /// Franks the letter with this blank in stock. Returns the stamp, and whether the blank became it.
    async fn frank(&mut self, ground: Ground, blank: Blank) -> (pass::Stamp, bool) {
        let book = self.prepared.usage.book;
        self.client.stock().lay(book, ground.clone());
        self.client.stock().keep(book, Towards::Anybody, &ground, blank);
        let stamp = self.client.frank_stamp(&self.identity, &self.outgoing.envelope, &mut self.prepared).await.unwrap();
        assert_eq!(self.client.prepared_stamps(), 0, "a blank is gone, whatever became of it");
        (stamp, self.prepared.ahead)
    }

    /// Whether this is a stamp of the index for the letter.
    fn check(&self, stamp: &pass::Stamp) {
        let external_nullifier = external_nullifier(self.client.place(), self.prepared.group);
        let pass::Proof { root, nullifier, share, tag, points } = stamp.proof;
        assert_eq!(nullifier, self.secret.nullifier(external_nullifier, self.prepared.usage.index));
        assert_eq!(root, self.prepared.root.root);
        let signal = self.outgoing.envelope.id(self.client.network()).signal();
        let scope = stamp.nonce.unwrap();
        let statement = Statement { root, external_nullifier, signal, share, nullifier, scope, tag };
        verify(VerifyingKey::dev(), &statement, &Proof::from_bytes(&points).unwrap()).unwrap();
    }
}

/// With two of its points in each other's place: no decoder can tell.
fn damaged(blank: &Blank) -> Blank {
    let mut bytes = *blank.to_secret_bytes();
    let (first, second) = bytes[Blank::LEN - 64..].split_at_mut(32);
    first.swap_with_slice(second);
    Blank::from_secret_bytes(&bytes).unwrap()
}

#[tokio::test]
async fn blank_becomes_the_stamp() {
    let mut world = World::new().await;
    let (ground, blank) = world.blank(&world.secret);
    let (stamp, ahead) = world.frank(ground, blank).await;
    assert!(ahead);
    world.check(&stamp);
}

#[tokio::test]
async fn damaged_blank_gives_way_to_an_ordinary_proof() {
    let mut world = World::new().await;
    let (ground, blank) = world.blank(&world.secret);
    let (stamp, ahead) = world.frank(ground, damaged(&blank)).await;
    assert!(!ahead);
    world.check(&stamp);
}

#[tokio::test]
async fn blank_of_another_secret_gives_way_to_an_ordinary_proof() {
    let mut world = World::new().await;
    let (ground, blank) = world.blank(&PassSecret::from_wide_bytes(&[7; 64]).unwrap());
    let (stamp, ahead) = world.frank(ground, blank).await;
    assert!(!ahead);
    world.check(&stamp);
}

#[tokio::test]
async fn blank_older_than_a_week_gives_way_to_an_ordinary_proof() {
    let mut world = World::new().await;
    let (mut ground, blank) = world.blank(&world.secret);
    ground.since = now().saturating_sub(Duration::from_secs(7 * 86_400));
    let (stamp, ahead) = world.frank(ground, blank).await;
    assert!(!ahead);
    world.check(&stamp);
}
