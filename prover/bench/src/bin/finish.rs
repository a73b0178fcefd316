//! From what was prepared to the bytes of a proof, when the message is there: a blank of ours beside zerokit's partial
//! proof, `cargo run --release --bin finish`.

use std::{error::Error, hint::black_box};

use xmtp_prover::Blank;
use xmtp_prover_bench::{Ours, Peer, compare};

const SAMPLES: usize = 15;
const REPEATS: u32 = 20;

fn main() -> Result<(), Box<dyn Error>> {
    let (mut ours, peer) = (Ours::new()?, Peer::new()?);
    let plate = ours.plate()?;
    let bytes = ours.blank(&plate)?.to_secret_bytes();
    let partial = peer.partial()?;
    // Both results are looked at once.
    let (statement, proof) = ours.finish(Blank::from_secret_bytes(&bytes)?)?;
    Ours::verify(&statement, &proof)?;
    let (values, proof) = peer.finish(&partial)?;
    peer.verify(&values, &proof)?;

    // A blank can be finished once, so there is one for each run, the thrown-away ones included.
    let blanks = (0..(SAMPLES + 1) * REPEATS as usize).map(|_| Blank::from_secret_bytes(&bytes));
    let mut blanks = blanks.collect::<Result<Vec<Blank>, _>>()?;
    let mut ours = || {
        let blank = blanks.pop().ok_or("there are as many blanks as runs")?;
        ours.finish(blank).map(|proof| _ = black_box(proof))
    };
    let mut peer = || peer.finish(&partial).map(|proof| _ = black_box(proof));
    compare("finish", SAMPLES, &mut [("ours", REPEATS, &mut ours), ("peer", 1, &mut peer)])
}
