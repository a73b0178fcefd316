//! Making sled's data survive a power cut. Its `flush` ends in `sync_file_range` on Linux, which moves pages to the device
//! without their metadata and without emptying the device's cache; so after each flush the files themselves are synced
//! (docs/decisions/0004-sled-flush-and-fsync.md).

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Large values get a file each, in this folder, which is written once.
const BLOBS: &str = "blobs";

/// sled's folder, and which of its write-once files are synced already.
pub(super) struct Folder {
    path: PathBuf,
    synced_blobs: HashSet<OsString>,
}

impl Folder {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), synced_blobs: HashSet::new() }
    }

    /// Returns when all that sled has flushed is on the device.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.sync_blobs()?;
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                sync_if_there(&entry.path())?;
            }
        }
        File::open(&self.path)?.sync_all()
    }

    fn sync_blobs(&mut self) -> io::Result<()> {
        let blobs = self.path.join(BLOBS);
        let mut present = HashSet::new();
        let mut news = false;
        match fs::read_dir(&blobs) {
            Ok(entries) => {
                for entry in entries {
                    let entry = entry?;
                    let name = entry.file_name();
                    if !self.synced_blobs.contains(&name) {
                        sync_if_there(&entry.path())?;
                        news = true;
                    }
                    present.insert(name);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        }
        if news {
            File::open(&blobs)?.sync_all()?;
        }
        // Forgets what sled removed.
        self.synced_blobs = present;
        Ok(())
    }
}

/// Snapshots come and go beneath us; one that is gone has a successor, which is synced too.
fn sync_if_there(path: &Path) -> io::Result<()> {
    match File::open(path) {
        Ok(file) => file.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}
