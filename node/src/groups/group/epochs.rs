//! Groups of which each epoch has one root: claims that holders register on chain (docs/protocol.md, "Groups and their
//! roots"). A registration that replaces another one is another commitment of the same token's; with both in force, one token
//! would have two limits in a day, and two tags.
//!
//! The root of an epoch is the state before the moment at which the issuers of other claims take theirs, an hour before the
//! epoch, so that every node has read that far when it begins. The first one of a group counts from its own epoch on, for
//! nobody can have used one before it.

use std::time::Duration;

use xmtp_proto::time::{Epoch, Timestamp};

use super::{Change, Mark, RootKind, RootRules, SECONDS_PER_DAY, State, VolumeRoot, boundary_after};
use crate::groups::{Block, EpochRoots, InForce};

/// So long before an epoch its root is taken.
const LEAD: Duration = Duration::from_secs(60 * 60);

/// When the root of an epoch is taken: all operations of earlier blocks are under it, and none of later ones.
pub(crate) fn moment_of(epoch: Epoch) -> Timestamp {
    epoch.starts_at().saturating_sub(LEAD)
}

impl Mark {
    fn from(&self) -> Epoch {
        self.at.saturating_add(LEAD).epoch()
    }
}

impl State {
    /// Takes the root of the next epoch if its moment lies between the latest operation and this block.
    pub(in crate::groups) fn take_due_of_epoch(&mut self, block: &Block, rules: &RootRules) {
        let Some(Change { time, .. }) = self.changed else { return };
        let moment = boundary_after(time.saturating_add(LEAD), SECONDS_PER_DAY).saturating_sub(LEAD);
        if moment <= block.time {
            self.take(RootKind::Checkpoint, rules, moment, block.number);
        }
    }

    /// Takes the group's first root: the state after its first block, for all of that block's epoch.
    pub(in crate::groups) fn take_first_of_epochs(&mut self, block: &Block, rules: &RootRules) {
        self.take(RootKind::Checkpoint, rules, block.time.epoch().starts_at(), block.number);
    }

    /// Drops what nobody asks for any more: what was over before yesterday's end.
    pub(in crate::groups) fn forget_epochs(&mut self, time: Timestamp) {
        let base = self.checkpoints.iter().rposition(|mark| mark.from() < time.epoch());
        self.checkpoints.drain(..base.unwrap_or_default());
    }

    pub(in crate::groups) fn of_epochs(&self) -> EpochRoots {
        let in_force = self
            .checkpoints
            .iter()
            .map(|mark| InForce { from: mark.from(), roots: mark.volumes.iter().map(|(root, _)| *root).collect() });
        EpochRoots::new(in_force.collect())
    }

    pub(in crate::groups) fn roots_in(&self, epoch: Epoch) -> Vec<VolumeRoot> {
        let mark = self.checkpoints.iter().rfind(|mark| mark.from() <= epoch);
        mark.into_iter().flat_map(|mark| mark.roots(RootKind::Checkpoint)).collect()
    }
}
