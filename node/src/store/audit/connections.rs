//! Connections as the records tell them: every unit of a quota.

use std::collections::HashMap;

use xmtp_proto::envelope::Envelope;
use xmtp_proto::pass::Pass;
use xmtp_proto::time::{Epoch, Timestamp};
use xmtp_proto::topic::Topic;

use super::super::{Store, StoreError, keys};

/// What the records come to, by the key that it is counted under.
#[derive(Default)]
pub(super) struct Connections {
    units: HashMap<Vec<u8>, u32>,
}

impl Connections {
    /// Enters a record.
    pub(super) fn enter(&mut self, envelope: &Envelope, passes: &[Pass], accepted_at: Timestamp) {
        let Topic::Invite(account) = envelope.topic else { return };
        for pass in passes {
            if let Pass::Connection(it) = pass {
                let key = keys::connection(accepted_at.epoch(), &account, &it.holder);
                *self.units.entry(key).or_default() += envelope.units();
            }
        }
    }

    /// How many connections the store counts otherwise; where records were dropped, it may know of more than is left.
    pub(super) fn miscounted(&self, store: &Store, held: Epoch, exact: bool) -> Result<usize, StoreError> {
        let mut counted = HashMap::new();
        for entry in store.connections() {
            let (key, units) = entry?;
            counted.insert(key, units);
        }
        let is_held = |key: &[u8]| keys::epoch_of(key).is_some_and(|epoch| epoch >= held);
        let told = self.units.iter().filter(|(key, _)| is_held(key));
        let wrong = told.filter(|(key, told)| match counted.get(*key) {
            Some(found) if exact => *told != found,
            Some(found) => *told > found,
            None => true,
        });
        let unheard = counted.keys().filter(|key| exact && !self.units.contains_key(*key));
        Ok(wrong.count() + unheard.count())
    }
}
