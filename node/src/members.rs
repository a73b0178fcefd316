//! The operator's members: one group per generation, of the member commitments in the key bundles of its own log
//! (docs/protocol.md, "Groups and their roots").
//!
//! The machinery is that of [`groups`](crate::groups) with the log in the place of a chain: an entry is a block, its cursor
//! the height, its acceptance the time. All of it follows from the log, so nothing of it is stored.
//!
//! A leaf stands for a commitment, however many accounts name it: nobody can remove another's leaf by naming its commitment
//! and then taking it back.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};
use std::time::Duration;

use alloy::primitives::{Address, B256};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use xmtp_proto::account::Account;
use xmtp_proto::derive::{Group, NetworkId, OperatorId};
use xmtp_proto::field::{Commitment, Root};
use xmtp_proto::key_bundle::KeyBundle;
use xmtp_proto::postmark::Cursor;
use xmtp_proto::record::Record;
use xmtp_proto::time::{Clock, EPOCH_SKEW, GENERATION_SECONDS, Generation, Timestamp};
use xmtp_proto::topic::Topic;
use xmtp_prover::{Bucket, Limit};

use crate::groups::{Block, Groups, GroupsView, NoSuchBucket, Operation, RootRules, VolumeRoot};
use crate::naming::Naming;
use crate::store::{Store, StoreError, Stretch};

/// Records read at once.
const PAGE: usize = 100;
/// Roots that are due although nobody joins are looked for this often.
const TICK: Duration = Duration::from_secs(10);
/// An entry is durable so long after its acceptance at the latest; one that is later counts from the next root on.
const SETTLED_AFTER: Duration = Duration::from_secs(10);

/// Whose members, and how they are counted.
#[derive(Clone, Debug)]
pub(crate) struct MembersConfig {
    pub(crate) network: NetworkId,
    pub(crate) operator: OperatorId,
    /// What is in every leaf.
    pub(crate) limit: Limit,
    pub(crate) roots: RootRules,
}

/// Reads the log and keeps the groups.
pub(crate) struct Members {
    config: MembersConfig,
    store: Store,
    clock: Clock,
    groups: Arc<RwLock<Groups>>,
    view: watch::Sender<GroupsView>,
    seen: Cursor,
    /// What of an account is in the group, by generation.
    named: HashMap<(Generation, Account), Naming>,
    /// How many accounts name a commitment.
    namings: HashMap<(Generation, Commitment), u32>,
}

/// What the rest of the node has of the members. Its clones see the same.
#[derive(Clone)]
pub(crate) struct MembersHandle {
    view: watch::Receiver<GroupsView>,
    groups: Arc<RwLock<Groups>>,
}

/// Bundles that were replaced before this count in no group that anybody proves under.
pub(crate) fn needed_since(now: Timestamp) -> Timestamp {
    let previous = Generation::at(now).0.saturating_sub(1);
    Timestamp::from_secs(u64::from(previous) * GENERATION_SECONDS).saturating_sub(EPOCH_SKEW)
}

impl Members {
    /// Reads the log to its end.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn open(
        config: MembersConfig,
        store: Store,
        clock: Clock,
    ) -> Result<(Self, MembersHandle), StoreError> {
        // The id of a group of members does not depend on where stamps are sold.
        let mut groups = Groups::new(config.roots.clone(), config.network, Address::ZERO);
        groups.replay_towards(clock.now());
        let groups = Arc::new(RwLock::new(groups));
        let (view, seen) = watch::channel(GroupsView::default());
        let handle = MembersHandle { view: seen, groups: Arc::clone(&groups) };
        let seen = Cursor::default();
        let members = Self { config, store, clock, groups, view, seen, named: HashMap::new(), namings: HashMap::new() };
        Ok((members.catching_up().await?, handle))
    }

    /// Follows the log until it is told to stop.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Result<(), StoreError> {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                grown = self.store.grown_past(self.seen) => grown?,
                _ = ticks.tick() => {}
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
        let before = self.clock.now();
        while self.seen < self.store.durable() {
            let Stretch { records, seen } =
                self.store.read(self.seen, PAGE, |topic| matches!(topic, Topic::Contact(_)))?;
            for (cursor, record) in records {
                self.enter(cursor, record.try_into().map_err(|_| StoreError::Damaged { what: "record" })?)?;
            }
            self.seen = seen;
        }
        let view = {
            let mut groups = write(&self.groups);
            groups.pass_time(before.saturating_sub(SETTLED_AFTER));
            groups.view()
        };
        self.view.send_replace(view);
        Ok(())
    }

    fn enter(&mut self, cursor: Cursor, record: Record) -> Result<(), StoreError> {
        let accepted_at = record.postmark.postmark.accepted_at;
        let bundle = KeyBundle::from_bytes(&record.submission.envelope().ciphertext)
            .map_err(|_| StoreError::Damaged { what: "key bundle" })?;
        let generation = Generation(bundle.keys.generation);
        if !generation.counts_at(accepted_at) {
            return Ok(());
        }
        let group = Group::Members { operator: self.config.operator, generation: generation.0 };
        let (account, commitment) = (bundle.keys.account, bundle.keys.member_commitment);
        let before = self.named.get(&(generation, account)).copied();
        let named = before.map_or_else(|| Some(Naming::first(commitment)), |before| before.changed(commitment));
        // A bundle that changes nothing joins nothing.
        let Some(named) = named else { return Ok(()) };
        self.named.insert((generation, account), named);
        let mut operations = Vec::new();
        if let Some(before) = before {
            operations.extend(self.release(group, generation, before.commitment));
        }
        operations.extend(self.name(group, generation, commitment));
        let block = Block { number: cursor.0, hash: B256::ZERO, time: accepted_at, operations };
        let mut groups = write(&self.groups);
        groups.apply(&block).map_err(|gap| {
            tracing::error!(%gap, "the members' group does not follow from the log");
            StoreError::Damaged { what: "order of the contact log" }
        })?;
        // A log is not reorganised.
        groups.forget(cursor.0, accepted_at);
        drop(groups);
        self.forget(accepted_at);
        Ok(())
    }

    /// The leaf that goes when the last account that named it names another.
    fn release(&mut self, group: Group, generation: Generation, commitment: Commitment) -> Option<Operation> {
        let namings = self.namings.get_mut(&(generation, commitment))?;
        *namings -= 1;
        if *namings > 0 {
            return None;
        }
        self.namings.remove(&(generation, commitment));
        let book = read(&self.groups, |groups| groups.book(&group, commitment))?;
        Some(Operation::Remove {
            group: group.id(self.config.network, Address::ZERO),
            commitment: commitment.field().to_u256(),
            limit: book.limit.get(),
            position: book.position,
            secret: None,
        })
    }

    /// The leaf that comes when an account names a commitment first.
    fn name(&mut self, group: Group, generation: Generation, commitment: Commitment) -> Option<Operation> {
        let namings = self.namings.entry((generation, commitment)).or_default();
        *namings += 1;
        if *namings > 1 {
            return None;
        }
        Some(Operation::Insert {
            group,
            commitment: commitment.field().to_u256(),
            limit: self.config.limit.get(),
            position: read(&self.groups, |groups| groups.next_position(&group))?,
        })
    }

    fn forget(&mut self, now: Timestamp) {
        let current = Generation::at(now);
        let is_over = |generation: Generation| generation.0.saturating_add(1) < current.0;
        if self.namings.keys().any(|(generation, _)| is_over(*generation)) {
            self.named.retain(|(generation, _), _| !is_over(*generation));
            self.namings.retain(|(generation, _), _| !is_over(*generation));
        }
    }
}

impl MembersHandle {
    /// The roots as they stand.
    pub(crate) fn view(&self) -> GroupsView {
        self.view.borrow().clone()
    }

    /// The newest root of every volume of a group; nothing if it has none.
    pub(crate) fn roots(&self, group: &Group) -> Vec<VolumeRoot> {
        read(&self.groups, |groups| groups.roots(group))
    }

    /// A bucket as it stood under a root.
    ///
    /// # Errors
    /// [`NoSuchBucket`] if the root is not served, or had no such bucket.
    pub(crate) fn bucket(&self, group: &Group, root: Root, index: u32) -> Result<Bucket, NoSuchBucket> {
        read(&self.groups, |groups| groups.bucket(group, root, index))
    }
}

// Groups check before they change, so one that panicked left them whole.

fn read<T>(groups: &RwLock<Groups>, look: impl FnOnce(&Groups) -> T) -> T {
    look(&groups.read().unwrap_or_else(PoisonError::into_inner))
}

fn write(groups: &RwLock<Groups>) -> RwLockWriteGuard<'_, Groups> {
    groups.write().unwrap_or_else(PoisonError::into_inner)
}
