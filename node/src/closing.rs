//! A secret that the world knows ends its passes at once: the node refuses every nullifier that it could still produce,
//! without waiting for a root to change (docs/protocol.md, "The pass circuit").
//!
//! A secret becomes known in two ways: this node sees one index on two envelopes, or the chain tells of a slash. A book is
//! closed once, for its stamps have no epoch. A stake has a limit for every day, and its leaf is good until it is slashed,
//! which may be never: so it is closed for one day after the other, each before it begins, for as long as a root may be
//! good that has its leaf.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use xmtp_proto::derive::{Group, Purpose};
use xmtp_proto::field::{Commitment, Nullifier};
use xmtp_proto::time::{Clock, EPOCH_SKEW, Epoch, Timestamp};
use xmtp_prover::{Index, Limit, PassSecret};

use crate::chain::ChainHandle;
use crate::groups::{Fate, Slashed};
use crate::store::{Evidence, Shard, Store, StoreError};
use crate::validate::Rules;

/// Nullifiers that are written together.
const WRITTEN_TOGETHER: usize = 4096;
/// Stakes are closed so long before a day begins at the latest: time enough for many, and for a clock that is set.
const AHEAD: Duration = Duration::from_secs(60 * 60);
/// No root that has a leaf is good for so long after it left.
const ROOTS_OUTLIVE: Duration = Duration::from_secs(2 * 24 * 60 * 60);
/// Days that begin are looked for this often, should the chain have no news.
const TICK: Duration = Duration::from_secs(60);

/// Closes secrets. Clones share what they know.
#[derive(Clone)]
pub(crate) struct Closing {
    rules: Arc<Rules>,
    chain: ChainHandle,
    store: Store,
    clock: Clock,
    stakes: Arc<Mutex<HashMap<(Group, Commitment), Known>>>,
}

/// A stake whose secret is known.
struct Known {
    secret: Arc<PassSecret>,
    /// Since when its leaf has been gone from the newest root; nothing while it stands.
    gone_since: Option<Timestamp>,
}

impl Closing {
    pub(crate) fn new(rules: Arc<Rules>, chain: ChainHandle, store: Store, clock: Clock) -> Self {
        Self { rules, chain, store, clock, stakes: Arc::default() }
    }

    /// Closes all that the holder of a secret could still show in its group, and returns how many passes that is. Takes
    /// seconds for thousands, on a thread that may block.
    pub(crate) async fn close(&self, group: Group, secret: PassSecret) -> Result<usize, StoreError> {
        let secret = Arc::new(secret);
        if let Group::Stake { .. } = group {
            let known = Known { secret: Arc::clone(&secret), gone_since: None };
            self.stakes().entry((group, secret.commitment())).or_insert(known);
        }
        self.blocking(move |this| this.close_now(group, &secret)).await
    }

    /// Closes what is on disk as evidence and what the chain tells of, from the first slash on, and every day that begins,
    /// until it is told to stop.
    pub(crate) async fn run(self, stop: CancellationToken) -> Result<(), StoreError> {
        // Whether all of it was closed before the node ended last is not known; what was, costs little.
        for evidence in self.store.evidence() {
            self.close_evident(&evidence?).await?;
        }
        let mut views = self.chain.subscribe();
        let mut ticks = tokio::time::interval(TICK);
        let mut done: Vec<Slashed> = Vec::new();
        loop {
            let slashed = self.chain.slashed();
            for it in slashed.iter().filter(|it| !done.contains(it)) {
                let Some(secret) = known(it) else { continue };
                let passes = self.close(it.group, secret).await?;
                if passes > 0 {
                    tracing::info!(passes, group = ?it.group, "a secret was slashed; what is left of its passes is refused");
                }
            }
            done = slashed;
            self.close_days().await?;
            tokio::select! {
                // The follower has ended, and the node with it.
                changed = views.changed() => if changed.is_err() { return Ok(()) },
                _ = ticks.tick() => {}
                () = stop.cancelled() => return Ok(()),
            }
        }
    }

    async fn close_evident(&self, evidence: &Evidence) -> Result<(), StoreError> {
        match evidence.secret() {
            Ok(secret) if evidence.is_slashable() => self.close(evidence.group, secret).await.map(drop),
            _ => Ok(()),
        }
    }

    /// Closes the days that have come near since the last time, of the stakes whose leaf a root may still have.
    async fn close_days(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let standing: Vec<_> = {
            let mut stakes = self.stakes();
            stakes.retain(|(group, commitment), known| {
                let stands = self.chain.fate(group, *commitment) == Some(Fate::Stands);
                known.gone_since = if stands { None } else { known.gone_since.or(Some(now)) };
                known.gone_since.is_none_or(|since| now.since(since) <= ROOTS_OUTLIVE)
            });
            stakes.iter().map(|((group, _), known)| (*group, Arc::clone(&known.secret))).collect()
        };
        for (group, secret) in standing {
            self.blocking(move |this| this.close_now(group, &secret)).await?;
        }
        Ok(())
    }

    async fn blocking(
        &self,
        work: impl FnOnce(&Self) -> Result<usize, StoreError> + Send + 'static,
    ) -> Result<usize, StoreError> {
        let this = self.clone();
        // A panic here is a bug of ours; nothing is closed then.
        tokio::task::spawn_blocking(move || work(&this)).await.unwrap_or(Err(StoreError::Closed))
    }

    fn close_now(&self, group: Group, secret: &PassSecret) -> Result<usize, StoreError> {
        match group {
            Group::Stamps { issue, .. } => self.close_shard(group, secret, Shard::Issue(issue)),
            Group::Stake { .. } => near(self.clock.now())
                .map(|epoch| self.close_shard(group, secret, Shard::Epoch(epoch)))
                .try_fold(0, |sum, closed| Ok(sum + closed?)),
            Group::Claim { .. } | Group::Members { .. } => Ok(0),
        }
    }

    fn close_shard(&self, group: Group, secret: &PassSecret, shard: Shard) -> Result<usize, StoreError> {
        // A secret that stands in no leaf of the group produces nothing that a root admits.
        let Some(leaf) = self.chain.book(&group, secret.commitment()) else { return Ok(0) };
        let epoch = match shard {
            Shard::Issue(_) => None,
            Shard::Epoch(epoch) => Some(epoch),
        };
        let external = group.id(self.rules.network, self.rules.postage).external_nullifier(Purpose::Envelope, epoch);
        let nullifier = |index: u16| secret.nullifier(external, Index::new(index));
        let last = last_index(leaf.limit);
        // Closed before, and to the end: the last one is written last.
        if self.store.is_closed(shard, &nullifier(last))? {
            return Ok(0);
        }
        let indices: Vec<u16> = (0..=last).collect();
        for indices in indices.chunks(WRITTEN_TOGETHER) {
            let nullifiers: Vec<Nullifier> = indices.iter().map(|index| nullifier(*index)).collect();
            self.store.close(shard, &nullifiers)?;
        }
        Ok(indices.len())
    }

    fn stakes(&self) -> MutexGuard<'_, HashMap<(Group, Commitment), Known>> {
        self.stakes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The days whose passes count now, or may before the next look.
fn near(now: Timestamp) -> impl Iterator<Item = Epoch> {
    let (first, last) = (now.saturating_sub(EPOCH_SKEW).epoch(), now.saturating_add(AHEAD).epoch());
    (first.0..=last.0).map(Epoch)
}

/// The secret that a slash told; nothing for zero, which is none.
fn known(slashed: &Slashed) -> Option<PassSecret> {
    let mut wide = [0; 64];
    wide[32..].copy_from_slice(&slashed.secret.to_be_bytes::<32>());
    PassSecret::from_wide_bytes(&wide).ok()
}

fn last_index(limit: Limit) -> u16 {
    // A limit is 1 to 65,536.
    u16::try_from(limit.get() - 1).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_that_counts_within_the_hour_is_near() {
        let midnight = Epoch(20_000).starts_at();
        let hours = |hours: u64| Duration::from_secs(hours * 60 * 60);
        for (now, days) in [
            (midnight.saturating_sub(hours(2)), vec![19_999]),
            (midnight.saturating_sub(hours(1)), vec![19_999, 20_000]),
            (midnight.saturating_add(EPOCH_SKEW), vec![20_000]),
            (midnight, vec![19_999, 20_000]),
        ] {
            assert_eq!(near(now).map(|epoch| epoch.0).collect::<Vec<_>>(), days, "{now:?}");
            for soon in [Duration::ZERO, TICK] {
                let then = now.saturating_add(soon);
                let counting = (19_990..20_010).map(Epoch).filter(|epoch| epoch.counts_at(then));
                let known: Vec<_> = near(now).collect();
                assert!(counting.into_iter().all(|epoch| known.contains(&epoch)), "{now:?}, {soon:?} later");
            }
        }
    }
}
