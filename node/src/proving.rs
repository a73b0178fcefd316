//! Proofs are checked here, many together, between the other rules and the append (docs/protocol.md, "Verification and
//! batches"; docs/operating.md, "Bad proofs").
//!
//! ```text
//! Unproved ──► a lane ──► a batch: full, or old enough, or the node idle ──► validate::prove ──► Admitted, or Refusal
//! ```
//!
//! What waits is bounded; who comes when it is full is told to come back. A bad proof makes its batch dearer, so peers of whose
//! proofs some were bad are verified apart from the others and after them, and those that go on are cut off.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use xmtp_proto::refusal::Refusal;

use crate::metrics::{Metrics, NotProved};
use crate::peer::Peer;
use crate::validate::{self, Admitted, Rules, Unproved};
use culprits::{Culprits, Standing};

mod culprits;
#[cfg(test)]
mod tests;

/// A batch is full with so many proofs: more make each hardly cheaper, and all wait for the last.
const BATCH: usize = 64;
/// A batch of peers that are verified apart: its culprits make it dear, and the others wait for its end.
const BATCH_APART: usize = 16;
/// Of all that may wait, one in so many may be of peers that are verified apart.
const APART_PART: usize = 8;
/// One batch in so many is theirs, however much the others send.
const APART_TURN: u64 = 8;
/// When to come back if too much waits: that takes a second or two to verify.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why a submission was not admitted.
#[derive(Debug)]
pub(crate) enum NotAdmitted {
    /// A proof does not hold, or the peer should come back.
    Refused(Refusal),
    /// The check panicked: a mistake of ours, and the submission has no verdict.
    Bug,
}

/// How proofs are gathered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gathering {
    /// How long a batch waits for more while another is verified.
    pub(crate) linger: Duration,
    /// Of proofs that wait.
    pub(crate) waiting_max: usize,
    /// Of bad proofs that a peer may send before it is cut off; they fade.
    pub(crate) bad_max: u32,
}

/// Where proofs are checked. Clones share it.
#[derive(Clone)]
pub(crate) struct Proving(Arc<Shared>);

struct Shared {
    rules: Arc<Rules>,
    metrics: Metrics,
    linger: Duration,
    lanes: Mutex<Lanes>,
    arrived: Notify,
}

/// A submission that waits, and who waits for it.
struct Job {
    peer: Peer,
    unproved: Unproved,
    since: Instant,
    /// While it is among those that are verified apart, from the lane to its verdict.
    apart: Option<Apart>,
    reply: oneshot::Sender<Result<Admitted, Refusal>>,
}

/// One of the submissions that are held up apart from the others; none when it is dropped.
struct Apart(Arc<AtomicUsize>);

impl Apart {
    fn one_of(all: &Arc<AtomicUsize>) -> Self {
        all.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(all))
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Lane {
    /// So many proofs are a batch.
    full: usize,
    jobs: VecDeque<Job>,
    proofs: usize,
}

struct Lanes {
    together: Lane,
    apart: Lane,
    culprits: Culprits,
    waiting_max: usize,
    taken: u64,
    /// Submissions that are held up apart: in their lane, and while they are verified.
    held_apart: Arc<AtomicUsize>,
}

impl Proving {
    pub(crate) fn new(rules: Arc<Rules>, metrics: Metrics, gathering: Gathering) -> Self {
        let Gathering { linger, waiting_max, bad_max } = gathering;
        let lanes = Mutex::new(Lanes::new(waiting_max, bad_max));
        Self(Arc::new(Shared { rules, metrics, linger, lanes, arrived: Notify::new() }))
    }

    /// Waits for a batch that says whether the proofs of a submission hold.
    pub(crate) async fn prove(&self, peer: Peer, unproved: Unproved) -> Result<Admitted, NotAdmitted> {
        let Shared { metrics, arrived, .. } = &*self.0;
        let (reply, verdict) = oneshot::channel();
        {
            let mut lanes = self.lanes();
            let since = Instant::now();
            lanes.push(Job { peer, unproved, since, apart: None, reply }, since, metrics);
            metrics.proofs_waiting(lanes.waiting());
        }
        arrived.notify_one();
        match verdict.await {
            Ok(verdict) => verdict.map_err(NotAdmitted::Refused),
            Err(_) => Err(NotAdmitted::Bug),
        }
    }

    /// Submissions without a verdict whose peers are verified apart.
    pub(crate) fn held_apart(&self) -> usize {
        self.lanes().held_apart.load(Ordering::Relaxed)
    }

    /// Verifies on as many threads as the machine has processors, until it is told to stop. Whoever waits then has no verdict.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let verifiers = std::thread::available_parallelism().map_or(1, Into::into);
        let mut busy = JoinSet::new();
        loop {
            let (idle, free) = (busy.is_empty(), busy.len() < verifiers);
            tokio::select! {
                // A panic has left the batch without verdicts, and who waits for them knows.
                Some(_) = busy.join_next() => {}
                batch = self.batch(idle), if free => {
                    let this = self.clone();
                    busy.spawn_blocking(move || this.verify(batch));
                }
                () = stop.cancelled() => return,
            }
        }
    }

    /// The next batch, when it is time for it. A node that is idle does not wait for more.
    async fn batch(&self, idle: bool) -> Vec<Job> {
        loop {
            let arrived = self.0.arrived.notified();
            let ripe = {
                let mut lanes = self.lanes();
                let now = Instant::now();
                let ripe = lanes.ripe(if idle { Duration::ZERO } else { self.0.linger });
                if ripe.is_some_and(|ripe| ripe <= now) {
                    let batch = lanes.take(now, &self.0.metrics);
                    self.0.metrics.proofs_waiting(lanes.waiting());
                    if !batch.is_empty() {
                        return batch;
                    }
                    continue;
                }
                ripe
            };
            let ripens = async {
                match ripe {
                    Some(ripe) => tokio::time::sleep_until(ripe).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = arrived => {}
                () = ripens => {}
            }
        }
    }

    fn verify(&self, batch: Vec<Job>) {
        let Shared { rules, metrics, .. } = &*self.0;
        let mut unproved = Vec::with_capacity(batch.len());
        let mut waiting = Vec::with_capacity(batch.len());
        for job in batch {
            waiting.push((job.peer, job.unproved.proofs(), job.apart, job.reply));
            unproved.push(job.unproved);
        }
        let began = Instant::now();
        let verdicts = validate::prove(rules, unproved, &mut rand::rng());
        let now = Instant::now();
        let proofs = waiting.iter().map(|(_, proofs, ..)| proofs).sum();
        metrics.proved(proofs, now.duration_since(began));
        let mut lanes = self.lanes();
        for ((peer, proofs, _apart, reply), verdict) in waiting.into_iter().zip(verdicts) {
            if verdict.is_err() {
                metrics.bad_proof();
            }
            // Which of a submission's proofs are bad is not told; one is.
            let bad = usize::from(verdict.is_err());
            lanes.culprits.verified(peer, proofs - bad, bad, now);
            // Who does not wait any more has hung up.
            let _ = reply.send(verdict);
        }
    }

    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        // Nothing that is done under this lock panics half-way.
        self.0.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lanes {
    fn new(waiting_max: usize, bad_max: u32) -> Self {
        let [together, apart] = [BATCH, BATCH_APART].map(Lane::new);
        Self { together, apart, culprits: Culprits::new(bad_max), waiting_max, taken: 0, held_apart: Arc::default() }
    }

    fn waiting(&self) -> usize {
        self.together.proofs + self.apart.proofs
    }

    /// Puts a job where its peer's standing says, or turns it away.
    fn push(&mut self, mut job: Job, now: Instant, metrics: &Metrics) {
        let (lane, proofs_max, is_apart) = match self.culprits.standing(job.peer, now) {
            Standing::Together => (&mut self.together, self.waiting_max, false),
            Standing::Apart => (&mut self.apart, self.waiting_max / APART_PART, true),
            Standing::CutOff(rest) => return job.turn_away(NotProved::CutOff, rest, metrics),
        };
        // An empty lane takes a submission however many proofs it has.
        if lane.proofs > 0 && lane.proofs + job.unproved.proofs() > proofs_max {
            return job.turn_away(NotProved::Full, RETRY_AFTER, metrics);
        }
        if is_apart {
            job.apart = Some(Apart::one_of(&self.held_apart));
        }
        lane.proofs += job.unproved.proofs();
        lane.jobs.push_back(job);
    }

    /// From when on there is a batch to take, if any job waits.
    fn ripe(&self, linger: Duration) -> Option<Instant> {
        let lanes = [&self.together, &self.apart];
        lanes.into_iter().filter_map(|lane| lane.ripe(linger)).min()
    }

    /// The oldest jobs of the lane whose turn it is, until they are a batch.
    fn take(&mut self, now: Instant, metrics: &Metrics) -> Vec<Job> {
        self.taken += 1;
        let turn = self.together.jobs.is_empty() || self.taken.is_multiple_of(APART_TURN);
        let apart = turn && !self.apart.jobs.is_empty();
        let (mut batch, mut proofs) = (Vec::new(), 0);
        let full = if apart { self.apart.full } else { self.together.full };
        while proofs < full {
            let lane = if apart { &mut self.apart } else { &mut self.together };
            let Some(job) = lane.pop() else { break };
            if job.reply.is_closed() {
                continue; // Its client has hung up.
            }
            match self.culprits.standing(job.peer, now) {
                Standing::CutOff(rest) => job.turn_away(NotProved::CutOff, rest, metrics),
                // Its peer has fallen since: a flood leaves the lane as soon as one batch has shown what it is.
                Standing::Apart if !apart => self.push(job, now, metrics),
                Standing::Apart | Standing::Together => {
                    proofs += job.unproved.proofs();
                    batch.push(job);
                }
            }
        }
        batch
    }
}

impl Lane {
    const fn new(full: usize) -> Self {
        Self { full, jobs: VecDeque::new(), proofs: 0 }
    }

    fn pop(&mut self) -> Option<Job> {
        let job = self.jobs.pop_front()?;
        self.proofs -= job.unproved.proofs();
        Some(job)
    }

    fn ripe(&self, linger: Duration) -> Option<Instant> {
        let oldest = self.jobs.front()?.since;
        Some(if self.proofs >= self.full { oldest } else { oldest + linger })
    }
}

impl Job {
    fn turn_away(self, reason: NotProved, retry_after: Duration, metrics: &Metrics) {
        metrics.not_proved(reason);
        let _ = self.reply.send(Err(Refusal::Overloaded { retry_after }));
    }
}
