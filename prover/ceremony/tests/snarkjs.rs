//! snarkjs, an independent implementation, against ours, both ways; and a whole ceremony by the command.
//!
//! `scripts/setup` installs snarkjs beside this file, and `scripts/test ceremony` runs this.

#![allow(clippy::unwrap_used)] // A test may.

mod support;

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use ark_bn254::{Bn254, Fr};
use ark_ec::AffineRepr as _;
use ark_ff::PrimeField as _;
use ark_serialize::CanonicalDeserialize as _;
use chacha20::ChaCha20Rng;
use chacha20::rand_core::SeedableRng as _;
use serde_json::{Value, json};
use support::{beacon, circuit, key, powers, read_key, read_tau, rows, swap, unprepared, with};
use xmtp_ceremony::{Credit, Zkey};
use xmtp_proto::field::FieldElement;
use xmtp_prover::{Bucket, Group, Index, Limit, PassSecret, ProvingKey, VerifyingKey, Witness, leaf, prove, verify};

#[test]
fn snarkjs_accepts_what_we_make_and_we_accept_what_it_makes() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);

    let file = powers();
    let tau = read_tau(&file).unwrap();
    let ours = key(&tau, &["Ann", "Bob", "Cyd"]);
    let ours = ours.contribute(Credit::beacon("Dia".parse().unwrap(), beacon()), &beacon().seed());
    let bytes = ours.to_bytes(&circuit());
    fs::write(at("small.r1cs"), rows(5)).unwrap();
    fs::write(at("small.ptau"), &file).unwrap();
    fs::write(at("unprepared.ptau"), unprepared(3).to_bytes()).unwrap();
    fs::write(at("small.zkey"), &bytes).unwrap();
    fs::write(at("spoilt.zkey"), with(&bytes, 8, |points| swap(points, 0..64, 64))).unwrap();
    let verifying_hash = ceremony(folder.path());

    let (answers, said) = ask_snarkjs(folder.path());
    for (asked, expected) in [
        ("small powers of tau", json!(true)),
        ("small key", json!(true)),
        ("spoilt small key", json!(false)),
        ("circuit hash", json!(ours.circuit_hash().to_string())),
        ("powers of tau", json!(true)),
        ("key", json!(true)),
        ("proof", json!(true)),
    ] {
        assert_eq!(answers[asked], expected, "{asked}; it said {said}");
    }

    // Its initial key is ours, point for point.
    let initial = read_key(&fs::read(at("theirs-0.zkey")).unwrap()).unwrap();
    assert_eq!(initial.to_bytes(&circuit()), Zkey::initial(&circuit(), &tau).unwrap().to_bytes(&circuit()));
    // It contributed to our key, and then a beacon.
    let theirs = read_key(&fs::read(at("theirs.zkey")).unwrap()).unwrap();
    theirs.verify(&circuit(), &tau).unwrap();
    let hashes: Vec<(String, String)> =
        theirs.contributions().map(|(credit, hash)| (credit.name.to_string(), hash.to_string())).collect();
    let expected = |name: &str, asked: &str| (name.to_owned(), answers[asked].as_str().unwrap().to_owned());
    assert_eq!(hashes[4..], [expected("Eve", "contribution hash"), expected("Fay", "beacon hash")]);
    // And to our powers of tau, and prepared them.
    let theirs = read_tau(&fs::read(at("theirs.ptau")).unwrap()).unwrap();
    theirs.verify().unwrap();
    assert_eq!(theirs.contributions().count(), 6);
    assert!(verifying_hash.starts_with("0x"));
}

/// A whole ceremony for the pass circuit, by the command: its files, and a proof. Returns the verifying key's hash.
fn ceremony(folder: &Path) -> String {
    run(folder, &["circuit", "pass.r1cs"]);
    run(folder, &["tau", "new", "pot0.ptau"]);
    run(folder, &["tau", "contribute", "pot0.ptau", "pot1.ptau", "--name", "Ann"]);
    run(folder, &["tau", "prepare", "pot1.ptau", "pass.ptau"]);
    assert_eq!(run(folder, &["tau", "verify", "pass.ptau"])["verified"], true);
    run(folder, &["new", "pass.ptau", "pass0.zkey"]);
    run(folder, &["beacon", "pass0.zkey", "beacon.zkey", "--name", "Dia", "--hash", &"0b".repeat(32)]);
    // Right in every point, and everybody knows their δ.
    refused(folder, &["verify", "pass.ptau", "pass0.zkey"], "nobody has contributed");
    refused(folder, &["finalize", "pass.ptau", "beacon.zkey", "keys"], "only beacons have contributed");
    assert!(!folder.join("keys").exists());
    run(folder, &["contribute", "pass0.zkey", "pass1.zkey", "--name", "Ann"]);
    run(folder, &["contribute", "pass1.zkey", "pass2.zkey", "--name", "Bob"]);
    run(folder, &["contribute", "pass2.zkey", "pass3.zkey", "--name", "Cyd"]);
    run(folder, &["beacon", "pass3.zkey", "pass.zkey", "--name", "Dia", "--hash", &"0b".repeat(32)]);
    let verified = run(folder, &["verify", "pass.ptau", "pass.zkey"]);
    assert_eq!(verified["verified"], true);
    let report = run(folder, &["finalize", "pass.ptau", "pass.zkey", "keys"]);
    assert_eq!(report["contributions"], verified["contributions"]);
    let names: Vec<&Value> = report["contributions"].as_array().unwrap().iter().map(|it| &it["name"]).collect();
    assert_eq!(names, ["Ann", "Bob", "Cyd", "Dia"]);

    let proving = ProvingKey::from_bytes(&fs::read(folder.join("keys/pass.pk")).unwrap()).unwrap();
    let verifying = VerifyingKey::from_bytes(&fs::read(folder.join("keys/pass.vk")).unwrap()).unwrap();
    assert!(!verifying.is_dev());
    assert_eq!(report["keys"]["verifying_key"], verifying.keccak().to_string());
    proof(&proving, &verifying, folder);
    verifying.keccak().to_string()
}

/// A proof, which verifies here, in snarkjs' form.
fn proof(proving: &ProvingKey, verifying: &VerifyingKey, folder: &Path) {
    let secret = PassSecret::from_wide_bytes(&[3; 64]).unwrap();
    let limit = Limit::new(10).unwrap();
    let mut group = Group::new();
    let position = group.append(leaf(secret.commitment(), limit));
    let bucket = group.bucket(&group.checkpoint(), position.volume, Bucket::index_of(position.index)).unwrap();
    let path = bucket.path(position.index).unwrap();
    let witness = Witness { secret: &secret, limit, index: Index::new(4), path: &path };
    let [external, signal, scope] = [1, 2, 3].map(FieldElement::from);
    let rng = &mut ChaCha20Rng::from_seed([4; 32]);
    let (statement, proof) = prove(proving, &witness, external.into(), signal.into(), scope.into(), rng).unwrap();
    verify(verifying, &statement, &proof).unwrap();

    let points = ark_groth16::Proof::<Bn254>::deserialize_compressed(proof.to_bytes().as_slice()).unwrap();
    let (a, b, c) = (points.a.xy().unwrap(), points.b.xy().unwrap(), points.c.xy().unwrap());
    let pair = |number: ark_bn254::Fq2| [number.c0.to_string(), number.c1.to_string()];
    let proof = json!({
        "pi_a": [a.0.to_string(), a.1.to_string(), "1"],
        "pi_b": [pair(b.0), pair(b.1), ["1".to_owned(), "0".to_owned()]],
        "pi_c": [c.0.to_string(), c.1.to_string(), "1"],
        "protocol": "groth16",
        "curve": "bn128",
    });
    fs::write(folder.join("proof.json"), proof.to_string()).unwrap();
    let public: Vec<String> = [
        statement.root.field(),
        statement.external_nullifier.field(),
        statement.signal.field(),
        statement.share.field(),
        statement.nullifier.field(),
        statement.scope.field(),
        statement.tag.field(),
    ]
    .map(|element| Fr::from_be_bytes_mod_order(element.as_bytes()).to_string())
    .into();
    fs::write(folder.join("public.json"), json!(public).to_string()).unwrap();
}

/// Runs the command, and reads what it says.
fn run(folder: &Path, args: &[&str]) -> Value {
    let (status, said) = ask_command(folder, args);
    assert!(status.success(), "{args:?}: {said}");
    said
}

fn refused(folder: &Path, args: &[&str], says: &str) {
    let (status, said) = ask_command(folder, args);
    assert_eq!(status.code(), Some(1), "{args:?}: {said}");
    assert!(said["error"].as_str().unwrap().contains(says), "{args:?}: {said}");
}

fn ask_command(folder: &Path, args: &[&str]) -> (ExitStatus, Value) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_xmtp-ceremony"))
        .args(["--json"])
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // A step that asks for none may have ended.
    let _ = child.stdin.take().unwrap().write_all(b"dice, and what the cat typed");
    let output = child.wait_with_output().unwrap();
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    (output.status, said)
}

/// What snarkjs answers, and what it says of faults.
fn ask_snarkjs(folder: &Path) -> (Value, Value) {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snarkjs");
    assert!(here.join("node_modules/snarkjs").exists(), "scripts/setup installs snarkjs");
    let output = Command::new("node").arg(here.join("check.mjs")).arg(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut said: Value = serde_json::from_slice(&output.stdout).unwrap();
    (said["answers"].take(), said["said"].take())
}
