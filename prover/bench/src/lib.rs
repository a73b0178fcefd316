//! Two implementations side by side: samples alternate, so that a machine that slows down slows both down, and what
//! counts is CPU time. Both are built without threads.

mod ours;
mod peer;

use std::{error::Error, hint::black_box};

use cpu_time::ProcessTime;
use serde_json::json;

pub use ours::Ours;
pub use peer::Peer;

/// What is compared with what.
const VERSIONS: [&str; 2] = [concat!("xmtp-prover ", env!("CARGO_PKG_VERSION")), "rln 3.0.0"];

/// Measures two actions, prints a table for a person and one line of JSON for a program.
///
/// A sample is `repeats` runs of an action. One sample of each is thrown away first.
pub fn compare<T, U>(
    name: &str,
    samples: usize,
    repeats: u32,
    mut ours: impl FnMut() -> Result<T, Box<dyn Error>>,
    mut peer: impl FnMut() -> Result<U, Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..=samples {
        let sample = [time(repeats, &mut ours)?, time(repeats, &mut peer)?];
        if round > 0 {
            times.iter_mut().zip(sample).for_each(|(times, sample)| times.push(sample));
        }
    }
    let medians = [median(&times[0]), median(&times[1])];
    let ratio = medians[1] / medians[0];
    println!("{name}: CPU time per run, {samples} samples of {repeats} each, one thread");
    println!("{:<22}{:>12}{:>12}{:>12}", "", "median", "least", "most");
    for ((version, times), median) in VERSIONS.iter().zip(&times).zip(medians) {
        let least = times.iter().copied().fold(f64::INFINITY, f64::min);
        let most = times.iter().copied().fold(0.0, f64::max);
        println!("{version:<22}{median:>9.3} ms{least:>9.3} ms{most:>9.3} ms");
    }
    println!("ours is {ratio:.2} times as fast");
    let [ours, peer] = medians.map(round);
    let samples = json!({ "ours": times[0].iter().copied().map(round).collect::<Vec<_>>(),
                          "peer": times[1].iter().copied().map(round).collect::<Vec<_>>() });
    let versions = json!({ "ours": VERSIONS[0], "peer": VERSIONS[1] });
    let line = json!({ "name": name, "ours": ours, "peer": peer, "unit": "ms cpu", "ratio": round(ratio),
                       "samples": samples, "versions": versions });
    println!("{line}");
    Ok(())
}

/// Milliseconds per run.
fn time<T>(repeats: u32, action: &mut impl FnMut() -> Result<T, Box<dyn Error>>) -> Result<f64, Box<dyn Error>> {
    let start = ProcessTime::now();
    for _ in 0..repeats {
        black_box(action()?);
    }
    Ok(start.elapsed().as_secs_f64() * 1e3 / f64::from(repeats))
}

fn median(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
}

/// To a microsecond.
fn round(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}
