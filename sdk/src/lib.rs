//! Identities, letters, stamps.

pub mod chain;
pub mod content;
pub mod franking;
pub mod identity;
pub mod invite;
pub mod keys;
mod layout;
mod seal;
pub mod state;
pub mod transport;
pub mod vault;
pub mod wallet;
mod x3dh;
