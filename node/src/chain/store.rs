//! Where the follower's progress is kept.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// The store cannot read or write. The machine's fault.
#[derive(Debug, thiserror::Error)]
#[error("the progress on the chain cannot be read or kept")]
pub struct ChainStoreError(#[source] Box<dyn std::error::Error + Send + Sync>);

impl ChainStoreError {
    /// With what the store says itself.
    pub fn new(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(source.into())
    }
}

/// Keeps bytes by number: what has been read of the chain, so that a start does not read it again. All of it can be had
/// again from the chain; a store that lost it costs time, one that mixed it up is found out.
pub trait ChainStore: Send + Sync + 'static {
    /// What there is from a number on, so many at most, in ascending order of numbers.
    ///
    /// # Errors
    /// [`ChainStoreError`].
    fn load(&self, from: u64, at_most: usize) -> Result<Vec<(u64, Vec<u8>)>, ChainStoreError>;

    /// Removes everything from `number` on and puts `blocks` there, both or neither; durable when it returns. Numbers of
    /// `blocks` are ascending and not below `number`.
    ///
    /// # Errors
    /// [`ChainStoreError`].
    fn replace_from(&self, number: u64, blocks: Vec<(u64, Vec<u8>)>) -> Result<(), ChainStoreError>;

    /// Whether there is room for some more. While there is none the chain is not followed: a write that fails would leave
    /// open what is kept.
    fn has_room(&self) -> bool {
        true
    }
}

/// Forgets everything at the end of the process: for tests.
#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<BTreeMap<u64, Vec<u8>>>);

impl ChainStore for MemoryStore {
    fn load(&self, from: u64, at_most: usize) -> Result<Vec<(u64, Vec<u8>)>, ChainStoreError> {
        let blocks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(blocks.range(from..).take(at_most).map(|(number, bytes)| (*number, bytes.clone())).collect())
    }

    fn replace_from(&self, number: u64, blocks: Vec<(u64, Vec<u8>)>) -> Result<(), ChainStoreError> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.split_off(&number);
        all.extend(blocks);
        Ok(())
    }
}
