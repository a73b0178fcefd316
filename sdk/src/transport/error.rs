//! What becomes of a call that fails: repeated if that may help, and said whose fault it is.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::B256;
use backon::{ExponentialBuilder, Retryable};
use tonic::{Code as GrpcCode, Status};
use tonic_types::StatusExt;
use url::Url;
use xmtp_proto::derive::NetworkId;
use xmtp_proto::malformed::Malformed;
use xmtp_proto::refusal::Code;
use xmtp_proto::submission::MAX_PER_CALL;

use super::check::WrongPostmark;
use super::connection::Role;
use super::proxy::{Proxies, Proxy, ProxyFailed};

/// For one call, all of its answer included.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Repetitions of a call that did not get through.
const RETRIES: usize = 3;
/// The domain of our reasons in a status' details.
const ERROR_DOMAIN: &str = "xmtp";

/// Who is called, for what, and which way.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) url: Url,
    pub(super) role: Role,
    pub(super) proxy: Option<Arc<Proxy>>,
}

/// A call that brought no answer to build on.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// Not the address of a node. The user's to mend.
    #[error("{0} is not the address of a node: expected https://host:port or http://host:port")]
    Address(Url),
    /// Nobody answered. The network's fault or the node's; try again.
    #[error("cannot reach the node at {url}: {reason}")]
    Unreachable {
        /// Where.
        url: Url,
        /// What the connection met.
        reason: String,
    },
    /// Nobody whom the client believes vouches for the node's name: its certificate is another's, has expired, or is of an
    /// authority that the client does not know. The operator's to mend, or the user's, who names the authority; or
    /// somebody is in the way.
    #[error("the node does not prove that it is {name}: {reason}")]
    Certificate {
        /// As its address says.
        name: String,
        /// What is wrong with the certificate.
        reason: String,
    },
    /// This system trusts no certificate authority. The user's to mend.
    #[error("nobody can vouch for the node's name: this system has no certificate authorities, and no file names any")]
    NoAuthorities,
    /// The proxy of a role did not connect. The user's to mend, or its operator's; try again.
    #[error("cannot reach the node through {proxy}, the proxy of the connections for {role}: {reason}")]
    Proxy {
        /// Whose connections go this way.
        role: Role,
        /// Which one, without its password.
        proxy: String,
        /// What became of it.
        reason: String,
    },
    /// It was connected and did not answer in time. What was asked may have been done all the same; asking again is safe.
    #[error("the node at {url} did not answer within {} s", CALL_TIMEOUT.as_secs())]
    Silent {
        /// Where.
        url: Url,
    },
    /// The node refused the call as such.
    #[error("the node refused: {message}")]
    Refused {
        /// Why.
        code: Code,
        /// In its words.
        message: String,
    },
    /// The node failed, for a reason outside the protocol. Its operator's to mend.
    #[error("the node failed ({status}): {message}")]
    Failed {
        /// The gRPC status' name.
        status: String,
        /// In its words.
        message: String,
    },
    /// The answer breaks the schema. The node's fault: do not use it.
    #[error("the node's answer is malformed: {0}")]
    Malformed(#[from] Malformed),
    /// The answer is well-formed and is none to what was asked. The node's fault: do not use it.
    #[error("the node's answer does not fit the question: {0}")]
    Unfitting(&'static str),
    /// The node serves another network than the deployment describes. The user's to mend.
    #[error(
        "the node serves network {got}, the deployment file describes {expected}: use the node's deployment file, or another node"
    )]
    OtherNetwork {
        /// By the deployment.
        expected: NetworkId,
        /// By the node.
        got: NetworkId,
    },
    /// The node verifies proofs with another key than this client makes them with. One of the two is out of date.
    #[error("the node verifies with key {got}, this client proves with {expected}: one of the two is out of date")]
    OtherVerifyingKey {
        /// The client's.
        expected: B256,
        /// The node's.
        got: B256,
    },
    /// A postmark that is none. The node's fault: it may have kept nothing; do not use it.
    #[error("the node gave a wrong postmark: {0}")]
    Postmark(#[from] WrongPostmark),
    /// More than [`MAX_PER_CALL`] submissions in one call. The caller's fault.
    #[error("at most {MAX_PER_CALL} submissions fit into one call")]
    TooMany,
}

impl TransportError {
    /// The refusal behind it, if the node gave one.
    #[must_use]
    pub const fn code(&self) -> Option<Code> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        matches!(self, Self::Silent { .. }) || self.is_brief()
    }

    /// Whether it took little time to find out, so that asking again at once is worth it.
    const fn is_brief(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::Proxy { .. }
                | Self::Refused { code: Code::ChainViewStale | Code::Overloaded, .. }
        )
    }
}

impl Peer {
    pub(super) fn new(url: Url, role: Role, proxies: &Proxies) -> Self {
        Self { url, role, proxy: proxies.of(role).cloned() }
    }
}

/// Calls until it gets through, at most [`RETRIES`] times again.
pub(super) async fn call<A, F, Fut>(peer: &Peer, once: F) -> Result<A, TransportError>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<A, Status>>,
{
    let policy = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_secs(2))
        .with_max_times(RETRIES)
        .with_jitter();
    let attempt = || async { once().await.map_err(|status| failure(peer, &status)) };
    attempt.retry(policy).when(TransportError::is_brief).await
}

pub(super) fn failure(peer: &Peer, status: &Status) -> TransportError {
    let Peer { url, role, proxy } = peer;
    if let (Some(proxy), Some(ProxyFailed(reason))) = (proxy, cause::<ProxyFailed>(status)) {
        let (proxy, reason) = (proxy.to_string(), reason.clone());
        return TransportError::Proxy { role: *role, proxy, reason };
    }
    if let Some(error @ rustls::Error::InvalidCertificate(_)) = cause(status) {
        let name = url.host_str().unwrap_or_default().to_owned();
        return TransportError::Certificate { name, reason: error.to_string() };
    }
    let message = status.message().to_owned();
    let reason = status
        .get_error_details()
        .error_info()
        .and_then(|info| if info.domain == ERROR_DOMAIN { Code::from_name(&info.reason) } else { None });
    match (reason, status.code()) {
        (Some(code), _) => TransportError::Refused { code, message },
        (None, GrpcCode::DeadlineExceeded | GrpcCode::Cancelled) => TransportError::Silent { url: url.clone() },
        (None, GrpcCode::Unavailable) => {
            TransportError::Unreachable { url: url.clone(), reason: deepest(status).unwrap_or(message) }
        }
        // Made here, of a connection that broke: a status from the node has no source.
        (None, _) if std::error::Error::source(status).is_some() => {
            TransportError::Unreachable { url: url.clone(), reason: deepest(status).unwrap_or(message) }
        }
        (None, code) => TransportError::Failed { status: format!("{code:?}"), message },
    }
}

/// The innermost cause: "Connection refused" says more than "transport error".
fn deepest(status: &Status) -> Option<String> {
    let mut source = std::error::Error::source(status)?;
    while let Some(next) = source.source() {
        source = next;
    }
    Some(source.to_string())
}

/// The cause of a kind, if it is among those of a status. What an I/O error was made of is not its source, but the error
/// itself.
fn cause<E: std::error::Error + 'static>(status: &Status) -> Option<&E> {
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        let inner = || error.downcast_ref::<io::Error>()?.get_ref()?.downcast_ref();
        if let Some(found) = error.downcast_ref().or_else(inner) {
            return Some(found);
        }
        source = error.source();
    }
    None
}
