//! Every hash that the protocol names (docs/protocol.md, "The envelope digest"). Integers are big-endian and of fixed
//! width; labels are ASCII without a terminator; `H(x) = keccak256(x) >> 8`.
//!
//! `testdata/vectors/derived.json` holds values for all of them, and the contracts' tests read the same file.

use std::fmt;

use alloy_primitives::{Address, B256, Keccak256, hex};

use crate::field::{ExternalNullifier, FieldElement, Nullifier, Scope, Signal};
use crate::time::{Epoch, Timestamp};
use crate::topic::Topic;

const NETWORK: &[u8] = b"xmtp/network/1";
const ENVELOPE: &[u8] = b"xmtp/envelope/1";
const SIGNAL: &[u8] = b"xmtp/x/1";
const GROUP: &[u8] = b"xmtp/group/1";
const EXTERNAL_NULLIFIER: &[u8] = b"xmtp/ext/1";
const SCOPE: &[u8] = b"xmtp/scope/1";
const CONVERSATION: &[u8] = b"xmtp/conv/1";

/// 32 bytes that name something.
macro_rules! id {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub B256);

        impl $name {
            /// 32 bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0.0
            }
        }

        impl From<[u8; 32]> for $name {
            fn from(bytes: [u8; 32]) -> Self {
                Self(bytes.into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "0x{}", hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "(0x{})"), hex::encode(self.0))
            }
        }
    )*};
}

id! {
    /// A network: a settlement chain and the `Postage` contract on it.
    NetworkId
    /// An envelope's digest: its name, network-wide.
    EnvelopeId
    /// A group of commitments.
    GroupId
    /// An operator: keccak-256 of its signing address.
    OperatorId
    /// A claim's spec.
    ClaimId
}

impl NetworkId {
    /// `keccak256("xmtp/network/1" ‖ chain id u64 ‖ Postage address 20)`.
    #[must_use]
    pub fn new(chain_id: u64, postage: Address) -> Self {
        Self(keccak(&[NETWORK, &chain_id.to_be_bytes(), postage.as_slice()]))
    }
}

impl EnvelopeId {
    /// `keccak256("xmtp/envelope/1" ‖ network id 32 ‖ length of topic u32 ‖ topic ‖ sent-at u64 ‖ keccak256(ciphertext))`.
    #[must_use]
    pub fn new(network: NetworkId, topic: &Topic, sent_at: Timestamp, ciphertext: &[u8]) -> Self {
        let name = topic.to_string();
        // A name has at most 300 bytes.
        let length = u32::try_from(name.len()).unwrap_or(u32::MAX);
        Self(keccak(&[
            ENVELOPE,
            network.as_bytes(),
            &length.to_be_bytes(),
            name.as_bytes(),
            &sent_at.as_nanos().to_be_bytes(),
            keccak(&[ciphertext]).as_slice(),
        ]))
    }

    /// The signal that a proof over this envelope carries: `H("xmtp/x/1" ‖ digest)`.
    #[must_use]
    pub fn signal(&self) -> Signal {
        hash_to_field(&[SIGNAL, self.as_bytes()]).into()
    }
}

impl OperatorId {
    /// `keccak256(signing address 20)`.
    #[must_use]
    pub fn new(signer: Address) -> Self {
        Self(keccak(&[signer.as_slice()]))
    }
}

/// The face value of a stamp in units: 1, 2, 5, 10, 20, 50, 100, 200 or 500.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Denomination(u32);

/// No stamps of this value are sold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there are no stamps of {0} units: only of 1, 2, 5, 10, 20, 50, 100, 200 and 500")]
pub struct NoSuchDenomination(pub u32);

impl Denomination {
    /// All there are, ascending.
    pub const ALL: [Self; 9] =
        [Self(1), Self(2), Self(5), Self(10), Self(20), Self(50), Self(100), Self(200), Self(500)];

    /// Units of postage.
    #[must_use]
    pub const fn units(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for Denomination {
    type Error = NoSuchDenomination;
    fn try_from(units: u32) -> Result<Self, NoSuchDenomination> {
        let it = Self(units);
        if Self::ALL.contains(&it) { Ok(it) } else { Err(NoSuchDenomination(units)) }
    }
}

impl fmt::Display for Denomination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An issue of stamps: `floor(block.timestamp / ISSUE_SECONDS)` of the purchase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Issue(pub u32);

impl Issue {
    /// A book is valid to the end of this many issues after its own.
    pub const VALID_AFTER: u32 = 4;

    /// The issue at a time, for issues of so many seconds.
    #[must_use]
    pub fn at(now: Timestamp, issue_seconds: u64) -> Self {
        Self(u32::try_from(now.as_secs() / issue_seconds.max(1)).unwrap_or(u32::MAX))
    }

    /// Whether a stamp of this issue is good while `current` is the issue on sale.
    #[must_use]
    pub const fn valid_in(self, current: Self) -> bool {
        self.0 <= current.0 && current.0 - self.0 <= Self::VALID_AFTER
    }
}

/// A set of commitments in a Merkle tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// Stamps of one denomination and issue.
    Stamps {
        /// Face value.
        denomination: Denomination,
        /// Issue.
        issue: Issue,
    },
    /// Stakes of one tier.
    Stake {
        /// The `Stake` contract.
        contract: Address,
        /// The tier.
        tier: u32,
    },
    /// Holders of a claim.
    Claim {
        /// The claim.
        id: ClaimId,
        /// The quarter whose commitments count.
        generation: u32,
    },
    /// Accounts registered with an operator.
    Members {
        /// The operator.
        operator: OperatorId,
        /// The quarter whose commitments count.
        generation: u32,
    },
}

impl Group {
    /// `keccak256("xmtp/group/1" ‖ network id 32 ‖ kind u8 ‖ source 32 ‖ class u32 ‖ issue u32)`. Stamps take the Postage
    /// address as their source, addresses being left-padded with zeros.
    #[must_use]
    pub fn id(&self, network: NetworkId, postage: Address) -> GroupId {
        let (kind, source, class, issue) = match *self {
            Self::Stamps { denomination, issue } => (1, postage.into_word(), denomination.units(), issue.0),
            Self::Stake { contract, tier } => (2, contract.into_word(), tier, 0),
            Self::Claim { id, generation } => (3, id.0, 0, generation),
            Self::Members { operator, generation } => (4, operator.0, 0, generation),
        };
        GroupId(keccak(&[
            GROUP,
            network.as_bytes(),
            &[kind],
            source.as_slice(),
            &class.to_be_bytes(),
            &issue.to_be_bytes(),
        ]))
    }
}

/// What a proof entitles to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Purpose {
    /// An envelope.
    Envelope = 0,
    /// The opening of a conversation.
    Opening = 1,
}

impl GroupId {
    /// `H("xmtp/ext/1" ‖ group id 32 ‖ purpose u8 ‖ epoch u64)`; stamps have no epoch, which is written as 0.
    #[must_use]
    pub fn external_nullifier(&self, purpose: Purpose, epoch: Option<Epoch>) -> ExternalNullifier {
        let epoch = epoch.unwrap_or_default().0.to_be_bytes();
        hash_to_field(&[EXTERNAL_NULLIFIER, self.as_bytes(), &[purpose as u8], &epoch]).into()
    }
}

/// The scope of tags made for a topic: `H("xmtp/scope/1" ‖ network id 32 ‖ topic)`.
#[must_use]
pub fn scope(network: NetworkId, topic: &Topic) -> Scope {
    hash_to_field(&[SCOPE, network.as_bytes(), topic.to_string().as_bytes()]).into()
}

/// The conversation topic of a posting key: `keccak256("xmtp/conv/1" ‖ key 32)`.
#[must_use]
pub fn conversation_topic(posting_key: &[u8; 32]) -> Topic {
    Topic::Conversation(keccak(&[CONVERSATION, posting_key]))
}

/// What a postmark says of the nullifiers it cancelled: `keccak256` of them in the order of their passes.
#[must_use]
pub fn cancelled_hash(nullifiers: &[Nullifier]) -> B256 {
    let mut hasher = Keccak256::new();
    for nullifier in nullifiers {
        hasher.update(nullifier.as_bytes());
    }
    hasher.finalize()
}

/// keccak-256 of parts, one after the other. Parts before the last must be of fixed width or carry their length.
pub(crate) fn keccak(parts: &[&[u8]]) -> B256 {
    let mut hasher = Keccak256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize()
}

fn hash_to_field(parts: &[&[u8]]) -> FieldElement {
    FieldElement::from_hash(keccak(parts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn book_is_good_to_the_end_of_the_fourth_issue_after_its_own() {
        for (issue, current, expected) in [(10, 10, true), (10, 14, true), (10, 15, false), (11, 10, false)] {
            assert_eq!(Issue(issue).valid_in(Issue(current)), expected, "{issue} in {current}");
        }
    }

    #[test]
    fn only_sold_denominations_exist() {
        assert_eq!(Denomination::try_from(3), Err(NoSuchDenomination(3)));
        assert_eq!(Denomination::try_from(500).map(Denomination::units), Ok(500));
    }
}
