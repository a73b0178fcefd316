//! Files: keys and who may read them, the deployment, certificates, the store's folder.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use xmtp_proto::derive::NetworkId;
use xmtp_proto::time::Clock;

use super::Finding;
use crate::backup::{self, BackupError};
use crate::config::{Config, Keep, Retention};
use crate::node;
use crate::operator::Operator;
use crate::secret_file;
use crate::server;
use crate::store::Store;

/// Letters that are kept for less are missed by who is on holiday.
const LETTERS_KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Journals that are kept for less are missed by who comes back a year later.
const MESSAGES_KEPT: Duration = Duration::from_secs(400 * 24 * 60 * 60);
/// scrypt's N below which a stolen key file is soon an open one.
const SCRYPT_N_MIN: u64 = 1 << 17;

pub(super) fn examine(config: &Config) -> Vec<Finding> {
    let mut findings = vec![
        private("key.mode", &config.operator.key_file),
        private("password.mode", &config.operator.password_file),
        strength(&config.operator.key_file),
    ];
    let key = node::operator_key(config);
    findings.push(match &key {
        Ok(key) => Finding::good("key", format!("signs postmarks as {}", key.address())),
        Err(error) => Finding::bad("key", error.to_string(), "name the key's file and its password's in [operator]"),
    });
    let deployment = node::deployment(config);
    findings.push(match &deployment {
        Ok(deployment) => {
            Finding::good("deployment", format!("chain {}, Postage at {}", deployment.chain_id, deployment.postage))
        }
        Err(error) => Finding::bad(
            "deployment",
            error.to_string(),
            "name the file that the deploy script wrote in chain.deployment",
        ),
    });
    if let Ok(deployment) = &deployment {
        findings.push(match node::verifying_key(config, deployment) {
            Ok(key) if key.is_dev() => Finding::good("proofs", "development keys, for a development chain".to_owned()),
            Ok(key) => Finding::good("proofs", format!("verified with {}", key.keccak())),
            Err(error) => Finding::bad(
                "proofs",
                error.to_string(),
                "name the network's pass.vk in proofs.verifying_key: docs/ceremony.md",
            ),
        });
    }
    if let Some(slashing) = &config.slashing {
        findings.push(strength(&slashing.key_file));
        findings.push(match node::slashing_key(slashing) {
            Ok(key) => Finding::good("slashing", format!("{} pays for slashing", key.address())),
            Err(error) => {
                Finding::bad("slashing", error.to_string(), "name a key's file and its password's in [slashing]")
            }
        });
    }
    if let Some(tls) = &config.tls {
        findings.push(private("tls.mode", &tls.key_file));
        findings.push(match server::acceptor(tls) {
            Ok(_) => Finding::good("tls", format!("{} and its key belong together", tls.cert_file.display())),
            Err(error) => Finding::bad("tls", error.to_string(), "name a certificate and its key in [tls], both PEM"),
        });
    }
    findings.push(match server::cors(&config.web) {
        Ok(_) => Finding::good("web", format!("{} origins may call", config.web.origins.len())),
        Err(error) => Finding::bad("web", error.to_string(), "write origins as https://app.example"),
    });
    findings.push(congestion(config));
    findings.push(retention(&config.retention));
    let operator = key
        .ok()
        .zip(deployment.ok())
        .map(|(key, deployment)| Operator::new(key, NetworkId::new(deployment.chain_id, deployment.postage)));
    findings.push(store(config, operator));
    findings
}

fn congestion(config: &Config) -> Finding {
    const CHECK: &str = "congestion";
    let Config { rules, congestion, .. } = config;
    let most = congestion.steps.most();
    if most == 1 {
        return Finding::good(CHECK, "the network's price stands still, whatever the load");
    }
    if rules.invite.times(most) == rules.invite {
        return Finding::warning(
            CHECK,
            "the network's price cannot rise: it asks for no stamps at invite topics",
            "ask for stamps in rules.invite, or write congestion.steps = []",
        );
    }
    Finding::good(CHECK, format!("the network asks for {}, at most for {}", rules.invite, rules.invite.times(most)))
}

fn retention(retention: &Retention) -> Finding {
    const CHECK: &str = "retention";
    let Retention { invite, conversation, superseded: _ } = retention;
    let short = |keep: &Keep, least| keep.limit().is_some_and(|limit| limit < least);
    if short(invite, LETTERS_KEPT) {
        return Finding::warning(
            CHECK,
            "letters are dropped within a month",
            "keep them for longer in retention.invite: whoever is away for so long misses them",
        );
    }
    if short(conversation, MESSAGES_KEPT) {
        return Finding::warning(
            CHECK,
            "messages, and accounts' journals among them, are dropped within a year",
            "keep them for longer in retention.conversation: clients restored from a wallet find no older conversation",
        );
    }
    Finding::good(CHECK, "nothing is dropped early")
}

/// A file that nobody else may read.
fn private(check: &'static str, path: &Path) -> Finding {
    let shown = path.display();
    match secret_file::exposed(path) {
        Err(error) => Finding::bad(check, format!("{shown}: {error}"), format!("put the file at {shown}")),
        Ok(None) => Finding::good(check, format!("nobody else can read {shown}")),
        Ok(Some(exposed)) => Finding::bad(check, format!("{shown} {exposed}"), format!("chmod 600 {shown}")),
    }
}

#[derive(Deserialize)]
struct KeyFile {
    crypto: Crypto,
}

#[derive(Deserialize)]
struct Crypto {
    kdf: String,
    kdfparams: KdfParameters,
}

#[derive(Deserialize)]
struct KdfParameters {
    n: Option<u64>,
}

fn strength(path: &Path) -> Finding {
    const CHECK: &str = "key.strength";
    let file = fs::read(path).ok().and_then(|bytes| serde_json::from_slice::<KeyFile>(&bytes).ok());
    let Some(KeyFile { crypto: Crypto { kdf, kdfparams } }) = file else {
        return Finding::bad(CHECK, "no Web3 Secret Storage file", "make one with `xmtp keystore new`");
    };
    match kdfparams.n.filter(|_| kdf == "scrypt") {
        Some(n) if n >= SCRYPT_N_MIN => Finding::good(CHECK, format!("scrypt, N = {n}")),
        Some(n) => Finding::warning(
            CHECK,
            format!("scrypt, N = {n}: whoever copies the file tries passwords quickly"),
            "use a long random password, or encrypt the key again with N of 131072 or more",
        ),
        None => Finding::warning(CHECK, format!("{kdf}, not scrypt"), "use a long random password"),
    }
}

fn store(config: &Config, operator: Option<Operator>) -> Finding {
    const CHECK: &str = "store";
    let folder = &config.data_dir;
    let shown = folder.display();
    match backup::in_use(folder) {
        Ok(true) => return Finding::good(CHECK, format!("a node runs on {shown}")),
        Err(BackupError::NoStore(_)) => {
            return Finding::good(CHECK, format!("{shown} is empty: the first start makes the store"));
        }
        Err(error) => {
            return Finding::bad(CHECK, error.to_string(), "let the user that the node runs as read the folder");
        }
        Ok(false) => {}
    }
    let Some(operator) = operator else {
        return Finding::warning(CHECK, format!("{shown} was not opened, for want of key and deployment"), "see above");
    };
    match Store::open(folder, operator, Clock::system(), config.limits.new_accounts_per_minute) {
        Ok(store) => Finding::good(CHECK, format!("{shown} opens; its log ends at {}", store.durable().0)),
        Err(error) => Finding::bad(
            CHECK,
            error.to_string(),
            "name the folder of this operator and network in data_dir, and run the version that wrote it",
        ),
    }
}
