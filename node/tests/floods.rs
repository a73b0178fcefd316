//! Floods of everything that is refused, from many connections: the node's memory stays bounded, and nothing is stored.

#![allow(clippy::unwrap_used)] // A test may.

mod hostile;
mod support;

use std::time::Duration;

use futures_util::future::join_all;
use hostile::{GROWTH_MAX, Kind, Materials, Process, SUBMISSION_BYTES, call};
use support::{Tag, World};
use tonic::transport::Channel;
use xmtp_proto::pass::Pass;
use xmtp_proto::refusal::{Code, Refusal};
use xmtp_proto::submission::{MAX_PER_CALL, Submission};
use xmtp_proto::time::Clock;
use xmtp_proto::wire::{self, node_client::NodeClient};

/// Connections that flood, eight to an address.
const CONNECTIONS: u8 = 32;
/// Calls on each, one after the other, of each kind one; 64 submissions in each.
const CALLS: u64 = 9;
/// But of accounts, for whose keys this side has to sign.
const ACCOUNTS: usize = 8;
/// Calls that are begun and not ended, of almost 4 MiB each.
const HALF_CALLS: u8 = 96;

async fn world() -> (World, Materials, Submission) {
    let mut world = World::start().await;
    let bob = world.join(2).await;
    let book = world.buy(1, 4, 11).await;
    let materials = Materials::prepare(&mut world, &bob, &book).await;
    let letter = world.letter(&bob, "an honest letter");
    let stamp = world.stamp(&book, 1, &letter, Tag::ToTopic).await;
    (world, materials, Submission::new(letter, vec![Pass::Stamp(stamp)]).unwrap())
}

fn code(result: wire::PublishResult) -> Option<Code> {
    support::outcome(result).err().as_ref().map(Refusal::code)
}

/// Calls of this kind, and of the others after it; returns how often each of them was not refused as it should be.
async fn flood(mut client: NodeClient<Channel>, materials: &Materials, connection: u8) -> usize {
    let mut wrong = 0;
    for number in 0..CALLS {
        let kind = Kind::ALL[(usize::from(connection) + usize::try_from(number).unwrap()) % Kind::ALL.len()];
        let base = u64::from(connection) << 32 | number << 8;
        let count = if kind == Kind::FreshAccount { ACCOUNTS } else { MAX_PER_CALL };
        let submissions = (0..).take(count).map(|it| materials.make(kind, base + it)).collect();
        let results = client.publish(call(submissions)).await.unwrap().into_inner().results;
        // Who sends bad proofs is told to come back, and so is who comes when too much waits.
        let expected = [Some(kind.code()), Some(Code::Overloaded)];
        wrong += results.into_iter().filter(|it| !expected.contains(&code(it.clone()))).count();
    }
    wrong
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_of_every_kind_leave_memory_bounded_and_nothing_in_the_log() {
    let (mut world, materials, honest) = world().await;
    let limit = SUBMISSION_BYTES.to_string();
    let environment = [
        ("XMTP_NODE_RULES__JOINING", "stamp(1)"),
        ("XMTP_NODE_LIMITS__SUBMISSION_BYTES", limit.as_str()),
        ("XMTP_NODE_LIMITS__BAD_PROOFS_PER_IP", "64"),
    ];
    let process = Process::run(&mut world, &environment).await;
    let before = process.resident_bytes();
    let floods = async {
        let mut clients = Vec::new();
        for connection in 0..CONNECTIONS {
            clients.push(process.client_from(2 + connection / 8).await);
        }
        let floods = clients.into_iter().zip(0..).map(|(client, connection)| flood(client, &materials, connection));
        join_all(floods).await.into_iter().sum::<usize>()
    };
    let (highest, wrong) = process.highest_while(floods).await;
    assert_eq!(wrong, 0, "submissions that were not refused as their kind is");
    let grown = highest.saturating_sub(before);
    assert!(grown < GROWTH_MAX, "{} MiB more than before", grown >> 20);

    // The next position in the log is the honest letter's: nothing came between.
    let last = world.publish(honest.clone()).await.unwrap().postmark.cursor;
    assert_eq!(world.publish(honest).await.unwrap().postmark.cursor, last, "sent again, it is the same letter");
    // Bob's bundle, the opening, and this.
    assert_eq!(last.0, 3);
    // An address that sent too many bad proofs is cut off: nothing of it is proved, and all else goes on.
    let mut culprit = process.client_from(99).await;
    for number in 0.. {
        let bad = (0..).take(MAX_PER_CALL).map(|it| materials.make(Kind::BadProof, number << 8 | it)).collect();
        let results = culprit.publish(call(bad)).await.unwrap().into_inner().results;
        let long = |it: wire::PublishResult| matches!(support::outcome(it), Err(Refusal::Overloaded { retry_after }) if retry_after > Duration::from_secs(30));
        if results.into_iter().all(long) {
            break;
        }
        assert!(number < 100, "never cut off");
    }
    let unpaid = culprit.publish(call(vec![materials.make(Kind::Unpaid, 0)])).await.unwrap().into_inner().results;
    assert_eq!(code(unpaid[0].clone()), Some(Code::RequirementUnmet));
}

/// How much the node's memory grows while so many calls of almost 4 MiB come and do not end, with this much room for them.
async fn growth_by_half_calls(world: &mut World, room: u64) -> u64 {
    let room = room.to_string();
    let environment =
        [("XMTP_NODE_LIMITS__SUBMISSION_BYTES", room.as_str()), ("XMTP_NODE_LIMITS__SUBMISSION_BYTES_PER_IP", &room)];
    let process = Process::run(world, &environment).await;
    let before = process.resident_bytes();
    let half_calls = async {
        let mut connections = Vec::new();
        for number in 0..HALF_CALLS {
            connections.push(HalfCall::begin(&process, 2 + number / 16).await);
        }
        for connection in &mut connections {
            connection.taken().await;
        }
    };
    process.highest_while(half_calls).await.0.saturating_sub(before)
}

/// A call of which all but the end was sent.
struct HalfCall {
    body: h2::SendStream<bytes::Bytes>,
    response: h2::client::ResponseFuture,
    _connection: tokio::task::JoinSet<Result<(), h2::Error>>,
}

impl HalfCall {
    async fn begin(process: &Process, last: u8) -> Self {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(std::net::SocketAddr::from(([127, 0, 0, last], 0))).unwrap();
        let socket = socket.connect(process.address).await.unwrap();
        let (requests, connection) = h2::client::handshake(socket).await.unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(connection);
        let request = http::Request::post("http://node/xmtp.v1.Node/Publish")
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())
            .unwrap();
        let (response, mut body) = requests.ready().await.unwrap().send_request(request, false).unwrap();
        let message = [&[0, 0, 0x40, 0, 0][..], &vec![7; (4 << 20) - 4096]].concat();
        body.send_data(message.into(), false).unwrap();
        Self { body, response, _connection: tasks }
    }

    /// Waits until all of it was taken, or the call was refused.
    async fn taken(&mut self) {
        let all_sent = async {
            self.body.reserve_capacity(1);
            while let Some(Ok(0)) = std::future::poll_fn(|context| self.body.poll_capacity(context)).await {}
        };
        tokio::select! {
            () = all_sent => {}
            _ = &mut self.response => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_never_end_hold_no_more_memory_than_there_is_room_for() {
    let mut world = World::start().await;
    let bounded = growth_by_half_calls(&mut world, SUBMISSION_BYTES).await;
    assert!(bounded < GROWTH_MAX, "{} MiB more than before", bounded >> 20);
    // The control: with room for all of them the same bound is broken.
    let unbounded = growth_by_half_calls(&mut world, 1 << 40).await;
    assert!(unbounded > GROWTH_MAX, "{} MiB only, so the bound shows nothing", unbounded >> 20);
}

#[tokio::test]
async fn accounts_that_nobody_knows_join_no_faster_than_they_may() {
    let (mut world, materials, _) = world().await;
    let process = Process::run(&mut world, &[("XMTP_NODE_LIMITS__NEW_ACCOUNTS_PER_MINUTE", "20")]).await;
    let began = Clock::system().now();
    let mut joined = 0;
    for connection in 2..6 {
        let submissions = (0..).take(MAX_PER_CALL).map(|it| materials.make(Kind::FreshAccount, connection << 32 | it));
        let mut client = process.client_from(u8::try_from(connection).unwrap()).await;
        for result in client.publish(call(submissions.collect())).await.unwrap().into_inner().results {
            match code(result) {
                None => joined += 1,
                code => assert_eq!(code, Some(Code::Overloaded)),
            }
        }
    }
    let minutes = 1 + Clock::system().now().since(began).as_secs() / 60;
    assert!((1..=20 * (minutes + 1)).contains(&joined), "{joined} joined in {minutes} minutes");
}
