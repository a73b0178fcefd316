//! What a refusal costs the node, by its kind, beside what an accepted letter costs. `scripts/bench refusals` runs it.
//!
//! The node is a process of its own, and what counts is its CPU time, for receiving, judging and answering. Submissions are made
//! beforehand and come in full calls, as a flood sends them. A bad proof is measured twice: where all are bad, and one among
//! good ones, whose batch it spoils.

#![allow(clippy::unwrap_used)] // A benchmark may.

#[path = "../tests/hostile/mod.rs"]
mod hostile;
#[path = "../tests/support/mod.rs"]
mod support;

use std::time::Duration;

use clap::Parser;
use hostile::{Kind, Materials, Process, call};
use serde_json::json;
use support::{Tag, World};
use tonic::transport::Channel;
use xmtp_proto::pass::Pass;
use xmtp_proto::refusal::Refusal;
use xmtp_proto::submission::{MAX_PER_CALL, Submission};
use xmtp_proto::wire::{self, node_client::NodeClient};

#[derive(Parser)]
struct Options {
    /// Letters that are accepted: a proof each, made beforehand.
    #[arg(long, default_value_t = 512)]
    letters: u16,
    /// Full calls of each kind that needs no pairing.
    #[arg(long, default_value_t = 256)]
    cheap: u64,
    /// Full calls of each kind that does.
    #[arg(long, default_value_t = 16)]
    dear: u64,
    /// What cargo says to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What calls cost the node for each of so many submissions.
async fn cost(
    process: &Process,
    client: &mut NodeClient<Channel>,
    calls: Vec<wire::PublishRequest>,
    kind: Option<Kind>,
) -> f64 {
    let count: usize = calls.iter().map(|call| call.publications.len()).sum();
    let cpu = process.cpu();
    for call in calls {
        for result in client.publish(call).await.unwrap().into_inner().results {
            let code = support::outcome(result).err().as_ref().map(Refusal::code);
            assert_eq!(code, kind.map(Kind::code), "{kind:?}");
        }
    }
    (process.cpu() - cpu).as_secs_f64() * 1e6 / count as f64
}

#[tokio::main]
async fn main() {
    let Options { letters, cheap, dear, bench: _ } = Options::parse();
    let mut world = World::start().await;
    let bob = world.join(2).await;
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

    let accepted = honest.chunks(MAX_PER_CALL).map(|chunk| call(chunk.to_vec())).collect();
    let accepted = cost(&process, &mut client, accepted, None).await;
    println!("{:<24}{accepted:>9.1} µs of the node's CPU each", "accepted");
    let mut rows = serde_json::Map::new();
    let mut row = |name: &str, cost: f64| {
        println!("{name:<24}{cost:>9.1} µs: {:>6.3} of an accepted letter", cost / accepted);
        rows.insert(name.to_owned(), json!(cost));
    };
    for kind in Kind::ALL {
        let is_dear = matches!(kind, Kind::Replayed | Kind::BadProof);
        let full =
            |number: u64| call((0..).take(MAX_PER_CALL).map(|it| materials.make(kind, number << 8 | it)).collect());
        let calls = (0..if is_dear { dear } else { cheap }).map(full).collect();
        // Bad proofs are sent from an address of their own: whoever sent some is verified apart from then on.
        let mut client = if kind == Kind::BadProof { process.client_from(3).await } else { client.clone() };
        row(kind.as_str(), cost(&process, &mut client, calls, Some(kind)).await);
    }
    // One bad proof among good ones that are refused behind it, each time from an address that never sent one.
    let good = |bad: bool| {
        let mut submissions: Vec<_> =
            (1..).take(MAX_PER_CALL - 1).map(|it| materials.make(Kind::Replayed, it)).collect();
        submissions.push(materials.make(if bad { Kind::BadProof } else { Kind::Replayed }, 0));
        call(submissions)
    };
    let mut total = [Duration::ZERO; 2];
    for number in 0..dear {
        let mut client = process.client_from(10 + u8::try_from(number % 200).unwrap()).await;
        for (bad, total) in [false, true].into_iter().zip(&mut total) {
            let cpu = process.cpu();
            client.publish(good(bad)).await.unwrap();
            *total += process.cpu() - cpu;
        }
    }
    let beside = (total[1].as_secs_f64() - total[0].as_secs_f64()) * 1e6 / dear as f64;
    row("bad_proof_among_good", beside.max(0.0));

    let dearest = rows.values().filter_map(serde_json::Value::as_f64).fold(0.0, f64::max);
    let line = json!({
        "name": "refusals",
        "ours": dearest,
        "peer": accepted,
        "unit": "µs of the node's CPU for the dearest refusal",
        "ratio": accepted / dearest,
        "samples": { "ours": [dearest], "peer": [accepted] },
        "also": rows,
        "versions": { "ours": concat!("xmtp-node ", env!("CARGO_PKG_VERSION")), "peer": "an accepted letter" },
    });
    println!("{line}");
}
