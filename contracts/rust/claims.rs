//! The claims that a network offers, by name: what `deployments/<chainId>.json` says of them, and the same as the contract
//! and the protocol have it.

use alloy::primitives::{Address, U256};
use serde::{Deserialize, Serialize};
use xmtp_proto::claim::{self, Terms};
use xmtp_proto::derive::{ClaimId, NetworkId};
use xmtp_proto::snapshot::{self, Snapshot};

use crate::IClaims;

/// The longest name.
const MAX_NAME: usize = 64;
const MAX_ISSUERS: usize = 16;
const MAX_TOKENS: usize = 32;
/// An account's clients share its indices in sixteen slots.
const SLOTS: u32 = 16;
const MAX_CLAIM_LIMIT: u32 = 1024;

/// A claim, and the name that people call it by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OfferedClaim {
    /// 1 to 64 lower-case letters, digits and hyphens, beginning with a letter.
    pub name: String,
    /// The chain that the condition is about (EIP-155).
    pub chain_id: u64,
    /// What holds of an account.
    pub condition: Condition,
    /// Who signs snapshots: ascending. None if holders register on chain.
    #[serde(default)]
    pub issuers: Vec<Address>,
    /// How many of them must sign one; zero if there are none.
    #[serde(default)]
    pub threshold: u8,
    /// Envelopes a day: a multiple of 16, at most 1,024.
    pub limit: u32,
}

/// [`claim::Condition`] as it stands in a file. Amounts are decimal text, or hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
#[allow(missing_docs)] // Each is documented there.
pub enum Condition {
    Erc721 { collection: Address },
    Erc721Token { collection: Address, token_id: U256 },
    Erc1155 { contract: Address, token_id: U256, amount: U256 },
    Erc20 { token: Address, amount: U256 },
    Native { amount: U256 },
    Counterparty { account: Address, tokens: Vec<Address> },
    Active { before: u64 },
}

impl OfferedClaim {
    /// What the name stands for.
    #[must_use]
    pub fn terms(&self) -> Terms {
        let Self { name: _, chain_id, condition, issuers, threshold, limit } = self;
        let condition = match condition.clone() {
            Condition::Erc721 { collection } => claim::Condition::Erc721 { collection },
            Condition::Erc721Token { collection, token_id } => claim::Condition::Erc721Token { collection, token_id },
            Condition::Erc1155 { contract, token_id, amount } => {
                claim::Condition::Erc1155 { contract, token_id, amount }
            }
            Condition::Erc20 { token, amount } => claim::Condition::Erc20 { token, amount },
            Condition::Native { amount } => claim::Condition::Native { amount },
            Condition::Counterparty { account, tokens } => claim::Condition::Counterparty { account, tokens },
            Condition::Active { before } => claim::Condition::Active { before_secs: before },
        };
        Terms { chain_id: *chain_id, condition, issuers: issuers.clone(), threshold: *threshold, limit: *limit }
    }

    /// Its id on a network.
    #[must_use]
    pub fn id(&self, network: NetworkId) -> ClaimId {
        self.terms().id(network)
    }

    /// The first thing about it that no claim has.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        let Self { name, chain_id, condition, issuers, threshold, limit } = self;
        let ascends = |list: &[Address]| list.is_sorted_by(|a, b| a < b) && list.first() != Some(&Address::ZERO);
        let (zero, tokens): (bool, &[Address]) = match condition {
            Condition::Erc721 { collection } | Condition::Erc721Token { collection, .. } => (collection.is_zero(), &[]),
            Condition::Erc1155 { contract, amount, .. } => (contract.is_zero() || amount.is_zero(), &[]),
            Condition::Erc20 { token, amount } => (token.is_zero() || amount.is_zero(), &[]),
            Condition::Native { amount } => (amount.is_zero(), &[]),
            Condition::Counterparty { account, tokens } => (account.is_zero(), tokens),
            Condition::Active { before } => (*before == 0, &[]),
        };
        let signed =
            if issuers.is_empty() { *threshold == 0 } else { (1..=issuers.len()).contains(&(*threshold).into()) };
        let collection = matches!(condition, Condition::Erc721 { .. } | Condition::Erc721Token { .. });
        let faults = [
            (!is_name(name), "not a name: lower-case letters, digits and hyphens"),
            (*chain_id == 0 || zero, "about nothing: an address, an amount, a time or the chain is zero"),
            (tokens.len() > MAX_TOKENS || !ascends(tokens), "a list of tokens that is too long or does not ascend"),
            (issuers.len() > MAX_ISSUERS || !ascends(issuers), "a list of issuers that is too long or does not ascend"),
            (!signed, "a threshold that is none of 1 to the number of issuers"),
            (issuers.is_empty() && !collection, "without issuers, and not about a collection"),
            (
                *limit == 0 || *limit > MAX_CLAIM_LIMIT || limit % SLOTS != 0,
                "a limit that is no multiple of 16 up to 1,024",
            ),
        ];
        faults.into_iter().find_map(|(wrong, what)| wrong.then_some(what))
    }
}

impl From<&OfferedClaim> for IClaims::Claim {
    fn from(it: &OfferedClaim) -> Self {
        let OfferedClaim { name: _, chain_id, condition, issuers, threshold, limit } = it;
        let blank = IClaims::Spec {
            kind: IClaims::Kind::None,
            chainId: *chain_id,
            subject: Address::ZERO,
            tokenId: U256::ZERO,
            amount: U256::ZERO,
            before: 0,
            tokens: Vec::new(),
        };
        let spec = match condition.clone() {
            Condition::Erc721 { collection } => {
                IClaims::Spec { kind: IClaims::Kind::Erc721, subject: collection, ..blank }
            }
            Condition::Erc721Token { collection, token_id } => {
                IClaims::Spec { kind: IClaims::Kind::Erc721Token, subject: collection, tokenId: token_id, ..blank }
            }
            Condition::Erc1155 { contract, token_id, amount } => {
                IClaims::Spec { kind: IClaims::Kind::Erc1155, subject: contract, tokenId: token_id, amount, ..blank }
            }
            Condition::Erc20 { token, amount } => {
                IClaims::Spec { kind: IClaims::Kind::Erc20, subject: token, amount, ..blank }
            }
            Condition::Native { amount } => IClaims::Spec { kind: IClaims::Kind::Native, amount, ..blank },
            Condition::Counterparty { account, tokens } => {
                IClaims::Spec { kind: IClaims::Kind::Counterparty, subject: account, tokens, ..blank }
            }
            Condition::Active { before } => IClaims::Spec { kind: IClaims::Kind::Active, before, ..blank },
        };
        Self { spec, issuers: issuers.clone(), threshold: *threshold, limit: *limit }
    }
}

impl From<&Snapshot> for IClaims::Snapshot {
    fn from(it: &Snapshot) -> Self {
        let Snapshot { generation, block_number, block_hash, contacts, leaves, roots } = it;
        Self {
            generation: *generation,
            blockNumber: *block_number,
            blockHash: *block_hash,
            contacts: snapshot::contacts_hash(contacts),
            leaves: *leaves,
            roots: roots.iter().map(|root| root.field().to_u256()).collect(),
        }
    }
}

fn is_name(name: &str) -> bool {
    name.len() <= MAX_NAME
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"{"name": "cool-cats", "chainId": 1, "condition": {"kind": "erc1155",
        "contract": "0x1111111111111111111111111111111111111111", "tokenId": "7", "amount": "1000000000000000000000"},
        "issuers": ["0x2222222222222222222222222222222222222222"], "threshold": 1, "limit": 64}"#;

    #[test]
    fn file_names_terms() {
        let claim: OfferedClaim = serde_json::from_str(FILE).unwrap();
        assert_eq!(claim.fault(), None);
        let condition = claim::Condition::Erc1155 {
            contract: Address::repeat_byte(0x11),
            token_id: U256::from(7),
            amount: U256::from(1000) * U256::from(10).pow(U256::from(18)),
        };
        let issuers = vec![Address::repeat_byte(0x22)];
        assert_eq!(claim.terms(), Terms { chain_id: 1, condition, issuers, threshold: 1, limit: 64 });
        let again: OfferedClaim = serde_json::from_str(&serde_json::to_string(&claim).unwrap()).unwrap();
        assert_eq!(again, claim);
    }

    #[test]
    fn what_no_claim_has_is_named() {
        for (from, to, named) in [
            ("cool-cats", "Cool", "not a name"),
            ("\"chainId\": 1,", "\"chainId\": 0,", "about nothing"),
            ("\"amount\": \"1", "\"amount\": \"", "about nothing"),
            ("\"threshold\": 1", "\"threshold\": 2", "threshold"),
            ("\"0x2222222222222222222222222222222222222222\"", "", "threshold"),
            ("\"limit\": 64", "\"limit\": 40", "multiple of 16"),
        ] {
            let claim: OfferedClaim = serde_json::from_str(&FILE.replace(from, to)).unwrap();
            assert!(claim.fault().is_some_and(|it| it.contains(named)), "{to}: {:?}", claim.fault());
        }
    }
}
