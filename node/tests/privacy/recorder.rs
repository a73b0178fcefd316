//! A proxy in front of a node that keeps all that is sent to it: the bytes at the socket, and what HTTP/2 makes of them, for it
//! splits bodies into frames and writes headers in a code of its own (RFC 7541).

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::client::SendRequest;
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// One request.
#[derive(Clone)]
pub(crate) struct Heard {
    /// On which connection, counted as they came.
    pub(crate) connection: usize,
    pub(crate) path: String,
    /// Names and values, a line each.
    pub(crate) headers: Vec<u8>,
    /// gRPC's: five bytes, and the message.
    pub(crate) body: Vec<u8>,
}

impl Heard {
    pub(crate) fn message<M: prost::Message + Default>(&self) -> M {
        M::decode(&self.body[5..]).unwrap()
    }
}

type Raw = Arc<Mutex<Vec<u8>>>;

#[derive(Clone, Default)]
struct Log {
    heard: Arc<Mutex<Vec<Heard>>>,
    raw: Arc<Mutex<Vec<Raw>>>,
}

pub(crate) struct Recorder {
    pub(crate) address: SocketAddr,
    log: Log,
    _tasks: JoinSet<()>,
}

impl Recorder {
    pub(crate) async fn before(node: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (log, mut tasks) = (Log::default(), JoinSet::new());
        tasks.spawn({
            let log = log.clone();
            async move {
                let mut connections = JoinSet::new();
                loop {
                    let (socket, _) = listener.accept().await.unwrap();
                    connections.spawn(serve(socket, node, log.clone()));
                }
            }
        });
        Self { address, log, _tasks: tasks }
    }

    /// All requests, in the order in which they were read to their end.
    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.log.heard.lock().unwrap().clone()
    }

    /// The bytes that came on a connection.
    pub(crate) fn raw(&self, connection: usize) -> Vec<u8> {
        self.log.raw.lock().unwrap()[connection].lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.log.raw.lock().unwrap().len()
    }
}

/// Ends with the connection; a client that hangs up is no matter.
async fn serve(socket: TcpStream, node: SocketAddr, log: Log) {
    let raw = Raw::default();
    let connection = {
        let mut all = log.raw.lock().unwrap();
        all.push(raw.clone());
        all.len() - 1
    };
    let Ok(mut incoming) = h2::server::handshake(Tee { socket, raw }).await else { return };
    let Ok((node, to_node)) = h2::client::handshake(TcpStream::connect(node).await.unwrap()).await else { return };
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let _ = to_node.await;
    });
    while let Some(Ok((request, answer))) = incoming.accept().await {
        let (node, log) = (node.clone(), log.clone());
        tasks.spawn(async move {
            let _ = forward(request, answer, node, connection, log).await;
        });
    }
}

async fn forward(
    request: Request<RecvStream>,
    mut answer: SendResponse<Bytes>,
    node: SendRequest<Bytes>,
    connection: usize,
    log: Log,
) -> Result<(), h2::Error> {
    let (head, mut body) = request.into_parts();
    let mut bytes = Vec::new();
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        bytes.extend_from_slice(&data);
    }
    let path = head.uri.path().to_owned();
    log.heard.lock().unwrap().push(Heard { connection, path, headers: lines(&head.headers), body: bytes.clone() });

    let (response, mut to_node) = node.ready().await?.send_request(Request::from_parts(head, ()), false)?;
    to_node.send_data(bytes.into(), true)?;
    let (head, mut body) = response.await?.into_parts();
    let is_all = body.is_end_stream();
    let mut to_client: SendStream<Bytes> = answer.send_response(Response::from_parts(head, ()), is_all)?;
    if is_all {
        return Ok(());
    }
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        to_client.send_data(data, false)?;
    }
    match body.trailers().await? {
        Some(trailers) => to_client.send_trailers(trailers),
        None => to_client.send_data(Bytes::new(), true),
    }
}

fn lines(headers: &HeaderMap) -> Vec<u8> {
    let line = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\n"].concat()
    };
    headers.iter().flat_map(line).collect()
}

/// A socket whose incoming bytes are kept.
struct Tee {
    socket: TcpStream,
    raw: Raw,
}

impl AsyncRead for Tee {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.socket).poll_read(context, buffer);
        self.raw.lock().unwrap().extend_from_slice(&buffer.filled()[before..]);
        polled
    }
}

impl AsyncWrite for Tee {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}
