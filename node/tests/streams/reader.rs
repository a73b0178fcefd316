//! A reader of many messages, which hangs up now and then and goes on behind its last cursor.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::watch;
use tonic::Code;
use tonic::transport::Channel;
use xmtp_proto::topic::Topic;
use xmtp_proto::wire;
use xmtp_proto::wire::node_client::NodeClient;
use xmtp_proto::wire::subscribe_response::Event;
use xmtp_proto::wire::topic_filter::Filter;

use crate::dice::Dice;
use crate::{CONVERSATIONS, SEND_TIMEOUT, conversation};

/// HTTP/2's own default: what the node may send ahead of a slow reader.
const WINDOW_BYTES: u32 = 65_535;

/// So often a slow reader takes nothing.
const NAPS: u32 = 10;

/// What a reader reads, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wants {
    /// One conversation by its name.
    One(u8),
    /// Two by name, in one stream.
    Two(u8, u8),
    /// All whose ids begin with so many bits of this one's.
    Prefix(u32, u8),
    /// All of them, by a prefix of no bits: begins when everything is there, and takes nothing for long times.
    Slowly,
}

impl Wants {
    pub(crate) const fn all() -> [Self; 11] {
        [
            Self::One(0),
            Self::One(5),
            Self::One(15),
            Self::Two(1, 14),
            Self::Two(7, 8),
            Self::Prefix(0, 0),
            Self::Prefix(0, 0),
            Self::Prefix(1, 15),
            Self::Prefix(2, 3),
            Self::Prefix(4, 9),
            Self::Slowly,
        ]
    }

    fn filters(self) -> Vec<wire::TopicFilter> {
        let by_name = |number| Filter::Topic(conversation(number).to_string());
        let by_prefix = |bits, number| {
            let Topic::Conversation(id) = conversation(number) else { unreachable!() };
            Filter::Conversations(wire::ConversationPrefix { bits, prefix: id.to_vec() })
        };
        let filters = match self {
            Self::One(number) => vec![by_name(number)],
            Self::Two(first, second) => vec![by_name(first), by_name(second)],
            Self::Prefix(bits, number) => vec![by_prefix(bits, number)],
            Self::Slowly => vec![by_prefix(0, 0)],
        };
        filters.into_iter().map(|filter| wire::TopicFilter { filter: Some(filter) }).collect()
    }

    fn conversations(self) -> Vec<u8> {
        let wanted = |number: &u8| match self {
            Self::One(it) => *number == it,
            Self::Two(first, second) => *number == first || *number == second,
            // Of the four bits that tell conversations apart.
            Self::Prefix(bits, it) => bits == 0 || number >> (4 - bits) == it >> (4 - bits),
            Self::Slowly => true,
        };
        (0..CONVERSATIONS).filter(wanted).collect()
    }
}

/// What readers found.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) received: u64,
    /// Streams that the reader dropped.
    pub(crate) hung_up: u64,
    /// Those that the node gave up on, for nobody took what they held.
    pub(crate) cut_off: u64,
    /// Those that ended with the node.
    pub(crate) interrupted: u64,
    pub(crate) missed: u64,
    pub(crate) twice: u64,
}

impl Found {
    pub(crate) fn add(&mut self, other: Self) {
        let Self { received, hung_up, cut_off, interrupted, missed, twice } = other;
        self.received += received;
        self.hung_up += hung_up;
        self.cut_off += cut_off;
        self.interrupted += interrupted;
        self.missed += missed;
        self.twice += twice;
    }
}

pub(crate) struct Reader {
    url: String,
    wants: Wants,
    /// By the name of the conversation, which message comes next.
    next: HashMap<String, u64>,
    /// Messages in each.
    each: u64,
    seen: u64,
    dice: Dice,
    /// Where the log ends, once everything is there.
    complete: watch::Receiver<Option<u64>>,
    /// How often it still takes nothing for long, if it does so at all.
    naps: u32,
    found: Found,
}

impl Reader {
    pub(crate) fn new(
        url: String,
        wants: Wants,
        each: u64,
        complete: watch::Receiver<Option<u64>>,
        dice: Dice,
    ) -> Self {
        let next = wants.conversations().into_iter().map(|number| (conversation(number).to_string(), 0)).collect();
        Self { url, wants, next, each, seen: 0, dice, complete, naps: NAPS, found: Found::default() }
    }

    /// Reads until all has come, and on to the log's end, where nothing may come twice.
    pub(crate) async fn read(mut self) -> Found {
        if matches!(self.wants, Wants::Slowly) {
            self.complete.wait_for(Option::is_some).await.unwrap();
        }
        while !self.is_done() {
            // The node may be restarting.
            let Some(mut client) = self.connect().await else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            // Several streams on one connection, now and then.
            for _ in 0..self.dice.between(1, 4) {
                if self.is_done() || !self.stream(&mut client).await {
                    break;
                }
            }
        }
        self.found
    }

    fn is_done(&self) -> bool {
        let is_behind = |end: u64| self.seen >= end;
        self.next.values().all(|next| *next >= self.each) && self.complete.borrow().is_some_and(is_behind)
    }

    async fn connect(&self) -> Option<NodeClient<Channel>> {
        let endpoint = Channel::from_shared(self.url.clone()).unwrap();
        let endpoint = endpoint.initial_stream_window_size(WINDOW_BYTES).initial_connection_window_size(WINDOW_BYTES);
        Some(NodeClient::new(endpoint.connect().await.ok()?))
    }

    /// One stream behind the last cursor; whether its connection is still good for another.
    async fn stream(&mut self, client: &mut NodeClient<Channel>) -> bool {
        let request = wire::SubscribeRequest { filters: self.wants.filters(), after: self.seen };
        let Ok(response) = client.subscribe(request).await else { return false };
        let mut stream = response.into_inner();
        let mut left = self.dice.between(1, 1_500);
        while left > 0 && !self.is_done() {
            if matches!(self.wants, Wants::Slowly) && self.naps > 0 && self.dice.one_in(250) {
                self.naps -= 1;
                tokio::time::sleep(2 * SEND_TIMEOUT).await;
            }
            let message = tokio::select! {
                message = stream.message() => message,
                // It may have read all there is by then.
                _ = self.complete.changed() => continue,
            };
            match message {
                Ok(Some(wire::SubscribeResponse { event: Some(event) })) => left -= self.take(event),
                Err(status) if status.code() == Code::ResourceExhausted => {
                    self.found.cut_off += 1;
                    return true;
                }
                _ => {
                    self.found.interrupted += 1;
                    return false;
                }
            }
        }
        self.found.hung_up += u64::from(left == 0);
        true
    }

    /// Returns how many messages it was.
    fn take(&mut self, event: Event) -> u64 {
        let record = match event {
            Event::Seen(cursor) => {
                self.seen = cursor;
                return 0;
            }
            Event::Record(record) => record,
        };
        self.seen = record.postmark.unwrap().cursor;
        let envelope = record.submission.unwrap().envelope.unwrap();
        // Journals of accounts are conversations like others, and have prefixes, too.
        let Some(next) = self.next.get_mut(&envelope.topic) else { return 0 };
        let number = u64::from_be_bytes(*envelope.ciphertext.first_chunk().unwrap());
        self.found.received += 1;
        if number < *next {
            self.found.twice += 1;
        } else {
            self.found.missed += number - *next;
            *next = number + 1;
        }
        1
    }
}
