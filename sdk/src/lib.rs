//! Identities, letters, stamps.
