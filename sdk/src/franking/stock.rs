//! Blank stamps: proofs made while there is nothing to send, but for the letter (docs/protocol.md, "Franking ahead of time";
//! docs/decisions/0018-stock-of-blanks.md).
//!
//! A stock lives in memory, and so no longer than the session that its indices were granted to: no copy of a state, and no
//! later session, can come upon a blank for an index that is not its own. What is taken out is gone, whatever becomes of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use xmtp_proto::field::Scope;
use xmtp_proto::time::Timestamp;
use xmtp_prover::{Blank, Index, Path, Plate};

use crate::state::{BookId, StampUse};
use crate::transport::VolumeRoot;

/// Blanks that are kept of each book.
pub const STOCK: usize = 4;
/// Blanks are used for so long after their checkpoint was fetched: who kept them longer would be known by their root.
const BLANK_LIFE: Duration = Duration::from_secs(7 * 86_400);
/// And made under the same checkpoint for so long: there is one a day.
const PLATE_LIFE: Duration = Duration::from_secs(86_400);

/// Blanks by book.
#[derive(Default)]
pub(crate) struct Stock(HashMap<BookId, Shelf>);

struct Shelf {
    ground: Ground,
    blanks: HashMap<Index, Kept>,
}

/// What a book's next blanks are made from.
#[derive(Clone)]
pub(crate) struct Ground {
    /// The checkpoint.
    pub(crate) root: VolumeRoot,
    /// The leaf's, under it.
    pub(crate) path: Path,
    /// As secret as the book.
    pub(crate) plate: Arc<Plate>,
    /// When the checkpoint was fetched.
    pub(crate) since: Timestamp,
}

struct Kept {
    blank: Blank,
    towards: Towards,
    root: VolumeRoot,
    since: Timestamp,
}

/// For whom a stamp's tag is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Towards {
    /// For nobody: its scope is a nonce.
    Anybody,
    /// For a topic, whose scope this is.
    One(Scope),
}

impl Stock {
    /// Blanks of all books.
    pub(crate) fn len(&self) -> usize {
        self.0.values().map(|shelf| shelf.blanks.len()).sum()
    }

    /// What a book's next blank is to be made from, if its checkpoint is recent.
    pub(crate) fn ground(&self, book: BookId, now: Timestamp) -> Option<Ground> {
        let ground = &self.0.get(&book)?.ground;
        (now.since(ground.since) < PLATE_LIFE).then(|| ground.clone())
    }

    /// Makes a book's next blanks from this. Those that were made from what was before stay.
    pub(crate) fn lay(&mut self, book: BookId, ground: Ground) {
        match self.0.get_mut(&book) {
            Some(shelf) => shelf.ground = ground,
            None => drop(self.0.insert(book, Shelf { ground, blanks: HashMap::new() })),
        }
    }

    /// Drops the blanks that are too old, and those of indices that are not among these any more.
    pub(crate) fn tidy(&mut self, book: BookId, coming: &[Index], now: Timestamp) {
        if let Some(shelf) = self.0.get_mut(&book) {
            shelf.blanks.retain(|index, kept| coming.contains(index) && now.since(kept.since) < BLANK_LIFE);
        }
    }

    /// The first of these indices that has no blank towards somebody. A blank that is made towards somebody in particular is
    /// nobody else's; one towards anybody gives way to it.
    pub(crate) fn missing(&self, book: BookId, coming: &[Index], towards: Towards) -> Option<Index> {
        let is_there = |index: &Index| {
            let kept = self.0.get(&book).and_then(|shelf| shelf.blanks.get(index));
            kept.is_some_and(|kept| towards == Towards::Anybody || kept.towards == towards)
        };
        coming.iter().copied().find(|index| !is_there(index))
    }

    /// Keeps a blank, in place of the one that its index had.
    pub(crate) fn keep(&mut self, book: BookId, towards: Towards, from: &Ground, blank: Blank) {
        let kept = Kept { towards, root: from.root, since: from.since, blank };
        if let Some(shelf) = self.0.get_mut(&book) {
            shelf.blanks.insert(kept.blank.index(), kept);
        }
    }

    /// Takes a stamp's blank out for good, and gives it if it can be used, with the checkpoint that it was made under.
    pub(crate) fn take(&mut self, stamp: StampUse, towards: Towards, now: Timestamp) -> Option<(Blank, VolumeRoot)> {
        let Kept { blank, towards: made_for, root, since } =
            self.0.get_mut(&stamp.book)?.blanks.remove(&stamp.index)?;
        (made_for == towards && now.since(since) < BLANK_LIFE).then_some((blank, root))
    }

    /// Gives up all that a book has: its root is good no more.
    pub(crate) fn give_up(&mut self, book: BookId) {
        self.0.remove(&book);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use chacha20::ChaCha20Rng;
    use chacha20::rand_core::SeedableRng;
    use xmtp_proto::field::FieldElement;
    use xmtp_prover::{Group, Limit, PassSecret, ProvingKey, leaf};

    use super::*;
    use crate::keys::InstallationId;
    use crate::transport::RootKind;

    const BOOK: BookId = BookId { installation: InstallationId::numbered(7), counter: 0 };
    const DAY: Duration = Duration::from_secs(86_400);

    static GROUND: LazyLock<Ground> = LazyLock::new(|| {
        let key = ProvingKey::dev_cached(&std::env::temp_dir()).unwrap();
        let secret = PassSecret::from_wide_bytes(&[7; 64]).unwrap();
        let limit = Limit::new(100).unwrap();
        let mut group = Group::new();
        let position = group.append(leaf(secret.commitment(), limit));
        let path = group.bucket(&group.checkpoint(), position.volume, 0).unwrap().path(position.index).unwrap();
        let plate = Arc::new(Plate::new(&key, &secret, limit, &path).unwrap());
        let root = VolumeRoot { volume: 0, kind: RootKind::Checkpoint, root: plate.root(), leaves: 1, block: 1 };
        Ground { root, path, plate, since: on_day(10) }
    });

    fn on_day(day: u32) -> Timestamp {
        Timestamp::from_secs(0).saturating_add(DAY * day)
    }

    fn stamp(index: u16) -> StampUse {
        StampUse { book: BOOK, index: Index::new(index) }
    }

    fn towards(topic: u64) -> Towards {
        Towards::One(FieldElement::from(topic).into())
    }

    fn blank(index: u16) -> Blank {
        let mut rng = ChaCha20Rng::from_seed([index.to_be_bytes()[1]; 32]);
        let (external_nullifier, scope) = (FieldElement::from(1).into(), FieldElement::from(2).into());
        GROUND.plate.blank(external_nullifier, Index::new(index), scope, &mut rng).unwrap()
    }

    fn stock_of(blanks: &[(u16, Towards)]) -> Stock {
        let mut stock = Stock::default();
        stock.lay(BOOK, GROUND.clone());
        blanks.iter().for_each(|(index, towards)| stock.keep(BOOK, *towards, &GROUND, blank(*index)));
        stock
    }

    fn coming(indices: &[u16]) -> Vec<Index> {
        indices.iter().copied().map(Index::new).collect()
    }

    #[test]
    fn blank_is_taken_once() {
        let mut stock = stock_of(&[(3, Towards::Anybody)]);
        assert_eq!(stock.take(stamp(3), Towards::Anybody, on_day(10)).unwrap().0.index(), Index::new(3));
        assert!(stock.take(stamp(3), Towards::Anybody, on_day(10)).is_none());
    }

    #[test]
    fn blank_of_another_index_is_not_taken() {
        assert!(stock_of(&[(3, Towards::Anybody)]).take(stamp(4), Towards::Anybody, on_day(10)).is_none());
    }

    #[test]
    fn blank_that_does_not_fit_is_gone_all_the_same() {
        let mut stock = stock_of(&[(3, towards(5))]);
        assert!(stock.take(stamp(3), towards(6), on_day(10)).is_none());
        assert!(stock.take(stamp(3), towards(5), on_day(10)).is_none());
    }

    #[test]
    fn blank_serves_for_a_week_and_its_checkpoint_for_a_day() {
        for (day, is_fit) in [(16, true), (17, false)] {
            let mut stock = stock_of(&[(3, Towards::Anybody)]);
            assert_eq!(stock.take(stamp(3), Towards::Anybody, on_day(day)).is_some(), is_fit, "day {day}");
        }
        let stock = stock_of(&[]);
        assert!(stock.ground(BOOK, on_day(10)).is_some());
        assert!(stock.ground(BOOK, on_day(11)).is_none());
    }

    #[test]
    fn what_is_too_old_or_not_coming_any_more_is_dropped() {
        let mut stock = stock_of(&[(3, Towards::Anybody), (4, Towards::Anybody)]);
        stock.tidy(BOOK, &coming(&[4, 5]), on_day(10));
        assert_eq!(stock.missing(BOOK, &coming(&[3]), Towards::Anybody), Some(Index::new(3)));
        assert_eq!(stock.missing(BOOK, &coming(&[4]), Towards::Anybody), None);
        stock.tidy(BOOK, &coming(&[4, 5]), on_day(17));
        assert_eq!(stock.missing(BOOK, &coming(&[4]), Towards::Anybody), Some(Index::new(4)));
    }

    #[test]
    fn tagged_blank_takes_the_place_of_an_untagged_one_and_not_the_other_way_round() {
        let stock = stock_of(&[(3, Towards::Anybody), (4, towards(5))]);
        assert_eq!(stock.missing(BOOK, &coming(&[3, 4]), towards(5)), Some(Index::new(3)));
        assert_eq!(stock.missing(BOOK, &coming(&[3, 4]), Towards::Anybody), None);
        assert_eq!(stock.missing(BOOK, &coming(&[4]), towards(6)), Some(Index::new(4)));
    }
}
