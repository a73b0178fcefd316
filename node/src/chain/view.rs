//! The chain as validation sees it: one immutable snapshot for the length of a request.

use std::time::Duration;

use alloy::primitives::B256;
use xmtp_proto::derive::Group;
use xmtp_proto::field::Root;
use xmtp_proto::refusal::Refusal;
use xmtp_proto::time::Timestamp;

use crate::groups::GroupsView;

/// When to ask again while the view is too old.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// A block as the head of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Height.
    pub number: u64,
    /// 32 bytes.
    pub hash: B256,
    /// The block's own timestamp, in whole seconds.
    pub time: Timestamp,
}

/// What is known of the chain at a moment.
#[derive(Clone, Debug, Default)]
pub struct ChainView {
    as_of: Option<Timestamp>,
    head: Option<Head>,
    applied: Option<u64>,
    groups: GroupsView,
}

impl ChainView {
    /// Puts together what was seen.
    #[must_use]
    pub const fn new(as_of: Option<Timestamp>, head: Option<Head>, applied: Option<u64>, groups: GroupsView) -> Self {
        Self { as_of, head, applied, groups }
    }

    /// When the node last knew all that the chain had to say, by the node's clock; nothing before the first time.
    #[must_use]
    pub const fn as_of(&self) -> Option<Timestamp> {
        self.as_of
    }

    /// The chain's head when it was last seen; blocks near it may not count yet.
    #[must_use]
    pub const fn head(&self) -> Option<Head> {
        self.head
    }

    /// The latest block whose operations are in [`ChainView::groups`].
    #[must_use]
    pub const fn applied(&self) -> Option<u64> {
        self.applied
    }

    /// The roots.
    #[must_use]
    pub const fn groups(&self) -> &GroupsView {
        &self.groups
    }

    /// Refuses to answer from a view that is older than `max_age`.
    ///
    /// # Errors
    /// [`Refusal::ChainViewStale`].
    pub fn require_fresh(&self, now: Timestamp, max_age: Duration) -> Result<(), Refusal> {
        match self.as_of {
            Some(as_of) if now.since(as_of) <= max_age => Ok(()),
            _ => Err(Refusal::ChainViewStale { retry_after: RETRY_AFTER }),
        }
    }

    /// Whether a proof under this root is good now. Says nothing about the view's age.
    ///
    /// # Errors
    /// [`Refusal::RootUnknown`], [`Refusal::RootExpired`].
    pub fn require_root(&self, group: &Group, root: Root, now: Timestamp) -> Result<(), Refusal> {
        self.groups.lookup(group, root, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn view_is_stale_until_the_chain_was_seen_and_again_when_that_is_too_long_ago() {
        let at = Timestamp::from_secs;
        let seen = ChainView { as_of: Some(at(100)), ..ChainView::default() };
        let stale = Err(Refusal::ChainViewStale { retry_after: RETRY_AFTER });
        for (view, now, expected) in [
            (ChainView::default(), 0, stale.clone()),
            (seen.clone(), 100, Ok(())),
            (seen.clone(), 130, Ok(())),
            (seen.clone(), 131, stale),
            // A clock that was set back does not make the view older.
            (seen, 90, Ok(())),
        ] {
            assert_eq!(view.require_fresh(at(now), Duration::from_secs(30)), expected, "at {now}");
        }
    }
}
