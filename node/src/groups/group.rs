//! One group: its tree, its books, and the roots taken of it.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use alloy::primitives::{B256, U256};
use xmtp_proto::derive::{Group, GroupId};
use xmtp_proto::field::{Commitment, FieldElement, Root};
use xmtp_proto::time::Timestamp;
use xmtp_prover::tree::RollbackError;
use xmtp_prover::{Bucket, Checkpoint, Group as Tree, Limit, Version, leaves};

use super::books::Books;
use super::view::{Standings, Until};
use super::{Block, Book, Checkpoints, Fate, NoSuchBucket, Operation, RootKind, RootRules, VolumeRoot};

mod epochs;

pub(crate) use epochs::moment_of;

/// Roots of either kind for which buckets are served: clients ask for the newest.
const SERVED: usize = 128;
/// Expired roots that are remembered as such, so that a late sender learns what happened.
const EXPIRED_KEPT: usize = 4_096;
/// Leaves that wait to be hashed at most: 8^5, so that a subtree is done with at one go.
const UNHASHED_MAX: usize = 1 << 15;
const SECONDS_PER_DAY: u64 = 86_400;

/// One group.
pub(super) struct State {
    pub(super) id: GroupId,
    tree: Tree,
    /// Appended, but not in the tree yet, empty ones included: they are hashed when a root is due, which is cheaper by
    /// the dozen, and cheaper still by the thousand.
    unhashed: Vec<Option<(Commitment, Limit)>>,
    books: Books,
    /// Whose secrets became known.
    slashed: HashSet<Commitment>,
    /// The keccak chain over all operations.
    pub(super) chain: B256,
    /// The latest operation.
    changed: Option<Change>,
    checkpoints: VecDeque<Mark>,
    fresh: VecDeque<Mark>,
    expired: VecDeque<Root>,
    standings: Arc<Standings>,
}

#[derive(Clone, Copy)]
struct Change {
    block: u64,
    time: Timestamp,
}

/// Roots that were taken together.
struct Mark {
    version: Version,
    /// The boundary of block time that they were taken at.
    at: Timestamp,
    /// The block that showed that the boundary was passed. Nodes may differ in it.
    shown_by: u64,
    /// The block of the latest operation under them.
    block: u64,
    /// Root and leaves of each volume.
    volumes: Vec<(Root, u32)>,
    /// For serving buckets, while it is among the latest.
    tree: Option<Checkpoint>,
}

/// How a group stood before a block.
pub(super) struct Undo {
    pub(super) group: Group,
    /// The block was the group's first.
    pub(super) created: bool,
    version: Version,
    chain: B256,
    changed: Option<Change>,
    /// Positions taken.
    len: usize,
    /// The numbers of books that left since.
    left: Vec<usize>,
    /// Those that were slashed since.
    slashed: Vec<Commitment>,
}

impl State {
    pub(super) fn new(id: GroupId) -> Self {
        Self {
            id,
            tree: Tree::new(),
            unhashed: Vec::new(),
            books: Books::default(),
            slashed: HashSet::new(),
            chain: B256::ZERO,
            changed: None,
            checkpoints: VecDeque::new(),
            fresh: VecDeque::new(),
            expired: VecDeque::new(),
            standings: Arc::default(),
        }
    }

    /// Leaves appended, empty ones included: the number of the next one.
    pub(super) const fn len(&self) -> u64 {
        self.books.len() as u64
    }

    pub(super) fn undo(&self, group: Group, created: bool) -> Undo {
        Undo {
            group,
            created,
            version: self.version(),
            chain: self.chain,
            changed: self.changed,
            len: self.books.len(),
            left: Vec::new(),
            slashed: Vec::new(),
        }
    }

    /// The operation's position was checked.
    pub(super) fn operate(&mut self, operation: &Operation, block: &Block, undo: &mut Undo) {
        match *operation {
            Operation::Insert { commitment, limit, .. } => {
                let book = self.admit(commitment, limit).inspect_err(|refused| {
                    tracing::warn!(block = block.number, %refused, "a purchase is no book; its position stays empty");
                });
                let book = book.ok();
                self.books.push(book);
                self.unhashed.push(book);
                if self.unhashed.len() >= UNHASHED_MAX {
                    self.hash();
                }
            }
            Operation::Remove { commitment, position, secret, .. } => {
                let commitment = Commitment::try_from_u256(commitment);
                let book = commitment.and_then(|it| Some((it, self.books.get(&it)?)));
                if let Some((commitment, _)) = book.filter(|(_, book)| book.position == position) {
                    self.hash();
                    // The position lies below the tree's length, so there is a leaf.
                    let _ = self.tree.remove(position);
                    // What a slash leaves behind is still asked for, and so is a stake that leaves: it can be slashed for a
                    // week, and its commitment is used up for ever. A member that left may come back.
                    if secret.is_some() {
                        undo.slashed.extend(self.slashed.insert(commitment).then_some(commitment));
                    } else if !matches!(undo.group, Group::Stake { .. }) {
                        undo.left.extend(self.books.lose(&commitment).filter(|number| *number < undo.len));
                    }
                } else {
                    tracing::warn!(
                        block = block.number,
                        "a removal names another book's position; nothing was removed"
                    );
                }
            }
        }
        self.chain = operation.link(self.chain);
        self.changed = Some(Change { block: block.number, time: block.time });
    }

    /// The rules for leaves that the circuit leaves to who admits them.
    fn admit(&self, commitment: U256, limit: u32) -> Result<(Commitment, Limit), NotABook> {
        let commitment = Commitment::try_from_u256(commitment).ok_or(NotABook::Commitment)?;
        let limit = Limit::new(limit).map_err(|_| NotABook::Limit)?;
        if self.books.get(&commitment).is_some() {
            return Err(NotABook::AlreadyThere);
        }
        Ok((commitment, limit))
    }

    /// Takes the roots whose boundary lies between the latest operation and this block.
    pub(super) fn take_due(&mut self, rules: &RootRules, block: &Block, fresh_from: Timestamp) {
        let Some(Change { time, .. }) = self.changed else { return };
        if rules.checkpoints == Some(Checkpoints::Daily) {
            let boundary = boundary_after(time, SECONDS_PER_DAY);
            if boundary <= block.time {
                self.take(RootKind::Checkpoint, rules, boundary, block.number);
            }
        }
        let boundary = boundary_after(time.max(fresh_from), rules.fresh_interval.as_secs());
        if boundary <= block.time {
            self.take(RootKind::Fresh, rules, boundary, block.number);
        }
    }

    /// Takes the roots as they stand, unless nothing has changed since the last time.
    pub(super) fn take(&mut self, kind: RootKind, rules: &RootRules, at: Timestamp, shown_by: u64) {
        let version = self.version();
        let Some(changed) = self.changed else { return };
        if self.marks(kind).back().is_some_and(|newest| newest.version == version) {
            return;
        }
        self.hash();
        let tree = self.tree.checkpoint();
        let volumes: Vec<_> = tree.volumes().iter().map(|volume| (volume.root, volume.len)).collect();
        let standings = Arc::make_mut(&mut self.standings);
        match kind {
            RootKind::Checkpoint => mark_checkpoint(standings, &volumes),
            RootKind::Fresh => {
                if let Some(before) = self.fresh.back() {
                    mark_fresh(standings, &before.volumes, Until::Time(at.saturating_add(rules.fresh_lifetime)));
                }
                mark_fresh(standings, &volumes, Until::Replaced);
            }
        }
        let marks = self.marks_mut(kind);
        marks.push_back(Mark { version, at, shown_by, block: changed.block, volumes, tree: Some(tree) });
        if let Some(older) = marks.len().checked_sub(SERVED + 1) {
            marks[older].tree = None;
        }
    }

    pub(super) fn undo_to(&mut self, undo: Undo) -> Result<(), RollbackError> {
        let unhashed = undo.version.get().checked_sub(self.tree.version().get());
        match unhashed {
            Some(keep) => self.unhashed.truncate(usize::try_from(keep).unwrap_or(usize::MAX)),
            None => {
                self.unhashed.clear();
                self.tree.rollback(undo.version)?;
            }
        }
        self.books.truncate(undo.len);
        undo.left.into_iter().for_each(|number| self.books.find_again(number));
        for commitment in &undo.slashed {
            self.slashed.remove(commitment);
        }
        self.chain = undo.chain;
        self.changed = undo.changed;
        Ok(())
    }

    /// Withdraws the roots that blocks above `number` showed.
    pub(super) fn withdraw_after(&mut self, number: u64, rules: &RootRules) {
        let before = self.checkpoints.len() + self.fresh.len();
        for marks in [&mut self.checkpoints, &mut self.fresh] {
            while marks.pop_back_if(|mark| mark.shown_by > number).is_some() {}
        }
        if self.checkpoints.len() + self.fresh.len() < before {
            self.standings = Arc::new(self.standings_anew(rules));
        }
    }

    /// Drops what was expired at `time`, and what was needed to go back further than `undone`, the oldest there is.
    pub(super) fn forget(&mut self, undone: Option<&Undo>, rules: &RootRules, time: Timestamp) {
        // A fresh root is good until its successor has been so for a lifetime.
        while self.fresh.get(1).is_some_and(|next| next.at.saturating_add(rules.fresh_lifetime) <= time) {
            let Some(mark) = self.fresh.pop_front() else { break };
            self.expired.extend(mark.volumes.iter().map(|(root, _)| *root));
        }
        while self.expired.len() > EXPIRED_KEPT {
            let Some(root) = self.expired.pop_front() else { break };
            if self.standings.get(&root).is_some_and(|standing| !standing.is_good(time)) {
                Arc::make_mut(&mut self.standings).remove(&root);
            }
        }
        let served = [&self.checkpoints, &self.fresh]
            .into_iter()
            .filter_map(|marks| marks.iter().find(|mark| mark.tree.is_some()).map(|mark| mark.version));
        let needed = served.chain(undone.map(|undo| undo.version)).min();
        self.tree.forget_before(needed.unwrap_or_else(|| self.tree.version()));
    }

    pub(super) fn roots(&self) -> Vec<VolumeRoot> {
        let newest = |kind| self.marks(kind).back().map(|mark| (kind, mark));
        let newest = [newest(RootKind::Checkpoint), newest(RootKind::Fresh)].into_iter().flatten();
        newest.flat_map(|(kind, mark)| mark.roots(kind)).collect()
    }

    pub(super) fn bucket(&self, root: Root, index: u32) -> Result<Bucket, NoSuchBucket> {
        for mark in self.checkpoints.iter().rev().chain(self.fresh.iter().rev()) {
            let volume = (0..).zip(&mark.volumes).find_map(|(volume, (it, _))| (*it == root).then_some(volume));
            let (Some(volume), Some(tree)) = (volume, &mark.tree) else { continue };
            return self.tree.bucket(tree, volume, index).map_err(|_| NoSuchBucket);
        }
        Err(NoSuchBucket)
    }

    pub(super) fn book(&self, commitment: Commitment) -> Option<Book> {
        self.books.get(&commitment)
    }

    pub(super) fn fate(&self, commitment: Commitment) -> Option<Fate> {
        let book = self.books.get(&commitment)?;
        if self.slashed.contains(&commitment) {
            return Some(Fate::Slashed);
        }
        // What waits to be hashed stands: a removal hashes first.
        let stands = self.tree.leaf(book.position).is_none_or(|leaf| !leaf.field().is_zero());
        Some(if stands { Fate::Stands } else { Fate::Left })
    }

    pub(super) fn standing(&self) -> Arc<Standings> {
        Arc::clone(&self.standings)
    }

    fn version(&self) -> Version {
        Version::new(self.tree.version().get() + self.unhashed.len() as u64)
    }

    fn hash(&mut self) {
        self.tree.extend(leaves(&std::mem::take(&mut self.unhashed)));
    }

    const fn marks(&self, kind: RootKind) -> &VecDeque<Mark> {
        match kind {
            RootKind::Checkpoint => &self.checkpoints,
            RootKind::Fresh => &self.fresh,
        }
    }

    const fn marks_mut(&mut self, kind: RootKind) -> &mut VecDeque<Mark> {
        match kind {
            RootKind::Checkpoint => &mut self.checkpoints,
            RootKind::Fresh => &mut self.fresh,
        }
    }

    fn standings_anew(&self, rules: &RootRules) -> Standings {
        let mut standings = Standings::new();
        for root in &self.expired {
            standings.entry(*root).or_default();
        }
        for mark in &self.checkpoints {
            mark_checkpoint(&mut standings, &mark.volumes);
        }
        for (position, mark) in self.fresh.iter().enumerate() {
            let until = match self.fresh.get(position + 1) {
                Some(next) => Until::Time(next.at.saturating_add(rules.fresh_lifetime)),
                None => Until::Replaced,
            };
            mark_fresh(&mut standings, &mark.volumes, until);
        }
        standings
    }
}

impl Mark {
    fn roots(&self, kind: RootKind) -> impl Iterator<Item = VolumeRoot> {
        let volumes = (0..).zip(&self.volumes);
        volumes.map(move |(volume, (root, leaves))| VolumeRoot {
            volume,
            kind,
            root: *root,
            leaves: *leaves,
            block: self.block,
        })
    }
}

/// Why an event of a purchase makes no leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum NotABook {
    #[error("the commitment is zero or not below the field's modulus")]
    Commitment,
    #[error("the commitment is there already")]
    AlreadyThere,
    #[error("the number of stamps is not 1 to 65,536")]
    Limit,
}

/// What an event calls a commitment, if it is one.
trait TryFromU256: Sized {
    fn try_from_u256(value: U256) -> Option<Self>;
}

impl TryFromU256 for Commitment {
    fn try_from_u256(value: U256) -> Option<Self> {
        let element = FieldElement::try_from(value).ok()?;
        (!element.is_zero()).then(|| element.into())
    }
}

fn mark_checkpoint(standings: &mut Standings, volumes: &[(Root, u32)]) {
    for (root, _) in volumes {
        standings.entry(*root).or_default().checkpoint = true;
    }
}

fn mark_fresh(standings: &mut Standings, volumes: &[(Root, u32)], until: Until) {
    for (root, _) in volumes {
        standings.entry(*root).or_default().fresh = Some(until);
    }
}

/// The first multiple of `seconds` after a time.
const fn boundary_after(time: Timestamp, seconds: u64) -> Timestamp {
    let seconds = if seconds == 0 { 1 } else { seconds };
    Timestamp::from_secs((time.as_secs() / seconds + 1).saturating_mul(seconds))
}
