//! Waiting for a store that is being closed. sled locks its file as long as it has it open, and a thread of its own may have it
//! open for a while after the last `Db` and `Tree` are gone: it wakes who waits for a write before it is done with the write.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// The file that the engine locks while the store is open.
pub(crate) const LOCKED: &str = "db";
/// What is locked for longer is in use.
const CLOSING: Duration = Duration::from_secs(3);
const BETWEEN_TRIES: Duration = Duration::from_millis(5);

/// Returns when nobody has the store in a folder open; or after a while nevertheless, and then opening it says what is wrong.
pub(super) fn wait(folder: &Path) -> io::Result<()> {
    let file = match File::open(folder.join(LOCKED)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let began = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if began.elapsed() < CLOSING => thread::sleep(BETWEEN_TRIES),
            Err(TryLockError::WouldBlock) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}
