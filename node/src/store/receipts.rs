//! What an append decides about receipts: whether the letters are there, with stamps and on the account's topic, and which of
//! them have none yet (docs/protocol.md, "Receipts").

use xmtp_proto::derive::{EnvelopeId, Issue};
use xmtp_proto::malformed::Malformed;
use xmtp_proto::postmark::Cursor;
use xmtp_proto::refusal::Refusal;
use xmtp_proto::topic::Topic;
use xmtp_proto::wire;

use super::conversations::Read;
use super::{AppendError, ReceiptsWrite, StoreError, keys};

/// Returns the keys of the letters that have no receipt yet: at least one.
pub(super) fn decide(log: &impl Read, write: &ReceiptsWrite) -> Result<Vec<Vec<u8>>, AppendError> {
    let mut fresh = Vec::with_capacity(write.letters.len());
    for letter in &write.letters {
        let key = key(log, write, letter)?.ok_or_else(|| Refusal::from(Malformed::NoSuchLetter))?;
        if log.get(&key)?.is_none() {
            fresh.push(key);
        }
    }
    if fresh.is_empty() { Err(Refusal::VersionStale.into()) } else { Ok(fresh) }
}

/// Where the receipt of a letter stands; nothing if it is not the account's, had no stamps, or was dropped.
fn key(log: &impl Read, write: &ReceiptsWrite, letter: &EnvelopeId) -> Result<Option<Vec<u8>>, StoreError> {
    let Some(cursor) = log.get(&keys::envelope(letter))? else { return Ok(None) };
    let cursor = keys::cursor_of(&cursor).ok_or(StoreError::Damaged { what: "envelope entry" })?;
    let Some(record) = log.record(cursor)? else { return Ok(None) };
    let submission = record.submission.ok_or(StoreError::Damaged { what: "record" })?;
    let envelope = submission.envelope.as_ref().ok_or(StoreError::Damaged { what: "record" })?;
    if envelope.topic != Topic::Invite(write.account).to_string() {
        return Ok(None);
    }
    Ok(newest_issue(&submission).map(|issue| keys::receipt(issue, letter)))
}

/// Of a letter's stamps: with the last of them its receipt loses its purpose.
pub(super) fn newest_issue(submission: &wire::Submission) -> Option<Issue> {
    let issues = submission.passes.iter().filter_map(|pass| match &pass.pass {
        Some(wire::pass::Pass::Stamp(stamp)) => Some(Issue(stamp.issue)),
        _ => None,
    });
    issues.max()
}

/// The cursor of the record that a letter's receipt is in.
pub(super) fn cursor_from_bytes(bytes: &[u8]) -> Result<Cursor, StoreError> {
    bytes.try_into().map(|it| Cursor(u64::from_be_bytes(it))).map_err(|_| StoreError::Damaged { what: "receipt" })
}
