//! The account's claims: which the network offers, which of them hold of the account today, and their passes.
//!
//! They are looked for on a connection of their own, once a day, and not while a letter is on its way: a node learns that
//! somebody asks for a claim's group, and no more.

use std::sync::PoisonError;

use xmtp_contracts::OfferedClaim;
use xmtp_proto::derive::{ClaimId, Purpose};
use xmtp_proto::envelope::Envelope;
use xmtp_proto::pass;
use xmtp_proto::requirement::Requirement;
use xmtp_proto::snapshot::Anchorage;
use xmtp_proto::time::{Epoch, Generation};
use xmtp_prover::{Limit, Path};

use super::joining::is_first_bundle;
use super::{Client, ProvingKeyError, SendError, Step};
use crate::claims::{ClaimToUse, SMALL_CLAIM, Standing, claim, find_claim};
use crate::conversation::ConversationError;
use crate::franking::{Demand, FrankError, leaf_of};
use crate::identity::Identity;
use crate::journal::{IndexName, JOINING_INDEX};
use crate::state::ClaimIndex;
use crate::transport::{ClaimGroup, Role};

/// A claim that the network offers, and how it stands today.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimStatus {
    /// Its name and terms.
    pub claim: OfferedClaim,
    /// What policies call it.
    pub id: ClaimId,
    /// How many accounts it holds of; none if there is no snapshot today, and nobody whose registration counts.
    pub holders: Option<u32>,
    /// Whether the account is one of them.
    pub held: bool,
}

/// A claim that can be shown today.
#[derive(Clone)]
pub(super) struct HeldClaim {
    pub(super) group: ClaimGroup,
    pub(super) limit: Limit,
    pub(super) holders: u32,
    path: Path,
}

/// What was looked for, and when: the claims that hold of the account in an epoch.
#[derive(Default)]
pub(super) struct Held(Option<(Epoch, Vec<HeldClaim>)>);

impl Client {
    /// The claims that the network offers, and which of them hold of the account.
    ///
    /// # Errors
    /// [`SendError::Frank`]; [`SendError::NoIdentity`] if there are no keys to look for.
    pub async fn claims(&self) -> Result<Vec<ClaimStatus>, SendError> {
        let identity = self.identity()??;
        let mut all = Vec::with_capacity(self.deployment.offered_claims.len());
        for offered in &self.deployment.offered_claims {
            let standing = self.standing(&identity, offered).await?;
            let (holders, held) = standing.map_or((None, false), |it| (Some(it.holders), it.held.is_some()));
            all.push(ClaimStatus { id: offered.id(self.network), claim: offered.clone(), holders, held });
        }
        Ok(all)
    }

    /// Looks for what could be shown to somebody who asks for claims, unless that was done today. A claim that cannot be looked
    /// for is not at hand.
    pub(super) async fn look_for_claims(&self, identity: &Identity, demand: &Demand) {
        let today = self.now().epoch();
        let looked = self.held.lock().unwrap_or_else(PoisonError::into_inner).0.as_ref().map(|(epoch, _)| *epoch);
        let asked = |requirement: &Requirement| matches!(requirement, Requirement::Claim(_));
        if self.deployment.offered_claims.is_empty() || !demand.asks(asked) || looked == Some(today) {
            return;
        }
        // Which index goes with which letter is for the journal to say.
        if !self.keeps_journal().await.unwrap_or(false) {
            return;
        }
        let mut all = Vec::new();
        for offered in &self.deployment.offered_claims {
            let Ok(Some(standing)) = self.standing(identity, offered).await else { continue };
            let (Standing { holders, held: Some(path) }, Ok(limit)) = (standing, Limit::new(offered.limit)) else {
                continue;
            };
            let group = ClaimGroup { id: offered.id(self.network), generation: identity.generation() };
            all.push(HeldClaim { group, limit, holders, path });
        }
        self.held.lock().unwrap_or_else(PoisonError::into_inner).0 = Some((today, all));
    }

    /// What was found is no longer good.
    pub(super) fn forget_claims(&self) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).0 = None;
    }

    /// The claims that may be shown: none of a group that hides nobody, unless the user agreed.
    pub(super) fn held_claims(&self) -> Vec<HeldClaim> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let all = held.0.iter().filter(|(epoch, _)| *epoch == self.now().epoch()).flat_map(|(_, all)| all);
        all.filter(|it| self.small_claims || it.holders >= SMALL_CLAIM).cloned().collect()
    }

    /// Makes the pass, of an index that the journal grants to this letter, or of the one that is the first key bundle's.
    pub(super) async fn frank_claim(
        &self,
        identity: &Identity,
        envelope: &Envelope,
        held: &HeldClaim,
    ) -> Result<pass::Claim, SendError> {
        let HeldClaim { group, limit, ref path, .. } = *held;
        let index = match is_first_bundle(envelope) {
            true => IndexName::new(Purpose::Envelope, self.now().epoch(), JOINING_INDEX),
            false => self.reserve(identity, Purpose::Envelope, envelope, limit).await?,
        };
        self.step(Step::WritingDown);
        let used = ClaimIndex { claim: group.id, generation: group.generation, index };
        self.state.use_claim_index(used, envelope.id(self.network)).map_err(ConversationError::from)?;
        self.step(Step::WrittenDown);
        let keys = self.keys().await?;
        self.step(Step::Proving);
        let secret = identity.postal_seed().claim_secret(group.generation);
        let (place, envelope, path) = (self.place(), envelope.clone(), path.clone());
        let proved = tokio::task::spawn_blocking(move || {
            let to_use = ClaimToUse { group, secret: &secret, limit, epoch: index.epoch, index: index.index() };
            claim(&keys.proving, &keys.verifying, place, &envelope, &to_use, &path)
        });
        let pass = proved.await.map_err(|_| ProvingKeyError::Interrupted)??;
        self.step(Step::Proved);
        Ok(pass)
    }

    async fn standing(&self, identity: &Identity, offered: &OfferedClaim) -> Result<Option<Standing>, SendError> {
        let generation = identity.generation();
        let (Some(claims), true) = (self.deployment.claims, Generation(generation).counts_at(self.now())) else {
            return Ok(None);
        };
        let at = Anchorage { chain_id: self.deployment.chain_id, claims };
        let terms = offered.terms();
        let Ok(limit) = Limit::new(terms.limit) else { return Ok(None) };
        let group = ClaimGroup { id: terms.id(self.network), generation };
        let leaf = leaf_of(&identity.postal_seed().claim_secret(generation), limit);
        let connection = self.connection(Role::AskingAndFranking).await?;
        self.step(Step::Asking);
        match find_claim(&connection, group, (&terms, at), leaf).await {
            // What enough issuers did not sign holds of nobody.
            Err(FrankError::NotIssued(_)) => Ok(None),
            other => Ok(other?),
        }
    }
}
