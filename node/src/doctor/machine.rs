//! The machine: disk, ports, file descriptors.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::net::TcpListener;

use super::Finding;
use crate::backup;
use crate::config::Config;
use crate::disk;

/// How often the disk is asked to keep something.
const SYNCS: usize = 20;
/// What is written each time.
const SYNC_BYTES: usize = 4096;
/// A publish waits for one sync at least: slower disks make for slow postmarks.
const SLOW_SYNC: Duration = Duration::from_millis(20);
/// Files that are open besides connections: the store's, the chain's, logs.
const OTHER_FILES: u64 = 256;

pub(super) async fn examine(config: &Config) -> Vec<Finding> {
    let runs = backup::in_use(&config.data_dir).is_ok_and(|runs| runs);
    let mut findings = vec![space(config), sync_latency(&config.data_dir), descriptors(config)];
    findings.push(port("port.api", config.listen, runs).await);
    if let Some(admin) = &config.admin {
        findings.push(port("port.admin", admin.listen, runs).await);
        if !admin.listen.ip().is_loopback() {
            findings.push(Finding::warning(
                "port.admin.reach",
                format!("{} is not the loopback interface", admin.listen),
                "see to it that no stranger reaches it",
            ));
        }
    }
    findings
}

fn space(config: &Config) -> Finding {
    const CHECK: &str = "disk.space";
    let min = config.limits.min_free_bytes;
    match existing(&config.data_dir).and_then(|folder| disk::free_bytes(&folder)) {
        Ok(free) if free >= min => Finding::good(CHECK, format!("{} MiB free", free >> 20)),
        Ok(free) => Finding::bad(
            CHECK,
            format!("{} MiB free, and publishes are refused below {} MiB", free >> 20, min >> 20),
            "make room, or lower limits.min_free_bytes",
        ),
        Err(error) => Finding::bad(CHECK, error.to_string(), "name a folder on a disk of this machine in data_dir"),
    }
}

fn sync_latency(data_dir: &Path) -> Finding {
    const CHECK: &str = "disk.fsync";
    let measured = existing(data_dir).and_then(|folder| measure(&folder));
    match measured {
        Ok((median, worst)) => {
            let found = format!("{:.1} ms, at worst {:.1} ms", millis(median), millis(worst));
            if median <= SLOW_SYNC {
                Finding::good(CHECK, found)
            } else {
                Finding::warning(CHECK, found, "move data_dir to a faster disk: every postmark waits for this")
            }
        }
        Err(error) => Finding::bad(CHECK, error.to_string(), "let the user that the node runs as write to data_dir"),
    }
}

/// Median and worst of some writes that are on the disk when they are done.
fn measure(folder: &Path) -> io::Result<(Duration, Duration)> {
    let path = folder.join(format!(".doctor-{}", std::process::id()));
    let measured = File::create_new(&path).and_then(|mut file| {
        let mut took = Vec::with_capacity(SYNCS);
        for _ in 0..SYNCS {
            let since = Instant::now();
            file.write_all(&[0; SYNC_BYTES])?;
            file.sync_all()?;
            took.push(since.elapsed());
        }
        took.sort();
        Ok((took[SYNCS / 2], took[SYNCS - 1]))
    });
    // It is nobody's loss if it stays.
    let _ = fs::remove_file(&path);
    measured
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// The folder, or the nearest above it that is there: the first start makes the rest.
fn existing(folder: &Path) -> io::Result<PathBuf> {
    let folder = std::path::absolute(folder)?;
    folder.ancestors().find(|it| it.is_dir()).map(Path::to_owned).ok_or_else(|| io::ErrorKind::NotFound.into())
}

fn descriptors(config: &Config) -> Finding {
    const CHECK: &str = "files.open";
    let needed = OTHER_FILES + u64::try_from(config.limits.connections).unwrap_or(u64::MAX - OTHER_FILES);
    match rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
        Some(allowed) if allowed < needed => Finding::bad(
            CHECK,
            format!("{allowed} may be open, and limits.connections asks for {needed}"),
            format!("ulimit -n {needed}, LimitNOFILE={needed} in a unit, or lower limits.connections"),
        ),
        Some(allowed) => Finding::good(CHECK, format!("{allowed} may be open, {needed} are needed")),
        None => Finding::good(CHECK, "any number may be open"),
    }
}

async fn port(check: &'static str, address: SocketAddr, runs: bool) -> Finding {
    match TcpListener::bind(address).await {
        Ok(_) => Finding::good(check, format!("{address} is free")),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && runs => {
            Finding::good(check, format!("{address} is taken, and a node runs"))
        }
        Err(error) => {
            Finding::bad(check, format!("{address}: {error}"), "name another address, or end what listens there")
        }
    }
}
