//! How many connections there may be, in all and from one address.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::metrics::NotServed;
use crate::peer::Peer;

/// The places of a server. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Places {
    taken: Arc<Mutex<HashMap<Peer, usize>>>,
}

/// A place for a connection; given back when it is dropped.
pub(super) struct Place {
    places: Places,
    peer: Peer,
}

impl Places {
    /// One of so many in all, and of so many for an address.
    pub(super) fn take(&self, peer: Peer, total_max: usize, per_address_max: usize) -> Result<Place, NotServed> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.values().sum::<usize>() >= total_max {
            return Err(NotServed::Full);
        }
        let here = taken.entry(peer).or_default();
        if *here >= per_address_max {
            return Err(NotServed::AddressFull);
        }
        *here += 1;
        Ok(Place { places: self.clone(), peer })
    }

    pub(super) fn taken(&self) -> usize {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(here) = taken.get_mut(&self.peer) {
            *here -= 1;
            if *here == 0 {
                taken.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn places_are_bounded_in_all_and_per_address_and_come_back() {
        let at = |text: &str| Peer::from(text.parse::<IpAddr>().unwrap());
        let places = Places::default();
        let take = |peer| places.take(peer, 3, 2);
        let first = take(at("192.0.2.1")).unwrap();
        // The same address, as a socket for both families writes it.
        let second = take(at("::ffff:192.0.2.1")).unwrap();
        assert!(matches!(take(at("192.0.2.1")), Err(NotServed::AddressFull)));
        let third = take(at("2001:db8::1")).unwrap();
        assert!(matches!(take(at("192.0.2.2")), Err(NotServed::Full)));
        drop((first, second));
        let _fourth = take(at("2001:db8::ffff:1")).unwrap();
        assert!(matches!(take(at("2001:db8::2")), Err(NotServed::AddressFull)), "one /64 is one subscriber");
        drop(third);
        assert_eq!(places.taken(), 1);
    }
}
