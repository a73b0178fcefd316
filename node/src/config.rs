//! The configuration: file < environment < flags, read once, whole. Every key is in `config.example.toml`.

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroU64};
use std::path::{Path, PathBuf};
use std::time::Duration;

use config::{Environment, File, FileFormat};
use serde::{Deserialize, Serialize};
use url::Url;
use xmtp_contracts::Deployment;
use xmtp_proto::requirement::Requirement;
use xmtp_proto::time::GENERATION_SECONDS;
use xmtp_prover::Limit;

use crate::chain;
use crate::groups::{Checkpoints, RootRules};

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
    /// Health, metrics, version: off unless it is there.
    #[serde(default)]
    pub admin: Option<AdminConfig>,
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
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatorConfig {
    /// A Web3 Secret Storage (version 3) file.
    pub key_file: PathBuf,
    /// A file whose first line is its password.
    pub password_file: PathBuf,
}

/// The settlement chain, and how it is followed.
#[derive(Clone, Debug, Deserialize)]
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
#[derive(Clone, Debug, Deserialize)]
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
}

impl Default for RulesConfig {
    fn default() -> Self {
        Self {
            invite: Requirement::default_for_invites(),
            joining: Requirement::AnyOf(vec![
                Requirement::Claim(None),
                Requirement::Stake(None),
                Requirement::Stamp { at_least: 1, tagged: false },
            ]),
            opening: Requirement::Member,
            member_limit: MEMBER_LIMIT,
        }
    }
}

/// Which proofs count.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProofsConfig {
    /// A ceremony's verifying key (`pass.vk`). Without one it is the development key, which is refused but on a development
    /// chain.
    pub verifying_key: Option<PathBuf>,
}

/// Bounds on what clients can ask for and hold on to.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Bytes of submissions in the node at once; more are told to come back.
    pub submission_bytes: usize,
    /// Proofs that wait to be verified; more are told to come back.
    pub proofs: usize,
    /// How long a batch of proofs waits for more while another is verified.
    #[serde(with = "humantime_serde")]
    pub proof_linger: Duration,
    /// Bad proofs from one address (in IPv6, one /64) after which no more of its proofs are looked at for a minute. They
    /// fade: half of one is left after a minute.
    pub bad_proofs_per_ip: u32,
    /// First key bundles per minute.
    pub new_accounts_per_minute: NonZeroU32,
    /// Publishes are refused while the disk has less room than this.
    pub min_free_bytes: u64,
    /// Requests at once on all connections, until their answer begins; more are told to come back.
    pub requests: usize,
    /// Requests and subscriptions at once on one connection.
    pub streams_per_connection: u32,
    /// Subscriptions at once on all of them.
    pub streams: usize,
    /// Connections at once; more are closed at once.
    pub connections: usize,
    /// Connections at once from one address; in IPv6, from one /64.
    pub connections_per_ip: usize,
    /// For TLS, and again for the first bytes of HTTP.
    #[serde(with = "humantime_serde")]
    pub handshake_timeout: Duration,
    /// For one publish, which waits for the disk.
    #[serde(with = "humantime_serde")]
    pub publish_timeout: Duration,
    /// For any other request, until its answer begins. A subscription goes on for as long as its connection.
    #[serde(with = "humantime_serde")]
    pub request_timeout: Duration,
    /// A client that does not take what it asked for is cut off after this.
    #[serde(with = "humantime_serde")]
    pub send_timeout: Duration,
    /// A connection without requests is closed after this.
    #[serde(with = "humantime_serde")]
    pub idle_timeout: Duration,
    /// A connection is told to go after this, and closed a grace later.
    #[serde(with = "humantime_serde")]
    pub connection_age: Duration,
    /// Between the two.
    #[serde(with = "humantime_serde")]
    pub connection_grace: Duration,
    /// Between two HTTP/2 pings on a connection without traffic.
    #[serde(with = "humantime_serde")]
    pub keepalive_interval: Duration,
    /// For the answer to one.
    #[serde(with = "humantime_serde")]
    pub keepalive_timeout: Duration,
    /// A request's headers, decompressed.
    pub header_bytes: u32,
    /// An HTTP/2 frame's payload: 16,384 to 16,777,215.
    pub frame_bytes: u32,
    /// What a client may send on a stream before the node has taken it.
    pub stream_window_bytes: u32,
    /// The same for a connection.
    pub connection_window_bytes: u32,
    /// Streams that a client reset and that the node has not looked at; with more, the connection ends.
    pub pending_resets: usize,
    /// Streams that the node reset because of a client's errors; with more, the connection ends.
    pub error_resets: usize,
    /// Time that requests in flight have when the node is told to stop.
    #[serde(with = "humantime_serde")]
    pub shutdown_grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            submission_bytes: 64 << 20,
            proofs: 4096,
            proof_linger: Duration::from_millis(2),
            bad_proofs_per_ip: 256,
            new_accounts_per_minute: NonZeroU32::MIN.saturating_add(599),
            min_free_bytes: 1 << 30,
            requests: 512,
            streams_per_connection: 100,
            streams: 10_000,
            connections: 4096,
            connections_per_ip: 128,
            handshake_timeout: Duration::from_secs(10),
            publish_timeout: Duration::from_secs(30),
            request_timeout: Duration::from_secs(10),
            send_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(600),
            connection_age: Duration::from_secs(3600),
            connection_grace: Duration::from_secs(30),
            keepalive_interval: Duration::from_secs(30),
            keepalive_timeout: Duration::from_secs(10),
            header_bytes: 16 << 10,
            frame_bytes: 16 << 10,
            stream_window_bytes: 256 << 10,
            connection_window_bytes: 1 << 20,
            pending_resets: 20,
            error_resets: 1024,
            shutdown_grace: Duration::from_secs(30),
        }
    }
}

/// Health, metrics and version over HTTP, for the operator alone.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdminConfig {
    /// Where it listens: nowhere that strangers reach. Port 0 takes a free one.
    pub listen: SocketAddr,
}

/// TLS 1.2 and 1.3 on the API's port.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// The certificate and those between it and a root, PEM. Read once, at the start.
    pub cert_file: PathBuf,
    /// Its private key, PEM.
    pub key_file: PathBuf,
}

/// gRPC-web, on the API's port.
#[derive(Clone, Debug, Default, Deserialize)]
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
        ] {
            let error = load(&mistake, &[], &Overrides::default()).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}
