//! One blank from nothing beside one of zerokit's proofs, what the second blank of a leaf costs, and what was computed before
//! either: `cargo run --release --bin prepare`.

use std::{cell::RefCell, error::Error, hint::black_box};

use xmtp_prover_bench::{OURS, Ours, Peer, Side, measure, time};

fn main() -> Result<(), Box<dyn Error>> {
    let (ours, plain, peer) = (RefCell::new(Ours::new()?), RefCell::new(Ours::new()?), Peer::new()?);
    let tables = time(1, &mut || {
        ours.borrow().precompute();
        Ok(())
    })?;
    let plate = ours.borrow().plate()?;
    let (statement, proof) = {
        let blank = ours.borrow_mut().blank(&plate)?;
        ours.borrow().finish(blank)?
    };
    Ours::verify(&statement, &proof)?;

    let mut with_tables = || ours.borrow_mut().prepare().map(|blank| drop(black_box(blank)));
    let mut cached = || ours.borrow_mut().blank(&plate).map(|blank| drop(black_box(blank)));
    let mut plates = || ours.borrow().plate().map(|plate| drop(black_box(plate)));
    let mut without_tables = || plain.borrow_mut().prepare().map(|blank| drop(black_box(blank)));
    let mut peer = || peer.prove().map(|proof| drop(black_box(proof)));
    let actions = &mut [
        ("from nothing", 1, &mut with_tables as _),
        ("path cached", 1, &mut cached as _),
        ("a plate", 1, &mut plates as _),
        ("no tables", 1, &mut without_tables as _),
        ("peer", 1, &mut peer as _),
    ];
    let mut report = measure("prepare", 11, actions)?;
    report.also.push(("tables, once", Side { version: OURS, samples: vec![tables] }));
    report.print();
    Ok(())
}
