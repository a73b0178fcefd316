//! The claims that the network offers, as the deployment names them.

use std::collections::HashMap;

use xmtp_proto::claim::Terms;
use xmtp_proto::derive::ClaimId;
use xmtp_proto::snapshot::Anchorage;

/// Claims by id. None, where the network has none.
#[derive(Clone, Debug, Default)]
pub struct Offered {
    terms: HashMap<ClaimId, Terms>,
    anchorage: Option<Anchorage>,
}

impl Offered {
    /// Claims whose snapshots are bound to this contract.
    pub fn new(anchorage: Option<Anchorage>, terms: impl IntoIterator<Item = (ClaimId, Terms)>) -> Self {
        Self { terms: terms.into_iter().collect(), anchorage }
    }

    /// Whether proofs of a claim are taken.
    #[must_use]
    pub fn offers(&self, claim: &ClaimId) -> bool {
        self.terms.contains_key(claim)
    }

    /// All of them.
    pub fn ids(&self) -> impl Iterator<Item = &ClaimId> {
        self.terms.keys()
    }

    /// What a claim is about, and who vouches for it.
    #[must_use]
    pub fn terms(&self, claim: &ClaimId) -> Option<&Terms> {
        self.terms.get(claim)
    }

    /// Whether holders register the claim on chain: no issuer vouches for them, the chain does.
    #[must_use]
    pub fn is_registered(&self, claim: &ClaimId) -> bool {
        self.terms(claim).is_some_and(|terms| terms.issuers.is_empty())
    }

    /// What issuers' signatures are bound to.
    #[must_use]
    pub const fn anchorage(&self) -> Option<Anchorage> {
        self.anchorage
    }
}
