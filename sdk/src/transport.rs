//! The way to a node: typed calls over gRPC (docs/protocol.md, "The envelope digest", "Refusals"). The only room here that
//! knows how bytes travel.
//!
//! A node is believed in nothing that can be checked: its network and verifying key are compared with the client's own,
//! every postmark is verified, every record must be one of the topic that was asked for. What it says of key bundles and
//! policies proves itself further up.
//!
//! All calls are idempotent (publishing an envelope again is answered with its first postmark), so every one is repeated
//! when the node could not be reached or had too much to do.
//!
//! | file | has |
//! |---|---|
//! | `node` | a node that was greeted: what it says of its network |
//! | `connection` | the calls on a connection in one role |
//! | `groups` | groups, their roots and buckets |
//! | `prefix` | reading conversations without naming them |
//! | `stream` | subscriptions |
//! | `authorities` | whose word on a node's name is taken, where it speaks TLS |
//! | `proxy` | ways to the node that do not begin at this machine's address |
//! | `check` | what an answer must be |
//! | `error` | what becomes of a call that fails |

mod authorities;
mod check;
mod connection;
mod error;
mod groups;
mod node;
mod prefix;
mod proxy;
mod stream;

pub use authorities::{Authorities, InvalidAuthorities};
pub use check::WrongPostmark;
pub use connection::{Asked, Congestion, Connection, Order, Page, Role};
pub use error::TransportError;
pub use groups::{ClaimGroup, KeptGroup, MemberGroup, RootKind, StakeGroup, StampGroup, VolumeRoot};
pub use node::{NetworkInfo, Node};
pub use prefix::{Prefix, Stretch};
pub use proxy::{InvalidProxy, Proxies, Proxy};
pub use stream::{Event, Filter, Subscription};
