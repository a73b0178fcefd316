//! So many of something at once: in all, and for one peer, so that nobody's appetite is everybody's wait.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::peer::Peer;

/// Places for one kind of thing. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Places {
    taken: Arc<Mutex<Taken>>,
}

#[derive(Default)]
struct Taken {
    total: usize,
    by_peer: HashMap<Peer, usize>,
}

/// A place; given back when it is dropped.
pub(crate) struct Place {
    places: Places,
    peer: Peer,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoPlace {
    /// All are taken.
    Full,
    /// This peer has as many as one may have.
    PeerFull,
}

impl Places {
    /// One of so many in all, and of so many for a peer.
    pub(crate) fn take(&self, peer: Peer, total_max: usize, per_peer_max: usize) -> Result<Place, NoPlace> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let here = taken.by_peer.get(&peer).copied().unwrap_or_default();
        if taken.total >= total_max {
            return Err(NoPlace::Full);
        }
        if here >= per_peer_max {
            return Err(NoPlace::PeerFull);
        }
        taken.total += 1;
        taken.by_peer.insert(peer, here + 1);
        Ok(Place { places: self.clone(), peer })
    }

    pub(crate) fn taken(&self) -> usize {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).total
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.total -= 1;
        if let Some(here) = taken.by_peer.get_mut(&self.peer) {
            *here -= 1;
            if *here == 0 {
                taken.by_peer.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn places_are_bounded_in_all_and_for_each_peer_and_come_back() {
        let at = |text: &str| Peer::from(text.parse::<IpAddr>().unwrap());
        let places = Places::default();
        let take = |peer| places.take(peer, 3, 2);
        let first = take(at("192.0.2.1")).unwrap();
        // The same address, as a socket for both families writes it.
        let second = take(at("::ffff:192.0.2.1")).unwrap();
        assert_eq!(take(at("192.0.2.1")).err(), Some(NoPlace::PeerFull));
        let third = take(at("2001:db8::1")).unwrap();
        assert_eq!(take(at("192.0.2.2")).err(), Some(NoPlace::Full));
        drop((first, second));
        let _fourth = take(at("2001:db8::ffff:1")).unwrap();
        assert_eq!(take(at("2001:db8::2")).err(), Some(NoPlace::PeerFull), "one /64 is one subscriber");
        drop(third);
        assert_eq!(places.taken(), 1);
        assert_eq!(places.taken.lock().unwrap().by_peer.len(), 1);
    }
}
