//! What an append decides about a conversation: whether it is open, and how much of its quota is left in the epoch
//! (docs/protocol.md, "Openings").

use alloy::primitives::B256;
use xmtp_proto::opening;
use xmtp_proto::postmark::Cursor;
use xmtp_proto::refusal::Refusal;
use xmtp_proto::time::Timestamp;
use xmtp_proto::wire;

use super::{AppendError, ConversationWrite, Opened, StoreError, keys};

/// The log as it will be when the entry is written.
pub(super) trait Read {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// What stands at a cursor; nothing if it was dropped.
    fn record(&self, cursor: Cursor) -> Result<Option<wire::Record>, StoreError>;
}

/// Decides a write at the time of its postmark, and returns the one entry that records it.
pub(super) fn decide(
    log: &impl Read,
    id: B256,
    write: ConversationWrite,
    now: Timestamp,
) -> Result<(Vec<u8>, Vec<u8>), AppendError> {
    let key = keys::conversation(&id);
    let opened = log.get(&key)?.as_deref().map(Opened::from_bytes).transpose()?;
    match write {
        ConversationWrite::Open(next) => {
            if opened.is_some_and(|it| !opening::renewable(it.opened_at, it.expires_at, now)) {
                return Err(Refusal::AlreadyOpen.into());
            }
            Ok((key, next.to_bytes()))
        }
        ConversationWrite::Post { units } => {
            let opened = opened.filter(|it| now < it.expires_at).ok_or(AppendError::NotOpen)?;
            let key = keys::units(now.epoch(), &id);
            let used = match log.get(&key)? {
                None => 0,
                Some(bytes) => {
                    u32::from_be_bytes(bytes.as_slice().try_into().map_err(|_| StoreError::Damaged { what: "units" })?)
                }
            };
            let used = used.checked_add(units).filter(|used| *used <= opened.quota).ok_or(Refusal::QuotaExhausted)?;
            Ok((key, used.to_be_bytes().to_vec()))
        }
    }
}

impl Opened {
    fn to_bytes(self) -> Vec<u8> {
        let Self { opened_at, expires_at, quota } = self;
        [opened_at.as_nanos().to_be_bytes().as_slice(), &expires_at.as_nanos().to_be_bytes(), &quota.to_be_bytes()]
            .concat()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, StoreError> {
        const DAMAGED: StoreError = StoreError::Damaged { what: "conversation entry" };
        let (opened_at, rest) = bytes.split_first_chunk().ok_or(DAMAGED)?;
        let (expires_at, quota) = rest.split_first_chunk().ok_or(DAMAGED)?;
        Ok(Self {
            opened_at: Timestamp::from_nanos(u64::from_be_bytes(*opened_at)),
            expires_at: Timestamp::from_nanos(u64::from_be_bytes(*expires_at)),
            quota: u32::from_be_bytes(quota.try_into().map_err(|_| DAMAGED)?),
        })
    }
}
