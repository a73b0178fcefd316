//! Bounds on everything a client can hold. The operator's to choose; `xmtp-node doctor` shows those in force.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Bounds on what clients can ask for and hold on to.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Bytes of submissions in the node at once; more are told to come back.
    pub submission_bytes: usize,
    /// The same for calls from one address; in IPv6, from one /64.
    pub submission_bytes_per_ip: usize,
    /// Proofs that wait to be verified; more are told to come back.
    pub proofs: usize,
    /// How long a batch of proofs waits for more while another is verified.
    #[serde(with = "humantime_serde")]
    pub proof_linger: Duration,
    /// Bad proofs from one address (in IPv6, one /64) after which no more of its proofs are looked at for a minute. They
    /// fade: half of one is left after a minute.
    pub bad_proofs_per_ip: u32,
    /// First key bundles per minute.
    pub new_accounts_per_minute: NonZeroU32,
    /// Publishes are refused while the disk has less room than this.
    pub min_free_bytes: u64,
    /// Requests at once on all connections, until their answer begins; more are told to come back.
    pub requests: usize,
    /// The same for one address; in IPv6, for one /64.
    pub requests_per_ip: usize,
    /// Requests and subscriptions at once on one connection.
    pub streams_per_connection: u32,
    /// Subscriptions at once on all of them.
    pub streams: usize,
    /// Subscriptions at once from one address; in IPv6, from one /64.
    pub streams_per_ip: usize,
    /// Connections that the system completes before the node takes them; the system may allow fewer.
    pub backlog: u32,
    /// Connections at once; more are closed at once.
    pub connections: usize,
    /// Connections at once from one address; in IPv6, from one /64.
    pub connections_per_ip: usize,
    /// For TLS, and again for the first bytes of HTTP.
    #[serde(with = "humantime_serde")]
    pub handshake_timeout: Duration,
    /// For one publish, which waits for the disk.
    #[serde(with = "humantime_serde")]
    pub publish_timeout: Duration,
    /// For any other request, until its answer begins. A subscription goes on for as long as its connection.
    #[serde(with = "humantime_serde")]
    pub request_timeout: Duration,
    /// A client that does not take what it asked for is cut off after this.
    #[serde(with = "humantime_serde")]
    pub send_timeout: Duration,
    /// A connection without requests is closed after this.
    #[serde(with = "humantime_serde")]
    pub idle_timeout: Duration,
    /// A connection is told to go after this, and closed a grace later.
    #[serde(with = "humantime_serde")]
    pub connection_age: Duration,
    /// Between the two.
    #[serde(with = "humantime_serde")]
    pub connection_grace: Duration,
    /// Between two HTTP/2 pings on a connection without traffic.
    #[serde(with = "humantime_serde")]
    pub keepalive_interval: Duration,
    /// For the answer to one.
    #[serde(with = "humantime_serde")]
    pub keepalive_timeout: Duration,
    /// A request's headers, decompressed.
    pub header_bytes: u32,
    /// An HTTP/2 frame's payload: 16,384 to 16,777,215.
    pub frame_bytes: u32,
    /// What a client may send on a stream before the node has taken it.
    pub stream_window_bytes: u32,
    /// The same for a connection.
    pub connection_window_bytes: u32,
    /// Streams that a client reset and that the node has not looked at; with more, the connection ends.
    pub pending_resets: usize,
    /// Streams that the node reset because of a client's errors; with more, the connection ends.
    pub error_resets: usize,
    /// Time that requests in flight have when the node is told to stop.
    #[serde(with = "humantime_serde")]
    pub shutdown_grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            submission_bytes: 64 << 20,
            submission_bytes_per_ip: 16 << 20,
            proofs: 4096,
            proof_linger: Duration::from_millis(2),
            bad_proofs_per_ip: 256,
            new_accounts_per_minute: NonZeroU32::MIN.saturating_add(599),
            min_free_bytes: 1 << 30,
            requests: 512,
            requests_per_ip: 128,
            streams_per_connection: 100,
            streams: 10_000,
            streams_per_ip: 1_000,
            backlog: 1024,
            connections: 4096,
            connections_per_ip: 128,
            handshake_timeout: Duration::from_secs(10),
            publish_timeout: Duration::from_secs(30),
            request_timeout: Duration::from_secs(10),
            send_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(600),
            connection_age: Duration::from_secs(3600),
            connection_grace: Duration::from_secs(30),
            keepalive_interval: Duration::from_secs(30),
            keepalive_timeout: Duration::from_secs(10),
            header_bytes: 16 << 10,
            frame_bytes: 16 << 10,
            stream_window_bytes: 256 << 10,
            connection_window_bytes: 1 << 20,
            pending_resets: 20,
            error_resets: 1024,
            shutdown_grace: Duration::from_secs(30),
        }
    }
}
