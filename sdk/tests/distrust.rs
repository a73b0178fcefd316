//! What the client does when a node lies: nothing that it says and that can be checked is believed.

#![allow(clippy::unwrap_used)] // A test may.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use alloy::primitives::{Address, B256};
use alloy::signers::SignerSync;
use alloy::signers::local::PrivateKeySigner;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt};
use url::Url;
use xmtp_proto::account::Account;
use xmtp_proto::derive::{Denomination, Issue, NetworkId, cancelled_hash};
use xmtp_proto::envelope::Envelope;
use xmtp_proto::field::FieldElement;
use xmtp_proto::postmark::{Cursor, Postmark, SignedPostmark};
use xmtp_proto::record::Record;
use xmtp_proto::refusal::{AskedBy, Code, Refusal};
use xmtp_proto::requirement::Requirement;
use xmtp_proto::submission::Submission;
use xmtp_proto::time::Timestamp;
use xmtp_proto::topic::Topic;
use xmtp_proto::wire::node_server::{Node as Service, NodeServer};
use xmtp_proto::wire::{self, publish_result};
use xmtp_sdk::transport::{Connection, Node, Order, Role, StampGroup, TransportError, WrongPostmark};

const CHAIN: u64 = 31_337;
const POSTAGE: Address = Address::repeat_byte(7);
const KEY: B256 = B256::repeat_byte(9);

/// A node that says what it was told to say.
#[derive(Clone)]
struct Liar {
    network: wire::GetNetworkResponse,
    said: Arc<Mutex<Said>>,
}

#[derive(Default)]
struct Said {
    results: Vec<wire::PublishResult>,
    records: Vec<wire::Record>,
    status: Option<Status>,
    /// Calls that fail before one is answered.
    busy: usize,
    calls: usize,
}

impl Liar {
    fn new() -> Self {
        let nothing: wire::Requirement = Requirement::nothing().into();
        let network = wire::GetNetworkResponse {
            network_id: network().as_bytes().to_vec(),
            chain_id: CHAIN,
            postage: POSTAGE.to_vec(),
            token: vec![0; 20],
            operator: operator().address().to_vec(),
            verifying_key: KEY.to_vec(),
            issue_seconds: 100,
            invite_requirement: Some(nothing.clone()),
            joining_requirement: Some(nothing),
            now_ns: 1,
        };
        Self { network, said: Arc::default() }
    }

    fn answer<T>(&self, answer: impl FnOnce(&mut Said) -> T) -> Result<Response<T>, Status> {
        let mut said = self.said.lock().unwrap();
        said.calls += 1;
        if said.busy > 0 {
            said.busy -= 1;
            return Err(refused(Code::Overloaded, tonic::Code::ResourceExhausted));
        }
        match &said.status {
            Some(status) => Err(status.clone()),
            None => Ok(Response::new(answer(&mut said))),
        }
    }
}

#[tonic::async_trait]
impl Service for Liar {
    async fn get_network(
        &self,
        _: Request<wire::GetNetworkRequest>,
    ) -> Result<Response<wire::GetNetworkResponse>, Status> {
        self.answer(|_| self.network.clone())
    }

    async fn publish(&self, _: Request<wire::PublishRequest>) -> Result<Response<wire::PublishResponse>, Status> {
        self.answer(|said| wire::PublishResponse { results: said.results.clone() })
    }

    async fn query(&self, _: Request<wire::QueryRequest>) -> Result<Response<wire::QueryResponse>, Status> {
        self.answer(|said| wire::QueryResponse { records: said.records.clone(), more: false })
    }

    async fn get_requirements(
        &self,
        _: Request<wire::GetRequirementsRequest>,
    ) -> Result<Response<wire::GetRequirementsResponse>, Status> {
        self.answer(|_| wire::GetRequirementsResponse::default())
    }

    async fn get_key_bundle(
        &self,
        _: Request<wire::GetKeyBundleRequest>,
    ) -> Result<Response<wire::GetKeyBundleResponse>, Status> {
        self.answer(|said| wire::GetKeyBundleResponse { record: said.records.first().cloned() })
    }

    async fn get_roots(&self, _: Request<wire::GetRootsRequest>) -> Result<Response<wire::GetRootsResponse>, Status> {
        self.answer(|_| wire::GetRootsResponse {
            roots: vec![wire::VolumeRoot { kind: 1, root: vec![0xff; 32], ..Default::default() }],
        })
    }

    async fn get_bucket(
        &self,
        _: Request<wire::GetBucketRequest>,
    ) -> Result<Response<wire::GetBucketResponse>, Status> {
        self.answer(|_| wire::GetBucketResponse { leaves: vec![0; 33], ..Default::default() })
    }
}

/// The service, for as long as this lives.
struct World {
    said: Arc<Mutex<Said>>,
    url: Url,
    _tasks: JoinSet<()>,
}

async fn serve(liar: Liar) -> World {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let said = Arc::clone(&liar.said);
    let mut tasks = JoinSet::new();
    let server = tonic::transport::Server::builder().add_service(NodeServer::new(liar));
    tasks.spawn(async move { server.serve_with_incoming(TcpListenerStream::new(listener)).await.unwrap() });
    World { said, url, _tasks: tasks }
}

async fn connected() -> (World, Connection) {
    let world = serve(Liar::new()).await;
    let node = Node::greet(&world.url, network(), KEY).await.unwrap();
    (world, node.open(Role::Mine))
}

fn network() -> NetworkId {
    NetworkId::new(CHAIN, POSTAGE)
}

fn operator() -> PrivateKeySigner {
    PrivateKeySigner::from_slice(&[5; 32]).unwrap()
}

fn topic() -> Topic {
    Topic::Invite(Account::externally_owned(Address::repeat_byte(1)))
}

fn submission() -> Submission {
    let envelope = Envelope { topic: topic(), sent_at: Timestamp::from_secs(1), ciphertext: vec![1, 2, 3] };
    Submission::new(envelope, Vec::new()).unwrap()
}

fn postmark(cursor: u64) -> Postmark {
    Postmark {
        network: network(),
        operator: operator().address(),
        cursor: Cursor(cursor),
        envelope: submission().envelope().id(network()),
        accepted_at: Timestamp::from_secs(2),
        cancelled: cancelled_hash(&[]),
    }
}

fn signed(postmark: Postmark, by: &PrivateKeySigner) -> SignedPostmark {
    let signature = by.sign_hash_sync(&postmark.signing_hash()).unwrap().as_bytes();
    SignedPostmark { postmark, signature }
}

fn refused(code: Code, status: tonic::Code) -> Status {
    let details = ErrorDetails::with_error_info(code.as_str(), "xmtp", std::collections::HashMap::new());
    Status::with_error_details(status, "no", details)
}

/// What becomes of a postmark that the node gives for [`submission`].
async fn check_postmark(given: SignedPostmark, expected: Result<(), WrongPostmark>) {
    let (world, connection) = connected().await;
    let result = wire::PublishResult { result: Some(publish_result::Result::Postmark(given.into())) };
    world.said.lock().unwrap().results = vec![result];
    let got = match connection.publish_one(submission(), None).await {
        Ok(result) => {
            assert_eq!(result, Ok(given));
            Ok(())
        }
        Err(TransportError::Postmark(wrong)) => Err(wrong),
        Err(other) => panic!("{other}"),
    };
    assert_eq!(got, expected, "{given:?}");
}

#[tokio::test]
async fn postmark_is_believed_if_the_operator_signed_it_for_this_envelope() {
    let right = postmark(4);
    let somebody = PrivateKeySigner::from_slice(&[6; 32]).unwrap();
    check_postmark(signed(right, &operator()), Ok(())).await;
    check_postmark(signed(right, &somebody), Err(WrongPostmark::Signature)).await;
    let other = Postmark { operator: somebody.address(), ..right };
    check_postmark(signed(other, &somebody), Err(WrongPostmark::Operator)).await;
    let other = Postmark { network: NetworkId::new(1, POSTAGE), ..right };
    check_postmark(signed(other, &operator()), Err(WrongPostmark::Network)).await;
    let other = Postmark { envelope: B256::repeat_byte(3).0.into(), ..right };
    check_postmark(signed(other, &operator()), Err(WrongPostmark::Envelope)).await;
    let other = Postmark { cancelled: cancelled_hash(&[FieldElement::from(1).into()]), ..right };
    check_postmark(signed(other, &operator()), Err(WrongPostmark::Cancelled)).await;
    let altered = SignedPostmark { postmark: Postmark { cursor: Cursor(5), ..right }, ..signed(right, &operator()) };
    check_postmark(altered, Err(WrongPostmark::Signature)).await;
}

#[tokio::test]
async fn refusal_comes_back_as_it_was_meant() {
    let (world, connection) = connected().await;
    let refusal = Refusal::RequirementUnmet { unmet: Requirement::Member, asked_by: AskedBy::Account };
    let result = publish_result::Result::Refusal(refusal.clone().into());
    world.said.lock().unwrap().results = vec![wire::PublishResult { result: Some(result) }];
    assert_eq!(connection.publish_one(submission(), None).await.unwrap(), Err(refusal));
}

#[tokio::test]
async fn every_submission_gets_one_result_or_none_is_believed() {
    let (_world, connection) = connected().await;
    assert!(matches!(connection.publish_one(submission(), None).await, Err(TransportError::Unfitting(_))));
}

#[tokio::test]
async fn page_holds_records_of_the_topic_in_order() {
    let (world, connection) = connected().await;
    let record = |cursor| {
        wire::Record::from(Record { submission: submission(), postmark: signed(postmark(cursor), &operator()) })
    };
    let elsewhere = Topic::Invite(Account::externally_owned(Address::repeat_byte(2)));
    for (records, topic, after, order, good) in [
        (vec![record(3), record(5)], topic(), 0, Order::OldestFirst, true),
        (vec![record(5), record(3)], topic(), 0, Order::NewestFirst, true),
        (vec![record(5), record(3)], topic(), 0, Order::OldestFirst, false),
        (vec![record(3), record(3)], topic(), 0, Order::OldestFirst, false),
        (vec![record(3)], topic(), 3, Order::OldestFirst, false),
        (vec![record(3)], elsewhere, 0, Order::OldestFirst, false),
    ] {
        let cursors: Vec<_> = records.iter().map(|it| it.postmark.as_ref().unwrap().cursor).collect();
        world.said.lock().unwrap().records = records;
        let page = connection.query(topic, Cursor(after), order, 10).await;
        assert_eq!(page.is_ok(), good, "{cursors:?} after {after}, {order:?}: {page:?}");
    }
    // The same for the record that a key bundle comes in.
    assert!(connection.key_bundle(Account::externally_owned(Address::repeat_byte(1))).await.is_err());
}

#[tokio::test]
async fn network_and_verifying_key_must_be_the_clients() {
    let world = serve(Liar::new()).await;
    let greet = Node::greet(&world.url, NetworkId::new(1, POSTAGE), KEY).await;
    assert!(matches!(greet, Err(TransportError::OtherNetwork { .. })));
    let greet = Node::greet(&world.url, network(), B256::ZERO).await;
    assert!(matches!(greet, Err(TransportError::OtherVerifyingKey { .. })));

    // A name that its own chain and contract do not make.
    let mut liar = Liar::new();
    liar.network.chain_id = 1;
    let world = serve(liar).await;
    let greet = Node::greet(&world.url, network(), KEY).await;
    assert!(matches!(greet, Err(TransportError::OtherNetwork { .. })));
}

#[tokio::test]
async fn root_or_bucket_of_wrong_numbers_is_malformed() {
    let (_world, connection) = connected().await;
    let group = StampGroup { denomination: Denomination::ALL[0], issue: Issue(1) };
    assert!(matches!(connection.roots(group).await, Err(TransportError::Malformed(_))));
    let root = FieldElement::from(1).into();
    assert!(matches!(connection.bucket(group, root, 0).await, Err(TransportError::Malformed(_))));
}

#[tokio::test]
async fn busy_node_is_asked_again_and_a_refusal_is_not() {
    let (world, connection) = connected().await;
    let account = Account::externally_owned(Address::repeat_byte(1));
    let calls = || std::mem::take(&mut world.said.lock().unwrap().calls);
    calls();

    world.said.lock().unwrap().busy = 2;
    assert!(connection.query(topic(), Cursor(0), Order::OldestFirst, 1).await.is_ok());
    assert_eq!(calls(), 3);

    world.said.lock().unwrap().status = Some(refused(Code::NoSuchInbox, tonic::Code::NotFound));
    assert_eq!(connection.key_bundle(account).await.unwrap(), None);
    assert_eq!(connection.requirements(topic()).await.unwrap_err().code(), Some(Code::NoSuchInbox));
    assert_eq!(calls(), 2);
}

#[tokio::test]
async fn nobody_there_is_said_with_the_address() {
    let free = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let url: Url = format!("http://{}", free.local_addr().unwrap()).parse().unwrap();
    drop(free);
    let error = Node::greet(&url, network(), KEY).await.unwrap_err();
    assert!(matches!(&error, TransportError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains(url.as_str()), "{error}");
    for address in ["ftp://somewhere", "https://somewhere"] {
        let error = Node::greet(&address.parse().unwrap(), network(), KEY).await.unwrap_err();
        assert!(matches!(error, TransportError::Address(_)), "{error}");
    }
}
