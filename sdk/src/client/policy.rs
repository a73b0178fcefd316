//! The own account's policy: what strangers must show, and whom nodes shut out.

use xmtp_proto::key_bundle::KeyBundle;
use xmtp_proto::policy::{Policy, SignedPolicy};
use xmtp_proto::postmark::Cursor;
use xmtp_proto::requirement::Requirement;
use xmtp_proto::topic::Topic;

use super::{Client, PublishError};
use crate::identity::{Identity, VerifiedBundle};
use crate::transport::{Connection, Order, Role, TransportError};

/// Bundles per page of those that went before.
const PAGE: u32 = 100;
/// Pages of bundles that are searched for the keys that signed a policy.
const PAGES: usize = 16;

/// A policy that was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedPolicy {
    /// Policy and signature.
    pub signed: SignedPolicy,
    /// Where it stands in the operator's log.
    pub cursor: Cursor,
}

/// What the next policy goes on from.
enum Before {
    /// The account has none.
    Nothing,
    /// These keys signed it.
    Own(SignedPolicy),
    /// Keys that these have replaced did, and it counts for nothing until these sign it.
    Replaced(SignedPolicy),
}

impl Client {
    /// Publishes what strangers must show. Blocked tags and revoked attestations stay as they were.
    ///
    /// # Errors
    /// [`PublishError`]; [`Refusal::HeadMoved`](xmtp_proto::refusal::Refusal::HeadMoved) if another client of the account was
    /// faster: try again.
    pub async fn set_policy(&self, requirement: Requirement) -> Result<PublishedPolicy, PublishError> {
        self.change_policy(|policy| policy.requirement = requirement).await
    }

    /// Publishes the account's policy with a change; one that asks for nothing and blocks nobody, if there was none.
    pub(crate) async fn change_policy(
        &self,
        change: impl FnOnce(&mut Policy),
    ) -> Result<PublishedPolicy, PublishError> {
        self.care_for_keys().await?;
        let identity = self.identity()??;
        let mine = self.connection(Role::Mine).await?;
        let (before, head) = self.policy_before(&mine, &identity).await?;
        let mut policy = match before {
            Before::Own(signed) => signed.policy().clone(),
            Before::Replaced(signed) => taken_over(&signed),
            Before::Nothing => Policy {
                account: self.account(),
                version: 0,
                requirement: Requirement::nothing(),
                blocked_tags: Vec::new(),
                revoked_attestations: Vec::new(),
            },
        };
        change(&mut policy);
        self.publish_policy(&mine, &identity, policy, head).await
    }

    /// Signs with keys that have replaced others the policy that those had signed, unless it is done already.
    pub(super) async fn take_over_policy(
        &self,
        mine: &Connection,
        identity: &Identity,
    ) -> Result<Option<PublishedPolicy>, PublishError> {
        match self.policy_before(mine, identity).await? {
            (Before::Nothing, _) => Ok(None),
            (Before::Own(signed), cursor) => Ok(Some(PublishedPolicy { signed, cursor })),
            (Before::Replaced(signed), head) => {
                self.publish_policy(mine, identity, taken_over(&signed), head).await.map(Some)
            }
        }
    }

    /// The account's newest policy, and where its topic stands.
    ///
    /// It goes on from what the account's keys signed, these or those that they have replaced, and nothing older than what was
    /// seen: a node that chose what comes before could have tags blocked, the last version used up, or one version signed twice.
    async fn policy_before(&self, mine: &Connection, identity: &Identity) -> Result<(Before, Cursor), PublishError> {
        let newest = self.newest(mine, Topic::Policy(self.account())).await?;
        let head = newest.as_ref().map(|(_, cursor)| *cursor).unwrap_or_default();
        let signed = newest.map(|(envelope, _)| SignedPolicy::from_bytes(&envelope.ciphertext)).transpose()?;
        let signed = signed.filter(|signed| signed.policy().account == self.account());
        let bundle = identity.verified_bundle();
        let (own, other) = match signed {
            Some(signed) if self.has_signed(&bundle, &signed) => (Some(signed), None),
            other => (None, other),
        };
        if own.is_none() {
            let published = self.published(mine).await?;
            if published.is_some_and(|published| !identity.is_of(&published.bundle)) {
                return Err(PublishError::Replaced(self.account()));
            }
        }
        self.state.remember_policy(&bundle, own.as_ref())?;
        Ok(match (own, other) {
            (Some(signed), _) => (Before::Own(signed), head),
            (None, Some(signed)) if self.have_replaced_signed(mine, &bundle, &signed).await? => {
                (Before::Replaced(signed), head)
            }
            (None, _) => (Before::Nothing, head),
        })
    }

    /// Whether a policy was signed with keys that the wallet attested before these.
    async fn have_replaced_signed(
        &self,
        mine: &Connection,
        own: &VerifiedBundle,
        signed: &SignedPolicy,
    ) -> Result<bool, TransportError> {
        let mut before = Cursor::default();
        for _ in 0..PAGES {
            let page = mine.query(Topic::Contact(self.account()), before, Order::NewestFirst, PAGE).await?;
            for record in &page.records {
                before = record.postmark.postmark.cursor;
                let Ok(bundle) = KeyBundle::from_bytes(&record.submission.envelope().ciphertext) else { continue };
                let is_earlier = bundle.keys.revision < own.bundle().keys.revision;
                let Ok(bundle) = VerifiedBundle::new(bundle, self.account(), self.network) else { continue };
                if is_earlier && self.has_signed(&bundle, signed) {
                    return Ok(true);
                }
            }
            if !page.more {
                break;
            }
        }
        Ok(false)
    }

    fn has_signed(&self, bundle: &VerifiedBundle, signed: &SignedPolicy) -> bool {
        signed.verify(self.network, &bundle.bundle().keys.identity_key).is_ok()
    }

    async fn publish_policy(
        &self,
        mine: &Connection,
        identity: &Identity,
        policy: Policy,
        head: Cursor,
    ) -> Result<PublishedPolicy, PublishError> {
        let Policy { account, version, requirement, blocked_tags, revoked_attestations } = policy;
        let version = version.checked_add(1).ok_or(PublishError::Versions)?;
        let signed = identity.sign_policy(version, requirement, blocked_tags, revoked_attestations)?;
        let topic = Topic::Policy(account);
        let postmark = self.publish_own(mine, identity, "policy", topic, signed.to_bytes(), head).await?;
        self.state.remember_policy(&identity.verified_bundle(), Some(&signed))?;
        Ok(PublishedPolicy { signed, cursor: postmark.postmark.cursor })
    }
}

/// What stays of a policy whose keys were replaced: its versions count anew, and of attestations by those keys none counts any
/// more, so none need be revoked.
fn taken_over(signed: &SignedPolicy) -> Policy {
    Policy { version: 0, revoked_attestations: Vec::new(), ..signed.policy().clone() }
}
