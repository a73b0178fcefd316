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
