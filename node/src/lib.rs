//! The relay node: checks, before it relays, that a sender has met the conditions of the network and of the recipient
//! (docs/protocol.md, "How a message travels").
//!
//! ```text
//! api ──► ingest ──► validate, proving ──► store.append ──► postmark
//!                      │                       │
//! chain ──► ChainView ─┘                       ├──► readers
//!   └─► groups ◄── members, claims ◄───────────┘
//! ```
//!
//! In reading order: [`ingest`], the one door; [`validate`], the rules; `proving`, where proofs are checked; [`store`], the
//! log; [`chain`] and [`groups`], what is known of the settlement chain; `members` and [`claims`],
//! the groups that the log itself makes;
//! `closing` and [`slashing`], what becomes of who used one index for two envelopes; `traffic`, what readers are told of the
//! log; `api`, the gRPC service; [`node`], who owns the tasks; [`config`].

mod admin;
mod api;
pub mod backup;
pub mod chain;
pub mod claims;
mod closing;
pub mod config;
mod congestion;
mod disk;
pub mod doctor;
pub mod evidence;
pub mod groups;
mod housekeeping;
pub mod ingest;
pub mod issuer;
pub mod live;
mod members;
pub mod memory;
mod metrics;
mod naming;
pub mod node;
pub mod operator;
mod peer;
mod places;
mod proving;
mod secret_file;
pub mod server;
pub mod slashing;
pub mod store;
mod told;
mod traffic;
pub mod validate;
