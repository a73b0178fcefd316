//! Dropping what no rule asks about any more.

use sled::Batch;
use xmtp_proto::derive::Issue;
use xmtp_proto::time::Epoch;

use super::super::{StoreError, keys};
use super::{Store, disk};

/// Entries removed in one go.
const REMOVED_AT_ONCE: usize = 10_000;

impl Store {
    /// Drops the nullifiers of issues whose stamps are good no more, and what was counted in past epochs: owners' writes,
    /// conversations' units, members' nullifiers. Returns how many entries went; call again while it is not zero.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn forget_before(&self, issue: Issue, epoch: Epoch) -> Result<usize, StoreError> {
        let mut removed = 0;
        for range in keys::nullifiers_before(issue).into_iter().chain(keys::counted_before(epoch)) {
            let mut batch = Batch::default();
            for entry in self.log.range(range).take(REMOVED_AT_ONCE) {
                let (key, _) = entry.map_err(disk)?;
                batch.remove(key);
                removed += 1;
            }
            self.log.apply_batch(batch).map_err(disk)?;
        }
        Ok(removed)
    }
}
