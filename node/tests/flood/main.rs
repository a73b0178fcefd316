//! A campaign of floods: how long honest letters take in the quiet, and how long beside everything that a node refuses.
//! `scripts/campaign flood` runs it; without harness, for it takes numbers, and times what it does.
//!
//! ```text
//! letters in the quiet ──► latencies ──┐
//!      ▲     by turns     ▼            ├──► the ratio of the 99th percentiles
//! letters in the flood ──► latencies ──┘
//! ```

#![allow(clippy::unwrap_used)] // A test may.

#[path = "../hostile/mod.rs"]
mod hostile;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use hostile::{Kind, Materials, Process, call};
use support::{Tag, World};
use tokio::task::JoinSet;
use tonic::transport::Channel;
use xmtp_proto::pass::Pass;
use xmtp_proto::refusal::Refusal;
use xmtp_proto::submission::{MAX_PER_CALL, Submission};
use xmtp_proto::wire::{self, node_client::NodeClient};

/// Turns of quiet and flood, so that what else the machine does falls on both.
const TURNS: usize = 4;
/// Connections that flood, so many to an address.
const CONNECTIONS: u8 = 32;
const PER_ADDRESS: u8 = 8;
/// Calls that a connection sends over and over: each of another kind, then another one of the first.
const CALLS: u64 = 18;
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

/// What became of a flood's submissions, by code.
type Refused = BTreeMap<String, u64>;

/// A flood under way, until it is told to stop.
struct Flood {
    over: Arc<AtomicBool>,
    tasks: JoinSet<Refused>,
}

impl Flood {
    fn begin(clients: &[NodeClient<Channel>], calls: &[Vec<wire::PublishRequest>], rate: u32) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let every = Duration::from_secs_f64(MAX_PER_CALL as f64 * f64::from(CONNECTIONS) / f64::from(rate));
        let mut tasks = JoinSet::new();
        for (client, calls) in clients.iter().zip(calls) {
            tasks.spawn(pour(client.clone(), calls.clone(), every, over.clone()));
        }
        Self { over, tasks }
    }

    async fn end(self) -> Refused {
        self.over.store(true, Ordering::Relaxed);
        let mut refused = Refused::new();
        for one in self.tasks.join_all().await {
            for (code, count) in one {
                *refused.entry(code).or_default() += count;
            }
        }
        refused
    }
}

async fn pour(
    mut client: NodeClient<Channel>,
    calls: Vec<wire::PublishRequest>,
    every: Duration,
    over: Arc<AtomicBool>,
) -> Refused {
    let mut refused = Refused::new();
    let mut beats = tokio::time::interval(every);
    // A node that is slow to refuse is not sent more for it.
    beats.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for call in calls.iter().cycle() {
        beats.tick().await;
        if over.load(Ordering::Relaxed) {
            break;
        }
        match client.publish(call.clone()).await {
            Ok(answer) => {
                for result in answer.into_inner().results {
                    let code = support::outcome(result).err().as_ref().map(Refusal::code);
                    *refused.entry(code.map_or_else(|| "accepted".to_owned(), |code| code.to_string())).or_default() +=
                        1;
                }
            }
            Err(status) => *refused.entry(format!("call: {:?}", status.code())).or_default() += 1,
        }
    }
    refused
}

/// Sends letters one after the other; each has to be accepted.
async fn send(client: &mut NodeClient<Channel>, letters: &[Submission], latencies: &mut Vec<Duration>) {
    for letter in letters {
        let began = Instant::now();
        let answer = client.publish(call(vec![letter.clone().into()])).await.unwrap().into_inner();
        latencies.push(began.elapsed());
        for result in answer.results {
            support::outcome(result).unwrap();
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

    let process = Process::run(&mut world, &[("XMTP_NODE_RULES__JOINING", "stamp(1)")]).await;
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

    let (mut quiet, mut flooded, mut refused) = (Vec::new(), Vec::new(), Refused::new());
    let (mut flood_time, mut flood_cpu) = (Duration::ZERO, Duration::ZERO);
    let memory_before = process.resident_bytes();
    let mut memory_most = memory_before;
    let each = usize::from(letters) / TURNS;
    for turn in 0..TURNS {
        send(&mut world.client, &quiet_letters[turn * each..(turn + 1) * each], &mut quiet).await;
        let (began, cpu) = (Instant::now(), process.cpu());
        let flood = Flood::begin(&clients, &calls, rate);
        // Until it has come, and its bad proofs have been seen for what they are.
        tokio::time::sleep(Duration::from_secs(2)).await;
        send(&mut world.client, &flood_letters[turn * each..(turn + 1) * each], &mut flooded).await;
        memory_most = memory_most.max(process.resident_bytes());
        for (code, count) in flood.end().await {
            *refused.entry(code).or_default() += count;
        }
        flood_time += began.elapsed();
        flood_cpu += process.cpu() - cpu;
        eprintln!("{}/{TURNS}", turn + 1);
    }

    let hostile: u64 = refused.values().sum();
    let [quiet_p50, quiet_p99] = [0.5, 0.99].map(|share| percentile(&quiet, share));
    let [flood_p50, flood_p99] = [0.5, 0.99].map(|share| percentile(&flooded, share));
    let ratio = flood_p99 / quiet_p99;
    eprintln!("quiet     p50 {quiet_p50:.1} ms, p99 {quiet_p99:.1} ms");
    eprintln!("flooded   p50 {flood_p50:.1} ms, p99 {flood_p99:.1} ms: {ratio:.1} times");
    eprintln!(
        "hostile   {hostile} in {:.1} s; the node's processors {:.0} %",
        flood_time.as_secs_f64(),
        100.0 * flood_cpu.as_secs_f64() / flood_time.as_secs_f64()
    );
    for (code, count) in &refused {
        eprintln!("          {count:>8} {code}");
    }
    eprintln!("memory    {} MiB before, {} MiB at most", memory_before >> 20, memory_most >> 20);
    let accepted = refused.get("accepted").copied().unwrap_or_default();
    let void = (hostile as f64) < f64::from(rate) * flood_time.as_secs_f64() / 2.0;
    if void {
        eprintln!("void: less than half of the flood came");
    }
    let json = serde_json::json!({
        "campaign": "flood",
        "letters": letters,
        "rate": rate,
        "hostile": hostile,
        "refused": refused,
        "quiet_p50_ms": quiet_p50,
        "quiet_p99_ms": quiet_p99,
        "flood_p50_ms": flood_p50,
        "flood_p99_ms": flood_p99,
        "ratio": ratio,
        "memory_before": memory_before,
        "memory_most": memory_most,
    });
    println!("{json}");
    if void || accepted > 0 || ratio > RATIO_MAX { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
