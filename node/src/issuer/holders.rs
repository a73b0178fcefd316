//! Who satisfies a condition at a block (docs/protocol.md, "Claims").
//!
//! What is kept by accounts for themselves (balances of native coin, nonces) is asked for account by account. Tokens are read
//! from their logs, in ranges, from the contract's first block on. A payment is one that the payer sent itself: a log of a
//! transfer from the payer can be had for nothing by anybody (`transferFrom` of zero), so the transaction must be the payer's,
//! the amount above zero, and the token one that the claim lists.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use alloy::primitives::{Address, U256};
use alloy::rpc::types::{Filter, Log};
use alloy::sol_types::SolEvent as _;
use xmtp_proto::claim::Condition;
use xmtp_proto::time::Timestamp;

use super::IssueError;
use super::progress::{Holdings, Progress, ProgressFile};
use super::rpc::Rpc;
use crate::chain::{Head, RpcError};

/// Progress is kept no more often than this.
const SAVED_EVERY: Duration = Duration::from_millis(100);
/// Nor for more than this part of the time: the file of a large collection is not written in no time.
const SAVING_SHARE: u32 = 10;

mod events {
    alloy::sol! {
        event Transfer(address indexed from, address indexed to, uint256 value);
        event TransferSingle(address indexed operator, address indexed from, address indexed to, uint256 id, uint256 value);
        event TransferBatch(
            address indexed operator, address indexed from, address indexed to, uint256[] ids, uint256[] values
        );
    }
}
mod collection {
    alloy::sol! {
        event Transfer(address indexed from, address indexed to, uint256 indexed tokenId);
    }
}

/// Reads logs into progress.
pub(super) struct Reader<'a> {
    pub(super) rpc: &'a Rpc,
    /// The most blocks of a question.
    pub(super) range: u64,
    /// Nothing is kept without one.
    pub(super) file: Option<&'a ProgressFile>,
}

impl Reader<'_> {
    /// Brings progress up to a block. What was read before and is no longer part of the chain is read again.
    ///
    /// # Errors
    /// [`IssueError::Rpc`], [`IssueError::Progress`]; what was read by then is kept.
    pub(super) async fn read_to(
        &self,
        condition: &Condition,
        progress: &mut Progress,
        target: Head,
    ) -> Result<(), IssueError> {
        if let Some((number, hash)) = progress.read {
            let canonical = self.rpc.block(number).await?.is_some_and(|it| it.hash == hash);
            if !canonical || number > target.number {
                tracing::warn!(block = number, "what was read is not below the snapshot's block; reading it all again");
                progress.start_again();
            }
        }
        let (mut range, mut saved, mut next_save) = (self.range.max(1), Instant::now(), SAVED_EVERY);
        while progress.next() <= target.number {
            let from = progress.next();
            let to = target.number.min(from.saturating_add(range - 1));
            match self.read_range(condition, &mut progress.holdings, (from, to)).await {
                Ok(()) => range = range.saturating_mul(2).min(self.range.max(1)),
                // Too many blocks, or too many logs in them.
                Err(IssueError::Rpc(RpcError::Refused { .. } | RpcError::Timeout(_))) if range > 1 => {
                    range /= 2;
                    continue;
                }
                Err(error) => {
                    self.save(progress)?;
                    return Err(error);
                }
            }
            let hash = if to == target.number { target.hash } else { self.hash_of(to).await? };
            progress.read = Some((to, hash));
            if saved.elapsed() >= next_save {
                let began = Instant::now();
                self.save(progress)?;
                saved = Instant::now();
                next_save = SAVED_EVERY.max(saved.duration_since(began) * SAVING_SHARE);
            }
        }
        self.save(progress)
    }

    fn save(&self, progress: &Progress) -> Result<(), IssueError> {
        self.file.map_or(Ok(()), |file| file.save(progress)).map_err(IssueError::Progress)
    }

    async fn hash_of(&self, number: u64) -> Result<alloy::primitives::B256, IssueError> {
        let block = self.rpc.block(number).await?;
        Ok(block.ok_or(IssueError::ChainMoved { block: number })?.hash)
    }

    async fn read_range(
        &self,
        condition: &Condition,
        holdings: &mut Holdings,
        (from, to): (u64, u64),
    ) -> Result<(), IssueError> {
        let range = Filter::new().from_block(from).to_block(to);
        match condition {
            Condition::Erc721 { collection } | Condition::Erc721Token { collection, .. } => {
                let mut filter = range.address(*collection).event_signature(collection::Transfer::SIGNATURE_HASH);
                if let Condition::Erc721Token { token_id, .. } = condition {
                    filter = filter.topic3(*token_id);
                }
                for log in self.logs(filter, (from, to)).await? {
                    // A contract that is no collection has other logs of this name.
                    let Ok(event) = collection::Transfer::decode_log_validate(&log.inner) else { continue };
                    holdings.owners.insert(event.tokenId, event.to);
                    if event.to.is_zero() {
                        holdings.owners.remove(&event.tokenId);
                    }
                }
            }
            Condition::Erc20 { token, .. } => {
                let filter = range.address(*token).event_signature(events::Transfer::SIGNATURE_HASH);
                for log in self.logs(filter, (from, to)).await? {
                    let Ok(event) = events::Transfer::decode_log_validate(&log.inner) else { continue };
                    moved(&mut holdings.balances, event.from, event.to, event.value);
                }
            }
            Condition::Erc1155 { contract, token_id, .. } => {
                let signatures = vec![events::TransferSingle::SIGNATURE_HASH, events::TransferBatch::SIGNATURE_HASH];
                let filter = range.address(*contract).event_signature(signatures);
                for log in self.logs(filter, (from, to)).await? {
                    if let Ok(event) = events::TransferSingle::decode_log_validate(&log.inner) {
                        if event.id == *token_id {
                            moved(&mut holdings.balances, event.from, event.to, event.value);
                        }
                    } else if let Ok(event) = events::TransferBatch::decode_log_validate(&log.inner) {
                        let of_it = event.ids.iter().zip(&event.values).filter(|(id, _)| **id == *token_id);
                        of_it.for_each(|(_, value)| moved(&mut holdings.balances, event.from, event.to, *value));
                    }
                }
            }
            Condition::Counterparty { account, tokens } => {
                self.read_payments(*account, &mut holdings.paid, (from, to)).await?;
                if !tokens.is_empty() {
                    let filter = range
                        .address(tokens.clone())
                        .event_signature(events::Transfer::SIGNATURE_HASH)
                        .topic1(*account);
                    for log in self.logs(filter, (from, to)).await? {
                        self.read_transfer(*account, &mut holdings.paid, &log).await?;
                    }
                }
            }
            Condition::Native { .. } | Condition::Active { .. } => {}
        }
        Ok(())
    }

    /// In the order of the chain.
    async fn logs(&self, filter: Filter, (from, to): (u64, u64)) -> Result<Vec<Log>, IssueError> {
        let mut logs = self.rpc.logs(&filter).await?;
        logs.retain(|log| !log.removed && log.block_number.is_some_and(|it| (from..=to).contains(&it)));
        logs.sort_by_key(|log| (log.block_number, log.log_index));
        Ok(logs)
    }

    /// Native coin: blocks in which the payer's nonce rose are looked for by halves, for they are few.
    async fn read_payments(
        &self,
        payer: Address,
        paid: &mut BTreeSet<Address>,
        (from, to): (u64, u64),
    ) -> Result<(), IssueError> {
        let before = match from.checked_sub(1) {
            Some(before) => self.rpc.nonce(payer, before).await?,
            None => 0,
        };
        let mut stretches = vec![(from, to, before, self.rpc.nonce(payer, to).await?)];
        while let Some((from, to, before, after)) = stretches.pop() {
            if before == after {
                continue;
            }
            if from < to {
                let middle = from + (to - from) / 2;
                let between = self.rpc.nonce(payer, middle).await?;
                stretches.extend([(middle + 1, to, between, after), (from, middle, before, between)]);
                continue;
            }
            for payment in self.rpc.payments(payer, from).await? {
                if self.rpc.succeeded(payment.hash).await? {
                    paid.insert(payment.to);
                }
            }
        }
        Ok(())
    }

    async fn read_transfer(&self, payer: Address, paid: &mut BTreeSet<Address>, log: &Log) -> Result<(), IssueError> {
        let Ok(event) = events::Transfer::decode_log_validate(&log.inner) else { return Ok(()) };
        let Some(transaction) = log.transaction_hash else { return Ok(()) };
        if event.value.is_zero() || paid.contains(&event.to) {
            return Ok(());
        }
        if self.rpc.sender(transaction).await? == payer {
            paid.insert(event.to);
        }
        Ok(())
    }
}

/// Whom of the accounts a condition holds of at a block that progress has come to.
///
/// # Errors
/// [`IssueError::Rpc`].
pub(super) async fn holders(
    rpc: &Rpc,
    condition: &Condition,
    progress: &Progress,
    target: Head,
    accounts: &BTreeSet<Address>,
) -> Result<BTreeSet<Address>, IssueError> {
    let Holdings { owners, balances, paid } = &progress.holdings;
    let among = |holders: &mut dyn Iterator<Item = Address>| holders.filter(|it| accounts.contains(it)).collect();
    Ok(match condition {
        Condition::Erc721 { .. } | Condition::Erc721Token { .. } => among(&mut owners.values().copied()),
        Condition::Erc20 { amount, .. } | Condition::Erc1155 { amount, .. } => {
            among(&mut balances.iter().filter(|(_, balance)| *balance >= amount).map(|(account, _)| *account))
        }
        Condition::Counterparty { .. } => among(&mut paid.iter().copied()),
        Condition::Native { amount } => {
            let mut holders = BTreeSet::new();
            for account in accounts {
                if rpc.balance(*account, target.hash).await? >= *amount {
                    holders.insert(*account);
                }
            }
            holders
        }
        Condition::Active { before_secs } => {
            let before = Timestamp::from_secs(*before_secs);
            let Some(last) = rpc.last_before(before, target).await? else { return Ok(BTreeSet::new()) };
            let mut holders = BTreeSet::new();
            for account in accounts {
                if rpc.nonce(*account, last.number).await? > 0 {
                    holders.insert(*account);
                }
            }
            holders
        }
    })
}

/// Who takes more than it has is a contract that does not keep its logs; it is left with nothing.
fn moved(balances: &mut BTreeMap<Address, U256>, from: Address, to: Address, value: U256) {
    if !from.is_zero() {
        let balance = balances.entry(from).or_default();
        *balance = balance.saturating_sub(value);
        if balance.is_zero() {
            balances.remove(&from);
        }
    }
    if !to.is_zero() && !value.is_zero() {
        let balance = balances.entry(to).or_default();
        *balance = balance.saturating_add(value);
    }
}
