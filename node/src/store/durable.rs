//! Making sled's data survive a power cut. Its `flush` ends in `sync_file_range` on Linux, which moves pages to the device
//! without their metadata and without emptying the device's cache; so after each flush the files themselves are synced
//! (docs/decisions/0004-sled-flush-and-fsync.md).

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// The one file that is written for ever. The others are written once, from their beginning to their end: the settings,
/// snapshots, and the large values.
const LOG: &str = "db";
/// Large values get a file each, in this folder.
const BLOBS: &str = "blobs";

/// sled's folder, and up to which length what is written once is synced already.
pub(super) struct Folder {
    path: PathBuf,
    synced: HashMap<PathBuf, u64>,
}

impl Folder {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), synced: HashMap::new() }
    }

    /// Returns when all that sled has flushed is on the device.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        // Forgets what sled removed.
        let mut synced = self.sync_files(&self.path.join(BLOBS))?;
        synced.extend(self.sync_files(&self.path)?);
        self.synced = synced;
        Ok(())
    }

    /// Syncs what has changed in a folder, and then the folder if it has new names.
    fn sync_files(&self, folder: &Path) -> io::Result<HashMap<PathBuf, u64>> {
        let mut present = HashMap::new();
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(present),
            Err(error) => return Err(error),
        };
        let mut news = false;
        for entry in entries {
            let entry = entry?;
            // Before the sync: what another thread adds to the file after this has not been synced by us.
            let metadata = match entry.metadata() {
                Ok(metadata) => metadata,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let (path, length) = (entry.path(), metadata.len());
            let known = self.synced.get(&path);
            if metadata.is_file() && (entry.file_name() == LOG || known != Some(&length)) {
                sync_if_there(&path)?;
            }
            news |= known.is_none();
            present.insert(path, length);
        }
        if news {
            File::open(folder)?.sync_all()?;
        }
        Ok(present)
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
