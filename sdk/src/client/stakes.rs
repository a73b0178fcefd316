//! Stakes: making them, finding those again whose transaction was cut short, leaving them, and the indices of a day that a
//! letter takes (docs/protocol.md, "Installations").

use alloy::primitives::TxHash;
use alloy::signers::Signer;
use xmtp_proto::derive::EnvelopeId;
use xmtp_proto::time::Epoch;
use xmtp_prover::{Index, Limit};

use super::{Client, NoIdentity, SendError, Step};
use crate::chain::{Amount, BuyError, Chain, ChainStake, StakeError};
use crate::conversation::ConversationError;
use crate::identity::Identity;
use crate::journal::{Entry, KnownStake, StakeIndex, View};
use crate::state::{BookId, Lock, Stake, StakesError, StateError};

/// How often an index is asked for because another session was faster.
const ATTEMPTS: usize = 16;

/// A stake that was just made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MadeStake {
    /// The stake.
    pub stake: Stake,
    /// What is locked.
    pub amount: Amount,
    /// The transaction; none if one from before was found to have gone through.
    pub transaction: Option<TxHash>,
}

/// A stake of the account, as far as could be found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StakeStatus {
    /// The stake.
    pub stake: Stake,
    /// Envelopes that it can still pay for today.
    pub left_today: u32,
}

/// Nothing was staked, left, or paid back.
#[derive(Debug, thiserror::Error)]
pub enum StakingError {
    /// Stakes belong to an identity: their secrets derive from it.
    #[error(transparent)]
    NoIdentity(#[from] NoIdentity),
    /// The client was given no endpoint of the chain. The user's to mend.
    #[error("staking takes the chain's JSON-RPC endpoint, and none was given")]
    NoRpc,
    /// See there.
    #[error(transparent)]
    Chain(#[from] StakeError),
    /// The journal cannot be read, so nothing is known of other installations' stakes. See there.
    #[error(transparent)]
    Journal(#[from] ConversationError),
    /// See there.
    #[error(transparent)]
    Stakes(#[from] StakesError),
    /// See there.
    #[error(transparent)]
    State(#[from] StateError),
}

impl From<BuyError> for StakingError {
    fn from(error: BuyError) -> Self {
        Self::Chain(error.into())
    }
}

impl Client {
    /// Locks what a tier asks for. If an earlier stake of the same tier was cut short, that one is finished instead: nothing
    /// is ever locked twice.
    ///
    /// # Errors
    /// [`StakingError`].
    pub async fn stake(&self, tier: u32) -> Result<MadeStake, StakingError> {
        let identity = self.identity()??;
        let made = self.make_stake(&identity, tier).await?;
        self.care_for_journal(&identity).await?;
        Ok(made)
    }

    async fn make_stake(&self, identity: &Identity, tier: u32) -> Result<MadeStake, StakingError> {
        let chain = self.chain_for_stakes()?;
        self.step(Step::Buying);
        // What cannot be paid for need not be remembered.
        let terms = self.deployment.stake.as_ref().ok_or(StakeError::NotOffered)?;
        let terms = terms.tier(tier).ok_or(StakeError::NoSuchTier(tier))?;
        let amount = Amount(alloy::primitives::U256::from(terms.amount));
        let unfinished = self.state.stakes()?.into_iter().find(|stake| is_unfinished(stake) && stake.tier == tier);
        let stake = match unfinished {
            Some(stake) => stake,
            None => {
                chain.check_stake(Signer::address(&*self.wallet), tier).await?;
                let limit = Limit::new(terms.limit).map_err(|_| StakeError::NoSuchTier(tier))?;
                self.state.intend_stake(identity, tier, limit)?
            }
        };
        if let Some(stake) = self.look_for_stake(chain, &stake).await? {
            return Ok(MadeStake { stake, amount, transaction: None });
        }
        let submitted = chain.submit_stake(&*self.wallet, tier, stake.commitment).await?;
        let transaction = submitted.transaction();
        self.state.record_lock(stake.id, Lock::Submitted { transaction })?;
        match chain.confirm(submitted).await {
            // A commitment is taken once: the later of two transactions fails.
            Err(error @ BuyError::Reverted(_)) => {
                if let Some(stake) = self.look_for_stake(chain, &stake).await? {
                    return Ok(MadeStake { stake, amount, transaction: None });
                }
                self.state.record_lock(stake.id, Lock::Failed)?;
                Err(error.into())
            }
            other => {
                other?;
                let stake = self.look_for_stake(chain, &stake).await?.ok_or(BuyError::Pending(transaction))?;
                Ok(MadeStake { stake, amount, transaction: Some(transaction) })
            }
        }
    }

    /// Uses a stake of another installation here too, from a day's highest index downwards. For one whose installation is gone,
    /// **on the owner's word**; if it is not gone, both can go on, and never use one index twice.
    ///
    /// # Errors
    /// [`StakingError`].
    pub async fn take_over_stake(&self, id: BookId) -> Result<StakeStatus, StakingError> {
        let chain = self.chain_for_stakes()?;
        let identity = self.identity()??;
        if self.state.stake(id)?.is_none() {
            self.read_journal(&identity).await?;
        }
        let stake = self.state.stake(id)?.ok_or(StakesError::Unknown(id))?;
        if stake.lock != Lock::Elsewhere {
            return Err(StakesError::Here(id).into());
        }
        let stake = self.look_for_stake(chain, &stake).await?.ok_or(StakeError::Unknown)?;
        Ok(self.stake_status(&self.state.journal()?.0, stake))
    }

    /// Tells the account's other installations of the stakes that were made here, once they are, and of the indices that joining
    /// took.
    pub(crate) async fn journal_stakes(&self, identity: &Identity) -> Result<(), ConversationError> {
        let mut untold = Vec::new();
        for Stake { id, tier, limit, lock, .. } in self.state.stakes()? {
            let is_own = id.installation == self.state.installation();
            if is_own && matches!(lock, Lock::Locked { .. } | Lock::Leaving { .. }) && !self.state.is_told(id)? {
                untold.push(Entry::Stake(KnownStake { id, tier, limit }));
            }
        }
        untold.extend(self.untold_of_joining()?);
        self.tell(identity, &untold).await
    }

    /// The stakes of this installation, the oldest first, then those of the account's others. Asks the chain how they stand, and
    /// reads the journal, if it can.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn stakes(&self) -> Result<Vec<StakeStatus>, StateError> {
        if let Some(identity) = self.state.identity()?
            && let Err(ConversationError::State(error)) = self.read_journal(&identity).await
        {
            return Err(error);
        }
        if let Some(chain) = &self.chain {
            let is_settled = |stake: &Stake| matches!(stake.lock, Lock::Gone | Lock::Elsewhere);
            for stake in self.state.stakes()?.iter().filter(|stake| !is_settled(stake)) {
                match self.look_for_stake(chain, stake).await {
                    Err(StakingError::State(error)) => return Err(error),
                    // An answer, and about this stake alone.
                    Err(StakingError::Chain(StakeError::Chain(error)))
                        if matches!(*error, BuyError::CommitmentUsed) => {}
                    // Silence of the chain leaves them as they are.
                    Err(_) => break,
                    Ok(_) => {}
                }
            }
        }
        let (view, _) = self.state.journal()?;
        Ok(self.state.stakes()?.into_iter().map(|stake| self.stake_status(&view, stake)).collect())
    }

    fn stake_status(&self, view: &View, stake: Stake) -> StakeStatus {
        let epoch = self.clock.now().epoch();
        let left_today = if stake.position().is_some() { left_of_day(view, &stake, epoch) } else { 0 };
        StakeStatus { stake, left_today }
    }

    /// Takes a stake out of its group for good; a week later it can be withdrawn.
    ///
    /// # Errors
    /// [`StakingError`].
    pub async fn exit_stake(&self, id: BookId) -> Result<StakeStatus, StakingError> {
        let (chain, stake) = self.own_stake(id)?;
        chain.confirm(chain.request_exit(&*self.wallet, stake.commitment).await?).await?;
        let stake = self.look_for_stake(chain, &stake).await?.ok_or(StakeError::Unknown)?;
        Ok(StakeStatus { stake, left_today: 0 })
    }

    /// Has a stake paid back, whose exit was requested a week ago.
    ///
    /// # Errors
    /// [`StakingError`].
    pub async fn withdraw_stake(&self, id: BookId) -> Result<StakeStatus, StakingError> {
        let (chain, stake) = self.own_stake(id)?;
        chain.confirm(chain.withdraw_stake(&*self.wallet, stake.commitment).await?).await?;
        let stake = self.look_for_stake(chain, &stake).await?.ok_or(StakeError::Unknown)?;
        Ok(StakeStatus { stake, left_today: 0 })
    }

    fn chain_for_stakes(&self) -> Result<&Chain, StakingError> {
        self.chain.as_ref().ok_or(StakingError::NoRpc)
    }

    fn own_stake(&self, id: BookId) -> Result<(&Chain, Stake), StakingError> {
        let chain = self.chain_for_stakes()?;
        Ok((chain, self.state.stake(id)?.ok_or(StakesError::Unknown(id))?))
    }

    /// Asks the chain for a stake by its commitment, and writes down how it stands.
    pub(super) async fn look_for_stake(&self, chain: &Chain, stake: &Stake) -> Result<Option<Stake>, StakingError> {
        let Some(found) = chain.stake(stake.commitment).await? else {
            if matches!(stake.lock, Lock::Locked { .. } | Lock::Leaving { .. } | Lock::Gone) {
                // A reorganisation took it away, and may bring it again.
                self.state.record_lock(stake.id, Lock::Intended)?;
            }
            return Ok(None);
        };
        if found.tier != stake.tier {
            // Staked by somebody else who saw our commitment: theirs is another leaf than ours would be.
            self.state.record_lock(stake.id, Lock::Failed)?;
            return Err(BuyError::CommitmentUsed.into());
        }
        let lock = match found {
            ChainStake { staker: None, .. } => Lock::Gone,
            ChainStake { withdrawable_from: Some(from), .. } => Lock::Leaving { from },
            ChainStake { position, .. } => Lock::Locked { position },
        };
        Ok(Some(self.state.record_lock(stake.id, lock)?))
    }

    /// The index of today for an envelope: reserved in the journal and read back. A node that keeps no journal leaves it to the
    /// record on this machine.
    pub(super) async fn reserve_stake(
        &self,
        identity: &Identity,
        stake: &Stake,
        envelope: EnvelopeId,
    ) -> Result<StakeIndex, SendError> {
        // One letter after the other: what one of them reserves the next one must know.
        let _turn = self.reserving.lock().await;
        let is_own = stake.id.installation == self.state.installation();
        if !self.keeps_journal().await? {
            return if is_own {
                self.next_on_record(stake, envelope)
            } else {
                Err(StakesError::Shared(stake.id).into())
            };
        }
        self.tell(identity, &self.untold_of_joining()?).await?;
        // What was read last may be old; the log decides, and says so.
        let (mut view, mut is_fresh) = (self.state.journal()?.0, false);
        for _ in 0..ATTEMPTS {
            let epoch = self.clock.now().epoch();
            if let Some(index) = view.stake_index_of(stake.id, epoch, envelope) {
                return Ok(index);
            }
            let next = if is_own { View::stake_index_to_reserve } else { View::last_stake_index_to_reserve };
            match next(&view, stake.id, epoch, stake.limit) {
                None if is_fresh => return Err(StakesError::UsedUp(stake.id).into()),
                None => view = self.read_journal(identity).await?,
                Some(index) => {
                    self.step(Step::Reserving);
                    self.write_journal(identity, &[Entry::StakeReservation { index, envelope }]).await?;
                    view = self.read_journal(identity).await?;
                    self.step(Step::Reserved);
                }
            }
            is_fresh = true;
        }
        Err(ConversationError::NotGranted.into())
    }

    /// The index of today for an envelope by the record on this machine alone: where no journal is.
    pub(super) fn next_on_record(&self, stake: &Stake, envelope: EnvelopeId) -> Result<StakeIndex, SendError> {
        let epoch = self.clock.now().epoch();
        let own = self.state.stakes_of(envelope)?;
        if let Some(index) = own.into_iter().find(|index| (index.stake, index.epoch) == (stake.id, epoch)) {
            return Ok(index);
        }
        for number in 0..=u16::try_from(stake.limit.get() - 1).unwrap_or(u16::MAX) {
            let index = StakeIndex { stake: stake.id, epoch, index: Index::new(number) };
            if self.state.envelope_of_stake(index)?.is_none() {
                return Ok(index);
            }
        }
        Err(StakesError::UsedUp(stake.id).into())
    }
}

/// How many indices of a day nobody has reserved.
pub(super) fn left_of_day(view: &View, stake: &Stake, epoch: Epoch) -> u32 {
    stake.limit.get().saturating_sub(view.stakes_reserved(stake.id, epoch))
}

const fn is_unfinished(stake: &Stake) -> bool {
    matches!(stake.lock, Lock::Intended | Lock::Submitted { .. })
}
