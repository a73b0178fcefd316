//! How far a claim's chain was read, and what came of it: a file per claim, replaced as a whole, so that a start goes on where
//! the last one ended. A file that is lost, damaged or of another chain costs time and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use alloy::primitives::{Address, B256, U256};
use serde::{Deserialize, Serialize};
use xmtp_proto::derive::ClaimId;

const VERSION: u8 = 1;

/// What the logs up to a block come to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    version: u8,
    claim: B256,
    from_block: u64,
    /// The last block that was read, with its hash; nothing before the first.
    pub(super) read: Option<(u64, B256)>,
    pub(super) holdings: Holdings,
}

/// What an account may have, by what the claim is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Holdings {
    /// Of tokens of an ERC-721 collection.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) owners: BTreeMap<U256, Address>,
    /// Of an ERC-20 token, or one token of an ERC-1155 contract.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) balances: BTreeMap<Address, U256>,
    /// Whom an account paid.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) paid: BTreeSet<Address>,
}

/// A file of progress.
pub(super) struct ProgressFile(PathBuf);

impl Progress {
    pub(super) fn new(claim: ClaimId, from_block: u64) -> Self {
        Self { version: VERSION, claim: claim.0, from_block, read: None, holdings: Holdings::default() }
    }

    /// Forgets what was read.
    pub(super) fn start_again(&mut self) {
        (self.read, self.holdings) = (None, Holdings::default());
    }

    /// The next block to read.
    pub(super) fn next(&self) -> u64 {
        self.read.map_or(self.from_block, |(number, _)| number + 1)
    }
}

impl ProgressFile {
    pub(super) fn new(folder: &Path, claim: ClaimId) -> Self {
        Self(folder.join(format!("{claim}.json")))
    }

    /// What was kept of this very claim.
    pub(super) fn load(&self, claim: ClaimId, from_block: u64) -> io::Result<Progress> {
        let anew = Progress::new(claim, from_block);
        let text = match fs::read(&self.0) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(anew),
            Err(error) => return Err(error),
        };
        match serde_json::from_slice::<Progress>(&text) {
            Ok(kept) if (kept.version, kept.claim, kept.from_block) == (VERSION, claim.0, from_block) => Ok(kept),
            Ok(_) | Err(_) => {
                tracing::warn!(file = %self.0.display(), "the progress is damaged or another claim's; beginning anew");
                Ok(anew)
            }
        }
    }

    /// Replaces the file; durable when it returns.
    pub(super) fn save(&self, progress: &Progress) -> io::Result<()> {
        let part = self.0.with_extension("part");
        let mut file = File::create(&part)?;
        file.write_all(&serde_json::to_vec(progress)?)?;
        file.sync_all()?;
        fs::rename(&part, &self.0)?;
        self.0.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_taken_up_and_what_is_no_progress_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let claim = ClaimId::from([1; 32]);
        let file = ProgressFile::new(folder.path(), claim);
        assert_eq!(file.load(claim, 5).unwrap().next(), 5);
        let mut progress = Progress::new(claim, 5);
        progress.read = Some((9, B256::repeat_byte(2)));
        progress.holdings.owners.insert(U256::from(7), Address::repeat_byte(3));
        progress.holdings.balances.insert(Address::repeat_byte(3), U256::MAX);
        file.save(&progress).unwrap();
        assert_eq!(file.load(claim, 5).unwrap(), progress);
        assert_eq!(file.load(claim, 5).unwrap().next(), 10);
        assert_eq!(file.load(claim, 6).unwrap().read, None, "another first block");
        fs::write(folder.path().join(format!("{claim}.json")), "{\"version\":1").unwrap();
        assert_eq!(file.load(claim, 5).unwrap().read, None, "cut short");
    }
}
