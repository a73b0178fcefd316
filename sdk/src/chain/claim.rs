//! Claims on the chain: declaring one; and for those without issuers registering a token, and pruning the entry of who sold it.

use alloy::contract::Error as ContractError;
use alloy::primitives::{Address, U256};
use alloy::providers::DynProvider;
use alloy::signers::Signer;
use xmtp_contracts::{IClaims, OfferedClaim};
use xmtp_proto::derive::ClaimId;
use xmtp_proto::field::{Commitment, FieldElement};
use xmtp_proto::time::Generation;

use super::{BuyError, Chain, Submitted, Wallet, within};

/// What the chain has of a token in one generation of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Who registered it; none once that was pruned.
    pub holder: Option<Address>,
    /// Of the holder's secret. None if it is no commitment, which no holder of our contract has.
    pub commitment: Option<Commitment>,
}

/// Why a claim was not declared, a token not registered, or an entry not pruned.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// The network has none.
    #[error("this network has no claims")]
    NotOffered,
    /// Nobody has declared it. The network's to mend.
    #[error("the chain does not know this claim yet: somebody must declare it")]
    Undeclared,
    /// Somebody was faster. Nothing is left to do.
    #[error("this claim was declared before")]
    Declared,
    /// The deployment names a claim that the contract takes not. Its author's to mend.
    #[error("the contract takes no claim with such {0}")]
    Terms(&'static str),
    /// The user's to mend: issuers look for themselves.
    #[error("this claim has issuers, and nothing is registered for it")]
    Issued,
    /// The user's to mend.
    #[error("the claim is about another token")]
    WrongToken,
    /// The user's to mend.
    #[error("the collection does not say that this wallet owns the token")]
    NotHolder,
    /// The user's to wait for, until the quarter turns.
    #[error("the token was registered twice this quarter, which is the most, whoever held it: wait for the next one")]
    RegisteredTwice,
    /// One commitment stands for one token.
    #[error("another token is registered for this account's claims already, and one is enough")]
    Registered,
    /// The keys are of another quarter than the chain's clock says. The user's to mend: renew them, or wait.
    #[error("the chain takes registrations for the quarters {0} and {next}", next = .0.saturating_add(1))]
    WrongGeneration(u32),
    /// There is nothing to prune.
    #[error("nothing is registered for this token in this quarter")]
    NoRegistration,
    /// There is nothing to prune.
    #[error("the token still belongs to who registered it")]
    StillHeld,
    /// See there.
    #[error(transparent)]
    Chain(Box<BuyError>),
}

impl From<BuyError> for ClaimError {
    fn from(error: BuyError) -> Self {
        Self::Chain(error.into())
    }
}

impl From<ContractError> for ClaimError {
    fn from(error: ContractError) -> Self {
        use IClaims::IClaimsErrors as Refused;
        match error.as_decoded_interface_error::<Refused>() {
            Some(Refused::UnknownClaim(_)) => Self::Undeclared,
            Some(Refused::AlreadyDeclared(_)) => Self::Declared,
            Some(Refused::InvalidSpec(_)) => Self::Terms("a condition"),
            Some(Refused::InvalidIssuers(_)) => Self::Terms("issuers and threshold"),
            Some(Refused::InvalidLimit(_)) => Self::Terms("a limit"),
            Some(Refused::NotRegistered(_)) => Self::Issued,
            Some(Refused::WrongToken(_)) => Self::WrongToken,
            Some(Refused::NotHolder(_)) => Self::NotHolder,
            Some(Refused::RegisteredTwice(_)) => Self::RegisteredTwice,
            Some(Refused::CommitmentUsed(_)) => Self::Registered,
            Some(Refused::WrongGeneration(IClaims::WrongGeneration { current })) => Self::WrongGeneration(current),
            Some(Refused::NoRegistration(_)) => Self::NoRegistration,
            Some(Refused::StillHeld(_)) => Self::StillHeld,
            Some(other) => BuyError::Contract(format!("{other:?}")).into(),
            None => BuyError::from(error).into(),
        }
    }
}

impl Chain {
    /// Whether the chain knows a claim.
    ///
    /// # Errors
    /// [`ClaimError::NotOffered`]; [`BuyError::Rpc`] and its like.
    pub async fn is_declared(&self, claim: ClaimId) -> Result<bool, ClaimError> {
        // What was never declared has no terms, and so no limit.
        Ok(asked(self.claims()?.claimOf(claim.0).call()).await?.limit != 0)
    }

    /// Declares a claim; anybody may, once.
    ///
    /// # Errors
    /// [`ClaimError`]; after [`BuyError::Rpc`] the transaction may still have been sent.
    pub async fn declare(&self, wallet: &dyn Wallet, claim: &OfferedClaim) -> Result<Submitted, ClaimError> {
        let (owner, claims) = (Signer::address(wallet), self.claims()?);
        let call = claims.declare(claim.into()).from(owner);
        // Refusals come out of the estimate, before a transaction is signed or anything is paid.
        let gas = asked(call.estimate_gas()).await?;
        self.check_gas(owner, gas).await?;
        Ok(Submitted(asked(call.send()).await?))
    }

    /// What is registered for a token in a generation; nothing if nobody ever did.
    ///
    /// # Errors
    /// [`ClaimError::NotOffered`]; [`BuyError::Rpc`] and its like.
    pub async fn registration(
        &self,
        claim: ClaimId,
        generation: Generation,
        token: U256,
    ) -> Result<Option<Registration>, ClaimError> {
        let found = asked(self.claims()?.registrationOf(claim.0, generation.0, token).call()).await?;
        let commitment = FieldElement::try_from(found.commitment).ok().map(Commitment::from);
        let holder = (!found.holder.is_zero()).then_some(found.holder);
        Ok((found.times > 0).then_some(Registration { holder, commitment }))
    }

    /// Registers a commitment for a token of the wallet's. What was registered for it before leaves the group.
    ///
    /// # Errors
    /// [`ClaimError`]; after [`BuyError::Rpc`] the transaction may still have been sent.
    pub async fn register(
        &self,
        wallet: &dyn Wallet,
        claim: ClaimId,
        generation: Generation,
        (token, commitment): (U256, Commitment),
    ) -> Result<Submitted, ClaimError> {
        let (owner, claims) = (Signer::address(wallet), self.claims()?);
        let call = claims.register(claim.0, generation.0, token, commitment.field().to_u256()).from(owner);
        // Refusals come out of the estimate, before a transaction is signed or anything is paid.
        let gas = asked(call.estimate_gas()).await?;
        self.check_gas(owner, gas).await?;
        Ok(Submitted(asked(call.send()).await?))
    }

    /// Has the entry of a token removed whose holder has it no more; anybody may.
    ///
    /// # Errors
    /// As [`Chain::register`].
    pub async fn prune(
        &self,
        wallet: &dyn Wallet,
        claim: ClaimId,
        generation: Generation,
        token: U256,
    ) -> Result<Submitted, ClaimError> {
        let (owner, claims) = (Signer::address(wallet), self.claims()?);
        let call = claims.prune(claim.0, generation.0, token).from(owner);
        let gas = asked(call.estimate_gas()).await?;
        self.check_gas(owner, gas).await?;
        Ok(Submitted(asked(call.send()).await?))
    }

    fn claims(&self) -> Result<IClaims::IClaimsInstance<&DynProvider>, ClaimError> {
        Ok(IClaims::new(self.deployment.claims.ok_or(ClaimError::NotOffered)?, &self.provider))
    }
}

/// An answer of the contract, whose refusals are its own.
async fn asked<T>(call: impl IntoFuture<Output = Result<T, ContractError>>) -> Result<T, ClaimError> {
    within(async { Ok::<_, BuyError>(call.into_future().await.map_err(ClaimError::from)) }).await?
}
