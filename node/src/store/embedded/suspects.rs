//! Nullifiers of which more is known than whether they were used: those that were closed, and those with evidence. Hardly any
//! is one of them, and of every one it is asked; so where the answer is no, memory gives it.

use std::sync::Arc;

use fastbloom::AtomicBloomFilter;
use sled::Tree;
use xmtp_proto::field::Nullifier;

use super::super::{StoreError, keys};
use super::disk;

/// 1 MiB: among a million of them, which are sixteen of the largest books, one in forty others is taken for one. That costs
/// looking it up.
const BITS: usize = 1 << 23;
const HASHES: u32 = 4;

/// Clones share what they know.
#[derive(Clone)]
pub(super) struct Suspects(Arc<AtomicBloomFilter>);

impl Suspects {
    /// Those of a log.
    pub(super) fn of(log: &Tree) -> Result<Self, StoreError> {
        // Whoever makes nullifiers does not know which others are taken for them.
        let suspects = Self(Arc::new(AtomicBloomFilter::with_num_bits(BITS).seed(&rand::random()).hashes(HASHES)));
        for entry in keys::suspects().into_iter().flat_map(|kind| log.scan_prefix(kind)) {
            let (key, _) = entry.map_err(disk)?;
            suspects.add(&keys::nullifier_of(&key).ok_or(StoreError::Damaged { what: "nullifier key" })?);
        }
        Ok(suspects)
    }

    /// From now on: before it is written that a nullifier is one.
    pub(super) fn add(&self, nullifier: &Nullifier) {
        self.0.insert(nullifier.as_bytes());
    }

    /// Whether a nullifier may be one of them. If not, nothing is written of it.
    pub(super) fn may_have(&self, nullifier: &Nullifier) -> bool {
        self.0.contains(nullifier.as_bytes())
    }
}
