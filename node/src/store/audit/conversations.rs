//! Conversations as their records tell them: every opening, and every unit written.

use std::collections::{HashMap, HashSet};

use alloy::primitives::B256;
use xmtp_proto::envelope::Envelope;
use xmtp_proto::opening::Opening;
use xmtp_proto::time::{Epoch, Timestamp};
use xmtp_proto::topic::Topic;

use super::super::{Opened, Store, StoreError};

/// What the records come to.
#[derive(Default)]
pub(super) struct Conversations {
    opened: HashMap<B256, Opened>,
    units: HashMap<(Epoch, B256), u32>,
}

impl Conversations {
    /// Enters a record, in the order of the log.
    pub(super) fn enter(&mut self, envelope: &Envelope, accepted_at: Timestamp) {
        let Topic::Conversation(id) = envelope.topic else { return };
        match Opening::from_bytes(&envelope.ciphertext) {
            Ok(opening) => {
                let (expires_at, quota) = (opening.expires_at(), opening.quota());
                self.opened.insert(id, Opened { opened_at: envelope.sent_at, expires_at, quota });
            }
            Err(_) => *self.units.entry((accepted_at.epoch(), id)).or_default() += envelope.units(),
        }
    }

    /// How many there are.
    pub(super) fn opened(&self) -> u64 {
        self.opened.len().try_into().unwrap_or(u64::MAX)
    }

    /// Those that the store counts otherwise; where records were dropped, it may know of more than is left.
    pub(super) fn miscounted(&self, store: &Store, held: Epoch, exact: bool) -> Result<HashSet<B256>, StoreError> {
        let mut miscounted = HashSet::new();
        let mut stored = HashMap::new();
        for entry in store.conversations() {
            let (id, opened) = entry?;
            stored.insert(id, opened);
        }
        miscounted.extend(
            self.opened
                .iter()
                .filter(|(id, told)| match stored.get(*id) {
                    Some(found) => *told != found && (exact || found.opened_at < told.opened_at),
                    None => true,
                })
                .map(|(id, _)| *id),
        );
        miscounted.extend(stored.keys().filter(|id| exact && !self.opened.contains_key(*id)));

        let mut counted = HashMap::new();
        for entry in store.units() {
            let (epoch, id, units) = entry?;
            counted.insert((epoch, id), units);
        }
        let told = self.units.iter().filter(|((epoch, _), _)| *epoch >= held);
        miscounted.extend(
            told.filter(|(key, told)| match counted.get(*key) {
                Some(found) => {
                    if exact {
                        *told != found
                    } else {
                        *told > found
                    }
                }
                None => true,
            })
            .map(|((_, id), _)| *id),
        );
        miscounted.extend(counted.keys().filter(|key| exact && !self.units.contains_key(*key)).map(|(_, id)| *id));
        Ok(miscounted)
    }
}
