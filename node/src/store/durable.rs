//! Making sled's data survive a power cut. Its `flush` ends in `sync_file_range` on Linux, which moves pages to the device
//! without their metadata and without emptying the device's cache; so after each flush the files themselves are synced
//! (docs/decisions/0004-sled-flush-and-fsync.md).

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Large values get a file each, in this folder, which is written once, from its beginning to its end.
const BLOBS: &str = "blobs";

/// sled's folder, and up to which length its write-once files are synced already.
pub(super) struct Folder {
    path: PathBuf,
    synced_blobs: HashMap<OsString, u64>,
}

impl Folder {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), synced_blobs: HashMap::new() }
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
        let entries = match fs::read_dir(&blobs) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let mut present = HashMap::new();
        let mut news = false;
        for entry in entries {
            let entry = entry?;
            // Before the sync: what another thread adds to the file after this has not been synced by us.
            let length = match entry.metadata() {
                Ok(metadata) => metadata.len(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let name = entry.file_name();
            if self.synced_blobs.get(&name) != Some(&length) {
                sync_if_there(&entry.path())?;
                news = true;
            }
            present.insert(name, length);
        }
        if news {
            File::open(&blobs)?.sync_all()?;
        }
        // Forgets what sled removed.
        self.synced_blobs = present;
        Ok(())
    }
}

/// Makes a folder, and its name in the folder above, survive a power cut.
pub(super) fn create_folder(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)?;
    match path.canonicalize()?.parent() {
        Some(above) => File::open(above)?.sync_all(),
        None => Ok(()),
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
