//! Every bound on what a stranger can hold on to, against clients without manners.

#![allow(clippy::unwrap_used)] // A test may.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use alloy::primitives::B256;
use bytes::{BufMut as _, Bytes, BytesMut};
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request};
use prost::Message as _;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use xmtp_node::config::{Config, Overrides};
use xmtp_node::node::Node;
use xmtp_node::store::Entry;
use xmtp_proto::derive::{EnvelopeId, NetworkId};
use xmtp_proto::time::{Clock, Timestamp};
use xmtp_proto::topic::Topic;
use xmtp_proto::wire::node_client::NodeClient;
use xmtp_proto::wire::subscribe_response::Event;
use xmtp_proto::wire::{self, topic_filter};

/// Nothing here may take longer.
const PATIENCE: Duration = Duration::from_secs(20);
/// RFC 9113, section 6.
const GOAWAY: u8 = 7;
const SETTINGS: u8 = 4;
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A node without a chain: limits come before it is asked.
struct Bench {
    node: Node,
    _folder: TempDir,
}

impl Bench {
    async fn start(limits: &str) -> Self {
        Self::start_with(limits, "").await
    }

    async fn start_with(limits: &str, sections: &str) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = TempDir::new().unwrap();
        let path = folder.path().display();
        let postage = alloy::primitives::Address::repeat_byte(1);
        let deployment = serde_json::json!({
            "chainId": 31337, "block": 1, "unitPrice": "1", "issueSeconds": 1000, "burnBps": 3000, "bondBps": 1000,
            "token": postage, "postage": postage, "poseidon": postage, "settlement": postage,
            "networkId": NetworkId::new(31337, postage).0,
        });
        std::fs::write(folder.path().join("deployment.json"), deployment.to_string()).unwrap();
        std::fs::write(folder.path().join("password"), "password").unwrap();
        eth_keystore::encrypt_key(folder.path(), &mut rand_08::thread_rng(), [5; 32], "password", Some("key")).unwrap();
        for name in ["password", "key"] {
            hide(&folder.path().join(name));
        }
        let config = format!(
            r#"
            listen = "127.0.0.1:0"
            data_dir = "{path}/data"
            [operator]
            key_file = "{path}/key"
            password_file = "{path}/password"
            [chain]
            rpc_url = "http://127.0.0.1:1"
            deployment = "{path}/deployment.json"
            [limits]
            {limits}
            {sections}
            "#
        );
        let file = folder.path().join("node.toml");
        std::fs::write(&file, config).unwrap();
        let config = Config::load(&file, &Overrides::default()).unwrap();
        Self { node: Node::bind(config, Clock::system()).await.unwrap(), _folder: folder }
    }

    fn address(&self) -> SocketAddr {
        self.node.address()
    }

    async fn client(&self) -> NodeClient<Channel> {
        NodeClient::connect(format!("http://{}", self.address())).await.unwrap()
    }

    async fn is_served(&self) -> bool {
        match NodeClient::connect(format!("http://{}", self.address())).await {
            Ok(mut client) => client.get_network(wire::GetNetworkRequest {}).await.is_ok(),
            Err(_) => false,
        }
    }

    /// Puts an envelope of so many bytes on the topic that [`subscription`] reads.
    async fn append(&self, number: u64, bytes: usize) {
        let topic = topic();
        let mut ciphertext = vec![0; bytes];
        ciphertext[..8].copy_from_slice(&number.to_be_bytes());
        let id = EnvelopeId::new(NetworkId(B256::ZERO), &topic, Timestamp::default(), &ciphertext);
        let envelope = wire::Envelope { topic: topic.to_string(), sent_at_ns: 0, ciphertext };
        let submission = wire::Submission { envelope: Some(envelope), passes: Vec::new() };
        self.node.store().append(Entry::new(id, topic, submission)).await.unwrap();
    }
}

fn topic() -> Topic {
    Topic::Conversation(B256::repeat_byte(7))
}

fn subscription() -> wire::SubscribeRequest {
    let filter = wire::TopicFilter { filter: Some(topic_filter::Filter::Topic(topic().to_string())) };
    wire::SubscribeRequest { filters: vec![filter], after: 0 }
}

/// HTTP/2 from below: it answers pings and takes nothing that it is not told to take.
struct Rude {
    requests: SendRequest<Bytes>,
    connection: JoinSet<Result<(), h2::Error>>,
}

impl Rude {
    async fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap()).await
    }

    /// From an address of the loopback network that ends so.
    async fn from(bench: &Bench, last: u8) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, last], 0))).unwrap();
        Self::over(socket.connect(bench.address()).await.unwrap()).await
    }

    async fn over(socket: TcpStream) -> Self {
        let (requests, connection) = h2::client::handshake(socket).await.unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(connection);
        Self { requests: requests.ready().await.unwrap(), connection: tasks }
    }

    fn open(&mut self, method: &str) -> Result<(ResponseFuture, SendStream<Bytes>), h2::Error> {
        let request = Request::post(format!("http://node/xmtp.v1.Node/{method}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())
            .unwrap();
        self.requests.send_request(request, false)
    }

    async fn call(&mut self, method: &str, message: &impl prost::Message) -> (HeaderMap, RecvStream) {
        self.requests = self.requests.clone().ready().await.unwrap();
        let (response, mut body) = self.open(method).unwrap();
        body.send_data(framed(message), true).unwrap();
        let (head, body) = within(response).await.unwrap().into_parts();
        (head.headers, body)
    }

    async fn ended(mut self) -> Result<(), h2::Error> {
        within(self.connection.join_next()).await.unwrap().unwrap()
    }
}

fn framed(message: &impl prost::Message) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_u8(0);
    bytes.put_u32(message.encoded_len().try_into().unwrap());
    message.encode(&mut bytes).unwrap();
    bytes.freeze()
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("an end in time")
}

async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let wait = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("waited in vain: {what}"));
}

/// All that the node says until it closes.
async fn rest(socket: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A reset is an end too.
    let _ = within(socket.read_to_end(&mut bytes)).await;
    bytes
}

/// Frames as (type, payload).
fn frames(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while let Some((head, rest)) = bytes.split_first_chunk::<9>() {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let Some((payload, rest)) = rest.split_at_checked(length) else { break };
        frames.push((head[3], payload.to_vec()));
        bytes = rest;
    }
    frames
}

async fn hello(address: SocketAddr) -> TcpStream {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(PREFACE).await.unwrap();
    socket.write_all(&[0, 0, 0, SETTINGS, 0, 0, 0, 0, 0]).await.unwrap();
    socket
}

#[tokio::test]
async fn settings_are_announced_as_configured() {
    let limits = "streams_per_connection = 7\nheader_bytes = 9000\nframe_bytes = 20000\nstream_window_bytes = 70000\n\
                  connection_window_bytes = 100000\nkeepalive_interval = \"100ms\"\nkeepalive_timeout = \"100ms\"";
    let bench = Bench::start(limits).await;
    // It answers no ping either, so the connection ends.
    let said = rest(&mut hello(bench.address()).await).await;
    let frames = frames(&said);
    let (_, settings) = frames.iter().find(|(kind, payload)| *kind == SETTINGS && !payload.is_empty()).unwrap();
    let value = |id: u16| {
        let found = settings.chunks(6).find(|it| it[..2] == id.to_be_bytes()).unwrap();
        u32::from_be_bytes(found[2..].try_into().unwrap())
    };
    for (name, id, expected) in [
        ("SETTINGS_MAX_CONCURRENT_STREAMS", 3, 7),
        ("SETTINGS_INITIAL_WINDOW_SIZE", 4, 70_000),
        ("SETTINGS_MAX_FRAME_SIZE", 5, 20_000),
        ("SETTINGS_MAX_HEADER_LIST_SIZE", 6, 9_000),
    ] {
        assert_eq!(value(id), expected, "{name}");
    }
    // WINDOW_UPDATE on the connection: beyond the 65,535 that every connection begins with.
    let (_, update) = frames.iter().find(|(kind, _)| *kind == 8).unwrap();
    assert_eq!(u32::from_be_bytes(update[..].try_into().unwrap()), 100_000 - 65_535);
    assert!(frames.iter().any(|(kind, _)| *kind == 6), "no ping before the end");
}

#[tokio::test]
async fn connections_are_bounded_in_all() {
    let bench = Bench::start("connections = 2\nconnections_per_ip = 2").await;
    let (first, second) = (Rude::connect(bench.address()).await, Rude::connect(bench.address()).await);
    let mut third = TcpStream::connect(bench.address()).await.unwrap();
    assert!(rest(&mut third).await.is_empty(), "a third connection was talked to");
    drop((first, second));
    until("a place is free again", async || bench.is_served().await).await;
}

#[tokio::test]
async fn connections_of_one_address_leave_room_for_others() {
    let bench = Bench::start("connections_per_ip = 1").await;
    let _first = Rude::connect(bench.address()).await;
    assert!(rest(&mut TcpStream::connect(bench.address()).await.unwrap()).await.is_empty());
    let other = TcpSocket::new_v4().unwrap();
    other.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut other = other.connect(bench.address()).await.unwrap();
    other.write_all(PREFACE).await.unwrap();
    other.write_all(&[0, 0, 0, SETTINGS, 0, 0, 0, 0, 0]).await.unwrap();
    let mut head = [0; 9];
    within(other.read_exact(&mut head)).await.unwrap();
    assert_eq!(head[3], SETTINGS);
}

#[tokio::test]
async fn handshakes_that_never_end_are_ended() {
    let tls_files = TempDir::new().unwrap();
    let tls = Bench::start_with("handshake_timeout = \"200ms\"", &tls_section(tls_files.path())).await;
    let plain = Bench::start("handshake_timeout = \"200ms\"").await;
    // A ClientHello that announces 512 bytes and stops.
    let half_a_hello = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
    for (sentence, bench, said) in [
        ("nothing, where TLS begins", &tls, &[][..]),
        ("half a ClientHello", &tls, &half_a_hello[..]),
        ("nothing, where HTTP begins", &plain, &[]),
        ("half a preface", &plain, &PREFACE[..10]),
        ("half a request line", &plain, b"POST /xmtp"),
        ("headers that never end", &plain, b"POST /xmtp.v1.Node/GetNetwork HTTP/1.1\r\nhost: node\r\nx-never: "),
    ] {
        let since = Instant::now();
        let mut socket = TcpStream::connect(bench.address()).await.unwrap();
        socket.write_all(said).await.unwrap();
        rest(&mut socket).await;
        let took = since.elapsed();
        assert!((Duration::from_millis(150)..Duration::from_secs(10)).contains(&took), "{sentence}: {took:?}");
    }
    assert!(plain.is_served().await);
}

/// From all but its owner.
fn hide(file: &Path) {
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).unwrap();
}

fn tls_section(folder: &Path) -> String {
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (cert, key) = (folder.join("node.crt"), folder.join("node.key"));
    std::fs::write(&cert, certificate.cert.pem()).unwrap();
    std::fs::write(&key, certificate.signing_key.serialize_pem()).unwrap();
    hide(&key);
    format!("[tls]\ncert_file = \"{}\"\nkey_file = \"{}\"", cert.display(), key.display())
}

#[tokio::test]
async fn requests_that_never_end_are_ended_each_in_its_time() {
    let bench = Bench::start("request_timeout = \"100ms\"\npublish_timeout = \"3s\"").await;
    let mut rude = Rude::connect(bench.address()).await;
    for (method, least, most) in [("Query", 100, 2_900), ("Publish", 3_000, 20_000), ("Subscribe", 100, 2_900)] {
        let since = Instant::now();
        let (response, mut body) = rude.open(method).unwrap();
        body.send_data(Bytes::from_static(&[0, 0, 0, 1, 0, 1]), false).unwrap();
        let response = within(response).await.unwrap();
        let status = Status::from_header_map(response.headers()).unwrap();
        assert_eq!(status.code(), Code::DeadlineExceeded, "{method}");
        let took = since.elapsed();
        assert!((Duration::from_millis(least)..Duration::from_millis(most)).contains(&took), "{method}: {took:?}");
    }
}

#[tokio::test]
async fn time_for_a_request_does_not_end_a_subscription() {
    let bench = Bench::start("request_timeout = \"100ms\"").await;
    let mut stream = bench.client().await.subscribe(subscription()).await.unwrap().into_inner();
    assert_eq!(within(stream.message()).await.unwrap().unwrap().event, Some(Event::Seen(0)));
    tokio::time::sleep(Duration::from_millis(300)).await;
    bench.append(1, 8).await;
    assert!(matches!(within(stream.message()).await.unwrap().unwrap().event, Some(Event::Record(_))));
}

#[tokio::test]
async fn bytes_of_publishes_are_bounded_by_address_and_in_all_while_they_arrive() {
    let bench = Bench::start("submission_bytes = 250000\nsubmission_bytes_per_ip = 100000").await;
    let from = async |last: u8| Rude::from(&bench, last).await;
    // A call of 4 MiB of which so much comes and no more.
    let begin = async |rude: &mut Rude, bytes: usize| {
        let (response, mut body) = rude.open("Publish").unwrap();
        body.send_data([&[0, 0, 0x40, 0, 0][..], &vec![0; bytes]].concat().into(), false).unwrap();
        (response, body)
    };
    // Nothing in it, but for its size.
    let small = wire::PublishRequest { publications: vec![wire::Publication::default(); 1000] };
    let is_taken = async |rude: &mut Rude| {
        let (head, _body) = rude.call("Publish", &small).await;
        match Status::from_header_map(&head) {
            Some(status) if status.code() == Code::ResourceExhausted => {
                assert_eq!(status.get_details_error_info().unwrap().reason, "overloaded");
                assert!(status.get_details_retry_info().is_some());
                false
            }
            // More than fit into a call, but that is another rule.
            _ => true,
        }
    };
    let (mut one, mut again, mut two, mut three) = (from(2).await, from(2).await, from(3).await, from(4).await);
    assert!(is_taken(&mut again).await);
    let held = begin(&mut one, 99_000).await;
    until("an address holds all that it may", async || !is_taken(&mut from(2).await).await).await;
    assert!(!is_taken(&mut again).await, "on another connection, too");
    assert!(is_taken(&mut two).await, "others have room");
    let also = begin(&mut two, 99_000).await;
    let rest = begin(&mut three, 50_000).await;
    until("all hold all that they may", async || !is_taken(&mut from(5).await).await).await;
    drop((held, also, rest));
    until("what is given up is free", async || is_taken(&mut from(2).await).await).await;
}

#[tokio::test]
async fn requests_are_bounded_in_all() {
    let bench = Bench::start("requests = 1").await;
    let mut rude = Rude::connect(bench.address()).await;
    let (_response, mut body) = rude.open("Query").unwrap();
    body.send_data(Bytes::from_static(&[0]), false).unwrap();
    let mut client = bench.client().await;
    until("the first request has come", async || client.clone().get_network(wire::GetNetworkRequest {}).await.is_err())
        .await;
    let status = client.get_network(wire::GetNetworkRequest {}).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(status.get_details_error_info().unwrap().reason, "overloaded");
    assert!(status.get_details_retry_info().unwrap().retry_delay.is_some());
    body.send_reset(Reason::CANCEL);
    until("the first request has gone", async || bench.is_served().await).await;
}

#[tokio::test]
async fn address_has_its_share_of_requests_and_subscriptions_and_leaves_the_rest_to_others() {
    let bench = Bench::start("requests_per_ip = 1\nstreams_per_ip = 1").await;
    let ask = async |rude: &mut Rude, subscribe: bool| {
        let (head, stream) = match subscribe {
            true => rude.call("Subscribe", &subscription()).await,
            false => rude.call("GetNetwork", &wire::GetNetworkRequest {}).await,
        };
        let Some(status) = Status::from_header_map(&head) else { return Ok(stream) };
        assert_eq!(status.get_details_error_info().unwrap().reason, "overloaded");
        Err(status.code())
    };
    let mut one = Rude::from(&bench, 2).await;
    let (_response, mut held) = one.open("Query").unwrap();
    held.send_data(Bytes::from_static(&[0]), false).unwrap();
    until("its one request has come", async || ask(&mut Rude::from(&bench, 2).await, false).await.is_err()).await;
    assert!(ask(&mut Rude::from(&bench, 3).await, false).await.is_ok());
    held.send_reset(Reason::CANCEL);
    until("it is given up", async || ask(&mut Rude::from(&bench, 2).await, false).await.is_ok()).await;

    let (mut same, mut other) = (Rude::from(&bench, 2).await, Rude::from(&bench, 3).await);
    let stream = ask(&mut one, true).await.unwrap();
    assert_eq!(ask(&mut same, true).await.err(), Some(Code::ResourceExhausted));
    assert!(ask(&mut other, true).await.is_ok());
    drop((stream, one));
    until("it has gone", async || ask(&mut Rude::from(&bench, 2).await, true).await.is_ok()).await;
}

#[tokio::test]
async fn oversized_headers_messages_and_frames_are_refused() {
    let bench = Bench::start("").await;
    let mut client = bench.client().await;
    let mut request = tonic::Request::new(wire::GetNetworkRequest {});
    request.metadata_mut().insert("x-large", "x".repeat(20 << 10).parse().unwrap());
    assert!(client.get_network(request).await.is_err(), "20 KiB of headers");
    client.get_network(wire::GetNetworkRequest {}).await.unwrap();

    let envelope = wire::Envelope { ciphertext: vec![0; 5 << 20], ..Default::default() };
    let submission = wire::Submission { envelope: Some(envelope), passes: Vec::new() };
    let publication = wire::Publication { submission: Some(submission), expected_head: None };
    let status = client.publish(wire::PublishRequest { publications: vec![publication] }).await.unwrap_err();
    assert!(matches!(status.code(), Code::OutOfRange | Code::ResourceExhausted), "{status:?}");
    client.get_network(wire::GetNetworkRequest {}).await.unwrap();

    // What publishes nothing needs much less; as many filters as a subscription may have fit.
    let request = wire::QueryRequest { topic: "x".repeat(200 << 10), ..Default::default() };
    let status = client.query(request).await.unwrap_err();
    assert!(matches!(status.code(), Code::OutOfRange | Code::ResourceExhausted), "{status:?}");
    let request = wire::SubscribeRequest { filters: vec![subscription().filters[0].clone(); 1024], after: 0 };
    client.subscribe(request).await.unwrap();

    let mut socket = hello(bench.address()).await;
    // DATA of 16,385 bytes: one more than was announced.
    socket.write_all(&[0, 0x40, 1, 0, 0, 0, 0, 0, 1]).await.unwrap();
    let said = rest(&mut socket).await;
    let (_, goaway) = frames(&said).into_iter().find(|(kind, _)| *kind == GOAWAY).unwrap();
    assert_eq!(goaway[4..8], 6_u32.to_be_bytes(), "FRAME_SIZE_ERROR");
}

/// HPACK (RFC 7541): POST, http, and literals for the rest.
fn headers() -> Vec<u8> {
    let mut headers = vec![0x83, 0x86];
    for (name, value) in [(&[0x04][..], "/xmtp.v1.Node/Query"), (&[0x01], "node"), (&[0x0f, 0x10], "application/grpc")]
    {
        headers.extend_from_slice(name);
        headers.push(value.len().try_into().unwrap());
        headers.extend_from_slice(value.as_bytes());
    }
    headers
}

fn put_frame(flood: &mut BytesMut, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    flood.put_uint(payload.len().try_into().unwrap(), 3);
    flood.put_slice(&[kind, flags]);
    flood.put_u32(stream);
    flood.put_slice(payload);
}

/// The code of the GOAWAY with which the node answers a flood.
async fn outcry(bench: &Bench, flood: &[u8]) -> u32 {
    let mut socket = hello(bench.address()).await;
    // It may hang up before it has read all.
    let _ = socket.write_all(flood).await;
    let said = rest(&mut socket).await;
    let goaway = frames(&said).into_iter().find(|(kind, _)| *kind == GOAWAY).expect("a GOAWAY").1;
    u32::from_be_bytes(goaway[4..8].try_into().unwrap())
}

#[tokio::test]
async fn floods_end_their_connection_and_no_other() {
    let bench = Bench::start("pending_resets = 5\nerror_resets = 5").await;
    let mut neighbour = bench.client().await;
    let headers = headers();
    let [mut resets, mut errors, mut endless, mut empty] = [(); 4].map(|()| BytesMut::new());
    for stream in (1..2000_u32).step_by(2) {
        // HEADERS with END_HEADERS, and RST_STREAM at once.
        put_frame(&mut resets, 1, 4, stream, &headers);
        put_frame(&mut resets, 3, 0, stream, &8_u32.to_be_bytes());
        // With content-length: 0, and DATA all the same, for which the node resets the stream.
        put_frame(&mut errors, 1, 4, stream, &[&headers, &[0x0f, 0x0d, 1, b'0'][..]].concat());
        put_frame(&mut errors, 0, 0, stream, &[0]);
    }
    // HEADERS that CONTINUATION never ends.
    put_frame(&mut endless, 1, 0, 1, &headers);
    for _ in 0..2000 {
        put_frame(&mut endless, 9, 0, 1, b"\x00\x01x\x01y");
    }
    // DATA without data, and without an end.
    put_frame(&mut empty, 1, 4, 1, &headers);
    for _ in 0..2000 {
        put_frame(&mut empty, 0, 0, 1, &[]);
    }
    for (sentence, flood) in [("resets", resets), ("errors", errors), ("headers", endless), ("nothing", empty)] {
        assert_eq!(outcry(&bench, &flood).await, 11, "ENHANCE_YOUR_CALM at {sentence}");
        neighbour.get_network(wire::GetNetworkRequest {}).await.unwrap();
    }
}

/// The next frame: type, stream, payload.
async fn frame(socket: &mut TcpStream) -> (u8, u32, Vec<u8>) {
    let mut head = [0; 9];
    within(socket.read_exact(&mut head)).await.unwrap();
    let number = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte));
    let mut payload = vec![0; number(&head[..3]) as usize];
    within(socket.read_exact(&mut payload)).await.unwrap();
    (head[3], number(&head[5..]), payload)
}

#[tokio::test]
async fn stream_beyond_those_of_its_connection_is_refused_and_the_others_are_answered() {
    let bench = Bench::start("streams_per_connection = 2").await;
    let mut socket = hello(bench.address()).await;
    // Requests that are not finished, from who does not wait to be told how many there may be.
    let mut flood = BytesMut::new();
    for stream in [1, 3, 5] {
        put_frame(&mut flood, 1, 4, stream, &headers());
    }
    socket.write_all(&flood).await.unwrap();
    let refused = loop {
        let (kind, stream, payload) = frame(&mut socket).await;
        if kind == 3 {
            break (stream, payload);
        }
    };
    assert_eq!(refused, (5, 7_u32.to_be_bytes().to_vec()), "REFUSED_STREAM");
    let mut ends = BytesMut::new();
    for stream in [1, 3] {
        // An empty message, and the end.
        put_frame(&mut ends, 0, 1, stream, &[0; 5]);
    }
    socket.write_all(&ends).await.unwrap();
    let mut answered = std::collections::BTreeSet::new();
    while answered.len() < 2 {
        let (kind, stream, _) = frame(&mut socket).await;
        if kind == 1 {
            answered.insert(stream);
        }
    }
    assert_eq!(answered, [1, 3].into());
}

#[tokio::test]
async fn node_that_stops_waits_for_calls_no_longer_than_its_grace() {
    let bench = Bench::start("shutdown_grace = \"500ms\"").await;
    let mut rude = Rude::connect(bench.address()).await;
    let (response, mut body) = rude.open("Publish").unwrap();
    body.send_data(Bytes::from_static(&[0, 0, 0, 1, 0, 1]), false).unwrap();
    // Behind the call on its connection, so that the node has that when this is answered.
    let (_, _answer) = rude.call("GetNetwork", &wire::GetNetworkRequest {}).await;
    let since = Instant::now();
    within(bench.node.shutdown()).await.unwrap();
    let took = since.elapsed();
    assert!((Duration::from_millis(500)..Duration::from_secs(15)).contains(&took), "{took:?}");
    assert!(within(response).await.is_err(), "the call was cut off");
}

#[tokio::test]
async fn stalled_reader_holds_nobody_up_and_is_cut_off() {
    const RECORDS: u64 = 40;
    let bench = Bench::start("streams = 2\nsend_timeout = \"500ms\"").await;
    let mut rude = Rude::connect(bench.address()).await;
    // It takes nothing: its window is 65,535 bytes, and a record is more.
    let (_, mut stalled) = rude.call("Subscribe", &subscription()).await;
    let mut reader = bench.client().await.subscribe(subscription()).await.unwrap().into_inner();
    let appending = async {
        for number in 0..RECORDS {
            bench.append(number, 256 << 10).await;
        }
    };
    let reading = async {
        let mut got = 0;
        while got < RECORDS {
            if let Some(Event::Record(_)) = within(reader.message()).await.unwrap().unwrap().event {
                got += 1;
            }
        }
    };
    tokio::join!(appending, reading);
    // Two streams are all there may be; the stalled one's place becomes free although its connection lives.
    until("the stalled reader has lost its place", async || {
        bench.client().await.subscribe(subscription()).await.is_ok()
    })
    .await;
    // It learns why, should it ever take what it was sent.
    let mut taken = BytesMut::new();
    while let Some(data) = within(stalled.data()).await {
        let data = data.unwrap();
        taken.extend_from_slice(&data);
        stalled.flow_control().release_capacity(data.len()).unwrap();
    }
    let trailers = within(stalled.trailers()).await.unwrap().unwrap();
    let status = Status::from_header_map(&trailers).unwrap();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(taken.len() < 4 * (256 << 10), "{} bytes were kept for a reader that took none", taken.len());
    // And where to go on: behind the last of what it was given, whole.
    let mut last = 0;
    while !taken.is_empty() {
        let length = u32::from_be_bytes(taken.split_to(5)[1..].try_into().unwrap()) as usize;
        let response = wire::SubscribeResponse::decode(taken.split_to(length)).unwrap();
        last = match response.event.unwrap() {
            Event::Record(record) => record.postmark.unwrap().cursor,
            Event::Seen(cursor) => cursor,
        };
    }
    let info = status.get_error_details().error_info().unwrap().clone();
    assert_eq!((info.reason.as_str(), &info.metadata["cursor"]), ("not_taken", &last.to_string()));
    // Its connection is as good as before.
    let (head, _) = rude.call("GetNetwork", &wire::GetNetworkRequest {}).await;
    assert!(Status::from_header_map(&head).is_none_or(|status| status.code() == Code::Ok));
}

#[tokio::test]
async fn idle_connection_is_closed_and_one_with_a_subscription_is_not() {
    let bench = Bench::start("idle_timeout = \"300ms\"").await;
    let mut busy = Rude::connect(bench.address()).await;
    let (_, mut events) = busy.call("Subscribe", &subscription()).await;
    let mut idle = Rude::connect(bench.address()).await;
    let _ = idle.call("GetNetwork", &wire::GetNetworkRequest {}).await;
    idle.ended().await.unwrap();
    bench.append(1, 8).await;
    let mut got = BytesMut::new();
    while got.len() < 50 {
        got.extend_from_slice(&within(events.data()).await.unwrap().unwrap());
    }
}

#[tokio::test]
async fn old_connection_is_told_to_go_and_closed_a_grace_later() {
    let bench = Bench::start("connection_age = \"300ms\"\nconnection_grace = \"300ms\"").await;
    let mut client = bench.client().await;
    let since = Instant::now();
    let mut stream = client.subscribe(subscription()).await.unwrap().into_inner();
    let ended = async { while let Ok(Some(_)) = stream.message().await {} };
    within(ended).await;
    assert!(since.elapsed() >= Duration::from_millis(500), "{:?}", since.elapsed());
    // The same client goes on over a new one.
    until("the client has a new connection", async || {
        client.clone().get_network(wire::GetNetworkRequest {}).await.is_ok()
    })
    .await;
    // Who asks now and then is served, if not always at the first try: a client may hand its request to a connection that
    // has just been told to go.
    for _ in 0..20 {
        let asked = client.get_network(wire::GetNetworkRequest {}).await;
        assert!(asked.is_ok() || client.get_network(wire::GetNetworkRequest {}).await.is_ok());
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

#[tokio::test]
async fn node_under_siege_serves() {
    let bench = Bench::start("connections_per_ip = 512").await;
    let mut siege = Vec::new();
    for _ in 0..200 {
        siege.push(hello(bench.address()).await);
        siege.push(TcpStream::connect(bench.address()).await.unwrap());
    }
    let mut client = bench.client().await;
    let request = wire::QueryRequest { topic: topic().to_string(), ..Default::default() };
    within(client.query(request)).await.unwrap();
}
