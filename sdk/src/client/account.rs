//! The own account's identity.

use xmtp_proto::account::Account;
use xmtp_proto::envelope::Envelope;
use xmtp_proto::malformed::Malformed;
use xmtp_proto::pass::Pass;
use xmtp_proto::postmark::{Cursor, SignedPostmark};
use xmtp_proto::refusal::{Code, Refusal};
use xmtp_proto::submission::Submission;
use xmtp_proto::topic::Topic;
use xmtp_proto::vault::VaultRecord;

use super::{AskError, Client, JoinError, Joined, NoIdentity, PublishedPolicy, Step};
use crate::identity::{Identity, IdentityError, NotVerified, VerifiedBundle};
use crate::keys::NoRandomness;
use crate::state::{RememberError, StateError};
use crate::transport::{Connection, Order, Role, TransportError};
use crate::vault::{VaultError, VaultKey, new_salt};

/// An identity as it stands on the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// The bundle, verified.
    pub bundle: VerifiedBundle,
    /// Where it stands in the operator's log.
    pub cursor: Cursor,
}

/// An identity here and on the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdentityStatus {
    /// The public part of the private keys on this machine.
    pub here: Option<VerifiedBundle>,
    /// What others write to.
    pub published: Option<Published>,
}

/// Keys that took the place of others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplacedIdentity {
    /// The new ones.
    pub published: Published,
    /// What they took over of the account's policy, published anew; none if it had none. Who had the old keys may have changed
    /// it: worth a look.
    pub policy: Option<PublishedPolicy>,
}

/// Something of the account's own was not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The account has keys on this network already. The user's to decide: restore them.
    #[error("{0} has messaging keys on this network already")]
    Exists(Account),
    /// There are no keys to replace. The user's to mend: make some.
    #[error("{0} has no messaging keys on this network")]
    NothingToReplace(Account),
    /// The keys on this machine were replaced: the wallet attested others since. The user's to decide: restore those under
    /// another home.
    #[error("the messaging keys of {0} on this machine have been replaced by others")]
    Replaced(Account),
    /// See there.
    #[error(transparent)]
    NoIdentity(#[from] NoIdentity),
    /// What the network asks of who joins is not at hand. See there.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// The node refused. What is here stays, and publishing can be tried again.
    #[error("the node refused the {what}: {refusal}")]
    Refused {
        /// What was to be published.
        what: &'static str,
        /// Why.
        refusal: Refusal,
    },
    /// What is published does not prove itself. The node's fault.
    #[error(transparent)]
    NotVerified(#[from] NotVerified),
    /// See there.
    #[error(transparent)]
    Remember(#[from] RememberError),
    /// See there.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// See there.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// See there.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// What was to be published breaks a limit. The caller's fault.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// Policies, or vault records, have run out of versions.
    #[error("no version is left")]
    Versions,
    /// See there.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// See there.
    #[error(transparent)]
    State(#[from] StateError),
}

impl From<NoRandomness> for PublishError {
    fn from(error: NoRandomness) -> Self {
        Self::Identity(error.into())
    }
}

/// The identity was not restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// Nothing was ever published. Make an identity.
    #[error("{0} has no messaging keys on this network")]
    NothingPublished(Account),
    /// There are keys, and no vault: they can be found on the machine that made them only.
    #[error("{0} has messaging keys on this network, and no vault to restore them from")]
    NoVault(Account),
    /// This machine holds other keys than the published ones, and perhaps stamps that only they can use.
    #[error("this machine holds other messaging keys of {0} than the published ones: restore under another home")]
    OtherKeysHere(Account),
    /// What is published does not prove itself. The node's fault.
    #[error(transparent)]
    NotVerified(#[from] NotVerified),
    /// What lies on the vault topic is no vault record. The fault of whoever wrote it.
    #[error("the vault: {0}")]
    Malformed(#[from] Malformed),
    /// See there.
    #[error(transparent)]
    Remember(#[from] RememberError),
    /// See there.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// See there.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// See there.
    #[error(transparent)]
    State(#[from] StateError),
}

impl Client {
    /// Makes messaging keys, has the wallet attest them, publishes them, and puts them sealed into the vault. What the network
    /// asks of an account that joins goes with them: the cheapest that is at hand. If it was cut short, or something was
    /// missing, calling it again goes on where it stopped: books and stakes can be bought as soon as there are keys.
    ///
    /// # Errors
    /// [`PublishError`]; [`PublishError::Exists`] if the account has keys already, here and published, or from elsewhere,
    /// [`PublishError::Join`] if what the network asks is not at hand.
    pub async fn create_identity(&self) -> Result<Joined, PublishError> {
        self.create_identity_within(None).await
    }

    /// As [`Client::create_identity`], with stamps worth so many units at most; by default twice what networks ask by default.
    ///
    /// # Errors
    /// As there.
    pub async fn create_identity_within(&self, max_price: Option<u32>) -> Result<Joined, PublishError> {
        let mine = self.connection(Role::Mine).await?;
        let published = self.published(&mine).await?;
        let identity = match (self.state.identity()?, &published) {
            (Some(identity), None) => self.renewed_before_joining(identity).await?,
            (Some(identity), Some(published)) if identity.require_published(&published.bundle).is_ok() => identity,
            (_, Some(_)) => return Err(PublishError::Exists(self.account())),
            (None, None) => {
                self.step(Step::MakingKeys);
                let identity = Identity::create(&*self.wallet, self.network, 1, self.clock.now()).await?;
                // Before anything is published: keys that others write to must not be lost.
                self.state.save_identity(&identity)?;
                identity
            }
        };
        let vault = self.newest(&mine, Topic::Vault(self.account())).await?;
        if published.is_some() && vault.is_some() {
            return Err(PublishError::Exists(self.account()));
        }
        let joined = match published {
            Some(published) => Joined { published, passes: self.shown_at_joining(&mine).await? },
            None => self.join(&mine, &identity, max_price).await?,
        };
        self.state.remember_bundle(&joined.published.bundle)?;
        self.step(Step::Recorded);
        if !joined.passes.is_empty() {
            // Before the vault lets in another installation, which would know nothing of what was used.
            self.care_for_journal(&identity).await?;
        }
        if vault.is_none() {
            self.publish_vault(&mine, &identity).await?;
        }
        Ok(joined)
    }

    /// Makes new messaging keys in the place of those that are published, because they may be in other hands: the next
    /// revision, which outranks whatever the old keys sign. What strangers must show, and the pseudonyms that are shut out, are
    /// published anew, as a policy counts under the keys that signed it only. On a client without keys: what only the old ones
    /// open, letters, conversations, books of stamps, stays with the clients that have them. If it was cut short, calling it
    /// again goes on.
    ///
    /// # Errors
    /// [`PublishError`]; [`PublishError::Exists`] if this client has keys of the account already,
    /// [`PublishError::NothingToReplace`] if nothing is published.
    pub async fn replace_identity(&self) -> Result<ReplacedIdentity, PublishError> {
        let mine = self.connection(Role::Mine).await?;
        let account = self.account();
        let published = self.published(&mine).await?.ok_or(PublishError::NothingToReplace(account))?;
        let revision = published.bundle.bundle().keys.revision;
        let (identity, is_published) = match self.state.identity()? {
            Some(identity) if identity.bundle().keys.revision == revision.saturating_add(1) => (identity, false),
            Some(identity) if identity.require_published(&published.bundle).is_ok() => (identity, true),
            Some(_) => return Err(PublishError::Exists(account)),
            None => {
                self.step(Step::MakingKeys);
                let revision = revision.checked_add(1).ok_or(PublishError::Versions)?;
                let identity = Identity::create(&*self.wallet, self.network, revision, self.clock.now()).await?;
                self.state.save_identity(&identity)?;
                (identity, false)
            }
        };
        let published = if is_published {
            published
        } else {
            let (bundle, topic) = (identity.verified_bundle(), Topic::Contact(account));
            let bytes = bundle.bundle().to_bytes();
            let postmark = self.publish_own(&mine, &identity, "key bundle", topic, bytes, published.cursor).await?;
            self.state.remember_bundle(&bundle)?;
            Published { bundle, cursor: postmark.postmark.cursor }
        };
        // The vault comes last: what is in there is done.
        let policy = self.take_over_policy(&mine, &identity).await?;
        let topic = Topic::Vault(account);
        let (version, head) = match self.newest(&mine, topic).await? {
            None => (0, Cursor::default()),
            Some((envelope, head)) => {
                let record = VaultRecord::from_bytes(&envelope.ciphertext)?;
                let key = VaultKey::from_wallet(&*self.wallet, self.network, record.salt).await?;
                if key.open(&record, &published.bundle).is_ok() {
                    return Err(PublishError::Exists(account));
                }
                (record.version, head)
            }
        };
        let version = version.checked_add(1).ok_or(PublishError::Versions)?;
        let key = VaultKey::from_wallet(&*self.wallet, self.network, new_salt()?).await?;
        let record = key.seal(&identity, version)?;
        self.publish_own(&mine, &identity, "vault", topic, record.to_bytes(), head).await?;
        Ok(ReplacedIdentity { published, policy })
    }

    /// The keys here, and as published.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn identity_status(&self) -> Result<IdentityStatus, PublishError> {
        let mine = self.connection(Role::Mine).await?;
        Ok(IdentityStatus {
            here: self.state.identity()?.map(|identity| identity.verified_bundle()),
            published: self.published(&mine).await?,
        })
    }

    /// Recovers the private keys from the vault, with the wallet alone.
    ///
    /// # Errors
    /// [`RestoreError`].
    pub async fn restore_identity(&self) -> Result<Published, RestoreError> {
        let mine = self.connection(Role::Mine).await?;
        let account = self.account();
        let (bundle, cursor) = mine.key_bundle(account).await?.ok_or(RestoreError::NothingPublished(account))?;
        let bundle = VerifiedBundle::new(bundle, account, self.network)?;
        self.state.remember_bundle(&bundle)?;
        if let Some(here) = self.state.identity()? {
            here.require_published(&bundle).map_err(|_| RestoreError::OtherKeysHere(account))?;
        }
        let (record, _) = self.newest(&mine, Topic::Vault(account)).await?.ok_or(RestoreError::NoVault(account))?;
        let record = VaultRecord::from_bytes(&record.ciphertext)?;
        let key = VaultKey::from_wallet(&*self.wallet, self.network, record.salt).await?;
        self.state.save_identity(&key.open(&record, &bundle)?)?;
        Ok(Published { bundle, cursor })
    }

    /// The own bundle as others find it, verified and compared with the newest seen.
    pub(super) async fn published(&self, mine: &Connection) -> Result<Option<Published>, PublishError> {
        let Some((bundle, cursor)) = mine.key_bundle(self.account()).await? else { return Ok(None) };
        let bundle = VerifiedBundle::new(bundle, self.account(), self.network)?;
        self.state.remember_bundle(&bundle)?;
        Ok(Some(Published { bundle, cursor }))
    }

    pub(super) async fn publish_bundle(
        &self,
        mine: &Connection,
        identity: &Identity,
    ) -> Result<Published, PublishError> {
        let bundle = identity.verified_bundle();
        let topic = Topic::Contact(self.account());
        let bytes = bundle.bundle().to_bytes();
        match self.publish_own(mine, identity, "key bundle", topic, bytes, Cursor::default()).await {
            Ok(postmark) => Ok(Published { bundle, cursor: postmark.postmark.cursor }),
            // Somebody with this wallet was faster.
            Err(PublishError::Refused { refusal, .. }) if refusal.code() == Code::HeadMoved => {
                Err(PublishError::Exists(self.account()))
            }
            Err(error) => Err(error),
        }
    }

    async fn publish_vault(&self, mine: &Connection, identity: &Identity) -> Result<(), PublishError> {
        let key = VaultKey::from_wallet(&*self.wallet, self.network, new_salt()?).await?;
        let record = key.seal(identity, 1)?;
        let topic = Topic::Vault(self.account());
        self.publish_own(mine, identity, "vault", topic, record.to_bytes(), Cursor::default()).await?;
        Ok(())
    }

    /// Publishes a record on a topic of the account's own.
    pub(super) async fn publish_own(
        &self,
        mine: &Connection,
        identity: &Identity,
        what: &'static str,
        topic: Topic,
        record: Vec<u8>,
        head: Cursor,
    ) -> Result<SignedPostmark, PublishError> {
        self.step(Step::Publishing);
        let envelope = Envelope { topic, sent_at: self.clock.now(), ciphertext: record };
        let owner = identity.sign_owner(envelope.id(self.network));
        let submission = Submission::new(envelope, vec![Pass::Owner(owner)])?;
        let result = mine.publish_one(submission, Some(head)).await?;
        result.map_err(|refusal| PublishError::Refused { what, refusal })
    }

    /// The newest envelope of a topic, and where it stands.
    pub(super) async fn newest(
        &self,
        connection: &Connection,
        topic: Topic,
    ) -> Result<Option<(Envelope, Cursor)>, TransportError> {
        let page = connection.query(topic, Cursor::default(), Order::NewestFirst, 1).await?;
        Ok(page
            .records
            .into_iter()
            .next()
            .map(|record| (record.submission.envelope().clone(), record.postmark.postmark.cursor)))
    }
}
