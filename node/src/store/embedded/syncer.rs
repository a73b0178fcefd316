//! The thread that makes groups durable: it flushes, syncs, and only then lets readers see a group and answers who waits for it.
//! Meanwhile the committer decides the next one.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use sled::Db;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};
use xmtp_proto::postmark::Cursor;

use super::super::durable::Folder;
use super::super::{Appended, StoreError};
use super::sync;
use crate::metrics::CommitMetrics;

/// Appends that were decided together, and are in the tree.
pub(super) struct Group {
    /// What each is told when all that it rests on is durable.
    pub(super) answers: Vec<(oneshot::Sender<Appended>, Appended)>,
    /// The newest entry then.
    pub(super) last: Cursor,
    /// Since when there is something to sync, if there is.
    pub(super) written: Option<Instant>,
    /// Given back when the next group may come.
    pub(super) turn: OwnedSemaphorePermit,
}

/// The syncer's world.
pub(super) struct Room {
    pub(super) db: Db,
    pub(super) folder: Arc<Mutex<Folder>>,
    pub(super) metrics: CommitMetrics,
    pub(super) announce: watch::Sender<Cursor>,
}

impl Room {
    /// Ends after the committer, or when the disk failed.
    pub(super) fn run(self, mut groups: mpsc::UnboundedReceiver<Group>) {
        while let Some(group) = groups.blocking_recv() {
            if let Err(error) = self.settle(group) {
                tracing::error!(%error, "the store failed; nothing more is accepted");
                return;
            }
        }
    }

    /// In the order in which they were decided: an answer may rest on a group before.
    fn settle(&self, group: Group) -> Result<(), StoreError> {
        let Group { answers, last, written, turn } = group;
        if let Some(since) = written {
            // Should it fail, everybody in the group learns it by the dropped channel.
            sync(&self.db, &self.folder)?;
            self.metrics.committed(answers.len(), since.elapsed());
            self.announce.send_replace(last);
        }
        drop(turn);
        for (answer, decided) in answers {
            // A caller that is gone finds the postmark by sending the same bytes again.
            let _ = answer.send(decided);
        }
        Ok(())
    }
}
