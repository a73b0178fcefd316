//! What a node takes: stamped letters, messages of conversations, and messages among 98 reads in a hundred calls, each
//! acknowledged when it is on disk. `scripts/bench node` runs it.
//!
//! Submissions are made beforehand, and postmarks verified afterwards. Who sends them has threads of its own in the node's
//! process, and shares the processors with it; CPU time is both's, and the sender's part of it is told. Beside the figures stand
//! those of the parts that cannot be avoided, each alone: verifying, signing the postmark, and syncing a group of records. What
//! a submission costs beyond them is overhead. And beside the letters stands what the log alone takes for one, its signature
//! included: a node that did nothing but verify and write would come to that share of the verifier's rate.

#![allow(clippy::unwrap_used)] // A benchmark may.

#[path = "../tests/support/mod.rs"]
mod support;

use std::fs::{self, File};
use std::io::Write as _;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use alloy::primitives::{B256, U256};
use alloy::signers::local::PrivateKeySigner;
use clap::Parser;
use cpu_time::ProcessTime;
use ed25519_dalek::SigningKey;
use futures_util::future::join_all;
use mimalloc::MiMalloc;
use secp256k1::{Message, Secp256k1, SecretKey};
use serde_json::json;
use support::{Book, World, metric, outcome, proving_key, restart_with, start_from_file};
use tokio::runtime::{self, Runtime};
use tokio::task::JoinSet;
use tonic::transport::Channel;
use xmtp_node::memory;
use xmtp_node::operator::Operator;
use xmtp_node::store::{Cancellation, Entry, Shard, Store};
use xmtp_proto::derive::{self, Group, NetworkId, Purpose, conversation_topic};
use xmtp_proto::envelope::Envelope;
use xmtp_proto::field::Scope;
use xmtp_proto::opening::{MAX_QUOTA, Opening};
use xmtp_proto::pass::{self, Pass, Posting, Stamp};
use xmtp_proto::signature::{self, Label};
use xmtp_proto::submission::Submission;
use xmtp_proto::time::Clock;
use xmtp_proto::wire::{self, node_client::NodeClient};
use xmtp_prover::{Index, Plate, Proof, Statement, VerifyingKey, batch};

// As in the node's own program.
#[global_allocator]
static MEMORY: MiMalloc = MiMalloc;

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
/// Times that the letters are sent, each time to a node with an empty log. Their proofs are verified alone before each and after
/// the last: what a machine does that others share changes from second to second.
const SAMPLES: usize = 7;
/// Letters that are sent to each of these nodes before those that count: its threads have no memory yet.
const WARMING: usize = 256;
/// Who gets the letters.
const RECIPIENT: u8 = 2;
/// The threads of who sends.
const SENDER: &str = "sender";

#[derive(Parser)]
struct Options {
    /// Connections.
    #[arg(long, default_value_t = NonZeroUsize::MIN.saturating_add(7))]
    connections: NonZeroUsize,
    /// Calls at once on each.
    #[arg(long, default_value_t = NonZeroUsize::MIN.saturating_add(1))]
    at_once: NonZeroUsize,
    /// Calls with letters at once on each: batches of proofs take turns, and should be full.
    #[arg(long, default_value_t = NonZeroUsize::MIN.saturating_add(3))]
    proved_at_once: NonZeroUsize,
    /// Submissions in a call.
    #[arg(long, default_value_t = NonZeroUsize::MIN.saturating_add(15))]
    per_call: NonZeroUsize,
    /// Stamped letters: a proof each, made beforehand, which takes a tenth of a second of CPU time.
    #[arg(long, default_value_t = 2048)]
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
    /// Of it, of who sends.
    sender: Duration,
    /// Proofs in a batch, appends in a group, and seconds that writing and syncing one takes, on average.
    together: [f64; 3],
    /// Of publish calls, sorted.
    latencies: Vec<Duration>,
}

impl Load {
    fn rate(&self) -> f64 {
        self.accepted as f64 / self.took.as_secs_f64()
    }

    fn latency(&self, share: f64) -> Duration {
        self.latencies[((self.latencies.len() - 1) as f64 * share) as usize]
    }

    fn print(&self, what: &str, parts: Duration) -> serde_json::Value {
        let (p50, p99) = (self.latency(0.5), self.latency(0.99));
        let each = |cpu: Duration| cpu.as_secs_f64() * 1e6 / self.accepted as f64;
        let (cost, sender, parts, rate) = (each(self.cpu), each(self.sender), parts.as_secs_f64() * 1e6, self.rate());
        println!(
            "{what:<24}{rate:>9.0}/s   p50 {p50:>8.1?}   p99 {p99:>8.1?}   cpu {cost:>7.1} µs each: {parts:.1} unavoidable, \
             {sender:.1} the sender's"
        );
        let [batch, group, sync] = self.together;
        let sync = sync * 1e3;
        println!(
            "{:<24}{batch:.0} proofs in a batch, {group:.0} appends in a group, {sync:.1} ms to sync it, on average",
            ""
        );
        let [p50, p99] = [p50, p99].map(|it| it.as_secs_f64() * 1e3);
        json!({
            "per_second": round(rate), "p50_ms": round(p50), "p99_ms": round(p99),
            "cpu_us": round(cost), "sender_us": round(sender), "unavoidable_us": round(parts),
            "batch": round(batch), "group": round(group), "sync_ms": round(sync),
        })
    }
}

/// Sends all calls over so many connections, and waits for their answers; every submission has to be accepted.
async fn load(world: &World, sender: &Runtime, [connections, at_once]: [NonZeroUsize; 2], calls: Vec<Call>) -> Load {
    let address = format!("http://{}", world.node.as_ref().unwrap().address());
    let workers = connections.get() * at_once.get();
    let mut shares: Vec<Vec<Call>> = (0..workers).map(|_| Vec::new()).collect();
    for (number, call) in calls.into_iter().enumerate() {
        shares[number % workers].push(call);
    }
    let mut clients = Vec::new();
    for _ in 0..connections.get() {
        let connecting = NodeClient::connect(address.clone());
        let client = sender.spawn(connecting).await.unwrap().unwrap();
        clients.push(client.max_decoding_message_size(8 << 20));
    }
    let before = counted(world).await;
    let (began, cpu, of_sender) = (Instant::now(), ProcessTime::now(), cpu_of(SENDER));
    let mut tasks = JoinSet::new();
    for (number, share) in shares.into_iter().enumerate() {
        tasks.spawn_on(send(clients[number % clients.len()].clone(), share), sender.handle());
    }
    let (mut results, mut latencies) = (Vec::new(), Vec::new());
    while let Some(done) = tasks.join_next().await {
        let (answers, times) = done.unwrap();
        results.extend(answers);
        latencies.extend(times);
    }
    let (took, cpu, sender) = (began.elapsed(), cpu.elapsed(), cpu_of(SENDER) - of_sender);
    let after = counted(world).await;
    let together = std::array::from_fn(|it| {
        let [sum, count] = std::array::from_fn(|part| after[it][part] - before[it][part]);
        sum / f64::max(count, 1.0)
    });
    let accepted = results.len();
    for result in results {
        outcome(result).unwrap();
    }
    latencies.sort_unstable();
    Load { accepted, took, cpu, sender, together, latencies }
}

/// Sums and counts of the node's histograms of batches, groups and syncs.
async fn counted(world: &World) -> [[f64; 2]; 3] {
    let names = ["xmtpn_proofs_batch_proofs", "xmtpn_store_commit_appends", "xmtpn_store_commit_seconds"];
    let mut counted = [[0.0; 2]; 3];
    for (histogram, name) in counted.iter_mut().zip(names) {
        for (value, part) in histogram.iter_mut().zip(["sum", "count"]) {
            *value = metric(world, &format!("{name}_{part}")).await;
        }
    }
    counted
}

async fn send(mut client: NodeClient<Channel>, calls: Vec<Call>) -> (Vec<wire::PublishResult>, Vec<Duration>) {
    let (mut results, mut latencies) = (Vec::new(), Vec::with_capacity(calls.len()));
    for (publish, query) in calls {
        if let Some(query) = query {
            for _ in 0..READS {
                client.query(query.clone()).await.unwrap();
            }
        }
        let began = Instant::now();
        let answer = client.publish(publish).await.unwrap().into_inner();
        latencies.push(began.elapsed());
        results.extend(answer.results);
    }
    (results, latencies)
}

/// CPU time that this process's threads of a name have had.
fn cpu_of(name: &str) -> Duration {
    let threads = fs::read_dir("/proc/self/task").unwrap().map(|it| it.unwrap().path());
    let named = threads.filter(|it| fs::read_to_string(it.join("comm")).is_ok_and(|comm| comm.trim() == name));
    // Its first number is the time on a processor.
    let nanoseconds = named.map(|it| {
        let schedule = fs::read_to_string(it.join("schedstat")).unwrap();
        schedule.split_whitespace().next().unwrap().parse::<u64>().unwrap()
    });
    Duration::from_nanos(nanoseconds.sum())
}

/// To a thousandth.
fn round(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
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

/// A letter with a stamp, and what its proof states.
type Letter = (Submission, (Statement, [u8; Proof::LEN]));

/// So many letters out of one book, proved on all processors.
async fn letters(world: &mut World, count: usize) -> Vec<Letter> {
    let bob = world.join(RECIPIENT).await;
    let book = world.buy(1, count.try_into().unwrap(), 11).await;
    let path = world.bucket(&book).await.path(book.position).unwrap();
    let plate = Plate::new(proving_key(), &book.secret, book.limit, &path).unwrap();
    let envelopes: Vec<_> = (0..count).map(|number| world.letter(&bob, &format!("letter {number}"))).collect();
    let (world, book, plate) = (&*world, &book, &plate);
    let stamped = |first: usize, envelopes: &[Envelope]| -> Vec<Letter> {
        let numbered = (first..).zip(envelopes);
        numbered.map(|(number, letter)| stamp(world, book, plate, number.try_into().unwrap(), letter)).collect()
    };
    let share = count.div_ceil(processors());
    std::thread::scope(|scope| {
        let shares: Vec<_> = envelopes.chunks(share).enumerate().collect();
        let proving: Vec<_> =
            shares.into_iter().map(|(number, it)| scope.spawn(move || stamped(number * share, it))).collect();
        proving.into_iter().flat_map(|it| it.join().unwrap()).collect()
    })
}

fn stamp(world: &World, book: &Book, plate: &Plate, index: u16, letter: &Envelope) -> Letter {
    let group = book.group().id(world.network, world.deployment.postage);
    let scope: Scope = derive::scope(world.network, &letter.topic);
    let external_nullifier = group.external_nullifier(Purpose::Envelope, None);
    let blank = plate.blank(external_nullifier, Index::new(index), scope, &mut rand::rng()).unwrap();
    let (statement, proof) = blank.finish(&book.secret, letter.id(world.network).signal()).unwrap();
    let points = proof.to_bytes();
    let Statement { root, share, nullifier, tag, .. } = statement;
    let proof = pass::Proof { root, nullifier, share, tag, points };
    let stamp = Stamp { denomination: book.denomination, issue: book.issue, proof, nonce: None };
    (Submission::new(letter.clone(), vec![Pass::Stamp(stamp)]).unwrap(), (statement, points))
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// Proofs per second on all processors, each of which takes the next batch, and the CPU time of one.
fn verify_alone(proofs: &[(Statement, [u8; Proof::LEN])]) -> (f64, Duration) {
    let (began, cpu) = (Instant::now(), ProcessTime::now());
    let batches = Mutex::new(proofs.chunks(BATCH));
    let next = || batches.lock().unwrap().next();
    std::thread::scope(|scope| {
        for _ in 0..processors() {
            scope.spawn(|| {
                while let Some(batch) = next() {
                    let verdicts = batch::verify(VerifyingKey::dev(), batch, &mut rand::rng());
                    assert!(verdicts.iter().all(Result::is_ok));
                }
            });
        }
    });
    let (rate, cpu) = (proofs.len() as f64 / began.elapsed().as_secs_f64(), cpu.elapsed() / proofs.len() as u32);
    println!("alone: {rate:.0} proofs/s are verified, {cpu:.1?} of CPU time each");
    (rate, cpu)
}

/// CPU time per run.
fn cost(runs: u32, mut action: impl FnMut(u32)) -> Duration {
    let cpu = ProcessTime::now();
    (0..runs).for_each(&mut action);
    cpu.elapsed() / runs
}

/// What a signature of the node's own, of a postmark, costs.
fn signing() -> Duration {
    let (context, key) = (Secp256k1::signing_only(), SecretKey::from_byte_array([5; 32]).unwrap());
    cost(2_000, |number| {
        let digest = Message::from_digest(B256::from(U256::from(number)).0);
        std::hint::black_box(context.sign_ecdsa_recoverable(digest, &key));
    })
}

/// What verifying the signature of a message costs.
fn checking() -> Duration {
    let key = SigningKey::from_bytes(&[7; 32]);
    let digest = B256::repeat_byte(7);
    let (public, signed) = (key.verifying_key().to_bytes(), signature::sign(&key, digest));
    cost(2_000, |_| signature::verify(&public, digest, &signed).unwrap())
}

/// How long the disk takes to sync a group of records, and the CPU time for it.
fn syncing(world: &World) -> (Duration, Duration) {
    let mut file = File::create(world.folder.path().join("sync")).unwrap();
    let began = Instant::now();
    let cpu = cost(SYNCS, |_| {
        file.write_all(&vec![7; GROUP * 2 * MESSAGE_BYTES]).unwrap();
        file.sync_all().unwrap();
    });
    (began.elapsed() / SYNCS, cpu)
}

/// CPU time for a letter of a log that takes them in groups of [`BATCH`]: it decides, signs, writes and syncs.
async fn logging(network: NetworkId, letters: &[Submission]) -> Duration {
    let folder = tempfile::tempdir().unwrap();
    let operator = Operator::new(PrivateKeySigner::random(), network);
    let store = Store::open(folder.path(), operator, Clock::system(), NonZeroU32::MAX).unwrap();
    let mut entries = letters.iter().map(|letter| entry(network, letter)).collect::<Vec<_>>().into_iter();
    let cpu = ProcessTime::now();
    while entries.len() > 0 {
        let appended = join_all(entries.by_ref().take(BATCH).map(|entry| store.append(entry))).await;
        assert!(appended.iter().all(Result::is_ok));
    }
    cpu.elapsed() / letters.len() as u32
}

/// What the log is given for a letter with a stamp.
fn entry(network: NetworkId, letter: &Submission) -> Entry {
    let [Pass::Stamp(stamp)] = letter.passes() else { panic!("a letter here has a stamp") };
    let group = Group::Stamps { denomination: stamp.denomination, issue: stamp.issue };
    let (shard, &pass::Proof { nullifier, share, .. }) = (Shard::Issue(stamp.issue), &stamp.proof);
    let cancels = vec![Cancellation { group, shard, nullifier, share }];
    let Envelope { topic, .. } = letter.envelope();
    Entry { cancels, ..Entry::new(letter.envelope().id(network), *topic, letter.clone().into()) }
}

#[tokio::main]
async fn main() {
    memory::decline_huge_pages();
    let options = Options::parse();
    let mut world = World::start().await;
    // It ends with the section of the rules. Who loads has one address.
    restart_with(&mut world, "opening = \"all()\"\n[limits]\nrequests = 4096\n[admin]\nlisten = \"127.0.0.1:0\"\n")
        .await;
    let sender =
        runtime::Builder::new_multi_thread().worker_threads(processors()).thread_name(SENDER).enable_all().build();
    let sender = sender.unwrap();

    let stamped = letters(&mut world, WARMING + usize::from(options.letters)).await;
    let posted = messages(&mut world, options.messages, 1).await;
    let mixed = messages(&mut world, options.mixed, 2).await;
    let per_call = options.per_call.get();
    let calls = |submissions: &[Submission]| submissions.chunks(per_call).map(|it| (request(it), None)).collect();

    let (signing, checking, (syncing, sync_cpu)) = (signing(), checking(), syncing(&world));
    let group = GROUP as f64 / syncing.as_secs_f64();
    println!("alone: signing a postmark {signing:.1?}, verifying a message's signature {checking:.1?}, of CPU time");
    println!("alone: a group of {GROUP} records is synced in {syncing:.1?}: {group:.0}/s");
    let flush = sync_cpu / GROUP as u32;

    let each = [options.connections, options.at_once];
    let posted = load(&world, &sender, each, calls(&posted)).await;
    let messages = posted.print("messages", checking + signing + flush);
    let among_reads = mixed.iter().map(|it| {
        let query = wire::QueryRequest { topic: it.envelope().topic.to_string(), limit: 1, ..Default::default() };
        (request(std::slice::from_ref(it)), Some(query))
    });
    let mixed = load(&world, &sender, each, among_reads.collect()).await;
    let among_reads = mixed.print("messages, 49 reads each", checking + signing + flush);

    let (submissions, proofs): (Vec<_>, Vec<_>) = stamped.into_iter().unzip();
    let (warming, submissions) = submissions.split_at(WARMING);
    logging(world.network, warming).await;
    let log = logging(world.network, submissions).await;
    println!("alone: a letter takes the log {log:.1?} of CPU time, its signature included");
    let (mut ours, mut peers, mut ratios, mut letters) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut of_both = Vec::new();
    let mut alone = verify_alone(&proofs);
    for _ in 0..SAMPLES {
        empty_the_log(&mut world).await;
        let each = [options.connections, options.proved_at_once];
        load(&world, &sender, each, calls(warming)).await;
        let loaded = load(&world, &sender, each, calls(submissions)).await;
        let before = std::mem::replace(&mut alone, verify_alone(&proofs));
        let (peer, verifying) = ((before.0 + alone.0) / 2.0, (before.1 + alone.1) / 2);
        letters.push(loaded.print("stamped letters", verifying + signing + flush));
        ours.push(loaded.rate());
        peers.push(peer);
        ratios.push(loaded.rate() / peer);
        of_both.push(verifying.as_secs_f64() / (verifying + log).as_secs_f64());
    }

    let ratio = median(&ratios);
    let of_both = median(&of_both);
    println!(
        "stamped letters: {:.0} % of what the verifier does alone; verifier and log alone would come to {:.0} %",
        100.0 * ratio,
        100.0 * of_both
    );
    let line = json!({
        "name": "node",
        "ours": round(median(&ours)),
        "peer": round(median(&peers)),
        "unit": "stamped letters per second",
        "ratio": round(ratio),
        "samples": { "ours": ours, "peer": peers, "ratio": ratios },
        "also": { "log_us": round(log.as_secs_f64() * 1e6), "verifier_and_log_ratio": round(of_both), "letters": letters, "messages": messages, "messages_among_reads": among_reads },
        "versions": { "ours": concat!("xmtp-node ", env!("CARGO_PKG_VERSION")), "peer": "its verifier alone" },
    });
    println!("{line}");
    world.node.take().unwrap().shutdown().await.unwrap();
    sender.shutdown_background();
}

/// Starts the node anew on an empty log, and lets the recipient join again.
async fn empty_the_log(world: &mut World) {
    world.node.take().unwrap().shutdown().await.unwrap();
    fs::remove_dir_all(world.folder.path().join("data")).unwrap();
    start_from_file(world).await;
    world.join(RECIPIENT).await;
}

fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}
