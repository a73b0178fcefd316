//! Room on the disk: publishes are refused while there is something left, for a store that fills its disk cannot be opened
//! again before somebody makes room. The rest is for what the chain brings, which nobody can refuse, and the last half of it
//! stays empty.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use xmtp_proto::refusal::Refusal;

use crate::chain::{ChainStore, ChainStoreError};
use crate::live::Live;
use crate::store::Store;

/// Between two looks: what a disk can write meanwhile must fit below the watermark.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(1);
/// When to ask again while there is no room: somebody must make it.
const RETRY_AFTER: Duration = Duration::from_secs(60);

/// How much room there is, as it was last seen. Clones see the same.
#[derive(Clone)]
pub(crate) struct DiskSpace {
    free: watch::Receiver<u64>,
    live: watch::Receiver<Live>,
}

impl DiskSpace {
    /// Bytes.
    pub(crate) fn free(&self) -> u64 {
        *self.free.borrow()
    }

    /// Refuses while there is less than the watermark.
    pub(crate) fn require_room(&self) -> Result<(), Refusal> {
        if self.free() < self.live.borrow().limits.min_free_bytes {
            return Err(Refusal::Overloaded { retry_after: RETRY_AFTER });
        }
        Ok(())
    }

    /// Whether there is less than half the watermark.
    fn is_full(&self) -> bool {
        self.free() < self.live.borrow().limits.min_free_bytes / 2
    }
}

/// A store for what is read of the chain, as long as its disk is not full.
pub(crate) struct WithRoom {
    pub(crate) store: Store,
    pub(crate) disk: DiskSpace,
}

impl ChainStore for WithRoom {
    fn load(&self, from: u64, at_most: usize) -> Result<Vec<(u64, Vec<u8>)>, ChainStoreError> {
        self.store.load(from, at_most)
    }

    fn replace_from(&self, number: u64, blocks: Vec<(u64, Vec<u8>)>) -> Result<(), ChainStoreError> {
        self.store.replace_from(number, blocks)
    }

    fn has_room(&self) -> bool {
        !self.disk.is_full()
    }
}

/// Who looks.
pub(crate) struct Gauge {
    path: PathBuf,
    free: watch::Sender<u64>,
    live: watch::Receiver<Live>,
}

impl Gauge {
    /// Takes a first look at the disk of a folder that exists.
    pub(crate) fn new(path: &Path, live: watch::Receiver<Live>) -> io::Result<(Self, DiskSpace)> {
        let (free, seen) = watch::channel(free_bytes(path)?);
        Ok((Self { path: path.to_owned(), free, live: live.clone() }, DiskSpace { free: seen, live }))
    }

    /// Looks until it is told to stop.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let Self { path, free, live } = self;
        let mut ticks = tokio::time::interval(SAMPLE_INTERVAL);
        let mut low = false;
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = stop.cancelled() => return,
            }
            match free_bytes(&path) {
                Ok(bytes) => {
                    free.send_replace(bytes);
                    let min_free = live.borrow().limits.min_free_bytes;
                    if low != (bytes < min_free) {
                        low = !low;
                        if low {
                            tracing::error!(free = bytes, min_free, "the disk is almost full; publishes are refused");
                        } else {
                            tracing::info!(free = bytes, min_free, "the disk has room again");
                        }
                    }
                }
                // What was seen last stands; a disk that fails is the store's to notice.
                Err(error) => tracing::warn!(%error, "the disk does not say how much room it has"),
            }
        }
    }
}

/// Bytes that an unprivileged process may still write to the file system of a path.
pub(crate) fn free_bytes(path: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}
