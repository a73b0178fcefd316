//! The way to a node: typed calls over gRPC (docs/protocol.md, "The envelope digest", "Refusals"). The only file here that
//! knows how bytes travel.
//!
//! A node is believed in nothing that can be checked: its network and verifying key are compared with the client's own,
//! every postmark is verified, every record must be one of the topic that was asked for. What it says of key bundles and
//! policies proves itself further up.
//!
//! All calls are idempotent (publishing an envelope again is answered with its first postmark), so every one is repeated
//! when the node could not be reached or had too much to do.

mod stream;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::{Address, B256};
use backon::{ExponentialBuilder, Retryable};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code as GrpcCode, Status};
use tonic_types::StatusExt;
use url::Url;
use xmtp_proto::account::Account;
use xmtp_proto::derive::{self, Denomination, EnvelopeId, Issue, NetworkId, OperatorId};
use xmtp_proto::field::{FieldElement, Leaf, Nullifier, Root};
use xmtp_proto::key_bundle::KeyBundle;
use xmtp_proto::malformed::Malformed;
use xmtp_proto::pass::Pass;
use xmtp_proto::policy::SignedPolicy;
use xmtp_proto::postmark::{Cursor, SignedPostmark};
use xmtp_proto::record::Record;
use xmtp_proto::refusal::{Code, Refusal};
use xmtp_proto::requirement::Requirement;
use xmtp_proto::submission::{MAX_PASSES, MAX_PER_CALL, Submission};
use xmtp_proto::time::Timestamp;
use xmtp_proto::topic::Topic;
use xmtp_proto::wire::{self, node_client::NodeClient};
use xmtp_prover::{Bucket, Limit};

use crate::journal::SLOTS;

pub use stream::{Event, Filter, Subscription};

/// To open a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// For one call, all of its answer included.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// The largest answer: a page of records and what surrounds them.
const MAX_ANSWER_BYTES: usize = 4 << 20;
/// Repetitions of a call that did not get through.
const RETRIES: usize = 3;
/// What a leaf of a group of members allows in an epoch at most.
const MAX_MEMBER_LIMIT: u32 = 1_024;
/// The domain of our reasons in a status' details.
const ERROR_DOMAIN: &str = "xmtp";

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

/// A node that was asked once and serves the client's network. Opens connections.
#[derive(Clone, Debug)]
pub struct Node {
    endpoint: Endpoint,
    url: Url,
    network: Arc<NetworkInfo>,
}

/// What a node says of its network, as far as it agrees with the client's own deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkInfo {
    /// Chain and contract.
    pub id: NetworkId,
    /// The settlement chain.
    pub chain_id: u64,
    /// The address that signs this node's postmarks.
    pub operator: Address,
    /// Seconds per issue of stamps.
    pub issue_seconds: u64,
    /// What the network asks at invite topics.
    pub invite_requirement: Requirement,
    /// What the network asks for an account's first key bundle.
    pub joining_requirement: Requirement,
    /// The limit in every leaf of the operator's group of members; none if it keeps no such group.
    pub member_limit: Option<Limit>,
    /// The node's clock.
    pub now: Timestamp,
}

/// A connection in one role.
#[derive(Clone, Debug)]
pub struct Connection {
    client: NodeClient<Channel>,
    role: Role,
    url: Url,
    network: Arc<NetworkInfo>,
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
    /// By the owner: decoded, not yet verified.
    pub policy: Option<SignedPolicy>,
}

/// Whether many senders share a root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RootKind {
    /// Taken at a height that all nodes know; good for the life of the issue.
    Checkpoint,
    /// Minutes old; good for a day. Says that its user could not wait.
    Fresh,
}

/// A root of a volume that the node accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VolumeRoot {
    /// Which volume.
    pub volume: u32,
    /// How it was taken.
    pub kind: RootKind,
    /// The root.
    pub root: Root,
    /// How many positions of the volume were taken.
    pub leaves: u32,
    /// The block at which it was taken.
    pub block: u64,
}

/// Stamps of one denomination and issue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StampGroup {
    /// Face value.
    pub denomination: Denomination,
    /// Issue.
    pub issue: Issue,
}

/// The accounts registered with an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MemberGroup {
    /// The operator.
    pub operator: OperatorId,
    /// The quarter for which the commitments stand.
    pub generation: u32,
}

/// A group that a node keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeptGroup {
    /// Stamps.
    Stamps(StampGroup),
    /// Members.
    Members(MemberGroup),
}

impl From<StampGroup> for KeptGroup {
    fn from(group: StampGroup) -> Self {
        Self::Stamps(group)
    }
}

impl From<MemberGroup> for KeptGroup {
    fn from(group: MemberGroup) -> Self {
        Self::Members(group)
    }
}

/// A call that brought no answer to build on.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// Not the address of a node. The user's to mend.
    #[error("{0} is not the address of a node: expected http://host:port")]
    Address(Url),
    /// Nobody answered. The network's fault or the node's; try again.
    #[error("cannot reach the node at {url}: {reason}")]
    Unreachable {
        /// Where.
        url: Url,
        /// What the connection met.
        reason: String,
    },
    /// It was connected and did not answer in time. What was asked may have been done all the same; asking again is safe.
    #[error("the node at {url} did not answer within {} s", CALL_TIMEOUT.as_secs())]
    Silent {
        /// Where.
        url: Url,
    },
    /// The node refused the call as such.
    #[error("the node refused: {message}")]
    Refused {
        /// Why.
        code: Code,
        /// In its words.
        message: String,
    },
    /// The node failed, for a reason outside the protocol. Its operator's to mend.
    #[error("the node failed ({status}): {message}")]
    Failed {
        /// The gRPC status' name.
        status: String,
        /// In its words.
        message: String,
    },
    /// The answer breaks the schema. The node's fault: do not use it.
    #[error("the node's answer is malformed: {0}")]
    Malformed(#[from] Malformed),
    /// The answer is well-formed and is none to what was asked. The node's fault: do not use it.
    #[error("the node's answer does not fit the question: {0}")]
    Unfitting(&'static str),
    /// The node serves another network than the deployment describes. The user's to mend.
    #[error(
        "the node serves network {got}, the deployment file describes {expected}: use the node's deployment file, or another node"
    )]
    OtherNetwork {
        /// By the deployment.
        expected: NetworkId,
        /// By the node.
        got: NetworkId,
    },
    /// The node verifies proofs with another key than this client makes them with. One of the two is out of date.
    #[error("the node verifies with key {got}, this client proves with {expected}: one of the two is out of date")]
    OtherVerifyingKey {
        /// The client's.
        expected: B256,
        /// The node's.
        got: B256,
    },
    /// A postmark that is none. The node's fault: it may have kept nothing; do not use it.
    #[error("the node gave a wrong postmark: {0}")]
    Postmark(#[from] WrongPostmark),
    /// More than [`MAX_PER_CALL`] submissions in one call. The caller's fault.
    #[error("at most {MAX_PER_CALL} submissions fit into one call")]
    TooMany,
}

/// What is wrong with a postmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrongPostmark {
    /// Its signature is not its operator's.
    #[error("its signature does not verify")]
    Signature,
    /// Signed by another operator than the node named.
    #[error("it is another operator's")]
    Operator,
    /// Of another network.
    #[error("it is another network's")]
    Network,
    /// For another envelope.
    #[error("it is for another envelope")]
    Envelope,
    /// It confirms other nullifiers than were sent.
    #[error("it confirms other nullifiers than the passes carry")]
    Cancelled,
}

impl TransportError {
    /// The refusal behind it, if the node gave one.
    #[must_use]
    pub const fn code(&self) -> Option<Code> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        matches!(self, Self::Silent { .. }) || self.is_brief()
    }

    /// Whether it took little time to find out, so that asking again at once is worth it.
    const fn is_brief(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Refused { code: Code::ChainViewStale | Code::Overloaded, .. })
    }
}

// === impl Node ===

impl Node {
    /// Asks the node at `url` what it serves, and compares that with the client's own network and verifying key.
    ///
    /// # Errors
    /// [`TransportError`], in particular [`TransportError::OtherNetwork`] and [`TransportError::OtherVerifyingKey`].
    pub async fn greet(url: &Url, network: NetworkId, verifying_key: B256) -> Result<Self, TransportError> {
        if url.scheme() != "http" || url.host().is_none() {
            return Err(TransportError::Address(url.clone()));
        }
        let endpoint = Endpoint::from_shared(url.to_string())
            .map_err(|_| TransportError::Address(url.clone()))?
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(CALL_TIMEOUT)
            .tcp_nodelay(true);
        let client = client(&endpoint);
        let answer =
            call(url, || async { Ok(client.clone().get_network(wire::GetNetworkRequest {}).await?.into_inner()) })
                .await?;
        let network = Arc::new(check_network(answer, network, verifying_key)?);
        Ok(Self { endpoint, url: url.clone(), network })
    }

    /// What the node said.
    #[must_use]
    pub fn network(&self) -> &NetworkInfo {
        &self.network
    }

    /// A connection of its own, opened with its first call.
    #[must_use]
    pub fn open(&self, role: Role) -> Connection {
        Connection { client: client(&self.endpoint), role, url: self.url.clone(), network: Arc::clone(&self.network) }
    }
}

fn client(endpoint: &Endpoint) -> NodeClient<Channel> {
    NodeClient::new(endpoint.connect_lazy()).max_decoding_message_size(MAX_ANSWER_BYTES)
}

fn check_network(
    wire: wire::GetNetworkResponse,
    expected: NetworkId,
    verifying_key: B256,
) -> Result<NetworkInfo, TransportError> {
    let wire::GetNetworkResponse {
        network_id,
        chain_id,
        postage,
        // Follows from `Postage`, which the network's id names.
        token: _,
        operator,
        verifying_key: key,
        issue_seconds,
        invite_requirement,
        joining_requirement,
        now_ns,
        member_limit,
    } = wire;
    let got = NetworkId::from(fixed::<32>("network_id", &network_id)?);
    let computed = NetworkId::new(chain_id, fixed::<20>("postage", &postage)?.into());
    if got != expected || computed != expected {
        return Err(TransportError::OtherNetwork { expected, got: if got == expected { computed } else { got } });
    }
    let key = B256::from(fixed::<32>("verifying_key", &key)?);
    if key != verifying_key {
        return Err(TransportError::OtherVerifyingKey { expected: verifying_key, got: key });
    }
    if issue_seconds == 0 {
        return Err(Malformed::OutOfRange { field: "issue_seconds", got: 0 }.into());
    }
    Ok(NetworkInfo {
        id: got,
        chain_id,
        operator: fixed::<20>("operator", &operator)?.into(),
        issue_seconds,
        invite_requirement: required("invite_requirement", invite_requirement)?.try_into()?,
        joining_requirement: required("joining_requirement", joining_requirement)?.try_into()?,
        member_limit: match member_limit {
            0 => None,
            limit if limit % u32::from(SLOTS) == 0 && limit <= MAX_MEMBER_LIMIT => Limit::new(limit).ok(),
            limit => return Err(Malformed::OutOfRange { field: "member_limit", got: limit.into() }.into()),
        },
        now: Timestamp::from_nanos(now_ns),
    })
}

// === impl Connection ===

impl Connection {
    /// What the connection is for.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
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

    /// Publishes a letter. `belonging` are the nullifiers of all stamps that ever went with it, in the order in which they
    /// were taken: an envelope that was accepted before keeps its first postmark, and may have shown others of them then.
    ///
    /// # Errors
    /// [`TransportError`] if the call failed, or the postmark is wrong.
    pub async fn publish_letter(
        &self,
        submission: Submission,
        belonging: &[Nullifier],
    ) -> Result<Result<SignedPostmark, Refusal>, TransportError> {
        let sent = Sent { nullifiers: belonging.to_vec(), ..Sent::of(&submission, self.network.id) };
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
        let wire::GetRequirementsResponse { network, policy } =
            self.call(NodeClient::get_requirements, request).await?;
        Ok(Asked {
            network: required("network", network)?.try_into()?,
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

    /// The newest roots of a group; none while it is empty.
    ///
    /// # Errors
    /// [`TransportError`].
    pub async fn roots(&self, group: impl Into<KeptGroup>) -> Result<Vec<VolumeRoot>, TransportError> {
        let group = match group.into() {
            KeptGroup::Stamps(group) => wire::get_roots_request::Group::Stamps(group.into()),
            KeptGroup::Members(group) => wire::get_roots_request::Group::Members(group.into()),
        };
        let request = wire::GetRootsRequest { group: Some(group) };
        let wire::GetRootsResponse { roots } = match self.call(NodeClient::get_roots, request).await {
            Err(TransportError::Failed { status, .. }) if status == NOT_FOUND => return Ok(Vec::new()),
            Err(TransportError::Refused { code: Code::RootUnknown, .. }) => return Ok(Vec::new()),
            other => other?,
        };
        roots.into_iter().map(VolumeRoot::try_from).collect::<Result<_, _>>().map_err(Into::into)
    }

    /// A bucket of a volume as it stood under a root. That the root follows from it is for the caller to check.
    ///
    /// # Errors
    /// [`TransportError`].
    pub async fn bucket(&self, group: impl Into<KeptGroup>, root: Root, bucket: u32) -> Result<Bucket, TransportError> {
        let group = match group.into() {
            KeptGroup::Stamps(group) => wire::get_bucket_request::Group::Stamps(group.into()),
            KeptGroup::Members(group) => wire::get_bucket_request::Group::Members(group.into()),
        };
        let request = wire::GetBucketRequest { group: Some(group), root: root.as_bytes().to_vec(), bucket };
        let wire::GetBucketResponse { volume, bucket: index, top, leaves } =
            self.call(NodeClient::get_bucket, request).await?;
        if index != bucket {
            return Err(TransportError::Unfitting("another bucket"));
        }
        let too_long = || TransportError::Unfitting("a bucket larger than there are");
        let index = u16::try_from(index).map_err(|_| too_long())?;
        let leaves = elements("leaves", &leaves)?.into_iter().map(Leaf::from).collect();
        Bucket::new(volume, index, elements("top", &top)?, leaves).map_err(|_| too_long())
    }

    async fn call<Q, A, F>(&self, method: F, request: Q) -> Result<A, TransportError>
    where
        Q: Clone,
        F: AsyncFn(&mut NodeClient<Channel>, Q) -> Result<tonic::Response<A>, Status>,
    {
        call(&self.url, || async { Ok(method(&mut self.client.clone(), request.clone()).await?.into_inner()) }).await
    }

    fn result(
        &self,
        wire: wire::PublishResult,
        sent: &Sent,
    ) -> Result<Result<SignedPostmark, Refusal>, TransportError> {
        match required("result", wire.result)? {
            wire::publish_result::Result::Refusal(refusal) => Ok(Err(refusal.try_into()?)),
            wire::publish_result::Result::Postmark(postmark) => {
                let postmark = SignedPostmark::try_from(postmark)?;
                self.check_postmark(&postmark, sent.envelope)?;
                if !sent.may_cancel(postmark.postmark.cancelled) {
                    return Err(WrongPostmark::Cancelled.into());
                }
                Ok(Ok(postmark))
            }
        }
    }

    fn check_record(&self, record: &Record, topic: Topic) -> Result<(), TransportError> {
        let sent = Sent::of(&record.submission, self.network.id);
        if record.submission.envelope().topic != topic {
            return Err(TransportError::Unfitting("a record of another topic"));
        }
        self.check_postmark(&record.postmark, sent.envelope)?;
        if record.postmark.postmark.cancelled != derive::cancelled_hash(&sent.nullifiers) {
            return Err(WrongPostmark::Cancelled.into());
        }
        Ok(())
    }

    fn check_postmark(&self, signed: &SignedPostmark, envelope: EnvelopeId) -> Result<(), WrongPostmark> {
        let postmark = &signed.postmark;
        if postmark.network != self.network.id {
            return Err(WrongPostmark::Network);
        }
        if postmark.operator != self.network.operator {
            return Err(WrongPostmark::Operator);
        }
        if postmark.envelope != envelope {
            return Err(WrongPostmark::Envelope);
        }
        signed.verify().map_err(|_| WrongPostmark::Signature)
    }
}

/// What a postmark must name.
struct Sent {
    envelope: EnvelopeId,
    nullifiers: Vec<Nullifier>,
}

impl Sent {
    fn of(submission: &Submission, network: NetworkId) -> Self {
        Self {
            envelope: submission.envelope().id(network),
            nullifiers: submission.passes().iter().filter_map(Pass::nullifier).collect(),
        }
    }

    /// An envelope that was accepted before keeps its first postmark, and may have had fewer passes then: some of these,
    /// in their order. A submission has so few that all choices are tried.
    fn may_cancel(&self, cancelled: B256) -> bool {
        let count = self.nullifiers.len().min(MAX_PASSES);
        let choices = u32::from(count > 0)..1 << count;
        choices.into_iter().any(|choice| {
            let chosen = self.nullifiers.iter().enumerate().filter(|(position, _)| choice >> position & 1 == 1);
            let chosen: Vec<_> = chosen.map(|(_, nullifier)| *nullifier).collect();
            derive::cancelled_hash(&chosen) == cancelled
        })
    }
}

// === the wire ===

const NOT_FOUND: &str = "NotFound";

/// Calls until it gets through, at most [`RETRIES`] times again.
async fn call<A, F, Fut>(url: &Url, once: F) -> Result<A, TransportError>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<A, Status>>,
{
    let policy = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_secs(2))
        .with_max_times(RETRIES)
        .with_jitter();
    let attempt = || async { once().await.map_err(|status| failure(url, &status)) };
    attempt.retry(policy).when(TransportError::is_brief).await
}

fn failure(url: &Url, status: &Status) -> TransportError {
    let message = status.message().to_owned();
    let reason = status
        .get_error_details()
        .error_info()
        .and_then(|info| if info.domain == ERROR_DOMAIN { Code::from_name(&info.reason) } else { None });
    match (reason, status.code()) {
        (Some(code), _) => TransportError::Refused { code, message },
        (None, GrpcCode::DeadlineExceeded | GrpcCode::Cancelled) => TransportError::Silent { url: url.clone() },
        (None, GrpcCode::Unavailable) => {
            TransportError::Unreachable { url: url.clone(), reason: deepest(status).unwrap_or(message) }
        }
        // Made here, of a connection that broke: a status from the node has no source.
        (None, _) if std::error::Error::source(status).is_some() => {
            TransportError::Unreachable { url: url.clone(), reason: deepest(status).unwrap_or(message) }
        }
        (None, code) => TransportError::Failed { status: format!("{code:?}"), message },
    }
}

/// The innermost cause: "Connection refused" says more than "transport error".
fn deepest(status: &Status) -> Option<String> {
    let mut source = std::error::Error::source(status)?;
    while let Some(next) = source.source() {
        source = next;
    }
    Some(source.to_string())
}

impl From<StampGroup> for wire::StampGroup {
    fn from(it: StampGroup) -> Self {
        Self { denomination: it.denomination.units(), issue: it.issue.0 }
    }
}

impl From<MemberGroup> for wire::MemberGroup {
    fn from(it: MemberGroup) -> Self {
        Self { operator: it.operator.as_bytes().to_vec(), generation: it.generation }
    }
}

impl TryFrom<wire::VolumeRoot> for VolumeRoot {
    type Error = Malformed;

    fn try_from(wire: wire::VolumeRoot) -> Result<Self, Malformed> {
        let wire::VolumeRoot { volume, kind, root, leaves, block } = wire;
        let kind = match wire::RootKind::try_from(kind) {
            Ok(wire::RootKind::Checkpoint) => RootKind::Checkpoint,
            Ok(wire::RootKind::Fresh) => RootKind::Fresh,
            Ok(wire::RootKind::Unspecified) | Err(_) => {
                return Err(Malformed::OutOfRange { field: "root.kind", got: u64::from(kind.unsigned_abs()) });
            }
        };
        let root = Root::from_be_bytes(fixed("root", &root)?).map_err(|_| Malformed::NotCanonical { field: "root" })?;
        Ok(Self { volume, kind, root, leaves, block })
    }
}

fn fixed<const N: usize>(field: &'static str, bytes: &[u8]) -> Result<[u8; N], Malformed> {
    bytes.try_into().map_err(|_| Malformed::Length { field, expected: N, got: bytes.len() })
}

fn required<T>(field: &'static str, value: Option<T>) -> Result<T, Malformed> {
    value.ok_or(Malformed::Missing { field })
}

fn elements(field: &'static str, bytes: &[u8]) -> Result<Vec<FieldElement>, Malformed> {
    let (whole, rest) = bytes.as_chunks::<32>();
    if !rest.is_empty() {
        return Err(Malformed::Length { field, expected: whole.len() * 32, got: bytes.len() });
    }
    whole
        .iter()
        .map(|bytes| FieldElement::from_be_bytes(*bytes).map_err(|_| Malformed::NotCanonical { field }))
        .collect()
}

impl fmt::Display for StampGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stamps of {} units, issue {}", self.denomination, self.issue.0)
    }
}
