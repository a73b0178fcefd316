//! Identities: the messaging keys of an account, private ([`Identity`]) and public ([`VerifiedBundle`]) (docs/protocol.md,
//! "Identities and keys"; litepaper 4.1).

use std::cmp::Ordering;
use std::time::Duration;

use alloy::primitives::{Address, B256};
use alloy::signers::Signer;
use xmtp_proto::account::Account;
use xmtp_proto::derive::{EnvelopeId, NetworkId};
use xmtp_proto::field::Tag;
use xmtp_proto::key_bundle::{AttestedKeys, InvalidBundle, KeyBundle};
use xmtp_proto::malformed::Malformed;
use xmtp_proto::pass::Owner;
use xmtp_proto::policy::{Policy, SignedPolicy};
use xmtp_proto::requirement::Requirement;
use xmtp_proto::signature::{self, Label};
use xmtp_proto::time::{Generation, Timestamp};
use zeroize::Zeroizing;

use crate::keys::{AgreementKey, IdentityKey, NoRandomness, PostalSeed};
use crate::layout::{Reader, Unreadable, join};
use crate::wallet::{self, WalletError};

/// A prekey is due for rotation after so long: 30 days.
pub const PREKEY_LIFE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How many prekeys are kept, the current one included: twenty years of months. Older invites open no more.
pub const MAX_PREKEYS: usize = 256;

const FORMAT: u8 = 1;

/// An account's private keys on one network. Stored in the vault and in the state on disk, sealed both times.
pub struct Identity {
    network: NetworkId,
    account: Account,
    revision: u32,
    version: u32,
    generation: u32,
    identity_key: IdentityKey,
    agreement_key: AgreementKey,
    postal_seed: PostalSeed,
    wallet_signature: [u8; 65],
    /// Oldest first, and never empty: the last one is current.
    prekeys: Vec<Prekey>,
}

/// A prekey, and the one bundle that it was published in.
pub(crate) struct Prekey {
    pub(crate) key: AgreementKey,
    pub(crate) bundle: B256,
    created_at: Timestamp,
}

/// The keys of a new identity.
pub(crate) struct NewKeys {
    pub(crate) identity_key: IdentityKey,
    pub(crate) agreement_key: AgreementKey,
    pub(crate) postal_seed: PostalSeed,
    pub(crate) prekey: AgreementKey,
}

/// An identity could not be made.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// See there.
    #[error(transparent)]
    Wallet(#[from] WalletError),
    /// See there.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// Revisions count from 1. The caller's fault.
    #[error("revisions count from 1")]
    Revision,
    /// Versions have run out under this revision; attest the next one.
    #[error("no version is left under this revision: let the wallet attest the next one")]
    Versions,
}

/// The identity is not the one that was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the private keys are not those of the published bundle, or are older than it")]
pub struct NotPublished;

impl Identity {
    /// Makes new keys and has the wallet attest them, once. `revision` is one more than the newest that the account has
    /// published on this network, hence 1 for its first identity.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub async fn create<S: Signer + Sync + ?Sized>(
        wallet: &S,
        network: NetworkId,
        revision: u32,
        now: Timestamp,
    ) -> Result<Self, IdentityError> {
        if revision == 0 {
            return Err(IdentityError::Revision);
        }
        let keys = NewKeys {
            identity_key: IdentityKey::random()?,
            agreement_key: AgreementKey::random()?,
            postal_seed: PostalSeed::random()?,
            prekey: AgreementKey::random()?,
        };
        Ok(Self::attest(wallet, network, revision, now, keys).await?)
    }

    pub(crate) async fn attest<S: Signer + Sync + ?Sized>(
        wallet: &S,
        network: NetworkId,
        revision: u32,
        now: Timestamp,
        keys: NewKeys,
    ) -> Result<Self, WalletError> {
        let NewKeys { identity_key, agreement_key, postal_seed, prekey } = keys;
        let mut it = Self {
            network,
            account: wallet::account_of(wallet),
            revision,
            version: 1,
            generation: Generation::at(now).0,
            identity_key,
            agreement_key,
            postal_seed,
            wallet_signature: [0; 65],
            prekeys: vec![Prekey { key: prekey, bundle: B256::ZERO, created_at: now }],
        };
        it.wallet_signature = *wallet::sign(wallet, &it.attested().attestation_text(network)).await?;
        it.name_bundle();
        Ok(it)
    }

    /// The network that these keys were attested for.
    #[must_use]
    pub const fn network(&self) -> NetworkId {
        self.network
    }

    /// Whose keys they are.
    #[must_use]
    pub const fn account(&self) -> Account {
        self.account
    }

    /// The quarter that the bundle's commitments stand for.
    #[must_use]
    pub const fn generation(&self) -> u32 {
        self.generation
    }

    /// From this the secrets of passes derive.
    #[must_use]
    pub const fn postal_seed(&self) -> &PostalSeed {
        &self.postal_seed
    }

    /// The public part, as it is to be published on the contact topic.
    #[must_use]
    pub fn bundle(&self) -> KeyBundle {
        let mut bundle = KeyBundle {
            keys: self.attested(),
            wallet_signature: self.wallet_signature,
            version: self.version,
            prekey: self.prekey().key.public(),
            signature: [0; 64],
        };
        bundle.signature = self.identity_key.sign(bundle.digest(self.network));
        bundle
    }

    /// The public part, as something that can be written to.
    #[must_use]
    pub fn verified_bundle(&self) -> VerifiedBundle {
        VerifiedBundle::of(self.bundle(), self.network)
    }

    /// When the current prekey was made.
    #[must_use]
    pub fn prekey_created_at(&self) -> Timestamp {
        self.prekey().created_at
    }

    /// Whether the current prekey is older than [`PREKEY_LIFE`].
    #[must_use]
    pub fn prekey_is_due(&self, now: Timestamp) -> bool {
        now.since(self.prekey_created_at()) > PREKEY_LIFE
    }

    /// Makes a new prekey current: the next version of the bundle. The old ones are kept, at most [`MAX_PREKEYS`] in all.
    /// Write the vault before the bundle, or an invite could come that nobody can open.
    ///
    /// # Errors
    /// [`IdentityError::NoRandomness`], [`IdentityError::Versions`]; nothing was changed.
    pub fn rotate_prekey(&mut self, now: Timestamp) -> Result<(), IdentityError> {
        let version = self.version.checked_add(1).ok_or(IdentityError::Versions)?;
        let key = AgreementKey::random()?;
        self.version = version;
        if self.prekeys.len() == MAX_PREKEYS {
            self.prekeys.remove(0);
        }
        self.prekeys.push(Prekey { key, bundle: B256::ZERO, created_at: now });
        self.name_bundle();
        Ok(())
    }

    /// Whether the bundle's commitments are of a quarter that is over.
    #[must_use]
    pub fn generation_is_due(&self, now: Timestamp) -> bool {
        Generation::at(now).0 > self.generation
    }

    /// Has the wallet attest the commitments of the present quarter, with a new prekey: the next revision and version of the
    /// bundle. All other keys stay. Write the vault before the bundle.
    ///
    /// # Errors
    /// [`IdentityError`]; nothing was changed.
    pub async fn renew<S: Signer + Sync + ?Sized>(&mut self, wallet: &S, now: Timestamp) -> Result<(), IdentityError> {
        let revision = self.revision.checked_add(1).ok_or(IdentityError::Versions)?;
        let generation = Generation::at(now).0;
        let text = self.attested_as(revision, generation).attestation_text(self.network);
        let signature = wallet::sign(wallet, &text).await?;
        self.rotate_prekey(now)?;
        (self.revision, self.generation, self.wallet_signature) = (revision, generation, *signature);
        self.name_bundle();
        Ok(())
    }

    /// Whether a bundle holds these keys, under whatever attestation.
    #[must_use]
    pub fn is_of(&self, bundle: &VerifiedBundle) -> bool {
        let keys = &bundle.bundle.keys;
        bundle.network == self.network && *keys == self.attested_as(keys.revision, keys.generation)
    }

    /// The pass for a topic of the account's own.
    #[must_use]
    pub fn sign_owner(&self, id: EnvelopeId) -> Owner {
        let digest = signature::digest(Label::Owner, self.network, &[id.as_bytes()]);
        Owner { signature: self.identity_key.sign(digest) }
    }

    /// A policy of this account. `version` is higher than that of every policy before it.
    ///
    /// # Errors
    /// [`Malformed`] if it breaks a limit.
    pub fn sign_policy(
        &self,
        version: u64,
        requirement: Requirement,
        blocked_tags: Vec<Tag>,
        revoked_attestations: Vec<B256>,
    ) -> Result<SignedPolicy, Malformed> {
        let policy = Policy { account: self.account, version, requirement, blocked_tags, revoked_attestations };
        SignedPolicy::new(self.network, policy, |digest| self.identity_key.sign(digest))
    }

    /// Checks that these are the keys of the published bundle, or their successors: the vault is written before the bundle.
    ///
    /// # Errors
    /// [`NotPublished`] if they are others, or older.
    pub fn require_published(&self, published: &VerifiedBundle) -> Result<(), NotPublished> {
        let revision = published.bundle.keys.revision;
        let same_attestation = match revision.cmp(&self.revision) {
            Ordering::Less => self.bundle().verify(self.network).is_ok(),
            Ordering::Equal => published.bundle.wallet_signature == self.wallet_signature,
            Ordering::Greater => false,
        };
        let prekey = self.prekey_of(published.digest).map(|prekey| prekey.key.public());
        let is_published = self.is_of(published) && same_attestation && prekey == Some(published.bundle.prekey);
        if is_published { Ok(()) } else { Err(NotPublished) }
    }

    /// Signs a digest of [`signature::digest`].
    pub(crate) fn sign(&self, digest: B256) -> [u8; 64] {
        self.identity_key.sign(digest)
    }

    pub(crate) const fn agreement_key(&self) -> &AgreementKey {
        &self.agreement_key
    }

    /// The prekey of one of this account's bundles, past or present.
    pub(crate) fn prekey_of(&self, bundle: B256) -> Option<&Prekey> {
        self.prekeys.iter().rev().find(|prekey| prekey.bundle == bundle)
    }

    /// Notes which bundle the current prekey is published in.
    fn name_bundle(&mut self) {
        let digest = self.bundle().digest(self.network);
        if let Some(current) = self.prekeys.last_mut() {
            current.bundle = digest;
        }
    }

    fn prekey(&self) -> &Prekey {
        self.prekeys.last().unwrap_or_else(|| unreachable!("an identity is made with a prekey"))
    }

    fn attested(&self) -> AttestedKeys {
        self.attested_as(self.revision, self.generation)
    }

    fn attested_as(&self, revision: u32, generation: u32) -> AttestedKeys {
        AttestedKeys {
            account: self.account,
            revision,
            identity_key: self.identity_key.public(),
            agreement_key: self.agreement_key.public(),
            generation,
            claim_commitment: self.postal_seed.claim_secret(generation).commitment(),
            member_commitment: self.postal_seed.member_secret(generation).commitment(),
        }
    }

    /// All of it, for what is going to be sealed: format u8, network 32, chain id u64, address 20, revision u32, version
    /// u32, generation u32, identity key 32, agreement key 32, postal seed 32, wallet signature 65, count of prekeys u32;
    /// then for each, oldest first: key 32, digest of its bundle 32, creation in nanoseconds u64.
    pub(crate) fn to_secret_bytes(&self) -> Zeroizing<Vec<u8>> {
        let Self {
            network,
            account,
            revision,
            version,
            generation,
            identity_key,
            agreement_key,
            postal_seed,
            wallet_signature,
            prekeys,
        } = self;
        let prekeys: Vec<_> = prekeys
            .iter()
            .map(|Prekey { key, bundle, created_at }| {
                join(&[key.as_bytes(), bundle.as_slice(), &created_at.as_nanos().to_be_bytes()])
            })
            .collect();
        // There are at most MAX_PREKEYS.
        let count = u32::try_from(prekeys.len()).unwrap_or(u32::MAX).to_be_bytes();
        let chain_id = account.chain_id().to_be_bytes();
        let address = account.address();
        let numbers = [revision, version, generation].map(|number| number.to_be_bytes());
        let mut parts: Vec<&[u8]> = vec![
            &[FORMAT],
            network.as_bytes(),
            &chain_id,
            address.as_slice(),
            numbers.as_flattened(),
            identity_key.as_bytes(),
            agreement_key.as_bytes(),
            postal_seed.as_bytes(),
            wallet_signature,
            &count,
        ];
        parts.extend(prekeys.iter().map(|prekey| prekey.as_slice()));
        join(&parts)
    }

    pub(crate) fn from_secret_bytes(bytes: &[u8]) -> Result<Self, Unreadable> {
        let mut reader = Reader::new(bytes);
        if reader.u8()? != FORMAT {
            return Err(Unreadable);
        }
        let network = NetworkId::from(*reader.array()?);
        let account = Account::on_chain(reader.u64()?, Address::from(*reader.array()?));
        let [revision, version, generation] = [reader.u32()?, reader.u32()?, reader.u32()?];
        let identity_key = IdentityKey::from_bytes(reader.array()?);
        let agreement_key = AgreementKey::from_bytes(reader.array()?);
        let postal_seed = PostalSeed::from_bytes(reader.array()?);
        let wallet_signature = *reader.array()?;
        let count = usize::try_from(reader.u32()?).map_err(|_| Unreadable)?;
        if count == 0 || count > MAX_PREKEYS || revision == 0 || version == 0 {
            return Err(Unreadable);
        }
        let prekeys = (0..count)
            .map(|_| {
                Ok(Prekey {
                    key: AgreementKey::from_bytes(reader.array()?),
                    bundle: B256::from(*reader.array()?),
                    created_at: Timestamp::from_nanos(reader.u64()?),
                })
            })
            .collect::<Result<_, Unreadable>>()?;
        reader.end()?;
        Ok(Self {
            network,
            account,
            revision,
            version,
            generation,
            identity_key,
            agreement_key,
            postal_seed,
            wallet_signature,
            prekeys,
        })
    }
}

/// A key bundle whose account and signatures were checked: the only thing that an invite can be sealed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifiedBundle {
    bundle: KeyBundle,
    network: NetworkId,
    digest: B256,
}

/// The bundle is not the account's. The fault of the node that served it, or of who published it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotVerified {
    /// It names another account.
    #[error("the key bundle is of {got}, not of {expected}")]
    Account {
        /// Whose was asked for.
        expected: Account,
        /// Whose came.
        got: Account,
    },
    /// A signature does not hold.
    #[error(transparent)]
    Signature(#[from] InvalidBundle),
}

impl VerifiedBundle {
    /// Verifies a bundle that should be the account's.
    ///
    /// # Errors
    /// [`NotVerified`].
    pub fn new(bundle: KeyBundle, account: Account, network: NetworkId) -> Result<Self, NotVerified> {
        if bundle.keys.account != account {
            return Err(NotVerified::Account { expected: account, got: bundle.keys.account });
        }
        bundle.verify(network)?;
        Ok(Self::of(bundle, network))
    }

    /// Whose it is.
    #[must_use]
    pub const fn account(&self) -> Account {
        self.bundle.keys.account
    }

    /// The network that it was verified for.
    #[must_use]
    pub const fn network(&self) -> NetworkId {
        self.network
    }

    /// The bundle.
    #[must_use]
    pub const fn bundle(&self) -> &KeyBundle {
        &self.bundle
    }

    /// [`KeyBundle::digest`].
    #[must_use]
    pub const fn digest(&self) -> B256 {
        self.digest
    }

    fn of(bundle: KeyBundle, network: NetworkId) -> Self {
        Self { digest: bundle.digest(network), bundle, network }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{ALICE, BOB, NETWORK, OTHER_NETWORK, SpelledOtherwise, identity, now, wallet};

    #[tokio::test]
    async fn identity_is_what_the_wallet_attested() {
        let alice = Identity::create(&wallet(ALICE), NETWORK, 3, now()).await.unwrap();
        let bundle = alice.bundle();
        assert_eq!(bundle.keys.account, Account::externally_owned(wallet(ALICE).address()));
        assert_eq!((bundle.order(), bundle.keys.generation), ((3, 1), Generation::at(now()).0));
        assert_eq!(VerifiedBundle::new(bundle, alice.account(), NETWORK), Ok(alice.verified_bundle()));
        assert_eq!(KeyBundle::from_bytes(&bundle.to_bytes()), Ok(bundle));
        assert_eq!(alice.bundle(), bundle, "a bundle has one encoding");

        let another = Identity::create(&wallet(ALICE), NETWORK, 3, now()).await.unwrap();
        assert_ne!(another.bundle().keys, bundle.keys, "keys are random");
    }

    #[tokio::test]
    async fn revision_zero_is_refused() {
        let refused = Identity::create(&wallet(ALICE), NETWORK, 0, now()).await;
        assert!(matches!(refused.err(), Some(IdentityError::Revision)));
    }

    #[tokio::test]
    async fn signature_that_a_wallet_spells_otherwise_attests_the_same() {
        let alice = Identity::create(&SpelledOtherwise(wallet(ALICE)), NETWORK, 1, now()).await.unwrap();
        assert_eq!(alice.bundle().verify(NETWORK), Ok(()));
    }

    #[tokio::test]
    async fn bundle_that_is_not_the_accounts_is_no_address() {
        let (alice, bob) = (identity(ALICE).await, identity(BOB).await);
        let expect = |bundle: KeyBundle, network, error| {
            assert_eq!(VerifiedBundle::new(bundle, alice.account(), network), Err(error));
        };
        let got = bob.account();
        expect(bob.bundle(), NETWORK, NotVerified::Account { expected: alice.account(), got });
        expect(alice.bundle(), OTHER_NETWORK, InvalidBundle::Wallet.into());

        let stolen = |change: fn(&mut KeyBundle, &Identity)| {
            let mut bundle = alice.bundle();
            change(&mut bundle, &bob);
            bundle
        };
        let keys = [
            stolen(|bundle, bob| bundle.keys.identity_key = bob.bundle().keys.identity_key),
            stolen(|bundle, bob| bundle.keys.agreement_key = bob.bundle().keys.agreement_key),
            stolen(|bundle, bob| bundle.keys.claim_commitment = bob.bundle().keys.claim_commitment),
            stolen(|bundle, bob| bundle.keys.member_commitment = bob.bundle().keys.member_commitment),
            stolen(|bundle, _| bundle.keys.revision += 1),
            stolen(|bundle, _| bundle.keys.generation += 1),
            stolen(|bundle, bob| bundle.wallet_signature = bob.bundle().wallet_signature),
        ];
        for bundle in keys {
            expect(bundle, NETWORK, InvalidBundle::Wallet.into());
        }
        for bundle in [
            stolen(|bundle, bob| bundle.prekey = bob.bundle().prekey),
            stolen(|bundle, _| bundle.version += 1),
            stolen(|bundle, bob| bundle.signature = bob.bundle().signature),
        ] {
            expect(bundle, NETWORK, InvalidBundle::Identity.into());
        }
    }

    #[tokio::test]
    async fn rotation_makes_a_newer_bundle_and_keeps_the_old_prekey() {
        let mut alice = identity(ALICE).await;
        let before = alice.verified_bundle();
        let later = now().saturating_add(PREKEY_LIFE);
        assert!(!alice.prekey_is_due(later));
        assert!(alice.prekey_is_due(later.saturating_add(Duration::from_nanos(1))));

        alice.rotate_prekey(later).unwrap();
        let after = alice.verified_bundle();
        assert!(VerifiedBundle::new(*after.bundle(), alice.account(), NETWORK).is_ok());
        assert_eq!(after.bundle().keys, before.bundle().keys, "the wallet is not needed");
        assert_eq!(after.bundle().order(), (1, 2));
        assert_ne!(after.bundle().prekey, before.bundle().prekey);
        assert!(!alice.prekey_is_due(later));
        for bundle in [before, after] {
            let prekey = alice.prekey_of(bundle.digest()).unwrap();
            assert_eq!(prekey.key.public(), bundle.bundle().prekey);
        }
    }

    #[tokio::test]
    async fn prekeys_are_kept_up_to_a_limit_and_the_oldest_goes_first() {
        let mut alice = identity(ALICE).await;
        let first = alice.verified_bundle();
        for _ in 1..MAX_PREKEYS {
            alice.prekeys.push(Prekey { key: AgreementKey::random().unwrap(), bundle: B256::ZERO, created_at: now() });
        }
        assert!(alice.prekey_of(first.digest()).is_some());
        alice.rotate_prekey(now()).unwrap();
        assert_eq!(alice.prekeys.len(), MAX_PREKEYS);
        assert!(alice.prekey_of(first.digest()).is_none());
        assert!(Identity::from_secret_bytes(&alice.to_secret_bytes()).is_ok());
    }

    #[tokio::test]
    async fn last_version_is_the_last() {
        let mut alice = identity(ALICE).await;
        alice.version = u32::MAX;
        assert!(matches!(alice.rotate_prekey(now()), Err(IdentityError::Versions)));
        assert_eq!(alice.prekeys.len(), 1);
    }

    #[tokio::test]
    async fn identity_is_read_back_whole_or_not_at_all() {
        let mut alice = identity(ALICE).await;
        let first = alice.verified_bundle();
        alice.rotate_prekey(now()).unwrap();
        let bytes = alice.to_secret_bytes();
        let again = Identity::from_secret_bytes(&bytes).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(again.bundle(), alice.bundle());
        assert_eq!(again.prekey_created_at(), alice.prekey_created_at());
        assert_eq!(again.to_secret_bytes(), bytes);
        assert!(again.prekey_of(first.digest()).is_some());

        for end in 0..bytes.len() {
            assert!(Identity::from_secret_bytes(&bytes[..end]).is_err(), "{end} bytes");
        }
        assert!(Identity::from_secret_bytes(&[&bytes[..], &[0]].concat()).is_err());
        let mut later = bytes.to_vec();
        later[0] = FORMAT + 1;
        assert!(Identity::from_secret_bytes(&later).is_err());
    }

    #[tokio::test]
    async fn owner_signs_envelopes_and_policies() {
        let alice = identity(ALICE).await;
        let key = alice.bundle().keys.identity_key;
        let id = EnvelopeId::from([9; 32]);
        let digest = signature::digest(Label::Owner, NETWORK, &[id.as_bytes()]);
        assert_eq!(signature::verify(&key, digest, &alice.sign_owner(id).signature), Ok(()));

        let asked = Requirement::Stamp { at_least: 2, tagged: true };
        let policy = alice.sign_policy(7, asked.clone(), Vec::new(), Vec::new()).unwrap();
        assert_eq!(policy.verify(NETWORK, &key), Ok(()));
        assert_eq!(policy.verify(OTHER_NETWORK, &key), Err(signature::Invalid));
        let Policy { account, version, requirement, .. } = policy.policy().clone();
        assert_eq!((account, version, requirement), (alice.account(), 7, asked));
        let none = alice.sign_policy(0, Requirement::AllOf(Vec::new()), Vec::new(), Vec::new());
        assert!(none.is_err(), "versions count from 1");
    }
}
