//! The command: what it refuses, and what it leaves behind when it does. `snarkjs.rs` runs it through a whole ceremony.

#![allow(clippy::unwrap_used)] // A test may.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use xmtp_ceremony::{Beacon, Credit, Tau};

fn run(folder: &Path, input: &[u8], args: &[&str]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_xmtp-ceremony"))
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A step that asks for none may have ended.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn done(folder: &Path, args: &[&str]) -> String {
    let output = run(folder, b"dice", args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Fails with this status, says this, and writes nothing.
fn refused(folder: &Path, input: &[u8], args: &[&str], status: i32, says: &str) {
    let before = names(folder);
    let output = run(folder, input, args);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(status), "{args:?}: {stderr}");
    assert!(stderr.contains(says), "{args:?}: {stderr}");
    assert_eq!(names(folder), before, "{args:?}");
}

fn names(folder: &Path) -> Vec<String> {
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(name).collect();
    names.sort();
    names
}

#[test]
fn powers_of_tau_are_begun_contributed_to_and_prepared() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    done(at, &["tau", "new", "0.ptau", "--power", "3"]);
    done(at, &["tau", "contribute", "0.ptau", "1.ptau", "--name", "Ann"]);
    let said = done(at, &["tau", "contribute", "1.ptau", "2.ptau", "--name", "Bob"]);
    assert!(said.contains("contribution 1, Ann") && said.contains("contribution 2, Bob"), "{said}");
    let said = done(at, &["--json", "tau", "prepare", "2.ptau", "3.ptau"]);
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["contributions"][1]["name"], "Bob");
    assert_eq!(said["files"][0]["path"], "3.ptau");

    // Too small for the pass circuit.
    refused(at, b"", &["tau", "verify", "3.ptau"], 1, "go up to 2^3");
    refused(at, b"", &["new", "3.ptau", "0.zkey"], 1, "go up to 2^3");
}

#[test]
fn powers_of_tau_without_anybodys_secret_do_not_verify_and_begin_no_key() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    done(at, &["tau", "new", "0.ptau"]);
    let beacon = Beacon::new(vec![7; 32], 10).unwrap();
    let seed = beacon.seed();
    let tau = Tau::new(12).unwrap().contribute(Credit::beacon("Dia".parse().unwrap(), beacon), &seed).unwrap();
    fs::write(at.join("beacon.ptau"), tau.to_bytes()).unwrap();
    for (file, says) in [("0.ptau", "nobody has contributed"), ("beacon.ptau", "only beacons have contributed")] {
        refused(at, b"", &["tau", "verify", file], 1, says);
        refused(at, b"", &["new", file, "0.zkey"], 1, says);
    }
    done(at, &["tau", "contribute", "beacon.ptau", "1.ptau", "--name", "Ann"]);
    let said = done(at, &["tau", "verify", "1.ptau"]);
    assert!(
        said.contains("beacon 1, Dia") && said.contains("contribution 2, Ann") && said.contains("verified"),
        "{said}"
    );
}

#[test]
fn no_file_is_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    done(at, &["tau", "new", "0.ptau", "--power", "1"]);
    let before = fs::read(at.join("0.ptau")).unwrap();
    for args in [
        &["tau", "new", "0.ptau"][..],
        &["tau", "contribute", "0.ptau", "0.ptau", "--name", "Ann"],
        &["tau", "prepare", "0.ptau", "0.ptau"],
        &["new", "0.ptau", "0.ptau"],
        &["contribute", "0.ptau", "0.ptau", "--name", "Ann"],
        &["circuit", "0.ptau"],
    ] {
        refused(at, b"dice", args, 1, "is there already");
    }
    assert_eq!(fs::read(at.join("0.ptau")).unwrap(), before);
}

#[test]
fn contributor_who_adds_nothing_is_asked_for_something() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    done(at, &["tau", "new", "0.ptau", "--power", "1"]);
    for input in [&b""[..], b" \n"] {
        refused(at, input, &["tau", "contribute", "0.ptau", "1.ptau", "--name", "Ann"], 1, "add something of your own");
    }
}

#[test]
fn folder_that_cannot_be_made_is_refused_before_the_work() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("file"), "").unwrap();
    for out in ["none/keys", "file"] {
        refused(at, b"", &["finalize", "none.ptau", "none.zkey", out], 1, &format!("cannot write {out}"));
    }
    refused(at, b"", &["finalize", "none.ptau", "none.zkey", "keys"], 1, "none.ptau");
}

#[test]
fn wrong_usage() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    done(at, &["tau", "new", "0.ptau", "--power", "1"]);
    refused(at, b"dice", &["tau", "contribute", "0.ptau", "1.ptau"], 2, "--name");
    refused(at, b"dice", &["tau", "contribute", "0.ptau", "1.ptau", "--name", ""], 2, "printable");
    refused(at, b"", &["tau", "new", "1.ptau", "--power", "29"], 2, "power");
    refused(at, b"", &["beacon", "a", "b", "--name", "Ann", "--hash", "xyz"], 2, "hash");
    refused(at, b"", &["beacon", "a", "b", "--name", "Ann", "--hash", "ab", "--iterations", "9"], 1, "exponent of 10");
}

#[test]
fn files_that_are_missing_or_something_else_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    refused(at, b"dice", &["contribute", "none.zkey", "1.zkey", "--name", "Ann"], 1, "none.zkey");
    done(at, &["tau", "new", "0.ptau", "--power", "1"]);
    refused(at, b"dice", &["contribute", "0.ptau", "1.zkey", "--name", "Ann"], 1, "0.ptau: not a file of this kind");
    let output = run(at, b"dice", &["--json", "contribute", "0.ptau", "1.zkey", "--name", "Ann"]);
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(said["error"].as_str().unwrap().contains("0.ptau"), "{said}");
}
