//! The folder, which nobody else may read, and its lock.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use xmtp_proto::account::Account;
use xmtp_proto::derive::NetworkId;

use super::StateError;

/// How often a waiting process asks for the lock.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// The folder of an account on a network, made if it is not there.
pub(super) fn private(base: &Path, network: NetworkId, account: Account) -> Result<PathBuf, StateError> {
    // No colons: they separate paths in lists, and drives elsewhere.
    let folder = base.join(network.to_string()).join(account.to_string().replace(':', "-"));
    let failed = |source| StateError::Io { path: folder.clone(), source };
    make(&folder).map_err(failed)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(&folder).map_err(failed)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(StateError::Permissions { path: folder, mode });
        }
    }
    Ok(folder)
}

fn make(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// The lock, for as long as the file is open. A blocked thread could not be given up, hence the asking again.
pub(super) async fn lock(folder: &Path, waiting: impl FnOnce()) -> Result<File, StateError> {
    let path = folder.join("lock");
    let failed = |source| StateError::Io { path: path.clone(), source };
    let file = open(&path).map_err(failed)?;
    let mut waiting = Some(waiting);
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => {
                if let Some(waiting) = waiting.take() {
                    waiting();
                }
                tokio::time::sleep(ASK_AGAIN).await;
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
    }
}

/// A file of the folder for reading and writing, 0600, made if it is not there.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Makes the names of new files as durable as the files.
pub(super) fn sync(folder: &Path) -> Result<(), StateError> {
    #[cfg(unix)]
    File::open(folder)
        .and_then(|file| file.sync_all())
        .map_err(|source| StateError::Io { path: folder.to_owned(), source })?;
    Ok(())
}
