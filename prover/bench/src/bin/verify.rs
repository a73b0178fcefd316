//! A proof from its bytes to the verdict, decoding and all checks included: ours in batches of 64, zerokit's one by one, as it
//! offers it. Beside that, ours with one bad proof in a hundred, and alone: `cargo run --release --bin verify`.

use std::error::Error;

use xmtp_prover_bench::{Measure, OURS, Ours, PEER, Peer, Report, Side, time};

/// Proofs in a batch.
const BATCH: usize = 64;
/// Batches in a sample of the stream in which every hundredth proof is bad.
const BATCHES: usize = 25;
const BAD_EVERY: usize = 100;
/// Runs in a sample of one proof alone.
const ALONE: u32 = 50;
const SAMPLES: usize = 21;

fn main() -> Result<(), Box<dyn Error>> {
    let (mut ours, peer) = (Ours::new()?, Peer::new()?);
    let batch = ours.prove_all(BATCH)?;
    let (values, peers_proof) = peer.prove()?;
    // A bad proof is good for another statement. They stand at places that differ from batch to batch.
    let mut stream: Vec<_> = batch.iter().copied().cycle().take(BATCH * BATCHES).collect();
    let bad = stream.len() / BAD_EVERY;
    for number in 0..bad {
        let place = number * BAD_EVERY + number * 37 % BAD_EVERY;
        stream[place].1 = batch[(place + 1) % BATCH].1;
    }

    let mut samples = [const { Vec::new() }; 4];
    // The first of each is thrown away.
    for round in 0..=SAMPLES {
        let sample = [
            time(1, &mut || refused(ours.verify_all(&batch, BATCH), 0))? / BATCH as f64,
            time(1, &mut || refused(ours.verify_all(&stream, BATCH), bad))? / stream.len() as f64,
            time(ALONE, &mut || Ours::verify(&batch[0].0, &batch[0].1))?,
            time(ALONE, &mut || peer.verify(&values, &peers_proof))?,
        ];
        if round > 0 {
            samples.iter_mut().zip(sample).for_each(|(samples, sample)| samples.push(sample));
        }
    }
    let [together, with_bad, alone, peer] = samples;
    let side = |samples| Side { version: OURS, samples };
    Report {
        name: "verify",
        what: format!("a proof in batches of {BATCH}, one thread, {SAMPLES} samples"),
        unit: "ms cpu",
        measure: Measure::Cost,
        ours: side(together),
        peer: Side { version: PEER, samples: peer },
        also: vec![("one bad in 100", side(with_bad)), ("alone", side(alone))],
        pairs: Vec::new(),
    }
    .print();
    Ok(())
}

fn refused(refused: usize, expected: usize) -> Result<(), Box<dyn Error>> {
    if refused == expected { Ok(()) } else { Err(format!("{refused} refused, and {expected} are bad").into()) }
}
