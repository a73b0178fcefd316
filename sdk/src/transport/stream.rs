//! Subscriptions, as a client hears them: every event is checked before it is handed on.

use std::time::Duration;

use tokio::time::Instant;
use tonic::Streaming;
use xmtp_proto::postmark::Cursor;
use xmtp_proto::record::Record;
use xmtp_proto::topic::Topic;
use xmtp_proto::wire;
use xmtp_proto::wire::node_client::NodeClient;

use super::check::{check_order, required};
use super::connection::Connection;
use super::error::{TransportError, failure};
use super::prefix::Prefix;

/// A node says at least every 15 s how far it is; one that was silent for so long is gone.
const SILENCE: Duration = Duration::from_secs(45);

/// Which records to stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Those of one topic.
    Topic(Topic),
    /// Those of all conversations whose ids begin alike, so that the node does not learn which one is read.
    Conversations(Prefix),
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
    heard_at: Instant,
}

impl Filter {
    /// Whether a topic's records are among those asked for.
    #[must_use]
    pub fn matches(&self, topic: &Topic) -> bool {
        match self {
            Self::Topic(wanted) => wanted == topic,
            Self::Conversations(prefix) => prefix.covers(topic),
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
        Ok(Subscription { events, connection: self.clone(), filters, seen: after, heard_at: Instant::now() })
    }
}

impl Subscription {
    /// Waits for the next event. After an error there is nothing more to come. It may be broken off and called again.
    ///
    /// # Errors
    /// [`TransportError`]; [`TransportError::Unreachable`] if the node ended the stream, or has fallen silent.
    pub async fn next(&mut self) -> Result<Event, TransportError> {
        let gone = |reason: &str| TransportError::Unreachable {
            url: self.connection.peer.url.clone(),
            reason: reason.to_owned(),
        };
        let message = match tokio::time::timeout_at(self.heard_at + SILENCE, self.events.message()).await {
            Err(_) => return Err(gone("it has fallen silent")),
            Ok(Err(status)) => return Err(failure(&self.connection.peer, &status)),
            Ok(Ok(None)) => return Err(gone("it ended the stream")),
            Ok(Ok(Some(message))) => message,
        };
        self.heard_at = Instant::now();
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
                check_order(self.seen, record)?
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
            Filter::Conversations(prefix) => wire::topic_filter::Filter::Conversations(prefix.into()),
        };
        Self { filter: Some(filter) }
    }
}
