//! The vault: an identity sealed under a key that only the wallet can make again (docs/protocol.md, "Identities and keys";
//! litepaper 5).
//!
//! The key is HKDF of a wallet signature over a text that names account, network and salt, and says what signing it gives
//! away. What opens is still compared with the published bundle, which the wallet attested separately: whoever only learnt
//! the vault key can put nothing in an account's place.

use alloy::signers::Signer;
use xmtp_proto::account::Account;
use xmtp_proto::derive::NetworkId;
use xmtp_proto::vault::VaultRecord;

use crate::identity::{Identity, NotPublished, VerifiedBundle};
use crate::keys::{NoRandomness, derive, random};
use crate::layout::join;
use crate::seal::SealKey;
use crate::wallet::{self, Opens, WalletError};

const KEY: &[u8] = b"xmtp/key/vault/1";
const RECORD: &[u8] = b"xmtp/vault/1";

/// Opens the vault of one account on one network, under one salt. Wiped when dropped.
pub struct VaultKey {
    account: Account,
    network: NetworkId,
    salt: [u8; 32],
    key: SealKey,
}

/// The vault did not yield an identity, or took none.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// See there.
    #[error(transparent)]
    Wallet(#[from] WalletError),
    /// See there.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// The record names another salt than the key was made for. The caller's fault.
    #[error("the record has another salt than the key")]
    OtherSalt,
    /// The identity is of another account or network than the key. The caller's fault.
    #[error("the identity belongs to another account or network than the vault key")]
    OtherAccount,
    /// The record does not open: it was altered, or sealed under another signature.
    #[error("the vault does not open with this wallet: the record was altered, or is another account's")]
    Unopened,
    /// The record opened, and what was inside is no identity of this format: another program wrote it.
    #[error("what lies in the vault is no identity that this program can read")]
    Unreadable,
    /// Altered, rolled back, or not yet published: do not use what opened.
    #[error(transparent)]
    NotPublished(#[from] NotPublished),
}

/// A salt for a new vault.
///
/// # Errors
/// [`NoRandomness`].
pub fn new_salt() -> Result<[u8; 32], NoRandomness> {
    Ok(*random()?)
}

impl VaultKey {
    /// Asks the wallet, twice, for the signature that the key derives from. A new vault takes a [`new_salt`], an existing
    /// one has its salt in [`VaultRecord::salt`].
    ///
    /// # Errors
    /// [`VaultError::Wallet`].
    pub async fn from_wallet<S: Signer + Sync + ?Sized>(
        wallet: &S,
        network: NetworkId,
        salt: [u8; 32],
    ) -> Result<Self, VaultError> {
        let account = wallet::account_of(wallet);
        let text = wallet::unlocking_text(Opens::Vault, account, network, &salt);
        let signature = wallet::sign_repeatably(wallet, &text).await?;
        let key = SealKey::new(&derive(KEY, &*signature, &[]));
        Ok(Self { account, network, salt, key })
    }

    /// Seals an identity. `version` is higher than that of every record before it.
    ///
    /// # Errors
    /// [`VaultError::OtherAccount`], [`VaultError::NoRandomness`].
    pub fn seal(&self, identity: &Identity, version: u64) -> Result<VaultRecord, VaultError> {
        if (identity.account(), identity.network()) != (self.account, self.network) {
            return Err(VaultError::OtherAccount);
        }
        let (nonce, sealed) = self.key.seal(&identity.to_secret_bytes(), &self.associated(version))?;
        Ok(VaultRecord { version, salt: self.salt, nonce, sealed })
    }

    /// Opens a record and checks that what is inside belongs to the published bundle.
    ///
    /// # Errors
    /// [`VaultError`], but for those of the wallet.
    pub fn open(&self, record: &VaultRecord, published: &VerifiedBundle) -> Result<Identity, VaultError> {
        if record.salt != self.salt {
            return Err(VaultError::OtherSalt);
        }
        let bytes = self
            .key
            .open(&record.nonce, &record.sealed, &self.associated(record.version))
            .map_err(|_| VaultError::Unopened)?;
        let identity = Identity::from_secret_bytes(&bytes).map_err(|_| VaultError::Unreadable)?;
        identity.require_published(published)?;
        Ok(identity)
    }

    /// Label `xmtp/vault/1`, network 32, chain id u64, address 20, version u64, salt 32.
    fn associated(&self, version: u64) -> Vec<u8> {
        join(&[
            RECORD,
            self.network.as_bytes(),
            &self.account.chain_id().to_be_bytes(),
            self.account.address().as_slice(),
            &version.to_be_bytes(),
            &self.salt,
        ])
        .to_vec()
    }
}
