//! Mocks of proxies, which see what goes through them.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use xmtp_proto::topic::Topic;

/// A name that nobody but the proxy knows: whoever asks the system for it does not get far.
pub(crate) const NODE: &str = "node.invalid";

/// One connection: who asked for it, and what was sent to the node.
#[derive(Clone, Default)]
pub(crate) struct Seen {
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) sent: Arc<Mutex<Vec<u8>>>,
}

/// A mock of a SOCKS5 proxy (RFC 1928, 1929) that takes any user name, connects to one node whatever the name of it, and keeps
/// what it sees.
pub(crate) struct MockSocks {
    pub(crate) address: SocketAddr,
    pub(crate) seen: Arc<Mutex<Vec<Seen>>>,
    _tasks: JoinSet<()>,
}

impl MockSocks {
    pub(crate) async fn start(node: SocketAddr) -> Self {
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
    pub(crate) fn of(&self, user: &str) -> Vec<Seen> {
        self.seen.lock().unwrap().iter().filter(|it| it.user == user).cloned().collect()
    }

    pub(crate) fn forget(&self) {
        self.seen.lock().unwrap().clear();
    }
}

impl Seen {
    /// The topics that were named: they travel as text.
    pub(crate) fn topics(&self) -> BTreeSet<Topic> {
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

/// A mock of a proxy of HTTP (CONNECT of RFC 9110) that connects to one node whatever the name of it, and keeps the heads of
/// what it was asked for.
pub(crate) struct MockTunnel {
    pub(crate) address: SocketAddr,
    pub(crate) heads: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl MockTunnel {
    pub(crate) async fn start(node: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        tasks.spawn({
            let heads = Arc::clone(&heads);
            async move {
                let mut connections = JoinSet::new();
                loop {
                    let (mut client, _) = listener.accept().await.unwrap();
                    let heads = Arc::clone(&heads);
                    connections.spawn(async move {
                        let mut head = Vec::new();
                        while !head.ends_with(b"\r\n\r\n") {
                            head.push(client.read_u8().await.unwrap());
                        }
                        heads.lock().unwrap().push(String::from_utf8(head).unwrap());
                        let mut server = TcpStream::connect(node).await.unwrap();
                        client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await.unwrap();
                        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                    });
                }
            }
        });
        Self { address, heads, _tasks: tasks }
    }
}

/// What gets over a line.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gets {
    /// All of it.
    Through,
    /// What the client says; what the node answers is lost.
    Lost,
    /// Nothing: who tries is hung up on.
    Nowhere,
}

/// The way to a node, which may break.
pub(crate) struct Line {
    pub(crate) address: SocketAddr,
    gets: watch::Sender<Gets>,
    _tasks: JoinSet<()>,
}

impl Line {
    pub(crate) async fn to(node: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (gets, seen) = watch::channel(Gets::Through);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                connections.spawn(carry(client, node, seen.clone()));
            }
        });
        Self { address, gets, _tasks: tasks }
    }

    pub(crate) fn set(&self, gets: Gets) {
        self.gets.send_replace(gets);
    }

    /// For who sets it while somebody waits for the client.
    pub(crate) fn setter(&self) -> watch::Sender<Gets> {
        self.gets.clone()
    }
}

async fn carry(mut client: TcpStream, node: SocketAddr, mut gets: watch::Receiver<Gets>) {
    let now = gets.clone();
    let hung_up = async move {
        let _ = gets.wait_for(|gets| *gets == Gets::Nowhere).await;
    };
    let carried = async move {
        let mut server = TcpStream::connect(node).await.unwrap();
        let (mut client, mut to_client) = client.split();
        let (mut server, mut to_server) = server.split();
        let outwards = async {
            let _ = tokio::io::copy(&mut client, &mut to_server).await;
        };
        let inwards = async {
            let mut bytes = vec![0; 16 << 10];
            while let Ok(read @ 1..) = server.read(&mut bytes).await {
                if *now.borrow() == Gets::Through && to_client.write_all(&bytes[..read]).await.is_err() {
                    break;
                }
            }
        };
        tokio::select! { () = outwards => {}, () = inwards => {} }
    };
    tokio::select! { () = carried => {}, () = hung_up => {} }
}
