//! Logs of `Postage` as operations on groups.

use std::collections::BTreeMap;

use alloy::primitives::{Address, B256};
use alloy::rpc::types::Log;
use alloy::sol_types::SolEvent;
use xmtp_contracts::IPostage;
use xmtp_proto::derive::{Denomination, Group, GroupId, Issue, NetworkId};
use xmtp_prover::Position;

use crate::groups::Operation;

/// The logs are not what was asked for. The RPC's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum WrongLogs {
    #[error("a log is of another contract, event or block than was asked for")]
    NotAsked,
    #[error("a log does not say where it stands")]
    NoPlace,
    #[error("logs of block {0} have different hashes")]
    TwoBlocks(u64),
    #[error("two logs of block {0} have one place")]
    TwoLogs(u64),
}

/// The operations of a block, before its time is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BlockLogs {
    pub(super) hash: B256,
    pub(super) operations: Vec<Operation>,
}

/// Sorts logs of the blocks `from` to `to` into blocks.
pub(super) fn by_block(
    logs: Vec<Log>,
    (from, to): (u64, u64),
    network: NetworkId,
    postage: Address,
) -> Result<BTreeMap<u64, BlockLogs>, WrongLogs> {
    let mut placed = BTreeMap::new();
    for log in logs.into_iter().filter(|log| !log.removed) {
        let (Some(number), Some(hash), Some(index)) = (log.block_number, log.block_hash, log.log_index) else {
            return Err(WrongLogs::NoPlace);
        };
        if log.address() != postage || !(from..=to).contains(&number) {
            return Err(WrongLogs::NotAsked);
        }
        if placed.insert((number, index), (hash, log)).is_some() {
            return Err(WrongLogs::TwoLogs(number));
        }
    }
    let mut blocks: BTreeMap<u64, BlockLogs> = BTreeMap::new();
    for ((number, _), (hash, log)) in placed {
        let block = blocks.entry(number).or_insert_with(|| BlockLogs { hash, operations: Vec::new() });
        if block.hash != hash {
            return Err(WrongLogs::TwoBlocks(number));
        }
        match operation(&log, network, postage)? {
            Some(operation) => block.operations.push(operation),
            None => tracing::warn!(block = number, "a book of no group that there is was sold"),
        }
    }
    Ok(blocks)
}

/// Nothing for a purchase whose group does not exist, which our contract does not sell.
fn operation(log: &Log, network: NetworkId, postage: Address) -> Result<Option<Operation>, WrongLogs> {
    match log.topic0() {
        Some(&IPostage::Bought::SIGNATURE_HASH) => {
            let event = IPostage::Bought::decode_log_validate(&log.inner).map_err(|_| WrongLogs::NotAsked)?.data;
            let Ok(denomination) = Denomination::try_from(event.denomination) else { return Ok(None) };
            let group = Group::Stamps { denomination, issue: Issue(event.issue) };
            Ok((group.id(network, postage) == GroupId(event.group)).then_some(Operation::Insert {
                group,
                commitment: event.commitment,
                limit: event.count,
                position: Position { volume: event.volume, index: event.position },
            }))
        }
        Some(&IPostage::Slashed::SIGNATURE_HASH) => {
            let event = IPostage::Slashed::decode_log_validate(&log.inner).map_err(|_| WrongLogs::NotAsked)?.data;
            Ok(Some(Operation::Remove {
                group: GroupId(event.group),
                commitment: event.commitment,
                limit: event.count,
                position: Position { volume: event.volume, index: event.position },
            }))
        }
        _ => Err(WrongLogs::NotAsked),
    }
}
