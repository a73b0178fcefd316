//! `xmtp stake`.

use std::fmt;

use serde::Serialize;
use xmtp_contracts::{Deployment, Tier};
use xmtp_sdk::chain::Amount;
use xmtp_sdk::client::{Client, MadeStake, StakeStatus};
use xmtp_sdk::state::{Lock, Stake};

use super::shown::{self, Money};
use crate::args;
use crate::failure::Failure;
use crate::output::{Output, Said};

pub(super) async fn run(command: args::Stake, client: &Client, output: &Output) -> Result<(), Failure> {
    match command {
        args::Stake::Lock { tier } => output.say(&Bill::from(client.stake(tier).await?)),
        args::Stake::List => output.say(&Stakes::new(client.deployment(), client.stakes().await?)),
        args::Stake::TakeOver { stake } => output.say(&Entry::from(client.take_over_stake(stake).await?)),
        args::Stake::Exit { stake } => output.say(&Entry::from(client.exit_stake(stake).await?)),
        args::Stake::Withdraw { stake } => output.say(&Entry::from(client.withdraw_stake(stake).await?)),
    }
}

#[derive(Serialize)]
struct Bill {
    #[serde(flatten)]
    entry: Entry,
    amount: Money,
    /// Null if a transaction of before was found to have gone through.
    transaction: Option<String>,
    #[serde(skip)]
    locked: String,
}

#[derive(Serialize)]
struct Stakes {
    tiers: Vec<Terms>,
    stakes: Vec<Entry>,
}

#[derive(Serialize)]
struct Terms {
    tier: u32,
    amount: Money,
    /// Letters a day.
    limit: u32,
    #[serde(skip)]
    locks: String,
}

#[derive(Serialize)]
struct Entry {
    id: String,
    tier: u32,
    /// Letters a day.
    limit: u32,
    left_today: u32,
    /// `pending`, `locked`, `leaving`, `gone`, `failed`, or `elsewhere`: another installation's, and not taken over.
    status: &'static str,
    /// From when on it may be withdrawn; null before its exit was requested.
    withdrawable_from: Option<String>,
    commitment: String,
}

impl From<MadeStake> for Bill {
    fn from(MadeStake { stake, amount, transaction }: MadeStake) -> Self {
        Self {
            entry: StakeStatus { stake, left_today: stake.limit.get() }.into(),
            amount: amount.into(),
            transaction: transaction.map(|hash| hash.to_string()),
            locked: amount.to_string(),
        }
    }
}

impl Stakes {
    fn new(deployment: &Deployment, stakes: Vec<StakeStatus>) -> Self {
        let tiers = deployment.stake.iter().flat_map(|stake| &stake.tiers).zip(1..);
        let terms = |(Tier { amount, limit }, tier): (&Tier, u32)| {
            let amount = Amount(alloy::primitives::U256::from(*amount));
            Terms { tier, locks: amount.to_string(), amount: amount.into(), limit: *limit }
        };
        Self { tiers: tiers.map(terms).collect(), stakes: stakes.into_iter().map(Entry::from).collect() }
    }
}

impl From<StakeStatus> for Entry {
    fn from(StakeStatus { stake, left_today }: StakeStatus) -> Self {
        let Stake { id, tier, limit, commitment, lock } = stake;
        Self {
            id: id.to_string(),
            tier,
            limit: limit.get(),
            left_today,
            status: match lock {
                Lock::Intended | Lock::Submitted { .. } => "pending",
                Lock::Locked { .. } => "locked",
                Lock::Leaving { .. } => "leaving",
                Lock::Gone => "gone",
                Lock::Failed => "failed",
                Lock::Elsewhere => "elsewhere",
            },
            withdrawable_from: match lock {
                Lock::Leaving { from } => Some(shown::seconds(from)),
                _ => None,
            },
            commitment: commitment.to_string(),
        }
    }
}

impl Said for Bill {
    fn text(&self, f: &mut impl fmt::Write) -> fmt::Result {
        let Self { entry: Entry { id, tier, limit, .. }, locked, transaction, .. } = self;
        writeln!(f, "Stake {id}: {locked} locked in tier {tier}, for {limit} letters a day.")?;
        match transaction {
            Some(hash) => writeln!(f, "  transaction  {hash}"),
            None => writeln!(f, "  an earlier transaction had gone through; nothing more was locked"),
        }
    }
}

impl Said for Entry {
    fn text(&self, f: &mut impl fmt::Write) -> fmt::Result {
        let Self { id, tier, limit, left_today, status, withdrawable_from, .. } = self;
        write!(f, "Stake {id}: tier {tier}, {status}")?;
        match (withdrawable_from, *status) {
            (Some(from), _) => writeln!(f, ", to be withdrawn from {from} on"),
            (None, "elsewhere") => writeln!(f, ", another installation's: xmtp stake take-over {id}"),
            (None, "locked") => writeln!(f, ", {left_today} of {limit} letters left today"),
            (None, _) => writeln!(f),
        }
    }
}

impl Said for Stakes {
    fn text(&self, f: &mut impl fmt::Write) -> fmt::Result {
        if self.tiers.is_empty() {
            return writeln!(f, "This network has no stakes.");
        }
        for Terms { tier, locks, limit, .. } in &self.tiers {
            writeln!(f, "Tier {tier} locks {locks} for {limit} letters a day.")?;
        }
        self.stakes.iter().try_for_each(|stake| stake.text(f))
    }
}
