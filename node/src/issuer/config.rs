//! An issuer's configuration: file < environment (`XMTP_ISSUER_…`), read once, whole. `node/issuer.example.toml` has every key.

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::time::Duration;

use config::{Environment, File, FileFormat};
use serde::Deserialize;
use url::Url;
use xmtp_proto::time::Timestamp;

use crate::config::{ConfigError, LogConfig, OperatorConfig};

const ENVIRONMENT_PREFIX: &str = "XMTP_ISSUER";

/// All that an issuer can be told.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerConfig {
    /// `deployments/<chain id>.json`: it has the terms of the claims.
    pub deployment: PathBuf,
    /// The node whose contact log is read, and that snapshots are published to.
    pub node: Url,
    /// Where progress is kept.
    pub data_dir: PathBuf,
    /// The issuer's key.
    pub key: OperatorConfig,
    /// When snapshots are taken.
    #[serde(default)]
    pub refresh: Refresh,
    /// The chains that the claims are about.
    pub chains: Vec<ClaimChain>,
    /// The claims to issue.
    pub claims: Vec<IssuedClaim>,
    /// Putting on the settlement chain what enough issuers signed: off unless it is there.
    #[serde(default)]
    pub anchor: Option<AnchorConfig>,
    /// Logs.
    #[serde(default)]
    pub log: LogConfig,
}

/// When snapshots are taken. All issuers of a claim must have the same, or they never sign the same snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Refresh {
    /// Between two snapshots; whole seconds.
    #[serde(with = "humantime_serde")]
    pub every: Duration,
    /// So long before a multiple of `every`: what is published before midnight UTC counts from midnight on.
    #[serde(with = "humantime_serde")]
    pub lead: Duration,
}

/// A chain, and how it is asked.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimChain {
    /// EIP-155.
    pub chain_id: u64,
    /// JSON-RPC over HTTP, with the state of old blocks where a claim looks at it. May hold a secret; it is never logged.
    pub rpc_url: Url,
    /// Blocks on top of a block before it is looked at.
    #[serde(default = "default_confirmations")]
    pub confirmations: u64,
    /// Blocks per question for logs; halved by itself where the endpoint allows less.
    #[serde(default = "default_logs_range")]
    pub logs_range: NonZeroU64,
    /// For one answer.
    #[serde(default = "default_request_timeout", with = "humantime_serde")]
    pub request_timeout: Duration,
    /// Whether the chain makes blocks only when there is something to put in. Else its last block before a time is known only
    /// when there is a later one.
    #[serde(default)]
    pub quiet: bool,
}

/// Who pays for `Claims.anchor`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnchorConfig {
    /// JSON-RPC of the settlement chain, over HTTP. May hold a secret; it is never logged.
    pub rpc_url: Url,
    /// A Web3 Secret Storage (version 3) file that nobody else may read. Its account pays for the transactions.
    pub key_file: PathBuf,
    /// A file whose first line is its password; nobody else may read it either.
    pub password_file: PathBuf,
    /// For one answer.
    #[serde(default = "default_request_timeout", with = "humantime_serde")]
    pub request_timeout: Duration,
}

/// A claim to issue.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuedClaim {
    /// Its name in the deployment.
    pub name: String,
    /// No earlier block has anything to say: the contract's first one.
    #[serde(default)]
    pub from_block: u64,
    /// What is held against the chain's state roots before a snapshot is signed.
    #[serde(default)]
    pub cross_check: Option<CrossCheck>,
}

/// What `eth_getProof` is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CrossCheck {
    /// The accounts: their balance, or their nonce.
    Accounts,
    /// The mapping at this slot of the contract's storage: of owners by token, of balances by account, or of such by token.
    Slot(u64),
}

impl IssuerConfig {
    /// Reads a file, then the environment.
    ///
    /// # Errors
    /// [`ConfigError`] names the file or the key.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let environment = Environment::with_prefix(ENVIRONMENT_PREFIX).prefix_separator("_").separator("__");
        let all = config::Config::builder()
            .add_source(File::from(file).format(FileFormat::Toml))
            .add_source(environment.try_parsing(true));
        Ok(all.build()?.try_deserialize()?)
    }
}

impl Default for Refresh {
    fn default() -> Self {
        Self { every: Duration::from_secs(24 * 60 * 60), lead: Duration::from_secs(60 * 60) }
    }
}

impl ClaimChain {
    /// With the defaults of the example, but for how many blocks a question for logs is about.
    #[must_use]
    pub const fn new(chain_id: u64, rpc_url: Url, logs_range: NonZeroU64) -> Self {
        let (confirmations, request_timeout) = (default_confirmations(), default_request_timeout());
        Self { chain_id, rpc_url, confirmations, logs_range, request_timeout, quiet: false }
    }
}

impl Refresh {
    /// The moment of the latest snapshot that is due.
    #[must_use]
    pub fn due(&self, now: Timestamp) -> Timestamp {
        let (every, lead) = (self.every.as_secs().max(1), self.lead.as_secs());
        Timestamp::from_secs(((now.as_secs() + lead) / every * every).saturating_sub(lead))
    }
}

const fn default_confirmations() -> u64 {
    12
}

const fn default_logs_range() -> NonZeroU64 {
    NonZeroU64::MIN.saturating_add(1999)
}

const fn default_request_timeout() -> Duration {
    Duration::from_secs(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn example_parses() {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("issuer.example.toml");
        let config = IssuerConfig::load(&example).unwrap();
        assert_eq!(config.refresh, Refresh::default());
        assert_eq!(config.claims[0].cross_check, Some(CrossCheck::Slot(2)));
        assert_eq!(config.claims[1].cross_check, Some(CrossCheck::Accounts));
    }

    #[test]
    fn snapshots_are_due_an_hour_before_midnight() {
        let at = |day: u64, hour: u64, minute: u64| Timestamp::from_secs(day * 86_400 + hour * 3_600 + minute * 60);
        let refresh = Refresh::default();
        for (now, due) in
            [(at(10, 22, 59), at(9, 23, 0)), (at(10, 23, 0), at(10, 23, 0)), (at(11, 0, 30), at(10, 23, 0))]
        {
            assert_eq!(refresh.due(now), due);
        }
    }
}
