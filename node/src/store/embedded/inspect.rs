//! What an audit looks at: everything as it lies there.

use alloy::primitives::B256;
use xmtp_proto::derive::EnvelopeId;
use xmtp_proto::field::Nullifier;
use xmtp_proto::postmark::Cursor;
use xmtp_proto::time::Epoch;
use xmtp_proto::wire;

use super::super::{Opened, Shard, StoreError, connections, keys, receipts};
use super::{Store, disk, sheets};

/// A place in the log.
pub(in super::super) struct Place {
    /// What was written there.
    pub(in super::super) record: Option<wire::Record>,
    /// What is left of it.
    pub(in super::super) husk: Option<wire::Record>,
    /// Whether readers of the log are led there.
    pub(in super::super) listed: bool,
}

impl Store {
    pub(in super::super) fn at(&self, cursor: Cursor) -> Result<Place, StoreError> {
        let (record, husk) = (sheets::record(&self.log, cursor)?, sheets::husk(&self.log, cursor)?);
        Ok(Place { record, husk, listed: sheets::is_listed(&self.log, cursor)? })
    }

    /// Every cursor that a reader is led to, in its topic and in the log.
    pub(in super::super) fn listed(&self) -> Result<impl Iterator<Item = Result<Cursor, StoreError>>, StoreError> {
        let of_topics = self.log.scan_prefix(keys::topics()).map(|entry| {
            let (key, _) = entry.map_err(disk)?;
            keys::cursor_of(&key).ok_or(StoreError::Damaged { what: "topic key" })
        });
        let of_log = sheets::topics(&self.log, Cursor::default(), Cursor(u64::MAX))?;
        Ok(of_topics.chain(of_log.filter_map(|place| match place {
            Ok((_, None)) => None,
            Ok((cursor, Some(_))) => Some(Ok(cursor)),
            Err(error) => Some(Err(error)),
        })))
    }

    /// All nullifiers that are used, each with the cursor of the record that used it.
    pub(in super::super) fn cancelled(&self) -> impl Iterator<Item = Result<(Nullifier, Cursor), StoreError>> {
        keys::all_nullifiers().into_iter().flat_map(|kind| self.log.scan_prefix(kind)).map(|entry| {
            let (key, value) = entry.map_err(disk)?;
            let nullifier = keys::nullifier_of(&key).ok_or(StoreError::Damaged { what: "nullifier key" })?;
            Ok((nullifier, keys::cursor_of(&value).ok_or(StoreError::Damaged { what: "nullifier" })?))
        })
    }

    /// Where the record stands that used a nullifier.
    pub(in super::super) fn cancelled_at(
        &self,
        shard: Shard,
        nullifier: &Nullifier,
    ) -> Result<Option<Cursor>, StoreError> {
        let Some(used) = self.log.get(keys::nullifier(shard, nullifier)).map_err(disk)? else { return Ok(None) };
        keys::cursor_of(&used).ok_or(StoreError::Damaged { what: "nullifier" }).map(Some)
    }

    /// All conversations, and how they were opened.
    pub(in super::super) fn conversations(&self) -> impl Iterator<Item = Result<(B256, Opened), StoreError>> {
        self.log.scan_prefix(keys::conversations()).map(|entry| {
            let (key, value) = entry.map_err(disk)?;
            let id = keys::conversation_of(&key).ok_or(StoreError::Damaged { what: "conversation key" })?;
            Ok((id, Opened::from_bytes(&value)?))
        })
    }

    /// All units that are counted, by day and conversation.
    pub(in super::super) fn units(&self) -> impl Iterator<Item = Result<(Epoch, B256, u32), StoreError>> {
        self.log.scan_prefix(keys::all_units()).map(|entry| {
            let (key, value) = entry.map_err(disk)?;
            let ids = keys::epoch_of(&key).zip(keys::conversation_of(&key));
            let (epoch, id) = ids.ok_or(StoreError::Damaged { what: "units key" })?;
            let units = value.as_ref().try_into().map_err(|_| StoreError::Damaged { what: "units" })?;
            Ok((epoch, id, u32::from_be_bytes(units)))
        })
    }

    /// All connections' quotas that were used, by their whole keys: epoch, account, holder.
    pub(in super::super) fn connections(&self) -> impl Iterator<Item = Result<(Vec<u8>, u32), StoreError>> {
        self.log.scan_prefix(keys::connections()).map(|entry| {
            let (key, value) = entry.map_err(disk)?;
            Ok((key.to_vec(), connections::units_from_bytes(&value)?))
        })
    }

    /// All receipts, each with the record that it is in.
    pub(in super::super) fn receipts(&self) -> impl Iterator<Item = Result<(EnvelopeId, Cursor), StoreError>> {
        self.log.scan_prefix(keys::receipts()).map(|entry| {
            let (key, value) = entry.map_err(disk)?;
            let letter = keys::letter_of(&key).ok_or(StoreError::Damaged { what: "receipt key" })?;
            Ok((letter, receipts::cursor_from_bytes(&value)?))
        })
    }

    /// What no disk should do: puts an entry in the place of another, or takes it away.
    #[cfg(test)]
    pub(in super::super) fn damage(&self, key: &[u8], value: Option<&[u8]>) {
        match value {
            Some(value) => self.log.insert(key, value).map(drop).unwrap(),
            None => self.log.remove(key).map(drop).unwrap(),
        }
    }
}
