//! Buying postage (docs/protocol.md, "Contracts"; litepaper 10.4): quotes, balances, a book in one transaction with an
//! EIP-2612 permit, and what the chain remembers of a purchase.
//!
//! The caller writes a book's commitment down before it asks for the transaction. A purchase that was cut short is then
//! found again by its commitment, and buying again under the same one can never pay twice: the contract takes a commitment
//! once.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use alloy::contract::Error as ContractError;
use alloy::network::{Ethereum, EthereumWallet, TxSigner};
use alloy::primitives::{Address, Signature, TxHash, U256};
use alloy::providers::{DynProvider, PendingTransactionBuilder, PendingTransactionError, Provider};
use alloy::rpc::client::ClientBuilder;
use alloy::signers::Signer;
use alloy::sol_types::{SolStruct, eip712_domain};
use alloy::transports::{RpcError, TransportErrorKind};
use url::Url;
use xmtp_contracts::{Deployment, IPostage, IXmtpToken, VerifyError};
use xmtp_proto::derive::{Denomination, Issue};
use xmtp_proto::field::Commitment;
use xmtp_prover::{Limit, Position};

use crate::transport::StampGroup;

/// How long a permit is good, by the chain's clock.
const PERMIT_LIFE_SECONDS: u64 = 3600;
/// For a question to the chain.
const RPC_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a purchase is waited for before it is left to be found later.
const RECEIPT_TIMEOUT: Duration = Duration::from_secs(180);
/// Below this many bits a leaf's number is its position in a volume of 2^21.
const VOLUME_BITS: u32 = 21;

mod claim;
mod stake;

pub use claim::{ClaimError, Registration};
pub use stake::{ChainStake, StakeError};

mod typed {
    alloy::sol! {
        /// EIP-2612.
        struct Permit {
            address owner;
            address spender;
            uint256 value;
            uint256 nonce;
            uint256 deadline;
        }
    }
}

/// A wallet that signs both texts and transactions; any alloy signer that does is one.
pub trait Wallet: Signer + TxSigner<Signature> + Send + Sync {}

impl<S: Signer + TxSigner<Signature> + Send + Sync> Wallet for S {}

/// An amount of $XMTP in wei (10^-18).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amount(pub U256);

impl Amount {
    /// As decimal text, without the token's name: `0.0011`.
    #[must_use]
    pub fn to_decimal(self) -> String {
        let text = alloy::primitives::utils::format_ether(self.0);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} XMTP", self.to_decimal())
    }
}

/// What a wallet has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Balances {
    /// To buy stamps with.
    pub tokens: Amount,
    /// To pay for transactions with: wei of the chain's coin.
    pub coin: U256,
}

/// What a book costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quote {
    /// The stamps' face value.
    pub value: Amount,
    /// What returns after the book's validity unless it is slashed.
    pub bond: Amount,
}

impl Quote {
    /// What a book costs by the terms of a deployment, bond rounded up.
    #[must_use]
    pub fn of(deployment: &Deployment, denomination: Denomination, count: u32) -> Self {
        let stamps = U256::from(denomination.units()) * U256::from(count);
        let value = stamps * U256::from(deployment.unit_price);
        let bond = (value * U256::from(deployment.bond_bps)).div_ceil(U256::from(10_000));
        Self { value: Amount(value), bond: Amount(bond) }
    }

    /// Both.
    #[must_use]
    pub fn total(&self) -> Amount {
        Amount(self.value.0 + self.bond.0)
    }
}

/// What of stamps of so many units is neither burned nor a bond: it is held for who cancels them and who reads the letter.
#[must_use]
pub fn held(deployment: &Deployment, units: u32) -> Amount {
    let value = U256::from(units) * U256::from(deployment.unit_price);
    // As the contract: the burned share is rounded up, so that no more is held than was paid.
    let burned = (value * U256::from(deployment.burn_bps)).div_ceil(U256::from(10_000));
    Amount(value - burned)
}

/// A book as the chain remembers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainBook {
    /// Denomination and issue.
    pub group: StampGroup,
    /// Stamps in it.
    pub count: Limit,
    /// Where its leaf is.
    pub position: Position,
    /// Who paid; none once the bond was returned or slashed.
    pub buyer: Option<Address>,
}

/// A purchase on its way into a block.
#[derive(Debug)]
pub struct Submitted(PendingTransactionBuilder<Ethereum>);

impl Submitted {
    /// Its transaction.
    #[must_use]
    pub fn transaction(&self) -> TxHash {
        *self.0.tx_hash()
    }
}

/// Why no book was bought.
#[derive(Debug, thiserror::Error)]
pub enum BuyError {
    /// The wallet has too little $XMTP. The user's to mend.
    #[error("{wallet} has {available} and needs {needed}: {missing} are missing")]
    Balance {
        /// Whose.
        wallet: Address,
        /// Face value and bond.
        needed: Amount,
        /// What is there.
        available: Amount,
        /// The difference.
        missing: Amount,
    },
    /// The wallet cannot pay for the transaction. The user's to mend.
    #[error("{wallet} has {available} wei of the chain's coin, and the transaction may take {needed}: {} are missing", needed.saturating_sub(*available))]
    Gas {
        /// Whose.
        wallet: Address,
        /// Wei.
        needed: U256,
        /// Wei.
        available: U256,
    },
    /// Books have 1 to 65,536 stamps. The user's to mend.
    #[error("a book has between 1 and 65,536 stamps")]
    Count,
    /// The endpoint's chain has not this deployment.
    #[error("the deployment does not fit the chain: {0}")]
    Deployment(VerifyError),
    /// Somebody else bought under this commitment first. The book is theirs to pay and ours to use; buy again.
    #[error("a book was bought under this commitment before; buy again, another one is used")]
    CommitmentUsed,
    /// The contract refused: the deployment's fault, or ours.
    #[error("the contract refused: {0}")]
    Contract(String),
    /// The transaction failed on chain. Nothing was paid but gas.
    #[error("transaction {0} failed on chain; nothing was bought")]
    Reverted(TxHash),
    /// The transaction is under way and was not seen in a block yet. It is found the next time books are listed.
    #[error("transaction {0} is not in a block yet; it will be looked for when stamps are used or listed next")]
    Pending(TxHash),
    /// The wallet did not sign. The user's to mend.
    #[error("the wallet did not sign: {0}")]
    Wallet(#[from] alloy::signers::Error),
    /// The chain's endpoint did not answer, or not as it should.
    #[error("the chain's RPC endpoint: {0}")]
    Rpc(String),
}

impl From<RpcError<TransportErrorKind>> for BuyError {
    fn from(error: RpcError<TransportErrorKind>) -> Self {
        Self::Rpc(error.to_string())
    }
}

impl From<VerifyError> for BuyError {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Rpc(error) => error.into(),
            other => Self::Deployment(other),
        }
    }
}

impl From<ContractError> for BuyError {
    fn from(error: ContractError) -> Self {
        match error.as_decoded_interface_error::<IPostage::IPostageErrors>() {
            Some(IPostage::IPostageErrors::CommitmentUsed(_)) => Self::CommitmentUsed,
            Some(IPostage::IPostageErrors::InvalidCount(_)) => Self::Count,
            Some(other) => Self::Contract(format!("{other:?}")),
            None => match error {
                ContractError::TransportError(error) if error.as_error_resp().is_none() => Self::Rpc(error.to_string()),
                other => Self::Contract(other.to_string()),
            },
        }
    }
}

/// The settlement chain as a buyer sees it.
#[derive(Clone, Debug)]
pub struct Chain {
    provider: DynProvider,
    deployment: Deployment,
}

impl Chain {
    /// A chain behind a JSON-RPC endpoint, http or https, and a wallet to pay with.
    ///
    /// The HTTP client takes its TLS from the process's provider of `rustls`; a program that has not chosen one gets `ring`.
    #[must_use]
    pub fn new(rpc: Url, deployment: Deployment, wallet: Arc<dyn Wallet>) -> Self {
        // Fails where one was chosen already, which is as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let wallet = EthereumWallet::new(wallet as Arc<dyn TxSigner<Signature> + Send + Sync>);
        Self { provider: xmtp_contracts::paid_by(wallet, ClientBuilder::default().http(rpc)), deployment }
    }

    /// The book bought under a commitment, if there is one.
    ///
    /// # Errors
    /// [`BuyError::Rpc`] and its like.
    pub async fn book(&self, commitment: Commitment) -> Result<Option<ChainBook>, BuyError> {
        let book = within(self.postage().bookOf(commitment.field().to_u256()).call()).await?;
        if book.denomination == 0 {
            return Ok(None);
        }
        let denomination = u32::from(book.denomination)
            .try_into()
            .map_err(|_| BuyError::Contract("an unknown denomination".into()))?;
        Ok(Some(ChainBook {
            group: StampGroup { denomination, issue: Issue(book.issue) },
            count: Limit::new(u32::from(book.lastIndex) + 1).map_err(|_| BuyError::Count)?,
            position: Position { volume: book.leaf >> VOLUME_BITS, index: book.leaf & ((1 << VOLUME_BITS) - 1) },
            buyer: (!book.buyer.is_zero()).then_some(book.buyer),
        }))
    }

    /// What a wallet has, on a chain that has this deployment.
    ///
    /// # Errors
    /// [`BuyError::Deployment`], [`BuyError::Rpc`].
    pub async fn balances(&self, wallet: Address) -> Result<Balances, BuyError> {
        within(async { Ok::<_, BuyError>(self.deployment.verify(&self.provider).await?) }).await?;
        Ok(Balances {
            tokens: Amount(within(self.token().balanceOf(wallet).call()).await?),
            coin: within(async { Ok::<_, BuyError>(self.provider.get_balance(wallet).await?) }).await?,
        })
    }

    /// Whether a wallet has what a book costs. Not yet whether it can pay for the transaction.
    ///
    /// # Errors
    /// [`BuyError::Balance`] names what is missing; [`BuyError::Deployment`], [`BuyError::Rpc`].
    pub async fn check_balance(
        &self,
        wallet: Address,
        denomination: Denomination,
        count: Limit,
    ) -> Result<(), BuyError> {
        within(async { Ok::<_, BuyError>(self.deployment.verify(&self.provider).await?) }).await?;
        let needed = Quote::of(&self.deployment, denomination, count.get()).total();
        let available = Amount(within(self.token().balanceOf(wallet).call()).await?);
        if available >= needed {
            return Ok(());
        }
        Err(BuyError::Balance { wallet, needed, available, missing: Amount(needed.0 - available.0) })
    }

    /// Asks the contract for a book, in one transaction, and returns once that is sent. `commitment` must be on record
    /// before this is called; whether the chain has it already is asked with [`Chain::book`].
    ///
    /// # Errors
    /// [`BuyError`]; after [`BuyError::Rpc`] the transaction may still have been sent.
    pub async fn submit(
        &self,
        wallet: &dyn Wallet,
        denomination: Denomination,
        count: Limit,
        commitment: Commitment,
    ) -> Result<Submitted, BuyError> {
        let owner = Signer::address(wallet);
        self.check_balance(owner, denomination, count).await?;
        let total = Quote::of(&self.deployment, denomination, count.get()).total();
        let (deadline, permit) = self.permit(wallet, owner, self.deployment.postage, total).await?;
        let postage = self.postage();
        let call = postage
            .buyWithPermit(
                denomination.units(),
                count.get(),
                commitment.field().to_u256(),
                deadline,
                27 + u8::from(permit.v()),
                permit.r().into(),
                permit.s().into(),
            )
            .from(owner);
        // Refusals come out of the estimate, before a transaction is signed or anything is paid.
        let gas = within(call.estimate_gas()).await?;
        self.check_gas(owner, gas).await?;
        Ok(Submitted(within(call.send()).await?))
    }

    /// Waits until a purchase is in a block.
    ///
    /// # Errors
    /// [`BuyError::Reverted`], [`BuyError::Pending`], [`BuyError::Rpc`].
    pub async fn confirm(&self, submitted: Submitted) -> Result<(), BuyError> {
        let hash = submitted.transaction();
        match submitted.0.with_timeout(Some(RECEIPT_TIMEOUT)).get_receipt().await {
            Ok(receipt) if receipt.status() => Ok(()),
            Ok(_) => Err(BuyError::Reverted(hash)),
            Err(PendingTransactionError::TransportError(error)) => Err(BuyError::Rpc(error.to_string())),
            Err(_) => Err(BuyError::Pending(hash)),
        }
    }

    /// The terms that books are sold on.
    #[must_use]
    pub const fn deployment(&self) -> &Deployment {
        &self.deployment
    }

    /// A permit for a contract over exactly `value`, and its deadline.
    async fn permit(
        &self,
        wallet: &dyn Wallet,
        owner: Address,
        spender: Address,
        value: Amount,
    ) -> Result<(U256, Signature), BuyError> {
        let token = self.token();
        let nonce = within(token.nonces(owner).call()).await?;
        let latest =
            within(async { Ok::<_, BuyError>(self.provider.get_block(alloy::eips::BlockId::latest()).await?) })
                .await?
                .ok_or_else(|| BuyError::Rpc("there is no latest block".into()))?;
        // The chain's clock judges the deadline, not ours.
        let deadline = U256::from(latest.header.timestamp) + U256::from(PERMIT_LIFE_SECONDS);
        let domain = eip712_domain! {
            name: "XMTP",
            version: "1",
            chain_id: self.deployment.chain_id,
            verifying_contract: self.deployment.token,
        };
        if domain.separator() != within(token.DOMAIN_SEPARATOR().call()).await? {
            return Err(BuyError::Contract("the token signs permits under another name than $XMTP's".into()));
        }
        let permit = typed::Permit { owner, spender, value: value.0, nonce, deadline };
        Ok((deadline, wallet.sign_hash(&permit.eip712_signing_hash(&domain)).await?))
    }

    async fn check_gas(&self, wallet: Address, gas: u64) -> Result<(), BuyError> {
        let (fees, available) = within(async {
            let fees = self.provider.estimate_eip1559_fees().await?;
            Ok::<_, BuyError>((fees, self.provider.get_balance(wallet).await?))
        })
        .await?;
        let needed = U256::from(gas) * U256::from(fees.max_fee_per_gas);
        if available >= needed { Ok(()) } else { Err(BuyError::Gas { wallet, needed, available }) }
    }

    fn postage(&self) -> IPostage::IPostageInstance<&DynProvider> {
        IPostage::new(self.deployment.postage, &self.provider)
    }

    fn token(&self) -> IXmtpToken::IXmtpTokenInstance<&DynProvider> {
        IXmtpToken::new(self.deployment.token, &self.provider)
    }
}

async fn within<T, E: Into<BuyError>>(call: impl IntoFuture<Output = Result<T, E>>) -> Result<T, BuyError> {
    match tokio::time::timeout(RPC_TIMEOUT, call.into_future()).await {
        Ok(answer) => answer.map_err(Into::into),
        Err(_) => Err(BuyError::Rpc(format!("no answer within {} s", RPC_TIMEOUT.as_secs()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amount_is_written_without_idle_zeros() {
        for (wei, text) in
            [(0_u128, "0 XMTP"), (1, "0.000000000000000001 XMTP"), (1_100_000_000_000_000, "0.0011 XMTP")]
        {
            assert_eq!(Amount(U256::from(wei)).to_string(), text);
        }
        assert_eq!(Amount(U256::from(20) * U256::from(10).pow(U256::from(18))).to_string(), "20 XMTP");
    }

    #[test]
    fn missing_amount_is_named() {
        let error = BuyError::Balance {
            wallet: Address::ZERO,
            needed: Amount(U256::from(11) * U256::from(10).pow(U256::from(17))),
            available: Amount(U256::from(10).pow(U256::from(18))),
            missing: Amount(U256::from(10).pow(U256::from(17))),
        };
        assert!(error.to_string().ends_with("has 1 XMTP and needs 1.1 XMTP: 0.1 XMTP are missing"), "{error}");
    }
}
