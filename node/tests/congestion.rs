//! The network's price follows a node's load: announced before it is asked, paid within the sender's limit, and down again.

#![allow(clippy::unwrap_used)] // A test may.

mod support;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ed25519_dalek::SigningKey;
use support::{ADMIN, Person, Tag, World, metric, outcome, restart_with, until};
use tempfile::TempDir;
use tokio::task::JoinSet;
use xmtp_proto::derive::{Purpose, conversation_topic};
use xmtp_proto::envelope::Envelope;
use xmtp_proto::field::FieldElement;
use xmtp_proto::opening::{MAX_QUOTA, Opening};
use xmtp_proto::pass::{Pass, Posting};
use xmtp_proto::refusal::Refusal;
use xmtp_proto::requirement::Requirement;
use xmtp_proto::signature::{self, Label};
use xmtp_proto::submission::{MAX_PER_CALL, Submission};
use xmtp_proto::time::Timestamp;
use xmtp_proto::topic::Topic;
use xmtp_proto::wire::{self, node_client::NodeClient};
use xmtp_prover::Limit;
use xmtp_sdk::client::{Client, Draft, SendError};

/// Rises fast, falls fast when nothing waits any more, and what was asked is good for long enough to look at it.
const CONGESTION: &str = "[congestion]\nsteps = [2, 8]\nrise_at = 32\nfall_at = 1\nhalf_life = \"200ms\"\n\
                          hold = \"200ms\"\ngrace = \"5s\"\n";

/// Rises once, and stays there: who writes then need not read through a flood.
const RISEN: &str = "[congestion]\nsteps = [8]\nrise_at = 4\nfall_at = 1\nhalf_life = \"200ms\"\nhold = \"1h\"\n";

/// Conversations that may be written to, and the keys to them.
type Talks = Vec<(SigningKey, Envelope)>;

/// Full calls of messages, a connection for each conversation, until it is told to stop.
struct Flood {
    over: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

impl Flood {
    /// What takes long: opens the conversations.
    async fn prepare(world: &mut World, seed: u8) -> Talks {
        let (talker, mut talks) = (world.join(seed).await, Talks::new());
        for number in 0..4_u8 {
            let mut secret = [seed; 32];
            secret[0] = number;
            let key = SigningKey::from_bytes(&secret);
            let opening = open(world, &talker, number.into(), &key).await;
            talks.push((key, opening));
        }
        talks
    }

    async fn begin(world: &World, talks: Talks) -> Self {
        let (over, mut tasks) = (Arc::new(AtomicBool::new(false)), JoinSet::new());
        let node = format!("http://{}", world.node.as_ref().unwrap().address());
        for (key, opening) in talks {
            let mut client = NodeClient::connect(node.clone()).await.unwrap();
            let (network, over) = (world.network, over.clone());
            tasks.spawn(async move {
                let message = |number: u32| {
                    let envelope = Envelope { ciphertext: number.to_be_bytes().to_vec(), ..opening.clone() };
                    let digest = signature::digest(Label::Posting, network, &[envelope.id(network).as_bytes()]);
                    let posting =
                        Posting { key: key.verifying_key().to_bytes(), signature: signature::sign(&key, digest) };
                    let submission = Submission::new(envelope, vec![Pass::Posting(posting)]).unwrap();
                    wire::Publication { submission: Some(submission.into()), expected_head: None }
                };
                let mut numbers = 0..MAX_QUOTA;
                while !over.load(Ordering::Relaxed) {
                    let publications: Vec<_> = numbers.by_ref().take(MAX_PER_CALL).map(message).collect();
                    assert!(!publications.is_empty(), "the quota is used up, and the price has not risen");
                    let answer = client.publish(wire::PublishRequest { publications }).await.unwrap().into_inner();
                    for result in answer.results {
                        outcome(result).unwrap();
                    }
                }
            });
        }
        Self { over, tasks }
    }

    async fn end(mut self) {
        self.over.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
    }
}

/// Opens a conversation with all the quota there is.
async fn open(world: &mut World, member: &Person, index: u16, key: &SigningKey) -> Envelope {
    let public = key.verifying_key().to_bytes();
    let sent_at = world.clock.now();
    let expires_at = sent_at.saturating_add(Duration::from_secs(86_400));
    let sign = |digest| signature::sign(key, digest);
    let opening = Opening::new(world.network, public, MAX_QUOTA, expires_at, sign).unwrap();
    let envelope = Envelope { topic: conversation_topic(&public), sent_at, ciphertext: opening.to_bytes().to_vec() };
    let member = world.member(member, Purpose::Opening, sent_at.epoch(), index, &envelope).await;
    world.publish(Submission::new(envelope.clone(), vec![Pass::Member(member)]).unwrap()).await.unwrap();
    envelope
}

async fn requirements(world: &World, topic: Topic) -> (Requirement, u32, Timestamp) {
    let request = wire::GetRequirementsRequest { topic: topic.to_string() };
    let answer = world.client.clone().get_requirements(request).await.unwrap().into_inner();
    let wire::GetRequirementsResponse { network, policy: _, times, good_until_ns } = answer;
    (network.unwrap().try_into().unwrap(), times, Timestamp::from_nanos(good_until_ns))
}

async fn price_becomes(world: &World, topic: Topic, times: u32) {
    until(&format!("the price is {times} times"), async || requirements(world, topic).await.1 == times).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn load_raises_the_price_to_the_published_most_and_quiet_lowers_it() {
    let mut world = World::start().await;
    restart_with(&mut world, &format!("{CONGESTION}{ADMIN}")).await;
    let talks = Flood::prepare(&mut world, 101).await;
    let bob = world.join(2).await;
    let invite = Topic::Invite(bob.account);
    let book = world.buy(1, 16, 11).await;
    let published = world.client.get_network(wire::GetNetworkRequest {}).await.unwrap().into_inner();
    assert_eq!(published.congestion_steps, [2, 8]);
    let usual: Requirement = published.invite_requirement.unwrap().try_into().unwrap();
    let (asked, times, good_until) = requirements(&world, invite).await;
    assert_eq!((asked, times), (usual.clone(), 1));

    // Asked while it was quiet, and sent while it is not, within the time for which that is enough.
    let letter = world.letter(&bob, "asked before");
    let stamp = world.stamp(&book, 0, &letter, Tag::ToNonce).await;
    let flood = Flood::begin(&world, talks).await;
    price_becomes(&world, invite, 8).await;
    assert!(world.clock.now() < good_until, "too slow to show anything");
    world.publish(Submission::new(letter, vec![Pass::Stamp(stamp)]).unwrap()).await.unwrap();
    assert_eq!(requirements(&world, invite).await.0, usual.times(8));
    assert_eq!(metric(&world, "xmtpn_congestion_times").await, 8.0);
    assert!(metric(&world, "xmtpn_congestion_load").await > 1.0);
    assert_eq!(requirements(&world, Topic::Contact(bob.account)).await.1, 0, "nowhere but at invites");

    // Later it is not enough any more, and the refusal says what is.
    let late = world.letter(&bob, "asked long ago");
    let stamp = world.stamp(&book, 1, &late, Tag::ToNonce).await;
    let late = Submission::new(late, vec![Pass::Stamp(stamp)]).unwrap();
    until("the old price is over", async || world.clock.now() > good_until.saturating_add(Duration::from_secs(1)))
        .await;
    let (client, wire) = (world.client.clone(), wire::Submission::from(late.clone()));
    until("the refusal names the price that is asked", async || {
        let publication = wire::Publication { submission: Some(wire.clone()), expected_head: None };
        let answer = client.clone().publish(wire::PublishRequest { publications: vec![publication] }).await.unwrap();
        let [result] = answer.into_inner().results.try_into().unwrap();
        let Err(Refusal::RequirementUnmet { unmet, .. }) = outcome(result) else { panic!("accepted for less") };
        unmet == usual.times(8)
    })
    .await;
    flood.end().await;

    price_becomes(&world, invite, 1).await;
    assert_eq!(requirements(&world, invite).await.0, usual);
    world.publish(late).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_proofs_alone_raise_no_price_however_many_wait() {
    let mut world = World::start().await;
    // Nobody is cut off: all of it waits, as long as it is sent.
    let patient = "[limits]\nbad_proofs_per_ip = 4294967295\n";
    restart_with(&mut world, &format!("{CONGESTION}{ADMIN}{patient}")).await;
    let talks = Flood::prepare(&mut world, 103).await;
    let bob = world.join(2).await;
    let invite = Topic::Invite(bob.account);
    let book = world.buy(1, 1, 11).await;
    let letter = world.letter(&bob, "never sent");
    let stamp = world.stamp(&book, 0, &letter, Tag::ToTopic).await;
    let forged = move |number: u64| {
        let mut stamp = stamp.clone();
        stamp.proof.share = FieldElement::from(1_000 + number).into();
        Submission::new(letter.clone(), vec![Pass::Stamp(stamp)]).unwrap()
    };
    // Until one batch has shown what they are, they wait with the others.
    assert_eq!(world.publish(forged(0)).await.unwrap_err(), Refusal::ProofInvalid);

    let (over, mut tasks) = (Arc::new(AtomicBool::new(false)), JoinSet::new());
    for connection in 1..=8 {
        let node = format!("http://{}", world.node.as_ref().unwrap().address());
        let (mut client, forged, over) = (NodeClient::connect(node).await.unwrap(), forged.clone(), over.clone());
        tasks.spawn(async move {
            let mut numbers = connection << 32..;
            while !over.load(Ordering::Relaxed) {
                let publication = |it| wire::Publication { submission: Some(forged(it).into()), expected_head: None };
                let publications = numbers.by_ref().take(MAX_PER_CALL).map(publication).collect();
                client.publish(wire::PublishRequest { publications }).await.unwrap();
            }
        });
    }
    let began = Instant::now();
    let (mut looks, mut crowded) = (0, 0);
    while metric(&world, "xmtpn_proofs_bad_total").await < 1_000.0 || began.elapsed() < Duration::from_secs(2) {
        assert_eq!(requirements(&world, invite).await.1, 1, "bad proofs alone have raised the price");
        looks += 1;
        crowded += usize::from(metric(&world, "xmtpn_proofs_waiting").await > 32.0);
    }
    assert!(looks > 10 && crowded > looks / 2, "{crowded} times of {looks} only, more waited than raises the price");
    over.store(true, Ordering::Relaxed);
    tasks.join_all().await;

    // The control: what breaks no rule does.
    let flood = Flood::begin(&world, talks).await;
    price_becomes(&world, invite, 8).await;
    flood.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sender_pays_the_risen_price_within_the_limit_and_is_asked_beyond() {
    let mut world = World::start().await;
    restart_with(&mut world, RISEN).await;
    let talks = Flood::prepare(&mut world, 102).await;
    let (alice_home, bob_home) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let [alice, bob] = [client(&world, 1, alice_home.path()).await, client(&world, 2, bob_home.path()).await];
    alice.buy_stamps(1.try_into().unwrap(), Limit::new(16).unwrap()).await.unwrap();
    let invite = Topic::Invite(bob.account());
    let quiet = alice.send_draft(Draft::new(bob.account(), "in the quiet")).await.unwrap();
    assert_eq!((quiet.times, quiet.stamps.len()), (1, 1));

    let flood = Flood::begin(&world, talks).await;
    price_becomes(&world, invite, 8).await;
    flood.end().await;
    // Twice what networks ask by default is the limit, unless the sender says otherwise.
    let limited = alice.send_draft(Draft::new(bob.account(), "in a hurry")).await.unwrap_err();
    let SendError::NoPass(_) = limited else { panic!("{limited}") };
    alice.buy_stamps(10.try_into().unwrap(), Limit::new(16).unwrap()).await.unwrap();
    let limited = alice.send_draft(Draft::new(bob.account(), "in a hurry")).await.unwrap_err();
    let SendError::SpendLimit { needed: 10, limit: 2, times: 8 } = limited else { panic!("{limited}") };
    assert!(limited.to_string().contains("8 times the network's postage"), "{limited}");
    let draft = Draft { max_price: Some(10), ..Draft::new(bob.account(), "in a hurry") };
    let paid = alice.send_draft(draft).await.unwrap();
    assert_eq!((paid.times, paid.stamps.len()), (8, 1));
}

async fn client(world: &World, person: usize, home: &Path) -> Client {
    let wallet = world.wallet(person);
    world.fund(wallet.address()).await;
    let client = world.builder_for(wallet, home).connect().await.unwrap();
    client.create_identity().await.unwrap();
    client
}
