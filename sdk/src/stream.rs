//! Mail as it comes: the letters behind the client's cursor, then new ones, in one stream that mends itself.
//!
//! The stream is pulled. It holds one connection, no queue and no task, and does nothing while nobody asks for the next item.
//! A letter counts as read when the next item is asked for, and only then moves the cursor on disk: a program that dies while
//! it handles a letter gets that one again, and none is lost.

use std::time::Duration;

use alloy::primitives::{Address, B256};
use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use futures_util::Stream;
use futures_util::stream::try_unfold;
use tokio::time::Instant;
use url::Url;
use xmtp_proto::derive::NetworkId;
use xmtp_proto::postmark::Cursor;
use xmtp_proto::record::Record;
use xmtp_proto::topic::Topic;

use crate::client::{Builder, Client, ConnectError, NoIdentity};
use crate::inbox::{Failed, Message, Unverified, Which, unverified};
use crate::state::{Letter, StateError};
use crate::transport::{Event, Filter, Node, Role, Subscription, TransportError};

/// The first wait before a connection is tried again, before jitter.
const WAIT_MIN: Duration = Duration::from_millis(200);
/// The longest one.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// How often a cursor that only passed others' envelopes is written down.
const SAVE_INTERVAL: Duration = Duration::from_secs(60);
/// How often the prekey is looked after while a connection lasts.
const CARE_INTERVAL: Duration = Duration::from_secs(3600);
/// When nothing came for so long, the state is left to others.
const IDLE: Duration = Duration::from_millis(100);

/// What the stream brings.
pub enum Arrival {
    /// A genuine letter.
    Letter(Message),
    /// Something that came and is no genuine letter.
    Unverified(Unverified),
    /// The node is gone for now. Nothing is lost: the stream goes on behind the last cursor.
    Interrupted {
        /// What happened.
        reason: TransportError,
        /// How long the next attempt waits.
        again_in: Duration,
    },
}

/// The stream has ended, and trying again would not help.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// See there.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// See there.
    #[error(transparent)]
    NoIdentity(#[from] NoIdentity),
    /// The node answers wrongly, or serves another network. Use another node.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The node has become another operator's, with another log: the cursor means nothing there. The user's to decide.
    #[error("the node now belongs to operator {got}, not to {expected}: how far was read cannot be told in its log")]
    OtherOperator {
        /// Before.
        expected: Address,
        /// Now.
        got: Address,
    },
    /// See there.
    #[error(transparent)]
    State(#[from] StateError),
}

impl Client {
    /// Streams the letters that come to this account, from the first that this client has not read ([`Which::New`]) or the
    /// first there is, without gap or repeat. It connects again by itself, after waits that grow from a fraction of a second to
    /// half a minute, and ends only with an error that no further attempt could mend.
    pub fn stream(&self, which: Which) -> impl Stream<Item = Result<Arrival, StreamError>> + Send + '_ {
        stream(Source::Held(self), which)
    }
}

impl Builder {
    /// As [`Client::stream`], with a client of its own that is there only while letters come: other processes can use the
    /// account's state meanwhile. To open the state again takes a signature of the wallet.
    pub fn stream(self, which: Which) -> impl Stream<Item = Result<Arrival, StreamError>> + Send {
        stream(Source::Lent { builder: self, client: None }, which)
    }
}

fn stream(source: Source<'_>, which: Which) -> impl Stream<Item = Result<Arrival, StreamError>> + Send {
    #[allow(clippy::large_enum_variant)] // There is one of it per stream.
    enum Stage<'a> {
        New(Source<'a>),
        Reading(Box<Reader<'a>>),
    }
    try_unfold(Stage::New(source), move |stage| async move {
        let mut reader = match stage {
            Stage::New(source) => Box::new(Reader::new(source, which).await?),
            Stage::Reading(reader) => reader,
        };
        let arrival = reader.next().await?;
        Ok(Some((arrival, Stage::Reading(reader))))
    })
}

/// Where the client comes from.
#[allow(clippy::large_enum_variant)] // There is one of it per stream.
enum Source<'a> {
    Held(&'a Client),
    Lent { builder: Builder, client: Option<Client> },
}

struct Reader<'a> {
    source: Source<'a>,
    /// What a node must serve, and where it is.
    place: (Url, NetworkId, B256),
    topic: Topic,
    subscription: Option<Subscription>,
    /// Whose log the cursor belongs to; none before the first connection.
    operator: Option<Address>,
    /// What to resume behind.
    seen: Cursor,
    /// Up to where the cursor is on disk, and since when.
    saved: (Cursor, Instant),
    /// When the prekey is looked after next.
    care_at: Instant,
    /// Handed out, and not yet known to have been read.
    handed_out: Option<Letter>,
    waits: ExponentialBackoff,
    wait: Option<Duration>,
}

impl Source<'_> {
    async fn client(&mut self) -> Result<&Client, ConnectError> {
        match self {
            Self::Held(client) => Ok(client),
            Self::Lent { client: Some(client), .. } => Ok(client),
            Self::Lent { builder, client } => Ok(client.insert(builder.clone().connect().await?)),
        }
    }

    fn leave(&mut self) {
        if let Self::Lent { client, .. } = self {
            *client = None;
        }
    }
}

impl<'a> Reader<'a> {
    async fn new(mut source: Source<'a>, which: Which) -> Result<Self, StreamError> {
        let client = source.client().await?;
        client.identity()??;
        let topic = Topic::Invite(client.account());
        let saved = client.state().cursor(&topic)?;
        Ok(Self {
            place: (client.node_url().clone(), client.network(), client.verifying_key_hash()),
            source,
            topic,
            subscription: None,
            operator: None,
            seen: match which {
                Which::All => Cursor::default(),
                Which::New => saved,
            },
            saved: (saved, Instant::now()),
            care_at: Instant::now(),
            handed_out: None,
            waits: waits(),
            wait: None,
        })
    }

    async fn next(&mut self) -> Result<Arrival, StreamError> {
        if let Some(letter) = self.handed_out.take() {
            self.save(&[letter]).await?;
        }
        loop {
            if let Some(wait) = self.wait.take() {
                self.source.leave();
                tokio::time::sleep(wait).await;
            }
            match self.event().await {
                Ok(Event::Seen(cursor)) => {
                    self.waits = waits();
                    self.seen = cursor;
                    if self.saved.1.elapsed() >= SAVE_INTERVAL {
                        self.save(&[]).await?;
                    }
                }
                Ok(Event::Record(record)) => {
                    self.waits = waits();
                    return self.arrival(&record).await;
                }
                Err(StreamError::Transport(reason)) if may_mend(&reason) => {
                    self.subscription = None;
                    let again_in = self.waits.next().unwrap_or(WAIT_MAX);
                    self.wait = Some(again_in);
                    return Ok(Arrival::Interrupted { reason, again_in });
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn event(&mut self) -> Result<Event, StreamError> {
        if self.subscription.is_none() {
            self.source.leave();
            self.subscription = Some(self.connect().await?);
            self.care_at = Instant::now();
        }
        if Instant::now() >= self.care_at {
            self.source.client().await?.care_for_prekey().await?;
            self.care_at = Instant::now() + CARE_INTERVAL;
        }
        let Some(subscription) = &mut self.subscription else { unreachable!("it was just made") };
        if let Ok(event) = tokio::time::timeout(IDLE, subscription.next()).await {
            return Ok(event?);
        }
        self.source.leave();
        Ok(subscription.next().await?)
    }

    /// Greets the node each time: what answers there may be another one by now.
    async fn connect(&mut self) -> Result<Subscription, StreamError> {
        let (url, network, verifying_key) = &self.place;
        let node = Node::greet(url, *network, *verifying_key).await?;
        let got = node.network().operator;
        match self.operator {
            Some(expected) if expected != got => return Err(StreamError::OtherOperator { expected, got }),
            _ => self.operator = Some(got),
        }
        Ok(node.open(Role::Mine).subscribe(vec![Filter::Topic(self.topic)], self.seen).await?)
    }

    async fn arrival(&mut self, record: &Record) -> Result<Arrival, StreamError> {
        let client = self.source.client().await?;
        // Read anew each time: a prekey may have been rotated meanwhile.
        let identity = client.identity()??;
        let arrival = match client.open(&identity, record) {
            Ok((message, letter)) => {
                self.handed_out = Some(letter);
                Arrival::Letter(message)
            }
            Err(Failed::State(error)) => return Err(error.into()),
            Err(Failed::Reason(reason)) => Arrival::Unverified(unverified(&identity, record, reason)),
        };
        self.seen = record.postmark.postmark.cursor;
        Ok(arrival)
    }

    /// Writes down what has been read, and how far.
    async fn save(&mut self, letters: &[Letter]) -> Result<(), StreamError> {
        if self.seen > self.saved.0 || !letters.is_empty() {
            self.source.client().await?.state().receive(&self.topic, self.seen, letters)?;
        }
        self.saved = (self.seen.max(self.saved.0), Instant::now());
        Ok(())
    }
}

fn waits() -> ExponentialBackoff {
    let waits = ExponentialBuilder::default().with_min_delay(WAIT_MIN).with_max_delay(WAIT_MAX).with_jitter();
    waits.without_max_times().build()
}

/// Whether another attempt may end better. A node that fails for a reason of its own may be mended; one that says what
/// cannot be true is not asked again.
fn may_mend(error: &TransportError) -> bool {
    error.is_passing() || matches!(error, TransportError::Failed { status, .. } if FAILURES.contains(&status.as_str()))
}

/// The names of gRPC statuses that speak of the node's state and not of the call.
const FAILURES: [&str; 5] = ["Aborted", "DataLoss", "Internal", "ResourceExhausted", "Unknown"];
