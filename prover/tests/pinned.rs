//! The circuit and its keys against what is checked in: no change to either is silent. If one is meant, run
//! `cargo run -p xmtp-prover --example pin` and say in the change why.

use serde_json::json;
use xmtp_prover::{MAX_ROWS, ProvingKey, VerifyingKey, size};

#[test]
fn circuit_is_the_pinned_one() {
    let pinned: serde_json::Value = serde_json::from_str(include_str!("../../testdata/vectors/circuit.json")).unwrap();
    let size = size();
    let actual = json!({
        "constraints": size.constraints,
        "instance": size.instance,
        "vk_keccak": VerifyingKey::dev().keccak().to_string(),
    });
    assert_eq!(actual, pinned);
    assert!(size.constraints + size.instance <= MAX_ROWS);
}

#[test]
fn seed_gives_the_keys_that_are_checked_in() {
    let key = ProvingKey::dev().expect("the proving key has the pinned hash");
    assert_eq!(key.verifying_key().unwrap().to_bytes(), VerifyingKey::dev().to_bytes());
}
