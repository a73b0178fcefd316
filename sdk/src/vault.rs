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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::IdentityError;
    use crate::testing::{
        ALICE, BOB, MALLORY, NETWORK, NeverTheSame, OTHER_NETWORK, identity, identity_on, now, wallet,
    };

    const SALT: [u8; 32] = [5; 32];

    async fn key(person: u8) -> VaultKey {
        VaultKey::from_wallet(&wallet(person), NETWORK, SALT).await.unwrap_or_else(|error| panic!("{error}"))
    }

    #[tokio::test]
    async fn second_client_restores_from_the_wallet_alone() {
        let mut alice = identity(ALICE).await;
        let old = alice.verified_bundle();
        alice.rotate_prekey(now()).unwrap();
        let record = key(ALICE).await.seal(&alice, 1).unwrap();
        let record = VaultRecord::from_bytes(&record.to_bytes()).unwrap();

        let key = VaultKey::from_wallet(&wallet(ALICE), NETWORK, record.salt).await.ok().unwrap();
        let restored = key.open(&record, &alice.verified_bundle()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(restored.bundle(), alice.bundle());
        assert_eq!(restored.postal_seed().as_bytes(), alice.postal_seed().as_bytes());
        assert!(restored.prekey_of(old.digest()).is_some(), "old invites still open");
    }

    #[tokio::test]
    async fn vault_that_was_tampered_with_does_not_open() {
        let (alice, key) = (identity(ALICE).await, key(ALICE).await);
        let published = alice.verified_bundle();
        let good = key.seal(&alice, 7).unwrap();
        assert!(key.open(&good, &published).is_ok());

        let tampered = |change: &dyn Fn(&mut VaultRecord)| {
            let mut record = good.clone();
            change(&mut record);
            key.open(&record, &published).err()
        };
        for byte in 0..good.sealed.len() {
            let error = tampered(&|record| record.sealed[byte] ^= 1);
            assert!(matches!(error, Some(VaultError::Unopened)), "byte {byte}");
        }
        for error in [
            tampered(&|record| record.version = 8),
            tampered(&|record| record.nonce[0] ^= 1),
            tampered(&|record| record.sealed.clear()),
            tampered(&|record| record.sealed.push(0)),
        ] {
            assert!(matches!(error, Some(VaultError::Unopened)));
        }
        assert!(matches!(tampered(&|record| record.salt[0] ^= 1), Some(VaultError::OtherSalt)));
    }

    #[tokio::test]
    async fn vault_opens_for_no_other_wallet_network_or_salt() {
        let alice = identity(ALICE).await;
        let record = key(ALICE).await.seal(&alice, 1).unwrap();
        let published = alice.verified_bundle();
        let elsewhere = VaultKey::from_wallet(&wallet(ALICE), OTHER_NETWORK, SALT).await.ok().unwrap();
        for key in [key(BOB).await, elsewhere] {
            assert!(matches!(key.open(&record, &published), Err(VaultError::Unopened)));
        }
        let salted = VaultKey::from_wallet(&wallet(ALICE), NETWORK, [6; 32]).await.ok().unwrap();
        let relabelled = VaultRecord { salt: [6; 32], ..record };
        assert!(matches!(salted.open(&relabelled, &published), Err(VaultError::Unopened)));
    }

    #[tokio::test]
    async fn keys_that_the_account_never_published_are_not_taken_from_the_vault() {
        let (alice, key) = (identity(ALICE).await, key(ALICE).await);
        // Who learnt the vault key but not the wallet's attestation can write any keys into the vault.
        let planted = Identity::create(&wallet(ALICE), NETWORK, 1, now()).await.unwrap();
        let record = key.seal(&planted, 2).unwrap();
        assert!(matches!(key.open(&record, &alice.verified_bundle()), Err(VaultError::NotPublished(_))));
    }

    #[tokio::test]
    async fn vault_may_be_ahead_of_the_bundle_and_not_behind_it() -> Result<(), IdentityError> {
        let (mut alice, key) = (identity(ALICE).await, key(ALICE).await);
        let (first, behind) = (alice.verified_bundle(), key.seal(&alice, 1).unwrap());
        alice.rotate_prekey(now())?;
        let (second, ahead) = (alice.verified_bundle(), key.seal(&alice, 2).unwrap());
        assert!(key.open(&ahead, &first).is_ok(), "the process died before the bundle was published");
        assert!(key.open(&ahead, &second).is_ok());
        assert!(matches!(key.open(&behind, &second), Err(VaultError::NotPublished(_))));
        Ok(())
    }

    #[tokio::test]
    async fn vault_takes_no_identity_of_another_account_or_network() {
        let key = key(ALICE).await;
        for identity in [identity(MALLORY).await, identity_on(OTHER_NETWORK, ALICE).await] {
            assert!(matches!(key.seal(&identity, 1), Err(VaultError::OtherAccount)));
        }
    }

    #[tokio::test]
    async fn wallet_that_signs_in_several_ways_gets_no_vault() {
        let refused = VaultKey::from_wallet(&NeverTheSame::new(wallet(ALICE)), NETWORK, SALT).await;
        assert!(matches!(refused.err(), Some(VaultError::Wallet(WalletError::NotRepeatable))));
    }

    #[test]
    fn salts_are_random() {
        assert_ne!(new_salt(), new_salt());
    }
}
