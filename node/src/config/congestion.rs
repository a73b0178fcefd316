//! When the network's price at invite topics rises and falls (docs/operating.md, "Congestion").

use std::time::Duration;

use serde::{Deserialize, Serialize};
use xmtp_proto::congestion::{InvalidSteps, Steps};

/// No price is announced for longer, and none held for longer.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// When the network's price at invite topics rises and falls.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct CongestionConfig {
    /// By which multiples of its stamps.
    pub steps: Steps,
    /// It rises by a step while more submissions than this wait.
    pub rise_at: u32,
    /// It falls by a step while fewer than this wait.
    pub fall_at: u32,
    /// How fast the number that waits is forgotten: half of what was counts after this.
    pub half_life: Duration,
    /// Between two steps at least.
    pub hold: Duration,
    /// How long what was asked is enough, whatever is asked meanwhile.
    pub grace: Duration,
}

impl Default for CongestionConfig {
    fn default() -> Self {
        Self {
            // Valid, or a test of the example fails.
            steps: Steps::try_from(vec![2, 4, 8]).unwrap_or_default(),
            rise_at: 1024,
            fall_at: 128,
            half_life: Duration::from_secs(10),
            hold: Duration::from_secs(30),
            grace: Duration::from_secs(60),
        }
    }
}

/// As it stands in the file.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct Written {
    steps: Vec<u32>,
    rise_at: u32,
    fall_at: u32,
    #[serde(with = "humantime_serde")]
    half_life: Duration,
    #[serde(with = "humantime_serde")]
    hold: Duration,
    #[serde(with = "humantime_serde")]
    grace: Duration,
}

/// What is wrong with the section. The operator's to mend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Invalid {
    #[error("congestion.steps: {0}")]
    Steps(#[from] InvalidSteps),
    #[error("congestion.fall_at has to be below congestion.rise_at, or the price would rise and fall at one load")]
    Band,
    #[error("congestion.half_life, .hold and .grace are longer than nothing and at most an hour")]
    Time,
}

impl Default for Written {
    fn default() -> Self {
        CongestionConfig::default().into()
    }
}

impl From<CongestionConfig> for Written {
    fn from(it: CongestionConfig) -> Self {
        let CongestionConfig { steps, rise_at, fall_at, half_life, hold, grace } = it;
        Self { steps: steps.as_slice().to_vec(), rise_at, fall_at, half_life, hold, grace }
    }
}

impl TryFrom<Written> for CongestionConfig {
    type Error = Invalid;

    fn try_from(written: Written) -> Result<Self, Invalid> {
        let Written { steps, rise_at, fall_at, half_life, hold, grace } = written;
        if fall_at >= rise_at {
            return Err(Invalid::Band);
        }
        if [half_life, hold, grace].iter().any(|it| it.is_zero() || *it > LONGEST) {
            return Err(Invalid::Time);
        }
        Ok(Self { steps: steps.try_into()?, rise_at, fall_at, half_life, hold, grace })
    }
}
