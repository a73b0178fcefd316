//! Logs of the contracts as operations on groups, in the order of the chain.

use std::collections::BTreeMap;

use alloy::primitives::{Address, B256};
use alloy::rpc::types::Log;
use xmtp_proto::derive::NetworkId;
use xmtp_proto::time::Timestamp;

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

/// The logs of a block, in their order, before its time is known.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct BlockLogs<'a> {
    pub(super) hash: B256,
    logs: Vec<(Log, &'a Source)>,
}

impl BlockLogs<'_> {
    /// What they do, in a block of this time.
    pub(super) fn operations(&self, at: Timestamp, place: (NetworkId, Address)) -> Result<Vec<Operation>, WrongLogs> {
        let operations = self.logs.iter().map(|(log, source)| source.operation(log, at, place));
        operations.filter_map(Result::transpose).collect()
    }
}

/// Sorts logs of the blocks `from` to `to` into blocks.
pub(super) fn by_block(
    logs: Vec<Log>,
    (from, to): (u64, u64),
    sources: &[Source],
) -> Result<BTreeMap<u64, BlockLogs<'_>>, WrongLogs> {
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
    let mut blocks: BTreeMap<u64, BlockLogs<'_>> = BTreeMap::new();
    for ((number, _), (hash, log, source)) in placed {
        let block = blocks.entry(number).or_insert_with(|| BlockLogs { hash, logs: Vec::new() });
        if block.hash != hash {
            return Err(WrongLogs::TwoBlocks(number));
        }
        block.logs.push((log, source));
    }
    Ok(blocks)
}

#[cfg(test)]
mod tests {
    use alloy::primitives::{LogData, U256};
    use alloy::sol_types::SolEvent as _;
    use xmtp_contracts::{IClaims, IPostage, IStake};
    use xmtp_proto::derive::{ClaimId, Denomination, Group, GroupId, Issue};
    use xmtp_proto::time::GENERATION_SECONDS;
    use xmtp_prover::Position;

    use super::*;

    const POSTAGE: Address = Address::repeat_byte(0x11);
    const STAKE: Address = Address::repeat_byte(0x22);
    const NETWORK: NetworkId = NetworkId(B256::repeat_byte(7));
    const GROUP: Group = Group::Stamps { denomination: Denomination::ALL[0], issue: Issue(3) };
    const TIER: Group = Group::Stake { contract: STAKE, tier: 2 };
    const CLAIMS: Address = Address::repeat_byte(0x33);
    const CLAIM: ClaimId = ClaimId(B256::repeat_byte(8));
    const AT: Timestamp = Timestamp::from_secs(227 * GENERATION_SECONDS + 1);

    fn sources() -> [Source; 3] {
        let claims = Source::Claims { contract: CLAIMS, claims: [CLAIM].into() };
        [Source::Postage(POSTAGE), Source::Stake { contract: STAKE, tiers: 2 }, claims]
    }

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

    fn registered(claim: ClaimId, generation: u32) -> IClaims::Registered {
        IClaims::Registered {
            group: Group::Claim { id: claim, generation }.id(NETWORK, POSTAGE).0,
            claim: claim.0,
            holder: Address::ZERO,
            tokenId: U256::from(1),
            commitment: U256::from(5),
            volume: 0,
            position: 9,
            limit: 64,
        }
    }

    /// The operations of each block that has logs.
    fn read(logs: impl Into<Vec<Log>>) -> Result<BTreeMap<u64, Vec<Operation>>, WrongLogs> {
        let sources = sources();
        let blocks = by_block(logs.into(), (10, 20), &sources)?;
        blocks.into_iter().map(|(number, logs)| Ok((number, logs.operations(AT, (NETWORK, POSTAGE))?))).collect()
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
        assert_eq!(blocks[&10], [insert(1)]);
        assert_eq!(blocks[&11], [insert(2), insert(3), remove]);
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
        assert_eq!(blocks[&11], [staked, insert(5), remove(None)]);
        assert_eq!(blocks[&12], [remove(Some(U256::from(4)))]);
    }

    #[test]
    fn registrations_are_of_the_present_or_the_next_generation_and_of_a_claim_that_is_taken() {
        let left = |claim, generation| {
            let IClaims::Registered { group, claim, holder, tokenId, commitment, volume, position, limit } =
                registered(claim, generation);
            IClaims::Left { group, claim, holder, tokenId, commitment, volume, position, limit }.encode_log_data()
        };
        let position = Position { volume: 0, index: 9 };
        let (commitment, limit) = (U256::from(5), 64);
        let insert = |generation| {
            let group = Group::Claim { id: CLAIM, generation };
            Operation::Insert { group, commitment, limit, position }
        };
        let group = GroupId(registered(CLAIM, 227).group);
        let remove = Operation::Remove { group, commitment, limit, position, secret: None };
        let other = ClaimId(B256::repeat_byte(9));
        for (log, expected) in [
            (registered(CLAIM, 227).encode_log_data(), vec![insert(227)]),
            (registered(CLAIM, 228).encode_log_data(), vec![insert(228)]),
            (registered(CLAIM, 226).encode_log_data(), vec![]),
            (registered(CLAIM, 229).encode_log_data(), vec![]),
            (registered(other, 227).encode_log_data(), vec![]),
            (left(CLAIM, 227), vec![remove]),
            (left(other, 227), vec![]),
        ] {
            assert_eq!(read([log_of(CLAIMS, log, 10, 0)]).unwrap()[&10], expected);
        }
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
            assert_eq!(read([log(event.encode_log_data(), 10, 0)]).unwrap()[&10], []);
        }
        let other_tier = IStake::Staked { tier: 1, ..staked() };
        assert_eq!(read([log_of(STAKE, other_tier.encode_log_data(), 10, 0)]).unwrap()[&10], []);
    }
}
