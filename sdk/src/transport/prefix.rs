//! Conversations by the first bits of their ids: the node does not learn which of many are read (docs/protocol.md, "Reading
//! leaks too").

use alloy::primitives::B256;
use xmtp_proto::postmark::Cursor;
use xmtp_proto::record::Record;
use xmtp_proto::topic::Topic;
use xmtp_proto::wire::{self, node_client::NodeClient};

use super::check::check_order;
use super::connection::Connection;
use super::error::TransportError;

/// The first bits of conversation ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    bits: u16,
    /// Zero behind the bits.
    id: B256,
}

/// A stretch of the log, as far as a prefix covers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// In the order of the log; every postmark verified.
    pub records: Vec<Record>,
    /// What to read on behind.
    pub seen: Cursor,
    /// Whether there was more of the log when it was read.
    pub more: bool,
}

impl Prefix {
    /// What so many first bits of an id cover: all conversations with 0, one with 256 or more.
    #[must_use]
    pub fn of(id: B256, bits: u16) -> Self {
        let bits = bits.min(256);
        let mut masked = B256::ZERO;
        for (position, byte) in id.iter().enumerate() {
            let left = usize::from(bits).saturating_sub(8 * position).min(8);
            masked[position] = if left == 0 { 0 } else { byte & (0xff << (8 - left)) };
        }
        Self { bits, id: masked }
    }

    /// Whether a topic is a conversation whose id begins so.
    #[must_use]
    pub fn covers(&self, topic: &Topic) -> bool {
        matches!(topic, Topic::Conversation(id) if Self::of(*id, self.bits) == *self)
    }
}

impl From<Prefix> for wire::ConversationPrefix {
    fn from(Prefix { bits, id }: Prefix) -> Self {
        Self { bits: bits.into(), prefix: id.to_vec() }
    }
}

impl Connection {
    /// Reads a stretch of the log behind a cursor, as far as a prefix covers it.
    ///
    /// # Errors
    /// [`TransportError`].
    pub async fn query_conversations(
        &self,
        prefix: Prefix,
        after: Cursor,
        limit: u32,
    ) -> Result<Stretch, TransportError> {
        let request = wire::QueryConversationsRequest { prefix: Some(prefix.into()), after: after.0, limit };
        let wire::QueryConversationsResponse { records, seen, more } =
            self.call(NodeClient::query_conversations, request).await?;
        let records = records.into_iter().map(Record::try_from).collect::<Result<Vec<_>, _>>()?;
        let (mut last, seen) = (after, Cursor(seen));
        for record in &records {
            let topic = record.submission.envelope().topic;
            if !prefix.covers(&topic) {
                return Err(TransportError::Unfitting("a record of another topic"));
            }
            self.check_record(record, topic)?;
            last = check_order(last, record)?;
        }
        if seen < last {
            return Err(TransportError::Unfitting("a page that goes back"));
        }
        if more && seen == after {
            return Err(TransportError::Unfitting("an empty page with more behind it"));
        }
        Ok(Stretch { records, seen, more })
    }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::Address;
    use xmtp_proto::account::Account;

    use super::*;

    #[test]
    fn prefix_compares_its_bits_and_no_more() {
        let id = |first: u8, second: u8| {
            let mut id = B256::repeat_byte(0xff);
            (id[0], id[1]) = (first, second);
            id
        };
        let topic = Topic::Conversation(id(0b1010_0000, 0b1100_0000));
        for (bits, prefix, expected) in [
            (0, id(0, 0), true),
            (3, id(0b1011_1111, 0), true),
            (4, id(0b1011_1111, 0), false),
            (8, id(0b1010_0000, 0), true),
            (10, id(0b1010_0000, 0b1111_1111), true),
            (11, id(0b1010_0000, 0b1111_1111), false),
            (256, id(0b1010_0000, 0b1100_0000), true),
            (256, id(0b1010_0000, 0b1100_0001), false),
            (300, id(0b1010_0000, 0b1100_0000), true),
        ] {
            assert_eq!(Prefix::of(prefix, bits).covers(&topic), expected, "{bits} bits");
        }
        let invite = Topic::Invite(Account::externally_owned(Address::ZERO));
        assert!(!Prefix::of(B256::ZERO, 0).covers(&invite), "conversations only");
    }

    #[test]
    fn nothing_behind_the_bits_leaves_the_client() {
        let id = B256::repeat_byte(0xff);
        assert_eq!(Prefix::of(id, 0).id, B256::ZERO);
        assert_eq!(Prefix::of(id, 12).id[..3], [0xff, 0xf0, 0]);
        assert_eq!(Prefix::of(id, 256).id, id);
    }
}
