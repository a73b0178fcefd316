//! Bytes of publishes that the node holds, from their arrival until their call is answered: so many in all, and so many of one
//! address. Counted as they come, for a call says nothing beforehand of how large it will be.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use http_body::{Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;

use crate::peer::Peer;

/// The room there is. Clones share it.
#[derive(Clone)]
pub(super) struct Receiving(Arc<Mutex<Held>>);

#[derive(Default)]
struct Held {
    total: usize,
    by_peer: HashMap<Peer, usize>,
}

/// What one call holds; given back when it is dropped.
pub(super) struct Share {
    receiving: Receiving,
    peer: Peer,
    bytes: AtomicUsize,
    total_max: usize,
    per_peer_max: usize,
}

impl Receiving {
    pub(super) fn new() -> Self {
        Self(Arc::default())
    }

    /// For a call of this peer: nothing yet, and no more than this of all and of its own.
    pub(super) fn share(&self, peer: Peer, total_max: usize, per_peer_max: usize) -> Arc<Share> {
        Arc::new(Share { receiving: self.clone(), peer, bytes: AtomicUsize::new(0), total_max, per_peer_max })
    }
}

impl Share {
    /// So many bytes more have come. False if there is no room for them.
    fn grow(&self, bytes: usize) -> bool {
        let mut held = self.receiving.0.lock().unwrap_or_else(PoisonError::into_inner);
        let here = held.by_peer.get(&self.peer).copied().unwrap_or_default();
        if held.total + bytes > self.total_max || here + bytes > self.per_peer_max {
            return false;
        }
        held.total += bytes;
        *held.by_peer.entry(self.peer).or_default() += bytes;
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        true
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let bytes = self.bytes.load(Ordering::Relaxed);
        let mut held = self.receiving.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.total -= bytes;
        if let Some(here) = held.by_peer.get_mut(&self.peer) {
            *here -= bytes;
            if *here == 0 {
                held.by_peer.remove(&self.peer);
            }
        }
    }
}

/// A request's body that is counted as it comes. Without room it ends with this status.
struct Counted {
    body: Body,
    share: Arc<Share>,
    no_room: fn() -> Status,
}

/// Counts a body as it comes.
pub(super) fn count(body: Body, share: Arc<Share>, no_room: fn() -> Status) -> Body {
    Body::new(Counted { body, share, no_room })
}

impl http_body::Body for Counted {
    type Data = <Body as http_body::Body>::Data;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Status>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
            && !self.share.grow(data.len())
        {
            return Poll::Ready(Some(Err((self.no_room)())));
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn peer(last: u8) -> Peer {
        IpAddr::from([192, 0, 2, last]).into()
    }

    #[test]
    fn room_is_bounded_in_all_and_for_each_and_comes_back() {
        let receiving = Receiving::new();
        let share = |last| receiving.share(peer(last), 100, 60);
        let (first, second, third) = (share(1), share(1), share(2));
        assert!(first.grow(50));
        assert!(!second.grow(20), "more than one peer may hold, on whichever call");
        assert!(second.grow(10));
        assert!(!third.grow(50), "more than all may hold");
        assert!(third.grow(40));
        drop(first);
        assert!(third.grow(20));
        drop((second, third));
        assert!(receiving.0.lock().unwrap().by_peer.is_empty());
        assert_eq!(receiving.0.lock().unwrap().total, 0);
    }
}
