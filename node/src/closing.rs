//! A secret that the world knows ends its passes at once: the node refuses every nullifier that it could still produce,
//! without waiting for a root to change (docs/protocol.md, "The pass circuit").
//!
//! A secret becomes known in two ways: this node sees one stamp on two envelopes, or the chain tells of a slash.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use xmtp_proto::derive::{Group, Purpose};
use xmtp_proto::field::Nullifier;
use xmtp_prover::{Index, Limit, PassSecret};

use crate::chain::ChainHandle;
use crate::groups::Slashed;
use crate::store::{Store, StoreError};
use crate::validate::Rules;

/// Nullifiers that are written together.
const WRITTEN_TOGETHER: usize = 4096;

/// Closes secrets. Clones share what they close in.
#[derive(Clone)]
pub(crate) struct Closing {
    rules: Arc<Rules>,
    chain: ChainHandle,
    store: Store,
}

impl Closing {
    pub(crate) const fn new(rules: Arc<Rules>, chain: ChainHandle, store: Store) -> Self {
        Self { rules, chain, store }
    }

    /// Closes all stamps of the book under a secret, and returns how many they are. Takes seconds for a large book, on a
    /// thread that may block.
    pub(crate) async fn close(&self, group: Group, secret: PassSecret) -> Result<usize, StoreError> {
        let this = self.clone();
        // A panic here is a bug of ours; the book is not closed then.
        tokio::task::spawn_blocking(move || this.close_blocking(group, &secret))
            .await
            .unwrap_or(Err(StoreError::Closed))
    }

    fn close_blocking(&self, group: Group, secret: &PassSecret) -> Result<usize, StoreError> {
        let Group::Stamps { issue, .. } = group else { return Ok(0) };
        // A secret that stands in no book of the group produces nothing that a root admits.
        let Some(book) = self.chain.book(&group, secret.commitment()) else { return Ok(0) };
        let external = group.id(self.rules.network, self.rules.postage).external_nullifier(Purpose::Envelope, None);
        let nullifier = |index: u16| secret.nullifier(external, Index::new(index));
        let last = last_index(book.limit);
        // Closed before, and to the end: the last one is written last.
        if self.store.is_closed(issue, &nullifier(last))? {
            return Ok(0);
        }
        let indices: Vec<u16> = (0..=last).collect();
        for indices in indices.chunks(WRITTEN_TOGETHER) {
            let nullifiers: Vec<Nullifier> = indices.iter().map(|index| nullifier(*index)).collect();
            self.store.close(issue, &nullifiers)?;
        }
        Ok(indices.len())
    }

    /// Closes what the chain tells of, from the first slash on, until it is told to stop.
    pub(crate) async fn run(self, stop: CancellationToken) -> Result<(), StoreError> {
        let mut views = self.chain.subscribe();
        let mut done: Vec<Slashed> = Vec::new();
        loop {
            let slashed = self.chain.slashed();
            for it in slashed.iter().filter(|it| !done.contains(it)) {
                let stamps = match known(it) {
                    Some(secret) => self.close(it.group, secret).await?,
                    None => 0,
                };
                if stamps > 0 {
                    tracing::info!(stamps, "a book was slashed; what is left of it is refused");
                }
            }
            done = slashed;
            tokio::select! {
                // The follower has ended, and the node with it.
                changed = views.changed() => if changed.is_err() { return Ok(()) },
                () = stop.cancelled() => return Ok(()),
            }
        }
    }
}

/// The secret that a slash told; nothing for zero, which is none.
fn known(slashed: &Slashed) -> Option<PassSecret> {
    let mut wide = [0; 64];
    wide[32..].copy_from_slice(&slashed.secret.to_be_bytes::<32>());
    PassSecret::from_wide_bytes(&wide).ok()
}

fn last_index(limit: Limit) -> u16 {
    // A limit is 1 to 65,536.
    u16::try_from(limit.get() - 1).unwrap_or(u16::MAX)
}
