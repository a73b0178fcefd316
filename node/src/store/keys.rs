//! Keys of the embedded store: one ordered space, a prefix per kind of entry, integers big-endian.

use alloy::primitives::{Address, B256};
use xmtp_proto::account::Account;
use xmtp_proto::derive::{ClaimId, EnvelopeId, Issue};
use xmtp_proto::field::Nullifier;
use xmtp_proto::postmark::Cursor;
use xmtp_proto::time::Epoch;
use xmtp_proto::topic::Topic;

use super::values::{account_to_bytes, topic_to_bytes};
use super::{OwnTopic, Shard};

const SHEET: u8 = b'r';
const HUSK: u8 = b'h';
const TOPIC: u8 = b't';
const CONTENTS: u8 = b'c';
const ENVELOPE: u8 = b'e';
const NULLIFIER: u8 = b'n';
const EPOCH_NULLIFIER: u8 = b'm';
const CONVERSATION: u8 = b'd';
const UNITS: u8 = b'u';
const CONNECTION: u8 = b'k';
const ISSUER: u8 = b'i';
const RECEIPT: u8 = b'p';
const OWNED: u8 = b'o';
const QUOTA: u8 = b'q';
const EVIDENCE: u8 = b'v';
const CLOSED: u8 = b'x';
const EPOCH_CLOSED: u8 = b'y';

/// Issues for which receipts outlive their stamps' nullifiers: what is held for them is released within 180 days.
const SETTLED_AFTER: u32 = 3;

/// Cursor → that record and some that follow on it.
pub(super) fn sheet(first: Cursor) -> Vec<u8> {
    concat(SHEET, &[&first.0.to_be_bytes()])
}

/// All records.
pub(super) const fn sheets() -> [u8; 1] {
    [SHEET]
}

/// Cursor → what is left of a record that was dropped: its passes and its postmark.
pub(super) fn husk(cursor: Cursor) -> Vec<u8> {
    concat(HUSK, &[&cursor.0.to_be_bytes()])
}

/// All that is left of records that were dropped.
pub(super) const fn husks() -> [u8; 1] {
    [HUSK]
}

/// Topic, cursor → nothing. The first byte of a topic says how long it is, so none is a prefix of another's entries.
pub(super) fn topic(topic: &Topic, cursor: Cursor) -> Vec<u8> {
    concat(TOPIC, &[&topic_to_bytes(topic), &cursor.0.to_be_bytes()])
}

/// All entries of topics.
pub(super) const fn topics() -> [u8; 1] {
    [TOPIC]
}

/// The entries of a topic before a cursor.
pub(super) fn topic_before(it: &Topic, cursor: Cursor) -> std::ops::Range<Vec<u8>> {
    topic(it, Cursor::default())..topic(it, cursor)
}

/// The cursor at the end of a [`topic`], a [`sheet`] or a [`contents`] key; and that which an entry consists of.
pub(super) fn cursor_of(key: &[u8]) -> Option<Cursor> {
    key.last_chunk().map(|bytes| Cursor(u64::from_be_bytes(*bytes)))
}

/// Cursor → its record's topic, and those of some that follow on it: what readers of the whole log look at, so that they open
/// only the records that they want.
pub(super) fn contents(first: Cursor) -> Vec<u8> {
    concat(CONTENTS, &[&first.0.to_be_bytes()])
}

/// Envelope id → cursor.
pub(super) fn envelope(id: &EnvelopeId) -> Vec<u8> {
    concat(ENVELOPE, &[id.as_bytes()])
}

/// Issue or epoch, nullifier → cursor of the record that it was used for, which has the share.
pub(super) fn nullifier(shard: Shard, nullifier: &Nullifier) -> Vec<u8> {
    match shard {
        Shard::Issue(issue) => concat(NULLIFIER, &[&issue.0.to_be_bytes(), nullifier.as_bytes()]),
        Shard::Epoch(epoch) => concat(EPOCH_NULLIFIER, &[&epoch.0.to_be_bytes(), nullifier.as_bytes()]),
    }
}

/// Issue or epoch, nullifier → nothing: it could still be used by who knows a secret that the world knows.
pub(super) fn closed(shard: Shard, nullifier: &Nullifier) -> Vec<u8> {
    match shard {
        Shard::Issue(issue) => concat(CLOSED, &[&issue.0.to_be_bytes(), nullifier.as_bytes()]),
        Shard::Epoch(epoch) => concat(EPOCH_CLOSED, &[&epoch.0.to_be_bytes(), nullifier.as_bytes()]),
    }
}

/// All nullifiers that are used: of stamps, and of stakes and memberships.
pub(super) const fn all_nullifiers() -> [[u8; 1]; 2] {
    [[NULLIFIER], [EPOCH_NULLIFIER]]
}

/// Issue, letter → cursor of the record that its receipt is in.
pub(super) fn receipt(issue: Issue, letter: &EnvelopeId) -> Vec<u8> {
    concat(RECEIPT, &[&issue.0.to_be_bytes(), letter.as_bytes()])
}

/// All receipts.
pub(super) const fn receipts() -> [u8; 1] {
    [RECEIPT]
}

/// The letter at the end of a [`receipt`] key.
pub(super) fn letter_of(key: &[u8]) -> Option<EnvelopeId> {
    key.last_chunk::<32>().map(|id| EnvelopeId::from(*id))
}

/// All nullifiers, used and closed, of issues before this one; and the receipts of issues so much older that nothing is left to
/// settle by them.
pub(super) fn nullifiers_before(issue: Issue) -> [std::ops::Range<Vec<u8>>; 3] {
    let before = |kind, issue: Issue| vec![kind]..concat(kind, &[&issue.0.to_be_bytes()]);
    let settled = Issue(issue.0.saturating_sub(SETTLED_AFTER));
    [before(NULLIFIER, issue), before(CLOSED, issue), before(RECEIPT, settled)]
}

/// Account, which of its topics → cursor, order, content.
pub(super) fn owned(account: &Account, topic: OwnTopic) -> Vec<u8> {
    let topic = match topic {
        OwnTopic::Contact => b'c',
        OwnTopic::Policy => b'p',
        OwnTopic::Vault => b'v',
    };
    concat(OWNED, &[&account_to_bytes(account), &[topic]])
}

/// Epoch, account → owner writes.
pub(super) fn quota(epoch: Epoch, account: &Account) -> Vec<u8> {
    concat(QUOTA, &[&epoch.0.to_be_bytes(), &account_to_bytes(account)])
}

/// Conversation → opened-at u64, expiry u64 (both in nanoseconds), quota u32.
pub(super) fn conversation(id: &B256) -> Vec<u8> {
    concat(CONVERSATION, &[id.as_slice()])
}

/// All conversations.
pub(super) const fn conversations() -> [u8; 1] {
    [CONVERSATION]
}

/// The conversation at the end of a [`conversation`] or a [`units`] key.
pub(super) fn conversation_of(key: &[u8]) -> Option<B256> {
    key.last_chunk::<32>().map(B256::from)
}

/// The epoch in a [`units`] or a [`connection`] key.
pub(super) fn epoch_of(key: &[u8]) -> Option<Epoch> {
    key.get(1..)?.first_chunk().map(|bytes| Epoch(u64::from_be_bytes(*bytes)))
}

/// All units that are counted.
pub(super) const fn all_units() -> [u8; 1] {
    [UNITS]
}

/// Epoch, conversation → units written.
pub(super) fn units(epoch: Epoch, id: &B256) -> Vec<u8> {
    concat(UNITS, &[&epoch.0.to_be_bytes(), id.as_slice()])
}

/// All conversations that were written in on a day.
pub(super) fn units_of(epoch: Epoch) -> Vec<u8> {
    concat(UNITS, &[&epoch.0.to_be_bytes()])
}

/// Epoch, account, holder's key → units of postage.
pub(super) fn connection(epoch: Epoch, account: &Account, holder: &[u8; 32]) -> Vec<u8> {
    concat(CONNECTION, &[&epoch.0.to_be_bytes(), &account_to_bytes(account), holder])
}

/// All connections that were used.
pub(super) const fn connections() -> [u8; 1] {
    [CONNECTION]
}

/// Epoch, claim, issuer → entries.
pub(super) fn issuer(epoch: Epoch, claim: &ClaimId, issuer: &Address) -> Vec<u8> {
    concat(ISSUER, &[&epoch.0.to_be_bytes(), claim.as_bytes(), issuer.as_slice()])
}

/// All that was counted in epochs before this one: owner writes, issuers' entries, units of conversations and of connections,
/// nullifiers used and closed.
pub(super) fn counted_before(epoch: Epoch) -> [std::ops::Range<Vec<u8>>; 6] {
    [QUOTA, ISSUER, UNITS, CONNECTION, EPOCH_NULLIFIER, EPOCH_CLOSED]
        .map(|kind| vec![kind]..concat(kind, &[&epoch.0.to_be_bytes()]))
}

/// Nullifier → two signals and two shares behind the group: of stamps denomination u32 and issue u32, of stakes contract 20
/// and tier u32, of members operator 32 and generation u32, of a claim `c`, id 32 and generation u32.
pub(super) fn evidence(nullifier: &Nullifier) -> Vec<u8> {
    concat(EVIDENCE, &[nullifier.as_bytes()])
}

/// What is known of nullifiers beside their use: that they were closed, and evidence.
pub(super) const fn suspects() -> [[u8; 1]; 3] {
    [[CLOSED], [EPOCH_CLOSED], [EVIDENCE]]
}

/// All evidence.
pub(super) const fn all_evidence() -> [u8; 1] {
    [EVIDENCE]
}

/// The nullifier at the end of a [`nullifier`], a [`closed`] or an [`evidence`] key.
pub(super) fn nullifier_of(key: &[u8]) -> Option<Nullifier> {
    key.last_chunk().and_then(|bytes| Nullifier::from_be_bytes(*bytes).ok())
}

fn concat(prefix: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut key = vec![prefix];
    for part in parts {
        key.extend_from_slice(part);
    }
    key
}
