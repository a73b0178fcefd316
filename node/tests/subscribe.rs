//! Subscriptions: history and news in one stream, without gap or repeat.

#![allow(clippy::unwrap_used)] // A test may.

mod support;

use std::time::Duration;

use alloy::primitives::B256;
use support::World;
use tonic::Streaming;
use tonic::transport::Channel;
use xmtp_node::store::{Entry, Store};
use xmtp_proto::derive::{EnvelopeId, NetworkId};
use xmtp_proto::time::Timestamp;
use xmtp_proto::topic::Topic;
use xmtp_proto::wire;
use xmtp_proto::wire::node_client::NodeClient;
use xmtp_proto::wire::subscribe_response::Event;

fn conversation(first: u8, rest: u8) -> Topic {
    let mut id = [rest; 32];
    id[0] = first;
    Topic::Conversation(B256::from(id))
}

/// Puts an envelope into the log, past the door: these tests are about reading.
async fn append(store: &Store, topic: Topic, text: &str) -> u64 {
    let envelope = wire::Envelope { topic: topic.to_string(), sent_at_ns: 0, ciphertext: text.as_bytes().to_vec() };
    let id = EnvelopeId::new(NetworkId(B256::ZERO), &topic, Timestamp::default(), text.as_bytes());
    let entry = Entry::new(id, topic, wire::Submission { envelope: Some(envelope), passes: Vec::new() });
    store.append(entry).await.unwrap().postmark.cursor.0
}

fn by_topic(topic: Topic) -> wire::TopicFilter {
    wire::TopicFilter { filter: Some(wire::topic_filter::Filter::Topic(topic.to_string())) }
}

fn by_prefix(bits: u32, first: u8) -> wire::TopicFilter {
    let mut prefix = vec![0; 32];
    prefix[0] = first;
    let prefix = wire::ConversationPrefix { bits, prefix };
    wire::TopicFilter { filter: Some(wire::topic_filter::Filter::Conversations(prefix)) }
}

type Stream = Streaming<wire::SubscribeResponse>;

async fn subscribe(client: &NodeClient<Channel>, filters: &[wire::TopicFilter], after: u64) -> Stream {
    let request = wire::SubscribeRequest { filters: filters.to_vec(), after };
    client.clone().subscribe(request).await.unwrap().into_inner()
}

/// The next record's text; remembers how far the stream is.
async fn next(stream: &mut Stream, seen: &mut u64) -> String {
    loop {
        match event(stream).await {
            Event::Seen(cursor) => *seen = cursor,
            Event::Record(record) => {
                let cursor = record.postmark.unwrap().cursor;
                assert!(cursor > *seen, "record {cursor} came behind {seen}");
                *seen = cursor;
                return String::from_utf8(record.submission.unwrap().envelope.unwrap().ciphertext).unwrap();
            }
        }
    }
}

async fn event(stream: &mut Stream) -> Event {
    let message = tokio::time::timeout(Duration::from_secs(30), stream.message()).await;
    message.expect("an event in time").unwrap().expect("no end").event.unwrap()
}

#[tokio::test]
async fn history_and_news_come_in_one_stream() {
    let world = World::start().await;
    let store = world.node.as_ref().unwrap().store();
    append(store, conversation(1, 1), "a").await;
    append(store, conversation(2, 2), "other").await;
    let cursor = append(store, conversation(1, 1), "b").await;
    append(store, conversation(2, 2), "other too").await;

    let (mut stream, mut seen) = (subscribe(&world.client, &[by_topic(conversation(1, 1))], 0).await, 0);
    assert_eq!(next(&mut stream, &mut seen).await, "a");
    assert_eq!(next(&mut stream, &mut seen).await, "b");
    // Caught up: the stream says how far it looked, beyond what matched.
    assert_eq!(event(&mut stream).await, Event::Seen(4));
    append(store, conversation(2, 2), "third other").await;
    append(store, conversation(1, 1), "c").await;
    assert_eq!(next(&mut stream, &mut seen).await, "c");

    let (mut stream, mut seen) = (subscribe(&world.client, &[by_topic(conversation(1, 1))], cursor).await, cursor);
    assert_eq!(next(&mut stream, &mut seen).await, "c");
}

#[tokio::test]
async fn prefix_hides_which_conversation_is_read() {
    let world = World::start().await;
    let store = world.node.as_ref().unwrap().store();
    for first in [0b1010_0000, 0b1011_1111, 0b0010_0000, 0b1010_0001] {
        append(store, conversation(first, 7), &format!("{first:08b}")).await;
    }
    let filters = [by_prefix(4, 0b1010_0000), by_topic(conversation(0b0010_0000, 7))];
    let (mut stream, mut seen) = (subscribe(&world.client, &filters, 0).await, 0);
    for expected in ["10100000", "00100000", "10100001"] {
        assert_eq!(next(&mut stream, &mut seen).await, expected);
    }
}

#[tokio::test]
async fn readers_that_come_and_go_miss_nothing_and_get_nothing_twice() {
    const MESSAGES: usize = 3_000;
    const READERS: usize = 8;
    let world = World::start().await;
    let store = world.node.as_ref().unwrap().store();
    let publishing = async {
        for batch in 0..MESSAGES / 100 {
            let texts: Vec<String> = (0..100).map(|it| (batch * 100 + it).to_string()).collect();
            // In order within a batch: appends are queued in the order in which they are begun.
            futures_util::future::join_all(texts.iter().map(|text| append(store, conversation(1, 1), text))).await;
        }
    };
    let reading = (0..READERS).map(|reader| {
        let client = world.client.clone();
        async move {
            let (mut got, mut seen) = (Vec::new(), 0);
            while got.len() < MESSAGES {
                let mut stream = subscribe(&client, &[by_topic(conversation(1, 1))], seen).await;
                // Hangs up after a number of records that is its own.
                for _ in 0..(reader * 97 + got.len()) % 211 + 1 {
                    got.push(next(&mut stream, &mut seen).await);
                    if got.len() == MESSAGES {
                        break;
                    }
                }
            }
            got
        }
    });
    let ((), readers) = tokio::join!(publishing, futures_util::future::join_all(reading));
    let expected: Vec<String> = (0..MESSAGES).map(|it| it.to_string()).collect();
    for (reader, got) in readers.into_iter().enumerate() {
        assert!(got == expected, "reader {reader} got something else than the log");
    }
}

#[tokio::test]
async fn node_that_stops_ends_its_streams() {
    let mut world = World::start().await;
    let mut stream = subscribe(&world.client, &[by_topic(conversation(1, 1))], 0).await;
    assert_eq!(event(&mut stream).await, Event::Seen(0));
    let (stopped, ended) = tokio::join!(world.node.take().unwrap().shutdown(), stream.message());
    stopped.unwrap();
    assert_eq!(ended.unwrap_err().code(), tonic::Code::Unavailable);
}

#[tokio::test]
async fn filters_that_are_none_are_refused() {
    let world = World::start().await;
    let nameless = wire::TopicFilter { filter: Some(wire::topic_filter::Filter::Topic("/xmtp/1/".to_owned())) };
    let short = wire::ConversationPrefix { bits: 4, prefix: vec![0; 31] };
    let short = wire::TopicFilter { filter: Some(wire::topic_filter::Filter::Conversations(short)) };
    for (sentence, filters) in [
        ("no filter", Vec::new()),
        ("an empty filter", vec![wire::TopicFilter { filter: None }]),
        ("a topic that is none", vec![nameless]),
        ("a short prefix", vec![short]),
        ("too many bits", vec![by_prefix(257, 0)]),
        ("too many filters", vec![by_prefix(1, 0); 1025]),
    ] {
        let request = wire::SubscribeRequest { filters, after: 0 };
        let status = world.client.clone().subscribe(request).await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::InvalidArgument, "{sentence}");
    }
}

#[tokio::test]
async fn conversations_are_read_by_prefix_a_bounded_page_at_a_time() {
    let world = World::start().await;
    let store = world.node.as_ref().unwrap().store();
    let mut wanted = Vec::new();
    for number in 0..40_u8 {
        // Ids that begin with 1010 and 1011, and an invite between them.
        let first = (if number % 2 == 0 { 0b1010_0000 } else { 0b1011_0000 }) | (number % 16);
        let text = format!("message {number}");
        append(store, conversation(first, number), &text).await;
        append(store, Topic::Contact(support::Person::new(9).account), &text).await;
        if number % 2 == 0 {
            wanted.push(text);
        }
    }
    let read = async |bits, first: u8, after, limit| {
        let mut prefix = vec![0; 32];
        prefix[0] = first;
        let prefix = Some(wire::ConversationPrefix { bits, prefix });
        let request = wire::QueryConversationsRequest { prefix, after, limit };
        world.client.clone().query_conversations(request).await.map(tonic::Response::into_inner)
    };
    let text =
        |record: wire::Record| String::from_utf8(record.submission.unwrap().envelope.unwrap().ciphertext).unwrap();
    let (mut got, mut after) = (Vec::new(), 0);
    loop {
        let page = read(4, 0b1010_1111, after, 7).await.unwrap();
        assert!(page.records.len() <= 7);
        assert!(page.seen > after || !page.more, "it goes on");
        after = page.seen;
        got.extend(page.records.into_iter().map(text));
        if !page.more {
            break;
        }
    }
    assert_eq!(got, wanted);
    assert_eq!(after, store.durable().0, "what other topics hold was passed over for good");
    let nothing = read(4, 0b1010_1111, after, 7).await.unwrap();
    assert_eq!((nothing.records.len(), nothing.seen, nothing.more), (0, after, false));
    // Whatever a client names as its cursor, nothing lies behind the end.
    assert_eq!(read(0, 0, after + 100, 0).await.unwrap().records.len(), 0);
    assert_eq!(read(0, 0, 0, 0).await.unwrap().records.len(), 40, "no bits are all conversations, and no contacts");
    assert_eq!(read(257, 0, 0, 0).await.unwrap_err().code(), tonic::Code::InvalidArgument);
}
