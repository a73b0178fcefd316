//! Time: the one clock, and the protocol's windows.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How far in the future an envelope's time may lie.
pub const MAX_AHEAD: Duration = Duration::from_secs(5 * 60);
/// How old a franked envelope may be when it is accepted first.
pub const MAX_AGE_FRANKED: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How old any other envelope may be when it is accepted first.
pub const MAX_AGE: Duration = Duration::from_secs(60 * 60);
/// Within this distance of an epoch's edge its neighbour is accepted too.
pub const EPOCH_SKEW: Duration = Duration::from_secs(120);

/// The length of a generation in seconds: a quarter of a year.
pub const GENERATION_SECONDS: u64 = 7_889_400;

const SECONDS_PER_EPOCH: u64 = 86_400;

/// Nanoseconds since the Unix epoch; the last one it can name is in the year 2554.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// From nanoseconds since the Unix epoch.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// From seconds since the Unix epoch.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1_000_000_000))
    }

    /// Nanoseconds since the Unix epoch.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Whole seconds since the Unix epoch.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0 / 1_000_000_000
    }

    /// This much later, or the last timestamp there is.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// This much earlier, or the Unix epoch.
    #[must_use]
    pub fn saturating_sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// How long ago `earlier` was; nothing if it was not.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The UTC day.
    #[must_use]
    pub const fn epoch(self) -> Epoch {
        Epoch(self.as_secs() / SECONDS_PER_EPOCH)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}s", self.as_secs(), self.0 % 1_000_000_000)
    }
}

/// A UTC day: `floor(unix seconds / 86,400)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

impl Epoch {
    /// Whether a pass of this epoch counts at `now`: its own day, and 120 s of the days beside it.
    #[must_use]
    pub fn counts_at(self, now: Timestamp) -> bool {
        (now.saturating_sub(EPOCH_SKEW).epoch()..=now.saturating_add(EPOCH_SKEW).epoch()).contains(&self)
    }

    /// The first nanosecond of the day.
    #[must_use]
    pub const fn starts_at(self) -> Timestamp {
        Timestamp::from_secs(self.0.saturating_mul(SECONDS_PER_EPOCH))
    }
}

/// The quarter of a year that commitments stand for: `floor(unix seconds / 7,889,400)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub u32);

impl Generation {
    /// The generation at a time.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self(u32::try_from(now.as_secs() / GENERATION_SECONDS).unwrap_or(u32::MAX))
    }

    /// Whether commitments of this generation join a group at `now`: its own quarter, and 120 s of those beside it.
    #[must_use]
    pub fn counts_at(self, now: Timestamp) -> bool {
        (Self::at(now.saturating_sub(EPOCH_SKEW))..=Self::at(now.saturating_add(EPOCH_SKEW))).contains(&self)
    }
}

/// Where all time is read. Tests hold a manual one and set it.
#[derive(Clone, Debug, Default)]
pub struct Clock(Option<Arc<AtomicU64>>);

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub const fn system() -> Self {
        Self(None)
    }

    /// A clock that stands still until [`Clock::set`] moves it; its clones move with it.
    #[must_use]
    pub fn manual(start: Timestamp) -> Self {
        Self(Some(Arc::new(AtomicU64::new(start.0))))
    }

    /// Now.
    #[must_use]
    // The one place where the machine's time is read.
    #[allow(clippy::disallowed_methods)]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Some(nanos) => Timestamp(nanos.load(Ordering::SeqCst)),
            // A machine whose clock stands before 1970 reads as 1970, and every envelope as too far ahead.
            None => {
                Timestamp::default().saturating_add(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
            }
        }
    }

    /// Sets a manual clock; the machine's is left alone.
    pub fn set(&self, now: Timestamp) {
        if let Some(nanos) = &self.0 {
            nanos.store(now.0, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epoch_counts_two_minutes_around_its_day() {
        let day = Epoch(20_000);
        let starts = 20_000 * SECONDS_PER_EPOCH;
        for (seconds, expected) in [
            (starts - 121, false),
            (starts - 120, true),
            (starts, true),
            (starts + SECONDS_PER_EPOCH - 1, true),
            (starts + SECONDS_PER_EPOCH + 119, true),
            (starts + SECONDS_PER_EPOCH + 120, false),
        ] {
            assert_eq!(day.counts_at(Timestamp::from_secs(seconds)), expected, "at {}", seconds - starts);
        }
    }

    #[test]
    fn generations_are_quarters() {
        for (seconds, generation) in [(0, 0), (7_889_399, 0), (7_889_400, 1), (1_795_000_000, 227)] {
            assert_eq!(Generation::at(Timestamp::from_secs(seconds)), Generation(generation), "{seconds}");
        }
        for (seconds, expected) in [(7_889_279, false), (7_889_280, true), (15_778_919, true), (15_778_920, false)] {
            assert_eq!(Generation(1).counts_at(Timestamp::from_secs(seconds)), expected, "at {seconds}");
        }
    }

    #[test]
    fn manual_clock_moves_with_its_clones() {
        let clock = Clock::manual(Timestamp::from_secs(1));
        let clone = clock.clone();
        clock.set(Timestamp::from_secs(2));
        assert_eq!(clone.now(), Timestamp::from_secs(2));
    }
}
