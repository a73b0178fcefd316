//! Who is at the other end of a connection, as far as a node wants to know: whose connections count as one's.

use std::net::{IpAddr, Ipv6Addr};

/// What one subscriber has: an IPv4 address, or the /64 of an IPv6 one. Without `Debug`: addresses stay out of the log.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Peer(IpAddr);

impl Peer {
    /// Of calls that came over no connection.
    pub(crate) const NOBODY: Self = Self(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
}

impl From<IpAddr> for Peer {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
            address => address,
        })
    }
}
