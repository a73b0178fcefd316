//! What the logs say, held against the chain's state: a header that hashes to the block's hash, its state root, and
//! `eth_getProof` from there to an account or to a word of a contract's storage (EIP-1186).

use alloy::consensus::TrieAccount;
use alloy::primitives::{Address, B256, U256, keccak256};
use alloy::rlp::encode;
use alloy::rpc::types::EIP1186AccountProofResponse;
use alloy::trie::Nibbles;
use alloy::trie::proof::verify_proof;
use xmtp_proto::claim::Condition;

use super::config::CrossCheck;
use super::progress::Holdings;
use super::rpc::Rpc;
use crate::chain::{Head, RpcError};

/// Why a snapshot is not signed.
#[derive(Debug, thiserror::Error)]
pub enum NotSo {
    /// The endpoint's to mend.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// The header that the endpoint served does not have the hash that it named. The endpoint lies, or is broken.
    #[error("the header of block {0} has another hash")]
    Header(B256),
    /// A proof of the endpoint does not lead to the state root. The endpoint lies, or is broken.
    #[error("the proof for {0} does not lead to the block's state root")]
    Proof(Address),
    /// Logs and state differ. The layout is another one, or the contract does not keep its logs, or the endpoint left some out.
    #[error("the logs say that the claim holds of {0}, and the chain's state does not")]
    Differs(Address),
    /// The configuration's to mend.
    #[error("there is nothing of this kind of claim to hold against the state in that way")]
    Unfit,
}

/// A block's state, as far as it can be proved.
struct State<'a> {
    rpc: &'a Rpc,
    block: B256,
    root: B256,
}

/// Holds every holder against the state of the block.
///
/// # Errors
/// [`NotSo`].
pub(super) async fn check(
    rpc: &Rpc,
    way: CrossCheck,
    condition: &Condition,
    holdings: &Holdings,
    at: Head,
    holders: impl IntoIterator<Item = Address>,
) -> Result<(), NotSo> {
    let header = rpc.header(at.hash).await?;
    if header.inner.hash_slow() != at.hash {
        return Err(NotSo::Header(at.hash));
    }
    let state = State { rpc, block: at.hash, root: header.inner.state_root };
    for holder in holders {
        let holds = match (way, condition) {
            (CrossCheck::Accounts, Condition::Native { amount }) => state.account(holder).await?.balance >= *amount,
            (CrossCheck::Accounts, Condition::Active { .. }) => state.account(holder).await?.nonce > 0,
            (CrossCheck::Slot(slot), Condition::Erc721 { collection } | Condition::Erc721Token { collection, .. }) => {
                let token = holdings.owners.iter().find_map(|(token, owner)| (*owner == holder).then_some(*token));
                let token = token.ok_or(NotSo::Differs(holder))?;
                let owner = state.word(*collection, mapping(B256::from(token), U256::from(slot).into())).await?;
                // What is beside an address in its word is the contract's own.
                owner << 96 == U256::from_be_bytes(holder.into_word().0) << 96
            }
            (CrossCheck::Slot(slot), Condition::Erc20 { token, amount }) => {
                state.word(*token, mapping(holder.into_word(), U256::from(slot).into())).await? >= *amount
            }
            (CrossCheck::Slot(slot), Condition::Erc1155 { contract, token_id, amount }) => {
                let balances = mapping(B256::from(*token_id), U256::from(slot).into());
                state.word(*contract, mapping(holder.into_word(), balances)).await? >= *amount
            }
            (CrossCheck::Accounts | CrossCheck::Slot(_), _) => return Err(NotSo::Unfit),
        };
        if !holds {
            return Err(NotSo::Differs(holder));
        }
    }
    Ok(())
}

impl State<'_> {
    async fn account(&self, account: Address) -> Result<TrieAccount, NotSo> {
        let proof = self.rpc.proof(account, Vec::new(), self.block).await?;
        self.verify(account, &proof)
    }

    /// A word of a contract's storage; zero if there is none.
    async fn word(&self, contract: Address, slot: B256) -> Result<U256, NotSo> {
        let proof = self.rpc.proof(contract, vec![slot], self.block).await?;
        let account = self.verify(contract, &proof)?;
        let [word] = proof.storage_proof.as_slice() else { return Err(NotSo::Proof(contract)) };
        let expected = (!word.value.is_zero()).then(|| encode(word.value));
        verify_proof(account.storage_root, Nibbles::unpack(keccak256(slot)), expected, &word.proof)
            .map_err(|_| NotSo::Proof(contract))?;
        Ok(word.value)
    }

    fn verify(&self, account: Address, proof: &EIP1186AccountProofResponse) -> Result<TrieAccount, NotSo> {
        let it = TrieAccount {
            nonce: proof.nonce,
            balance: proof.balance,
            storage_root: proof.storage_hash,
            code_hash: proof.code_hash,
        };
        let expected = if proof.is_empty() { None } else { Some(encode(it)) };
        verify_proof(self.root, Nibbles::unpack(keccak256(account)), expected, &proof.account_proof)
            .map_err(|_| NotSo::Proof(account))?;
        Ok(it)
    }
}

/// Where Solidity keeps a mapping's value.
fn mapping(key: B256, slot: B256) -> B256 {
    keccak256([key, slot].concat())
}
