//! `xmtp-node`: parse the flags, load the configuration, bind, wait for a signal, shut down.

use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use alloy::primitives::Address;
use clap::{Args, Parser, Subcommand};
use mimalloc::MiMalloc;
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;
use url::Url;
use xmtp_contracts::Deployment;
use xmtp_node::backup::{self, BackupError, Summary};
use xmtp_node::config::{Config, ConfigError, LogConfig, LogFormat, Overrides};
use xmtp_node::doctor;
use xmtp_node::evidence;
use xmtp_node::issuer::{self, Anchored, ClaimChain, Issued, IssuedClaim, Issuer, IssuerConfig};
use xmtp_node::live::Reloader;
use xmtp_node::memory;
use xmtp_node::node::{self, Node};
use xmtp_proto::time::{Clock, Timestamp};

#[global_allocator]
static MEMORY: MiMalloc = MiMalloc;

/// A relay node that checks, before it relays, that a sender has met the conditions of the network and of the recipient.
#[derive(Parser)]
#[command(name = "xmtp-node", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the node until SIGTERM or Ctrl-C. On SIGHUP it reads its configuration again: limits, retention, certificate and
    /// the log's filter change at once.
    Run {
        #[command(flatten)]
        options: Options,
        /// Writes `{"listening":"ADDRESS:PORT","admin":"ADDRESS:PORT"}` to this file once the node serves.
        #[arg(long, value_name = "FILE")]
        ready_file: Option<PathBuf>,
    },
    /// Reads the configuration and the files that it names, says what is wrong, and starts nothing.
    CheckConfig {
        #[command(flatten)]
        options: Options,
    },
    /// Looks at all that a node needs: clock, disk, chain, contracts, keys, ports; says what would mend what is wrong, and
    /// exits with 1 if something is.
    Doctor {
        #[command(flatten)]
        options: Options,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
    /// Shows what this node has seen of one index used for two envelopes, and the call with which anybody slashes who did it.
    /// Asks a running node at its admin port, and opens the store of a stopped one.
    Evidence {
        #[command(flatten)]
        options: Options,
        /// Where the running node's admin port is, if the configuration does not say.
        #[arg(long, value_name = "ADDRESS:PORT")]
        admin: Option<SocketAddr>,
        /// Whom the calls credit with a tenth of what is slashed; without it that is burned, too.
        #[arg(long, value_name = "ADDRESS", default_value_t = Address::ZERO)]
        reporter: Address,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
    /// Publishes snapshots of claims until SIGTERM or Ctrl-C: the issuer's role, for which no relay node has to run here.
    Issue {
        /// The configuration file; every key is in issuer.example.toml.
        #[arg(long, value_name = "FILE", default_value = "xmtp-issuer.toml")]
        config: PathBuf,
        /// Publishes what is due, prints it as JSON, one line per claim, and ends.
        #[arg(long)]
        once: bool,
        /// The moment of the snapshot, in Unix seconds, instead of the one that is due.
        #[arg(long, value_name = "SECONDS", requires = "once")]
        at: Option<u64>,
    },
    /// Computes the newest snapshots of a claim again, with an RPC of your own. Prints what came of it as JSON, one line per
    /// snapshot that issuers signed, with the first difference; exits with 1 if there is one.
    Recompute {
        /// The claim's name in the deployment.
        claim: String,
        /// `deployments/<chain id>.json` of the network.
        #[arg(long, value_name = "FILE")]
        deployment: PathBuf,
        /// The node that has the snapshot.
        #[arg(long, value_name = "URL")]
        node: Url,
        /// An RPC of the claim's chain.
        #[arg(long, value_name = "URL")]
        rpc_url: Url,
        /// No earlier block has anything to say.
        #[arg(long, value_name = "NUMBER", default_value_t = 0)]
        from_block: u64,
        /// Blocks per question for logs; halved by itself.
        #[arg(long, value_name = "NUMBER", default_value = "2000")]
        logs_range: NonZeroU64,
    },
    /// Writes the store of a stopped node to a file.
    Backup {
        /// The store's folder.
        #[arg(long, value_name = "FOLDER")]
        data_dir: PathBuf,
        /// A file that is not there yet.
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
    /// Makes a store from a backup. One that is older than the node's last postmark makes the node contradict itself: see
    /// docs/operating.md.
    Restore {
        /// The backup.
        #[arg(long, value_name = "FILE")]
        from: PathBuf,
        /// The store's folder, empty or not there.
        #[arg(long, value_name = "FOLDER")]
        data_dir: PathBuf,
    },
}

#[derive(Args)]
struct Options {
    /// The configuration file; every key is in config.example.toml.
    #[arg(long, value_name = "FILE", default_value = "xmtp-node.toml")]
    config: PathBuf,
    /// Where the API listens. Outranks file and environment, as the other flags do.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// The store's folder.
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// The settlement chain's JSON-RPC endpoint.
    #[arg(long, value_name = "URL")]
    rpc_url: Option<Url>,
}

impl Options {
    fn load(&self) -> Result<Config, ConfigError> {
        let Self { config, listen, data_dir, rpc_url } = self;
        let overrides = Overrides { listen: *listen, data_dir: data_dir.clone(), rpc_url: rpc_url.clone() };
        Config::load(config, &overrides)
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    memory::decline_huge_pages();
    // The one TLS provider, for https endpoints; nothing else has chosen before us.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let outcome = match Cli::parse().command {
        Command::Run { options, ready_file } => run(options, ready_file.as_deref()).await,
        Command::CheckConfig { options } => check(options),
        Command::Doctor { options, json } => match examine(options, json).await {
            Ok(true) => Ok(()),
            Ok(false) => return ExitCode::FAILURE,
            Err(error) => Err(error),
        },
        Command::Evidence { options, admin, reporter, json } => offer(options, admin, reporter, json).await,
        Command::Issue { config, once, at } => issue(&config, once, at).await,
        Command::Recompute { claim, deployment, node, rpc_url, from_block, logs_range } => {
            let claim = IssuedClaim { name: claim, from_block, cross_check: None };
            match recompute(claim, &deployment, node, rpc_url, logs_range).await {
                Ok(true) => Ok(()),
                Ok(false) => return ExitCode::FAILURE,
                Err(error) => Err(error),
            }
        }
        Command::Backup { data_dir, to } => copied("backed up", backup::backup(&data_dir, &to)),
        Command::Restore { from, data_dir } => copied("restored", backup::restore(&from, &data_dir)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xmtp-node: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options, ready_file: Option<&Path>) -> Result<(), Box<dyn std::error::Error>> {
    let config = options.load()?;
    let refilter = init_log(&config.log)?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let node = Node::bind(config, Clock::system()).await?;
    tracing::info!(address = %node.address(), "serving");
    if let Some(path) = ready_file {
        let admin = node.admin_address().map(|address| address.to_string());
        let ready = serde_json::json!({ "listening": node.address().to_string(), "admin": admin });
        std::fs::write(path, format!("{ready}\n"))?;
    }
    notify(NotifyState::Ready);
    let (stop, reloader) = (node.stopper(), node.reloader());
    let signals = async {
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = tokio::signal::ctrl_c() => break,
                _ = hang_up.recv() => reload(&options, &reloader, &refilter),
            }
        }
        tracing::info!("stopping");
        notify(NotifyState::Stopping);
        stop.cancel();
        std::future::pending().await
    };
    tokio::select! {
        ended = node.join() => Ok(ended?),
        () = signals => Ok(()),
    }
}

/// Reads the configuration again. A mistake in it changes nothing: the node goes on as it was.
fn reload(options: &Options, reloader: &Reloader, refilter: &Refilter) {
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        notify_all(&[NotifyState::Reloading, now]);
    }
    let reloaded = options.load().map_err(Into::into).and_then(|config| {
        let waiting = reloader.reload(&config)?;
        refilter(&config.log.filter)?;
        Ok(waiting)
    });
    match reloaded {
        Ok(waiting) if waiting.is_empty() => tracing::info!("read the configuration again"),
        Ok(waiting) => tracing::warn!(?waiting, "read the configuration again; what is named waits for a restart"),
        Err(error) => {
            let error: Box<dyn std::error::Error> = error;
            tracing::error!(%error, "the configuration cannot be read again; the node goes on as it was");
        }
    }
    notify(NotifyState::Ready);
}

/// Tells systemd, if it started us.
fn notify(state: NotifyState<'_>) {
    notify_all(&[state]);
}

fn notify_all(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd does not listen");
    }
}

async fn examine(options: Options, json: bool) -> Result<bool, Box<dyn std::error::Error>> {
    let report = doctor::examine(&options.load()?, &Clock::system()).await;
    if json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print!("{report}");
    }
    Ok(report.healthy)
}

async fn offer(
    options: Options,
    admin: Option<SocketAddr>,
    reporter: Address,
    json: bool,
) -> Result<(), Box<dyn std::error::Error>> {
    let slashable = evidence::list(&options.load()?, admin, reporter).await?;
    if json {
        println!("{}", serde_json::to_string(&slashable)?);
    } else if slashable.is_empty() {
        println!("nobody was seen to use one index for two envelopes");
    } else {
        slashable.iter().for_each(|it| print!("{it}"));
    }
    Ok(())
}

async fn issue(config: &Path, once: bool, at: Option<u64>) -> Result<(), Box<dyn std::error::Error>> {
    let config = IssuerConfig::load(config)?;
    let _refilter = init_log(&config.log)?;
    let mut terminate = signal(SignalKind::terminate())?;
    let issuer = Issuer::open(config, Clock::system()).await?;
    if once {
        for issued in issuer.issue(at.map_or_else(|| issuer.due(), Timestamp::from_secs)).await? {
            let anchored = if issuer.anchors() { Some(issuer.anchor(&issued).await) } else { None };
            let anchored = anchored.map(|anchored| match anchored {
                Ok(Anchored::Sent(transaction)) => transaction.to_string(),
                Ok(Anchored::Before) => "before".to_owned(),
                Ok(Anchored::TooFew) => "too few signatures".to_owned(),
                Err(error) => format!("failed: {error}"),
            });
            let Issued { claim, snapshot, digest, listed } = issued;
            let roots: Vec<_> = snapshot.roots.iter().map(ToString::to_string).collect();
            let line = serde_json::json!({
                "claim": claim.to_string(), "generation": snapshot.generation, "block": snapshot.block_number,
                "leaves": snapshot.leaves, "roots": roots, "digest": digest, "listed": listed, "anchored": anchored,
            });
            println!("{line}");
        }
        return Ok(());
    }
    let stop = CancellationToken::new();
    let told = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        stop.cancel();
        std::future::pending().await
    };
    notify(NotifyState::Ready);
    tokio::select! {
        () = issuer.run(stop.clone()) => Ok(()),
        () = told => Ok(()),
    }
}

async fn recompute(
    claim: IssuedClaim,
    deployment: &Path,
    node: Url,
    rpc_url: Url,
    logs_range: NonZeroU64,
) -> Result<bool, Box<dyn std::error::Error>> {
    let deployment = Deployment::load(deployment)?;
    let chain_id = deployment.offered_claim(&claim.name).map(|it| it.chain_id).unwrap_or_default();
    let chain = ClaimChain::new(chain_id, rpc_url, logs_range);
    let mut all_true = true;
    for recomputed in issuer::recompute(&issuer::Source { deployment, node, chain, claim }).await? {
        all_true &= recomputed.difference.is_none();
        println!("{}", serde_json::to_string(&recomputed)?);
    }
    Ok(all_true)
}

fn copied(what: &str, outcome: Result<Summary, BackupError>) -> Result<(), Box<dyn std::error::Error>> {
    let Summary { files, bytes } = outcome?;
    println!("{what}: {files} files, {bytes} bytes");
    Ok(())
}

fn check(options: Options) -> Result<(), Box<dyn std::error::Error>> {
    node::check(&options.load()?)?;
    println!("the configuration is complete");
    Ok(())
}

/// Changes what is logged.
type Refilter = Box<dyn Fn(&str) -> Result<(), Box<dyn std::error::Error>>>;

fn init_log(config: &LogConfig) -> Result<Refilter, Box<dyn std::error::Error>> {
    let filter = EnvFilter::try_new(&config.filter)?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    Ok(match config.format {
        LogFormat::Text => {
            let lines = lines.with_filter_reloading();
            let handle = lines.reload_handle();
            lines.init();
            Box::new(move |filter| Ok(handle.reload(EnvFilter::try_new(filter)?)?))
        }
        LogFormat::Json => {
            let lines = lines.json().with_filter_reloading();
            let handle = lines.reload_handle();
            lines.init();
            Box::new(move |filter| Ok(handle.reload(EnvFilter::try_new(filter)?)?))
        }
    })
}
