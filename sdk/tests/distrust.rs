//! What the client does when a node lies: nothing that it says and that can be checked is believed.

#![allow(clippy::unwrap_used)] // A test may.

use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use alloy::primitives::{Address, B256};
use alloy::signers::SignerSync;
use alloy::signers::local::PrivateKeySigner;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt};
use url::Url;
use xmtp_contracts::Deployment;
use xmtp_proto::account::Account;
use xmtp_proto::derive::{Denomination, Issue, NetworkId, cancelled_hash};
use xmtp_proto::envelope::Envelope;
use xmtp_proto::field::FieldElement;
use xmtp_proto::policy::{Policy, SignedPolicy};
use xmtp_proto::postmark::{Cursor, Postmark, SignedPostmark};
use xmtp_proto::record::Record;
use xmtp_proto::refusal::{AskedBy, Code, Refusal};
use xmtp_proto::requirement::Requirement;
use xmtp_proto::submission::Submission;
use xmtp_proto::time::Timestamp;
use xmtp_proto::topic::Topic;
use xmtp_proto::wire::node_server::{Node as Service, NodeServer};
use xmtp_proto::wire::subscribe_response::Event as Streamed;
use xmtp_proto::wire::{self, publish_result};
use xmtp_prover::VerifyingKey;
use xmtp_sdk::client::{Client, PublishError};
use xmtp_sdk::content::Content;
use xmtp_sdk::identity::Identity;
use xmtp_sdk::inbox::{Inbox, Message, Reason, Which};
use xmtp_sdk::invite::{Invitation, seal_invite};
use xmtp_sdk::state::RememberError;
use xmtp_sdk::transport::{
    Authorities, Connection, Event, Filter, Node, Order, Prefix, Proxies, Role, StampGroup, TransportError,
    WrongPostmark,
};

const CHAIN: u64 = 31_337;
const POSTAGE: Address = Address::repeat_byte(7);

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
    stretch: wire::QueryConversationsResponse,
    events: Vec<Option<Streamed>>,
    status: Option<Status>,
    /// Calls that fail before one is answered.
    busy: usize,
    calls: usize,
    /// If it keeps a log, all of it: then it accepts what it is given, and answers out of that.
    log: Option<Vec<Record>>,
}

impl Said {
    fn keep(&mut self, submission: Submission) -> SignedPostmark {
        let log = self.log.as_mut().unwrap();
        let cursor = Cursor(log.len() as u64 + 1);
        let envelope = submission.envelope().id(network());
        let postmark = signed(Postmark { envelope, ..postmark(cursor.0) }, &operator());
        log.push(Record { submission, postmark });
        postmark
    }

    /// What stands on a topic, the oldest first.
    fn on(&self, topic: Topic) -> Vec<Record> {
        let log = self.log.iter().flatten();
        log.filter(|record| record.submission.envelope().topic == topic).cloned().collect()
    }
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
            verifying_key: VerifyingKey::dev().keccak().to_vec(),
            issue_seconds: 100,
            invite_requirement: Some(nothing.clone()),
            joining_requirement: Some(nothing),
            now_ns: 1,
            member_limit: 256,
            conversation_bits: 0,
            congestion_steps: Vec::new(),
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
    type SubscribeStream = Pin<Box<dyn Stream<Item = Result<wire::SubscribeResponse, Status>> + Send>>;

    async fn get_network(
        &self,
        _: Request<wire::GetNetworkRequest>,
    ) -> Result<Response<wire::GetNetworkResponse>, Status> {
        self.answer(|_| self.network.clone())
    }

    async fn publish(&self, request: Request<wire::PublishRequest>) -> Result<Response<wire::PublishResponse>, Status> {
        let publications = request.into_inner().publications;
        self.answer(|said| {
            if said.log.is_none() {
                return wire::PublishResponse { results: said.results.clone() };
            }
            let keep = |it: wire::Publication| {
                let postmark = said.keep(it.submission.unwrap().try_into().unwrap());
                wire::PublishResult { result: Some(publish_result::Result::Postmark(postmark.into())) }
            };
            wire::PublishResponse { results: publications.into_iter().map(keep).collect() }
        })
    }

    async fn query(&self, request: Request<wire::QueryRequest>) -> Result<Response<wire::QueryResponse>, Status> {
        let wire::QueryRequest { topic, descending, .. } = request.into_inner();
        self.answer(|said| {
            let mut kept = said.on(topic.parse().unwrap());
            if descending {
                kept.reverse();
                kept.truncate(1);
            }
            let kept = kept.into_iter().map(wire::Record::from);
            wire::QueryResponse { records: said.records.iter().cloned().chain(kept).collect(), more: false }
        })
    }

    async fn query_conversations(
        &self,
        _: Request<wire::QueryConversationsRequest>,
    ) -> Result<Response<wire::QueryConversationsResponse>, Status> {
        self.answer(|said| said.stretch.clone())
    }

    async fn query_contacts(
        &self,
        _: Request<wire::QueryContactsRequest>,
    ) -> Result<Response<wire::QueryContactsResponse>, Status> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn subscribe(&self, _: Request<wire::SubscribeRequest>) -> Result<Response<Self::SubscribeStream>, Status> {
        self.answer(|said| {
            let events: Vec<_> = said.events.drain(..).map(|event| Ok(wire::SubscribeResponse { event })).collect();
            // Then it is silent.
            Box::pin(tokio_stream::iter(events).chain(tokio_stream::pending())) as Self::SubscribeStream
        })
    }

    async fn get_requirements(
        &self,
        _: Request<wire::GetRequirementsRequest>,
    ) -> Result<Response<wire::GetRequirementsResponse>, Status> {
        self.answer(|_| wire::GetRequirementsResponse::default())
    }

    async fn get_key_bundle(
        &self,
        request: Request<wire::GetKeyBundleRequest>,
    ) -> Result<Response<wire::GetKeyBundleResponse>, Status> {
        let topic = Topic::Contact(request.into_inner().account.parse().unwrap());
        let answer = self.answer(|said| {
            let kept = said.on(topic).pop().map(wire::Record::from);
            wire::GetKeyBundleResponse { record: said.records.first().cloned().or(kept) }
        })?;
        let keeps = self.said.lock().unwrap().log.is_some();
        if keeps && answer.get_ref().record.is_none() {
            return Err(refused(Code::NoSuchInbox, tonic::Code::NotFound));
        }
        Ok(answer)
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

/// Another way to a service, which breaks when the tasks are dropped.
async fn forwarded(to: &Url) -> (Url, JoinSet<()>) {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let to = to.socket_addrs(|| None).unwrap()[0];
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut near, _)) = listener.accept().await {
            connections.spawn(async move {
                let mut far = TcpStream::connect(to).await.unwrap();
                // Ends with either side.
                let _ = copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    (url, tasks)
}

async fn greet(url: &Url) -> Result<Node, TransportError> {
    greet_as(url, network(), VerifyingKey::dev().keccak()).await
}

async fn greet_as(url: &Url, network: NetworkId, verifying_key: B256) -> Result<Node, TransportError> {
    Node::greet(url, &Proxies::default(), &Authorities::default(), network, verifying_key).await
}

async fn connected() -> (World, Connection) {
    let world = serve(Liar::new()).await;
    let node = greet(&world.url).await.unwrap();
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
async fn postmark_of_an_earlier_attempt_may_name_others_of_the_letters_passes() {
    let [stake_today, stake_before, stamp, other] = [1, 2, 3, 4].map(|it| FieldElement::from(it).into());
    for (sentence, cancelled, good) in [
        ("both", vec![stake_today, stamp], true),
        ("both, on another day", vec![stake_before, stamp], true),
        ("the first alone", vec![stake_today], true),
        ("the first alone, on another day", vec![stake_before], true),
        ("the second alone", vec![stamp], true),
        // It was accepted before with a pass that cancels nothing, such as a connection.
        ("none", vec![], true),
        ("in another order", vec![stamp, stake_today], false),
        ("one source on two days", vec![stake_before, stake_today], false),
        ("one more", vec![stake_today, stamp, other], false),
        ("another one", vec![other], false),
    ] {
        let (world, connection) = connected().await;
        let given = signed(Postmark { cancelled: cancelled_hash(&cancelled), ..postmark(4) }, &operator());
        let result = wire::PublishResult { result: Some(publish_result::Result::Postmark(given.into())) };
        world.said.lock().unwrap().results = vec![result];
        let belonging = vec![vec![stake_before, stake_today], vec![stamp]];
        let got = connection.publish_letter(submission(), belonging).await;
        assert_eq!(got.is_ok(), good, "{sentence}: {got:?}");
    }
}

#[tokio::test]
async fn postmark_is_not_looked_for_among_more_choices_than_a_letter_has() {
    let nullifiers: Vec<_> = (1..=20_u64).map(|it| vec![FieldElement::from(it).into()]).collect();
    let last = *nullifiers.last().unwrap().first().unwrap();
    let (world, connection) = connected().await;
    let given = signed(Postmark { cancelled: cancelled_hash(&[last]), ..postmark(4) }, &operator());
    let result = wire::PublishResult { result: Some(publish_result::Result::Postmark(given.into())) };
    world.said.lock().unwrap().results = vec![result];
    let got = connection.publish_letter(submission(), nullifiers).await;
    assert!(matches!(got, Err(TransportError::Postmark(WrongPostmark::Cancelled))), "{got:?}");
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
    let other = greet_as(&world.url, NetworkId::new(1, POSTAGE), VerifyingKey::dev().keccak()).await;
    assert!(matches!(other, Err(TransportError::OtherNetwork { .. })));
    let other = greet_as(&world.url, network(), B256::ZERO).await;
    assert!(matches!(other, Err(TransportError::OtherVerifyingKey { .. })));

    // A name that its own chain and contract do not make.
    let mut liar = Liar::new();
    liar.network.chain_id = 1;
    let world = serve(liar).await;
    assert!(matches!(greet(&world.url).await, Err(TransportError::OtherNetwork { .. })));

    // One that wants to know which conversations are read.
    let mut liar = Liar::new();
    liar.network.conversation_bits = 17;
    let world = serve(liar).await;
    let answer = greet(&world.url).await;
    assert!(matches!(answer, Err(TransportError::Malformed(_))), "{answer:?}");
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
    let error = greet(&url).await.unwrap_err();
    assert!(matches!(&error, TransportError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains(url.as_str()), "{error}");
    for address in ["ftp://somewhere", "unix:/run/node"] {
        let error = greet(&address.parse().unwrap()).await.unwrap_err();
        assert!(matches!(error, TransportError::Address(_)), "{error}");
    }
}

/// A client of the world's node, which keeps a log.
async fn client(world: &World, person: u8, home: &Path) -> Client {
    world.said.lock().unwrap().log.get_or_insert_default();
    let deployment = Deployment {
        chain_id: CHAIN,
        block: 0,
        token: Address::ZERO,
        postage: POSTAGE,
        poseidon: Address::ZERO,
        settlement: Address::ZERO,
        network_id: network().0,
        unit_price: 1,
        issue_seconds: 100,
        burn_bps: 3000,
        bond_bps: 1000,
        stake: None,
        claims: None,
        offered_claims: Vec::new(),
        verifying_key: None,
        tier_names: std::collections::BTreeMap::new(),
    };
    Client::builder(wallet(person), deployment, home.to_owned()).node(world.url.clone()).connect().await.unwrap()
}

fn wallet(person: u8) -> PrivateKeySigner {
    PrivateKeySigner::from_slice(&[person; 32]).unwrap()
}

#[tokio::test]
async fn policy_that_the_account_did_not_sign_is_not_continued() {
    let (world, home) = (serve(Liar::new()).await, tempfile::tempdir().unwrap());
    let alice = client(&world, 1, home.path()).await;
    alice.create_identity().await.unwrap();
    let planted = Policy {
        account: alice.account(),
        version: u64::MAX - 1,
        requirement: Requirement::Connection,
        blocked_tags: vec![FieldElement::from(1).into()],
        revoked_attestations: Vec::new(),
    };
    let ciphertext = SignedPolicy::new(network(), planted, |_| [0; 64]).unwrap().to_bytes();
    let envelope = Envelope { topic: Topic::Policy(alice.account()), sent_at: Timestamp::from_secs(1), ciphertext };
    world.said.lock().unwrap().keep(Submission::new(envelope, Vec::new()).unwrap());

    let signed = alice.set_policy(Requirement::Member).await.unwrap().signed;
    assert_eq!((signed.policy().version, signed.policy().blocked_tags.as_slice()), (1, &[][..]));
}

#[tokio::test]
async fn no_two_policies_of_one_version_are_signed_for_a_node_that_forgets() {
    let (world, home) = (serve(Liar::new()).await, tempfile::tempdir().unwrap());
    let alice = client(&world, 1, home.path()).await;
    alice.create_identity().await.unwrap();
    for at_least in [1, 2] {
        alice.set_policy(Requirement::Stamp { at_least, tagged: false }).await.unwrap();
    }
    for left in [1, 0] {
        world.said.lock().unwrap().log.as_mut().unwrap().pop();
        assert_eq!(world.said.lock().unwrap().on(Topic::Policy(alice.account())).len(), left);
        let refused = alice.set_policy(Requirement::Member).await.unwrap_err();
        assert!(matches!(refused, PublishError::Remember(RememberError::RolledBack { .. })), "{refused}");
    }
}

#[tokio::test]
async fn letter_under_keys_that_the_wallet_replaced_is_not_genuine_unless_it_was_read_before() {
    let (world, home) = (serve(Liar::new()).await, tempfile::tempdir().unwrap());
    let bob = client(&world, 2, home.path()).await;
    let to = bob.create_identity().await.unwrap().published.bundle;
    let write = async |revision: u32, text: &str| {
        let now = Timestamp::from_secs(1_795_003_200);
        let alice = Identity::create(&wallet(1), network(), revision, now).await.unwrap();
        let letter = Invitation::new(Content::text(text).ok()).unwrap();
        let envelope = seal_invite(&alice, &to, now, &letter).unwrap();
        world.said.lock().unwrap().keep(Submission::new(envelope, Vec::new()).unwrap());
    };
    let texts = async || {
        let Inbox { messages, unverified, blocked: _ } = bob.inbox(Which::All).await.unwrap();
        assert!(unverified.iter().all(|it| matches!(it.reason, Reason::KeysReplaced(_))), "{unverified:?}");
        let text = |message: &Message| message.content.as_ref().unwrap().as_text().unwrap().to_owned();
        (messages.iter().map(text).collect::<Vec<_>>(), unverified.len())
    };
    write(1, "before").await;
    assert_eq!(texts().await, (vec!["before".to_owned()], 0));
    write(2, "with new keys").await;
    write(1, "by a thief of the old ones").await;
    let genuine = vec!["before".to_owned(), "with new keys".to_owned()];
    assert_eq!(texts().await, (genuine.clone(), 1));
    assert_eq!(texts().await, (genuine, 1), "the same when it is read again");
}

#[tokio::test]
async fn stretch_is_believed_as_far_as_it_can_be_true() {
    let envelope = Envelope {
        topic: Topic::Conversation(B256::repeat_byte(0xa5)),
        sent_at: Timestamp::from_secs(1),
        ciphertext: vec![1, 2, 3],
    };
    let submission = Submission::new(envelope, Vec::new()).unwrap();
    let id = submission.envelope().id(network());
    let record = |cursor, by: &PrivateKeySigner| {
        let postmark = Postmark { envelope: id, cancelled: cancelled_hash(&[]), ..postmark(cursor) };
        wire::Record::from(Record { submission: submission.clone(), postmark: signed(postmark, by) })
    };
    let mine = |cursors: &[u64]| cursors.iter().map(|cursor| record(*cursor, &operator())).collect::<Vec<_>>();
    let fits = Prefix::of(B256::repeat_byte(0xa7), 6);
    let (world, connection) = connected().await;
    // What was asked for behind cursor 5, what came, up to where, whether there was more, and whether it is believed.
    for (sentence, prefix, records, seen, more, believed) in [
        ("a page", fits, mine(&[6, 9]), 11, true, true),
        ("nothing there", fits, mine(&[]), 5, false, true),
        ("nothing there yet", fits, mine(&[]), 10_005, true, true),
        ("another prefix", Prefix::of(B256::ZERO, 1), mine(&[6]), 6, false, false),
        ("a record from before", fits, mine(&[5]), 6, false, false),
        ("a record twice", fits, mine(&[6, 6]), 6, false, false),
        ("less than came", fits, mine(&[6, 9]), 8, true, false),
        ("a page that goes back", fits, mine(&[]), 4, true, false),
        ("no way on", fits, mine(&[]), 5, true, false),
        ("a forged postmark", fits, vec![record(6, &PrivateKeySigner::random())], 6, false, false),
    ] {
        world.said.lock().unwrap().stretch = wire::QueryConversationsResponse { records, seen, more };
        let answer = connection.query_conversations(prefix, Cursor(5), 100).await;
        assert_eq!(answer.is_ok(), believed, "{sentence}: {answer:?}");
        assert!(answer.is_ok() || !answer.unwrap_err().is_passing(), "{sentence}");
    }
}

#[tokio::test]
async fn stream_is_believed_as_far_as_it_can_be_true() {
    let record = |cursor| {
        let record = Record { submission: submission(), postmark: signed(postmark(cursor), &operator()) };
        Some(Streamed::Record(record.into()))
    };
    let forged = Record { submission: submission(), postmark: signed(postmark(9), &PrivateKeySigner::random()) };
    let seen = |cursor| Some(Streamed::Seen(cursor));
    let mine = Filter::Topic(topic());
    let others = Filter::Topic(Topic::Contact(Account::externally_owned(Address::repeat_byte(1))));
    let all = Filter::Conversations(Prefix::of(B256::ZERO, 0));
    // What was subscribed to behind cursor 5, what came, and how much of it is believed.
    for (sentence, filters, events, believed) in [
        ("history and news", vec![mine], vec![record(6), seen(8), seen(8), record(9), seen(9)], 5),
        ("either filter", vec![all, others, mine], vec![record(6)], 1),
        ("another topic", vec![others], vec![record(6)], 0),
        ("an invite among conversations", vec![all], vec![record(6)], 0),
        ("a record from before", vec![mine], vec![record(5)], 0),
        ("a record twice", vec![mine], vec![record(6), record(6)], 1),
        ("a record that was said to be seen", vec![mine], vec![seen(8), record(8)], 1),
        ("a stream that goes back", vec![mine], vec![record(8), seen(7)], 1),
        ("a forged postmark", vec![mine], vec![seen(6), Some(Streamed::Record(forged.into()))], 1),
        ("nothing", vec![mine], vec![None], 0),
    ] {
        let (world, connection) = connected().await;
        let count = events.len();
        world.said.lock().unwrap().events = events;
        let mut subscription = connection.subscribe(filters, Cursor(5)).await.unwrap();
        for _ in 0..believed {
            assert!(matches!(subscription.next().await, Ok(Event::Record(_) | Event::Seen(_))), "{sentence}");
        }
        if believed < count {
            let error = subscription.next().await.unwrap_err();
            assert!(!error.is_passing(), "{sentence}: {error}");
        }
    }
}

#[tokio::test]
async fn stream_that_breaks_or_falls_silent_may_be_asked_again() {
    let (world, connection) = connected().await;
    let mut subscription = connection.subscribe(vec![Filter::Topic(topic())], Cursor(0)).await.unwrap();
    tokio::time::pause();
    let error = subscription.next().await.unwrap_err();
    assert!(error.to_string().contains("silent") && error.is_passing(), "{error}");
    tokio::time::resume();

    let (url, wire) = forwarded(&world.url).await;
    let connection = greet(&url).await.unwrap().open(Role::Mine);
    world.said.lock().unwrap().events = vec![Some(Streamed::Seen(1))];
    let mut subscription = connection.subscribe(vec![Filter::Topic(topic())], Cursor(0)).await.unwrap();
    assert_eq!(subscription.next().await.unwrap(), Event::Seen(Cursor(1)));
    drop(wire);
    let error = subscription.next().await.unwrap_err();
    assert!(!error.to_string().contains("silent") && error.is_passing(), "{error}");
}
