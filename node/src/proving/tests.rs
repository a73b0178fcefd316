//! Which jobs make a batch, and when: with a clock that stands still, and proofs that nobody looks at.

use std::net::{IpAddr, Ipv4Addr};

use super::*;
use crate::metrics::CommitMetrics;

const LINGER: Duration = Duration::from_millis(2);
const WAITING_MAX: usize = 1_024;
const BAD_MAX: u32 = 10;
const HONEST: u32 = 1;
const CULPRIT: u32 = 2;

/// Lanes, and who waits for what is in them.
struct Node {
    lanes: Lanes,
    metrics: Metrics,
    now: Instant,
    waiting: Vec<oneshot::Receiver<Result<Admitted, Refusal>>>,
}

/// How many proofs of whom.
type Batch = Vec<(u32, usize)>;

fn peer(number: u32) -> Peer {
    IpAddr::V4(Ipv4Addr::from_bits(number)).into()
}

impl Node {
    fn new() -> Self {
        let metrics = Metrics::new(&CommitMetrics::default());
        Self { lanes: Lanes::new(WAITING_MAX, BAD_MAX), metrics, now: Instant::now(), waiting: Vec::new() }
    }

    /// One in which a peer is verified apart.
    fn with_culprit() -> Self {
        let mut node = Self::new();
        node.bad(CULPRIT, 1);
        node
    }

    fn bad(&mut self, number: u32, proofs: usize) {
        self.lanes.culprits.verified(peer(number), 0, proofs, self.now);
    }

    /// A submission comes.
    fn push(&mut self, number: u32, proofs: usize) {
        let (reply, verdict) = oneshot::channel();
        let unproved = Unproved::counting(proofs);
        let job = Job { peer: peer(number), unproved, since: self.now, apart: None, reply };
        self.lanes.push(job, self.now, &self.metrics);
        self.waiting.push(verdict);
    }

    fn push_all(&mut self, number: u32, submissions: usize) {
        (0..submissions).for_each(|_| self.push(number, 1));
    }

    fn take(&mut self) -> Batch {
        let batch = self.lanes.take(self.now, &self.metrics);
        let number = |of: Peer| if of == peer(CULPRIT) { CULPRIT } else { HONEST };
        let mut taken = Batch::new();
        for job in batch {
            match taken.last_mut() {
                Some((last, proofs)) if *last == number(job.peer) => *proofs += job.unproved.proofs(),
                _ => taken.push((number(job.peer), job.unproved.proofs())),
            }
        }
        taken
    }

    fn held_apart(&self) -> usize {
        self.lanes.held_apart.load(Ordering::Relaxed)
    }

    /// What those were told who do not wait any more.
    fn turned_away(&mut self) -> Vec<Duration> {
        let told = self.waiting.iter_mut().filter_map(|verdict| match verdict.try_recv() {
            Ok(Err(Refusal::Overloaded { retry_after })) => Some(retry_after),
            _ => None,
        });
        told.collect()
    }

    /// When the next batch is ripe, from now.
    fn ripe(&self, linger: Duration) -> Option<Duration> {
        self.lanes.ripe(linger).map(|ripe| ripe.duration_since(self.now))
    }
}

#[test]
fn full_batch_closes_at_once_and_others_linger() {
    let now = Duration::ZERO;
    for (sentence, number, submissions, expected) in [
        ("nobody waits", HONEST, 0, None),
        ("one", HONEST, 1, Some(LINGER)),
        ("all but one", HONEST, BATCH - 1, Some(LINGER)),
        ("a batch", HONEST, BATCH, Some(now)),
        ("one of a peer apart", CULPRIT, 1, Some(LINGER)),
        ("all but one of a peer apart", CULPRIT, BATCH_APART - 1, Some(LINGER)),
        ("a batch of a peer apart, which is smaller", CULPRIT, BATCH_APART, Some(now)),
    ] {
        let mut node = Node::with_culprit();
        node.push_all(number, submissions);
        assert_eq!(node.ripe(LINGER), expected, "{sentence}");
        // A node that is idle does not wait.
        assert_eq!(node.ripe(Duration::ZERO), expected.map(|_| now), "{sentence}, idle");
    }
}

#[test]
fn batch_lingers_from_its_oldest_proof_on() {
    let mut node = Node::new();
    node.push(HONEST, 1);
    node.now += LINGER / 2;
    node.push(HONEST, 1);
    assert_eq!(node.ripe(LINGER), Some(LINGER / 2));
}

#[test]
fn submission_is_not_torn_apart() {
    let mut node = Node::new();
    node.push_all(HONEST, BATCH - 1);
    node.push(HONEST, 3);
    node.push(HONEST, 1);
    assert_eq!(node.take(), [(HONEST, BATCH + 2)]);
    assert_eq!(node.take(), [(HONEST, 1)]);
    assert_eq!((node.take(), node.lanes.waiting()), (Batch::new(), 0));
}

#[test]
fn peers_apart_are_batched_on_their_own_and_have_one_batch_in_eight() {
    let mut node = Node::with_culprit();
    node.push_all(CULPRIT, 3 * BATCH_APART);
    node.push_all(HONEST, 14 * BATCH);
    for number in 1..=16 {
        let expected = if number % 8 == 0 { (CULPRIT, BATCH_APART) } else { (HONEST, BATCH) };
        assert_eq!(node.take(), [expected], "batch {number}");
    }
    assert_eq!(node.take(), [(CULPRIT, BATCH_APART)], "nobody else is left");
}

#[test]
fn peers_turn_without_a_job_of_theirs_is_the_others() {
    let mut node = Node::with_culprit();
    node.push_all(HONEST, 9 * BATCH);
    for number in 1..=9 {
        assert_eq!(node.take(), [(HONEST, BATCH)], "batch {number}");
    }
}

#[test]
fn jobs_of_a_peer_that_has_fallen_since_are_moved() {
    let mut node = Node::new();
    for _ in 0..20 {
        node.push(CULPRIT, 1);
        node.push(HONEST, 1);
    }
    node.bad(CULPRIT, 1);
    assert_eq!(node.take(), [(HONEST, 20)]);
    assert_eq!((node.lanes.together.proofs, node.lanes.apart.proofs), (0, 20));
    assert_eq!(node.take(), [(CULPRIT, BATCH_APART)]);
    assert_eq!(node.take(), [(CULPRIT, 20 - BATCH_APART)]);
    assert_eq!((node.turned_away(), node.lanes.waiting()), (Vec::new(), 0));
}

#[test]
fn jobs_of_peers_apart_are_known_as_such_until_they_have_a_verdict() {
    let mut node = Node::new();
    node.push_all(HONEST, 3);
    node.push_all(CULPRIT, 3);
    assert_eq!(node.held_apart(), 0, "nobody is known yet");
    node.bad(CULPRIT, 1);
    node.push_all(CULPRIT, 2);
    let together = node.lanes.take(node.now, &node.metrics);
    assert_eq!((together.len(), node.held_apart()), (3, 5), "those that fell since are among them");
    drop(together);
    let apart = node.lanes.take(node.now, &node.metrics);
    assert_eq!((apart.len(), node.lanes.waiting(), node.held_apart()), (5, 0, 5), "while they are verified");
    drop(apart);
    assert_eq!(node.held_apart(), 0);
    node.push(CULPRIT, 1);
    node.bad(CULPRIT, usize::try_from(BAD_MAX).unwrap());
    assert_eq!(node.held_apart(), 1);
    assert_eq!((node.take(), node.held_apart()), (Batch::new(), 0), "cut off");
}

#[test]
fn jobs_of_a_peer_that_was_cut_off_since_are_turned_away() {
    let mut node = Node::with_culprit();
    node.push_all(CULPRIT, 3);
    node.bad(CULPRIT, usize::try_from(BAD_MAX).unwrap());
    assert_eq!(node.take(), Batch::new());
    let cut_off = node.turned_away();
    assert_eq!((cut_off.len(), node.lanes.waiting()), (3, 0));
    node.push(CULPRIT, 1);
    assert_eq!(node.turned_away(), cut_off[..1], "and so is what comes");
}

#[test]
fn who_has_hung_up_takes_no_place() {
    let mut node = Node::new();
    node.push_all(HONEST, BATCH);
    node.waiting.clear();
    node.push_all(HONEST, BATCH);
    assert_eq!(node.take(), [(HONEST, BATCH)]);
    assert_eq!(node.lanes.waiting(), 0);
}

#[test]
fn what_waits_is_bounded_and_peers_apart_have_an_eighth() {
    for (sentence, number, proofs, waits) in [
        ("as many as may", HONEST, vec![1; WAITING_MAX], WAITING_MAX),
        ("one more", HONEST, vec![1; WAITING_MAX + 1], WAITING_MAX),
        ("a submission that would be too much", HONEST, vec![WAITING_MAX - 1, 2, 1], WAITING_MAX),
        ("an empty lane takes any", HONEST, vec![WAITING_MAX + 1, 1], WAITING_MAX + 1),
        ("an eighth", CULPRIT, vec![1; WAITING_MAX / 8], WAITING_MAX / 8),
        ("one more than an eighth", CULPRIT, vec![1; WAITING_MAX / 8 + 1], WAITING_MAX / 8),
    ] {
        let mut node = Node::with_culprit();
        proofs.iter().for_each(|proofs| node.push(number, *proofs));
        assert_eq!(node.lanes.waiting(), waits, "{sentence}");
        let told = usize::from(proofs.iter().sum::<usize>() > waits);
        assert_eq!(node.turned_away(), vec![RETRY_AFTER; told], "{sentence}");
    }
}
