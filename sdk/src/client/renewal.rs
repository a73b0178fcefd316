//! What is made anew by itself, by whichever installation comes first: the prekey every month, and with the quarter the pass
//! secrets, which the wallet attests (docs/protocol.md, "Identities and keys").
//!
//! The vault decides: who renews goes on from what lies in it, and writes it back against the record that was read. Only a
//! prekey that is in the vault is ever published, so no invite can come that the account's other clients cannot open. Cut
//! short anywhere, the next one goes on: what the vault is ahead of the bundle is published.

use xmtp_proto::postmark::Cursor;
use xmtp_proto::refusal::Code;
use xmtp_proto::time::{EPOCH_SKEW, Generation};
use xmtp_proto::topic::Topic;
use xmtp_proto::vault::VaultRecord;

use super::{Client, PublishError, Published, Step};
use crate::identity::Identity;
use crate::state::{Order, Record, StateError};
use crate::transport::{Connection, Role, TransportError};
use crate::vault::{VaultKey, new_salt};

/// How often it is begun anew because another installation was faster.
const ATTEMPTS: usize = 3;

impl Client {
    /// Renews the prekey and the attestation of the present quarter, each if it is due, or takes over what another
    /// installation made. Returns what is published then; none if there was nothing to do. Reading and sending do this by
    /// themselves.
    ///
    /// # Errors
    /// [`PublishError`]; the old prekey stays good, and the next attempt goes on where this one stopped.
    pub async fn keep_keys_fresh(&self) -> Result<Option<Published>, PublishError> {
        let Some(identity) = self.state.identity()? else { return Ok(None) };
        let now = self.clock.now();
        if !identity.prekey_is_due(now) && !identity.generation_is_due(now) && !self.is_ahead(&identity)? {
            return Ok(None);
        }
        let mine = self.connection(Role::Mine).await?;
        let mut attempts = 1;
        loop {
            match self.renew(&mine, &identity).await {
                Err(PublishError::Refused { refusal, .. })
                    if refusal.code() == Code::HeadMoved && attempts < ATTEMPTS =>
                {
                    attempts += 1;
                }
                other => return other,
            }
        }
    }

    /// As [`Client::keep_keys_fresh`], for whoever wants something else: keys that live some days longer do less harm
    /// than a letter that is not read, and the next time is another try.
    pub(crate) async fn care_for_keys(&self) -> Result<(), StateError> {
        match self.keep_keys_fresh().await {
            Err(PublishError::State(error)) => Err(error),
            Err(_) | Ok(_) => Ok(()),
        }
    }

    /// Keys that were made in another quarter than the account joins in, attested anew: nobody has seen them, so they need
    /// no successor to be told from.
    pub(super) async fn renewed_before_joining(&self, mut identity: Identity) -> Result<Identity, PublishError> {
        let now = self.clock.now();
        if identity.generation_is_due(now) && self.has_turned(identity.generation() + 1).await? {
            self.step(Step::MakingKeys);
            identity.renew(&*self.wallet, now).await?;
            self.state.save_identity(&identity)?;
        }
        Ok(identity)
    }

    /// Whether the node, too, says that a quarter has come: what it accepts before joins no group.
    async fn has_turned(&self, generation: u32) -> Result<bool, TransportError> {
        let node = self.greet().await?;
        Ok(Generation::at(node.network().now.saturating_add(EPOCH_SKEW)).0 >= generation)
    }

    /// Whether these keys were saved and not published: a rotation was cut short.
    fn is_ahead(&self, identity: &Identity) -> Result<bool, StateError> {
        let (revision, version) = identity.bundle().order();
        let here = Order { revision, version: version.into() };
        let seen = self.state.seen(self.account(), Record::Bundle)?;
        Ok(seen.is_some_and(|seen| Order { revision: seen.revision, version: seen.version } < here))
    }

    async fn renew(&self, mine: &Connection, here: &Identity) -> Result<Option<Published>, PublishError> {
        // Keys that were never published are not ours to publish: making the identity was cut short.
        let Some(published) = self.published(mine).await? else { return Ok(None) };
        if !here.is_of(&published.bundle) {
            return Err(PublishError::Replaced(self.account()));
        }
        self.step(Step::MakingKeys);
        let topic = Topic::Vault(self.account());
        let (mut identity, key, version, head) = match self.newest(mine, topic).await? {
            None => {
                let key = VaultKey::from_wallet(&*self.wallet, self.network, new_salt()?).await?;
                (self.identity()??, key, 0, Cursor::default())
            }
            Some((envelope, head)) => {
                let record = VaultRecord::from_bytes(&envelope.ciphertext)?;
                let key = VaultKey::from_wallet(&*self.wallet, self.network, record.salt).await?;
                (key.open(&record, &published.bundle)?, key, record.version, head)
            }
        };
        let now = self.clock.now();
        let turned = identity.generation_is_due(now) && self.has_turned(identity.generation() + 1).await?;
        if turned || identity.prekey_is_due(now) {
            match turned {
                true => identity.renew(&*self.wallet, now).await?,
                false => identity.rotate_prekey(now)?,
            }
            let version = version.checked_add(1).ok_or(PublishError::Versions)?;
            let record = key.seal(&identity, version)?;
            self.publish_own(mine, &identity, "vault", topic, record.to_bytes(), head).await?;
        }
        self.state.save_identity(&identity)?;
        let bundle = identity.verified_bundle();
        if bundle.digest() == published.bundle.digest() {
            return Ok(Some(published));
        }
        let (topic, bytes) = (Topic::Contact(self.account()), bundle.bundle().to_bytes());
        let postmark = self.publish_own(mine, &identity, "key bundle", topic, bytes, published.cursor).await?;
        self.state.remember_bundle(&bundle)?;
        Ok(Some(Published { bundle, cursor: postmark.postmark.cursor }))
    }
}
