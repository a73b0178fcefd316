//! Drops what no rule asks about any more, and what the operator keeps no longer (docs/operating.md, "Retention").
//!
//! Time is the chain's, or this machine's if that is earlier: a machine that starts with a wrong clock must not forget which
//! stamps were used, nor drop what is young.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;
use xmtp_proto::derive::Issue;
use xmtp_proto::time::{Clock, Epoch, Timestamp};

use crate::chain::ChainHandle;
use crate::config::Retention;
use crate::live::Live;
use crate::members;
use crate::metrics::Metrics;
use crate::store::{RecordKind, Store, StoreError, Sweeper, Swept};
use crate::traffic::Traffic;
use crate::validate::Rules;

/// Between two rounds, unless something is kept for a shorter time.
const INTERVAL: Duration = Duration::from_secs(60);
/// Between two rounds at the least.
const INTERVAL_MIN: Duration = Duration::from_millis(100);

/// Who keeps house.
pub(crate) struct Housekeeping {
    pub(crate) store: Store,
    pub(crate) chain: ChainHandle,
    pub(crate) rules: Arc<Rules>,
    pub(crate) traffic: Traffic,
    pub(crate) live: watch::Receiver<Live>,
    pub(crate) metrics: Metrics,
    pub(crate) clock: Clock,
}

impl Housekeeping {
    /// Goes round until it is told to stop.
    ///
    /// # Errors
    /// A panic, which is a bug of ours. What fails for another reason is tried again.
    pub(crate) async fn run(self, stop: CancellationToken) -> Result<(), JoinError> {
        let mut sweepers = RecordKind::ALL.map(|kind| (kind, Some(Sweeper::new(self.store.clone(), kind))));
        loop {
            self.count().await?;
            if let Some(head) = self.chain.view().head() {
                let now = self.clock.now().min(head.time);
                self.forget(now, &stop).await?;
                for (kind, sweeper) in &mut sweepers {
                    if let Some(before) = self.dropped_before(*kind, now) {
                        self.sweep(*kind, sweeper, before, &stop).await?;
                    }
                }
            }
            let wait = self.retention().shortest().map_or(INTERVAL, |it| it.clamp(INTERVAL_MIN, INTERVAL));
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = stop.cancelled() => return Ok(()),
            }
        }
    }

    /// Counts yesterday's conversations, for what readers are told.
    async fn count(&self) -> Result<(), JoinError> {
        let (traffic, store, today) = (self.traffic.clone(), self.store.clone(), self.clock.now().epoch());
        let counted = tokio::task::spawn_blocking(move || traffic.follow(&store, today)).await?;
        counted.unwrap_or_else(|error| failed(&error));
        Ok(())
    }

    async fn forget(&self, now: Timestamp, stop: &CancellationToken) -> Result<(), JoinError> {
        // One issue and one epoch longer than any rule looks back.
        let issue = Issue(Issue::at(now, self.rules.issue_seconds).0.saturating_sub(Issue::VALID_AFTER + 1));
        let epoch = Epoch(now.epoch().0.saturating_sub(1));
        while !stop.is_cancelled() {
            let store = self.store.clone();
            match tokio::task::spawn_blocking(move || store.forget_before(issue, epoch)).await? {
                Ok(0) => break,
                Ok(entries) => tracing::info!(entries, "dropped what is over"),
                Err(error) => {
                    failed(&error);
                    break;
                }
            }
        }
        Ok(())
    }

    async fn sweep(
        &self,
        kind: RecordKind,
        place: &mut Option<Sweeper>,
        before: Timestamp,
        stop: &CancellationToken,
    ) -> Result<(), JoinError> {
        let (mut total, mut more) = (0, true);
        while more && !stop.is_cancelled() {
            // It is lent to the thread that may block, and always comes back.
            let Some(mut sweeper) = place.take() else { break };
            let (sweeper, swept) = tokio::task::spawn_blocking(move || {
                let swept = sweeper.sweep(before);
                (sweeper, swept)
            })
            .await?;
            *place = Some(sweeper);
            match swept {
                Ok(Swept { dropped, more: again }) => {
                    self.metrics.dropped(kind, dropped);
                    (total, more) = (total + dropped, again);
                }
                Err(error) => {
                    failed(&error);
                    break;
                }
            }
        }
        if total > 0 {
            tracing::info!(records = total, kind = kind.as_str(), "dropped what is kept no longer");
        }
        Ok(())
    }

    fn retention(&self) -> Retention {
        self.live.borrow().retention
    }

    /// The time before which records of a kind were accepted, or replaced, that are kept no longer.
    fn dropped_before(&self, kind: RecordKind, now: Timestamp) -> Option<Timestamp> {
        let Retention { invite, conversation, superseded } = self.retention();
        let keep = match kind {
            RecordKind::Letter => invite,
            RecordKind::Message => conversation,
            RecordKind::Bundle | RecordKind::Own | RecordKind::Snapshot => superseded,
        };
        let before = now.saturating_sub(keep.limit()?);
        // Groups follow from these.
        let counts = matches!(kind, RecordKind::Bundle | RecordKind::Snapshot);
        Some(if counts { before.min(members::needed_since(now)) } else { before })
    }
}

fn failed(error: &StoreError) {
    tracing::warn!(%error, "housekeeping failed; it is tried again");
}
