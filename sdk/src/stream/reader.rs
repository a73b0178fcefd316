//! The reader behind a stream: two subscriptions with their cursors, and what they brought that was not handed out yet.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use alloy::primitives::{Address, B256};
use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::time::Instant;
use url::Url;
use xmtp_proto::account::Account;
use xmtp_proto::derive::{EnvelopeId, NetworkId};
use xmtp_proto::postmark::Cursor;
use xmtp_proto::record::Record;
use xmtp_proto::topic::Topic;

use super::source::Source;
use super::{Arrival, StreamError, What};
use crate::client::{Client, Reached, bits_for};
use crate::conversation::ConversationError;
use crate::identity::Identity;
use crate::inbox::{Failed, Which, unverified};
use crate::state::{Letter, StateError};
use crate::transport::{Authorities, Event, Filter, Node, Proxies, Role, Subscription, TransportError};

/// The first wait before a connection is tried again, before jitter.
const WAIT_MIN: Duration = Duration::from_millis(200);
/// The longest one.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// How often a cursor that only passed others' envelopes is written down.
const SAVE_INTERVAL: Duration = Duration::from_secs(60);
/// How often is looked whether there are other conversations to follow than before.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// How often the keys are looked after while a connection lasts.
const CARE_INTERVAL: Duration = Duration::from_secs(3600);
/// When nothing came for so long, the state is left to others.
const IDLE: Duration = Duration::from_millis(100);
/// As many filters as nodes take in a subscription.
const FILTERS_MAX: usize = 1_024;
/// How many kept messages are taken up at once.
const TAKEN_UP: usize = 64;

pub(super) struct Reader<'a> {
    source: Source<'a>,
    what: What,
    which: Which,
    place: Place,
    letters: Letters,
    talks: Talks,
    /// Whose log the cursors belong to; none before the first connection.
    operator: Option<Address>,
    /// When the keys are looked after next.
    care_at: Instant,
    /// When something is due that was put off.
    settle_at: Option<Instant>,
    /// Handed out, and not yet known to have been read.
    handed_out: Option<HandedOut>,
    waits: ExponentialBackoff,
    wait: Option<Duration>,
}

/// What a node must serve, and the way there.
struct Place {
    url: Url,
    proxies: Proxies,
    authorities: Authorities,
    network: NetworkId,
    verifying_key: B256,
}

/// The account's own invite topic.
struct Letters {
    topic: Topic,
    subscription: Option<Subscription>,
    /// What to resume behind.
    seen: Cursor,
    /// Up to where the cursor is on disk, and since when.
    saved: (Cursor, Instant),
}

/// Conversations and the journal, by prefix.
struct Talks {
    subscription: Option<Subscription>,
    /// Those that it was made for.
    topics: Vec<Topic>,
    /// What was seen of all of them, on the subscription.
    seen: Cursor,
    saved_at: Instant,
    /// When the list of conversations was looked at last.
    looked_at: Instant,
    /// Up to where each conversation was handed out.
    shown: HashMap<Topic, Cursor>,
    /// Whether there may be records on disk that were not taken up.
    is_behind: bool,
    ready: VecDeque<(Account, Topic, Record)>,
}

/// What counts as read when the next item is asked for.
enum HandedOut {
    Letter(Box<Letter>, Cursor),
    /// A record of a conversation; its id if it was a genuine message.
    Message(Topic, Cursor, Option<EnvelopeId>),
}

/// What there is to do next.
enum Next {
    Letter(Event),
    Talk(Event),
    Settle,
}

impl<'a> Reader<'a> {
    pub(super) async fn new(mut source: Source<'a>, what: What, which: Which) -> Result<Self, StreamError> {
        let client = source.client().await?;
        client.identity()??;
        let topic = Topic::Invite(client.account());
        let saved = client.state().cursor(&topic)?;
        let now = Instant::now();
        Ok(Self {
            place: Place {
                url: client.node_url().clone(),
                proxies: client.proxies().clone(),
                authorities: client.authorities().clone(),
                network: client.network(),
                verifying_key: client.verifying_key_hash(),
            },
            source,
            what,
            which,
            letters: Letters {
                topic,
                subscription: None,
                seen: match which {
                    Which::All => Cursor::default(),
                    Which::New => saved,
                },
                saved: (saved, now),
            },
            talks: Talks {
                subscription: None,
                topics: Vec::new(),
                seen: Cursor::default(),
                saved_at: now,
                looked_at: now,
                shown: HashMap::new(),
                is_behind: what == What::All,
                ready: VecDeque::new(),
            },
            operator: None,
            care_at: now,
            settle_at: Some(now),
            handed_out: None,
            waits: waits(),
            wait: None,
        })
    }

    pub(super) async fn next(&mut self) -> Result<Arrival, StreamError> {
        match self.handed_out.take() {
            None => {}
            Some(HandedOut::Letter(letter, cursor)) => self.save_letters(&[(*letter, cursor)]).await?,
            Some(HandedOut::Message(topic, cursor, id)) => {
                self.source.client().await?.state().read_messages(&topic, cursor, id.as_slice())?;
            }
        }
        loop {
            if let Some(wait) = self.wait.take() {
                self.source.leave();
                tokio::time::sleep(wait).await;
            }
            if let Some(arrival) = self.ready().await? {
                return Ok(arrival);
            }
            match self.wait_for_next().await {
                Ok(Next::Letter(Event::Seen(cursor))) => {
                    self.waits = waits();
                    self.letters.seen = cursor;
                    if self.letters.saved.1.elapsed() >= SAVE_INTERVAL {
                        self.save_letters(&[]).await?;
                    }
                }
                Ok(Next::Letter(Event::Record(record))) => {
                    self.waits = waits();
                    if let Some(arrival) = self.letter(&record).await? {
                        return Ok(arrival);
                    }
                }
                Ok(Next::Talk(event)) => {
                    self.waits = waits();
                    self.talk(event).await?;
                }
                Ok(Next::Settle) => self.settle().await?,
                Err(StreamError::Transport(reason)) if may_mend(&reason) => {
                    (self.letters.subscription, self.talks.subscription) = (None, None);
                    let again_in = self.waits.next().unwrap_or(WAIT_MAX);
                    self.wait = Some(again_in);
                    return Ok(Arrival::Interrupted { reason, again_in });
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits for what happens first, connected.
    async fn wait_for_next(&mut self) -> Result<Next, StreamError> {
        if self.letters.subscription.is_none() {
            self.source.leave();
            let node = self.greet().await?;
            let filter = Filter::Topic(self.letters.topic);
            self.letters.subscription = Some(node.open(Role::Mine).subscribe(vec![filter], self.letters.seen).await?);
            self.care_at = Instant::now();
        }
        if Instant::now() >= self.care_at {
            self.source.client().await?.care_for_keys().await?;
            self.care_at = Instant::now() + CARE_INTERVAL;
        }
        if self.what == What::All && self.talks.subscription.is_none() {
            self.follow_conversations().await?;
            if self.talks.is_behind {
                // What was read on the way comes first.
                return Ok(Next::Talk(Event::Seen(self.talks.seen)));
            }
        }
        let settle_at = self.settle_at;
        let Some(letters) = &mut self.letters.subscription else { unreachable!("it was just made") };
        let talks = &mut self.talks.subscription;
        let mut next = std::pin::pin!(async {
            let talk = async {
                match talks {
                    Some(talks) => talks.next().await,
                    None => std::future::pending().await,
                }
            };
            let due = async {
                match settle_at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                event = letters.next() => Ok::<_, TransportError>(Next::Letter(event?)),
                event = talk => Ok(Next::Talk(event?)),
                () = due => Ok(Next::Settle),
            }
        });
        if let Ok(next) = tokio::time::timeout(IDLE, &mut next).await {
            return Ok(next?);
        }
        self.source.leave();
        Ok(next.await?)
    }

    /// Greets the node each time: what answers there may be another one by now, and may say other things.
    async fn greet(&mut self) -> Result<Node, StreamError> {
        let Place { url, proxies, authorities, network, verifying_key } = &self.place;
        let node = Node::greet(url, proxies, authorities, *network, *verifying_key).await?;
        let got = node.network().operator;
        match self.operator {
            Some(expected) if expected != got => return Err(StreamError::OtherOperator { expected, got }),
            _ => self.operator = Some(got),
        }
        Ok(node)
    }

    /// Reads what is behind each conversation, and subscribes to what comes from there on.
    async fn follow_conversations(&mut self) -> Result<(), StreamError> {
        let node = self.greet().await?;
        let client = self.source.client().await?;
        let identity = client.identity()??;
        let bits = node.network().conversation_bits;
        // The journal may tell of more; what does not fit into one go does into several.
        let (topics, filters, after) = loop {
            let before = client.followed(&identity)?;
            let mut has_all = true;
            for shelf in client.shelves(&identity, bits, None)? {
                has_all &= client.read_on_at(&node, &identity, shelf.topics[0]).await? == Reached::End;
            }
            let found = topics_of(client, &identity, bits)?;
            if has_all && found.0 == before {
                break found;
            }
        };
        self.talks.subscription = Some(node.open(Role::Reading).subscribe(filters, after).await?);
        self.talks.topics = topics;
        self.talks.seen = after;
        self.talks.is_behind = true;
        Ok(())
    }

    /// Takes in what came of conversations and the journal.
    async fn talk(&mut self, event: Event) -> Result<(), StreamError> {
        let (cursor, record) = match event {
            Event::Seen(cursor) => (cursor, None),
            Event::Record(record) => (record.postmark.postmark.cursor, Some(record)),
        };
        self.talks.seen = cursor;
        let record = record.filter(|it| self.talks.topics.contains(&it.submission.envelope().topic));
        let is_late = self.talks.saved_at.elapsed() >= SAVE_INTERVAL;
        let may_have_changed = self.talks.looked_at.elapsed() >= LOOK_INTERVAL && self.source.may_have_changed();
        if record.is_none() && !is_late && !may_have_changed {
            return Ok(());
        }
        self.talks.looked_at = Instant::now();
        let client = self.source.client().await?;
        let identity = client.identity()??;
        if record.is_some() || is_late {
            client.absorb(&identity, &self.talks.topics, record.as_slice(), cursor).await?;
            self.talks.saved_at = Instant::now();
            self.talks.is_behind |= record.is_some();
        }
        // A conversation may have begun here, or the journal have told of one.
        if client.followed(&identity)? != self.talks.topics {
            self.talks.subscription = None;
        }
        if self.settle_at.is_none() {
            self.settle_at = Some(Instant::now());
        }
        Ok(())
    }

    /// Does what was put off until now.
    async fn settle(&mut self) -> Result<(), StreamError> {
        self.settle_at = None;
        let client = self.source.client().await?;
        let due = match client.settle().await {
            Ok(due) => due,
            Err(ConversationError::State(error)) => return Err(error.into()),
            // Another time.
            Err(_) => client.next_copy()?.map(|_| client.now().saturating_add(WAIT_MAX)),
        };
        let wait = due.map(|due| due.since(client.now()));
        self.settle_at = wait.map(|wait| Instant::now() + wait);
        Ok(())
    }

    /// None if its author is blocked: then it is passed over.
    async fn letter(&mut self, record: &Record) -> Result<Option<Arrival>, StreamError> {
        let client = self.source.client().await?;
        // Read anew each time: a prekey may have been rotated meanwhile.
        let identity = client.identity()??;
        let cursor = record.postmark.postmark.cursor;
        let arrival = match client.open(&identity, record) {
            Ok((message, _)) if client.is_blocked(message.from)? => {
                self.letters.seen = cursor;
                return Ok(None);
            }
            Ok((message, letter)) => {
                if message.units_paid > 0 {
                    client.state().want_receipts(&[message.envelope])?;
                    client.care_for_receipts(&identity).await?;
                }
                self.handed_out = Some(HandedOut::Letter(letter.into(), cursor));
                Arrival::Letter(message)
            }
            Err(Failed::State(error)) => return Err(error.into()),
            Err(Failed::Reason(reason)) => Arrival::Unverified(unverified(&identity, record, reason)),
        };
        self.letters.seen = cursor;
        Ok(Some(arrival))
    }

    /// The next record of a conversation that is on disk and was not handed out.
    async fn ready(&mut self) -> Result<Option<Arrival>, StreamError> {
        if self.talks.ready.is_empty() && self.talks.is_behind {
            self.take_up().await?;
        }
        let Some((with, topic, record)) = self.talks.ready.pop_front() else { return Ok(None) };
        let client = self.source.client().await?;
        let identity = client.identity()??;
        let cursor = record.postmark.postmark.cursor;
        let conversation = client.kept_conversation(&topic)?.ok_or(StateError::Damaged { table: "conversations" })?;
        let (arrival, id) = match conversation.read(&record) {
            Ok(message) => {
                let id = message.envelope;
                (Arrival::Message { with, message }, Some(id))
            }
            Err(Failed::State(error)) => return Err(error.into()),
            Err(Failed::Reason(reason)) => (Arrival::Unverified(unverified(&identity, &record, reason)), None),
        };
        self.handed_out = Some(HandedOut::Message(topic, cursor, id));
        Ok(Some(arrival))
    }

    /// Fetches from disk, of every conversation some.
    async fn take_up(&mut self) -> Result<(), StreamError> {
        self.talks.is_behind = false;
        let client = self.source.client().await?;
        for (with, topic) in client.kept_topics()? {
            let shown = match (self.talks.shown.get(&topic), self.which) {
                (Some(shown), _) => *shown,
                (None, Which::All) => Cursor::default(),
                (None, Which::New) => client.state().cursor(&topic)?,
            };
            let mut records = client.state().records(&topic, shown)?;
            if records.len() > TAKEN_UP {
                records.truncate(TAKEN_UP);
                self.talks.is_behind = true;
            }
            if !records.is_empty()
                && let Some(conversation) = client.kept_conversation(&topic)?
            {
                conversation.name_messages()?;
            }
            let last = records.last().map_or(shown, |record| record.postmark.postmark.cursor);
            self.talks.shown.insert(topic, last);
            self.talks.ready.extend(records.into_iter().map(|record| (with, topic, record)));
        }
        Ok(())
    }

    /// Writes down what has been read of letters, and how far.
    async fn save_letters(&mut self, letters: &[(Letter, Cursor)]) -> Result<(), StreamError> {
        let Letters { topic, seen, saved, .. } = &mut self.letters;
        if *seen > saved.0 || !letters.is_empty() {
            self.source.client().await?.state().receive(topic, *seen, letters)?;
        }
        *saved = ((*seen).max(saved.0), Instant::now());
        Ok(())
    }
}

/// What is followed, the filters that bring it, and behind which cursor something of it is missing.
fn topics_of(
    client: &Client,
    identity: &Identity,
    bits: u16,
) -> Result<(Vec<Topic>, Vec<Filter>, Cursor), StreamError> {
    let topics = client.followed(identity)?;
    let shelves = client.shelves(identity, bits_for(&topics, bits, FILTERS_MAX), None)?;
    let after = shelves.iter().map(|shelf| shelf.after).min().unwrap_or_default();
    let filters = shelves.iter().map(|shelf| Filter::Conversations(shelf.prefix)).collect();
    Ok((topics, filters, after))
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
