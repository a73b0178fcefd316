//! Staking: locking tokens for the right to write so many envelopes a day, and getting them back.

use alloy::contract::Error as ContractError;
use alloy::primitives::{Address, U256};
use alloy::providers::DynProvider;
use alloy::signers::Signer;
use xmtp_contracts::{IStake, Staking, Tier};
use xmtp_proto::field::Commitment;
use xmtp_prover::Position;

use super::{Amount, BuyError, Chain, Submitted, VOLUME_BITS, Wallet, within};

/// A stake as the chain remembers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainStake {
    /// Its tier.
    pub tier: u32,
    /// Where its leaf is, or was.
    pub position: Position,
    /// Who staked; none once it was withdrawn or slashed.
    pub staker: Option<Address>,
    /// From when on it may be withdrawn, in seconds since the Unix epoch; none if no exit was requested.
    pub withdrawable_from: Option<u64>,
}

/// Why a stake was not made, left, or paid back.
#[derive(Debug, thiserror::Error)]
pub enum StakeError {
    /// The network has none.
    #[error("this network has no stakes")]
    NotOffered,
    /// There is no such tier. The user's to mend.
    #[error("there is no tier {0}")]
    NoSuchTier(u32),
    /// The wallet did not stake this. The user's to mend: use the wallet that did.
    #[error("another wallet made this stake")]
    NotStaker,
    /// It is on its way out already.
    #[error("its exit was requested before; it may be withdrawn from Unix time {0} on")]
    Leaving(u64),
    /// The exit comes first. The user's to mend.
    #[error("its exit was not requested yet")]
    NoExit,
    /// The cool-down is not over. The user's to wait for.
    #[error("it may be withdrawn from Unix time {0} on, and not before")]
    TooEarly(u64),
    /// It was withdrawn, or slashed.
    #[error("the stake is gone: withdrawn, or slashed")]
    Gone,
    /// The chain knows no such stake.
    #[error("the chain knows no such stake")]
    Unknown,
    /// See there.
    #[error(transparent)]
    Chain(Box<BuyError>),
}

impl From<BuyError> for StakeError {
    fn from(error: BuyError) -> Self {
        Self::Chain(error.into())
    }
}

impl From<ContractError> for StakeError {
    fn from(error: ContractError) -> Self {
        use IStake::IStakeErrors as Refused;
        match error.as_decoded_interface_error::<Refused>() {
            Some(Refused::CommitmentUsed(_)) => BuyError::CommitmentUsed.into(),
            Some(Refused::NotStaker(_)) => Self::NotStaker,
            Some(Refused::ExitAlreadyRequested(IStake::ExitAlreadyRequested { from })) => {
                Self::Leaving(from.saturating_to())
            }
            Some(Refused::NoExit(_)) => Self::NoExit,
            Some(Refused::TooEarly(IStake::TooEarly { from })) => Self::TooEarly(from.saturating_to()),
            Some(Refused::StakeGone(_)) => Self::Gone,
            Some(Refused::UnknownStake(_)) => Self::Unknown,
            Some(other) => BuyError::Contract(format!("{other:?}")).into(),
            None => BuyError::from(error).into(),
        }
    }
}

impl Chain {
    /// The stake under a commitment, if there is one.
    ///
    /// # Errors
    /// [`StakeError::NotOffered`]; [`BuyError::Rpc`] and its like.
    pub async fn stake(&self, commitment: Commitment) -> Result<Option<ChainStake>, StakeError> {
        let lock = asked(self.stakes()?.lockOf(commitment.field().to_u256()).call()).await?;
        if lock.tier == 0 {
            return Ok(None);
        }
        // 48 bits.
        let from: u64 = lock.withdrawableFrom.to();
        Ok(Some(ChainStake {
            tier: lock.tier.into(),
            position: Position { volume: lock.leaf >> VOLUME_BITS, index: lock.leaf & ((1 << VOLUME_BITS) - 1) },
            staker: (!lock.staker.is_zero()).then_some(lock.staker),
            withdrawable_from: (from != 0).then_some(from),
        }))
    }

    /// What a tier locks, if a wallet has it. Not yet whether it can pay for the transaction.
    ///
    /// # Errors
    /// [`StakeError::NotOffered`], [`StakeError::NoSuchTier`]; [`BuyError::Balance`] names what is missing.
    pub async fn check_stake(&self, wallet: Address, tier: u32) -> Result<Amount, StakeError> {
        let Tier { amount, limit: _ } = self.staking()?.tier(tier).ok_or(StakeError::NoSuchTier(tier))?;
        let needed = Amount(U256::from(amount));
        let available = self.balances(wallet).await?.tokens;
        if available >= needed {
            return Ok(needed);
        }
        let missing = Amount(needed.0 - available.0);
        Err(BuyError::Balance { wallet, needed, available, missing }.into())
    }

    /// Stakes in one transaction, and returns once that is sent. `commitment` must be on record before this is called; whether
    /// the chain has it already is asked with [`Chain::stake`].
    ///
    /// # Errors
    /// [`StakeError`]; after [`BuyError::Rpc`] the transaction may still have been sent.
    pub async fn submit_stake(
        &self,
        wallet: &dyn Wallet,
        tier: u32,
        commitment: Commitment,
    ) -> Result<Submitted, StakeError> {
        let owner = Signer::address(wallet);
        let amount = self.check_stake(owner, tier).await?;
        let (deadline, permit) = self.permit(wallet, owner, self.staking()?.contract, amount).await?;
        let stakes = self.stakes()?;
        let call = stakes
            .stakeWithPermit(
                tier,
                commitment.field().to_u256(),
                deadline,
                27 + u8::from(permit.v()),
                permit.r().into(),
                permit.s().into(),
            )
            .from(owner);
        // Refusals come out of the estimate, before a transaction is signed or anything is paid.
        let gas = asked(call.estimate_gas()).await?;
        self.check_gas(owner, gas).await?;
        Ok(Submitted(asked(call.send()).await?))
    }

    /// Takes the leaf of a stake out of the tree, for good.
    ///
    /// # Errors
    /// [`StakeError`].
    pub async fn request_exit(&self, wallet: &dyn Wallet, commitment: Commitment) -> Result<Submitted, StakeError> {
        let (owner, stakes) = (Signer::address(wallet), self.stakes()?);
        let call = stakes.requestExit(commitment.field().to_u256()).from(owner);
        let gas = asked(call.estimate_gas()).await?;
        self.check_gas(owner, gas).await?;
        Ok(Submitted(asked(call.send()).await?))
    }

    /// Has a stake paid back to its staker, when its cool-down is over.
    ///
    /// # Errors
    /// [`StakeError`].
    pub async fn withdraw_stake(&self, wallet: &dyn Wallet, commitment: Commitment) -> Result<Submitted, StakeError> {
        let (owner, stakes) = (Signer::address(wallet), self.stakes()?);
        let call = stakes.withdraw(commitment.field().to_u256()).from(owner);
        let gas = asked(call.estimate_gas()).await?;
        self.check_gas(owner, gas).await?;
        Ok(Submitted(asked(call.send()).await?))
    }

    fn staking(&self) -> Result<&Staking, StakeError> {
        self.deployment.stake.as_ref().ok_or(StakeError::NotOffered)
    }

    fn stakes(&self) -> Result<IStake::IStakeInstance<&DynProvider>, StakeError> {
        Ok(IStake::new(self.staking()?.contract, &self.provider))
    }
}

/// An answer of the contract, whose refusals are its own.
async fn asked<T>(call: impl IntoFuture<Output = Result<T, ContractError>>) -> Result<T, StakeError> {
    within(async { Ok::<_, BuyError>(call.into_future().await.map_err(StakeError::from)) }).await?
}
