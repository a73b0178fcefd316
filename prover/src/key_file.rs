//! Keys out of a ceremony, as files (docs/ceremony.md).

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use crate::keys::{MAX_FILE_BYTES, MalformedKey, ProvingKey, VerifyingKey};

/// Why a key's file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It cannot be read. For its owner to mend.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It holds no key of this circuit. The fault of where it came from.
    #[error("{}: {source}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: MalformedKey,
    },
}

impl VerifyingKey {
    /// Reads a key from a file and checks every point.
    ///
    /// # Errors
    /// [`KeyFileError`].
    pub fn read(path: &Path) -> Result<Self, KeyFileError> {
        read(path, Self::from_bytes)
    }
}

impl ProvingKey {
    /// Reads a key from a file and checks every point: a third of a second.
    ///
    /// # Errors
    /// [`KeyFileError`].
    pub fn read(path: &Path) -> Result<Self, KeyFileError> {
        read(path, Self::from_bytes)
    }
}

fn read<T>(path: &Path, from_bytes: impl FnOnce(&[u8]) -> Result<T, MalformedKey>) -> Result<T, KeyFileError> {
    let bytes = bounded(path).map_err(|source| KeyFileError::Read { path: path.to_owned(), source })?;
    from_bytes(&bytes).map_err(|source| KeyFileError::Malformed { path: path.to_owned(), source })
}

fn bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(MAX_FILE_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}
