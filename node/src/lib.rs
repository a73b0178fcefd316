//! The relay node: checks, before it relays, that a sender has met the conditions of the network and of the recipient.

pub mod chain;
pub mod groups;
