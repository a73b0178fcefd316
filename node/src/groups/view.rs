//! The roots as validation reads them: one immutable snapshot for the length of a request.

use std::collections::HashMap;
use std::sync::Arc;

use xmtp_proto::derive::Group;
use xmtp_proto::field::Root;
use xmtp_proto::refusal::Refusal;
use xmtp_proto::time::{Epoch, Timestamp};

use super::is_over;

/// The roots of all groups at a moment. Cheap to clone, and not changed by later blocks.
#[derive(Clone, Debug, Default)]
pub struct GroupsView(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    groups: HashMap<Group, Arc<Standings>>,
    of_epochs: HashMap<Group, EpochRoots>,
    issue_seconds: u64,
}

/// The roots of a group of which each epoch has its own, ascending by epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct EpochRoots(Vec<InForce>);

/// The roots of a group from an epoch on, until others take their place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InForce {
    pub(crate) from: Epoch,
    pub(crate) roots: Vec<Root>,
}

/// How the roots of one group stand.
pub(super) type Standings = HashMap<Root, Standing>;

/// How long a root is good. One root may be of both kinds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// For the life of the issue.
    pub(super) checkpoint: bool,
    /// As a fresh root: until when.
    pub(super) fresh: Option<Until>,
}

/// The end of a fresh root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// It is the newest.
    Replaced,
    /// From then on it is not good.
    Time(Timestamp),
}

impl Standing {
    pub(super) fn is_good(&self, now: Timestamp) -> bool {
        self.checkpoint
            || match self.fresh {
                None => false,
                Some(Until::Replaced) => true,
                Some(Until::Time(until)) => now < until,
            }
    }
}

impl EpochRoots {
    /// Ascending by epoch.
    pub(crate) const fn new(in_force: Vec<InForce>) -> Self {
        Self(in_force)
    }

    /// Whether a proof of an epoch is good under a root.
    ///
    /// # Errors
    /// [`Refusal::RootExpired`] if it is good in another epoch; [`Refusal::RootUnknown`] if it is none of the group's.
    pub(crate) fn lookup(&self, root: Root, epoch: Epoch) -> Result<(), Refusal> {
        let current = self.0.iter().rfind(|it| it.from <= epoch);
        if current.is_some_and(|it| it.roots.contains(&root)) {
            return Ok(());
        }
        let known = self.0.iter().any(|it| it.roots.contains(&root));
        Err(if known { Refusal::RootExpired } else { Refusal::RootUnknown })
    }
}

impl GroupsView {
    pub(super) fn new(
        groups: HashMap<Group, Arc<Standings>>,
        of_epochs: HashMap<Group, EpochRoots>,
        issue_seconds: u64,
    ) -> Self {
        Self(Arc::new(Inner { groups, of_epochs, issue_seconds }))
    }

    /// Whether a proof of an epoch is good under this root, in a group of which each epoch has its own.
    ///
    /// # Errors
    /// [`Refusal::RootExpired`] if it is good in another epoch; [`Refusal::RootUnknown`] if no such root was taken, or a
    /// reorganisation withdrew it.
    pub fn lookup_in(&self, group: &Group, root: Root, epoch: Epoch) -> Result<(), Refusal> {
        self.0.of_epochs.get(group).ok_or(Refusal::RootUnknown)?.lookup(root, epoch)
    }

    /// Whether a proof under this root is good now.
    ///
    /// # Errors
    /// [`Refusal::RootExpired`] if it was good once, or the group's stamps are good no more; [`Refusal::RootUnknown`]
    /// if no such root was taken, or a reorganisation withdrew it.
    pub fn lookup(&self, group: &Group, root: Root, now: Timestamp) -> Result<(), Refusal> {
        // Groups that are over are dropped, and their roots with them.
        if is_over(group, now, self.0.issue_seconds) {
            return Err(Refusal::RootExpired);
        }
        let standing = self.0.groups.get(group).and_then(|standings| standings.get(&root));
        match standing {
            None => Err(Refusal::RootUnknown),
            Some(standing) if standing.is_good(now) => Ok(()),
            Some(_) => Err(Refusal::RootExpired),
        }
    }
}
