//! What the command says without a network: help, and wrong usage.

#![allow(clippy::unwrap_used)] // A test may.

use std::process::{Command, Output};

fn xmtp(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_xmtp")).args(args).env_clear().output().unwrap()
}

/// Exit status, stdout, stderr.
fn run(args: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = xmtp(args);
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

fn check_usage(args: &[&str], message: &str) {
    let (status, stdout, stderr) = run(args);
    assert_eq!((status, stdout.as_str()), (2, ""), "{args:?}");
    assert!(stderr.contains(message), "{args:?}: {stderr}");

    let (status, stdout, stderr) = run(&[args, &["--json"]].concat());
    assert_eq!((status, stderr.as_str()), (2, ""), "{args:?}");
    assert_eq!(stdout.lines().count(), 1, "{stdout}");
    let said: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(said["error"]["code"], "usage", "{stdout}");
    assert!(said["error"]["message"].as_str().unwrap().contains(message), "{stdout}");
    assert!(said["error"]["hint"].is_string(), "{stdout}");
}

const COMMANDS: [&str; 22] = [
    "identity",
    "policy",
    "stamps",
    "stake",
    "requirements",
    "can-send",
    "send",
    "reply",
    "connections",
    "accept",
    "decline",
    "revoke",
    "block",
    "inbox",
    "receipts",
    "watch",
    "outbox",
    "doctor",
    "keystore",
    "config",
    "completions",
    "man",
];

const BOB: &str = "0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045";

#[test]
fn help_names_every_command() {
    let (status, stdout, stderr) = run(&["--help"]);
    assert_eq!((status, stderr.as_str()), (0, ""));
    for command in COMMANDS {
        assert!(stdout.lines().any(|line| line.trim_start().starts_with(command)), "{command}\n{stdout}");
        assert_eq!(run(&[command, "--help"]).0, 0, "{command}");
    }
    for variable in ["XMTP_NETWORK", "XMTP_NODE", "XMTP_RPC", "XMTP_HOME", "XMTP_KEYSTORE", "XMTP_WALLET_KEY"] {
        assert!(stdout.contains(variable), "{variable}\n{stdout}");
    }
}

#[test]
fn help_shows_neither_the_wallets_key_nor_the_providers() {
    let key = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
    let shown = Command::new(env!("CARGO_BIN_EXE_xmtp")).arg("--help").env("XMTP_WALLET_KEY", key).output().unwrap();
    assert!(!String::from_utf8(shown.stdout).unwrap().contains(key));

    let endpoint = "https://rpc.example/v3/5ec2e7";
    let shown = Command::new(env!("CARGO_BIN_EXE_xmtp")).arg("--help").env("XMTP_RPC", endpoint).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("XMTP_RPC") && !shown.contains("5ec2e7"), "{shown}");
}

#[test]
fn wrong_usage_is_told_in_text_and_json() {
    check_usage(&["post"], "unrecognized subcommand 'post'");
    check_usage(&["send", "bob", "hello"], "expected 0x and 40 hexadecimal digits");
    check_usage(&["send", &BOB.replace("d8dA", "d8da"), "hello"], "checksum");
    check_usage(&["send", BOB], "<TEXT>");
    check_usage(&["policy", "set", "stamp >= 1"], "at character 7: expected `(`");
    check_usage(&["stamps", "buy", "--denomination", "3", "--count", "1"], "there are no stamps of 3 units");
    check_usage(&["stamps", "buy", "--count", "65537"], "between 1 and 65,536");
    check_usage(&["stake", "lock", "--tier", "gold"], "--tier");
    check_usage(&["stake", "exit", "everything"], "32 hexadecimal digits");
    check_usage(&["stamps", "buy"], "--count");
    check_usage(&["send", BOB, "hello", "--without-passes", "--max-price", "1"], "cannot be used with");
    check_usage(&["inbox"], "--network");
    check_usage(&["send", "\u{430}lice.eth", "hello"], "plain letters");
    check_usage(&["completions", "cmd"], "invalid value 'cmd'");
    check_usage(&["inbox", "--wallet-key", "0x01"], "unexpected argument '--wallet-key'");
}

#[test]
fn missing_deployment_file_is_named() {
    let (status, stdout, _) = run(&["inbox", "--json", "--network", "nowhere/31337.json"]);
    let said: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((status, &said["error"]["code"]), (1, &"deployment".into()));
    assert!(said["error"]["message"].as_str().unwrap().contains("nowhere/31337.json"), "{stdout}");
}
