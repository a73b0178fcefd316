//! Conversations by the first bits of their ids: what readers name, so that a node does not learn which of many they read.

use tonic::Status;
use xmtp_proto::malformed::Malformed;
use xmtp_proto::postmark::Cursor;
use xmtp_proto::topic::Topic;
use xmtp_proto::wire::{ConversationPrefix, QueryConversationsRequest, QueryConversationsResponse};

use super::{Api, read, status};
use crate::store::Stretch;

/// The first bits of conversation ids.
#[derive(Clone, Copy)]
pub(super) struct Prefix {
    bits: usize,
    prefix: [u8; 32],
}

impl Api {
    pub(super) fn query_prefix(
        &self,
        request: QueryConversationsRequest,
    ) -> Result<QueryConversationsResponse, Status> {
        let QueryConversationsRequest { prefix, after, limit } = request;
        let prefix = prefix.ok_or_else(|| status::malformed(Malformed::Missing { field: "prefix" }))?;
        let prefix = Prefix::try_from(prefix).map_err(status::malformed)?;
        let after = Cursor(after);
        let stretch = self.store.read(after, read::page_records(limit), |topic| prefix.matches(topic));
        let Stretch { records, seen } = stretch.map_err(|error| status::store(&error))?;
        let more = seen < self.store.durable();
        Ok(QueryConversationsResponse {
            records: records.into_iter().map(|(_, record)| record).collect(),
            seen: seen.0,
            more,
        })
    }
}

impl Prefix {
    pub(super) fn matches(self, topic: &Topic) -> bool {
        matches!(topic, Topic::Conversation(id) if self.begins(&id.0))
    }

    fn begins(self, id: &[u8; 32]) -> bool {
        let (whole, rest) = (self.bits / 8, self.bits % 8);
        id[..whole] == self.prefix[..whole] && (rest == 0 || (id[whole] ^ self.prefix[whole]) >> (8 - rest) == 0)
    }
}

impl TryFrom<ConversationPrefix> for Prefix {
    type Error = Malformed;

    fn try_from(wire: ConversationPrefix) -> Result<Self, Malformed> {
        let ConversationPrefix { bits, prefix } = wire;
        let got = prefix.len();
        Ok(Self {
            bits: usize::try_from(bits)
                .ok()
                .filter(|bits| *bits <= 256)
                .ok_or_else(|| Malformed::OutOfRange { field: "prefix.bits", got: bits.into() })?,
            prefix: prefix.try_into().map_err(|_| Malformed::Length { field: "prefix.prefix", expected: 32, got })?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefix_compares_its_bits_and_no_more() {
        let mut id = [0; 32];
        (id[0], id[1]) = (0b1010_0000, 0b1100_0000);
        let prefix = |bits, first, second| {
            let mut prefix = [0xff; 32];
            (prefix[0], prefix[1]) = (first, second);
            Prefix { bits, prefix }
        };
        for (prefix, expected) in [
            (prefix(0, 0xff, 0xff), true),
            (prefix(3, 0b1011_1111, 0xff), true),
            (prefix(4, 0b1011_1111, 0xff), false),
            (prefix(8, 0b1010_0000, 0xff), true),
            (prefix(10, 0b1010_0000, 0b1111_1111), true),
            (prefix(11, 0b1010_0000, 0b1111_1111), false),
            (Prefix { bits: 256, prefix: id }, true),
            (Prefix { bits: 256, prefix: [0xff; 32] }, false),
        ] {
            assert_eq!(prefix.begins(&id), expected, "{} bits", prefix.bits);
        }
    }
}
