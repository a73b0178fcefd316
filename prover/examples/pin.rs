//! Writes what is pinned about the circuit: `prover/keys` and `testdata/vectors/circuit.json`. Run it after a change to
//! the circuit and look at what moved; `tests/pinned.rs` fails until then.
//!
//! `cargo run -p xmtp-prover --example pin`

use std::{error::Error, fs, path::Path};

use alloy_primitives::keccak256;
use xmtp_prover::{ProvingKey, size};

fn main() -> Result<(), Box<dyn Error>> {
    let crate_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let key = ProvingKey::dev_unpinned();
    let verifying_key = key.verifying_key()?;
    fs::write(crate_dir.join("keys/dev.pk.keccak"), keccak256(key.to_bytes()))?;
    fs::write(crate_dir.join("keys/dev.vk"), verifying_key.to_bytes())?;
    let size = size();
    let json = format!(
        "{{\"constraints\":{},\"instance\":{},\"vk_keccak\":\"{}\"}}\n",
        size.constraints,
        size.instance,
        verifying_key.keccak()
    );
    fs::write(crate_dir.join("../testdata/vectors/circuit.json"), &json)?;
    print!("{json}");
    Ok(())
}
