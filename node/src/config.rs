//! The configuration: file < environment < flags, read once, whole. Every key is in `config.example.toml`.

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroU64};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::Address;
use config::{Environment, File, FileFormat};
use serde::Deserialize;
use url::Url;
use xmtp_contracts::Deployment;
use xmtp_proto::derive::{ClaimId, NetworkId};
use xmtp_proto::requirement::Requirement;
use xmtp_proto::time::GENERATION_SECONDS;
use xmtp_prover::Limit;

use crate::chain;
use crate::groups::{Checkpoints, RootRules};

mod congestion;
mod limits;
mod retention;

pub use congestion::CongestionConfig;
pub use limits::Limits;
pub use retention::{Keep, Retention};

/// Between two roots for buyers who cannot wait for a checkpoint (docs/protocol.md, "Groups and their roots").
const FRESH_ROOT_INTERVAL: Duration = Duration::from_secs(60);
/// How long such a root is good.
const FRESH_ROOT_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// Among so many installations an account's indices are shared out, to each as many.
const INSTALLATION_SLOTS: u32 = 16;
const MEMBER_LIMIT_MAX: u32 = 1024;
const MEMBER_LIMIT: Limit = match Limit::new(256) {
    Ok(limit) => limit,
    Err(_) => Limit::MAX,
};

/// Environment variables begin with this; a key within a section follows two underscores: `XMTP_NODE_CHAIN__RPC_URL`.
const ENVIRONMENT_PREFIX: &str = "XMTP_NODE";

/// All that a node can be told.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the API listens; port 0 takes a free one.
    #[serde(default = "default_listen")]
    pub listen: SocketAddr,
    /// The store's folder.
    pub data_dir: PathBuf,
    /// Whether gRPC reflection answers; off unless asked for.
    #[serde(default)]
    pub reflection: bool,
    /// Who signs postmarks.
    pub operator: OperatorConfig,
    /// The settlement chain.
    pub chain: ChainConfig,
    /// What the network asks.
    #[serde(default)]
    pub rules: RulesConfig,
    /// Which proofs count.
    #[serde(default)]
    pub proofs: ProofsConfig,
    /// Bounds on what a client can ask for.
    #[serde(default)]
    pub limits: Limits,
    /// When the network's price at invite topics rises and falls.
    #[serde(default)]
    pub congestion: CongestionConfig,
    /// How long records are kept.
    #[serde(default)]
    pub retention: Retention,
    /// Health, metrics, version: off unless it is there.
    #[serde(default)]
    pub admin: Option<AdminConfig>,
    /// Slashing who used one index for two envelopes: off unless it is there.
    #[serde(default)]
    pub slashing: Option<SlashingConfig>,
    /// TLS on the API's port: off unless it is there.
    #[serde(default)]
    pub tls: Option<TlsConfig>,
    /// gRPC-web.
    #[serde(default)]
    pub web: WebConfig,
    /// Logs.
    #[serde(default)]
    pub log: LogConfig,
}

/// The operator's key.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatorConfig {
    /// A Web3 Secret Storage (version 3) file that nobody else may read.
    pub key_file: PathBuf,
    /// A file whose first line is its password; nobody else may read it either.
    pub password_file: PathBuf,
}

/// The settlement chain, and how it is followed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChainConfig {
    /// An Ethereum JSON-RPC endpoint, http or https.
    pub rpc_url: Url,
    /// `deployments/<chain id>.json`, as the deploy script wrote it.
    pub deployment: PathBuf,
    /// Blocks on top of a purchase before it counts.
    #[serde(default = "default_confirmations")]
    pub confirmations: u64,
    /// Between two questions for the head.
    #[serde(default = "default_poll_interval", with = "humantime_serde")]
    pub poll_interval: Duration,
    /// For one answer.
    #[serde(default = "default_request_timeout", with = "humantime_serde")]
    pub request_timeout: Duration,
    /// Publishes are refused when the chain was not heard from for longer.
    #[serde(default = "default_max_age", with = "humantime_serde")]
    pub max_age: Duration,
    /// Blocks per question for logs; halved by itself where the endpoint allows less.
    #[serde(default = "default_logs_range")]
    pub logs_range: NonZeroU64,
    /// A head whose own time is older does not count as heard: the endpoint has lost its chain. Not looked at where
    /// checkpoints are taken at every block, for such chains stand still.
    #[serde(default = "default_max_head_age", with = "humantime_serde")]
    pub max_head_age: Duration,
    /// When roots are taken that many senders share.
    #[serde(default = "default_checkpoints")]
    pub checkpoints: Checkpoints,
}

impl ChainConfig {
    /// What the follower needs to follow a deployment.
    pub(crate) fn follow(&self, deployment: &Deployment) -> chain::ChainConfig {
        let roots = RootRules {
            checkpoints: Some(self.checkpoints),
            fresh_interval: FRESH_ROOT_INTERVAL,
            fresh_lifetime: FRESH_ROOT_LIFETIME,
            issue_seconds: deployment.issue_seconds.into(),
        };
        chain::ChainConfig {
            confirmations: self.confirmations,
            poll_interval: self.poll_interval,
            request_timeout: self.request_timeout,
            max_range: self.logs_range.get(),
            // A development chain makes blocks when there is something to put in.
            max_head_age: (self.checkpoints != Checkpoints::EveryBlock).then_some(self.max_head_age),
            stake: deployment.stake.clone(),
            claims: registered_claims(deployment),
            ..chain::ChainConfig::new(
                self.rpc_url.clone(),
                deployment.chain_id,
                deployment.postage,
                deployment.block,
                roots,
            )
        }
    }
}

/// The claims of a deployment that holders register.
fn registered_claims(deployment: &Deployment) -> Option<chain::RegisteredClaims> {
    let network = NetworkId::new(deployment.chain_id, deployment.postage);
    let registered = deployment.offered_claims.iter().filter(|it| it.issuers.is_empty());
    let claims: Arc<[ClaimId]> = registered.map(|it| it.id(network)).collect();
    let contract = deployment.claims.filter(|_| !claims.is_empty())?;
    Some(chain::RegisteredClaims { contract, claims })
}

impl ChainConfig {
    /// When roots of the operator's members are taken: at the pace of the chain's, by the log's own time.
    pub(crate) fn member_roots(&self) -> RootRules {
        let at_once = self.checkpoints == Checkpoints::EveryBlock;
        RootRules {
            checkpoints: None,
            fresh_interval: if at_once { Duration::ZERO } else { FRESH_ROOT_INTERVAL },
            fresh_lifetime: FRESH_ROOT_LIFETIME,
            issue_seconds: GENERATION_SECONDS,
        }
    }
}

/// What the network asks, as text: `any(connection, stamp(1))`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RulesConfig {
    /// At invite topics.
    #[serde(deserialize_with = "requirement")]
    pub invite: Requirement,
    /// For an account's first key bundle.
    #[serde(deserialize_with = "requirement")]
    pub joining: Requirement,
    /// For the opening of a conversation.
    #[serde(deserialize_with = "requirement")]
    pub opening: Requirement,
    /// Openings, and free envelopes, that a member has per epoch: a multiple of 16, at most 1,024. It stands in every leaf.
    #[serde(deserialize_with = "member_limit")]
    pub member_limit: Limit,
    /// Readers of conversations name so many bits of an id that they leave at least so many active ones to choose from.
    pub conversations_per_prefix: NonZeroU32,
}

impl Default for RulesConfig {
    fn default() -> Self {
        Self {
            invite: Requirement::default_for_invites(),
            joining: Requirement::default_for_joining(),
            opening: Requirement::Member,
            member_limit: MEMBER_LIMIT,
            conversations_per_prefix: NonZeroU32::MIN.saturating_add(31),
        }
    }
}

/// Which proofs count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProofsConfig {
    /// A ceremony's verifying key (`pass.vk`). Without one it is the development key, which is refused but on a development
    /// chain.
    pub verifying_key: Option<PathBuf>,
}

/// Health, metrics and version over HTTP, for the operator alone.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdminConfig {
    /// Where it listens: nowhere that strangers reach. Port 0 takes a free one.
    pub listen: SocketAddr,
}

/// Who slashes, and who is credited for it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlashingConfig {
    /// A Web3 Secret Storage (version 3) file that nobody else may read. Its account pays for the transactions, and makes no
    /// others.
    pub key_file: PathBuf,
    /// A file whose first line is its password; nobody else may read it either.
    pub password_file: PathBuf,
    /// Who is credited with a tenth of what is slashed; the key's own account by default.
    #[serde(default)]
    pub beneficiary: Option<Address>,
    /// The most that a transaction offers for a unit of gas, in gwei: the RPC says what the chain asks for, and may lie.
    #[serde(default = "default_fee_max_gwei")]
    pub fee_max_gwei: NonZeroU32,
}

const fn default_fee_max_gwei() -> NonZeroU32 {
    NonZeroU32::MIN.saturating_add(299)
}

/// TLS 1.2 and 1.3 on the API's port.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// The certificate and those between it and a root, PEM.
    pub cert_file: PathBuf,
    /// Its private key, PEM; nobody else may read it.
    pub key_file: PathBuf,
}

/// gRPC-web, on the API's port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebConfig {
    /// Origins whose pages may call (`https://app.example`); `*` stands for all.
    pub origins: Vec<String>,
}

/// Logs go to stderr.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// As `RUST_LOG` writes it.
    pub filter: String,
    /// For people or for machines.
    pub format: LogFormat,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { filter: "info".to_owned(), format: LogFormat::Text }
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object per line.
    Json,
}

/// What was given on the command line: it outranks the rest.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// See [`Config::listen`].
    pub listen: Option<SocketAddr>,
    /// See [`Config::data_dir`].
    pub data_dir: Option<PathBuf>,
    /// See [`ChainConfig::rpc_url`].
    pub rpc_url: Option<Url>,
}

/// The configuration cannot be read. The operator's to mend; the text names the key.
#[derive(Debug, thiserror::Error)]
#[error("configuration: {0}")]
pub struct ConfigError(#[from] config::ConfigError);

impl Config {
    /// Reads a file, then the environment, then the flags.
    ///
    /// # Errors
    /// [`ConfigError`] names the file or the key.
    pub fn load(file: &Path, overrides: &Overrides) -> Result<Self, ConfigError> {
        let environment = Environment::with_prefix(ENVIRONMENT_PREFIX).prefix_separator("_").separator("__");
        Self::layer(File::from(file).format(FileFormat::Toml), environment, overrides)
    }

    fn layer(
        file: impl config::Source + Send + Sync + 'static,
        environment: Environment,
        overrides: &Overrides,
    ) -> Result<Self, ConfigError> {
        let Overrides { listen, data_dir, rpc_url } = overrides;
        Ok(config::Config::builder()
            .add_source(file)
            .add_source(environment.try_parsing(true))
            .set_override_option("listen", listen.map(|it| it.to_string()))?
            .set_override_option("data_dir", data_dir.as_ref().map(|it| it.display().to_string()))?
            .set_override_option("chain.rpc_url", rpc_url.as_ref().map(Url::to_string))?
            .build()?
            .try_deserialize()?)
    }
}

fn requirement<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Requirement, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

fn member_limit<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Limit, D::Error> {
    let limit = u32::deserialize(deserializer)?;
    Limit::new(limit)
        .ok()
        .filter(|it| it.get() % INSTALLATION_SLOTS == 0 && it.get() <= MEMBER_LIMIT_MAX)
        .ok_or_else(|| serde::de::Error::custom("member_limit is a multiple of 16, from 16 to 1,024"))
}

fn default_listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 5050))
}

const fn default_confirmations() -> u64 {
    12
}

const fn default_poll_interval() -> Duration {
    Duration::from_secs(2)
}

const fn default_request_timeout() -> Duration {
    Duration::from_secs(10)
}

const fn default_max_age() -> Duration {
    Duration::from_secs(60)
}

const fn default_max_head_age() -> Duration {
    Duration::from_secs(600)
}

const fn default_checkpoints() -> Checkpoints {
    Checkpoints::Daily
}

const fn default_logs_range() -> NonZeroU64 {
    NonZeroU64::MIN.saturating_add(1999)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const EXAMPLE: &str = include_str!("../config.example.toml");

    fn load(file: &str, environment: &[(&str, &str)], overrides: &Overrides) -> Result<Config, ConfigError> {
        let variables: HashMap<String, String> =
            environment.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let environment =
            Environment::with_prefix(ENVIRONMENT_PREFIX).prefix_separator("_").separator("__").source(Some(variables));
        Config::layer(File::from_str(file, FileFormat::Toml), environment, overrides)
    }

    #[test]
    fn example_parses() {
        load(EXAMPLE, &[], &Overrides::default()).unwrap();
    }

    #[test]
    fn example_shows_the_defaults() {
        let example = load(EXAMPLE, &[], &Overrides::default()).unwrap();
        let least = r#"
            data_dir = "data"
            [operator]
            key_file = "operator.json"
            password_file = "operator.password"
            [chain]
            rpc_url = "http://127.0.0.1:8545"
            deployment = "deployments/31337.json"
        "#;
        let least = load(least, &[], &Overrides::default()).unwrap();
        assert_eq!(format!("{example:?}"), format!("{least:?}"));
    }

    #[test]
    fn flags_outrank_the_environment_and_that_the_file() {
        let environment = [("XMTP_NODE_LISTEN", "127.0.0.1:1"), ("XMTP_NODE_CHAIN__RPC_URL", "http://environment:1/")];
        let config = load(EXAMPLE, &environment, &Overrides::default()).unwrap();
        assert_eq!(config.listen.port(), 1);
        assert_eq!(config.chain.rpc_url.as_str(), "http://environment:1/");

        let overrides = Overrides { rpc_url: Some("http://flag:2".parse().unwrap()), ..Overrides::default() };
        let config = load(EXAMPLE, &environment, &overrides).unwrap();
        assert_eq!(config.chain.rpc_url.as_str(), "http://flag:2/");
        assert_eq!(config.listen.port(), 1);
    }

    #[test]
    fn mistakes_are_named() {
        for (mistake, named) in [
            (EXAMPLE.replace("data_dir", "datadir"), "datadir"),
            (EXAMPLE.replace("\"daily\"", "\"weekly\""), "weekly"),
            (EXAMPLE.replace("stamp(1))\"", "stamp(one))\""), "expected a number of units"),
            (EXAMPLE.replace("member_limit = 256", "member_limit = 250"), "multiple of 16"),
            (EXAMPLE.replace("member_limit = 256", "member_limit = 1040"), "multiple of 16"),
            (EXAMPLE.replace("steps = [2, 4, 8]", "steps = [2, 4, 4]"), "each above the one before"),
            (EXAMPLE.replace("fall_at = 128", "fall_at = 1024"), "rise and fall at one load"),
            (EXAMPLE.replace("hold = \"30s\"", "hold = \"0s\""), "longer than nothing"),
            (EXAMPLE.replace("invite = \"for-ever\"", "invite = \"a while\""), "neither \"for-ever\" nor a time"),
        ] {
            let error = load(&mistake, &[], &Overrides::default()).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}
