//! Blocks and progress as bytes: fixed-width, big-endian, one version byte in front.

use alloy::primitives::{Address, B256, U256};
use xmtp_proto::derive::{ClaimId, Denomination, Group, GroupId, Issue, NetworkId};
use xmtp_proto::time::Timestamp;
use xmtp_prover::Position;

use super::Head;
use super::window::Window;
use crate::groups::{Block, Operation};

const VERSION: u8 = 4;
/// A book was bought.
const BOUGHT: u8 = 1;
/// A leaf left of its own accord.
const LEFT: u8 = 2;
/// A secret became known.
const SLASHED: u8 = 3;
/// Tokens were staked.
const STAKED: u8 = 4;
/// A token's holder registered.
const REGISTERED: u8 = 5;

/// The bytes are not what this version of the node wrote. They can be had again from the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stored progress is of another version, or damaged")]
pub(super) struct NotARecord;

/// How far the follower came, on which network, and whom it followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) network: NetworkId,
    pub(super) first_block: u64,
    /// The contracts beside the one that gives the network its name; fewer than 256.
    pub(super) beside: Vec<Address>,
    /// The claims that holders register, of which nothing else is kept; fewer than 256.
    pub(super) claims: Vec<ClaimId>,
    pub(super) window: Window,
}

/// The number under which [`Progress`] is kept: behind all blocks, so that whatever replaces blocks replaces it too.
pub(super) const PROGRESS: u64 = u64::MAX;

impl Progress {
    /// Whether both are of the same contracts and claims, read from the same block on.
    pub(super) fn is_of(&self, other: &Self) -> bool {
        let what = |it: &Self| (it.network, it.first_block, it.beside.clone(), it.claims.clone());
        what(self) == what(other)
    }

    /// What is stored of blocks, those without operations left out, and this behind them.
    pub(super) fn records(&self, blocks: &[Block]) -> Vec<(u64, Vec<u8>)> {
        let blocks = blocks.iter().filter(|block| !block.operations.is_empty());
        let blocks = blocks.map(|block| (block.number, block_to_bytes(block)));
        blocks.chain([(PROGRESS, self.to_bytes())]).collect()
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        bytes.extend(self.network.as_bytes());
        bytes.extend(self.first_block.to_be_bytes());
        bytes.push(u8::try_from(self.beside.len()).unwrap_or(u8::MAX));
        bytes.extend(self.beside.iter().flatten());
        bytes.push(u8::try_from(self.claims.len()).unwrap_or(u8::MAX));
        bytes.extend(self.claims.iter().flat_map(|claim| claim.as_bytes()));
        for Head { number, hash, time } in self.window.blocks() {
            bytes.extend(number.to_be_bytes());
            bytes.extend(hash);
            bytes.extend(time.as_secs().to_be_bytes());
        }
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, NotARecord> {
        let mut reader = Reader::new(bytes)?;
        let network = NetworkId::from(reader.take()?);
        let first_block = reader.u64()?;
        let [contracts] = reader.take()?;
        let beside = (0..contracts).map(|_| reader.take().map(Address::from)).collect::<Result<_, _>>()?;
        let [claims] = reader.take()?;
        let claims = (0..claims).map(|_| reader.take().map(ClaimId::from)).collect::<Result<_, _>>()?;
        let mut blocks = Vec::new();
        while !reader.0.is_empty() {
            let (number, hash) = (reader.u64()?, B256::from(reader.take()?));
            blocks.push(Head { number, hash, time: Timestamp::from_secs(reader.u64()?) });
        }
        if !blocks.is_sorted_by(|a, b| a.number < b.number) {
            return Err(NotARecord);
        }
        Ok(Self { network, first_block, beside, claims, window: Window::from_blocks(blocks) })
    }
}

/// A block, without its number, which it is kept under.
pub(super) fn block_to_bytes(block: &Block) -> Vec<u8> {
    let Block { number: _, hash, time, operations } = block;
    let mut bytes = vec![VERSION];
    bytes.extend(hash);
    bytes.extend(time.as_secs().to_be_bytes());
    for operation in operations {
        let (commitment, limit, position) = match operation {
            Operation::Insert { group, commitment, limit, position } => {
                match group {
                    Group::Stamps { denomination, issue } => {
                        bytes.push(BOUGHT);
                        bytes.extend(denomination.units().to_be_bytes());
                        bytes.extend(issue.0.to_be_bytes());
                    }
                    Group::Stake { contract, tier } => {
                        bytes.push(STAKED);
                        bytes.extend(contract);
                        bytes.extend(tier.to_be_bytes());
                    }
                    Group::Claim { id, generation } => {
                        bytes.push(REGISTERED);
                        bytes.extend(id.as_bytes());
                        bytes.extend(generation.to_be_bytes());
                    }
                    // No contract that is followed names another group.
                    Group::Members { .. } => continue,
                }
                (commitment, limit, position)
            }
            Operation::Remove { group, commitment, limit, position, secret } => {
                bytes.push(if secret.is_some() { SLASHED } else { LEFT });
                bytes.extend(group.as_bytes());
                bytes.extend(secret.iter().flat_map(|secret| secret.to_be_bytes::<32>()));
                (commitment, limit, position)
            }
        };
        bytes.extend(commitment.to_be_bytes::<32>());
        bytes.extend(limit.to_be_bytes());
        bytes.extend(position.volume.to_be_bytes());
        bytes.extend(position.index.to_be_bytes());
    }
    bytes
}

pub(super) fn block_from_bytes(number: u64, bytes: &[u8]) -> Result<Block, NotARecord> {
    let mut reader = Reader::new(bytes)?;
    let hash = B256::from(reader.take()?);
    let time = Timestamp::from_secs(reader.u64()?);
    let mut operations = Vec::new();
    while !reader.0.is_empty() {
        let [kind] = reader.take()?;
        operations.push(match kind {
            BOUGHT => {
                let denomination = Denomination::try_from(reader.u32()?).map_err(|_| NotARecord)?;
                let group = Group::Stamps { denomination, issue: Issue(reader.u32()?) };
                let (commitment, limit, position) = reader.leaf()?;
                Operation::Insert { group, commitment, limit, position }
            }
            STAKED => {
                let contract = Address::from(reader.take()?);
                let group = Group::Stake { contract, tier: reader.u32()? };
                let (commitment, limit, position) = reader.leaf()?;
                Operation::Insert { group, commitment, limit, position }
            }
            REGISTERED => {
                let id = ClaimId::from(reader.take()?);
                let group = Group::Claim { id, generation: reader.u32()? };
                let (commitment, limit, position) = reader.leaf()?;
                Operation::Insert { group, commitment, limit, position }
            }
            LEFT | SLASHED => {
                let group = GroupId::from(reader.take()?);
                let secret = (kind == SLASHED).then(|| reader.take().map(U256::from_be_bytes::<32>)).transpose()?;
                let (commitment, limit, position) = reader.leaf()?;
                Operation::Remove { group, commitment, limit, position, secret }
            }
            _ => return Err(NotARecord),
        });
    }
    Ok(Block { number, hash, time, operations })
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8]) -> Result<Self, NotARecord> {
        match bytes.split_first() {
            Some((&VERSION, rest)) => Ok(Self(rest)),
            _ => Err(NotARecord),
        }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], NotARecord> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(NotARecord)?;
        self.0 = rest;
        Ok(*bytes)
    }

    fn u32(&mut self) -> Result<u32, NotARecord> {
        self.take().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64, NotARecord> {
        self.take().map(u64::from_be_bytes)
    }

    fn leaf(&mut self) -> Result<(U256, u32, Position), NotARecord> {
        let commitment = U256::from_be_bytes(self.take::<32>()?);
        let limit = self.u32()?;
        Ok((commitment, limit, Position { volume: self.u32()?, index: self.u32()? }))
    }
}

#[cfg(test)]
mod tests {
    use alloy::hex;

    use super::*;

    fn block() -> Block {
        let group = Group::Stamps { denomination: Denomination::try_from(5).unwrap(), issue: Issue(223) };
        let position = Position { volume: 1, index: 2 };
        Block {
            number: 7,
            hash: B256::repeat_byte(0xaa),
            time: Timestamp::from_secs(0x65),
            operations: vec![
                Operation::Insert { group, commitment: U256::from(3), limit: 100, position },
                Operation::Remove {
                    group: GroupId::from([0xbb; 32]),
                    commitment: U256::MAX,
                    limit: 65_536,
                    position: Position { volume: 0, index: 9 },
                    secret: Some(U256::from(4)),
                },
                Operation::Insert {
                    group: Group::Stake { contract: Address::repeat_byte(0xcc), tier: 2 },
                    commitment: U256::from(5),
                    limit: 1_000,
                    position: Position { volume: 0, index: 1 },
                },
                Operation::Remove {
                    group: GroupId::from([0xdd; 32]),
                    commitment: U256::from(6),
                    limit: 7,
                    position: Position { volume: 0, index: 0 },
                    secret: None,
                },
                Operation::Insert {
                    group: Group::Claim { id: ClaimId::from([0xee; 32]), generation: 227 },
                    commitment: U256::from(7),
                    limit: 64,
                    position: Position { volume: 0, index: 2 },
                },
            ],
        }
    }

    #[test]
    fn block_has_these_bytes() {
        let expected = [
            "04",                                                                  // version
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",    // hash
            "0000000000000065",                                                    // time
            "01 00000005 000000df",                                                // bought, denomination, issue
            "0000000000000000000000000000000000000000000000000000000000000003",    // commitment
            "00000064 00000001 00000002",                                          // limit, volume, index
            "03",                                                                  // slashed
            "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",    // group
            "0000000000000000000000000000000000000000000000000000000000000004",    // secret
            "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",    // commitment
            "00010000 00000000 00000009",                                          // limit, volume, index
            "04 cccccccccccccccccccccccccccccccccccccccc 00000002",                // staked, contract, tier
            "0000000000000000000000000000000000000000000000000000000000000005",    // commitment
            "000003e8 00000000 00000001",                                          // limit, volume, index
            "02",                                                                  // left
            "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd",    // group
            "0000000000000000000000000000000000000000000000000000000000000006",    // commitment
            "00000007 00000000 00000000",                                          // limit, volume, index
            "05 eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee", // registered, claim
            "000000e3",                                                            // generation
            "0000000000000000000000000000000000000000000000000000000000000007",    // commitment
            "00000040 00000000 00000002",                                          // limit, volume, index
        ];
        assert_eq!(hex::encode(block_to_bytes(&block())), expected.concat().replace(' ', ""));
        assert_eq!(block_from_bytes(7, &block_to_bytes(&block())), Ok(block()));
    }

    #[test]
    fn block_cut_short_or_of_another_version_is_no_record() {
        let bytes = block_to_bytes(&block());
        // Whole operations may be missing without a trace, which the positions show; anything else may not.
        let whole = [41, 41 + 53, 41 + 53 + 109, 41 + 53 + 109 + 69, 41 + 53 + 109 + 69 + 77];
        for length in (0..bytes.len()).filter(|length| !whole.contains(length)) {
            assert_eq!(block_from_bytes(7, &bytes[..length]), Err(NotARecord), "{length} bytes");
        }
        let other = [&[VERSION + 1], &bytes[1..]].concat();
        assert_eq!(block_from_bytes(7, &other), Err(NotARecord));
    }

    #[test]
    fn progress_survives_and_cut_short_is_no_record() {
        let head = |number| Head { number, hash: B256::repeat_byte(1), time: Timestamp::from_secs(number) };
        let progress = Progress {
            network: NetworkId::from([7; 32]),
            first_block: 3,
            beside: vec![Address::repeat_byte(0x22)],
            claims: vec![ClaimId::from([0x33; 32])],
            window: Window::from_blocks(vec![head(3), head(5)]),
        };
        let bytes = progress.to_bytes();
        assert_eq!(bytes.len(), 1 + 32 + 8 + 1 + 20 + 1 + 32 + 2 * 48);
        assert_eq!(Progress::from_bytes(&bytes), Ok(progress));
        assert_eq!(Progress::from_bytes(&bytes[..bytes.len() - 1]), Err(NotARecord));
    }

    #[test]
    fn progress_is_of_those_contracts_and_claims_that_it_followed() {
        let of = |network: u8, first_block, beside: &[u8], claims: &[u8]| Progress {
            network: NetworkId::from([network; 32]),
            first_block,
            beside: beside.iter().copied().map(Address::repeat_byte).collect(),
            claims: claims.iter().map(|byte| ClaimId::from([*byte; 32])).collect(),
            window: Window::default(),
        };
        let kept = of(7, 3, &[2], &[9]);
        let now = Progress {
            window: Window::from_blocks(vec![Head { number: 3, hash: B256::ZERO, time: Timestamp::from_secs(3) }]),
            ..of(7, 3, &[2], &[9])
        };
        assert!(kept.is_of(&now));
        for other in [
            of(8, 3, &[2], &[9]),
            of(7, 4, &[2], &[9]),
            of(7, 3, &[], &[9]),
            of(7, 3, &[2, 5], &[9]),
            of(7, 3, &[5], &[9]),
            of(7, 3, &[2], &[]),
            of(7, 3, &[2], &[9, 10]),
        ] {
            assert!(!kept.is_of(&other), "{other:?}");
        }
    }
}
