//! Subscriptions: readers of the one log, each with a cursor and a filter. History and what is new are one loop, so there is
//! nothing to stitch.
//!
//! A subscription is pulled: it reads on when its client has taken what was sent. A slow reader holds one stretch of the log
//! and no queue, and no task runs for it.

use std::collections::{HashSet, VecDeque};
use std::pin::Pin;
use std::time::Duration;

use futures_util::Stream;
use futures_util::stream::try_unfold;
use tonic::{Response, Status};
use xmtp_proto::malformed::Malformed;
use xmtp_proto::postmark::Cursor;
use xmtp_proto::refusal::Refusal;
use xmtp_proto::topic::Topic;
use xmtp_proto::wire::{Record, SubscribeRequest, SubscribeResponse, TopicFilter, subscribe_response, topic_filter};

use super::prefix::Prefix;
use super::{Api, Streams, status};
use crate::peer::Peer;
use crate::places::Place;
use crate::store::Stretch;
use crate::told::Told;

/// The most filters of one subscription. Each is held as long as that lasts and compared with every entry of the log: with ten
/// times as many, the streams that a node takes could hold gigabytes. A client that follows more conversations than this
/// names shorter prefixes.
pub(crate) const FILTERS_MAX: usize = 1024;
/// Records read ahead for one subscription.
const STRETCH_RECORDS: usize = 64;
/// How often a stream without news says how far it is.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// When to come back if there are too many streams.
const RETRY_AFTER: Duration = Duration::from_secs(10);

pub(crate) type Subscription = Pin<Box<dyn Stream<Item = Result<SubscribeResponse, Status>> + Send>>;

/// Which topics a subscription wants.
struct Filter {
    topics: HashSet<Topic>,
    prefixes: Vec<Prefix>,
}

/// A reader: what was read and not sent yet, and what is behind it.
struct Reader {
    api: Api,
    filter: std::sync::Arc<Filter>,
    ready: VecDeque<(Cursor, Record)>,
    /// How far the log was read.
    seen: Cursor,
    /// How far the client knows; none if it is to be said again.
    told: Option<Cursor>,
    /// The same, for who may cut it off.
    behind: Told,
    _place: Place,
}

impl Api {
    pub(super) fn open_subscription(
        &self,
        peer: Peer,
        request: SubscribeRequest,
    ) -> Result<Response<Subscription>, Status> {
        let SubscribeRequest { filters, after } = request;
        let filter = Filter::new(filters).map_err(status::malformed)?;
        let Streams { places, total_max, per_peer_max } = &self.streams;
        let place = places.take(peer, *total_max, *per_peer_max);
        let place = place.map_err(|_| status::refused(&Refusal::Overloaded { retry_after: RETRY_AFTER }))?;
        let behind = Told::from(Cursor(after));
        let reader = Reader {
            api: self.clone(),
            filter: filter.into(),
            ready: VecDeque::new(),
            seen: Cursor(after),
            told: None,
            behind: behind.clone(),
            _place: place,
        };
        let events: Subscription = Box::pin(try_unfold(reader, |mut reader| async {
            let event = reader.next().await?;
            Ok(Some((SubscribeResponse { event: Some(event) }, reader)))
        }));
        let mut response = Response::new(events);
        response.extensions_mut().insert(behind);
        Ok(response)
    }
}

impl Reader {
    async fn next(&mut self) -> Result<subscribe_response::Event, Status> {
        loop {
            if let Some((cursor, record)) = self.ready.pop_front() {
                self.tell(cursor);
                return Ok(subscribe_response::Event::Record(record));
            }
            if self.seen < self.api.store.durable() {
                self.read().await?;
                continue;
            }
            // Caught up: said once, so that a client without news resumes from here and not from its last record.
            if self.told != Some(self.seen) {
                self.tell(self.seen);
                return Ok(subscribe_response::Event::Seen(self.seen.0));
            }
            tokio::select! {
                grown = self.api.store.grown_past(self.seen) => grown.map_err(|error| status::store(&error))?,
                () = tokio::time::sleep(HEARTBEAT) => self.told = None,
                () = self.api.stop.cancelled() => {
                    return Err(Status::unavailable("the node stops; subscribe again behind the last cursor"));
                }
            }
        }
    }

    fn tell(&mut self, cursor: Cursor) {
        self.told = Some(cursor);
        self.behind.set(cursor);
    }

    async fn read(&mut self) -> Result<(), Status> {
        let (after, filter) = (self.seen, self.filter.clone());
        let stretch = self.api.reading(move |api| {
            let stretch = api.store.read(after, STRETCH_RECORDS, |topic| filter.matches(topic));
            stretch.map_err(|error| status::store(&error))
        });
        let Stretch { records, seen } = stretch.await?;
        self.ready = records.into();
        self.seen = seen;
        Ok(())
    }
}

impl Filter {
    fn new(filters: Vec<TopicFilter>) -> Result<Self, Malformed> {
        let got = filters.len();
        if got > FILTERS_MAX {
            return Err(Malformed::TooLarge { field: "filters", max: FILTERS_MAX, got });
        }
        if got == 0 {
            return Err(Malformed::Missing { field: "filters" });
        }
        let mut filter = Self { topics: HashSet::new(), prefixes: Vec::new() };
        for TopicFilter { filter: it } in filters {
            match it.ok_or(Malformed::Missing { field: "filter" })? {
                topic_filter::Filter::Topic(name) => {
                    filter.topics.insert(name.parse()?);
                }
                topic_filter::Filter::Conversations(prefix) => filter.prefixes.push(prefix.try_into()?),
            }
        }
        Ok(filter)
    }

    fn matches(&self, topic: &Topic) -> bool {
        self.topics.contains(topic) || self.prefixes.iter().any(|prefix| prefix.matches(topic))
    }
}
