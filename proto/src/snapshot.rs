//! Snapshots: whom a claim holds of at a block, as its issuers say it on the claim's topic (docs/protocol.md, "Snapshots").
//!
//! The topic holds entries of a fixed layout, integers big-endian, in the clear: the *list* of commitments, in parts, and the
//! *snapshot* that an issuer signs, which names the roots of the list. What an issuer signs is what `Claims.anchor` takes.

use alloy_primitives::{Address, B256, U256};
use alloy_sol_types::{Eip712Domain, SolStruct, eip712_domain, sol};

use crate::derive::{ClaimId, OperatorId, keccak};
use crate::field::{Commitment, Root};
use crate::malformed::{Malformed, bounded, element, fixed};
use crate::postmark::Cursor;
use crate::signature::{self, Invalid};

/// The name of the EIP-712 domain doubles as the label of the signature.
const DOMAIN: &str = "xmtp/sig/snapshot/1";

const VERSION: u8 = 1;
const PART: u8 = 1;
const SNAPSHOT: u8 = 2;

/// Commitments in one part of a list: less than a ciphertext may have.
pub const PART_COMMITMENTS: usize = 32_000;
/// Leaves in a volume of a tree.
const VOLUME_LEAVES: u32 = 1 << 21;
/// The most volumes that a snapshot names.
pub const MAX_VOLUMES: usize = 16;
/// The most contact logs that it was read from.
pub const MAX_CONTACTS: usize = 16;

mod typed {
    use super::sol;
    sol! {
        struct Snapshot {
            bytes32 claim;
            uint32 generation;
            uint64 blockNumber;
            bytes32 blockHash;
            bytes32 contacts;
            uint32 leaves;
            uint256[] roots;
        }
    }
}

/// Where snapshots of a network are anchored: what their signatures are bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchorage {
    /// The settlement chain (EIP-155).
    pub chain_id: u64,
    /// `Claims` on it.
    pub claims: Address,
}

/// How far a contact log was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Contacts {
    /// Whose log.
    pub operator: OperatorId,
    /// Its last entry that was read.
    pub cursor: Cursor,
}

/// Whom a claim holds of: the registered accounts that satisfy it at a block of its chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Whose commitments are in the tree.
    pub generation: u32,
    /// The block of the claim's chain.
    pub block_number: u64,
    /// Its hash.
    pub block_hash: B256,
    /// What the registered accounts were read from, ascending by operator, none twice.
    pub contacts: Vec<Contacts>,
    /// Leaves in all volumes.
    pub leaves: u32,
    /// The root of every volume.
    pub roots: Vec<Root>,
}

/// A part of the list of a snapshot's commitments: the list ascends, and no commitment is in it twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What the issuers sign of the snapshot that the list belongs to.
    pub snapshot: B256,
    /// The number of the part's first commitment, from 0.
    pub first: u32,
    /// 1 to [`PART_COMMITMENTS`].
    pub commitments: Vec<Commitment>,
}

/// A snapshot with an issuer's signature, as it came; [`SignedSnapshot::signer`] says whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedSnapshot {
    /// What is signed.
    pub snapshot: Snapshot,
    /// r, s (low), v as 27 or 28.
    pub signature: [u8; 65],
}

/// An entry of a claim's topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Of a list.
    Part(Part),
    /// What the list comes to.
    Snapshot(SignedSnapshot),
}

impl Snapshot {
    /// The EIP-712 hash that issuers sign, as `Claims.snapshotDigest` computes it.
    #[must_use]
    pub fn digest(&self, claim: ClaimId, at: Anchorage) -> B256 {
        let Self { generation, block_number, block_hash, contacts, leaves, roots } = self;
        let Anchorage { chain_id, claims } = at;
        let domain: Eip712Domain =
            eip712_domain! { name: DOMAIN, version: "1", chain_id: chain_id, verifying_contract: claims, };
        typed::Snapshot {
            claim: claim.0,
            generation: *generation,
            blockNumber: *block_number,
            blockHash: *block_hash,
            contacts: contacts_hash(contacts),
            leaves: *leaves,
            roots: roots.iter().map(|root| root.field().to_u256()).collect::<Vec<U256>>(),
        }
        .eip712_signing_hash(&domain)
    }

    fn check(&self) -> Result<(), Malformed> {
        let Self { generation: _, block_number: _, block_hash: _, contacts, leaves, roots } = self;
        bounded("snapshot.contacts", contacts.len(), MAX_CONTACTS)?;
        bounded("snapshot.roots", roots.len(), MAX_VOLUMES)?;
        if !contacts.is_sorted_by(|a, b| a.operator < b.operator) {
            return Err(Malformed::OutOfRange { field: "snapshot.contacts", got: contacts.len() as u64 });
        }
        if roots.len() as u64 != u64::from(leaves.div_ceil(VOLUME_LEAVES)) {
            return Err(Malformed::OutOfRange { field: "snapshot.leaves", got: (*leaves).into() });
        }
        Ok(())
    }

    fn to_bytes(&self) -> Vec<u8> {
        let Self { generation, block_number, block_hash, contacts, leaves, roots } = self;
        let mut bytes = Vec::new();
        bytes.extend(generation.to_be_bytes());
        bytes.extend(block_number.to_be_bytes());
        bytes.extend(block_hash);
        // At most sixteen of either.
        bytes.push(u8::try_from(contacts.len()).unwrap_or(u8::MAX));
        for Contacts { operator, cursor } in contacts {
            bytes.extend(operator.as_bytes());
            bytes.extend(cursor.0.to_be_bytes());
        }
        bytes.extend(leaves.to_be_bytes());
        bytes.push(u8::try_from(roots.len()).unwrap_or(u8::MAX));
        roots.iter().for_each(|root| bytes.extend(root.as_bytes()));
        bytes
    }
}

impl SignedSnapshot {
    /// Who signed it.
    ///
    /// # Errors
    /// [`Invalid`] if nobody did.
    pub fn signer(&self, claim: ClaimId, at: Anchorage) -> Result<Address, Invalid> {
        signature::recover(self.snapshot.digest(claim, at), &self.signature)
    }
}

impl Entry {
    /// The fixed layout: `version u8 = 1 ‖ 1 ‖ digest 32 ‖ first u32 ‖ commitments 32 each`, or `version u8 = 1 ‖ 2 ‖
    /// generation u32 ‖ block number u64 ‖ block hash 32 ‖ count u8 ‖ (operator id 32 ‖ cursor u64) each ‖ leaves u32 ‖ count
    /// u8 ‖ roots 32 each ‖ signature 65`.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Part(Part { snapshot, first, commitments }) => {
                let mut bytes = vec![VERSION, PART];
                bytes.extend(snapshot);
                bytes.extend(first.to_be_bytes());
                commitments.iter().for_each(|commitment| bytes.extend(commitment.as_bytes()));
                bytes
            }
            Self::Snapshot(SignedSnapshot { snapshot, signature }) => {
                [&[VERSION, SNAPSHOT], snapshot.to_bytes().as_slice(), signature].concat()
            }
        }
    }

    /// Reads the fixed layout. Whether a list ascends is looked at within the part.
    ///
    /// # Errors
    /// [`Malformed`] for anything else, too many of anything, and values that are not canonical.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        match bytes {
            [VERSION, PART, rest @ ..] => Ok(Self::Part(part(Reader(rest))?)),
            [VERSION, SNAPSHOT, rest @ ..] => Ok(Self::Snapshot(signed(Reader(rest))?)),
            [version, kind, ..] => {
                Err(Malformed::OutOfRange { field: "snapshot.kind", got: u64::from(*version) << 8 | u64::from(*kind) })
            }
            _ => Err(Malformed::Length { field: "snapshot", expected: 2, got: bytes.len() }),
        }
    }
}

/// `keccak256` over (operator id 32 ‖ cursor u64) of every contact log, ascending by operator.
#[must_use]
pub fn contacts_hash(contacts: &[Contacts]) -> B256 {
    let bytes = contacts.iter().flat_map(|it| [it.operator.as_bytes().as_slice(), &it.cursor.0.to_be_bytes()].concat());
    keccak(&[&bytes.collect::<Vec<u8>>()])
}

fn part(mut reader: Reader<'_>) -> Result<Part, Malformed> {
    let snapshot = B256::from(reader.take::<32>()?);
    let first = u32::from_be_bytes(reader.take()?);
    let commitments = reader.0.chunks(32).map(|bytes| {
        let commitment: Commitment = element("snapshot.commitments", bytes)?;
        let zero = Malformed::OutOfRange { field: "snapshot.commitments", got: 0 };
        if commitment.field().is_zero() { Err(zero) } else { Ok(commitment) }
    });
    let commitments = commitments.collect::<Result<Vec<_>, _>>()?;
    bounded("snapshot.commitments", commitments.len(), PART_COMMITMENTS)?;
    if commitments.is_empty() || !commitments.is_sorted_by(|a, b| a < b) {
        return Err(Malformed::OutOfRange { field: "snapshot.commitments", got: commitments.len() as u64 });
    }
    Ok(Part { snapshot, first, commitments })
}

fn signed(mut reader: Reader<'_>) -> Result<SignedSnapshot, Malformed> {
    let generation = u32::from_be_bytes(reader.take()?);
    let block_number = u64::from_be_bytes(reader.take()?);
    let block_hash = B256::from(reader.take::<32>()?);
    let [count] = reader.take()?;
    bounded("snapshot.contacts", count.into(), MAX_CONTACTS)?;
    let mut contacts = Vec::with_capacity(count.into());
    for _ in 0..count {
        let operator = OperatorId::from(reader.take::<32>()?);
        contacts.push(Contacts { operator, cursor: Cursor(u64::from_be_bytes(reader.take()?)) });
    }
    let leaves = u32::from_be_bytes(reader.take()?);
    let [count] = reader.take()?;
    bounded("snapshot.roots", count.into(), MAX_VOLUMES)?;
    let mut roots = Vec::with_capacity(count.into());
    for _ in 0..count {
        roots.push(element("snapshot.roots", &reader.take::<32>()?)?);
    }
    let snapshot = Snapshot { generation, block_number, block_hash, contacts, leaves, roots };
    snapshot.check()?;
    Ok(SignedSnapshot { snapshot, signature: fixed("snapshot.signature", reader.0)? })
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let short = Malformed::Length { field: "snapshot", expected: N, got: self.0.len() };
        let (bytes, rest) = self.0.split_first_chunk().ok_or(short)?;
        self.0 = rest;
        Ok(*bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::FieldElement;

    fn snapshot() -> Snapshot {
        Snapshot {
            generation: 227,
            block_number: 9,
            block_hash: B256::repeat_byte(0xaa),
            contacts: vec![Contacts { operator: [0xbb; 32].into(), cursor: Cursor(5) }],
            leaves: 3,
            roots: vec![FieldElement::from(7).into()],
        }
    }

    fn part(commitments: &[u64]) -> Entry {
        let commitments = commitments.iter().map(|it| FieldElement::from(*it).into()).collect();
        Entry::Part(Part { snapshot: B256::repeat_byte(0xcc), first: 2, commitments })
    }

    #[test]
    fn entries_have_these_bytes() {
        let signed = Entry::Snapshot(SignedSnapshot { snapshot: snapshot(), signature: [0xdd; 65] });
        let word = |last: &str| format!("{}{last}", "00".repeat(31));
        let expected = [
            "01 02 000000e3 0000000000000009",                   // version, kind, generation, block
            &"aa".repeat(32),                                    // its hash
            &format!("01 {} 0000000000000005", "bb".repeat(32)), // contact logs
            &format!("00000003 01 {}", word("07")),              // leaves, roots
            &"dd".repeat(65),                                    // signature
        ];
        check_bytes(&signed, &expected.concat());
        let expected = format!("01 01 {} 00000002 {} {}", "cc".repeat(32), word("05"), word("06"));
        check_bytes(&part(&[5, 6]), &expected);
    }

    fn check_bytes(entry: &Entry, expected: &str) {
        let bytes = entry.to_bytes();
        assert_eq!(alloy_primitives::hex::encode(&bytes), expected.replace(' ', ""));
        assert_eq!(Entry::from_bytes(&bytes).as_ref(), Ok(entry));
        for length in 0..bytes.len() {
            // A list that ends with a whole commitment is a shorter list.
            if let Ok(Entry::Snapshot(_)) = Entry::from_bytes(&bytes[..length]) {
                panic!("{length} bytes are a snapshot");
            }
        }
    }

    #[test]
    fn what_breaks_a_limit_is_no_entry() {
        for (wrong, name) in [
            (part(&[6, 5]), "descending"),
            (part(&[5, 5]), "twice"),
            (part(&[0, 5]), "zero"),
            (part(&[]), "empty"),
            (part(&(1..=32_001).collect::<Vec<_>>()), "too long"),
            (signed(|it| it.leaves = 0), "roots without leaves"),
            (signed(|it| it.leaves = VOLUME_LEAVES + 1), "a root too few"),
            (signed(|it| it.contacts.push(it.contacts[0])), "a log twice"),
            (signed(|it| it.roots = vec![FieldElement::from(7).into(); 17]), "too many roots"),
        ] {
            assert!(Entry::from_bytes(&wrong.to_bytes()).is_err(), "{name}");
        }
    }

    fn signed(change: impl FnOnce(&mut Snapshot)) -> Entry {
        let mut snapshot = snapshot();
        change(&mut snapshot);
        Entry::Snapshot(SignedSnapshot { snapshot, signature: [0; 65] })
    }
}
