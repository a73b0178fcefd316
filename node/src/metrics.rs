//! What the node counts of itself, in OpenMetrics. Labels come from lists that are fixed when the node is built: never a topic,
//! an account, an address or anything else that a client chose.
//!
//! Names are `xmtpn_<subsystem>_<thing>_<unit>`; calls have the names that gRPC's operators know.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::U256;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use tonic::Code;
use xmtp_proto::derive::Group;
use xmtp_proto::refusal;

use crate::store::RecordKind;

/// What the committer tells: how large its groups are, and how long one takes to become durable.
#[derive(Clone, Debug)]
pub(crate) struct CommitMetrics {
    group: Histogram,
    sync: Histogram,
}

impl Default for CommitMetrics {
    fn default() -> Self {
        Self {
            // 1 to 256, the most that are committed together.
            group: Histogram::new(exponential_buckets(1.0, 2.0, 9)),
            // 0.25 ms to 4 s.
            sync: Histogram::new(exponential_buckets(0.000_25, 2.0, 15)),
        }
    }
}

impl CommitMetrics {
    /// A group of so many appends has become durable.
    pub(crate) fn committed(&self, appends: usize, took: Duration) {
        // At most some hundreds.
        self.group.observe(u32::try_from(appends).unwrap_or(u32::MAX).into());
        self.sync.observe(took.as_secs_f64());
    }
}

/// What the checks of proofs tell.
struct ProvingMetrics {
    batch: Histogram,
    took: Histogram,
    bad: Counter,
    waiting: Gauge,
    turned_away: Family<TurnedAway, Counter>,
}

impl Default for ProvingMetrics {
    fn default() -> Self {
        Self {
            // 1 to 128: a batch is full with 64, and the last submission may add some.
            batch: Histogram::new(exponential_buckets(1.0, 2.0, 8)),
            // 0.5 ms to 1 s.
            took: Histogram::new(exponential_buckets(0.000_5, 2.0, 12)),
            bad: Counter::default(),
            waiting: Gauge::default(),
            turned_away: Family::default(),
        }
    }
}

/// What slashing tells.
#[derive(Default)]
struct SlashingMetrics {
    evidence: Family<Exposed, Counter>,
    cases: Family<Cases, Gauge>,
    sent: Counter,
    failed: Counter,
    funds: Gauge<f64, std::sync::atomic::AtomicU64>,
}

/// Which call, of those that there are; all others are `unknown`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Method {
    grpc_type: &'static str,
    grpc_service: &'static str,
    grpc_method: &'static str,
}

const PUBLISH: Method = unary("xmtp.v1.Node", "Publish");

/// Every call that this node knows; a test holds it against the schema.
const METHODS: &[Method] = &[
    PUBLISH,
    unary("xmtp.v1.Node", "GetNetwork"),
    unary("xmtp.v1.Node", "Query"),
    unary("xmtp.v1.Node", "QueryConversations"),
    unary("xmtp.v1.Node", "QueryContacts"),
    streaming("xmtp.v1.Node", "Subscribe"),
    unary("xmtp.v1.Node", "GetRequirements"),
    unary("xmtp.v1.Node", "GetKeyBundle"),
    unary("xmtp.v1.Node", "GetRoots"),
    unary("xmtp.v1.Node", "GetBucket"),
    unary("grpc.health.v1.Health", "Check"),
    unary("grpc.health.v1.Health", "List"),
    streaming("grpc.health.v1.Health", "Watch"),
    streaming("grpc.reflection.v1.ServerReflection", "ServerReflectionInfo"),
];

const fn unary(grpc_service: &'static str, grpc_method: &'static str) -> Method {
    Method { grpc_type: "unary", grpc_service, grpc_method }
}

const fn streaming(grpc_service: &'static str, grpc_method: &'static str) -> Method {
    Method { grpc_type: "server_stream", grpc_service, grpc_method }
}

impl Method {
    /// Whether it writes, and so waits for the disk.
    pub(crate) fn publishes(&self) -> bool {
        *self == PUBLISH
    }

    /// By the path of a request.
    pub(crate) fn of(path: &str) -> Self {
        let known = path.strip_prefix('/').and_then(|path| path.split_once('/')).and_then(|(service, method)| {
            METHODS.iter().find(|it| it.grpc_service == service && it.grpc_method == method)
        });
        known.copied().unwrap_or_else(|| unary("unknown", "unknown"))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Handled {
    grpc_type: &'static str,
    grpc_service: &'static str,
    grpc_method: &'static str,
    grpc_code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refused {
    code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TurnedAway {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Exposed {
    pass: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Cases {
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Dropped {
    kind: &'static str,
}

/// Why a connection was not served.
#[derive(Clone, Copy, Debug)]
pub(crate) enum NotServed {
    /// There were too many.
    Full,
    /// There were too many from its address.
    AddressFull,
    /// Its handshake took too long, or failed.
    Handshake,
}

/// Why the proofs of a submission were not looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) enum NotProved {
    /// Too many waited.
    Full,
    /// Too many of its peer's were bad.
    CutOff,
}

/// Numbers that are read when somebody asks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Snapshot {
    pub(crate) chain_head: u64,
    pub(crate) chain_applied: u64,
    pub(crate) view_age: Duration,
    pub(crate) log_cursor: u64,
    pub(crate) streams_open: usize,
    pub(crate) submission_bytes: usize,
    pub(crate) disk_free_bytes: u64,
    pub(crate) ready: bool,
}

/// All there is to count. Clones count together.
#[derive(Clone)]
pub(crate) struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    started: Family<Method, Counter>,
    handled: Family<Handled, Counter>,
    handling: Family<Method, Histogram, fn() -> Histogram>,
    accepted: Counter,
    refused: Family<Refused, Counter>,
    failed: Counter,
    proving: ProvingMetrics,
    slashing: SlashingMetrics,
    congestion_load: Gauge<f64, std::sync::atomic::AtomicU64>,
    congestion_times: Gauge,
    connections: Gauge,
    turned_away: Family<TurnedAway, Counter>,
    cut_off: Counter,
    dropped: Family<Dropped, Counter>,
    chain_head: Gauge,
    chain_lag: Gauge,
    view_age: Gauge<f64, std::sync::atomic::AtomicU64>,
    log_cursor: Gauge,
    streams_open: Gauge,
    submission_bytes: Gauge,
    disk_free: Gauge,
    ready: Gauge,
}

fn handling_histogram() -> Histogram {
    // 0.5 ms to 16 s.
    Histogram::new(exponential_buckets(0.000_5, 2.0, 16))
}

impl Metrics {
    pub(crate) fn new(commits: &CommitMetrics) -> Self {
        let mut inner = Inner {
            registry: Registry::default(),
            started: Family::default(),
            handled: Family::default(),
            handling: Family::new_with_constructor(handling_histogram),
            accepted: Counter::default(),
            refused: Family::default(),
            failed: Counter::default(),
            proving: ProvingMetrics::default(),
            slashing: SlashingMetrics::default(),
            congestion_load: Gauge::default(),
            congestion_times: Gauge::default(),
            connections: Gauge::default(),
            turned_away: Family::default(),
            cut_off: Counter::default(),
            dropped: Family::default(),
            chain_head: Gauge::default(),
            chain_lag: Gauge::default(),
            view_age: Gauge::default(),
            log_cursor: Gauge::default(),
            streams_open: Gauge::default(),
            submission_bytes: Gauge::default(),
            disk_free: Gauge::default(),
            ready: Gauge::default(),
        };
        // Refusals that never happened are zero and not absent, so that alerts on them can be written before.
        for code in refusal::Code::ALL {
            let _ = inner.refused.get_or_create(&Refused { code: code.as_str() });
        }
        for reason in [NotServed::Full, NotServed::AddressFull, NotServed::Handshake] {
            let _ = inner.turned_away.get_or_create(&reason.label());
        }
        for reason in [NotProved::Full, NotProved::CutOff] {
            let _ = inner.proving.turned_away.get_or_create(&reason.label());
        }
        for kind in RecordKind::ALL {
            let _ = inner.dropped.get_or_create(&Dropped { kind: kind.as_str() });
        }
        for pass in PASSES {
            let _ = inner.slashing.evidence.get_or_create(&Exposed { pass });
        }
        for state in [OPEN, SLASHED] {
            let _ = inner.slashing.cases.get_or_create(&Cases { state });
        }
        inner.register(commits);
        Self(Arc::new(inner))
    }

    /// A call has come.
    pub(crate) fn started(&self, method: &Method) {
        self.0.started.get_or_create(method).inc();
    }

    /// A call was answered, to its end.
    pub(crate) fn handled(&self, method: &Method, code: Code, took: Duration) {
        let Method { grpc_type, grpc_service, grpc_method } = *method;
        let handled = Handled { grpc_type, grpc_service, grpc_method, grpc_code: code_name(code) };
        self.0.handled.get_or_create(&handled).inc();
        self.0.handling.get_or_create(method).observe(took.as_secs_f64());
    }

    /// A submission has its postmark.
    pub(crate) fn accepted(&self) {
        self.0.accepted.inc();
    }

    /// A submission was refused.
    pub(crate) fn refused(&self, code: refusal::Code) {
        self.0.refused.get_or_create(&Refused { code: code.as_str() }).inc();
    }

    /// A submission failed because of the store.
    pub(crate) fn failed(&self) {
        self.0.failed.inc();
    }

    /// A batch of so many proofs has its verdicts.
    pub(crate) fn proved(&self, proofs: usize, took: Duration) {
        // At most some hundreds.
        self.0.proving.batch.observe(u32::try_from(proofs).unwrap_or(u32::MAX).into());
        self.0.proving.took.observe(took.as_secs_f64());
    }

    /// A submission's proofs do not hold.
    pub(crate) fn bad_proof(&self) {
        self.0.proving.bad.inc();
    }

    /// So many proofs wait for a batch.
    pub(crate) fn proofs_waiting(&self, waiting: usize) {
        self.0.proving.waiting.set(gauge(waiting));
    }

    /// A submission's proofs were not looked at.
    pub(crate) fn not_proved(&self, reason: NotProved) {
        self.0.proving.turned_away.get_or_create(&reason.label()).inc();
    }

    /// An index of a group went on two envelopes.
    pub(crate) fn exposed(&self, group: &Group) {
        self.0.slashing.evidence.get_or_create(&Exposed { pass: pass_of(group) }).inc();
    }

    /// So many secrets wait to be slashed, and so many were, and deep enough to count.
    pub(crate) fn cases(&self, open: usize, slashed: usize) {
        for (state, cases) in [(OPEN, open), (SLASHED, slashed)] {
            self.0.slashing.cases.get_or_create(&Cases { state }).set(gauge(cases));
        }
    }

    /// A slash was sent to the chain.
    pub(crate) fn slash_sent(&self) {
        self.0.slashing.sent.inc();
    }

    /// The chain took no slash, or it did nothing.
    pub(crate) fn slash_failed(&self) {
        self.0.slashing.failed.inc();
    }

    /// The account that pays for slashes has so much coin.
    pub(crate) fn slashing_funds(&self, wei: U256) {
        self.0.slashing.funds.set(f64::from(wei) / WEI_PER_ETHER);
    }

    /// So many submissions wait, smoothed; the network's stamps are asked so many times.
    pub(crate) fn congestion(&self, load: f64, times: u32) {
        self.0.congestion_load.set(load);
        self.0.congestion_times.set(times.into());
    }

    /// So many connections are open.
    pub(crate) fn connections(&self, open: usize) {
        self.0.connections.set(gauge(open));
    }

    /// A connection was not served.
    pub(crate) fn turned_away(&self, reason: NotServed) {
        self.0.turned_away.get_or_create(&reason.label()).inc();
    }

    /// A client did not take what it asked for.
    pub(crate) fn cut_off(&self) {
        self.0.cut_off.inc();
    }

    /// So many records were dropped, for they are kept no longer.
    pub(crate) fn dropped(&self, kind: RecordKind, records: usize) {
        let records = u64::try_from(records).unwrap_or(u64::MAX);
        self.0.dropped.get_or_create(&Dropped { kind: kind.as_str() }).inc_by(records);
    }

    /// Everything as OpenMetrics text.
    pub(crate) fn encode(&self, now: Snapshot) -> Result<String, fmt::Error> {
        let Snapshot {
            chain_head,
            chain_applied,
            view_age,
            log_cursor,
            streams_open,
            submission_bytes,
            disk_free_bytes,
            ready,
        } = now;
        let it = &self.0;
        it.chain_head.set(gauge(chain_head));
        it.chain_lag.set(gauge(chain_head.saturating_sub(chain_applied)));
        it.view_age.set(view_age.as_secs_f64());
        it.log_cursor.set(gauge(log_cursor));
        it.streams_open.set(gauge(streams_open));
        it.submission_bytes.set(gauge(submission_bytes));
        it.disk_free.set(gauge(disk_free_bytes));
        it.ready.set(ready.into());
        let mut text = String::new();
        text::encode(&mut text, &it.registry)?;
        Ok(text)
    }
}

impl Inner {
    fn register(&mut self, commits: &CommitMetrics) {
        let it = &mut self.registry;
        // Counters get their `_total` from the encoding, units theirs from the registration.
        it.register("grpc_server_started", "Calls that came", self.started.clone());
        it.register("grpc_server_handled", "Calls that were answered to their end, by status", self.handled.clone());
        it.register_with_unit(
            "grpc_server_handling",
            "From a call's headers to the end of its answer",
            Unit::Seconds,
            self.handling.clone(),
        );
        it.register("xmtpn_publish_accepted", "Submissions that have a postmark", self.accepted.clone());
        it.register("xmtpn_publish_refused", "Submissions refused, by code", self.refused.clone());
        it.register("xmtpn_publish_failed", "Submissions that the store failed", self.failed.clone());
        it.register_with_unit(
            "xmtpn_publish_waiting",
            "Submissions in the node, to the next KiB of each",
            Unit::Bytes,
            self.submission_bytes.clone(),
        );
        it.register("xmtpn_proofs_batch_proofs", "Proofs verified together", self.proving.batch.clone());
        it.register_with_unit(
            "xmtpn_proofs_batch",
            "Verifying a batch of proofs, without the wait before it",
            Unit::Seconds,
            self.proving.took.clone(),
        );
        it.register("xmtpn_proofs_bad", "Submissions whose proofs did not hold", self.proving.bad.clone());
        it.register("xmtpn_proofs_waiting", "Proofs that wait for a batch", self.proving.waiting.clone());
        it.register(
            "xmtpn_proofs_turned_away",
            "Submissions whose proofs were not looked at, by reason",
            self.proving.turned_away.clone(),
        );
        it.register(
            "xmtpn_slashing_evidence",
            "Indices that went on two envelopes, by kind of pass",
            self.slashing.evidence.clone(),
        );
        it.register(
            "xmtpn_slashing_cases",
            "Secrets that this node has evidence for and a key to slash with, by state",
            self.slashing.cases.clone(),
        );
        it.register("xmtpn_slashing_sent", "Slashes sent to the chain", self.slashing.sent.clone());
        it.register(
            "xmtpn_slashing_failed",
            "Slashes that the chain did not take, or that did nothing",
            self.slashing.failed.clone(),
        );
        it.register_with_unit(
            "xmtpn_slashing_funds",
            "Coin of the account that pays for slashes, as it was seen last",
            Unit::Other("ether".to_owned()),
            self.slashing.funds.clone(),
        );
        it.register(
            "xmtpn_congestion_load",
            "Submissions that wait to be proved or stored, smoothed: what moves the price",
            self.congestion_load.clone(),
        );
        it.register(
            "xmtpn_congestion_times",
            "How many times the network's stamps are asked at invite topics",
            self.congestion_times.clone(),
        );
        it.register("xmtpn_store_commit_appends", "Appends committed together", commits.group.clone());
        it.register_with_unit(
            "xmtpn_store_commit",
            "From a group's first write until it would survive a power cut",
            Unit::Seconds,
            commits.sync.clone(),
        );
        it.register("xmtpn_store_log_cursor", "The newest record that readers may see", self.log_cursor.clone());
        it.register("xmtpn_store_records_dropped", "Records kept no longer, by kind of topic", self.dropped.clone());
        it.register_with_unit(
            "xmtpn_store_disk_free",
            "Room on the disk of the store",
            Unit::Bytes,
            self.disk_free.clone(),
        );
        it.register("xmtpn_chain_head_block", "The chain's head when it was last seen", self.chain_head.clone());
        it.register(
            "xmtpn_chain_lag_blocks",
            "Blocks between the head and the latest one that counts, confirmations included",
            self.chain_lag.clone(),
        );
        it.register_with_unit(
            "xmtpn_chain_view_age",
            "Since the node last knew all that the chain had to say; before the first time, since its start",
            Unit::Seconds,
            self.view_age.clone(),
        );
        it.register("xmtpn_api_streams_open", "Subscriptions", self.streams_open.clone());
        it.register("xmtpn_api_connections_open", "Connections", self.connections.clone());
        it.register("xmtpn_api_connections_turned_away", "Connections not served, by reason", self.turned_away.clone());
        it.register("xmtpn_api_answers_cut_off", "Answers whose client did not take them", self.cut_off.clone());
        it.register("xmtpn_node_ready", "1 if /readyz says so", self.ready.clone());
        it.register("xmtpn_node_build", "What runs here", Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]));
    }
}

impl NotServed {
    const fn label(self) -> TurnedAway {
        let reason = match self {
            Self::Full => "full",
            Self::AddressFull => "address_full",
            Self::Handshake => "handshake",
        };
        TurnedAway { reason }
    }
}

impl NotProved {
    const fn label(self) -> TurnedAway {
        let reason = match self {
            Self::Full => "full",
            Self::CutOff => "cut_off",
        };
        TurnedAway { reason }
    }
}

/// Kinds of passes that can be exposed.
const PASSES: [&str; 4] = ["stamp", "stake", "claim", "member"];
const OPEN: &str = "open";
const SLASHED: &str = "slashed";
const WEI_PER_ETHER: f64 = 1e18;

const fn pass_of(group: &Group) -> &'static str {
    match group {
        Group::Stamps { .. } => PASSES[0],
        Group::Stake { .. } => PASSES[1],
        Group::Claim { .. } => PASSES[2],
        Group::Members { .. } => PASSES[3],
    }
}

fn gauge(value: impl TryInto<i64>) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}

/// As gRPC's own documents write them.
const fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "Canceled",
        Code::Unknown => "Unknown",
        Code::InvalidArgument => "InvalidArgument",
        Code::DeadlineExceeded => "DeadlineExceeded",
        Code::NotFound => "NotFound",
        Code::AlreadyExists => "AlreadyExists",
        Code::PermissionDenied => "PermissionDenied",
        Code::ResourceExhausted => "ResourceExhausted",
        Code::FailedPrecondition => "FailedPrecondition",
        Code::Aborted => "Aborted",
        Code::OutOfRange => "OutOfRange",
        Code::Unimplemented => "Unimplemented",
        Code::Internal => "Internal",
        Code::Unavailable => "Unavailable",
        Code::DataLoss => "DataLoss",
        Code::Unauthenticated => "Unauthenticated",
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use xmtp_proto::wire;

    use super::*;

    #[test]
    fn every_call_of_the_schema_has_its_name() {
        let files = prost_types::FileDescriptorSet::decode(wire::DESCRIPTORS).unwrap().file;
        let mut calls = 0;
        for file in files {
            for service in &file.service {
                for method in &service.method {
                    let (service, name) = (format!("{}.{}", file.package(), service.name()), method.name());
                    let found = Method::of(&format!("/{service}/{name}"));
                    let streams = if method.server_streaming() { "server_stream" } else { "unary" };
                    let found = (found.grpc_service, found.grpc_method, found.grpc_type);
                    assert_eq!(found, (service.as_str(), name, streams));
                    calls += 1;
                }
            }
        }
        assert!(calls >= 8, "the schema has no calls");
    }

    #[test]
    fn paths_of_strangers_are_one_label() {
        for path in ["", "/", "/xmtp.v1.Node/", "/xmtp.v1.Node/Publish/", "/xmtp.v1.Node/publish", "Publish", "/a/b"] {
            assert_eq!(Method::of(path), unary("unknown", "unknown"), "{path}");
        }
    }

    #[test]
    fn text_is_complete_before_anything_happened() {
        let metrics = Metrics::new(&CommitMetrics::default());
        let text = metrics.encode(Snapshot { chain_head: 7, chain_applied: 5, ..Snapshot::default() }).unwrap();
        for line in [
            "xmtpn_publish_accepted_total 0",
            "xmtpn_publish_refused_total{code=\"nullifier_used\"} 0",
            "xmtpn_slashing_evidence_total{pass=\"member\"} 0",
            "xmtpn_slashing_cases{state=\"open\"} 0",
            "xmtpn_chain_lag_blocks 2",
            "xmtpn_node_ready 0",
            "# EOF",
        ] {
            assert!(text.lines().any(|it| it == line), "{line} is not in\n{text}");
        }
    }
}
