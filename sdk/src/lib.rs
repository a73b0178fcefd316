//! Identities, letters, stamps.

pub mod chain;
pub mod client;
pub mod content;
pub mod franking;
pub mod identity;
pub mod inbox;
pub mod invite;
pub mod keys;
mod layout;
mod seal;
pub mod state;
#[cfg(test)]
mod testing;
pub mod transport;
pub mod vault;
pub mod wallet;
mod x3dh;
