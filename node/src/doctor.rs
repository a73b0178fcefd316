//! `xmtp-node doctor`: looks at all that a node needs, changes nothing, and says of each fault what would mend it.

use std::fmt;

use serde::Serialize;
use xmtp_proto::time::Clock;
use xmtp_proto::{envelope, submission};

use crate::config::{Config, CongestionConfig, Limits, Retention};
use crate::{api, node, store};

mod chain;
mod files;
mod machine;

/// How it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Good,
    /// A node runs, and could be better off.
    Warning,
    /// A node does not start, does not take publishes, or is not safe.
    Bad,
}

/// What was found in one place.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// Where: `disk.space`.
    pub check: &'static str,
    /// How it is.
    pub verdict: Verdict,
    /// What was seen.
    pub found: String,
    /// What would mend it; empty if there is nothing to mend.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mend: String,
}

impl Finding {
    fn good(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Good, found: found.into(), mend: String::new() }
    }

    fn warning(check: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Warning, found: found.into(), mend: mend.into() }
    }

    fn bad(check: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Bad, found: found.into(), mend: mend.into() }
    }
}

/// Everything that was found, and the limits in force.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Whether nothing is bad.
    pub healthy: bool,
    /// In the order in which they were looked at.
    pub findings: Vec<Finding>,
    /// See `[limits]` in `config.example.toml`.
    pub limits: Limits,
    /// What is no matter of configuration: the protocol's, or the node's own.
    pub fixed: Fixed,
    /// See `[congestion]` there.
    pub congestion: CongestionConfig,
    /// See `[retention]` there.
    pub retention: Retention,
}

/// Bounds that no configuration moves.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Fixed {
    /// Of a call that publishes.
    pub publish_bytes: usize,
    /// Of any other.
    pub question_bytes: usize,
    /// Of an answer.
    pub answer_bytes: usize,
    /// Submissions in a call.
    pub submissions_per_call: usize,
    /// Of one envelope.
    pub ciphertext_bytes: usize,
    /// Records in a page, which ends behind `page_bytes`, too.
    pub page_records: usize,
    /// See there.
    pub page_bytes: usize,
    /// Filters of a subscription.
    pub filters_per_stream: usize,
}

/// Looks at everything. Takes seconds; no longer than some of the chain's request timeouts.
pub async fn examine(config: &Config, clock: &Clock) -> Report {
    let mut findings = files::examine(config);
    findings.extend(machine::examine(config).await);
    findings.extend(chain::examine(config, clock).await);
    let healthy = findings.iter().all(|it| it.verdict != Verdict::Bad);
    let Config { limits, congestion, retention, .. } = config.clone();
    Report { healthy, findings, limits, fixed: Fixed::new(), congestion, retention }
}

impl Fixed {
    const fn new() -> Self {
        Self {
            publish_bytes: submission::MAX_CALL_BYTES,
            question_bytes: node::QUESTION_BYTES,
            answer_bytes: node::ANSWER_BYTES,
            submissions_per_call: submission::MAX_PER_CALL,
            ciphertext_bytes: envelope::MAX_CIPHERTEXT_BYTES,
            page_records: api::PAGE_RECORDS,
            page_bytes: store::PAGE_BYTES,
            filters_per_stream: api::FILTERS_MAX,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Good => "good",
            Self::Warning => "warn",
            Self::Bad => "BAD",
        })
    }
}

/// For people: a line per finding, what mends it below, and the limits.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Finding { check, verdict, found, mend } in &self.findings {
            writeln!(f, "{verdict:<5} {check:<18} {found}")?;
            if !mend.is_empty() {
                writeln!(f, "{:<24} → {mend}", "")?;
            }
        }
        writeln!(f, "\nlimits in force")?;
        list(f, &self.limits)?;
        writeln!(f, "\nlimits that are fixed")?;
        list(f, &self.fixed)?;
        writeln!(f, "\nthe price follows the load")?;
        list(f, &self.congestion)?;
        writeln!(f, "\nrecords are kept")?;
        list(f, &self.retention)?;
        let healthy = if self.healthy { "nothing is wrong" } else { "something is wrong: see the lines marked BAD" };
        writeln!(f, "\n{healthy}")
    }
}

/// A line per value. Names and forms are those of the configuration.
fn list(f: &mut fmt::Formatter<'_>, values: &impl Serialize) -> fmt::Result {
    let values = serde_json::to_value(values).map_err(|_| fmt::Error)?;
    for (name, value) in values.as_object().into_iter().flatten() {
        match value.as_str() {
            Some(text) => writeln!(f, "  {name:<26} {text}")?,
            None => writeln!(f, "  {name:<26} {value}")?,
        }
    }
    Ok(())
}
