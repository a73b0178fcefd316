//! The roots as validation reads them: one immutable snapshot for the length of a request.

use std::collections::HashMap;
use std::sync::Arc;

use xmtp_proto::derive::{Group, Issue};
use xmtp_proto::field::Root;
use xmtp_proto::refusal::Refusal;
use xmtp_proto::time::Timestamp;

use super::is_over;

/// The roots of all groups at a moment. Cheap to clone, and not changed by later blocks.
#[derive(Clone, Debug, Default)]
pub struct GroupsView(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    groups: HashMap<Group, Arc<Standings>>,
    issue_seconds: u64,
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

impl GroupsView {
    pub(super) fn new(groups: HashMap<Group, Arc<Standings>>, issue_seconds: u64) -> Self {
        Self(Arc::new(Inner { groups, issue_seconds }))
    }

    /// Whether a proof under this root is good now.
    ///
    /// # Errors
    /// [`Refusal::RootExpired`] if it was good once, or the group's stamps are good no more; [`Refusal::RootUnknown`]
    /// if no such root was taken, or a reorganisation withdrew it.
    pub fn lookup(&self, group: &Group, root: Root, now: Timestamp) -> Result<(), Refusal> {
        // Groups that are over are dropped, and their roots with them.
        if is_over(group, Issue::at(now, self.0.issue_seconds)) {
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
