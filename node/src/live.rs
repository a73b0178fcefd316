//! What of a configuration can change while the node runs, and who changes it (docs/operating.md, "Configuration").
//!
//! Connections, calls and rounds of housekeeping that begin see what is in force then; those that have begun go on as they are.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::config::{Config, Limits, LogConfig, Retention};
use crate::node::StartError;
use crate::server;

/// What is in force now.
#[derive(Clone)]
pub(crate) struct Live {
    pub(crate) limits: Arc<Limits>,
    pub(crate) retention: Retention,
    pub(crate) tls: Option<TlsAcceptor>,
}

impl Live {
    pub(crate) fn new(config: &Config) -> Result<Self, StartError> {
        let tls = config.tls.as_ref().map(server::acceptor).transpose()?;
        Ok(Self { limits: Arc::new(config.limits.clone()), retention: config.retention, tls })
    }
}

/// Changes what can change.
pub struct Reloader {
    config: Config,
    live: watch::Sender<Live>,
}

impl Reloader {
    pub(crate) fn new(config: Config) -> Result<(Self, watch::Receiver<Live>), StartError> {
        let (live, seen) = watch::channel(Live::new(&config)?);
        Ok((Self { config, live }, seen))
    }

    /// Takes over limits, retention, and the certificate, from their files anew. Returns what differs from the configuration
    /// that the node started with and waits for a restart; the log's filter is the caller's.
    ///
    /// # Errors
    /// [`StartError`] if the certificate cannot be used; nothing has changed then.
    pub fn reload(&self, config: &Config) -> Result<Vec<&'static str>, StartError> {
        let mut live = Live::new(config)?;
        if live.tls.is_some() != self.config.tls.is_some() {
            live.tls = self.live.borrow().tls.clone();
        }
        self.live.send_replace(live);
        Ok(self.waiting(config))
    }

    fn waiting(&self, new: &Config) -> Vec<&'static str> {
        let Config {
            listen,
            data_dir,
            reflection,
            operator,
            chain,
            rules,
            proofs,
            limits,
            congestion,
            retention: _,
            admin,
            slashing,
            tls,
            web,
            log,
        } = &self.config;
        let LogConfig { filter: _, format } = log;
        [
            ("listen", *listen == new.listen),
            ("data_dir", *data_dir == new.data_dir),
            ("reflection", *reflection == new.reflection),
            ("operator", *operator == new.operator),
            ("chain", *chain == new.chain),
            ("rules", *rules == new.rules),
            ("proofs", *proofs == new.proofs),
            // These were given away as places when the node started.
            ("limits.streams", limits.streams == new.limits.streams),
            ("limits.streams_per_ip", limits.streams_per_ip == new.limits.streams_per_ip),
            ("limits.submission_bytes", limits.submission_bytes == new.limits.submission_bytes),
            ("limits.proofs", limits.proofs == new.limits.proofs),
            ("limits.proof_linger", limits.proof_linger == new.limits.proof_linger),
            ("limits.bad_proofs_per_ip", limits.bad_proofs_per_ip == new.limits.bad_proofs_per_ip),
            ("limits.new_accounts_per_minute", limits.new_accounts_per_minute == new.limits.new_accounts_per_minute),
            ("limits.backlog", limits.backlog == new.limits.backlog),
            ("congestion", *congestion == new.congestion),
            ("admin", *admin == new.admin),
            ("slashing", *slashing == new.slashing),
            // Whether it is spoken; the certificate is read anew.
            ("tls", tls.is_some() == new.tls.is_some()),
            ("web", *web == new.web),
            ("log.format", *format == new.log.format),
        ]
        .into_iter()
        .filter_map(|(name, same)| (!same).then_some(name))
        .collect()
    }
}
