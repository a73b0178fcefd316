//! Congestion: while more waits than the node gets done, the network's price at invite topics rises by steps, and falls again
//! when it is quiet (docs/protocol.md, "Congestion"; docs/decisions/0021-congestion.md).
//!
//! ```text
//! what waits, ten times a second ──► smoothed ──► a step up, a step down, or neither ──► asked of whoever asks now
//! ```
//!
//! What was asked is enough for a grace, whatever is asked meanwhile: nobody is refused for having asked a moment too early, nor
//! for having paid what was asked before the price fell.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use xmtp_proto::time::{Clock, Timestamp};

use crate::config::CongestionConfig;
use crate::metrics::Metrics;
use crate::validate::Times;

/// Between two looks at what waits.
const TICK: Duration = Duration::from_millis(100);

/// What is asked of whoever asks now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Announced {
    /// How many times the network's stamps.
    pub(crate) times: u32,
    /// So long that is enough.
    pub(crate) good_until: Timestamp,
}

/// The price, as it is now. Clones share it.
#[derive(Clone)]
pub(crate) struct Congestion {
    thermostat: Arc<Mutex<Thermostat>>,
    waiting: Arc<AtomicUsize>,
}

/// A submission that broke no rule and has no postmark yet; none when it is dropped.
pub(crate) struct Waiting(Arc<AtomicUsize>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Congestion {
    pub(crate) fn new(config: CongestionConfig, now: Timestamp) -> Self {
        let thermostat = Mutex::new(Thermostat::new(config, now));
        Self { thermostat: Arc::new(thermostat), waiting: Arc::default() }
    }

    /// One submission more waits to be proved and stored.
    pub(crate) fn wait(&self) -> Waiting {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Waiting(self.waiting.clone())
    }

    /// What is asked of whoever asks now.
    pub(crate) fn announced(&self, now: Timestamp) -> Announced {
        self.thermostat().announced(now)
    }

    /// What may have been asked of whoever sends now.
    pub(crate) fn asked(&self, now: Timestamp) -> Times {
        self.thermostat().asked(now)
    }

    /// By which multiples the price may rise.
    pub(crate) fn steps(&self) -> Vec<u32> {
        self.thermostat().config.steps.as_slice().to_vec()
    }

    /// Looks at what waits, and moves the price, until it is told to stop. Those that are held up `apart` from the others, for
    /// bad proofs, do not count: nobody raises the price by sending them.
    pub(crate) async fn run(self, apart: impl Fn() -> usize, metrics: Metrics, clock: Clock, stop: CancellationToken) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = stop.cancelled() => return,
            }
            let waits = self.waiting.load(Ordering::Relaxed).saturating_sub(apart());
            let now = clock.now();
            let (moved, load, times) = {
                let mut thermostat = self.thermostat();
                let before = thermostat.times();
                thermostat.observe(waits, now);
                (thermostat.times() != before, thermostat.load, thermostat.times())
            };
            metrics.congestion(load, times);
            if moved {
                tracing::info!(times, waiting = load.round(), "the network's price at invite topics has moved");
            }
        }
    }

    fn thermostat(&self) -> MutexGuard<'_, Thermostat> {
        // Nothing that is done under this lock panics half-way.
        self.thermostat.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which step it is. Time is told to it.
struct Thermostat {
    config: CongestionConfig,
    /// How many submissions wait, smoothed, as of a time.
    load: f64,
    as_of: Timestamp,
    /// How many steps up, and since when.
    step: usize,
    since: Timestamp,
    /// For each price, the quiet one first: until when it is enough although another is asked.
    good_until: Vec<Timestamp>,
}

impl Thermostat {
    fn new(config: CongestionConfig, now: Timestamp) -> Self {
        let good_until = vec![Timestamp::default(); config.steps.as_slice().len() + 1];
        Self { config, load: 0.0, as_of: now, step: 0, since: Timestamp::default(), good_until }
    }

    /// So many submissions wait now.
    fn observe(&mut self, waiting: usize, now: Timestamp) {
        // A clock that was set back begins anew, lest the price stand still until it has caught up.
        self.as_of = self.as_of.min(now);
        self.since = self.since.min(now);
        let latest = now.saturating_add(self.config.grace);
        self.good_until.iter_mut().for_each(|until| *until = latest.min(*until));
        let kept = 0.5_f64.powf(now.since(self.as_of).div_duration_f64(self.config.half_life));
        self.load = self.load * kept + count(waiting) * (1.0 - kept);
        self.as_of = now;
        if now.since(self.since) < self.config.hold {
            return;
        }
        let next = if self.load > self.config.rise_at.into() {
            (self.step + 1).min(self.config.steps.as_slice().len())
        } else if self.load < self.config.fall_at.into() {
            self.step.saturating_sub(1)
        } else {
            self.step
        };
        if next != self.step {
            self.good_until[self.step] = latest;
            (self.step, self.since) = (next, now);
        }
    }

    fn times(&self) -> u32 {
        self.price(self.step)
    }

    fn announced(&self, now: Timestamp) -> Announced {
        Announced { times: self.times(), good_until: now.saturating_add(self.config.grace) }
    }

    fn asked(&self, now: Timestamp) -> Times {
        let good = (0..self.good_until.len()).filter(|step| *step == self.step || self.good_until[*step] > now);
        let prices: Vec<u32> = good.map(|step| self.price(step)).collect();
        let times = self.times();
        Times { least: prices.first().copied().unwrap_or(times), most: prices.last().copied().unwrap_or(times) }
    }

    fn price(&self, step: usize) -> u32 {
        step.checked_sub(1).and_then(|step| self.config.steps.as_slice().get(step)).copied().unwrap_or(1)
    }
}

fn count(waiting: usize) -> f64 {
    // Queues are bounded far below.
    u32::try_from(waiting).unwrap_or(u32::MAX).into()
}

#[cfg(test)]
mod tests;
