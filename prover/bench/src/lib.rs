//! Two implementations side by side: samples alternate, so that a machine that slows down slows both down, and what
//! counts is CPU time. Both are built without threads.

mod ours;
mod peer;
mod report;

use std::error::Error;

use cpu_time::ProcessTime;

pub use ours::Ours;
pub use peer::Peer;
pub use report::{Measure, OURS, PEER, Report, Side};

/// What is measured: a word for it, how often it runs for one sample, and the action.
pub type Action<'a> = (&'static str, u32, &'a mut dyn FnMut() -> Result<(), Box<dyn Error>>);

/// Measures the CPU time of actions and prints the report: ours, what else of ours is of interest, and last the peer's.
///
/// # Panics
/// With fewer than two actions.
pub fn compare(name: &'static str, samples: usize, actions: &mut [Action<'_>]) -> Result<(), Box<dyn Error>> {
    measure(name, samples, actions)?.print();
    Ok(())
}

/// The same report, to be added to before it is printed.
///
/// One sample of each is thrown away first.
///
/// # Panics
/// With fewer than two actions.
pub fn measure(name: &'static str, samples: usize, actions: &mut [Action<'_>]) -> Result<Report, Box<dyn Error>> {
    let mut times = vec![Vec::new(); actions.len()];
    for round in 0..=samples {
        for ((_, repeats, action), times) in actions.iter_mut().zip(&mut times) {
            let sample = time(*repeats, action)?;
            if round > 0 {
                times.push(sample);
            }
        }
    }
    let peer = Side { version: PEER, samples: times.pop().expect("the peer's is the last action") };
    let mut sides = times.into_iter().map(|samples| Side { version: OURS, samples });
    let ours = sides.next().expect("ours is the first action");
    let also = actions[1..].iter().map(|(word, ..)| *word).zip(sides).collect();
    let what = format!("one thread, {samples} samples");
    Ok(Report { name, what, unit: "ms cpu", measure: Measure::Cost, ours, peer, also, pairs: Vec::new() })
}

/// Milliseconds of CPU time per run. What an action makes goes through `std::hint::black_box` there.
pub fn time(repeats: u32, action: &mut dyn FnMut() -> Result<(), Box<dyn Error>>) -> Result<f64, Box<dyn Error>> {
    let start = ProcessTime::now();
    for _ in 0..repeats {
        action()?;
    }
    Ok(start.elapsed().as_secs_f64() * 1e3 / f64::from(repeats))
}
