//! Subscriptions, as a client hears them: every event is checked before it is handed on.

use std::time::Duration;

use tonic::Streaming;
use xmtp_proto::postmark::Cursor;
use xmtp_proto::record::Record;
use xmtp_proto::topic::Topic;
use xmtp_proto::wire;
use xmtp_proto::wire::node_client::NodeClient;

use super::{Connection, TransportError, required};

/// A node says at least every 15 s how far it is; one that was silent for so long is gone.
const SILENCE: Duration = Duration::from_secs(45);

/// Which records to stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Those of one topic.
    Topic(Topic),
    /// Those of all conversations whose ids share their first bits, so that the node does not learn which one is read.
    Conversations {
        /// How many bits count, from the first byte's highest: at most 256.
        bits: u16,
        /// What is behind the bits is not looked at.
        prefix: [u8; 32],
    },
}

/// What a subscription brings.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant)] // One at a time is in memory, and most of them are the large one.
pub enum Event {
    /// A record that one of the filters matches; its postmark is verified.
    Record(Record),
    /// All that matches up to here was sent: what to resume behind.
    Seen(Cursor),
}

/// A reader of the node's log. It is pulled: nothing runs between two calls of [`Subscription::next`].
#[derive(Debug)]
pub struct Subscription {
    events: Streaming<wire::SubscribeResponse>,
    connection: Connection,
    filters: Vec<Filter>,
    seen: Cursor,
}

impl Filter {
    /// Whether a topic's records are among those asked for.
    #[must_use]
    pub fn matches(&self, topic: &Topic) -> bool {
        match (self, topic) {
            (Self::Topic(wanted), topic) => wanted == topic,
            (Self::Conversations { bits, prefix }, Topic::Conversation(id)) => {
                let (whole, rest) = (usize::from(*bits / 8).min(32), *bits % 8);
                id[..whole] == prefix[..whole]
                    && (rest == 0 || whole == 32 || (id[whole] ^ prefix[whole]) >> (8 - rest) == 0)
            }
            (Self::Conversations { .. }, _) => false,
        }
    }
}

impl Connection {
    /// Subscribes to what the node has and gets behind a cursor, in the order of its log. A record that several filters match
    /// comes once.
    ///
    /// # Errors
    /// [`TransportError`].
    pub async fn subscribe(&self, filters: Vec<Filter>, after: Cursor) -> Result<Subscription, TransportError> {
        let request = wire::SubscribeRequest {
            filters: filters.iter().copied().map(wire::TopicFilter::from).collect(),
            after: after.0,
        };
        let events = self.call(NodeClient::subscribe, request).await?;
        Ok(Subscription { events, connection: self.clone(), filters, seen: after })
    }
}

impl Subscription {
    /// Waits for the next event. After an error there is nothing more to come.
    ///
    /// # Errors
    /// [`TransportError`]; [`TransportError::Unreachable`] if the node ended the stream, or has fallen silent.
    pub async fn next(&mut self) -> Result<Event, TransportError> {
        let gone =
            |reason: &str| TransportError::Unreachable { url: self.connection.url.clone(), reason: reason.to_owned() };
        let message = match tokio::time::timeout(SILENCE, self.events.message()).await {
            Err(_) => return Err(gone("it has fallen silent")),
            Ok(Err(status)) => return Err(super::failure(&self.connection.url, &status)),
            Ok(Ok(None)) => return Err(gone("it ended the stream")),
            Ok(Ok(Some(message))) => message,
        };
        let wire::SubscribeResponse { event } = message;
        let event = match required("event", event)? {
            wire::subscribe_response::Event::Seen(cursor) => Event::Seen(Cursor(cursor)),
            wire::subscribe_response::Event::Record(record) => Event::Record(record.try_into()?),
        };
        self.check(&event)?;
        Ok(event)
    }

    fn check(&mut self, event: &Event) -> Result<(), TransportError> {
        let cursor = match event {
            Event::Seen(cursor) if *cursor < self.seen => {
                return Err(TransportError::Unfitting("a stream that goes back"));
            }
            Event::Seen(cursor) => *cursor,
            Event::Record(record) => {
                let topic = record.submission.envelope().topic;
                if !self.filters.iter().any(|filter| filter.matches(&topic)) {
                    return Err(TransportError::Unfitting("a record of another topic"));
                }
                self.connection.check_record(record, topic)?;
                let cursor = record.postmark.postmark.cursor;
                if cursor <= self.seen {
                    return Err(TransportError::Unfitting("records out of order"));
                }
                cursor
            }
        };
        self.seen = cursor;
        Ok(())
    }
}

impl From<Filter> for wire::TopicFilter {
    fn from(it: Filter) -> Self {
        let filter = match it {
            Filter::Topic(topic) => wire::topic_filter::Filter::Topic(topic.to_string()),
            Filter::Conversations { bits, prefix } => {
                let prefix = wire::ConversationPrefix { bits: bits.into(), prefix: prefix.to_vec() };
                wire::topic_filter::Filter::Conversations(prefix)
            }
        };
        Self { filter: Some(filter) }
    }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::{Address, B256};
    use xmtp_proto::account::Account;

    use super::*;

    #[test]
    fn prefix_compares_its_bits_and_no_more() {
        let id = |first: u8, second: u8| {
            let mut id = [0xff; 32];
            (id[0], id[1]) = (first, second);
            id
        };
        let topic = Topic::Conversation(B256::from(id(0b1010_0000, 0b1100_0000)));
        for (bits, prefix, expected) in [
            (0, id(0, 0), true),
            (3, id(0b1011_1111, 0), true),
            (4, id(0b1011_1111, 0), false),
            (8, id(0b1010_0000, 0), true),
            (10, id(0b1010_0000, 0b1111_1111), true),
            (11, id(0b1010_0000, 0b1111_1111), false),
            (256, id(0b1010_0000, 0b1100_0000), true),
            (256, id(0b1010_0000, 0b1100_0001), false),
        ] {
            assert_eq!(Filter::Conversations { bits, prefix }.matches(&topic), expected, "{bits} bits");
        }
        let invite = Topic::Invite(Account::externally_owned(Address::ZERO));
        assert!(!Filter::Conversations { bits: 0, prefix: [0; 32] }.matches(&invite), "conversations only");
        assert!(Filter::Topic(invite).matches(&invite));
        assert!(!Filter::Topic(invite).matches(&topic));
    }
}
