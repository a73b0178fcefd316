//! The port: connections, TLS, HTTP, and every bound on them (docs/operating.md, "Limits"). One owned task per connection.
//!
//! ```text
//! socket ──► a place ──► TLS ──► first bytes in time ──► HTTP/2, or HTTP/1.1 for gRPC-web ──► calls ──► routes
//! ```
//!
//! tonic's own server does not bound handshakes or connections, leaves connections to tasks that nobody owns, and does not
//! tell clients to go when it will cut them off; so this drives hyper itself.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic_web::GrpcWebLayer;
use tower::ServiceBuilder;
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::config::{Limits, WebConfig};
use crate::live::Live;
use crate::metrics::{Metrics, NotServed};
use crate::peer::Peer;
use crate::places::{NoPlace, Places};
use calls::{Calls, Counted};
use receiving::Receiving;

mod calls;
mod receiving;
mod tls;

pub use tls::TlsError;
pub(crate) use tls::acceptor;

/// What an HTTP connection says first is not shorter: the preface of HTTP/2 (RFC 9113, section 3.4).
const FIRST_BYTES: usize = 24;
/// For headers of HTTP/1.1, and bodies not taken yet.
const HTTP1_BUFFER_BYTES: usize = 64 << 10;
/// After a failure to accept, most likely for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// What a client sent before it learned that it should go may be so long under way.
const LINGER: Duration = Duration::from_secs(1);
/// How long a browser may remember what an origin is allowed.
const CORS_MAX_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// An origin that is none. The operator's to mend.
#[derive(Debug, thiserror::Error)]
#[error("web.origins: {0:?} is no origin")]
pub struct BadOrigin(String);

/// A server, before it runs.
pub(crate) struct Server {
    pub(crate) listener: TcpListener,
    pub(crate) cors: CorsLayer,
    /// Calls that publish may be larger than all others.
    pub(crate) publishing: Routes,
    pub(crate) routes: Routes,
    pub(crate) live: watch::Receiver<Live>,
    pub(crate) metrics: Metrics,
}

/// What every connection has of the server.
struct Shared {
    cors: CorsLayer,
    publishing: Routes,
    routes: Routes,
    metrics: Metrics,
    requests: Places,
    receiving: Receiving,
}

impl Server {
    /// Serves until it is told to stop; then takes no more connections, tells those there are to go, and waits for them no
    /// longer than the grace.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let Self { listener, cors, publishing, routes, live, metrics } = self;
        let places = Places::default();
        let (publishing, routes) = (publishing.prepare(), routes.prepare());
        let shared = Arc::new(Shared {
            cors,
            publishing,
            routes,
            metrics: metrics.clone(),
            requests: Places::default(),
            receiving: Receiving::new(),
        });
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                Some(_) = connections.join_next() => {
                    metrics.connections(places.taken());
                    continue;
                }
                () = stop.cancelled() => break,
            };
            match accepted {
                Ok((socket, address)) => {
                    // For as long as the connection lasts.
                    let (now, peer) = (live.borrow().clone(), Peer::from(address.ip()));
                    match places.take(peer, now.limits.connections, now.limits.connections_per_ip) {
                        Ok(place) => {
                            let (shared, stop) = (shared.clone(), stop.clone());
                            connections.spawn(async move {
                                shared.serve(socket, peer, now, stop).await;
                                drop(place);
                            });
                            metrics.connections(places.taken());
                        }
                        // Closed at once: an answer would cost more than the question.
                        Err(NoPlace::Full) => metrics.turned_away(NotServed::Full),
                        Err(NoPlace::PeerFull) => metrics.turned_away(NotServed::AddressFull),
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept connections");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        // New clients are turned away by the system from here on.
        drop(listener);
        let grace = live.borrow().limits.shutdown_grace;
        let drained = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(grace, drained).await.is_err() {
            tracing::warn!(open = connections.len(), "connections were still open after the grace period");
        }
    }
}

impl Shared {
    async fn serve(&self, socket: TcpStream, peer: Peer, now: Live, stop: CancellationToken) {
        let Live { limits, tls, retention: _ } = now;
        // Without it, small answers wait for the client's acknowledgement of the last.
        let _ = socket.set_nodelay(true);
        match tls {
            None => self.serve_http(socket, peer, &limits, stop).await,
            Some(tls) => {
                let handshake = tokio::select! {
                    handshake = tokio::time::timeout(limits.handshake_timeout, tls.accept(socket)) => handshake,
                    () = stop.cancelled() => return,
                };
                match handshake {
                    Ok(Ok(socket)) => self.serve_http(socket, peer, &limits, stop).await,
                    Ok(Err(_)) | Err(_) => self.metrics.turned_away(NotServed::Handshake),
                }
            }
        }
    }

    async fn serve_http(
        &self,
        socket: impl AsyncRead + AsyncWrite + Unpin + 'static,
        peer: Peer,
        limits: &Limits,
        stop: CancellationToken,
    ) {
        let calls = Calls::new(self.metrics.clone(), self.requests.clone(), self.receiving.clone(), limits);
        let counted =
            Counted { publishing: self.publishing.clone(), routes: self.routes.clone(), calls: calls.clone(), peer };
        let service = ServiceBuilder::new().layer(self.cors.clone()).layer(GrpcWebLayer::new()).service(counted);
        let socket = Prompt::new(socket, limits.handshake_timeout, self.metrics.clone());
        let http = http(limits);
        let connection = http.serve_connection(TokioIo::new(socket), TowerToHyperService::new(service));
        tokio::pin!(connection);
        let time_to_go = async {
            tokio::select! {
                () = tokio::time::sleep(limits.connection_age) => limits.connection_grace,
                () = calls.idle(limits.idle_timeout) => limits.connection_grace,
                // The server's own grace ends before this one.
                () = stop.cancelled() => limits.shutdown_grace,
            }
        };
        // A connection that ends with an error has nobody left to tell.
        let grace = tokio::select! {
            _ = &mut connection => return,
            never = calls.give_up_on_stalled() => match never {},
            grace = time_to_go => grace,
        };
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            _ = connection => {}
            never = calls.give_up_on_stalled() => match never {},
            () = tokio::time::sleep(grace) => {}
            // A client that does not answer is not waited for unless it waits for something.
            () = calls.idle(LINGER) => {}
        }
    }
}

fn http(limits: &Limits) -> auto::Builder<TokioExecutor> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.handshake_timeout)
        .max_buf_size(HTTP1_BUFFER_BYTES);
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams_per_connection)
        .max_header_list_size(limits.header_bytes)
        .max_frame_size(limits.frame_bytes)
        .initial_stream_window_size(limits.stream_window_bytes)
        .initial_connection_window_size(limits.connection_window_bytes)
        .max_pending_accept_reset_streams(limits.pending_resets)
        .max_local_error_reset_streams(limits.error_resets)
        .keep_alive_interval(limits.keepalive_interval)
        .keep_alive_timeout(limits.keepalive_timeout);
    http
}

/// Which pages may call, and with what.
pub(crate) fn cors(config: &WebConfig) -> Result<CorsLayer, BadOrigin> {
    use http::header::{CONTENT_TYPE, HeaderName};
    let origins = if config.origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        let parse = |origin: &String| {
            let url: url::Url = origin.parse().map_err(|_| BadOrigin(origin.clone()))?;
            // What a browser sends: scheme, host and port, and nothing behind.
            if url.origin().ascii_serialization() != *origin {
                return Err(BadOrigin(origin.clone()));
            }
            origin.parse().map_err(|_| BadOrigin(origin.clone()))
        };
        AllowOrigin::list(config.origins.iter().map(parse).collect::<Result<Vec<_>, _>>()?)
    };
    let name = HeaderName::from_static;
    Ok(CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([http::Method::POST])
        .allow_headers([CONTENT_TYPE, name("x-grpc-web"), name("x-user-agent"), name("grpc-timeout")])
        .expose_headers([name("grpc-status"), name("grpc-message"), name("grpc-status-details-bin")])
        .max_age(CORS_MAX_AGE))
}

/// A socket whose peer must say something in time.
struct Prompt<S> {
    socket: S,
    /// Nothing once enough was read.
    waiting: Option<Waiting>,
}

struct Waiting {
    read: usize,
    deadline: Pin<Box<Sleep>>,
    metrics: Metrics,
}

impl<S> Prompt<S> {
    fn new(socket: S, within: Duration, metrics: Metrics) -> Self {
        let deadline = Box::pin(tokio::time::sleep(within));
        Self { socket, waiting: Some(Waiting { read: 0, deadline, metrics }) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Prompt<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.socket).poll_read(context, buffer);
        if let Some(waiting) = &mut this.waiting {
            waiting.read += buffer.filled().len() - before;
            if waiting.read >= FIRST_BYTES {
                this.waiting = None;
            } else if polled.is_pending() && waiting.deadline.as_mut().poll(context).is_ready() {
                waiting.metrics.turned_away(NotServed::Handshake);
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Prompt<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}
