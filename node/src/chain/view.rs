//! The chain as validation sees it: one immutable snapshot for the length of a request.

use std::time::Duration;

use alloy::primitives::B256;
use xmtp_proto::derive::Group;
use xmtp_proto::field::Root;
use xmtp_proto::refusal::Refusal;
use xmtp_proto::time::{Epoch, Timestamp};

use crate::groups::{GroupsView, moment_of};

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
    read_to: Option<Timestamp>,
    groups: GroupsView,
}

impl ChainView {
    /// Puts together what was seen. `read_to` is the time of the latest block applied, on a chain whose blocks keep coming.
    #[must_use]
    pub const fn new(
        as_of: Option<Timestamp>,
        head: Option<Head>,
        applied: Option<u64>,
        read_to: Option<Timestamp>,
        groups: GroupsView,
    ) -> Self {
        Self { as_of, head, applied, read_to, groups }
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

    /// Refuses to say what the root of an epoch is before the chain was read so far that it is known: the one of the day before
    /// may be another, and an epoch has one. A chain that makes blocks only when there is something to put in has nothing to
    /// add.
    ///
    /// # Errors
    /// [`Refusal::ChainViewStale`].
    pub fn require_epoch(&self, epoch: Epoch) -> Result<(), Refusal> {
        match self.read_to {
            Some(read_to) if read_to < moment_of(epoch) => Err(Refusal::ChainViewStale { retry_after: RETRY_AFTER }),
            _ => Ok(()),
        }
    }

    /// Whether a proof of an epoch is good under this root, in a group of which each epoch has its own.
    ///
    /// # Errors
    /// [`Refusal::RootUnknown`], [`Refusal::RootExpired`]; as [`ChainView::require_epoch`].
    pub fn require_root_in(&self, group: &Group, root: Root, epoch: Epoch) -> Result<(), Refusal> {
        self.require_epoch(epoch)?;
        self.groups.lookup_in(group, root, epoch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_of_an_epoch_is_not_told_before_the_chain_was_read_up_to_an_hour_before_it() {
        let epoch = Epoch(20_000);
        let moment = epoch.starts_at().as_secs() - 3_600;
        for (read_to, known) in [(Some(moment - 1), false), (Some(moment), true), (None, true)] {
            let view = ChainView { read_to: read_to.map(Timestamp::from_secs), ..ChainView::default() };
            assert_eq!(view.require_epoch(epoch).is_ok(), known, "{read_to:?}");
        }
    }

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
