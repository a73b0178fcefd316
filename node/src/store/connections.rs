//! What an append decides about a connection: how much of its quota is left in the epoch (docs/protocol.md, "Requirements and
//! policies").

use xmtp_proto::refusal::Refusal;
use xmtp_proto::time::Timestamp;

use super::conversations::Read;
use super::{AppendError, ConnectionWrite, StoreError, keys};

/// Decides a letter with a connection at the time of its postmark, and returns the one entry that records it. It is counted
/// by account and key, so another attestation of the same key brings no second quota.
pub(super) fn decide(
    log: &impl Read,
    write: ConnectionWrite,
    now: Timestamp,
) -> Result<(Vec<u8>, Vec<u8>), AppendError> {
    let ConnectionWrite { account, holder, quota, units } = write;
    let key = keys::connection(now.epoch(), &account, &holder);
    let used = log.get(&key)?.map_or(Ok(0), |bytes| units_from_bytes(&bytes))?;
    let used = used.checked_add(units).filter(|used| *used <= quota).ok_or(Refusal::QuotaExhausted)?;
    Ok((key, used.to_be_bytes().to_vec()))
}

pub(super) fn units_from_bytes(bytes: &[u8]) -> Result<u32, StoreError> {
    bytes.try_into().map(u32::from_be_bytes).map_err(|_| StoreError::Damaged { what: "units of a connection" })
}
