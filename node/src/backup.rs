//! Backup and restore of a store whose node is stopped: its files as they are, in one tar archive, with their checksums behind
//! them, so that an archive that was cut short or changed is found out.
//!
//! A store is one log, and a log that goes back in time contradicts itself: whoever restores a backup that is older than the
//! last postmark gives cursors and stamps out twice (docs/operating.md, "Backup and restore").

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufReader, BufWriter, Read};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::store::LOCKED;

const FORMAT: &str = "xmtp-node backup 1";
const MANIFEST: &str = "manifest.json";
/// Larger manifests are nobody's: 64 MiB are half a million files.
const MANIFEST_BYTES_MAX: u64 = 64 << 20;
const BUFFER_BYTES: usize = 1 << 20;

/// Why there is no backup, or no store from it. The operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The store is not there.
    #[error("{0} holds no store")]
    NoStore(PathBuf),
    /// A node runs on it.
    #[error("a node runs on {0}: stop it first")]
    InUse(PathBuf),
    /// There is something already where the backup or the store would go.
    #[error("{0} is there already, and nothing is written over")]
    Exists(PathBuf),
    /// Reading or writing failed.
    #[error("{path}: {source}")]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The archive is no backup, was cut short, or was changed.
    #[error("{path} is no whole backup: {reason}")]
    Damaged {
        /// Which archive.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// How many files.
    pub files: usize,
    /// How long they are together.
    pub bytes: u64,
}

#[derive(Serialize, Deserialize)]
struct Manifest {
    format: String,
    /// By path within the store's folder.
    files: BTreeMap<String, Checksum>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Checksum {
    bytes: u64,
    sha256: String,
}

impl Manifest {
    fn summary(&self) -> Summary {
        Summary { files: self.files.len(), bytes: self.files.values().map(|it| it.bytes).sum() }
    }
}

/// Whether a node runs on a folder.
///
/// # Errors
/// [`BackupError::NoStore`], [`BackupError::Io`].
pub fn in_use(data_dir: &Path) -> Result<bool, BackupError> {
    match lock(data_dir) {
        Ok(_) => Ok(false),
        Err(BackupError::InUse(_)) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Holds a store against nodes until it is dropped.
fn lock(data_dir: &Path) -> Result<File, BackupError> {
    let path = data_dir.join(LOCKED);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(BackupError::NoStore(data_dir.to_owned())),
        Err(source) => return Err(BackupError::Io { path, source }),
    };
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(BackupError::InUse(data_dir.to_owned())),
        Err(TryLockError::Error(source)) => Err(BackupError::Io { path, source }),
    }
}

/// Writes a stopped node's store to a new file, durably.
///
/// # Errors
/// [`BackupError`]; there is no file then, or one with `.partial` behind its name.
pub fn backup(data_dir: &Path, to: &Path) -> Result<Summary, BackupError> {
    let _lock = lock(data_dir)?;
    if to.exists() {
        return Err(BackupError::Exists(to.to_owned()));
    }
    let partial = with_suffix(to, ".partial");
    let at_partial = |source| BackupError::Io { path: partial.clone(), source };
    // The store holds no secrets but who writes to whom, which is enough of one.
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial).map_err(at_partial)?;
    let mut archive = tar::Builder::new(BufWriter::with_capacity(BUFFER_BYTES, file));
    let mut manifest = Manifest { format: FORMAT.to_owned(), files: BTreeMap::new() };
    for name in files(data_dir, Path::new(""))? {
        let path = data_dir.join(&name);
        let at_path = |source| BackupError::Io { path: path.clone(), source };
        let file = File::open(&path).map_err(at_path)?;
        let bytes = file.metadata().map_err(at_path)?.len();
        let mut hashed = Hashing::new(BufReader::with_capacity(BUFFER_BYTES, file));
        archive.append_data(&mut header(bytes), &name, &mut hashed).map_err(at_path)?;
        manifest.files.insert(name, hashed.checksum());
    }
    let json = serde_json::to_vec(&manifest).map_err(|error| at_partial(error.into()))?;
    let length = json.len().try_into().unwrap_or(u64::MAX);
    archive.append_data(&mut header(length), MANIFEST, json.as_slice()).map_err(at_partial)?;
    let file = archive.into_inner().and_then(|file| file.into_inner().map_err(io::IntoInnerError::into_error));
    file.and_then(|file| file.sync_all()).map_err(at_partial)?;
    fs::rename(&partial, to).map_err(|source| BackupError::Io { path: to.to_owned(), source })?;
    sync_parent(to)?;
    Ok(manifest.summary())
}

/// Makes a store from a backup, durably, in a folder that is empty or not there.
///
/// # Errors
/// [`BackupError`]; the folder is as it was then, and beside it may be one with `.partial` behind its name.
pub fn restore(from: &Path, data_dir: &Path) -> Result<Summary, BackupError> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source| BackupError::Io { path, source }
    };
    match fs::read_dir(data_dir) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                return Err(BackupError::Exists(data_dir.to_owned()));
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(at(data_dir)(source)),
    }
    let partial = with_suffix(data_dir, ".partial");
    if partial.exists() {
        return Err(BackupError::Exists(partial));
    }
    create_private(&partial).map_err(at(&partial))?;

    let damaged = |reason: String| BackupError::Damaged { path: from.to_owned(), reason };
    let file = File::open(from).map_err(at(from))?;
    let mut archive = tar::Archive::new(BufReader::with_capacity(BUFFER_BYTES, file));
    let mut found = BTreeMap::new();
    let mut folders = BTreeSet::from([partial.clone()]);
    let mut manifest = None;
    for entry in archive.entries().map_err(at(from))? {
        let mut entry = entry.map_err(|error| damaged(error.to_string()))?;
        let name = name_in(&entry).ok_or_else(|| damaged("it names a file that no store has".to_owned()))?;
        if manifest.is_some() {
            return Err(damaged("something comes behind its end".to_owned()));
        }
        if name == MANIFEST {
            let mut json = Vec::new();
            (&mut entry).take(MANIFEST_BYTES_MAX).read_to_end(&mut json).map_err(at(from))?;
            manifest = Some(serde_json::from_slice::<Manifest>(&json).map_err(|error| damaged(error.to_string()))?);
            continue;
        }
        let path = partial.join(&name);
        if let Some(folder) = path.parent()
            && folders.insert(folder.to_owned())
        {
            create_private(folder).map_err(at(folder))?;
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(at(&path))?;
        let mut hashed = Hashing::new(&mut entry);
        io::copy(&mut hashed, &mut file).map_err(at(&path))?;
        file.sync_all().map_err(at(&path))?;
        found.insert(name, hashed.checksum());
    }
    let manifest = manifest.ok_or_else(|| damaged("its end is missing".to_owned()))?;
    if manifest.format != FORMAT {
        return Err(damaged(format!("its format is {:?}", manifest.format)));
    }
    if manifest.files != found {
        return Err(damaged("a checksum does not match".to_owned()));
    }
    for folder in &folders {
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(at(folder))?;
    }
    fs::rename(&partial, data_dir).map_err(at(data_dir))?;
    sync_parent(data_dir)?;
    Ok(manifest.summary())
}

/// All regular files below a folder, as paths with `/` in them.
fn files(data_dir: &Path, below: &Path) -> Result<Vec<String>, BackupError> {
    let folder = data_dir.join(below);
    let at_folder = |source| BackupError::Io { path: folder.clone(), source };
    let mut found = Vec::new();
    for entry in fs::read_dir(&folder).map_err(at_folder)? {
        let entry = entry.map_err(at_folder)?;
        let name = below.join(entry.file_name());
        let kind = entry.file_type().map_err(at_folder)?;
        if kind.is_dir() {
            found.extend(files(data_dir, &name)?);
        } else if kind.is_file() {
            let odd = || at_folder(io::Error::new(io::ErrorKind::InvalidData, "a file whose name is no text"));
            found.push(name.to_str().ok_or_else(odd)?.to_owned());
        }
    }
    found.sort();
    Ok(found)
}

/// The name of a regular file that stays within its folder.
fn name_in(entry: &tar::Entry<'_, impl Read>) -> Option<String> {
    let path = entry.path().ok()?;
    let stays = entry.header().entry_type().is_file()
        && path.components().next().is_some()
        && path.components().all(|it| matches!(it, Component::Normal(_)));
    stays.then(|| path.to_str().map(str::to_owned)).flatten()
}

fn header(bytes: u64) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_size(bytes);
    header.set_mode(0o600);
    header.set_entry_type(tar::EntryType::Regular);
    header
}

fn create_private(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn sync_parent(path: &Path) -> Result<(), BackupError> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(parent)
        .and_then(|folder| folder.sync_all())
        .map_err(|source| BackupError::Io { path: parent.to_owned(), source })
}

/// Counts and hashes what is read through it.
struct Hashing<R> {
    inner: R,
    hash: Sha256,
    bytes: u64,
}

impl<R> Hashing<R> {
    fn new(inner: R) -> Self {
        Self { inner, hash: Sha256::new(), bytes: 0 }
    }

    fn checksum(self) -> Checksum {
        Checksum { bytes: self.bytes, sha256: alloy::hex::encode(self.hash.finalize()) }
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hash.update(&buffer[..read]);
        self.bytes += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(folder: &Path) -> PathBuf {
        let data = folder.join("data");
        fs::create_dir_all(data.join("blobs")).unwrap();
        for (name, bytes) in [("db", &b"pages"[..]), ("conf", b""), ("blobs/7", &[7; 3 << 20])] {
            fs::write(data.join(name), bytes).unwrap();
        }
        data
    }

    #[test]
    fn backup_comes_back_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let (data, file, again) = (store(folder.path()), folder.path().join("b.tar"), folder.path().join("again"));
        let summary = backup(&data, &file).unwrap();
        assert_eq!(summary, Summary { files: 3, bytes: (3 << 20) + 5 });
        assert_eq!(restore(&file, &again).unwrap(), summary);
        for name in ["db", "conf", "blobs/7"] {
            assert_eq!(fs::read(data.join(name)).unwrap(), fs::read(again.join(name)).unwrap(), "{name}");
        }
        assert!(matches!(backup(&data, &file), Err(BackupError::Exists(path)) if path == file));
        assert!(matches!(restore(&file, &again), Err(BackupError::Exists(path)) if path == again));
    }

    #[test]
    fn store_in_use_or_absent_is_not_backed_up() {
        let folder = tempfile::tempdir().unwrap();
        let (data, file) = (store(folder.path()), folder.path().join("b.tar"));
        let held = lock(&data).unwrap();
        assert!(matches!(backup(&data, &file), Err(BackupError::InUse(_))));
        assert!(in_use(&data).unwrap());
        drop(held);
        assert!(!in_use(&data).unwrap());
        assert!(matches!(backup(&folder.path().join("none"), &file), Err(BackupError::NoStore(_))));
        assert!(!file.exists());
    }

    #[test]
    fn archive_that_was_cut_or_changed_makes_no_store() {
        let folder = tempfile::tempdir().unwrap();
        let (data, file) = (store(folder.path()), folder.path().join("b.tar"));
        backup(&data, &file).unwrap();
        let whole = fs::read(&file).unwrap();
        // In the middle of the large file.
        let mut flipped = whole.clone();
        flipped[1 << 20] ^= 1;
        for (sentence, bytes) in [
            ("cut in the middle", &whole[..whole.len() / 2]),
            ("without its manifest", &whole[..whole.len() - (4 << 10)]),
            ("one bit changed", &flipped),
            ("nothing", &[]),
            ("no archive", &[b'x'; 4096]),
        ] {
            let (file, again) = (folder.path().join("bad.tar"), folder.path().join(sentence));
            fs::write(&file, bytes).unwrap();
            assert!(restore(&file, &again).is_err(), "{sentence}");
            assert!(!again.exists(), "{sentence}");
        }
    }

    #[test]
    fn archive_that_leaves_its_folder_writes_nothing_there() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("b.tar");
        for name in ["../outside", "/tmp/xmtp-outside", "blobs/../../outside"] {
            let mut archive = tar::Builder::new(File::create(&file).unwrap());
            let mut header = header(4);
            // `append_data` would refuse the name.
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_cksum();
            archive.append(&header, &b"evil"[..]).unwrap();
            archive.into_inner().unwrap();
            let again = folder.path().join("again");
            assert!(matches!(restore(&file, &again), Err(BackupError::Damaged { .. })), "{name}");
            fs::remove_dir_all(folder.path().join("again.partial")).unwrap();
            assert!(!folder.path().join("outside").exists());
        }
    }
}
