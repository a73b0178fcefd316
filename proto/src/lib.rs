//! The vocabulary of the protocol.

pub mod field;
