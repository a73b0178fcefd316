//! A proof from scratch, ours beside zerokit's: `cargo run --release --bin prove`.

use std::error::Error;

use xmtp_prover_bench::{Ours, Peer, compare};

fn main() -> Result<(), Box<dyn Error>> {
    let (mut ours, peer) = (Ours::new()?, Peer::new()?);
    compare("prove", 15, 1, || ours.prove(), || peer.prove())
}
