//! The chain keeps, per group, one hash over every operation on the leaf log (docs/protocol.md, "Groups and their
//! roots"). A follower hashes the events it was served and compares: with what `groupOf` says, or, if it trusts no RPC,
//! with a storage proof of [`storage_slot`].

use alloy::primitives::{B256, Keccak256, U256, keccak256};
use alloy::sol_types::SolValue;

/// What happened to a leaf; the value is the byte that is hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Operation {
    /// A leaf was appended.
    Insert = 1,
    /// A leaf left of its own accord, or because what it stood on is gone; none of a stamp group does.
    Exit = 2,
    /// A leaf's secret became known.
    Slash = 3,
}

/// The chain of a group before its first operation.
pub const START: B256 = B256::ZERO;

/// The chain after an operation: `keccak256(chain ‖ kind u8 ‖ commitment u256 ‖ limit u32)`, integers big-endian.
pub fn link(chain: B256, operation: Operation, commitment: U256, limit: u32) -> B256 {
    let mut hasher = Keccak256::new();
    hasher.update(chain);
    hasher.update([operation as u8]);
    hasher.update(commitment.to_be_bytes::<32>());
    hasher.update(limit.to_be_bytes());
    hasher.finalize()
}

/// Where `Postage`, `Stake` and `Claims` store the chain of `group`: the first word of the entry in the mapping at slot 0.
pub fn storage_slot(group: B256) -> B256 {
    keccak256((group, U256::ZERO).abi_encode())
}
