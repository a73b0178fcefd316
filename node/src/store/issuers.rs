//! What an append decides about an issuer: whether it may still write in the epoch (docs/protocol.md, "Groups and their roots").

use xmtp_proto::refusal::Refusal;
use xmtp_proto::time::Timestamp;

use super::conversations::Read;
use super::{AppendError, ISSUER_WRITES_PER_EPOCH, IssuerWrite, StoreError, keys};

/// Decides an entry of a claim's topic at the time of its postmark, and returns the one entry of the store that counts it.
pub(super) fn decide(log: &impl Read, write: IssuerWrite, now: Timestamp) -> Result<(Vec<u8>, Vec<u8>), AppendError> {
    let IssuerWrite { claim, issuer } = write;
    let key = keys::issuer(now.epoch(), &claim, &issuer);
    let damaged = StoreError::Damaged { what: "writes of an issuer" };
    let writes = match log.get(&key)? {
        None => 0,
        Some(bytes) => bytes.try_into().map(u32::from_be_bytes).map_err(|_| damaged)?,
    };
    if writes >= ISSUER_WRITES_PER_EPOCH {
        return Err(Refusal::QuotaExhausted.into());
    }
    Ok((key, (writes + 1).to_be_bytes().to_vec()))
}
