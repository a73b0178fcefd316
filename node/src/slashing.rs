//! Slashing, all the way: who used one index for two envelopes loses the book's bond, or the stake (docs/protocol.md, "The pass
//! circuit", "Contracts"; docs/operating.md, "Slashing").
//!
//! Nothing is remembered here between starts. What is to be slashed the store knows, as evidence; what became of it the chain
//! knows, and this asks: the follower, whose blocks are deep enough to count, and before anything is sent the contract at the
//! chain's head. So a slash that was never mined, one that another reporter made first, one that a reorganisation undid and
//! one that was sent before a crash are all the same question, asked again until the chain that counts has the slash.
//!
//! The key is for this alone: its transactions go one after the other, each under the next nonce that the chain wants, so that
//! one that is stuck is replaced and not followed.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::{Address, Bytes, U256};
use alloy::sol_types::SolCall as _;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use xmtp_contracts::IPostage;
use xmtp_proto::derive::Group;
use xmtp_proto::field::{Commitment, Nullifier};
use xmtp_prover::PassSecret;

use crate::chain::{ChainHandle, RpcError};
use crate::groups::Fate;
use crate::metrics::Metrics;
use crate::store::{Evidence, Store, StoreError};

mod contract;

pub(crate) use contract::Contract;
use contract::{Pending, SendError, Sent};

/// A transaction that is not in a block by then is sent again, for more.
const REPLACED_AFTER: Duration = Duration::from_secs(120);
/// What the chain refused is tried again after this.
const REFUSED_PAUSE: Duration = Duration::from_secs(600);
/// What is gone at the chain's head, but not yet where it counts, is asked for again after so many polls.
const POLLS_AT_REST: u32 = 8;
/// What the account has is asked this often, and after each transaction.
const FUNDS_SEEN_EVERY: Duration = Duration::from_secs(600);
/// Between two rounds, while the chain has no news or does not answer.
const TICK: Duration = Duration::from_secs(15);

/// A secret that slashes something.
pub(crate) struct Case {
    group: Group,
    secret: PassSecret,
    commitment: Commitment,
}

/// What can be slashed, as anybody can who has a few wei: the secret is all it takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slashable {
    /// What it is.
    #[serde(flatten)]
    pub what: What,
    /// The contract to call.
    pub contract: Address,
    /// By this the contract knows it.
    pub commitment: U256,
    /// What the two envelopes gave away.
    pub secret: U256,
    /// How it stands.
    pub state: Standing,
    /// `slash(secret, reporter)`, encoded. Without a reporter (zero) its tenth is burned, too.
    pub calldata: Bytes,
}

/// What is slashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "lowercase")]
pub enum What {
    /// A book's bond.
    Book {
        /// Face value of its stamps, in units.
        denomination: u32,
        /// When it was bought.
        issue: u32,
    },
    /// A stake.
    Stake {
        /// Its tier.
        tier: u32,
    },
}

/// How something that can be slashed stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// It can be slashed.
    Open,
    /// It was slashed, or paid back before it could be.
    Gone,
    /// The chain does not have it, or did not say.
    Unknown,
}

impl Slashable {
    /// With a call that credits this reporter.
    #[must_use]
    pub fn for_reporter(self, reporter: Address) -> Self {
        Self { calldata: calldata(self.secret, reporter), ..self }
    }
}

impl fmt::Display for Slashable {
    /// Two lines, the second one a command.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, contract, commitment, secret: _, state, calldata } = self;
        let state = match state {
            Standing::Open => "can be slashed",
            Standing::Gone => "is gone: slashed, or paid back",
            Standing::Unknown => "the chain does not say how it stands",
        };
        match what {
            What::Book { denomination, issue } => {
                write!(f, "book of stamps of {denomination} units, issue {issue}, ")?;
            }
            What::Stake { tier } => write!(f, "stake of tier {tier}, ")?,
        }
        writeln!(f, "commitment {commitment:#066x}: {state}")?;
        writeln!(f, "  cast send {contract} {calldata} --rpc-url <URL> --interactive")
    }
}

impl Case {
    /// What evidence slashes; nothing if that is nothing.
    pub(crate) fn of(evidence: &Evidence) -> Option<Self> {
        if !evidence.is_slashable() {
            return None;
        }
        let secret = evidence.secret().ok()?;
        Some(Self { group: evidence.group, commitment: secret.commitment(), secret })
    }

    fn contract(&self, postage: Address) -> Address {
        match self.group {
            Group::Stake { contract, .. } => contract,
            Group::Stamps { .. } | Group::Claim { .. } | Group::Members { .. } => postage,
        }
    }

    fn calldata(&self, reporter: Address) -> Bytes {
        calldata(self.secret(), reporter)
    }

    fn secret(&self) -> U256 {
        U256::from_be_bytes(*self.secret.to_be_bytes())
    }

    fn what(&self) -> Option<What> {
        match self.group {
            Group::Stamps { denomination, issue } => {
                Some(What::Book { denomination: denomination.units(), issue: issue.0 })
            }
            Group::Stake { tier, .. } => Some(What::Stake { tier }),
            Group::Claim { .. } | Group::Members { .. } => None,
        }
    }
}

/// The call, which all contracts that slash spell alike.
fn calldata(secret: U256, reporter: Address) -> Bytes {
    IPostage::slashCall { secret, reporter }.abi_encode().into()
}

/// What a store has evidence for, for anybody to slash.
pub(crate) struct Offer {
    store: Store,
    postage: Address,
    contract: Contract,
}

impl Offer {
    pub(crate) const fn new(store: Store, postage: Address, contract: Contract) -> Self {
        Self { store, postage, contract }
    }

    /// All that can be slashed, each once; and how it stands, if the chain is there to say. The calls name no reporter.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn list(&self) -> Result<Vec<Slashable>, StoreError> {
        let mut cases = BTreeMap::new();
        for evidence in self.store.evidence() {
            if let Some(case) = Case::of(&evidence?) {
                cases.insert((case.group, case.commitment), case);
            }
        }
        let (mut all, mut answers) = (Vec::with_capacity(cases.len()), true);
        for case in cases.into_values() {
            let Some(what) = case.what() else { continue };
            let standing = if answers { self.contract.standing(&case).await.ok() } else { None };
            // Not one timeout for each.
            answers = standing.is_some();
            all.push(Slashable {
                what,
                contract: case.contract(self.postage),
                commitment: case.commitment.field().to_u256(),
                secret: case.secret(),
                state: standing.unwrap_or(Standing::Unknown),
                calldata: case.calldata(Address::ZERO),
            });
        }
        Ok(all)
    }
}

/// Slashes what this node has evidence for.
pub(crate) struct Slashing {
    store: Store,
    chain: ChainHandle,
    contract: Contract,
    reporter: Address,
    poll_interval: Duration,
    seen: HashSet<Nullifier>,
    cases: HashMap<(Group, Commitment), Open>,
    /// The transaction under way, and for what.
    pending: Option<(Pending, (Group, Commitment))>,
    funds_seen: Option<Instant>,
    metrics: Metrics,
}

/// A case, and how far it is.
struct Open {
    case: Arc<Case>,
    /// Not looked at before.
    rests_until: Option<Instant>,
    /// Whether the chain that counts has the slash.
    slashed: bool,
}

/// Why a round came to nothing.
#[derive(Debug, thiserror::Error)]
enum RoundError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Rpc(#[from] RpcError),
}

impl Slashing {
    /// Reports to a contract, for the tenth of what is slashed. Asks no more often than the chain is looked at.
    pub(crate) fn new(
        store: Store,
        chain: ChainHandle,
        contract: Contract,
        reporter: Address,
        poll_interval: Duration,
        metrics: Metrics,
    ) -> Self {
        let (seen, cases) = Default::default();
        let (pending, funds_seen) = (None, None);
        Self { store, chain, contract, reporter, poll_interval, seen, cases, pending, funds_seen, metrics }
    }

    /// Slashes until it is told to stop.
    ///
    /// # Errors
    /// [`StoreError`]; whatever the chain says, it is asked again.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Result<(), StoreError> {
        let mut views = self.chain.subscribe();
        let mut ticks = tokio::time::interval(TICK);
        while !stop.is_cancelled() {
            let round = tokio::select! {
                round = self.round() => round,
                () = stop.cancelled() => return Ok(()),
            };
            match round {
                Ok(()) => {}
                Err(RoundError::Store(error)) => return Err(error),
                Err(RoundError::Rpc(error)) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "nothing is slashed while the RPC does not answer"
                    );
                    tokio::select! {
                        () = tokio::time::sleep(TICK) => {}
                        () = stop.cancelled() => return Ok(()),
                    }
                }
            }
            tokio::select! {
                // The follower has ended, and the node with it.
                changed = views.changed() => if changed.is_err() { return Ok(()) },
                _ = ticks.tick() => {}
                () = stop.cancelled() => return Ok(()),
            }
        }
        Ok(())
    }

    async fn round(&mut self) -> Result<(), RoundError> {
        self.take_in().await?;
        let names: Vec<_> = self.cases.keys().copied().collect();
        for name in names {
            self.look_at(name).await?;
        }
        let slashed = self.cases.values().filter(|open| open.slashed).count();
        self.metrics.cases(self.cases.len() - slashed, slashed);
        if self.funds_seen.is_none_or(|seen| seen.elapsed() >= FUNDS_SEEN_EVERY) {
            self.metrics.slashing_funds(self.contract.funds().await?);
            self.funds_seen = Some(Instant::now());
        }
        Ok(())
    }

    /// Looks for evidence that came since the last time.
    async fn take_in(&mut self) -> Result<(), StoreError> {
        let (store, seen) = (self.store.clone(), std::mem::take(&mut self.seen));
        let read = tokio::task::spawn_blocking(move || {
            let (mut seen, mut found) = (seen, Vec::new());
            for evidence in store.evidence() {
                let evidence = evidence?;
                if seen.insert(evidence.nullifier) {
                    found.extend(Case::of(&evidence));
                }
            }
            Ok::<_, StoreError>((seen, found))
        });
        // A panic here is a bug of ours; what was seen is seen again.
        let (seen, found) = read.await.unwrap_or(Err(StoreError::Closed))?;
        self.seen = seen;
        for case in found {
            let open = Open { case: Arc::new(case), rests_until: None, slashed: false };
            self.cases.entry((open.case.group, open.case.commitment)).or_insert(open);
        }
        Ok(())
    }

    async fn look_at(&mut self, name: (Group, Commitment)) -> Result<(), RoundError> {
        let fate = self.chain.fate(&name.0, name.1);
        let Some(open) = self.cases.get_mut(&name) else { return Ok(()) };
        match fate {
            Some(Fate::Slashed) => {
                if !std::mem::replace(&mut open.slashed, true) {
                    tracing::info!(what = ?open.case.what(), "slashed, and deep enough to count");
                }
                self.pending.take_if(|(_, of)| *of == name);
                return Ok(());
            }
            Some(Fate::Stands | Fate::Left) if std::mem::take(&mut open.slashed) => {
                tracing::warn!(what = ?open.case.what(), "a reorganisation undid the slash; slashing again");
                open.rests_until = None;
            }
            Some(Fate::Stands | Fate::Left) => {}
            // The follower has not come so far, or nobody can use it any more.
            None => return Ok(()),
        }
        if open.rests_until.is_some_and(|until| Instant::now() < until) {
            return Ok(());
        }
        let case = Arc::clone(&open.case);
        match self.contract.standing(&case).await? {
            Standing::Open => self.slash(name, &case).await?,
            Standing::Gone | Standing::Unknown => {
                self.rest(name, self.poll_interval * POLLS_AT_REST);
                self.pending.take_if(|(_, of)| *of == name);
            }
        }
        Ok(())
    }

    /// Sends the transaction, unless one is under way that may still do.
    async fn slash(&mut self, name: (Group, Commitment), case: &Case) -> Result<(), RoundError> {
        let before = match self.pending {
            None => None,
            Some((pending, of)) => match self.contract.look_for(&pending).await? {
                // It waits on if there is no more to offer for it.
                Sent::Waiting
                    if pending.since.elapsed() < REPLACED_AFTER || !self.contract.may_raise(&pending.fees) =>
                {
                    return Ok(());
                }
                Sent::Waiting => Some(pending.fees),
                // In a block of which the head did not know yet, or that is gone by now: the next look tells.
                Sent::Mined if of == name => {
                    self.pending = None;
                    return Ok(());
                }
                Sent::Reverted => {
                    self.metrics.slash_failed();
                    self.pending = None;
                    self.rest(of, REFUSED_PAUSE);
                    return Ok(());
                }
                Sent::Mined | Sent::Lost => None,
            },
        };
        match self.contract.send(case, self.reporter, before).await {
            Ok(pending) => {
                tracing::info!(transaction = %pending.transaction, what = ?case.what(), "slashing");
                self.metrics.slash_sent();
                (self.pending, self.funds_seen) = (Some((pending, name)), None);
                Ok(())
            }
            Err(SendError::Rpc(error)) => Err(error.into()),
            Err(SendError::Refused(message)) => {
                tracing::warn!(account = %self.contract.account(), message, "the chain takes no slash; trying again later");
                self.metrics.slash_failed();
                self.rest(name, REFUSED_PAUSE);
                Ok(())
            }
        }
    }

    fn rest(&mut self, name: (Group, Commitment), pause: Duration) {
        if let Some(open) = self.cases.get_mut(&name) {
            open.rests_until = Some(Instant::now() + pause);
        }
    }
}
