//! One proof, from its bytes to the verdict, ours beside zerokit's: `cargo run --release --bin verify`.

use std::error::Error;

use xmtp_prover_bench::{Ours, Peer, compare};

fn main() -> Result<(), Box<dyn Error>> {
    let (mut ours, peer) = (Ours::new()?, Peer::new()?);
    let (statement, proof) = ours.prove()?;
    let (values, peers_proof) = peer.prove()?;
    let mut ours = || Ours::verify(&statement, &proof);
    let mut peer = || peer.verify(&values, &peers_proof);
    compare("verify", 21, &mut [("ours", 50, &mut ours), ("peer", 50, &mut peer)])
}
