//! The vocabulary of the protocol: what clients, nodes and contracts must agree on, to the byte.
//!
//! | module | holds |
//! |---|---|
//! | [`account`], [`topic`], [`time`], [`field`] | small values, each with its one canonical form |
//! | [`derive`](mod@derive) | every hash the protocol names: network, group, scope, signal, external nullifier |
//! | [`envelope`], [`pass`], [`submission`], [`postmark`], [`record`] | a letter on its way |
//! | [`claim`], [`snapshot`] | what an account can prove about a chain, who vouches for it, and of whom it holds |
//! | [`opening`] | that a conversation may be written to |
//! | [`receipt`] | that a letter was read |
//! | [`attestation`] | that an account wants to hear from the holder of a key |
//! | [`key_bundle`], [`vault`], [`policy`], [`requirement`] | what an account publishes |
//! | [`congestion`] | by how much the network's price may rise |
//! | [`refusal`], [`malformed`] | how a node says no |
//! | [`signature`] | the one function that signs, and the one that verifies |
//! | [`wire`] | the generated messages and the service; only the edges of node and client name them |
//!
//! Domain types are made from wire types by `TryFrom`, at the foot of each file, and nowhere else; what exists has been
//! checked. There is no I/O here, and no clock but [`time::Clock`].

pub mod account;
pub mod attestation;
pub mod claim;
pub mod congestion;
pub mod derive;
pub mod envelope;
pub mod field;
pub mod key_bundle;
pub mod malformed;
pub mod opening;
pub mod pass;
pub mod policy;
pub mod postmark;
pub mod receipt;
pub mod record;
pub mod refusal;
pub mod requirement;
pub mod signature;
pub mod snapshot;
pub mod submission;
#[cfg(feature = "testing")]
pub mod testing;
pub mod time;
pub mod topic;
pub mod vault;

/// Generated from `proto/schema` (`cargo run -p xmtp-proto --example gen`), and checked in.
#[allow(missing_docs, unreachable_pub, unused_qualifications, clippy::all)]
pub mod wire {
    include!("gen/xmtp.v1.rs");

    /// The schema as an encoded `FileDescriptorSet`, for gRPC reflection.
    pub const DESCRIPTORS: &[u8] = include_bytes!("gen/descriptors.bin");
}
