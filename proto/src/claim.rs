//! What an account can prove about a chain, and who vouches for it (docs/protocol.md, "Requirements and policies",
//! "Contracts"). The id of a claim is the hash of its terms, so that who names one has named the other.
//!
//! Terms come from the `Claims` contract, which refuses what is out of bounds; here nothing is refused.

use alloy_primitives::{Address, U256};

use crate::derive::{ClaimId, NetworkId, keccak};

const CLAIM: &[u8] = b"xmtp/claim/1";

/// What holds of an account, at a block of the claim's chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It owns a token, any, of an ERC-721 collection.
    Erc721 {
        /// The collection.
        collection: Address,
    },
    /// It owns one token of an ERC-721 collection.
    Erc721Token {
        /// The collection.
        collection: Address,
        /// The token.
        token_id: U256,
    },
    /// It owns at least so much of a token of an ERC-1155 contract.
    Erc1155 {
        /// The contract.
        contract: Address,
        /// The token.
        token_id: U256,
        /// The least, not zero.
        amount: U256,
    },
    /// It owns at least so much of an ERC-20 token.
    Erc20 {
        /// The token.
        token: Address,
        /// The least, in the token's smallest unit; not zero.
        amount: U256,
    },
    /// It owns at least so much of the chain's native coin.
    Native {
        /// The least, in wei; not zero.
        amount: U256,
    },
    /// Another account paid it: that one sent a transaction itself which moved native coin, or a listed token, above zero to it.
    Counterparty {
        /// The one that paid.
        account: Address,
        /// The tokens that count beside the native coin: at most 32, ascending.
        tokens: Vec<Address>,
    },
    /// Its nonce was above zero at some time.
    Active {
        /// Before this, in Unix seconds.
        before_secs: u64,
    },
}

/// A condition with those who vouch for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The chain that the condition is about (EIP-155).
    pub chain_id: u64,
    /// The condition.
    pub condition: Condition,
    /// Who signs snapshots: at most 16, ascending. None if holders register on chain.
    pub issuers: Vec<Address>,
    /// How many of them must sign one; zero if there are none.
    pub threshold: u8,
    /// Envelopes a day: a multiple of 16, at most 1,024.
    pub limit: u32,
}

impl Terms {
    /// `keccak256("xmtp/claim/1" ‖ network id 32 ‖ kind u8 ‖ chain id u64 ‖ subject 32 ‖ token id u256 ‖ amount u256 ‖
    /// before u64 ‖ tokens ‖ issuers ‖ threshold u8 ‖ limit u32)`. Addresses are left-padded with zeros to 32 bytes, a list
    /// is its length u8 and its addresses, and what a condition does not speak of is zero or empty.
    #[must_use]
    pub fn id(&self, network: NetworkId) -> ClaimId {
        let Self { chain_id, condition, issuers, threshold, limit } = self;
        let (none, zero, never) = (Address::ZERO, U256::ZERO, 0);
        let (kind, subject, token_id, amount, before, tokens): (u8, _, _, _, _, &[Address]) = match condition {
            Condition::Erc721 { collection } => (1, *collection, zero, zero, never, &[]),
            Condition::Erc721Token { collection, token_id } => (2, *collection, *token_id, zero, never, &[]),
            Condition::Erc1155 { contract, token_id, amount } => (3, *contract, *token_id, *amount, never, &[]),
            Condition::Erc20 { token, amount } => (4, *token, zero, *amount, never, &[]),
            Condition::Native { amount } => (5, none, zero, *amount, never, &[]),
            Condition::Counterparty { account, tokens } => (6, *account, zero, zero, never, tokens),
            Condition::Active { before_secs } => (7, none, zero, zero, *before_secs, &[]),
        };
        ClaimId(keccak(&[
            CLAIM,
            network.as_bytes(),
            &[kind],
            &chain_id.to_be_bytes(),
            subject.into_word().as_slice(),
            &token_id.to_be_bytes::<32>(),
            &amount.to_be_bytes::<32>(),
            &before.to_be_bytes(),
            &list(tokens),
            &list(issuers),
            &[*threshold],
            &limit.to_be_bytes(),
        ]))
    }
}

/// The length in one byte, and words. The contract takes no list that is longer than 32.
fn list(addresses: &[Address]) -> Vec<u8> {
    let words = addresses.iter().flat_map(|it| it.into_word().0);
    std::iter::once(u8::try_from(addresses.len()).unwrap_or(u8::MAX)).chain(words).collect()
}
