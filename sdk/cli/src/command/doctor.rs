//! `xmtp doctor`: what stands between this machine and a letter.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use alloy::primitives::B256;
use serde::Serialize;
use url::{Host, Url};
use xmtp_contracts::Deployment;
use xmtp_proto::derive::NetworkId;
use xmtp_proto::time::{Clock, MAX_AHEAD};
use xmtp_sdk::chain::Amount;
use xmtp_sdk::client::{Client, Keeper, verifying_key_hash};
use xmtp_sdk::identity::PREKEY_LIFE;
use xmtp_sdk::transport::Node;

use super::Answer;
use super::config::endpoint;
use crate::context;
use crate::failure::Failure;
use crate::output::{Output, Said};
use crate::settings::Settings;

/// A clock that differs by more is worth a word.
const CLOCK_SKEW: Duration = Duration::from_secs(60);

pub(super) async fn run(settings: &Settings, output: &Output) -> Result<Answer, Failure> {
    let mut report = Report::default();
    report.examine(settings, output).await;
    output.say(&report)?;
    Ok(if report.checks.iter().any(|check| check.status == Status::Fails) { Answer::No } else { Answer::Yes })
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Good,
    /// Works, and deserves a word.
    Poor,
    Fails,
}

#[derive(Serialize)]
struct Check {
    name: &'static str,
    status: Status,
    detail: String,
}

#[derive(Default, Serialize)]
struct Report {
    checks: Vec<Check>,
}

impl Report {
    fn add(&mut self, name: &'static str, status: Status, detail: impl Into<String>) {
        self.checks.push(Check { name, status, detail: detail.into() });
    }

    fn fails(&mut self, name: &'static str, failure: impl Into<Failure>) {
        self.add(name, Status::Fails, failure.into().detail());
    }

    /// What depends on something that fails is left out.
    async fn examine(&mut self, settings: &Settings, output: &Output) {
        let Some(network) = &settings.network else {
            return self.add("network", Status::Fails, "no deployment file is named: --network or $XMTP_NETWORK");
        };
        let deployment = match Deployment::load(&network.value) {
            Ok(deployment) => deployment,
            Err(error) => return self.fails("network", error),
        };
        let (chain, id) = (deployment.chain_id, NetworkId(deployment.network_id));
        self.add("network", Status::Good, format!("{id} on chain {chain}"));
        self.node(settings, id, verifying_key_hash(&deployment)).await;
        if let Some(keystore) = &settings.keystore {
            self.mode("keystore", &keystore.value, 0o600);
        }
        let builder = match context::builder(settings, output) {
            Ok(builder) => builder,
            Err(failure) => return self.fails("wallet", failure),
        };
        let client = match builder.connect().await {
            Ok(client) => client,
            Err(error) => return self.fails("state", error),
        };
        self.add("wallet", Status::Good, client.account().to_string());
        let folder = client.state().folder();
        self.mode("state", folder, 0o700);
        self.mode("state", &folder.join("state.redb"), 0o600);
        self.keys(&client).await;
        self.chain(settings, &client).await;
        self.stamps(&client).await;
    }

    async fn node(&mut self, settings: &Settings, id: NetworkId, verifying_key: B256) {
        let authorities = match settings.authorities() {
            Ok(authorities) => authorities,
            Err(failure) => return self.fails("node", failure),
        };
        let (clock, url) = (Clock::system(), &settings.node.value);
        let before = clock.now();
        let node = match Node::greet(url, &settings.proxies(), &authorities, id, verifying_key).await {
            Ok(node) => node,
            Err(error) => return self.fails("node", error),
        };
        let took = clock.now().since(before);
        let network = node.network();
        let detail = format!("{url} answered in {} ms; operator {}", took.as_millis(), network.operator);
        self.add("node", Status::Good, detail);
        if travels_readable(url) {
            self.add("tls", Status::Poor, "what is asked of the node can be read on the way: use its https:// address");
        }
        let here = before.saturating_add(took / 2);
        let apart = here.since(network.now).max(network.now.since(here));
        let status = match apart {
            apart if apart > MAX_AHEAD => Status::Fails,
            apart if apart > CLOCK_SKEW => Status::Poor,
            _ => Status::Good,
        };
        self.add("clock", status, format!("{:.1} s from the node's", apart.as_secs_f64()));
    }

    async fn keys(&mut self, client: &Client) {
        let identity = match client.state().identity() {
            Ok(Some(identity)) => identity,
            Ok(None) => return self.add("identity", Status::Fails, "no messaging keys here: xmtp identity new"),
            Err(error) => return self.fails("identity", error),
        };
        match client.identity_status().await {
            Err(error) => self.fails("identity", error),
            Ok(status) => match status.published {
                None => self.add("identity", Status::Fails, "not published: run xmtp identity new again"),
                Some(published) => {
                    let (revision, version) = published.bundle.bundle().order();
                    match identity.require_published(&published.bundle) {
                        Ok(()) => self.add("identity", Status::Good, format!("revision {revision}, version {version}")),
                        Err(error) => self.add("identity", Status::Poor, error.to_string()),
                    }
                }
            },
        }
        let now = Clock::system().now();
        let age = now.since(identity.prekey_created_at()).as_secs() / 86_400;
        let life = PREKEY_LIFE.as_secs() / 86_400;
        match identity.prekey_is_due(now) {
            false => self.add("prekey", Status::Good, format!("{age} days old; the next one comes after {life}")),
            true => {
                self.add("prekey", Status::Poor, format!("{age} days old: the next command that reads replaces it"))
            }
        }
    }

    async fn chain(&mut self, settings: &Settings, client: &Client) {
        let Some(chain) = client.chain() else { return };
        match chain.balances(client.account().address()).await {
            Err(error) => self.fails("chain", error),
            Ok(balances) => {
                let detail = format!("{} has chain {}", endpoint(&settings.rpc.value), client.deployment().chain_id);
                self.add("chain", Status::Good, detail);
                let status = if balances.coin.is_zero() { Status::Poor } else { Status::Good };
                // Wei of the coin are written as wei of the token are.
                let coin = Amount(balances.coin).to_decimal();
                self.add("balance", status, format!("{}, and {coin} of the chain's coin for gas", balances.tokens));
            }
        }
    }

    async fn stamps(&mut self, client: &Client) {
        let now = Clock::system().now().as_secs();
        match client.books().await {
            Err(error) => self.fails("stamps", error),
            Ok(books) => {
                let good = books.iter().filter(|it| it.valid_until.is_some_and(|until| until > now));
                let left: Vec<_> = good.filter(|it| it.left > 0 && it.keeper != Keeper::Elsewhere).collect();
                let units = left.iter().map(|it| u64::from(it.left) * u64::from(it.book.denomination.units()));
                let units: u64 = units.sum();
                let stamps: u64 = left.iter().map(|it| u64::from(it.left)).sum();
                let status = if stamps == 0 { Status::Poor } else { Status::Good };
                self.add("stamps", status, format!("{stamps} left in {} books, worth {units} units", left.len()));
            }
        }
    }

    #[cfg(unix)]
    fn mode(&mut self, name: &'static str, path: &Path, expected: u32) {
        use std::os::unix::fs::PermissionsExt as _;
        match std::fs::metadata(path) {
            Err(error) => self.add(name, Status::Fails, format!("{}: {error}", path.display())),
            Ok(found) => {
                let mode = found.permissions().mode() & 0o777;
                let status = if mode & 0o077 == 0 { Status::Good } else { Status::Fails };
                let advice = if status == Status::Good { String::new() } else { format!(": chmod {expected:03o} it") };
                self.add(name, status, format!("{} has mode {mode:03o}{advice}", path.display()));
            }
        }
    }

    #[cfg(not(unix))]
    fn mode(&mut self, name: &'static str, path: &Path, _: u32) {
        self.add(name, Status::Good, path.display().to_string());
    }
}

/// Whether others than this machine see what goes to the node.
fn travels_readable(node: &Url) -> bool {
    let here = match node.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    node.scheme() != "https" && !here
}

impl Said for Report {
    fn text(&self, f: &mut impl fmt::Write) -> fmt::Result {
        for Check { name, status, detail } in &self.checks {
            let status = match status {
                Status::Good => "good ",
                Status::Poor => "poor ",
                Status::Fails => "FAILS",
            };
            writeln!(f, "{status}  {name:<9} {detail}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readable_is_what_leaves_this_machine_over_http() {
        for (node, expected) in [
            ("http://127.0.0.1:5050", false),
            ("http://[::1]:5050", false),
            ("http://localhost:5050", false),
            ("https://node.example", false),
            ("http://node.example", true),
            ("http://192.0.2.1:5050", true),
        ] {
            assert_eq!(travels_readable(&node.parse().unwrap()), expected, "{node}");
        }
    }
}
