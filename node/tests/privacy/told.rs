//! What somebody told a node, connection by connection.

use std::collections::BTreeSet;

use prost::Message as _;
use xmtp_proto::account::Account;
use xmtp_proto::submission::Submission;
use xmtp_proto::topic::Topic;
use xmtp_proto::wire::{self, get_bucket_request, get_roots_request, topic_filter};

use crate::permitted::Place;
use crate::recorder::{Heard, Recorder};

/// Of a group's volume: 2^21 leaves in subtrees of 4,096.
const BUCKETS: u32 = 512;
/// Of a conversation's id: what clients name at most, whatever a node says of its traffic.
const PREFIX_BITS_MAX: u32 = 16;

/// What a request names.
#[derive(Default)]
pub(crate) struct Told {
    accounts: BTreeSet<Account>,
    published: Vec<Submission>,
}

/// Everything that came on a connection.
pub(crate) struct Connection {
    pub(crate) place: Place,
    pub(crate) published: Vec<Submission>,
    /// At the socket, and as HTTP has it.
    pub(crate) bytes: Vec<u8>,
}

/// All connections of an account's client, each one's place found out from what its requests name.
///
/// # Panics
/// If a request says more than it may by its form alone, or one connection links what is to stay apart.
pub(crate) fn connections(recorder: &Recorder, own: Account) -> Vec<Connection> {
    let heard = recorder.heard();
    let connection = |number: usize| {
        let mut bytes = recorder.raw(number);
        let (mut accounts, mut published) = (BTreeSet::new(), Vec::new());
        for it in heard.iter().filter(|it| it.connection == number) {
            bytes.extend([it.path.as_bytes(), &it.headers, &it.body].concat());
            let said = told(it).unwrap_or_else(|what| panic!("{} says {what}", it.path));
            accounts.extend(said.accounts);
            published.extend(said.published);
        }
        let place = place(own, &accounts, &published).unwrap_or_else(|what| panic!("one connection tells of {what}"));
        Connection { place, published, bytes }
    };
    (0..recorder.connections()).map(connection).collect()
}

/// A connection tells of one account at the most, or writes in one conversation, and not both.
fn place(own: Account, accounts: &BTreeSet<Account>, published: &[Submission]) -> Result<Place, String> {
    let topics: BTreeSet<Topic> = published.iter().map(|it| it.envelope().topic).collect();
    let conversations = topics.iter().filter(|topic| matches!(topic, Topic::Conversation(_))).count();
    match (accounts.len(), conversations) {
        (0, 0 | 1) => Ok(Place::NamelessConnection),
        (1, 0) => {
            let named = accounts.first().copied().unwrap_or(own);
            Ok(if named == own { Place::OwnConnection(own) } else { Place::ConnectionTowards(named) })
        }
        _ => Err(format!("{accounts:?}, and writes to {topics:?}")),
    }
}

/// The letters to an account, each with its connection.
pub(crate) fn letters(connections: &[Connection], to: Account) -> Vec<(usize, Submission)> {
    let numbered = connections.iter().enumerate();
    let published = numbered.flat_map(|(number, it)| it.published.iter().map(move |it| (number, it.clone())));
    published.filter(|(_, it)| it.envelope().topic == Topic::Invite(to)).collect()
}

/// Takes a request apart, field by field. Every call is known here, and none says more of a leaf than among which 4,096 it is,
/// or more of a conversation that is read than how its name begins.
fn told(heard: &Heard) -> Result<Told, String> {
    let mut told = Told::default();
    match heard.path.rsplit_once('/').map_or("", |(_, call)| call) {
        "GetNetwork" => {
            let wire::GetNetworkRequest {} = heard.message();
        }
        "Publish" => {
            let wire::PublishRequest { publications } = heard.message();
            for wire::Publication { submission, expected_head: _ } in publications {
                let submission = Submission::try_from(submission.unwrap()).unwrap();
                told.accounts.extend(submission.envelope().topic.account());
                told.published.push(submission);
            }
        }
        "Query" => {
            let wire::QueryRequest { topic, after: _, limit: _, descending: _ } = heard.message();
            told.accounts.extend(read(&topic)?);
        }
        "QueryConversations" => {
            let wire::QueryConversationsRequest { prefix, after: _, limit: _ } = heard.message();
            require_short(prefix.unwrap())?;
        }
        "QueryContacts" => {
            let wire::QueryContactsRequest { after: _, limit: _ } = heard.message();
        }
        "Subscribe" => {
            let wire::SubscribeRequest { filters, after: _ } = heard.message();
            for wire::TopicFilter { filter } in filters {
                match filter.unwrap() {
                    topic_filter::Filter::Topic(topic) => told.accounts.extend(read(&topic)?),
                    topic_filter::Filter::Conversations(prefix) => require_short(prefix)?,
                }
            }
        }
        "GetRequirements" => {
            let wire::GetRequirementsRequest { topic } = heard.message();
            told.accounts.extend(read(&topic)?);
        }
        "GetKeyBundle" => {
            let wire::GetKeyBundleRequest { account } = heard.message();
            told.accounts.insert(account.parse().unwrap());
        }
        "GetRoots" => {
            let wire::GetRootsRequest { group } = heard.message();
            match group.unwrap() {
                get_roots_request::Group::Stamps(wire::StampGroup { denomination: _, issue: _ })
                | get_roots_request::Group::Members(wire::MemberGroup { operator: _, generation: _ })
                | get_roots_request::Group::Stakes(wire::StakeGroup { tier: _ })
                | get_roots_request::Group::Claim(wire::ClaimGroup { id: _, generation: _ }) => {}
            }
        }
        "GetBucket" => {
            let wire::GetBucketRequest { group, root, bucket } = heard.message();
            match group.unwrap() {
                get_bucket_request::Group::Stamps(wire::StampGroup { denomination: _, issue: _ })
                | get_bucket_request::Group::Members(wire::MemberGroup { operator: _, generation: _ })
                | get_bucket_request::Group::Stakes(wire::StakeGroup { tier: _ })
                | get_bucket_request::Group::Claim(wire::ClaimGroup { id: _, generation: _ }) => {}
            }
            if root.len() != 32 || bucket >= BUCKETS {
                return Err(format!("more than which 4,096 leaves: bucket {bucket}"));
            }
        }
        call => return Err(format!("nobody knows what: {call}")),
    }
    Ok(told)
}

/// Whose topic it is that somebody reads by its name.
fn read(topic: &str) -> Result<Option<Account>, String> {
    match topic.parse().unwrap() {
        Topic::Conversation(_) => Err(format!("which conversation it reads: {topic}")),
        topic => Ok(topic.account()),
    }
}

fn require_short(wire::ConversationPrefix { bits, prefix }: wire::ConversationPrefix) -> Result<(), String> {
    let whole = usize::try_from(bits.div_ceil(8)).unwrap();
    let is_rest_zero = prefix.get(whole..).is_none_or(|rest| rest.iter().all(|byte| *byte == 0));
    if bits <= PREFIX_BITS_MAX && is_rest_zero { Ok(()) } else { Err(format!("{bits} bits of what it reads")) }
}

/// A request as a recorder hears it.
fn request(call: &str, message: impl prost::Message) -> Heard {
    let body = [&[0; 5][..], &message.encode_to_vec()].concat();
    Heard { connection: 0, path: format!("/xmtp.v1.Node/{call}"), headers: Vec::new(), body }
}

#[test]
fn every_call_of_the_service_is_known() {
    let descriptors = prost_types::FileDescriptorSet::decode(wire::DESCRIPTORS).unwrap();
    let services = descriptors.file.into_iter().flat_map(|file| file.service);
    let calls: Vec<String> = services.flat_map(|it| it.method).map(|it| it.name.unwrap()).collect();
    assert!(calls.len() >= 10, "{calls:?}");
    let id = |byte| Topic::Conversation([byte; 32].into());
    for call in calls {
        let known = match call.as_str() {
            "GetKeyBundle" => told(&request(&call, wire::GetKeyBundleRequest { account: format!("0x{:040}", 1) })),
            "Query" | "GetRequirements" => {
                let topic = Topic::Claim([1; 32].into()).to_string();
                // The first field of both.
                told(&request(&call, wire::GetRequirementsRequest { topic }))
            }
            "QueryConversations" => {
                let prefix = Some(wire::ConversationPrefix { bits: 3, prefix: vec![0; 32] });
                told(&request(&call, wire::QueryConversationsRequest { prefix, after: 0, limit: 0 }))
            }
            "GetRoots" => {
                let group = get_roots_request::Group::Stakes(wire::StakeGroup { tier: 1 });
                told(&request(&call, wire::GetRootsRequest { group: Some(group) }))
            }
            "GetBucket" => told(&request(&call, bucket(511))),
            _ => told(&request(&call, wire::GetNetworkRequest {})),
        };
        assert!(known.is_ok(), "{call}: {:?}", known.err());
    }
    for (sentence, saying) in [
        ("a leaf", request("GetBucket", bucket(512))),
        ("a conversation", request("Query", wire::GetRequirementsRequest { topic: id(1).to_string() })),
        ("a call of tomorrow", request("GetPath", wire::GetNetworkRequest {})),
    ] {
        assert!(told(&saying).is_err(), "{sentence}");
    }
    for (bits, rest) in [(17, 0), (3, 1)] {
        let prefix = Some(wire::ConversationPrefix { bits, prefix: vec![rest; 32] });
        let request = request("QueryConversations", wire::QueryConversationsRequest { prefix, after: 0, limit: 0 });
        assert!(told(&request).is_err(), "{bits} bits, and {rest} behind them");
    }
}

fn bucket(bucket: u32) -> wire::GetBucketRequest {
    let group = get_bucket_request::Group::Stakes(wire::StakeGroup { tier: 1 });
    wire::GetBucketRequest { group: Some(group), root: vec![7; 32], bucket }
}
