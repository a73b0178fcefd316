//! What a node takes: stamped letters, messages of conversations, and messages among 98 reads in a hundred calls, each
//! acknowledged when it is on disk. `scripts/bench node` runs it.
//!
//! Submissions are made beforehand. Who sends them shares the process, and so the processors, with the node; CPU time is both's.
//! Beside the figures stand those of the parts that cannot be avoided, each alone: verifying, signing the postmark, and syncing
//! a group of records. What a message costs beyond them is overhead.

#![allow(clippy::unwrap_used)] // A benchmark may.

#[path = "../tests/support/mod.rs"]
mod support;

use std::fs::File;
use std::io::Write as _;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use alloy::primitives::B256;
use alloy::signers::SignerSync as _;
use alloy::signers::local::PrivateKeySigner;
use clap::Parser;
use cpu_time::ProcessTime;
use ed25519_dalek::SigningKey;
use serde_json::json;
use support::{Tag, World, outcome, restart_with};
use tokio::task::JoinSet;
use tonic::transport::Channel;
use xmtp_proto::derive::{self, Group, Purpose, conversation_topic};
use xmtp_proto::envelope::Envelope;
use xmtp_proto::opening::{MAX_QUOTA, Opening};
use xmtp_proto::pass::{Pass, Posting, Stamp};
use xmtp_proto::signature::{self, Label};
use xmtp_proto::submission::Submission;
use xmtp_proto::wire::{self, node_client::NodeClient};
use xmtp_prover::{Proof, Statement, VerifyingKey, batch};

/// Bytes of a message.
const MESSAGE_BYTES: usize = 256;
/// Proofs that the verifier alone gets together, as the node does.
const BATCH: usize = 64;
/// Records that the committer syncs together at the most.
const GROUP: usize = 256;
/// Reads beside one write.
const READS: usize = 49;
/// Syncs of a group that are timed.
const SYNCS: u32 = 50;

#[derive(Parser)]
struct Options {
    /// Connections.
    #[arg(long, default_value_t = NonZeroUsize::MIN.saturating_add(7))]
    connections: NonZeroUsize,
    /// Calls at once on each.
    #[arg(long, default_value_t = NonZeroUsize::MIN.saturating_add(3))]
    at_once: NonZeroUsize,
    /// Submissions in a call.
    #[arg(long, default_value_t = NonZeroUsize::MIN.saturating_add(15))]
    per_call: NonZeroUsize,
    /// Stamped letters: a proof each, made beforehand.
    #[arg(long, default_value_t = 512)]
    letters: u16,
    /// Messages that are sent by themselves.
    #[arg(long, default_value_t = 40_000)]
    messages: usize,
    /// Messages that are sent among reads.
    #[arg(long, default_value_t = 500)]
    mixed: usize,
    /// What cargo says to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

/// A call, and what is read before it.
type Call = (wire::PublishRequest, Option<wire::QueryRequest>);

/// What came of a load.
struct Load {
    accepted: usize,
    took: Duration,
    cpu: Duration,
    /// Of publish calls, sorted.
    latencies: Vec<Duration>,
}

impl Load {
    fn rate(&self) -> f64 {
        self.accepted as f64 / self.took.as_secs_f64()
    }

    /// CPU time per submission.
    fn cost(&self) -> Duration {
        self.cpu.div_f64(self.accepted as f64)
    }

    fn latency(&self, share: f64) -> Duration {
        self.latencies[((self.latencies.len() - 1) as f64 * share) as usize]
    }

    fn print(&self, what: &str, parts: Duration) -> serde_json::Value {
        let (p50, p99) = (self.latency(0.5), self.latency(0.99));
        let [cost, parts] = [self.cost(), parts].map(|it| it.as_secs_f64() * 1e6);
        let rate = self.rate();
        println!(
            "{what:<24}{rate:>9.0}/s   p50 {p50:>8.1?}   p99 {p99:>8.1?}   cpu {cost:>7.1} µs each, {parts:.1} µs of it \
             unavoidable"
        );
        let [p50, p99] = [p50, p99].map(|it| it.as_secs_f64() * 1e3);
        json!({ "per_second": rate, "p50_ms": p50, "p99_ms": p99, "cpu_us": cost, "unavoidable_us": parts })
    }
}

/// Sends all calls over so many connections, and waits for their answers; every submission has to be accepted.
async fn load(world: &World, options: &Options, calls: Vec<Call>) -> Load {
    let address = format!("http://{}", world.node.as_ref().unwrap().address());
    let workers = options.connections.get() * options.at_once.get();
    let mut shares: Vec<Vec<Call>> = (0..workers).map(|_| Vec::new()).collect();
    for (number, call) in calls.into_iter().enumerate() {
        shares[number % workers].push(call);
    }
    let mut clients = Vec::new();
    for _ in 0..options.connections.get() {
        clients.push(NodeClient::connect(address.clone()).await.unwrap().max_decoding_message_size(8 << 20));
    }
    let (began, cpu) = (Instant::now(), ProcessTime::now());
    let mut tasks = JoinSet::new();
    for (number, share) in shares.into_iter().enumerate() {
        tasks.spawn(send(clients[number % clients.len()].clone(), share));
    }
    let (mut accepted, mut latencies) = (0, Vec::new());
    while let Some(done) = tasks.join_next().await {
        let (count, times) = done.unwrap();
        accepted += count;
        latencies.extend(times);
    }
    let (took, cpu) = (began.elapsed(), cpu.elapsed());
    latencies.sort_unstable();
    Load { accepted, took, cpu, latencies }
}

async fn send(mut client: NodeClient<Channel>, calls: Vec<Call>) -> (usize, Vec<Duration>) {
    let (mut accepted, mut latencies) = (0, Vec::with_capacity(calls.len()));
    for (publish, query) in calls {
        if let Some(query) = query {
            for _ in 0..READS {
                client.query(query.clone()).await.unwrap();
            }
        }
        let began = Instant::now();
        let answer = client.publish(publish).await.unwrap().into_inner();
        latencies.push(began.elapsed());
        for result in answer.results {
            outcome(result).unwrap();
            accepted += 1;
        }
    }
    (accepted, latencies)
}

fn request(submissions: &[Submission]) -> wire::PublishRequest {
    let publication = |it: &Submission| wire::Publication { submission: Some(it.clone().into()), expected_head: None };
    wire::PublishRequest { publications: submissions.iter().map(publication).collect() }
}

/// Conversations with room for so many messages, opened; and the messages, conversations taking turns.
async fn messages(world: &mut World, count: usize, from: u8) -> Vec<Submission> {
    let conversations = count.div_ceil(MAX_QUOTA as usize / 2).max(4);
    let mut keys = Vec::new();
    for number in 0..conversations {
        let mut seed = [from; 32];
        seed[..8].copy_from_slice(&(number as u64).to_be_bytes());
        let key = SigningKey::from_bytes(&seed);
        let public = key.verifying_key().to_bytes();
        let sent_at = world.clock.now();
        let expires_at = sent_at.saturating_add(Duration::from_secs(86_400));
        let opening =
            Opening::new(world.network, public, MAX_QUOTA, expires_at, |digest| signature::sign(&key, digest)).unwrap();
        let topic = conversation_topic(&public);
        let envelope = Envelope { topic, sent_at, ciphertext: opening.to_bytes().to_vec() };
        world.publish(Submission::new(envelope, Vec::new()).unwrap()).await.unwrap();
        keys.push((key, public, topic));
    }
    let message = |number: usize| {
        let (key, public, topic) = &keys[number % conversations];
        let mut ciphertext = vec![0; MESSAGE_BYTES];
        ciphertext[..8].copy_from_slice(&(number as u64).to_be_bytes());
        let envelope = Envelope { topic: *topic, sent_at: world.clock.now(), ciphertext };
        let digest = signature::digest(Label::Posting, world.network, &[envelope.id(world.network).as_bytes()]);
        let posting = Posting { key: *public, signature: signature::sign(key, digest) };
        Submission::new(envelope, vec![Pass::Posting(posting)]).unwrap()
    };
    (0..count).map(message).collect()
}

/// Letters with a stamp each, and what their proofs state.
async fn letters(world: &mut World, count: u16) -> (Vec<Submission>, Vec<(Statement, [u8; Proof::LEN])>) {
    let bob = world.join(2).await;
    let book = world.buy(1, count.into(), 11).await;
    let (mut submissions, mut proofs) = (Vec::new(), Vec::new());
    for index in 0..count {
        let letter = world.letter(&bob, &format!("letter {index}"));
        let stamp = world.stamp(&book, index, &letter, Tag::ToTopic).await;
        let Stamp { proof, .. } = &stamp;
        let statement = Statement {
            root: proof.root,
            external_nullifier: Group::Stamps { denomination: book.denomination, issue: book.issue }
                .id(world.network, world.deployment.postage)
                .external_nullifier(Purpose::Envelope, None),
            signal: letter.id(world.network).signal(),
            share: proof.share,
            nullifier: proof.nullifier,
            scope: derive::scope(world.network, &letter.topic),
            tag: proof.tag,
        };
        proofs.push((statement, proof.points));
        submissions.push(Submission::new(letter, vec![Pass::Stamp(stamp)]).unwrap());
    }
    (submissions, proofs)
}

/// Proofs per second on all processors, and the CPU time of one.
fn verify_alone(proofs: &[(Statement, [u8; Proof::LEN])]) -> (f64, Duration) {
    let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let (began, cpu) = (Instant::now(), ProcessTime::now());
    std::thread::scope(|scope| {
        for share in proofs.chunks(proofs.len().div_ceil(threads)) {
            scope.spawn(|| {
                for batch in share.chunks(BATCH) {
                    let verdicts = batch::verify(VerifyingKey::dev(), batch, &mut rand::rng());
                    assert!(verdicts.iter().all(Result::is_ok));
                }
            });
        }
    });
    let (took, cpu) = (began.elapsed(), cpu.elapsed());
    (proofs.len() as f64 / took.as_secs_f64(), cpu.div_f64(proofs.len() as f64))
}

/// CPU time per run.
fn cost(runs: u32, mut action: impl FnMut(u32)) -> Duration {
    let cpu = ProcessTime::now();
    (0..runs).for_each(&mut action);
    cpu.elapsed() / runs
}

#[tokio::main]
async fn main() {
    let options = Options::parse();
    let mut world = World::start().await;
    // It ends with the section of the rules. Who loads has one address.
    restart_with(&mut world, "opening = \"all()\"\n[limits]\nrequests = 4096\n").await;

    let (stamped, proofs) = letters(&mut world, options.letters).await;
    let posted = messages(&mut world, options.messages, 1).await;
    let mixed = messages(&mut world, options.mixed, 2).await;

    let (verifier, verifying) = verify_alone(&proofs);
    let signer = PrivateKeySigner::from_slice(&[5; 32]).unwrap();
    let signing = cost(2_000, |number| {
        signer.sign_hash_sync(&B256::from(alloy::primitives::U256::from(number))).unwrap();
    });
    let key = SigningKey::from_bytes(&[7; 32]);
    let digest = B256::repeat_byte(7);
    let (public, signed) = (key.verifying_key().to_bytes(), signature::sign(&key, digest));
    let checking = cost(2_000, |_| signature::verify(&public, digest, &signed).unwrap());
    let syncing = {
        let mut file = File::create(world.folder.path().join("sync")).unwrap();
        let began = Instant::now();
        for _ in 0..SYNCS {
            file.write_all(&vec![7; GROUP * 2 * MESSAGE_BYTES]).unwrap();
            file.sync_all().unwrap();
        }
        began.elapsed() / SYNCS
    };
    println!(
        "alone: {verifier:.0} proofs/s, {verifying:.1?} cpu each; postmark {signing:.1?}, signature {checking:.1?}"
    );
    println!(
        "alone: a group of {GROUP} records is synced in {syncing:.1?}: {:.0}/s",
        GROUP as f64 / syncing.as_secs_f64()
    );

    let per_call = options.per_call.get();
    let calls = |submissions: &[Submission]| submissions.chunks(per_call).map(|it| (request(it), None)).collect();
    let stamped = load(&world, &options, calls(&stamped)).await;
    let posted = load(&world, &options, calls(&posted)).await;
    let among_reads = mixed.iter().map(|it| {
        let query = wire::QueryRequest { topic: it.envelope().topic.to_string(), limit: 1, ..Default::default() };
        (request(std::slice::from_ref(it)), Some(query))
    });
    let mixed = load(&world, &options, among_reads.collect()).await;

    let letters = stamped.print("stamped letters", verifying + signing);
    let messages = posted.print("messages", checking + signing);
    let among_reads = mixed.print("messages, 49 reads each", checking + signing);
    println!("stamped letters: {:.0} % of what the verifier does alone", 100.0 * stamped.rate() / verifier);
    let line = json!({
        "name": "node",
        "ours": stamped.rate(),
        "peer": verifier,
        "unit": "stamped letters per second",
        "ratio": stamped.rate() / verifier,
        "samples": { "ours": [stamped.rate()], "peer": [verifier] },
        "also": { "letters": letters, "messages": messages, "messages_among_reads": among_reads },
        "versions": { "ours": concat!("xmtp-node ", env!("CARGO_PKG_VERSION")), "peer": "its verifier alone" },
    });
    println!("{line}");
    world.node.take().unwrap().shutdown().await.unwrap();
}
