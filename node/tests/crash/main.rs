//! A campaign of crashes: a node is killed again and again while many publish to it, and every postmark that it gave is held
//! against it. `scripts/campaign crash` runs it; without harness, for it takes numbers and ends with figures.
//!
//! ```text
//! pool ──► load ──► SIGKILL, or the power ──► inspect what is on the disk ──► start again ──► settle what was open ──► load …
//! ```
//!
//! A *life* is a log from its first record on; it sees several crashes, so that a log recovered is crashed again. Every life
//! spends the same stamps anew, for proofs take long to make.

#![allow(clippy::unwrap_used)] // A test may.

mod dice;
mod friends;
mod inspect;
mod ledger;
mod letters;
mod load;
mod machine;
#[path = "../support/mod.rs"]
mod support;
mod talk;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use clap::Parser;
use dice::Dice;
use ledger::{Faults, Ledger};
use letters::Pool;
use load::{Node, Publishers};
use machine::{Crash, Keeps, Machine, Sync};
use support::World;
use xmtp_proto::time::Clock;

/// Crashes that one log lives through.
const CRASHES_PER_LIFE: u32 = 5;

#[derive(Parser)]
struct Options {
    /// SIGKILLs of the node's process.
    #[arg(long, default_value_t = 5)]
    kills: u32,
    /// Power cuts: the file system forgets what was not synced. With any there is a control that does not sync.
    #[arg(long, default_value_t = 0)]
    cuts: u32,
    /// A Python with mfusepy, for power cuts.
    #[arg(long, default_value = "python3")]
    python: PathBuf,
    /// Moments of the crashes, and what is published. Chosen by the clock if left out.
    #[arg(long)]
    seed: Option<u64>,
}

/// What a campaign comes to.
#[derive(Default)]
struct Report {
    acknowledged: u64,
    unanswered: u64,
    unanswered_stored: u64,
    /// Letters that connections let in.
    connected: u64,
    /// On the disk at the end of lives: memberships that opened conversations, letters that were said to be read, and records
    /// that were dropped.
    memberships: u64,
    receipts: u64,
    dropped: u64,
    faults: Faults,
}

struct Campaign {
    world: World,
    pool: Arc<Pool>,
    python: PathBuf,
    dice: Dice,
    report: Report,
}

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let Options { kills, cuts, python, seed } = Options::parse();
    let seed = seed.unwrap_or_else(|| Clock::system().now().as_nanos());
    let mut world = World::start().await;
    let pool = Pool::make(&mut world).await;
    eprintln!("seed {seed}; {}", pool.describe());
    world.node.take().unwrap().shutdown().await.unwrap();

    let mut campaign =
        Campaign { world, pool: Arc::new(pool), python, dice: Dice::new(seed), report: Report::default() };
    campaign.crash(Crash::Kill, kills).await;
    campaign.crash(Crash::PowerCut, cuts).await;
    let control = if cuts > 0 { Some(campaign.control().await) } else { None };
    let Report { acknowledged, unanswered, unanswered_stored, connected, memberships, receipts, dropped, faults } =
        campaign.report;

    eprintln!("── {kills} kills, {cuts} power cuts");
    eprintln!("acknowledged   {acknowledged}");
    eprintln!("unanswered     {unanswered}, of which {unanswered_stored} were stored");
    eprintln!("connected      {connected}");
    eprintln!("memberships    {memberships}");
    eprintln!("receipts       {receipts}");
    eprintln!("dropped        {dropped}, as told to");
    eprintln!("lost           {}", faults.lost);
    eprintln!("doubled        {}", faults.doubled);
    eprintln!("cursor reuse   {}", faults.cursor_reuse);
    eprintln!("torn           {}", faults.torn);
    eprintln!("unexpected     {}", faults.unexpected);
    for example in &faults.examples {
        eprintln!("  {example}");
    }
    if let Some((promised, lost)) = control {
        eprintln!("control        without syncing a power cut lost {lost} of {promised}");
    }
    let control = control.map(|(promised, lost)| serde_json::json!({ "acknowledged": promised, "lost": lost }));
    let void = acknowledged == 0
        || connected == 0
        || memberships == 0
        || (kills.max(cuts) > 1 && (dropped == 0 || receipts == 0))
        || control.as_ref().is_some_and(|control| control["lost"] == 0);
    if void {
        eprintln!("void: nothing was at stake");
    }
    let json = serde_json::json!({
        "campaign": "crash",
        "seed": seed,
        "kills": kills,
        "power_cuts": cuts,
        "acknowledged": acknowledged,
        "unanswered": unanswered,
        "unanswered_stored": unanswered_stored,
        "connected": connected,
        "memberships": memberships,
        "receipts": receipts,
        "dropped": dropped,
        "lost": faults.lost,
        "doubled": faults.doubled,
        "cursor_reuse": faults.cursor_reuse,
        "torn": faults.torn,
        "unexpected": faults.unexpected,
        "control": control,
    });
    println!("{json}");
    if void || faults.any() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

impl Campaign {
    async fn crash(&mut self, crash: Crash, crashes: u32) {
        // Of every other log, records are dropped all the while. Two crashes are enough for both kinds of log to see one.
        let per_life = CRASHES_PER_LIFE.min(crashes.div_ceil(2));
        let mut done = 0;
        let mut ways = [Keeps::ForEver, Keeps::Moments].into_iter().cycle();
        while done < crashes {
            let first = done + 1;
            let last = crashes.min(done + per_life);
            let Some(keeps) = ways.next() else { return };
            self.life(crash, keeps, first..=last, crashes).await;
            done = last;
        }
    }

    /// One log: load and crash, several times; then a last look through the API, and one at the disk after a clean stop.
    async fn life(&mut self, crash: Crash, keeps: Keeps, numbers: std::ops::RangeInclusive<u32>, of: u32) {
        let mut machine = self.machine(crash, Sync::Honoured, keeps);
        let ledger = Arc::new(Mutex::new(Ledger::default()));
        let pool = self.pool.clone();
        let mut publishers = Publishers::new(self.world.network, &pool, &mut self.dice);
        let mut letters = pool.contests.chunks(pool.contests.len().div_ceil(numbers.clone().count()));
        for number in numbers {
            let started = Instant::now();
            let node = self.boot(&mut machine, &ledger, &mut publishers).await;
            let back = started.elapsed();
            let contests = letters.next().unwrap_or_default();
            let target = self.dice.between(20, 500);
            let round =
                load::run(&node, &ledger, &mut publishers, contests, &mut self.dice, target, &mut machine).await;
            let found = inspect::disk(&machine, &self.world, &mut ledger.lock().unwrap());
            self.report.unanswered += round.unanswered;
            self.report.unanswered_stored += found.unanswered_stored;
            eprintln!(
                "{crash} {number}/{of}: back in {:.1} s; {} acknowledged, {} unanswered, {} of these stored; {} records, {} dropped, {} stamps, \
                 {} memberships",
                back.as_secs_f32(),
                round.acknowledged,
                round.unanswered,
                found.unanswered_stored,
                found.records,
                found.dropped,
                found.stamps,
                found.memberships,
            );
        }
        let node = self.boot(&mut machine, &ledger, &mut publishers).await;
        let readable = if keeps == Keeps::ForEver { pool.recipients().to_vec() } else { Vec::new() };
        load::ask_for_everything(&node, &ledger, &readable).await;
        machine.stop().await;
        let found = inspect::disk(&machine, &self.world, &mut ledger.lock().unwrap());
        self.report.memberships += found.memberships;
        self.report.receipts += found.receipts;
        self.report.dropped += found.dropped;
        let mut ledger = ledger.lock().unwrap();
        self.report.acknowledged += ledger.acknowledged;
        self.report.connected += ledger.connected();
        self.report.faults.add(std::mem::take(&mut ledger.faults));
    }

    /// The same power cut on a disk that lies about syncing: what was acknowledged, and what of it is lost.
    async fn control(&mut self) -> (u64, u64) {
        let mut machine = self.machine(Crash::PowerCut, Sync::Ignored, Keeps::ForEver);
        let ledger = Arc::new(Mutex::new(Ledger::default()));
        let mut publishers = Publishers::new(self.world.network, &self.pool, &mut self.dice);
        let node = self.boot(&mut machine, &ledger, &mut publishers).await;
        let pool = self.pool.clone();
        let contests = &pool.contests[..10];
        load::run(&node, &ledger, &mut publishers, contests, &mut self.dice, 100, &mut machine).await;
        let mut ledger = ledger.lock().unwrap();
        inspect::disk(&machine, &self.world, &mut ledger);
        (ledger.acknowledged, ledger.faults.lost)
    }

    fn machine(&self, crash: Crash, sync: Sync, keeps: Keeps) -> Machine {
        Machine::new(self.world.folder.path(), crash, sync, keeps, &self.python)
    }

    /// Starts the node and settles what a crash left open.
    async fn boot(&mut self, machine: &mut Machine, ledger: &Arc<Mutex<Ledger>>, publishers: &mut Publishers) -> Node {
        let node = Node { url: machine.boot(&mut self.dice).await, provider: self.world.provider.clone() };
        load::settle(&node, ledger, &self.pool, publishers, &mut self.dice).await;
        node
    }
}
