//! How many bits of a conversation's id a reader is to name (docs/protocol.md, "Reading leaks too"): so many that a prefix
//! still covers enough of the conversations that were written in on the day before.
//!
//! A reader that follows a change names another prefix for the same conversation, and both together tell more than each. So
//! the number changes once a day at most, and late: it rises when the longer prefix covers twice as many as it must, and
//! falls when the present one covers too few. A node that starts goes up to where it would rise to.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use xmtp_proto::time::Epoch;

use crate::store::{Store, StoreError};

/// With more, a prefix would name a conversation to who has a list of them.
const BITS_MAX: u32 = 16;

/// The present number, shared by its clones.
#[derive(Clone)]
pub(crate) struct Traffic {
    cover: NonZeroU32,
    bits: Arc<AtomicU32>,
}

impl Traffic {
    /// A prefix is to cover so many active conversations.
    pub(crate) fn new(cover: NonZeroU32) -> Self {
        Self { cover, bits: Arc::default() }
    }

    /// What readers are told.
    pub(crate) fn conversation_bits(&self) -> u32 {
        self.bits.load(Ordering::Relaxed)
    }

    /// Goes by the last day that is over. Blocks.
    pub(crate) fn follow(&self, store: &Store, today: Epoch) -> Result<(), StoreError> {
        let active = store.conversations_written(Epoch(today.0.saturating_sub(1)))?;
        let before = self.conversation_bits();
        let bits = bits(before, active, self.cover);
        if bits != before {
            tracing::info!(bits, active, "readers of conversations name another number of bits");
            self.bits.store(bits, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// The next number, after so many active conversations on a day. Ids are hashes, so prefixes cover equally many.
fn bits(before: u32, active: u64, cover: NonZeroU32) -> u32 {
    let cover = u64::from(cover.get());
    let covered = |bits: u32| active >> bits;
    let mut bits = before;
    while bits > 0 && covered(bits) < cover {
        bits -= 1;
    }
    while bits < BITS_MAX && covered(bits + 1) >= 2 * cover {
        bits += 1;
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_rise_late_and_fall_late() {
        let cover = NonZeroU32::new(32).unwrap();
        for (before, active, expected) in [
            (0, 0, 0),
            (0, 127, 0),
            (0, 128, 1),
            (1, 128, 1),
            (1, 64, 1),
            (1, 63, 0),
            (1, 255, 1),
            (1, 256, 2),
            (2, 256, 2),
            (2, 128, 2),
            (2, 127, 1),
            (5, 0, 0),
            (0, u64::MAX, BITS_MAX),
        ] {
            assert_eq!(bits(before, active, cover), expected, "{before} bits, {active} active");
        }
    }

    #[test]
    fn every_prefix_covers_enough() {
        let cover = NonZeroU32::new(32).unwrap();
        let mut before = 0;
        let days = (0..2_000).map(|day| if day < 1_000 { day * day } else { (2_000 - day) * (2_000 - day) });
        for active in days {
            before = bits(before, active, cover);
            assert!(before == 0 || active >> before >= 32, "{active}");
            assert_eq!(bits(before, active, cover), before, "it stays where it is");
        }
    }
}
