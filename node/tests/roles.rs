//! Roles: what goes over which connection, as the proxies of the roles see it, and a node that has no other way in.

#![allow(clippy::unwrap_used)] // A test may.

mod support;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use alloy::primitives::U256;
use alloy::signers::local::PrivateKeySigner;
use support::World;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use url::Url;
use xmtp_contracts::IXmtpToken;
use xmtp_proto::topic::Topic;
use xmtp_prover::Limit;
use xmtp_sdk::client::{Builder, Client};
use xmtp_sdk::inbox::Which;
use xmtp_sdk::transport::{Role, TransportError};

/// A name that nobody but the proxy knows: whoever asks the system for it does not get far.
const NODE: &str = "node.invalid";

/// One connection: who asked for it, and what was sent to the node.
#[derive(Clone, Default)]
struct Seen {
    user: String,
    password: String,
    sent: Arc<Mutex<Vec<u8>>>,
}

/// A mock of a SOCKS5 proxy (RFC 1928, 1929) that takes any user name, connects to one node whatever the name of it, and keeps
/// what it sees.
struct MockSocks {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    _tasks: JoinSet<()>,
}

impl MockSocks {
    async fn start(node: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        tasks.spawn({
            let seen = Arc::clone(&seen);
            async move {
                let mut connections = JoinSet::new();
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    connections.spawn(serve(stream, node, Arc::clone(&seen)));
                }
            }
        });
        Self { address, seen, _tasks: tasks }
    }

    /// The connections of a user, or of all whose names begin so.
    fn of(&self, user: &str) -> Vec<Seen> {
        self.seen.lock().unwrap().iter().filter(|it| it.user == user).cloned().collect()
    }

    fn forget(&self) {
        self.seen.lock().unwrap().clear();
    }
}

impl Seen {
    /// The topics that were named: they travel as text.
    fn topics(&self) -> BTreeSet<Topic> {
        let sent = self.sent.lock().unwrap();
        let text = String::from_utf8_lossy(&sent);
        let names = text.match_indices("/xmtp/1/").filter_map(|(start, _)| {
            let end = start + text[start..].find("/proto")? + "/proto".len();
            text[start..end].parse().ok()
        });
        names.collect()
    }
}

async fn serve(mut client: TcpStream, node: SocketAddr, seen: Arc<Mutex<Vec<Seen>>>) {
    let byte = async |stream: &mut TcpStream| stream.read_u8().await.unwrap();
    let text = async |stream: &mut TcpStream| {
        let mut text = vec![0; usize::from(stream.read_u8().await.unwrap())];
        stream.read_exact(&mut text).await.unwrap();
        String::from_utf8(text).unwrap()
    };
    assert_eq!(byte(&mut client).await, 5, "the version");
    let mut methods = vec![0; usize::from(byte(&mut client).await)];
    client.read_exact(&mut methods).await.unwrap();
    assert!(methods.contains(&2), "user name and password");
    client.write_all(&[5, 2]).await.unwrap();
    assert_eq!(byte(&mut client).await, 1);
    let it = Seen { user: text(&mut client).await, password: text(&mut client).await, ..Seen::default() };
    client.write_all(&[1, 0]).await.unwrap();
    let mut request = [0; 4];
    client.read_exact(&mut request).await.unwrap();
    assert_eq!(request, [5, 1, 0, 3], "to connect to a name, which is resolved here and not there");
    assert_eq!(text(&mut client).await, NODE);
    assert_eq!(client.read_u16().await.unwrap(), node.port());
    let mut server = TcpStream::connect(node).await.unwrap();
    client.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 0]).await.unwrap();

    let sent = Arc::clone(&it.sent);
    seen.lock().unwrap().push(it);
    let (mut client, mut to_client) = client.split();
    let (mut server, mut to_server) = server.split();
    let outwards = async {
        let mut bytes = vec![0; 16 << 10];
        while let Ok(read @ 1..) = client.read(&mut bytes).await {
            sent.lock().unwrap().extend_from_slice(&bytes[..read]);
            if to_server.write_all(&bytes[..read]).await.is_err() {
                break;
            }
        }
        let _ = to_server.shutdown().await;
    };
    let inwards = async {
        let _ = tokio::io::copy(&mut server, &mut to_client).await;
    };
    tokio::join!(outwards, inwards);
}

/// A client whose connections go through the proxy, those of each role under its name.
fn builder(world: &World, proxy: SocketAddr, person: usize, home: &Path) -> Builder {
    let wallet = PrivateKeySigner::from_slice(&world.anvil().keys()[person].to_bytes()).unwrap();
    let port = world.node.as_ref().unwrap().address().port();
    let node: Url = format!("http://{NODE}:{port}").parse().unwrap();
    let builder = Client::builder(wallet, world.deployment.clone(), home.to_owned())
        .node(node)
        .rpc(world.anvil().endpoint_url())
        .cache(env!("CARGO_TARGET_TMPDIR").into())
        .delay(Duration::ZERO);
    Role::ALL.into_iter().fold(builder, |builder, role| {
        let proxy = format!("socks5://{role}:se%3Acret@{proxy}").parse().unwrap();
        builder.proxy(role, Arc::new(proxy))
    })
}

#[tokio::test]
async fn each_role_has_connections_and_a_proxy_of_its_own() {
    let world = World::start().await;
    let proxy = MockSocks::start(world.node.as_ref().unwrap().address()).await;
    let homes = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let mut clients = Vec::new();
    for (number, home) in homes.iter().enumerate() {
        let client = builder(&world, proxy.address, 1 + number, home.path()).connect().await.unwrap();
        client.create_identity().await.unwrap();
        clients.push(client);
    }
    let [alice, bob, carol] = &clients[..] else { panic!("three") };
    let token = IXmtpToken::new(world.deployment.token, &world.provider);
    let amount = U256::from(10).pow(U256::from(20));
    token.transfer(alice.account().address(), amount).send().await.unwrap().get_receipt().await.unwrap();
    alice.buy_stamps(1.try_into().unwrap(), Limit::new(8).unwrap()).await.unwrap();
    assert!(proxy.seen.lock().unwrap().iter().all(|it| it.password == "se:cret"), "decoded");

    // Letters: a connection for each recipient, and copies in the journal on others.
    proxy.forget();
    for to in [bob, carol] {
        alice.send(&to.account().to_string(), "a letter").await.unwrap();
    }
    let asking = proxy.of("asking");
    let letters: Vec<_> = asking.iter().map(Seen::topics).filter(|topics| !topics.is_empty()).collect();
    let invites = [bob, carol].map(|it| BTreeSet::from([Topic::Invite(it.account())]));
    assert_eq!(letters, invites, "each on its own, and nothing else there");
    assert_alone(&proxy);

    // An answer: it is posted, and the conversation and the journal are opened, each on connections for nothing else.
    proxy.forget();
    let conversation = bob.conversation(alice.account()).await.unwrap().unwrap();
    assert!(conversation.send("an answer").await.unwrap().opened);
    let topic = conversation.topic();
    let posted: Vec<_> = proxy.of("posting").iter().map(Seen::topics).collect();
    assert!(posted.contains(&BTreeSet::from([topic])), "{posted:?}");
    let others: BTreeSet<_> = posted.into_iter().flatten().filter(|it| *it != topic).collect();
    assert_eq!(others.len(), 1, "the journal");
    assert_alone(&proxy);

    // Reading.
    proxy.forget();
    alice.inbox(Which::All).await.unwrap();
    let conversation = alice.conversation(bob.account()).await.unwrap().unwrap();
    assert_eq!(conversation.messages(Which::All).await.unwrap().messages.len(), 1);
    assert!(!proxy.of("reading").is_empty());
    assert_alone(&proxy);
}

/// What each kind of connection may tell a node, at the most.
fn assert_alone(proxy: &MockSocks) {
    for Seen { user, sent, .. } in proxy.seen.lock().unwrap().iter() {
        let topics = Seen { sent: Arc::clone(sent), ..Seen::default() }.topics();
        let fine = match user.as_str() {
            // One account's, and no conversation.
            "mine" => {
                let accounts = topics.iter().map(|topic| match topic {
                    Topic::Contact(account)
                    | Topic::Policy(account)
                    | Topic::Vault(account)
                    | Topic::Receipts(account)
                    | Topic::Invite(account) => Some(account),
                    Topic::Conversation(_) | Topic::Claim(_) => None,
                });
                let accounts: BTreeSet<_> = accounts.map(|account| account.map(ToString::to_string)).collect();
                accounts.len() <= 1 && !accounts.contains(&None)
            }
            "posting" => topics.len() == 1 && topics.iter().all(|topic| matches!(topic, Topic::Conversation(_))),
            "asking" => topics.len() <= 1 && topics.iter().all(|topic| matches!(topic, Topic::Invite(_))),
            // By prefix.
            "reading" => topics.is_empty(),
            other => panic!("a connection of {other}"),
        };
        assert!(fine, "{user} names {topics:?}");
    }
}

#[tokio::test]
async fn every_connection_through_an_onion_network_has_a_way_of_its_own() {
    let world = World::start().await;
    let proxy = MockSocks::start(world.node.as_ref().unwrap().address()).await;
    let home = tempfile::tempdir().unwrap();
    let tor: Arc<_> = Arc::new(format!("tor://{}", proxy.address).parse().unwrap());
    let builder = builder(&world, proxy.address, 1, home.path());
    let builder = Role::ALL.into_iter().fold(builder, |builder, role| builder.proxy(role, Arc::clone(&tor)));
    builder.connect().await.unwrap().create_identity().await.unwrap();
    let seen = proxy.seen.lock().unwrap();
    let users: BTreeSet<_> = seen.iter().map(|it| it.user.as_str()).collect();
    assert!(users.len() > 1);
    assert_eq!(users.len(), seen.len());
}

#[tokio::test]
async fn proxy_of_http_is_told_the_name_and_the_password() {
    let world = World::start().await;
    let node = world.node.as_ref().unwrap().address();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            connections.spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(client.read_u8().await.unwrap());
                }
                let head = String::from_utf8(head).unwrap();
                assert!(head.starts_with(&format!("CONNECT {NODE}:{} HTTP/1.1\r\n", node.port())), "{head}");
                // alice:se:cret
                assert!(head.contains("Proxy-Authorization: Basic YWxpY2U6c2U6Y3JldA==\r\n"), "{head}");
                let mut server = TcpStream::connect(node).await.unwrap();
                client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    let home = tempfile::tempdir().unwrap();
    let http: Arc<_> = Arc::new(format!("http://alice:se%3Acret@{address}").parse().unwrap());
    let builder = builder(&world, address, 1, home.path());
    let builder = Role::ALL.into_iter().fold(builder, |builder, role| builder.proxy(role, Arc::clone(&http)));
    builder.connect().await.unwrap().create_identity().await.unwrap();
}

#[tokio::test]
async fn proxy_that_is_gone_is_named_with_its_role() {
    let world = World::start().await;
    let proxy = MockSocks::start(world.node.as_ref().unwrap().address()).await;
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = nobody.local_addr().unwrap();
    drop(nobody);
    let home = tempfile::tempdir().unwrap();
    let dead = Arc::new(format!("socks5://mine:secret@{gone}").parse().unwrap());
    let client = builder(&world, proxy.address, 1, home.path()).proxy(Role::Mine, dead).connect().await.unwrap();
    client.node().await.unwrap();
    let error = client.create_identity().await.unwrap_err();
    let xmtp_sdk::client::PublishError::Transport(error @ TransportError::Proxy { role: Role::Mine, .. }) = error
    else {
        panic!("{error}")
    };
    let text = error.to_string();
    assert!(text.contains(&format!("socks5://{gone}, the proxy of the connections for mine")), "{text}");
    assert!(!text.contains("secret"));
    assert!(error.is_passing());
    assert_eq!(proxy.of("mine").len(), 0, "it went no other way");
}
