//! Block hashes that are remembered to notice a reorganisation, and to find the block from which on it differs.

use std::time::Duration;

use super::Head;

/// So many of the latest are kept, whatever their age.
const DENSE: usize = 64;
/// Older ones only while they are no older than this, compared with the latest; and ever fewer of them.
const MEMORY: Duration = Duration::from_secs(24 * 60 * 60);
/// Between older ones lies at least this part of their distance from the latest.
const SPARSE: u64 = 16;

/// Blocks up to which everything was applied, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Window(Vec<Head>);

impl Window {
    pub(super) const fn from_blocks(blocks: Vec<Head>) -> Self {
        Self(blocks)
    }

    pub(super) fn blocks(&self) -> &[Head] {
        &self.0
    }

    pub(super) fn last(&self) -> Option<Head> {
        self.0.last().copied()
    }

    pub(super) fn first(&self) -> Option<Head> {
        self.0.first().copied()
    }

    /// The latest one that is not above a height.
    pub(super) fn at_or_below(&self, number: u64) -> Option<Head> {
        self.0.iter().rev().find(|block| block.number <= number).copied()
    }

    pub(super) fn push(&mut self, block: Head) {
        self.0.push(block);
        let Some(sparse) = self.0.len().checked_sub(DENSE) else { return };
        let mut kept: Option<u64> = None;
        let mut position = 0;
        self.0.retain(|it| {
            position += 1;
            let apart = kept.is_none_or(|kept| it.number - kept >= (block.number - it.number) / SPARSE);
            let keep = position > sparse || apart && block.time.since(it.time) <= MEMORY;
            if keep {
                kept = Some(it.number);
            }
            keep
        });
    }

    /// Forgets the blocks above a height.
    pub(super) fn truncate(&mut self, number: u64) {
        self.0.retain(|block| block.number <= number);
    }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::B256;
    use xmtp_proto::time::Timestamp;

    use super::*;

    fn window(blocks: u64, step: u64, seconds: u64) -> Window {
        let mut window = Window::default();
        for number in (0..blocks).map(|block| block * step) {
            window.push(Head { number, hash: B256::ZERO, time: Timestamp::from_secs(number * seconds) });
        }
        window
    }

    #[test]
    fn window_has_the_latest_sixty_four_blocks_without_a_hole() {
        let window = window(10_000, 1, 12);
        let latest: Vec<_> = window.blocks().iter().rev().take(64).map(|block| block.number).collect();
        assert_eq!(latest, (9_936..10_000).rev().collect::<Vec<_>>());
    }

    #[test]
    fn window_stays_small_and_reaches_back_a_day() {
        for (step, seconds) in [(1, 1), (1, 12), (8, 1), (2_000, 12)] {
            let window = window(100_000, step, seconds);
            assert!(window.blocks().len() < 256, "{} blocks", window.blocks().len());
            let (first, last) = (window.first().unwrap(), window.last().unwrap());
            let reach = last.time.since(first.time);
            assert!(reach >= Duration::from_secs(20 * 60 * 60), "{reach:?} for {step} × {seconds} s");
            assert!(window.blocks().is_sorted_by_key(|block| block.number));
        }
    }

    #[test]
    fn block_at_or_below_a_height_is_found() {
        let window = window(10, 3, 1);
        assert_eq!(window.at_or_below(26).map(|block| block.number), Some(24));
        assert_eq!(window.at_or_below(27).map(|block| block.number), Some(27));
    }
}
