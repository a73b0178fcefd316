//! `xmtp-node doctor`, asked about a node that lacks nothing, and about one thing that is wrong at a time.

#![allow(clippy::unwrap_used)] // A test may.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use alloy::primitives::{Address, U256};
use alloy::providers::Provider as _;
use alloy::signers::local::PrivateKeySigner;
use serde_json::Value;
use support::authority::{Authority, Good};
use support::{World, restrict};
use xmtp_contracts::Deployment;
use xmtp_proto::derive::NetworkId;

/// A node's folder, and its configuration as it should be.
struct Patient {
    folder: PathBuf,
    config: String,
}

struct Finding {
    verdict: String,
    found: String,
    mend: String,
}

impl Patient {
    fn ask(&self, arguments: &[&str]) -> Output {
        let command = env!("CARGO_BIN_EXE_xmtp-node");
        Command::new(command).args(arguments).arg("--config").arg(self.folder.join("node.toml")).output().unwrap()
    }

    fn findings(&self) -> (bool, BTreeMap<String, Finding>) {
        let output = self.ask(&["doctor", "--json"]);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["healthy"], output.status.success());
        assert_eq!(output.status.code(), Some(i32::from(!output.status.success())));
        assert_eq!(report["limits"]["pending_resets"], 20);
        let text = |it: &Value| it.as_str().unwrap_or_default().to_owned();
        let finding =
            |it: &Value| Finding { verdict: text(&it["verdict"]), found: text(&it["found"]), mend: text(&it["mend"]) };
        let findings = report["findings"].as_array().unwrap().iter().map(|it| (text(&it["check"]), finding(it)));
        (output.status.success(), findings.collect())
    }

    /// With this configuration in the place of its own.
    fn configured(&self, config: &str) -> (bool, BTreeMap<String, Finding>) {
        fs::write(self.folder.join("node.toml"), config).unwrap();
        let findings = self.findings();
        fs::write(self.folder.join("node.toml"), &self.config).unwrap();
        findings
    }

    /// One check, which must find fault, say so to programs and people, and know what mends it.
    fn fails(&self, config: &str, check: &str) -> (Finding, BTreeMap<String, Finding>) {
        let (healthy, mut findings) = self.configured(config);
        let finding = findings.remove(check).unwrap_or_else(|| panic!("nothing is said of {check}"));
        assert_eq!((finding.verdict.as_str(), healthy), ("bad", false), "{check}: {}", finding.found);
        assert!(!finding.mend.is_empty(), "{check}");
        fs::write(self.folder.join("node.toml"), config).unwrap();
        let text = String::from_utf8(self.ask(&["doctor"]).stdout).unwrap();
        fs::write(self.folder.join("node.toml"), &self.config).unwrap();
        let marked = text.lines().any(|line| line.starts_with("BAD") && line.contains(check));
        assert!(marked && text.contains(&finding.mend) && text.contains("connections_per_ip"), "{text}");
        (finding, findings)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// A file with other content, until it is dropped.
struct Altered(PathBuf, Vec<u8>);

impl Altered {
    fn new(file: PathBuf, content: impl AsRef<[u8]>) -> Self {
        let before = fs::read(&file).unwrap();
        fs::write(&file, content).unwrap();
        Self(file, before)
    }
}

impl Drop for Altered {
    fn drop(&mut self) {
        fs::write(&self.0, &self.1).unwrap();
    }
}

#[tokio::test]
async fn doctor_finds_what_is_wrong_and_says_what_would_mend_it() {
    let mut world = World::start().await;
    let folder = world.folder.path().to_owned();
    let patient = Patient { config: fs::read_to_string(folder.join("node.toml")).unwrap(), folder };
    let config = &patient.config;
    // A node runs on the folder, and the doctor leaves it alone.
    let (healthy, found) = patient.findings();
    let bad: Vec<_> =
        found.iter().filter(|(_, it)| it.verdict == "bad").map(|(check, it)| (check, &it.found)).collect();
    assert!(healthy, "{bad:?}");
    for check in [
        "clock",
        "contracts",
        "deployment",
        "disk.fsync",
        "disk.space",
        "files.open",
        "key",
        "key.mode",
        "port.api",
        "proofs",
        "rpc",
        "rpc.head",
        "store",
    ] {
        assert_eq!(found[check].verdict, "good", "{check}");
    }
    // The keystore of the tests is as weak as it is quick.
    assert_eq!(found["key.strength"].verdict, "warning");
    world.join(2).await;
    world.node.take().unwrap().shutdown().await.unwrap();
    assert!(patient.findings().0);

    // The machine.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap();
    patient.fails(&config.replace("127.0.0.1:0", &taken.to_string()), "port.api");
    patient.fails(&format!("{config}[admin]\nlisten = \"{taken}\"\n"), "port.admin");
    patient.fails(&format!("{config}[limits]\nmin_free_bytes = {}\n", i64::MAX), "disk.space");
    patient.fails(&format!("{config}[limits]\nconnections = 1000000000\n"), "files.open");

    // What the configuration says.
    let retention = patient.configured(&format!("{config}[retention]\nconversation = \"30 days\"\n"));
    assert_eq!(retention.1["retention"].verdict, "warning");
    patient.fails(&format!("{config}[web]\norigins = [\"app.example/page\"]\n"), "web");

    // Keys, and who may read them.
    for (name, check) in [("operator.json", "key.mode"), ("operator.password", "password.mode")] {
        restrict(&patient.file(name), 0o644);
        assert!(patient.fails(config, check).0.mend.contains("chmod 600"));
        restrict(&patient.file(name), 0o600);
    }
    let other_password = Altered::new(patient.file("operator.password"), "another\n");
    let (_, rest) = patient.fails(config, "key");
    assert_eq!(rest["store"].verdict, "warning", "it is not opened for nobody");
    drop(other_password);

    // Certificates.
    let authority = Authority::new(&patient.folder, "own");
    let tls = format!("{config}{}", authority.certify(&patient.folder, "localhost", Good::Now));
    assert_eq!(patient.configured(&tls).1["tls"].verdict, "good");
    restrict(&patient.file("node.key"), 0o640);
    patient.fails(&tls, "tls.mode");
    restrict(&patient.file("node.key"), 0o600);
    let others = fs::read(patient.file("node.crt")).unwrap();
    authority.certify(&patient.folder, "localhost", Good::Now);
    let anothers = Altered::new(patient.file("node.crt"), others);
    patient.fails(&tls, "tls");
    drop(anothers);

    // The store.
    let format = |format: &str| {
        let db = sled::open(patient.file("data")).unwrap();
        let before = db.insert("format", format).unwrap().unwrap();
        db.flush().unwrap();
        String::from_utf8(before.to_vec()).unwrap()
    };
    let before = format("xmtp-node store 4");
    assert!(patient.fails(config, "store").0.found.contains("xmtp-node store 4"));
    format(&before);

    // The network.
    let missing = config.replace("deployment.json", "nowhere.json");
    patient.fails(&missing, "deployment");
    fs::write(patient.file("pass.vk"), [7; 100]).unwrap();
    let key = patient.file("pass.vk");
    patient.fails(&format!("{config}[proofs]\nverifying_key = \"{}\"\n", key.display()), "proofs");
    patient.fails(&config.replace("http://", "http://127.0.0.2:1/?was="), "rpc");

    let deployment = |change: &dyn Fn(&mut Deployment)| {
        let mut deployment = world.deployment.clone();
        change(&mut deployment);
        deployment.network_id = NetworkId::new(deployment.chain_id, deployment.postage).0;
        Altered::new(patient.file("deployment.json"), serde_json::to_vec(&deployment).unwrap())
    };
    // A contract that is not there: the token's address is right, the other is nobody's.
    let strangers = deployment(&|it| it.postage = Address::repeat_byte(9));
    patient.fails(config, "contracts");
    drop(strangers);
    let strangers = deployment(&|it| it.stake.as_mut().unwrap().contract = Address::repeat_byte(9));
    assert!(patient.fails(config, "contracts").0.found.contains("0x0909"), "the stakes' contract");
    drop(strangers);
    // The RPC of another chain than the contracts are on: it is not their fault.
    let elsewhere = deployment(&|it| it.chain_id = 7);
    let (finding, rest) = patient.fails(config, "rpc");
    assert!(finding.found.contains("chain 31337") && finding.found.contains("chain 7"), "{}", finding.found);
    assert!(finding.mend.contains("chain.rpc_url") && finding.mend.contains("chain.deployment"), "{}", finding.mend);
    assert!(!rest.contains_key("contracts") && !rest.contains_key("rpc.head"));
    drop(elsewhere);
    assert!(patient.findings().0, "everything was put back");

    // Who slashes pays for gas.
    let slasher = support::keystore(&patient.folder, "slasher.json", [0x51; 32]);
    let slashing = format!(
        "{config}[slashing]\nkey_file = \"{}\"\npassword_file = \"{}\"\n",
        slasher.display(),
        patient.file("operator.password").display()
    );
    let (healthy, found) = patient.configured(&slashing);
    assert!(healthy, "it only waits");
    let (slashing_funds, account) = (&found["slashing.funds"], PrivateKeySigner::from_slice(&[0x51; 32]).unwrap());
    assert_eq!(slashing_funds.verdict, "warning", "{}", slashing_funds.found);
    assert!(slashing_funds.mend.contains(&account.address().to_string()), "{}", slashing_funds.mend);
    let ether = U256::from(10).pow(U256::from(18));
    let _: Value = world.provider.raw_request("anvil_setBalance".into(), (account.address(), ether)).await.unwrap();
    let (_, found) = patient.configured(&slashing);
    assert_eq!(found["slashing.funds"].verdict, "good", "{}", found["slashing.funds"].found);

    // A machine whose clock is behind: the chain says so.
    let _: Value = world.provider.raw_request("evm_increaseTime".into(), [3600]).await.unwrap();
    let _: Value = world.provider.raw_request("evm_mine".into(), [(); 0]).await.unwrap();
    assert!(patient.fails(config, "clock").0.mend.contains("NTP"));
}
