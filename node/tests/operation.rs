//! What an operator has of a node: its port, its numbers, its word before the disk is full, TLS, pages that call.

#![allow(clippy::unwrap_used)] // A test may.

mod support;

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use reqwest::StatusCode;
use support::authority::{Authority, Good};
use support::{ADMIN, World, get, keystore, metric, restart_with, restrict, secret, until};
use tonic::transport::{Certificate, Channel, ClientTlsConfig};
use tonic_types::StatusExt as _;
use xmtp_node::config::{Config, Overrides};
use xmtp_node::node::{Node, StartError};
use xmtp_node::server::TlsError;
use xmtp_proto::refusal::Code;
use xmtp_proto::time::Clock;
use xmtp_proto::topic::Topic;
use xmtp_proto::vault::VaultRecord;
use xmtp_proto::wire;
use xmtp_proto::wire::node_client::NodeClient;
use xmtp_proto::wire::subscribe_response::Event;

#[tokio::test]
async fn operator_sees_that_the_node_lives_is_ready_and_what_it_does() {
    let mut world = World::start_with("all()", Clock::manual(Clock::system().now())).await;
    restart_with(&mut world, ADMIN).await;
    assert_eq!(get(&world, "/livez").await.0, StatusCode::OK);
    let (status, text) = get(&world, "/readyz").await;
    assert_eq!(status, StatusCode::OK, "{text}");
    let (_, version) = get(&world, "/version").await;
    let version: serde_json::Value = serde_json::from_str(&version).unwrap();
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(version["chain_id"], 31337);
    assert_eq!(get(&world, "/").await.0, StatusCode::NOT_FOUND);

    let bob = world.join(2).await;
    let letter = world.letter(&bob, "unpaid");
    let unpaid = xmtp_proto::submission::Submission::new(letter, Vec::new()).unwrap();
    world.publish(unpaid).await.unwrap_err();
    let filter = wire::topic_filter::Filter::Topic(Topic::Contact(bob.account).to_string());
    let request = wire::SubscribeRequest { filters: vec![wire::TopicFilter { filter: Some(filter) }], after: 0 };
    let mut stream = world.client.subscribe(request).await.unwrap().into_inner();
    assert!(matches!(stream.message().await.unwrap().unwrap().event, Some(Event::Record(_))));

    for (line, expected) in [
        ("xmtpn_publish_accepted_total", 1.0),
        ("xmtpn_publish_refused_total{code=\"requirement_unmet\"}", 1.0),
        ("xmtpn_publish_refused_total{code=\"nullifier_used\"}", 0.0),
        ("xmtpn_store_log_cursor", 1.0),
        ("xmtpn_store_commit_appends_count", 1.0),
        ("xmtpn_store_commit_seconds_count", 1.0),
        ("xmtpn_api_streams_open", 1.0),
        ("xmtpn_publish_waiting_bytes", 0.0),
        ("xmtpn_node_ready", 1.0),
        ("xmtpn_chain_view_age_seconds", 0.0),
        ("grpc_server_started_total{grpc_type=\"unary\",grpc_service=\"xmtp.v1.Node\",grpc_method=\"Publish\"}", 2.0),
        (
            "grpc_server_handled_total{grpc_type=\"unary\",grpc_service=\"xmtp.v1.Node\",grpc_method=\"Publish\",\
             grpc_code=\"OK\"}",
            2.0,
        ),
        (
            "grpc_server_started_total{grpc_type=\"server_stream\",grpc_service=\"xmtp.v1.Node\",\
             grpc_method=\"Subscribe\"}",
            1.0,
        ),
    ] {
        assert_eq!(metric(&world, line).await, expected, "{line}");
    }
    assert!(metric(&world, "xmtpn_chain_head_block").await > 0.0);
    assert!(metric(&world, "xmtpn_store_disk_free_bytes").await > 0.0);
    assert!(metric(&world, "xmtpn_api_connections_open").await >= 1.0);
    let (_, text) = get(&world, "/metrics").await;
    assert!(!text.to_lowercase().contains(&format!("{:x}", bob.wallet.address())), "{text}");

    // The chain is silent: nothing is ready, and everything is alive.
    signal(world.anvil().child().id(), "STOP");
    world.clock.set(world.clock.now().saturating_add(Duration::from_secs(90)));
    let (status, text) = get(&world, "/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    let reasons: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&reasons["chain_view_fresh"], &reasons["store_open"]), (&false.into(), &true.into()));
    assert_eq!(get(&world, "/livez").await.0, StatusCode::OK);
    assert!(metric(&world, "xmtpn_chain_view_age_seconds").await >= 90.0);
    assert_eq!(metric(&world, "xmtpn_node_ready").await, 0.0);
    signal(world.anvil().child().id(), "CONT");
    until("the node is ready again", async || get(&world, "/readyz").await.0 == StatusCode::OK).await;
}

#[tokio::test]
async fn full_disk_is_said_before_it_is_full() {
    let mut world = World::start().await;
    let bob = support::Person::new(2);
    let bundle = bob.bundle(world.network, 1, 1);
    let joining = bob.own(&world, Topic::Contact(bob.account), bundle.to_bytes());
    let postmark = world.publish(joining.clone()).await.unwrap();

    // A little more than there is: the chain may still use it.
    let watermark = free_bytes(&world) / 4 * 5;
    restart_with(&mut world, &format!("{ADMIN}[limits]\nmin_free_bytes = {watermark}\n")).await;
    let policy = bob.policy(world.network, 1, "stamp(2)");
    let submission = bob.own(&world, Topic::Policy(bob.account), policy.to_bytes());
    let refusal = world.publish(submission).await.unwrap_err();
    assert_eq!(refusal.code(), Code::Overloaded);
    // What is stored is served, and acknowledged again.
    assert_eq!(world.publish(joining).await.unwrap(), postmark);
    let query = wire::QueryRequest { topic: Topic::Contact(bob.account).to_string(), ..Default::default() };
    assert_eq!(world.client.query(query).await.unwrap().into_inner().records.len(), 1);
    let (status, text) = get(&world, "/readyz").await;
    assert_eq!(status, StatusCode::OK);
    assert!(text.contains("\"disk_has_room\":false"), "{text}");
}

#[tokio::test]
async fn chain_is_not_followed_onto_a_full_disk() {
    let mut world = World::start().await;
    world.node.take().unwrap().shutdown().await.unwrap();
    let folder = world.folder.path().to_owned();
    let file = folder.join("node.toml");
    let config = std::fs::read_to_string(&file).unwrap();
    // More room than any disk has.
    std::fs::write(&file, format!("{config}[limits]\nmin_free_bytes = {}\n", i64::MAX)).unwrap();
    let (process, ready) = run(&folder).await;
    let logged = |what: &str| std::fs::read_to_string(folder.join("log")).unwrap().contains(what);
    until("the disk is found full", async || logged("the disk is full")).await;
    world.client = NodeClient::connect(format!("http://{}", ready["listening"].as_str().unwrap())).await.unwrap();
    // It serves what it has, and ends for no reason.
    let nobody = Topic::Contact(support::Person::new(7).account).to_string();
    let query = wire::QueryRequest { topic: nobody, ..Default::default() };
    world.client.query(query).await.unwrap();

    std::fs::write(&file, config).unwrap();
    signal(process.0.id(), "HUP");
    takes_publishes(&world, &world.client).await;
}

fn free_bytes(world: &World) -> u64 {
    let stat = rustix::fs::statvfs(world.folder.path()).unwrap();
    stat.f_bavail * stat.f_frsize
}

#[tokio::test]
async fn submissions_take_up_no_more_memory_than_configured() {
    let mut world = World::start().await;
    restart_with(&mut world, "[limits]\nsubmission_bytes = 4096\n").await;
    let bob = world.join(2).await;
    let vault = |bytes| VaultRecord { version: 1, salt: [1; 32], nonce: [2; 24], sealed: vec![3; bytes] }.to_bytes();
    let large = bob.own(&world, Topic::Vault(bob.account), vault(4096));
    // Told of the call as a whole: its bytes are counted as they arrive, before anybody knows what they are.
    let publication = wire::Publication { submission: Some(large.into()), expected_head: None };
    let told = world.client.publish(wire::PublishRequest { publications: vec![publication] }).await.unwrap_err();
    assert_eq!(told.get_details_error_info().unwrap().reason, "overloaded");
    let small = bob.own(&world, Topic::Vault(bob.account), vault(1024));
    world.publish(small).await.unwrap();
}

#[tokio::test]
async fn no_more_accounts_join_in_a_minute_than_configured() {
    let mut world = World::start().await;
    restart_with(&mut world, "[limits]\nnew_accounts_per_minute = 2\n").await;
    let bob = world.join(2).await;
    world.join(3).await;
    let carol = support::Person::new(4);
    let bundle = carol.bundle(world.network, 1, 1).to_bytes();
    let joining = carol.own(&world, Topic::Contact(carol.account), bundle);
    assert_eq!(world.publish(joining).await.unwrap_err().code(), Code::Overloaded);
    // Who is there is not in the way: nothing of that minute is asked of them.
    let renewed = bob.bundle(world.network, 1, 2).to_bytes();
    world.publish(bob.own(&world, Topic::Contact(bob.account), renewed)).await.unwrap();
}

#[tokio::test]
async fn files_with_secrets_that_others_can_read_are_refused() {
    let mut world = World::start().await;
    let folder = world.folder.path().to_owned();
    let slasher = keystore(&folder, "slasher.json", [0x51; 32]);
    let own = folder.join("slasher.password");
    secret(&own, "password\n");
    let slashing = format!("[slashing]\nkey_file = \"{}\"\npassword_file = \"{}\"\n", slasher.display(), own.display());
    let tls = Authority::new(&folder, "own").certify(&folder, "localhost", Good::Now);
    restart_with(&mut world, &format!("{slashing}{tls}")).await;
    world.node.take().unwrap().shutdown().await.unwrap();
    let config = Config::load(&folder.join("node.toml"), &Overrides::default()).unwrap();
    for name in ["operator.json", "operator.password", "slasher.json", "slasher.password", "node.key"] {
        for mode in [0o604, 0o640, 0o602] {
            restrict(&folder.join(name), mode);
            let error = Node::bind(config.clone(), world.clock.clone()).await.err().unwrap();
            let is_typed = matches!(error, StartError::Key { .. } | StartError::Tls(TlsError::Exposed { .. }));
            let error = error.to_string();
            assert!(is_typed && error.contains(name) && error.contains("chmod 600"), "{mode:o} {name}: {error}");
            let Output { status, stderr, .. } = xmtp_node(&["check-config"], &folder);
            assert!(!status.success() && String::from_utf8(stderr).unwrap().contains("chmod 600"), "{mode:o} {name}");
        }
        restrict(&folder.join(name), 0o400);
    }
    Node::bind(config, world.clock.clone()).await.unwrap().shutdown().await.unwrap();
}

#[tokio::test]
async fn tls_is_spoken_and_nothing_else() {
    let mut world = World::start().await;
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (cert, key) = (world.folder.path().join("node.crt"), world.folder.path().join("node.key"));
    std::fs::write(&cert, certificate.cert.pem()).unwrap();
    secret(&key, &certificate.signing_key.serialize_pem());
    let section = format!("[tls]\ncert_file = \"{}\"\nkey_file = \"{}\"\n", cert.display(), key.display());
    restart_with(&mut world, &section).await;
    let address = world.node.as_ref().unwrap().address();
    let trusting = |pem: String| {
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)).domain_name("localhost");
        Channel::from_shared(format!("https://{address}")).unwrap().tls_config(tls).unwrap()
    };
    let channel = trusting(certificate.cert.pem()).connect().await.unwrap();
    NodeClient::new(channel).get_network(wire::GetNetworkRequest {}).await.unwrap();

    let another = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    assert!(trusting(another.cert.pem()).connect().await.is_err(), "a certificate of somebody else was taken");
    let plain = NodeClient::connect(format!("http://{address}")).await;
    if let Ok(mut client) = plain {
        client.get_network(wire::GetNetworkRequest {}).await.unwrap_err();
    }

    // A key that is another certificate's changes nothing; the two together are what the next client sees.
    std::fs::write(&key, another.signing_key.serialize_pem()).unwrap();
    let reloader = world.node.as_ref().unwrap().reloader();
    let config = Config::load(&world.folder.path().join("node.toml"), &Overrides::default()).unwrap();
    assert!(reloader.reload(&config).is_err());
    trusting(certificate.cert.pem()).connect().await.unwrap();
    std::fs::write(&cert, another.cert.pem()).unwrap();
    assert_eq!(reloader.reload(&config).unwrap(), [""; 0]);
    trusting(another.cert.pem()).connect().await.unwrap();

    // And is found before anything starts.
    std::fs::write(&cert, certificate.cert.pem()).unwrap();
    world.node.take().unwrap().shutdown().await.unwrap();
    let Output { status, stderr, .. } = xmtp_node(&["check-config"], world.folder.path());
    assert!(!status.success());
    assert!(String::from_utf8(stderr).unwrap().contains("node.key"));
}

#[tokio::test]
async fn pages_of_allowed_origins_call_over_grpc_web() {
    let mut world = World::start().await;
    restart_with(&mut world, "[web]\norigins = [\"https://app.example\"]\n").await;
    let base = format!("http://{}/xmtp.v1.Node", world.node.as_ref().unwrap().address());
    let client = reqwest::Client::new();
    let preflight = async |origin: &str| {
        let request = client.request(reqwest::Method::OPTIONS, format!("{base}/Query"));
        let request = request.header("origin", origin).header("access-control-request-method", "POST");
        let response =
            request.header("access-control-request-headers", "content-type,x-grpc-web").send().await.unwrap();
        let allowed = response.headers().get("access-control-allow-origin");
        allowed.map(|it| it.to_str().unwrap().to_owned())
    };
    assert_eq!(preflight("https://app.example").await.as_deref(), Some("https://app.example"));
    assert_eq!(preflight("https://other.example").await, None);
    assert_eq!(preflight("https://app.example.evil").await, None);

    let call = async |method: &str, message: Vec<u8>| {
        let mut body = vec![0];
        body.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
        body.extend_from_slice(&message);
        let request = client.post(format!("{base}/{method}")).header("content-type", "application/grpc-web+proto");
        request.header("origin", "https://app.example").body(body).send().await.unwrap()
    };
    let response = call("GetNetwork", Vec::new()).await;
    assert_eq!(response.headers()["content-type"], "application/grpc-web+proto");
    assert_eq!(response.headers()["access-control-allow-origin"], "https://app.example");
    let bytes = response.bytes().await.unwrap();
    let length = u32::from_be_bytes(bytes[1..5].try_into().unwrap()) as usize;
    let network: wire::GetNetworkResponse = prost::Message::decode(&bytes[5..5 + length]).unwrap();
    assert_eq!(network.chain_id, 31337);
    // Trailers come as a frame of their own.
    assert_eq!(bytes[5 + length], 0x80);
    assert!(String::from_utf8_lossy(&bytes[5 + length..]).contains("grpc-status:0"));

    // A stream, over HTTP/1.1.
    let filter = wire::topic_filter::Filter::Topic(Topic::Contact(support::Person::new(2).account).to_string());
    let request = wire::SubscribeRequest { filters: vec![wire::TopicFilter { filter: Some(filter) }], after: 0 };
    let mut response = call("Subscribe", prost::Message::encode_to_vec(&request)).await;
    assert_eq!(response.version(), reqwest::Version::HTTP_11);
    let decode = |chunk: &[u8]| -> wire::SubscribeResponse { prost::Message::decode(&chunk[5..]).unwrap() };
    assert_eq!(decode(&response.chunk().await.unwrap().unwrap()).event, Some(Event::Seen(0)));
    world.join(2).await;
    assert!(matches!(decode(&response.chunk().await.unwrap().unwrap()).event, Some(Event::Record(_))));

    // What is no gRPC-web is nothing over HTTP/1.1.
    let response = client.post(format!("{base}/GetNetwork")).header("content-type", "application/grpc").send().await;
    assert_eq!(response.unwrap().status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn node_drains_and_says_nothing_of_its_users() {
    let mut world = World::start().await;
    world.node.take().unwrap().shutdown().await.unwrap();
    let folder = world.folder.path().to_owned();
    let file = folder.join("node.toml");
    let log = "[log]\nformat = \"json\"\nfilter = \"info,xmtp_node=trace\"\n";
    std::fs::write(&file, std::fs::read_to_string(&file).unwrap() + ADMIN + log).unwrap();
    let systemd = std::os::unix::net::UnixDatagram::bind(folder.join("notify")).unwrap();
    systemd.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let told = || {
        let mut bytes = [0; 256];
        let length = systemd.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    };
    let (process, ready) = run(&folder).await;
    assert!(told().contains("READY=1"));
    let address = |key: &str| ready[key].as_str().unwrap().to_owned();
    world.client = NodeClient::connect(format!("http://{}", address("listening"))).await.unwrap();
    let readyz = format!("http://{}/readyz", address("admin"));
    let status = async || reqwest::get(&readyz).await.map(|it| it.status());
    until("the node is ready", async || status().await.is_ok_and(|it| it == StatusCode::OK)).await;

    // Something of every kind happens.
    let bob = world.join(2).await;
    world.set_policy(&bob, 1, "stamp(2)").await;
    let unpaid = xmtp_proto::submission::Submission::new(world.letter(&bob, "unpaid"), Vec::new()).unwrap();
    world.publish(unpaid).await.unwrap_err();
    let topic = Topic::Invite(bob.account).to_string();
    world.client.query(wire::QueryRequest { topic: topic.clone(), ..Default::default() }).await.unwrap();
    world
        .client
        .query(wire::QueryRequest { topic: "/xmtp/1/none".to_owned(), ..Default::default() })
        .await
        .unwrap_err();
    let requirements = wire::GetRequirementsRequest { topic: topic.clone() };
    world.client.get_requirements(requirements).await.unwrap();
    let filters = vec![wire::TopicFilter { filter: Some(wire::topic_filter::Filter::Topic(topic)) }];
    let mut stream = world.client.subscribe(wire::SubscribeRequest { filters, after: 0 }).await.unwrap().into_inner();
    assert!(matches!(stream.message().await.unwrap().unwrap().event, Some(Event::Seen(_))));

    signal(process.0.id(), "TERM");
    assert!(told().contains("STOPPING=1"));
    // Its clients are told to subscribe again, and it ends although one of them stays connected.
    assert_eq!(stream.message().await.unwrap_err().code(), tonic::Code::Unavailable);
    // Not by waiting on this thread, which has to answer for the client.
    let process = std::sync::Mutex::new(process);
    let ended = || process.lock().unwrap().0.try_wait().unwrap();
    until("the process has ended", async || ended().is_some()).await;
    assert!(ended().unwrap().success());

    let log = std::fs::read_to_string(folder.join("log")).unwrap();
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().any(|line| line["fields"]["message"] == "serving"), "{log}");
    assert!(lines.iter().any(|line| line["fields"]["message"] == "refused"), "{log}");
    let account = format!("{:x}", bob.wallet.address());
    for secret in [account.as_str(), "/xmtp/1/", "eip155:", "contact-", "invite-", "password"] {
        assert!(!log.to_lowercase().contains(secret), "{secret} is in the log:\n{log}");
    }
}

#[tokio::test]
async fn publishes_in_flight_are_answered_before_the_process_ends() {
    const PUBLISHERS: u8 = 6;
    let mut world = World::start().await;
    world.node.take().unwrap().shutdown().await.unwrap();
    let folder = world.folder.path().to_owned();
    let (process, ready) = run(&folder).await;
    let address: std::net::SocketAddr = ready["listening"].as_str().unwrap().parse().unwrap();
    let mut publishes = Vec::new();
    for seed in 2..2 + PUBLISHERS {
        let person = support::Person::new(seed);
        let bundle = person.bundle(world.network, 1, 1);
        let submission = person.own(&world, Topic::Contact(person.account), bundle.to_bytes());
        let publication = wire::Publication { submission: Some(submission.into()), expected_head: None };
        let mut client = NodeClient::connect(format!("http://{address}")).await.unwrap();
        takes_publishes(&world, &client).await;
        publishes.push(async move { client.publish(wire::PublishRequest { publications: vec![publication] }).await });
    }
    // They lie before the node's door when it is told to stop.
    signal(process.0.id(), "STOP");
    let told = async {
        until("all have been sent", async || unread(address.port()) >= PUBLISHERS.into()).await;
        signal(process.0.id(), "TERM");
        signal(process.0.id(), "CONT");
    };
    let (answers, ()) = tokio::join!(futures_util::future::join_all(publishes), told);
    for answer in answers {
        for result in answer.unwrap().into_inner().results {
            support::outcome(result).unwrap();
        }
    }
    let process = std::sync::Mutex::new(process);
    let ended = || process.lock().unwrap().0.try_wait().unwrap();
    until("the process has ended", async || ended().is_some()).await;
    assert!(ended().unwrap().success());
    // What was answered is there.
    world.rebind().await;
    for seed in 2..2 + PUBLISHERS {
        let account = support::Person::new(seed).account.to_string();
        world.client.get_key_bundle(wire::GetKeyBundleRequest { account }).await.unwrap();
    }
}

/// Waits until a process has seen its chain, by one and the same publication.
async fn takes_publishes(world: &World, client: &NodeClient<Channel>) {
    let person = support::Person::new(99);
    let bundle = person.bundle(world.network, 1, 1).to_bytes();
    let topic = Topic::Contact(person.account);
    let sent_at = xmtp_proto::time::Timestamp::from_secs(world.clock.now().as_secs() / 1000 * 1000);
    let envelope = xmtp_proto::envelope::Envelope { topic, sent_at, ciphertext: bundle };
    let owner = person.owner(world.network, &envelope);
    let submission = xmtp_proto::submission::Submission::new(envelope, vec![owner]).unwrap();
    let publication = wire::Publication { submission: Some(submission.into()), expected_head: None };
    let request = wire::PublishRequest { publications: vec![publication] };
    let is_accepted = async || {
        let results = client.clone().publish(request.clone()).await.unwrap().into_inner().results;
        results.into_iter().all(|result| support::outcome(result).is_ok())
    };
    until("the chain is seen", is_accepted).await;
}

/// Connections to a port of this machine on which the server has something to read (proc_net_tcp(5)).
fn unread(port: u16) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let is_unread = |line: &&str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields[1].ends_with(&format!(":{port:04X}")) && !fields[4].ends_with(":00000000")
    };
    table.lines().skip(1).filter(is_unread).count()
}

#[tokio::test]
async fn configuration_is_read_again_when_told_to() {
    let mut world = World::start().await;
    world.node.take().unwrap().shutdown().await.unwrap();
    let folder = world.folder.path().to_owned();
    let file = folder.join("node.toml");
    let config = std::fs::read_to_string(&file).unwrap() + "[log]\nformat = \"json\"\n";
    std::fs::write(&file, &config).unwrap();
    let (process, ready) = run(&folder).await;
    world.client = NodeClient::connect(format!("http://{}", ready["listening"].as_str().unwrap())).await.unwrap();
    takes_publishes(&world, &world.client).await;
    let logged = |what: &str| std::fs::read_to_string(folder.join("log")).unwrap().matches(what).count();
    let reload = async |config: &str, line: &str| {
        let before = logged(line);
        std::fs::write(&file, config).unwrap();
        signal(process.0.id(), "HUP");
        until(line, async || logged(line) > before).await;
    };
    let bob = world.join(2).await;
    let publish = async |world: &mut World, version: u64| {
        let policy = bob.policy(world.network, version, "stamp(2)").to_bytes();
        let submission = bob.own(world, Topic::Policy(bob.account), policy);
        world.publish(submission).await.map_err(|refusal| refusal.code())
    };
    assert!(publish(&mut world, 1).await.is_ok());

    // More room than any disk has; and another file may say what is logged, and what waits.
    let changed =
        format!("{config}filter = \"xmtp_node=debug\"\n[limits]\nstreams = 7\nmin_free_bytes = {}\n", i64::MAX);
    reload(&changed, "what is named waits for a restart").await;
    assert_eq!(logged("limits.streams"), 1);
    assert_eq!(logged("\"DEBUG\""), 0);
    assert_eq!(publish(&mut world, 2).await.unwrap_err(), Code::Overloaded);
    assert!(logged("\"DEBUG\"") > 0, "the filter is the old one");

    reload("listen = 5050", "the node goes on as it was").await;
    assert_eq!(publish(&mut world, 2).await.unwrap_err(), Code::Overloaded);
    let lines = logged("\"read the configuration again\"");
    reload(&config, "\"read the configuration again\"").await;
    assert_eq!(logged("\"read the configuration again\""), lines + 1);
    assert!(publish(&mut world, 2).await.is_ok());
}

fn xmtp_node(arguments: &[&str], folder: &Path) -> Output {
    let config = folder.join("node.toml");
    Command::new(env!("CARGO_BIN_EXE_xmtp-node")).args(arguments).arg("--config").arg(config).output().unwrap()
}

/// Runs the node's binary on a folder of [`World`], with its log in `log`, until it serves.
async fn run(folder: &Path) -> (KilledOnDrop, serde_json::Value) {
    let ready = folder.join("ready.json");
    let process = Command::new(env!("CARGO_BIN_EXE_xmtp-node"))
        .args(["run", "--config"])
        .arg(folder.join("node.toml"))
        .arg("--ready-file")
        .arg(&ready)
        .env("NOTIFY_SOCKET", folder.join("notify"))
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(folder.join("log")).unwrap())
        .spawn()
        .unwrap();
    let process = KilledOnDrop(process);
    let read = || serde_json::from_str(&std::fs::read_to_string(&ready).ok()?).ok();
    until("the process serves", async || read().is_some()).await;
    (process, read().unwrap())
}

/// No test leaves a process behind.
struct KilledOnDrop(Child);

impl Drop for KilledOnDrop {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn signal(process: u32, name: &str) {
    assert!(Command::new("kill").arg(format!("-{name}")).arg(process.to_string()).status().unwrap().success());
}

#[tokio::test]
async fn store_is_backed_up_and_restored_by_command() {
    let mut world = World::start().await;
    let bob = world.join(2).await;
    let folder = world.folder.path().to_owned();
    let (data, file) = (folder.join("data"), folder.join("backup.tar"));
    let command = |arguments: [&std::ffi::OsStr; 5]| {
        Command::new(env!("CARGO_BIN_EXE_xmtp-node")).args(arguments).output().unwrap()
    };
    let backup = || command(["backup".as_ref(), "--data-dir".as_ref(), data.as_ref(), "--to".as_ref(), file.as_ref()]);
    let restore =
        || command(["restore".as_ref(), "--from".as_ref(), file.as_ref(), "--data-dir".as_ref(), data.as_ref()]);
    let refused = backup();
    assert!(!refused.status.success());
    assert!(String::from_utf8(refused.stderr).unwrap().contains("stop it first"));

    world.node.take().unwrap().shutdown().await.unwrap();
    assert!(backup().status.success());
    assert!(!restore().status.success(), "a store was written over");
    std::fs::remove_dir_all(&data).unwrap();
    assert!(restore().status.success());
    world.rebind().await;
    let request = wire::GetKeyBundleRequest { account: bob.account.to_string() };
    world.client.get_key_bundle(request).await.unwrap();
}
