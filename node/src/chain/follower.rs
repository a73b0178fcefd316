//! The loop: look at the head, see whether the ground still holds, read what is new, check it, keep it, publish it.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use alloy::primitives::{Address, B256};
use backon::BackoffBuilder;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use xmtp_proto::derive::{Group, GroupId, NetworkId};
use xmtp_proto::time::{Clock, Timestamp};

use super::events::{self, WrongLogs};
use super::record::{self, PROGRESS, Progress};
use super::rpc::{Rpc, RpcError};
use super::source::Source;
use super::window::Window;
use super::{ChainConfig, ChainStore, ChainStoreError, ChainView, Head};
use crate::groups::{Block, Gap, Groups};

/// After so many polls in a row that did not fit together, what was read before is suspected.
const SUSPECT_WINDOW: u32 = 3;
/// After so many, all of it.
const SUSPECT_ALL: u32 = 6;
/// Progress over blocks without operations is kept this often: losing it costs little.
const KEEP_EVERY: Duration = Duration::from_secs(60);
/// The groups that take leaves are compared with their contracts this often.
const AUDIT_EVERY: Duration = Duration::from_secs(60);
/// Blocks that are taken from the store at once.
const PAGE: usize = 1_000;
/// The longest pause after a failure, in polls.
const MAX_BACKOFF_POLLS: u32 = 8;

/// See [`super::Chain`].
pub(super) struct Follower {
    config: ChainConfig,
    sources: Vec<Source>,
    network: NetworkId,
    rpc: Rpc,
    store: Arc<dyn ChainStore>,
    clock: Clock,
    groups: Arc<RwLock<Groups>>,
    window: Window,
    view: watch::Sender<Arc<ChainView>>,
    /// Blocks to ask for at once.
    range: u64,
    /// Polls in a row whose answers did not fit together.
    misfits: u32,
    /// The RPC may have become another one since it last said which chain it is on.
    identified: bool,
    kept: Option<Timestamp>,
    audited: Option<Timestamp>,
}

/// Why a poll came to nothing.
#[derive(Debug, thiserror::Error)]
enum PollError {
    #[error(transparent)]
    Rpc(#[from] RpcError),
    #[error("the RPC answers for chain {0} now")]
    OtherChain(u64),
    #[error("the contract at {0} is gone")]
    NoContract(Address),
    #[error("the RPC is behind: it has no block {0}")]
    Behind(u64),
    #[error("the head of the RPC's chain is from {0:?}")]
    OldHead(Timestamp),
    #[error("the chain was reorganised while it was read")]
    Moved,
    #[error(transparent)]
    Logs(#[from] WrongLogs),
    #[error(transparent)]
    Gap(#[from] Gap),
    #[error("the operations served for group {0} are not those that the contract recorded")]
    OtherOperations(GroupId),
    #[error("the disk is full")]
    NoRoom,
    #[error(transparent)]
    Store(#[from] ChainStoreError),
}

impl PollError {
    /// Whether what was served now does not fit what was served before.
    const fn is_misfit(&self) -> bool {
        matches!(self, Self::Gap(_) | Self::OtherOperations(_))
    }
}

/// Blocks that were read and checked.
struct Span {
    /// Those with operations.
    blocks: Vec<Block>,
    end: Head,
}

/// How the latest block that was applied stands to the RPC's chain.
enum Ground {
    Holds,
    Moved,
}

impl Follower {
    pub(super) fn new(
        config: ChainConfig,
        network: NetworkId,
        rpc: Rpc,
        store: Arc<dyn ChainStore>,
        clock: Clock,
        groups: Arc<RwLock<Groups>>,
        view: watch::Sender<Arc<ChainView>>,
    ) -> Self {
        let range = config.max_range.max(1);
        Self {
            sources: Source::all(&config),
            config,
            network,
            rpc,
            store,
            clock,
            groups,
            window: Window::default(),
            view,
            range,
            misfits: 0,
            identified: false,
            kept: None,
            audited: None,
        }
    }

    /// Takes up what the store has. What it cannot use it drops: the chain has it all.
    pub(super) async fn replay(&mut self) -> Result<(), ChainStoreError> {
        let store = Arc::clone(&self.store);
        let (first, progress) = blocking(move || Ok((store.load(0, 1)?, store.load(PROGRESS, 1)?))).await?;
        let Some((_, progress)) = progress.first() else {
            return if first.is_empty() { Ok(()) } else { self.forget_all().await };
        };
        let progress = match Progress::from_bytes(progress) {
            Ok(it) if it.is_of(&self.progress()) => it,
            Ok(_) => {
                tracing::warn!("the stored progress is another deployment's; reading the chain anew");
                return self.forget_all().await;
            }
            Err(error) => {
                tracing::warn!(%error, "reading the chain anew");
                return self.forget_all().await;
            }
        };
        let (store, groups) = (Arc::clone(&self.store), Arc::clone(&self.groups));
        let window = progress.window.clone();
        let replayed = blocking(move || {
            let mut groups = write(&groups);
            if let (Some(first), Some(last)) = (window.first(), window.last()) {
                groups.replay_towards(last.time);
                // Before the first operation: blocks below the window need no record of how to undo them.
                groups.forget(first.number, Timestamp::default());
            }
            let blocks = apply_stored(&mut groups, store.as_ref())?;
            settle(&mut groups, &window)?;
            Ok::<_, ReplayError>(blocks)
        })
        .await;
        match replayed {
            Ok(blocks) => {
                tracing::info!(blocks, up_to = progress.window.last().map(|last| last.number), "progress taken up");
                self.window = progress.window;
                self.publish(None, None);
                Ok(())
            }
            Err(ReplayError::Store(error)) => Err(error),
            Err(ReplayError::Misfit(error)) => {
                tracing::warn!(error, "the stored progress does not fit together; reading the chain anew");
                self.forget_all().await
            }
        }
    }

    pub(super) async fn run(mut self, stop: CancellationToken) -> Result<(), ChainStoreError> {
        self.rpc.stop_with(stop.clone());
        let mut backoff = None;
        while !stop.is_cancelled() {
            let pause = match self.poll().await {
                Ok(()) => {
                    backoff = None;
                    self.misfits = 0;
                    self.config.poll_interval
                }
                Err(PollError::Rpc(RpcError::Stopped)) => break,
                Err(PollError::Store(error)) => return Err(error),
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "no news of the chain");
                    self.identified = false;
                    if error.is_misfit() {
                        self.suspect().await?;
                    }
                    let backoff = backoff.get_or_insert_with(|| self.backoff());
                    backoff.next().unwrap_or(self.config.poll_interval)
                }
            };
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(pause) => {}
            }
        }
        Ok(())
    }

    fn backoff(&self) -> impl Iterator<Item = Duration> + use<> {
        backon::ExponentialBuilder::new()
            .with_jitter()
            .with_min_delay(self.config.poll_interval)
            .with_max_delay(self.config.poll_interval * MAX_BACKOFF_POLLS)
            .without_max_times()
            .build()
    }

    /// Brings the groups up to the chain's head. When this returns without an error the view is as good as can be.
    async fn poll(&mut self) -> Result<(), PollError> {
        let asked = self.clock.now();
        self.require_room()?;
        if !self.identified {
            self.identify().await?;
        }
        let latest = self.rpc.latest().await?;
        let target = latest.number.checked_sub(self.config.confirmations);
        // For a first reading, also one that was cut short and goes on. Near the head it leaves out nothing.
        write(&self.groups).replay_towards(latest.time.min(asked));
        loop {
            let next = self.window.last().map_or(self.config.first_block, |last| last.number.saturating_add(1));
            let Some(target) = target.filter(|target| *target >= next) else { break };
            self.require_room()?;
            let end = target.min(next.saturating_add(self.range - 1));
            match self.read(next, end, &latest).await? {
                Some(span) => self.keep(span, latest).await?,
                // Looked at again after a pause: an endpoint of many machines may not agree with itself.
                None => {
                    self.reorganise().await?;
                    return Err(PollError::Moved);
                }
            }
        }
        // Nothing new was read on top of it, or not since it was looked at.
        if let Ground::Moved = self.ground(&latest).await? {
            self.reorganise().await?;
            return Err(PollError::Moved);
        }
        if let Some(max) = self.config.max_head_age.filter(|max| asked.since(latest.time) > *max) {
            tracing::debug!(?max, "the head is too old");
            return Err(PollError::OldHead(latest.time));
        }
        self.audit(asked).await?;
        self.publish(Some(asked), Some(latest));
        Ok(())
    }

    fn require_room(&self) -> Result<(), PollError> {
        if self.store.has_room() { Ok(()) } else { Err(PollError::NoRoom) }
    }

    /// Asks whether the RPC is still one for this deployment.
    async fn identify(&mut self) -> Result<(), PollError> {
        let chain_id = self.rpc.chain_id().await?;
        if chain_id != self.config.chain_id {
            return Err(PollError::OtherChain(chain_id));
        }
        for contract in self.sources.iter().map(Source::contract) {
            if !self.rpc.has_code(contract).await? {
                return Err(PollError::NoContract(contract));
            }
        }
        self.identified = true;
        Ok(())
    }

    /// Reads a range of blocks that follows on what was applied; nothing if the chain below it was reorganised.
    async fn read(&mut self, from: u64, to: u64, latest: &Head) -> Result<Option<Span>, PollError> {
        let end = self.rpc.header(to).await?.ok_or(PollError::Behind(to))?;
        let logs = match self.rpc.logs(&self.sources, (from, to)).await {
            Ok(logs) => logs,
            // What an RPC calls too much differs, and so do its words for it.
            Err(error @ (RpcError::Refused { .. } | RpcError::Timeout(_))) if to > from => {
                self.range = (self.range / 2).max(1);
                tracing::info!(%error, range = self.range, "asking for fewer blocks at once");
                return Err(error.into());
            }
            Err(error) => return Err(error.into()),
        };
        self.range = (self.range + self.range.div_ceil(8)).min(self.config.max_range.max(1));
        let logs = events::by_block(logs, (from, to), &self.sources)?;
        let numbers: Vec<u64> = logs.keys().copied().collect();
        let mut heads = self.rpc.headers(&numbers).await?;
        heads.sort_by_key(|head| head.number);
        let heads_match =
            heads.len() == logs.len() && heads.iter().zip(logs.values()).all(|(it, log)| it.hash == log.hash);
        if let Ground::Moved = self.ground(latest).await? {
            return Ok(None);
        }
        // The ground first, the end last: what holds both before and after belongs to one chain.
        let still = self.rpc.header(to).await?;
        if !heads_match || still != Some(end) {
            return Err(PollError::Moved);
        }
        let place = (self.network, self.config.postage);
        let mut blocks = Vec::with_capacity(heads.len());
        for (Head { number, hash, time }, logs) in heads.into_iter().zip(logs.into_values()) {
            let operations = logs.operations(time, place)?;
            blocks.extend((!operations.is_empty()).then_some(Block { number, hash, time, operations }));
        }
        let expected = self.look(|groups| groups.foresee(&blocks))?;
        for (group, chain) in expected {
            self.compare(&group, chain, &end).await?;
        }
        Ok(Some(Span { blocks, end }))
    }

    /// Whether the latest block that was applied is still one of the chain's.
    async fn ground(&self, latest: &Head) -> Result<Ground, PollError> {
        let Some(last) = self.window.last() else { return Ok(Ground::Holds) };
        match self.rpc.header(last.number).await? {
            Some(head) if head.hash == last.hash => return Ok(Ground::Holds),
            Some(_) => return Ok(Ground::Moved),
            None => {}
        }
        // A shorter chain is no proof of another one: the RPC may just be behind. What it has must differ.
        if let Some(known) = self.window.at_or_below(latest.number)
            && self.rpc.header(known.number).await?.is_some_and(|head| head.hash != known.hash)
        {
            return Ok(Ground::Moved);
        }
        Err(PollError::Behind(last.number))
    }

    /// Goes back to the latest block that both know, or to the beginning.
    async fn reorganise(&mut self) -> Result<(), PollError> {
        // Before anything is given up: is this our chain at all?
        self.identify().await?;
        let mut contradicted = false;
        for known in self.window.clone().blocks().iter().rev() {
            let head = self.rpc.header(known.number).await?;
            contradicted |= head.is_some();
            if head.is_some_and(|head| head.hash == known.hash) {
                let from = self.window.last().map(|last| last.number);
                tracing::info!(from, to = known.number, "the chain was reorganised; roots made since are withdrawn");
                return Ok(self.go_back(known.number).await?);
            }
        }
        // An endpoint that has none of our blocks is behind; it has not said that they are other ones.
        if let Some(last) = self.window.last().filter(|_| !contradicted) {
            return Err(PollError::Behind(last.number));
        }
        tracing::warn!("the chain was reorganised further back than is remembered; reading it anew");
        Ok(self.forget_all().await?)
    }

    /// What was served does not fit together. Asking again usually helps; if not, something was left out before.
    async fn suspect(&mut self) -> Result<(), ChainStoreError> {
        self.misfits += 1;
        match (self.misfits, self.window.first()) {
            (SUSPECT_WINDOW, Some(first)) => {
                tracing::warn!(to = first.number, "the RPC may have left something out before; going back");
                self.go_back(first.number).await
            }
            (SUSPECT_ALL.., _) => {
                tracing::warn!("the RPC may have left something out long before; reading the chain anew");
                self.misfits = 0;
                self.forget_all().await
            }
            _ => Ok(()),
        }
    }

    /// Compares a group's operations with its contract's record of them.
    async fn compare(&self, group: &Group, expected: B256, at: &Head) -> Result<(), PollError> {
        // Operations come from a source, and so has their group one.
        let Some(source) = self.sources.iter().find(|source| source.keeps(group)) else { return Ok(()) };
        let id = group.id(self.network, self.config.postage);
        match self.rpc.group_chain(source.contract(), id, at.hash).await? {
            Some(chain) if chain != expected => Err(PollError::OtherOperations(id)),
            _ => Ok(()),
        }
    }

    /// Compares the groups that take leaves with their contracts: an RPC that served no logs at all gave nothing to compare.
    async fn audit(&mut self, now: Timestamp) -> Result<(), PollError> {
        let due = self.audited.is_none_or(|before| now.since(before) >= AUDIT_EVERY);
        let Some(last) = self.window.last().filter(|_| due) else { return Ok(()) };
        let issue_seconds = self.config.roots.issue_seconds;
        for group in self.sources.iter().flat_map(|source| source.open_groups(last.time, issue_seconds)) {
            let expected = self.look(|groups| groups.chain(&group));
            let compared = self.compare(&group, expected, &last).await;
            if let Err(PollError::OtherOperations(_)) = compared {
                // It was applied already, so asking for what comes next does not help.
                self.misfits = self.misfits.max(SUSPECT_WINDOW - 1);
            }
            compared?;
        }
        self.audited = Some(now);
        Ok(())
    }

    /// Makes a span part of what is known: on disk first, then in the groups, then in the view.
    async fn keep(&mut self, span: Span, latest: Head) -> Result<(), ChainStoreError> {
        let Span { blocks, end } = span;
        let from = self.window.last().map_or(0, |last| last.number.saturating_add(1));
        for block in &blocks {
            self.window.push(Head { number: block.number, hash: block.hash, time: block.time });
        }
        if blocks.last().is_none_or(|last| last.number < end.number) {
            self.window.push(end);
        }
        let now = self.clock.now();
        if !blocks.is_empty() || self.kept.is_none_or(|kept| now.since(kept) >= KEEP_EVERY) {
            self.write(from, &blocks).await?;
            self.kept = Some(now);
        }
        let (groups, window) = (Arc::clone(&self.groups), self.window.clone());
        let applied = blocking(move || {
            for block in &blocks {
                write(&groups).apply(block).map_err(|error| error.to_string())?;
            }
            settle(&mut write(&groups), &window)
        })
        .await;
        if let Err(error) = applied {
            // They were checked before; begin anew rather than go on from something unknown.
            tracing::error!(error, "blocks that fitted did not; reading the chain anew");
            self.forget_all().await?;
        }
        self.publish(None, Some(latest));
        Ok(())
    }

    async fn go_back(&mut self, number: u64) -> Result<(), ChainStoreError> {
        self.window.truncate(number);
        self.audited = None;
        self.write(number.saturating_add(1), &[]).await?;
        let groups = Arc::clone(&self.groups);
        if blocking(move || write(&groups).rollback(number)).await.is_err() {
            return self.forget_all().await;
        }
        self.publish(None, None);
        Ok(())
    }

    async fn forget_all(&mut self) -> Result<(), ChainStoreError> {
        self.window = Window::default();
        self.audited = None;
        let store = Arc::clone(&self.store);
        blocking(move || store.replace_from(0, Vec::new())).await?;
        *write(&self.groups) = Groups::new(self.config.roots.clone(), self.network, self.config.postage);
        // As at the very beginning: until all is read again, the answer is "later" and not that there are no roots.
        self.view.send_replace(Arc::default());
        Ok(())
    }

    /// Replaces what is stored from a block on, and the progress with it.
    async fn write(&self, from: u64, blocks: &[Block]) -> Result<(), ChainStoreError> {
        let (records, store) = (self.progress().records(blocks), Arc::clone(&self.store));
        blocking(move || store.replace_from(from, records)).await
    }

    fn progress(&self) -> Progress {
        Progress {
            network: self.network,
            first_block: self.config.first_block,
            // The network's name stands for `Postage`.
            beside: self.sources.iter().skip(1).map(Source::contract).collect(),
            claims: self.config.claims.iter().flat_map(|it| it.claims.iter().copied()).collect(),
            window: self.window.clone(),
        }
    }

    /// A view that knows no more than part of what the chain has to say keeps the age of the one before.
    fn publish(&self, as_of: Option<Timestamp>, head: Option<Head>) {
        let groups = self.look(Groups::view);
        let last = self.window.last();
        let keeps_coming = self.config.max_head_age.is_some();
        let read_to = keeps_coming.then(|| last.map(|last| last.time).unwrap_or_default());
        let applied = last.map(|last| last.number);
        self.view.send_modify(|view| {
            let as_of = as_of.or_else(|| view.as_of());
            let head = head.or_else(|| view.head());
            *view = Arc::new(ChainView::new(as_of, head, applied, read_to, groups));
        });
    }

    fn look<T>(&self, look: impl FnOnce(&Groups) -> T) -> T {
        look(&self.groups.read().unwrap_or_else(PoisonError::into_inner))
    }
}

fn write(groups: &RwLock<Groups>) -> std::sync::RwLockWriteGuard<'_, Groups> {
    groups.write().unwrap_or_else(PoisonError::into_inner)
}

/// Why what the store has is not taken up.
enum ReplayError {
    Store(ChainStoreError),
    /// It cannot be used; the chain has it all.
    Misfit(String),
}

impl From<String> for ReplayError {
    fn from(misfit: String) -> Self {
        Self::Misfit(misfit)
    }
}

/// Applies all blocks that are stored, page by page: there may be millions. Returns how many there were.
fn apply_stored(groups: &mut Groups, store: &dyn ChainStore) -> Result<usize, ReplayError> {
    let (mut from, mut blocks) = (0, 0);
    loop {
        let page = store.load(from, PAGE).map_err(ReplayError::Store)?;
        for (number, bytes) in &page {
            // Behind all blocks.
            if *number == PROGRESS {
                return Ok(blocks);
            }
            let block = record::block_from_bytes(*number, bytes).map_err(|error| error.to_string())?;
            groups.apply(&block).map_err(|error| error.to_string())?;
            (from, blocks) = (number + 1, blocks + 1);
        }
        if page.len() < PAGE {
            return Ok(blocks);
        }
    }
}

/// Shows the groups how far block time has come, and what will not be rolled back any more.
fn settle(groups: &mut Groups, window: &Window) -> Result<(), String> {
    if let Some(last) = window.last().filter(|last| groups.last().is_none_or(|applied| applied < last.number)) {
        let empty = Block { number: last.number, hash: last.hash, time: last.time, operations: Vec::new() };
        groups.apply(&empty).map_err(|error| error.to_string())?;
    }
    if let Some(first) = window.first() {
        groups.forget(first.number, first.time);
    }
    Ok(())
}

/// Hashing and disks are no work for the threads that wait for others.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down and drops this future with everything else.
            Err(_) => std::future::pending().await,
        },
    }
}
