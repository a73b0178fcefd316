//! Claims on the chain: anybody declares what the network offers. For those without issuers the account's token is registered
//! under the commitment that its key bundle names, and anybody has the entry of who sold theirs removed.
//!
//! Everybody sees on chain who registered, and for which claim. Which letters it pays for nobody sees.

use alloy::primitives::{TxHash, U256};
use alloy::signers::Signer;
use xmtp_contracts::{Condition, OfferedClaim};
use xmtp_proto::derive::ClaimId;
use xmtp_proto::time::Generation;

use super::{Client, NoIdentity, Step};
use crate::chain::{BuyError, Chain, ClaimError, Registration};
use crate::state::StateError;

/// A claim that the chain knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeclaredClaim {
    /// The claim.
    pub claim: ClaimId,
    /// The transaction; none if it was declared before.
    pub transaction: Option<TxHash>,
}

/// A token's entry in a group that was made or pruned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegisteredToken {
    /// The claim.
    pub claim: ClaimId,
    /// For which quarter.
    pub generation: Generation,
    /// The token.
    pub token: U256,
    /// The transaction; none if one from before was found to have gone through.
    pub transaction: Option<TxHash>,
}

/// Nothing was declared, registered, or pruned.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// Commitments belong to an identity.
    #[error(transparent)]
    NoIdentity(#[from] NoIdentity),
    /// The client was given no endpoint of the chain. The user's to mend.
    #[error("that takes the chain's JSON-RPC endpoint, and none was given")]
    NoRpc,
    /// The user's to mend.
    #[error("the network offers no claim {0}")]
    NoSuchClaim(String),
    /// The claim is about any token of a collection. The user's to mend: say which.
    #[error("{0} is about any token of its collection: say which one")]
    WhichToken(String),
    /// See there.
    #[error(transparent)]
    Chain(#[from] ClaimError),
    /// See there.
    #[error(transparent)]
    State(#[from] StateError),
}

impl From<BuyError> for RegisterError {
    fn from(error: BuyError) -> Self {
        Self::Chain(error.into())
    }
}

impl Client {
    /// Declares a claim that the network offers, by its name or its id, with the terms that the deployment names. Anybody may,
    /// once, and pays for the transaction. If somebody did before, nothing is done again.
    ///
    /// # Errors
    /// [`RegisterError`].
    pub async fn declare_claim(&self, claim: &str) -> Result<DeclaredClaim, RegisterError> {
        let offered = self.offered(claim)?;
        let chain = self.chain.as_ref().ok_or(RegisterError::NoRpc)?;
        let claim = offered.id(self.network);
        let before = DeclaredClaim { claim, transaction: None };
        self.step(Step::Buying);
        if chain.is_declared(claim).await? {
            return Ok(before);
        }
        let submitted = match chain.declare(&*self.wallet, offered).await {
            Err(ClaimError::Declared) => return Ok(before),
            submitted => submitted?,
        };
        let transaction = Some(submitted.transaction());
        chain.confirm(submitted).await?;
        Ok(DeclaredClaim { claim, transaction })
    }

    /// Registers a token of the wallet's for a claim, by its name or its id, for the quarter that the keys are of. `token` may
    /// be left out where the claim is about one. If that was done before, nothing is done again.
    ///
    /// Everybody can read on chain that this account has registered for this claim.
    ///
    /// # Errors
    /// [`RegisterError`].
    pub async fn register_claim(&self, claim: &str, token: Option<U256>) -> Result<RegisteredToken, RegisterError> {
        let (chain, claim, token) = self.registration(claim, token)?;
        self.care_for_keys().await?;
        let identity = self.identity()??;
        let generation = Generation(identity.generation());
        let commitment = identity.postal_seed().claim_secret(generation.0).commitment();
        self.step(Step::Buying);
        let there = chain.registration(claim, generation, token).await?;
        let own = Registration { holder: Some(Signer::address(&*self.wallet)), commitment: Some(commitment) };
        if there == Some(own) {
            return Ok(RegisteredToken { claim, generation, token, transaction: None });
        }
        let submitted = chain.register(&*self.wallet, claim, generation, (token, commitment)).await?;
        let transaction = Some(submitted.transaction());
        chain.confirm(submitted).await?;
        self.forget_claims();
        Ok(RegisteredToken { claim, generation, token, transaction })
    }

    /// Has the entry of a token removed whose holder has it no more: in the present quarter, unless another is named. Anybody
    /// may, and pays for the transaction.
    ///
    /// # Errors
    /// [`RegisterError`].
    pub async fn prune_claim(
        &self,
        claim: &str,
        token: Option<U256>,
        generation: Option<Generation>,
    ) -> Result<RegisteredToken, RegisterError> {
        let (chain, claim, token) = self.registration(claim, token)?;
        let generation = generation.unwrap_or_else(|| Generation::at(self.now()));
        self.step(Step::Buying);
        let submitted = chain.prune(&*self.wallet, claim, generation, token).await?;
        let transaction = Some(submitted.transaction());
        chain.confirm(submitted).await?;
        self.forget_claims();
        Ok(RegisteredToken { claim, generation, token, transaction })
    }

    /// What is registered where.
    fn registration(&self, name: &str, token: Option<U256>) -> Result<(&Chain, ClaimId, U256), RegisterError> {
        let offered = self.offered(name)?;
        if !offered.issuers.is_empty() {
            return Err(ClaimError::Issued.into());
        }
        let token = match offered.condition {
            Condition::Erc721Token { token_id, .. } => token.unwrap_or(token_id),
            _ => token.ok_or_else(|| RegisterError::WhichToken(name.to_owned()))?,
        };
        Ok((self.chain.as_ref().ok_or(RegisterError::NoRpc)?, offered.id(self.network), token))
    }

    fn offered(&self, name: &str) -> Result<&OfferedClaim, RegisterError> {
        let is_it = |it: &&OfferedClaim| it.name == name || it.id(self.network).to_string() == name;
        let offered = self.deployment.offered_claims.iter().find(is_it);
        offered.ok_or_else(|| RegisterError::NoSuchClaim(name.to_owned()))
    }
}
