//! What a wallet is asked for: EIP-191 signatures of two kinds of text (docs/protocol.md, "Identities and keys").
//!
//! One attests an identity's public keys and is published. The other is key material: it opens the vault, or the state on
//! disk, and never leaves the process. Only externally owned accounts sign so that a signature can be key material.

use alloy::primitives::{B256, eip191_hash_message, hex};
use alloy::signers::Signer;
use xmtp_proto::account::Account;
use xmtp_proto::derive::NetworkId;
use xmtp_proto::signature;
use zeroize::Zeroizing;

/// The wallet gave no signature that can be used.
#[derive(Debug, thiserror::Error)]
pub enum WalletError {
    /// The wallet did not sign: its owner declined, or it cannot be reached. Ask again.
    #[error("the wallet did not sign")]
    Refused(#[source] alloy::signers::Error),
    /// The signature does not lead back to the wallet's address: a smart account, whose signatures are no key material and
    /// cannot be judged without its chain. Not offered yet.
    #[error("not_offered: {account} is no externally owned account (its signature does not lead back to it)")]
    NotOffered {
        /// The account that the wallet claims to be.
        account: Account,
    },
    /// The wallet signs one text in two ways (it does not follow RFC 6979), so a key made from its signature could never
    /// be made again. Use another wallet.
    #[error("the wallet signed one text in two ways: a key made from it could not be made again")]
    NotRepeatable,
}

/// The account that a wallet signs for.
#[must_use]
pub fn account_of<S: Signer + ?Sized>(wallet: &S) -> Account {
    Account::externally_owned(wallet.address())
}

/// What a signature as key material opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opens {
    /// The record on the vault topic.
    Vault,
    /// The state on this machine.
    State,
}

/// The text whose signature is key material.
pub(crate) fn unlocking_text(opens: Opens, account: Account, network: NetworkId, salt: &[u8; 32]) -> String {
    let what = match opens {
        Opens::Vault => "open the inbox of this account anywhere",
        Opens::State => "open the inbox of this account on this machine",
    };
    format!(
        "XMTP: {what}\n\n\
         Account: {account}\nNetwork: {network}\nSalt: 0x{}\n\n\
         Signing this hands over the whole inbox: whoever has the signature can read and write all mail in your name. \
         Sign it only for a program that you trust with that. This moves no funds.",
        hex::encode(salt),
    )
}

/// Has a text signed: r, s (low), v as 27 or 28.
pub(crate) async fn sign<S: Signer + Sync + ?Sized>(
    wallet: &S,
    text: &str,
) -> Result<Zeroizing<[u8; 65]>, WalletError> {
    let signed = wallet.sign_message(text.as_bytes()).await.map_err(WalletError::Refused)?;
    let signature = Zeroizing::new(signed.normalized_s().as_bytes());
    let hash: B256 = eip191_hash_message(text);
    if signature::recover(hash, &signature) == Ok(wallet.address()) {
        Ok(signature)
    } else {
        Err(WalletError::NotOffered { account: account_of(wallet) })
    }
}

/// Has a text signed twice, for a key that must be made again some day.
pub(crate) async fn sign_repeatably<S: Signer + Sync + ?Sized>(
    wallet: &S,
    text: &str,
) -> Result<Zeroizing<[u8; 65]>, WalletError> {
    let first = sign(wallet, text).await?;
    let second = sign(wallet, text).await?;
    if *first == *second { Ok(first) } else { Err(WalletError::NotRepeatable) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{ALICE, Declines, NETWORK, NeverTheSame, OfAContract, SpelledOtherwise, wallet};

    const TEXT: &str = "XMTP: a text";

    #[tokio::test]
    async fn every_spelling_of_a_signature_is_one_key() {
        let plain = sign_repeatably(&wallet(ALICE), TEXT).await.unwrap();
        let otherwise = sign_repeatably(&SpelledOtherwise(wallet(ALICE)), TEXT).await.unwrap();
        assert_eq!(*plain, *otherwise);
        assert!(matches!(plain[64], 27 | 28));
    }

    #[tokio::test]
    async fn wallet_that_signs_in_several_ways_makes_no_key() {
        let wallet = NeverTheSame::new(wallet(ALICE));
        assert!(sign(&wallet, TEXT).await.is_ok(), "the signatures are good");
        let refused = sign_repeatably(&wallet, TEXT).await;
        assert!(matches!(refused, Err(WalletError::NotRepeatable)));
    }

    #[tokio::test]
    async fn smart_account_is_not_offered() {
        let refused = sign(&OfAContract(wallet(ALICE)), TEXT).await.unwrap_err();
        assert!(matches!(refused, WalletError::NotOffered { .. }));
        assert!(refused.to_string().starts_with("not_offered"));
    }

    #[tokio::test]
    async fn wallet_that_declines_is_told_from_one_that_cannot() {
        assert!(matches!(sign(&Declines, TEXT).await, Err(WalletError::Refused(_))));
    }

    #[test]
    fn text_names_what_it_opens_for_whom_and_what_signing_gives_away() {
        let account = account_of(&wallet(ALICE));
        let [vault, state] =
            [Opens::Vault, Opens::State].map(|opens| unlocking_text(opens, account, NETWORK, &[0xab; 32]));
        assert_ne!(vault, state);
        for text in [vault, state] {
            for part in [&account.to_string(), &NETWORK.to_string(), &"ab".repeat(32), "hands over the whole inbox"] {
                assert!(text.contains(part), "{part} is not in {text}");
            }
        }
    }
}
