//! Logs of the contracts as operations on groups, in the order of the chain.

use std::collections::BTreeMap;

use alloy::primitives::{Address, B256};
use alloy::rpc::types::Log;
use xmtp_proto::derive::NetworkId;

use super::source::Source;
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
    sources: &[Source],
    (network, postage): (NetworkId, Address),
) -> Result<BTreeMap<u64, BlockLogs>, WrongLogs> {
    let mut placed = BTreeMap::new();
    for log in logs.into_iter().filter(|log| !log.removed) {
        let (Some(number), Some(hash), Some(index)) = (log.block_number, log.block_hash, log.log_index) else {
            return Err(WrongLogs::NoPlace);
        };
        let source = sources.iter().find(|source| source.contract() == log.address());
        let Some(source) = source.filter(|_| (from..=to).contains(&number)) else {
            return Err(WrongLogs::NotAsked);
        };
        if placed.insert((number, index), (hash, log, source)).is_some() {
            return Err(WrongLogs::TwoLogs(number));
        }
    }
    let mut blocks: BTreeMap<u64, BlockLogs> = BTreeMap::new();
    for ((number, _), (hash, log, source)) in placed {
        let block = blocks.entry(number).or_insert_with(|| BlockLogs { hash, operations: Vec::new() });
        if block.hash != hash {
            return Err(WrongLogs::TwoBlocks(number));
        }
        match source.operation(&log, network, postage)? {
            Some(operation) => block.operations.push(operation),
            None => tracing::warn!(block = number, "a leaf of no group that there is was announced"),
        }
    }
    Ok(blocks)
}

#[cfg(test)]
mod tests {
    use alloy::primitives::{LogData, U256};
    use alloy::sol_types::SolEvent as _;
    use xmtp_contracts::{IPostage, IStake};
    use xmtp_proto::derive::{Denomination, Group, GroupId, Issue};
    use xmtp_prover::Position;

    use super::*;

    const POSTAGE: Address = Address::repeat_byte(0x11);
    const STAKE: Address = Address::repeat_byte(0x22);
    const NETWORK: NetworkId = NetworkId(B256::repeat_byte(7));
    const GROUP: Group = Group::Stamps { denomination: Denomination::ALL[0], issue: Issue(3) };
    const TIER: Group = Group::Stake { contract: STAKE, tier: 2 };
    const SOURCES: [Source; 2] = [Source::Postage(POSTAGE), Source::Stake { contract: STAKE, tiers: 2 }];

    fn bought() -> IPostage::Bought {
        IPostage::Bought {
            group: GROUP.id(NETWORK, POSTAGE).0,
            buyer: Address::ZERO,
            commitment: U256::from(5),
            volume: 0,
            position: 9,
            denomination: 1,
            issue: 3,
            count: 100,
        }
    }

    fn staked() -> IStake::Staked {
        IStake::Staked {
            group: TIER.id(NETWORK, POSTAGE).0,
            staker: Address::ZERO,
            commitment: U256::from(5),
            volume: 0,
            position: 9,
            tier: 2,
            limit: 100,
        }
    }

    fn log(data: LogData, number: u64, index: u64) -> Log {
        log_of(POSTAGE, data, number, index)
    }

    fn log_of(address: Address, data: LogData, number: u64, index: u64) -> Log {
        Log {
            inner: alloy::primitives::Log { address, data },
            block_hash: Some(B256::with_last_byte(1)),
            block_number: Some(number),
            log_index: Some(index),
            ..Log::default()
        }
    }

    fn read(logs: impl Into<Vec<Log>>) -> Result<BTreeMap<u64, BlockLogs>, WrongLogs> {
        by_block(logs.into(), (10, 20), &SOURCES, (NETWORK, POSTAGE))
    }

    fn insert(commitment: u64) -> Operation {
        let position = Position { volume: 0, index: 9 };
        Operation::Insert { group: GROUP, commitment: U256::from(commitment), limit: 100, position }
    }

    #[test]
    fn logs_are_put_into_the_order_of_their_blocks() {
        let with =
            |commitment: u64| IPostage::Bought { commitment: U256::from(commitment), ..bought() }.encode_log_data();
        let slashed = IPostage::Slashed {
            group: bought().group,
            reporter: Address::ZERO,
            commitment: U256::from(1),
            volume: 0,
            position: 2,
            count: 3,
            secret: U256::from(4),
        };
        let logs =
            [log(with(3), 11, 7), log(slashed.encode_log_data(), 11, 8), log(with(2), 11, 2), log(with(1), 10, 9)];
        let blocks = read(logs).unwrap();
        assert_eq!(blocks.keys().copied().collect::<Vec<_>>(), [10, 11]);
        let remove = Operation::Remove {
            group: GroupId(bought().group),
            commitment: U256::from(1),
            limit: 3,
            position: Position { volume: 0, index: 2 },
            secret: Some(U256::from(4)),
        };
        assert_eq!(blocks[&10].operations, [insert(1)]);
        assert_eq!(blocks[&11].operations, [insert(2), insert(3), remove]);
    }

    #[test]
    fn stakes_come_leave_and_are_slashed() {
        let IStake::Staked { group, commitment, volume, position, limit, .. } = staked();
        let exit = IStake::ExitRequested {
            group,
            staker: Address::ZERO,
            commitment,
            volume,
            position,
            limit,
            from: U256::from(7),
        };
        let slashed = IStake::Slashed {
            group,
            reporter: Address::ZERO,
            commitment,
            volume,
            position,
            limit,
            secret: U256::from(4),
        };
        let logs = [
            log_of(STAKE, slashed.encode_log_data(), 12, 0),
            log_of(STAKE, exit.encode_log_data(), 11, 8),
            log(bought().encode_log_data(), 11, 7),
            log_of(STAKE, staked().encode_log_data(), 11, 6),
        ];
        let blocks = read(logs).unwrap();
        let position = Position { volume, index: position };
        let remove = |secret| Operation::Remove { group: GroupId(group), commitment, limit, position, secret };
        let staked = Operation::Insert { group: TIER, commitment, limit, position };
        assert_eq!(blocks[&11].operations, [staked, insert(5), remove(None)]);
        assert_eq!(blocks[&12].operations, [remove(Some(U256::from(4)))]);
    }

    #[test]
    fn logs_that_were_not_asked_for_are_refused() {
        let good = || log(bought().encode_log_data(), 10, 0);
        let elsewhere = alloy::primitives::Log { address: Address::ZERO, data: bought().encode_log_data() };
        let mut cut = bought().encode_log_data();
        cut.data = cut.data.slice(..cut.data.len() - 32);
        let other_event = LogData::new_unchecked(vec![IPostage::Withdrawn::SIGNATURE_HASH], Default::default());
        let other_hash = Log { block_hash: Some(B256::ZERO), log_index: Some(1), ..good() };
        for (logs, expected) in [
            (vec![Log { inner: elsewhere, ..good() }], WrongLogs::NotAsked),
            (vec![log(bought().encode_log_data(), 9, 0)], WrongLogs::NotAsked),
            (vec![log(bought().encode_log_data(), 21, 0)], WrongLogs::NotAsked),
            (vec![log(cut, 10, 0)], WrongLogs::NotAsked),
            (vec![log(other_event, 10, 0)], WrongLogs::NotAsked),
            // One contract's event, announced by another.
            (vec![log(staked().encode_log_data(), 10, 0)], WrongLogs::NotAsked),
            (vec![log_of(STAKE, bought().encode_log_data(), 10, 0)], WrongLogs::NotAsked),
            (vec![Log { block_number: None, ..good() }], WrongLogs::NoPlace),
            (vec![good(), good()], WrongLogs::TwoLogs(10)),
            (vec![good(), other_hash], WrongLogs::TwoBlocks(10)),
        ] {
            assert_eq!(read(logs).err(), Some(expected));
        }
    }

    #[test]
    fn removed_logs_and_groups_that_do_not_exist_are_passed_over() {
        let removed = Log { removed: true, ..log(bought().encode_log_data(), 10, 0) };
        assert_eq!(read([removed]).unwrap().len(), 0);
        for event in [
            IPostage::Bought { denomination: 3, ..bought() },
            IPostage::Bought { group: B256::ZERO, ..bought() },
            IPostage::Bought { issue: 4, ..bought() },
        ] {
            assert_eq!(read([log(event.encode_log_data(), 10, 0)]).unwrap()[&10].operations, []);
        }
        let other_tier = IStake::Staked { tier: 1, ..staked() };
        assert_eq!(read([log_of(STAKE, other_tier.encode_log_data(), 10, 0)]).unwrap()[&10].operations, []);
    }
}
