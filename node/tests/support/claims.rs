//! Claims in tests: issuers with keys of our own, what they write, and proofs under what they wrote.

use alloy::primitives::{Address, B256};
use alloy::signers::SignerSync as _;
use alloy::signers::local::PrivateKeySigner;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;
use xmtp_contracts::{Condition, OfferedClaim};
use xmtp_proto::derive::{self, ClaimId, Group, Purpose};
use xmtp_proto::envelope::Envelope;
use xmtp_proto::field::{Commitment, Root};
use xmtp_proto::pass::{self, Claim, Issuer, Pass};
use xmtp_proto::postmark::{Cursor, SignedPostmark};
use xmtp_proto::refusal::Code;
use xmtp_proto::signature::{self, Label};
use xmtp_proto::snapshot::{Anchorage, Contacts, Entry, Part, SignedSnapshot, Snapshot};
use xmtp_proto::submission::Submission;
use xmtp_proto::time::{Epoch, Generation};
use xmtp_proto::topic::Topic;
use xmtp_proto::wire;
use xmtp_prover::{Group as Tree, Index, Limit, Statement, Witness, leaf, leaves, prove};

use super::{Person, World, fetch_bucket, proving_key, until};

pub(crate) const LIMIT: u32 = 16;
pub(crate) fn issuer(seed: u8) -> PrivateKeySigner {
    PrivateKeySigner::from_slice(&[seed; 32]).unwrap()
}

/// A claim about a collection, for which two of three issuers vouch.
pub(crate) fn offered(name: &str, collection: u8) -> OfferedClaim {
    let mut issuers = [31, 32, 33].map(|seed| issuer(seed).address()).to_vec();
    issuers.sort_unstable();
    let condition = Condition::Erc721 { collection: Address::repeat_byte(collection) };
    OfferedClaim { name: name.to_owned(), chain_id: 1, condition, issuers, threshold: 2, limit: LIMIT }
}

pub(crate) fn limit() -> Limit {
    Limit::new(LIMIT).unwrap()
}

/// A snapshot of these people at a block, and its list.
pub(crate) fn snapshot(world: &World, people: &[&Person], block_number: u64) -> (Snapshot, Vec<Commitment>) {
    let commitments = people.iter().map(|it| it.claim_secret().commitment()).collect();
    snapshot_of(world, commitments, limit(), block_number)
}

/// A snapshot with these commitments at a block, and its list.
pub(crate) fn snapshot_of(
    world: &World,
    mut commitments: Vec<Commitment>,
    limit: Limit,
    block_number: u64,
) -> (Snapshot, Vec<Commitment>) {
    commitments.sort_unstable();
    let mut tree = Tree::new();
    tree.extend(leaves(&commitments.iter().map(|it| Some((*it, limit))).collect::<Vec<_>>()));
    let snapshot = Snapshot {
        generation: Generation::at(world.clock.now()).0,
        block_number,
        block_hash: B256::repeat_byte(0xb1),
        contacts: vec![Contacts { operator: [7; 32].into(), cursor: Cursor(2) }],
        leaves: commitments.len().try_into().unwrap(),
        roots: tree.checkpoint().volumes().iter().map(|it| it.root).collect(),
    };
    (snapshot, commitments)
}

pub(crate) fn anchorage(world: &World) -> Anchorage {
    Anchorage { chain_id: world.deployment.chain_id, claims: world.deployment.claims.unwrap() }
}

pub(crate) fn part(world: &World, claim: ClaimId, snapshot: &Snapshot, commitments: Vec<Commitment>) -> Entry {
    Entry::Part(Part { snapshot: snapshot.digest(claim, anchorage(world)), first: 0, commitments })
}

pub(crate) fn signed(world: &World, claim: ClaimId, snapshot: &Snapshot, by: &PrivateKeySigner) -> Entry {
    let digest = snapshot.digest(claim, anchorage(world));
    let signature = by.sign_hash_sync(&digest).unwrap().as_bytes();
    Entry::Snapshot(SignedSnapshot { snapshot: snapshot.clone(), signature })
}

/// An entry on a claim's topic, with this issuer's pass.
pub(crate) fn entry(world: &World, claim: ClaimId, by: &PrivateKeySigner, entry: &Entry) -> Submission {
    let envelope = Envelope { topic: Topic::Claim(claim.0), sent_at: world.clock.now(), ciphertext: entry.to_bytes() };
    let pass = issuer_pass(world, &envelope, by);
    Submission::new(envelope, vec![pass]).unwrap()
}

pub(crate) fn issuer_pass(world: &World, envelope: &Envelope, by: &PrivateKeySigner) -> Pass {
    let digest = signature::digest(Label::Issuer, world.network, &[envelope.id(world.network).as_bytes()]);
    Pass::Issuer(Issuer { issuer: by.address(), signature: by.sign_hash_sync(&digest).unwrap().as_bytes() })
}

/// Has one issuer publish a snapshot with its list, and another sign it; returns the first root.
pub(crate) async fn issue(world: &mut World, claim: ClaimId, people: &[&Person], block: u64) -> Root {
    issue_to(world, claim, people.iter().map(|it| it.claim_secret().commitment()).collect(), block).await
}

/// As [`issue`], to whom these commitments are.
pub(crate) async fn issue_to(world: &mut World, claim: ClaimId, to: Vec<Commitment>, block: u64) -> Root {
    let offered = world.deployment.offered_claims.iter().find(|it| it.id(world.network) == claim).unwrap();
    let (snapshot, list) = snapshot_of(world, to, Limit::new(offered.limit).unwrap(), block);
    let part = part(world, claim, &snapshot, list);
    let [first, second] = [31, 32].map(issuer);
    let entries = [
        entry(world, claim, &first, &part),
        entry(world, claim, &first, &signed(world, claim, &snapshot, &first)),
        entry(world, claim, &second, &signed(world, claim, &snapshot, &second)),
    ];
    for entry in entries {
        world.publish(entry).await.unwrap();
    }
    snapshot.roots[0]
}

pub(crate) fn group(world: &World, claim: ClaimId) -> wire::ClaimGroup {
    wire::ClaimGroup { id: claim.as_bytes().to_vec(), generation: Generation::at(world.clock.now()).0 }
}

/// The root of today's snapshot; nothing if there is none.
pub(crate) async fn root_today(world: &World, claim: ClaimId) -> Option<Root> {
    let request = wire::GetRootsRequest { group: Some(wire::get_roots_request::Group::Claim(group(world, claim))) };
    let roots = world.client.clone().get_roots(request).await.ok()?.into_inner().roots;
    Some(Root::from_be_bytes(roots.first()?.root.clone().try_into().unwrap()).unwrap())
}

/// A proof under a root that the node serves.
pub(crate) async fn claim_pass(
    world: &mut World,
    person: &Person,
    (claim, root): (ClaimId, Root),
    (epoch, index): (Epoch, u16),
    envelope: &Envelope,
) -> Pass {
    let secret = person.claim_secret();
    let request = wire::GetBucketRequest {
        group: Some(wire::get_bucket_request::Group::Claim(group(world, claim))),
        root: root.as_bytes().to_vec(),
        bucket: 0,
    };
    let bucket = fetch_bucket(&mut world.client, request, root).await;
    let own = leaf(secret.commitment(), limit());
    let position = bucket.leaves().iter().position(|it| *it == own).expect("the snapshot has this person");
    let path = bucket.path(position.try_into().unwrap()).unwrap();
    let witness = Witness { secret: &secret, limit: limit(), index: Index::new(index), path: &path };
    let generation = Generation::at(world.clock.now()).0;
    let of = Group::Claim { id: claim, generation }.id(world.network, world.deployment.postage);
    let (statement, proof) = prove(
        proving_key(),
        &witness,
        of.external_nullifier(Purpose::Envelope, Some(epoch)),
        envelope.id(world.network).signal(),
        derive::scope(world.network, &envelope.topic),
        &mut ChaCha20Rng::from_seed([9; 32]),
    )
    .unwrap();
    let Statement { root, share, nullifier, tag, external_nullifier: _, signal: _, scope: _ } = statement;
    let proof = pass::Proof { root, nullifier, share, tag, points: proof.to_bytes() };
    Pass::Claim(Claim { id: claim, generation, epoch, proof })
}

pub(crate) async fn send(world: &mut World, letter: &Envelope, passes: Vec<Pass>) -> Result<SignedPostmark, Code> {
    let submission = Submission::new(letter.clone(), passes).unwrap();
    world.publish(submission).await.map_err(|refusal| refusal.code())
}

pub(crate) async fn counts(world: &World, claim: ClaimId, root: Root) {
    until("the snapshot counts", async || root_today(world, claim).await == Some(root)).await;
}
