//! Groups of claims that have issuers: they follow from what the issuers wrote to the claims' topics in this node's own log
//! (docs/protocol.md, "Snapshots", "Groups and their roots"). No chain is asked: whether a snapshot is true is for the issuers
//! to answer for, and for anybody to compute again.
//!
//! A snapshot counts when as many issuers as the claim's threshold have signed it, and the list that one of them published has
//! its roots: the tree is built here. Each epoch has one snapshot, so that who changed its commitment has no second limit and
//! no second tag in it.

mod group;
pub(crate) mod issuers;
mod offered;
mod view;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use xmtp_proto::claim::Terms;
use xmtp_proto::derive::{ClaimId, Group};
use xmtp_proto::field::Root;
use xmtp_proto::pass::Pass;
use xmtp_proto::postmark::Cursor;
use xmtp_proto::record::Record;
use xmtp_proto::snapshot::Entry;
use xmtp_proto::time::{Clock, Generation, Timestamp};
use xmtp_proto::topic::Topic;
use xmtp_prover::{Bucket, Limit};

use crate::groups::{NoSuchBucket, VolumeRoot};
use crate::store::{Store, StoreError, Stretch};
use group::{Kept, OtherRoots, Snapshots};
use issuers::{Agreed, Issuers};

pub use offered::Offered;
pub use view::ClaimsView;

/// Records read at once.
const PAGE: usize = 100;

/// Reads the log and keeps the groups.
pub(crate) struct Claims {
    offered: Offered,
    store: Store,
    clock: Clock,
    issuers: HashMap<ClaimId, Issuers>,
    groups: Arc<RwLock<HashMap<Group, Snapshots>>>,
    view: watch::Sender<ClaimsView>,
    seen: Cursor,
}

/// Why a snapshot that enough issuers signed does not count. Theirs to mend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum NotAccepted {
    #[error(transparent)]
    OtherRoots(#[from] OtherRoots),
    #[error("it looks at block {block}, and the one before at a later one")]
    Older { block: u64 },
    /// The contract takes no such claim.
    #[error("the claim's limit is none")]
    Limit,
}

/// What the rest of the node has of the claims. Its clones see the same.
#[derive(Clone)]
pub struct ClaimsHandle {
    view: watch::Receiver<ClaimsView>,
    groups: Arc<RwLock<HashMap<Group, Snapshots>>>,
}

impl Claims {
    /// Reads the log to its end.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn open(offered: Offered, store: Store, clock: Clock) -> Result<(Self, ClaimsHandle), StoreError> {
        let groups = Arc::default();
        let (view, seen) = watch::channel(ClaimsView::default());
        let handle = ClaimsHandle { view: seen, groups: Arc::clone(&groups) };
        let claims = Self { offered, store, clock, issuers: HashMap::new(), groups, view, seen: Cursor::default() };
        Ok((claims.catching_up().await?, handle))
    }

    /// Follows the log until it is told to stop.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Result<(), StoreError> {
        loop {
            tokio::select! {
                grown = self.store.grown_past(self.seen) => grown?,
                () = stop.cancelled() => return Ok(()),
            }
            self = self.catching_up().await?;
        }
    }

    async fn catching_up(mut self) -> Result<Self, StoreError> {
        let reading = tokio::task::spawn_blocking(move || {
            self.catch_up()?;
            Ok(self)
        });
        // A panic here is a bug of ours; the groups are not what the log says then.
        reading.await.unwrap_or(Err(StoreError::Closed))
    }

    fn catch_up(&mut self) -> Result<(), StoreError> {
        let mut changed = false;
        while self.seen < self.store.durable() {
            let Stretch { records, seen } =
                self.store.read(self.seen, PAGE, |topic| matches!(topic, Topic::Claim(_)))?;
            for (_, record) in records {
                changed |= self.enter(record.try_into().map_err(|_| StoreError::Damaged { what: "record" })?)?;
            }
            self.seen = seen;
        }
        if changed {
            self.publish();
        }
        Ok(())
    }

    /// Whether a snapshot was accepted.
    fn enter(&mut self, record: Record) -> Result<bool, StoreError> {
        let accepted_at = record.postmark.postmark.accepted_at;
        let envelope = record.submission.envelope();
        let (Topic::Claim(claim), [Pass::Issuer(issuer)]) = (envelope.topic, record.submission.passes()) else {
            return Err(StoreError::Damaged { what: "entry of a claim" });
        };
        let claim = ClaimId(claim);
        // The operator may have ceased to offer it.
        let (Some(terms), Some(anchorage)) = (self.offered.terms(&claim), self.offered.anchorage()) else {
            return Ok(false);
        };
        let entry =
            Entry::from_bytes(&envelope.ciphertext).map_err(|_| StoreError::Damaged { what: "entry of a claim" })?;
        let issuers = self.issuers.entry(claim).or_default();
        match entry {
            Entry::Part(part) => issuers.list(issuer.issuer, part),
            Entry::Snapshot(signed) => {
                let digest = signed.snapshot.digest(claim, anchorage);
                issuers.sign(issuer.issuer, digest, signed.snapshot);
            }
        }
        let (threshold, terms) = (terms.threshold, terms.clone());
        let mut accepted = false;
        // Each round takes a list away, or is the last of its snapshot.
        while let Some(agreed) = self.issuers.get_mut(&claim).and_then(|issuers| issuers.agree(threshold)) {
            let digest = agreed.digest;
            match self.accept(claim, &terms, agreed, accepted_at) {
                Ok(()) => accepted = true,
                // Another issuer's may.
                Err(NotAccepted::OtherRoots(error)) => {
                    tracing::error!(%claim, %error, "a list does not count");
                    continue;
                }
                Err(error) => tracing::warn!(%claim, %error, "a snapshot does not count"),
            }
            if let Some(issuers) = self.issuers.get_mut(&claim) {
                issuers.done(digest);
            }
        }
        Ok(accepted)
    }

    fn accept(&self, claim: ClaimId, terms: &Terms, agreed: Agreed, at: Timestamp) -> Result<(), NotAccepted> {
        let limit = Limit::new(terms.limit).map_err(|_| NotAccepted::Limit)?;
        let (generation, block, leaves) =
            (agreed.snapshot.generation, agreed.snapshot.block_number, agreed.snapshot.leaves);
        let group = Group::Claim { id: claim, generation };
        let (from, newest) = {
            let groups = self.groups.read().unwrap_or_else(PoisonError::into_inner);
            groups.get(&group).map_or_else(|| (at.epoch(), None), |it| (it.from(at.epoch()), it.newest_block()))
        };
        if newest.is_some_and(|newest| block < newest) {
            return Err(NotAccepted::Older { block });
        }
        let present = self.clock.now().epoch();
        let kept = Kept::new(agreed, limit, from, present)?;
        let mut groups = self.groups.write().unwrap_or_else(PoisonError::into_inner);
        groups.entry(group).or_default().push(kept, present);
        tracing::info!(%claim, generation, block, leaves, "a snapshot was agreed on");
        Ok(())
    }

    fn publish(&self) {
        let now = self.clock.now();
        let current = Generation::at(now).0;
        let mut groups = self.groups.write().unwrap_or_else(PoisonError::into_inner);
        groups.retain(|group, _| match group {
            Group::Claim { generation, .. } => generation.saturating_add(1) >= current,
            _ => false,
        });
        groups.values_mut().for_each(|snapshots| snapshots.settle(now.epoch()));
        let view = groups.iter().map(|(group, snapshots)| (*group, snapshots.in_force())).collect();
        self.view.send_replace(ClaimsView::new(view));
    }
}

impl ClaimsHandle {
    /// The roots as they stand.
    pub(crate) fn view(&self) -> ClaimsView {
        self.view.borrow().clone()
    }

    /// The roots of a group in the present epoch; nothing if it has none.
    pub(crate) fn roots(&self, group: &Group, now: Timestamp) -> Vec<VolumeRoot> {
        let groups = self.groups.read().unwrap_or_else(PoisonError::into_inner);
        groups.get(group).map(|snapshots| snapshots.roots(now.epoch())).unwrap_or_default()
    }

    /// A bucket as it stands under a root.
    ///
    /// # Errors
    /// [`NoSuchBucket`] if no such root counts, or has no such bucket.
    pub(crate) fn bucket(&self, group: &Group, root: Root, index: u32) -> Result<Bucket, NoSuchBucket> {
        let groups = self.groups.read().unwrap_or_else(PoisonError::into_inner);
        groups.get(group).ok_or(NoSuchBucket)?.bucket(root, index)
    }
}
