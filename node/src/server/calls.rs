//! A connection's calls: counted, timed until their answer begins, and given up on when their client does not take it.
//!
//! Answers are pulled: hyper asks for the next piece when the client has room for it. So a slow client costs one piece and no
//! queue; and one that takes nothing for too long loses its answer here, with all that stands behind it, although its
//! connection may live on.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::{HeaderMap, Request, Response};
use http_body::{Body as _, Frame, SizeHint};
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::service::Routes;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};
use tower::Service;
use xmtp_proto::postmark::Cursor;
use xmtp_proto::refusal;

use super::receiving::{self, Receiving};
use crate::config::Limits;
use crate::metrics::{Method, Metrics};
use crate::peer::Peer;
use crate::places::Places;
use crate::told::Told;

/// When to come back if there are too many requests.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Answers are looked at so often within the time that their client has.
const LOOKS: u32 = 4;

/// What the calls of one connection share.
pub(super) struct Calls {
    metrics: Metrics,
    /// Requests under way on all connections.
    requests: Places,
    requests_max: usize,
    requests_per_ip: usize,
    receiving: Receiving,
    submission_bytes: usize,
    submission_bytes_per_ip: usize,
    publish_timeout: Duration,
    request_timeout: Duration,
    send_timeout: Duration,
    open: watch::Sender<usize>,
    /// Under way, by a number of their own.
    answers: Mutex<BTreeMap<u64, Weak<Mutex<Answer>>>>,
}

impl Calls {
    pub(super) fn new(metrics: Metrics, requests: Places, receiving: Receiving, limits: &Limits) -> Arc<Self> {
        let Limits {
            requests: requests_max,
            requests_per_ip,
            publish_timeout,
            request_timeout,
            send_timeout,
            submission_bytes,
            submission_bytes_per_ip,
            ..
        } = *limits;
        let (open, answers) = (watch::Sender::new(0), Mutex::default());
        Arc::new(Self {
            metrics,
            requests,
            requests_max,
            requests_per_ip,
            receiving,
            submission_bytes,
            submission_bytes_per_ip,
            publish_timeout,
            request_timeout,
            send_timeout,
            open,
            answers,
        })
    }

    fn timeout(&self, method: &Method) -> Duration {
        if method.publishes() { self.publish_timeout } else { self.request_timeout }
    }

    /// Resolves when there was no call for so long.
    pub(super) async fn idle(&self, timeout: Duration) {
        let mut open = self.open.subscribe();
        loop {
            // The sender is `self`.
            let _ = open.wait_for(|open| *open == 0).await;
            tokio::select! {
                _ = open.changed() => {}
                () = tokio::time::sleep(timeout) => return,
            }
        }
    }

    /// Gives up on answers that their client does not take. Never ends.
    pub(super) async fn give_up_on_stalled(&self) -> Infallible {
        let mut looks = tokio::time::interval((self.send_timeout / LOOKS).max(Duration::from_millis(1)));
        loop {
            looks.tick().await;
            let now = Instant::now();
            // What it stands for is dropped outside the lock.
            let given_up: Vec<Body> = {
                let answers = lock(&self.answers);
                let stalled = answers.values().filter_map(Weak::upgrade);
                stalled.filter_map(|answer| lock(&answer).give_up(now, self.send_timeout)).collect()
            };
            for _ in given_up {
                self.metrics.cut_off();
            }
        }
    }
}

/// The service of one connection.
#[derive(Clone)]
pub(super) struct Counted {
    pub(super) publishing: Routes,
    pub(super) routes: Routes,
    pub(super) calls: Arc<Calls>,
    /// Whose connection it is; every request is told.
    pub(super) peer: Peer,
}

impl Service<Request<Body>> for Counted {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Routes are always ready.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        request.extensions_mut().insert(self.peer);
        let call = Call::start(&self.calls, request.uri().path());
        let mut routes = if call.method.publishes() { self.publishing.clone() } else { self.routes.clone() };
        let (calls, peer) = (self.calls.clone(), self.peer);
        // Held until the call is answered, for so long its submissions are in the node.
        let share = call
            .method
            .publishes()
            .then(|| calls.receiving.share(peer, calls.submission_bytes, calls.submission_bytes_per_ip));
        if let Some(share) = &share {
            request = request.map(|body| receiving::count(body, share.clone(), overloaded));
        }
        Box::pin(async move {
            let _share = share;
            let place = calls.requests.take(peer, calls.requests_max, calls.requests_per_ip);
            let Ok(_place) = place else { return Ok(call.refuse(overloaded())) };
            match tokio::time::timeout(calls.timeout(&call.method), routes.call(request)).await {
                Ok(Ok(response)) => Ok(call.answer(response)),
                Err(_) => {
                    Ok(call.refuse(Status::deadline_exceeded("the node took too long; send the same bytes again")))
                }
            }
        })
    }
}

fn overloaded() -> Status {
    let code = refusal::Code::Overloaded.as_str();
    let mut details = ErrorDetails::with_error_info(code, "xmtp", HashMap::new());
    details.set_retry_info(Some(RETRY_AFTER));
    Status::with_error_details(Code::ResourceExhausted, "the node has too much to do; try again", details)
}

/// To a client that did not take its answer. Whatever it was given before this, it has when it reads this: a subscription goes
/// on behind the cursor.
fn not_taken(told: Option<Cursor>) -> Status {
    let (text, metadata) = match told {
        None => ("the answer was not taken in time; ask again".to_owned(), HashMap::new()),
        Some(Cursor(cursor)) => (
            format!("the answer was not taken in time; subscribe again behind cursor {cursor}"),
            HashMap::from([("cursor".to_owned(), cursor.to_string())]),
        ),
    };
    let details = ErrorDetails::with_error_info("not_taken", "xmtp", metadata);
    Status::with_error_details(Code::ResourceExhausted, text, details)
}

/// A call under way; counted when it is dropped.
struct Call {
    calls: Arc<Calls>,
    method: Method,
    since: Instant,
    /// As it ended; until then, as if its client had hung up.
    code: Code,
}

impl Call {
    fn start(calls: &Arc<Calls>, path: &str) -> Self {
        let method = Method::of(path);
        calls.metrics.started(&method);
        calls.open.send_modify(|open| *open += 1);
        Self { calls: calls.clone(), method, since: Instant::now(), code: Code::Cancelled }
    }

    fn refuse(mut self, status: Status) -> Response<Body> {
        self.code = status.code();
        status.into_http()
    }

    fn answer(mut self, response: Response<Body>) -> Response<Body> {
        if let Some(code) = code_in(response.headers()) {
            self.code = code;
        }
        let (mut head, body) = response.into_parts();
        if body.is_end_stream() {
            return Response::from_parts(head, body);
        }
        let answer = Arc::new(Mutex::new(Answer {
            body: Some(body),
            given: None,
            given_up: false,
            told: head.extensions.remove(),
        }));
        let number = {
            let mut answers = lock(&self.calls.answers);
            let number = answers.last_key_value().map_or(0, |(last, _)| last + 1);
            answers.insert(number, Arc::downgrade(&answer));
            number
        };
        Response::from_parts(head, Body::new(Watched { answer, number, call: self }))
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.calls.metrics.handled(&self.method, self.code, self.since.elapsed());
        self.calls.open.send_modify(|open| *open -= 1);
    }
}

/// What is left of an answer.
struct Answer {
    body: Option<Body>,
    /// When a piece was given to the client that it may not have taken.
    given: Option<Instant>,
    given_up: bool,
    /// Of a subscription: how far the pieces go that were given.
    told: Option<Told>,
}

impl Answer {
    fn give_up(&mut self, now: Instant, timeout: Duration) -> Option<Body> {
        self.given.filter(|given| now.duration_since(*given) >= timeout)?;
        self.given_up = true;
        self.body.take()
    }
}

/// An answer whose client is watched.
struct Watched {
    answer: Arc<Mutex<Answer>>,
    number: u64,
    call: Call,
}

impl Drop for Watched {
    fn drop(&mut self) {
        lock(&self.call.calls.answers).remove(&self.number);
    }
}

impl http_body::Body for Watched {
    type Data = <Body as http_body::Body>::Data;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Status>>> {
        let answer = self.answer.clone();
        let mut answer = lock(&answer);
        // The client has taken what it was given.
        answer.given = None;
        let Some(body) = answer.body.as_mut() else {
            if !std::mem::take(&mut answer.given_up) {
                return Poll::Ready(None);
            }
            self.call.code = Code::ResourceExhausted;
            let status = not_taken(answer.told.as_ref().map(Told::get));
            let mut trailers = HeaderMap::new();
            return Poll::Ready(Some(status.add_header(&mut trailers).map(|()| Frame::trailers(trailers))));
        };
        let polled = Pin::new(body).poll_frame(context);
        match &polled {
            Poll::Pending => {}
            Poll::Ready(Some(Ok(frame))) => {
                answer.given = Some(Instant::now());
                if let Some(code) = frame.trailers_ref().and_then(code_in) {
                    self.call.code = code;
                }
            }
            Poll::Ready(Some(Err(status))) => self.call.code = status.code(),
            Poll::Ready(None) => answer.body = None,
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        let answer = lock(&self.answer);
        !answer.given_up && answer.body.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        lock(&self.answer).body.as_ref().map(http_body::Body::size_hint).unwrap_or_default()
    }
}

fn code_in(headers: &HeaderMap) -> Option<Code> {
    headers.get("grpc-status").map(|code| Code::from_bytes(code.as_bytes()))
}

/// Nothing that is done under these locks can panic half-way.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
