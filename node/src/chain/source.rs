//! The contracts that are followed. Each has groups of its own, announces what happens to their leaves as events, and
//! keeps, per group, a keccak chain over it all in the mapping at slot 0 (`xmtp_contracts::leaf_log`). One more is one more
//! variant.

use alloy::primitives::{Address, B256};
use alloy::rpc::types::Log;
use alloy::sol_types::SolEvent;
use xmtp_contracts::{IPostage, IStake, Staking};
use xmtp_proto::derive::{Denomination, Group, GroupId, Issue, NetworkId};
use xmtp_prover::Position;

use super::ChainConfig;
use super::events::WrongLogs;
use crate::groups::Operation;

/// A contract that is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// `Postage`, which sells stamps.
    Postage(Address),
    /// `Stake`, with tiers from number 1 on.
    Stake { contract: Address, tiers: u32 },
}

impl Source {
    /// All that there are in a network; `Postage` first, which gives it its name.
    pub(super) fn all(config: &ChainConfig) -> Vec<Self> {
        let stake = config.stake.as_ref().map(|Staking { contract, tiers }| Self::Stake {
            contract: *contract,
            // A contract has sixteen at most.
            tiers: u32::try_from(tiers.len()).unwrap_or(u32::MAX),
        });
        [Self::Postage(config.postage)].into_iter().chain(stake).collect()
    }

    pub(super) const fn contract(&self) -> Address {
        match self {
            Self::Postage(contract) | Self::Stake { contract, .. } => *contract,
        }
    }

    /// The first topics of the events that are operations on groups. Contracts share some.
    pub(super) const fn events(&self) -> &'static [B256] {
        match self {
            Self::Postage(_) => &[IPostage::Bought::SIGNATURE_HASH, IPostage::Slashed::SIGNATURE_HASH],
            Self::Stake { .. } => &[
                IStake::Staked::SIGNATURE_HASH,
                IStake::ExitRequested::SIGNATURE_HASH,
                IStake::Slashed::SIGNATURE_HASH,
            ],
        }
    }

    /// Whether the contract keeps the chain of a group.
    pub(super) fn keeps(&self, group: &Group) -> bool {
        match (self, group) {
            (Self::Postage(_), Group::Stamps { .. }) => true,
            (Self::Stake { contract, .. }, Group::Stake { contract: of, .. }) => contract == of,
            (Self::Postage(_) | Self::Stake { .. }, _) => false,
        }
    }

    /// The groups that are compared with the contract although nothing was served of them.
    pub(super) fn open_groups(&self, current: Issue) -> Vec<Group> {
        match *self {
            Self::Postage(_) => {
                Denomination::ALL.map(|denomination| Group::Stamps { denomination, issue: current }).to_vec()
            }
            Self::Stake { contract, tiers } => (1..=tiers).map(|tier| Group::Stake { contract, tier }).collect(),
        }
    }

    /// What a log of the contract does. Nothing for a leaf in a group that does not exist, which our contracts do not
    /// append.
    pub(super) fn operation(
        &self,
        log: &Log,
        network: NetworkId,
        postage: Address,
    ) -> Result<Option<Operation>, WrongLogs> {
        let in_group = |group: Group, id: B256| (group.id(network, postage) == GroupId(id)).then_some(group);
        Ok(match (self, log.topic0()) {
            (Self::Postage(_), Some(&IPostage::Bought::SIGNATURE_HASH)) => {
                let IPostage::Bought { group, commitment, volume, position, denomination, issue, count, buyer: _ } =
                    decode(log)?;
                let denomination = Denomination::try_from(denomination).ok();
                let stamps = denomination.map(|it| Group::Stamps { denomination: it, issue: Issue(issue) });
                stamps.and_then(|it| in_group(it, group)).map(|group| Operation::Insert {
                    group,
                    commitment,
                    limit: count,
                    position: Position { volume, index: position },
                })
            }
            (Self::Postage(_), Some(&IPostage::Slashed::SIGNATURE_HASH)) => {
                let IPostage::Slashed { group, commitment, volume, position, count, secret, reporter: _ } =
                    decode(log)?;
                Some(Operation::Remove {
                    group: GroupId(group),
                    commitment,
                    limit: count,
                    position: Position { volume, index: position },
                    secret: Some(secret),
                })
            }
            (Self::Stake { contract, .. }, Some(&IStake::Staked::SIGNATURE_HASH)) => {
                let IStake::Staked { group, commitment, volume, position, tier, limit, staker: _ } = decode(log)?;
                in_group(Group::Stake { contract: *contract, tier }, group).map(|group| Operation::Insert {
                    group,
                    commitment,
                    limit,
                    position: Position { volume, index: position },
                })
            }
            (Self::Stake { .. }, Some(&IStake::ExitRequested::SIGNATURE_HASH)) => {
                let IStake::ExitRequested { group, commitment, volume, position, limit, staker: _, from: _ } =
                    decode(log)?;
                Some(Operation::Remove {
                    group: GroupId(group),
                    commitment,
                    limit,
                    position: Position { volume, index: position },
                    secret: None,
                })
            }
            (Self::Stake { .. }, Some(&IStake::Slashed::SIGNATURE_HASH)) => {
                let IStake::Slashed { group, commitment, volume, position, limit, secret, reporter: _ } = decode(log)?;
                Some(Operation::Remove {
                    group: GroupId(group),
                    commitment,
                    limit,
                    position: Position { volume, index: position },
                    secret: Some(secret),
                })
            }
            (Self::Postage(_) | Self::Stake { .. }, _) => return Err(WrongLogs::NotAsked),
        })
    }
}

fn decode<E: SolEvent>(log: &Log) -> Result<E, WrongLogs> {
    Ok(E::decode_log_validate(&log.inner).map_err(|_| WrongLogs::NotAsked)?.data)
}
