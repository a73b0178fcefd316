//! Files of a ceremony: read with bounds, written whole or not at all, never over another.

use std::fs::{self, File};
use std::io::{self, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use xmtp_ceremony::ReadError;

/// Everybody may read what a ceremony publishes.
const MODE: u32 = 0o644;

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    #[error("{}", .0.display())]
    Read(PathBuf, #[source] ReadError),
    #[error("cannot write {}", .0.display())]
    Write(PathBuf, #[source] io::Error),
    #[error("{} is there already, and no step overwrites a file", .0.display())]
    Exists(PathBuf),
}

/// Reads a file with one of the library's readers.
pub(crate) fn read<T>(path: &Path, read: impl FnOnce(BufReader<File>) -> Result<T, ReadError>) -> Result<T, FileError> {
    let failed = |error| FileError::Read(path.to_owned(), error);
    let file = File::open(path).map_err(|error| failed(error.into()))?;
    read(BufReader::new(file)).map_err(failed)
}

/// Refuses early what [`write`] would refuse after the work.
pub(crate) fn must_be_new(path: &Path) -> Result<(), FileError> {
    // A link that leads nowhere is there, too.
    if path.symlink_metadata().is_ok() { Err(FileError::Exists(path.to_owned())) } else { Ok(()) }
}

/// A folder to write into. One that was made for it goes again with this, if nothing was written.
pub(crate) struct Folder(Option<PathBuf>);

impl Folder {
    /// Makes the folder unless it is there. What holds it is its owner's to make.
    pub(crate) fn make(path: &Path) -> Result<Self, FileError> {
        match fs::create_dir(path) {
            Ok(()) => Ok(Self(Some(path.to_owned()))),
            Err(_) if path.is_dir() => Ok(Self(None)),
            Err(error) => Err(FileError::Write(path.to_owned(), error)),
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Refused where files are in it, as they should be.
        let _ = self.0.as_ref().map(fs::remove_dir);
    }
}

/// Writes a file that was not there.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let failed = |error| FileError::Write(path.to_owned(), error);
    let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or_else(|| Path::new("."));
    let mut file =
        tempfile::Builder::new().permissions(fs::Permissions::from_mode(MODE)).tempfile_in(folder).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist_noclobber(path).map_err(|error| match error.error.kind() {
        io::ErrorKind::AlreadyExists => FileError::Exists(path.to_owned()),
        _ => failed(error.error),
    })?;
    Ok(())
}
