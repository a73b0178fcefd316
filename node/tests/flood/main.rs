//! A campaign of floods: how long honest letters take in the quiet, and how long beside everything that a node refuses.
//! `scripts/campaign flood` runs it; without harness, for it takes numbers, and times what it does.
//!
//! ```text
//! letters in the quiet ──► latencies ──┐
//!      ▲     by turns     ▼            ├──► the ratio of the 99th percentiles
//! letters in the flood ──► latencies ──┘
//! ```
//!
//! It fails if an honest letter is lost, a hostile submission is stored, memory grows beyond its bound, or who sends bad proofs
//! is not cut off. How long letters take is told, beside what is promised: that depends on who else uses the machine.

#![allow(clippy::unwrap_used)] // A test may.

#[path = "../hostile/mod.rs"]
mod hostile;
#[path = "../support/mod.rs"]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU16;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use hostile::{GROWTH_MAX, Kind, Materials, Process, SUBMISSION_BYTES, call};
use support::{Tag, World, until};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tonic::transport::Channel;
use xmtp_proto::derive::EnvelopeId;
use xmtp_proto::pass::Pass;
use xmtp_proto::refusal::Refusal;
use xmtp_proto::submission::{MAX_PER_CALL, Submission};
use xmtp_proto::topic::Topic;
use xmtp_proto::wire::{self, node_client::NodeClient};

/// Turns of quiet and flood, so that what else the machine does falls on both.
const TURNS: usize = 4;
/// Connections that flood, so many to an address.
const CONNECTIONS: u8 = 32;
const PER_ADDRESS: u8 = 8;
/// Calls that a connection sends over and over: each of another kind, then another one of the first.
const CALLS: u64 = 18;
/// Between two honest letters, so that a turn meets a flood of every kind.
const PACE: Duration = Duration::from_millis(50);
/// An honest letter that has not been accepted by then is lost.
const PATIENCE: Duration = Duration::from_secs(30);
/// Who is told to stay away for longer than this is cut off.
const CUT_OFF: Duration = Duration::from_secs(30);
/// The promise: honest letters take no longer than so many times what they take in the quiet.
const RATIO_MAX: f64 = 3.0;

#[derive(Parser)]
struct Options {
    /// Honest letters in the quiet, and as many in the flood.
    #[arg(long, default_value = "200")]
    letters: NonZeroU16,
    /// Submissions of the flood in a second.
    #[arg(long, default_value_t = 2_000)]
    rate: u32,
    /// As the other campaigns have it; nothing here is left to chance.
    #[arg(long, hide = true)]
    seed: Option<u64>,
}

/// What became of an address's submissions, by code.
type Refused = BTreeMap<String, u64>;

/// A flood under way, until it is told to stop.
struct Flood {
    over: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    tasks: JoinSet<(u8, Refused)>,
}

impl Flood {
    fn begin(clients: &[NodeClient<Channel>], calls: &[Vec<wire::PublishRequest>], rate: u32) -> Self {
        let (over, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let every = Duration::from_secs_f64(MAX_PER_CALL as f64 * f64::from(CONNECTIONS) / f64::from(rate));
        let mut tasks = JoinSet::new();
        for ((client, calls), number) in clients.iter().zip(calls).zip(0..) {
            let pouring = pour(client.clone(), calls.clone(), every, over.clone(), answered.clone());
            tasks.spawn(async move { (number / PER_ADDRESS, pouring.await) });
        }
        Self { over, answered, tasks }
    }

    /// Until every connection has had an answer.
    async fn comes(&self) {
        let all = u64::from(CONNECTIONS) * MAX_PER_CALL as u64;
        until("the flood comes", async || self.answered.load(Ordering::Relaxed) >= all).await;
    }

    /// What became of it, by address.
    async fn end(self) -> Vec<(u8, Refused)> {
        self.over.store(true, Ordering::Relaxed);
        self.tasks.join_all().await
    }
}

async fn pour(
    mut client: NodeClient<Channel>,
    calls: Vec<wire::PublishRequest>,
    every: Duration,
    over: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
) -> Refused {
    let mut refused = Refused::new();
    let mut beats = tokio::time::interval(every);
    // A node that is slow to refuse is not sent more for it.
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for call in calls.iter().cycle() {
        beats.tick().await;
        if over.load(Ordering::Relaxed) {
            break;
        }
        match client.publish(call.clone()).await {
            Ok(answer) => {
                for result in answer.into_inner().results {
                    *refused.entry(name(&support::outcome(result).map(drop))).or_default() += 1;
                }
            }
            Err(status) => *refused.entry(format!("call: {:?}", status.code())).or_default() += 1,
        }
        answered.fetch_add(call.publications.len() as u64, Ordering::Relaxed);
    }
    refused
}

fn name(outcome: &Result<(), Refusal>) -> String {
    match outcome {
        Ok(()) => "accepted".to_owned(),
        Err(Refusal::Overloaded { retry_after }) if *retry_after > CUT_OFF => "cut_off".to_owned(),
        Err(refusal) => refusal.code().to_string(),
    }
}

/// Sends letters one after the other, each again while the node has too much to do, and times each until it is accepted. Returns
/// how many never were.
async fn send(client: &mut NodeClient<Channel>, letters: &[Submission], latencies: &mut Vec<Duration>) -> usize {
    let mut lost = 0;
    let mut beats = tokio::time::interval(PACE);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for letter in letters {
        beats.tick().await;
        let began = Instant::now();
        let accepted = loop {
            let answer = client.publish(call(vec![letter.clone().into()])).await;
            let outcome = answer.map(|it| it.into_inner().results.into_iter().map(support::outcome).next().unwrap());
            match outcome {
                Ok(Ok(_)) => break true,
                Ok(Err(Refusal::Overloaded { retry_after })) if began.elapsed() < PATIENCE => {
                    tokio::time::sleep(retry_after).await;
                }
                Ok(Err(refusal)) => {
                    eprintln!("an honest letter: {refusal}");
                    break false;
                }
                Err(status) => {
                    eprintln!("an honest letter: {status}");
                    break false;
                }
            }
        };
        latencies.push(began.elapsed());
        lost += usize::from(!accepted);
    }
    lost
}

/// The letters on a topic, as the node has them afterwards.
async fn stored(world: &mut World, topic: Topic) -> BTreeSet<EnvelopeId> {
    let (mut ids, mut after) = (BTreeSet::new(), 0);
    loop {
        let request = wire::QueryRequest { topic: topic.to_string(), after, limit: 0, descending: false };
        let wire::QueryResponse { records, more } = world.client.query(request).await.unwrap().into_inner();
        for record in records {
            after = record.postmark.unwrap().cursor;
            let submission = Submission::try_from(record.submission.unwrap()).unwrap();
            ids.insert(submission.envelope().id(world.network));
        }
        if !more {
            return ids;
        }
    }
}

fn percentile(latencies: &[Duration], share: f64) -> f64 {
    let mut sorted = latencies.to_vec();
    sorted.sort_unstable();
    sorted[((sorted.len() - 1) as f64 * share).round() as usize].as_secs_f64() * 1e3
}

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let Options { letters, rate, seed: _ } = Options::parse();
    let letters = letters.get().next_multiple_of(u16::try_from(TURNS).unwrap());
    let mut world = World::start().await;
    let bob = world.join(2).await;
    let book = world.buy(1, u32::from(letters) * 2 + 1, 11).await;
    let materials = Materials::prepare(&mut world, &bob, &book).await;
    let mut honest = Vec::new();
    for index in 1..=letters * 2 {
        let letter = world.letter(&bob, &format!("letter {index}"));
        let stamp = world.stamp(&book, index, &letter, Tag::ToTopic).await;
        honest.push(Submission::new(letter, vec![Pass::Stamp(stamp)]).unwrap());
    }
    let (quiet_letters, flood_letters) = honest.split_at(usize::from(letters));
    eprintln!("{letters} letters in the quiet, and as many beside {rate} hostile submissions per second");

    let room = SUBMISSION_BYTES.to_string();
    let environment = [
        ("XMTP_NODE_RULES__JOINING", "stamp(1)"),
        ("XMTP_NODE_LIMITS__SUBMISSION_BYTES", room.as_str()),
        // Few enough to be sent by each address within a turn.
        ("XMTP_NODE_LIMITS__BAD_PROOFS_PER_IP", "64"),
    ];
    let process = Process::run(&mut world, &environment).await;
    let (mut clients, mut calls) = (Vec::new(), Vec::new());
    for connection in 0..CONNECTIONS {
        clients.push(process.client_from(2 + connection / PER_ADDRESS).await);
        let of_connection = |number: u64| {
            let kind = Kind::ALL[(usize::from(connection) + usize::try_from(number).unwrap()) % Kind::ALL.len()];
            let base = u64::from(connection) << 32 | number << 8;
            call((0..).take(MAX_PER_CALL).map(|it| materials.make(kind, base + it)).collect())
        };
        calls.push((0..CALLS).map(of_connection).collect());
    }

    let (mut quiet, mut flooded, mut lost) = (Vec::new(), Vec::new(), 0);
    let mut by_address: BTreeMap<u8, Refused> = BTreeMap::new();
    let (mut flood_time, mut flood_cpu) = (Duration::ZERO, Duration::ZERO);
    let memory_before = process.resident_bytes();
    let mut memory_most = memory_before;
    let each = usize::from(letters) / TURNS;
    for turn in 0..TURNS {
        let share = turn * each..(turn + 1) * each;
        lost += send(&mut world.client, &quiet_letters[share.clone()], &mut quiet).await;
        let (began, before) = (Instant::now(), process.threads());
        let flood = Flood::begin(&clients, &calls, rate);
        let beside = async {
            flood.comes().await;
            send(&mut world.client, &flood_letters[share], &mut flooded).await
        };
        let (highest, lost_beside) = process.highest_while(beside).await;
        lost += lost_beside;
        memory_most = memory_most.max(highest);
        for (address, refused) in flood.end().await {
            let all = by_address.entry(address).or_default();
            refused.into_iter().for_each(|(code, count)| *all.entry(code).or_default() += count);
        }
        flood_time += began.elapsed();
        flood_cpu += process.threads().since(&before);
        eprintln!("{}/{TURNS}", turn + 1);
    }
    let stored = stored(&mut world, Topic::Invite(bob.account)).await;
    let sent: BTreeSet<EnvelopeId> = honest.iter().map(|it| it.envelope().id(world.network)).collect();

    let mut refused = Refused::new();
    for (code, count) in by_address.values().flatten() {
        *refused.entry(code.clone()).or_default() += count;
    }
    let hostile: u64 = refused.values().sum();
    let [quiet_p50, quiet_p99] = [0.5, 0.99].map(|share| percentile(&quiet, share));
    let [flood_p50, flood_p99] = [0.5, 0.99].map(|share| percentile(&flooded, share));
    let ratio = flood_p99 / quiet_p99;
    let (came, grown) = (hostile as f64 / flood_time.as_secs_f64(), memory_most.saturating_sub(memory_before));
    let cpu = flood_cpu.as_secs_f64() / flood_time.as_secs_f64();
    eprintln!("quiet     p50 {quiet_p50:.1} ms, p99 {quiet_p99:.1} ms");
    eprintln!(
        "flooded   p50 {flood_p50:.1} ms, p99 {flood_p99:.1} ms: {ratio:.1} times, and {RATIO_MAX} at most are promised"
    );
    eprintln!("hostile   {hostile} submissions, {came:.0} in a second; the node's processors {:.0} %", 100.0 * cpu);
    for (code, count) in &refused {
        eprintln!("          {count:>8} {code}");
    }
    eprintln!("memory    {} MiB before, {} MiB more at most", memory_before >> 20, grown >> 20);

    let is_cut_off = |refused: &Refused| refused.contains_key("cut_off");
    let broken: Vec<&str> = [
        ("void: less than half of the flood came", came < f64::from(rate) / 2.0),
        ("honest letters were lost", lost > 0 || !sent.is_subset(&stored)),
        ("a hostile submission was stored", refused.contains_key("accepted") || !stored.is_subset(&sent)),
        ("the node's memory grew beyond its bound", grown >= GROWTH_MAX),
        ("who sent bad proofs was not cut off", !by_address.values().all(is_cut_off)),
    ]
    .into_iter()
    .filter_map(|(what, is_broken)| is_broken.then_some(what))
    .collect();
    broken.iter().for_each(|what| eprintln!("{what}"));
    let json = serde_json::json!({
        "campaign": "flood",
        "letters": letters,
        "lost": lost,
        "rate": rate,
        "hostile": hostile,
        "refused": refused,
        "quiet_p50_ms": quiet_p50,
        "quiet_p99_ms": quiet_p99,
        "flood_p50_ms": flood_p50,
        "flood_p99_ms": flood_p99,
        "ratio": ratio,
        "ratio_promised": RATIO_MAX,
        "node_cpu": cpu,
        "memory_before": memory_before,
        "memory_growth": grown,
        "memory_growth_promised": GROWTH_MAX,
        "broken": broken,
    });
    println!("{json}");
    if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
