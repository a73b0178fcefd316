//! What the command does without a network: keystores, settings, completions, pages.

#![allow(clippy::unwrap_used)] // A test may.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// The command in a home of its own, where nothing is set.
fn xmtp(home: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xmtp"));
    command.args(args).env_clear().env("HOME", home);
    command
}

/// Exit status and the object on stdout.
fn json(mut command: Command) -> (i32, Value) {
    let Output { status, stdout, stderr } = command.arg("--json").output().unwrap();
    let (stdout, stderr) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    let said = serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}{stderr}"));
    (status.code().unwrap(), said)
}

fn cast() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../contracts/node_modules/.bin/cast")
}

#[test]
fn new_keystore_is_private_dear_and_read_by_other_tools() {
    let home = tempfile::tempdir().unwrap();
    let (file, password) = (home.path().join("wallet.json"), home.path().join("password"));
    fs::write(&password, "correct horse\n").unwrap();
    let new = || {
        let mut command = xmtp(home.path(), &["keystore", "new"]);
        command.arg(&file).arg("--password-file").arg(&password);
        command
    };
    let (status, said) = json(new());
    assert_eq!(status, 0, "{said}");
    let address = said["address"].as_str().unwrap().to_owned();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&file).unwrap();
    let keystore: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&keystore["version"], &keystore["crypto"]["kdfparams"]["n"]), (&3.into(), &(1 << 18).into()));

    // A second one does not take its place.
    let (status, said) = json(new());
    assert_eq!((status, &said["error"]["code"]), (1, &"wallet".into()), "{said}");
    assert_eq!(fs::read_to_string(&file).unwrap(), text);

    let cast = Command::new(cast())
        .args(["wallet", "address", "--keystore"])
        .arg(&file)
        .arg("--password-file")
        .arg(&password)
        .output()
        .expect("run scripts/setup");
    let shown = String::from_utf8(cast.stdout).unwrap();
    assert_eq!(shown.trim(), address, "{}", String::from_utf8_lossy(&cast.stderr));

    fs::write(&password, "\n").unwrap();
    fs::remove_file(&file).unwrap();
    let (status, said) = json(new());
    assert!(status == 1 && said["error"]["message"].as_str().unwrap().contains("empty"), "{said}");
    assert!(!file.exists());
}

#[test]
fn flags_go_before_the_environment_before_the_file_before_what_is_built_in() {
    let home = tempfile::tempdir().unwrap();
    let system = home.path().join(".config/xmtp");
    let own = home.path().join("own");
    fs::create_dir_all(&system).unwrap();
    fs::create_dir_all(&own).unwrap();
    let check = |command: Command, expected: &[(&str, Option<&str>, Option<&str>)]| {
        let (status, said) = json(command);
        assert_eq!(status, 0, "{said}");
        for (name, value, origin) in expected {
            let found = said["settings"].as_array().unwrap().iter().find(|it| it["name"] == *name).unwrap();
            assert_eq!((found["value"].as_str(), found["origin"].as_str()), (*value, *origin), "{name}");
        }
    };
    let show = ["config", "show", "--origin"];
    check(
        xmtp(home.path(), &show),
        &[
            ("network", None, None),
            ("node", Some("http://127.0.0.1:5050/"), Some("built in")),
            ("rpc", Some("http://127.0.0.1:8545/"), Some("built in")),
            ("ens_rpc", None, None),
            ("ca_file", None, None),
            ("proving_key", None, None),
        ],
    );

    let file = system.join("config.toml");
    fs::write(&file, "node = 'http://file:1'\nrpc = 'http://file:2'\nnetwork = 'net.json'\nproving_key = 'pass.pk'\nca_file = 'ca.pem'\nkeystore = '/abs/key'\n")
        .unwrap();
    let file = file.to_str();
    let network = system.join("net.json");
    check(
        xmtp(home.path(), &show),
        &[
            ("node", Some("http://file:1/"), file),
            ("network", network.to_str(), file),
            ("proving_key", system.join("pass.pk").to_str(), file),
            ("ca_file", system.join("ca.pem").to_str(), file),
            ("keystore", Some("/abs/key"), file),
        ],
    );

    let mut both = xmtp(home.path(), &show);
    both.env("XMTP_NODE", "http://env:1").env("XMTP_RPC", "http://env:2").args(["--node", "http://flag:1"]);
    check(
        both,
        &[
            ("node", Some("http://flag:1/"), Some("flag")),
            ("rpc", Some("http://env:2/"), Some("environment")),
            ("network", network.to_str(), file),
        ],
    );

    // A file in the named home counts alone.
    let file = own.join("config.toml");
    fs::write(&file, "node = 'http://own:1'\n").unwrap();
    let mut named = xmtp(home.path(), &show);
    named.env("XMTP_HOME", &own);
    check(
        named,
        &[
            ("node", Some("http://own:1/"), file.to_str()),
            ("rpc", Some("http://127.0.0.1:8545/"), Some("built in")),
            ("network", None, None),
            ("home", own.to_str(), Some("environment")),
        ],
    );

    fs::write(&file, "nodes = 'http://own:1'\n").unwrap();
    let mut wrong = xmtp(home.path(), &show);
    wrong.env("XMTP_HOME", &own);
    let (status, said) = json(wrong);
    assert_eq!((status, &said["error"]["code"]), (1, &"config".into()), "{said}");
    assert!(said["error"]["message"].as_str().unwrap().contains("nodes"), "{said}");
}

#[test]
fn name_without_an_endpoint_for_names_is_told_what_is_missing() {
    let home = tempfile::tempdir().unwrap();
    for command in [["can-send", "alice.eth"].as_slice(), &["requirements", "alice.eth"], &["send", "alice.eth", "hi"]]
    {
        let (status, said) = json(xmtp(home.path(), command));
        assert_eq!((status, &said["error"]["code"]), (1, &"ens".into()), "{said}");
        assert!(said["error"]["hint"].as_str().unwrap().contains("--ens-rpc"), "{said}");
    }
}

#[test]
fn completions_and_pages_name_every_command() {
    let home = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let Output { status, stdout, .. } = xmtp(home.path(), &["completions", shell]).output().unwrap();
        let script = String::from_utf8(stdout).unwrap();
        assert!(status.success() && script.contains("can-send") && script.contains("max-price"), "{shell}");
    }
    let page = String::from_utf8(xmtp(home.path(), &["man"]).output().unwrap().stdout).unwrap();
    assert!(page.starts_with(".ie") && page.contains("keystore"), "{page}");
    let pages = home.path().join("man1");
    assert!(xmtp(home.path(), &["man"]).arg(&pages).status().unwrap().success());
    for name in ["xmtp.1", "xmtp-send.1", "xmtp-identity-new.1"] {
        assert!(pages.join(name).exists(), "{name}");
    }
}

#[test]
fn doctor_says_what_is_missing_first() {
    let home = tempfile::tempdir().unwrap();
    let (status, said) = json(xmtp(home.path(), &["doctor"]));
    assert_eq!(status, 1);
    assert_eq!(said["checks"][0]["status"], "fails", "{said}");
    assert!(said["checks"][0]["detail"].as_str().unwrap().contains("--network"), "{said}");
}
