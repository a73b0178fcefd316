//! The settlement chain: whether it is there, is the right one, moves on, and has the contracts; and what it says of this
//! machine's clock.

use std::time::Duration;

use alloy::eips::BlockId;
use alloy::primitives::utils::format_ether;
use alloy::primitives::{Address, U256};
use alloy::providers::{Provider, ProviderBuilder, RootProvider};
use xmtp_contracts::{Deployment, VerifyError};
use xmtp_proto::time::{Clock, MAX_AHEAD, Timestamp};

use super::Finding;
use crate::config::Config;
use crate::groups::Checkpoints;
use crate::node;

/// What a slash takes, and some more.
const SLASH_GAS: u64 = 150_000;
/// Who can pay for fewer slashes is told.
const SLASHES_MIN: u64 = 10;
const UNREACHABLE: &str = "see that chain.rpc_url is right and answers from this machine";

pub(super) async fn examine(config: &Config, clock: &Clock) -> Vec<Finding> {
    let Ok(client) = reqwest::Client::builder().build() else {
        return vec![Finding::bad(
            "rpc",
            "the HTTP client cannot be made",
            "see that the system's TLS roots are there",
        )];
    };
    let rpc =
        ProviderBuilder::new().disable_recommended_fillers().connect_reqwest(client, config.chain.rpc_url.clone());
    let timeout = config.chain.request_timeout;
    // What the endpoint says is not shown: its words may hold the URL, and that a secret.
    let Ok(Ok(chain_id)) = tokio::time::timeout(timeout, rpc.get_chain_id()).await else {
        return vec![Finding::bad("rpc", "the RPC does not answer", UNREACHABLE)];
    };
    let deployment = Deployment::load(&config.chain.deployment).ok();
    if let Some(expected) = deployment.as_ref().map(|it| it.chain_id).filter(|expected| *expected != chain_id) {
        // What it says of its head and of contracts would be another chain's.
        return vec![Finding::bad(
            "rpc",
            format!("answers for chain {chain_id}, and the deployment is on chain {expected}"),
            format!("name an RPC of chain {expected} in chain.rpc_url, or chain {chain_id}'s file in chain.deployment"),
        )];
    }
    let mut findings = vec![Finding::good("rpc", format!("answers for chain {chain_id}"))];
    findings.extend(head(config, &rpc, clock, timeout).await);
    if let Some(deployment) = deployment {
        findings.push(contracts(&deployment, &rpc, timeout).await);
    }
    // Whether there is such a key was looked at with the files.
    if let Some(Ok(key)) = config.slashing.as_ref().map(node::slashing_key) {
        findings.push(funds(key.address(), &rpc, timeout).await);
    }
    findings
}

/// What the account has that pays for slashes.
async fn funds(account: Address, rpc: &RootProvider, timeout: Duration) -> Finding {
    const CHECK: &str = "slashing.funds";
    let asked = async { tokio::try_join!(rpc.get_balance(account).into_future(), rpc.get_gas_price()) };
    let Ok(Ok((balance, gas_price))) = tokio::time::timeout(timeout, asked).await else {
        return Finding::bad(CHECK, "the RPC does not answer", UNREACHABLE);
    };
    let one = U256::from(gas_price).saturating_mul(U256::from(SLASH_GAS)).max(U256::from(1));
    let slashes = balance / one;
    let found = format!("{account} has {} of the chain's coin", format_ether(balance));
    if slashes < U256::from(SLASHES_MIN) {
        let found = format!("{found}, enough for {slashes} slashes at today's price of gas");
        Finding::warning(CHECK, found, format!("send coin to {account}; until then the evidence waits"))
    } else {
        Finding::good(CHECK, found)
    }
}

async fn head(config: &Config, rpc: &RootProvider, clock: &Clock, timeout: Duration) -> Vec<Finding> {
    let block = tokio::time::timeout(timeout, async { rpc.get_block(BlockId::latest()).await }).await;
    let Ok(Ok(Some(block))) = block else {
        return vec![Finding::bad("rpc.head", "the RPC has no head", UNREACHABLE)];
    };
    let (number, time) = (block.header.inner.number, Timestamp::from_secs(block.header.inner.timestamp));
    let (now, age_max) = (clock.now(), config.chain.max_head_age);
    let (age, ahead) = (now.since(time), time.since(now));
    let found = format!("block {number}, {} s old", age.as_secs());
    let fresh = age <= age_max || config.chain.checkpoints == Checkpoints::EveryBlock;
    let moves = if fresh {
        Finding::good("rpc.head", found)
    } else {
        let mend = "see whether the RPC still follows its chain, and whether this machine's clock is right";
        Finding::bad("rpc.head", found, mend)
    };
    let clock = if ahead > MAX_AHEAD {
        let found = format!("the chain's head is {} s ahead of this machine's clock", ahead.as_secs());
        Finding::bad("clock", found, "set the clock, and keep it right with NTP (timedatectl set-ntp true)")
    } else if fresh {
        Finding::good("clock", "not behind the chain's head")
    } else {
        Finding::warning("clock", "ahead of the chain's head, or that is old", "compare with another clock")
    };
    vec![moves, clock]
}

async fn contracts(deployment: &Deployment, rpc: &RootProvider, timeout: Duration) -> Finding {
    const CHECK: &str = "contracts";
    let mend = "name the file that the deploy script wrote for this chain in chain.deployment";
    match tokio::time::timeout(timeout, deployment.verify(rpc)).await {
        Ok(Ok(())) => {
            let Deployment { postage, stake, claims, .. } = deployment;
            let stake = stake.iter().map(|stake| format!(", Stake at {}", stake.contract));
            let claims = claims.iter().map(|claims| format!(", Claims at {claims}"));
            let others: String = stake.chain(claims).collect();
            Finding::good(CHECK, format!("what the deployment says: Postage at {postage}{others}"))
        }
        Ok(Err(VerifyError::Rpc(_))) | Err(_) => Finding::bad(CHECK, "the RPC does not answer", UNREACHABLE),
        Ok(Err(VerifyError::NotPostage(_))) => {
            Finding::bad(CHECK, format!("the contract at {} is no Postage", deployment.postage), mend)
        }
        Ok(Err(error)) => Finding::bad(CHECK, error.to_string(), mend),
    }
}
