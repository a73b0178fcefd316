//! What a refusal costs the node, by its kind, beside what an accepted letter costs. `scripts/bench refusals` runs it.
//!
//! The node is a process of its own, and what counts is its CPU time, for receiving, judging and answering. Submissions are made
//! beforehand and come in full calls, as a flood sends them, each kind in turn in every round. A bad proof is measured twice:
//! where all are bad, and one among good ones, whose batch it spoils.

#![allow(clippy::unwrap_used)] // A benchmark may.

#[path = "../tests/hostile/mod.rs"]
mod hostile;
#[path = "../tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;

use clap::Parser;
use hostile::{Kind, Materials, Process, call};
use serde_json::json;
use support::{Tag, World};
use tonic::transport::Channel;
use xmtp_proto::pass::Pass;
use xmtp_proto::refusal::{Code, Refusal};
use xmtp_proto::submission::{MAX_PER_CALL, Submission};
use xmtp_proto::wire::{self, node_client::NodeClient};

/// Good proofs beside a bad one.
const GOOD: usize = MAX_PER_CALL - 1;
/// Behind it are addresses that never sent a bad proof.
const FIRST_ADDRESS: u8 = 10;
const AMONG_GOOD: &str = "bad_proof_among_good";

#[derive(Parser)]
struct Options {
    /// Each kind in turn, so often. A round takes 127 good letters: a proof each, made beforehand.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=200))]
    rounds: u8,
    /// In each, full calls of each kind that needs no pairing.
    #[arg(long, default_value_t = 64)]
    cheap: u64,
    /// Full calls of bad proofs.
    #[arg(long, default_value_t = 4)]
    dear: u64,
    /// What cargo says to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What a kind costs the node for each submission, in microseconds, a sample a round.
type Costs = BTreeMap<&'static str, Vec<f64>>;

/// What calls cost the node in all, and how each submission was answered.
async fn spend(
    process: &Process,
    client: &mut NodeClient<Channel>,
    calls: Vec<wire::PublishRequest>,
) -> (f64, Vec<Option<Code>>) {
    let (before, mut codes) = (process.threads(), Vec::new());
    for call in calls {
        let results = client.publish(call).await.unwrap().into_inner().results;
        codes.extend(results.into_iter().map(|it| support::outcome(it).err().as_ref().map(Refusal::code)));
    }
    (process.threads().since(&before).as_secs_f64() * 1e6, codes)
}

/// The same for each submission, if all were answered so.
async fn cost(
    process: &Process,
    client: &mut NodeClient<Channel>,
    calls: Vec<wire::PublishRequest>,
    expected: Option<Code>,
) -> f64 {
    let (spent, codes) = spend(process, client, calls).await;
    assert!(codes.iter().all(|code| *code == expected), "{expected:?} was expected, and not {codes:?}");
    spent / codes.len() as f64
}

fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

fn round(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}

#[tokio::main]
async fn main() {
    let Options { rounds, cheap, dear, bench: _ } = Options::parse();
    let mut world = World::start().await;
    let bob = world.join(2).await;
    let letters = u16::from(rounds) * u16::try_from(MAX_PER_CALL + GOOD).unwrap();
    let book = world.buy(1, u32::from(letters) + 1, 11).await;
    let materials = Materials::prepare(&mut world, &bob, &book).await;
    let mut honest = Vec::new();
    for index in 1..=letters {
        let letter = world.letter(&bob, &format!("letter {index}"));
        let stamp = world.stamp(&book, index, &letter, Tag::ToTopic).await;
        honest.push(wire::Submission::from(Submission::new(letter, vec![Pass::Stamp(stamp)]).unwrap()));
    }
    let environment = [
        ("XMTP_NODE_RULES__JOINING", "stamp(1)"),
        // Nobody is cut off: this is about what it would cost to look at all of it.
        ("XMTP_NODE_LIMITS__BAD_PROOFS_PER_IP", "4294967295"),
    ];
    let process = Process::run(&mut world, &environment).await;
    let mut client = process.client_from(2).await;
    // From an address of their own: whoever sent some is verified apart from then on.
    let mut culprit = process.client_from(3).await;

    let (mut accepted, mut refused) = (Vec::new(), Costs::new());
    for of_round in 0..rounds {
        let mut good = honest.split_off(honest.len() - MAX_PER_CALL - GOOD);
        let beside = good.split_off(MAX_PER_CALL);
        accepted.push(cost(&process, &mut client, vec![call(good)], None).await);
        for kind in Kind::ALL {
            let (client, count) = if kind == Kind::BadProof { (&mut culprit, dear) } else { (&mut client, cheap) };
            let full = |number: u64| {
                let number = u64::from(of_round) << 32 | number << 8;
                call((0..).take(MAX_PER_CALL).map(|it| materials.make(kind, number | it)).collect())
            };
            let cost = cost(&process, client, (0..count).map(full).collect(), Some(kind.code())).await;
            refused.entry(kind.as_str()).or_default().push(cost);
        }
        let bad = materials.make(Kind::BadProof, u64::from(of_round) << 32 | 1 << 24);
        let call = call(beside.into_iter().chain([bad]).collect());
        let mut client = process.client_from(FIRST_ADDRESS + of_round).await;
        let (spent, codes) = spend(&process, &mut client, vec![call]).await;
        let (last, others) = codes.split_last().unwrap();
        assert!(*last == Some(Code::ProofInvalid) && others.iter().all(Option::is_none), "{codes:?}");
        refused.entry(AMONG_GOOD).or_default().push(spent);
    }
    // What is beyond what the good ones cost, which is known when all have been measured.
    let letter = median(&accepted);
    for spent in refused.get_mut(AMONG_GOOD).unwrap() {
        *spent -= letter * GOOD as f64;
    }

    let mut rows: Vec<(&str, f64)> = refused.iter().map(|(kind, samples)| (*kind, median(samples))).collect();
    rows.sort_by(|(_, one), (_, other)| one.total_cmp(other));
    println!("{:<24}{letter:>10.1} µs of the node's CPU", "an accepted letter");
    for (kind, cost) in &rows {
        println!("{kind:<24}{cost:>10.1} µs: {:>6.3} of it", cost / letter);
    }
    let dear = [Kind::BadProof.as_str(), AMONG_GOOD];
    let dearest = rows.iter().rfind(|(kind, _)| !dear.contains(kind)).unwrap();
    println!("{} is the dearest of those that need no pairing", dearest.0);
    let samples = |samples: &[f64]| samples.iter().copied().map(round).collect::<Vec<_>>();
    let line = json!({
        "name": "refusals",
        "ours": round(dearest.1),
        "peer": round(letter),
        "unit": "µs of the node's CPU for the dearest refusal that needs no pairing",
        "ratio": round(letter / dearest.1),
        "samples": { "ours": samples(&refused[dearest.0]), "peer": samples(&accepted) },
        "also": rows.iter().map(|(kind, cost)| ((*kind).to_owned(), json!(round(*cost)))).collect::<serde_json::Map<_, _>>(),
        "versions": { "ours": concat!("xmtp-node ", env!("CARGO_PKG_VERSION")), "peer": "an accepted letter" },
    });
    println!("{line}");
}
