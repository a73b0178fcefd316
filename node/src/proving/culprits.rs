//! Whose proofs did not hold. Only peers that sent a bad one are remembered, fading, and so many of them.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::peer::Peer;

/// What a peer did counts half after this.
const HALF_LIFE: Duration = Duration::from_secs(60);
/// A peer of whose proofs a larger share is bad is verified apart: a batch with one culprit costs as much as one and a half.
const SHARE_TOGETHER: f64 = 1.0 / 64.0;
/// How long nothing is proved for a peer that has sent too many.
const CUT_OFF: Duration = Duration::from_secs(60);
/// Peers remembered at least; at most twice as many.
const REMEMBERED: usize = 16_384;

/// How a peer is treated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Standing {
    /// Together with all others.
    Together,
    /// Apart from them, and after them.
    Apart,
    /// Not at all, for so long.
    CutOff(Duration),
}

/// Peers that sent bad proofs. What is not looked up for long is dropped, when there are too many: the newer half is kept.
pub(super) struct Culprits {
    newer: HashMap<Peer, Record>,
    older: HashMap<Peer, Record>,
    bad_max: f64,
}

#[derive(Clone, Copy)]
struct Record {
    good: f64,
    bad: f64,
    as_of: Instant,
    cut_off_until: Option<Instant>,
}

impl Culprits {
    /// A peer with more bad proofs than this is cut off.
    pub(super) fn new(bad_max: u32) -> Self {
        Self { newer: HashMap::new(), older: HashMap::new(), bad_max: bad_max.into() }
    }

    pub(super) fn standing(&mut self, peer: Peer, now: Instant) -> Standing {
        let Some(record) = self.record(peer) else { return Standing::Together };
        record.fade(now);
        match record.cut_off_until {
            Some(until) if until > now => Standing::CutOff(until - now),
            _ if record.bad > (record.good + record.bad) * SHARE_TOGETHER => Standing::Apart,
            _ => Standing::Together,
        }
    }

    /// So many proofs of a peer were verified.
    pub(super) fn verified(&mut self, peer: Peer, good: usize, bad: usize, now: Instant) {
        if bad > 0 && self.record(peer).is_none() {
            self.insert(peer, Record { good: 0.0, bad: 0.0, as_of: now, cut_off_until: None });
        }
        let bad_max = self.bad_max;
        let Some(record) = self.record(peer) else { return };
        record.fade(now);
        record.good += count(good);
        record.bad += count(bad);
        if bad > 0 && record.bad > bad_max {
            record.cut_off_until = Some(now + CUT_OFF);
        }
    }

    fn record(&mut self, peer: Peer) -> Option<&mut Record> {
        if let Some(record) = self.older.remove(&peer) {
            self.insert(peer, record);
        }
        self.newer.get_mut(&peer)
    }

    fn insert(&mut self, peer: Peer, record: Record) {
        if self.newer.len() >= REMEMBERED {
            self.older = std::mem::take(&mut self.newer);
        }
        self.newer.insert(peer, record);
    }
}

impl Record {
    fn fade(&mut self, now: Instant) {
        let faded = 0.5_f64.powf(now.duration_since(self.as_of).div_duration_f64(HALF_LIFE));
        self.good *= faded;
        self.bad *= faded;
        // Threads come to the lock in another order than they read the clock in.
        self.as_of = self.as_of.max(now);
    }
}

fn count(proofs: usize) -> f64 {
    // Of one submission.
    u32::try_from(proofs).unwrap_or(u32::MAX).into()
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    fn peer(number: u32) -> Peer {
        IpAddr::V4(Ipv4Addr::from_bits(number)).into()
    }

    #[test]
    fn peers_without_a_bad_proof_are_not_remembered() {
        let (mut culprits, now) = (Culprits::new(10), Instant::now());
        culprits.verified(peer(1), 1000, 0, now);
        assert_eq!(culprits.newer.len(), 0);
        assert_eq!(culprits.standing(peer(1), now), Standing::Together);
    }

    #[test]
    fn a_bad_share_sets_apart_until_it_is_small() {
        let (mut culprits, now) = (Culprits::new(10), Instant::now());
        culprits.verified(peer(1), 0, 1, now);
        assert_eq!(culprits.standing(peer(1), now), Standing::Apart);
        assert_eq!(culprits.standing(peer(2), now), Standing::Together, "another peer");
        culprits.verified(peer(1), 62, 0, now);
        assert_eq!(culprits.standing(peer(1), now), Standing::Apart);
        culprits.verified(peer(1), 1, 0, now);
        assert_eq!(culprits.standing(peer(1), now), Standing::Together);
    }

    #[test]
    fn too_many_cut_off_for_a_while() {
        let (mut culprits, now) = (Culprits::new(10), Instant::now());
        culprits.verified(peer(1), 100_000, 10, now);
        assert_eq!(culprits.standing(peer(1), now), Standing::Together);
        culprits.verified(peer(1), 0, 1, now);
        assert_eq!(culprits.standing(peer(1), now), Standing::CutOff(CUT_OFF));
        let later = now + CUT_OFF;
        assert_eq!(culprits.standing(peer(1), later), Standing::Together);
        // What is forgiven is not forgotten: half of it is still there.
        culprits.verified(peer(1), 0, 5, later);
        assert!(matches!(culprits.standing(peer(1), later), Standing::CutOff(_)));
    }

    #[test]
    fn what_was_done_fades() {
        let (mut culprits, now) = (Culprits::new(10), Instant::now());
        culprits.verified(peer(1), 0, 8, now);
        culprits.verified(peer(1), 0, 4, now + HALF_LIFE);
        culprits.verified(peer(1), 0, 2, now + HALF_LIFE);
        assert_eq!(culprits.standing(peer(1), now + HALF_LIFE), Standing::Apart, "4 + 4 + 2 are not too many");
    }

    #[test]
    fn memory_is_bounded_and_keeps_who_was_seen_last() {
        let (mut culprits, now) = (Culprits::new(10), Instant::now());
        for number in 0..5 * u32::try_from(REMEMBERED).unwrap() {
            culprits.verified(peer(number), 0, 11, now);
            assert!(matches!(culprits.standing(peer(7), now), Standing::CutOff(_)) || number < 7);
        }
        assert!(culprits.newer.len() + culprits.older.len() <= 2 * REMEMBERED);
    }
}
