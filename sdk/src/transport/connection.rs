//! A connection in one role, and what can be called on it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tonic::Status;
use tonic::transport::{Channel, Endpoint};
use xmtp_proto::account::Account;
use xmtp_proto::field::Nullifier;
use xmtp_proto::key_bundle::KeyBundle;
use xmtp_proto::policy::SignedPolicy;
use xmtp_proto::postmark::{Cursor, SignedPostmark};
use xmtp_proto::record::Record;
use xmtp_proto::refusal::{Code, Refusal};
use xmtp_proto::requirement::Requirement;
use xmtp_proto::submission::{MAX_PER_CALL, Submission};
use xmtp_proto::time::Timestamp;
use xmtp_proto::topic::Topic;
use xmtp_proto::wire::{self, node_client::NodeClient};

use super::check::{Sent, required};
use super::error::{Peer, TransportError, call};
use super::node::NetworkInfo;

/// To open a connection, where no proxy is in the way.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest answer: a page of records and what surrounds them.
const MAX_ANSWER_BYTES: usize = 4 << 20;

/// What a connection is for. A node that saw two of these on one connection would know that they belong together
/// (docs/protocol.md, "Reading leaks too").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The own account's topics.
    Mine,
    /// Conversations, the journal among them: reading.
    Reading,
    /// Conversations, the journal among them: openings and messages; a fresh one for each topic.
    Posting,
    /// Others' bundles, policies, roots and buckets, and submissions to their invite topics: a fresh one per recipient.
    AskingAndFranking,
}

/// A connection in one role.
#[derive(Clone, Debug)]
pub struct Connection {
    client: NodeClient<Channel>,
    pub(super) peer: Peer,
    pub(super) network: Arc<NetworkInfo>,
}

/// A page of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// In the order asked for; every postmark verified.
    pub records: Vec<Record>,
    /// Whether there was more when the page was read.
    pub more: bool,
}

/// Which way a topic is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// From a cursor on.
    OldestFirst,
    /// Back from a cursor, or from the newest if that is 0.
    NewestFirst,
}

/// What must be shown at a topic, as the node says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// By the network.
    pub network: Requirement,
    /// How many times its usual postage that is, and until when it is enough; at invite topics.
    pub congestion: Option<Congestion>,
    /// By the owner: decoded, not yet verified.
    pub policy: Option<SignedPolicy>,
}

/// What a node makes of its load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Congestion {
    /// How many times the network's usual postage is asked: 1 while it is quiet.
    pub times: u32,
    /// Until then that is enough, by the node's clock.
    pub good_until: Timestamp,
}

impl Role {
    /// All roles there are.
    pub const ALL: [Self; 4] = [Self::Mine, Self::Reading, Self::Posting, Self::AskingAndFranking];

    /// One word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mine => "mine",
            Self::Reading => "reading",
            Self::Posting => "posting",
            Self::AskingAndFranking => "asking",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A client whose connection is opened with its first call.
pub(super) fn client(endpoint: &Endpoint, peer: &Peer) -> NodeClient<Channel> {
    let channel = match &peer.proxy {
        None => endpoint.clone().connect_timeout(CONNECT_TIMEOUT).connect_lazy(),
        Some(proxy) => endpoint.connect_with_connector_lazy(proxy.connector(&peer.url)),
    };
    NodeClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES)
}

impl Connection {
    pub(super) const fn new(client: NodeClient<Channel>, peer: Peer, network: Arc<NetworkInfo>) -> Self {
        Self { client, peer, network }
    }

    /// What the connection is for.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.peer.role
    }

    /// Publishes submissions, each with the head it was made against where that matters; answers in the same order.
    ///
    /// # Errors
    /// [`TransportError`] if the call failed as a whole, or any postmark is wrong.
    pub async fn publish(
        &self,
        publications: Vec<(Submission, Option<Cursor>)>,
    ) -> Result<Vec<Result<SignedPostmark, Refusal>>, TransportError> {
        if publications.len() > MAX_PER_CALL {
            return Err(TransportError::TooMany);
        }
        let sent: Vec<_> = publications.iter().map(|(submission, _)| Sent::of(submission, self.network.id)).collect();
        self.send(publications, &sent).await
    }

    async fn send(
        &self,
        publications: Vec<(Submission, Option<Cursor>)>,
        sent: &[Sent],
    ) -> Result<Vec<Result<SignedPostmark, Refusal>>, TransportError> {
        let request = wire::PublishRequest {
            publications: publications
                .into_iter()
                .map(|(submission, head)| wire::Publication {
                    submission: Some(submission.into()),
                    expected_head: head.map(|cursor| cursor.0),
                })
                .collect(),
        };
        let wire::PublishResponse { results } = self.call(NodeClient::publish, request).await?;
        if results.len() != sent.len() {
            return Err(TransportError::Unfitting("another number of results than submissions"));
        }
        results.into_iter().zip(sent).map(|(result, sent)| self.result(result, sent)).collect()
    }

    /// Publishes one submission.
    ///
    /// # Errors
    /// [`TransportError`] if the call failed, or the postmark is wrong.
    pub async fn publish_one(
        &self,
        submission: Submission,
        head: Option<Cursor>,
    ) -> Result<Result<SignedPostmark, Refusal>, TransportError> {
        let mut results = self.publish(vec![(submission, head)]).await?;
        results.pop().ok_or(TransportError::Unfitting("no result"))
    }

    /// Publishes a letter. `belonging` are the nullifiers of all passes that ever belonged to it, those of one source (a stamp;
    /// a stake, a claim or a membership, which has another every day) together, and the sources in the order in which they
    /// are shown: an envelope that was accepted before keeps its first postmark, and may have shown others of them then, of
    /// each source one at most, or none.
    ///
    /// # Errors
    /// [`TransportError`] if the call failed, or the postmark is wrong.
    pub async fn publish_letter(
        &self,
        submission: Submission,
        belonging: Vec<Vec<Nullifier>>,
    ) -> Result<Result<SignedPostmark, Refusal>, TransportError> {
        let sent = Sent { belonging, bare: true, ..Sent::of(&submission, self.network.id) };
        let mut results = self.send(vec![(submission, None)], &[sent]).await?;
        results.pop().ok_or(TransportError::Unfitting("no result"))
    }

    /// Reads a page of a topic behind a cursor (or before it, newest first).
    ///
    /// # Errors
    /// [`TransportError`].
    pub async fn query(&self, topic: Topic, after: Cursor, order: Order, limit: u32) -> Result<Page, TransportError> {
        let descending = order == Order::NewestFirst;
        let request = wire::QueryRequest { topic: topic.to_string(), after: after.0, limit, descending };
        let wire::QueryResponse { records, more } = self.call(NodeClient::query, request).await?;
        let records = records.into_iter().map(Record::try_from).collect::<Result<Vec<_>, _>>()?;
        let mut last = after.0;
        for record in &records {
            self.check_record(record, topic)?;
            let cursor = record.postmark.postmark.cursor.0;
            let in_order = if descending { last == 0 || cursor < last } else { cursor > last };
            if !in_order {
                return Err(TransportError::Unfitting("records out of order"));
            }
            last = cursor;
        }
        if more && records.is_empty() {
            return Err(TransportError::Unfitting("an empty page with more behind it"));
        }
        Ok(Page { records, more })
    }

    /// What must be shown to write to a topic.
    ///
    /// # Errors
    /// [`TransportError`]; [`Code::NoSuchInbox`] for the invite topic of an account without a key bundle.
    pub async fn requirements(&self, topic: Topic) -> Result<Asked, TransportError> {
        let request = wire::GetRequirementsRequest { topic: topic.to_string() };
        let wire::GetRequirementsResponse { network, policy, times, good_until_ns } =
            self.call(NodeClient::get_requirements, request).await?;
        let good_until = Timestamp::from_nanos(good_until_ns);
        Ok(Asked {
            network: required("network", network)?.try_into()?,
            congestion: (times > 0).then_some(Congestion { times, good_until }),
            policy: if policy.is_empty() { None } else { Some(SignedPolicy::from_bytes(&policy)?) },
        })
    }

    /// The newest key bundle of an account and its place on the contact topic; none if it never published one. Decoded,
    /// not yet verified.
    ///
    /// # Errors
    /// [`TransportError`].
    pub async fn key_bundle(&self, account: Account) -> Result<Option<(KeyBundle, Cursor)>, TransportError> {
        let request = wire::GetKeyBundleRequest { account: account.to_string() };
        let wire::GetKeyBundleResponse { record } = match self.call(NodeClient::get_key_bundle, request).await {
            Err(TransportError::Refused { code: Code::NoSuchInbox, .. }) => return Ok(None),
            other => other?,
        };
        let record: Record = required("record", record)?.try_into()?;
        self.check_record(&record, Topic::Contact(account))?;
        let bundle = KeyBundle::from_bytes(&record.submission.envelope().ciphertext)?;
        if bundle.keys.account != account {
            return Err(TransportError::Unfitting("the key bundle of another account"));
        }
        Ok(Some((bundle, record.postmark.postmark.cursor)))
    }

    pub(super) async fn call<Q, A, F>(&self, method: F, request: Q) -> Result<A, TransportError>
    where
        Q: Clone,
        F: AsyncFn(&mut NodeClient<Channel>, Q) -> Result<tonic::Response<A>, Status>,
    {
        call(&self.peer, || async { Ok(method(&mut self.client.clone(), request.clone()).await?.into_inner()) }).await
    }
}
