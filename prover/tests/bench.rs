//! Our half of the benchmarks, without the peer: it still compiles, and what is measured is what was meant.

#![allow(clippy::unwrap_used)] // A test may.

#[allow(dead_code, missing_docs, unreachable_pub)] // A module of a package outside the workspace.
#[path = "../bench/src/ours.rs"]
mod ours;

use ours::Ours;

#[test]
fn proofs_and_blanks_that_are_measured_verify() {
    let mut ours = Ours::new().unwrap();
    let (statement, proof) = ours.prove().unwrap();
    Ours::verify(&statement, &proof).unwrap();
    let plate = ours.plate().unwrap();
    for blank in [ours.prepare().unwrap(), ours.blank(&plate).unwrap()] {
        let (statement, proof) = ours.finish(blank).unwrap();
        Ours::verify(&statement, &proof).unwrap();
    }
    let mut proofs = ours.prove_all(3).unwrap();
    assert_eq!(ours.verify_all(&proofs, 2), 0);
    proofs[1].0 = proofs[0].0;
    assert_eq!(ours.verify_all(&proofs, 2), 1);
}
