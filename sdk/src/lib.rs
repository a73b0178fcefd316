//! Identities, letters, stamps.

pub mod chain;
pub mod franking;
pub mod keys;
pub mod transport;
pub mod content;
pub mod identity;
pub mod invite;
pub mod vault;
pub mod wallet;
mod layout;
mod seal;
mod x3dh;
