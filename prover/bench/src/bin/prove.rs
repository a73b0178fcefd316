//! A proof from scratch, ours beside zerokit's: `cargo run --release --bin prove`.

use std::{error::Error, hint::black_box};

use xmtp_prover_bench::{Ours, Peer, compare};

fn main() -> Result<(), Box<dyn Error>> {
    let (mut ours, mut plain, peer) = (Ours::new()?, Ours::new()?, Peer::new()?);
    ours.precompute();
    let mut ours = || ours.prove().map(|proof| _ = black_box(proof));
    let mut plain = || plain.prove().map(|proof| _ = black_box(proof));
    let mut peer = || peer.prove().map(|proof| _ = black_box(proof));
    compare("prove", 15, &mut [("ours", 1, &mut ours), ("no tables", 1, &mut plain), ("peer", 1, &mut peer)])
}
