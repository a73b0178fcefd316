//! The contracts that are followed. Each has groups of its own, announces what happens to their leaves as events, and
//! keeps, per group, a keccak chain over it all in the mapping at slot 0 (`xmtp_contracts::leaf_log`). One more is one more
//! variant.

use std::sync::Arc;

use alloy::primitives::{Address, B256};
use alloy::rpc::types::Log;
use alloy::sol_types::SolEvent;
use xmtp_contracts::{IClaims, IPostage, IStake, Staking};
use xmtp_proto::derive::{ClaimId, Denomination, Group, GroupId, Issue, NetworkId};
use xmtp_proto::time::{Generation, Timestamp};
use xmtp_prover::Position;

use super::events::WrongLogs;
use super::{ChainConfig, RegisteredClaims};
use crate::groups::Operation;

/// A contract that is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// `Postage`, which sells stamps.
    Postage(Address),
    /// `Stake`, with tiers from number 1 on.
    Stake { contract: Address, tiers: u32 },
    /// `Claims`, with those that holders register and that are taken here.
    Claims { contract: Address, claims: Arc<[ClaimId]> },
}

impl Source {
    /// All that there are in a network; `Postage` first, which gives it its name.
    pub(super) fn all(config: &ChainConfig) -> Vec<Self> {
        let stake = config.stake.as_ref().map(|Staking { contract, tiers }| Self::Stake {
            contract: *contract,
            // A contract has sixteen at most.
            tiers: u32::try_from(tiers.len()).unwrap_or(u32::MAX),
        });
        let claims =
            config.claims.clone().map(|RegisteredClaims { contract, claims }| Self::Claims { contract, claims });
        [Self::Postage(config.postage)].into_iter().chain(stake).chain(claims).collect()
    }

    pub(super) const fn contract(&self) -> Address {
        match self {
            Self::Postage(contract) | Self::Stake { contract, .. } | Self::Claims { contract, .. } => *contract,
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
            Self::Claims { .. } => &[IClaims::Registered::SIGNATURE_HASH, IClaims::Left::SIGNATURE_HASH],
        }
    }

    /// Whether the contract keeps the chain of a group.
    pub(super) fn keeps(&self, group: &Group) -> bool {
        match (self, group) {
            (Self::Postage(_), Group::Stamps { .. }) => true,
            (Self::Stake { contract, .. }, Group::Stake { contract: of, .. }) => contract == of,
            (Self::Claims { claims, .. }, Group::Claim { id, .. }) => claims.contains(id),
            (Self::Postage(_) | Self::Stake { .. } | Self::Claims { .. }, _) => false,
        }
    }

    /// The groups that are compared with the contract at a time although nothing was served of them.
    pub(super) fn open_groups(&self, at: Timestamp, issue_seconds: u64) -> Vec<Group> {
        match self {
            Self::Postage(_) => {
                let issue = Issue::at(at, issue_seconds);
                Denomination::ALL.map(|denomination| Group::Stamps { denomination, issue }).to_vec()
            }
            Self::Stake { contract, tiers } => {
                (1..=*tiers).map(|tier| Group::Stake { contract: *contract, tier }).collect()
            }
            Self::Claims { claims, .. } => {
                let of = |id: &ClaimId| generations(at).map(|generation| Group::Claim { id: *id, generation });
                claims.iter().flat_map(of).collect()
            }
        }
    }

    /// What a log of the contract does, in a block of this time. Nothing for a leaf in a group that does not exist, which our contracts do not append,
    /// and for claims that are not taken here.
    pub(super) fn operation(
        &self,
        log: &Log,
        at: Timestamp,
        (network, postage): (NetworkId, Address),
    ) -> Result<Option<Operation>, WrongLogs> {
        let in_group = |group: Group, id: B256| (group.id(network, postage) == GroupId(id)).then_some(group);
        Ok(match (self, log.topic0()) {
            (Self::Postage(_), Some(&IPostage::Bought::SIGNATURE_HASH)) => {
                let IPostage::Bought { group, commitment, volume, position, denomination, issue, count, buyer: _ } =
                    decode(log)?;
                let denomination = Denomination::try_from(denomination).ok();
                let stamps = denomination.map(|it| Group::Stamps { denomination: it, issue: Issue(issue) });
                known(stamps.and_then(|it| in_group(it, group)), log).map(|group| Operation::Insert {
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
                known(in_group(Group::Stake { contract: *contract, tier }, group), log).map(|group| Operation::Insert {
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
            (Self::Claims { claims, .. }, Some(&IClaims::Registered::SIGNATURE_HASH)) => {
                let IClaims::Registered { group, claim, commitment, volume, position, limit, holder: _, tokenId: _ } =
                    decode(log)?;
                let Some(id) = claims.iter().copied().find(|it| it.0 == claim) else { return Ok(None) };
                let group =
                    generations(at).into_iter().find_map(|generation| in_group(Group::Claim { id, generation }, group));
                known(group, log).map(|group| Operation::Insert {
                    group,
                    commitment,
                    limit,
                    position: Position { volume, index: position },
                })
            }
            (Self::Claims { claims, .. }, Some(&IClaims::Left::SIGNATURE_HASH)) => {
                let IClaims::Left { group, claim, commitment, volume, position, limit, holder: _, tokenId: _ } =
                    decode(log)?;
                claims.iter().any(|it| it.0 == claim).then_some(Operation::Remove {
                    group: GroupId(group),
                    commitment,
                    limit,
                    position: Position { volume, index: position },
                    secret: None,
                })
            }
            (Self::Postage(_) | Self::Stake { .. } | Self::Claims { .. }, _) => return Err(WrongLogs::NotAsked),
        })
    }
}

/// For which the contract takes registrations at a time.
fn generations(at: Timestamp) -> [u32; 2] {
    let Generation(current) = Generation::at(at);
    [current, current.saturating_add(1)]
}

/// Passes on the group of a leaf, and says so where there is none.
fn known(group: Option<Group>, log: &Log) -> Option<Group> {
    if group.is_none() {
        tracing::warn!(block = log.block_number, "a leaf of no group that there is was announced");
    }
    group
}

fn decode<E: SolEvent>(log: &Log) -> Result<E, WrongLogs> {
    Ok(E::decode_log_validate(&log.inner).map_err(|_| WrongLogs::NotAsked)?.data)
}
