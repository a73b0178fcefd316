//! Chance, from a seed.

#![allow(dead_code)] // Each campaign uses its part.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

pub(crate) struct Dice(ChaCha20Rng);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(ChaCha20Rng::seed_from_u64(seed))
    }

    /// Dice of somebody's own.
    pub(crate) fn fork(&mut self) -> Self {
        Self::new(self.0.next_u64())
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// At least `low`, below `high`.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.0.next_u64() % (high - low)
    }

    pub(crate) fn one_in(&mut self, chances: u64) -> bool {
        self.between(0, chances) == 0
    }

    pub(crate) fn bytes(&mut self, length: u64) -> Vec<u8> {
        let mut bytes = vec![0; length.try_into().unwrap()];
        self.0.fill_bytes(&mut bytes);
        bytes
    }
}
