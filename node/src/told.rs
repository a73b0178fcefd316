//! How far a subscription's client was told, for whoever may have to cut it off.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use xmtp_proto::postmark::Cursor;

/// Goes with a subscription's answer. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Told(Arc<AtomicU64>);

impl Told {
    /// Nothing but where it asked to begin.
    pub(crate) fn from(cursor: Cursor) -> Self {
        Self(Arc::new(AtomicU64::new(cursor.0)))
    }

    pub(crate) fn set(&self, cursor: Cursor) {
        self.0.store(cursor.0, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> Cursor {
        Cursor(self.0.load(Ordering::Relaxed))
    }
}
