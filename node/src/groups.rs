//! The trees of groups, and the roots under which a proof is good (docs/protocol.md, "Groups and their roots").
//!
//! Driven by blocks of the settlement chain, or by entries of an operator's log in their place, and nothing else: no clock,
//! no network, no disk. Two nodes that were given
//! the same operations name the same roots, whichever empty blocks each of them happened to see. A root is therefore
//! never "the state now" but the state *before* a boundary of block time: all operations of earlier blocks, none of
//! later ones.
//!
//! [`Groups`] is what changes, [`GroupsView`] what validation reads.

mod books;
mod group;
mod view;

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use alloy::primitives::{Address, B256, U256};
use xmtp_contracts::leaf_log;
use xmtp_proto::derive::{Group, GroupId, Issue, NetworkId};
use xmtp_proto::field::{Commitment, Root};
use xmtp_proto::time::{Epoch, Generation, Timestamp};
use xmtp_prover::tree::VOLUME_LEAVES;
use xmtp_prover::{Bucket, Limit, Position};

pub(crate) use group::moment_of;
pub use view::GroupsView;
pub(crate) use view::{EpochRoots, InForce};

use group::{State, Undo};

/// A block of the settlement chain, as far as it concerns groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Height.
    pub number: u64,
    /// 32 bytes.
    pub hash: B256,
    /// The block's own timestamp, in whole seconds.
    pub time: Timestamp,
    /// In the order of the block's logs.
    pub operations: Vec<Operation>,
}

/// An operation on a group's leaf log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A book was bought, tokens were staked, a token's holder registered, or a member named its commitment.
    Insert {
        /// Where it belongs: stamps, stakes and registered claims on the chain, members in a log.
        group: Group,
        /// As the event has it; whether it is a commitment is judged by [`Groups::apply`].
        commitment: U256,
        /// Stamps in the book, or envelopes a day, as the event has it.
        limit: u32,
        /// Where its leaf stands.
        position: Position,
    },
    /// A book or a stake was slashed, a stake's exit requested, a registration replaced or pruned, or a member's commitment
    /// replaced.
    Remove {
        /// The event does not say more.
        group: GroupId,
        /// As the event has it.
        commitment: U256,
        /// As the leaf has it.
        limit: u32,
        /// Where its leaf stands, or stood.
        position: Position,
        /// What the world knows since; nothing where a leaf left of its own accord.
        secret: Option<U256>,
    },
}

/// A book or a stake whose secret the chain told. It stays told, even where a reorganisation undoes the slash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slashed {
    /// Its group.
    pub group: Group,
    /// As the event has it.
    pub secret: U256,
    /// The time of the block that told it.
    pub at: Timestamp,
}

/// When roots are taken, and how long they are good. All nodes of a network have the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootRules {
    /// When checkpoints are taken; they are good for the life of the issue. None where a leaf may leave.
    pub checkpoints: Option<Checkpoints>,
    /// Block time between fresh roots; whole seconds, default 60 s. Zero: after every block with an operation.
    pub fresh_interval: Duration,
    /// How long a fresh root is good after another has taken its place; default 24 hours.
    pub fresh_lifetime: Duration,
    /// Seconds per issue of stamps, which is what `Postage` says, or per generation of members.
    pub issue_seconds: u64,
}

impl RootRules {
    /// The same pace for groups that leaves may leave: none of their roots is good for more than a lifetime after another
    /// has taken its place.
    #[must_use]
    pub const fn without_checkpoints(&self) -> Self {
        let at_once = matches!(self.checkpoints, Some(Checkpoints::EveryBlock));
        Self {
            checkpoints: None,
            fresh_interval: if at_once { Duration::ZERO } else { self.fresh_interval },
            fresh_lifetime: self.fresh_lifetime,
            issue_seconds: self.issue_seconds,
        }
    }
}

/// When checkpoints are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Checkpoints {
    /// After every block with an operation: for devnets, where nobody hides in a crowd.
    EveryBlock,
    /// Before the first block of every UTC day.
    Daily,
}

/// What kind of root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RootKind {
    /// Good for the life of the issue.
    Checkpoint,
    /// Good for a day.
    Fresh,
}

/// A root that clients may prove under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VolumeRoot {
    /// The volume.
    pub volume: u32,
    /// Which kind.
    pub kind: RootKind,
    /// The root.
    pub root: Root,
    /// Positions taken in the volume, emptied ones included.
    pub leaves: u32,
    /// The block of the latest operation on the group that the root knows of.
    pub block: u64,
}

/// A book of stamps as the chain announced it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Book {
    /// Where its leaf stands, or stood.
    pub position: Position,
    /// Stamps in it.
    pub limit: Limit,
}

/// What became of a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It stands in the newest tree.
    Stands,
    /// It left of its own accord.
    Left,
    /// Its secret became known.
    Slashed,
}

/// There is no such bucket under such a root, or the root is too old to be served. The fault of who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such bucket under a root that this node serves")]
pub struct NoSuchBucket;

/// Why blocks do not follow on what is known. The fault of the RPC that served them: it left something out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Gap {
    /// The leaf belongs elsewhere than at the end of its group.
    #[error("group {group} goes on at leaf {expected}, but the next one served is {got}")]
    Position {
        /// Which group.
        group: GroupId,
        /// The number of the next leaf.
        expected: u64,
        /// The number that was served.
        got: u64,
    },
    /// A leaf was removed from a group of which nothing is known.
    #[error("a leaf was removed from group {group}, of which nothing was served")]
    Group {
        /// Which group.
        group: GroupId,
    },
    /// Blocks must come in ascending order.
    #[error("block {got} does not come after block {last}")]
    Order {
        /// The latest block.
        last: u64,
        /// What was served.
        got: u64,
    },
}

/// How a group stands behind blocks that were not applied.
#[derive(Clone, Copy)]
struct Ahead {
    group: Group,
    /// The number of its next leaf.
    next: u64,
    chain: B256,
}

/// What is needed to go back so far was forgotten: begin anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the groups no longer remember how they stood at that block")]
pub struct TooDeep;

/// All groups that one order of operations feeds: those of a network's contracts, or the members of an operator.
pub struct Groups {
    /// Of stamps, which leave by slashing alone.
    rules: RootRules,
    /// Of all others.
    leaving: RootRules,
    network: NetworkId,
    postage: Address,
    groups: HashMap<Group, State>,
    /// Every group that ever was, for operations that name it by its id alone.
    names: HashMap<GroupId, Group>,
    /// The latest block.
    last: Option<u64>,
    /// How to undo the operations of blocks above `horizon`, oldest first.
    undo: VecDeque<(u64, Vec<Undo>)>,
    /// In the order in which they became known.
    slashed: Vec<Slashed>,
    /// The lowest block that can be gone back to.
    horizon: u64,
    /// The time of a block that lies ahead, or did.
    replayed_to: Timestamp,
}

impl Groups {
    /// No groups yet.
    #[must_use]
    pub fn new(rules: RootRules, network: NetworkId, postage: Address) -> Self {
        Self {
            leaving: rules.without_checkpoints(),
            rules,
            network,
            postage,
            groups: HashMap::new(),
            names: HashMap::new(),
            last: None,
            undo: VecDeque::new(),
            slashed: Vec::new(),
            horizon: 0,
            replayed_to: Timestamp::default(),
        }
    }

    /// Leaves out what would be gone at `head`, the time of a block far ahead: fresh roots that will have expired, and
    /// groups whose stamps will be good no more. For a long replay, where nearly all work would go into those.
    pub fn replay_towards(&mut self, head: Timestamp) {
        self.replayed_to = head;
    }

    /// The latest block applied.
    #[must_use]
    pub const fn last(&self) -> Option<u64> {
        self.last
    }

    /// Checks that blocks follow on what is known, and says where the chain of every group that they touch must stand
    /// after them (`IPostage.Group.chain`, and those of the other contracts).
    ///
    /// # Errors
    /// [`Gap`] if something is missing before or between them.
    pub fn foresee(&self, blocks: &[Block]) -> Result<Vec<(Group, B256)>, Gap> {
        let ahead = self.walk(blocks, Operation::link)?;
        Ok(ahead.into_values().map(|Ahead { group, chain, next: _ }| (group, chain)).collect())
    }

    /// How every group that these blocks touch stands behind them, its chain as `link` has it.
    fn walk(&self, blocks: &[Block], link: impl Fn(&Operation, B256) -> B256) -> Result<HashMap<GroupId, Ahead>, Gap> {
        let mut last = self.last;
        let mut ahead: HashMap<GroupId, Ahead> = HashMap::new();
        let mut left_out = HashSet::new();
        for block in blocks {
            if let Some(last) = last.filter(|last| *last >= block.number) {
                return Err(Gap::Order { last, got: block.number });
            }
            last = Some(block.number);
            for operation in &block.operations {
                let known = |group: &Group| {
                    let state = self.groups.get(group)?;
                    Some((state.id, Ahead { group: *group, next: state.len(), chain: state.chain }))
                };
                let (id, known) = match operation {
                    // Nobody asks any more what becomes of an issue that is over.
                    Operation::Insert { group, .. } if self.is_left_out(group) => {
                        left_out.insert(self.id_of(group));
                        continue;
                    }
                    Operation::Remove { group, .. } if left_out.contains(group) || self.is_gone(group, block.time) => {
                        continue;
                    }
                    Operation::Insert { group, .. } => known(group)
                        .unwrap_or_else(|| (self.id_of(group), Ahead { group: *group, next: 0, chain: B256::ZERO })),
                    Operation::Remove { group: id, .. } => {
                        let known = self.names.get(id).and_then(known);
                        // Inserted and removed within these very blocks.
                        let known = known.or_else(|| Some((*id, *ahead.get(id)?)));
                        known.ok_or(Gap::Group { group: *id })?
                    }
                };
                let Ahead { group: _, next, chain } = ahead.entry(id).or_insert(known);
                operation.check_position(id, *next)?;
                *next += u64::from(operation.is_insert());
                *chain = link(operation, *chain);
            }
        }
        Ok(ahead)
    }

    /// Takes the roots that the block's time makes due, then applies its operations. An event with a commitment that is
    /// zero, not below r or already there, or with a limit outside 1 to 65,536, takes its position and leaves it
    /// empty: our contract emits none, and another one's must not shift the leaves of others.
    ///
    /// # Errors
    /// [`Gap`] if something is missing before the block; then nothing has changed.
    pub fn apply(&mut self, block: &Block) -> Result<(), Gap> {
        // The chain is linked below, once.
        self.walk(std::slice::from_ref(block), |_, chain| chain)?;
        let lifetime = self.rules.fresh_lifetime.saturating_add(self.rules.fresh_interval);
        let fresh_from = self.replayed_to.saturating_sub(lifetime);
        for (group, state) in &mut self.groups {
            let rules = rules_of(group, &self.rules, &self.leaving);
            match group {
                Group::Claim { .. } => state.take_due_of_epoch(block, rules),
                _ => state.take_due(rules, block, fresh_from),
            }
        }
        let mut touched: Vec<Undo> = Vec::new();
        for operation in &block.operations {
            let id = match operation {
                Operation::Insert { group, .. } => self.groups.get(group).map_or_else(|| self.id_of(group), |it| it.id),
                Operation::Remove { group, .. } => *group,
            };
            if let Operation::Insert { group, .. } = operation {
                self.names.insert(id, *group);
            }
            let Some(group) = self.group_of(operation) else { continue };
            let created = !self.groups.contains_key(&group);
            let state = self.groups.entry(group).or_insert_with(|| State::new(id));
            let undo = match touched.iter_mut().find(|undo| undo.group == group) {
                Some(undo) => undo,
                None => touched.push_mut(state.undo(group, created)),
            };
            state.operate(operation, block, undo);
            if let Operation::Remove { secret: Some(secret), .. } = *operation {
                // A reorganisation may bring the same one again.
                self.slashed.retain(|it| (it.group, it.secret) != (group, secret));
                self.slashed.push(Slashed { group, secret, at: block.time });
            }
        }
        for undo in &touched {
            let Some(state) = self.groups.get_mut(&undo.group) else { continue };
            let rules = rules_of(&undo.group, &self.rules, &self.leaving);
            if let Group::Claim { .. } = undo.group {
                if undo.created {
                    state.take_first_of_epochs(block, rules);
                }
                continue;
            }
            let at_once = [
                (RootKind::Checkpoint, rules.checkpoints == Some(Checkpoints::EveryBlock)),
                (RootKind::Fresh, rules.fresh_interval.is_zero()),
            ];
            for (kind, _) in at_once.into_iter().filter(|(_, is_due)| *is_due) {
                state.take(kind, rules, block.time, block.number);
            }
        }
        if !touched.is_empty() && block.number > self.horizon {
            self.undo.push_back((block.number, touched));
        }
        self.last = Some(block.number);
        Ok(())
    }

    /// Takes the roots that are due at a time before which no further operation can come, where no block tells of it.
    pub fn pass_time(&mut self, time: Timestamp) {
        let number = self.last.unwrap_or_default();
        let nothing = Block { number, hash: B256::ZERO, time, operations: Vec::new() };
        for (group, state) in &mut self.groups {
            state.take_due(rules_of(group, &self.rules, &self.leaving), &nothing, Timestamp::default());
        }
    }

    /// Undoes all blocks above `number`, and withdraws the roots that they made.
    ///
    /// # Errors
    /// [`TooDeep`] below what [`Groups::forget`] gave up; then nothing has changed.
    pub fn rollback(&mut self, number: u64) -> Result<(), TooDeep> {
        if number < self.horizon {
            return Err(TooDeep);
        }
        while let Some((_, undos)) = self.undo.pop_back_if(|(block, _)| *block > number) {
            for undo in undos.into_iter().rev() {
                if undo.created {
                    self.groups.remove(&undo.group);
                } else if let Some(state) = self.groups.get_mut(&undo.group) {
                    state.undo_to(undo).map_err(|_| TooDeep)?;
                }
            }
        }
        for (group, state) in &mut self.groups {
            state.withdraw_after(number, rules_of(group, &self.rules, &self.leaving));
        }
        self.last = self.last.map(|last| last.min(number));
        Ok(())
    }

    /// Declares the block `number`, with its time, settled: nothing below it is rolled back any more. Drops roots that
    /// were expired by then, and groups whose stamps were.
    pub fn forget(&mut self, number: u64, time: Timestamp) {
        self.horizon = self.horizon.max(number);
        while self.undo.pop_front_if(|(block, _)| *block <= number).is_some() {}
        let is_ended = |group: &&Group| is_over(group, time, self.rules.issue_seconds);
        let ended: HashSet<Group> = self.groups.keys().filter(is_ended).copied().collect();
        if !ended.is_empty() {
            // What follows could not be undone for a group that is gone.
            for (_, undos) in &mut self.undo {
                undos.retain(|undo| !ended.contains(&undo.group));
            }
            self.groups.retain(|group, _| !ended.contains(group));
            self.slashed.retain(|slashed| !ended.contains(&slashed.group));
        }
        // No root outlives its leaf by more, and a book's stamps have none that ends before they do.
        let outlives = self.rules.fresh_lifetime.saturating_add(self.rules.fresh_interval);
        let is_felt = |it: &Slashed| matches!(it.group, Group::Stamps { .. }) || time.since(it.at) <= outlives;
        self.slashed.retain(is_felt);
        for (group, state) in &mut self.groups {
            if let Group::Claim { .. } = group {
                state.forget_epochs(time);
            }
            let undone = self.undo.iter().flat_map(|(_, undos)| undos).find(|undo| undo.group == *group);
            state.forget(undone, rules_of(group, &self.rules, &self.leaving), time);
        }
    }

    /// The roots under which proofs of an epoch are good, where each epoch has its own; nothing if the group has none yet.
    #[must_use]
    pub fn roots_in(&self, group: &Group, epoch: Epoch) -> Vec<VolumeRoot> {
        self.groups.get(group).map(|state| state.roots_in(epoch)).unwrap_or_default()
    }

    /// The newest checkpoint and the newest fresh root of every volume; nothing if the group has none yet.
    #[must_use]
    pub fn roots(&self, group: &Group) -> Vec<VolumeRoot> {
        self.groups.get(group).map(State::roots).unwrap_or_default()
    }

    /// A bucket of the volume that has this root, as it stood under it.
    ///
    /// # Errors
    /// [`NoSuchBucket`] if the root is not among the latest 128 of its kind, or had no such bucket.
    pub fn bucket(&self, group: &Group, root: Root, index: u32) -> Result<Bucket, NoSuchBucket> {
        self.groups.get(group).ok_or(NoSuchBucket)?.bucket(root, index)
    }

    /// The book under a commitment, slashed or not: what a recovered secret leads to.
    #[must_use]
    pub fn book(&self, group: &Group, commitment: Commitment) -> Option<Book> {
        self.groups.get(group)?.book(commitment)
    }

    /// What became of the leaf of a commitment; nothing if there is none.
    #[must_use]
    pub fn fate(&self, group: &Group, commitment: Commitment) -> Option<Fate> {
        self.groups.get(group)?.fate(commitment)
    }

    /// Where the next leaf of a group goes; nothing if it has no more room.
    #[must_use]
    pub fn next_position(&self, group: &Group) -> Option<Position> {
        let next = self.groups.get(group).map(State::len).unwrap_or_default();
        let per_volume = u64::from(VOLUME_LEAVES);
        let (volume, index) = (u32::try_from(next / per_volume).ok()?, u32::try_from(next % per_volume).ok()?);
        Some(Position { volume, index })
    }

    /// The slashes of books and stakes that are kept here, undone ones too; those of stakes for as long as a root may have
    /// their leaf. At most as many as there were leaves.
    #[must_use]
    pub fn slashed(&self) -> &[Slashed] {
        &self.slashed
    }

    /// Where a group's keccak chain stands (`IPostage.Group.chain`); zero if it has no leaf yet.
    #[must_use]
    pub fn chain(&self, group: &Group) -> B256 {
        self.groups.get(group).map(|state| state.chain).unwrap_or_default()
    }

    /// All roots as they stand, for validation.
    #[must_use]
    pub fn view(&self) -> GroupsView {
        let (of_epochs, others): (Vec<_>, Vec<_>) =
            self.groups.iter().partition(|(group, _)| matches!(group, Group::Claim { .. }));
        let roots = others.into_iter().map(|(group, state)| (*group, state.standing())).collect();
        let of_epochs = of_epochs.into_iter().map(|(group, state)| (*group, state.of_epochs())).collect();
        GroupsView::new(roots, of_epochs, self.rules.issue_seconds)
    }

    fn id_of(&self, group: &Group) -> GroupId {
        group.id(self.network, self.postage)
    }

    /// The group that an operation changes; nothing if its stamps are good no more, and it is gone.
    fn group_of(&self, operation: &Operation) -> Option<Group> {
        match operation {
            Operation::Insert { group, .. } => Some(*group).filter(|it| !self.is_left_out(it)),
            Operation::Remove { group, .. } => self.names.get(group).copied().filter(|it| self.groups.contains_key(it)),
        }
    }

    /// Whether a group was dropped because its stamps are good no more; books are slashed for longer than that.
    fn is_gone(&self, id: &GroupId, now: Timestamp) -> bool {
        let is_over = |group| is_over(group, now.max(self.replayed_to), self.rules.issue_seconds);
        self.names.get(id).is_some_and(|group| !self.groups.contains_key(group) && is_over(group))
    }

    /// Whether a group is over at the head towards which this replays.
    fn is_left_out(&self, group: &Group) -> bool {
        is_over(group, self.replayed_to, self.rules.issue_seconds)
    }
}

/// Those of stamps, or those of groups that leaves may leave.
const fn rules_of<'a>(group: &Group, stamps: &'a RootRules, leaving: &'a RootRules) -> &'a RootRules {
    match group {
        Group::Stamps { .. } => stamps,
        Group::Stake { .. } | Group::Claim { .. } | Group::Members { .. } => leaving,
    }
}

/// Whether the stamps of a group, or the commitments in it, are good no more.
fn is_over(group: &Group, now: Timestamp, issue_seconds: u64) -> bool {
    match group {
        Group::Stamps { issue, .. } => {
            let current = Issue::at(now, issue_seconds);
            *issue < current && !issue.valid_in(current)
        }
        // The one before may still count, near the edge.
        Group::Members { generation, .. } | Group::Claim { generation, .. } => {
            generation.saturating_add(1) < Generation::at(now).0
        }
        Group::Stake { .. } => false,
    }
}

impl Operation {
    const fn is_insert(&self) -> bool {
        matches!(self, Self::Insert { .. })
    }

    /// An insertion takes the next position, a removal one that is taken.
    fn check_position(&self, group: GroupId, next: u64) -> Result<(), Gap> {
        let (Self::Insert { position, .. } | Self::Remove { position, .. }) = self;
        // A position beyond its volume has the number of no leaf.
        let in_volume = position.index < VOLUME_LEAVES;
        let got = u64::from(position.volume) * u64::from(VOLUME_LEAVES) + u64::from(position.index);
        let follows = if self.is_insert() { got == next } else { got < next };
        if in_volume && follows { Ok(()) } else { Err(Gap::Position { group, expected: next, got }) }
    }

    fn link(&self, chain: B256) -> B256 {
        let (kind, commitment, limit) = match self {
            Self::Insert { commitment, limit, .. } => (leaf_log::Operation::Insert, commitment, limit),
            Self::Remove { commitment, limit, secret: Some(_), .. } => (leaf_log::Operation::Slash, commitment, limit),
            Self::Remove { commitment, limit, secret: None, .. } => (leaf_log::Operation::Exit, commitment, limit),
        };
        leaf_log::link(chain, kind, *commitment, *limit)
    }
}

#[cfg(test)]
mod tests;
