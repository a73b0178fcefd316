//! Files that hold secrets: nobody reads them but who runs the node.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Anything for a group or for others.
const OTHERS: u32 = 0o077;
/// The same, but for reading by a group.
const OTHERS_BUT_A_GROUP: u32 = 0o037;

/// The mode of a file that others can read or write. Its owner's to mend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exposed(u32);

impl fmt::Display for Exposed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "has mode {:04o}, so others can read it: chmod 600 it", self.0)
    }
}

/// Whether others can read or write a file. root's own may be readable by a group, unless it is root who runs the node: that is
/// how systemd hands over credentials.
///
/// # Errors
/// The file is not there, or may not be looked at.
pub(crate) fn exposed(path: &Path) -> io::Result<Option<Exposed>> {
    let file = fs::metadata(path)?;
    let is_handed_over = file.uid() == 0 && !rustix::process::geteuid().is_root();
    let others = if is_handed_over { OTHERS_BUT_A_GROUP } else { OTHERS };
    let mode = file.mode() & 0o777;
    Ok((mode & others != 0).then_some(Exposed(mode)))
}
