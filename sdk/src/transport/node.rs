//! A node that was greeted: it serves the client's network, and said what that asks.

use std::sync::Arc;

use alloy::primitives::{Address, B256};
use tonic::transport::Endpoint;
use url::Url;
use xmtp_proto::congestion::Steps;
use xmtp_proto::derive::NetworkId;
use xmtp_proto::malformed::Malformed;
use xmtp_proto::requirement::Requirement;
use xmtp_proto::time::Timestamp;
use xmtp_proto::wire;
use xmtp_prover::Limit;

use super::authorities::Authorities;
use super::check::{fixed, required};
use super::connection::{Connection, Role, client};
use super::error::{CALL_TIMEOUT, Peer, TransportError, call};
use super::proxy::Proxies;
use crate::journal::SLOTS;

/// What a leaf of a group of members allows in an epoch at most.
const MAX_MEMBER_LIMIT: u32 = 1_024;
/// A node that asks for more wants to know which conversation is read.
const MAX_CONVERSATION_BITS: u16 = 16;

/// A node that was asked once and serves the client's network. Opens connections.
#[derive(Clone, Debug)]
pub struct Node {
    endpoint: Endpoint,
    url: Url,
    proxies: Proxies,
    network: Arc<NetworkInfo>,
}

/// What a node says of its network, as far as it agrees with the client's own deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkInfo {
    /// Chain and contract.
    pub id: NetworkId,
    /// The settlement chain.
    pub chain_id: u64,
    /// The address that signs this node's postmarks.
    pub operator: Address,
    /// Seconds per issue of stamps.
    pub issue_seconds: u64,
    /// What the network asks at invite topics.
    pub invite_requirement: Requirement,
    /// By which multiples its stamps may rise while the node is congested.
    pub congestion_steps: Steps,
    /// What the network asks for an account's first key bundle.
    pub joining_requirement: Requirement,
    /// The limit in every leaf of the operator's group of members; none if it keeps no such group.
    pub member_limit: Option<Limit>,
    /// How many bits of a conversation's id its readers name.
    pub conversation_bits: u16,
    /// The node's clock.
    pub now: Timestamp,
}

impl Node {
    /// Asks the node at `url` what it serves, and compares that with the client's own network and verifying key. Every
    /// connection, this one included, takes the way of its role; to greet is to ask. With https, each is encrypted to whom
    /// the authorities know by the name in `url`, through a proxy as without one.
    ///
    /// # Errors
    /// [`TransportError`], in particular [`TransportError::OtherNetwork`] and [`TransportError::OtherVerifyingKey`].
    pub async fn greet(
        url: &Url,
        proxies: &Proxies,
        authorities: &Authorities,
        network: NetworkId,
        verifying_key: B256,
    ) -> Result<Self, TransportError> {
        let no_address = || TransportError::Address(url.clone());
        let endpoint = Endpoint::from_shared(url.to_string()).map_err(|_| no_address())?;
        let endpoint = match url.scheme() {
            _ if url.host().is_none() => return Err(no_address()),
            "http" => endpoint,
            "https" => {
                let tls = authorities.tls().ok_or(TransportError::NoAuthorities)?;
                endpoint.tls_config(tls).map_err(|_| no_address())?
            }
            _ => return Err(no_address()),
        };
        let endpoint = endpoint.timeout(CALL_TIMEOUT).tcp_nodelay(true);
        let peer = Peer::new(url.clone(), Role::AskingAndFranking, proxies);
        let client = client(&endpoint, &peer);
        let answer =
            call(&peer, || async { Ok(client.clone().get_network(wire::GetNetworkRequest {}).await?.into_inner()) })
                .await?;
        let network = Arc::new(check_network(answer, network, verifying_key)?);
        Ok(Self { endpoint, url: url.clone(), proxies: proxies.clone(), network })
    }

    /// What the node said.
    #[must_use]
    pub fn network(&self) -> &NetworkInfo {
        &self.network
    }

    /// A connection of its own, opened with its first call.
    #[must_use]
    pub fn open(&self, role: Role) -> Connection {
        let peer = Peer::new(self.url.clone(), role, &self.proxies);
        Connection::new(client(&self.endpoint, &peer), peer, Arc::clone(&self.network))
    }
}

fn check_network(
    wire: wire::GetNetworkResponse,
    expected: NetworkId,
    verifying_key: B256,
) -> Result<NetworkInfo, TransportError> {
    let wire::GetNetworkResponse {
        network_id,
        chain_id,
        postage,
        // Follows from `Postage`, which the network's id names.
        token: _,
        operator,
        verifying_key: key,
        issue_seconds,
        invite_requirement,
        joining_requirement,
        now_ns,
        member_limit,
        conversation_bits,
        congestion_steps,
    } = wire;
    let got = NetworkId::from(fixed::<32>("network_id", &network_id)?);
    let computed = NetworkId::new(chain_id, fixed::<20>("postage", &postage)?.into());
    if got != expected || computed != expected {
        return Err(TransportError::OtherNetwork { expected, got: if got == expected { computed } else { got } });
    }
    let key = B256::from(fixed::<32>("verifying_key", &key)?);
    if key != verifying_key {
        return Err(TransportError::OtherVerifyingKey { expected: verifying_key, got: key });
    }
    if issue_seconds == 0 {
        return Err(Malformed::OutOfRange { field: "issue_seconds", got: 0 }.into());
    }
    Ok(NetworkInfo {
        id: got,
        chain_id,
        operator: fixed::<20>("operator", &operator)?.into(),
        issue_seconds,
        invite_requirement: required("invite_requirement", invite_requirement)?.try_into()?,
        congestion_steps: Steps::try_from(congestion_steps)
            .map_err(|_| TransportError::Unfitting("steps of congestion that are none"))?,
        joining_requirement: required("joining_requirement", joining_requirement)?.try_into()?,
        member_limit: match member_limit {
            0 => None,
            limit if limit % u32::from(SLOTS) == 0 && limit <= MAX_MEMBER_LIMIT => Limit::new(limit).ok(),
            limit => return Err(Malformed::OutOfRange { field: "member_limit", got: limit.into() }.into()),
        },
        conversation_bits: u16::try_from(conversation_bits)
            .ok()
            .filter(|bits| *bits <= MAX_CONVERSATION_BITS)
            .ok_or_else(|| Malformed::OutOfRange { field: "conversation_bits", got: conversation_bits.into() })?,
        now: Timestamp::from_nanos(now_ns),
    })
}
