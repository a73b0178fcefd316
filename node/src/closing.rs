//! A secret that the world knows ends its passes at once: the node refuses every nullifier that it could still produce,
//! without waiting for a root to change (docs/protocol.md, "The pass circuit").
//!
//! A secret becomes known in two ways: this node sees one index on two envelopes, or the chain tells of a slash. A book is
//! closed once, for its stamps have no epoch, as soon as the chain has told of it. All else has a limit for every day: it is
//! closed for one day after the other, each before it begins, for as long as a root may be good that has its leaf. Of a stake
//! that is until it was slashed, which may be never; of memberships and claims, whose leaves nobody takes out, until their
//! quarter is over (docs/decisions/0028-closed-memberships.md).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use alloy::primitives::B256;
use tokio_util::sync::CancellationToken;
use xmtp_proto::derive::{ClaimId, Group, Purpose};
use xmtp_proto::field::{Commitment, Nullifier};
use xmtp_proto::time::{Clock, EPOCH_SKEW, Epoch, Generation, Timestamp};
use xmtp_prover::{Index, Limit, PassSecret};

use crate::chain::ChainHandle;
use crate::groups::{Fate, Slashed};
use crate::store::{Evidence, Shard, Store, StoreError};
use crate::validate::Rules;

/// Nullifiers that are written together.
const WRITTEN_TOGETHER: usize = 4096;
/// A day is closed so long before it begins at the latest: time enough for many, and for a clock that is set.
const AHEAD: Duration = Duration::from_secs(60 * 60);
/// No root that has a leaf is good for so long after it left.
const ROOTS_OUTLIVE: Duration = Duration::from_secs(2 * 24 * 60 * 60);
/// Days that begin are looked for this often, should the chain have no news.
const TICK: Duration = Duration::from_secs(60);

/// So many passes of memberships and claims are closed for a day at most, a minute's work. They cost those who give them away
/// no more than a new account, so there may be any number; who is above it is closed for the days at hand alone, and has
/// what every account has: each index of a day once.
const SHARED_A_DAY: usize = 1 << 20;

/// Closes secrets. Clones share what they know.
#[derive(Clone)]
pub(crate) struct Closing {
    rules: Arc<Rules>,
    chain: ChainHandle,
    store: Store,
    clock: Clock,
    revealed: Arc<Mutex<HashMap<(Group, Commitment), Known>>>,
}

/// A secret that is known.
struct Known {
    secret: Arc<PassSecret>,
    /// How many passes it makes, in a day where they have one.
    passes: usize,
    /// Since when its leaf has been gone from the newest root; nothing while it stands.
    gone_since: Option<Timestamp>,
}

impl Closing {
    pub(crate) fn new(rules: Arc<Rules>, chain: ChainHandle, store: Store, clock: Clock) -> Self {
        Self { rules, chain, store, clock, revealed: Arc::default() }
    }

    /// Closes all that the holder of a secret could still show in its group, and returns how many passes that is. Takes
    /// seconds for thousands, on a thread that may block.
    pub(crate) async fn close(&self, group: Group, secret: PassSecret) -> Result<usize, StoreError> {
        let secret = Arc::new(secret);
        self.remember(group, &secret);
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
            self.close_again().await?;
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
            Ok(secret) if !is_over(evidence.group, self.clock.now()) => {
                self.close(evidence.group, secret).await.map(drop)
            }
            _ => Ok(()),
        }
    }

    /// Has a secret closed for the days to come, too, and a book that the chain has not told of yet.
    fn remember(&self, group: Group, secret: &Arc<PassSecret>) {
        // One secret is for all claims of an account.
        let of = match group {
            Group::Claim { generation, .. } => Group::Claim { id: ClaimId(B256::ZERO), generation },
            other => other,
        };
        let (mut revealed, name) = (self.revealed(), (of, secret.commitment()));
        if revealed.contains_key(&name) {
            return;
        }
        let passes = self.produced(group, secret).map(|(_, _, limit)| usize::from(last_index(limit)) + 1).sum();
        let of_accounts = |group: &Group| matches!(group, Group::Claim { .. } | Group::Members { .. });
        let shared = revealed.iter().filter(|((group, _), _)| of_accounts(group)).map(|(_, known)| known.passes);
        if of_accounts(&group) && shared.sum::<usize>() + passes > SHARED_A_DAY {
            tracing::warn!("more accounts gave their secrets away than are closed for every day");
            return;
        }
        revealed.insert(name, Known { secret: Arc::clone(secret), passes, gone_since: None });
    }

    /// Closes the days that have come near since the last time, and the books that the chain has told of, of all whose leaf a
    /// root may still have.
    async fn close_again(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let standing: Vec<_> = {
            let mut revealed = self.revealed();
            revealed.retain(|(group, commitment), known| {
                let stands = match group {
                    Group::Claim { .. } | Group::Members { .. } => !is_over(*group, now),
                    Group::Stake { .. } | Group::Stamps { .. } => {
                        self.chain.fate(group, *commitment) == Some(Fate::Stands)
                    }
                };
                known.gone_since = if stands { None } else { known.gone_since.or(Some(now)) };
                known.gone_since.is_none_or(|since| now.since(since) <= ROOTS_OUTLIVE)
            });
            revealed.iter().map(|((group, _), known)| (*group, Arc::clone(&known.secret))).collect()
        };
        for (group, secret) in standing {
            let commitment = secret.commitment();
            // Once the chain has told of a book, closing it is done for good.
            let for_good = matches!(group, Group::Stamps { .. }) && self.chain.book(&group, commitment).is_some();
            self.blocking(move |this| this.close_now(group, &secret)).await?;
            if for_good {
                self.revealed().remove(&(group, commitment));
            }
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
        let shards: Vec<_> = match group {
            Group::Stamps { issue, .. } => vec![Shard::Issue(issue)],
            Group::Stake { .. } | Group::Claim { .. } | Group::Members { .. } => {
                near(self.clock.now()).map(Shard::Epoch).collect()
            }
        };
        let mut closed = 0;
        for (group, purpose, limit) in self.produced(group, secret) {
            for shard in &shards {
                closed += self.close_shard((group, purpose), secret, limit, *shard)?;
            }
        }
        Ok(closed)
    }

    /// What a secret that stands in a group makes passes of: the group, the purpose, and how many. Nothing, if it stands in no
    /// leaf: it produces nothing that a root admits.
    fn produced(&self, group: Group, secret: &PassSecret) -> impl Iterator<Item = (Group, Purpose, Limit)> {
        const BOTH: [Purpose; 2] = [Purpose::Envelope, Purpose::Opening];
        let (claims, members) = (&self.rules.claims, self.rules.member_limit);
        let (groups, purposes): (Vec<_>, &[Purpose]) = match group {
            Group::Stamps { .. } | Group::Stake { .. } => {
                let leaf = self.chain.book(&group, secret.commitment());
                (leaf.map(|leaf| (group, leaf.limit)).into_iter().collect(), &BOTH[..1])
            }
            Group::Members { .. } => (vec![(group, members)], &BOTH),
            Group::Claim { generation, .. } => {
                let of_it = |id: &ClaimId| {
                    let limit = Limit::new(claims.terms(id)?.limit).ok()?;
                    Some((Group::Claim { id: *id, generation }, limit))
                };
                (claims.ids().filter_map(of_it).collect(), &BOTH)
            }
        };
        groups.into_iter().flat_map(|(group, limit)| purposes.iter().map(move |purpose| (group, *purpose, limit)))
    }

    fn close_shard(
        &self,
        (group, purpose): (Group, Purpose),
        secret: &PassSecret,
        limit: Limit,
        shard: Shard,
    ) -> Result<usize, StoreError> {
        let epoch = match shard {
            Shard::Issue(_) => None,
            Shard::Epoch(epoch) => Some(epoch),
        };
        let external = group.id(self.rules.network, self.rules.postage).external_nullifier(purpose, epoch);
        let nullifier = |index: u16| secret.nullifier(external, Index::new(index));
        let last = last_index(limit);
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

    fn revealed(&self) -> MutexGuard<'_, HashMap<(Group, Commitment), Known>> {
        self.revealed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether nothing of a group counts any more: memberships and claims are for a quarter.
fn is_over(group: Group, now: Timestamp) -> bool {
    match group {
        Group::Claim { generation, .. } | Group::Members { generation, .. } => !Generation(generation).counts_at(now),
        Group::Stamps { .. } | Group::Stake { .. } => false,
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
